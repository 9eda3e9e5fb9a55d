"""What is made of inputs that are held: takes them, follows them through a forward, says of a tensor whether it comes
of one; holds no tensor, and changes none.

A constant of the network's own, such as the numbers of a batch norm, belongs to the layer before it. One that comes of
a held input is a signal, as it would be were that input explained, though nobody asks for its share.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils import _pytree as pytree

__all__ = ["Held"]


class Held(TorchFunctionMode):
    """While entered, whatever is computed from ``values`` is known to be."""

    def __init__(self, values: Iterable[Tensor]) -> None:
        super().__init__()
        #: with whether a held input of fractions, which could be explained, is among those that it comes of
        self._made: dict[int, tuple[weakref.ref[Tensor], bool]] = {}
        for value in values:
            self._note(value, value.is_floating_point())

    def has(self, value: Any) -> bool:
        """Whether ``value`` is one of them, or made of one."""
        return self._of(value) is not None

    def explainable(self, value: Any) -> bool:
        """Whether ``value`` comes of a held input that could be explained; masks, places and words cannot."""
        return bool(self._of(value))

    def _of(self, value: Any) -> bool | None:
        known = self._made.get(id(value)) if isinstance(value, Tensor) else None
        # another tensor may have taken its place in memory
        return known[1] if known is not None and known[0]() is value else None

    def _note(self, value: Any, explainable: bool) -> None:
        if isinstance(value, Tensor):
            self._made[id(value)] = weakref.ref(value), explainable

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """The call as it stands; of what it is given it makes what it gives, and what it writes into."""
        out = func(*args, **(kwargs or {}))
        known = [self._of(leaf) for leaf in pytree.tree_leaves((args, dict(kwargs or {})))]
        if any(each is not None for each in known):
            for leaf in pytree.tree_leaves(args[0] if out is None and args else out):
                self._note(leaf, any(known))
        return out
