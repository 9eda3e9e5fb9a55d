"""Function-level interception: takes handlers by function name, gives a context in which they stand in; never edits a
module.

A `torch.overrides.TorchFunctionMode` sees module, functional, in-place and reused calls alike. Handlers form a chain:
the first registered is the outermost, and each may call the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch._ops import OpOverload, OpOverloadPacket
from torch.overrides import TorchFunctionMode

__all__ = ["PRODUCTS", "SUMS", "Call", "Handler", "Interceptor", "canonical_name"]


def canonical_name(func: Any) -> str:
    """One name for every spelling: ``F.relu``, ``torch.relu``, ``x.relu`` and ``aten.relu.default`` are ``relu``.

    In-place spellings keep their underscore.

    >>> import torch
    >>> canonical_name(torch.ops.aten.relu_.default), canonical_name(torch.Tensor.relu)
    ('relu_', 'relu')
    """
    if isinstance(func, OpOverload):
        return str(func._schema.name).rpartition("::")[2]
    if isinstance(func, OpOverloadPacket):
        return func.__name__
    return str(getattr(func, "__name__", ""))


#: canonical names of sums and of products of two
SUMS = ("add", "sub", "subtract")
PRODUCTS = ("mul", "multiply", "div", "divide", "true_divide")


class Call:
    """One intercepted call: the function, its arguments, and whether it rewrites its first argument."""

    __slots__ = ("args", "func", "kwargs", "name")

    def __init__(self, func: Any, name: str, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self.func, self.name, self.args, self.kwargs = func, name, args, dict(kwargs)

    def run(self) -> Any:
        """The function as it stands."""
        return self.func(*self.args, **self.kwargs)


#: canonical names, found once: this is asked at every call of a forward
_names: dict[Any, str] = {}

Handler = Callable[[Call, Callable[[Call], Any]], Any]


class Interceptor(TorchFunctionMode):
    """While entered, calls whose canonical name has handlers go through them; everything else is untouched."""

    def __init__(self, tables: Sequence[Mapping[str, Handler]]) -> None:
        super().__init__()
        self._tables = tables
        #: by name, those that were met so far: of all functions that have handlers a forward calls few
        self._chains: dict[str, tuple[Handler, ...]] = {}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Hand a call to its chain of handlers, or straight on."""
        name = _names.get(func)
        if name is None:
            name = _names[func] = canonical_name(func)
        chain = self._chains.get(name)
        if chain is None:
            chain = self._chains[name] = tuple(table[name] for table in self._tables if name in table)
        if not chain or not _first_tensor(args, kwargs):
            return func(*args, **(kwargs or {}))
        return _next(chain, 0)(Call(func, name, args, kwargs or {}))


def _first_tensor(args: tuple[Any, ...], kwargs: Mapping[str, Any] | None) -> bool:
    """Whether a call begins with a tensor, or with several to be put together."""
    first = args[0] if args else (kwargs or {}).get("input", (kwargs or {}).get("tensors"))
    if isinstance(first, list | tuple) and first:
        first = first[0]
    return isinstance(first, Tensor)


def _next(chain: tuple[Handler, ...], position: int) -> Callable[[Call], Any]:
    if position == len(chain):
        return Call.run
    return lambda call: chain[position](call, _next(chain, position + 1))
