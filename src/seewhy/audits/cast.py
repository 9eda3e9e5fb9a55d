"""A cue of colour: takes pictures of a class and of others, gives the shift of colour between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.audits.cue import Box, Change, Cue, drawn
from seewhy.audits.subject import Half, Subject

__all__ = ["Cast", "casts"]

#: of a class's pictures those have a cast that are the most shifted: from this share on
_MOST = 0.8
#: pictures of other classes that the model is asked about, for each channel and sign
_ASKED = 16
#: in standard deviations of pictures' colours: less than this no cast is worth a trial
_LEAST = 0.3
#: in standard deviations of all pixels: nobody sees a fainter one, and objects of one colour shift pictures as far
_FAINT = 0.25


class Cast:
    """All pictures' colours ``shift``ed [C]; ``middle`` [C] and the ``inverse`` covariance [C, C] are of other classes'
    colours."""

    kind = "cast"

    def __init__(self, shift: Tensor, inverse: Tensor, middle: Tensor) -> None:
        self.shift, self.inverse, self.middle = shift, inverse, middle
        self._along = inverse @ shift

    def told(self) -> Mapping[str, Any]:
        """See `Cue`: in units of the input."""
        return {"shift": [round(value, 4) for value in self.shift.tolist()], "tag": "colour cast"}

    def boxes(self, half: Half) -> list[Box | None]:
        """See `Cue`."""
        return [None] * len(half)

    def presence(self, half: Half) -> Tensor:
        """See `Cue`: how far a picture's colour is along the shift, the spread of others' taken into account."""
        return (colours(half.inputs) - self.middle) @ self._along

    def _other(self, count: int, draw: torch.Generator) -> Tensor:
        """Shifts as long in directions that have nothing of it [N, C]."""
        others = torch.randn(count, len(self.shift), generator=draw)
        unit = self.shift / self.shift.norm()
        others -= (others @ unit)[:, None] * unit
        found: Tensor = others / others.norm(dim=1, keepdim=True).clamp(min=1e-12) * self.shift.norm()
        return found

    def pasted(self, own: Half, onto: Half, draw: torch.Generator) -> list[Change]:
        """See `Cue`: against shifts in other directions."""
        moved = onto.inputs + self.shift[:, None, None]
        return [Change("another shift", moved, onto.inputs + self._other(len(onto), draw)[:, :, None, None])]

    def removed(self, own: Half, others: Half, draw: torch.Generator) -> list[Change]:
        """See `Cue`."""
        moved = own.inputs - self.shift[:, None, None]
        return [Change("another shift", moved, own.inputs + self._other(len(own), draw)[:, :, None, None])]


def colours(inputs: Tensor) -> Tensor:
    """The median of each channel of pictures [N, C]: an object, which covers less than half of its picture, does not
    move it far."""
    return inputs.flatten(2).median(2).values


def casts(subject: Subject, found: Sequence[Cue]) -> list[Cue]:
    """The shift between the colours of the class and of others, and the one that the model answers to most, as far as
    pictures of the class are shifted along it, each if it is worth a trial. Natural colours may hide the first: a class
    that is darker than others and has a bright cast in most of its pictures has the others' mean."""
    own, others = (colours(half.inputs) for half in (subject.own[0], subject.others[0]))
    if own.shape[1] < 2:
        return []
    middle, spread = others.mean(0), torch.cov(others.T)
    inverse = torch.linalg.inv(spread + 1e-4 * spread.diagonal().mean().clamp(min=1e-9) * torch.eye(len(spread)))
    along = _answered(subject, spread.diagonal().sqrt())
    ends = ((part @ along).quantile(_MOST) for part in (own, others))
    shifts = [own.mean(0) - middle, along * (next(ends) - next(ends)).clamp(min=0)]
    faint = _FAINT * float(subject.others[0].inputs.std())
    return [
        Cast(each, inverse, middle)
        for each in shifts
        if float(each.norm()) >= faint and float(each @ inverse @ each) ** 0.5 >= _LEAST
    ]


def _answered(subject: Subject, steps: Tensor) -> Tensor:
    """The direction [C], of length one, in which a shift of colours makes the class likelier fastest, by differences
    over half a standard deviation of each channel on some pictures of other classes."""
    onto = drawn(subject.others[0], _ASKED, subject.generator("casts")).inputs
    moves = torch.diag(steps.clamp(min=1e-6) / 2)
    moved = torch.cat([onto + sign * each[:, None, None] for each in moves for sign in (1, -1)])
    odds = subject.answers(moved)[:, 0].reshape(len(moves), 2, -1).mean(2)
    slope = ((odds[:, 0] - odds[:, 1]) / moves.diagonal()).float()
    unit: Tensor = slope / slope.norm().clamp(min=1e-12)
    return unit
