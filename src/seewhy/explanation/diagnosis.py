"""What is the matter with a model: takes findings and facts, gives a record in words and the proof of its grid as a
picture; examines nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.errors import CapabilityError
from seewhy.explanation.plain import plain
from seewhy.html import pairs, picture, table
from seewhy.render import Cell, check, embedded, grid, heatmap, resize, write

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from numpy.typing import NDArray
    from PIL import Image

__all__ = ["SEVERITIES", "Diagnosis", "Finding", "GridProof", "MethodCheck"]

#: from what makes every map wrong to what is merely good to know
SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing about a model: its code (a heading of the docs), how bad it is, what was seen, and what to do."""

    code: str
    severity: str
    words: str
    fix: str


@dataclass(frozen=True)
class MethodCheck:
    """Whether a method runs on a model, why not, and what a map costs here: ``seconds`` is an estimate where the run
    was cut short (``whole`` is False), None where nothing can be said."""

    name: str
    family: str
    works: bool
    reason: str = ""
    seconds: float | None = None
    forwards: int = 0
    backwards: int = 0
    whole: bool = True


@dataclass(frozen=True, eq=False)
class GridProof:
    """What changed pictures said of the layer for class activation maps: its name, the verdict in words, the
    correlation that decided, and for each axis ``(changed, answered)``: which side of the picture each of a pair
    changed, 1 or -1, [H, W], and which of the two each position answered to, -1 to 1, [h, w]."""

    layer: str
    verdict: str
    correlation: float
    axes: tuple[tuple[NDArray[Any], NDArray[Any]], ...] = field(default=(), repr=False)

    def picture(self) -> Image.Image:
        """Both sides of every axis, what was changed beside what answered, in the same colours.

        Raises `CapabilityError` where there is nothing to draw: no pictures could be asked, or they have other than two
        axes.
        """
        pairs = [pair for pair in self.axes if pair[0].ndim == pair[1].ndim == 2]
        if not pairs:
            raise CapabilityError(f"the grid of layer {self.layer!r} is {self.verdict}: there is nothing to draw of it")
        rows = []
        for (changed, answered), word in zip(pairs, ("rows", "columns"), strict=False):
            drawn = [np.asarray(side, dtype=np.float32) for side in (changed, resize(answered, changed.shape))]
            cells = [heatmap(side, limits=(-1, 1), signed=True) for side in drawn]
            rows.append(
                [
                    Cell(cells[0], (f"{word} changed", "one picture, or the other")),
                    Cell(cells[1], (f"{self.layer} answered", f"{answered.shape[0]}x{answered.shape[1]} positions")),
                ]
            )
        return grid(rows, header=f"grid {self.verdict}, correlation {self.correlation:.2f}")

    def _repr_html_(self) -> str:
        try:
            return picture(*embedded(self.picture()), f"the grid of {self.layer}")
        except CapabilityError as error:
            return f"<p>{escape(str(error))}</p>"

    def save(self, path: str | os.PathLike[str], *, force: bool = False) -> Path:
        """Write `picture`; raises `UsageError` for a suffix that is none of a picture, or a file that exists."""
        check(path, (".png", ".jpg", ".jpeg"), force=force)
        return write(self.picture(), path, force=force)


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Everything found: ``facts`` by name, in the order they are told, ``findings`` the worst first, ``methods`` in the
    order of their families (empty if they were not tried), and ``grid``, the proof of the layer for class activation
    maps, where there is one."""

    model: str
    facts: Mapping[str, str]
    findings: tuple[Finding, ...]
    methods: tuple[MethodCheck, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)
    grid: GridProof | None = None

    @property
    def healthy(self) -> bool:
        """Whether nothing is worse than a note."""
        return all(finding.severity == "note" for finding in self.findings)

    def codes(self) -> list[str]:
        """The codes of all findings."""
        return [finding.code for finding in self.findings]

    def to_dict(self) -> dict[str, Any]:
        """As plain, strictly valid JSON."""
        return {
            "model": self.model,
            "healthy": self.healthy,
            "facts": dict(self.facts),
            "findings": [asdict(finding) for finding in self.findings],
            "methods": [plain(asdict(tried)) for tried in self.methods],
            "grid": None
            if self.grid is None
            else plain({"layer": self.grid.layer, "verdict": self.grid.verdict, "correlation": self.grid.correlation}),
        }

    def _repr_html_(self) -> str:
        verdict = "healthy" if self.healthy else "not as it should be"
        parts = [f"<p><b>{escape(self.model)}</b>: {verdict}</p>", pairs(self.facts.items())]
        if self.findings:
            rows = ([f.severity, f.code, f.words, f.fix] for f in self.findings)
            parts.insert(1, table(("", "finding", "what was seen", "what to do"), rows))
        if self.methods:
            tried = ([m.name, m.family, m.works, m.seconds, m.forwards, m.backwards, m.reason] for m in self.methods)
            heads = ("method", "family", "works", "seconds a map", "forwards", "backwards", "why not")
            parts.append(table(heads, tried))
        return f"<div>{''.join(parts)}{'' if self.grid is None else self.grid._repr_html_()}</div>"

    def __repr__(self) -> str:
        works = f", {sum(m.works for m in self.methods)} of {len(self.methods)} methods work" * bool(self.methods)
        return f"Diagnosis({self.model!r}, healthy={self.healthy}, codes={self.codes()}{works})"
