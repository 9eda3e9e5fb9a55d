"""Batch mates: takes a session, looks whether samples that go through its network together influence each other; keeps
how often it has looked.

Samples go together because that is faster. A forward that scales by the largest value of its whole input, or a batch
norm without statistics of its own, gives one picture's scores by what lies beside it: then every sample goes alone.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from seewhy.core.forward.agreement import Distance, floats, now_and_then, verdict
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.result import Forward
from seewhy.core.forward.session import Session
from seewhy.core.memory_budget import unmetered
from seewhy.core.network.borrowed import Network
from seewhy.core.network.fitting import of_shapes
from seewhy.core.network.one_by_one import key_of
from seewhy.core.network.places import has_places
from seewhy.core.schedule.attempts import Apart

__all__ = ["each_of", "look"]

#: what the second of two probes is of the first: neither its largest nor its smallest value, mean or spread is the same
_OTHER = -0.25

_RECORDING = (
    "what this network gives depends on whether gradients are recorded: methods that take gradients explain what it "
    "gives with them, others what it gives without"
)

# weak keys: what was found of a network goes with it
_looks: WeakKeyDictionary[Any, dict[str, int]] = WeakKeyDictionary()
#: drawn for itself: nobody's random state is touched, and no seed repeats the choice
_draw = random.Random()


def look(session: Session, kind: str, forward: Forward, again: Callable[[int], Iterator[Forward]]) -> int:
    """Repeat one of the samples of ``forward`` alone, and two unlike pictures together and each by itself, in the 1st,
    2nd, 4th, 8th... forward of this ``kind``, and in about one of 64 later on; gives the samples that it took.

    ``again`` has the forwards of one sample, by number, as it is and then rounded in other ways. Raises `Apart`.
    """
    count = forward.outputs.batch
    if count < 2 or forward.use is not None or session.settings.alone or not _due(session.network, kind):
        return 0
    row, x = _draw.randrange(count), session.x[:1].detach()
    demand = _shown_by(session, forward)
    with unmetered(), torch.no_grad():
        try:
            spent = _compare(session.network, forward, row, lambda: again(row))
        except Apart:
            if not _by_recording(session, forward, row, demand):
                raise
            session.network.note(_RECORDING)
            spent = 2
        try:
            probes = session.eager(torch.cat([x, _OTHER * x]), demand)
        except (RuntimeError, ValueError) as error:
            if not _counts(error):
                raise
            return spent
        spent += 2
        for n, picture in enumerate((x, _OTHER * x)):
            spent += _compare(session.network, probes, n, partial(session.ways, picture, demand))
    return spent


def each_of(session: Session, forward: Forward, x: Tensor) -> Callable[[int], Iterator[Forward]]:
    """The forwards of one sample of ``x``, by number, as it is and then rounded in other ways."""
    demand = _shown_by(session, forward)
    return lambda n: session.ways(x[n : n + 1].detach(), demand)


def _shown_by(session: Session, forward: Forward) -> Demand:
    """The outputs of what ``forward`` is a forward of, a module or the program of another library that it stands for,
    and what the places gave that it captured: a batch can be put in another order on the way, and back at the end."""
    edited = forward.demand.edits or forward.demand.swap
    places = {} if edited else {name: session.find(name) for name in forward.tape.activations}
    return Demand(places, optional=frozenset(places), gradients=False, module=not forward.demand.scores_only)


def _by_recording(session: Session, forward: Forward, row: int, demand: Demand) -> bool:
    """Whether a sample of the images gives alone what it gave in ``forward``, where gradients are recorded as they were
    in that: its mates have nothing to do with it then."""
    if not forward.demand.gradients or forward.outputs.batch != len(session.x):
        return False
    sample = session.x[row : row + 1].detach()
    recorded = replace(demand, at_input=forward.demand.at_input, gradients=True)
    try:
        _compare(session.network, forward, row, lambda: session.ways(sample, recorded))
    except Apart:
        return False
    return True


def _compare(network: Network, together: Forward, row: int, again: Callable[[], Iterator[Forward]]) -> int:
    """Compare one sample of a forward with what it gives alone; gives the samples that it took. A network that gives
    something else each time (noise, a count of its calls) says nothing."""
    count, spent, alone = together.outputs.batch, 1, again()
    try:
        exact = _outputs(next(alone))
    except (RuntimeError, ValueError) as error:  # a model that takes no picture by itself
        if not _counts(error):
            raise
        return spent
    in_batch = {name: value[row : row + 1] for name, value in _outputs(together).items() if len(value) == count}

    def distances(own: dict[str, Tensor]) -> dict[str, Distance]:
        names = [name for name, value in exact.items() if name in in_batch and in_batch[name].shape == value.shape]
        return {name: Distance.of_values(name, exact[name], own[name], together.outputs) for name in names}

    def itself() -> Iterator[dict[str, Distance]]:
        nonlocal spent
        for other in alone:
            spent += 1
            yield distances(_outputs(other))

    words = verdict(distances(in_batch), itself())
    if words and not verdict(distances(_outputs(next(again())))):
        raise Apart(f"samples that go through this network together influence each other ({words})")
    return spent


def _counts(error: Exception) -> bool:
    """Whether a forward failed for the number of its inputs, as one exported for batches of a size does, or one that
    looks at what it is given."""
    return isinstance(error, ValueError) or of_shapes(error)


def _outputs(forward: Forward) -> dict[str, Tensor]:
    """What a forward gave and showed, by what it is called."""
    numbered = enumerate(floats(forward.outputs.raw))
    outputs = {f"output {n}" if n else "its output": value for n, value in numbered}
    places = {f"what layer {name!r} gives": value for name, value in forward.tape.activations.items()}
    return {name: value.detach() for name, value in {**outputs, **places}.items() if has_places(value) and value.ndim}


def _due(network: Network, kind: str) -> bool:
    key = key_of(network)
    if key is None:
        return True
    counts = _looks.setdefault(key, {})
    times = counts[kind] = counts.get(kind, 0) + 1
    return now_and_then(times)
