"""Integrals along other paths, and what is built on them: takes a probe, gives [C, h, w] or [h, w], one point after the
other."""

from __future__ import annotations

import math

import numpy as np
import torch

from reference.gradients import nodes_and_weights
from reference.probing import Probe, noise

__all__ = ["blur_ig", "expected_gradients", "guided_ig", "xrai"]


def _blurred(image: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur of [C, H, W], zero outside, pixel by pixel."""
    if sigma == 0:
        return image.copy()
    whole = sum(math.exp(-0.5 * (d / sigma) ** 2) for d in range(-1000, 1001))
    weight = [math.exp(-0.5 * (d / sigma) ** 2) / whole for d in range(max(image.shape))]
    out = np.zeros_like(image)
    height, width = image.shape[1:]
    for y in range(height):
        for x in range(width):
            for v in range(height):
                for u in range(width):
                    out[:, y, x] += weight[abs(y - v)] * weight[abs(x - u)] * image[:, v, u]
    return out


def blur_ig(probe: Probe) -> np.ndarray:
    """From the most blurred image on: mean of the gradients at both ends of a step times the image's change."""
    steps = probe.parameters.get("steps", 64)
    most = probe.parameters.get("max_sigma") or 50 / 224 * max(probe.x.shape[2:])
    total, last = 0, None
    for k in range(steps + 1):
        here = _blurred(probe.x[0].numpy(), most * (1 - k / steps) ** 2)
        gradient = probe.input_gradient(torch.from_numpy(here)[None])
        if last is not None:
            total = total + (here - last[0]) * (gradient + last[1]) / 2
        last = here, gradient
    return total


def guided_ig(probe: Probe) -> np.ndarray:
    """The algorithm of the paper on a flat list of values: the smallest gradients first, inside a band around the
    straight line."""
    given = {"steps": 100, "fraction": 0.25, "max_dist": 0.02, "rule": "trapezoid"} | probe.parameters
    start = torch.as_tensor(given.get("baseline", 0.0), dtype=torch.float64).expand_as(probe.x).numpy().ravel()
    end, steps = probe.x.numpy().ravel(), given["steps"]
    way = sum(abs(e - s) for e, s in zip(end, start, strict=True))

    def slope(values: list[float]) -> np.ndarray:
        return probe.input_gradient(torch.tensor(values, dtype=torch.float64).reshape(probe.x.shape)).ravel()

    x, total = list(start), np.zeros(len(end))
    gradient = slope(x)
    for step in range(1, steps + 1):
        alpha, old = step / steps, list(x)
        behind, ahead = max(alpha - given["max_dist"], 0), min(alpha + given["max_dist"], 1)
        upper = [s + (e - s) * ahead for s, e in zip(start, end, strict=True)]
        for i in range(len(x)):
            if end[i] != start[i] and (x[i] - start[i]) / (end[i] - start[i]) < behind:
                x[i] = start[i] + (end[i] - start[i]) * behind
        while True:
            excess = sum(abs(e - v) for e, v in zip(end, x, strict=True)) - way * (1 - alpha)
            waiting = [i for i in range(len(x)) if x[i] != upper[i]]
            if excess <= 1e-9 * (1 + way) or not waiting:
                break
            sizes = sorted(abs(gradient[i]) if i in waiting else math.inf for i in range(len(x)))
            bar = sizes[int(given["fraction"] * (len(x) - 1))]
            chosen = [i for i in waiting if abs(gradient[i]) <= bar]
            room = sum(abs(upper[i] - x[i]) for i in chosen)
            share = min(excess / room, 1)
            for i in chosen:
                x[i] = upper[i] if share == 1 else x[i] + share * (upper[i] - x[i])
            if share < 1:
                break
        after = slope(x) if given["rule"] == "trapezoid" or step < steps else gradient
        mean = (gradient + after) / 2 if given["rule"] == "trapezoid" else gradient
        total += mean * (np.array(x) - np.array(old))
        gradient = after
    return total.reshape(probe.x.shape[1:])


def _uniform(values: np.ndarray) -> np.ndarray:
    return np.vectorize(lambda v: 0.5 * (1 + math.erf(v / 2**0.5)))(values.astype(np.float64))


def expected_gradients(probe: Probe) -> np.ndarray:
    """Mean over pairs of draws: a reference, a place on the way from it and the mirrored place."""
    given = {"n": 256, "sigma": 0.0, "seed": 0} | probe.parameters
    shape, seed, total = tuple(probe.x.shape[1:]), given["seed"], 0
    low = probe.x.amin((0, 2, 3)).numpy()[:, None, None]
    high = probe.x.amax((0, 2, 3)).numpy()[:, None, None]
    spread = given["sigma"] * float(probe.x.max() - probe.x.min())
    for pair in range(given["n"] // 2):
        place, which = _uniform(noise(probe.x, pair, (2,), "expected-gradients", seed))
        if given.get("references") is None:
            draw = _uniform(noise(probe.x, pair, shape, "expected-gradients-reference", seed))
            start = low + (high - low) * draw
        else:
            start = given["references"][int(which * len(given["references"]))].numpy()
        end = probe.x[0].numpy()
        if spread:
            end = end + spread * noise(probe.x, pair, shape, "expected-gradients-input", seed)
        for at in (place, 1 - place):
            point = torch.from_numpy(start + at * (end - start))[None]
            total = total + (end - start) * probe.input_gradient(point) / given["n"]
    return total


def xrai(probe: Probe) -> np.ndarray:
    """Regions as sets of pixels; again and again the one whose new pixels have the highest mean attribution."""
    given = {"steps": 50, "rule": "gauss-legendre", "dilation": 5, "min_pixels": 50} | probe.parameters
    image, attribution = probe.x[0].numpy(), 0
    for bound in (image.min((1, 2)), image.max((1, 2))):
        start = np.broadcast_to(bound[:, None, None], image.shape)
        for node, weight in zip(*nodes_and_weights(given["rule"], given["steps"]), strict=True):
            point = torch.from_numpy(start + node * (image - start))[None]
            attribution = attribution + (image - start) * weight * probe.input_gradient(point) / 2
    pixels = attribution.max(0)
    labels, reach = given["segments"].numpy(), given["dilation"]
    regions = []
    for label in sorted(set(labels.ravel().tolist())):
        own = [(y, x) for y, x in np.ndindex(labels.shape) if labels[y, x] == label]
        regions.append(
            {(y, x) for y, x in np.ndindex(labels.shape) for v, u in own if (y - v) ** 2 + (x - u) ** 2 <= reach**2}
        )
    found, open_ = np.zeros(labels.shape), set(np.ndindex(labels.shape))
    while True:
        usable = [region & open_ for region in regions if len(region & open_) >= max(given["min_pixels"], 1)]
        if not usable:
            break
        best = max(usable, key=lambda new: np.mean([pixels[at] for at in new]))
        for at in best:
            found[at] = np.mean([pixels[other] for other in best])
        open_ -= best
    for at in open_:
        found[at] = np.mean([pixels[other] for other in open_])
    return found
