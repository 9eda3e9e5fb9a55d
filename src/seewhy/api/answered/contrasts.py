"""Combining: takes the engine's answers, gives contrasts subtracted, channels reduced and layers fused; runs no
network."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from seewhy.api.answered.records import finish
from seewhy.api.answered.statuses import Finished
from seewhy.api.asked.plan import Plan
from seewhy.api.asked.targets import competitors
from seewhy.core.network.outputs import Outputs
from seewhy.core.perturb.resampling import upsample
from seewhy.core.schedule.jobs import Answer, Job, Outcome
from seewhy.core.targets import Logit
from seewhy.errors import UsageError

__all__ = ["combine", "rival_jobs"]


def rival_jobs(plan: Plan, job: Job, outputs: Outputs) -> list[Job]:
    """Jobs for the classes that compete with ``job``'s target: the n-th competitor of every image."""
    contrast = plan.request.contrast
    rows = [competitors(contrast, plan.model, target, outputs, row) for row, target in enumerate(job.targets)]
    return [Job(job.outline, targets, job.parameters, job.supplies) for targets in zip(*rows, strict=True)]


def combine(plan: Plan, outcome: Outcome, rivals: Mapping[int, list[Job]]) -> list[Finished]:
    """The maps in the order method, layer, target; with ``fuse`` one for each method and target."""
    by_job: dict[int, Answer] = {id(answer.job): answer for answer in outcome.answers}
    count = len(outcome.answers) - sum(map(len, rivals.values()))
    done = []
    for n, answer in enumerate(outcome.answers[:count]):
        if plan.request.contrast is None:
            done.append(finish(answer, plan.request.reduce))
            continue
        others = [by_job[id(job)] for job in rivals[n]]
        strongest = torch.stack([other.attribution.values for other in others]).amax(0)
        done.append(
            finish(
                answer,
                plan.request.reduce,
                values=answer.attribution.values - strongest,
                contrast=_words(plan, answer),
                spent=answer.spent.united(*(other.spent for other in others)),
            )
        )
    return done if plan.request.fuse is None else _fused(plan, done)


def _words(plan: Plan, answer: Answer) -> str:
    contrast = plan.request.contrast
    if isinstance(contrast, str) and contrast.startswith("top-"):
        return f"against {contrast}"
    rival = plan.model.find_label(contrast) if isinstance(contrast, str) else contrast
    assert rival is not None
    named = Logit(rival).describe(plan.model.label) if rival >= 0 else f"class {rival}"
    return f"against {named}"


def _fused(plan: Plan, done: list[Finished]) -> list[Finished]:
    """Every layer's map of a method and target, resized to the largest, averaged or maximised."""
    columns = len(done) // len(plan.outlines)
    groups: dict[tuple[int, int], list[Finished]] = {}
    for n, finished in enumerate(done):
        groups.setdefault((plan.asked[n // columns], n % columns), []).append(finished)
    return [_fuse(plan, group) for group in groups.values()]


def _fuse(plan: Plan, group: list[Finished]) -> Finished:
    first = group[0]
    if len(group) == 1:
        return first
    if any(finished.values.ndim < 3 for finished in group):
        dense = next(finished.place for finished in group if finished.values.ndim < 3)
        raise UsageError(f"fuse={plan.request.fuse!r}: layer {dense!r} has no positions to lay over the others'")
    grid = max((tuple(finished.values.shape[1:]) for finished in group), key=lambda g: torch.Size(g).numel())
    stack = torch.stack([upsample(finished.values[:, None], grid)[:, 0] for finished in group])
    return Finished(
        first.answer,
        stack.mean(0) if plan.request.fuse == "mean" else stack.amax(0),
        False,
        None,
        " + ".join(finished.place for finished in group),
        first.contrast,
        {**first.parameters, "fuse": plan.request.fuse},
        first.spent.united(*(finished.spent for finished in group[1:])),
    )
