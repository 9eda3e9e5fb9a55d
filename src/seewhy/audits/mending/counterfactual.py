"""Counterfactual pictures: takes a cue that an audit proved and pictures of its class and of others, gives the same
pictures without it where it was and with it where it was not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from seewhy.audits.cast import Cast
from seewhy.audits.cue import Cue, drawn
from seewhy.audits.subject import Half
from seewhy.errors import UsageError

__all__ = ["Counterfactuals", "carriers", "counterfactuals"]

#: of other classes' pictures this share have less of a cue than a picture that has it
_LESS = 0.95
#: of an object this share may be changed: a picture of which more is, is one of something else
_SPARED = 0.25


@dataclass(frozen=True, eq=False)
class Counterfactuals:
    """Pictures of the class without the cue, ``removed`` [M, C, H, W], of those at ``removed_rows`` [M]; pictures
    of others with it, ``pasted`` [P, C, H, W], of those at ``pasted_rows`` [P]; rows that ``have`` it [H], of which
    some are left out where removing it would destroy the object."""

    removed: Tensor
    removed_rows: Tensor
    pasted: Tensor
    pasted_rows: Tensor
    have: Tensor


def carriers(cue: Cue, own: Half, others: Half) -> tuple[Tensor, Tensor]:
    """Rows of a class's pictures that have more of a cue than nearly all pictures of other classes, and which of the
    others have as little as nearly all [N]; all of both where nobody can say, as of backgrounds."""
    presence, elsewhere = cue.presence(own), cue.presence(others)
    if not bool(presence.isfinite().all()) or not bool(elsewhere.isfinite().all()):
        return torch.arange(len(own)), torch.ones(len(others), dtype=torch.bool)
    most = elsewhere.quantile(_LESS)
    return torch.nonzero(presence > most)[:, 0], elsewhere <= most


def counterfactuals(cues: Sequence[Cue], own: Half, others: Half, draw: torch.Generator) -> Counterfactuals:
    """Each picture of the class that has one of ``cues`` once more without any, and as large a share of each other
    class once more with all of them: classes keep their proportions, and with the pictures as they were a cue says next
    to nothing of the class.

    A cue is taken away by what pictures of other classes that do not have it have there, so that no blur gives it away.
    Where pictures say where objects are, those of whose object more than a quarter would be changed are left out.
    Raises `UsageError` where no picture of the class has it.
    """
    found = [carriers(cue, own, others) for cue in cues]
    each = [rows for rows, _ in found]
    have = torch.unique(torch.cat(each))
    if not len(have):
        raise UsageError("no picture of the class has more of the cue than those of other classes: nothing to remove")
    with_it = removed = own.picked(have)
    free = torch.stack([less for _, less in found]).all(0)
    plain = others.picked(torch.nonzero(free)[:, 0]) if bool(free.any()) else others
    for cue in cues:
        removed = replace(removed, inputs=cue.removed(removed, drawn(plain, len(have), draw), draw)[0].edited)
    spared = _spared(cues, with_it, removed.inputs)
    if not bool(spared.any()):
        none = have[:0]
        return Counterfactuals(removed.inputs[spared], none, others.inputs[:0], none, have)
    onto = _share(others.truth, int(spared.sum()) / len(own), draw)
    before = pasted = others.picked(onto)
    both = [row for row in have.tolist() if all(bool((some == row).any()) for some in each)]
    donors = drawn(own.picked(torch.tensor(both)) if both else with_it, len(onto), draw)
    for cue in cues:
        pasted = replace(pasted, inputs=cue.pasted(donors, pasted, draw)[0].edited)
    whole = _spared(cues, before, pasted.inputs)
    return Counterfactuals(removed.inputs[spared], have[spared], pasted.inputs[whole], onto[whole], have)


def _spared(cues: Sequence[Cue], before: Half, after: Tensor) -> Tensor:
    """Whose objects are still there [N]: all, where nobody says where objects are; a cast recolours every one."""
    if before.objects is None or any(isinstance(cue, Cast) for cue in cues):
        return torch.ones(len(before), dtype=torch.bool)
    changed = (after != before.inputs).any(1) & before.objects
    shares = changed.flatten(1).sum(1) / before.objects.flatten(1).sum(1).clamp(min=1)
    return shares <= _SPARED


def _share(truth: Tensor, share: float, draw: torch.Generator) -> Tensor:
    """Rows of a share of each class, at random, in their order: every so many of all, class after class."""
    mixed = torch.randperm(len(truth), generator=draw)
    sorted_ = mixed[truth[mixed].argsort(stable=True)]
    count = max(1, round(len(truth) * share))
    first = float(torch.rand((), generator=draw))
    places = ((torch.arange(count) + first) * len(truth) / count).long().clamp(max=len(truth) - 1)
    return sorted_[places].sort().values
