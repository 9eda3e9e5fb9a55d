"""Attacks: takes a probe, gives the change of the input in levels of 255 that leaves the class ``k``, pixel by pixel."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch

from reference.probing import Probe

__all__ = ["fgsm", "i_fgsm", "pgd"]


def fgsm(probe: Probe) -> np.ndarray:
    """One step of epsilon along the sign, cut to the input's own extremes."""
    epsilon = probe.parameters.get("epsilon", 8.0)
    x, unit, low, high = _levels(probe)
    return _clipped(x + epsilon * unit * np.sign(_uphill(probe, x)[0]), x, unit, low, high, epsilon)


def i_fgsm(probe: Probe) -> np.ndarray:
    """From the image."""
    given = {"epsilon": 8.0, "steps": 10, "step": 1.0} | probe.parameters
    return _ascended(probe, _levels(probe)[0], given["epsilon"], given["steps"], given["step"], given.get("stop"))


def pgd(probe: Probe) -> np.ndarray:
    """From a random start: the draws that the library documents, from the image's values in float32."""
    given = {"epsilon": 8.0, "steps": 20, "seed": 0} | probe.parameters
    x, unit, low, high = _levels(probe)
    epsilon, seed = given["epsilon"], given["seed"]
    key = hashlib.blake2b(probe.x[0].float().numpy().tobytes(), digest_size=16).digest()
    digest = hashlib.blake2b(key + f"|pgd|{seed}|0".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
    drawn = torch.rand(tuple(probe.x.shape[1:]), generator=generator, dtype=torch.float64).numpy()
    start = x + unit * _clipped(x + epsilon * unit * (2 * drawn - 1), x, unit, low, high, epsilon)
    return _ascended(
        probe, start, epsilon, given["steps"], given.get("step", 2.5 * epsilon / given["steps"]), given.get("stop")
    )


def _ascended(
    probe: Probe, start: np.ndarray, epsilon: float, steps: int, step: float, stop: float | None
) -> np.ndarray:
    x, unit, low, high = _levels(probe)
    at, best, most = start, start, -math.inf
    for _ in range(steps + 1):
        gradient, score = _uphill(probe, at)
        if score > most:
            best, most = at, score
        if stop is not None and most >= stop:
            break
        at = x + unit * _clipped(at + step * unit * np.sign(gradient), x, unit, low, high, epsilon)
    return (best - x) / unit


def _levels(probe: Probe) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    x = probe.x[0].numpy()
    low, high = (end.reshape(-1, 1, 1) for end in (x.min((1, 2)), x.max((1, 2))))
    return x, (high - low) / 255, low, high


def _clipped(
    moved: np.ndarray, x: np.ndarray, unit: np.ndarray, low: np.ndarray, high: np.ndarray, epsilon: float
) -> np.ndarray:
    """The change in levels, inside the ball and between the extremes, one value after the other."""
    out = np.zeros_like(x)
    for c, i, j in np.ndindex(x.shape):
        u = unit[c, 0, 0]
        value = min(max(moved[c, i, j], x[c, i, j] - epsilon * u), x[c, i, j] + epsilon * u)
        out[c, i, j] = (min(max(value, low[c, 0, 0]), high[c, 0, 0]) - x[c, i, j]) / u
    return out


def _uphill(probe: Probe, x: np.ndarray) -> tuple[np.ndarray, float]:
    """Gradient and value of -log softmax_k: sum_j (p_j - [j = k]) d logit_j, class by class."""
    at = torch.from_numpy(x)[None]
    with torch.no_grad():
        logits = probe.net(at.clone())[0].tolist()
    top = max(logits)
    total = sum(math.exp(value - top) for value in logits)
    shares = [math.exp(value - top) / total for value in logits]
    gradient = np.zeros_like(x)
    for j, share in enumerate(shares):
        own = Probe(probe.net, at, j).input_gradient()
        gradient = gradient + (share - (j == probe.k)) * own
    return gradient, -(logits[probe.k] - top - math.log(total))
