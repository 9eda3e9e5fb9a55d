"""``python -m benchmarks.mosaic [FOLDER] [--mosaics 1] [--out FILE.md]``: whether evidence lies where its object is;
takes the built-in model and confident photos, gives a Markdown table of every class-discriminative method.

Four photos of four classes make one square picture; each class is explained in turn, and the share of positive evidence
in its own quarter is measured (chance: 25 %).
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import seewhy
import seewhy.methods
from seewhy.api.given.folders import photos_in
from seewhy.models import read_image
from seewhy.registry import Method, methods

__all__ = ["discriminative", "main", "make", "share", "table"]

SIDE = 112
#: budgets under the defaults where the defaults take minutes a map on two cores
SETTINGS: dict[str, dict[str, Any]] = {
    "ss-cam": {"n": 2}, "is-cam": {"n": 4}, "guided-ig": {"steps": 50}, "rise": {"n": 1000}, "sobol": {"n": 1056},
    "meaningful-perturbation": {"steps": 100}, "extremal-perturbation": {"steps": 150, "areas": (0.2,)},
    "refine-cam": {"layer": ["blocks.4", "blocks.6"]}, "expected-gradients": {"n": 64},
    "internal-influence": {"layer": "blocks.6"}, "conductance": {"layer": "blocks.6"},
}  # fmt: skip


def discriminative() -> list[Method]:
    """The methods that say something of a class, in the order of their families."""
    mine = [m for m in methods if m.card.discriminative and m.card.call == "explain" and not m.card.by_layer]
    usable = [m for m in mine if m.card.family != "attention"]  # the built-in model is no transformer
    return sorted(usable, key=lambda m: (list(seewhy.registry.FAMILIES).index(m.card.family), m.name))


def make(pictures: Sequence[Image.Image]) -> Image.Image:
    """Four pictures, centre-cropped to squares, as the quarters of one."""
    whole = Image.new("RGB", (2 * SIDE, 2 * SIDE))
    for n, picture in enumerate(pictures):
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        square = picture.convert("RGB").crop((left, top, left + side, top + side))
        whole.paste(square.resize((SIDE, SIDE), Image.Resampling.LANCZOS), (n % 2 * SIDE, n // 2 * SIDE))
    return whole


def share(values: np.ndarray, quarter: int) -> float:
    """The part of the positive evidence that lies in ``quarter`` (row by row) of a map [H, W]."""
    positive = np.maximum(values, 0)
    half = values.shape[0] // 2
    rows, columns = (
        (slice(None, half), slice(half, None))[quarter // 2],
        (slice(None, half), slice(half, None))[quarter % 2],
    )
    return float(positive[rows, columns].sum() / max(positive.sum(), 1e-30))


def _packaged() -> list[Image.Image]:
    """Photos that packages ship, of which the built-in model is sure when they are small, too."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    china, flower = load_sample_images().images
    return [Image.fromarray(each) for each in (data.coffee(), data.camera(), china, flower)]


def _confident(model: seewhy.Model, folder: Path, count: int) -> list[tuple[Image.Image, int]]:
    """The ``count`` photos, of different classes, of which the model is surest when they fill a quarter."""
    found: dict[int, tuple[float, Image.Image]] = {}
    for path in photos_in(folder):
        picture = Image.open(path).convert("RGB")
        top, sure = _top(model, picture)
        if sure > found.get(top, (0.0, picture))[0]:
            found[top] = sure, picture
    best = sorted(found.items(), key=lambda each: -each[1][0])[:count]
    return [(picture, top) for top, (_, picture) in best]


def _top(model: seewhy.Model, picture: Image.Image) -> tuple[int, float]:
    tile = model.to_input(read_image(make([picture] * 4)))[0]
    with torch.no_grad():
        shares = model.module(tile[None, :, :SIDE, :SIDE]).softmax(1)[0]
    return int(shares.argmax()), float(shares.max())


def table(model: seewhy.Model, mosaics: Sequence[tuple[Image.Image, list[int]]]) -> list[str]:
    """The table's lines: share in the right quarter, alone and against the other three classes where a CAM can."""
    lines = [
        "| method | family | in the right quarter | against the other classes | seconds a map |",
        "|---|---|---|---|---|",
    ]
    for method in discriminative():
        given, began = SETTINGS.get(method.name, {}), time.perf_counter()
        alone, against = [], []
        for picture, classes in mosaics:
            asked: dict[str, Any] = {"method": method.name, "target": classes, **given}
            asked |= {"fill": "grey"} if "fill" in method.requires and method.card.fill == "grey" else {}
            maps = [each.map for each in seewhy.explain_all(model, picture, **asked)]
            alone += [share(values, n) for n, values in enumerate(maps)]
            if method.card.family == "cam":
                against += [share(values - np.max(np.delete(maps, n, 0), 0), n) for n, values in enumerate(maps)]
        seconds = (time.perf_counter() - began) / len(alone)
        other = f"{np.mean(against):.0%}" if against else ""
        words = ", ".join(f"{key}={value}" for key, value in given.items())
        name = f"{method.name} ({words})" if words else method.name
        lines.append(f"| {name} | {method.card.family} | {np.mean(alone):.0%} | {other} | {seconds:.1f} |")
        print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Run what is asked and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mosaic")
    parser.add_argument("folder", nargs="?", type=Path, help="photos to choose the surest of; those of packages else")
    parser.add_argument("--mosaics", type=int, default=1)
    parser.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    model = seewhy.load("builtin")
    if asked.folder is None:
        chosen = [(picture, _top(model, picture)[0]) for picture in _packaged()]
    else:
        chosen = _confident(model, asked.folder, 4 * asked.mosaics)
    groups = [chosen[n : n + 4] for n in range(0, len(chosen) - 3, 4)]
    mosaics = [(make([picture for picture, _ in group]), [k for _, k in group]) for group in groups]
    names = "; ".join(", ".join(str(model.label(k)) for k in classes) for _, classes in mosaics)
    text = "\n".join([f"Mosaics of {names} (chance 25 %)", "", *table(model, mosaics)])
    if asked.out is not None:
        asked.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
