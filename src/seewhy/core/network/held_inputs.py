"""Held inputs: takes what a network is given besides the input that is explained, gives the arguments of a call of any
number of samples; never runs the network.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

__all__ = ["HeldInputs", "OneInput", "copied"]


#: values that nobody can change, or that are copies of what was given
_PLAIN = (Tensor, int, float, complex, str, bytes, type(None), torch.dtype, torch.device)


@dataclass(frozen=True, eq=False)
class HeldInputs:
    """The values of all inputs but one, by position or by name; ``open`` is where the explained one goes.

    Tensors of one row, [1, ...], have as many rows as there are samples; everything else is handed on as it is. What
    is remembered of a network is remembered of it with these values: one object for each set of them.
    """

    open: int | str
    values: Mapping[int | str, Any]

    def arguments(self, x: Tensor) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """What the network is called with for ``x`` [B, ...]: arguments by position and by name."""
        given = {self.open: x, **{key: self._spread(value, x) for key, value in self.values.items()}}
        positional = (given[n] for n in itertools.takewhile(given.__contains__, itertools.count()))
        return tuple(positional), {key: value for key, value in given.items() if isinstance(key, str)}

    def call(self, called: Callable[..., Any], x: Tensor) -> Any:
        """What ``called``, a network or a function, gives for ``x`` and what is held."""
        positional, named = self.arguments(x)
        return called(*positional, **named)

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
    def opaque(self) -> str:
        """The kind of the first value that may change without anybody seeing it; '' where all are tensors, numbers,
        words and truths, which are copies."""
        leaves = pytree.tree_leaves(dict(self.values))
        return next((type(leaf).__name__ for leaf in leaves if not isinstance(leaf, _PLAIN)), "")

    def __str__(self) -> str:
        """The names of what is held, with shapes."""
        return ", ".join(f"{key}={_told(value)}" for key, value in self.values.items())


class OneInput(nn.Module):
    """A network as one of a single input: for what calls a module itself, as torch's export does."""

    def __init__(self, network: nn.Module, held: HeldInputs) -> None:
        super().__init__()
        self.network, self._held = network, held
        self.training = False  # of this alone: the network is as it is run

    def forward(self, x: Tensor) -> Any:
        """What the network gives for ``x`` and what is held."""
        return self._held.call(self.network, x)


def _told(value: Any) -> str:
    leaves = [leaf for leaf in pytree.tree_leaves(value) if isinstance(leaf, Tensor)]
    return " and ".join(str(tuple(leaf.shape)) for leaf in leaves) if leaves else repr(value)[:40]


def copied(value: Any) -> Any:
    """``value`` with its tensors and arrays as tensors of its own, without gradients."""

    def copy(leaf: Any) -> Any:
        tensor = leaf if isinstance(leaf, Tensor) else torch.as_tensor(leaf) if hasattr(leaf, "__array__") else None
        return leaf if tensor is None else tensor.detach().clone()

    return pytree.tree_map(copy, value)
