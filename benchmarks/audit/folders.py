"""Pictures in folders, as people have them: writes a split's pictures by class and their masks, reads what a repair
writes."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from benchmarks.audit.planted import Split
from benchmarks.audit.training import inputs

__all__ = ["by_class", "masks_of", "read_folder", "read_masks"]


def by_class(split: Split, folder: Path) -> Path:
    """A folder for each class, ``c0`` and so on, in it the split's pictures by their numbers."""
    for number, (pixels, label) in enumerate(zip(split.images, split.labels.tolist(), strict=True)):
        _write(pixels, folder / f"c{label}" / f"{folder.name}-{number}.png")
    return folder


def masks_of(split: Split, name: str, folder: Path) -> None:
    """Where the objects are, by the names that `by_class` gives to pictures in a folder of that ``name``."""
    if split.objects is not None:
        for number, inside in enumerate(split.objects):
            _write(np.where(inside, 255, 0).astype(np.uint8), folder / f"{name}-{number}.png")


def read_folder(folder: Path) -> tuple[Tensor, Tensor]:
    """Inputs [N, 3, H, W] and classes [N] of a folder of folders ``c0``, ``c1``..."""
    files = sorted(folder.glob("*/*.png"))
    labels = torch.tensor([int(file.parent.name[1:]) for file in files])
    return inputs(np.stack([_pixels(file) for file in files])), labels


def read_masks(train: Path, repaired: Path) -> tuple[Tensor, Tensor, Tensor]:
    """The same of training pictures, and the masks [N, H, W] that a repair by ``loss`` has written of some of them, in
    the same order; others have an empty one."""
    files = sorted(train.glob("*/*.png"))
    x, y = read_folder(train)
    masks = torch.zeros(len(x), *x.shape[2:])
    with (repaired / "masks.csv").open(encoding="utf-8") as table:
        named = {row["file"]: row["mask"] for row in csv.DictReader(table)}
    for number, file in enumerate(files):
        if (mask := named.get(file.relative_to(train).as_posix())) is not None:
            masks[number] = torch.from_numpy(_pixels(repaired / mask)).float() / 255
    return x, y, masks


def _write(pixels: NDArray[np.uint8], file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(file, compress_level=1)


def _pixels(file: Path) -> NDArray[np.uint8]:
    with Image.open(file) as image:
        return np.array(image)
