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
        self._made: dict[int, weakref.ref[Tensor]] = {}
        for value in values:
            self._note(value)

    def has(self, value: Any) -> bool:
        """Whether ``value`` is one of them, or made of one."""
        known = self._made.get(id(value)) if isinstance(value, Tensor) else None
        return known is not None and known() is value  # another tensor may have taken its place in memory

    def _note(self, value: Any) -> None:
        if isinstance(value, Tensor):
            self._made[id(value)] = weakref.ref(value)

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """The call as it stands; of what it is given it makes what it gives, and what it writes into."""
        out = func(*args, **(kwargs or {}))
        if any(map(self.has, pytree.tree_leaves((args, dict(kwargs or {}))))):
            for leaf in pytree.tree_leaves(args[0] if out is None and args else out):
                self._note(leaf)
        return out
