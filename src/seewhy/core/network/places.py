"""Layers by name, and what they give: takes a module and words, gives submodules and places; takes what a module gives,
finds the tensors inside it; never runs the model.

A place is the input, or a layer's dotted name, or ``name#k`` for the k-th (from 1) call of a layer that runs several
times; ``name[1]``, ``name[hidden_states.0]`` is one of several tensors that a layer gives, ``name[in]`` is the first
tensor that it is given, ``name[add()]`` what the function called ``add`` gave within it (``[add()]`` anywhere in the
network), ``name[add()]#2`` what it gave the second time.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.core.network.foreign import Foreign
from seewhy.errors import CapabilityError, UnknownName, UsageError

__all__ = [
    "ATTENTION",
    "AUTO",
    "INPUT",
    "TAKEN",
    "Place",
    "Seen",
    "as_torch",
    "element_of",
    "elements",
    "find_place",
    "function_of",
    "has_places",
    "kind_of",
    "place_name",
    "replaced",
    "split_name",
]

#: the model's input as a place; spelled so that no submodule can be called that
INPUT = "<input>"

#: the tokens that a network's attention reads, in the place of a layer where pictures are asked about their grid
ATTENTION = "<attention>"

#: let the library choose the layer
AUTO = "<auto>"

#: the element of a place that is what its module is given
TAKEN = "in"

_ELEMENT = re.compile(r"(?P<plain>.*?)\[(?P<element>[\w.]+|\w+\(\))\]")


@dataclass(frozen=True)
class Place:
    """One call of one submodule: ``call`` counts from 1; None is the last. ``element`` is which of its tensors: '' the
    only or the first one that it gives, `TAKEN` the first one that it is given, ``add()`` what a function gave within
    it, of whose calls ``call`` is the number."""

    name: str
    module: nn.Module
    call: int | None = None
    element: str = ""

    @property
    def function(self) -> str:
        """The function within the module that gives its tensor; '' if the module itself does."""
        return function_of(self.element)


def function_of(element: str) -> str:
    """The function that an element names, as ``add()`` does; '' if it names none."""
    return element.removesuffix("()") if element.endswith("()") else ""


def split_name(name: str) -> tuple[str, str, str, str]:
    """Module, element, ``#`` and call that a place's name is made of; '' for what it does not have.

    >>> split_name("layer3[add()]#2"), split_name("layer4")
    (('layer3', 'add()', '#', '2'), ('layer4', '', '', ''))
    """
    plain, mark, number = name.partition("#")
    part = _ELEMENT.fullmatch(plain)
    return (plain, "", mark, number) if part is None else (part["plain"], part["element"], mark, number)


def find_place(root: nn.Module, name: str, where: str = "") -> Place:
    """The place that ``name`` means; raises `UnknownName` with the nearest layer."""
    plain, element, mark, number = split_name(name)
    module: nn.Module | None = root if plain or function_of(element) else None
    for step in plain.split(".") if plain else ():
        # scripted modules keep their parts in something that is no dictionary
        module = module._modules[step] if module is not None and step in module._modules else None
    if module is None:
        # a shared part answers to all its names; networks of other libraries know their layers by names of their own
        modules = dict(root.named_modules(remove_duplicate=False))
        module = modules.get(plain) if plain else None
    if module is None:
        owner = f" in {where or (root.called if isinstance(root, Foreign) else type(root).__name__)}"
        own = "seewhy.layers(model)" if isinstance(root, Foreign) else "dict(module.named_modules())"
        listing = f"seewhy layers --model {where}" if where else own
        raise UnknownName("layer", name, (n for n in modules if n), listing, owner)
    if mark and not (number.isdigit() and int(number) > 0):
        raise UsageError(f"layer {name!r}: after # comes the number of the call, from 1, as in '{plain}#1'")
    return Place(plain, module, int(number) if mark else None, element)


def as_torch(root: nn.Module, part: nn.Module) -> nn.Module:
    """``part`` as the torch layer that it amounts to, where the network is one of another library and knows."""
    return root.counterpart(part) if isinstance(root, Foreign) else part


def place_name(root: nn.Module, layer: str | nn.Module) -> str:
    """The name of ``layer``, given by name or as a submodule of ``root``."""
    if isinstance(layer, str):
        return layer
    for name, module in root.named_modules():
        if module is layer and name:
            return str(name)
    whole = root.called if isinstance(root, Foreign) else f"this {type(root).__name__}"
    raise UsageError(f"the {type(layer).__name__} given as layer= is not part of {whole}")


@dataclass(frozen=True)
class Seen:
    """One module's output as met in a forward, in the order of finishing; ``identity`` is its object and version."""

    name: str
    kind: str
    shape: tuple[int, ...]
    identity: tuple[int, int]


def elements(output: Any, path: str = "") -> list[tuple[str, Tensor]]:
    """The floating-point tensors inside what a module gives, with what names each: '' for a bare tensor, ``1`` for one
    of a tuple, ``hidden_states`` or ``hidden_states.0`` for those of a record."""
    if isinstance(output, Tensor):
        return [(path, output)] if has_places(output) else []
    named = []
    for key, value in _items(output):
        named += elements(value, f"{path}.{key}" if path else key)
    return named


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
    named = elements(output)
    if not place.element and named:
        return named[0][1]
    chosen = dict(named).get(place.element)
    if chosen is not None:
        return chosen
    if not named:
        what = kind_of(output) if isinstance(output, Tensor) else type(output).__name__
        raise CapabilityError(
            f"layer {place.name!r} gives {what}, in which there is nothing to explain: name another; see seewhy layers"
        )
    known = [f"{place.name}[{key}]" if key else place.name for key, _ in named]
    listing = f"one of {', '.join(map(repr, known))}" if len(known) > 1 else f"there is one, {known[0]!r}"
    raise UnknownName("tensor", f"{place.name}[{place.element}]", known, listing)


def _items(output: Any) -> list[tuple[str, Any]]:
    if isinstance(output, Mapping):
        return [(str(key), value) for key, value in output.items()]
    if isinstance(output, list | tuple):
        return [(str(n), value) for n, value in enumerate(output)]
    if is_dataclass(output) and not isinstance(output, type):
        return [(field.name, getattr(output, field.name)) for field in fields(output)]
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
