"""Metrics by name: takes formulas with their cards, gives a table of them, and what a person calls with maps and a
function; measures nothing itself."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seewhy.core.asks import Attribution, Input, Score, Stream, Supplied
from seewhy.core.perturb.fills import Fill
from seewhy.errors import UsageError
from seewhy.html import pairs
from seewhy.registry import Card, Method, Need
from seewhy.tables import Registry

__all__ = ["GIVEN", "Measure", "Metric", "MetricCard", "metric", "metrics", "numbers", "silence"]

#: what a formula may be handed, by the name of its argument
GIVEN = {
    "predict": "a function from inputs [N, C, *size] to one score each, [N]",
    "explain": "a function from inputs [N, C, *size] to a map of each, [N, *size]",
    "input": "the images as the function takes them, [B, C, *size]",
    "score": "their scores, [B]",
    "values": "their maps, [B, *size]",
    "mask": "where the object is, [B, *size], true or false",
    "others": "other maps of the same images, [B, n, *size]",
    "noisy": "maps of noisy copies of the same images, [B, n, *size]",
    "fill": "what takes the place of what is hidden: a `seewhy.core.perturb.fills.Fill`",
}

#: what nobody gives by hand
_MADE = ("predict", "score", "fill")

#: what an engine answers by itself
_ASKS: dict[str, Any] = {"input": Input(), "score": Score()}

#: axes of a picture
_PLANE = 2

#: samples that a function given by hand is asked for at a time
_TOGETHER = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricCard:
    """What a metric declares about itself; tables, docs and the tests' parameters come from it.

    ``name`` is the registry key and, with underscores, the file. ``better`` is ``"higher"``, ``"lower"``, or nothing
    for numbers that are neither good nor bad alone. ``range`` is what values it can have. ``cost`` is in passes of an
    image. ``fooled`` says how a map gets a good number that is no good map. ``unit`` is what it is counted in, in which
    ``{score}`` stands for the score's unit; nothing for a number without one. ``constant`` metrics have a number for
    maps that are the same everywhere. ``fill`` is what they hide things behind unless told otherwise. Those
    ``of_probabilities`` are about them whatever score is explained, those ``of_boxes`` about the boxes around objects;
    ``of_values`` those whose number is another one of a map in another unit: edges and a bump have none to be
    compared in; ``as_computed`` are those whose map is to be as it was computed, not at the image's size.
    """

    name: str
    paper: str
    formula: str
    better: str
    range: str
    cost: str = "none"
    fooled: tuple[str, ...] = ()
    use: str = ""
    unit: str = ""
    constant: bool = False
    fill: str = "mean"
    of_probabilities: bool = False
    of_boxes: bool = False
    of_values: bool = False
    as_computed: bool = False

    def _repr_html_(self) -> str:
        named = [(name, getattr(self, name)) for name in self.__slots__]
        return pairs((name, "; ".join(value) if name == "fooled" else value) for name, value in named)


@dataclass(frozen=True, eq=False)
class Measure:
    """One map's number, NaN where it has none, for the ``reason``; ``arrays`` are what it was made of (curves)."""

    metric: str
    value: float
    reason: str = ""
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __float__(self) -> float:
        return self.value


@dataclass(frozen=True)
class Metric:
    """A registered metric: its card, its formula, the parameters that it takes, and a way to call it by hand."""

    card: MetricCard
    formula: Callable[..., Any]
    parameters: Mapping[str, Any]
    requires: tuple[str, ...]
    summary: str

    @property
    def name(self) -> str:
        """The registry key."""
        return self.card.name

    @property
    def streams(self) -> bool:
        """Whether it asks for scores of changed images."""
        return inspect.isgeneratorfunction(self.formula) or "score" in self.requires

    @cached_property
    def method(self) -> Method:
        """The formula as an engine runs it, beside those of methods: on a batch of images, each with its map, so that
        metrics share passes with each other. Maps are supplied as ``values``, and what hides things as ``fill``."""
        asked = tuple(_ASKS.get(name, Supplied(name)) for name in self.requires)

        def formula(**parameters: Any) -> Generator[Any, Any, Any]:
            self._check(parameters)
            found = self.formula(*(yield asked), **parameters)
            return (yield from found) if isinstance(found, Generator) else found

        card = self.card
        own = Card(
            name=card.name, family="metric", paper=card.paper, formula=card.formula, cost=card.cost, call="evaluate",
            needs=frozenset({Need.INPUT, Need.SCORE, Need.STREAM}), at="input", fill=card.fill,
        )  # fmt: skip
        return Method(own, formula, self.parameters, (), self.summary)

    @property
    def takes(self) -> tuple[str, ...]:
        """What it is called with, in order."""
        first = ("predict",) if self.streams else ()
        return (*first, *(name for name in GIVEN if name in self.requires and name not in _MADE))

    def __call__(self, *given: Any, fill: Any = None, **parameters: Any) -> Any:
        """The number of one map, a float; of several, an array [B]. NaN where a map has none."""
        found, alone = self._measured(given, fill, parameters)
        return float(found[0]) if alone else np.array([float(each) for each in found])

    def measures(self, *given: Any, fill: Any = None, **parameters: Any) -> list[Measure]:
        """The same, each with what it was made of, and with the reason where there is no number.

        Raises `UsageError` for arguments and parameters that it does not take.
        """
        return self._measured(given, fill, parameters)[0]

    def _measured(self, given: Sequence[Any], fill: Any, parameters: Mapping[str, Any]) -> tuple[list[Measure], bool]:
        """The measures, and whether one map was given, and no batch of one."""
        by_name = self._named(given)
        supplies, alone = _read(by_name, self._called)
        if "explain" in supplies:
            supplies["explain"] = _on_copies(supplies["explain"])
        if "fill" in self.requires:
            supplies["fill"] = _fill(supplies["input"], self.card.fill if fill is None else fill)
        elif fill is not None:
            raise UsageError(f"{self._called} hides nothing: leave fill= out")
        return self.judged(supplies, parameters), alone

    def _named(self, given: Sequence[Any]) -> dict[str, Any]:
        """What it was called with, by name."""
        if len(given) != len(self.takes):
            raise UsageError(f"{self._called} takes {', '.join(self.takes)}; got {len(given)} of these")
        by_name = dict(zip(self.takes, given, strict=True))
        for name in ("predict", "explain"):
            if name in by_name and not callable(by_name[name]):
                raise UsageError(f"{self._called}: {name} is {GIVEN[name]}; got {type(by_name[name]).__name__}")
        return by_name

    def judged(self, supplies: Mapping[str, Any], parameters: Mapping[str, Any]) -> list[Measure]:
        """What the formula finds with ``supplies``, tensors and functions by their names in `GIVEN`."""
        self._check(parameters)
        found = self.formula(
            *(_of(supplies, name) for name in self.requires), **{**self.parameters, **parameters}
        )  # fmt: skip
        if isinstance(found, Generator):
            found = _answered(found, supplies)
        return self.told(found, supplies.get("values"))

    def told(self, found: Tensor | Attribution, maps: Tensor | None = None) -> list[Measure]:
        """``found`` [B] as measures; those of ``maps`` [B, *size] that have no number say why."""
        why = None if maps is None else _reasons(maps, constant=self.card.constant)
        judged = found if isinstance(found, Attribution) else Attribution(found)
        numbers = judged.values.detach().double().tolist()
        arrays = {name: rows.detach().double().cpu().numpy() for name, rows in judged.arrays.items()}
        measures = []
        for n, number in enumerate(numbers):
            reason = why[n] if why is not None else ""
            if not reason and not np.isfinite(number):
                reason = "the numbers that it is made of are none (no evidence, or NaN)"
            own = {} if reason else {name: rows[n] for name, rows in arrays.items()}
            measures.append(Measure(self.name, float("nan") if reason else number, reason, own))
        return measures

    @property
    def _called(self) -> str:
        return self.name.replace("-", "_")

    def _check(self, parameters: Mapping[str, Any]) -> None:
        """Names and kinds, of whoever asks; formulas look at ranges of their own alone."""
        declared = inspect.signature(self.formula).parameters
        for name, value in parameters.items():
            if name not in self.parameters:
                known = ", ".join(self.parameters) or "none"
                raise UsageError(f"{self._called} has no parameter {name!r}; it has {known}")
            kind, words = _KINDS.get(str(declared[name].annotation), (None, ""))
            fits = kind is None or (
                isinstance(value, kind) and not isinstance(value, bool) and 0 <= float(value) < math.inf
            )
            if not fits:
                raise UsageError(
                    f"{self._called}: {name}={value!r} is {words} from 0 on, e.g. {name}={self.parameters[name]}"
                )


#: what a parameter that a formula declares may be, and that in words
_KINDS: Mapping[str, tuple[Any, str]] = {"int": (Integral, "a whole number"), "float": (Real, "a number")}

#: every metric, filled when ``seewhy.metrics`` is imported
metrics: Registry[Metric] = Registry("metric", "seewhy metrics")


def metric(card: MetricCard) -> Callable[[Callable[..., Any]], Metric]:
    """Register a formula under ``card``; gives the `Metric`, which is called with maps and functions.

    Positional arguments are those of `GIVEN`, keyword-only ones are parameters and need defaults. A formula that wants
    scores of changed images is a generator: it yields streams (`seewhy.core.asks`) and receives what they amount to, so
    that an engine can run those of many metrics together. It gives numbers [B], or an `Attribution` of these with
    ``arrays`` of what they are made of.
    """

    def register(formula: Callable[..., Any]) -> Metric:
        requires, parameters = [], {}
        for name, parameter in inspect.signature(formula).parameters.items():
            if parameter.kind is inspect.Parameter.KEYWORD_ONLY:
                parameters[name] = parameter.default
            elif name in GIVEN:
                requires.append(name)
            else:
                raise UsageError(f"metric {card.name!r}: nothing fills argument {name!r}; known: {', '.join(GIVEN)}")
        if card.better not in ("higher", "lower", ""):
            raise UsageError(f"metric {card.name!r}: better={card.better!r} is 'higher', 'lower' or ''")
        summary = (inspect.getdoc(formula) or "").split("\n", 1)[0]
        made = Metric(card, formula, parameters, tuple(requires), summary)
        made.__dict__["__doc__"] = inspect.getdoc(formula)
        # doctest looks for functions and classes, and elsewhere where a module says so
        formula.__globals__.setdefault("__test__", {})[formula.__name__] = inspect.getdoc(formula) or ""
        return metrics.add(made)

    return register


def numbers(given: Any, what: str) -> Tensor:
    """What is ``given``, a tensor or anything that NumPy takes for an array (turned, of another byte order, read-only),
    as a tensor of real numbers; where a masked array says that there is none, NaN. Raises `UsageError` for ``what`` is
    no array of real numbers.

    >>> numbers(np.arange(3.0)[::-1], "a map").tolist()
    [2.0, 1.0, 0.0]
    """
    if isinstance(given, Tensor):
        found = given.detach()
    else:
        read = np.ma.filled(given.astype(np.float64), np.nan) if np.ma.isMaskedArray(given) else np.asarray(given)
        if read.dtype.kind not in "biuf":
            named = "an array of" if isinstance(given, np.ndarray | list | tuple) else f"{type(given).__name__},"
            raise UsageError(f"{what} is an array or a tensor of real numbers; got {named} {read.dtype}")
        found = torch.from_numpy(np.array(read, dtype=read.dtype.newbyteorder("="), order="C"))
    if found.is_complex():
        raise UsageError(f"{what} is an array or a tensor of real numbers; got complex ones: take .real or abs() of it")
    return found


def silence(one: Tensor, *, constant: bool = False) -> str:
    """Why a map has no number, '' where it has one: it holds none, or, unless ``constant`` maps have one, is the same
    everywhere."""
    if not bool(one.isfinite().all()):
        return "the map holds numbers that are none (NaN or infinity)"
    if not constant and bool((one == one.flatten()[0]).all()):
        return "the map is the same everywhere: it says nothing of any place"
    return ""


def _reasons(values: Tensor, *, constant: bool = False) -> list[str]:
    """For each map [B, *size] why it has no number, '' where it has one."""
    return [silence(one, constant=constant) for one in values]


def _of(supplies: Mapping[str, Any], name: str) -> Any:
    if name == "score" and "score" not in supplies:
        return _scores(supplies["predict"], supplies["input"])
    if name == "values":  # what has no number is left in company: nothing of it reaches the others
        return supplies[name].nan_to_num(0.0, 0.0, 0.0)
    return supplies[name]


def _answered(steps: Generator[Any, Any, Any], supplies: Mapping[str, Any]) -> Any:
    """What a formula gives whose asks a function answers."""
    answer: Any = None
    while True:
        try:
            asked = steps.send(answer)
        except StopIteration as end:
            return end.value
        answer = (
            tuple(_answer(ask, supplies) for ask in asked) if isinstance(asked, tuple) else _answer(asked, supplies)
        )


def _answer(ask: Any, supplies: Mapping[str, Any]) -> Any:
    x = supplies["input"]
    match ask:
        case Input():
            return x
        case Score(targets=None):
            return _of(supplies, "score")
        case Supplied():
            return supplies[ask.name]
        case Stream(wants=(Score(targets=None),)):
            every = torch.cartesian_prod(torch.arange(len(x)), torch.arange(ask.source.count))
            items = every if ask.items is None else ask.items
            for some in torch.split(items, _TOGETHER):
                samples, indices = some.unbind(1)
                changed = ask.source.inputs(x, samples, indices)
                ask.fold.add(samples, indices, _scores(supplies["predict"], changed))
            return ask.fold.result()
    raise UsageError(f"a metric asks for {type(ask).__name__}, which a function from inputs to scores cannot answer")


def _on_copies(explain: Callable[[Tensor], Any]) -> Callable[[Tensor], Any]:
    """The same of copies: it may normalise in place, and the images are used again."""
    return lambda x: explain(x.clone())


def _scores(predict: Callable[[Tensor], Any], x: Tensor) -> Tensor:
    with torch.no_grad():
        scores = predict(x.clone())  # it may normalise in place, and the image is used again
    found = torch.as_tensor(scores)
    if found.shape != x.shape[:1]:
        raise UsageError(
            f"predict gave {tuple(found.shape)} for {len(x)} inputs: one score each, as lambda x: net(x)[:, 3]"
        )
    return found.detach()


def _read(given: Mapping[str, Any], called: str) -> tuple[dict[str, Any], bool]:
    """Images, maps and masks as batches, functions as they are; and whether there is one of each, and no batch.

    Raises `UsageError` for sizes that do not fit each other.
    """
    found = {name: one for name, one in given.items() if callable(one)}
    tensors = {name: numbers(one, f"{called}: {name}") for name, one in given.items() if name not in found}
    if "input" in tensors:
        x = tensors.pop("input")
        if not x.is_floating_point() or x.ndim < 2:
            raise UsageError(f"{called}: the image is a float tensor as predict takes it, [C, *size] or [B, C, *size]")
        alone = _is_one(x, tuple(tensors["values"].shape) if "values" in tensors else ())
        found["input"] = x[None] if alone else x
        what, count, size = "an image", len(found["input"]), tuple(found["input"].shape[2:])
    else:
        first = next(iter(tensors.values()))
        alone = first.ndim <= _PLANE
        what, count, size = "a map", 1 if alone else len(first), tuple(first.shape if alone else first.shape[1:])
    for name, rows in tensors.items():
        rows = rows[None] if alone else rows
        several = name in ("others", "noisy")
        if rows.ndim != 1 + several + len(size) or (len(rows), *rows.shape[1 + several :]) != (count, *size):
            own = {"values": "map", "mask": "mask"}.get(name, f"row of {name}")
            raise UsageError(
                f"{called}: a {own} of {tuple(rows.shape[1:])} and {what} of {size}, {len(rows)} for {count}: give one "
                f"{own} for each, of its size (Explanation.map)"
            )
        if several and not rows.shape[1]:
            raise UsageError(f"{called}: {name} holds no map: give one or more for each image, [B, n, *size]")
        if name == "mask" and not bool(rows.isfinite().all()):
            raise UsageError(f"{called}: the mask holds NaN or infinity: true or false, or 0 outside")
        found[name] = rows.bool() if name == "mask" else rows.double()
    return found, alone


def _is_one(x: Tensor, size: tuple[int, ...]) -> bool:
    """Whether ``x`` is one image [C, *size], and no batch: pictures have two axes of positions; what fits its map only
    as a volume, or as a row, has as many as that."""
    fits = tuple(x.shape[1:]) == size
    if len(size) == _PLANE and fits:
        return True
    of_many = len(size) > 1 and tuple(x.shape[2:]) == size[1:] and len(x) == size[0]
    return not of_many and (fits or x.ndim == _PLANE + 1)


def _fill(x: Tensor, asked: Any) -> Fill:
    """What hides parts of ``x``: a number, a tensor, ``"mean"`` of each channel, or a `Fill`."""
    if isinstance(asked, Fill):
        return asked
    if isinstance(asked, str):
        if asked not in ("mean", "blur"):
            raise UsageError(f"fill={asked!r}: 'mean', 'blur', a number, a tensor like the image, or a Fill")
        from seewhy.core.perturb.fills import blurred, mean_colour

        return Fill(blurred(x) if asked == "blur" else mean_colour(x))
    try:
        return Fill(torch.as_tensor(asked).to(x).expand_as(x))
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(f"fill={asked!r:.60}: a number, or a tensor that fits {tuple(x.shape)}") from None
