"""Takes text and a width, gives lines that fit, measured in Pillow's own font; never draws.

That font is everywhere the same but knows little beyond ASCII: signs and accents that it lacks are spelled
plainly, and a line in another script is set in the first common system font that has it.
"""

from __future__ import annotations

import unicodedata
from functools import cache
from typing import Any

from PIL import ImageFont

__all__ = ["FINER", "fit", "settable", "width", "wrap"]

#: how many times finer than the pixels letters are measured and drawn: whole pixels would space them unevenly
FINER = 4

# The font that a viewer picks for an SVG runs a little wider than the one measured here.
_SLACK = 1.08


# what to look for when a label is, say, Chinese or Arabic
_OTHERS = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "Arial Unicode.ttf", "msyh.ttc", "arial.ttf")
_PLAIN = str.maketrans(
    {
        "–": "-",
        "—": "-",
        "−": "-",
        "‐": "-",
        "×": "x",
        "’": "'",
        "‘": "'",
        "“": '"',
        "”": '"',
        "≥": ">=",
        "≤": "<=",
    }
    | {"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "ł": "l", "µ": "u", "μ": "u", "σ": "sigma", "→": "->"}
)


@cache
def _font(size: int, name: str = "") -> Any:
    """The font ``name`` (Pillow's own for none) at ``size`` pixels, or None if this machine lacks it."""
    if not name:
        return ImageFont.load_default(size)
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@cache
def _has(character: str, name: str) -> bool:
    font = _font(24, name)
    if font is None:
        return False
    # A font draws the same box for everything that it lacks, this noncharacter included.
    return character.isspace() or bytes(font.getmask(character)) != bytes(font.getmask("\uffff"))


def settable(text: str, size: int) -> tuple[str, Any]:
    """``text`` as it can be drawn, and the font of ``size`` pixels that draws it.

    >>> settable("crème brûlée", 12)[0]
    'creme brulee'
    """
    if all(_has(char, "") for char in text):
        return text, _font(size)
    split = unicodedata.normalize("NFKD", text.translate(_PLAIN))
    plain = "".join(char for char in split if not unicodedata.combining(char))
    if all(_has(char, "") for char in plain):
        return plain, _font(size)
    for name in _OTHERS:
        if all(_has(char, name) for char in text):
            return text, _font(size, name)
    return plain, _font(size)


def width(text: str, size: int) -> float:
    """The width of one line of ``text`` in pixels at font ``size``, not rounded to whole pixels letter by letter."""
    words, font = settable(text, size * FINER)
    return float(font.getlength(words)) / FINER


def clean(text: str) -> str:
    """``text`` on one line, without characters that no font and no XML file can hold."""
    return "".join(char if char.isprintable() else " " for char in " ".join(text.split())).strip()


def fit(text: str, size: int, room: float) -> str:
    """``text`` cut to ``room`` pixels with an ellipsis, or whole where it fits.

    >>> fit("a rather long title", 14, 60).endswith("…")
    True
    """
    text = clean(text)
    if width(text, size) * _SLACK <= room:
        return text
    low, high = 0, len(text)
    while low < high:
        middle = (low + high + 1) // 2
        if width(text[:middle].rstrip() + "…", size) * _SLACK <= room:
            low = middle
        else:
            high = middle - 1
    return text[:low].rstrip() + "…"


def wrap(text: str, size: int, room: float, lines: int) -> list[str]:
    """``text`` in at most ``lines`` lines of ``room`` pixels, broken at spaces, the last cut if need be.

    >>> wrap("tiger cat", 14, 40, 2)
    ['tiger', 'cat']
    """
    words = clean(text).split(" ")
    done: list[str] = []
    line = ""
    for number, word in enumerate(words):
        longer = f"{line} {word}" if line else word
        if not line or width(longer, size) * _SLACK <= room:
            line = longer
        elif len(done) == lines - 1:
            line = " ".join([line, *words[number:]])
            break
        else:
            done.append(line)
            line = word
    return [fit(row, size, room) for row in (*done, line) if row]
