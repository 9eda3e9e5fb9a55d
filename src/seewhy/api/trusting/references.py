"""What maps are compared with: takes a model, an image and a target, gives maps of the same decision by other ways of
asking, and maps of networks that have learnt nothing; judges none."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor

from seewhy.api.asked.plan import Plan
from seewhy.api.asked.request import Request
from seewhy.api.asked.settled import Settled
from seewhy.api.given.images import Item
from seewhy.api.planned import run_plan
from seewhy.core.forward.settings import Settings
from seewhy.core.targets import Target
from seewhy.errors import CapabilityError, SeewhyError
from seewhy.explanation import Cost, Explanation
from seewhy.metrics._metric import silence
from seewhy.models import Model
from seewhy.models.redrawn import redrawn
from seewhy.render import stretch

__all__ = ["Comparing", "References", "as_planned", "at_input"]

#: ways of asking with gradients, and how: one at a layer, one at the pixels
ASKED: dict[str, dict[str, Any]] = {"hires-cam": {}, "integrated-gradients": {"rule": "gauss-legendre", "steps": 8}}
#: what a network that has learnt nothing shows, at a layer
_UNTAUGHT = "hires-cam"
#: what depends on the photo and the build more than on what was learnt
_GUIDED = "guided-backprop"
#: the share of the parameters, from the input on, that a half-taught network keeps
_KEPT = 0.5


@dataclass(frozen=True, eq=False)
class References:
    """Maps [*size] of one image and target: ``sound`` ones, by the method that made them; those that know no decision,
    ``untaught``, by name; and why others are lacking."""

    sound: dict[str, Tensor] = field(default_factory=dict)
    untaught: dict[str, Tensor] = field(default_factory=dict)
    lacking: dict[str, str] = field(default_factory=dict)
    cost: Cost = field(default_factory=Cost)


@dataclass(frozen=True, eq=False)
class Comparing:
    """A model, and the same with weights in another order: what references are made with, once for many images."""

    model: Model
    settings: Settings
    seed: int = 0

    def drawn(self, kept: float) -> Model:
        """The same with a share of its parameters, from the input on, as they are, and the others in another order;
        raises `CapabilityError` where there is none."""
        return _redrawn(self.model, self.seed, kept)

    @property
    def untaught(self) -> Model:
        """The same build with nothing learnt; raises `CapabilityError` where there is none."""
        return self.drawn(0.0)

    @property
    def half_taught(self) -> Model:
        """The same with the first half of its parameters as they are: its filters, and nothing that reads them."""
        return self.drawn(_KEPT)

    def references(self, item: Item, target: Target) -> References:
        """Everything that maps of ``item`` for ``target`` are compared with, as far as this model allows it."""
        sound: dict[str, Tensor] = {}
        untaught: dict[str, Tensor] = {}
        lacking: dict[str, str] = {}
        cost = Cost()
        asked = [("sound", name, given) for name, given in ASKED.items()]
        asked += [("untaught", _UNTAUGHT, {}), ("half_taught", _GUIDED, {})]
        for kind, name, given in asked:
            called = name if kind == "sound" else f"{name} of a network that learnt nothing"
            try:
                model = self.model if kind == "sound" else getattr(self, kind)
                explained = one(model, item, name, target, self.settings, given)
                values = at_input(explained)
            except SeewhyError as error:  # a layer without positions, a function without gradients: said, and left out
                lacking[called] = str(error)
                continue
            cost += explained.cost
            if silence(values):
                lacking[called] = str(explained.status)
                continue
            (sound if kind == "sound" else untaught)[name] = values
        return References(sound, untaught, lacking, cost)


#: what was drawn anew of a model, as long as that lives and is what it was: its layers are proved once, and not for
#: every photo
_DRAWN: WeakKeyDictionary[Model, tuple[str, dict[tuple[int, float], Model]]] = WeakKeyDictionary()


def _redrawn(model: Model, seed: int, kept: float) -> Model:
    own = model.fingerprint()
    known, drawn = _DRAWN.get(model, ("", {}))
    if known != own or not own:
        _DRAWN[model] = own, (drawn := {})
    if (seed, kept) not in drawn:
        drawn[seed, kept] = redrawn(model, seed, kept=kept)
    return drawn[seed, kept]


def one(
    model: Model, item: Item, method: str, target: Target, settings: Settings, given: dict[str, Any], layer: Any = None
) -> Explanation:
    """One map of ``item``."""
    # so few passes, and of networks that are seen once: no program pays
    quiet = replace(settings, progress=Settings().progress, prepare=False)
    request = Request(method=method, target=target, layer=layer, parameters=given, settings=quiet)
    return run_plan(Plan.make(model, request), [item])[0]


def as_planned(plan: Plan, outline: int, model: Model, target: Target) -> Plan:
    """A plan of the map that ``plan`` has as number ``outline``, for one target whatever the image, made by ``model``:
    the same network, or the same with other weights."""
    return replace(
        plan,
        model=model,
        network=model.network(),
        outlines=(plan.outlines[outline],),
        parameters=(plan.parameters[outline],),
        asked=(plan.asked[outline],),
        wanted=Settled(plan.wanted, [0], {0: (target,)}),
        settings=replace(plan.settings, differentiable=False, progress=Settings().progress, prepare=False),
    )


def at_input(explained: Explanation) -> Tensor:
    """The values of a map at each position of the input, [*size], float64; raises `CapabilityError` where it has no
    positions."""
    values = np.asarray(explained.values, dtype=np.float64)
    if explained.channels:
        values = values.sum(0)
    if values.ndim != len(explained.size) or explained.inputs:
        raise CapabilityError(
            f"{explained.method} has values of shape {explained.values.shape}, which are no map of an input "
            f"{explained.size}"
        )
    return torch.from_numpy(np.array(stretch(values, explained.size)))
