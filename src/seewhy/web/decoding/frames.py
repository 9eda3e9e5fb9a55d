"""Frames: takes bytes, gives them with their length before them, and reads them back; so that two processes know where
one message ends."""

from __future__ import annotations

import struct
from typing import IO

__all__ = ["frame", "framed"]

_LENGTH = struct.Struct("<Q")


def frame(data: bytes) -> bytes:
    """``data`` behind its length.

    >>> import io
    >>> framed(io.BytesIO(frame(b"abc")))
    b'abc'
    """
    return _LENGTH.pack(len(data)) + data


def framed(source: IO[bytes], most: int | None = None) -> bytes | None:
    """The next frame; None where there is none, or no whole one. Raises `ValueError` for more than ``most`` bytes."""
    head = source.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if most is not None and length > most:
        raise ValueError(f"a frame of {length} bytes, where {most} are the most")
    data = source.read(length)
    return data if len(data) == length else None
