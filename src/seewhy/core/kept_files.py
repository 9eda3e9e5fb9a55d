"""Files kept between processes: takes a room and a key, gives the bytes that were kept under it on this machine, and
keeps them; each may be deleted at any time, and what others may have written is not read."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from pathlib import Path

import platformdirs

__all__ = ["folder", "read", "write"]

#: whoever has one of these rights besides the owner may have put there what he likes
_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


def folder(room: str) -> Path:
    """Where what belongs to ``room`` is kept: under ``SEEWHY_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("SEEWHY_CACHE") or platformdirs.user_cache_path("seewhy")) / room


def read(room: str, key: str, most: int) -> bytes | None:
    """What was kept under ``key``; None where nothing was, where it has more than ``most`` bytes, or where anybody else
    may write to the file or its folder."""
    path = _path(room, key)
    try:
        if not (_ours(path.parent.lstat()) and _ours(path.lstat())) or path.stat().st_size > most:
            return None
        return path.read_bytes()
    except OSError:  # none is there, or none that we may read: as if it had never been
        return None


def write(room: str, key: str, data: bytes) -> bool:
    """Keep ``data`` under ``key``, all of it or nothing; whether it was: where nothing can be written nothing is."""
    path = _path(room, key)
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(dir=path.parent, prefix=".")  # which only its owner may read or write
        try:
            with os.fdopen(number, "wb") as file:
                file.write(data)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink()
            raise
    except OSError:
        return False
    return True


def _path(room: str, key: str) -> Path:
    return folder(room) / hashlib.sha256(key.encode()).hexdigest()[:32]


def _ours(found: os.stat_result) -> bool:
    """Whether a file or folder belongs to this user, who alone may write there."""
    if not hasattr(os, "getuid"):  # no such rights: a user's cache folder is his own
        return True
    plain = stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)
    return plain and found.st_uid == os.getuid() and not found.st_mode & _OTHERS_WRITE
