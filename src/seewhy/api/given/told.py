"""Values in words that every process finds again: takes anything that a question or a model holds, gives plain values,
arrays and code by their hashes; keeps none of them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import partial
from inspect import getclosurevars
from types import FunctionType, MethodType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seewhy.core.network.code import does
from seewhy.core.network.places import place_name
from seewhy.errors import UsageError

__all__ = ["told"]

#: what of the names around a function is looked into: not modules and classes, which versions and names stand for
_TOLD = (bool, int, float, str, tuple, list, dict, np.ndarray, Tensor, FunctionType, partial)


def told(value: Any, network: Any, within: tuple[int, ...] = ()) -> Any:
    """``value`` as JSON can hold it and as other processes find it again: arrays and code by their hashes, code with
    what it was made with; ``within`` are the values that this one was found in, by their `id`."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if id(value) in within:
        return "itself"

    def inner(part: Any) -> Any:
        return told(part, network, (*within, id(value)))

    if isinstance(value, nn.Module):
        return _module_told(value, network, inner)
    if isinstance(value, Tensor):
        exact = value.detach().cpu()
        return inner((exact.float() if exact.dtype == torch.bfloat16 else exact).numpy())
    if isinstance(value, np.ndarray):
        plain = np.ascontiguousarray(value)
        return f"array {plain.shape} {plain.dtype} {hashlib.sha256(plain.tobytes()).hexdigest()[:16]}"
    if isinstance(value, Mapping):
        return {str(key): inner(each) for key, each in value.items()}
    if isinstance(value, tuple | list | range):
        parts = [inner(each) for each in value]
        return parts if len(parts) <= 64 else _hash(parts)
    if is_dataclass(value) and not isinstance(value, type):
        own = {field.name: inner(getattr(value, field.name)) for field in fields(value)}
        return {"kind": type(value).__qualname__, **own}
    if callable(value):
        name = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"
        made = _made_with(value)
        return f"{name} {_hash(inner(made))}" if made else name
    own_words = any("__repr__" in vars(kind) for kind in type(value).__mro__[:-1])
    if not own_words and hasattr(value, "__dict__"):  # which says where in memory it is
        return {"kind": type(value).__qualname__, **inner(vars(value))}
    return str(value)


def _module_told(module: nn.Module, network: Any, inner: Callable[[Any], Any]) -> Any:
    """Where a module is in the network, or what is in one that is no part of it."""
    if network is None:
        return type(module).__qualname__
    try:
        return place_name(network, module)
    except UsageError:
        return {"kind": type(module).__qualname__, **inner(module.state_dict())}


def _made_with(value: Any) -> list[Any]:
    """What decides what a callable does, besides its name: its code, its defaults, what it took along from where it was
    written, what is bound to it, and the attributes of an object that is called."""
    if isinstance(value, type):
        return []
    if isinstance(value, partial):
        return [value.func, value.args, value.keywords]
    if isinstance(value, MethodType):
        return [value.__func__, vars(value.__self__) if hasattr(value.__self__, "__dict__") else value.__self__]
    if isinstance(value, FunctionType):
        taken = getclosurevars(value)
        around = {name: one for name, one in taken.globals.items() if isinstance(one, _TOLD)}
        return [does(value.__code__), value.__defaults__, value.__kwdefaults__, taken.nonlocals, around]
    return [vars(value)] if hasattr(value, "__dict__") else []


def _hash(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]
