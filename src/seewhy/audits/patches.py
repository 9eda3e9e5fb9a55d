"""Cues that turn up anywhere: takes pictures and their evidence, gives windows that look alike wherever they are, and
change the answer when they are pasted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.audits.cue import Box, Change, Cue, drawn
from seewhy.audits.matching import anywhere, away, cut, cut_around, matches, put
from seewhy.audits.regions import fills
from seewhy.audits.subject import Half, Subject

__all__ = ["Patch", "outside_share", "patches", "peaks"]

#: sides of windows, in shares of the picture's
_SHARES = (0.17, 0.25)
#: pictures that each window is pasted on when it is screened, and how much more likely than a window of the same
#: picture elsewhere it has to make the class there
_SCREENED, _POTENT = 2, 0.1
#: how alike two windows are that show one thing, and a picture's best window is to be the thing
_ALIKE = 0.6
#: exemplars whose windows are compared
_COMPARED = 4
#: of pictures' deviation: what a pixel that comes again as it was has at most, and such pixels among one another at
#: least; and the share of a window that they are at least
_STILL, _SHADES, _SAME = 0.2, 0.5, 0.15
#: windows of the class that a group has at least, in shares of its pictures and in number
_GROUP, _FEWEST = 0.08, 5


class Patch:
    """Something that looks like its ``exemplars`` [E, C, h, w], wherever it is."""

    kind = "patch"

    def __init__(self, exemplars: Tensor, outside: float, names: Sequence[int], tag: str = "patch") -> None:
        self.exemplars, self.outside, self.rows, self.tag = exemplars.contiguous(), outside, tuple(names), tag

    @property
    def size(self) -> tuple[int, int]:
        """Rows and columns of its window."""
        height, width = self.exemplars.shape[2:]
        return int(height), int(width)

    @property
    def mask(self) -> Tensor | None:
        """Which pixels of its window are it [h, w]; None for all."""
        return None

    def told(self) -> Mapping[str, Any]:
        """See `Cue`: the size of its window, in how many pictures it was seen, and which share of it is no object."""
        return {"size": list(self.size), "seen in": len(self.rows), "outside": self.outside, "tag": self.tag}

    def found(self, half: Half) -> tuple[Tensor, Tensor, Tensor]:
        """Where each picture has most of it: how much, top and left, each [N]."""
        return self._alike(half, self.exemplars)

    def _alike(self, half: Half, exemplars: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where pictures are the most alike to exemplars, see `matches`."""
        return matches(half.inputs, exemplars)

    def boxes(self, half: Half) -> list[Box | None]:
        """See `Cue`."""
        height, width = self.size
        _, top, left = self.found(half)
        return [(x, y, x + width, y + height) for y, x in zip(top.tolist(), left.tolist(), strict=True)]

    def presence(self, half: Half) -> Tensor:
        """See `Cue`: the correlation of the most alike window with an exemplar."""
        return self.found(half)[0]

    def unchanged(self, own: Half) -> tuple[float, str]:
        """Which share of its pixels comes again as it was, and that in words if it is one that counts.

        Their standard deviation, over the windows that are the most alike to an exemplar, is less than a fifth of what
        pixels of these pictures have, and they are not all of one shade, as a white ground is. Parts of things vary
        with light, pose and kind; what was put into pictures, a stamp, letters, does not. The exemplar of the largest
        share counts."""
        spread = own.inputs.std((0, 2, 3)).mean()
        most = 0.0
        for each in self.exemplars[:_COMPARED]:
            alike, top, left = self._alike(own, each[None])
            rows = alike.argsort(descending=True, stable=True)[: max(2, len(own) // 2)]
            windows = cut(own.inputs[rows], top[rows], left[rows], *self.size)
            same = windows.std(0).mean(0) < _STILL * spread
            shades = windows.mean(0)[:, same]
            if int(same.sum()) > 1 and bool(shades.std(1).mean() >= _SHADES * spread):
                most = max(most, float(same.double().mean()))
        return most, f"{most:.0%} of its pixels are the same in the pictures that have it" if most >= _SAME else ""

    def _cut(self, half: Half, top: Tensor, left: Tensor) -> Tensor:
        return cut(half.inputs, top, left, *self.size)

    def pasted(self, own: Half, onto: Half, draw: torch.Generator) -> list[Change]:
        """See `Cue`: against windows of the same pictures elsewhere, and of other classes' pictures."""
        size = self.size
        _, top, left = self.found(own)
        there = anywhere(onto.inputs, size, draw)
        elsewhere = away(own.inputs, top, left, size, draw)
        edited = put(onto.inputs, self._cut(own, top, left), *there, self.mask)
        turned = onto.inputs.roll(1, 0)
        others = cut(turned, *anywhere(turned, size, draw), *size)
        return [
            Change("another window", edited, put(onto.inputs, self._cut(own, *elsewhere), *there, self.mask)),
            Change("other classes' window", edited, put(onto.inputs, others, *there, self.mask)),
        ]

    def removed(self, own: Half, others: Half, draw: torch.Generator) -> list[Change]:
        """See `Cue`."""
        size = self.size
        _, top, left = self.found(own)
        elsewhere = away(own.inputs, top, left, size, draw)
        return [
            Change(
                name,
                put(own.inputs, cut(fill, top, left, *size), top, left, self.mask),
                put(own.inputs, cut(fill, *elsewhere, *size), *elsewhere, self.mask),
            )
            for name, fill in fills(own.inputs, others.inputs).items()
        ]


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
