"""Masks found by optimisation: takes a probe, gives [h, w], Adam and both penalties by hand, one value after the other."""

from __future__ import annotations

import math

import numpy as np
import torch

from reference.probing import Probe, bilinear

__all__ = ["extremal_perturbation", "meaningful_perturbation"]


class _Adam:
    """Adam on a flat list of numbers in [0, 1] (Kingma & Ba 2014, algorithm 1)."""

    def __init__(self, start: np.ndarray, rate: float) -> None:
        self.values, self.rate, self.t = start.astype(np.float64), rate, 0
        self.first, self.second = np.zeros_like(self.values), np.zeros_like(self.values)

    def step(self, gradient: np.ndarray) -> None:
        self.t += 1
        self.first = 0.9 * self.first + 0.1 * gradient
        self.second = 0.999 * self.second + 0.001 * gradient**2
        mean, square = self.first / (1 - 0.9**self.t), self.second / (1 - 0.999**self.t)
        self.values = np.clip(self.values - self.rate * mean / (np.sqrt(square) + 1e-8), 0, 1)


def _pulled(probe: Probe, mask: np.ndarray, fill: float) -> np.ndarray:
    """d score / d mask at the image seen through ``mask`` over a flat ``fill``, [h, w]."""
    image = probe.x[0].numpy()
    seen = fill + mask * (image - fill)
    gradient = probe.input_gradient(torch.from_numpy(seen)[None])
    return (gradient * (image - fill)).sum(0)


def _span(probe: Probe, fill: float) -> float:
    return abs(probe.score() - probe.score(torch.full_like(probe.x, fill))) or 1.0


def meaningful_perturbation(probe: Probe) -> np.ndarray:
    """The score falls, the mask stays small and smooth; its derivative cell by cell through the bilinear weights."""
    given = {"cells": 28, "size": 1.0, "smoothness": 0.2, "beta": 3.0, "learning_rate": 0.1, "fill": 0.0}
    given |= probe.parameters
    height, width = probe.x.shape[2:]
    n = min(given["cells"], height)
    adam, fill = _Adam(np.ones((n, n)), given["learning_rate"]), given["fill"]
    units = [bilinear(np.eye(n * n)[cell].reshape(n, n), height, width) for cell in range(n * n)]
    for _ in range(given["steps"]):
        kept = adam.values
        pull = _pulled(probe, sum(kept.ravel()[c] * units[c] for c in range(n * n)), fill) / _span(probe, fill)
        gradient = np.array([(pull * unit).sum() for unit in units]).reshape(n, n) - given["size"] / (n * n)
        for y, x in np.ndindex(n, n):
            for v, u in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)):
                if 0 <= v < n and 0 <= u < n:
                    gap = kept[y, x] - kept[v, u]
                    slope = given["beta"] * abs(gap) ** (given["beta"] - 1) * np.sign(gap)
                    gradient[y, x] += given["smoothness"] * slope / n
        adam.step(gradient)
    return 1 - sum(adam.values.ravel()[c] * units[c] for c in range(n * n))


def _smooth(free: np.ndarray, step: int, sigma: float, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """The smooth maximum over cells at every pixel, and its derivative by every cell [h, w, n, n]; a window reaches two
    sigma, and beyond the image the border's cells go on."""
    reach, (rows, columns) = math.ceil(2 * sigma / step), free.shape
    mask, slopes = np.zeros((height, width)), np.zeros((height, width, *free.shape))
    for y, x in np.ndindex(height, width):
        terms = []
        for v in range(y // step - reach, y // step + reach + 1):
            for u in range(x // step - reach, x // step + reach + 1):
                away = math.hypot((v + 0.5) * step - (y + 0.5), (u + 0.5) * step - (x + 0.5)) / sigma
                weight = math.exp(-2 * max(away - 0.5, 0) ** 2)
                at = min(max(v, 0), rows - 1), min(max(u, 0), columns - 1)
                terms.append((*at, weight, weight * free[at]))
        top = max(value for *_, value in terms)
        total = sum(math.exp(20 * (value - top)) for *_, value in terms)
        shares = [math.exp(20 * (value - top)) / total for *_, value in terms]
        mask[y, x] = sum(share * term[3] for share, term in zip(shares, terms, strict=True))
        for share, (v, u, weight, value) in zip(shares, terms, strict=True):
            slopes[y, x, v, u] += weight * share * (1 + 20 * (value - mask[y, x]))
    return mask, slopes


def extremal_perturbation(probe: Probe) -> np.ndarray:
    """The score stays, the sorted mask nears a step; the mean over areas."""
    given = {"areas": (0.1,), "weight": 5.0, "learning_rate": 0.001, "fill": 0.0, "sigma": None} | probe.parameters
    height, width = probe.x.shape[2:]
    sigma = given["sigma"] or 21 / 224 * max(height, width)
    step = max(1, round(sigma / 3))
    masks, count = [], height * width
    for area in given["areas"]:
        shape = math.ceil(height / step), math.ceil(width / step)
        free, pace = np.ones(shape), np.zeros(shape)
        for number in range(given["steps"]):
            mask, slopes = _smooth(free, step, sigma, height, width)
            pull = -_pulled(probe, mask, given["fill"]) / _span(probe, given["fill"])
            rounded = np.round(mask.ravel() * 1e5)
            order, hidden = np.argsort(rounded), round((1 - area) * count)
            for pixel in range(count):
                ranks = [rank for rank, other in enumerate(order) if rounded[other] == rounded[pixel]]
                wanted = sum(rank >= hidden for rank in ranks) / len(ranks)
                pull.ravel()[pixel] += (
                    given["weight"] * 16 ** (number / given["steps"]) * 2 * (mask.ravel()[pixel] - wanted) / count
                )
            pace = 0.9 * pace + np.einsum("hw,hwvu->vu", pull, slopes)
            free = np.clip(free - given["learning_rate"] * free.size * pace, 0, 1)
        masks.append(_smooth(free, step, sigma, height, width)[0])
    return np.mean(masks, axis=0)
