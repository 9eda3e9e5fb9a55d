"""Quadrature on [0, 1]: takes a rule's name and a number of nodes, gives nodes and weights."""

from __future__ import annotations

import numpy as np

from seewhy.errors import UnknownName, UsageError

__all__ = ["RULES", "quadrature"]

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
