"""Takes explanations, gives HTML for a notebook with the picture inside; never refers to another file."""

from __future__ import annotations

import base64
from html import escape
from typing import TYPE_CHECKING, Any

from seewhy.errors import UsageError
from seewhy.explanation import picture
from seewhy.render import png

if TYPE_CHECKING:
    from collections.abc import Iterable

    from PIL import Image

    from seewhy.explanation.collection import Explanations
    from seewhy.explanation.result import Explanation

__all__ = ["many", "one"]

# A notebook shows so much of a long collection; the rest is a line of text.
_ROWS = 48
_LEFT = 'style="text-align:left"'


def one(explanation: Explanation) -> str:
    """The figure, where the values can be drawn, and a table of what it shows."""
    try:
        shown = _image(explanation.figure(), explanation.method)
    except UsageError as error:
        shown = f"<p>{escape(str(error))}</p>"
    rows: list[tuple[str, Any]] = [
        ("method", explanation.method),
        ("target", explanation.target),
        (explanation.unit or "score", f"{explanation.score:.6g}"),
        ("predicted", explanation.prediction),
        ("layer", explanation.layer),
        ("contrast", explanation.contrast),
        ("status", explanation.status),
        ("values", f"{' x '.join(map(str, explanation.values.shape))} {explanation.values.dtype}"),
        ("cost", explanation.cost),
        ("parameters", ", ".join(f"{key}={_short(value)}" for key, value in explanation.parameters.items())),
        ("notes", "; ".join(explanation.notes)),
    ]
    body = "".join(
        f"<tr><th {_LEFT}>{escape(key)}</th><td {_LEFT}>{escape(str(value))}</td></tr>"
        for key, value in rows
        if value not in (None, "")
    )
    return f"<div>{shown}<table>{body}</table></div>"


def many(explanations: Explanations) -> str:
    """The grid, and a table with one line for each explanation."""
    first = explanations[:_ROWS]
    drawable = [explanation for explanation in first if picture.drawable(explanation)]
    shown = _image(type(explanations)(drawable).grid(), "grid") if drawable else ""
    names = ("name", "method", "target", "score", "layer", "contrast", "status")
    head = "".join(f"<th {_LEFT}>{name}</th>" for name in names)
    body = "".join(_line(getattr(explanation, name) for name in names) for explanation in first)
    more = len(explanations) - len(first)
    rest = f"<p>and {more} more</p>" if more > 0 else ""
    return f"<div>{shown}<table><tr>{head}</tr>{body}</table>{rest}<p>{escape(str(explanations.cost))}</p></div>"


def _line(values: Iterable[Any]) -> str:
    words = ("" if value is None else f"{value:.6g}" if isinstance(value, float) else str(value) for value in values)
    return "<tr>" + "".join(f"<td {_LEFT}>{escape(word)}</td>" for word in words) + "</tr>"


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else text[:79] + "…"


def _image(image: Image.Image, alt: str) -> str:
    data = base64.b64encode(png(image)).decode("ascii")
    return f'<img alt="{escape(alt)}" style="max-width:100%" src="data:image/png;base64,{data}"/>'
