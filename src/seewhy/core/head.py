"""The last steps of a forward: takes intercepted calls, gives the final softmax and linear head; never changes a
value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from seewhy.core.functions import Call, Handler

__all__ = ["HeadWatch", "Linear", "Squash"]

_SQUASHES = {
    "softmax": "softmax",
    "_softmax": "softmax",
    "log_softmax": "log_softmax",
    "_log_softmax": "log_softmax",
    "sigmoid": "sigmoid",
    "sigmoid_": "sigmoid",
}


@dataclass(frozen=True)
class Squash:
    """A softmax, log-softmax or sigmoid call: its input and its output."""

    kind: str
    source: Tensor
    result: Tensor

    def produced(self, output: Tensor) -> bool:
        """Whether ``output`` is this call's result; by value, since captured tensors travel on as clones."""
        if output is self.result:
            return True
        return output.shape == self.result.shape and bool(torch.equal(output.detach(), self.result.detach()))


@dataclass(frozen=True)
class Linear:
    """A linear call: pooled features [B, C], weights [K, C], result [B, K]."""

    features: Tensor
    weight: Tensor
    result: Tensor


@dataclass
class HeadWatch:
    """Remembers the squashing and the linear calls of a forward on rows of scores, in order."""

    squashes: list[Squash] = field(default_factory=list)
    linears: list[Linear] = field(default_factory=list)

    @property
    def handlers(self) -> dict[str, Handler]:
        """By function name. Made when asked for: kept, they would tie the watch and the graph that it holds into a
        cycle, which only the garbage collector could undo."""
        matrices: dict[str, Handler] = dict.fromkeys(("matmul", "__matmul__", "mm"), self._matrix)
        return dict.fromkeys(_SQUASHES, self._squashed) | {"linear": self._linear, "add": self._added} | matrices

    def _squashed(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        source = call.args[0] if call.args else call.kwargs["input"]
        rows = source.ndim <= 2  # attention maps have more axes
        if rows and call.name.endswith("_"):
            source = source.clone()
        result = proceed(call)
        if rows:
            self.squashes.append(Squash(_SQUASHES[call.name], source, result))
        return result

    def _linear(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        result = proceed(call)
        features = call.args[0] if call.args else call.kwargs["input"]
        weight = call.args[1] if len(call.args) > 1 else call.kwargs.get("weight")
        if features.ndim == 2 and isinstance(weight, Tensor):
            self.linears.append(Linear(features, weight, result))
        return result

    def _matrix(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """A linear layer spelled as a product with a matrix of constants..."""
        result = proceed(call)
        weight = call.args[1] if len(call.args) > 1 else None
        if call.args and call.args[0].ndim == 2 and isinstance(weight, Tensor) and weight.ndim == 2:
            self.linears.append(Linear(call.args[0], weight.T, result))
        return result

    def _added(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        """...and the addition of its bias."""
        result = proceed(call)
        last = self.linears[-1] if self.linears and len(call.args) > 1 else None
        if last is not None and call.args[0] is last.result and isinstance(call.args[1], Tensor | float | int):
            self.linears[-1] = Linear(last.features, last.weight, result)
        return result
