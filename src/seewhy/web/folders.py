"""The folder of an audit or a repair: takes where it lies, gives its document, and those of its pictures that the
document names."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from seewhy.errors import StoreError, UsageError, reason
from seewhy.web.problems import Problem

__all__ = ["Folder"]

_PICTURE = re.compile(r"[\w][\w.-]*\.png")
#: bytes of a document and of a picture at most
_LARGEST = 64 * 2**20


class Folder:
    """A folder that seewhy wrote. Raises `UsageError` where there is none, `StoreError` for a damaged one."""

    def __init__(self, place: Path, name: str) -> None:
        self._place, self._name = place, name
        path = place / name
        if not path.is_file():
            command = name.removesuffix(".json")
            raise UsageError(f"{str(place)!r} has no {name}: give the folder that seewhy {command} --out wrote")
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise StoreError(f"cannot read {str(path)!r}: {reason(error, 160)}") from error
        if not isinstance(document, dict):
            raise StoreError(f"cannot read {str(path)!r}: it is no document that seewhy wrote")
        self._document: dict[str, Any] = document
        named = {each for each in _named(document) if _PICTURE.fullmatch(each)}
        self._pictures = {each: place / each for each in [*named, "evidence.png"] if (place / each).is_file()}

    def document(self, url: str) -> dict[str, Any]:
        """What it says, and under which address each picture is, by its name."""
        source = self._document.get("source")
        told = {**self._document, "pictures": {name: f"{url}/{name}" for name in self._pictures}}
        return told | ({"source": Path(source).name} if isinstance(source, str) else {})

    def picture(self, name: str) -> bytes:
        """One of its pictures. Raises `Problem` for none."""
        path = self._pictures.get(name)
        try:
            if path is not None and path.stat().st_size <= _LARGEST:
                return path.read_bytes()
        except OSError:  # it has gone since
            pass
        raise Problem(404, "no such picture")


def _named(value: Any) -> Iterator[str]:
    """All words in a document that may name a picture."""
    if isinstance(value, dict):
        for each in value.values():
            yield from _named(each)
    elif isinstance(value, list):
        for each in value:
            yield from _named(each)
    elif isinstance(value, str) and value.endswith(".png"):
        yield value
