"""Every error seewhy raises on purpose; each message says what was asked, what was found and what to type.

::

    SeewhyError                      exit code
    ├── UsageError (ValueError)      2   an invalid word or value
    │   ├── UnknownName (KeyError)   2   no such method, layer, label, model, parameter
    │   ├── TargetError              2   the target does not fit the model's output
    │   ├── CapabilityError          2   the model cannot do what the method needs
    │   └── UnfitImage               2   another kind of image than the model takes
    │       └── AbsentTarget         2   what is asked for is not in this image (and a TargetError)
    ├── ModelError                   3   the model cannot be loaded
    │   └── UnsafeModel              3   it would run code from the file
    ├── ImageError                   4   the image cannot be read
    ├── StoreError                   5   the place of results cannot be read or written
    └── OutOfMemory (MemoryError)    1   not even one sample fits
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

__all__ = [
    "AbsentTarget",
    "CapabilityError",
    "ImageError",
    "ModelError",
    "OutOfMemory",
    "SeewhyError",
    "StoreError",
    "TargetError",
    "UnfitImage",
    "UnknownName",
    "UnsafeModel",
    "UsageError",
    "nearest",
    "on_a_line",
    "one_line",
    "reason",
    "storing",
]


class SeewhyError(Exception):
    """The root of the tree; ``exit_code`` is what the command line ends with."""

    exit_code = 1

    def __str__(self) -> str:
        # KeyError would print its argument's repr; one plain line is promised, whatever is in a path or a name.
        return on_a_line(str(self.args[0])) if self.args else ""


class UsageError(SeewhyError, ValueError):
    """An invalid value or combination of values."""

    exit_code = 2


#: letters from which on names are looked for that contain them, and how many of those are named
_WORD, _NAMED = 2, 6


class UnknownName(UsageError, KeyError):
    """No such name; the message has the nearest one, or with ``within`` those that contain it, and the command that
    lists them all.

    >>> print(UnknownName("method", "gradcam", ["grad-cam", "lrp"], "seewhy methods"))
    no method 'gradcam'; nearest: 'grad-cam'. List them: seewhy methods
    >>> print(UnknownName("label", "cat", ["dog", "tiger cat", "Siamese cat"], "seewhy labels", within=True))
    no label 'cat'; with it in them: 'tiger cat', 'Siamese cat'. List them: seewhy labels
    """

    def __init__(
        self, kind: str, asked: str, known: Iterable[str], listing: str, where: str = "", *, within: bool = False
    ) -> None:
        known = list(dict.fromkeys(known))
        close = nearest(asked, known)
        hint = f"; nearest: {close[0]!r}" if close else ""
        holding = [name for name in known if len(asked) >= _WORD and asked.lower() in name.lower()]
        if within and holding:
            more = f" and {len(holding) - _NAMED} more" if len(holding) > _NAMED else ""
            hint = f"; with it in them: {', '.join(map(repr, holding[:_NAMED]))}{more}"
        super().__init__(f"no {kind} {asked!r}{where}{hint}. List them: {listing}")


class TargetError(UsageError):
    """The target does not fit the model's output."""


class CapabilityError(UsageError):
    """The model cannot do what the method needs; found out before anything was computed where possible."""


class UnfitImage(UsageError):
    """The image can be read, and is of another kind than the model takes; others may fit."""


class AbsentTarget(TargetError, UnfitImage):
    """What is asked for is not in this image; it may be in others."""


class ModelError(SeewhyError):
    """The model cannot be loaded."""

    exit_code = 3


class UnsafeModel(ModelError):
    """Loading the file would run code that it carries."""


class ImageError(SeewhyError):
    """The image cannot be read."""

    exit_code = 4


class StoreError(SeewhyError):
    """The place where results go cannot be read or written: it is full, or not ours to write, or what lies there is
    damaged."""

    exit_code = 5


@contextmanager
def storing(place: object) -> Iterator[None]:
    """What the system says against writing at ``place`` is a `StoreError`, in one line."""
    try:
        yield
    except OSError as error:
        raise StoreError(f"cannot write {str(place)!r}: {reason(error, 160)}") from error


class OutOfMemory(SeewhyError, MemoryError):
    """Not even one sample fits into memory."""


def nearest(asked: str, known: Iterable[str], count: int = 1) -> list[str]:
    """The names most like ``asked``, best first; empty when nothing is close.

    >>> nearest("layer5", ["layer4", "fc"])
    ['layer4']
    """
    names = {name.lower(): name for name in known}
    close = difflib.get_close_matches(asked.lower(), list(names), n=count, cutoff=0.4)
    return [names[name] for name in close]


def on_a_line(text: str) -> str:
    """``text`` with what would break the line, or do something to a terminal, written out as Python writes it.

    >>> print(on_a_line("a" + chr(10) + "b.png"))
    a\\nb.png
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def one_line(text: object, limit: int = 200) -> str:
    """``text`` with every run of white space as one space, cut at ``limit`` characters.

    >>> one_line("two\\n  lines")
    'two lines'
    """
    line = " ".join(str(text).split())
    return line if len(line) <= limit else line[: limit - 3] + "..."


def reason(error: BaseException, limit: int = 200) -> str:
    """An exception's type and text on one line.

    >>> reason(ValueError("not\\nthis"))
    'ValueError: not this'
    """
    text = one_line(error, limit)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
