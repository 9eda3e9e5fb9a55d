"""Held inputs: takes a network of several inputs and the values of all but one, gives what it is called with; never
runs it."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from seewhy.core.network.held_inputs import HeldInputs, copied
from seewhy.errors import UsageError, nearest, one_line
from seewhy.models.input_shape import arguments_of

__all__ = ["hold"]

_BY_PLACE = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
_BY_NAME = (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def hold(module: Any, inputs: Mapping[str | int, Any]) -> HeldInputs:
    """What ``module`` is given besides the input that is explained: ``inputs``, by the names of its forward's arguments
    or by their numbers. The explained one is the first argument that is not held.

    Raises `UsageError` where a name or number is none of its arguments, and unless one of those that it cannot do
    without is left.
    """
    name, parameters = arguments_of(module)
    places = [parameter.name for parameter in parameters if parameter.kind in _BY_PLACE]
    named = [parameter.name for parameter in parameters if parameter.kind in _BY_NAME]
    kinds = {parameter.kind for parameter in parameters}
    any_number = not parameters or inspect.Parameter.VAR_POSITIONAL in kinds
    any_name = not parameters or inspect.Parameter.VAR_KEYWORD in kinds
    held = {_key(name, key, places, named, any_number, any_name): copied(value) for key, value in inputs.items()}
    needed = [p.name for p in parameters if p.default is p.empty and p.name in {*places, *named}]
    left = [argument for argument in needed if argument not in held]
    if len(left) > 1:
        raise UsageError(
            f"{name} cannot do without {', '.join(left)}, and one of them is explained: hold the others, "
            f"inputs={{{', '.join(f'{other!r}: ...' for other in left[1:])}}}"
        )
    free = left or [argument for argument in [*places, *named] if argument not in held]
    if not free and not any_number:
        raise UsageError(f"all inputs of {name} are held, {_few(places)}: leave the one that is to be explained out")
    opened: int | str = free[0] if free else next(n for n in range(len(held) + 1) if n not in held)
    if any(isinstance(key, int) for key in held):  # numbers beyond the named ones: all of these by number, too
        numbers: dict[int | str, int] = {argument: n for n, argument in enumerate(places)}
        held, opened = {numbers.get(key, key): value for key, value in held.items()}, numbers.get(opened, opened)
    return HeldInputs(opened, held)


def _key(name: str, key: str | int, places: Sequence[str], named: Sequence[str], number: bool, word: bool) -> str | int:
    """How an input is handed over: by name where it has one."""
    if isinstance(key, int) and not isinstance(key, bool) and key >= 0:
        if key < len(places):
            return places[key] if places[key] in named else key
        if number:
            return key
        raise UsageError(f"inputs= names input {key} of {name}, which has {len(places)}: {_few(places)}")
    if isinstance(key, str) and (key in named or word):
        return key
    if key in places:
        return places.index(str(key))
    known = [*dict.fromkeys([*places, *named])]
    close = nearest(str(key), known)
    hint = f"; nearest: {close[0]!r}" if close else ""
    raise UsageError(f"inputs= names {key!r}; the inputs of {name}: {_few(known)}{hint}")


def _few(names: Sequence[str]) -> str:
    return one_line(", ".join(repr(name) for name in names), 120)
