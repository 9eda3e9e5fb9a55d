"""Pictures of an audit: takes its result, gives contact sheets of findings and clusters, and mean maps of classes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from seewhy.api.auditing.outcome import Example, Outcome
from seewhy.api.auditing.words import sentence_of
from seewhy.render import Cell, grid, heatmap

__all__ = ["cluster_sheet", "finding_sheet", "framed", "where_sheet"]

#: pictures in a row of a sheet, and the side of each
_COLUMNS, _SIDE = 6, 112
#: classes in a row of mean maps, and classes at most
_MAPS, _MOST = 5, 50


def finding_sheet(audit: Outcome, number: int) -> Image.Image | None:
    """Pictures that show the cue of a finding, which is framed; None where there are none to show."""
    shown = audit.examples.get(number)
    if not shown:
        return None
    finding = audit.findings[number]
    return _sheet(shown, f"{audit.label(finding.candidate.index)}: {sentence_of(finding)}")


def cluster_sheet(audit: Outcome, index: int, number: int) -> Image.Image | None:
    """Pictures of a class's cluster, counted from 0, each with its window of highest evidence; None without any."""
    shown = audit.cluster_pictures.get(index, ())
    if number >= len(shown) or not shown[number]:
        return None
    cluster = audit.clusters[index][number]
    words = f"{audit.label(index)}, cluster {number + 1} of evidence, by {cluster.by}: {len(cluster.rows)} pictures"
    return _sheet(shown[number], f"{words}, stability {cluster.stability:.2f}")


def where_sheet(audit: Outcome) -> Image.Image | None:
    """Each class's mean map, red for evidence, blue against; None without maps."""
    cells = []
    for index, where in list(audit.where.items())[:_MOST]:
        below = [f"{name} {each.share:.0%} (area {each.area:.0%})" for name, each in where.shares.items()]
        cells.append(Cell(heatmap(where.mean, signed=True), (audit.label(index),), below=tuple(below)))
    if not cells:
        return None
    footer = "Mean evidence over pictures of each class, red for it and blue against; colours from each map's own"
    return grid([cells[n : n + _MAPS] for n in range(0, len(cells), _MAPS)], cell=140, footer=f"{footer} range.")


def _sheet(shown: Sequence[Example], words: str) -> Image.Image:
    cells = [Cell(framed(each), below=(each.name.rpartition("/")[2],)) for each in shown]
    return grid([cells[n : n + _COLUMNS] for n in range(0, len(cells), _COLUMNS)], cell=_SIDE, footer=words)


def framed(example: Example, side: int = _SIDE) -> NDArray[np.uint8]:
    """The picture, about ``side`` pixels long or its own size, with a frame around its cue."""
    large = max(1, round(side / max(example.pixels.shape[:2])))
    image = Image.fromarray(np.repeat(np.repeat(example.pixels, large, 0), large, 1))
    if example.box is not None:
        left, top, right, bottom = (large * side for side in example.box)
        draw = ImageDraw.Draw(image)
        draw.rectangle((left, top, right - 1, bottom - 1), outline="#f5b83d", width=max(1, large // 2))
    return np.asarray(image)
