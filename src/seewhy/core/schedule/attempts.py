"""Attempts: takes a network and how to run it, gives ways of running a call, one after the other: first what is fast,
and where that turned out to differ from the model, once more without it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Self

from seewhy.core.forward.costs import Spent
from seewhy.core.forward.sameness import EndsOtherwise
from seewhy.core.forward.settings import Settings
from seewhy.core.network.borrowed import Network, TakesOne
from seewhy.core.network.one_by_one import keep_apart, one_by_one

__all__ = ["Apart", "AsGiven", "Attempt", "Differs", "attempts", "differing"]


class Differs(Exception):
    """What a program gave is not what the model gives: all that programs gave in this call is to be computed again.

    ``words`` say what differed, ``spent`` is what the call had cost so far.
    """

    def __init__(self, words: str) -> None:
        super().__init__(words)
        self.words, self.spent = words, Spent()

    @property
    def note(self) -> str:
        """What happened, for whoever reads the map."""
        return (
            f"a prepared program of this network was found to differ from it ({self.words}); everything was computed "
            "again on the model itself"
        )

    def instead(self, settings: Settings) -> Settings:
        """How to go on."""
        return replace(settings, doubt=self.note)


class Apart(Differs):
    """Samples must not go through the network together, as ``words`` say: all of the call is to be computed again, each
    by itself."""

    @property
    def note(self) -> str:
        """What happened, for whoever reads the map."""
        return f"{self.words}, so each went through it by itself"

    def instead(self, settings: Settings) -> Settings:
        """How to go on."""
        return replace(settings, alone=True)


class AsGiven(Differs):
    """The network's end was not the same in every forward, as ``words`` say: all of the call is to be computed again,
    of its output as it is given."""

    @property
    def note(self) -> str:
        """What happened, for whoever reads the map."""
        return f"{self.words}, so what it gives is explained as it is"

    def instead(self, settings: Settings) -> Settings:
        """How to go on."""
        return replace(settings, as_given=True)


@dataclass
class Attempt:
    """One way of running a call, with ``settings``; what is done inside the context may turn out to differ from the
    model, which is no error then. ``lost`` is what an earlier one has cost in vain."""

    network: Network
    settings: Settings
    lost: Spent | None = None
    #: what batches that were done within it have cost
    done: list[Spent] = field(default_factory=list)
    differed: Differs | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> bool:
        self.differed = differing(error, self.settings)
        if self.differed is None:
            return False
        self.network.note(self.differed.note)
        if isinstance(self.differed, Apart):
            keep_apart(self.network, self.differed.words)
        return True


def attempts(network: Network, settings: Settings) -> Iterator[Attempt]:
    """With ``settings``, each sample alone where it is known that a network's have to go alone; and where something
    that is done faster turned out to differ from the model, once more without that: all that the attempt gave is to be
    thrown away then, and a note of the network's says so."""
    if why := one_by_one(network):
        network.note(Apart(why).note)
        settings = replace(settings, alone=True)
    attempt = Attempt(network, settings)
    yield attempt
    while (differed := attempt.differed) is not None:
        attempt = Attempt(network, differed.instead(attempt.settings), differed.spent.united(*attempt.done))
        yield attempt


def differing(error: BaseException | None, settings: Settings) -> Differs | None:
    """What ``error`` says of how ``settings`` run the network, if there is another way."""
    if isinstance(error, TakesOne):
        error = Apart(error.words)
    if isinstance(error, EndsOtherwise):
        error = AsGiven(error.words)
    return error if isinstance(error, Differs) and error.instead(settings) != settings else None
