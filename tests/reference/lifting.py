"""DeepLIFT: takes a probe, gives contributions [C, h, w] at the input or a layer; layers as matrices, nothing asks
autograd."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn

from networks import Residual
from reference.gradients import noise_reference
from reference.layerwise import _forward
from reference.probing import Probe
from reference.propagation import Step, matrix, steps, up

__all__ = ["deep_lift", "deep_shap"]


def deep_lift(probe: Probe) -> np.ndarray:
    """Multipliers by the chain rule from the logit, times the difference from the baseline."""
    return _against(probe, torch.full_like(probe.x, float(probe.parameters.get("baseline", 0.0))))


def deep_shap(probe: Probe) -> np.ndarray:
    """The mean of DeepLIFT's contributions against each reference."""
    given = {"n": 16, "seed": 0} | probe.parameters
    starts = [reference[None].double() for reference in given["references"]] if "references" in given else None
    starts = starts or [noise_reference(probe, index, given["seed"]) for index in range(given["n"])]
    each = [_against(probe, start) for start in starts]
    return sum(each[1:], each[0]) / len(each)


def _against(probe: Probe, start: torch.Tensor) -> np.ndarray:
    (here, scores), (there, _) = (steps(list(probe.net.named_children()), x, [0]) for x in (probe.x, start))
    m = np.zeros(scores.shape[1])
    m[probe.k] = 1.0
    after = [*(step.x for step in here[1:]), scores[0].numpy()], [*(step.x for step in there[1:]), None]
    if not probe.layer:
        return _lifted(here, there, m, "") * (probe.x - start)[0].numpy()
    at = next(i for i, step in enumerate(here) if probe.layer in step.name.split())
    return _lifted(here[at + 1 :], there[at + 1 :], m, probe.layer) * (after[0][at] - after[1][at])


def _lifted(here: list[Step], there: list[Step], m: np.ndarray, layer: str) -> np.ndarray:
    for one, two in reversed(list(zip(here, there, strict=True))):
        match one.part:
            case nn.Conv2d() | nn.Linear() | nn.AdaptiveAvgPool2d():
                weights, _ = matrix(one.part, one.x, one.norm)
                m = (m.reshape(-1) @ weights).reshape(one.x.shape)
            case nn.MaxPool2d():
                m = _max_multipliers(one.x, two.x, m, one.part.kernel_size)
            case Residual():
                sums = [_forward(s.part.body, torch.from_numpy(s.x)[None])[0].numpy() + s.x for s in (one, two)]
                m = m * (up(sums[0]) - up(sums[1])) / (sums[0] - sums[1])
                m = m + _lifted(one.body, two.body, m, layer)
            case nn.Flatten():
                m = m.reshape(one.x.shape)
            case _:
                f = [_forward(one.part, torch.from_numpy(s.x)[None])[0].numpy() for s in (one, two)]
                apart = np.abs(one.x - two.x) > 1e-9
                m = m * np.where(apart, (f[0] - f[1]) / np.where(apart, one.x - two.x, 1.0), 0.0)
    return m


def _max_multipliers(x: np.ndarray, y: np.ndarray, m: np.ndarray, size: int) -> np.ndarray:
    found = np.zeros_like(x)
    for c, row, column in np.ndindex(m.shape):
        rows, columns = slice(row * size, (row + 1) * size), slice(column * size, (column + 1) * size)
        here, there = x[c, rows, columns], y[c, rows, columns]
        most = max(here.max(), there.max())
        for window, gain in ((here, most - there.max()), (there, here.max() - most)):
            at = np.unravel_index(window.argmax(), window.shape)
            if gain:
                found[c, rows, columns][at] += m[c, row, column] * gain / (here[at] - there[at])
    return found
