"""What is around objects, where somebody says where they are: takes pictures with masks, exchanges backgrounds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.audits.cue import Box, Change, Cue
from seewhy.audits.regions import pasted
from seewhy.audits.subject import Half, Subject

__all__ = ["Background", "backgrounds"]


class Background:
    """All that is no object, wherever that is."""

    kind = "background"

    def told(self) -> Mapping[str, Any]:
        """See `Cue`."""
        return {"tag": "background"}

    def boxes(self, half: Half) -> list[Box | None]:
        """See `Cue`."""
        return [None] * len(half)

    def presence(self, half: Half) -> Tensor:
        """See `Cue`: nobody can say which picture has it."""
        return torch.full((len(half),), torch.nan)

    def pasted(self, own: Half, onto: Half, draw: torch.Generator) -> list[Change]:
        """See `Cue`: against the backgrounds of other classes."""
        turned = torch.arange(len(onto)).roll(1)
        return [
            Change("other classes' background", _behind(onto.inputs, onto, own),
                   _behind(onto.inputs, onto, onto.picked(turned)))
        ]  # fmt: skip

    def removed(self, own: Half, others: Half, draw: torch.Generator) -> list[Change]:
        """See `Cue`: the background of another class, against that of another picture of the class."""
        turned = torch.arange(len(own)).roll(1)
        return [
            Change("other classes' background", _behind(own.inputs, own, others),
                   _behind(own.inputs, own, own.picked(turned)))
        ]  # fmt: skip


def _behind(inputs: Tensor, front: Half, of: Half) -> Tensor:
    """Pictures before the backgrounds of others. Where those have an object, a rectangle around it stays as it was: a
    hole of the object's own outline would show it."""
    assert front.objects is not None
    assert of.objects is not None
    return pasted(inputs, of.inputs, ~(front.objects | _boxes(of.objects)))


def _boxes(objects: Tensor) -> Tensor:
    """The smallest rectangles around all that is marked in each of masks [N, H, W]."""
    found = torch.ones_like(objects)
    for axis in (1, 2):
        line = objects.any(3 - axis)
        between = line.cumsum(1).bool() & line.flip(1).cumsum(1).flip(1).bool()
        found &= between.unsqueeze(3 - axis)
    return found


def backgrounds(subject: Subject, found: Sequence[Cue]) -> list[Cue]:
    """The background, where all halves say where objects are."""
    known = all(half.objects is not None for half in (*subject.own, *subject.others))
    return [Background()] if known else []
