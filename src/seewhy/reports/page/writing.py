"""A page as HTML: takes blocks and so many bytes, gives one document that refers to nothing outside itself, with a
policy that allows nothing else."""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from seewhy.errors import UsageError, on_a_line
from seewhy.render import colormap, colormap_names
from seewhy.reports.page.blocks import Figure, Heading, Page, figures_of
from seewhy.reports.page.pictures import Fitted, fitted

__all__ = ["LEAST", "LIMIT", "html_of"]

#: bytes of a file: unless asked otherwise, and at least
LIMIT, LEAST = 5_000_000, 200_000
#: colours of a scale, evenly spaced; between them a browser mixes
_STOPS = 17


def html_of(page: Page, limit: int = LIMIT) -> str:
    """The page as a document of at most ``limit`` bytes of UTF-8: pictures get the room that the words leave.

    Raises `UsageError` for a limit that is none, and for words that alone take more.
    """
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < LEAST:
        raise UsageError(f"limit={limit!r}: bytes of a report, {LEAST:,} at least; {LIMIT:,} are usual")
    pictures = list(figures_of(page))
    nothing = Fitted((None,) * len(pictures), 9999, 99, "WebP")
    bare = len(_rendered(page, pictures, nothing, limit).encode())
    # a picture's address stands in a tag with its sizes, in place of a word that says that there was no room for it
    room = limit - bare - 64 * len(pictures)
    if room < 0:
        raise UsageError(f"the words of this report take {bare:,} bytes: give a larger limit= than {limit:,}")
    kept = fitted([(each.image or b"", each.drawing) for each in pictures], room)
    return _rendered(page, pictures, kept, limit)


def _rendered(page: Page, pictures: list[Figure], kept: Fitted, limit: int) -> str:
    shown = {id(figure): seen for figure, seen in zip(pictures, kept.shown, strict=True)}
    style, script = _style(), _text("page.js")
    html: str = _template().render(
        page=page,
        outline=_outline(page),
        shown=lambda figure: shown.get(id(figure)),
        kept=_kept_words(kept, limit) if pictures else "",
        style=Markup(style),
        script=Markup(script),
        policy=Markup(_policy(style, script)),
        uri=Markup,
    )
    return html


def _kept_words(kept: Fitted, limit: int) -> str:
    """At what size pictures are kept, in words."""
    said = (
        f"Pictures are kept at up to {kept.side} pixels on the longer side ({kept.form}, quality {kept.quality}), so "
        f"that this file stays under {limit / 1e6:g} MB."
    )
    return said + (f" There was no room for {kept.left_out} of them." if kept.left_out else "")


def _outline(page: Page) -> dict[str, Any]:
    """Where sections and headings are found: a list to go by, and each one's anchor."""
    sections, anchors = [], {}
    for number, section in enumerate(page.sections, 1):
        headings = [block for block in section.blocks if isinstance(block, Heading)]
        for at, heading in enumerate(headings, 1):
            anchors[id(heading)] = heading.anchor or f"s{number}-{at}"
        sections.append((f"s{number}", section, [(anchors[id(each)], each) for each in headings]))
    return {"sections": sections, "of": lambda heading: anchors.get(id(heading), "")}


def _policy(style: str, script: str) -> str:
    """Nothing but pictures that are inside, this style and this script."""
    return "; ".join(
        [
            "default-src 'none'", "img-src data:", f"style-src '{_hash(style)}'", f"script-src '{_hash(script)}'",
            "base-uri 'none'", "form-action 'none'",
        ]
    )  # fmt: skip


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


@cache
def _template() -> Any:
    """The template; whatever a value holds becomes text on one line."""
    environment = Environment(
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: value if isinstance(value, Markup) else on_a_line(str(value)),
    )
    return environment.from_string(_text("page.html.jinja"))


@cache
def _text(name: str) -> str:
    # newlines as they are hashed: a browser reads \r\n as \n
    return files(__package__).joinpath("templates", name).read_text(encoding="utf-8").replace("\r\n", "\n")


@cache
def _style() -> str:
    """The style, with the colours of scales."""
    rules = []
    for name in colormap_names():
        table = colormap(name)
        colours = ",".join("#{:02x}{:02x}{:02x}".format(*table[round(n * 255 / (_STOPS - 1))]) for n in range(_STOPS))
        rules.append(f".bar.{name}{{background:linear-gradient(to right,{colours})}}\n")
    return _text("page.css") + "".join(rules)
