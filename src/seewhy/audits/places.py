"""Cues that keep their place: takes pictures of a class and of others, screens windows and frames by pasting, gives the
few that change the answer most."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.audits.cue import Box, Change, Cue, drawn
from seewhy.audits.regions import Window, fills, frame, pasted, windows
from seewhy.audits.subject import Half, Subject
from seewhy.audits.templates import REACH, fine, kept, likeness, template

__all__ = ["BORDER", "Frame", "Place", "aligned", "frames", "places"]

#: pictures that every window is pasted on when it is screened, and windows that go on
_SCREENED, _KEPT = 16, 2
#: controls at other places: of so many drawn the one whose content varies as much as the cue's
_DRAWN = 4
#: pictures of a class that say whether a data set's pictures are aligned
_FEW = 6
#: the frame that is put around pictures, and how near to their edges its own inner edge is, in shares of the side
BORDER, _NEAR = "border", 0.2
#: widths of frames, in shares of the shorter side
_FRAMES = {BORDER: 0.08, "surround": 0.2}


class _Fixed:
    """What a cue of a fixed place has, whatever its form: a ``mask`` [H, W], and a ``template`` [C, H, W] of what is
    there."""

    def __init__(self, mask: Tensor, made: Tensor) -> None:
        self.mask, self.template = mask, made

    def presence(self, half: Half) -> Tensor:
        """See `Cue`: the correlation with what pictures of the class have there in common."""
        return likeness(fine(half.inputs), self.template, self.mask)


class Place(_Fixed):
    """A window at one place of all pictures."""

    kind = "place"

    def __init__(self, window: Window, size: tuple[int, int], made: Tensor) -> None:
        super().__init__(window.mask(size), made)
        self.window, self._size = window, size
        self._elsewhere = [each for each in windows(size) if window.overlap(each) < 0.25]

    def told(self) -> Mapping[str, Any]:
        """See `Cue`."""
        window = self.window
        rows, columns = self._size
        edges = (
            window.top == 0 or window.top + window.height == rows,
            (window.left == 0 or window.left + window.width == columns),
        )
        return {"box": list(_box(window)), "tag": "corner" if all(edges) else "place"}

    def boxes(self, half: Half) -> list[Box | None]:
        """See `Cue`."""
        return [_box(self.window)] * len(half)

    def _matched(self, inputs: Tensor, draw: torch.Generator) -> Tensor:
        """Masks [N, H, W] of other windows, whose content varies about as much as the cue's."""
        drawn_ = torch.randint(len(self._elsewhere), (len(inputs), _DRAWN), generator=draw)
        varies = torch.stack([inputs[:, :, each.slices[0], each.slices[1]].std((1, 2, 3)) for each in self._elsewhere])
        rows, columns = self.window.slices
        wanted = inputs[:, :, rows, columns].std((1, 2, 3))
        gap = (varies.T.gather(1, drawn_) - wanted[:, None]).abs()
        best = drawn_.gather(1, gap.argmin(1, keepdim=True))[:, 0]
        masks = torch.stack([each.mask(self._size) for each in self._elsewhere])
        return masks[best]

    def pasted(self, own: Half, onto: Half, draw: torch.Generator) -> list[Change]:
        """See `Cue`: against another window of the same pictures, and against the same window of other classes'."""
        edited = pasted(onto.inputs, own.inputs, self.mask)
        elsewhere = pasted(onto.inputs, own.inputs, self._matched(own.inputs, draw))
        turned = onto.inputs.roll(1, 0)
        return [
            Change("another window", edited, elsewhere),
            Change("other classes' window", edited, pasted(onto.inputs, turned, self.mask)),
        ]

    def removed(self, own: Half, others: Half, draw: torch.Generator) -> list[Change]:
        """See `Cue`."""
        x, elsewhere = own.inputs, self._matched(own.inputs, draw)
        return [
            Change(name, pasted(x, fill, self.mask), pasted(x, fill, elsewhere))
            for name, fill in fills(x, others.inputs).items()
        ]


def _box(window: Window) -> Box:
    return window.left, window.top, window.left + window.width, window.top + window.height


class Frame(_Fixed):
    """The frame of all pictures."""

    kind = "frame"

    def __init__(self, name: str, mask: Tensor, made: Tensor) -> None:
        super().__init__(mask, made)
        self.name = name

    def told(self) -> Mapping[str, Any]:
        """See `Cue`."""
        return {"frame": self.name, "width": _FRAMES[self.name], "tag": self.name}

    def boxes(self, half: Half) -> list[Box | None]:
        """See `Cue`: what is inside the frame."""
        height, width = self.mask.shape
        wide = max(1, round(min(height, width) * _FRAMES[self.name]))
        return [(wide, wide, width - wide, height - wide)] * len(half)

    def set_off(self, half: Half) -> float:
        """How many times as much as inside pixels change from one row or column to the next somewhere near each of the
        four edges, at the edge where that is least; the mean of the half of the pictures in which it is most. What goes
        on as it is inside has about 1, a frame that was put around pictures much more."""
        x = half.inputs
        rows, columns = (
            (x.narrow(axis, 1, x.shape[axis] - 1) - x.narrow(axis, 0, x.shape[axis] - 1)).abs().mean((1, 5 - axis))
            for axis in (2, 3)
        )  # [N, H - 1] and [N, W - 1]
        near = max(2, round(_NEAR * min(x.shape[2:])))
        edges = [some[:, part] for some in (rows, columns) for part in (slice(None, near), slice(-near, None))]
        inside = torch.cat([some[:, near:-near] for some in (rows, columns)], 1).mean(1)
        least = torch.stack([edge.amax(1) for edge in edges]).amin(0) / inside.clamp(min=1e-9)
        return float(least.sort().values[len(least) // 2 :].mean())

    def pasted(self, own: Half, onto: Half, draw: torch.Generator) -> list[Change]:
        """See `Cue`: against the same frame of other classes' pictures."""
        turned = onto.inputs.roll(1, 0)
        edited = pasted(onto.inputs, own.inputs, self.mask)
        return [Change("other classes' frame", edited, pasted(onto.inputs, turned, self.mask))]

    def removed(self, own: Half, others: Half, draw: torch.Generator) -> list[Change]:
        """See `Cue`: the frame of another class, against that of another picture of the class."""
        turned = own.inputs.roll(1, 0)
        return [
            Change("other classes' frame", pasted(own.inputs, others.inputs, self.mask),
                   pasted(own.inputs, turned, self.mask))
        ]  # fmt: skip


def places(subject: Subject, found: Sequence[Cue]) -> list[Cue]:
    """The windows that, pasted on other classes' pictures, make the class more likely than windows at other places do,
    on average; they do not overlap."""
    own, others = subject.own[0], subject.others[0]
    draw = subject.generator("places")
    onto, donors = drawn(others, _SCREENED, draw), drawn(own, _SCREENED, draw)
    there = windows(subject.size)
    edited = torch.cat([pasted(onto.inputs, donors.inputs, each.mask(subject.size)) for each in there])
    raised = subject.answers(edited)[:, 0].reshape(len(there), -1).mean(1)
    kept: list[Window] = []
    for n in raised.argsort(descending=True).tolist():
        if all(there[n].overlap(each) < 0.25 for each in kept):
            kept.append(there[n])
        if len(kept) == _KEPT:
            break
    structure = fine(own.inputs)
    return [Place(each, subject.size, template(structure, each.mask(subject.size))) for each in kept]


def aligned(subject: Subject) -> float:
    """Which share of all windows keeps its place in the pictures of other classes, the median of classes: near 0 for
    photos; where pictures are aligned, as digits, faces and radiographs are, objects keep their places, too."""
    first, second = subject.others
    structure, mine = fine(first.inputs), fine(second.inputs)
    masks = [each.mask(subject.size) for each in windows(subject.size)]
    shares = []
    for index in torch.unique(first.truth).tolist():
        own, also = first.truth == index, second.truth == index
        if min(int(own.sum()), int(also.sum())) >= _FEW and not bool(also.all()):
            found = []
            for mask in masks:
                alike = likeness(mine, template(structure[own], mask), mask)
                found.append(kept(alike[also], alike[~also])[1])
            shares.append(sum(found) / len(found))
    return float(torch.tensor(shares).median()) if shares else 0.0


def frames(subject: Subject, found: Sequence[Cue]) -> list[Cue]:
    """The border, and what is between it and the middle, both without the windows that were found: each place has one
    trial, so that what is in a corner is not found to be the border, too."""
    rest = torch.ones(subject.size)
    for each in found:
        if isinstance(each, Place):
            rows, columns = each.window.slices
            # a template's fine structure reaches a little beyond a window
            rest[
                max(rows.start - REACH, 0) : rows.stop + REACH, max(columns.start - REACH, 0) : columns.stop + REACH
            ] = 0
    structure = fine(subject.own[0].inputs)
    made: list[Cue] = []
    for name, share in _FRAMES.items():
        mask = frame(subject.size, share) * rest
        rest = rest - mask
        made.append(Frame(name, mask, template(structure, mask)))
    return made
