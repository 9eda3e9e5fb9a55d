"""Gradient methods: takes a probe, gives [C, h, w] at the input (or a layer), one gradient after the other."""

from __future__ import annotations

import itertools
import math

import numpy as np
import torch

from reference.cams import grad_cam
from reference.layerwise import walk
from reference.probing import Probe, bilinear, noise

__all__ = [
    "conductance",
    "deconvnet",
    "full_grad",
    "guided_backprop",
    "guided_grad_cam",
    "input_x_gradient",
    "integrated_gradients",
    "internal_influence",
    "layer_activation",
    "layer_expected_gradients",
    "layer_integrated_gradients",
    "neuron_conductance",
    "nodes_and_weights",
    "noise_reference",
    "saliency",
    "smooth_grad",
    "smooth_grad_squared",
    "var_grad",
]


def saliency(probe: Probe) -> np.ndarray:
    """dS/dx."""
    return probe.at_layer()[1] if probe.layer else probe.input_gradient()


def input_x_gradient(probe: Probe) -> np.ndarray:
    """x dS/dx."""
    if probe.layer:
        activation, gradient = probe.at_layer()
        return activation * gradient
    return probe.x[0].numpy() * probe.input_gradient()


def _ruled(probe: Probe, rule: str) -> np.ndarray:
    found = walk(probe.net, probe.x, probe.k, rule)
    return (found.outputs[probe.layer] if probe.layer else found.input)[0].numpy()


def guided_backprop(probe: Probe) -> np.ndarray:
    """Backward by hand, f'(z) max(g, 0) [f(z) > 0] at rectifiers."""
    return _ruled(probe, "guided")


def deconvnet(probe: Probe) -> np.ndarray:
    """Backward by hand, max(g, 0) at rectifiers."""
    return _ruled(probe, "deconvnet")


def guided_grad_cam(probe: Probe) -> np.ndarray:
    """Guided backpropagation times the upsampled positive part of Grad-CAM."""
    guided = walk(probe.net, probe.x, probe.k, "guided").input[0].numpy()
    where = bilinear(np.maximum(grad_cam(probe), 0), *probe.x.shape[2:])
    return np.stack([where * channel for channel in guided])


def full_grad(probe: Probe) -> np.ndarray:
    """x g summed over channels, plus each bias map spread bilinearly with every cell's kernel scaled to mass 1."""
    found = walk(probe.net, probe.x, probe.k)
    height, width = probe.x.shape[2:]
    total = (probe.x[0] * found.input[0]).sum(0).numpy().copy()
    for bias in found.biases:
        values = bias.numpy()
        if values.ndim == 0:
            total += values / (height * width)
            continue
        for y in range(values.shape[0]):
            for x in range(values.shape[1]):
                cell = np.zeros(values.shape)
                cell[y, x] = 1
                kernel = bilinear(cell, height, width)
                total += values[y, x] * kernel / kernel.sum()
    return total


def _noisy(probe: Probe) -> list[np.ndarray]:
    n, sigma = probe.parameters.get("n", 32), probe.parameters.get("sigma", 0.15)
    spread = sigma * float(probe.x.max() - probe.x.min())
    gradients = []
    for i in range(n):
        draw = noise(probe.x, i, tuple(probe.x.shape[1:]), "input-noise", probe.parameters.get("seed", 0))
        at = probe.x + spread * torch.from_numpy(draw)[None]
        gradients.append(probe.at_layer(at)[1] if probe.layer else probe.input_gradient(at))
    return gradients


def smooth_grad(probe: Probe) -> np.ndarray:
    """Mean of the gradient at noisy inputs."""
    return sum(_noisy(probe)) / len(_noisy(probe))


def smooth_grad_squared(probe: Probe) -> np.ndarray:
    """Mean of the squared gradient at noisy inputs."""
    gradients = _noisy(probe)
    return sum(g * g for g in gradients) / len(gradients)


def var_grad(probe: Probe) -> np.ndarray:
    """Unbiased variance of the gradient at noisy inputs."""
    gradients = _noisy(probe)
    mean = sum(gradients) / len(gradients)
    return sum((g - mean) ** 2 for g in gradients) / (len(gradients) - 1)


def nodes_and_weights(rule: str, steps: int) -> tuple[list[float], list[float]]:
    """Quadrature on [0, 1]; Gauss-Legendre nodes by Newton's method on the recurrence of the polynomials."""
    if rule == "trapezoid":
        return [k / steps for k in range(steps + 1)], [
            (0.5 if k in (0, steps) else 1.0) / steps for k in range(steps + 1)
        ]
    if rule.startswith("riemann-"):
        shift = {"left": 0.0, "middle": 0.5, "right": 1.0}[rule.removeprefix("riemann-")]
        return [(k + shift) / steps for k in range(steps)], [1 / steps] * steps
    nodes, weights = [], []
    for i in range(steps):
        t = np.cos(np.pi * (i + 0.75) / (steps + 0.5))
        for _ in range(100):
            before, value = 1.0, t
            for degree in range(2, steps + 1):
                before, value = value, ((2 * degree - 1) * t * value - (degree - 1) * before) / degree
            value, before = (value, before) if steps > 1 else (t, 1.0)
            slope = steps * (t * value - before) / (t * t - 1)
            t -= value / slope
        nodes.append(0.5 + 0.5 * t)
        weights.append(1 / ((1 - t * t) * slope * slope))
    return nodes, weights


def _baseline(probe: Probe) -> torch.Tensor:
    return torch.as_tensor(probe.parameters.get("baseline", 0.0), dtype=torch.float64).expand_as(probe.x)


def _mean_gradient(probe: Probe, rule: str, steps: int) -> np.ndarray:
    start, total = _baseline(probe), 0
    for node, weight in zip(*nodes_and_weights(rule, steps), strict=True):
        at = start + node * (probe.x - start)
        total = total + weight * (probe.at_layer(at)[1] if probe.layer else probe.input_gradient(at))
    return total


def integrated_gradients(probe: Probe) -> np.ndarray:
    """(x - x') sum_i weight_i dS/dx; ``adaptive`` as in `_refined`."""
    rule, steps = probe.parameters.get("rule", "adaptive"), probe.parameters.get("steps", 50)
    start = _baseline(probe)
    difference = (probe.x - start)[0].numpy()
    if rule != "adaptive":
        mean = _mean_gradient(probe, rule, steps)
        return difference * mean if probe.parameters.get("multiply_by_inputs", True) else mean
    return _refined(probe, probe.parameters.get("max_steps", 128), probe.parameters.get("tolerance", 0.01))


def _refined(probe: Probe, most: int, tolerance: float) -> np.ndarray:
    """Cells with squared edges, each with trapezoids of its own, or midpoints of half as many steps where they miss
    less than half as much, all computed anew from gradients that are all kept; again and again some nodes more, in the
    cells with the largest expected squared error for a node. In the end uniform midpoints where those are better."""
    count, start = min(8, most), _baseline(probe)
    edges, steps, before = [(k / count) ** 2 for k in range(count + 1)], [1] * count, [None] * count
    known: dict[float, np.ndarray] = {}

    def share(alpha: float) -> np.ndarray:
        if alpha not in known:
            known[alpha] = (probe.x - start)[0].numpy() * probe.input_gradient(start + alpha * (probe.x - start))
        return known[alpha]

    def trapezoids(cell: int) -> np.ndarray:
        low, width = edges[cell], edges[cell + 1] - edges[cell]
        at = [share(low + k / steps[cell] * width) for k in range(steps[cell])] + [share(edges[cell + 1])]
        return sum((a + b) / 2 for a, b in itertools.pairwise(at)) * width / steps[cell]

    def midpoints(cell: int, parts: int) -> np.ndarray:
        low, width = edges[cell], edges[cell + 1] - edges[cell]
        return sum(share(low + (k + 0.5) / parts * width) for k in range(parts)) * width / parts

    scores = [probe.score(start + edge * (probe.x - start)) for edge in edges]
    rises = [high - low for low, high in itertools.pairwise(scores)]
    allowed = tolerance * abs(scores[-1] - scores[0])

    def finished() -> np.ndarray:
        found, used = sum(best), sum(steps)
        if abs(sum(left)) <= allowed:
            return found
        even = sum(share((k + 0.5) / used) for k in range(used)) / used
        total = scores[-1] - scores[0]
        return even if abs(even.sum() - total) < abs(found.sum() - total) else found

    while True:
        sums = [trapezoids(cell) for cell in range(count)]
        best = list(sums)
        for c in range(count):
            other = sums[c] if steps[c] == 1 else midpoints(c, steps[c] // 2)
            if abs(other.sum() - rises[c]) < abs(sums[c].sum() - rises[c]) / 2:
                best[c] = other
        left = [best[c].sum() - rises[c] for c in range(count)]
        budget = most - sum(steps)
        if abs(sum(left)) <= allowed and sum(r * r for r in left) <= allowed**2:
            return finished()
        gains = []
        for c in range(count):
            if steps[c] == 1:
                change = (share(edges[c + 1]) - share(edges[c])) * (edges[c + 1] - edges[c]) / 2
            else:
                change = sums[c] - before[c]
            gains.append((left[c] ** 2 / 4 + (change**2).sum() / 3) / steps[c])
        chosen: list[int] = []
        room = max(4, sum(steps) // 8)
        for c in sorted(range(count), key=lambda c: -gains[c]):
            nodes = sum(steps[k] for k in chosen)
            limit = min(budget, 2 * room if chosen else most)
            if nodes < room and gains[c] > 0.02 * max(gains) and nodes + steps[c] <= limit:
                chosen.append(c)
        if not chosen:
            return finished()
        for c in chosen:
            before[c], steps[c] = sums[c], 2 * steps[c]


def internal_influence(probe: Probe) -> np.ndarray:
    """Mean gradient at the layer along the path."""
    return _mean_gradient(probe, probe.parameters.get("rule", "gauss-legendre"), probe.parameters.get("steps", 50))


def conductance(probe: Probe) -> np.ndarray:
    """Per step: the mean of the gradients at its ends, times the activation's change."""
    start, steps = _baseline(probe), probe.parameters.get("steps", 50)
    total, last = 0, None
    for k in range(steps + 1):
        here = probe.at_layer(start + k / steps * (probe.x - start))
        if last is not None:
            total = total + 0.5 * (here[1] + last[1]) * (here[0] - last[0])
        last = here
    return total


def layer_activation(probe: Probe) -> np.ndarray:
    """A."""
    return probe.at_layer()[0]


def noise_reference(probe: Probe, index: int, seed: int) -> torch.Tensor:
    """Uniform between the least and the largest number of each channel, [1, C, h, w]."""
    low = probe.x.amin((0, 2, 3)).numpy()[:, None, None]
    high = probe.x.amax((0, 2, 3)).numpy()[:, None, None]
    draw = noise(probe.x, index, tuple(probe.x.shape[1:]), "expected-gradients-reference", seed)
    shares = [0.5 * (1 + math.erf(value / math.sqrt(2))) for value in draw.ravel().tolist()]
    return torch.from_numpy(low + (high - low) * np.reshape(shares, draw.shape))[None]


def _gradient_at(probe: Probe, value: np.ndarray) -> np.ndarray:
    """dS/dA where the layer gives ``value``, [C, h, w], and all before it is as it is at the image: by the network run
    from a leaf in the layer's place."""
    leaf = torch.from_numpy(value)[None].clone().requires_grad_()
    out = probe.run_with(leaf)
    return torch.autograd.grad(out[0, probe.k], leaf)[0][0].numpy()


def layer_integrated_gradients(probe: Probe) -> np.ndarray:
    """(A - A') times the mean of the gradients at points between them, one after the other."""
    rule, steps = probe.parameters.get("rule", "gauss-legendre"), probe.parameters.get("steps", 50)
    here, start = probe.at_layer()[0], probe.at_layer(_baseline(probe))[0]
    total = np.zeros_like(here)
    for node, weight in zip(*nodes_and_weights(rule, steps), strict=True):
        total += weight * _gradient_at(probe, start + node * (here - start))
    return (here - start) * total if probe.parameters.get("multiply_by_inputs", True) else total


def layer_expected_gradients(probe: Probe) -> np.ndarray:
    """Mean over pairs of draws: a reference's activation, a place on the way from it and the mirrored place."""
    given = {"n": 256, "sigma": 0.0, "seed": 0, "multiply_by_inputs": True} | probe.parameters
    spread, total = given["sigma"] * float(probe.x.max() - probe.x.min()), 0
    for pair in range(given["n"] // 2):
        draw = noise(probe.x, pair, (2,), "expected-gradients", given["seed"])
        place, which = (0.5 * (1 + math.erf(float(value) / math.sqrt(2))) for value in draw)
        if given.get("references") is None:
            reference = noise_reference(probe, pair, given["seed"])
        else:
            reference = given["references"][int(which * len(given["references"]))][None].double()
        start = probe.at_layer(reference)[0]
        moved = probe.x
        if spread:
            own = noise(probe.x, pair, tuple(probe.x.shape[1:]), "input-noise", given["seed"])
            moved = probe.x + spread * torch.from_numpy(own)[None]
        end = probe.at_layer(moved)[0]
        for at in (place, 1 - place):
            gradient = _gradient_at(probe, start + at * (end - start)) / given["n"]
            total = total + (gradient * (end - start) if given["multiply_by_inputs"] else gradient)
    return total


def neuron_conductance(probe: Probe) -> np.ndarray:
    """(x - x') times the mean over the path of dS/dn dn/dx, unit by unit."""
    given = {"rule": "gauss-legendre", "steps": 50, "multiply_by_inputs": True} | probe.parameters
    start, at, total = _baseline(probe), given.get("unit"), 0
    if at is None:
        product = np.abs(np.multiply(*probe.at_layer()))
        at = np.unravel_index(product.argmax(), product.shape)
    for node, weight in zip(*nodes_and_weights(given["rule"], given["steps"]), strict=True):
        point = start + node * (probe.x - start)
        total = total + weight * probe.at_layer(point)[1][at] * probe.unit_gradient(point, at)
    return (probe.x - start)[0].numpy() * total if given["multiply_by_inputs"] else total
