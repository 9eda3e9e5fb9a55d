"""Takes what onnx2pytorch made of an ONNX node, gives the layer of torch for it; never changes what is computed."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Gather", "Slice", "plain_layer"]

#: what onnx2pytorch calls the bounds of a slice
_SLICE = ("starts", "ends", "dim", "steps")


def plain_layer(
    node: Any, op: Any, reads: list[str], several: bool, arrays: dict[str, Any], batch: int | None
) -> tuple[nn.Module, list[str], bool]:
    """The layer for ``op``, the values it reads, and whether it gives several.

    Where what a node reads beside the activation is known (``arrays``, by name), backward rules are to see a rectifier
    as one, and shapes are numbers. ``batch`` is the size that the graph was made for, if it was made for one.
    """
    constant = [arrays.get(name) for name in reads[1:]]
    known = all(name == "" or name in arrays for name in reads[1:])
    single = len([name for name in node.output if name]) == 1
    match node.op_type:
        case "Clip" if known:
            low, high = (_number(constant, at, getattr(op, bound)) for at, bound in enumerate(("min", "max")))
            return _clip(low, high), reads[:1], False
        case "MaxPool" if len(node.output) == 1:
            parts = [part for part in op.modules() if not list(part.children())]
            for part in parts:
                part.return_indices = False  # nobody reads them
            return (parts[0] if len(parts) == 1 else nn.Sequential(*parts)), reads, False
        case "GlobalAveragePool":
            return nn.AdaptiveAvgPool2d(1), reads, False
        case "LayerNormalization" if known and single and len(constant) == 2 and op.axis == -1:
            return _layer_norm(constant[0], constant[1], float(op.eps)), reads[:1], False
        case "Gather":
            return Gather(int(op.dim)), reads, False
        case "Slice":
            own = Slice(*constant) if known and constant else Slice(*(getattr(op, key) for key in _SLICE))
            return own, reads[:1] if known else reads, False
        case "ReduceMean" if known and constant and constant[0] is not None:
            op.dim = tuple(_numbers(constant[0]))
            return op, reads[:1], several
        case "Reshape" if known and constant and constant[0] is not None:
            shape = _numbers(constant[0])
            if batch and shape and shape[0] == batch and -1 not in shape:
                shape[0] = -1  # the exporter's batch becomes whatever is there; a wrong guess will not agree later on
            op.shape = shape
            return op, reads[:1], several
    return op, reads, several


class Gather(nn.Module):
    """Entries of every input by their number along an axis."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, x: Tensor, indices: Tensor) -> Tensor:
        """Those entries; the axis becomes those of ``indices``."""
        return x[(slice(None),) * (self.dim % x.ndim) + (indices.long(),)]


class Slice(nn.Module):
    """A part of every input, by axis, with bounds known beforehand or read anew each time."""

    def __init__(self, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None) -> None:
        super().__init__()
        self.bounds = tuple(None if bound is None else _numbers(bound) for bound in (starts, ends, axes, steps))

    def forward(self, x: Tensor, *read: Tensor | None) -> Tensor:
        """That part."""
        given = (*read, *(None,) * (4 - len(read)))
        both = zip(given, self.bounds, strict=True)
        starts, ends, axes, steps = (own if value is None else _numbers(value) for value, own in both)
        assert starts is not None
        assert ends is not None
        axes, steps = axes or list(range(len(starts))), steps or [1] * len(starts)
        where: list[Any] = [slice(None)] * x.ndim
        turned = []
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            part = range(*slice(start, end, step).indices(x.shape[axis]))
            if step < 0:  # torch takes forward steps only: the same places forwards, then turned round
                part = part[::-1]
                turned.append(axis % x.ndim)
            where[axis] = slice(part.start, max(part.stop, part.start), part.step)
        selected = x[tuple(where)]
        return selected.flip(turned) if turned else selected


def _numbers(values: Any) -> list[int]:
    return [int(value) for value in values]


def _number(constants: list[Any], at: int, own: Any) -> float | None:
    value = constants[at] if at < len(constants) and constants[at] is not None else own
    return None if value is None else float(value)


def _clip(low: float | None, high: float | None) -> nn.Module:
    infinite = float("inf")
    low, high = -infinite if low is None else low, infinite if high is None else high
    if (low, high) == (0, infinite):
        return nn.ReLU()
    return nn.ReLU6() if (low, high) == (0, 6) else nn.Hardtanh(low, high)


def _layer_norm(scale: Any, bias: Any, eps: float) -> nn.LayerNorm:
    layer = nn.LayerNorm(list(scale.shape), eps)
    layer.weight.data, layer.bias.data = torch.from_numpy(scale.copy()), torch.from_numpy(bias.copy())
    return layer
