"""What is asked of a judgement: takes words, gives methods at layers and metrics with their settings, checked; runs
nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

import seewhy.methods  # noqa: F401 - every method registers itself on import
from seewhy.api.asked.parameters import split_parameters
from seewhy.api.asked.plan import Plan
from seewhy.api.asked.request import Request
from seewhy.api.given.told import told
from seewhy.core.forward.settings import Settings
from seewhy.core.targets import Logit, Probability, Target
from seewhy.errors import CapabilityError, UnknownName, UsageError
from seewhy.metrics import Metric
from seewhy.metrics import metrics as known_metrics
from seewhy.models import Model
from seewhy.registry import Method
from seewhy.registry import methods as registry

__all__ = [
    "DEFAULT_METHODS",
    "OF_MASKS",
    "OF_SCORES",
    "Candidate",
    "Methods",
    "Metrics",
    "Question",
    "candidates_of",
    "metrics_of",
]

#: what is judged where nobody says what
DEFAULT_METHODS = ("grad-cam", "layer-cam", "saliency", "input-x-gradient")
OF_SCORES = ("srg", "insertion", "deletion")
OF_MASKS = ("pointing", "energy-pointing", "relevance-mass", "relevance-rank", "iou")

#: scores that changed images are judged by
SCORES = ("logit", "probability")
#: what a metric may be handed here
_HANDED = frozenset(("input", "score", "values", "fill", "mask"))

Own = Callable[[Tensor, int], Any]
Methods = str | Sequence[str] | Mapping[str, Own | str]
Metrics = str | Sequence[str] | Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, eq=False)
class Candidate:
    """What makes a map: a ``method``, at a ``layer`` (None: where it chooses to), or a function of somebody's ``own``
    from an input [1, C, *size] and a class to a map [*size]."""

    name: str
    method: Method | None = None
    layer: str | None = None
    own: Own | None = None

    @property
    def layers(self) -> list[str] | None:
        """Where it is asked, of methods of several layers with a + between them."""
        return None if self.layer is None else [name.strip() for name in self.layer.split("+")]

    def told(self) -> Any:
        """In words by which it is known again."""
        return self.name if self.own is None else [self.name, told(self.own, None)]


@dataclass(frozen=True, eq=False)
class Question:
    """Everything that is asked of each image: ``metrics`` with their settings, how many ``controls`` that have a map's
    own spectrum, whether maps of the ``untrained`` model are controls, too, by which ``score`` changed images are
    judged, what hides things (``fill``), the methods' own ``parameters``."""

    candidates: tuple[Candidate, ...]
    metrics: tuple[tuple[Metric, Mapping[str, Any]], ...]
    controls: int = 20
    untrained: bool = True
    score: str = "logit"
    fill: Any = None
    seed: int = 0
    parameters: Mapping[str, Any] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        if isinstance(self.controls, bool) or not isinstance(self.controls, int) or self.controls < 1:
            raise UsageError(
                f"controls={self.controls!r}: random maps to hold each map against, 1 at least; 20 is usual"
            )
        if self.score not in SCORES:
            raise UnknownName("score", str(self.score), SCORES, f"one of {', '.join(SCORES)}")
        made = [candidate.method for candidate in self.candidates if candidate.method is not None]
        split_parameters(made, dict(self.parameters))  # refuses what none of them takes

    def target(self, index: int, metric: Metric) -> Target:
        """By which score a metric judges the map of a class."""
        return Probability(index) if metric.card.of_probabilities or self.score == "probability" else Logit(index)

    def told(self) -> dict[str, Any]:
        """In words by which the same question is known again."""
        return {
            "methods": [candidate.told() for candidate in self.candidates],
            "metrics": [[metric.name, told(dict(given), None)] for metric, given in self.metrics],
            "controls": self.controls, "untrained": self.untrained, "score": self.score,
            "fill": told(self.fill, None), "seed": self.seed, "parameters": told(dict(self.parameters), None),
        }  # fmt: skip

    def plan(self, model: Model, some: Sequence[Candidate], classes: Sequence[int]) -> Plan:
        """A plan for methods at one layer, of one image; raises what `Plan.make` does."""
        made = [candidate.method for candidate in some if candidate.method is not None]
        own = {name: value for name, value in self.parameters.items() if any(name in m.parameters for m in made)}
        return Plan.make(
            model,
            Request(
                method=[method.name for method in made], target=[Logit(k) for k in classes],
                layer=some[0].layers, parameters=own, settings=self.settings,
            ),
        )  # fmt: skip


def candidates_of(given: Methods) -> tuple[Candidate, ...]:
    """Methods by name, each with a layer after an @ if it is asked at one (``grad-cam@layer3``), or
    several (``refine-cam@layer3+layer4``); a mapping has either, or functions, by what they are to be called.

    Raises `UnknownName`, and `UsageError` for none and for what makes no single map of a class.
    """
    found: list[Candidate] = []
    if isinstance(given, Mapping):
        for name, own in dict[str, Any](given).items():
            if isinstance(own, str):
                found.append(replace(_candidate(own), name=name))
            elif callable(own):
                found.append(Candidate(name, own=own))
            else:
                kind = type(own).__name__
                raise UsageError(f"{name!r} is a {kind}: give a function (input, class) -> map, or a method's name")
    else:
        words = [given] if isinstance(given, str) else list(given)
        found = [_candidate(word) for word in dict.fromkeys(words)]
    if not found:
        raise UsageError("no methods: the list given is empty. List them: seewhy methods")
    return tuple(found)


def _candidate(word: str) -> Candidate:
    name, at, layer = word.partition("@")
    method = registry[name]
    if method.card.call != "explain" or method.card.by_layer:
        raise UsageError(f"{name} makes no map of a class: compare methods that do. List them: seewhy methods")
    if at and not layer:
        raise UsageError(f"{word!r} names no layer: METHOD@LAYER, such as grad-cam@layer3. List them: seewhy layers")
    return Candidate(word, method, layer or None)


def metrics_of(given: Metrics | None, *, masks: bool, grid: bool, steps: int) -> tuple[Any, ...]:
    """Metrics by name, with settings; those that are usual where nothing is ``given``. ``steps`` is for all that go
    in steps. Raises `UnknownName`, and `UsageError` for those that need what is not there."""
    if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
        raise UsageError(f"steps={steps!r}: a whole number from 1 on; 10 is usual")
    if given is None:
        given = ("grid-pointing",) if grid else (*OF_SCORES, *(OF_MASKS if masks else ()))
    asked = (
        dict(given) if isinstance(given, Mapping) else {n: {} for n in ([given] if isinstance(given, str) else given)}
    )
    if not asked:
        raise UsageError("no metrics: the list given is empty. List them: seewhy metrics")
    found = []
    for name, settings in asked.items():
        metric = known_metrics[name]
        if missing := [need for need in metric.requires if need not in _HANDED]:
            raise CapabilityError(
                f"{name} needs {', '.join(missing)}, which are other maps than those of a photo: call "
                f"seewhy.metrics.{name.replace('-', '_')}"
            )
        if metric.card.as_computed:
            raise CapabilityError(
                f"{name} is about values as they were computed, and maps are compared at the size of the photo: call "
                f"seewhy.metrics.{name.replace('-', '_')}"
            )
        if "mask" in metric.requires and not (masks or grid):
            raise UsageError(f"{name} needs to know where objects are: masks=DIR, or mosaics, grid=2")
        for setting in settings:
            if setting not in metric.parameters:
                own = ", ".join(metric.parameters) or "none"
                raise UsageError(f"{name} has no setting {setting!r}; it has {own}")
        few: dict[str, Any] = {"steps": steps} if "steps" in metric.parameters else {}
        if metric.card.of_boxes:  # what is handed there is boxes, each around one object
            few["around"] = False
        found.append((metric, {**few, **settings}))
    return tuple(found)
