"""Sameness: takes the model's own forwards of one call, says whether they speak of the same number: each has to end in
the same, and gives the same numbers again, unless the network draws some of them at random, which is said."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seewhy.core.forward.agreement import gap
from seewhy.core.network.borrowed import Network
from seewhy.core.network.outputs import Outputs
from seewhy.core.network.random_numbers import drawn_from_torch
from seewhy.errors import CapabilityError, TargetError

if TYPE_CHECKING:
    from seewhy.core.forward.result import Forward

__all__ = ["DRAWS", "EndsOtherwise", "Sameness"]

#: how far apart two forwards of the same input may be, as a share of the largest score
_NOISE = 1e-4

#: what a forward may end in, in words
_ENDS = {"logits": "scores", "softmax": "a softmax", "sigmoid": "a sigmoid"} | {
    f"log_{kind}": f"the logarithm of a {kind}" for kind in ("softmax", "sigmoid")
}


class EndsOtherwise(CapabilityError):
    """One forward of a call ended in a softmax or sigmoid that was seen, and another in none, or in another: what is
    before it in one would be compared with what is behind it in the other. ``words`` say so."""

    def __init__(self, first: str, now: str) -> None:
        self.words = f"one forward of this network was seen to end in {_ENDS[first]}, and another in {_ENDS[now]}"
        super().__init__(f"{self.words}; nothing can be made of both")


#: how what is said begins of a network that gives other numbers the next time
DRAWS = "this network draws random numbers as it runs"


class Sameness:
    """What the forwards of ``network`` in one call have had in common so far."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._ends_in: str | None = None
        self._looked = False

    def forward(self, x: Tensor, run: Callable[[], Forward], again: Callable[[], Forward]) -> Forward:
        """What ``run`` gives for ``x``, looked at; ``again`` is the same forward, with nothing captured, if that is
        needed. Raises `EndsOtherwise`."""
        before = None if self._looked else drawn_from_torch(x)
        forward = run()
        self._ends_alike(forward.outputs)
        if before is not None:
            self._looked = True
            if not all(map(torch.equal, before, drawn_from_torch(x))):
                self._compare(forward, again())
                forward.checks += len(x)
        return forward

    def _ends_alike(self, outputs: Outputs) -> None:
        """Raise `EndsOtherwise` where this forward ends in something else than the first one did: a network's end is
        read off its calls, each time anew, and all of a call has to speak of the same number. A program's is compared
        with it."""
        try:
            ends_in = outputs.ends_in
        except TargetError:  # what it gives holds no scores: whoever asks for some of it is told
            return
        if self._ends_in is None:
            self._ends_in = ends_in
        elif ends_in != self._ends_in:
            raise EndsOtherwise(self._ends_in, ends_in)

    def _compare(self, forward: Forward, again: Forward) -> None:
        """Say that a network which draws random numbers gives others the next time, if it does."""
        try:
            noise = gap(forward.outputs.main, again.outputs.main)
        except TargetError:  # no scores to compare: the numbers that it draws are for something
            noise = float("inf")
        if noise > _NOISE:
            self._network.note(
                f"{DRAWS} (dropout that stays on, noise): two forwards of the same "
                f"input are {min(noise, 1):.1%} of the largest score apart, and that noise is in the map"
            )
