"""The parts of a network: takes a module, gives everything in it, and what each part has, looked at in one go; keeps
nothing but the names of attributes."""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

__all__ = ["EVERY_MODULES", "Names", "Parts", "Seen", "seen_of", "submodules", "tensors_of"]

#: what every module has: seen otherwise, or no part of what it computes
EVERY_MODULES = frozenset(vars(nn.Module()))

#: from so many on, an itemgetter gives a tuple
_PAIR = 2

Pick = Callable[[tuple[Any, ...]], tuple[Any, ...]]


def submodules(root: nn.Module) -> list[nn.Module]:
    """``root`` and everything in it, each part once, in the order of `torch.nn.Module.modules`; a tenth of its time."""
    if type(root).named_modules is not nn.Module.named_modules:
        return list(root.modules())  # a network of another library, whose layers are found in its own way
    parts: dict[nn.Module, None] = {}
    waiting: list[nn.Module | None] = [root]
    while waiting:
        part = waiting.pop()
        if part is not None and part not in parts:
            parts[part] = None
            if children := part._modules:
                waiting.extend(reversed(children.values()))
    return list(parts)


def tensors_of(parts: Sequence[nn.Module]) -> list[Tensor]:
    """Every parameter and buffer of these submodules."""
    kinds = filter(None, seen_of(parts).of("_parameters", "_buffers"))
    return [tensor for kind in kinds for tensor in kind.values() if tensor is not None]


@dataclass(frozen=True)
class Names:
    """What parts have: the names of ``all``, one part after the other, and ``sizes``, how many each has."""

    all: tuple[str, ...]
    sizes: tuple[int, ...]
    _picks: dict[tuple[str, ...], Pick] = field(default_factory=dict, compare=False, repr=False)

    def pick(self, *names: str) -> Pick:
        """A function that gives what a tuple has at the places of ``names``; without any, at those of names that not
        every module has."""
        if names not in self._picks:
            wanted = [(name in names) if names else (name not in EVERY_MODULES) for name in self.all]
            self._picks[names] = _picker([*itertools.compress(itertools.count(), wanted)])
        return self._picks[names]


class Seen:
    """What parts had when they were looked at: ``values``, named by ``names``."""

    def __init__(self, names: Names, values: tuple[Any, ...]) -> None:
        self.names, self.values = names, values

    def of(self, *names: str) -> tuple[Any, ...]:
        """What parts have under these names, part by part; without any, under names of their own."""
        return self.names.pick(*names)(self.values)


class Parts(list[nn.Module]):
    """A module and everything in it, each part once.

    What they have is looked at once, until somebody says that it may have changed (`forget`): on a small network walks
    through it are what a call costs, more than the passes where these run fast.
    """

    def __init__(self, root: nn.Module | None = None) -> None:
        super().__init__(() if root is None else submodules(root))
        self._seen: Seen | None = None

    @property
    def seen(self) -> Seen:
        """What the parts have."""
        if self._seen is None:
            self._seen = _looked_at(self)
        return self._seen

    def forget(self) -> None:
        """Look anew the next time: some code has run that may have changed something."""
        self._seen = None

    def clear(self) -> None:
        """Let go of everything."""
        super().clear()
        self._seen = None

    @cached_property
    def types(self) -> frozenset[type]:
        """The classes that the parts are of."""
        return frozenset(map(type, self))

    @cached_property
    def makeup(self) -> int:
        """What the network is made of, in a number."""
        return hash((*map(id, self), *map(type, self)))


# weak keys, and nothing but names is kept: nobody's objects live longer for having been looked at
_known: WeakKeyDictionary[nn.Module, Names] = WeakKeyDictionary()


def seen_of(parts: Sequence[nn.Module]) -> Seen:
    """What ``parts``, a root and everything in it, have: as they were looked at in this call, or else now. The names
    are the same object as the last time where they are the same."""
    return parts.seen if isinstance(parts, Parts) else _looked_at(parts)


def _looked_at(parts: Sequence[nn.Module]) -> Seen:
    owned = [vars(part) for part in parts]
    names = (*itertools.chain.from_iterable(owned),)
    sizes = (*map(len, owned),)
    values = (*itertools.chain.from_iterable(map(dict.values, owned)),)
    known = _known.get(parts[0]) if parts else None
    if known is None or known.all != names or known.sizes != sizes:
        known = Names(names, sizes)
        if parts:
            _known[parts[0]] = known
    return Seen(known, values)


def _picker(places: Sequence[int]) -> Pick:
    """A function that gives what a tuple has at ``places``."""
    if len(places) < _PAIR:
        return lambda values: tuple(values[n] for n in places)
    return operator.itemgetter(*places)
