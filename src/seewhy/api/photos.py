"""Many photos: takes paths and a plan, gives each one's explanations or the reason there are none; stops for
neither."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seewhy.api.explaining import run_plan
from seewhy.api.inputs import read_items
from seewhy.api.planning import Plan
from seewhy.core.forward.session import Settings
from seewhy.errors import ImageError, OutOfMemory
from seewhy.explanation import Explanations
from seewhy.models import Model

__all__ = ["PhotoOutcome", "explain_photos"]


@dataclass(frozen=True)
class PhotoOutcome:
    """One photo: its explanations, or in words why it has none."""

    path: str
    explanations: Explanations | None
    reason: str = ""


def explain_photos(
    model: Model, photos: Sequence[str | Path], *, settings: Settings | None = None, **asked: Any
) -> Iterator[PhotoOutcome]:
    """Explain photos one after the other, as asked of `seewhy.explain`; one that is unreadable, or too
    large for the memory, is passed over with its reason.

    Everything that concerns the question rather than a photo (an unknown method, layer or label) raises before the
    first photo is read.
    """
    asked = {"method": "grad-cam", "target": None, "layer": None, "parameters": {}} | asked
    plan = Plan.make(model, 1, settings=settings or Settings(), **asked)
    for photo in photos:
        try:
            items, _ = read_items(model, str(photo))
            found = run_plan(plan, items)
        except (ImageError, OutOfMemory) as error:
            yield PhotoOutcome(str(photo), None, str(error))
            continue
        yield PhotoOutcome(str(photo), found)
