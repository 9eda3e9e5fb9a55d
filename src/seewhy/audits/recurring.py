"""Cues that come again as they were: takes pictures of a class and of others, gives windows whose fine structure many
of the class have somewhere, to the pixel, and others do not; asks no model."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.audits.cue import Cue
from seewhy.audits.matching import anywhere, correlations, cut, matches, shrinkage
from seewhy.audits.patches import Patch, outside_share
from seewhy.audits.subject import Half, Subject
from seewhy.audits.templates import fine

__all__ = ["Stamp", "recurring"]

#: sides of windows, in shares of the picture's
_SHARES = (0.17, 0.25)
#: windows that are drawn, and pictures of each kind that they are looked for in
_DRAWN, _LOOKED_AT = 192, 100
#: standard deviations by which a window is more alike to its class's pictures than to others
_MORE = 1.0
#: the share of the class's pictures that a template is the mean of, and how often it is found anew
_CARRY, _TURNS = 0.3, 3
#: the correlation of what comes again as it was, and by how much others are less alike
_ALIKE, _APART = 0.6, 0.15
#: standard errors of a pixel's mean from which it belongs to what comes again, and pixels between letters
_SURE, _BETWEEN = 5.0, 2


class Stamp(Patch):
    """Something whose fine structure is a ``template`` [C, h, w], of pictures shrunk ``coarse`` times, of which the
    pixels of a ``piece`` [h, w] come again; wherever it is, and whatever shows through it, as through watermarks."""

    kind = "stamp"

    def __init__(self, template: Tensor, piece: Tensor, coarse: int, outside: float, names: Sequence[int]) -> None:
        super().__init__(template[None], outside, names, "stamp")
        self.piece, self.coarse = piece, coarse

    @property
    def mask(self) -> Tensor | None:
        """See `Patch`: letters, and not what shows between them."""
        return self.piece.repeat_interleave(self.coarse, 0).repeat_interleave(self.coarse, 1)

    @property
    def size(self) -> tuple[int, int]:
        """See `Patch`."""
        height, width = super().size
        return self.coarse * height, self.coarse * width

    def _alike(self, half: Half, exemplars: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """See `Patch`: of fine structure."""
        alike, top, left = matches(_structure(half.inputs, self.coarse), exemplars)
        return alike, self.coarse * top, self.coarse * left

    def recurs(self, own: Half, others: Half) -> bool:
        """Whether a quarter of the class's pictures have it, and all but a tenth of others far less of it."""
        here, there = float(self.presence(own).quantile(0.75)), float(self.presence(others).quantile(0.9))
        return here >= _ALIKE and here - there >= _APART


def recurring(subject: Subject, found: Sequence[Cue]) -> list[Cue]:
    """Of windows drawn from the class's pictures, those that these have far more of than others; made clear by the mean
    of the most alike ones; as far as they come again unchanged."""
    own, others = subject.own[0], subject.others[0]
    made: list[Cue] = []
    for share in _SHARES:
        size = (max(3, round(subject.size[0] * share)), max(3, round(subject.size[1] * share)))
        coarse = shrinkage(subject.size, size)
        window = (size[0] // coarse, size[1] // coarse)
        mine, theirs = (_structure(half.inputs[:_LOOKED_AT], coarse) for half in (own, others))
        draw = subject.generator(f"recurring {share}")
        rows = torch.randint(len(mine), (_DRAWN,), generator=draw)
        windows = cut(mine[rows], *anywhere(mine[rows], window, draw), *window)
        more = _more(mine, theirs, windows, rows)
        best = int(more.argmax())
        if more[best] < _MORE:
            continue
        template, piece = _grown(mine, _clear(mine, windows[best])[0])
        template, carriers = _clear(mine, template)
        stamp = Stamp(template, piece, coarse, float("nan"), carriers.tolist())
        if stamp.recurs(own, others):
            _, top, left = stamp.found(own.picked(carriers))
            made.append(Stamp(template, piece, coarse, outside_share(own, top, left, stamp.size, carriers), stamp.rows))
    return made


def _structure(inputs: Tensor, coarse: int) -> Tensor:
    return fine(F.avg_pool2d(inputs, coarse) if coarse > 1 else inputs)


def _more(mine: Tensor, theirs: Tensor, windows: Tensor, rows: Tensor) -> Tensor:
    """By how many standard deviations of others each window, cut out of a row, is more alike to its class, [E]."""
    own, other = correlations(mine, windows), correlations(theirs, windows)
    itself = torch.arange(len(mine))[:, None] == rows
    mean = own.masked_fill(itself, 0).sum(0) / (~itself).sum(0).clamp(min=1)
    return (mean - other.mean(0)) / other.std(0).clamp(min=1e-9)


def _clear(structure: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
    """The mean of the windows that are the most alike to one, and so on with that; and the rows they are of."""
    for _ in range(_TURNS):
        rows, top, left = _carriers(structure, window)
        window = cut(structure[rows], top, left, *window.shape[1:]).mean(0)
    return window, rows


def _carriers(structure: Tensor, window: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The pictures that have the most alike windows, and where these are."""
    alike, top, left = matches(structure, window[None])
    rows = alike.argsort(descending=True, stable=True)[: max(5, round(_CARRY * len(structure)))]
    return rows, top[rows], left[rows]


def _grown(structure: Tensor, window: Tensor) -> tuple[Tensor, Tensor]:
    """The mean [C, h, w] of all that comes again in and around a window, in one piece with its middle, and which pixels
    are that: letters are wider than windows that are drawn. As far as a window's side on each side, at most half of the
    picture's."""
    high, wide = window.shape[1:]
    rows, top, left = _carriers(structure, window)
    # beyond a picture's edge there is nothing that could come again
    around = F.pad(structure[rows], (wide, wide, high, high), value=float("nan"))
    windows = cut(around, top, left, 3 * high, 3 * wide)
    mean = windows.nanmean(0)
    known = windows.isfinite().all(1).sum(0).clamp(min=1)
    error = ((windows - mean).square().nanmean(0) / known).sqrt().clamp(min=1e-9)
    sure = ((mean / error).abs().amax(0) >= _SURE) & (known >= len(rows) // 2)
    piece = _in_one_piece(sure, slice(high, 2 * high), slice(wide, 2 * wide))
    box = []
    for side, most, axis in ((high, structure.shape[2] // 2, 1), (wide, structure.shape[3] // 2, 0)):
        there = torch.nonzero(piece.any(axis))[:, 0]
        start, stop = (int(there.min()), int(there.max()) + 1) if len(there) > 2 else (side, 2 * side)
        middle = (start + stop) // 2
        box.append(slice(max(start, middle - most // 2), min(stop, middle + -(-most // 2))))
    found = piece[box[0], box[1]]
    return mean[:, box[0], box[1]].nan_to_num(0), _wider(found, 1) if bool(found.any()) else torch.ones_like(found)


def _in_one_piece(pixels: Tensor, rows: slice, columns: slice) -> Tensor:
    """Of ``pixels`` [H, W] those that hang together, over gaps of two pixels, with what is in rows and columns."""
    near = _wider(pixels, _BETWEEN)
    piece = torch.zeros_like(pixels)
    piece[rows, columns] = pixels[rows, columns]
    for _ in range(sum(pixels.shape)):
        more = _wider(piece, 1) & near
        if bool((more == piece).all()):
            break
        piece = more
    return piece & pixels


def _wider(pixels: Tensor, reach: int) -> Tensor:
    return F.max_pool2d(pixels[None, None].float(), 2 * reach + 1, 1, reach)[0, 0] > 0
