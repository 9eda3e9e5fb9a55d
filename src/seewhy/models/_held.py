"""A file in memory: takes its bytes and what it is called, gives as much of a path as readers of pictures use; never
touches a disk."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from types import SimpleNamespace
from typing import Any

__all__ = ["Held"]


@dataclass(frozen=True)
class Held:
    """The bytes of a file that is a member of an archive, a cell of a table, an object of a store."""

    data: bytes = field(repr=False)
    called: str

    def __str__(self) -> str:
        return self.called

    @property
    def name(self) -> str:
        """Without folders."""
        return PurePosixPath(self.called).name

    @property
    def suffix(self) -> str:
        """As of a path."""
        return PurePosixPath(self.called).suffix

    def is_file(self) -> bool:
        """It is."""
        return True

    def stat(self) -> Any:
        """Its length, ``st_size``."""
        return SimpleNamespace(st_size=len(self.data))

    def open(self, mode: str = "rb") -> io.BytesIO:
        """A reader of its own for whoever asks."""
        return io.BytesIO(self.data)
