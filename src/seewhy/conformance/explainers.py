"""Explainers: takes names of our methods or a function of anybody's, gives what can be put through units; judges
nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

import seewhy.methods  # noqa: F401 - fills the registry
from seewhy.api.explaining import explain_all
from seewhy.conformance._unit import CELLS, SIDE, Maps, Scene, Unfit
from seewhy.core.perturb.estimators import student
from seewhy.errors import CapabilityError, UnknownName, UsageError, one_line
from seewhy.explanation import Explanation
from seewhy.registry import KINDS, Method, methods

__all__ = ["SINGLE", "Explainer", "by_hand", "maps_of", "mean_and_error", "ours"]

#: what rounding leaves of a map in single precision, as a share of its largest value
SINGLE = 1e-4
#: what is asked of our methods beside their defaults, by the names of parameters: pieces that are cells, and the
#: empty picture in the place of what is hidden
_PARAMETERS: dict[str, Any] = {
    "window": SIDE,
    "stride": SIDE,
    "cells": CELLS,
    "dilation": 0,
    "min_pixels": 1,
    "units": "positions",
}
#: samples at most, and a standard error at which fewer do, as a share of the map's range, by family
_SAMPLING: dict[str, tuple[int, float]] = {"perturbation": (2048, 0.005)}
_SAMPLED = 4096, 0.01
#: runs with other seeds of what does not say how far it may be off
_RUNS = 8
#: optimised masks may differ from pixel to pixel; of a given area, they hold three cells
_OPTIMISED: dict[str, Any] = {"cells": CELLS * SIDE, "steps": 60, "areas": (3 / CELLS**2,)}
_SUPPLIES: dict[str, Any] = {"fill": 0.0, "baseline": 0.0}
#: standard errors that a sampled number may be off by
_ERRORS = 4


#: maps, and their standard errors as large, or None
Sampled: TypeAlias = "tuple[Any, Tensor | None]"


@dataclass(frozen=True)
class Explainer:
    """What is put through units: ``explain`` gives raw maps [B, h, w] or [B, C, h, w] of a scene and, where they are
    sampled, their standard errors (else None); or raises `Unfit`.

    ``kind`` is what the values count (`seewhy.registry.KINDS`), ``excepts`` the properties that its formula breaks with
    the reasons, ``error`` how far a map may be off by its own arithmetic, as a share of its largest value. ``power`` 2
    for sensitivities that are squared. ``like`` is our method of the same formula, of another library's.
    """

    name: str
    explain: Callable[[Scene], Sampled]
    kind: str = "attribution"
    excepts: Mapping[str, str] = field(default_factory=dict, hash=False)
    error: float = SINGLE
    power: int = 1
    like: str = ""

    def maps(self, scene: Scene) -> Maps:
        """Checked, and with one number a place. Raises `Unfit`, `UsageError` for what is no map, and what ``explain``
        raises."""
        given, errors = self.explain(scene)
        maps = Maps(maps_of(given, scene.x), self.kind, self.error)
        if errors is not None:  # of a root half the share of its square
            sampled = _share(maps, maps_of(errors, scene.x)) / self.power
            maps = replace(maps, error=max(self.error, sampled))
        return replace(maps, values=maps.values.clamp(min=0) ** (1 / self.power)) if self.power > 1 else maps


def _share(maps: Maps, errors: Tensor) -> float:
    """How far the cells of sampled ``maps`` may be off as a share of the largest, from the standard ``errors`` of their
    values; those of one cell are of the same samples, and add up."""
    largest = float(maps.cells.abs().max())
    return _ERRORS * float(Maps(errors, maps.kind, 0.0).cells.max()) / largest if largest else 0.0


def maps_of(given: Any, x: Tensor) -> Tensor:
    """What an explainer gave for inputs ``x`` [B, C, H, W] as maps [B, h, w] in float64, channels added up.

    Raises `UsageError` for what is no array, has another batch, has no whole number of values for every cell, or holds
    NaN or infinity.
    """
    try:
        array = np.asarray(given) if isinstance(given, list | tuple) else given
        values = torch.as_tensor(array).detach().cpu().double()
    except (TypeError, ValueError, RuntimeError) as error:
        found = f"{type(given).__name__} ({one_line(error)})"
        raise UsageError(f"an explainer gives maps, a tensor or an array; got {found}") from None
    shape, wanted = tuple(values.shape), f"[{len(x)}, h, w] or [{len(x)}, C, h, w], h and w multiples of {CELLS}"
    if values.ndim not in (3, 4) or shape[0] != len(x) or any(side == 0 or side % CELLS for side in shape[-2:]):
        raise UsageError(f"maps of shape {shape} for inputs {tuple(x.shape)}; give {wanted}, as {list(x[:, 0].shape)}")
    if not bool(values.isfinite().all()):
        raise UsageError(f"maps with {int((~values.isfinite()).sum())} values that are NaN or infinite")
    return values.sum(1) if values.ndim == 4 else values


def mean_and_error(runs: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """The mean of several runs of maps, and its standard error, widened by Student's t.

    >>> mean_and_error([torch.zeros(1), torch.ones(1)] * 50)[0]
    tensor([0.5000], dtype=torch.float64)
    """
    several = torch.stack(list(runs)).double()
    wider = student(torch.tensor(len(runs) - 1.0)).double()
    return several.mean(0), wider * several.std(0) / len(runs) ** 0.5


def by_hand(
    explain: Callable[[nn.Module, Tensor, int], Any], name: str, kind: str = "attribution", error: float = SINGLE
) -> Explainer:
    """A function ``explain(module, x, target)`` as an explainer. Raises `UnknownName` for a kind that there is not, and
    `UsageError` for an error that is no share."""
    if kind not in KINDS:
        raise UnknownName("kind of map", kind, KINDS, f"one of {', '.join(KINDS)}", f" for {name}")
    if not 0 <= error < 1:
        raise UsageError(f"error={error!r}: a share of the largest value, from 0 to below 1, e.g. error=0.01")
    return Explainer(name, lambda scene: (explain(scene.module, scene.x.clone(), scene.target), None), kind, {}, error)


def ours(name: str) -> Explainer:
    """Our method ``name``, judged by its card. Raises `UnknownName` for a method that there is not."""
    method = methods[name]
    settings = _settings(method)

    def explain(scene: Scene) -> Sampled:
        if why := _unfit(method):
            raise Unfit(why)
        given = dict(settings)
        if "segments" in method.requires or "regions" in method.requires:
            given["segments"] = _pieces(scene.x)
        if "references" in method.requires:
            given["references"] = torch.full_like(scene.x[:1], 0.0)
        if method.card.at == "layer":
            given["layer"] = _layers(method, scene)
        target = scene.target if scene.goal is None else scene.goal
        runs = []
        try:
            for seed in range(_RUNS):
                seeded = {**given, "seed": seed} if "seed" in method.parameters else given
                found = explain_all(
                    scene.view or scene.module, scene.x, method=name, target=target, prepare=False, **seeded
                )
                values = torch.from_numpy(np.stack([each.values for each in found]))
                # of what keeps its channels, a place has their mean
                runs.append(values.mean(1, keepdim=True) if method.card.reduce == "none" else values)
                if seeded is given or (errors := _errors(found)) is not None:
                    return runs[0], None if seeded is given else errors
        except CapabilityError as error:
            raise Unfit(str(error)) from None
        return mean_and_error(runs)

    card = method.card
    power = 2 if "squared" in card.unit else 1
    return Explainer(name, explain, card.kind, card.excepts, _error(method, settings), power)


def _layers(method: Method, scene: Scene) -> str | list[str]:
    if not method.card.several_layers:
        return scene.layer
    if scene.again is None:
        raise Unfit("takes several layers, and the network has one with positions")
    return [scene.layer, scene.again]


def _unfit(method: Method) -> str:
    """Why a method gives no map of evidence of an image for a target; '' where it does."""
    if method.card.call != "explain":
        return f"gives no map of evidence: seewhy {method.card.call} runs it"
    return "explains the mean of every layer, not a class" if method.card.by_layer else ""


def _settings(method: Method) -> dict[str, Any]:
    has = method.parameters
    given = {name: value for name, value in _PARAMETERS.items() if name in has}
    given |= {name: value for name, value in _SUPPLIES.items() if name in method.requires}
    if "seed" in has and "tolerance" in has:
        given["n"], given["tolerance"] = _SAMPLING.get(method.card.family, _SAMPLED)
        given["n"] *= 2 if "alpha" in has else 1  # a ridge takes more than it leaves, of few samples
    if "learning_rate" in has:
        given |= {name: value for name, value in _OPTIMISED.items() if name in has}
    return given


def _errors(found: Iterable[Explanation]) -> Tensor | None:
    """The standard errors that sampled maps say of themselves, [B, ...]."""
    found = list(found)
    errors = [each.error for each in found if isinstance(each.error, np.ndarray)]
    return torch.from_numpy(np.stack(errors)) if errors and len(errors) == len(found) else None


def _error(method: Method, settings: Mapping[str, Any]) -> float:
    """How far a map may be off beside what is sampled: integrated to a tolerance, that; integrated by n nodes, what one
    node counts, since a kink lies between two of them; optimised in n steps, n times rounding; else rounding."""
    has = {**method.parameters, **settings}
    if "learning_rate" in has:
        return SINGLE * float(has["steps"])
    if "tolerance" in has and "seed" not in has and method.card.sums:
        return float(has["tolerance"])
    return 1 / has["steps"] if isinstance(has.get("steps"), int) and method.card.family == "gradient" else SINGLE


def _pieces(x: Tensor) -> Tensor:
    """Cells as pieces: a number each [16, 16]."""
    at = torch.arange(x.shape[-1]) // SIDE
    return CELLS * at[:, None] + at
