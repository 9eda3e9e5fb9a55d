"""Repair of a head: takes a model, what an audit proved and training pictures, gives the model with its last linear
layer fitted again so that the cue does not decide; leaves everything before it as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from seewhy.api.repairing.features import Reads, last_layer_of
from seewhy.api.repairing.training import Training
from seewhy.audits.mending.head import Head, balance, refitted
from seewhy.audits.subject import hash_of
from seewhy.errors import UsageError
from seewhy.models import Model
from seewhy.models.last_layer import with_weights

__all__ = ["Mended", "mended_head"]

#: what is tried: how much pairs are to be alike, how much the head stays
_ALIKE, _STAY = (0.0, 1.0, 30.0), (1e-3, 1e-1)
#: of pictures this share chooses between them, and is in no fit
_HELD = 0.25


@dataclass(frozen=True, eq=False)
class Mended:
    """A ``model`` with another last layer, ``name``; ``chosen`` are the settings of the fit, picked by the worst group
    of held-out training pictures, whose accuracy, and the mean over groups, is ``worst`` and ``mean``, each before and
    after."""

    model: Model
    name: str
    head: Head
    chosen: dict[str, float]
    worst: tuple[float, float]
    mean: tuple[float, float]

    def told(self) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "layer": self.name, "chosen": dict(self.chosen),
            "worst group": list(self.worst), "mean of groups": list(self.mean),
        }  # fmt: skip


def mended_head(
    model: Model, training: Training, progress: Callable[[str, int, int], None] | None = None
) -> Mended:  # fmt: skip
    """The last layer of a model fitted again on training pictures as they are and once more with each cue put in and
    taken out.

    Groups are classes with and without a cue, and the groups that their source has pictures in; each counts alike
    (Kirichenko 2023). Settings are chosen on a quarter of
    the pictures that no fit sees. Raises `CapabilityError` for models that do not end in a linear layer, `UsageError`
    for too few pictures, and what `Training.check` does.
    """
    reads = last_layer_of(model, training.item, training.some, training.settings)
    rows = _rows(reads, training, progress)
    training.check()
    if len(rows.labels) < 8 * len(torch.unique(rows.labels)):
        raise UsageError(f"{len(rows.labels)} training pictures are too few to fit a head of {len(reads.head.bias)}")
    count = len(training.pictures.truth)
    drawn = torch.randperm(count, generator=torch.Generator().manual_seed(hash_of(training.seed, "held for settings")))
    held = drawn[rows.picture] < _HELD * count
    before = _score(reads.head, rows, held)
    best: tuple[float, float] | None = None
    kept, chosen = reads.head, {"alike": 0.0, "stay": 0.0}
    pairs = rows.pairs(~held)
    for alike in _ALIKE:
        for stay in _STAY:
            head = refitted(
                reads.head, rows.features[~held], rows.labels[~held], balance(rows.groups[~held]),
                pairs if alike else None, stay=stay, alike=alike,
            )  # fmt: skip
            found = _score(head, rows, held)
            if best is None or found > best:
                best, kept, chosen = found, head, {"alike": alike, "stay": stay}
    assert best is not None
    changed = with_weights(model, reads.name, kept.weight, kept.bias)
    return Mended(changed, reads.name, kept, chosen, (before[0], best[0]), (before[1], best[1]))


@dataclass(frozen=True, eq=False)
class _Rows:
    """Features of pictures as they are and of counterfactual ones; ``picture`` says of which, ``groups`` which class it
    is of and which cues it has; ``twins`` are rows of one picture with and without a cue."""

    features: Tensor
    labels: Tensor
    groups: Tensor
    picture: Tensor
    twins: Tensor

    def pairs(self, used: Tensor) -> tuple[Tensor, Tensor] | None:
        """Features of twins that are both used."""
        mine = self.twins[used[self.twins].all(1)] if len(self.twins) else self.twins
        return (self.features[mine[:, 0]], self.features[mine[:, 1]]) if len(mine) else None


def _rows(reads: Reads, training: Training, progress: Callable[[str, int, int], None] | None) -> _Rows:
    features, labels, groups, picture = list[Tensor](), list[int](), list[int](), list[int]()
    twins: list[tuple[int, int]] = []
    for number, lot in enumerate(training.lots()):
        start = len(labels)
        features.append(reads.features(training.item, lot.inputs))
        labels += lot.labels.tolist()
        groups += lot.groups.tolist()
        picture += lot.pictures.tolist()
        twins += [(start + a, start + b) for a, b in lot.twins]
        if progress is not None:
            progress("lots of pictures", number + 1, training.count)
    kinds = training.pictures.kinds
    # the groups of the source split those of classes and cues
    split = torch.tensor(groups) * (int(kinds.max()) + 1) + kinds[torch.tensor(picture)]
    return _Rows(
        torch.cat(features), torch.tensor(labels), split, torch.tensor(picture),
        torch.tensor(twins, dtype=torch.long).reshape(-1, 2),
    )  # fmt: skip


def _score(head: Head, rows: _Rows, held: Tensor) -> tuple[float, float]:
    """The accuracy of the worst group of held-out pictures, and the mean over groups."""
    right = (head(rows.features[held]).argmax(1) == rows.labels[held]).double()
    groups = rows.groups[held]
    shares = [
        float(right[groups == each].mean()) for each in torch.unique(groups).tolist() if int((groups == each).sum()) > 3
    ]
    return (min(shares), sum(shares) / len(shares)) if shares else (0.0, 0.0)
