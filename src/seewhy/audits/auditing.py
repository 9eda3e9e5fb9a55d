"""An audit of one class: takes a subject, gives its candidates, proposed by the first half and tried on the second."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from seewhy.audits.background import backgrounds
from seewhy.audits.cast import casts
from seewhy.audits.clusters import Cluster, cues_of
from seewhy.audits.cue import Cue
from seewhy.audits.patches import patches
from seewhy.audits.places import aligned, frames, places
from seewhy.audits.recurring import recurring
from seewhy.audits.subject import Subject
from seewhy.audits.trials import Effect, tried
from seewhy.audits.verdicts import Candidate, judged

__all__ = ["PROPOSALS", "again", "audited"]

#: who proposes cues, in this order: each is told of what those before have found
PROPOSALS: Sequence[Callable[[Subject, Sequence[Cue]], list[Cue]]] = (
    places, frames, casts, backgrounds, recurring, patches,
)  # fmt: skip


def audited(subject: Subject, clusters: Sequence[Cluster] = ()) -> list[Candidate]:
    """Every candidate of a class, what its ``clusters`` of evidence look at among them."""
    found: list[Cue] = []
    for propose in PROPOSALS:
        found += propose(subject, found)
    found += cues_of(clusters, found)
    words, share = [f"{cue.kind} {number}" for number, cue in enumerate(found)], aligned(subject)
    return [
        judged(subject, cue, tried(subject, cue, word), word, share) for word, cue in zip(words, found, strict=True)
    ]


def again(subject: Subject, candidate: Candidate) -> list[Effect]:
    """The trials of a candidate once more, on the same pictures, with the model of another ``subject``."""
    return tried(subject, candidate.cue, candidate.word)
