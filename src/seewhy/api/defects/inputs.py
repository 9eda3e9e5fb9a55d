"""Defects of what surrounds a model: takes its preprocessing and labels, gives words and a fix."""

from __future__ import annotations

from torch import nn

from seewhy.api.defects.base import Patient, Words, defect
from seewhy.models import Preprocess

__all__: list[str] = []


@defect
def no_preprocess(patient: Patient) -> Words | None:
    """Nothing says how a photo becomes the input."""
    if patient.model.preprocess is not None:
        return None
    return (
        "warning",
        "nothing says how a photo becomes the input",
        "--preprocess imagenet (or unit, signed, bytes, caffe), in Python preprocess=; or give float inputs",
    )


@defect
def assumed_preprocess(patient: Patient) -> Words | None:
    """The file does not say how a photo becomes the input, and a usual way was taken."""
    if not patient.model.assumed:
        return None
    return "warning", patient.model.assumed, "compare a few known photos; --preprocess chooses another"


@defect
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


@defect
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
