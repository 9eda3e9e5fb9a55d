"""``python -m tools.cuts``: the picture of docs/medical.md, of a head that nobody has, in which a small network looks
for a lump; written to docs/images/cuts.jpg."""

from __future__ import annotations

import tempfile
from pathlib import Path

import nibabel
import numpy as np
import torch
from torch import Tensor, nn

import seewhy

#: voxels, and millimetres of each
SIZE, SPACING = (24, 48, 40), (5.0, 2.5, 2.5)
OUT = Path(__file__).parents[1] / "docs" / "images" / "cuts.jpg"


def head(random: np.random.Generator, lump: tuple[int, int, int] | None) -> np.ndarray:
    """Values [D, H, W] like those of a CT: bone about softer tissue, two ventricles, and a lump where there is one."""
    grid = np.stack(np.meshgrid(*(np.linspace(-1, 1, n) for n in SIZE), indexing="ij"), -1)
    away = np.linalg.norm(grid / np.array([0.9, 0.85, 0.75]), axis=-1)
    values = np.where(away < 1, 36.0, -900.0)
    values[(away > 0.88) & (away < 1)] = 700
    for side in (-1, 1):
        values[np.linalg.norm((grid - [0.05, 0, 0.18 * side]) / [0.25, 0.32, 0.09], axis=-1) < 1] = 8
    if lump is not None:
        centre = np.array([2 * at / (n - 1) - 1 for at, n in zip(lump, SIZE, strict=True)])
        values[np.linalg.norm((grid - centre) / [0.2, 0.15, 0.17], axis=-1) < 1] = 95
    return values + random.normal(0, 4, SIZE)


def somewhere(random: np.random.Generator) -> tuple[int, int, int]:
    """A voxel well inside."""
    depth, height, width = (int(random.integers(round(0.3 * n), round(0.7 * n))) for n in SIZE)
    return depth, height, width


def trained(random: np.random.Generator) -> nn.Module:
    """A network that tells heads with a lump from others."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv3d(1, 8, 3, padding=1), nn.BatchNorm3d(8), nn.ReLU(), nn.MaxPool3d(2),
        nn.Conv3d(8, 16, 3, padding=1), nn.BatchNorm3d(16), nn.ReLU(), nn.MaxPool3d((1, 2, 2)),
        nn.Conv3d(16, 16, 3, padding=1), nn.BatchNorm3d(16), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(),
        nn.Linear(16, 2),
    )  # fmt: skip
    step = torch.optim.Adam(net.parameters(), 1e-2)
    for n in range(200):
        truth = torch.tensor([0, 1] * 3)
        values = np.stack([head(random, somewhere(random) if t else None) for t in truth])
        x: Tensor = torch.from_numpy(((values + 40) / 160).clip(0, 1)).float()[:, None]
        loss = nn.functional.cross_entropy(net(x), truth)
        step.zero_grad()
        loss.backward()
        step.step()
        if n % 20 == 0:
            print(f"step {n}: {loss.item():.3f}")
    return net.eval()


def main() -> None:
    """Train, write the head as a NIfTI file, explain it."""
    random = np.random.default_rng(0)
    look = seewhy.Preprocess(None, None, mean=(0.0,), std=(1.0,), channels=1, values=(-40.0, 120.0))
    model = seewhy.wrap(trained(random), preprocess=look, labels=["no lump", "lump"])
    values = head(random, (15, 20, 14)).transpose(2, 1, 0).astype(np.int16)
    affine = np.diag([*SPACING[::-1], 1.0])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "head.nii.gz"
        nibabel.save(nibabel.Nifti1Image(values, affine), path)
        explanation = seewhy.explain(model, path, "grad-cam", "lump", "10")
    explanation.save(OUT, force=True)
    print(explanation, explanation.prediction)


if __name__ == "__main__":
    main()
