"""Defects of what a model puts out: takes what was seen of its scores, gives words and a fix."""

from __future__ import annotations

import torch

from seewhy.api.defects.base import Patient, Words, apart, defect
from seewhy.core.percentages import percent

__all__: list[str] = []

#: how far two outputs of the same input may lie apart, relative to the largest
_SAME = 1e-4


@defect
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


@defect
def one_at_a_time(patient: Patient) -> Words | None:
    """The model takes one picture at a time, as one exported for a batch of one does."""
    if not patient.seen.alone:
        return None
    return (
        "note",
        f"one picture at a time goes through it, and two do not: {patient.seen.alone}",
        "methods that take many samples go one by one, or are refused; have its forward take any number",
    )


@defect
def non_finite_output(patient: Patient) -> Words | None:
    """The scores of a real picture are NaN or infinite although the weights are not."""
    out = patient.seen.output
    if out is None or bool(out.isfinite().all()) or patient.network.broken_weights():
        return None
    return "error", "the scores are NaN or infinite", "look for a division or logarithm of 0; float16 may overflow"


@defect
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


@defect
def random_output(patient: Patient) -> Words | None:
    """The same input gets different scores twice: dropout called as a function, noise, sampling."""
    gap = apart(patient.seen.output, patient.seen.again)
    if gap <= _SAME:
        return None
    return (
        "error",
        f"the same input gives scores {percent(gap)} apart, in eval mode",
        "F.dropout(x) is active unless training=self.training is passed; noise in forward must obey the mode",
    )


@defect
def batch_dependence(patient: Patient) -> Words | None:
    """An image's scores change with what else is in the batch: batch norm without running statistics, sums over the
    batch."""
    seen = patient.seen
    first = None if seen.together is None or seen.output is None else seen.together[: len(seen.output)]
    gap = apart(seen.output, first)
    if gap <= _SAME or apart(seen.output, seen.again) > _SAME:
        return None
    return (
        "error",
        f"an image's scores move by {percent(gap)} when another image is in the batch",
        "a layer normalises over the batch: BatchNorm with track_running_stats=False, or a mean over axis 0",
    )


@defect
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


@defect
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
