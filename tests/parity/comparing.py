"""Comparing with another library: takes two arrays, asserts that they agree; also our side of every comparison."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import seewhy
from networks import CLASSES

__all__ = ["agree", "differ", "ours", "targets_for"]


def targets_for(x: Tensor, seed: int) -> list[int]:
    """A class for every image."""
    return [(seed + row) % CLASSES for row in range(len(x))]


def ours(net: nn.Module, x: Tensor, method: str, target: Any, layer: str | None = None, **given: Any) -> np.ndarray:
    """Our values [B, ...] on the eager model, as it is."""
    found = seewhy.explain_all(net, x, method=method, target=target, layer=layer, prepare=False, **given)
    return np.stack([each.values for each in found])


def agree(found: Any, expected: Any, relative: float) -> None:
    """Every image's values within ``relative`` of its largest."""
    found, expected = _array(found), _array(expected)
    assert found.shape == expected.shape
    assert np.isfinite(expected).all()
    for mine, theirs in zip(found, expected, strict=True):
        assert np.abs(mine - theirs).max() <= relative * max(np.abs(theirs).max(), 1e-9)


def differ(found: Any, expected: Any, relative: float) -> None:
    """Some image's values are further apart than ``relative`` of its largest."""
    found, expected = _array(found), _array(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() > relative * np.abs(expected).max()


def _array(values: Any) -> np.ndarray:
    array = values.detach().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    return array.astype(np.float64)
