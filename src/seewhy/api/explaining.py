"""Explaining: takes a model, images, methods, targets and layers, gives explanations; the one place where the rooms
meet."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from seewhy.api.batches import Batch, batches
from seewhy.api.combining import combine
from seewhy.api.inputs import Item, read_items
from seewhy.api.planning import Plan
from seewhy.api.results import predictions, records
from seewhy.api.supplying import Question
from seewhy.core.forward.session import Settings
from seewhy.core.network.layouts import Reshape
from seewhy.explanation import Cost, Explanation, Explanations
from seewhy.models import Model, load, wrap

__all__ = ["Progress", "explain", "run_plan"]

Progress = Callable[[str, int, int], None]


def explain(
    model: Model | nn.Module | Callable[[Tensor], Any] | str,
    image: Any,
    method: str | Sequence[str] = "grad-cam",
    target: Any = None,
    layer: str | nn.Module | Sequence[str | nn.Module] | None = None,
    *,
    contrast: int | str | None = None,
    fuse: str | None = None,
    reduce: str | None = None,
    backward_rule: str = "none",
    baseline: Any = None,
    fill: Any = None,
    segments: Any = None,
    references: Any = None,
    reshape: Reshape | None = None,
    differentiable: bool = False,
    prepare: bool | str = "auto",
    memory: int | None = None,
    progress: Progress | None = None,
    **parameters: Any,
) -> Explanation | Explanations:
    """Why a model decided what it did: one `Explanation`, or `Explanations` when several of anything are asked for.

    ``model``: a `Model` from `seewhy.load` or `seewhy.wrap`, a module, a callable, or a spec such as ``"builtin"``.
    ``image``: a path, PIL image or uint8 array [H, W, 3] (preprocessed by the model), or a float array or tensor
    [C, H, W] or [B, C, H, W] (already preprocessed, in the model's own layout); a sequence of any, for several.
    ``method``: names from `seewhy.methods`. ``target``: an index, a label, a `Target`, any callable from the model's
    output to one scalar per sample, ``"all"``, ``"present"``, ``"top-3"``, or None for each image's top class; for
    several images a list gives each its own. ``layer``: dotted names or submodules (``name#k`` for the k-th call);
    None lets the library choose for CAMs and means the input for gradient methods.

    ``contrast`` (a class, or ``"top-10"``) subtracts the strongest competing evidence at each place: "why this and
    not that". ``fuse`` (``"mean"``, ``"max"``) makes one map of several layers. ``reduce`` (``"max-abs"``, ``"sum"``,
    ``"l2"``, ``"sum-abs"``, ``"none"``) takes the channels of gradient methods together. ``backward_rule``
    (``"none"``, ``"guided"``, ``"relu"``) applies to every rectifier in the backward pass. ``baseline`` is the
    reference of path methods, ``fill`` what perturbation methods put in place of what they hide (``"grey"``,
    ``"mean"``, ``"blur"``, ``"inpaint"``, ``"noise"``, ``"black"``, ``"white"``, a number or a tensor), ``segments``
    the pieces that they hide together (``"slic"``, ``"grid"``, a number of superpixels, an integer array [H, W], or a
    function), ``references`` the other images that expected gradients compare with. ``reshape`` turns a raw
    activation into [B, C, H, W] for token layouts nobody foresaw. An interruption (Ctrl-C) gives what is there: maps
    that were done, and what sampling methods have so far, with status ``unfinished``. ``differentiable=True`` gives
    ``.tensor`` with a graph. ``prepare`` says whether an exported,
    faster form of the network may stand for it: ``"auto"`` once its passes have taken longer than preparing would,
    ``True`` at once, ``"verify"`` at once and compared in every call, ``False`` never, bit for bit the model itself.
    ``memory`` is the budget for passes in bytes. Further ``parameters`` are the methods' own (``steps=50``, ``n=64``,
    ``seed=1``).

    Values are signed, in the target's units per unit of the place, float32 (float64 for float64 models). The model,
    its hooks, flags, gradients and random state are left as they were. Methods, layers and targets share their
    passes.

    Raises `UnknownName` for a name that does not exist, `UsageError` and its kin for what cannot be meant,
    `ImageError`, `ModelError`, `OutOfMemory`.

    >>> import torch, seewhy
    >>> from torch.nn import Conv2d, Flatten, Linear, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), Flatten(), Linear(144, 2))
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="grad-cam", layer="1", target=1).values.shape
    (6, 6)
    """
    wrapped = load(model) if isinstance(model, str) else wrap(model)
    items, one_image = read_items(wrapped, image)
    plan = Plan.make(
        wrapped,
        len(items),
        method,
        target,
        layer,
        contrast=contrast,
        fuse=fuse,
        reduce=reduce,
        backward_rule=backward_rule,
        question=Question(baseline, fill, segments, references),
        parameters=parameters,
        settings=Settings(reshape, differentiable, memory, prepare, progress or (lambda what, done, total: None)),
    )
    found = run_plan(plan, items)
    several = not one_image or plan.several
    return found if several else found[0]


def run_plan(plan: Plan, items: Sequence[Item]) -> Explanations:
    """Explain ``items`` as planned, in chunks of equal shape that fit into memory; in the order of the images."""
    began = time.perf_counter()
    found: dict[int, list[Explanation]] = {}
    spent = Cost()
    interrupted = False
    for done, made in batches(plan, items, lambda batch: _explanations(plan, batch)):
        passes = done.spent
        spent += Cost(passes.forwards, passes.backwards, passes.checks)
        found |= dict(zip(done.indices, made, strict=True))
        interrupted = done.interrupted
    ordered = [explanation for index in range(len(items)) for explanation in found.get(index, ())]
    cost = replace(spent, seconds=time.perf_counter() - began)
    return Explanations(ordered, cost=cost, interrupted=interrupted)


def _explanations(plan: Plan, batch: Batch) -> list[list[Explanation]]:
    """All explanations of some images that share a shape: a list per image."""
    if batch.outcome.interrupted and (plan.contrast is not None or plan.fuse is not None):
        raise KeyboardInterrupt  # what is there cannot be put together
    done = combine(plan, batch.outcome, batch.rivals)
    guesses = predictions(plan.model, batch.outcome.outputs)
    keep = plan.settings.differentiable
    forward = batch.outcome.outputs
    columns = [
        records(
            plan.model,
            plan.network,
            each,
            batch.items,
            guesses,
            batch.origin,
            forward,
            keep_graph=keep,
            grids=batch.outcome.grids,
        )
        for each in done
    ]
    return [list(row) for row in zip(*columns, strict=True)]
