"""What was found out about a method on a model: takes a key, gives the numbers that were kept under it on this machine,
and keeps them; a file that is gone, or holds anything else, is as if it had never been."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs

from seewhy.errors import UsageError
from seewhy.render import write_bytes

__all__ = ["folder", "read", "write"]

#: bytes of one entry, beyond which it is none of ours
_MOST = 10_000
_NUMBERS = ("learnt", "chance", "classes")


def folder() -> Path:
    """Where results are kept: ``SEEWHY_CACHE``, or the user's cache folder."""
    return Path(os.environ.get("SEEWHY_CACHE") or platformdirs.user_cache_path("seewhy")) / "method-tests"


def read(key: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was kept under ``key``; None where nothing was."""
    path = _path(key)
    try:
        if path.stat().st_size > _MOST:
            return None
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    if not isinstance(held, dict) or held.get("key") != json.loads(_text(key)):
        return None
    found = held.get("found")
    if not isinstance(found, dict) or any(not isinstance(found.get(name), int | float | None) for name in _NUMBERS):
        return None
    nan = float("nan")
    return {name: nan if found.get(name) is None else float(found[name]) for name in _NUMBERS} | {"reason": ""}


def write(key: Mapping[str, Any], found: Mapping[str, Any]) -> bool:
    """Keep numbers under ``key``; whether they were: on a machine where nothing can be written nothing is."""
    path = _path(key)
    numbers = {name: found[name] if found[name] == found[name] else None for name in _NUMBERS}
    text = json.dumps({"key": json.loads(_text(key)), "found": numbers}, allow_nan=False)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(text.encode(), path, force=True)
    except (OSError, UsageError):
        return False
    return True


def _path(key: Mapping[str, Any]) -> Path:
    return folder() / f"{hashlib.sha256(_text(key).encode()).hexdigest()[:32]}.json"


def _text(key: Mapping[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)
