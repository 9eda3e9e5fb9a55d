"""What a repair works with: takes a model, what was proved and sources, gives which pictures are learnt from, which
prove it, and which cues can be mended; refuses what cannot be done before anything is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from seewhy.api.auditing.drawing import FEWEST
from seewhy.api.given.images import Item
from seewhy.api.given.masks import Masks
from seewhy.api.given.truths import Known
from seewhy.api.repairing.proved import Proved, where
from seewhy.api.repairing.reading import Source, chosen, first_of, held_out, overlapping, proving
from seewhy.api.repairing.result import Mending
from seewhy.api.repairing.training import Tally, Training
from seewhy.audits.background import Background
from seewhy.audits.cast import Cast
from seewhy.audits.cue import Cue
from seewhy.core.forward.settings import Settings
from seewhy.errors import UsageError
from seewhy.models import Model

__all__ = ["FITTED", "Asked", "Plan", "planned"]

#: ways that fit to pictures, and those that write them
FITTED = ("head", "project")
#: cues that are mended at once, and training pictures of a class that a fit takes
_MOST_CUES, _PICTURES = 20, 500


@dataclass(frozen=True)
class Asked:
    """What was asked of a repair: ``how``, with up to so many ``pictures`` of a class, where ``objects`` are."""

    how: str
    pictures: int | None
    objects: Masks | None
    settings: Settings
    seed: int
    progress: Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class Plan:
    """Training pictures, a ``source``, with the cues that are ``used``; those ``kept`` of the training pictures, which
    no fit sees; ``held``, pictures that prove it, with the ``classes`` that an audit has enough of; cues that are
    ``left`` out."""

    model: Model
    asked: Asked
    item: Item
    source: Source
    kept: Source
    held: Known
    classes: list[int]
    used: list[tuple[int, Cue]]
    left: list[Mending]
    notes: list[str]

    def label(self, index: int) -> str:
        """What a class is called."""
        return self.model.label(index) or str(index)

    def training(self) -> Training:
        """What is learnt from."""
        return Training(self.source, self.item, self.used, self.asked.settings, self.asked.seed)

    def proof(self) -> Training | None:
        """Held-out pictures with their classes and cues; None where nobody knows their classes."""
        if self.held.told == 0:
            return None
        truths, classes = _known(self.held), {index for index, _ in self.used}
        rows = chosen(truths, range(len(truths)), _PICTURES, classes, self.asked.seed)
        pictures = Source(self.model, self.held, rows, truths, self.asked.objects)
        return Training(pictures, self.item, self.used, self.asked.settings, self.asked.seed)


def planned(
    model: Model, found: Proved, known: Known, train: Any, held: Any, told: Mapping[str, Any], asked: Asked
) -> Plan:  # fmt: skip
    """What ``asked`` takes, of ``known`` training pictures and ``held`` ones. Raises `UsageError` for what does not fit
    together, and for too few pictures."""
    truths, notes = _known(known), [*known.notes]
    classes = {index for index, _ in found.cues}

    def label(index: int) -> str:
        return model.label(index) or found.labels.get(index) or str(index)

    missing = sorted(classes - set(truths))
    if missing:
        there = ", ".join(label(k) for k in sorted(set(truths))[:8])
        raise UsageError(
            f"no training picture is of {label(missing[0])!r}, of which the audit found a shortcut; there are: {there}"
        )
    item = first_of(model, known, range(len(truths)))
    found.check(model, item.tensor[None])
    used, left = _usable(found, asked, label)
    if held is not None and overlapping(held, train):
        raise UsageError(
            f"held={str(held)!r}: those are training pictures; give others, or leave it out, and a quarter is held out"
        )
    fit, kept, own = list(range(len(truths))), list[int](), held if held is not None else found.source or None
    if own is None or overlapping(own, train):
        fit, kept = held_out(truths, asked.seed)
        own = known.part(kept)
    try:
        proof, enough = proving(model, own, told, asked.progress, classes)
    except UsageError as error:
        if held is not None:
            raise
        raise UsageError(f"the audit's own pictures cannot be had again: {error}; give others, held=SOURCE") from error
    few = sorted(classes - set(enough))
    if few:
        said = (
            f"{_known(proof).count(few[0])} held-out pictures of {label(few[0])!r}, and an audit takes {FEWEST}: give "
            "others, held=SOURCE, or more training pictures, of which a quarter is held out"
        )
        if not enough and asked.how in FITTED:
            raise UsageError(said)
        notes.append(said)
    rows = fit
    if asked.pictures is not None or asked.how in FITTED:
        rows = chosen(truths, fit, asked.pictures or _PICTURES, classes, asked.seed)
    if len(rows) < len(fit):
        notes.append(f"{len(rows)} of {len(fit)} training pictures are taken: pictures= takes more of each class")
    return Plan(
        model, asked, item, Source(model, known, rows, truths, asked.objects), Source(model, known, kept, truths),
        proof, enough, used, left, notes,
    )  # fmt: skip


def _known(pictures: Known) -> list[int]:
    return [-1 if truth is None else truth for truth in pictures.truths()]


def _usable(
    found: Proved, asked: Asked, label: Callable[[int], str]
) -> tuple[list[tuple[int, Cue]], list[Mending]]:  # fmt: skip
    """Cues that can be mended in this way, and those that cannot, with why. Raises `UsageError` where none can."""
    used, left = list[tuple[int, Cue]](), list[Mending]()
    for index, cue in found.cues:
        why = ""
        if isinstance(cue, Background) and asked.objects is None:
            why = "without masks= nobody knows what is background"
        elif isinstance(cue, Cast) and asked.how == "loss":
            why = "a colour of the whole picture has no place that a mask could show"
        elif len(used) == _MOST_CUES:
            why = f"{_MOST_CUES} cues are mended at once, those of the largest effects"
        if why:
            left.append(Mending(index, cue.kind, where(cue), Tally(), why))
        else:
            used.append((index, cue))
    if not used:
        raise UsageError(f"untestable: the cue of {label(left[0].index)!r} {left[0].where}: {left[0].why}")
    return used, left
