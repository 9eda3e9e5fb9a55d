"""Tasks: takes a network, gives everybody who can do the task as contestants, and what is demanded of the ratio; times
nothing itself."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import seewhy
from benchmarks.networks import Subject, photos
from benchmarks.rows import Demand, Row
from seewhy.api.bench.entering import Entry, ours, prepared
from seewhy.api.bench.measures import Measure
from seewhy.api.bench.peers import Asked, contestants
from seewhy.api.bench.racing import LEAST, Contestant, Progress, chosen, race
from seewhy.api.bench.result import OURS
from seewhy.registry import methods as registry

__all__ = ["BY_HAND", "HAND", "TASKS", "TWELVE", "Task", "run"]

_CLASS = 5
BY_HAND, HAND = "torch autograd by hand", "one forward, three backwards"
TWELVE = (
    "saliency", "input-x-gradient", "guided-backprop", "deconvnet", "grad-cam", "grad-cam-pp", "xgrad-cam", "hires-cam",
    "layer-cam", "eigen-cam", "guided-grad-cam", "ablation-cam",
)  # fmt: skip
_PRICE = tuple(Demand(1.3, HAND, most=True, on=on, ours=on) for on in ("eager", "prepared"))
#: of gradients in float32: sums in another order (another batch size, folded batch norms) move what sits at a kink of a
#: rectifier; the same network is as far from itself in float64
_GRADIENTS = Measure("l2", 0.02)


@dataclass(frozen=True)
class Task:
    """One question to all libraries: a method, its settings in our words, how equal results must be, and which ratio is
    demanded on which network (``ratios``), besides ``demands`` of every network."""

    name: str
    method: str
    ratios: Mapping[str, float]
    measure: Measure
    batches: tuple[int, ...] = (1,)
    settings: Mapping[str, Any] = field(default_factory=dict)
    demands: tuple[Demand, ...] = ()
    own: Mapping[str, Any] = field(default_factory=dict)

    def demanded(self, network: str) -> tuple[Demand, ...]:
        """Of every ratio on ``network``."""
        own = (Demand(self.ratios[network]),) if self.ratios[network] else ()
        return own + self.demands


TASKS = {
    task.name: task
    for task in (
        Task("grad-cam", "grad-cam", {"resnet50": 1.3, "vgg16": 1.3, "mobilenet_v2": 2.0, "builtin": 2.0},
             Measure("max", 1e-3), batches=(1, 8), demands=(Demand(4.0, "pytorch-grad-cam"),)),
        Task("saliency", "saliency", {"resnet50": 1.4, "vgg16": 1.4, "mobilenet_v2": 1.7}, _GRADIENTS, batches=(8,)),
        Task("guided-backprop", "guided-backprop", {"resnet50": 1.4, "vgg16": 1.4, "mobilenet_v2": 1.7}, _GRADIENTS,
             batches=(8,)),
        Task("integrated-gradients", "integrated-gradients", {"resnet50": 1.5, "vgg16": 1.5, "mobilenet_v2": 1.5},
             _GRADIENTS, settings={"rule": "gauss-legendre", "steps": 50, "baseline": 0.0}),
        Task("occlusion", "occlusion", {"resnet50": 3.0, "vgg16": 7.0, "mobilenet_v2": 4.0}, Measure("max", 1e-3),
             settings={"window": 16, "stride": 8, "fill": 0.0}),
        Task("score-cam", "score-cam", {"mobilenet_v2": 3.0}, Measure("correlation", 0.98)),
        Task("score-cam-budget", "score-cam", {"mobilenet_v2": 12.0}, Measure("correlation", 0.98),
             own={"budget": 64}),
        # nothing is demanded on MobileNetV2: pytorch-grad-cam keeps what its layer, all of `features`, gave, so that
        # every channel costs it a run of the classifier alone
        Task("ablation-cam", "ablation-cam", {"resnet50": 200.0, "builtin": 200.0, "mobilenet_v2": 0.0},
             Measure("l2", 0.02)),
        Task("twelve-methods", "", {"resnet50": 0.0, "mobilenet_v2": 0.0}, Measure("l2", 0.02), demands=_PRICE),
    )
}  # fmt: skip


def run(
    task: Task,
    subject: Subject,
    *,
    rounds: int,
    seconds: float | None,
    progress: Progress | None = None,
    say: Callable[[str], None] = lambda words: None,
) -> Iterator[Row]:
    """A row for each of the task's batch sizes."""
    lacking = sorted(set(task.own) - set(registry[task.method].parameters)) if task.method else []
    for batch in task.batches:
        row = Row(task.name, subject.name, batch, task.measure, demands=task.demanded(subject.name))
        if lacking:
            yield replace(row, words=f"skipped: {task.method} has no parameter {', '.join(lacking)} in this version")
            continue
        x = photos(batch)
        ready = prepared(subject.model, x, subject.layer if _at_layer(task) else None)
        runs, missing = entrants(task, subject, x, ready)
        picked = chosen(runs, progress=progress)
        say(f"{len(picked)} contestants: " + ", ".join(_called(each) for each in picked))
        laps = race(picked, task.measure, rounds=rounds, seconds=seconds, least=LEAST, progress=progress)
        words = [*(f"{name}: {why}" for name, why in missing.items()), *([ready.why] if ready.why else [])]
        yield replace(row, laps=tuple(laps), words="; ".join(words))


def _called(each: Contestant) -> str:
    setting = f" ({each.setting})" if each.setting else ""
    return f"{each.name}{setting} on {each.on}" if each.on != "eager" else f"{each.name}{setting}"


def entrants(task: Task, subject: Subject, x: Tensor, ready: Entry) -> tuple[list[Contestant], dict[str, str]]:
    """Ours first, whose eager result is the reference, then the libraries on the eager and on our prepared model, then
    torch by hand; and the libraries that are missing."""
    if not task.method:
        return _twelve(subject, x, ready), {}
    # libraries leave gradients, and some other modules, on what they are given
    modules: dict[str, nn.Module] = {"eager": copy.deepcopy(subject.model.module)}
    if ready.module is not None:
        modules["prepared"] = ready.module
    layer = subject.layer if _at_layer(task) else None
    runs = [Contestant(OURS, _ours(task, subject, x, layer, on), on=on) for on in _kinds(ready)]
    if task.own:  # the reference is without them
        runs = [Contestant("seewhy, all of it", _ours(replace(task, own={}), subject, x, layer, "eager"), counted=False)
                , *runs]  # fmt: skip
    missing: dict[str, str] = {}
    for on, module in modules.items():
        there, absent = contestants(Asked(module, x, task.method, [_CLASS] * len(x), layer, task.settings), on)
        runs, missing = runs + there, missing | absent
        if task.method == "saliency":
            runs.append(Contestant(BY_HAND, _by_hand(module, x, 1), on=on, counted=False))
    return runs, missing


def _at_layer(task: Task) -> bool:
    return bool(task.method) and registry[task.method].card.at == "layer"


def _kinds(ready: Entry) -> tuple[str, ...]:
    return ("eager",) if ready.why else ("eager", "prepared")


def _ours(task: Task, subject: Subject, x: Tensor, layer: str | None, on: str) -> Callable[[], NDArray[Any]]:
    def go() -> NDArray[Any]:
        found = ours(
            subject.model, x, task.method, [_CLASS] * len(x), layer, {**task.settings, **task.own},
            prepare=on == "prepared",
        )  # fmt: skip
        return np.stack([each.values for each in found])

    return go


def _by_hand(module: nn.Module, x: Tensor, backwards: int) -> Callable[[], NDArray[Any]]:
    """The plainest that torch allows: one forward, and so many gradients of the input."""

    def go() -> NDArray[Any]:
        leaf = x.clone().requires_grad_()
        score = module(leaf)[:, _CLASS].sum()
        found = [torch.autograd.grad(score, leaf, retain_graph=n < backwards - 1)[0] for n in range(backwards)]
        return found[0].numpy()

    return go


def _twelve(subject: Subject, x: Tensor, ready: Entry) -> list[Contestant]:
    """Twelve methods in one call beside the passes that they cannot do without; compared by the saliency among them."""
    modules = {"eager": subject.model.module} | ({} if ready.module is None else {"prepared": ready.module})

    def ours_on(on: str) -> Callable[[], NDArray[Any]]:
        def go() -> NDArray[Any]:
            # no layer: maps of the input stay there, and class activation maps have theirs chosen
            found = seewhy.explain_all(
                subject.model, x, method=TWELVE, target=_CLASS, prepare=on == "prepared", reduce="none"
            )
            return np.stack([each.values for each in found if each.method == "saliency"])

        return go

    runs = [Contestant(OURS, ours_on(on), on=on) for on in _kinds(ready)]
    return runs + [Contestant(HAND, _by_hand(module, x, 3), on=on, counted=False) for on, module in modules.items()]
