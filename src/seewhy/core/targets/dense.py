"""Targets with a place: take maps of class scores or found objects, give the score of a region or a box."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from seewhy.core.targets.base import Label, Target, class_name, unnamed
from seewhy.errors import TargetError

if TYPE_CHECKING:
    from seewhy.core.network.outputs import Outputs

__all__ = ["Box", "Region", "overlap"]


@dataclass(frozen=True, eq=False)
class Region(Target):
    """Mean score of class ``k`` over a ``mask`` [H, W] (segmentation output [B, K, H, W] or [B, H, W, K]), before a
    final softmax or sigmoid.

    Which axis holds the classes is told by the input's size: positions are that, divided by one stride. Where that
    leaves it open (as many classes as rows and columns) it is the order of the network's own library: torch's second,
    Keras's last. The mask is boolean or a weight per pixel; it is averaged down to the output's size.
    """

    mask: Any
    k: int

    @property
    def index(self) -> int | None:
        """The class."""
        return self.k

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        values = output.maps
        if values.ndim != 4:
            raise TargetError(f"Region needs an output [B, K, H, W]; this model gives {tuple(output.logits.shape)}")
        if not -values.shape[1] <= self.k < values.shape[1]:
            raise TargetError(f"no class {self.k}: the output has {values.shape[1]}")
        given = self.mask if isinstance(self.mask, Tensor) else torch.from_numpy(np.array(self.mask, dtype=np.float32))
        if given.ndim != 2:
            raise TargetError(f"Region takes a mask [H, W]; got {tuple(given.shape)}")
        mask = torch.nn.functional.interpolate(given.to(values)[None, None], values.shape[2:], mode="area")[0, 0]
        if not bool(mask.sum() > 0):
            raise TargetError("Region with an empty mask: no pixel of it is inside")
        return (values[:, self.k] * mask).sum((1, 2)) / mask.sum()

    def unit(self, output: Outputs) -> str:
        """What the score is counted in."""
        return output.score_unit

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return f"{class_name(self.k, label)} in region"


@dataclass(frozen=True)
class Box(Target):
    """How surely an object of class ``k`` is found at ``box``: overlap times score of the detection for which that is
    most; 0 where none of that class overlaps.

    ``box`` is (left, top, right, bottom) in pixels of the input. For detectors that put out, for each image, a mapping
    with ``boxes`` [N, 4], ``labels`` [N] and ``scores`` [N], as torchvision's do. Overlap is intersection over union;
    both factors are differentiated. After Petsiuk et al. 2021, D-RISE, arXiv:2006.03204, eq. 3, without its similarity
    of class scores, which such detectors do not give.
    """

    box: tuple[float, float, float, float]
    k: int

    def __post_init__(self) -> None:
        if len(self.box) != 4 or not (self.box[0] < self.box[2] and self.box[1] < self.box[3]):
            raise TargetError(f"box={self.box}: (left, top, right, bottom) in pixels, left < right and top < bottom")
        object.__setattr__(self, "box", tuple(float(edge) for edge in self.box))

    @property
    def index(self) -> int | None:
        """The class."""
        return self.k

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        if output.found is None:
            raise TargetError(
                f"Box needs detections, for each image a mapping with boxes, labels and scores; this model gives "
                f"{type(output.raw).__name__}"
            )
        return torch.stack([self._best(objects) for objects in output.found])

    def _best(self, objects: Mapping[str, Tensor]) -> Tensor:
        boxes, scores = objects["boxes"], objects["scores"]
        values = scores * overlap(boxes, scores.new_tensor(self.box))
        of_class = values[objects["labels"] == self.k]
        # nothing of the class: 0, and in the graph of what was found
        return of_class.max() if len(of_class) else 0 * (scores.sum() + boxes.sum())

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return f"{class_name(self.k, label)} at {', '.join(f'{edge:.0f}' for edge in self.box)}"


def overlap(boxes: Tensor, box: Tensor) -> Tensor:
    """Intersection over union of ``boxes`` [N, 4] with one ``box`` [4], [N]."""
    low, high = torch.maximum(boxes[:, :2], box[:2]), torch.minimum(boxes[:, 2:], box[2:])
    shared = (high - low).clamp(min=0).prod(1)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod()
    return shared / (areas - shared)
