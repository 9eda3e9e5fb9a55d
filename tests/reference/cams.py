"""Class activation maps from one forward and backward: takes a probe, gives the paper's sum, channel by channel and
position by position."""

from __future__ import annotations

import numpy as np
import torch

from reference.probing import Probe, bilinear

__all__ = [
    "cam",
    "eigen_cam",
    "eigen_grad_cam",
    "fem",
    "finer_cam",
    "grad_cam",
    "grad_cam_elementwise",
    "grad_cam_pp",
    "grad_cam_pp_map",
    "hires_cam",
    "jacobi",
    "kpca_cam",
    "layer_cam",
    "refine_cam",
    "shapley_cam",
    "xgrad_cam",
]


def _sum(weights: list[float], activation: np.ndarray) -> np.ndarray:
    total = np.zeros(activation.shape[1:])
    for c, weight in enumerate(weights):
        total += weight * activation[c]
    return total


def _places(activation: np.ndarray) -> list[tuple[int, int]]:
    return [(y, x) for y in range(activation.shape[1]) for x in range(activation.shape[2])]


def cam(probe: Probe) -> np.ndarray:
    """sum_c W[k, c] A_c with W the last linear layer."""
    activation, _ = probe.at_layer()
    weight = [m for m in probe.net.modules() if isinstance(m, torch.nn.Linear)][-1].weight
    return _sum(weight[probe.k].tolist(), activation)


def grad_cam(probe: Probe) -> np.ndarray:
    """w_c = 1/Z sum_xy g."""
    activation, gradient = probe.at_layer()
    return _grad_cam_map(activation, gradient)


def _grad_cam_map(activation: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    places = _places(activation)
    weights = [sum(g[y, x] for y, x in places) / len(places) for g in gradient]
    return _sum(weights, activation)


def grad_cam_pp(probe: Probe) -> np.ndarray:
    """w_c = sum_xy alpha relu(g), alpha = g^2 / (2 g^2 + g^3 sum_ab A)."""
    return grad_cam_pp_map(*probe.at_layer())


def grad_cam_pp_map(activation: np.ndarray, gradient: np.ndarray) -> np.ndarray:
    weights = []
    for a, g in zip(activation, gradient, strict=True):
        mass = sum(a[y, x] for y, x in _places(activation))
        weight = 0.0
        for y, x in _places(activation):
            denominator = 2 * g[y, x] ** 2 + g[y, x] ** 3 * mass
            alpha = g[y, x] ** 2 / denominator if denominator != 0 else 0.0
            weight += alpha * max(g[y, x], 0.0)
        weights.append(weight)
    return _sum(weights, activation)


def xgrad_cam(probe: Probe) -> np.ndarray:
    """w_c = sum_xy (A / sum A) g."""
    activation, gradient = probe.at_layer()
    weights = []
    for a, g in zip(activation, gradient, strict=True):
        mass = sum(a[y, x] for y, x in _places(activation))
        share = sum(a[y, x] * g[y, x] for y, x in _places(activation))
        weights.append(share / mass if mass != 0 else 0.0)
    return _sum(weights, activation)


def _elementwise(probe: Probe, of) -> np.ndarray:
    activation, gradient = probe.at_layer()
    total = np.zeros(activation.shape[1:])
    for c in range(len(activation)):
        for y, x in _places(activation):
            total[y, x] += of(activation[c, y, x], gradient[c, y, x])
    return total


def hires_cam(probe: Probe) -> np.ndarray:
    """sum_c g A."""
    return _elementwise(probe, lambda a, g: a * g)


def layer_cam(probe: Probe) -> np.ndarray:
    """sum_c relu(g) A."""
    return _elementwise(probe, lambda a, g: max(g, 0.0) * a)


def grad_cam_elementwise(probe: Probe) -> np.ndarray:
    """sum_c relu(g A)."""
    return _elementwise(probe, lambda a, g: max(g * a, 0.0))


def finer_cam(probe: Probe) -> np.ndarray:
    """Mean over the nearest classes d of Grad-CAM of y_c - gamma y_d: one map each, then their mean."""
    gamma, classes = probe.parameters.get("gamma", 0.6), probe.parameters.get("classes", 3)
    logits = probe.logits()
    others = sorted((k for k in range(len(logits)) if k != probe.k), key=lambda k: abs(logits[k] - logits[probe.k]))
    maps = []
    for d in others[:classes]:
        difference = probe.at_layer(score=lambda row, d=d: row[probe.k] - gamma * row[d])
        maps.append(_grad_cam_map(*difference))
    return sum(maps) / len(maps)


def shapley_cam(probe: Probe) -> np.ndarray:
    """w_c = mean_xy (g - H A / 2), the Hessian formed row by row."""
    leaf, out = probe.open()
    (gradient,) = torch.autograd.grad(out[0, probe.k], leaf, create_graph=True)
    flat, activation = gradient.flatten(), leaf.detach().flatten()
    product = torch.zeros_like(activation)
    if flat.requires_grad:
        for i in range(len(flat)):
            (row,) = torch.autograd.grad(flat[i], leaf, retain_graph=True, allow_unused=True)
            if row is not None:
                product[i] = sum(float(h) * float(a) for h, a in zip(row.flatten(), activation, strict=True))
    second = (flat.detach() - 0.5 * product).reshape(leaf.shape)[0].numpy()
    return _grad_cam_map(leaf.detach()[0].numpy(), second)


def jacobi(matrix: np.ndarray, sweeps: int = 30) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues (ascending) and eigenvectors (columns) of a symmetric matrix, by plane rotations."""
    a, vectors = matrix.astype(np.float64).copy(), np.eye(len(matrix))
    for _ in range(sweeps):
        if np.abs(a - np.diag(np.diag(a))).max() <= 1e-15 * max(np.abs(a).max(), 1e-300):
            break
        for p in range(len(a)):
            for q in range(p + 1, len(a)):
                if a[p, q] == 0:
                    continue
                angle = 0.5 * np.arctan2(2 * a[p, q], a[q, q] - a[p, p])
                c, s = np.cos(angle), np.sin(angle)
                turn = np.array([[c, s], [-s, c]])
                a[:, [p, q]] = a[:, [p, q]] @ turn
                a[[p, q]] = turn.T @ a[[p, q]]
                vectors[:, [p, q]] = vectors[:, [p, q]] @ turn
    order = np.argsort(np.diag(a))
    return np.diag(a)[order], vectors[:, order]


def _turned(values: np.ndarray, like: np.ndarray) -> np.ndarray:
    """``values`` with the sign that correlates positively with ``like``."""
    agreement = float(((values - values.mean()) * (like - like.mean())).sum())
    return -values if agreement < 0 else values


def _projection(activation: np.ndarray, centred: bool) -> np.ndarray:
    rows = np.array([[activation[c, y, x] for c in range(len(activation))] for y, x in _places(activation)])
    if centred:
        rows = rows - rows.mean(0)
    _, vectors = jacobi(rows.T @ rows)
    return np.array([sum(r * v for r, v in zip(row, vectors[:, -1], strict=True)) for row in rows])


def eigen_cam(probe: Probe) -> np.ndarray:
    """A v_1, with the sign of the mean activation."""
    activation, _ = probe.at_layer()
    values = _projection(activation, probe.parameters.get("centred", False))
    return _turned(values.reshape(activation.shape[1:]), activation.mean(0))


def eigen_grad_cam(probe: Probe) -> np.ndarray:
    """(g A) v_1, with the sign of sum_c g A."""
    activation, gradient = probe.at_layer()
    values = _projection(activation * gradient, probe.parameters.get("centred", False))
    return _turned(values.reshape(activation.shape[1:]), (activation * gradient).sum(0))


def kpca_cam(probe: Probe) -> np.ndarray:
    """First component of the doubly centred kernel matrix of the positions' channel vectors."""
    activation, _ = probe.at_layer()
    kernel, gamma = probe.parameters.get("kernel", "sigmoid"), probe.parameters.get("gamma") or 1 / len(activation)
    rows = np.array([activation[:, y, x] for y, x in _places(activation)])
    rows = rows - rows.mean(0)
    n = len(rows)
    gram = np.zeros((n, n))
    for i in range(n):
        for j in range(n):
            inner = float(rows[i] @ rows[j])
            distance = float(((rows[i] - rows[j]) ** 2).sum())
            gram[i, j] = {
                "sigmoid": np.tanh(gamma * inner + 1),
                "rbf": np.exp(-gamma * distance),
                "linear": inner,
            }[kernel]
    centring = np.eye(n) - np.ones((n, n)) / n
    values, vectors = jacobi(centring @ gram @ centring)
    component = vectors[:, -1] * np.sqrt(max(values[-1], 0.0))
    return _turned(component.reshape(activation.shape[1:]), activation.mean(0))


def fem(probe: Probe) -> np.ndarray:
    """sum_c m_c [A > m_c + k s_c]."""
    activation, _ = probe.at_layer()
    k, total = probe.parameters.get("k", 2.0), np.zeros(activation.shape[1:])
    for a in activation:
        mean = sum(a[y, x] for y, x in _places(activation)) / a.size
        deviation = np.sqrt(sum((a[y, x] - mean) ** 2 for y, x in _places(activation)) / a.size)
        for y, x in _places(activation):
            if a[y, x] > mean + k * deviation:
                total[y, x] += mean
    return total


def refine_cam(probe: Probe) -> np.ndarray:
    """Product over layers of relu(Grad-CAM++) / its maximum, at the largest layer's size."""
    maps = []
    for layer in probe.parameters["layers"]:
        values = np.maximum(grad_cam_pp_map(*probe.at_layer(layer=layer)), 0)
        maps.append(values / values.max() if values.max() > 0 else values * 0)
    height, width = max((m.shape for m in maps), key=lambda s: s[0] * s[1])
    product = np.ones((height, width))
    for each in maps:
        product *= bilinear(each, height, width)
    return product
