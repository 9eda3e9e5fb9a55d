"""An object cut from its map: takes a picture and a map of evidence, gives a mask by graph cut, with its pictures;
computes no map."""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from seewhy.errors import CapabilityError, UsageError
from seewhy.explanation.gallery import Gallery, Tile, map_tile
from seewhy.explanation.parts import Cost
from seewhy.explanation.plain import plain
from seewhy.render import check, write

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from seewhy.explanation.result import Explanation

__all__ = ["CUT", "Segmentation", "graph_cut"]

#: pixels of a tile
_CELL = 224

#: under this side there are too few pixels for two mixtures of five colours
_SMALLEST = 8


def graph_cut(
    image: NDArray[np.uint8],
    evidence: NDArray[Any],
    *,
    inside: float = 0.95,
    likely: float = 0.8,
    outside: float = 0.3,
    smooth: float = 0.027,
    iterations: int = 5,
) -> NDArray[np.bool_]:
    """Where the object is, bool ``[H, W]``: GrabCut, started from a map's quantiles, its largest piece.

    ``image`` uint8 ``[H, W, 3]`` and ``evidence`` ``[H, W]``, of which the positive part is used, blurred by
    ``smooth`` of the longer side. Pixels from the quantile ``inside`` on are object, those up to ``outside`` are not;
    between, those from ``likely`` on start as object, and all of them go where colours (two mixtures of five
    Gaussians) and edges (min-cut) say, ``iterations`` times. After Simonyan, Vedaldi & Zisserman 2013,
    arXiv:1312.6034, section 3.2; Rother, Kolmogorov & Blake 2004, GrabCut. Raises `CapabilityError` without OpenCV,
    `UsageError` for a map without evidence, quantiles out of order, or a picture that is too small.
    """
    try:
        import cv2
    except ImportError as error:
        raise CapabilityError("cutting out an object needs OpenCV: pip install 'seewhy[segment]'") from error
    if not 0 <= outside < likely <= inside < 1:
        raise UsageError(f"outside={outside}, likely={likely}, inside={inside}: quantiles from 0 to 1, in this order")
    if image.shape[:2] != evidence.shape or min(evidence.shape) < _SMALLEST:
        raise UsageError(
            f"a picture {image.shape} and a map {evidence.shape}: one size, at least {_SMALLEST} x {_SMALLEST}"
        )
    if iterations < 1 or not smooth >= 0:
        raise UsageError(f"iterations={iterations}, smooth={smooth}: at least 1, and not negative")
    weight = np.maximum(np.nan_to_num(np.asarray(evidence, dtype=np.float64)), 0)
    if not weight.any():
        raise UsageError("the map has no positive evidence, so nothing says where the object is; try another target")
    if smooth:
        weight = cv2.GaussianBlur(weight, (0, 0), max(smooth * max(weight.shape), 1e-3))
    high, middle, low = np.quantile(weight, [inside, likely, outside])
    seeds = np.full(weight.shape, cv2.GC_PR_BGD, np.uint8)
    seeds[weight >= middle] = cv2.GC_PR_FGD
    seeds[weight <= low] = cv2.GC_BGD
    seeds[weight >= high] = cv2.GC_FGD
    cv2.setRNGSeed(0)  # the colour mixtures start from k-means
    colours = np.ascontiguousarray(image[:, :, ::-1])
    box = (0, 0, *evidence.shape[::-1])  # not looked at with a mask
    cv2.grabCut(colours, seeds, box, np.zeros((1, 65)), np.zeros((1, 65)), iterations, cv2.GC_INIT_WITH_MASK)
    return _largest((seeds == cv2.GC_FGD) | (seeds == cv2.GC_PR_FGD))


#: what tunes the cut, with its defaults
CUT = {
    name: parameter.default
    for name, parameter in inspect.signature(graph_cut).parameters.items()
    if parameter.kind is parameter.KEYWORD_ONLY
}


def _from_to(box: tuple[int, int, int, int]) -> str:
    return f"from {box[0]},{box[1]} to {box[2]},{box[3]}"


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The piece with the most pixels: two touch where they share an edge or a corner."""
    import cv2

    count, labels, sizes, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    kept: NDArray[np.bool_] = labels == 1 + int(sizes[1:, cv2.CC_STAT_AREA].argmax()) if count > 1 else mask
    return kept


@dataclass(frozen=True, eq=False, kw_only=True)
class Segmentation:
    """One object, cut out.

    ``image`` is what the model sees of the photo, uint8 ``[H, W, 3]``, at the photo's resolution or the input's;
    ``mask`` bool ``[H, W]`` is the object; ``corner`` is where ``image`` begins in the photo, (left, top), and
    ``scale`` how many of the photo's pixels one of ``image`` is. ``inside`` is the share of the positive evidence
    that lies in the mask, to be read beside ``area``, the share of ``image`` that the mask takes: the same for
    evidence that knows nothing of the object.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    explanation: Explanation
    inside: float
    corner: tuple[float, float] = (0.0, 0.0)
    scale: tuple[float, float] = (1.0, 1.0)
    parameters: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    @property
    def area(self) -> float:
        """The mask's share of what the model sees."""
        return float(self.mask.mean())

    @property
    def box(self) -> tuple[int, int, int, int] | None:
        """The smallest box around the object in the photo's pixels, (left, top, right, bottom), the last two
        exclusive; None for an empty mask."""
        rows, columns = np.flatnonzero(self.mask.any(1)), np.flatnonzero(self.mask.any(0))
        if not len(rows):
            return None
        (left, top), (across, down) = self.corner, self.scale
        edges = (
            columns[0] * across + left,
            rows[0] * down + top,
            (columns[-1] + 1) * across + left,
            (rows[-1] + 1) * down + top,
        )
        return round(edges[0]), round(edges[1]), round(edges[2]), round(edges[3])

    def cutout(self) -> Image.Image:
        """The object alone, RGBA, transparent around it, cropped to it."""
        rgba = np.dstack([self.image, self.mask.astype(np.uint8) * 255])
        rows, columns = np.flatnonzero(self.mask.any(1)), np.flatnonzero(self.mask.any(0))
        if len(rows):
            rgba = rgba[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        return Image.fromarray(np.ascontiguousarray(rgba), "RGBA")

    def gallery(self) -> Gallery:
        """Photo, evidence, mask as a dimmed surrounding, and cut-out on grey, side by side."""
        dimmed = np.where(self.mask[..., None], self.image, self.image // 4 + 24).astype(np.uint8)
        alone = np.where(self.mask[..., None], self.image, 236).astype(np.uint8)
        tiles = (
            Tile(self.image, ("what the model sees", str(self.explanation.prediction or ""))),
            map_tile(self.explanation, (self.explanation.method, self.explanation.target), 2 * _CELL),
            Tile(dimmed, ("object", f"{self.area:.0%} of what the model sees")),
            Tile(alone, ("cut out", f"{self.inside:.0%} of the evidence inside")),
        )
        return Gallery(
            title=f"{self.explanation.target}, cut out by graph cut",
            tiles=tiles,
            values=self.mask,
            columns=len(tiles),
            cell=_CELL,
            status=self.explanation.status,
            notes=self.explanation.notes,
            parameters=self.parameters,
            cost=self.explanation.cost,
            provenance=self.explanation.provenance,
        )

    def in_words(self) -> str:
        """Where the object is in the photo, how much of what the model sees it takes, and how much of the evidence;
        which part of the photo the mask is of, where it is not all."""
        share = f"{self.area:.0%} of what the model sees, {self.inside:.0%} of the evidence inside"
        if self.box is not None:
            share += f"; {_from_to(self.box)} in the photo"
        return (
            share if self.corner == (0.0, 0.0) else f"{share}; mask and cut-out are of the part {_from_to(self.part)}"
        )

    @property
    def part(self) -> tuple[int, int, int, int]:
        """The part of the photo that ``image`` and ``mask`` show, in its pixels: (left, top, right, bottom)."""
        (left, top), (across, down), (height, width) = self.corner, self.scale, self.mask.shape
        return round(left), round(top), round(left + width * across), round(top + height * down)

    def figure(self) -> Image.Image:
        """The pictures of `gallery` as one."""
        return self.gallery().figure()

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> Path:
        """The file written: the mask as a ``.png`` of black and white.

        ``cutout().save`` and ``gallery().save`` write the others. Raises `UsageError` for another suffix, and for a
        file that exists unless ``force``.
        """
        return write(
            Image.fromarray(self.mask.astype(np.uint8) * 255), check(path, (".png",), force=force), force=force
        )

    @property
    def cost(self) -> Cost:
        """What the map took; the cut runs no network."""
        return self.explanation.cost

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pictures, as plain, strictly valid JSON."""
        said = ("name", "box", "part", "area", "inside", "parameters")
        summary = {name: plain(getattr(self, name)) for name in said}
        return summary | {"explanation": self.explanation.to_dict()}

    def _repr_html_(self) -> str:
        return self.gallery()._repr_html_()

    def __repr__(self) -> str:
        return (
            f"Segmentation({self.explanation.target!r}, box={self.box}, area={self.area:.0%}, inside={self.inside:.0%})"
        )
