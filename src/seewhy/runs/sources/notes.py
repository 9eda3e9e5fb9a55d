"""What is said of a listing: takes names as they are left out, gives a sentence for each reason; keeps counts alone."""

from __future__ import annotations

from array import array

import numpy as np

__all__ = ["LeftOut", "Names", "Tells"]


class LeftOut:
    """Counts of what was left out, by reason, with the first of each."""

    def __init__(self) -> None:
        self._found: dict[str, list[str | int]] = {}

    def add(self, why: str, name: str) -> None:
        """One more of those that ``why``, in the plural, is about."""
        entry = self._found.setdefault(why, [0, name])
        entry[0] = int(entry[0]) + 1

    def sentences(self) -> tuple[str, ...]:
        """One for each reason.

        >>> left = LeftOut()
        >>> left.add("no pictures by their names", "a.txt")
        >>> left.sentences()
        ("no pictures by their names: 1 left out, the first 'a.txt'",)
        """
        return tuple(f"{why}: {count} left out, the first {first!r}" for why, (count, first) in self._found.items())


class Tells:
    """A source that tells what its last listing has left out."""

    _left: LeftOut

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, in words."""
        return self._left.sentences()


class Names:
    """Names that should be unique, with eight bytes kept of each.

    ``repeated`` are hashes that came twice: of names that did, and, hardly ever, of two that are alike by chance;
    whoever lists once more finds out.
    """

    def __init__(self) -> None:
        self._hashes = array("q")

    def __len__(self) -> int:
        return len(self._hashes)

    def add(self, name: str) -> None:
        """One more."""
        self._hashes.append(hash(name))

    def repeated(self) -> frozenset[int]:
        """Hashes that came more than once.

        >>> names = Names()
        >>> for name in ("a", "b", "a"):
        ...     names.add(name)
        >>> names.repeated() == {hash("a")}
        True
        """
        ordered = np.sort(np.frombuffer(self._hashes, dtype=np.int64)) if self._hashes else np.empty(0, np.int64)
        return frozenset(ordered[1:][ordered[1:] == ordered[:-1]].tolist())
