"""Layers by name: takes a module and words, gives submodules and places; never runs the model.

A place is the input, or a layer's dotted name, or ``name#k`` for the k-th (from 1) call of a layer that runs
several times in one forward; without ``#k`` the last call is meant. ``name[1]`` and ``name[hidden_states]`` are one of
several tensors that a layer gives, ``name[in]`` is the first tensor that it is given, ``name[add()]`` what the function
called ``add`` gave within it (``[add()]`` anywhere in the network), ``name[add()]#2`` what it gave the second time.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import nn

from seewhy.errors import UnknownName, UsageError

__all__ = [
    "AUTO",
    "INPUT",
    "TAKEN",
    "Place",
    "Seen",
    "as_torch",
    "find_place",
    "function_of",
    "place_name",
    "split_name",
]

#: the model's input as a place; spelled so that no submodule can be called that
INPUT = "<input>"
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
    found: nn.Module | None = root if plain or function_of(element) else None
    for step in plain.split(".") if plain else ():
        # scripted modules keep their parts in something that is no dictionary
        found = found._modules[step] if found is not None and step in found._modules else None
    if found is None:
        # a shared part answers to all its names; networks of other libraries know their layers by names of their own
        modules = dict(root.named_modules(remove_duplicate=False))
        found = modules.get(plain) if plain else None
    if found is None:
        owner = f" in {where or type(root).__name__}"
        listing = f"seewhy layers --model {where}" if where else "dict(module.named_modules())"
        raise UnknownName("layer", name, (n for n in modules if n), listing, owner)
    if mark and not (number.isdigit() and int(number) > 0):
        raise UsageError(f"layer {name!r}: after # comes the number of the call, from 1, as in '{plain}#1'")
    return Place(plain, found, int(number) if mark else None, element)


def as_torch(root: nn.Module, part: nn.Module) -> nn.Module:
    """``part`` as the torch layer that it amounts to, where the network is one of another library and knows."""
    known = getattr(root, "counterpart", None)
    found: nn.Module = known(part) if callable(known) else part
    return found


def place_name(root: nn.Module, layer: str | nn.Module) -> str:
    """The name of ``layer``, given by name or as a submodule of ``root``."""
    if isinstance(layer, str):
        return layer
    for name, module in root.named_modules():
        if module is layer and name:
            return str(name)
    raise UsageError(f"the {type(layer).__name__} given as layer= is not part of this {type(root).__name__}")


@dataclass(frozen=True)
class Seen:
    """One module's output as met in a forward, in the order of finishing; ``identity`` is its object and version."""

    name: str
    kind: str
    shape: tuple[int, ...]
    identity: tuple[int, int]
