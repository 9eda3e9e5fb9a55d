"""What detectors put out: takes a model's raw output, gives what was found in each image; never runs a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

__all__ = ["best", "detections"]


def detections(raw: Any) -> Sequence[Mapping[str, Tensor]] | None:
    """What a detector found, one mapping an image; None if ``raw`` is something else."""
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not len(raw):
        return None
    if all(isinstance(each, Mapping) and {"boxes", "labels", "scores"} <= each.keys() for each in raw):
        return raw
    return None


def best(found: Mapping[str, Tensor], most: int) -> list[tuple[tuple[float, ...], int]]:
    """The surest ``most`` objects of one image as (box, class), the surest first."""
    order = found["scores"].detach().argsort(descending=True)[:most].tolist()
    return [(tuple(found["boxes"][n].tolist()), int(found["labels"][n])) for n in order]
