"""Training pictures for repairs: takes pictures with classes and proved cues, gives them in lots, each picture as it is
and once more with a cue put in or taken out; of thousands of pictures it holds no more than a lot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import torch
from torch import Tensor

from seewhy.api.given.images import Item
from seewhy.audits.cue import Cue
from seewhy.audits.mending.counterfactual import counterfactuals
from seewhy.audits.subject import Half, hash_of
from seewhy.core.forward.settings import Settings
from seewhy.errors import UsageError

__all__ = ["InHand", "Lot", "Pictures", "Tally", "Training"]

#: pictures that are worked on at once, and bytes that they may take
_AT_ONCE, _BYTES = 256, 2**28
#: pictures of a cue's class that come into a lot together: with a thousand classes there would be none or one
_TOGETHER = 8
#: a bit of a group's number for each cue
_MOST_CUES = 40


class Pictures(Protocol):
    """Pictures with their classes, ``truth`` [N], and the groups that their source has them in, ``kinds`` [N], to be
    had a few at a time."""

    truth: Tensor
    kinds: Tensor

    def picked(self, rows: Tensor) -> tuple[Half, Tensor]:
        """Those of ``rows`` that can be had, and which they are."""
        ...


class InHand:
    """Pictures that are there already."""

    def __init__(self, half: Half) -> None:
        self.half, self.truth, self.kinds = half, half.truth, torch.zeros_like(half.truth)

    def picked(self, rows: Tensor) -> tuple[Half, Tensor]:
        """See `Pictures`."""
        return self.half.picked(rows), rows


@dataclass(frozen=True, eq=False)
class Lot:
    """Some inputs [N, C, H, W], pictures as they are first, ``plain`` of them: their ``labels``, ``groups`` (a number
    for each class with each set of cues) and of which of the training ``pictures`` each is, [N]; ``twins`` are rows of
    one picture with and without cues, ``cues`` which ones, for each pair; ``has`` says which rows have them put in;
    ``half`` are the pictures as they are."""

    inputs: Tensor
    labels: Tensor
    groups: Tensor
    pictures: Tensor
    twins: list[tuple[int, int]]
    cues: list[tuple[int, ...]]
    has: list[bool]
    half: Half

    @property
    def plain(self) -> int:
        """How many come as they are."""
        return len(self.half)


@dataclass
class Tally:
    """Of a cue: pictures of its class that were looked at, and that ``have`` it; counterfactual ones without it and
    with it."""

    pictures: int = 0
    have: int = 0
    removed: int = 0
    pasted: int = 0


@dataclass(frozen=True, eq=False)
class Training:
    """Training ``pictures``, as an ``item``'s input is shaped; ``cues`` are those of classes that an audit proved;
    everything is drawn from ``seed``. ``tally`` says of each cue what the last pass has found."""

    pictures: Pictures
    item: Item
    cues: Sequence[tuple[int, Cue]]
    settings: Settings = field(default_factory=Settings)
    seed: int = 0
    tally: list[Tally] = field(default_factory=list)

    def __post_init__(self) -> None:
        if not self.cues:
            raise UsageError("no cue to mend: the audit found no shortcut")
        if len(self.cues) > _MOST_CUES:
            raise UsageError(f"{len(self.cues)} cues: {_MOST_CUES} are mended at once")
        if bool((self.pictures.truth < 0).any()):
            raise UsageError("training pictures without a class: a head is fitted to classes")

    @cached_property
    def some(self) -> Tensor:
        """A few inputs."""
        return self.pictures.picked(torch.arange(min(4, len(self.pictures.truth))))[0].inputs

    @property
    def count(self) -> int:
        """How many lots there are."""
        return -(-len(self.pictures.truth) // self._at_once)

    @property
    def _at_once(self) -> int:
        each = 4 * self.item.tensor.numel()
        return max(_TOGETHER, min(_AT_ONCE, _BYTES // each))

    def lots(self) -> Iterator[Lot]:
        """All pictures, in an order that mixes classes, the same in every pass."""
        draw = torch.Generator().manual_seed(hash_of(self.seed, "training"))
        self.tally[:] = [Tally() for _ in self.cues]
        for rows in torch.split(self._order(draw), self._at_once):
            half, there = self.pictures.picked(rows)
            if len(there):
                yield self._lot(half, there, draw)

    def check(self) -> None:
        """Raise `UsageError` where the last pass has found no picture whose cue could be exchanged."""
        if any(each.removed for each in self.tally):
            return
        if any(each.have for each in self.tally):
            raise UsageError(
                f"untestable: where the cue is, is the object in all {sum(each.have for each in self.tally)} training "
                "pictures that have it, so that taking it away takes the object"
            )
        looked = sum(each.pictures for each in self.tally)
        raise UsageError(
            f"of {looked} training pictures of the classes with a cue none has more of it than those of other classes: "
            "is it these pictures that the model has learnt from?"
        )

    def _order(self, draw: torch.Generator) -> Tensor:
        truth = self.pictures.truth
        order = torch.randperm(len(truth), generator=draw)
        # pictures of one class take turns as one: in the order of the first of each few
        turn = torch.arange(len(order))
        for index in {index for index, _ in self.cues}:
            places = torch.nonzero(truth[order] == index)[:, 0]
            turn[places] = places[torch.arange(len(places)) // _TOGETHER * _TOGETHER]
        return order[turn.argsort(stable=True)]

    def _together(self) -> list[tuple[int, tuple[int, ...]]]:
        """What is exchanged at once, by class: each cue, and all of a class that has several; of two that are in every
        picture one would be left whenever the other is taken away."""
        found: list[tuple[int, tuple[int, ...]]] = [(index, (n,)) for n, (index, _) in enumerate(self.cues)]
        for index in dict.fromkeys(index for index, _ in self.cues):
            mine = tuple(number for number, (own, _) in enumerate(self.cues) if own == index)
            if len(mine) > 1:
                found.append((index, mine))
        return found

    def _lot(self, half: Half, rows: Tensor, draw: torch.Generator) -> Lot:
        inputs, labels, pictures = [half.inputs], [half.truth], [rows]
        has = torch.zeros(len(half), dtype=torch.long)
        made: list[tuple[Tensor, Tensor, tuple[int, ...], bool]] = []
        for index, some in self._together():
            own, others = torch.nonzero(half.truth == index)[:, 0], torch.nonzero(half.truth != index)[:, 0]
            alone = self.tally[some[0]] if len(some) == 1 else Tally()
            alone.pictures += len(own)
            if len(own) < 2 or len(others) < 2:
                continue
            try:
                cues = [self.cues[number][1] for number in some]
                new = counterfactuals(cues, half.picked(own), half.picked(others), draw)
            except UsageError:  # no picture of this lot has it
                continue
            alone.have, alone.removed = alone.have + len(new.have), alone.removed + len(new.removed)
            alone.pasted += len(new.pasted)
            if len(some) == 1:
                has[own[new.have]] |= 1 << some[0]
            made.append((new.removed, own[new.removed_rows], some, False))
            made.append((new.pasted, others[new.pasted_rows], some, True))
        groups, twins = [half.truth * (1 << len(self.cues)) + has], list[tuple[int, int]]()
        start, which, put = len(half), list[tuple[int, ...]](), [False] * len(half)
        for edited, of, some, pasted in made:
            bits = sum(1 << number for number in some)
            mine = has[of] | bits if pasted else has[of] & ~bits
            inputs.append(edited)
            labels.append(half.truth[of])
            groups.append(half.truth[of] * (1 << len(self.cues)) + mine)
            pictures.append(rows[of])
            twins += [(int(one), start + n) for n, one in enumerate(of.tolist())]
            which += [some] * len(of)
            put += [pasted] * len(of)
            start += len(of)
        return Lot(
            torch.cat(inputs), torch.cat(labels), torch.cat(groups), torch.cat(pictures), twins, which, put, half
        )  # fmt: skip
