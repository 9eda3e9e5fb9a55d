"""Inputs: takes how a network is called, gives the arguments of a call for any number of samples [B, C, *positions] of
what is explained; never runs the network of its own accord.

A network may have several inputs, of which one or more are explained and the others held; it may have their axes in
another order, and it may take one sample at a time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from seewhy.core.network.axis_order import AxisOrder

__all__ = ["Explained", "Inputs", "OneInput", "copied"]


#: values that nobody can change, or that are copies of what was given
_PLAIN = (Tensor, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)


@dataclass(frozen=True)
class Explained:
    """An input that is explained: its number or name ``key``, the ``order`` of its axes, None where that is [B, C,
    *positions], and its ``shape`` without the batch, where several make one row."""

    key: int | str
    order: AxisOrder | None = None
    shape: tuple[int, ...] | None = None

    def own(self, x: Tensor) -> Tensor:
        """``x`` [B, C, *positions] as the network has it."""
        return x if self.order is None else self.order.own(x)

    @property
    def length(self) -> int:
        """How many numbers of a row are this input's."""
        return math.prod(self.shape or ())


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a network is given: the inputs that are ``explained``, and the values of those that are ``held``, by
    position or by name.

    Several explained inputs make one row [B, 1, N], one behind the other (`shaped`). Held tensors of one row, [1, ...],
    have as many rows as there are samples; everything else is handed on as it is. What is remembered of a network is
    remembered of it with these inputs: one object for each set of them.
    """

    explained: tuple[Explained, ...]
    held: Mapping[int | str, Any] = field(default_factory=dict)
    _shaped: dict[tuple[tuple[int, ...], ...], Inputs] = field(default_factory=dict, repr=False)

    def shaped(self, shapes: tuple[tuple[int, ...], ...]) -> Inputs:
        """The same where the explained inputs have these shapes [C, *positions] and make one row; one object for each
        set of shapes."""
        if shapes not in self._shaped:
            own = tuple(replace(one, shape=shape) for one, shape in zip(self.explained, shapes, strict=True))
            self._shaped[shapes] = Inputs(own, self.held)
        return self._shaped[shapes]

    @property
    def batched(self) -> bool:
        """Whether the network takes several samples at once."""
        return all(one.order is None or one.order.batched for one in self.explained)

    @property
    def order(self) -> AxisOrder | None:
        """The order of the axes of the one explained input; None where it is as formulas see it."""
        return self.explained[0].order if len(self.explained) == 1 else None

    def call(self, called: Callable[..., Any], x: Tensor) -> Any:
        """What ``called``, a network or a function, gives for ``x`` and what is held; a row for each sample."""
        if self.batched:
            positional, named = self._arguments(x)
            return called(*positional, **named)
        each = []
        for n in range(len(x)):  # slices, not a split: what a function gives beside others must not be written into
            positional, named = self._arguments(x[n : n + 1])
            each.append(_as_rows(called(*positional, **named)))
        return each[0] if len(each) == 1 else pytree.tree_map(_rows, *each)

    def _arguments(self, x: Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Arguments by position and by name."""
        own = [one.own(part) for one, part in zip(self.explained, self.parts(x), strict=True)]
        given = {one.key: part if self.batched else part[0] for one, part in zip(self.explained, own, strict=True)}
        given |= {key: self._spread(value, x) for key, value in self.held.items()}
        positional = (given[n] for n in itertools.takewhile(given.__contains__, itertools.count()))
        return tuple(positional), {key: value for key, value in given.items() if isinstance(key, str)}

    def parts(self, x: Tensor) -> list[Tensor]:
        """What each explained input is given of ``x``, [B, C, *positions] each."""
        if any(one.shape is None for one in self.explained):
            return [x]
        ends = list(itertools.accumulate(one.length for one in self.explained))
        parts = [x[:, 0, end - one.length : end] for one, end in zip(self.explained, ends, strict=True)]
        return [part.reshape(-1, *(one.shape or ())) for one, part in zip(self.explained, parts, strict=True)]

    @staticmethod
    def _spread(value: Any, x: Tensor) -> Any:
        """``value`` with a row for each sample of ``x``, on its device and, if it is a fraction, in its type."""

        def spread(leaf: Any) -> Any:
            if not isinstance(leaf, Tensor):
                return leaf
            moved = leaf.to(x.device, x.dtype if leaf.is_floating_point() else None)
            return moved.expand(x.shape[0], *moved.shape[1:]) if moved.ndim and moved.shape[0] == 1 else moved

        return pytree.tree_map(spread, value)

    @property
    def tensors(self) -> list[Tensor]:
        """The tensors that are held, of which the network may make others."""
        return [leaf for leaf in pytree.tree_leaves(dict(self.held)) if isinstance(leaf, Tensor)]

    @property
    def opaque(self) -> str:
        """The kind of the first held value that may change without anybody seeing it; '' where all are tensors,
        numbers, words and truths, which are copies."""
        leaves = pytree.tree_leaves(dict(self.held))
        return next((type(leaf).__name__ for leaf in leaves if not isinstance(leaf, _PLAIN)), "")

    def shown(self, x: Tensor) -> str:
        """What the network is given for ``x``, in words."""
        parts = zip(self.explained, self.parts(x), strict=True)
        return " and ".join(f"{tuple(one.own(part).shape)} for {one.key!r}" for one, part in parts)

    def __str__(self) -> str:
        """The names of what is held, with shapes; '' for nothing."""
        return ", ".join(f"{key}={_told(value)}" for key, value in self.held.items())


class OneInput(nn.Module):
    """A network as one of a single input: for what calls a module itself, as torch's export does."""

    def __init__(self, network: nn.Module, inputs: Inputs) -> None:
        super().__init__()
        self.network, self._inputs = network, inputs
        self.training = False  # of this alone: the network is as it is run

    def forward(self, x: Tensor) -> Any:
        """What the network gives for ``x`` and what is held."""
        return self._inputs.call(self.network, x)


def _as_rows(output: Any) -> Any:
    """What a network gave for one sample as a batch of one; a bare number is its score."""
    if isinstance(output, int | float) and not isinstance(output, bool):
        return torch.tensor([float(output)], device="cpu")
    return pytree.tree_map(lambda leaf: leaf[None] if isinstance(leaf, Tensor) else leaf, output)


def _rows(first: Any, *others: Any) -> Any:
    return torch.cat([first, *others]) if isinstance(first, Tensor) else first


def _told(value: Any) -> str:
    leaves = [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]
    return " and ".join(str(tuple(leaf.shape)) for leaf in leaves) if leaves else repr(value)[:40]


def copied(value: Any) -> Any:
    """``value`` with its tensors and arrays as tensors of its own, without gradients."""

    def copy(leaf: Any) -> Any:
        tensor = leaf if isinstance(leaf, Tensor) else torch.as_tensor(leaf) if hasattr(leaf, "__array__") else None
        return leaf if tensor is None else tensor.detach().clone()

    return pytree.tree_map(copy, value)
