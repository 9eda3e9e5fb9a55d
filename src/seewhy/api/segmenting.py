"""Cutting out: takes a model and photos, gives each one's object as a mask, from a map and a graph cut; trains
nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from seewhy.api.asked.one_or_all import all_of, one, refuse_several
from seewhy.api.asked.plan import Plan
from seewhy.api.asked.request import Request
from seewhy.api.given.images import Item, read_items
from seewhy.api.planned import run_plan
from seewhy.api.waiting import watched
from seewhy.core.forward.settings import Settings
from seewhy.errors import UsageError
from seewhy.explanation import Explanation, Segmentation, graph_cut
from seewhy.explanation.segmentation import CUT
from seewhy.models import Model, Preprocess, read_image
from seewhy.models.loader import taken
from seewhy.render import resize

__all__ = ["segment", "segment_all"]

#: sides of a photo beyond this are not cut at full size: the time of a min-cut grows faster than the picture
_LARGEST = 1024


@one(Segmentation)
def segment(
    model: Any,
    image: Any,
    *,
    method: str = "smooth-grad",
    target: Any = None,
    layer: Any = None,
    resolution: str = "photo",
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    **parameters: Any,
) -> Callable[[bool], list[Segmentation]]:
    """The object of a class, cut out of its photo by graph cut, started from where the evidence is. `segment_all` takes
    several photos.

    ``model``, ``image``, ``method``, ``target`` and ``layer`` as for `seewhy.explain`; one target an image.
    ``resolution`` is ``"photo"`` (the part of the photo that the model sees, at its own pixels, 1024 a side at most)
    or ``"input"``. ``parameters`` are the method's and the cut's: ``inside``, ``likely``, ``outside``, ``smooth``,
    ``iterations`` (see `seewhy.explanation.graph_cut`). No model of segmentation is needed and none is trained: what
    the classifier finds telling is what is cut out. Raises `UsageError` for maps without positive evidence and inputs
    that are no pictures, `CapabilityError` without OpenCV.

    >>> import seewhy
    >>> cutout = seewhy.segment("builtin", "coffee.png")  # doctest: +SKIP
    >>> cutout.box, cutout.inside  # doctest: +SKIP
    ((126, 28, 420, 358), 0.74)
    """
    if resolution not in ("photo", "input"):
        raise UsageError(f"resolution={resolution!r}: 'photo' or 'input'")
    photos = image if isinstance(image, list | tuple) else [image]
    cut = {name: parameters.pop(name) for name in CUT if name in parameters}
    settings = Settings(memory=memory, progress=watched(progress))
    request = Request(method=method, target=target, layer=layer, parameters=parameters, settings=settings)
    if isinstance(target, list | tuple):
        raise UsageError("segment cuts out one object an image: give one target, and call it again for another")

    def segmentations(only: bool) -> list[Segmentation]:
        wrapped = taken(model)
        if only:
            refuse_several("segment", "object", f"{len(photos)} images were given" if len(photos) > 1 else "")
        cuts = []
        for photo in photos:
            read = photo if isinstance(photo, np.ndarray) and np.issubdtype(photo.dtype, np.floating) else _read(photo)
            items, _ = read_items(wrapped, read)
            plan = Plan.make(wrapped, request, len(items))
            if only:
                refuse_several("segment", "object", plan.several(len(items)))
            for item, explanation in zip(items, run_plan(plan, items), strict=True):
                cuts.append(_cut(wrapped, item, read, explanation, resolution, cut))
        return cuts

    return segmentations


segment_all = all_of(segment, list[Segmentation], """`segment` of several photos: a list, in their order.""")


def _read(photo: Any) -> Any:
    """A picture, read once; what is no picture as it is."""
    if isinstance(photo, np.ndarray) and photo.ndim == 4:
        return photo
    return read_image(photo) if not hasattr(photo, "is_floating_point") else photo


def _cut(
    model: Model, item: Item, read: Any, explanation: Explanation, resolution: str, cut: dict[str, Any]
) -> Segmentation:
    if item.view is None:
        raise UsageError("a graph cut needs the colours of a picture; the input given is none that can be shown")
    image, evidence, corner, scale = item.view, np.asarray(explanation.map), (0.0, 0.0), (1.0, 1.0)
    ours, pixels = model.preprocess, getattr(read, "pixels", None)
    if isinstance(ours, Preprocess) and isinstance(pixels, Image.Image):
        if resolution == "photo":
            image, evidence, corner, scale = _at_full_size(ours, pixels, evidence)
        else:
            left, top, right, bottom = ours.window(pixels.height, pixels.width)
            corner, scale = (left, top), ((right - left) / image.shape[1], (bottom - top) / image.shape[0])
    mask = graph_cut(image, evidence, **cut)
    positive = np.maximum(np.nan_to_num(evidence), 0)
    return Segmentation(
        image=image,
        mask=mask,
        explanation=explanation,
        inside=float(positive[mask].sum() / positive.sum()),
        corner=corner,
        scale=scale,
        parameters=dict(explanation.parameters) | cut | {"resolution": resolution},
        name=item.name,
    )


def _at_full_size(
    ours: Preprocess, pixels: Image.Image, evidence: np.ndarray[Any, Any]
) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any], tuple[float, float], tuple[float, float]]:
    """What the model sees of a photo, at the photo's own pixels, and the map laid over it."""
    left, top, right, bottom = ours.window(pixels.height, pixels.width)
    full = (right - left) / evidence.shape[1], (bottom - top) / evidence.shape[0]
    # padding is no part of the photo
    x0, y0, x1, y1 = max(left, 0.0), max(top, 0.0), min(right, float(pixels.width)), min(bottom, float(pixels.height))
    shrink = max((x1 - x0) / _LARGEST, (y1 - y0) / _LARGEST, 1.0)
    size = max(round((x1 - x0) / shrink), 1), max(round((y1 - y0) / shrink), 1)
    seen = pixels.convert("RGB").resize(size, Image.Resampling.BILINEAR, box=(x0, y0, x1, y1))
    rows = slice(round((y0 - top) / full[1]), max(round((y1 - top) / full[1]), 1))
    columns = slice(round((x0 - left) / full[0]), max(round((x1 - left) / full[0]), 1))
    over = resize(evidence[rows, columns], (size[1], size[0]))
    scale = (x1 - x0) / size[0], (y1 - y0) / size[1]
    return np.asarray(seen, dtype=np.uint8), over, (x0, y0), scale
