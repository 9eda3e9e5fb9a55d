"""What a source opens for itself: made when it is first needed, once for all threads, and never taken along in a
pickle."""

from __future__ import annotations

from collections.abc import Callable
from threading import RLock
from typing import Any, TypeVar, cast

__all__ = ["Keeps"]

T = TypeVar("T")


class Keeps:
    """Keeps what is dear to make: a file's footer, a decoder, what a listing has found."""

    def __init__(self) -> None:
        self._lock, self._kept = RLock(), dict[str, Any]()

    def once(self, name: str, make: Callable[[], T]) -> T:
        """What ``make`` gives, by ``name``; called once, if it does not fail."""
        with self._lock:
            if name not in self._kept:
                self._kept[name] = make()
            return cast(T, self._kept[name])

    def forget(self, *names: str) -> None:
        """Make them anew when they are asked for again."""
        with self._lock:
            for name in names:
                self._kept.pop(name, None)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in vars(self).items() if key not in ("_lock", "_kept")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        Keeps.__init__(self)
