"""Locks: takes a network and its parts, gives a context in which no other call of ours runs any of them; changes
nothing."""

from __future__ import annotations

import itertools
import operator
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from weakref import WeakKeyDictionary, ref

from torch import nn

__all__ = ["locked"]

_serials = itertools.count()

#: a lock for every part: parts that were first met together share one, as whoever wants some of them mostly wants all
_locks: WeakKeyDictionary[nn.Module, tuple[int, threading.RLock]] = WeakKeyDictionary()

_ordered: WeakKeyDictionary[nn.Module, tuple[list[ref[nn.Module]], list[threading.RLock]]] = WeakKeyDictionary()

_guard = threading.Lock()


def locks_of(root: nn.Module, parts: Sequence[nn.Module]) -> list[threading.RLock]:
    """The locks of ``root``'s parts in their global order; found once for as long as its parts are the same."""
    known = _ordered.get(root)
    if known is None or [*map(operator.call, known[0])] != parts:
        with _guard:
            fresh = next(_serials), threading.RLock()
            held = dict(_locks.setdefault(part, fresh) for part in parts)
        known = [ref(part) for part in parts], [held[serial] for serial in sorted(held)]
        _ordered[root] = known
    return known[1]


@contextmanager
def locked(root: nn.Module, parts: Sequence[nn.Module]) -> Iterator[None]:
    """Hold the locks of all parts, in one global order: two networks may share a part, and no two calls may
    deadlock."""
    taken: list[threading.RLock] = []
    try:
        for lock in locks_of(root, parts):
            lock.acquire()
            taken.append(lock)
        yield
    finally:
        for lock in reversed(taken):
            lock.release()
