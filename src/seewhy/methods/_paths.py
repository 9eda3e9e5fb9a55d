"""Integrals along a path: nodes and weights by the name of a rule, and a fold that follows values along the path; runs
nothing."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from seewhy.errors import UnknownName, UsageError

__all__ = ["RULES", "Telescope", "quadrature"]

RULES = ("gauss-legendre", "trapezoid", "riemann-left", "riemann-middle", "riemann-right")


def quadrature(rule: str, steps: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Nodes and weights of ``rule`` with ``steps`` nodes (trapezoid: ``steps`` intervals, so one node more).

    Raises `UnknownName` for another rule and `UsageError` for fewer than one step.

    >>> quadrature("riemann-middle", 2)
    ((0.25, 0.75), (0.5, 0.5))
    """
    if rule not in RULES:
        raise UnknownName("quadrature rule", rule, (*RULES, "adaptive"), "seewhy methods integrated-gradients")
    if steps < 1:
        raise UsageError(f"steps={steps}: a path needs at least one step, e.g. steps=50")
    if rule == "gauss-legendre":
        nodes, weights = np.polynomial.legendre.leggauss(steps)
        return tuple((0.5 + 0.5 * nodes).tolist()), tuple((0.5 * weights).tolist())
    if rule == "trapezoid":
        ends = [0.5 / steps]
        return tuple(k / steps for k in range(steps + 1)), (*ends, *([1 / steps] * (steps - 1)), *ends)
    shift = {"riemann-left": 0.0, "riemann-middle": 0.5, "riemann-right": 1.0}[rule]
    return tuple((k + shift) / steps for k in range(steps)), (1 / steps,) * steps


class Telescope:
    """sum_k (g_{k-1} + g_k) / 2 * (A_k - A_{k-1}) along each image's path; chunks arrive in order."""

    def __init__(self, batch: int) -> None:
        self._last: dict[int, tuple[Tensor, Tensor]] = {}
        self._sums: list[Tensor | None] = [None] * batch

    def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
        """Walk one chunk further along the paths."""
        for row, sample in enumerate(samples.tolist()):
            activation, gradient = answers[0][row], answers[1][row]
            if sample in self._last:
                before, slope = self._last[sample]
                share = 0.5 * (slope + gradient) * (activation - before)
                total = self._sums[sample]
                self._sums[sample] = share if total is None else total + share
            self._last[sample] = activation, gradient

    def result(self) -> Tensor:
        """The sums, [B, C, *positions]."""
        return torch.stack([total for total in self._sums if total is not None])
