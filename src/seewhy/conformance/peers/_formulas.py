"""Formulas of others: takes a peer's function and our method of the same formula, gives an explainer whose exceptions
and kind are those of our card; knows no library."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

import seewhy.methods  # noqa: F401 - fills the registry
from seewhy.conformance._unit import Scene
from seewhy.conformance.explainers import SINGLE, Explainer, maps_of, mean_and_error
from seewhy.conformance.explainers import ours as own
from seewhy.registry import methods

__all__ = ["of_formula"]

#: runs with other seeds of what is drawn at random
_RUNS = 5


def of_formula(
    name: str,
    ours: str,
    explain: Callable[[Scene], Any],
    *,
    drawn: bool = False,
    error: float = SINGLE,
    also: Mapping[str, str] | None = None,
) -> Explainer:
    """A peer's ``explain``, which gives raw maps of a scene, under its own ``name``, judged as our method ``ours``;
    ``also`` are exceptions by what it does beside the formula, with the reasons.

    What is ``drawn`` at random is run with several seeds. What it raises where our method cannot be asked either is
    `Unfit`.
    """
    card, mine = methods[ours].card, own(ours)

    def run(scene: Scene) -> tuple[Any, Tensor | None]:
        try:
            return several(scene) if drawn else (explain(scene), None)
        except Exception as error:  # a library's own refusal may be of any kind
            mine.explain(scene)  # raises `Unfit` where the formula itself asks for another network
            raise error

    def several(scene: Scene) -> tuple[Any, Tensor | None]:
        runs = []
        with torch.random.fork_rng([]):
            for seed in range(_RUNS):
                torch.manual_seed(seed)
                runs.append(maps_of(explain(scene), scene.x))
        return mean_and_error(runs)

    power = 2 if "squared" in card.unit else 1
    return Explainer(name, run, card.kind, {**card.excepts, **(also or {})}, error, power, ours)
