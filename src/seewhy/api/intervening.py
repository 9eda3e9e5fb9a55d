"""Intervening: takes a model, a photo and a region of it, gives what the model says with the region hidden, beside what
it said before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from seewhy.api.answered.predictions import read_inputs
from seewhy.api.asked.request import Request
from seewhy.api.asked.supplies import FILLS, Supplier
from seewhy.api.given.images import Item, read_one
from seewhy.api.given.shapes import covered
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.session import Session
from seewhy.core.perturb.fills import Fill
from seewhy.errors import UsageError
from seewhy.explanation import Guess
from seewhy.models import Model
from seewhy.models.loader import taken
from seewhy.registry import methods as registry

__all__ = ["Hiding", "Intervention", "intervene"]

#: whose fill is meant where none is named: the method that hides regions
_HIDING = "feature-ablation"
_WHOLE = (0.0, 0.0, 1.0, 1.0)
#: axes of an input that is a picture
_PICTURE = 3


@dataclass(frozen=True, eq=False, repr=False)
class Intervention:
    """What hiding a region did: scores and probabilities ``before`` and ``after`` [2, K], float32 (scores first), the
    share of the input that was ``hidden``, ``image`` what the model saw of it, uint8 [H, W, 3], and how classes are
    called."""

    before: NDArray[np.float32]
    after: NDArray[np.float32]
    hidden: float
    mask: NDArray[np.bool_]
    image: NDArray[np.uint8] | None
    unit: str
    model: Model

    def __repr__(self) -> str:
        first = self.top(1, before=True)[0].index
        return f"Intervention(hidden={self.hidden:.3f}, drop of class {first}={self.drop(first):.4g} {self.unit})"

    def drop(self, target: int | str) -> float:
        """By how much hiding lowers the score of a class, in the score's own unit; negative where it raises it. Raises
        `UsageError` for a class that there is not."""
        return float(self.before[0, self._index(target)] - self.after[0, self._index(target)])

    def top(self, count: int = 5, *, before: bool = False) -> list[Guess]:
        """The best classes with the region hidden, or ``before``, best first."""
        scores, shares = self.before if before else self.after
        best = np.argsort(-scores, kind="stable")[:count]
        return [Guess(int(k), self.model.label(int(k)), float(shares[k]), float(scores[k])) for k in best]

    def _index(self, target: int | str) -> int:
        index = self.model.find_label(target)
        if not 0 <= index < self.before.shape[1]:
            raise UsageError(f"no class {index}: this model has {self.before.shape[1]}")
        return index


class Hiding:
    """A photo that is asked about again and again: read once, with the scores that it has as it is, and fills, which
    are made once. Raises `UsageError` for what is no picture, and `TargetError` for a model without classes."""

    def __init__(self, model: Model, item: Item) -> None:
        if item.tensor.ndim != _PICTURE or item.parts:
            raise UsageError(f"regions of pictures can be hidden; this input has the axes {tuple(item.tensor.shape)}")
        self.model, self.item = model, item
        self._x = model.network().like(item.tensor[None])
        self._fills: dict[str | float, Fill] = {}
        self.before, self.unit = self._answer(self._x)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the input."""
        height, width = self.item.tensor.shape[1:]
        return height, width

    def mask(self, region: Any) -> NDArray[np.bool_]:
        """Where a region, as `intervene` takes it, is in the input [H, W]."""
        whole = self.item.whole or self.size
        if isinstance(region, np.ndarray | Tensor):
            mask = np.asarray(region)
            if mask.shape != self.size or mask.dtype != np.bool_:
                raise UsageError(
                    f"a region of {mask.dtype} {list(mask.shape)}: true and false at the input's size "
                    f"{list(self.size)}, or shapes in fractions of the photo"
                )
            return mask
        if isinstance(region, Mapping) or not isinstance(region, Sequence) or isinstance(region, str):
            raise UsageError(f"region is {type(region).__name__}: an array [H, W] of bool, or a list of shapes")
        return covered(region, self.size, whole, self.item.window or _WHOLE)

    def hide(self, region: Any, fill: Any = None, patch: tuple[Item, float, float] | None = None) -> Intervention:
        """What `intervene` gives of this photo; of a ``patch`` its photo is read already."""
        mask = self.mask(region)
        paint = self._fill(fill) if patch is None else Fill(self._patch(mask, *patch))
        visible = torch.from_numpy(~mask)[None, None].to(self._x)
        changed = paint(self._x, torch.zeros(1, dtype=torch.long, device=self._x.device), visible)
        after, _ = self._answer(changed)
        seen = self.model.to_image(changed[0].detach().to("cpu", torch.float32)) if self.item.pictured else None
        return Intervention(self.before, after, float(mask.mean()), mask, seen, self.unit, self.model)

    def _fill(self, fill: Any) -> Fill:
        key = fill if isinstance(fill, str | float | int) else None
        if key is None or key not in self._fills:
            supplier = Supplier(self.model, self._x, [self.item], Request(method=_HIDING, fill=fill))
            made = supplier.fill(registry[_HIDING])
            if key is None:
                return made
            self._fills[key] = made
        return self._fills[key]

    def _patch(self, mask: NDArray[np.bool_], item: Item, left: float, top: float) -> Tensor:
        """Another photo, moved so that what lies at (left, top) of what the model sees of it comes to lie in the upper
        left corner of what is hidden; its edges are repeated beyond them."""
        if item.tensor.shape != self.item.tensor.shape:
            raise UsageError(
                f"a patch from an input {tuple(item.tensor.shape)} for one of {tuple(self.item.tensor.shape)}: photos "
                "of one size"
            )
        where = np.argwhere(mask)
        first = where.min(0) if len(where) else np.zeros(2, dtype=int)
        places = [
            torch.arange(length).sub(int(begin)).add(round(at * length)).clamp(0, length - 1)
            for length, begin, at in zip(self.size, first, (top, left), strict=True)
        ]
        moved = item.tensor[:, places[0]][:, :, places[1]]
        return self.model.network().like(moved[None])

    def _answer(self, x: Tensor) -> tuple[NDArray[np.float32], str]:
        """Scores and probabilities [2, K] of an input [1, C, H, W], and what scores are counted in."""

        def read(session: Session, some: Sequence[int]) -> list[tuple[NDArray[np.float32], str]]:
            outputs = session.run(session.x, Demand({}, gradients=False)).outputs
            rows = torch.stack([outputs.logits, outputs.probabilities], 1).detach().float().cpu().numpy()
            if rows.ndim != _PICTURE:
                raise UsageError("this model gives no row of class scores, which an intervention compares")
            return [(row, outputs.score_unit) for row in rows]

        return read_inputs(self.model, self.item, x, read)[0]


def intervene(
    model: Any,
    image: Any,
    region: Any,
    *,
    fill: Any = None,
    patch: tuple[Any, float, float] | None = None,
) -> Intervention:
    """What a model says of a photo with a region of it hidden, beside what it says of it as it is.

    ``model`` and ``image`` as for `seewhy.explain`. ``region`` is an array of bool at the input's size [H, W], or a
    list of shapes in fractions of the photo: ``{"kind": "box", "box": [left, top, right, bottom]}``, ``{"kind":
    "polygon", "points": [[x, y], ...]}``, ``{"kind": "stroke", "points": [[x, y], ...], "width": w}``. What is hidden
    is replaced by ``fill``, as perturbation methods replace it (``"grey"`` unless said; ``"mean"``, ``"blur"``,
    ``"inpaint"``, ``"noise"``, ``"black"``, ``"white"``, a number or a tensor), or by a ``patch`` of another photo:
    (photo, left, top), the upper left corner of the region showing what lies there in it, in fractions of what the
    model sees.

    A score's drop is what ``explain(..., "feature-ablation", segments=region)`` gives the region. Raises `UsageError`
    for a region that is none and for inputs that are no pictures, and what `seewhy.explain` raises.

    Ribeiro et al. 2016, arXiv:1602.04938; Goyal et al. 2019, Counterfactual Visual Explanations, arXiv:1904.07451.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    >>> done = seewhy.intervene(net, torch.rand(3, 4, 4), [{"kind": "box", "box": [0, 0, 0.5, 0.5]}], fill=0.0)
    >>> done.hidden, done.before.shape, round(done.drop(1), 6) == round(float(done.before[0, 1] - done.after[0, 1]), 6)
    (0.25, (2, 2), True)
    """
    wrapped = taken(model)
    subject = Hiding(wrapped, read_one(wrapped, image, "image"))
    if patch is None:
        return subject.hide(region, fill)
    if fill is not None:
        raise UsageError(f"fill={fill!r} and patch= are both what takes the region's place: give one, of {FILLS}")
    other, left, top = patch
    return subject.hide(region, None, (read_one(wrapped, other, "patch"), left, top))
