"""What is audited: takes pictures of one class and of others, in halves, gives a class's subject, whose first half
proposes and whose second half decides."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

__all__ = ["Half", "Score", "Subject", "answers"]

#: scores [B, K] before a softmax, of inputs [B, C, H, W]
Score = Callable[[Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Half:
    """Some pictures, as the model is given them: ``inputs`` [N, C, H, W], the class ``said`` by the model and its
    ``truth`` [N], -1 where nobody knows; with ``evidence`` [N, H, W] for the audited class, signed, where it was
    measured, ``traits`` [N, D], what a layer says where that evidence is, and where ``objects`` are [N, H, W], where
    that is known."""

    inputs: Tensor
    said: Tensor
    truth: Tensor
    evidence: Tensor | None = None
    objects: Tensor | None = None
    traits: Tensor | None = None

    def __len__(self) -> int:
        return len(self.inputs)

    def picked(self, rows: Tensor) -> Half:
        """Those of ``rows``."""
        known = (None if each is None else each[rows] for each in (self.evidence, self.objects, self.traits))
        return Half(self.inputs[rows], self.said[rows], self.truth[rows], *known)


@dataclass(frozen=True, eq=False)
class Subject:
    """A class, ``index`` in the model's row of scores; pictures of it and of others, each in two halves: cues are found
    on the first and proved on the second. ``score`` is the model; ``seed`` is what everything is drawn from."""

    index: int
    own: tuple[Half, Half]
    others: tuple[Half, Half]
    score: Score
    seed: int = 0
    #: scores that were asked for
    asked: list[int] = field(default_factory=lambda: [0])

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the pictures."""
        height, width = self.own[0].inputs.shape[2:]
        return int(height), int(width)

    @cached_property
    def spread(self) -> float:
        """The standard deviation of the logarithm of the class's odds over pictures of the second half, half of them of
        the class."""
        some = min(len(self.own[1]), len(self.others[1]), 64)
        odds = self.answers(torch.cat([self.own[1].inputs[:some], self.others[1].inputs[:some]]))[:, 0]
        return float(odds.std())

    def generator(self, word: str) -> torch.Generator:
        """Draws of their own for each purpose, so that a cue that comes or goes changes no other's."""
        return torch.Generator().manual_seed(hash_of(self.seed, self.index, word))

    def answers(self, inputs: Tensor) -> Tensor:
        """How likely the class is, see `answers`."""
        self.asked[0] += len(inputs)
        return answers(self.score(inputs), self.index)


def answers(scores: Tensor, index: int) -> Tensor:
    """Of scores [N, K] how likely a class is [N, 3] in double precision: the logarithm of its odds against all others,
    its probability, and 1 where it is the top one."""
    scores = scores.double()
    rest = torch.cat([scores[:, :index], scores[:, index + 1 :]], 1).logsumexp(1)
    odds = scores[:, index] - rest
    return torch.stack([odds, odds.sigmoid(), (scores.argmax(1) == index).double()], 1)


def hash_of(*words: object) -> int:
    """A seed that is the same in every process."""
    number = 1469598103934665603
    for letter in repr(words).encode():
        number = (number ^ letter) * 1099511628211 % (1 << 63)
    return number
