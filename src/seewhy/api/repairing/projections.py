"""Repair by projection: takes a model, proved cues and training pictures, gives the model with each cue's direction
taken out of what a layer gives; trains nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.api.answered.predictions import read_inputs
from seewhy.api.listing import layers
from seewhy.api.repairing.features import last_layer_of
from seewhy.api.repairing.standing import groups_of, worst
from seewhy.api.repairing.training import Training
from seewhy.audits.mending.projection import Projection, direction
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.session import Session
from seewhy.errors import CapabilityError
from seewhy.models import Model
from seewhy.models.behind import with_behind

__all__ = ["Projected", "projected", "projected_somewhere"]


@dataclass(frozen=True, eq=False)
class Projected:
    """A ``model`` with projections behind ``layer``, one for each cue: ``modules``, to be put into somebody's own.
    Where nobody said which layer, ``tried`` says of each how the worst group of training pictures did."""

    model: Model
    layer: str
    modules: tuple[Projection, ...]
    tried: Mapping[str, float] = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """As JSON holds it."""
        directions = [[round(v, 6) for v in each.along.tolist()] for each in self.modules]
        return {"layer": self.layer, "axis": self.modules[0].axis, "tried": dict(self.tried), "directions": directions}


def projected_somewhere(
    model: Model, training: Training, progress: Callable[[str, int, int], None] | None = None
) -> Projected:  # fmt: skip
    """`projected` at the layer that maps are made at, or at the one that the last linear layer reads: with which the
    worst group of training pictures does better. Raises `CapabilityError` where the model has neither."""
    found = list(layers(model, training.some[:1]))
    names = [each.name for each in found if each.chosen and each.name]
    try:
        last = last_layer_of(model, training.item, training.some, training.settings)
        before = found[: next(n for n, each in enumerate(found) if each.name == last.name)]
        wide = (len(training.some[:1]), last.head.weight.shape[1])
        names += [each.name for each in reversed(before) if each.shape == wide and each.name not in names][:1]
    except CapabilityError:
        pass
    if not names:
        raise CapabilityError(
            f"no layer of {model.name} is chosen by itself: name one, layer='NAME'; seewhy layers lists all"
        )
    made = [projected(model, training, name, progress) for name in names]
    if len(made) == 1:
        return made[0]
    shares = [worst(groups_of([each.model], training)) for each in made]
    tried = {name: share[0] if share else 0.0 for name, share in zip(names, shares, strict=True)}
    return replace(max(made, key=lambda each: tried[each.layer]), tried=tried)


def projected(
    model: Model, training: Training, layer: str, progress: Callable[[str, int, int], None] | None = None
) -> Projected:  # fmt: skip
    """The direction of each cue projected out of what ``layer`` gives.

    A direction is the mean difference of the layer's activations, over its positions, of training pictures with and
    without the cue. Raises `CapabilityError` for layers whose channels are neither the second axis nor the last,
    `UsageError` where the layer does not see a cue, and what `Training.check` and `with_behind` do.
    """
    pairs: dict[int, tuple[list[Tensor], list[Tensor]]] = {}
    for done, lot in enumerate(training.lots()):
        if progress is not None:
            progress("lots of pictures", done + 1, training.count)
        if not lot.twins:
            continue
        found = _activations(model, training, lot.inputs, layer)
        for (one, other), cues in zip(lot.twins, lot.cues, strict=True):
            if len(cues) > 1:  # each has its own direction
                continue
            # a twin with the cue is a picture of another class, one without it of the cue's
            with_it, without = (other, one) if lot.has[other] else (one, other)
            some = pairs.setdefault(cues[0], ([], []))
            some[0].append(found[with_it])
            some[1].append(found[without])
    training.check()
    modules, axis = list[Projection](), _axis(model, layer, training.some, len(next(iter(pairs.values()))[0][0]))
    for with_them, without_them in pairs.values():
        along, level = direction(torch.stack(with_them), torch.stack(without_them))
        modules.append(Projection(along, level, axis))
    changed = with_behind(model, layer, nn.Sequential(*modules))
    return Projected(changed, layer, tuple(modules))


def _activations(model: Model, training: Training, inputs: Tensor, layer: str) -> Tensor:
    """The mean of a layer's activations over positions [N, C]."""

    def read(session: Session, some: Sequence[int]) -> list[Tensor]:
        forward = session.run(session.x, Demand({layer: session.find(layer)}, gradients=False))
        values = forward.outputs.activation(layer).detach().float().cpu()
        return list(values.flatten(2).mean(2) if values.ndim > 2 else values)

    return torch.stack(read_inputs(model, training.item, inputs, read, memory=training.settings.memory))


def _axis(model: Model, layer: str, inputs: Tensor, channels: int) -> int:
    """Which axis of what a layer itself gives has so many channels: a copy of the model is run that notes it."""
    noted = _Shape()
    network = with_behind(model, layer, noted).network()
    with torch.no_grad():
        network.module(network.like(inputs))
    shape = noted.shape
    if len(shape) > 1 and shape[1] == channels:
        return 1
    if shape[-1:] == (channels,):
        return -1
    raise CapabilityError(f"{layer!r} gives {shape}, with {channels} channels in neither the second axis nor the last")


class _Shape(nn.Module):
    """Gives what it is given, and remembers its shape."""

    shape: tuple[int, ...] = ()

    def forward(self, a: Tensor) -> Tensor:
        """What it is given."""
        self.shape = tuple(a.shape)
        return a
