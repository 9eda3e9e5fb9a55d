"""Batches: takes a plan and images, gives what the engine finds for those of one shape, as many at a time as fit into
memory; makes no record of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from torch import Tensor

from seewhy.api.combining import rival_jobs
from seewhy.api.inputs import Item, same_shape
from seewhy.api.planning import Plan
from seewhy.api.results import provenance
from seewhy.api.supplying import Supplier
from seewhy.core.batching import Budget, in_chunks
from seewhy.core.engine import run_jobs
from seewhy.core.graph.preparing import known_pieces
from seewhy.core.jobs import Job, Outcome, Outline
from seewhy.core.opening import recorded_from_input
from seewhy.core.outputs import Forward
from seewhy.core.targets import LayerMean, Target
from seewhy.errors import CapabilityError

__all__ = ["Batch", "batches"]

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


def batches(plan: Plan, items: Sequence[Item], make: Callable[[Batch], T]) -> Iterator[tuple[Batch, T]]:
    """Run ``items`` as planned; gives each batch with what ``make`` makes of it, up to an interruption.

    ``make`` runs where a lack of memory still makes the batch smaller.
    """
    for indices in same_shape(items):
        budget = _budget(plan, items[indices[0]], len(indices))

        def work(start: int, stop: int, indices: list[int] = indices) -> tuple[Batch, T]:
            batch = _run(plan, items, indices[start:stop])
            return batch, make(batch)

        for _, _, (batch, made) in in_chunks(len(indices), work, budget, recorded=True):
            yield batch, made
            if batch.outcome.interrupted:
                return


def _budget(plan: Plan, item: Item, count: int) -> Budget:
    """How many of ``count`` images like ``item`` to explain at a time."""
    budget = Budget(plan.settings.memory, first=8)
    if plan.settings.differentiable or count == 1:
        budget.size = count
        return budget
    if plan.settings.prepare is False or plan.network.mixes_samples:
        return budget  # together as far as there is memory: bit for bit the model itself
    recorded = recorded_from_input(plan.outlines)
    pieces = known_pieces(plan.network, plan.network.like(item.tensor), gradients=recorded)
    if pieces is None:
        budget.first = 2
    elif recorded:  # where it is not, a program divides by itself
        budget.settle(pieces.samples, pieces.each)
    return budget


def _run(plan: Plan, items: Sequence[Item], indices: Sequence[int]) -> Batch:
    mine = [items[i] for i in indices]
    x = plan.network.like(_stacked([item.tensor for item in mine]))
    seed = next((p["seed"] for p in plan.parameters if "seed" in p), 0)
    question = plan.question.about(indices, len(items), x.ndim)
    supplier = Supplier(plan.model, x, mine, question, seed)
    rivals: dict[int, list[Job]] = {}

    def jobs(forward: Forward) -> list[Job]:
        rivals.clear()
        columns = plan.wanted.resolve(forward, indices) if any(not o.about for o in plan.outlines) else []
        main = [
            Job(outline, targets, own, supplier.supplies(outline.method))
            for outline, own in _in_order(plan, forward)
            for targets in _targets(outline, columns, len(indices))
        ]
        if plan.contrast is not None:
            for n, job in enumerate(main):
                rivals[n] = rival_jobs(plan, job, forward)
        return main + [rival for group in rivals.values() for rival in group]

    outcome = run_jobs(plan.network, x, plan.outlines, jobs, plan.settings, plan.layers)
    prepared = {"prepare": str(plan.settings.prepare), "prepared": dict(outcome.prepared)}
    origin = provenance(plan.model, x) | prepared | supplier.described
    if outcome.grids:
        origin |= {"grid": {place: proof.words for place, proof in outcome.grids.items()}}
    return Batch(tuple(indices), mine, outcome, rivals, origin)


def _stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Inputs [C, *size] as a batch, channels last in memory where each of them is: a network takes other ways there."""
    if all(each.ndim == 3 and each.movedim(0, -1).is_contiguous() for each in tensors):
        return torch.stack([each.movedim(0, -1) for each in tensors]).movedim(-1, 1)
    return torch.stack(list(tensors))


def _targets(outline: Outline, columns: list[tuple[Target, ...]], count: int) -> list[tuple[Target, ...]]:
    return [(LayerMean(outline.about),) * count] if outline.about else columns


def _in_order(plan: Plan, forward: Forward) -> list[tuple[Outline, dict[str, Any]]]:
    """Outlines and parameters as planned; those about layers that nobody named in the order of the forward, as far as
    their layer ran at all."""
    ran = {name: n for n, name in enumerate(forward.captured)}
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
