"""Neuron conductance: takes input, baseline and a unit of a layer, asks on the path between them for how the score
depends on the unit and the unit on the input, gives the evidence that flows through it."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution, Gradient, Here, Stream
from seewhy.core.network.places import INPUT
from seewhy.core.perturb.sources import StraightPath
from seewhy.core.targets import Neuron
from seewhy.errors import UsageError
from seewhy.methods._exceptions import FIXED_REFERENCE, NO_GRADIENT, every
from seewhy.methods._paths import quadrature
from seewhy.registry import Card, Need, method

__all__ = ["neuron_conductance"]


@method(
    Card(
        name="neuron-conductance",
        family="gradient",
        paper="Dhamdhere, Sundararajan & Yan 2018, How Important Is a Neuron?, arXiv:1805.12233, eq. 1",
        formula="(x - x') * integral_0^1 dS/dn dn/dx(x' + a (x - x')) da, n the neuron",
        unit="{score}",
        excepts={
            **NO_GRADIENT,
            **FIXED_REFERENCE,
            **every(
                (
                    "proportion",
                    "interaction",
                    "redundancy",
                    "saturation",
                    "shattering",
                    "sign",
                    "cancellation",
                    "class",
                ),
                "shows what goes through one unit of the layer, and that is one cue's place",
            ),
        },
        cost="steps forwards, 2 steps backwards",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        at="layer",
        reduce="sum",
        use="which part of the image speaks for the class by way of one unit",
        caveats=(
            "depends on the baseline",
            "the units of a layer that everything crosses share the score's difference",
        ),
    )
)
def neuron_conductance(
    input: Tensor,
    activation: Tensor,
    gradient: Tensor,
    baseline: Tensor,
    *,
    unit: tuple[int, ...] | int | None = None,
    rule: str = "gauss-legendre",
    steps: int = 50,
    multiply_by_inputs: bool = True,
) -> Generator[Any, Any, Attribution]:
    """The part of integrated gradients that flows through one unit of a layer.

    ``unit`` is its channel, and its position where the layer has any: ``(7, 3, 3)``; left out, the one with the largest
    activation times gradient. ``input`` and ``baseline`` [B, C, *size]; values of that shape, in score units. Summed
    over all units of a layer that everything crosses they are the integrated gradients. ``rule`` and ``steps`` as in
    integrated gradients, without ``adaptive``; ``multiply_by_inputs=False`` leaves the factor x - x' out. Raises
    `UsageError` for a unit that the layer does not have.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Tanh(), torch.nn.Flatten(), torch.nn.Linear(16, 2))
    >>> asked = {"method": "neuron-conductance", "layer": "1", "unit": (3, 0, 1)}
    >>> seewhy.explain(net, torch.rand(3, 4, 4), **asked).values.shape
    (4, 4)
    """
    nodes, weights = quadrature(rule, steps)
    units = _units(unit, activation, gradient)
    layer = yield Here()
    neurons = tuple(Neuron(layer, channel, tuple(position) or None) for channel, *position in units)
    wants = Gradient(), Gradient(INPUT, targets=neurons)
    mean = yield Stream(StraightPath(len(nodes), nodes, baseline), wants, _ThroughUnit(weights, units))
    notes = tuple(f"by way of {neuron.describe()}" for neuron in neurons)
    return Attribution((input - baseline) * mean if multiply_by_inputs else mean, notes=notes)


def _units(unit: tuple[int, ...] | int | None, activation: Tensor, gradient: Tensor) -> list[tuple[int, ...]]:
    """The unit of each image, by its indices."""
    shape = tuple(activation.shape[1:])
    if unit is None:
        best = (activation * gradient).detach().abs().flatten(1).argmax(1).cpu()
        rows = torch.stack(torch.unravel_index(best, shape), 1)
        return [tuple(row) for row in rows.tolist()]
    asked = (unit,) if isinstance(unit, int) else tuple(unit)
    if len(asked) != len(shape) or any(not -n <= at < n for at, n in zip(asked, shape, strict=True)):
        raise UsageError(
            f"unit={unit!r}: the layer has units {shape}, so one is {tuple(n - 1 for n in shape)}, the last"
        )
    return [asked] * len(activation)


class _ThroughUnit:
    """sum_i weight_i dS/dn dn/dx per image, [B, C, *size]."""

    def __init__(self, weights: tuple[float, ...], units: list[tuple[int, ...]]) -> None:
        self._weights, self._units = torch.tensor(weights, dtype=torch.float64), units
        self._sums: list[Tensor | None] = [None] * len(units)

    def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
        """Add one chunk."""
        of_layer, of_unit = answers
        for row, sample in enumerate(samples.tolist()):
            weight = self._weights[int(indices[row])].to(of_layer)
            share = weight * of_layer[row][self._units[sample]] * of_unit[row]
            total = self._sums[sample]
            self._sums[sample] = share if total is None else total + share

    def result(self) -> Tensor:
        """The sums."""
        return torch.stack([total for total in self._sums if total is not None])
