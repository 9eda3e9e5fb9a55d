"""Takes explanations, gives HTML for a notebook with the picture inside; never refers to another file."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, Any

from seewhy.errors import UsageError
from seewhy.explanation import picture
from seewhy.html import pairs, table
from seewhy.html import picture as shown_as
from seewhy.render import embedded

if TYPE_CHECKING:
    from PIL import Image

    from seewhy.explanation.collection import Explanations
    from seewhy.explanation.result import Explanation

__all__ = ["framed", "many", "one"]

# A notebook shows so much of a long collection; the rest is a line of text.
_ROWS = 48


def framed(image: Image.Image, alt: str) -> str:
    """A picture inside HTML, small enough to be kept there."""
    return shown_as(*embedded(image), alt)


def one(explanation: Explanation) -> str:
    """The figure, where the values can be drawn, and a table of what it shows."""
    try:
        shown = framed(explanation.figure(), explanation.method)
    except UsageError as error:
        shown = f"<p>{escape(str(error))}</p>"
    known: list[tuple[str, Any]] = [
        ("method", explanation.method),
        ("target", explanation.target),
        (explanation.unit or "score", f"{explanation.score:.6g}"),
        ("predicted", explanation.prediction),
        ("layer", explanation.layer),
        ("contrast", explanation.contrast),
        ("status", explanation.status),
        ("trust", explanation.trust),
        ("values", f"{' x '.join(map(str, explanation.values.shape))} {explanation.values.dtype}"),
        ("cost", explanation.cost),
        ("parameters", ", ".join(f"{key}={_short(value)}" for key, value in explanation.parameters.items())),
        ("notes", "; ".join(explanation.notes)),
    ]
    return f"<div>{shown}{pairs(known)}</div>"


def many(explanations: Explanations) -> str:
    """The grid, and a table with one line for each explanation."""
    first = explanations[:_ROWS]
    drawable = [explanation for explanation in first if picture.drawable(explanation)]
    shown = framed(type(explanations)(drawable).grid(), "grid") if drawable else ""
    names = ("name", "method", "target", "score", "layer", "contrast", "status")
    body = table(names, ([getattr(explanation, name) for name in names] for explanation in first))
    more = len(explanations) - len(first)
    rest = f"<p>and {more} more</p>" if more > 0 else ""
    return f"<div>{shown}{body}{rest}<p>{escape(str(explanations.cost))}</p></div>"


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else text[:79] + "…"
