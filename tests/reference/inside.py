"""Looking inside: takes a probe, gives what a layer shows, channel by channel, filter by filter, sweep by sweep."""

from __future__ import annotations

import hashlib
import math

import numpy as np
import torch
from torch import Tensor, nn

from reference.probing import Probe, noise

__all__ = [
    "evidence", "factorise", "factors", "feature_maps", "filters", "maximise", "principal_components", "saliency_by_layer",
]  # fmt: skip


def feature_maps(probe: Probe) -> np.ndarray:
    """The channels of the layer [C, h, w], those with the largest sum of g A first."""
    activation, _ = probe.at_layer()
    values = evidence(probe)
    return np.stack([activation[c] for c in sorted(range(len(values)), key=lambda c: -values[c])])


def evidence(probe: Probe) -> list[float]:
    """sum_xy g_c A_c of every channel."""
    activation, gradient = probe.at_layer()
    return [
        sum(g[y, x] * a[y, x] for y in range(a.shape[0]) for x in range(a.shape[1]))
        for a, g in zip(activation, gradient, strict=True)
    ]


def filters(probe: Probe) -> np.ndarray:
    """Kernels of the layer by |W_o|: all planes of one or three, else the ``slices`` planes with the largest norm."""
    weight = probe.net.get_submodule(probe.layer).weight.detach().numpy()

    def size(kernel: np.ndarray) -> float:
        return math.sqrt(sum(value * value for value in kernel.ravel()))

    chosen = sorted(range(len(weight)), key=lambda o: -size(weight[o]))[: probe.parameters.get("top", 64)]
    if weight.shape[1] in (1, 3):
        return np.stack([weight[o] for o in chosen])
    kept = []
    for o in chosen:
        planes = sorted(range(weight.shape[1]), key=lambda i: -size(weight[o, i]))[: probe.parameters.get("slices", 4)]
        kept.append(np.stack([weight[o, i] for i in planes]))
    return np.stack(kept)


def factors(probe: Probe) -> np.ndarray:
    """Maps [rank, h, w] of one image."""
    return factorise([probe.at_layer()[0]], **probe.parameters)[0][0]


def factorise(activations: list[np.ndarray], rank: int, steps: int) -> tuple[np.ndarray, np.ndarray]:
    """NNDSVD, then ``steps`` sweeps of coordinate descent, number by number: maps [N, rank, h, w], directions [rank, C]
    of length one, by their share of the total."""
    rows = np.concatenate([a.reshape(len(a), -1).T for a in activations])
    rows = np.where(rows > 0, rows, 0)
    left, sizes, right = np.linalg.svd(rows, full_matrices=False)
    w, h = np.zeros((len(rows), rank)), np.zeros((rank, rows.shape[1]))
    for k in range(rank):
        best: tuple[float, np.ndarray, np.ndarray] | None = None
        for sign in (1, -1):
            u, v = np.maximum(sign * left[:, k], 0), np.maximum(sign * right[k], 0)
            size = math.sqrt((u * u).sum()) * math.sqrt((v * v).sum())
            if best is None or size > best[0]:
                best = size, u, v
        size, u, v = best
        w[:, k] = math.sqrt(sizes[k] * size) * u / math.sqrt((u * u).sum())
        h[k] = math.sqrt(sizes[k] * size) * v / math.sqrt((v * v).sum())
    floor = math.sqrt(rows.mean() / rank) / 100
    w, h = np.maximum(w, floor), np.maximum(h, floor)
    for _ in range(steps):
        for k in range(rank):
            rest = rows - sum(np.outer(w[:, j], h[j]) for j in range(rank) if j != k)
            w[:, k] = [max(0.0, float(rest[m] @ h[k]) / float(h[k] @ h[k])) for m in range(len(rows))]
        for k in range(rank):
            rest = rows - sum(np.outer(w[:, j], h[j]) for j in range(rank) if j != k)
            h[k] = [max(0.0, float(rest[:, c] @ w[:, k]) / float(w[:, k] @ w[:, k])) for c in range(rows.shape[1])]
    length = [math.sqrt((row * row).sum()) for row in h]
    total = [w[:, k].sum() * h[k].sum() for k in range(rank)]
    order = sorted(range(rank), key=lambda k: -total[k])
    maps = np.stack([w[:, k] * length[k] for k in order], axis=1)
    grid = activations[0].shape[1:]
    stacked = maps.reshape(len(activations), *grid, rank).transpose(0, 3, 1, 2)
    return stacked, np.stack([h[k] / length[k] for k in order])


def principal_components(probe: Probe) -> np.ndarray:
    """Maps [rank, h, w] of one image: each position less the mean of all, along numpy's right singular vectors."""
    activation, _ = probe.at_layer()
    channels, height, width = activation.shape
    rows = np.array([activation[:, y, x] for y in range(height) for x in range(width)])
    rows = rows - np.array([sum(rows[:, c]) / len(rows) for c in range(channels)])
    _, _, right = np.linalg.svd(rows)
    maps = np.zeros((probe.parameters.get("rank", 3), height, width))
    for k in range(len(maps)):
        direction = right[k] * (1 if right[k][np.abs(right[k]).argmax()] > 0 else -1)
        for n, row in enumerate(rows):
            maps[k, n // width, n % width] = sum(float(a) * float(d) for a, d in zip(row, direction, strict=True))
    return maps


def saliency_by_layer(probe: Probe) -> np.ndarray:
    """d mean(A_layer) / d x, [C, H, W]."""
    caught: list[Tensor] = []

    def catch(module: nn.Module, args: tuple[Tensor, ...], out: Tensor) -> None:
        caught.append(out.clone())

    leaf = probe.x.detach().clone().requires_grad_()
    handle = probe.net.get_submodule(probe.layer).register_forward_hook(catch)
    try:
        probe.net(leaf.clone())
    finally:
        handle.remove()
    (gradient,) = torch.autograd.grad(caught[-1].sum() / caught[-1].numel(), leaf)
    return gradient[0].numpy()


def maximise(probe: Probe) -> np.ndarray:
    """Gradient ascent with Adam, written out, on a picture in Fourier space between 0 and 1, [C, H, W]."""
    steps, copies, seed = (probe.parameters[name] for name in ("steps", "copies", "seed"))
    rate, (low, high) = probe.parameters.get("learning_rate", 0.05), probe.parameters.get("bounds", (0.0, 1.0))
    channels, height, width = probe.x.shape[1:]
    decay = probe.parameters.get("decay", 1.25)
    start = noise(probe.x, 0, (channels, height, width // 2 + 1, 2), "maximise", seed)
    free = torch.from_numpy(0.01 * start)
    mean, spread = torch.zeros_like(free), torch.zeros_like(free)
    for step in range(steps):
        free.requires_grad_()
        total = torch.zeros((), dtype=torch.float64)
        for draw in _draws(probe.x, step, copies, seed):
            image = low + (high - low) * _picture(free, height, width, decay)
            total = total + probe.net(_view(image, draw, probe.parameters)[None])[0, probe.k]
        (gradient,) = torch.autograd.grad(-total / copies, free)
        free = free.detach()
        mean, spread = 0.9 * mean + 0.1 * gradient, 0.999 * spread + 0.001 * gradient**2
        up, down = mean / (1 - 0.9 ** (step + 1)), spread / (1 - 0.999 ** (step + 1))
        free = free - rate * up / (down.sqrt() + 1e-8)
    return (low + (high - low) * _picture(free, height, width, decay)).numpy()


def _draws(x: Tensor, step: int, copies: int, seed: int) -> np.ndarray:
    """The documented draw: four uniform numbers for each view."""
    key = hashlib.blake2b(x[0].to(torch.float32).contiguous().numpy().tobytes(), digest_size=16).digest()
    word = hashlib.blake2b(key + f"|maximise-views|{seed}|{step}".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(word, "little") >> 1)
    return torch.rand((copies, 4), generator=generator, dtype=torch.float64).numpy()


def _picture(free: Tensor, height: int, width: int, decay: float) -> Tensor:
    """sigmoid(colours x a quarter of the inverse transform of free / f^decay), term by term; all terms together as large
    as with a decay of 1."""
    fs = [
        max(math.hypot(min(k, height - k) / height, m / width), 1 / max(height, width))
        for k in range(height)
        for m in range(width // 2 + 1)
    ]
    level = math.sqrt(sum(f**-2 for f in fs) / sum(f ** (-2 * decay) for f in fs))
    image = torch.zeros(free.shape[0], height, width, dtype=torch.float64)
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    for k in range(height):
        for m in range(width // 2 + 1):
            f = math.hypot(min(k, height - k) / height, m / width)
            scale = level * math.sqrt(height * width) / max(f, 1 / max(height, width)) ** decay
            twice = 1 if m == 0 or 2 * m == width else 2
            angle = 2 * math.pi * (k * y / height + m * x / width)
            wave = free[:, k, m, 0, None, None] * angle.cos() - free[:, k, m, 1, None, None] * angle.sin()
            image = image + twice * scale / (height * width) * wave
    colours = np.array([[0.26, 0.09, 0.02], [0.27, 0.0, -0.05], [0.27, -0.09, 0.03]])
    colours = colours / max(math.sqrt((column**2).sum()) for column in colours.T)
    mixed = [sum(float(colours[row, c]) * image[c] / 4 for c in range(3)) for row in range(3)]
    return 1 / (1 + torch.exp(-torch.stack(mixed)))


def _view(image: Tensor, draw: np.ndarray, parameters: dict[str, float]) -> Tensor:
    """The image about its middle, turned, scaled and moved: pixel by pixel, mirrored at its edges."""
    height, width = image.shape[1:]
    jitter, scale, rotate = (parameters[name] for name in ("jitter", "scale", "rotate"))
    right, down, size, turn = (2 * draw - 1).tolist()
    angle, factor = math.radians(turn * rotate), 1 / (1 + size * scale)
    rows: list[Tensor] = []
    for y in range(height):
        for x in range(width):
            dx, dy = x - (width - 1) / 2, y - (height - 1) / 2
            at_x = (width - 1) / 2 + factor * (math.cos(angle) * dx - math.sin(angle) * dy) + right * jitter
            at_y = (height - 1) / 2 + factor * (math.sin(angle) * dx + math.cos(angle) * dy) + down * jitter
            rows.append(_at(image, _mirrored(at_y, height), _mirrored(at_x, width)))
    return torch.stack(rows, 1).reshape(image.shape)


def _mirrored(at: float, length: int) -> float:
    """Reflected at -1/2 and length - 1/2, then within the outer pixels' centres."""
    at = (at + 0.5) % (2 * length)
    at = (2 * length - at if at > length else at) - 0.5
    return min(max(at, 0.0), length - 1.0)


def _at(image: Tensor, y: float, x: float) -> Tensor:
    top, left = min(int(y), image.shape[1] - 1), min(int(x), image.shape[2] - 1)
    bottom, right = min(top + 1, image.shape[1] - 1), min(left + 1, image.shape[2] - 1)
    down, across = y - top, x - left
    upper = (1 - across) * image[:, top, left] + across * image[:, top, right]
    lower = (1 - across) * image[:, bottom, left] + across * image[:, bottom, right]
    return (1 - down) * upper + down * lower
