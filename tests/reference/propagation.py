"""Propagation methods: takes a probe, gives relevance [C, h, w] at the input or a layer; every linear
layer is written out as a matrix, and nothing asks autograd.

A matrix M [outputs, inputs] is read off a layer by giving it one input after the other. A rule is then the table of
shares of R_j that input i gets.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor, nn

from networks import Residual
from reference.layerwise import _forward
from reference.probing import Probe

__all__ = ["c_excitation_backprop", "excitation_backprop", "lrp"]

EPS = 1e-6
#: shares [outputs, inputs] of a layer from (matrix, bias, x, low, high)
Table = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]


@dataclass
class Step:
    """One step of the forward: ``name`` the child whose output it ends (or empty), with the values before it."""

    name: str
    part: nn.Module
    x: np.ndarray
    norm: nn.BatchNorm2d | None = None
    index: int = -1
    body: list[Step] = field(default_factory=list)


def steps(parts: list[tuple[str, nn.Module]], x: Tensor, count: list[int]) -> tuple[list[Step], Tensor]:
    """The network as steps, batch norms taken into what they follow; ``count`` counts linear layers."""
    found: list[Step] = []
    for at, (name, part) in enumerate(parts):
        if isinstance(part, nn.BatchNorm2d):
            assert isinstance(parts[at - 1][1], nn.Conv2d)
            found[-1].norm = part
            found[-1].name += f" {name}"  # relevance at the convolution is relevance at its batch norm
        elif isinstance(part, Residual):
            body, _ = steps([("", child) for child in part.body], x, count)
            found.append(Step(name, part, x[0].numpy(), body=body))
        else:
            found.append(Step(name, part, x[0].numpy()))
            if isinstance(part, nn.Conv2d | nn.Linear):
                found[-1].index = count[0]
                count[0] += 1
        x = _forward(part, x)
    return found, x


def matrix(part: nn.Module, x: np.ndarray, norm: nn.BatchNorm2d | None) -> tuple[np.ndarray, np.ndarray]:
    """(M, b): the layer on every unit vector, less the layer on nothing."""
    unit = torch.eye(x.size, dtype=torch.float64).reshape(x.size, *x.shape)

    def run(v: Tensor) -> Tensor:
        with torch.no_grad():
            out = part(v)
            if norm is not None:
                scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
                out = (out - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[:, None, None]
        return out

    base = run(torch.zeros(1, *x.shape, dtype=torch.float64))
    columns = run(unit) - base
    return columns.reshape(x.size, -1).numpy().T, base.flatten().numpy()


def _over(a: np.ndarray, z: np.ndarray, eps: float | np.ndarray = EPS) -> np.ndarray:
    """a[j, i] / (z[j] + eps sign(z[j])), sign(0) = 1; 0 where that is 0."""
    denominator = z + np.where(z >= 0, eps, -np.asarray(eps))
    safe = np.where(denominator == 0, 1.0, denominator)
    return np.where(denominator == 0, 0.0, 1 / safe)[:, None] * a


def up(a: np.ndarray) -> np.ndarray:
    return np.where(a > 0, a, 0.0)


def _down(a: np.ndarray) -> np.ndarray:
    return np.where(a < 0, a, 0.0)


def _epsilon(eps: float, relative: bool = False) -> Table:
    def table(m: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
        products = m * x
        z = products.sum(1) + b
        return _over(products, z, eps * math.sqrt((z * z).mean()) if relative else eps)

    return table


def _zplus(m: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    products = up(m * x)
    return _over(products, products.sum(1) + up(b))


def _alpha2_beta1(m: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
    losses = _down(m * x)
    return 2 * _zplus(m, b, x) - _over(losses, losses.sum(1) + _down(b))


def _gamma(gamma: float) -> Table:
    def table(m: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
        products = m * x
        z = products.sum(1) + b
        more, less = products + gamma * up(products), products + gamma * _down(products)
        above = _over(more, more.sum(1) + b + gamma * up(b))
        below = _over(less, less.sum(1) + b + gamma * _down(b))
        return np.where((z > 0)[:, None], above, np.where((z < 0)[:, None], below, 0.0))

    return table


def _box(low: np.ndarray, high: np.ndarray) -> Table:
    def table(m: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
        products = m * x - up(m) * low - _down(m) * high
        return _over(products, products.sum(1))

    return table


def _excited(negated: bool) -> Table:
    def table(m: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
        products = up((-m if negated else m) * x)
        return _over(products, products.sum(1), 0.0)

    return table


def _flat(part: nn.Module) -> Table:
    """Every input that a unit sees gets the same, whatever the weight: which it sees, a layer of ones says."""

    def table(m: np.ndarray, b: np.ndarray, x: np.ndarray) -> np.ndarray:
        twin = type(part)(part.in_channels, part.out_channels, part.kernel_size, part.stride, part.padding, bias=False)
        twin = twin.double()
        nn.init.ones_(twin.weight)
        side = math.isqrt(x.size // part.in_channels)
        seen, _ = matrix(twin, x.reshape(part.in_channels, side, side), None)
        return _over(seen, seen.sum(1))

    return table


def _lrp_table(step: Step, count: int, probe: Probe) -> Table:
    name, given = probe.parameters.get("composite", "epsilon-gamma-box"), probe.parameters
    first, convolution = step.index == 0, isinstance(step.part, nn.Conv2d)
    epsilon, gamma = _epsilon(given.get("epsilon", EPS)), _gamma(given.get("gamma", 0.25))
    image = probe.x[0].numpy()
    low, high = (np.repeat(getattr(image.reshape(len(image), -1), end)(1), image[0].size) for end in ("min", "max"))
    if name == "by-depth":
        third = 3 * step.index // count
        return _box(low, high) if first else (gamma, _epsilon(0.25, relative=True), epsilon)[third]
    if first and name.endswith("flat"):
        return _flat(step.part)
    if name in ("attn-lrp", "cp-lrp"):
        linear = given.get("linear_gamma", 0.0)
        return gamma if convolution else _gamma(linear) if linear else epsilon
    if name == "epsilon" or not convolution:
        return epsilon
    if "plus" in name:
        return _zplus
    if "alpha" in name:
        return _alpha2_beta1
    return _box(low, high) if first else gamma


def _back(parts: list[Step], r: np.ndarray, table: Callable[[Step], Table], positive: bool, out: dict) -> np.ndarray:
    """Relevance before the steps; what arrives after each is noted in ``out``."""
    for step in reversed(parts):
        for name in step.name.split():
            out[name] = r
        match step.part:
            case nn.Conv2d() | nn.Linear() | nn.AdaptiveAvgPool2d():
                m, b = matrix(step.part, step.x, step.norm)
                r = (r.reshape(-1) @ table(step)(m, b, step.x.reshape(-1))).reshape(step.x.shape)
            case nn.MaxPool2d():
                r = _to_winners(step.x, r, step.part.kernel_size)
            case Residual():
                branch = _forward(step.part.body, torch.from_numpy(step.x)[None])[0].numpy()
                one, two = (up(branch), up(step.x)) if positive else (branch, step.x)
                ratio = _over(r.reshape(-1, 1), (one + two).reshape(-1), 0.0 if positive else EPS).reshape(r.shape)
                r = two * ratio + _back(step.body, one * ratio, table, positive, {})
            case _:
                r = r.reshape(step.x.shape)
    return r


def _to_winners(x: np.ndarray, r: np.ndarray, size: int) -> np.ndarray:
    found = np.zeros_like(x)
    for c, y, z in np.ndindex(r.shape):
        window = x[c, y * size : (y + 1) * size, z * size : (z + 1) * size]
        row, column = np.unravel_index(window.argmax(), window.shape)
        found[c, y * size + row, z * size + column] += r[c, y, z]
    return found


def _arrives(probe: Probe, start: float | None, table: Callable[[Step, int], Table], positive: bool) -> np.ndarray:
    count, out = [0], {}
    parts, scores = steps(list(probe.net.named_children()), probe.x, count)
    r = np.zeros(scores.shape[1])
    r[probe.k] = float(scores[0, probe.k]) if start is None else start
    at_input = _back(parts, r, lambda step: table(step, count[0]), positive, out)
    return out[probe.layer] if probe.layer else at_input


def lrp(probe: Probe) -> np.ndarray:
    """The logit, shared out by each layer's table; pooling and sums in proportion to values."""

    def table(step: Step, count: int) -> Table:
        return _epsilon(EPS) if isinstance(step.part, nn.AdaptiveAvgPool2d) else _lrp_table(step, count, probe)

    return _arrives(probe, None, table, positive=False)


def excitation_backprop(probe: Probe) -> np.ndarray:
    """1 at the class, shared out by positive products."""
    return _arrives(probe, 1.0, lambda step, count: _excited(negated=False), positive=True)


def c_excitation_backprop(probe: Probe) -> np.ndarray:
    """That, less the same with the last layer's weights negated."""
    dual = _arrives(probe, 1.0, lambda step, count: _excited(step.index == count - 1), positive=True)
    return excitation_backprop(probe) - dual
