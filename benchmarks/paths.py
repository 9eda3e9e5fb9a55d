"""``python -m benchmarks.paths [FOLDER] [--photos 20] [--out FILE.md]``: how many passes integrated gradients take;
takes the built-in model and photos, gives a Markdown table of adaptive against uniform nodes.

A pass is a forward or a backward of one image. Every rule is run with growing budgets; what counts is the first at
which both the completeness residual (of the score difference) and the error of the map (relative L2, against 2048
steps) are small enough. Gradients come from the prepared model, and places are rounded to those of the reference, so
that all rules share them: 2049 gradients a photo instead of 7000.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

import seewhy
from seewhy.api.bench.entering import prepared
from seewhy.api.given.folders import photos_in
from seewhy.methods._path_nodes import Cells, cell_edges
from seewhy.methods._paths import quadrature
from seewhy.models import read_image

__all__ = ["main", "needed"]

#: (residual, error of the map) to reach
GOALS = (
    (0.1, 0.2), (0.05, 0.1), (0.02, 0.05), (0.01, 0.05), (0.01, 0.03),
    (math.inf, 0.1), (math.inf, 0.05), (math.inf, 0.03),
)  # fmt: skip
#: steps of the reference, a trapezoid sum
REFERENCE = 2048
DOUBLED = (8, 16, 32, 64, 128, 256, 512)
#: about as finely spaced as the rounds of the adaptive rule
UNIFORM = (8, 12, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512)
_CHUNK = 8

Point = tuple[int, float, float]


class _Photo:
    """The gradients of ``net`` times the path, [C, H, W] flattened, at any place between black and the photo ``x``
    [1, C, H, W]; each is projected on signs, which keeps distances to 3 % and fits 2000 of them into memory."""

    def __init__(self, net: nn.Module, x: Tensor, width: int = 1024) -> None:
        self.net, self.black = net, torch.full_like(x, -1.0)
        self.way = x - self.black
        draw = torch.Generator().manual_seed(0)
        self._bucket = torch.randint(0, width, (x.numel(),), generator=draw)
        self._sign = torch.randint(0, 2, (x.numel(),), generator=draw) * 2.0 - 1
        self._width = width
        self._known: dict[float, tuple[Tensor, Tensor, Tensor]] = {}
        with torch.no_grad():
            self.target = int(net(x).argmax())

    def at(self, places: list[float]) -> tuple[Tensor, Tensor, Tensor]:
        """Projected shares [n, width], their sums [n] and scores [n]; computed once for each place."""
        places = [round(place * REFERENCE) / REFERENCE for place in places]
        new = [place for place in dict.fromkeys(places) if place not in self._known]
        for first in range(0, len(new), _CHUNK):
            mine = new[first : first + _CHUNK]
            alpha = torch.tensor(mine).reshape(-1, 1, 1, 1)
            points = (self.black + alpha * self.way).requires_grad_()
            scores = self.net(points)[:, self.target]
            shares = (torch.autograd.grad(scores.sum(), points)[0] * self.way).flatten(1)
            small = torch.zeros(len(mine), self._width).index_add_(1, self._bucket, shares * self._sign)
            for row, place in enumerate(mine):
                self._known[place] = small[row].double(), shares[row].double().sum(), scores[row].detach().double()
        shares, sums, scores = zip(*(self._known[place] for place in places), strict=True)
        return torch.stack(shares), torch.stack(sums), torch.stack(scores)

    def reference(self) -> Tensor:
        """The integral by many steps."""
        nodes, weights = quadrature("trapezoid", REFERENCE)
        total = torch.zeros(self._width, dtype=torch.float64)
        for first in range(0, len(nodes), 64):
            part = torch.tensor(weights[first : first + 64], dtype=torch.float64)
            total += part @ self.at(list(nodes[first : first + 64]))[0]
        return total


def _judged(photo: _Photo, reference: Tensor, nodes: int, found: Tensor, total: float) -> Point:
    """(passes, residual, error) of one estimate."""
    _, _, ends = photo.at([0.0, 1.0])
    residual = abs(total / float(ends[1] - ends[0]) - 1)
    return 2 * nodes, residual, float((found - reference).norm() / reference.norm())


def _uniform(photo: _Photo, reference: Tensor, rule: str, counts: tuple[int, ...]) -> list[Point]:
    points = []
    for steps in counts:
        nodes, weights = quadrature(rule, steps)
        shares, sums, _ = photo.at(list(nodes))
        weight = torch.tensor(weights, dtype=torch.float64)
        points.append(_judged(photo, reference, len(nodes), weight @ shares, float(weight @ sums)))
    return points


class _Projected(Cells):
    """Cells of projected shares, whose last column is their own sum."""

    def _share(self, sample: int, cell: int) -> float:
        return float(self._sums[sample][cell][-1])

    def _size(self, sample: int, change: Tensor) -> float:
        return float(change[:-1].square().sum())


def _adaptive(photo: _Photo, reference: Tensor, most: int = 512) -> list[Point]:
    """What the method does, round by round, as if no tolerance ended it."""

    def answers(places: list[float]) -> tuple[Tensor, Tensor]:
        shares, sums, scores = photo.at(places)
        return torch.cat([shares, sums[:, None]], 1), scores

    cells, points = _Projected(cell_edges(8), torch.zeros(1, 1)), []
    for gradient, score in zip(*answers(list(cells.edges)), strict=True):
        cells.add_edge(0, gradient, score)
    while True:
        mean, steps = cells.mean()[0], int(cells.steps.sum())
        points.append(_judged(photo, reference, steps + 1, mean[:-1], float(mean[-1])))
        picked = cells.pick(0, most)
        if not picked:
            return points
        places, items = cells.halve([picked])
        cells.add(*items.T, answers(places[0].tolist())[0])
        cells.result()


def needed(points: Sequence[Point], residual: float, error: float) -> float:
    """The passes at the first point that meets both; infinite if none does."""
    return next((passes for passes, r, e in points if r <= residual and e <= error), math.inf)


def fixed(found: Sequence[Sequence[Point]], residual: float, error: float, share: float = 0.75) -> float:
    """The smallest budget, one for all photos, at which ``share`` of them meet both; infinite if none does."""
    for budget in sorted({passes for points in found for passes, _, _ in points}):
        last = [next((p for p in reversed(points) if p[0] <= budget), (0, math.inf, math.inf)) for points in found]
        if np.mean([r <= residual and e <= error for _, r, e in last]) >= share:
            return budget
    return math.inf


def table(photos: Iterable[_Photo]) -> list[str]:
    """The table's lines: what each rule took, as medians over photos, and the ratios of uniform to adaptive nodes."""
    rules: dict[str, list[list[Point]]] = {"adaptive": [], "trapezoid": [], "middle": [], "doubled": []}
    for number, photo in enumerate(photos):
        reference = photo.reference()
        rules["adaptive"].append(_adaptive(photo, reference))
        rules["trapezoid"].append(_uniform(photo, reference, "trapezoid", UNIFORM))
        rules["middle"].append(_uniform(photo, reference, "riemann-middle", UNIFORM))
        rules["doubled"].append(_uniform(photo, reference, "trapezoid", DOUBLED))
        print(number + 1, "photos", flush=True)
    lines = [
        "| residual | error of the map | adaptive | uniform, best number of nodes | uniform, doubled | "
        "best uniform / adaptive | doubled / adaptive | one budget for 3/4 of the photos: adaptive | uniform |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for residual, error in GOALS:
        took = {name: np.array([needed(each, residual, error) for each in found]) for name, found in rules.items()}
        best = np.minimum(took["trapezoid"], took["middle"])
        ours, doubled = took["adaptive"], took["doubled"]
        cells = " | ".join(_passes(each) for each in (ours, best, doubled))
        same = fixed(rules["adaptive"], residual, error)
        theirs = min(fixed(rules[name], residual, error) for name in ("trapezoid", "middle"))
        lines.append(
            f"| {_goal(residual)} | {error:.0%} | {cells} | {_ratio(best, ours)} | {_ratio(doubled, ours)} | "
            f"{same:.0f} | {theirs:.0f} |"
        )
    return lines


def _goal(residual: float) -> str:
    return "any" if math.isinf(residual) else f"{residual:.0%}"


def _passes(took: np.ndarray) -> str:
    missed = int(np.isinf(took).sum())
    return f"{np.median(took):.0f}" + (f" ({missed} never)" if missed else "")


def _ratio(theirs: np.ndarray, ours: np.ndarray) -> str:
    """Over the photos on which both arrived."""
    both = np.isfinite(theirs) & np.isfinite(ours)
    if not both.any():
        return ""
    ratios = theirs[both] / ours[both]
    return f"{np.median(ratios):.1f} (quartiles {np.quantile(ratios, 0.25):.1f}-{np.quantile(ratios, 0.75):.1f})"


def main() -> None:
    """Run what is asked and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.paths")
    parser.add_argument("folder", type=Path, help="photos; evenly spaced ones are taken")
    parser.add_argument("--photos", type=int, default=20)
    parser.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    model = seewhy.load("builtin")
    found = photos_in(asked.folder)
    chosen = found[:: max(1, len(found) // asked.photos)][: asked.photos]
    seen = [model.to_input(read_image(path))[0][None] for path in chosen]
    net = prepared(model, seen[0]).module or model.module
    text = "\n".join(table(_Photo(net, x) for x in seen))
    print(text)
    if asked.out is not None:
        asked.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
