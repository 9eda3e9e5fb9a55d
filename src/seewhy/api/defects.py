"""What can be wrong with a model: takes what an examination saw, gives findings with their fix; runs nothing.

Every function below knows one defect. Its name is the code, its docstring the entry in the docs, and each has a model
that has it in the tests.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from seewhy.core.examining import Examination
from seewhy.core.network import Network
from seewhy.core.outputs import Forward
from seewhy.explanation import Finding
from seewhy.models import Model, Preprocess

__all__ = ["DEFECTS", "Patient", "findings"]

#: how far two outputs of the same input may lie apart, relative to the largest
_SAME = 1e-4
#: the share of zeros from which on a layer counts as dead
_DEAD = 0.999
_NORMS = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True)
class Patient:
    """A model, what was seen of it, its forward on the probe, and the flags it came with."""

    model: Model
    network: Network
    seen: Examination
    x: Tensor
    training: tuple[str, ...] = ()

    @property
    def parts(self) -> list[tuple[str, nn.Module]]:
        """Submodules by name."""
        return [] if self.network.root is None else [(n, p) for n, p in self.network.root.named_modules() if n]

    @property
    def forward(self) -> Forward | None:
        """What the probe gave, as targets see it."""
        return None if self.seen.raw is None else Forward(self.seen.raw, 1)


Words = tuple[str, str, str]
DEFECTS: dict[str, Callable[[Patient], Words | None]] = {}


def _defect(check: Callable[[Patient], Words | None]) -> Callable[[Patient], Words | None]:
    DEFECTS[check.__name__.replace("_", "-")] = check
    return check


def findings(patient: Patient) -> Iterator[Finding]:
    """Everything that is found, in the order of the functions below."""
    for code, check in DEFECTS.items():
        said = check(patient)
        if said is not None:
            yield Finding(code, *said)


def _apart(a: Tensor | None, b: Tensor | None) -> float:
    if a is None or b is None or a.shape != b.shape or not a.numel():
        return 0.0
    size = float(a.double().abs().max())
    return float((a.double() - b.double()).abs().max()) / max(size, 1e-12)


@_defect
def does_not_run(patient: Patient) -> Words | None:
    """The model's own forward fails on the probe, or on a batch of two."""
    if not patient.seen.failure:
        return None
    what = "the forward fails" if patient.seen.output is None else "a batch of two fails, one image alone does not"
    return (
        "error",
        f"{what} on an input {tuple(patient.x.shape)}: {patient.seen.failure}",
        "check the input's size and channels against what the network was built for, and that it takes any batch",
    )


@_defect
def non_finite_weights(patient: Patient) -> Words | None:
    """A parameter or buffer holds NaN or infinity."""
    name = patient.network.broken_weights()
    if name is None:
        return None
    return ("error", f"{name} holds NaN or infinity", "load an earlier checkpoint: training diverged")


@_defect
def non_finite_output(patient: Patient) -> Words | None:
    """The scores of a real picture are NaN or infinite although the weights are not."""
    out = patient.seen.output
    if out is None or bool(out.isfinite().all()) or patient.network.broken_weights():
        return None
    return "error", "the scores are NaN or infinite", "look for a division or logarithm of 0; float16 may overflow"


@_defect
def constant_output(patient: Patient) -> Words | None:
    """Two different pictures get exactly the same scores."""
    seen = patient.seen
    if seen.output is None or seen.other is None or not torch.equal(seen.output, seen.other):
        return None
    return (
        "error",
        "two different pictures get exactly the same scores",
        "the output does not depend on the input: look for zeroed weights, dead layers, or an input that is not used",
    )


@_defect
def random_output(patient: Patient) -> Words | None:
    """The same input gets different scores twice: dropout called as a function, noise, sampling."""
    gap = _apart(patient.seen.output, patient.seen.again)
    if gap <= _SAME:
        return None
    return (
        "error",
        f"the same input gives scores {gap:.1%} apart, in eval mode",
        "F.dropout(x) is active unless training=self.training is passed; noise in forward must obey the mode",
    )


@_defect
def batch_dependence(patient: Patient) -> Words | None:
    """An image's scores change with what else is in the batch: batch norm without running statistics, sums over the
    batch."""
    seen = patient.seen
    first = None if seen.together is None or seen.output is None else seen.together[: len(seen.output)]
    gap = _apart(seen.output, first)
    if gap <= _SAME or _apart(seen.output, seen.again) > _SAME:
        return None
    return (
        "error",
        f"an image's scores move by {gap:.1%} when another image is in the batch",
        "a layer normalises over the batch: BatchNorm with track_running_stats=False, or a mean over axis 0",
    )


@_defect
def train_mode(patient: Patient) -> Words | None:
    """Dropout or batch norm are in train mode."""
    if not patient.training:
        return None
    return (
        "warning",
        f"{len(patient.training)} layers whose mode matters are in train mode, e.g. {patient.training[0]}",
        "call model.eval(); seewhy explains it as in eval mode and puts the flags back, other code may not",
    )


@_defect
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
    if not fresh or patient.model.weights == "random":
        return None
    return (
        "warning",
        f"{len(fresh)} batch norms have mean 0 and variance 1 in every channel, e.g. {fresh[0]}",
        "they never saw data: load the buffers too (state_dict, not parameters alone), or train in train mode",
    )


@_defect
def untrained(patient: Patient) -> Words | None:
    """The weights are random: maps show the architecture, not what was learned."""
    if patient.model.weights != "random":
        return None
    return "warning", "the weights are random", "maps show the architecture only: give trained weights, --weights FILE"


@_defect
def no_gradient(patient: Patient) -> Words | None:
    """The score is cut off from the input: no_grad, detach, argmax, .data, numpy in the forward."""
    seen = patient.seen
    if patient.network.root is None or seen.failure or (seen.gradient is not None and seen.differentiable):
        return None
    cut = next((c for c in seen.calls if c.takes_gradient and not c.gives_gradient), None)
    where = f": the gradient ends in {cut.name} ({cut.kind})" if cut is not None else ""
    return (
        "error",
        f"the score has no gradient at the input{where}",
        "look there for no_grad, detach, argmax, .data or numpy; until then only perturbation methods work",
    )


@_defect
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


@_defect
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


@_defect
def no_preprocess(patient: Patient) -> Words | None:
    """Nothing says how a photo becomes the input."""
    if patient.model.preprocess is not None:
        return None
    return (
        "warning",
        "nothing says how a photo becomes the input",
        "--preprocess imagenet (or unit, signed, bytes, caffe), in Python preprocess=; or give float inputs",
    )


@_defect
def assumed_preprocess(patient: Patient) -> Words | None:
    """The file does not say how a photo becomes the input, and a usual way was taken."""
    if not patient.model.assumed:
        return None
    return "warning", patient.model.assumed, "compare a few known photos; --preprocess chooses another"


@_defect
def channels_differ(patient: Patient) -> Words | None:
    """Preprocessing makes another number of channels than the first convolution takes."""
    ours = patient.model.preprocess
    first = next((part for _, part in patient.parts if isinstance(part, nn.modules.conv._ConvNd)), None)
    if not isinstance(ours, Preprocess) or first is None or first.in_channels == ours.channels:
        return None
    return (
        "error",
        f"photos become {ours.channels} channels, the first convolution takes {first.in_channels}",
        "pass a preprocess with that number of channels, or load the network built for colour or grey pictures",
    )


@_defect
def labels_differ(patient: Patient) -> Words | None:
    """There are more or fewer labels than scores."""
    out, labels = patient.seen.output, patient.model.labels
    if labels is None or out is None or out.ndim != 2 or out.shape[1] == len(labels):
        return None
    return (
        "error",
        f"{len(labels)} labels for {out.shape[1]} scores",
        "every name after the first difference is wrong: pass the labels of this network (--labels FILE)",
    )


@_defect
def no_class_scores(patient: Patient) -> Words | None:
    """The output is no row of class scores: regression, segmentation, detection, embeddings."""
    out, seen = patient.seen.output, patient.seen
    if seen.failure or (out is not None and out.ndim == 2 and out.shape[1] > 1):
        return None
    what = type(seen.raw).__name__ if out is None else f"shape {tuple(out.shape)}"
    return (
        "note",
        f"the output ({what}) is no row of class scores",
        "say what to explain: seewhy.targets.Output (regression), Region (segmentation), Box (detection), Similarity",
    )


@_defect
def saturated_output(patient: Patient) -> Words | None:
    """The model gives probabilities, and one of them is 1 up to rounding."""
    forward = patient.forward
    if patient.seen.output is None or forward is None or patient.seen.output.ndim != 2:
        return None
    out = patient.seen.output
    bounded = bool((out >= 0).all() and (out <= 1).all()) and out.shape[1] > 1
    if not bounded or float(out.max()) < 1 - 1e-6:
        return None
    return (
        "note",
        "a probability is 1 up to rounding, so its gradient is 0",
        "explain the score before the softmax or sigmoid: seewhy does unless asked for Probability",
    )


@_defect
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


@_defect
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


@_defect
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


@_defect
def no_rectifier(patient: Patient) -> Words | None:
    """No ReLU-like function: guided backpropagation and its kin have nothing to change."""
    if patient.network.root is None or patient.seen.failure or patient.seen.activations:
        return None
    return (
        "note",
        "no ReLU-like function is called",
        "guided-backprop, deconvnet and rectified-gradient refuse it; saliency and integrated-gradients do not",
    )


@_defect
def no_positions(patient: Patient) -> Words | None:
    """No layer has positions: there is no class activation map of this model."""
    if patient.network.root is None or patient.seen.failure:
        return None
    if any(len(call.shape) >= 3 and max(call.shape[1:]) > 1 for call in patient.seen.calls):
        return None
    return "note", "no layer has positions", "class activation maps do not exist here; saliency and perturbation do"


@_defect
def forward_only(patient: Patient) -> Words | None:
    """A function, not a network: nothing but its scores can be seen."""
    if patient.network.root is not None:
        return None
    return (
        "note",
        "only scores can be seen, no layer and no gradient",
        "perturbation methods work: occlusion, rise, lime",
    )


@_defect
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
