"""Layers by name: takes a module and words, gives submodules and places; never runs the model.

A place is the input, or a layer's dotted name, or ``name#k`` for the k-th (from 1) call of a layer that runs
several times in one forward; without ``#k`` the last call is meant.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn

from seewhy.core.layouts import find_layout
from seewhy.errors import UnknownName, UsageError

__all__ = ["AUTO", "INPUT", "Place", "Seen", "as_torch", "choose_layer", "find_place", "place_name"]

#: the model's input as a place; spelled so that no submodule can be called that
INPUT = "<input>"
#: let the library choose the layer
AUTO = "<auto>"

_POOLS = ("Pool", "Dropout", "Identity", "Flatten", "DropPath")


@dataclass(frozen=True)
class Place:
    """One call of one submodule: ``call`` counts from 1; None is the last."""

    name: str
    module: nn.Module
    call: int | None = None


def find_place(root: nn.Module, name: str, where: str = "") -> Place:
    """The place that ``name`` means; raises `UnknownName` with the nearest layer."""
    plain, mark, number = name.partition("#")
    found: nn.Module | None = root if plain else None
    for step in plain.split("."):
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
    return Place(plain, found, int(number) if mark else None)


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


def choose_layer(seen: list[Seen], size: tuple[int, ...], batch: int, last: bool = False) -> list[Seen]:
    """Candidates for a class activation map, best first: the last outputs that still have several positions.

    Pooling, dropout and identities only pass on what came before, and so does a container that ends in one: they are
    skipped. A container whose output is its last child's stands for it (``layer4`` rather than
    ``layer4.2.relu``). ``last``: channels are last in this network.
    """
    passed_on: set[tuple[int, int]] = set()
    candidates: dict[tuple[int, int], Seen] = {}
    for entry in seen:
        if entry.shape[:1] != (batch,) or "parametrizations" in entry.name:  # weights being computed, window batches...
            continue
        grid = find_layout(entry.shape, size, last=last).grid
        if any(word in entry.kind for word in _POOLS):
            if entry.identity not in candidates:
                passed_on.add(entry.identity)
            continue
        spatial = len(grid) == len(size) and max(grid, default=1) > 1
        if spatial and entry.identity not in passed_on and entry.name:
            candidates.pop(entry.identity, None)
            candidates[entry.identity] = entry
    return list(reversed(candidates.values()))
