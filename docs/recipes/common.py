"""What the recipes share: options, chance, edge maps, pieces of real photographs, and the table at the end."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

__all__ = ["Recipe", "Texture", "edge_map", "random_map", "textures"]

Texture = Callable[[np.random.Generator, int, int], NDArray[np.uint8]]


@dataclass
class Recipe:
    """One run: its options, and the numbers that it says and checks."""

    title: str
    began: float = field(default_factory=time.perf_counter)
    checks: list[tuple[str, bool]] = field(default_factory=list)
    asked: argparse.Namespace = field(default_factory=argparse.Namespace)

    def options(self, argv: Sequence[str] | None = None) -> argparse.Namespace:
        """``--fast`` (small, for CI), ``--out FOLDER``, ``--seeds N`` (3 unless fast) and ``--data FOLDER``."""
        parser = argparse.ArgumentParser(description=self.title)
        parser.add_argument("--fast", action="store_true", help="a small form, in well under a minute")
        parser.add_argument("--out", type=Path, default=Path("seewhy-recipes"), help="where pictures go")
        parser.add_argument("--seeds", type=int, default=None, help="how often everything is trained (3; fast: 1)")
        parser.add_argument("--data", type=Path, default=None, help="a folder of data sets, used where it has any")
        self.asked = parser.parse_args(argv)
        self.asked.seeds = self.asked.seeds or (1 if self.asked.fast else 3)
        self.asked.out.mkdir(parents=True, exist_ok=True)
        return self.asked

    def say(self, words: str) -> None:
        """Print a line with the seconds so far."""
        print(f"[{time.perf_counter() - self.began:6.1f} s] {words}", flush=True)

    def check(self, words: str, true: bool) -> None:
        """Note a claim, and whether it holds."""
        self.checks.append((words, bool(true)))
        self.say(f"{'holds' if true else 'FAILS'}: {words}")

    def end(self) -> int:
        """The exit code: 0 if every claim holds."""
        failed = [words for words, true in self.checks if not true]
        self.say(f"{len(self.checks) - len(failed)} of {len(self.checks)} claims hold")
        return 1 if failed or not self.checks else 0


def edge_map(image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """How steep the grey picture is, [H, W]: what a map would be that looks at edges and knows no network."""
    grey = image.astype(np.float64).mean(-1)
    return np.hypot(ndimage.sobel(grey, 0), ndimage.sobel(grey, 1))


def random_map(size: tuple[int, int], seed: int, smooth: float = 2.0) -> NDArray[np.float64]:
    """Smooth noise with as much negative as positive, [H, W]: what chance would draw."""
    noise = np.random.default_rng(seed).normal(size=size)
    return ndimage.gaussian_filter(noise, smooth)


def textures() -> dict[str, Texture]:
    """Pieces of photographs that come with scikit-image and scikit-learn, by name: each gives, for a generator, a
    height and a width, a random piece of that size, uint8 [H, W, 3], at a random scale, mirrored at random."""
    from skimage import data
    from sklearn.datasets import load_sample_images

    china, flower = load_sample_images().images
    coffee, cat = data.coffee(), data.chelsea()

    def grey(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.repeat(picture[..., None], 3, -1)

    sources = {
        "brick": grey(data.brick()), "grass": grey(data.grass()), "gravel": grey(data.gravel()),
        "sky": china[:120, 250:], "roof": china[130:230, 120:520], "trees": china[250:330, :250],
        "petals": flower[120:330, 220:420], "leaves": flower[:, :180], "wood": coffee[:, :90],
        "fur": cat[100:, 60:250], "night": data.rocket()[:250, :250],
        "water": china[232:292, 362:535], "bushes": china[300:420, 440:640],
    }  # fmt: skip
    return {name: _piece(np.ascontiguousarray(picture)) for name, picture in sources.items()}


def _piece(picture: NDArray[np.uint8]) -> Texture:
    def piece(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
        most = min(picture.shape[0] / height, picture.shape[1] / width)
        scale = rng.uniform(min(0.5, most / 2), min(most, 1.5)) if most > 0 else 1.0
        tall, wide = max(1, int(height * scale)), max(1, int(width * scale))
        top, left = rng.integers(picture.shape[0] - tall + 1), rng.integers(picture.shape[1] - wide + 1)
        cut = Image.fromarray(picture[top : top + tall, left : left + wide]).resize((width, height))
        found = np.asarray(cut)
        return found[:, ::-1].copy() if rng.random() < 0.5 else found.copy()

    return piece
