"""Planned: takes a plan and images, gives explanations: images of one shape go through the network together, as many
at a time as fit into memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from seewhy.api.answered.contrasts import combine, rival_jobs
from seewhy.api.answered.records import predictions, provenance, records
from seewhy.api.asked.plan import Plan, of_the_output
from seewhy.api.asked.supplies import Supplier
from seewhy.api.given.images import Item, own_layout, same_shape
from seewhy.api.noisy import over_noise
from seewhy.core.compile.programs import known_pieces
from seewhy.core.forward.costs import Spent
from seewhy.core.forward.session import Session
from seewhy.core.layers.choice import read_layer
from seewhy.core.memory_budget import Budget, chunks
from seewhy.core.network.outputs import Outputs
from seewhy.core.schedule.attempts import attempts
from seewhy.core.schedule.engine import Engine
from seewhy.core.schedule.jobs import Job, Outcome, Outline
from seewhy.core.schedule.needs import recorded_from_input
from seewhy.core.targets import LayerMean, Target
from seewhy.errors import CapabilityError, UsageError
from seewhy.explanation import Cost, Explanation, Explanations

__all__ = ["Batch", "Done", "batches", "run_plan"]

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Batch:
    """Images that went through the network together: which of all, the engine's outcome, for every job those of the
    classes that compete with its target, and where the values come from."""

    indices: tuple[int, ...]
    items: list[Item]
    outcome: Outcome
    rivals: Mapping[int, list[Job]]
    origin: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class Done:
    """What is left to know of a `Batch` that is done: its images, what it cost, whether it was interrupted, where its
    values come from, and how many images like these fit into memory, where that was measured."""

    indices: tuple[int, ...]
    spent: Spent
    interrupted: bool
    origin: Mapping[str, Any]
    room: int | None = None


def batches(
    plan: Plan, items: Sequence[Item], make: Callable[[Batch], T], *, partial: bool = False
) -> list[tuple[Done, T]]:
    """Run ``items`` as planned; gives each batch with what ``make`` makes of it.

    ``make`` runs where a lack of memory still makes the batch smaller. Where a prepared program is found to differ from
    the model, all batches are run again without one. An interruption is raised, also where a method could answer with
    the samples that it had, unless whoever asks takes ``partial`` results, and says so.
    """

    finished: list[tuple[Done, T]] = []
    for attempt in attempts(plan.network, plan.settings):
        finished.clear()
        with attempt:
            for done, result in _each(replace(plan, settings=attempt.settings), items, make, attempt.lost):
                finished.append((done, result))
                attempt.done.append(done.spent)
    if not partial and any(done.interrupted for done, _ in finished):
        raise KeyboardInterrupt
    return finished


def _each(
    plan: Plan, items: Sequence[Item], make: Callable[[Batch], T], lost: Spent | None
) -> Iterator[tuple[Done, T]]:
    for indices in same_shape(items):
        budget = _budget(plan, items[indices[0]], len(indices))
        for chunk in chunks(len(indices), budget, recorded=True):
            with chunk:
                done, result = _made(_run(plan, items, indices[chunk.start : chunk.stop], lost), make)
            if not chunk.done:
                continue
            lost = None
            yield replace(done, room=budget.size), result
            if done.interrupted:
                return


def _made(batch: Batch, make: Callable[[Batch], T]) -> tuple[Done, T]:
    """A function of its own lets go of the batch, and of its graph, however it ends: what comes next needs the room."""
    outcome = batch.outcome
    return Done(batch.indices, outcome.spent, outcome.interrupted, batch.origin), make(batch)


def _budget(plan: Plan, item: Item, count: int) -> Budget:
    """How many of ``count`` images like ``item`` to explain at a time."""
    budget = plan.settings.budget(first=8)
    if plan.settings.alone:
        return budget
    if plan.settings.differentiable or count == 1:
        budget.size = count
        return budget
    if plan.settings.together is not None:
        budget.size = min(plan.settings.together, count)
        return budget
    if plan.settings.prepare is False or plan.settings.doubt:
        return budget  # together as far as there is memory: bit for bit the model itself
    recorded = recorded_from_input(plan.outlines)
    pieces = known_pieces(plan.network, plan.network.like(item.tensor), gradients=recorded)
    if pieces is None:
        budget.first = 2
    elif recorded:  # where it is not, a program divides by itself
        budget.settle(pieces.samples, pieces.each)
    return budget


def _run(plan: Plan, items: Sequence[Item], indices: Sequence[int], lost: Spent | None) -> Batch:
    batch_items = [items[i] for i in indices]
    x = plan.network.like(_stacked([item.tensor for item in batch_items]))
    seed = next((p["seed"] for p in plan.parameters if "seed" in p), 0)
    request = plan.request.about(indices, len(items), x.ndim, own_layout(plan.model, x).ndim)
    supplier = Supplier(plan.model, x, batch_items, request, seed)
    rivals: dict[int, list[Job]] = {}

    def jobs(outputs: Outputs) -> list[Job]:
        columns = _columns(plan, outputs, indices)
        main = [
            Job(outline, targets, own, supplier.supplies(outline.method))
            for outline, own in _in_order(plan, outputs)
            for targets in _targets(outline, columns, len(indices))
        ]
        if plan.request.contrast is not None:
            for n, job in enumerate(main):
                rivals[n] = rival_jobs(plan, job, outputs)
        return main + [rival for group in rivals.values() for rival in group]

    with plan.network.borrowed() as call:
        session = Session(plan.network, call, x, plan.settings, reader=read_layer)
        with Engine(session, lost) as engine:
            outcome = engine.run(jobs(engine.open(plan.outlines, plan.layers)))
    prepared = {"prepare": str(plan.settings.prepare), "prepared": dict(outcome.prepared)}
    origin = provenance(plan.model, x, outcome.contents) | prepared | supplier.described
    if outcome.grids:
        origin |= {"grid": {place: proof.words for place, proof in outcome.grids.items()}}
    return Batch(tuple(indices), batch_items, outcome, rivals, origin)


def _columns(plan: Plan, outputs: Outputs, indices: Sequence[int]) -> list[tuple[Target, ...]]:
    """The targets that are no layers' means; none where nobody but the map of the output itself would need one, and the
    output has none that goes without saying."""
    needed = [outline for outline in plan.outlines if not outline.about]
    try:
        return plan.wanted.resolve(outputs, indices) if needed else []
    except UsageError:
        if all(map(of_the_output, needed)):
            return []
        raise


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Inputs [C, *size] as a batch in the order in memory that all of them have: a network takes other ways in another.
    Axes of length 1 have no order: a grey picture, which is plain and channels last alike, stays plain."""
    orders = {_order(tensor) for tensor in tensors}
    order = orders.pop() if len(orders) == 1 else tuple(range(tensors[0].ndim))
    back = [order.index(axis) for axis in range(len(order))]
    return torch.stack([tensor.permute(order) for tensor in tensors]).permute(0, *(axis + 1 for axis in back))


def _order(x: Tensor) -> tuple[int, ...]:
    """The axes of ``x``, the one with the largest steps first; those that nothing tells apart in their own order."""
    if x.is_contiguous():
        return tuple(range(x.ndim))
    steps = [step if length > 1 else x.numel() for step, length in zip(x.stride(), x.shape, strict=True)]
    return tuple(sorted(range(x.ndim), key=lambda axis: -steps[axis]))


def _targets(outline: Outline, columns: list[tuple[Target, ...]], count: int) -> list[tuple[Target, ...]]:
    return [(LayerMean(outline.about),) * count] if outline.about else columns


def _in_order(plan: Plan, outputs: Outputs) -> list[tuple[Outline, dict[str, Any]]]:
    """Outlines and parameters as planned; those about layers that nobody named in the order of the forward, as far as
    their layer ran at all."""
    ran = {name: n for n, name in enumerate(outputs.captured)}
    pairs = list(zip(plan.outlines, plan.parameters, strict=True))
    loose = [pair for pair in pairs if pair[0].optional]
    ordered = sorted((pair for pair in loose if pair[0].about in ran), key=lambda pair: ran[pair[0].about])
    if loose and not ordered:
        raise CapabilityError(
            f"{loose[0][0].method.name}: none of this model's {len(loose)} convolutions and dense layers ran as a "
            "module of its own; name other layers with layer= (seewhy layers lists them)"
        )
    rest = iter(ordered)
    kept = [pair for pair in pairs if not pair[0].optional or pair[0].about in ran]
    return [next(rest) if pair[0].optional else pair for pair in kept]


def run_plan(plan: Plan, items: Sequence[Item], *, partial: bool = False) -> Explanations:
    """Explain ``items`` as planned, in chunks of equal shape that fit into memory; in the order of the images. As far
    as an interruption let it, for whoever takes ``partial`` results; for others it is raised."""
    if plan.request.noise is not None:
        made = over_noise(plan, items, plan.request.noise, lambda each, copies: run_plan(each, copies, partial=True))
        if made.interrupted and not partial:
            raise KeyboardInterrupt
        return made
    began = time.perf_counter()
    by_image: dict[int, list[Explanation]] = {}
    spent = Cost()
    interrupted = False
    for done, explained in batches(plan, items, lambda batch: _explanations(plan, batch), partial=partial):
        passes = done.spent
        spent += Cost(passes.forwards, passes.backwards, passes.checks)
        by_image |= dict(zip(done.indices, explained, strict=True))
        interrupted = done.interrupted
    ordered = [explanation for index in range(len(items)) for explanation in by_image.get(index, ())]
    cost = replace(spent, seconds=time.perf_counter() - began)
    return Explanations(ordered, cost=cost, interrupted=interrupted)


def _explanations(plan: Plan, batch: Batch) -> list[list[Explanation]]:
    """All explanations of some images that share a shape: a list per image."""
    if batch.outcome.interrupted and (plan.request.contrast is not None or plan.request.fuse is not None):
        raise KeyboardInterrupt  # what is there cannot be put together
    done = combine(plan, batch.outcome, batch.rivals)
    guesses = predictions(plan.model, batch.outcome.outputs)
    keep = plan.settings.differentiable
    forward = batch.outcome.outputs
    columns = [
        records(
            plan.model,
            plan.network,
            finished,
            batch.items,
            guesses,
            batch.origin,
            forward,
            keep_graph=keep,
            grids=batch.outcome.grids,
        )
        for finished in done
    ]
    return [list(row) for row in zip(*columns, strict=True)]
