"""What every cue can do: takes pictures, gives them with the cue, without it, and with as much else as it is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from seewhy.audits.subject import Half

__all__ = ["Box", "Change", "Cue", "drawn"]


#: left, top, right, bottom, in pixels of the input
Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class Change:
    """Pictures changed in the way that is asked about, ``edited`` [N, C, H, W], and as much in a way that is not,
    ``control``, picture by picture; ``name`` says how."""

    name: str
    edited: Tensor
    control: Tensor


class Cue(Protocol):
    """What may cause the answer of a class: a place of the picture, its frame, its colour, its background, or something
    that turns up anywhere."""

    #: what it is: ``place``, ``frame``, ``cast``, ``background`` or ``patch``
    kind: str

    def told(self) -> Mapping[str, Any]:
        """Where it is, as JSON holds it."""
        ...

    def pasted(self, own: Half, onto: Half, draw: torch.Generator) -> list[Change]:
        """Pictures of other classes with the cue of pictures of its class, against each kind of control."""
        ...

    def removed(self, own: Half, others: Half, draw: torch.Generator) -> list[Change]:
        """Pictures of the class without the cue, by each way of hiding, against hiding as much elsewhere."""
        ...

    def boxes(self, half: Half) -> list[Box | None]:
        """Where each picture has it, for a drawing; None where that is no rectangle."""
        ...

    def presence(self, half: Half) -> Tensor:
        """How much of the cue each picture has [N]."""
        ...


def drawn(half: Half, count: int, draw: torch.Generator) -> Half:
    """So many of a half: all of them in another order as often as it takes."""
    turns = -(-count // len(half))
    rows = torch.cat([torch.randperm(len(half), generator=draw) for _ in range(turns)])[:count]
    return half.picked(rows)
