"""Asking for any method: takes a method's name, gives it settings that are quick and a layer it accepts, from its card
alone, so that a new method is covered without a line here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

import seewhy
import seewhy.methods
from networks import Case, make
from seewhy.explanation import Explanation, Explanations
from seewhy.registry import methods

__all__ = ["METHODS", "SEEDED", "close", "every", "explain", "made", "stacked"]

#: those that explain a score; what looks inside has properties of its own
METHODS = sorted(method.name for method in methods if method.card.call == "explain" and not method.card.by_layer)
SEEDED = [name for name in METHODS if "seed" in methods[name].parameters]
#: budgets, by the names that parameters have
_QUICK = {"n": 4, "steps": 8, "max_steps": 16, "window": 4, "cells": 2}
#: by family, where what is sampled needs more for an answer: two replicates of 24 forwards
_ENOUGH = {"perturbation": {"n": 48}}


def _quick(name: str) -> dict[str, Any]:
    return _QUICK | _ENOUGH.get(methods[name].card.family, {})


def _pieces(x: torch.Tensor) -> torch.Tensor:
    """Six pieces of any image: three bands, each in two unequal parts."""
    height, width = x.shape[-2:]
    rows, columns = torch.arange(height) * 3 // height, torch.arange(width) * 5 // width // 3
    return 2 * rows[:, None] + columns


def made(name: str, network: str, seed: int = 0, dtype: torch.dtype = torch.float64) -> Case:
    """``network``, or one with attention for methods that need it."""
    return make("tokens" if methods[name].card.family == "attention" else network, seed, dtype)


def explain(case: Case, x: torch.Tensor, name: str, target: Any = 1, **given: Any) -> Explanations:
    """The explanations by ``name`` at a layer of ``case`` that suits it, channels kept, with small budgets."""
    method = methods[name]
    card = method.card
    given.setdefault("layer", [case.early, case.layer] if card.several_layers else _layer(case, card.at))
    if card.reduce is not None:
        given.setdefault("reduce", "none")
    if "segments" in method.requires:
        given.setdefault("segments", _pieces(x))
    for key, value in _quick(name).items():
        fixed = key == "steps" and "max_steps" in method.parameters  # adaptive methods take one or the other
        if key in method.parameters and not fixed:
            given.setdefault(key, value)
    return seewhy.explain_all(case.net, x, method=name, target=target, **given)


def _layer(case: Case, at: str) -> str | None:
    return case.layer if at == "layer" else None


def every(found: Explanation | Sequence[Explanation]) -> list[Explanation]:
    """One explanation or several, as a list."""
    return [found] if isinstance(found, Explanation) else list(found)


def stacked(found: Explanation | Sequence[Explanation]) -> np.ndarray:
    """Values [B, ...]."""
    return np.stack([each.values for each in every(found)])


def close(found: np.ndarray, expected: np.ndarray, relative: float) -> None:
    """Equal up to ``relative`` of the largest value; never passes on NaN."""
    assert found.shape == expected.shape
    assert np.isfinite(expected).all()
    worst = np.abs(found.astype(np.float64) - expected.astype(np.float64)).max()
    assert worst <= relative * max(np.abs(expected).max(), 1e-12), f"differs by {worst}"
