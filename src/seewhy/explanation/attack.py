"""One attack: takes a picture before and after, what the model says of both, gives a record with pictures and files;
computes nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from seewhy.explanation.gallery import Gallery, Tile, map_tile
from seewhy.explanation.parts import Cost, Prediction, Status
from seewhy.explanation.plain import plain
from seewhy.render import check, write

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from seewhy.explanation.result import Explanation

__all__ = ["Attack"]

#: pixels of a tile
_CELL = 224


@dataclass(frozen=True, eq=False, kw_only=True)
class Attack:
    """A picture that was changed so that the model answers otherwise.

    ``image`` and ``adversarial`` are what the model sees, before and after, uint8 ``[H, W, 3]``; ``perturbation`` is
    their difference in levels of 255, float32 ``[C, H, W]``, whole numbers for pictures. ``before`` and ``after`` are
    what the model says, after of the rounded picture; ``score`` and ``attacked_score`` the number that was to fall or
    rise. ``success`` is whether the answer is another one, or the one to reach; None where there are no classes.
    ``maps`` are an explanation of the top class of each, if asked for.
    """

    image: NDArray[np.uint8]
    adversarial: NDArray[np.uint8]
    perturbation: NDArray[np.float32]
    goal: str
    success: bool | None
    before: Prediction | None
    after: Prediction | None
    score: float
    attacked_score: float
    method: str
    parameters: Mapping[str, Any]
    maps: tuple[Explanation, Explanation] | None = None
    name: str = ""
    notes: tuple[str, ...] = ()
    status: Status = field(default_factory=Status)
    cost: Cost = field(default_factory=Cost)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    @property
    def largest(self) -> float:
        """The largest change of any pixel, in levels of 255."""
        return float(np.abs(self.perturbation).max())

    @property
    def amplification(self) -> int:
        """How many times `amplified` shows the change."""
        return max(1, int(127 // max(self.largest, 1e-9))) if self.largest else 1

    @property
    def amplified(self) -> NDArray[np.uint8]:
        """The change, `amplification` times, on grey: uint8 ``[H, W, 3]``; the first channel in grey if not three."""
        shown = self.perturbation if len(self.perturbation) == 3 else np.repeat(self.perturbation[:1], 3, 0)
        levels: NDArray[np.uint8] = np.clip(np.round(127 + self.amplification * shown), 0, 255).astype(np.uint8)
        return np.ascontiguousarray(levels.transpose(1, 2, 0))

    def gallery(self) -> Gallery:
        """Photo, change, result, and the maps before and after, side by side."""
        tiles = [
            Tile(self.image, ("before", _said(self.before, self.score))),
            Tile(self.amplified, (f"change x {self.amplification}", f"at most {self.largest:.3g} of 255")),
            Tile(self.adversarial, ("after", _said(self.after, self.attacked_score))),
        ]
        for word, explanation in zip(("before", "after"), self.maps or (), strict=False):
            tiles.append(map_tile(explanation, (f"{explanation.method} {word}", explanation.target), 2 * _CELL))
        ending = {None: "", True: ": done", False: ": not reached"}[self.success]
        return Gallery(
            title=f"{self.method}, {self.goal}{ending}",
            tiles=tuple(tiles),
            values=self.perturbation,
            columns=len(tiles),
            cell=_CELL,
            notes=self.notes,
            status=self.status,
            parameters=self.parameters,
            cost=self.cost,
            provenance=self.provenance,
        )

    def in_words(self) -> str:
        """What the model says before and after, and how far the pixels moved."""
        before, after = _said(self.before, self.score), _said(self.after, self.attacked_score)
        return f"{before} before, {after} after; pixels moved by {self.largest:.3g} of 255 at most"

    def figure(self) -> Image.Image:
        """The pictures of `gallery` as one."""
        return self.gallery().figure()

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> Path:
        """The file written: the attacked picture itself as ``.png``, the only format here that keeps every level.

        The figure is ``gallery().save``. Raises `UsageError` for another suffix, and for a file that exists unless
        ``force``.
        """
        return write(Image.fromarray(self.adversarial), check(path, (".png",), force=force), force=force)

    def to_dict(self) -> dict[str, Any]:
        """Everything but the pictures, as plain, strictly valid JSON."""
        said = ("name", "method", "goal", "success", "score", "attacked_score", "largest", "parameters", "notes")
        fields = {name: getattr(self, name) for name in said}
        fields |= {"before": _guess(self.before), "after": _guess(self.after)}
        return {name: plain(value) for name, value in (fields | {"status": self.status}).items()}

    def _repr_html_(self) -> str:
        return self.gallery()._repr_html_()

    def __repr__(self) -> str:
        return f"Attack({self.method!r}, {self.goal!r}, success={self.success}, largest={self.largest:.3g})"


def _said(prediction: Prediction | None, score: float) -> str:
    return str(prediction) if prediction is not None else f"score {score:.3g}"


def _guess(prediction: Prediction | None) -> dict[str, Any] | None:
    if prediction is None:
        return None
    return {"index": prediction.index, "label": prediction.label, "probability": prediction.probability}
