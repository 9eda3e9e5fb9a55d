"""Linear functions by name: takes an intercepted call of a convolution, a linear layer, a batch norm or pooling, gives
its tensors and the same call with others in their place; runs nothing by itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from seewhy.core.intercept.functions import Call

__all__ = [
    "NORMS",
    "POOLINGS",
    "WEIGHTED",
    "NormCall",
    "WeightedCall",
    "argument",
    "pool_again",
    "read_norm",
    "read_weighted",
]

_CONVOLUTION = ("convolution", (0, "input"), (1, "weight"), (2, "bias"))
_MATRIX = ("linear", (0, "input"), (1, "other"), None)
#: name -> kind, and where its input, weight and bias are, by position and keyword
WEIGHTED: Mapping[str, tuple[str, tuple[int, str], tuple[int, str], tuple[int, str] | None]] = {
    **dict.fromkeys((f"conv{n}d" for n in (1, 2, 3)), _CONVOLUTION),
    **dict.fromkeys((f"conv_transpose{n}d" for n in (1, 2, 3)), _CONVOLUTION),
    "convolution": _CONVOLUTION,
    "linear": ("linear", (0, "input"), (1, "weight"), (2, "bias")),
    "addmm": ("linear", (1, "mat1"), (2, "mat2"), (0, "input")),
    "mm": ("linear", (0, "input"), (1, "mat2"), None),
    "matmul": _MATRIX,
    "__matmul__": _MATRIX,
}
#: linear functions without weights: averages, sums, interpolation
POOLINGS = (
    *(f"avg_pool{n}d" for n in (1, 2, 3)),
    *(f"adaptive_avg_pool{n}d" for n in (1, 2, 3)),
    *(f"_adaptive_avg_pool{n}d" for n in (2, 3)),
    "mean",
    "sum",
    "interpolate",
    *(f"upsample_{kind}" for kind in ("nearest1d", "nearest2d", "linear1d", "bilinear2d", "bicubic2d")),
)
#: spelling -> positions of weight, bias, running mean, running variance, "is training", epsilon
NORMS: Mapping[str, tuple[int, int, int, int, int | None, int]] = {
    "batch_norm": (1, 2, 3, 4, 5, 7),
    "native_batch_norm": (1, 2, 3, 4, 5, 7),
    "_native_batch_norm_legit": (1, 2, 3, 4, 5, 7),
    "_native_batch_norm_legit_no_training": (1, 2, 3, 4, None, 6),
    "cudnn_batch_norm": (1, 2, 3, 4, 5, 7),
}
_FUNCTIONAL_NORM = (3, 4, 1, 2, 5, 7)


@dataclass(frozen=True)
class WeightedCall:
    """A convolution or a matrix product: ``tensors`` are its input, weight and bias (or None)."""

    call: Call
    kind: str
    places: tuple[tuple[int, str], ...]
    tensors: tuple[Tensor, Tensor, Tensor | None]

    def exactly(self, *tensors: Any) -> Tensor:
        """The very call, with ``tensors`` for its input, weight and bias."""
        return _with(self.call, self.places, tensors)  # type: ignore[no-any-return]

    def run(self, x: Tensor, weight: Tensor | None) -> Tensor:
        """The linear part alone; the range of an input of 16 bits comes in its own type."""
        x = x if weight is None else x.to(weight.dtype)
        if self.call.name == "addmm":
            assert weight is not None
            return x @ weight
        return _with(self.call, self.places, (x, weight, None)[: len(self.places)])  # type: ignore[no-any-return]

    def shaped(self, bias: Tensor, rank: int) -> Tensor:
        """A bias [channels] so that it broadcasts against an output of ``rank`` axes."""
        return bias if self.kind == "linear" else bias.reshape(-1, *(1 for _ in range(rank - 2)))

    def scaled(self, weight: Tensor, scale: Tensor) -> Tensor:
        """The weight with every output channel times ``scale`` [channels]."""
        if self.kind == "linear":
            return weight * scale[:, None] if self.call.name == "linear" else weight * scale
        spread = (1,) * (weight.ndim - 2)
        if not self._transposed:
            return weight * scale.reshape(-1, 1, *spread)
        groups = len(scale) // weight.shape[1]
        grouped = weight.reshape(groups, -1, *weight.shape[1:]) * scale.reshape(groups, 1, -1, *spread)
        return grouped.reshape(weight.shape)

    @property
    def _transposed(self) -> bool:
        if self.call.name != "convolution":
            return self.call.name.startswith("conv_transpose")
        return bool(argument(self.call, 6, "transposed", False))


@dataclass(frozen=True)
class NormCall:
    """Batch norm: ``tensors`` are its input, weight and bias (or None); ``fixed`` says that it uses its running
    statistics."""

    call: Call
    places: tuple[tuple[int, str], ...]
    tensors: tuple[Tensor, Tensor | None, Tensor | None]
    mean: Tensor | None
    variance: Tensor | None
    epsilon: float
    fixed: bool

    def exactly(self, *tensors: Any) -> Any:
        """The very call, with ``tensors`` for its input, weight and bias."""
        return _with(self.call, self.places, tensors)

    def affine(self) -> tuple[Tensor, Tensor]:
        """Scale and shift of every channel; only where ``fixed``."""
        assert self.mean is not None
        assert self.variance is not None
        scale = (self.variance + self.epsilon).rsqrt()
        _, weight, bias = self.tensors
        if weight is not None:
            scale = scale * weight
        shift = -self.mean * scale
        return scale, shift if bias is None else shift + bias


def read_weighted(call: Call) -> WeightedCall | None:
    """The call's parts; None if it is no plain linear map (an ``addmm`` with factors, an output tensor given)."""
    if call.kwargs.keys() & {"out", "alpha", "beta"}:
        return None
    kind, x, weight, bias = WEIGHTED[call.name]
    places = (x, weight) if bias is None else (x, weight, bias)
    tensors = tuple(argument(call, *place, None) for place in places)
    if not all(isinstance(tensor, Tensor) for tensor in tensors[:2]):
        return None
    if len(tensors) == 3 and not (tensors[2] is None or tensors[2].ndim == 1):
        return None
    return WeightedCall(call, kind, places, (*tensors, None)[:3])


def read_norm(call: Call) -> NormCall:
    """A batch norm's parts, in whatever order this spelling has them."""
    order = _FUNCTIONAL_NORM if call.func is F.batch_norm else NORMS[call.name]
    weight, bias = argument(call, order[0], "weight", None), argument(call, order[1], "bias", None)
    mean, variance = argument(call, order[2], "running_mean", None), argument(call, order[3], "running_var", None)
    training = False if order[4] is None else bool(argument(call, order[4], "training", False))
    x = argument(call, 0, "input", None)
    return NormCall(
        call,
        ((0, "input"), (order[0], "weight"), (order[1], "bias")),
        (x, weight, bias),
        mean,
        variance,
        float(argument(call, order[5], "eps", 1e-5)),
        fixed=not training and mean is not None and variance is not None,
    )


def pool_again(call: Call) -> Any:
    """The call as a function of its first argument."""
    return lambda x: _with(call, ((0, "input"),), (x,))


def argument(call: Call, position: int, word: str, default: Any = None) -> Any:
    """What a call was given at a position, or by that word."""
    return call.args[position] if len(call.args) > position else call.kwargs.get(word, default)


def _with(call: Call, places: tuple[tuple[int, str], ...], values: tuple[Any, ...]) -> Any:
    args, kwargs = list(call.args), dict(call.kwargs)
    for (position, word), value in zip(places, values, strict=True):
        if position < len(args):
            args[position] = value
        elif value is not None or word in kwargs:
            kwargs[word] = value
    return call.func(*args, **kwargs)
