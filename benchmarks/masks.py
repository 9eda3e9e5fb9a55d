"""``python -m benchmarks.masks FOLDER [--what rise|shapley|score-cam|all] [--photos 5] [--out FILE.md]``: how many
forwards methods with masks take; takes the built-in model and photos, gives Markdown tables.

RISE against the published estimator, each compared with another run of its own; KernelSHAP and Shapley sampling
at three tolerances, against coalitions without pairs; Score-CAM within a twelfth of its forwards.
"""

from __future__ import annotations

import argparse
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

import seewhy
from seewhy.api.given.folders import photos_in
from seewhy.methods._hidden_pieces import Draws
from seewhy.methods._soft_masks import SoftMasks
from seewhy.methods.rise import _Covariance
from seewhy.models import read_image

__all__ = ["main", "needed", "rise_table", "score_cam_table", "shapley_table"]

_CHUNK = 32
_CELLS = 7
_ENOUGH = 0.95
_TOLERANCES = (0.1, 0.05, 0.02)


def _photos(folder: Path, count: int, side: int) -> Iterator[tuple[Path, Tensor, int, torch.nn.Module]]:
    """Evenly spaced photos that the model is sure of, as inputs [1, 3, side, side], with their classes."""
    model = seewhy.load("builtin")
    paths, found = photos_in(folder), 0
    for path in paths[:: max(1, len(paths) // (4 * count))]:
        x = model.to_input(read_image(path))[0].reshape(1, 3, 224, 224)
        if side != 224:
            x = F.interpolate(x, (side, side), mode="bilinear", antialias=True, align_corners=False)
        with torch.no_grad():
            shares = model.module(x).softmax(1)[0]
        if float(shares.max()) > 0.7 and found < count:
            found += 1
            yield path, x, int(shares.argmax()), model.module


def needed(correlation: float, first: int, second: int) -> float:
    """Forwards to a correlation of 0.95 with the map itself, from that of two independent runs of so many forwards.

    A map of n forwards is the true one plus noise of a variance v / n of its own, so the two correlate with
    1 / sqrt((1 + v / first) (1 + v / second)). Infinite where they do not correlate at all.
    """
    if correlation <= 0:
        return math.inf
    a, b, c = 1 / (first * second), 1 / first + 1 / second, 1 - 1 / correlation**2
    v = (math.sqrt(b * b - 4 * a * c) - b) / (2 * a)
    return v / (1 / _ENOUGH**2 - 1)


def _correlation(a: Tensor, b: Tensor) -> float:
    return float(np.corrcoef(a.double().ravel().numpy(), b.double().ravel().numpy())[0, 1])


class _Masked:
    """Scores of one photo under the masks of one seed, black where hidden, and the maps made of them."""

    def __init__(self, net: torch.nn.Module, x: Tensor, target: int, seed: int, count: int, *, paired: bool) -> None:
        size = tuple(x.shape[2:])
        self.masks = SoftMasks(Draws(x, "rise", seed), size, _CELLS, 0.5, paired)
        with torch.no_grad():
            whole = net(x)[:, target]
            rows = [net((x + 1) * mask.float() - 1)[:, target] for _, mask in self._chunks(count)]
        self.scores = torch.cat(rows)
        self._fold = _Covariance(whole, size, self.masks, 0.5, 0.0) if paired else None
        self._drops = (whole - self.scores).double()

    def _chunks(self, count: int) -> Iterator[tuple[int, Tensor]]:
        for first in range(0, count, _CHUNK):
            indices = torch.arange(first, min(first + _CHUNK, count))
            yield first, self.masks(torch.zeros_like(indices), indices)

    def maps(self, stops: Sequence[int]) -> list[Tensor]:
        """The map after each number of forwards: ours for pairs, else the published sum_i S_i M_i / (n p)."""
        if self._fold is not None:
            return [self._fold.estimate(0, self._drops[:stop])[0] for stop in stops]
        found, total, done = [], torch.zeros(self.masks._size, dtype=torch.float64), 0
        for stop in stops:
            indices = torch.arange(done, stop)
            for part in indices.split(_CHUNK):
                total = total + torch.tensordot(
                    self.scores[part].double(), self.masks(torch.zeros_like(part), part)[:, 0], dims=1
                )
            done = stop
            found.append(total / stop / 0.5)
        return found


def rise_table(folder: Path, photos: int, side: int, most: int) -> list[str]:
    """Forwards to correlation 0.95 of the published estimator and ours, from two independent runs of each."""
    lines = ["| photo | published | seewhy | published / seewhy | the longer runs correlate |", "|---|---|---|---|---|"]
    for path, x, target, net in _photos(folder, photos, side):
        took, longest = [], []
        for paired in (False, True):
            runs = most, most // 2
            maps = [
                _Masked(net, x, target, seed, run, paired=paired).maps([run])[0]
                for seed, run in enumerate(runs, 900 + 2 * paired)
            ]
            took.append(needed(_correlation(*maps), *runs))
            longest.append(maps[0])
        lines.append(
            f"| {path.stem} | {took[0]:.0f} | {took[1]:.0f} | {took[0] / took[1]:.1f}x | {_correlation(*longest):.2f} |"
        )
        print(lines[-1], flush=True)
    return lines


def _plain_shapley(score: Callable[[Tensor], Tensor], pieces: int, n: int, seed: int) -> Tensor:
    """Kernel SHAP as published, [P]: coalitions of visible pieces [n, P] one by one, least squares on scores."""
    draw = np.random.default_rng(seed)
    sizes = np.arange(1, pieces)
    chances = 1 / (sizes * (pieces - sizes))
    shown = np.zeros((n, pieces))
    for row, size in zip(shown, draw.choice(sizes, n, p=chances / chances.sum()), strict=True):
        row[draw.permutation(pieces)[:size]] = 1
    ends = score(torch.stack([torch.zeros(pieces), torch.ones(pieces)])).double()
    total, seen = ends[1] - ends[0], torch.from_numpy(shown)
    basis = torch.linalg.qr(torch.cat([torch.ones(pieces, 1), torch.eye(pieces)[:, :-1]], 1).double())[0][:, 1:]
    wanted = score(seen).double() - ends[0] - seen.sum(1) * total / pieces
    return total / pieces + basis @ torch.linalg.lstsq(seen @ basis, wanted[:, None]).solution[:, 0]


def shapley_table(folder: Path, photos: int, side: int, cells: int = 4, plain: int = 1000) -> list[str]:
    """Forwards at three tolerances, the error that was left, and what the published sampler takes to that error."""
    rows: dict[tuple[str, float], list[tuple[float, float, float]]] = {}
    for path, x, target, net in _photos(folder, photos, side):
        line = torch.arange(side) * cells // side
        segments, pieces = line[:, None] * cells + line[None], cells**2

        def score(shown: Tensor, x: Tensor = x, segments: Tensor = segments, net: torch.nn.Module = net) -> Tensor:
            with torch.no_grad():
                rows = [net(x * part.float()[:, segments][:, None])[:, target] for part in shown.split(_CHUNK)]  # noqa: B023
            return torch.cat(rows)

        asked = {"segments": segments, "target": target, "fill": 0.0}
        exact = seewhy.explain(net, x, method="kernel-shap", tolerance=0, n=40000, seed=99, **asked).values
        shape = exact.max() - exact.min()
        pieced = torch.tensor([float(exact[(segments == k).numpy()][0]) for k in range(pieces)])
        wild = [float((_plain_shapley(score, pieces, plain, seed) - pieced).square().mean()) for seed in range(2)]
        for method in ("kernel-shap", "shapley-sampling"):
            for tolerance in _TOLERANCES:
                found = seewhy.explain(net, x, method=method, tolerance=tolerance, n=20000, **asked)
                error = float(np.sqrt(((found.values - exact) ** 2).mean()))
                same = plain * float(np.mean(wild)) / error**2
                rows.setdefault((method, tolerance), []).append((found.cost.forwards, error / shape, same))
        print(path.stem, {key: each[-1] for key, each in rows.items()}, flush=True)
    lines = [
        "| method | tolerance | forwards | error left, of the range | published sampler, to that error |",
        "|---|---|---|---|---|",
    ]
    for (method, tolerance), each in rows.items():
        forwards, error, same = np.median(np.array(each), 0)
        lines.append(f"| {method} | {tolerance} | {forwards:.0f} | {error:.3f} | {same:.0f} |")
    return lines


def score_cam_table(folder: Path, photos: int) -> list[str]:
    """Score-CAM within a twelfth of its forwards: the correlation with the exact map, and the one it expected."""
    found, expected, costs = [], [], []
    for path, x, target, net in _photos(folder, photos, 224):
        asked = {"method": "score-cam", "target": target, "layer": "bn2"}
        exact = seewhy.explain(net, x, **asked)
        part = seewhy.explain(net, x, budget=exact.cost.forwards // 12 - 2, **asked)
        found.append(float(np.corrcoef(exact.values.ravel(), part.values.ravel())[0, 1]))
        expected.append(float(next(n for n in part.notes if "expected" in n).split("expected ")[1].split(";")[0]))
        costs.append((exact.cost.forwards, part.cost.forwards))
        print(path.stem, costs[-1], f"{found[-1]:.4f} expected {expected[-1]:.3f}", flush=True)
    return summary(found, expected, costs)


def summary(found: Sequence[float], expected: Sequence[float], costs: Sequence[tuple[int, int]]) -> list[str]:
    """The lines of Score-CAM's table."""
    whole, part = np.median(np.array(costs), 0)
    low, middle = np.min(found), np.median(found)
    return [
        "| photos | forwards, exact | forwards, budget | correlation, lowest | median | expected less found, worst |",
        "|---|---|---|---|---|---|",
        f"| {len(found)} | {whole:.0f} | {part:.0f} | {low:.4f} | {middle:.4f} | "
        f"{np.max(np.array(expected) - np.array(found)):+.4f} |",
    ]


def main() -> None:
    """Run what is asked and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.masks")
    parser.add_argument("folder", type=Path, help="photos; evenly spaced ones of which the model is sure are taken")
    parser.add_argument("--what", choices=("rise", "shapley", "score-cam", "all"), default="all")
    parser.add_argument("--photos", type=int, default=5)
    parser.add_argument("--side", type=int, default=96, help="of the input, for RISE and Shapley values")
    parser.add_argument("--most", type=int, default=8000, help="RISE: forwards of the longer of two runs")
    parser.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    lines: list[str] = []
    if asked.what in ("rise", "all"):
        lines += [*rise_table(asked.folder, asked.photos, asked.side, asked.most), ""]
    if asked.what in ("shapley", "all"):
        lines += [*shapley_table(asked.folder, asked.photos, asked.side), ""]
    if asked.what in ("score-cam", "all"):
        lines += [*score_cam_table(asked.folder, max(asked.photos, 10)), ""]
    text = "\n".join(lines)
    print(text)
    if asked.out is not None:
        asked.out.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
