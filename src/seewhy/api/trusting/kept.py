"""What was found out about a method on a model: takes a key, gives the numbers that were kept under it on this machine,
and keeps them; a file that is gone, or holds anything else, is as if it had never been."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from seewhy.core import kept_files

__all__ = ["ROOM", "read", "write"]

#: the room of the cache folder
ROOM = "method-tests"

#: bytes of one entry, beyond which it is none of ours
_MOST = 10_000
_NUMBERS = ("learnt", "chance", "classes")


def read(key: Mapping[str, Any]) -> dict[str, Any] | None:
    """What was kept under ``key``; None where nothing was."""
    data = kept_files.read(ROOM, _text(key), _MOST)
    try:
        held = None if data is None else json.loads(data)
    except ValueError:
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
    numbers = {name: found[name] if found[name] == found[name] else None for name in _NUMBERS}
    text = json.dumps({"key": json.loads(_text(key)), "found": numbers}, allow_nan=False)
    return kept_files.write(ROOM, _text(key), text.encode())


def _text(key: Mapping[str, Any]) -> str:
    return json.dumps(key, sort_keys=True)
