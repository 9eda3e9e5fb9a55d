"""What is tried for a recommendation: takes a model, methods and a first photo or two, gives those methods, and layers,
that are worth comparing, and says of the others why not; judges none."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile

import torch

import seewhy.methods  # noqa: F401 - every method registers itself on import
from seewhy.api.given.images import Item, own_layout
from seewhy.api.judging.asked import Candidate, Question
from seewhy.api.judging.maps import Drawn, maps_of
from seewhy.api.listing import LayerInfo
from seewhy.api.listing import layers as layers_of
from seewhy.errors import CapabilityError, SeewhyError, UsageError
from seewhy.models import Model
from seewhy.registry import Method, Need
from seewhy.registry import methods as registry

__all__ = ["Trial", "at_layers", "named"]

#: parameters of methods that say how many passes a map takes at least
_BUDGETS = ("n", "steps", "max_steps")
#: how far equal maps may be apart by rounding
_EQUAL = 1e-4


def named(methods: str | Sequence[str] | None, not_tried: dict[str, str], budget: int) -> list[str]:
    """The methods asked for, or all that make a map of a class within the budget, as far as their settings tell."""
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
        raise UsageError(f"budget={budget!r}: passes that a map may take, at least 1")
    if methods is not None:
        return [methods] if isinstance(methods, str) else list(methods)
    found = []
    for method in registry:
        card = method.card
        if card.call != "explain" or card.by_layer:
            continue
        if card.several_layers:
            not_tried[card.name] = "it takes several layers: name it with them, METHOD@LAYER+LAYER"
        elif not card.discriminative:
            not_tried[card.name] = "its map is the same for every class"
        elif (least := _least(method)) > budget:
            not_tried[card.name] = f"too dear: {least} passes a map at its own settings, more than {budget}"
        else:
            found.append(card.name)
    return found


def _least(method: Method) -> int:
    """Passes that a map takes, as far as the method's own settings say so."""
    given = [method.parameters.get(name) for name in _BUDGETS]
    return max((n for n in given if isinstance(n, int) and not isinstance(n, bool)), default=1)


def at_layers(
    model: Model, photo: tuple[Item, int], question: Question, able: Sequence[Candidate], count: int,
    not_tried: dict[str, str],
) -> list[Candidate]:  # fmt: skip
    """Class activation maps at so many layers before the one chosen for a photo: the last ones of finer grids; where
    there are none, as in transformers, those of its own kind and shape, spread over the depth."""
    cams = [each for each in able if each.method is not None and each.method.card.family == "cam" and not each.layer]
    if not (cams and count):
        return []
    try:
        known = layers_of(model, own_layout(model, photo[0].tensor[None]))
    except SeewhyError as error:
        not_tried["other layers"] = str(error)
        return []
    chosen = next((each for each in known if each.chosen), None)
    if chosen is None or chosen.grid is None:
        not_tried["other layers"] = "no layer is chosen"
        return []
    some = _taken(_finer(known, chosen), count, model, photo, question, cams, not_tried)
    if not some:
        before = _before(known, chosen)
        spread = [before[len(before) * k // (count + 1)] for k in range(count, 0, -1)] if before else []
        some = _taken(dict.fromkeys(spread), count, model, photo, question, cams, not_tried)
    return [Candidate(f"{each.name}@{layer.name}", each.method, layer.name) for layer in some for each in cams]


def _finer(known: Sequence[LayerInfo], chosen: LayerInfo) -> Iterable[LayerInfo]:
    """The last layer of each grid that is finer than the chosen one's, the coarsest first."""
    assert chosen.grid is not None
    finest: dict[tuple[int, ...], LayerInfo] = {}
    for each in known:
        if each.grid is None or len(each.grid) != len(chosen.grid) or not each.kind:
            continue
        if math.prod(each.grid) > math.prod(chosen.grid):
            before = finest.get(each.grid)
            if before is None or each.name.count(".") <= before.name.count("."):
                finest[each.grid] = each
    return [finest[grid] for grid in sorted(finest, key=math.prod)]


def _before(known: Sequence[LayerInfo], chosen: LayerInfo) -> list[LayerInfo]:
    """The layers before the chosen one that give what it gives: of its kind, or else those that are the least deep in
    others."""
    earlier = list(takewhile(lambda each: not each.chosen, known))
    like = [each for each in earlier if each.shape == chosen.shape and each.grid == chosen.grid]
    same = [each for each in like if each.kind == chosen.kind]
    least = min((each.name.count(".") for each in like), default=0)
    return same or [each for each in like if each.name.count(".") == least]


def _taken(
    layers: Iterable[LayerInfo], count: int, model: Model, photo: tuple[Item, int], question: Question,
    cams: Sequence[Candidate], not_tried: dict[str, str],
) -> list[LayerInfo]:  # fmt: skip
    """The first ``count`` layers at which any map can be made: a grid is only claimed until it is proved there."""
    some: list[LayerInfo] = []
    rest = []
    for layer in layers:
        if len(some) == count:
            rest.append("x".join(map(str, layer.grid or ())))
            continue
        why = ""
        for each in sorted(cams, key=lambda cam: Need.STREAM in cam.method.card.needs if cam.method else True):
            candidate = Candidate(f"{each.name}@{layer.name}", each.method, layer.name)
            drawn = maps_of(model, photo[0], [candidate], [photo[1]], question)[0][0]
            if drawn.values is not None:
                some.append(layer)
                break
            why = why or drawn.why
        else:
            not_tried[f"layer {layer.name}"] = why
    if rest:
        not_tried["finer layers"] = f"grids of {', '.join(rest)}"
    return some


class _TooDear(SeewhyError):
    """A map takes more passes than there are for it."""


class _Meter:
    """Who is told how far a map is, and ends it where it takes more passes than the budget: some take thousands."""

    def __init__(self, budget: int) -> None:
        self.passes, self._budget, self._before, self._now = 0.0, budget, 0, 0

    def __call__(self, what: str, done: int, total: int) -> None:
        """Count what is done, of one stream after the other."""
        self._before += self._now if done < self._now else 0
        self._now = done
        self.passes = self._before + done
        if self.passes > self._budget:
            raise _TooDear(f"more than {self._budget} passes")


@dataclass(eq=False)
class Trial:
    """Methods tried on the first photos: what takes too long, fails, or draws what a cheaper one draws is not
    compared."""

    model: Model
    question: Question
    not_tried: dict[str, str]
    budget: int

    def __post_init__(self) -> None:
        self.same: dict[str, str] = {}

    def left(self, candidates: Sequence[Candidate], photos: Sequence[tuple[Item, int]]) -> list[Candidate]:
        """Those to be compared. Raises `CapabilityError` for none."""
        kept: list[tuple[float, Candidate, list[Drawn]]] = []
        for candidate in candidates:
            made: list[Drawn] = []
            for item, index in photos:
                meter = _Meter(self.budget)
                asked = replace(self.question, settings=replace(self.question.settings, progress=meter))
                made.append(maps_of(self.model, item, [candidate], [index], asked)[0][0])
                meter.passes = max(meter.passes, made[-1].passes)
                if meter.passes > self.budget:
                    break
            passes = made[-1].passes
            if meter.passes > self.budget:
                self.not_tried[candidate.name] = f"too dear: more than {self.budget} passes a map"
            elif all(each.values is None for each in made):
                self.not_tried[candidate.name] = made[-1].why
            else:
                kept.append((passes, candidate, made))
        if not kept:
            name, why = next(iter(self.not_tried.items()), ("nothing", "no method was named"))
            raise CapabilityError(f"no method can be compared on this model: {name}: {why}")
        kept.sort(key=lambda each: each[0])  # stable: of equally dear ones the first keeps its name
        compared: list[tuple[Candidate, list[Drawn]]] = []
        for _, candidate, made in kept:
            twin = next((other for other, theirs in compared if _alike(made, theirs)), None)
            if twin is not None:
                self.same[candidate.name] = twin.name
            else:
                compared.append((candidate, made))
        return [candidate for candidate, _ in compared]


def _alike(one: Sequence[Drawn], other: Sequence[Drawn]) -> bool:
    """Whether maps are the same but for a positive factor, on every photo."""
    for mine, theirs in zip(one, other, strict=True):
        a, b = mine.values, theirs.values
        if a is None or b is None:
            return False
        scales = a.abs().max(), b.abs().max()
        if not all(scale > 0 for scale in scales) or not torch.allclose(
            a / scales[0], b / scales[1], rtol=0, atol=_EQUAL
        ):
            return False
    return True
