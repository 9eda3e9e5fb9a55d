"""Batches: takes a plan and images, gives what the engine finds for those of one shape, as many at a time as fit into
memory; makes no record of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from seewhy.api.combining import rival_jobs
from seewhy.api.inputs import Item, same_shape
from seewhy.api.planning import Plan
from seewhy.api.results import provenance
from seewhy.api.supplying import Supplier
from seewhy.core.compile.programs import known_pieces
from seewhy.core.forward.costs import Spent
from seewhy.core.forward.session import Session
from seewhy.core.memory import Budget, in_chunks
from seewhy.core.network.outputs import Outputs
from seewhy.core.schedule.engine import Engine
from seewhy.core.schedule.jobs import Job, Outcome, Outline
from seewhy.core.schedule.needs import recorded_from_input
from seewhy.core.schedule.spot_checks import attempts
from seewhy.core.targets import LayerMean, Target
from seewhy.errors import CapabilityError

__all__ = ["Batch", "Done", "batches"]

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
    """What is left to know of a `Batch` that is done: its images, what it cost, whether it was interrupted, and where
    its values come from."""

    indices: tuple[int, ...]
    spent: Spent
    interrupted: bool
    origin: Mapping[str, Any]


def batches(plan: Plan, items: Sequence[Item], make: Callable[[Batch], T]) -> list[tuple[Done, T]]:
    """Run ``items`` as planned; gives each batch with what ``make`` makes of it, up to an interruption.

    ``make`` runs where a lack of memory still makes the batch smaller. Where a prepared program is found to differ from
    the model, all batches are run again without one.
    """

    found: list[tuple[Done, T]] = []
    for attempt in attempts(plan.network, plan.settings):
        found.clear()
        with attempt:
            for done, made in _each(replace(plan, settings=attempt.settings), items, make, attempt.lost):
                found.append((done, made))
                attempt.done.append(done.spent)
    return found


def _each(
    plan: Plan, items: Sequence[Item], make: Callable[[Batch], T], lost: Spent | None
) -> Iterator[tuple[Done, T]]:
    for indices in same_shape(items):
        budget = _budget(plan, items[indices[0]], len(indices))

        def work(start: int, stop: int, indices: list[int] = indices) -> tuple[Done, T]:
            batch = _run(plan, items, indices[start:stop], lost)  # noqa: B023 - the first batch's, as it is by then
            outcome = batch.outcome
            return Done(batch.indices, outcome.spent, outcome.interrupted, batch.origin), make(batch)

        for _, _, (done, made) in in_chunks(len(indices), work, budget, recorded=True):
            lost = None
            yield done, made
            if done.interrupted:
                return


def _budget(plan: Plan, item: Item, count: int) -> Budget:
    """How many of ``count`` images like ``item`` to explain at a time."""
    budget = Budget(plan.settings.memory, first=8)
    if plan.settings.differentiable or count == 1:
        budget.size = count
        return budget
    if plan.settings.prepare is False or plan.settings.doubt or plan.network.mixes_samples:
        return budget  # together as far as there is memory: bit for bit the model itself
    recorded = recorded_from_input(plan.outlines)
    pieces = known_pieces(plan.network, plan.network.like(item.tensor), gradients=recorded)
    if pieces is None:
        budget.first = 2
    elif recorded:  # where it is not, a program divides by itself
        budget.settle(pieces.samples, pieces.each)
    return budget


def _run(plan: Plan, items: Sequence[Item], indices: Sequence[int], lost: Spent | None) -> Batch:
    mine = [items[i] for i in indices]
    x = plan.network.like(_stacked([item.tensor for item in mine]))
    seed = next((p["seed"] for p in plan.parameters if "seed" in p), 0)
    question = plan.question.about(indices, len(items), x.ndim)
    supplier = Supplier(plan.model, x, mine, question, seed)
    rivals: dict[int, list[Job]] = {}

    def jobs(outputs: Outputs) -> list[Job]:
        columns = plan.wanted.resolve(outputs, indices) if any(not o.about for o in plan.outlines) else []
        main = [
            Job(outline, targets, own, supplier.supplies(outline.method))
            for outline, own in _in_order(plan, outputs)
            for targets in _targets(outline, columns, len(indices))
        ]
        if plan.contrast is not None:
            for n, job in enumerate(main):
                rivals[n] = rival_jobs(plan, job, outputs)
        return main + [rival for group in rivals.values() for rival in group]

    with plan.network.borrowed() as call, Engine(Session(plan.network, call, x, plan.settings), lost) as engine:
        outcome = engine.run(jobs(engine.open(plan.outlines, plan.layers)))
    prepared = {"prepare": str(plan.settings.prepare), "prepared": dict(outcome.prepared)}
    origin = provenance(plan.model, x) | prepared | supplier.described
    if outcome.grids:
        origin |= {"grid": {place: proof.words for place, proof in outcome.grids.items()}}
    return Batch(tuple(indices), mine, outcome, rivals, origin)


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Inputs [C, *size] as a batch in the order in memory that all of them have: a network takes other ways in another.
    Axes of length 1 have no order: a grey picture, which is plain and channels last alike, stays plain."""
    orders = {_order(each) for each in tensors}
    order = orders.pop() if len(orders) == 1 else tuple(range(tensors[0].ndim))
    back = [order.index(axis) for axis in range(len(order))]
    return torch.stack([each.permute(order) for each in tensors]).permute(0, *(axis + 1 for axis in back))


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
    found = sorted((pair for pair in loose if pair[0].about in ran), key=lambda pair: ran[pair[0].about])
    if loose and not found:
        raise CapabilityError(
            f"{loose[0][0].method.name}: none of this model's {len(loose)} convolutions and dense layers ran as a "
            "module of its own; name other layers with layer= (seewhy layers lists them)"
        )
    rest = iter(found)
    kept = [pair for pair in pairs if not pair[0].optional or pair[0].about in ran]
    return [next(rest) if pair[0].optional else pair for pair in kept]
