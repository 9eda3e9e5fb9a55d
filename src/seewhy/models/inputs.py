"""Inputs by name: takes a network and words about its inputs, gives how it is called; never runs it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from seewhy.core.network.axis_order import BATCH, AxisOrder
from seewhy.core.network.inputs import Explained, Inputs, copied
from seewhy.errors import UsageError, nearest, one_line
from seewhy.models.input_shape import arguments_of

__all__ = ["Axes", "inputs_of"]

#: the axes of the explained input, or of several by name
Axes = str | Mapping[str | int, str]

_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def inputs_of(
    module: Any,
    held: Mapping[str | int, Any] | None = None,
    explained: str | int | Sequence[str | int] | None = None,
    axes: Axes | None = None,
) -> Inputs | None:
    """How ``module`` is called: with what is ``held``, by the names of its forward's arguments or by their numbers, and
    with what is ``explained``, the first argument that is not held unless said; ``axes`` are those of the explained
    inputs. None for a network of one input as formulas see it.

    Raises `UsageError` where a name or number is none of its arguments, unless one of those that it cannot do without
    is left, and for axes that cannot be.
    """
    if not held and explained is None and axes is None:
        return None
    for letters in [axes] if isinstance(axes, str) else (axes or {}).values():
        AxisOrder(letters)
    takes = _Arguments(module)
    kept = {takes.key(key, "inputs="): copied(value) for key, value in (held or {}).items()}
    if explained is None:
        opened = [takes.left(kept)]
    else:
        opened = [takes.key(key, "explained=") for key in _several(explained)]
        if not opened or len(set(opened)) < len(opened):
            raise UsageError(f"explained={explained!r}: each input that is to be explained, once")
        if both := [key for key in opened if key in kept]:
            raise UsageError(f"{both[0]!r} is held by inputs= and to be explained, too: leave it out of one")
        if missing := [name for name in takes.needed if name not in {*opened, *kept}]:
            raise UsageError(
                f"{takes.name} cannot do without {', '.join(missing)}: hold what is not explained, "
                f"inputs={{{', '.join(f'{other!r}: ...' for other in missing)}}}"
            )
    orders = _orders(takes, opened, axes)
    if any(isinstance(key, int) for key in [*opened, *kept]):  # numbers beyond the named ones: all of these by number
        numbers: dict[int | str, int] = {argument: n for n, argument in enumerate(takes.places)}
        kept = {numbers.get(key, key): value for key, value in kept.items()}
        opened = [numbers.get(key, key) for key in opened]
    return Inputs(tuple(Explained(key, order) for key, order in zip(opened, orders, strict=True)), kept)


def _several(explained: str | int | Sequence[str | int]) -> list[str | int]:
    return [explained] if isinstance(explained, str | int) else list(explained)


def _orders(takes: _Arguments, opened: Sequence[str | int], axes: Axes | None) -> list[AxisOrder | None]:
    """The order of each explained input's axes."""
    if axes is None:
        return [None] * len(opened)
    if isinstance(axes, str):
        orders: list[AxisOrder | None] = [AxisOrder(axes)] * len(opened)
    else:
        by_key = {takes.key(key, "axes="): AxisOrder(letters) for key, letters in axes.items()}
        orders = [by_key.pop(key, None) for key in opened]
        if by_key:
            known = ", ".join(map(repr, opened))
            raise UsageError(f"axes= names {next(iter(by_key))!r}; the inputs that are explained: {known}")
    batched = {order is None or order.batched for order in orders}
    if len(batched) > 1:
        raise UsageError(f"axes={axes!r}: all explained inputs have a batch axis, {BATCH}, or none of them has")
    return orders


class _Arguments:
    """What a network's forward takes, as far as it says: ``places`` by number, ``named`` by name, ``needed`` those that
    it cannot do without."""

    def __init__(self, module: Any) -> None:
        self.name, parameters = arguments_of(module)
        kinds = {parameter.kind for parameter in parameters}
        self.places = [parameter.name for parameter in parameters if parameter.kind in _BY_PLACE]
        self.named = [parameter.name for parameter in parameters if parameter.kind in _BY_NAME]
        self.all = [*dict.fromkeys([*self.places, *self.named])]
        self.needed = [p.name for p in parameters if p.default is p.empty and p.name in self.all]
        self.any_number = not parameters or inspect.Parameter.VAR_POSITIONAL in kinds
        self.any_name = not parameters or inspect.Parameter.VAR_KEYWORD in kinds

    def left(self, held: Mapping[str | int, Any]) -> str | int:
        """The input that is explained where nobody says: the first one that is not held."""
        left = [argument for argument in self.needed if argument not in held]
        if len(left) > 1:
            others = f"inputs={{{', '.join(f'{other!r}: ...' for other in left[1:])}}}"
            raise UsageError(
                f"{self.name} cannot do without {', '.join(left)}, and one of them is explained: hold the others, "
                f"{others}, or explain several, explained={left!r}"
            )
        free = left or [argument for argument in self.all if argument not in held]
        if not free and not self.any_number:
            raise UsageError(
                f"all inputs of {self.name} are held, {_few(self.places)}: leave the one that is to be explained out"
            )
        return free[0] if free else next(n for n in range(len(held) + 1) if n not in held)

    def key(self, key: str | int, what: str) -> str | int:
        """How an input is handed over: by name where it has one."""
        if isinstance(key, int) and not isinstance(key, bool) and key >= 0:
            if key < len(self.places):
                return self.places[key] if self.places[key] in self.named else key
            if self.any_number:
                return key
            raise UsageError(
                f"{what} names input {key} of {self.name}, which has {len(self.places)}: {_few(self.places)}"
            )
        if isinstance(key, str) and (key in self.named or self.any_name):
            return key
        if key in self.places:
            return self.places.index(str(key))
        close = nearest(str(key), self.all)
        hint = f"; nearest: {close[0]!r}" if close else ""
        raise UsageError(f"{what} names {key!r}; the inputs of {self.name}: {_few(self.all)}{hint}")


def _few(names: Sequence[str]) -> str:
    return one_line(", ".join(repr(name) for name in names), 120)
