"""Large JSON files: takes one whose top is an object, gives the items of its lists, one after the other; never holds
more of the file than an item and what was read with it.

A reader of its own: packages that read JSON piece by piece keep the path to where they are in words, and of a file that
is nested deeply their memory grows with the square of its length."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Collection, Iterator
from typing import IO, Any

__all__ = ["BEGINS", "items_of"]

#: stands before the items of a list, which may have none
BEGINS = object()

#: letters that are read at a time, and that one value may have
_CHUNK, _MOST = 1 << 20, 1 << 28

#: what may follow a value
_AFTER = frozenset(" \t\n\r,:]}")
_SPACE = re.compile(r"[ \t\n\r]*")


def items_of(file: IO[bytes], lists: Collection[str]) -> Iterator[tuple[str, Any]]:
    """The items of those ``lists`` of the object in a file, each with the key of its list, in the file's order; of each
    list `BEGINS` comes first. Other values are passed over, and nothing comes of a file whose top is no object.

    Raises `ValueError` for what is no JSON in UTF-8, `RecursionError` for values that are nested too deeply.

    >>> import io
    >>> file = io.BytesIO(b'{"a": [1, {"b": []}], "c": 3}')
    >>> [item for key, item in items_of(file, ["a"])][1:]
    [1, {'b': []}]
    """
    text = _Text(file)
    if text.peek() != "{":
        text.value()
        text.expect_end()
        return
    for _ in text.parts("{", "}"):
        key = text.value()
        if not isinstance(key, str):
            raise ValueError(f"{key!r:.50} is no key")
        text.take(":")
        if key not in lists or text.peek() != "[":
            text.value()
            continue
        yield key, BEGINS
        for _ in text.parts("[", "]"):
            yield key, text.value()
    text.expect_end()


class _Text:
    """A place in a text that is read as it is needed."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._letters = file, codecs.getincrementaldecoder("utf-8-sig")()
        self._held, self._at = "", 0
        self._decode = json.JSONDecoder().raw_decode

    def _more(self) -> bool:
        """Read on, twice as far each time that what is held does not do."""
        held = self._held[self._at :]
        if len(held) > _MOST:
            raise ValueError(f"a value of more than {_MOST >> 20} MiB, or one that does not end")
        read, data = "", b"x"
        while data and not read:  # a letter may be several bytes
            data = self._file.read(max(_CHUNK, len(held)))
            read = self._letters.decode(data, final=not data)
        self._held, self._at = held + read, 0
        return bool(read)

    def peek(self) -> str:
        """The next letter that is no space; '' at the end."""
        while True:
            match = _SPACE.match(self._held, self._at)
            self._at = self._at if match is None else match.end()
            if self._at < len(self._held):
                return self._held[self._at]
            if not self._more():
                return ""

    def take(self, letter: str) -> None:
        """Go past a letter that has to come now."""
        if (found := self.peek()) != letter:
            raise ValueError(f"{letter!r} is missing, {found!r} stands there" if found else "it ends too early")
        self._at += 1

    def expect_end(self) -> None:
        """Refuse what comes after the end."""
        if found := self.peek():
            raise ValueError(f"it goes on behind its end, with {found!r}")

    def value(self) -> Any:
        """The value that begins here."""
        self.peek()
        while True:
            try:
                value, end = self._decode(self._held, self._at)
            except json.JSONDecodeError:
                if not self._more():
                    raise
                continue
            # what is held may end within a number, and '-1.' begins with one
            length = end - self._at
            if self._held[end : end + 1] in _AFTER or not self._more():
                self._at += length
                return value

    def parts(self, first: str, last: str) -> Iterator[None]:
        """A step for each part of an object or a list, between its brackets."""
        self.take(first)
        if self.peek() == last:
            self.take(last)
            return
        while True:
            yield None
            if self.peek() != ",":
                break
            self.take(",")
        self.take(last)
