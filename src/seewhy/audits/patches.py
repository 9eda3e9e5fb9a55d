"""Cues that turn up anywhere: takes pictures and their evidence, gives windows that look alike wherever they are, and
change the answer when they are pasted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.audits.cue import Box, Change, Cue, drawn
from seewhy.audits.regions import fills
from seewhy.audits.subject import Half, Subject

__all__ = ["Patch", "cut", "outside_share", "patches", "peaks"]

#: sides of windows, in shares of the picture's
_SHARES = (0.17, 0.25)
#: pictures that each window is pasted on when it is screened, and how much more likely than a window of the same
#: picture elsewhere it has to make the class there
_SCREENED, _POTENT = 2, 0.1
#: how alike two windows are that show one thing, and a picture's best window is to be the thing
_ALIKE = 0.6
#: pixels of the shorter side that a comparison of windows takes
_COARSE = 64
#: windows of the class that a group has at least, in shares of its pictures and in number
_GROUP, _FEWEST = 0.08, 5


class Patch:
    """Something that looks like its ``exemplars`` [E, C, h, w], wherever it is."""

    kind = "patch"

    def __init__(self, exemplars: Tensor, outside: float, names: Sequence[int], tag: str = "patch") -> None:
        self.exemplars, self.outside, self.rows, self.tag = exemplars.contiguous(), outside, tuple(names), tag

    def told(self) -> Mapping[str, Any]:
        """See `Cue`: the size of its window, in how many pictures it was seen, and which share of it is no object."""
        return {
            "size": list(self.exemplars.shape[2:]),
            "seen in": len(self.rows),
            "outside": self.outside,
            "tag": self.tag,
        }

    def found(self, half: Half) -> tuple[Tensor, Tensor, Tensor]:
        """Where each picture has most of it: how much, top and left, each [N]."""
        return matches(half.inputs, self.exemplars)

    def boxes(self, half: Half) -> list[Box | None]:
        """See `Cue`."""
        height, width = self.exemplars.shape[2:]
        _, top, left = self.found(half)
        return [(x, y, x + width, y + height) for y, x in zip(top.tolist(), left.tolist(), strict=True)]

    def presence(self, half: Half) -> Tensor:
        """See `Cue`: the correlation of the most alike window with an exemplar."""
        return self.found(half)[0]

    def _cut(self, half: Half, top: Tensor, left: Tensor) -> Tensor:
        return cut(half.inputs, top, left, *self.exemplars.shape[2:])

    def pasted(self, own: Half, onto: Half, draw: torch.Generator) -> list[Change]:
        """See `Cue`: against windows of the same pictures elsewhere, and of other classes' pictures."""
        size = self.exemplars.shape[2:]
        _, top, left = self.found(own)
        there = anywhere(onto.inputs, size, draw)
        elsewhere = away(own.inputs, top, left, size, draw)
        edited = put(onto.inputs, self._cut(own, top, left), *there)
        turned = onto.inputs.roll(1, 0)
        return [
            Change("another window", edited, put(onto.inputs, self._cut(own, *elsewhere), *there)),
            Change("other classes' window", edited,
                   put(onto.inputs, cut(turned, *anywhere(turned, size, draw), *size), *there)),
        ]  # fmt: skip

    def removed(self, own: Half, others: Half, draw: torch.Generator) -> list[Change]:
        """See `Cue`."""
        size = self.exemplars.shape[2:]
        _, top, left = self.found(own)
        elsewhere = away(own.inputs, top, left, size, draw)
        return [
            Change(name, put(own.inputs, cut(fill, top, left, *size), top, left),
                   put(own.inputs, cut(fill, *elsewhere, *size), *elsewhere))
            for name, fill in fills(own.inputs, others.inputs).items()
        ]  # fmt: skip


def patches(subject: Subject, found: Sequence[Cue]) -> list[Cue]:
    """Groups of windows of high evidence which look alike, and make the class more likely on other classes' pictures
    than windows of the same pictures elsewhere do."""
    own, others = subject.own[0], subject.others[0]
    if own.evidence is None:
        return []
    made: list[Cue] = []
    for share in _SHARES:
        size = (max(3, round(subject.size[0] * share)), max(3, round(subject.size[1] * share)))
        draw = subject.generator(f"patches {share}")
        top, left = peaks(own.evidence, size)
        elsewhere = away(own.inputs, top, left, size, draw)
        windows = cut(own.inputs, top, left, *size)
        raised = torch.zeros(len(own), dtype=torch.float64)
        for _ in range(_SCREENED):
            onto = drawn(others, len(own), draw)
            there = anywhere(onto.inputs, size, draw)
            edited = subject.answers(put(onto.inputs, windows, *there))[:, 1]
            control = subject.answers(put(onto.inputs, cut(own.inputs, *elsewhere, *size), *there))[:, 1]
            raised += (edited - control) / _SCREENED
        potent = torch.nonzero(raised > _POTENT)[:, 0]
        for group in groups(own.inputs, windows, top, left, potent, max(_FEWEST, round(_GROUP * len(own)))):
            exemplars = windows[group]
            made.append(Patch(exemplars[:8], outside_share(own, top[group], left[group], size, group), group.tolist()))
    return made


def outside_share(own: Half, top: Tensor, left: Tensor, size: tuple[int, int], rows: Tensor) -> float:
    """Which share of windows is no object; NaN where nobody knows."""
    if own.objects is None:
        return float("nan")
    return 1 - float(cut(own.objects[rows][:, None].float(), top, left, *size).mean())


def peaks(evidence: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Where windows of a size hold most positive evidence [N, H, W]: top and left [N]."""
    held = F.avg_pool2d(evidence.clamp(min=0)[:, None], size, 1)[:, 0]
    best = held.flatten(1).argmax(1)
    return best // held.shape[2], best % held.shape[2]


def groups(inputs: Tensor, windows: Tensor, top: Tensor, left: Tensor, rows: Tensor, fewest: int) -> list[Tensor]:
    """Rows whose windows look alike, largest group first: each row is compared with the most alike window of the
    others' pictures near their own one, so that a thing need not sit in the middle of its window; a group are a row and
    all that are like it."""
    left_over = rows
    found: list[Tensor] = []
    while len(left_over) >= fewest:
        reach = max(2, windows.shape[2] // 3)
        near = cut_around(inputs[left_over], top[left_over], left[left_over], windows.shape[2:], reach)
        alike = torch.stack([matches(near, windows[n][None])[0] for n in left_over]) >= _ALIKE
        best = int(alike.sum(1).argmax())
        members = left_over[alike[best]]
        if len(members) < fewest:
            break
        centre = left_over[best]
        found.append(torch.cat([centre[None], members[members != centre]]))
        left_over = left_over[~alike[best]]
    return found


def cut(inputs: Tensor, top: Tensor, left: Tensor, height: int, width: int) -> Tensor:
    """The windows [N, C, height, width] at a place for each picture."""
    rows = top[:, None] + torch.arange(height)
    columns = left[:, None] + torch.arange(width)
    every = torch.arange(len(inputs))[:, None, None]
    return inputs.movedim(1, -1)[every, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def cut_around(inputs: Tensor, top: Tensor, left: Tensor, size: Sequence[int], reach: int) -> Tensor:
    """Windows larger by ``reach`` on each side, as far as pictures go: edges are repeated."""
    padded = F.pad(inputs, (reach, reach, reach, reach), mode="replicate")
    return cut(padded, top, left, size[0] + 2 * reach, size[1] + 2 * reach)


def put(onto: Tensor, windows: Tensor, top: Tensor, left: Tensor) -> Tensor:
    """Pictures with windows [N, C, h, w] at a place of each."""
    found = onto.clone()
    rows = top[:, None] + torch.arange(windows.shape[2])
    columns = left[:, None] + torch.arange(windows.shape[3])
    every = torch.arange(len(onto))[:, None, None]
    found.movedim(1, -1)[every, rows[:, :, None], columns[:, None, :]] = windows.movedim(1, -1)
    return found


def anywhere(inputs: Tensor, size: Sequence[int], draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """A place for a window in each picture."""
    return (
        torch.randint(inputs.shape[2] - size[0] + 1, (len(inputs),), generator=draw),
        torch.randint(inputs.shape[3] - size[1] + 1, (len(inputs),), generator=draw),
    )


def away(
    inputs: Tensor, top: Tensor, left: Tensor, size: Sequence[int], draw: torch.Generator
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """A place in each picture that does not meet the window at ``top``, ``left`` more than it must, of eight drawn the
    one whose content varies about as much."""
    wanted = cut(inputs, top, left, *size).std((1, 2, 3))
    cost = torch.full((len(inputs),), float("inf"))
    chosen = [top.clone(), left.clone()]
    for _ in range(8):
        rows, columns = anywhere(inputs, size, draw)
        meets = ((rows - top).abs() < size[0]) & ((columns - left).abs() < size[1])
        gap = (cut(inputs, rows, columns, *size).std((1, 2, 3)) - wanted).abs() + 1e3 * meets
        better = gap < cost
        cost = torch.where(better, gap, cost)
        chosen = [torch.where(better, rows, chosen[0]), torch.where(better, columns, chosen[1])]
    return chosen[0], chosen[1]


def matches(inputs: Tensor, exemplars: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The normalised correlation of each picture's window that is the most alike to one of ``exemplars``, colours as
    they are and brightness taken out, and its top and left, each [N]. Large pictures are compared at a fraction of
    their size, and their windows' places are multiples of it."""
    coarse = max(1, min(min(inputs.shape[2:]) // _COARSE, min(exemplars.shape[2:]) // 4))
    if coarse > 1:
        inputs, exemplars = F.avg_pool2d(inputs, coarse), F.avg_pool2d(exemplars, coarse)
    _, channels, height, width = exemplars.shape
    kernels = exemplars - exemplars.mean((1, 2, 3), keepdim=True)
    kernels = kernels / kernels.flatten(1).norm(dim=1).clamp(min=1e-6)[:, None, None, None]
    ones = torch.ones(1, channels, height, width)
    total, squares = F.conv2d(inputs, ones), F.conv2d(inputs.square(), ones)
    number = channels * height * width
    length = (squares - total.square() / number).clamp(min=1e-6).sqrt()
    alike = (F.conv2d(inputs, kernels) / length).amax(1)
    best = alike.flatten(1).max(1)
    return best.values, coarse * (best.indices // alike.shape[2]), coarse * (best.indices % alike.shape[2])
