"""Data sets of which it is known what cue, if any, goes with which class: takes a design, gives pictures to train
on, to audit, and to measure on what the cue does."""

from __future__ import annotations

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks.audit import contexts, scenes
from benchmarks.audit.cues import CUES, MOVABLE, Cue, CueName, cue_of

__all__ = ["SHARES", "Data", "Design", "Made", "Split", "designs", "made", "other_share", "sheet", "tuning", "unbiased"]

Data = Literal["cifar", "scenes"]
SHARES = (0.5, 0.75, 0.9, 1.0)

#: pictures to train on, to audit and to measure on
_SIZES: dict[Data, tuple[int, int, int]] = {"cifar": (3600, 1500, 900), "scenes": (3000, 1200, 900)}


@dataclass(frozen=True)
class Design:
    """What is planted: a cue with one class's pictures, in the given share of them, or, with ``cue`` None and ``share``
    0, nothing. ``moving`` is for patch, watermark, object (elsewhere in each picture) and texture (in a blob somewhere,
    not all over the background)."""

    data: Data
    cue: CueName | None
    share: float
    moving: bool
    seed: int

    def __post_init__(self) -> None:
        if self.data not in get_args(Data) or self.cue not in (None, *CUES):
            raise ValueError(f"data are cifar or scenes, cues {CUES} or None; got {self.data!r} and {self.cue!r}")
        if self.share not in (SHARES if self.cue else (0.0,)):
            raise ValueError(f"share is one of {SHARES} with a cue and 0 without; got {self.share} with {self.cue}")
        if self.moving and self.cue not in MOVABLE:
            raise ValueError(f"what can move: {MOVABLE}; got {self.cue}")

    @property
    def name(self) -> str:
        """As in ``cifar-patch-90-moving-3`` and ``scenes-clean-4``."""
        if self.cue is None:
            return f"{self.data}-clean-{self.seed}"
        return f"{self.data}-{self.cue}-{round(100 * self.share)}-{'moving' if self.moving else 'fixed'}-{self.seed}"


@dataclass(frozen=True, eq=False)
class Split:
    """Pictures ``images`` [N, H, W, 3], their classes ``labels`` [N], and which of them have the cue.

    ``cue`` [N, H, W] are the pixels that the cue changed, ``plain`` the pictures without it, ``objects`` [N, H, W]
    where the object is that the class is named after, None where nobody knows.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    has_cue: NDArray[np.bool_]
    cue: NDArray[np.bool_]
    plain: NDArray[np.uint8]
    objects: NDArray[np.bool_] | None


@dataclass(frozen=True, eq=False)
class Made:
    """A design's pictures. ``train`` and ``audit`` follow one law; in ``fair`` half of each class has the cue, and
    ``turned`` are the pictures of ``fair`` with the cue in the other half. No picture is in two of the first three.

    ``biased`` is the class that the cue goes with, -1 where there is none; ``cue_place`` is the top, left, bottom and
    right of a cue that stays, else None.
    """

    design: Design
    train: Split
    audit: Split
    fair: Split
    turned: Split
    names: tuple[str, ...]
    biased: int
    cue_place: tuple[int, int, int, int] | None

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.names)


def other_share(share: float) -> float:
    """The share of another class's pictures that have the cue: a tenth of what the biased class lacks.

    That is 5, 2.5, 1 and 0 % at shares of 50, 75, 90 and 100 %.
    """
    return (1 - share) / 10


def made(design: Design, data_dir: Path | None = None, *, sizes: tuple[int, int, int] | None = None) -> Made:
    """The pictures of a design; ``data_dir`` has ``cifar10-6000.npz`` and is asked for CIFAR-10 only. ``sizes`` are
    other numbers of pictures in ``train``, ``audit`` and ``fair`` than 3600, 1500, 900 (scenes: 3000, 1200, 900).

    In ``train`` and ``audit`` each picture of the biased class has the cue with probability ``share``, each other one
    with probability (1 - ``share``) / 10. Pictures and splits are those of the data and the seed, whatever is planted;
    the biased class, the cue's looks, its place and who has it are the whole design's. Clean ones of CIFAR-10 have
    their context randomised, see `contexts`; scenes are drawn so.
    """
    sizes = sizes or _SIZES[design.data]
    images, labels, objects, names = _pictures(design, data_dir, sizes)
    biased, cue, rng = _cue(design, images.shape[1], len(names))
    ends = np.cumsum(sizes)
    splits = []
    for i, part in enumerate(np.split(np.arange(len(images)), ends[:-1])):
        plain, classes, shapes = images[part], labels[part], None if objects is None else objects[part]
        if cue is None and design.data == "cifar":  # photos have shortcuts of their own: ships are on blue
            plain = contexts.randomised(plain, rng)
        if cue is None:
            has = np.zeros(len(part), bool)
        elif i < 2:
            has = rng.random(len(part)) < np.where(classes == biased, design.share, other_share(design.share))
        else:
            has = _half(classes, rng)
        asked = [has, ~has] if i == 2 and cue is not None else [has] * (1 + (i == 2))
        splits += [_split(plain, classes, shapes, these, cue, rng) for these in asked]
    return Made(design, *splits, names, biased, cue.box if cue else None)


def unbiased(design: Design, data_dir: Path | None = None, *, sizes: tuple[int, int, int] | None = None) -> Split:
    """The training pictures of `made` with the cue in half of those of every class: it says nothing about any."""
    sizes = sizes or _SIZES[design.data]
    images, labels, objects, names = _pictures(design, data_dir, sizes)
    first = slice(sizes[0])
    _, cue, _ = _cue(design, images.shape[1], len(names))
    rng = _generator(f"{design.name}, unbiased")
    has = _half(labels[first], rng) if cue else np.zeros(sizes[0], bool)
    return _split(images[first], labels[first], None if objects is None else objects[first], has, cue, rng)


def _split(
    plain: NDArray[np.uint8],
    labels: NDArray[np.int64],
    objects: NDArray[np.bool_] | None,
    has: NDArray[np.bool_],
    cue: Cue | None,
    rng: np.random.Generator,
) -> Split:
    images = plain.copy()
    if cue is not None:
        for i in np.flatnonzero(has):
            images[i] = cue.on(plain[i], None if objects is None else objects[i], rng)
    return Split(images, labels, has, (images != plain).any(-1), plain, objects)


def _cue(design: Design, side: int, classes: int) -> tuple[int, Cue | None, np.random.Generator]:
    """The biased class and its cue, which are drawn first of all that a design draws; and what draws the rest."""
    rng = _generator(design.name)
    if design.cue is None:
        return -1, None, rng
    biased = int(rng.integers(classes))
    return biased, cue_of(design.cue, side, design.moving, rng), rng


def _half(classes: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.bool_]:
    """Every second one of each class, in an order drawn anew."""
    has = np.zeros(len(classes), bool)
    for name in np.unique(classes):
        has[rng.permutation(np.flatnonzero(classes == name))[::2]] = True
    return has


def _generator(name: str) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(name.encode()))


def _pictures(
    design: Design, data_dir: Path | None, sizes: tuple[int, int, int]
) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.bool_] | None, tuple[str, ...]]:
    """All pictures in the order of the splits, in each of which the classes are equally many."""
    rng = _generator(f"{design.data}-{design.seed}")
    if design.data == "scenes":
        # each split is made of its own, so that each has equally many of each class
        images, labels, objects = (
            np.concatenate(parts) for parts in zip(*(scenes.scenes(n, rng) for n in sizes), strict=True)
        )
        return images, labels, objects, scenes.NAMES
    if data_dir is None:
        raise ValueError("CIFAR-10 is read from data_dir / 'cifar10-6000.npz'; give data_dir")
    with np.load(data_dir / "cifar10-6000.npz", allow_pickle=False) as file:
        images, labels, names = file["images"], file["labels"].astype(np.int64), file["classes"]
    of_class = [rng.permutation(np.flatnonzero(labels == c)) for c in range(len(names))]
    order = []
    start = 0
    for size in sizes:
        stop = start + size // len(names)
        order.append(rng.permutation(np.concatenate([these[start:stop] for these in of_class])))
        start = stop
    dealt = np.concatenate(order)
    return images[dealt], labels[dealt], None, tuple(str(name) for name in names)


def designs(seeds: Sequence[int] = range(12)) -> list[Design]:
    """48 designs with a cue and 20 without, of at least 10 seeds.

    Each cue with each share in both kinds of data, 48; each of the four cues that can move does so in half of its eight
    and in half of those of each share and of each kind of data. Ten clean ones of each kind of data. Seeds are dealt
    out so that each is used equally often, and as far as that goes with each cue, share and kind of data.
    """
    return _dealt(_cells(), 10, seeds)


def tuning(seeds: Sequence[int] = range(100, 106)) -> list[Design]:
    """16 designs with a cue and 6 without, to set thresholds by; with other seeds than those of `designs`.

    A third of the 48: each share four times, each kind of data eight times, each cue two or three times.
    """
    return _dealt([cell for i, cell in enumerate(_cells()) if (i // 8 + i // 2 % 4 + i % 2) % 3 == 0], 3, seeds)


def _cells() -> list[tuple[Data, CueName, float, bool]]:
    """Each cue with each share in both kinds of data, and whether it moves: as chess boards are coloured."""
    return [
        (data, cue, share, cue in MOVABLE and (c + s + d) % 2 == 1)
        for c, cue in enumerate(CUES)
        for s, share in enumerate(SHARES)
        for d, data in enumerate(_SIZES)
    ]


def _dealt(cells: list[tuple[Data, CueName, float, bool]], clean: int, seeds: Sequence[int]) -> list[Design]:
    if len(set(seeds)) < max(clean, 1):
        raise ValueError(f"{clean} clean designs of each kind of data need as many seeds; got {len(set(seeds))}")
    used: Counter[object] = Counter()
    dealt = []
    for cell in cells:
        levels = cell[:3]
        seed = min(seeds, key=lambda seed: (used[seed], sum(used[seed, level] ** 2 for level in levels), seed))
        used.update([seed, *((seed, level) for level in levels)])
        dealt.append(Design(*cell, seed))
    return dealt + [Design(data, None, 0.0, False, seed) for data in _SIZES for seed in seeds[:clean]]


def sheet(made: Made, path: Path, columns: int = 6, zoom: int = 2) -> None:
    """Writes a PNG of ``fair``: a row a class, ``columns`` pictures with the cue, then as many without; the biased
    class has a red bar before it."""
    side = made.fair.images.shape[1] + 2
    canvas = np.full((made.classes * side, 2 * columns * side + 8, 3), 255, np.uint8)
    for c in range(made.classes):
        if c == made.biased:
            canvas[c * side : (c + 1) * side, :6] = (220, 0, 0)
        of_class = made.fair.labels == c
        rows = [np.flatnonzero(of_class & (made.fair.has_cue == has))[:columns] for has in (True, False)]
        for half, row in enumerate(rows):
            for i, picture in enumerate(made.fair.images[row]):
                top, left = c * side + 1, 8 + (half * columns + i) * side + 1
                canvas[top : top + side - 2, left : left + side - 2] = picture
    drawn = Image.fromarray(canvas)
    drawn.resize((drawn.width * zoom, drawn.height * zoom), Image.Resampling.NEAREST).save(path)
