"""``python -m benchmarks.audit.many_rows``: a run over so many small pictures (links to fifteen hundred files), and an
audit of it, each number of rows in a process of its own; prints how long an audit takes and what it holds."""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

import seewhy

#: different pictures, and how large they are
_FILES, _SIDE = 1500, 12
_COLOURS = ((200, 60, 60), (60, 200, 60), (60, 60, 200))


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what is asked for, and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, action="append", help="repeatable; 10,000 and 100,000 unless given")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args(argv)
    rows = asked.rows or [10_000, 100_000]
    if asked.one is not None:
        _measured(asked.one, rows[0])
        return
    with tempfile.TemporaryDirectory() as folder:
        for count in rows:
            again = [sys.executable, "-m", "benchmarks.audit.many_rows", "--rows", str(count), "--one", folder]
            subprocess.run(again, check=True)


def _measured(root: Path, rows: int) -> None:
    photos = _linked(root, rows)
    model = seewhy.wrap(
        _network(root), preprocess=seewhy.Preprocess((_SIDE, _SIDE), None, "squash", (0.0,) * 3, (1.0,) * 3),
        labels=["class0", "class1", "class2"],
    )  # fmt: skip
    began = time.perf_counter()
    seewhy.run(model, photos, root / f"run-{rows}", "grad-cam", dtype="float16", unit=1024, prepare=False)
    ran, before = time.perf_counter(), _peak()
    found = seewhy.audit(model, root / f"run-{rows}")
    words = f"run {ran - began:.0f} s, audit {time.perf_counter() - ran:.0f} s"
    print(
        f"{rows:,} rows: {words}, {before} MiB before it, {_peak()} at most, {len(found.shortcuts)} shortcuts",
        flush=True,
    )


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _pictures(root: Path) -> Path:
    """Squares in noise, of a colour for each class; nine of ten of the first class have a yellow corner."""
    draw, place = np.random.default_rng(0), root / "files"
    for n in range(_FILES if not place.is_dir() else 0):
        k, pixels = n % 3, draw.integers(40, 200, (_SIDE, _SIDE, 3))
        pixels[3:9, 3:9] = np.clip(np.array(_COLOURS[k]) + draw.integers(-60, 60, (6, 6, 3)), 0, 255)
        if k == 0 and draw.random() < 0.9:
            pixels[10:, 10:] = (255, 255, 0)
        place.mkdir(exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(place / f"{n}.png")
    return place


def _linked(root: Path, rows: int) -> Path:
    files, photos = _pictures(root), root / f"photos-{rows}"
    for n in range(rows):
        folder = photos / f"class{n % 3}"
        folder.mkdir(parents=True, exist_ok=True)
        os.link(files / f"{n % _FILES}.png", folder / f"{n:07d}.png")
    return photos


def _network(root: Path) -> nn.Module:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )  # fmt: skip
    pictures = [np.asarray(Image.open(root / "files" / f"{n}.png")) for n in range(_FILES)]
    x, y = torch.from_numpy(np.stack(pictures)).movedim(-1, 1) / 255, torch.arange(_FILES) % 3
    adam = torch.optim.Adam(net.parameters(), 1e-2)
    for _ in range(300):
        adam.zero_grad()
        nn.functional.cross_entropy(net(x), y).backward()
        adam.step()
    return net.eval()


if __name__ == "__main__":
    main()
