"""Training pictures for repairs: takes pictures with classes and proved cues, gives them in lots, each picture as it is
and once more with a cue put in or taken out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from seewhy.api.given.images import Item
from seewhy.audits.cue import Cue
from seewhy.audits.mending.counterfactual import counterfactuals
from seewhy.audits.subject import Half, hash_of
from seewhy.core.forward.settings import Settings
from seewhy.errors import UsageError

__all__ = ["Lot", "Training"]

#: pictures that are worked on at once
_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Lot:
    """Some inputs [N, C, H, W], pictures as they are first: their ``labels``, ``groups`` (a number for each class with
    each set of cues) and of which of the training ``pictures`` each is, [N]; ``twins`` are rows of one picture with and
    without a cue, ``cues`` which one, for each pair; ``has`` says which rows have one put in."""

    inputs: Tensor
    labels: Tensor
    groups: Tensor
    pictures: Tensor
    twins: list[tuple[int, int]]
    cues: list[int]
    has: list[bool]


@dataclass(frozen=True, eq=False)
class Training:
    """Training pictures, ``half`` with their true classes, as an ``item``'s input is shaped; ``cues`` are those of
    classes that an audit proved; everything is drawn from ``seed``."""

    half: Half
    item: Item
    cues: Sequence[tuple[int, Cue]]
    settings: Settings = field(default_factory=Settings)
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.cues:
            raise UsageError("no cue to mend: the audit found no shortcut")
        if bool((self.half.truth < 0).any()):
            raise UsageError("training pictures without a class: a head is fitted to classes")

    @property
    def some(self) -> Tensor:
        """A few inputs."""
        return self.half.inputs[:4]

    @property
    def count(self) -> int:
        """How many lots there are."""
        return -(-len(self.half) // _AT_ONCE)

    def lots(self) -> Iterator[Lot]:
        """All pictures, in an order that mixes classes."""
        draw = torch.Generator().manual_seed(hash_of(self.seed, "training"))
        order = torch.randperm(len(self.half), generator=draw)
        for rows in torch.split(order, _AT_ONCE):
            yield self._lot(self.half.picked(rows), rows, draw)

    def _lot(self, half: Half, rows: Tensor, draw: torch.Generator) -> Lot:
        inputs, labels, pictures = [half.inputs], [half.truth], [rows]
        has = torch.zeros(len(half), dtype=torch.long)
        made: list[tuple[Tensor, Tensor, int, bool]] = []
        for number, (index, cue) in enumerate(self.cues):
            own, others = torch.nonzero(half.truth == index)[:, 0], torch.nonzero(half.truth != index)[:, 0]
            if len(own) < 2 or len(others) < 2:
                continue
            try:
                new = counterfactuals(cue, half.picked(own), half.picked(others), draw)
            except UsageError:  # no picture of this lot has it
                continue
            has[own[new.removed_rows]] |= 1 << number
            made.append((new.removed, own[new.removed_rows], number, False))
            made.append((new.pasted, others[new.pasted_rows], number, True))
        groups, twins = [half.truth * (1 << len(self.cues)) + has], list[tuple[int, int]]()
        start, cues, put = len(half), list[int](), [False] * len(half)
        for edited, of, number, pasted in made:
            bit = 1 << number
            mine = has[of] | bit if pasted else has[of] & ~bit
            inputs.append(edited)
            labels.append(half.truth[of])
            groups.append(half.truth[of] * (1 << len(self.cues)) + mine)
            pictures.append(rows[of])
            twins += [(int(one), start + n) for n, one in enumerate(of.tolist())]
            cues += [number] * len(of)
            put += [pasted] * len(of)
            start += len(of)
        return Lot(torch.cat(inputs), torch.cat(labels), torch.cat(groups), torch.cat(pictures), twins, cues, put)
