"""Defects on the way back: takes what was seen of layers and gradients, gives words and a fix."""

from __future__ import annotations

from collections import Counter

import torch

from seewhy.api.defects.base import Patient, Words, defect
from seewhy.core.layers.verdicts import PROVED

__all__: list[str] = []

#: the share of zeros from which on a layer counts as dead
_DEAD = 0.999


@defect
def no_gradient(patient: Patient) -> Words | None:
    """The score is cut off from the input: no_grad, detach, argmax, .data, numpy in the forward."""
    seen = patient.seen
    if patient.network.root is None or seen.failure or not seen.scored:  # nobody knows of what there would be one
        return None
    if seen.gradient is not None and seen.differentiable:
        return None
    cut = next((c for c in seen.calls if c.takes_gradient and not c.gives_gradient), None)
    where = f": the gradient ends in {cut.name} ({cut.kind})" if cut is not None else ""
    return (
        "error",
        f"the score has no gradient at the input{where}",
        "look there for no_grad, detach, argmax, .data or numpy; until then only perturbation methods work",
    )


@defect
def zero_gradient(patient: Patient) -> Words | None:
    """The gradient reaches the input but is 0 everywhere: rounding, signs, saturated or dead units on the way."""
    gradient = patient.seen.gradient
    if gradient is None or bool(gradient.any()) or not torch.isfinite(gradient).all():
        return None
    felt = next((c for c in patient.seen.calls if c.felt), None)
    where = f"; it is still there at {felt.name} ({felt.kind})" if felt is not None else ""
    return (
        "error",
        f"the gradient at the input is 0 everywhere{where}",
        "look before that layer for round, sign, floor or comparisons, for saturated or dead units",
    )


@defect
def dead_layer(patient: Patient) -> Words | None:
    """A layer puts out nothing but zeros on a real picture."""
    dead = [c for c in patient.seen.calls if c.zeros >= _DEAD and torch.Size(c.shape).numel() > 1]
    if not dead:
        return None
    return (
        "warning",
        f"{dead[0].name} ({dead[0].kind}) puts out zeros only, on a real picture",
        "its units are dead: a too large learning rate, a wrong sign, or inputs in the wrong range (see preprocessing)",
    )


@defect
def no_rectifier(patient: Patient) -> Words | None:
    """No ReLU-like function: guided backpropagation and its kin have nothing to change."""
    if patient.network.root is None or patient.seen.failure or patient.seen.activations:
        return None
    return (
        "note",
        "no ReLU-like function is called",
        "guided-backprop, deconvnet and rectified-gradient refuse it; saliency and integrated-gradients do not",
    )


@defect
def no_positions(patient: Patient) -> Words | None:
    """No layer has positions: there is no class activation map of this model."""
    if patient.network.root is None or patient.seen.failure or patient.layer is not None:
        return None
    if any(len(call.shape) >= 3 and max(call.shape[1:]) > 1 for call in patient.seen.calls):
        return None
    return "note", "no layer has positions", "class activation maps do not exist here; saliency and perturbation do"


@defect
def unproved_grid(patient: Patient) -> Words | None:
    """Changed rows and columns of the picture do not clearly change the same ones at the layer that maps are drawn
    of."""
    if patient.layer is None or patient.grid is None or patient.grid.verdict == PROVED:
        return None
    return (
        "note",
        patient.grid.note(patient.layer),
        "look at the proof (seewhy doctor --grid proof.png); name another layer (--layer), or read it with reshape=",
    )


@defect
def forward_only(patient: Patient) -> Words | None:
    """A function, not a network: nothing but its scores can be seen."""
    if patient.network.root is not None:
        return None
    return (
        "note",
        "only scores can be seen, no layer and no gradient",
        "perturbation methods work: occlusion, rise, lime",
    )


@defect
def reused_layers(patient: Patient) -> Words | None:
    """A layer runs several times in one forward: its name means the last call."""
    counts = Counter(call.name for call in patient.seen.calls)
    often = [
        (name, n) for name, n in counts.items() if n > 1 and any(c.name == name and c.shape for c in patient.seen.calls)
    ]
    if not often:
        return None
    name, n = often[0]
    return (
        "note",
        f"{len(often)} layers run several times in a forward, e.g. {name} ({n} times)",
        f"--layer {name} means the last call, {name}#1 the first",
    )
