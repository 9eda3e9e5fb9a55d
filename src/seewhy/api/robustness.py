"""Robustness: takes a model and photos, gives how many it still gets right as an attack grows; draws nothing."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from seewhy.api.attacking import attack_items
from seewhy.api.inputs import Item, read_items
from seewhy.api.labelled import labelled
from seewhy.api.predicting import predict_items
from seewhy.core.layers.candidates import CUTS
from seewhy.errors import CapabilityError, ImageError, UsageError
from seewhy.models import load, wrap
from seewhy.registry import methods as registry

__all__ = ["Curve", "Point", "robustness"]

#: photos attacked together
_BATCH = 16


@dataclass(frozen=True)
class Point:
    """How many of ``count`` photos are still answered right when pixels may move by ``epsilon`` levels of 255."""

    epsilon: float
    right: int
    count: int

    @property
    def accuracy(self) -> float:
        """The share, from 0 to 1."""
        return self.right / self.count


@dataclass(frozen=True)
class Curve:
    """Accuracy against epsilon: ``points`` in order, the first at 0. ``truth`` says what right means: ``"labels"``, or
    ``"own answers"`` where nobody said what the photos show; ``failed`` are photos that could not be read, ``notes``
    what ought to be known about the others."""

    method: str
    points: tuple[Point, ...]
    truth: str
    failed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON."""
        points = [
            {"epsilon": p.epsilon, "right": p.right, "count": p.count, "accuracy": p.accuracy} for p in self.points
        ]
        return {"method": self.method, "truth": self.truth, "points": points, "failed": list(self.failed)} | {
            "notes": list(self.notes)
        }


def robustness(
    model: Any,
    folder: str | Path,
    epsilons: Sequence[float] = (1, 2, 4, 8),
    *,
    method: str = "pgd",
    labels: str | Path | None = None,
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    **parameters: Any,
) -> Curve:
    """Accuracy on the photos of ``folder`` against the size of an attack, judged on pictures of 8 bits.

    True classes come from sub-folders or a table (``labels``, see `seewhy.api.labelled`); where nobody said, from what
    the model answers before the attack. A photo that falls at one epsilon counts as fallen at every larger one: the
    smaller ball lies in the larger. An answer of NaN is never right. ``method`` and ``parameters`` as for
    `seewhy.attack`. Raises `UsageError` for epsilons that are none and a folder that mixes photos with and without a
    class, `CapabilityError` where no photo has a gradient to attack by: such a network stands still, and proves
    nothing.
    """
    sizes = sorted(set(epsilons))
    if not sizes or not all(isinstance(e, int | float) and 0 < e <= 255 for e in sizes):
        raise UsageError(f"epsilons={list(epsilons)}: levels above 0, at most 255, e.g. 1,2,4,8")
    wrapped = load(model) if isinstance(model, str) else wrap(model)
    photos = labelled(wrapped, folder, labels)
    known = [photo for photo in photos if photo.truth is not None]
    if known and len(known) != len(photos):
        raise UsageError(f"{len(known)} of {len(photos)} photos in {folder} have a class and the others none; give all")
    items, truths, failed = list[Item](), list[int | None](), list[str]()
    for photo in photos:
        try:
            items += read_items(wrapped, photo.path)[0]
            truths.append(photo.truth)
        except ImageError as error:
            failed.append(str(error))
    if not items:
        raise UsageError(f"none of the {len(photos)} photos in {folder} can be read")
    said = predict_items(wrapped, items, memory=memory, progress=progress)
    right = [scored.index if truth is None else truth for scored, truth in zip(said, truths, strict=True)]
    standing = [n for n, scored in enumerate(said) if scored.answered and scored.index == right[n]]
    if "stop" in registry[method].parameters and said[0].probabilities is not None:
        # a class with a smaller share than 1 / K leads no more; one unit further survives the rounding to 8 bits
        parameters.setdefault("stop", math.log(len(said[0].probabilities)) + 1)
    points = [Point(0.0, len(standing), len(items))]
    unmoved: set[int] = set()
    for number, size in enumerate(sizes):
        left = []
        for start in range(0, len(standing), _BATCH):
            mine = standing[start : start + _BATCH]
            found = attack_items(
                wrapped, [items[n] for n in mine], method=method, target=[right[n] for n in mine], memory=memory,
                epsilon=size, **parameters,
            )  # fmt: skip
            left += [n for n, each in zip(mine, found, strict=False) if not each.success]
            unmoved |= {n for n, each in zip(mine, found, strict=False) if each.status.code == "zero-gradient"}
            if progress is not None:
                progress(f"{method}, epsilon {size:g}", start + len(mine), len(standing))
        if standing and len(unmoved) == len(standing) and not number:
            raise CapabilityError(
                f"{method} finds no gradient at the pixels of any photo: the network rounds, or cuts the graph "
                f"({CUTS}), so that it stands still says nothing; see seewhy doctor"
            )
        standing = left
        points.append(Point(float(size), len(standing), len(items)))
        if not standing and number + 1 < len(sizes):
            points += [Point(float(e), 0, len(items)) for e in sizes[number + 1 :]]
            break
    notes = (f"{len(unmoved)} photos have no gradient at their pixels: they count as they answer",) if unmoved else ()
    return Curve(method, tuple(points), "labels" if known else "own answers", tuple(failed), notes)
