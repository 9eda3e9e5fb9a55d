"""Counterfactual pictures: takes a cue that an audit proved and pictures of its class and of others, gives the same
pictures without it where it was and with it where it was not."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from seewhy.audits.cue import Cue, drawn
from seewhy.audits.subject import Half
from seewhy.errors import UsageError

__all__ = ["Counterfactuals", "carriers", "counterfactuals"]

#: of other classes' pictures this share have less of a cue than a picture that has it
_LESS = 0.95


@dataclass(frozen=True, eq=False)
class Counterfactuals:
    """Pictures of the class without the cue, ``removed`` [M, C, H, W], of those at ``removed_rows`` [M]; pictures
    of others with it, ``pasted`` [P, C, H, W], of those at ``pasted_rows`` [P]."""

    removed: Tensor
    removed_rows: Tensor
    pasted: Tensor
    pasted_rows: Tensor


def carriers(cue: Cue, own: Half, others: Half) -> Tensor:
    """Rows of a class's pictures that have more of a cue than nearly all pictures of other classes; all rows where
    nobody can say, as of backgrounds."""
    presence, elsewhere = cue.presence(own), cue.presence(others)
    if not bool(presence.isfinite().all()) or not bool(elsewhere.isfinite().all()):
        return torch.arange(len(own))
    return torch.nonzero(presence > elsewhere.quantile(_LESS))[:, 0]


def counterfactuals(cue: Cue, own: Half, others: Half, draw: torch.Generator) -> Counterfactuals:
    """Each picture of the class that has the cue once more without it, and as large a share of the others once more
    with it: classes keep their proportions, and with the pictures as they were the cue says next to nothing of the
    class.

    The cue is taken away by what pictures of other classes have there, so that no blur gives it away. Raises
    `UsageError` where no picture of the class has it.
    """
    have = carriers(cue, own, others)
    if not len(have):
        raise UsageError("no picture of the class has more of the cue than those of other classes: nothing to remove")
    with_it = own.picked(have)
    removed = cue.removed(with_it, drawn(others, len(have), draw), draw)[0].edited
    count = max(1, round(len(others) * len(have) / len(own)))
    onto = torch.randperm(len(others), generator=draw)[:count].sort().values
    pasted = cue.pasted(drawn(with_it, count, draw), others.picked(onto), draw)[0].edited
    return Counterfactuals(removed, have, pasted, onto)
