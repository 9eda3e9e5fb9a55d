"""The maps that are judged, and the maps that they are held against: takes a model, an image, classes and methods,
gives a map of each or why there is none; judges nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seewhy.api.given.images import Item, own_layout
from seewhy.api.judging.asked import Candidate, Question
from seewhy.api.planned import run_plan
from seewhy.errors import CapabilityError, SeewhyError, UsageError, reason
from seewhy.explanation import Explanation
from seewhy.metrics._metric import silence
from seewhy.metrics.controls import spectrum_maps
from seewhy.models import Model
from seewhy.models.redrawn import redrawn
from seewhy.render import stretch

__all__ = ["Drawn", "Untrained", "maps_of", "spectra", "usable"]


@dataclass(frozen=True, eq=False)
class Drawn:
    """A method's map of an image for one class, ``values`` [*size] at the input's size in double precision, and as it
    was ``computed`` [*positions]; or ``why`` there is none; at which ``layer``, after how many ``passes`` (a backward
    counts as two)."""

    values: Tensor | None
    why: str = ""
    layer: str | None = None
    passes: float = 0.0
    computed: Tensor | None = None


def usable(model: Model, question: Question) -> tuple[tuple[Candidate, ...], dict[str, str]]:
    """The methods that this model can be asked for, and of the others why not.

    Raises what the last of them does where it can be asked for none.
    """
    able, refused = list[Candidate](), dict[str, str]()
    last: SeewhyError | None = None
    for candidate in question.candidates:
        try:
            if candidate.own is None:
                question.plan(model, [candidate], [0])
        except SeewhyError as error:
            refused[candidate.name], last = str(error), error
            continue
        able.append(candidate)
    if last is not None and not able:
        raise last
    return tuple(able), refused


def maps_of(
    model: Model, item: Item, candidates: Sequence[Candidate], classes: Sequence[int], question: Question
) -> list[list[Drawn]]:
    """By class, then method. Methods at one layer share their passes; where one of them fails, each is asked alone."""
    found: dict[str, list[Drawn]] = {}
    by_layer: dict[str | None, list[Candidate]] = {}
    for candidate in candidates:
        if candidate.own is not None:
            found[candidate.name] = [_own(model, item, candidate, k) for k in classes]
        else:
            by_layer.setdefault(candidate.layer, []).append(candidate)
    for some in by_layer.values():
        try:
            found |= _together(model, item, some, classes, question)
        except SeewhyError as error:
            if len(some) == 1:
                found[some[0].name] = [Drawn(None, str(error))] * len(classes)
                continue
            for each in some:
                try:
                    found |= _together(model, item, [each], classes, question)
                except SeewhyError as own:
                    found[each.name] = [Drawn(None, str(own))] * len(classes)
    return [[found[candidate.name][n] for candidate in candidates] for n in range(len(classes))]


def _together(
    model: Model, item: Item, some: Sequence[Candidate], classes: Sequence[int], question: Question
) -> dict[str, list[Drawn]]:
    made = list(run_plan(question.plan(model, some, classes), [item]))
    assert len(made) == len(some) * len(classes)
    return {
        candidate.name: [_drawn(each) for each in made[n * len(classes) : (n + 1) * len(classes)]]
        for n, candidate in enumerate(some)
    }


def _drawn(explanation: Explanation) -> Drawn:
    passes = explanation.cost.forwards + 2 * explanation.cost.backwards
    try:
        values = torch.from_numpy(np.asarray(explanation).astype(np.float64))
    except UsageError as error:  # values that lie on no picture
        return Drawn(None, str(error), explanation.layer, passes)
    if silence(values) and not explanation.status.ok:
        return Drawn(None, str(explanation.status), explanation.layer, passes)
    places = explanation.values.sum(0) if explanation.channels else explanation.values
    return Drawn(values, "", explanation.layer, passes, torch.from_numpy(places.astype(np.float64)))


def _own(model: Model, item: Item, candidate: Candidate, index: int) -> Drawn:
    """What somebody's own function makes of an input, in the layout that the model has it in."""
    assert candidate.own is not None
    try:
        made: Any = candidate.own(own_layout(model, model.network().like(item.tensor[None])), index)
        values = torch.as_tensor(made).detach().to("cpu", torch.float64)
    except Exception as error:  # whatever somebody's own code raises
        return Drawn(None, f"{candidate.name} fails: {reason(error)}")
    size = tuple(item.tensor.shape[1:])
    if tuple(values.shape) != size:
        return Drawn(None, f"a map of {tuple(values.shape)} and an image of {size}: give one of the image's size")
    return Drawn(values, computed=values)


class Untrained:
    """The model with its weights in another order, if it is ``asked`` for; ``why`` there is none, if there is none."""

    def __init__(self, model: Model, seed: int = 0, *, asked: bool = True) -> None:
        self.why = ""
        self._model: Model | None = None
        if not asked:
            self.why = "not asked for"
            return
        try:
            self._model = redrawn(model, seed)
        except CapabilityError as error:
            self.why = str(error)

    def maps_of(
        self, item: Item, candidates: Sequence[Candidate], classes: Sequence[int], question: Question,
        trained: Sequence[Sequence[Drawn]],
    ) -> list[list[Drawn]]:  # fmt: skip
        """The same maps as ``trained`` ones, at the same layers."""
        if self._model is None:
            return [[Drawn(None, self.why)] * len(candidates) for _ in classes]
        mine = [
            candidate if candidate.own is None else Candidate(candidate.name, own=_none) for candidate in candidates
        ]
        found = maps_of(self._model, item, mine, classes, question)
        for n, candidate in enumerate(candidates):
            layer = trained[0][n].layer
            if candidate.own is None and layer is not None and found[0][n].layer not in (layer, None):
                there = Candidate(candidate.name, candidate.method, layer)
                again = maps_of(self._model, item, [there], classes, question)
                for k in range(len(classes)):
                    found[k][n] = again[k][0]
        return found


def _none(x: Tensor, index: int) -> Any:
    raise CapabilityError("a function of your own is of its own model, and has no map of another")


def spectra(drawn: Drawn, item: Item, question: Question) -> list[Tensor]:
    """Random maps [*size], drawn from the image, with the values and the spectrum of a map on the grid where it was
    computed, brought to the input's size as it was."""
    assert drawn.values is not None
    assert drawn.computed is not None
    size = tuple(drawn.values.shape)
    made = spectrum_maps(drawn.computed, question.controls, of=item.tensor, seed=question.seed)
    if tuple(drawn.computed.shape) == size:
        return list(made)
    return [torch.from_numpy(stretch(each, size).astype(np.float64)) for each in made.numpy()]
