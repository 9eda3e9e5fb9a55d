"""How models do on held-out pictures with a cue and without it: takes models and pictures, gives the share that each
gets right of every class with each cue put in or taken out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from seewhy.api.auditing.asking import scores_of
from seewhy.api.repairing.training import Training
from seewhy.models import Model

__all__ = ["Group", "groups_of", "worst"]

#: pictures of a group that tell something
_FEWEST = 4


@dataclass(frozen=True)
class Group:
    """Held-out pictures of a class, ``index``, with the cues at ``cues`` of all that were proved: how many, and the
    share that the model called right ``before`` and, where there is a mended one, ``after``."""

    index: int
    cues: tuple[int, ...]
    pictures: int
    before: float
    after: float | None

    def told(self, labels: Mapping[int, str]) -> dict[str, Any]:
        """As JSON holds it."""
        return {
            "class": self.index, "label": labels.get(self.index) or str(self.index), "cues": list(self.cues),
            "pictures": self.pictures, "before": self.before, "after": self.after,
        }  # fmt: skip


def groups_of(models: Sequence[Model], held: Training) -> tuple[Group, ...]:
    """Every group of at least four pictures, as they are and counterfactual ones, the worst before first; ``models``
    are the one as it was, and the mended one, if there is one."""
    scores = [scores_of(model, held.item, held.settings) for model in models]
    right: dict[int, list[list[bool]]] = {}
    for lot in held.lots():
        said = [score(lot.inputs).argmax(1) == lot.labels for score in scores]
        for row, group in enumerate(lot.groups.tolist()):
            right.setdefault(group, []).append([bool(each[row]) for each in said])
    found = []
    for group, rows in right.items():
        if len(rows) < _FEWEST:
            continue
        shares = [sum(row[n] for row in rows) / len(rows) for n in range(len(models))]
        bits = group % (1 << len(held.cues))
        cues = tuple(n for n in range(len(held.cues)) if bits >> n & 1)
        after = shares[1] if len(shares) > 1 else None
        found.append(Group(group >> len(held.cues), cues, len(rows), shares[0], after))
    return tuple(sorted(found, key=lambda each: (each.before, each.index, each.cues)))


def worst(groups: Sequence[Group]) -> tuple[float, float | None] | None:
    """The share of the worst group before and after, each the worst of its own; None without groups."""
    if not groups:
        return None
    after = [each.after for each in groups if each.after is not None]
    return min(each.before for each in groups), min(after) if after else None
