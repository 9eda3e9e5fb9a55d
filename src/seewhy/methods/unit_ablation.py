"""Unit ablation: takes a layer's units, asks for the score without each of them, gives what each is worth; never more
than one group at a time."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Score, Stream
from seewhy.core.perturb.folds import Collect
from seewhy.core.perturb.sources import EditedLayer
from seewhy.errors import UnknownName, UsageError
from seewhy.methods._exceptions import ONE_BY_ONE
from seewhy.registry import Card, Need, method

__all__ = ["unit_ablation"]

_GROUPS = ("channels", "positions", "units")


@method(
    Card(
        name="unit-ablation",
        family="perturbation",
        paper="Morcos et al. 2018, On the importance of single directions for generalization, arXiv:1803.06959, "
        "section 2.2; Zhou et al. 2018, arXiv:1806.02891",
        formula="S(A) - S(A with unit u at its baseline)",
        unit="{score}",
        excepts=ONE_BY_ONE,
        cost="1 forward, and one for every group: a channel, a position, or a unit",
        needs=frozenset({Need.STREAM}),
        at="layer",
        reduce="none",
        use="what the score loses without each channel of a layer: which ones to look at",
        caveats=("what two units both say counts for neither", "depends on what stands in for them"),
    )
)
def unit_ablation(
    activation: Tensor, score: Tensor, *, units: Any = "channels", level: float = 0.0
) -> Generator[Any, Any, Tensor]:
    """By how much setting units of a layer to ``level`` lowers the score.

    ``activation`` [B, C, *positions]; values of that shape, signed, in score units: every unit has its group's.
    ``units`` says what is set together: ``"channels"`` (the mean of a channel's effect over the data is its
    importance), ``"positions"``, single ``"units"``, or whole numbers [C, *positions] of groups of your own. Raises
    `UnknownName` for another word and `UsageError` for groups of another shape.

    >>> import torch, seewhy
    >>> from torch.nn import Conv2d, Flatten, Linear, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), Flatten(), Linear(144, 2))
    >>> e = seewhy.explain(net, torch.rand(1, 3, 8, 8), method="unit-ablation", layer="1")
    >>> e.values.shape, e.cost.forwards, len(set(e.values.ravel().tolist()))
    ((4, 6, 6), 5, 4)
    """
    groups = _groups(units, tuple(activation.shape[1:])).to(activation.device)
    count = int(groups.max()) + 1

    def without(values: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        off = groups[None] == indices.to(groups.device).reshape(-1, *(1 for _ in groups.shape))
        return values.masked_fill(off, level)

    source = EditedLayer(count, ("ablated", str(units)[:40], id(units), level), without)
    scores = yield Stream(source, (Score(),), Collect(activation.shape[0], count))
    drops: Tensor = score[:, None] - scores
    return drops[:, groups.flatten()].reshape(len(drops), *groups.shape)


def _groups(units: Any, shape: tuple[int, ...]) -> Tensor:
    """Numbers from 0 without gaps, [C, *positions]."""
    if isinstance(units, str):
        if units not in _GROUPS:
            raise UnknownName("group of units", units, _GROUPS, f"one of {', '.join(_GROUPS)}, or an integer array")
        places = math.prod(shape[1:])
        channels = torch.arange(shape[0], device="cpu").reshape(-1, *(1 for _ in shape[1:])).expand(shape)
        positions = torch.arange(places, device="cpu").reshape(shape[1:]).expand(shape)
        return channels if units == "channels" else positions if units == "positions" else channels * places + positions
    labels = torch.as_tensor(units, device="cpu")
    if labels.is_floating_point() or tuple(labels.shape) != shape:
        raise UsageError(
            f"units of shape {tuple(labels.shape)}, {str(labels.dtype).removeprefix('torch.')}: the layer has "
            f"{shape}, and each of its units takes a whole number, that of its group"
        )
    numbered: Tensor = torch.unique(labels, return_inverse=True)[1]
    return numbered
