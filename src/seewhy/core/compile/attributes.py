"""Attributes: takes modules, gives what they keep besides parameters, buffers, hooks and parts, the plain values apart
from the others; runs nothing.

Every call looks at them, and nearly always finds the very objects that it found before: a plain value cannot change,
so that those which are the same objects need not be written down again.
"""

from __future__ import annotations

import itertools
import marshal
import operator
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from torch import nn

from seewhy.core.network.parts import Names, seen_of

__all__ = ["PLAIN", "Attributes", "Split", "attributes_of", "split_of", "written_down"]

PLAIN = frozenset((int, float, bool, str, bytes, complex, type(None)))

#: a way of writing values down in which equal bytes are the same value of the same type; later ones write down how
#: many refer to it as well
_EXACT = 2


@dataclass(frozen=True)
class Split:
    """Values, those that are no plain ones replaced by an ellipsis in ``plain``; ``rest`` are the places of these, and
    ``written`` the plain ones as bytes, since 1, 1.0 and True are equal, and so are 0.0 and -0.0."""

    plain: list[Any] = field(compare=False)
    rest: list[int]
    written: bytes

    def holds_of(self, values: Sequence[Any]) -> bool:
        """Whether the plain ones of ``values`` are these very objects."""
        if len(values) != len(self.plain):
            return False
        others = [*itertools.compress(itertools.count(), map(operator.is_not, values, self.plain))]
        return others == self.rest and not any(_is_plain(values[n]) for n in others)


@dataclass(frozen=True)
class Attributes:
    """What parts have: the ``names`` of all, ``own``, those that not every module has, and how the values of these fall
    into plain ones and others."""

    names: Names
    split: Split
    own: tuple[str, ...] = field(compare=False)


# weak keys, and nothing but plain values is kept: nobody's objects live longer for having been looked at
_known: WeakKeyDictionary[nn.Module, Attributes] = WeakKeyDictionary()


def attributes_of(parts: Sequence[nn.Module]) -> tuple[Attributes, tuple[Any, ...]]:
    """What ``parts``, a root and everything in it, have of their own, and the values of these as they are now; the same
    object as the last time where every name is the same and every plain value the very same."""
    seen = seen_of(parts)
    names, values = seen.names, seen.of()
    known = _known.get(parts[0])
    if known is None or known.names is not names or not known.split.holds_of(values):
        known = _known[parts[0]] = Attributes(names, split_of(values), names.pick()(names.all))
    return known, values


def split_of(values: Sequence[Any]) -> Split:
    """How ``values`` fall into plain ones and others."""
    plain = [value if _is_plain(value) else ... for value in values]
    return Split(plain, [n for n, value in enumerate(plain) if value is ...], written_down(plain))


def written_down(value: Any) -> bytes:
    """A plain value, or a container of plain ones, so that it can be compared to the bit."""
    return marshal.dumps(value, _EXACT)


def _is_plain(value: Any) -> bool:
    """Whether nobody can change a value, and it is what it is: also a tuple of such."""
    return type(value) in PLAIN or (type(value) is tuple and PLAIN.issuperset(map(type, value)))
