"""Perturbation methods, one image at a time: takes a probe, gives the paper's sums written as loops; hides by hand."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Callable, Sequence

import numpy as np
import torch

from reference.probing import Probe, bilinear

__all__ = [
    "d_rise",
    "feature_ablation",
    "hsic",
    "kernel_shap",
    "lime",
    "occlusion",
    "rise",
    "shapley_sampling",
    "sobol",
    "unit_ablation",
]


def _state(probe: Probe, index: int, family: str) -> int:
    """The documented seed of a generator: a hash of (values, family, seed, index)."""
    key = hashlib.blake2b(probe.x[0].float().contiguous().numpy().tobytes(), digest_size=16).digest()
    word = hashlib.blake2b(
        key + f"|{family}|{probe.parameters.get('seed', 0)}|{index}".encode(), digest_size=8
    ).digest()
    return int.from_bytes(word, "little") >> 1


def _uniform(probe: Probe, index: int, family: str, *shape: int) -> np.ndarray:
    generator = torch.Generator().manual_seed(_state(probe, index, family))
    return torch.rand(shape, generator=generator, dtype=torch.float64).numpy()


def _seen(probe: Probe, visible: np.ndarray) -> torch.Tensor:
    """The image seen through ``visible`` [H, W], the fill elsewhere."""
    mask, fill = torch.from_numpy(visible)[None, None], probe.parameters.get("fill", 0.0)
    return probe.x * mask + fill * (1 - mask)


def _score(probe: Probe, visible: np.ndarray) -> float:
    """The score of the image seen through ``visible`` [H, W], the fill elsewhere."""
    return probe.score(_seen(probe, visible))


def _pair(value: int | Sequence[int]) -> Sequence[int]:
    return (value, value) if isinstance(value, int) else value


def occlusion(probe: Probe) -> np.ndarray:
    """Window by window; every pixel averages over the windows that cover it."""
    height, width = probe.x.shape[2:]
    tall, wide = _pair(probe.parameters.get("window", (max(1, round(height / 14)), max(1, round(width / 14)))))
    down, right = _pair(probe.parameters.get("stride", (max(1, tall // 2), max(1, wide // 2))))
    total, covered, whole = np.zeros((height, width)), np.zeros((height, width)), probe.score()
    top = 0
    while True:
        left = 0
        while True:
            visible = np.ones((height, width))
            visible[top : top + tall, left : left + wide] = 0
            total += (whole - _score(probe, visible)) * (1 - visible)
            covered += 1 - visible
            if left + wide >= width:
                break
            left += right
        if top + tall >= height:
            break
        top += down
    return total / covered


def _pieces(probe: Probe) -> tuple[np.ndarray, int]:
    labels = np.asarray(probe.parameters["segments"])
    return labels, int(labels.max()) + 1


def _painted(values: Sequence[float], labels: np.ndarray) -> np.ndarray:
    out = np.zeros(labels.shape)
    for y, x in itertools.product(*map(range, labels.shape)):
        out[y, x] = values[labels[y, x]]
    return out


def _of_coalition(probe: Probe, shown: Sequence[float]) -> float:
    return _score(probe, _painted(shown, _pieces(probe)[0]))


def feature_ablation(probe: Probe) -> np.ndarray:
    """One piece at a time."""
    labels, pieces = _pieces(probe)
    drops = [probe.score() - _of_coalition(probe, [float(j != k) for j in range(pieces)]) for k in range(pieces)]
    return _painted(drops, labels)


def shapley_sampling(probe: Probe) -> np.ndarray:
    """Walk along each order; odd orders walk back."""
    labels, pieces = _pieces(probe)
    total, pairs = np.zeros(pieces), probe.parameters["n"] // (2 * (pieces - 1))
    for pair in range(pairs):
        order = list(np.argsort(_uniform(probe, pair, "shapley-sampling", pieces), kind="stable"))
        for each in (order, order[::-1]):
            shown = [1.0] * pieces
            before = probe.score()
            for piece in each:
                shown[piece] = 0.0
                after = _of_coalition(probe, shown)
                total[piece] += (before - after) / (2 * pairs)
                before = after
    return _painted(total, labels)


def lime(probe: Probe) -> np.ndarray:
    """The ridge as ordinary least squares with rows sqrt(alpha) e_j appended, the intercept a column of its own."""
    labels, pieces = _pieces(probe)
    width, alpha = probe.parameters.get("kernel_width", 0.25), probe.parameters.get("alpha", 1.0)
    rows, wanted = [], []
    for index in range(probe.parameters["n"]):
        shown = (_uniform(probe, index, "lime", pieces) < 0.5).astype(float)
        norm = math.sqrt(shown.sum()) * math.sqrt(pieces)
        distance = 1 - (shown.sum() / norm if norm else 0.0)
        root = math.sqrt(math.sqrt(math.exp(-(distance**2) / width**2)))
        rows.append(root * np.array([1.0, *shown]))
        wanted.append(root * _of_coalition(probe, shown))
    for j in range(pieces):
        rows.append(math.sqrt(alpha) * np.eye(pieces + 1)[j + 1])
        wanted.append(0.0)
    return _painted(np.linalg.lstsq(np.array(rows), np.array(wanted), rcond=None)[0][1:], labels)


def kernel_shap(probe: Probe) -> np.ndarray:
    """All orders where every coalition fits into the budget; else the constrained least squares by its Lagrangian."""
    labels, pieces = _pieces(probe)
    n, empty, whole = probe.parameters["n"], _of_coalition(probe, [0.0] * pieces), probe.score()
    if 2**pieces - 2 <= n:
        values = np.zeros(pieces)
        orders = list(itertools.permutations(range(pieces)))
        for order in orders:
            shown, before = [0.0] * pieces, empty
            for piece in order:
                shown[piece] = 1.0
                after = _of_coalition(probe, shown)
                values[piece] += (after - before) / len(orders)
                before = after
        return _painted(values, labels)
    square, side = np.zeros((pieces + 1, pieces + 1)), np.zeros(pieces + 1)
    for pair in range(n // 2):
        drawn = _uniform(probe, pair, "kernel-shap", pieces + 1)
        size = 1 + sum(drawn[0] >= k / (pieces - 1) for k in range(1, pieces - 1))
        shown = np.zeros(pieces)
        shown[np.argsort(drawn[1:], kind="stable")[:size]] = 1.0
        for z in (shown, 1 - shown):
            weight = 2 / (size * (pieces - size))
            square[:pieces, :pieces] += weight * np.outer(z, z)
            side[:pieces] += weight * z * (_of_coalition(probe, z) - empty)
    square[pieces, :pieces] = square[:pieces, pieces] = 1.0
    side[pieces] = whole - empty
    return _painted(np.linalg.solve(square, side)[:pieces], labels)


def _enlarged(grid: np.ndarray, at: Sequence[int], size: Sequence[int]) -> np.ndarray:
    """A grid enlarged to cells + 1 cells of the image's, cut out at ``at``."""
    sides = [math.ceil(n / cells) for n, cells in zip(size, grid.shape, strict=True)]
    large = bilinear(grid, *((cells + 1) * side for cells, side in zip(grid.shape, sides, strict=True)))
    return large[at[0] : at[0] + size[0], at[1] : at[1] + size[1]]


def _binned(mask: np.ndarray, bins: Sequence[int]) -> np.ndarray:
    """Means over ``bins`` stretches of each axis, which overlap where they do not divide the image."""
    (height, width), (down, across) = mask.shape, bins
    return np.array(
        [
            mask[
                i * height // down : -(-(i + 1) * height // down), j * width // across : -(-(j + 1) * width // across)
            ].mean()
            for i in range(down)
            for j in range(across)
        ]
    )


def rise(probe: Probe) -> np.ndarray:
    """The mean of terms b_i E[g m] + (d_i - b_i g_i) m_i, b_i fitted anew without term i; expectations by enumeration."""
    return covariance(probe, probe.score)


def d_rise(probe: Probe) -> np.ndarray:
    """The same of a class's score, which is no object; of objects it is compared in ``test_reference_objects.py``."""
    return covariance(probe, probe.score)


def covariance(probe: Probe, score: Callable[[torch.Tensor], float]) -> np.ndarray:
    """RISE's map of any ``score`` of a picture [1, C, H, W]."""
    size = tuple(probe.x.shape[2:])
    n, cells, p = probe.parameters["n"], _pair(probe.parameters["cells"]), probe.parameters.get("p", 0.5)
    sides, paired = [math.ceil(each / k) for each, k in zip(size, cells, strict=True)], p == 0.5
    places, bins = math.prod(cells), [k + 1 for k in cells]
    features, away, scores = [], [], []
    for index in range(n // 2 if paired else n):
        drawn = _uniform(probe, index, "rise", places + 2)
        grid = (drawn[:-2] < p).astype(float).reshape(cells)
        mask = _enlarged(grid, [int(drawn[-2 + a] * sides[a]) for a in range(2)], size)
        away.append(mask - p)
        features.append(np.append(_binned(mask - p, bins), [] if paired else [1.0]))
        own = score(_seen(probe, mask))
        scores.append((own - score(_seen(probe, 1 - mask))) / 2 if paired else own - score(probe.x))
    covariance, variance = np.zeros((len(features[0]), *size)), 0.0
    shifts = list(itertools.product(range(sides[0]), range(sides[1])))
    for at, cell in itertools.product(shifts, range(places)):
        alone = _enlarged(np.eye(places)[cell].reshape(cells), at, size)
        pooled = _binned(alone, bins)
        covariance[: math.prod(bins)] += p * (1 - p) * pooled[:, None, None] * alone / len(shifts)
        variance += p * (1 - p) * (pooled**2).mean() / len(shifts)
    penalty = np.diag([10 * variance] * math.prod(bins) + ([] if paired else [1e-9]))
    total = np.zeros(size)
    for i in range(len(scores)):
        rest = [k for k in range(len(scores)) if k != i]
        square = penalty + sum(np.outer(features[k], features[k]) for k in rest)
        fit = np.linalg.solve(square, sum(features[k] * scores[k] for k in rest))
        total += np.einsum("f,fhw->hw", fit, covariance) + (scores[i] - fit @ features[i]) * away[i]
    return total / len(scores) / p


def _blocks(cells: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Every pixel has its cell's value."""
    down, across = cells.shape
    rows = [[cells[y * down // size[0], x * across // size[1]] for x in range(size[1])] for y in range(size[0])]
    return np.array(rows)


def sobol(probe: Probe) -> np.ndarray:
    """Jansen's numerators and the variance of A and B, replicates pooled."""
    size, cells = tuple(probe.x.shape[2:]), _pair(probe.parameters["cells"])
    places = math.prod(cells)
    squares, values = [[] for _ in range(places)], []

    def of(visible: np.ndarray) -> float:
        return _score(probe, _blocks(visible.reshape(cells), size))

    for replicate in range(probe.parameters["n"] // (4 * (places + 2))):
        engine = torch.quasirandom.SobolEngine(2 * places, scramble=True, seed=_state(probe, replicate, "sobol"))
        for point in engine.draw(4, dtype=torch.float64).numpy():
            a, b = point[:places], point[places:]
            values += [of(a), of(b)]
            for j in range(places):
                mixed = a.copy()
                mixed[j] = b[j]
                squares[j].append((values[-2] - of(mixed)) ** 2)
    indices = np.array([np.mean(each) / 2 for each in squares]) / np.var(values, ddof=1)
    return bilinear(indices.reshape(cells), *size)


def hsic(probe: Probe) -> np.ndarray:
    """The unbiased estimator with both kernel matrices written out."""
    size, cells, n = tuple(probe.x.shape[2:]), _pair(probe.parameters["cells"]), probe.parameters["n"]
    shown = []
    for block in range(math.ceil(n / 20)):
        drawn = _uniform(probe, block, "hsic", 20, math.prod(cells))
        ranks = np.argsort(drawn, axis=0, kind="stable")
        shown += list((ranks < 10).astype(float))
    shown = shown[:n]
    scores = [_score(probe, _blocks(z.reshape(cells), size)) for z in shown]
    apart = sorted(abs(a - b) for a, b in itertools.combinations(scores, 2))
    width = apart[(len(apart) - 1) // 2]
    found = []
    for j in range(math.prod(cells)):
        k, kernel = np.zeros((n, n)), np.zeros((n, n))
        for a, b in itertools.permutations(range(n), 2):
            k[a, b] = 0.5 if shown[a][j] == shown[b][j] else -0.5
            kernel[a, b] = math.exp(-((scores[a] - scores[b]) ** 2) / (2 * width**2))
        ones = np.ones(n)
        value = np.trace(k @ kernel) + (ones @ k @ ones) * (ones @ kernel @ ones) / ((n - 1) * (n - 2))
        found.append((value - 2 / (n - 2) * (ones @ k @ kernel @ ones)) / (n * (n - 3)))
    return bilinear(np.array(found).reshape(cells), *size)


def unit_ablation(probe: Probe) -> np.ndarray:
    """The score less that with each group of units at its level, one group after the other."""
    given = {"units": "channels", "level": 0.0} | probe.parameters
    activation, _ = probe.at_layer()
    drops, score = np.zeros_like(activation), probe.score()
    names = {}
    for c, row, column in np.ndindex(activation.shape):
        groups = {"channels": c, "positions": (row, column), "units": (c, row, column)}
        name = groups[given["units"]] if isinstance(given["units"], str) else int(given["units"][c][row][column])
        names.setdefault(name, []).append((c, row, column))
    for members in names.values():

        def without(a: np.ndarray, members: list[tuple[int, ...]] = members) -> np.ndarray:
            for at in members:
                a[at] = given["level"]
            return a

        for at in members:
            drops[at] = score - probe.score_with(without)
    return drops
