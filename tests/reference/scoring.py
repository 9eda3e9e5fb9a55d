"""Class activation maps from many forwards: takes a probe, gives the paper's loop over channels or positions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch

from reference.cams import _sum, grad_cam_pp_map
from reference.probing import Probe, bilinear, noise

__all__ = ["ablation_cam", "is_cam", "recipro_cam", "score_cam", "smooth_grad_cam_pp", "ss_cam"]


def _mask(a: np.ndarray, height: int, width: int) -> np.ndarray | None:
    """The channel at the input's size, then scaled to [0, 1]; None if it is constant."""
    if a.max() == a.min():
        return None
    large = bilinear(a, height, width)
    return (large - large.min()) / (large.max() - large.min())


def _scored(probe: Probe, versions: Callable[[np.ndarray, int], list[np.ndarray]]) -> np.ndarray:
    """softmax_c (mean over a mask's versions of S(x * mask) - S(0)), then the weighted sum."""
    activation, _ = probe.at_layer()
    height, width = probe.x.shape[2:]
    black = probe.score(torch.zeros_like(probe.x))
    increase = []
    for c, a in enumerate(activation):
        mask = _mask(a, height, width)
        if mask is None:
            increase.append(0.0)
            continue
        scores = [probe.score(probe.x * torch.from_numpy(v)[None, None]) for v in versions(mask, c)]
        increase.append(sum(scores) / len(scores) - black)
    exponentials = [np.exp(s - max(increase)) for s in increase]
    return _sum([e / sum(exponentials) for e in exponentials], activation)


def score_cam(probe: Probe) -> np.ndarray:
    """One masked image a channel; with a budget, of some channels only."""
    if probe.parameters.get("budget") is not None:
        return _budgeted(probe, probe.parameters["budget"])
    return _scored(probe, lambda mask, c: [mask])


def _budgeted(probe: Probe, budget: int) -> np.ndarray:
    """A part of the budget on masks far from each other, the rest on the most promising; the others as a Gaussian process
    has them, whose formulas are written out for one mask at a time."""
    activation, _ = probe.at_layer()
    black = probe.score(torch.zeros_like(probe.x))
    varying = [c for c, a in enumerate(activation) if a.max() > a.min()]
    shape = {c: ((a := activation[c].ravel()) - a.min()) / (a.max() - a.min()) for c in varying}
    known: dict[int, float] = {}

    def apart(a: int, b: int) -> float:
        return math.sqrt(sum((p - q) ** 2 for p, q in zip(shape[a], shape[b], strict=True)))

    def guess(c: int) -> tuple[float, float]:
        values = np.array(list(known.values()))
        width = sorted(d for a in known for b in known if (d := apart(a, b)) > 0)
        width = width[(len(width) - 1) // 2]
        centre = sum(shape[a] for a in known) / len(known)
        size = sum(((shape[a] - centre) ** 2).sum() for a in known) / len(known)

        def alike(a: int, b: int) -> float:
            trend = sum((p - r) * (q - r) for p, q, r in zip(shape[a], shape[b], centre, strict=True)) / size
            return (math.exp(-0.5 * (apart(a, b) / width) ** 2) + trend) / 2

        gram = np.array([[alike(a, b) for b in known] for a in known])
        near = np.array([alike(a, c) for a in known])
        weights = np.linalg.solve(gram + 0.05 * np.eye(len(known)), near)
        doubt = math.sqrt(max(alike(c, c) - near @ weights, 0)) * values.std()
        return values.mean() + weights @ (values - values.mean()), doubt

    def measure(c: int) -> None:
        mask = _mask(activation[c], *probe.x.shape[2:])
        known[c] = probe.score(probe.x * torch.from_numpy(mask)[None, None]) - black

    if len(varying) <= budget:
        chosen = varying
    else:
        middle = sum(shape.values()) / len(shape)
        chosen = [min(varying, key=lambda c: np.linalg.norm(shape[c] - middle))]
        while len(chosen) < max(2, round(0.3 * budget)):
            rest = [c for c in varying if c not in chosen]
            chosen.append(max(rest, key=lambda c: min(apart(c, other) for other in chosen)))
    for c in chosen:
        measure(c)
    size_of_round = math.ceil((budget - len(chosen)) / 4)
    while len(known) < min(budget, len(varying)):
        rest = {c: sum(guess(c)) for c in varying if c not in known}
        for c in sorted(rest, key=lambda c: -rest[c])[: min(size_of_round, budget - len(known))]:
            measure(c)
    increase = [known[c] if c in known else guess(c)[0] if c in varying else 0.0 for c in range(len(activation))]
    exponentials = [np.exp(s - max(increase)) for s in increase]
    return _sum([e / sum(exponentials) for e in exponentials], activation)


def ss_cam(probe: Probe) -> np.ndarray:
    """n noisy masks a channel, drawn at the input's resolution with one channel; index c n + i."""
    n, sigma = probe.parameters.get("n", 35), probe.parameters.get("sigma", 2.0)
    shape, seed = (1, *probe.x.shape[2:]), probe.parameters.get("seed", 0)
    return _scored(
        probe, lambda mask, c: [mask + sigma * noise(probe.x, c * n + i, shape, "ss-cam", seed)[0] for i in range(n)]
    )


def is_cam(probe: Probe) -> np.ndarray:
    """The mask times i / n, i = 1..n; or times the running sum of these."""
    n, cumulative = probe.parameters.get("n", 10), probe.parameters.get("cumulative", False)

    def versions(mask: np.ndarray, c: int) -> list[np.ndarray]:
        factors, total = [], 0.0
        for i in range(1, n + 1):
            total += i / n
            factors.append(total if cumulative else i / n)
        return [factor * mask for factor in factors]

    return _scored(probe, versions)


def ablation_cam(probe: Probe) -> np.ndarray:
    """w_c = y - y without channel c, divided by |y| if asked for."""
    activation, _ = probe.at_layer()
    y, weights = probe.score(), []
    for c in range(len(activation)):

        def without(a: np.ndarray, c: int = c) -> np.ndarray:
            a[c] = 0
            return a

        drop = y - probe.score_with(without)
        weights.append(drop / abs(y) if probe.parameters.get("relative", False) else drop)
    return _sum(weights, activation)


def recipro_cam(probe: Probe) -> np.ndarray:
    """The score of each position alone, seen through the 3x3 window (1 2 1; 2 4 2; 1 2 1) / 16 or as a point."""
    activation, _ = probe.at_layer()
    _, height, width = activation.shape
    out = np.zeros((height, width))
    for y in range(height):
        for x in range(width):
            window = np.zeros((height, width))
            if probe.parameters.get("gaussian", True):
                for v in range(max(y - 1, 0), min(y + 2, height)):
                    for u in range(max(x - 1, 0), min(x + 2, width)):
                        window[v, u] = (2 - abs(v - y)) * (2 - abs(u - x)) / 16
            else:
                window[y, x] = 1
            out[y, x] = probe.score_with(lambda a, window=window: a * window)
    return out


def smooth_grad_cam_pp(probe: Probe) -> np.ndarray:
    """Mean over noisy images of Grad-CAM++, each with its own activations."""
    n, sigma = probe.parameters.get("n", 32), probe.parameters.get("sigma", 0.15)
    spread = sigma * float(probe.x.max() - probe.x.min())
    maps = []
    for i in range(n):
        draw = noise(probe.x, i, tuple(probe.x.shape[1:]), "input-noise", probe.parameters.get("seed", 0))
        maps.append(grad_cam_pp_map(*probe.at_layer(probe.x + spread * torch.from_numpy(draw)[None])))
    return sum(maps) / n
