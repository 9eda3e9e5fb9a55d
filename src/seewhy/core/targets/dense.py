"""Targets with a place on a map: take maps of class scores or of depth, give the mean of a region or one point."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from seewhy.core.targets.base import Label, Target, class_name, unnamed
from seewhy.errors import AbsentTarget, TargetError

if TYPE_CHECKING:
    from seewhy.core.network.outputs import Outputs

__all__ = ["Depth", "Region"]

#: axes of a picture's positions
_PICTURE = 2


@dataclass(frozen=True, eq=False)
class Region(Target):
    """Mean score of class ``k`` over a ``mask`` [H, W] (segmentation output [B, K, H, W] or [B, H, W, K]), before a
    final softmax or sigmoid. Of volumes and videos it is [D, H, W] and [T, H, W], and the output has that axis, too.

    Which axis holds the classes is told by the input's size: positions are that, divided by one stride. Where that
    leaves it open (as many classes as rows and columns) it is the order of the network's own library: torch's second,
    Keras's last. The mask is boolean or a weight per pixel; it is averaged down to the output's size. ``mask=None`` is
    where the network itself predicts the class in the picture that is explained (of one class: where its logit is above
    0), the same places in every changed version of it.

    Raises `TargetError` for a class that there is not, a class that is predicted nowhere, an empty mask.

    >>> import torch, seewhy
    >>> net = torch.nn.Conv2d(3, 4, 3, padding=1)
    >>> mask = torch.zeros(8, 8)
    >>> mask[2:5, 2:5] = 1
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="saliency", target=seewhy.targets.Region(mask, 2)).target
    'class 2 in region'
    """

    mask: Any
    k: int
    #: whether the mask is the network's own prediction
    predicted: bool = False

    @property
    def index(self) -> int | None:
        """The class."""
        return self.k

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        values = self._maps(output)
        if self.mask is None:
            raise TargetError("Region(None, k) is where a picture's own prediction has the class: explain a picture")
        mask = _mask(self.mask, values, "Region")
        return (values[:, self.k] * mask).flatten(1).sum(1) / mask.sum()

    def _maps(self, output: Outputs) -> Tensor:
        """Scores before a final softmax, [B, K, *positions], in which there is the class."""
        values = output.maps
        if values.ndim not in (_PICTURE + 2, len(output.size or "HW") + 2):
            wanted = ", ".join(_letters(len(output.size or "HW")))
            raise TargetError(f"Region needs an output [B, K, {wanted}]; this model gives {tuple(output.logits.shape)}")
        if not -values.shape[1] <= self.k < values.shape[1]:
            raise TargetError(f"no class {self.k}: the output has {values.shape[1]}")
        return values

    def settled(self, output: Outputs, row: int) -> Region:
        """With the mask that is predicted for image ``row`` in the place of None."""
        values = self._maps(output)[row].detach()
        if self.mask is not None:
            return self
        k, single = self.k % len(values), len(values) == 1
        mask = values[0] > 0 if single else values.argmax(0) == k
        if not bool(mask.any()):
            top = "" if single else f"; most of it is class {int(values.argmax(0).flatten().mode().values)}"
            raise AbsentTarget(f"class {k} is predicted nowhere in the picture{top}: name a mask, Region(mask, {k})")
        return replace(self, mask=mask, predicted=True)

    def unit(self, output: Outputs) -> str:
        """What the score is counted in."""
        return output.score_unit

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        where = "where it is predicted" if self.predicted or self.mask is None else "in region"
        return f"{class_name(self.k, label)} {where}"


@dataclass(frozen=True, eq=False)
class Depth(Target):
    """Mean of a map of single numbers [B, H, W], [B, 1, H, W] or [B, H, W, 1], as networks for depth give, over a
    ``mask`` [H, W] (boolean, or a weight per pixel), or its number ``at`` a point (x, y) in pixels of the input; over
    the whole map where neither is given. Weights are averaged down to the output's size; a point has the number of the
    cell that it lies in. Of volumes and videos masks are [D, H, W] and [T, H, W], and points (x, y, slice or frame).

    Raises `TargetError` for another output, an empty mask, a point outside the picture.

    >>> import torch, seewhy
    >>> net = torch.nn.Conv2d(3, 1, 3, padding=1)
    >>> x = torch.rand(1, 3, 8, 8)
    >>> found = seewhy.explain(net, x, method="saliency", target=seewhy.targets.Depth(at=(3, 2)))
    >>> found.target, abs(found.score - float(net(x)[0, 0, 2, 3].detach())) < 1e-6
    ('depth at 3, 2', True)
    """

    mask: Any = None
    at: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.at is not None and (self.mask is not None or len(self.at) not in (2, 3)):
            raise TargetError("Depth takes a mask [H, W], or a point at=(x, y) in pixels of the input: one of them")

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        values = _single(output)
        if self.at is None:
            if self.mask is None:
                return values.flatten(1).mean(1)
            mask = _mask(self.mask, values, "Depth")
            return (values * mask).flatten(1).sum(1) / mask.sum()
        grid = values.shape[1:]
        size = tuple(output.size if len(output.size) == len(grid) else grid)
        point = self.at[::-1]  # the axis of columns comes first in words, and last in tensors
        axes = "(x, y)" if len(size) == _PICTURE else "(x, y, slice or frame)"
        if len(point) != len(size):
            raise TargetError(f"at={self.at} for a map of {' x '.join(map(str, grid))}: {axes}, in pixels of the input")
        if not all(0 <= place < n for place, n in zip(point, size, strict=True)):
            raise AbsentTarget(
                f"at={self.at} is outside the picture of {' x '.join(map(str, size[::-1]))}: {axes}, from 0"
            )
        for place, n, of in zip(point, grid, size, strict=True):  # axis by axis: each takes the next one away
            values = values[:, int(place * n / of)]
        return values

    def unit(self, output: Outputs) -> str:
        """What the score is counted in."""
        return output.output_unit

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        if self.at is not None:
            return "depth at " + ", ".join(f"{place:g}" for place in self.at)
        return "mean depth" if self.mask is None else "depth in region"


def _single(output: Outputs) -> Tensor:
    """A map of single numbers, [B, *positions]."""
    values, axes = output.main, len(output.size) or _PICTURE
    if (
        values.ndim == _PICTURE + 2
        and axes > _PICTURE
        and 1 in (values.shape[1], values.shape[-1])
        and 1 not in output.size
    ):
        axes = _PICTURE  # one map of a whole video
    if values.ndim == axes + 2 and 1 in (values.shape[1], values.shape[-1]):
        values = values.squeeze(1 if values.shape[1] == 1 else -1)
    if values.ndim != axes + 1 or values.ndim < _PICTURE + 1:
        positions = ", ".join(_letters(axes))
        raise TargetError(
            f"Depth needs a map of single numbers [B, {positions}] or [B, 1, {positions}]; this model gives "
            f"{tuple(output.main.shape)}. For one of several classes there is Region(mask, k)"
        )
    return values


def _letters(axes: int) -> str:
    """What so many axes of positions are called."""
    return "DHW"[-axes:] if axes > 1 else "L"


def _mask(mask: Any, values: Tensor, name: str) -> Tensor:
    """``mask`` averaged to the positions of ``values`` [B, *positions] or [B, K, *positions]."""
    given = mask if isinstance(mask, Tensor) else torch.from_numpy(np.array(mask, dtype=np.float32))
    axes = values.ndim - (2 if name == "Region" else 1)
    if given.ndim != axes:
        raise TargetError(f"{name} takes a mask [{', '.join(_letters(axes))}]; got {tuple(given.shape)}")
    small = torch.nn.functional.interpolate(given.to(values)[None, None], values.shape[-axes:], mode="area")[0, 0]
    if not bool(small.sum() > 0):
        raise TargetError(f"{name} with an empty mask: no pixel of it is inside")
    return small
