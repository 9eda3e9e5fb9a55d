"""Benchmarks of a model at hand: takes a model and methods, gives what a map costs beside a bare forward pass, eager
and prepared, and beside other libraries; changes nothing in the model."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seewhy.api.answered.predictions import predict_items
from seewhy.api.asked.parameters import split_parameters
from seewhy.api.bench.entering import Entry, ours, prepared
from seewhy.api.bench.measures import Measure
from seewhy.api.bench.peers import Asked, contestants
from seewhy.api.bench.racing import Contestant, Progress, chosen, race
from seewhy.api.bench.result import FORWARD, OURS, Bench, MethodBench
from seewhy.api.given.images import Item
from seewhy.api.listing import layers
from seewhy.api.sample_inputs import probes
from seewhy.core.network.borrowed import Network
from seewhy.errors import CapabilityError, TargetError, UsageError
from seewhy.models import Model
from seewhy.models.loader import taken
from seewhy.registry import methods as registry

__all__ = ["bench"]

#: what is timed unless methods are named: with gradients, and without
_METHODS, _FORWARD_ONLY = ("grad-cam", "saliency", "integrated-gradients", "occlusion"), ("occlusion", "rise")
#: windows an axis of occlusion, whose default would take minutes on large models
_WINDOWS = 7
#: what is given to `seewhy.explain` by name and is no parameter of a method
_SUPPLIED = ("fill", "baseline")
#: results of other libraries beside ours on the eager model, and ours on the prepared one, whose folded weights move
#: gradients of single pixels
_MEASURE = Measure("l2", 0.02)


def bench(
    model: Any,
    image: Any = None,
    method: str | Sequence[str] | None = None,
    *,
    target: int | str | None = None,
    layer: str | None = None,
    settings: Mapping[str, Any] | None = None,
    peers: bool = True,
    rounds: int = 5,
    seconds: float | None = 20.0,
    progress: Progress | None = None,
) -> Bench:
    """What maps of a model cost, as seconds and as multiples of a bare forward pass, and what they cost elsewhere.

    ``model`` as for `seewhy.explain`. ``image``: one, or None for a photo that comes along (noise where nothing says
    how a photo becomes the input). ``method``: names; left out, Grad-CAM, saliency, integrated gradients (50 nodes) and
    occlusion in 7 x 7 windows, or what a plain callable can. ``target`` is a class or its label, the top class unless
    given; ``layer`` is for class activation maps, chosen unless given; ``settings`` are the methods' parameters. Every
    library of ``seewhy[peers]`` that is installed and has the method runs in turn with ours in the same ``rounds``,
    none begun after ``seconds`` a method, on a copy of the model, and its result is compared with ours.

    Raises `UnknownName` and its kin for names, `TargetError` for models without a row of class scores.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten())
    >>> costs = bench(net.eval(), torch.rand(3, 8, 8), "grad-cam", rounds=1, peers=False)
    >>> [lap.name for lap in costs.methods[0].laps if lap.on == "eager"], costs.methods[0].backwards
    (['seewhy', 'forward'], 1)
    """
    wrapped = taken(model)
    network = wrapped.network()
    names = _names(network, method)
    shares = _own(names, settings or {})
    item = probes(wrapped, image)[0]
    x = network.like(item.tensor[None])
    goal = _target(wrapped, item, target)
    ready = prepared(wrapped, x)
    rival, why = _rival(network) if peers else (None, "")
    missing = {"peers": why} if why else dict[str, str]()
    done = []
    for number, (name, own) in enumerate(zip(names, shares, strict=True)):
        if progress is not None:
            progress("methods", number, len(names))
        question = _Question(wrapped, network, x, goal, layer, ready, rival)
        result, absent = question.run(name, own, rounds, seconds, progress)
        missing |= absent
        done.append(result)
    if progress is not None:
        progress("methods", len(names), len(names))
    facts = {
        "input": f"{tuple(x.shape)}, {str(x.dtype).removeprefix('torch.')} on {x.device}",
        "target": wrapped.label(goal) or f"class {goal}",
        "torch": f"{torch.__version__}, {torch.get_num_threads()} threads",
        "equal": _MEASURE.words,
    }
    record = {"state": ready.why} if ready.why else dict(ready.record)
    return Bench(wrapped.spec or wrapped.name, facts, tuple(done), record, missing)


def _names(network: Network, method: str | Sequence[str] | None) -> list[str]:
    """What is timed; raises `UnknownName` for a method that there is not, before anything runs."""
    if method is None:
        return list(_METHODS if network.root is not None else _FORWARD_ONLY)
    names = list(dict.fromkeys([method] if isinstance(method, str) else method))
    if not names:
        raise UsageError("no methods: the list given is empty. List them: seewhy methods")
    for name in names:
        if (call := registry[name].card.call) != "explain":
            raise UsageError(f"{name} gives no map of one image (seewhy {call} runs it); bench takes those of explain")
    return names


def _target(model: Model, item: Item, target: int | str | None) -> int:
    said = predict_items(model, [item])[0]
    if said.probabilities is None:
        raise TargetError("the model's output is no row of class scores: bench compares maps of a class")
    if target is None:
        return said.index
    index = model.find_label(target) if isinstance(target, str) else target
    if not 0 <= index < len(said.probabilities):
        raise TargetError(f"no class {index}: the output has {len(said.probabilities)}, the last is "
                          f"{len(said.probabilities) - 1}")  # fmt: skip
    return index


def _rival(network: Network) -> tuple[nn.Module | None, str]:
    """A copy of the network for other libraries, which hook and rewrite what they are given; or why there is none."""
    if network.program is not None:
        return None, f"not run: {network.program.runtime} gives this model's scores, and they explain torch modules"
    if network.root is None:
        return None, "not run: they explain torch modules, not plain callables"
    if network.channels_last:
        return None, "not run: they expect channels first, and this model has them last"
    try:
        return copy.deepcopy(network.root).eval(), ""
    except Exception as error:  # a module may hold anything
        return None, f"not run: they change what they are given, and the model cannot be copied ({error})"


@dataclass(frozen=True, eq=False)
class _Question:
    """What all methods of one benchmark share."""

    model: Model
    network: Network
    x: Tensor
    target: int
    layer: str | None
    ready: Entry
    rival: nn.Module | None

    def run(
        self,
        method: str,
        settings: dict[str, Any],
        rounds: int,
        seconds: float | None,
        progress: Progress | None,
    ) -> tuple[MethodBench, dict[str, str]]:
        """One method's laps, and the libraries that are missing."""
        card = registry[method].card
        given = _settings(method, tuple(self.x.shape[2:]), settings)
        said = ", ".join(f"{name}={value}" for name, value in given.items())
        try:
            layer = self._layer() if card.at == "layer" else None
            cost = ours(self.model, self.x, method, [self.target], layer, given).cost
        except CapabilityError as error:
            return MethodBench(method, settings=said, failure=str(error)), {}
        runs = [self._ours(method, layer, given, on) for on in self._kinds]
        runs += [Contestant(FORWARD, self._forward(on), on=on, form=None, counted=False) for on in self._kinds]
        missing = dict[str, str]()
        shown = prepared(self.model, self.x, layer).module if layer is not None else self.ready.module
        for on, module in (("eager", self.rival), ("prepared", shown)):
            if self.rival is not None and module is not None:
                asked = Asked(module, self.x, method, [self.target], layer, given)
                there, absent = contestants(asked, on)
                runs, missing = runs + there, missing | absent
        laps = race(
            chosen(runs, progress=progress), _MEASURE, rounds=rounds, seconds=seconds, least=1, progress=progress
        )
        return MethodBench(method, layer, said, cost.forwards, cost.backwards, tuple(laps)), missing

    @property
    def _kinds(self) -> tuple[str, ...]:
        return ("eager",) if self.ready.why else ("eager", "prepared")

    def _layer(self) -> str | None:
        if self.layer is not None:
            return self.layer
        last = self.model.channels_last
        listed = layers(self.model, self.x.movedim(1, -1) if last else self.x)
        return next((info.name for info in listed if info.chosen), None)

    def _ours(self, method: str, layer: str | None, given: Mapping[str, Any], on: str) -> Contestant:
        def run() -> NDArray[Any]:
            maps = ours(self.model, self.x, method, [self.target], layer, given, prepare=on == "prepared")
            return np.stack([explanation.values for explanation in maps])

        return Contestant(OURS, run, on=on)

    def _forward(self, on: str) -> Callable[[], NDArray[Any]]:
        # what runs outside torch gives its own scores, whatever module stands for it
        scorer = self.network.program or (self.ready.scores if on == "prepared" else None)
        module = self.rival if scorer is None else scorer

        def run() -> NDArray[Any]:
            with contextlib.ExitStack() as stack:
                # without a copy to run bare, the model is borrowed: a little more than the pass itself is timed
                call = stack.enter_context(self.network.borrowed()) if module is None else module
                stack.enter_context(torch.no_grad())
                call(self.x)
            return np.zeros(1)

        return run


def _own(names: Sequence[str], settings: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Each method's share of ``settings``; raises `UsageError` and its kin for one that none of them takes."""
    methods = [registry[name] for name in names]
    supplied = {name: value for name, value in settings.items() if name in _SUPPLIED}
    for name in supplied:
        if not any(name in method.requires for method in methods):
            raise UsageError(f"{name}={supplied[name]!r}: {', '.join(names)} has none. See: seewhy methods {names[0]}")
    # refuses what no method takes; the defaults that it fills in would hide the budgets below
    split_parameters(methods, {name: value for name, value in settings.items() if name not in _SUPPLIED})
    return [
        {name: value for name, value in settings.items() if name in method.parameters or name in method.requires}
        for method in methods
    ]


def _settings(method: str, size: tuple[int, ...], own: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked (``own``), and beside it the same budget for everybody, where the default would take minutes or
    differ from what others have."""
    window = [max(1, -(-n // _WINDOWS)) for n in size]
    budgets: dict[str, dict[str, Any]] = {
        "integrated-gradients": {"rule": "gauss-legendre", "steps": 50, "baseline": 0.0},
        "occlusion": {"window": window, "stride": window, "fill": 0.0},
        "rise": {"n": 256, "tolerance": 0.0, "fill": 0.0},
    }
    given = budgets.get(method, {}) | dict(own)
    if given.get("rule") == "adaptive" and "steps" not in own:
        given.pop("steps", None)  # which is for fixed rules
    if "window" in own and "stride" not in own:
        wide = own["window"]
        given["stride"] = max(1, wide // 2) if isinstance(wide, int) else [max(1, width // 2) for width in wide]
    return given
