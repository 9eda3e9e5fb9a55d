"""Elements: takes what a module gives, finds the tensors inside it, puts another in the place of one; runs nothing."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor

from seewhy.core.layers import Place
from seewhy.errors import CapabilityError, UnknownName

__all__ = ["element_of", "elements", "has_places", "kind_of", "replaced"]


def elements(output: Any, path: str = "") -> list[tuple[str, Tensor]]:
    """The floating-point tensors inside what a module gives, with what names each: '' for a bare tensor, ``1`` for one
    of a tuple, ``hidden_states`` or ``hidden_states.0`` for those of a record."""
    if isinstance(output, Tensor):
        return [(path, output)] if has_places(output) else []
    found = []
    for key, value in _items(output):
        found += elements(value, f"{path}.{key}" if path else key)
    return found


def has_places(tensor: Tensor) -> bool:
    """Whether each number of a tensor has a place of its own to be asked for: of floating point, neither sparse nor
    nested."""
    return tensor.is_floating_point() and tensor.layout is torch.strided and not tensor.is_nested


def kind_of(tensor: Tensor) -> str:
    """What a tensor is, in words, where no numbers are read from it as they stand."""
    if tensor.is_nested:
        return "a nested tensor"
    if tensor.layout is not torch.strided:
        return f"a {str(tensor.layout).removeprefix('torch.').removeprefix('_')} tensor"
    return "complex numbers" if tensor.is_complex() else f"a tensor of {str(tensor.dtype).removeprefix('torch.')}"


def element_of(output: Any, place: Place) -> Tensor:
    """The tensor of ``place`` inside what its module gave; the first if it names none of several."""
    found = elements(output)
    if not place.element and found:
        return found[0][1]
    chosen = dict(found).get(place.element)
    if chosen is not None:
        return chosen
    if not found:
        what = kind_of(output) if isinstance(output, Tensor) else type(output).__name__
        raise CapabilityError(
            f"layer {place.name!r} gives {what}, in which there is nothing to explain: name another; see seewhy layers"
        )
    raise UnknownName("tensor", place.element, [key for key, _ in found if key], f"one of layer {place.name!r}")


def _items(output: Any) -> list[tuple[str, Any]]:
    if isinstance(output, Mapping):
        return [(str(key), value) for key, value in output.items()]
    if isinstance(output, list | tuple):
        return [(str(n), value) for n, value in enumerate(output)]
    if is_dataclass(output) and not isinstance(output, type):
        return [(each.name, getattr(output, each.name)) for each in fields(output)]
    return []


def replaced(output: Any, old: Tensor, new: Tensor) -> Any:
    """``output`` with ``new`` in the place of ``old``, wherever it stands."""
    if output is old:
        return new
    if not any(value is old for _, value in elements(output)):
        return output
    if isinstance(output, Mapping):
        copied: Any = copy.copy(output)  # keeps its class, a defaultdict's factory included
        for key, value in output.items():
            if (changed := replaced(value, old, new)) is not value:
                copied[key] = changed
        return copied
    if isinstance(output, list | tuple):
        values = [replaced(value, old, new) for value in output]
        return type(output)(*values) if hasattr(output, "_fields") else type(output)(values)
    if is_dataclass(output) and not isinstance(output, type):
        return replace(output, **{name: replaced(value, old, new) for name, value in _items(output)})
    return output
