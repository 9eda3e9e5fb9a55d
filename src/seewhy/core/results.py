"""Results of functions: takes who wants to see what functions give, shows it to them, puts in its place what they say;
knows nothing of modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.overrides import TorchFunctionMode

from seewhy.core.elements import has_places
from seewhy.core.functions import canonical_name

__all__ = ["Results", "Viewer"]

#: takes a function's canonical name, what it gave and what it was given; gives what travels on instead, or None
Viewer = Callable[[str, Tensor, Sequence[Any]], Tensor | None]


class Results(TorchFunctionMode):
    """While entered, every floating-point tensor that a function of torch gives is shown to ``viewers`` in turn, the
    first of those that have several.

    What functions call themselves is not seen, nor are attributes. To be entered after everything that stands in for
    functions, so that a rule's own calls are not counted.
    """

    def __init__(self, viewers: Sequence[Viewer]) -> None:
        super().__init__()
        self._viewers = viewers

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run ``func`` and show what it gives."""
        out = func(*args, **(kwargs or {}))
        if type(out).__module__ != "torch.return_types":
            return self._viewed(func, out, args)
        first = self._viewed(func, out[0], args)  # the largest values, say, beside where they are
        return out if first is out[0] else type(out)([first, *out[1:]])

    def _viewed(self, func: Any, out: Any, args: Sequence[Any]) -> Any:
        name = canonical_name(func)
        if isinstance(out, Tensor) and has_places(out) and name != "__get__":
            for view in self._viewers:
                new = view(name, out, args)
                out = out if new is None else new
        return out
