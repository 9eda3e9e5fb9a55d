"""Defects of the state a model is in: takes its weights, modes, buffers and hooks, gives words and a fix."""

from __future__ import annotations

import torch
from torch import nn

from seewhy.api.defects.base import Patient, Words, defect

__all__: list[str] = []

_NORMS = nn.modules.batchnorm._BatchNorm


@defect
def non_finite_weights(patient: Patient) -> Words | None:
    """A parameter or buffer holds NaN or infinity."""
    name = patient.network.broken_weights()
    if name is None:
        return None
    return ("error", f"{name} holds NaN or infinity", "load an earlier checkpoint: training diverged")


@defect
def train_mode(patient: Patient) -> Words | None:
    """Dropout or batch norm are in train mode."""
    if not patient.training:
        return None
    return (
        "warning",
        f"{len(patient.training)} layers whose mode matters are in train mode, e.g. {patient.training[0]}",
        "call model.eval(); seewhy explains it as in eval mode and puts the flags back, other code may not",
    )


@defect
def untrained_batch_norm(patient: Patient) -> Words | None:
    """Batch norm has the statistics it started with: mean 0 and variance 1 in every channel."""
    fresh = [
        name
        for name, part in patient.parts
        if isinstance(part, _NORMS)
        and part.running_mean is not None
        and part.running_var is not None
        and not bool(part.running_mean.any())
        and bool((part.running_var == 1).all())
    ]
    if not fresh or patient.model.untrained:
        return None
    return (
        "warning",
        f"{len(fresh)} batch norms have mean 0 and variance 1 in every channel, e.g. {fresh[0]}",
        "they never saw data: load the buffers too (state_dict, not parameters alone), or train in train mode",
    )


@defect
def untrained(patient: Patient) -> Words | None:
    """The weights are random: maps show the architecture, not what was learned."""
    if not patient.model.untrained:
        return None
    words = "the weights are random" if patient.model.weights == "random" else patient.model.weights
    return "warning", words, "maps show the architecture only: give trained weights, --weights FILE"


@defect
def stateful_forward(patient: Patient) -> Words | None:
    """The forward changes the model's buffers although it is in eval mode."""
    changed = patient.seen.changed_buffers
    if not changed:
        return None
    return (
        "warning",
        f"a forward in eval mode changes {len(changed)} buffers, e.g. {changed[0]}",
        "results then depend on what ran before; seewhy puts them back after every call, other code does not",
    )


@defect
def foreign_hooks(patient: Patient) -> Words | None:
    """Somebody's hooks are on the model: another library that did not clean up, or a training script."""
    hooked = [
        name
        for name, part in patient.parts
        if part._forward_hooks or part._forward_pre_hooks or part._backward_hooks or part._backward_pre_hooks
    ]
    if not hooked:
        return None
    return (
        "warning",
        f"{len(hooked)} layers have hooks of somebody else, e.g. {hooked[0]}",
        "they run in every forward and may change it: remove them (handle.remove()) or load the model anew",
    )


@defect
def low_precision(patient: Patient) -> Words | None:
    """Weights in 16 bits: gradients are off by tens of percent."""
    small = {t.dtype for t in patient.network.tensors if t.dtype in (torch.float16, torch.bfloat16)}
    if not small:
        return None
    return (
        "warning",
        f"weights are {next(iter(small))}",
        "gradients lose their sense in 16 bits: model.float() for maps",
    )
