"""A small Keras CNN under the lens: what it sees, what it mistakes for a ship, and how to put that right.

    KERAS_BACKEND=torch python docs/recipes/keras_cnn.py          # three seeds, a few minutes
    KERAS_BACKEND=torch python docs/recipes/keras_cnn.py --fast   # one seed, CI

The network tells ship, car, house and plane apart in scenes that are made of pieces of real photographs, so the mask of
every object is known. In the first training set ships are always on water, and nothing else is. The network learns the
water. The maps show it, a second training set with every ground under every object puts it right, and the share of
the evidence that lies on the ship says by how much. Where CIFAR-10 is found, the same is done with its pictures.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from common import Recipe, edge_map, random_map, textures
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import torch
from keras import layers

import seewhy
from seewhy.metrics import relevance_mass
from seewhy.render.plots import chart

SIZE = 32
TEXTURES = textures()
GROUNDS = ("grass", "gravel", "brick", "wood", "petals", "bushes")
BEHIND = ("bushes", "roof", "fur", "night", "brick", "petals", "gravel", "grass")
SKINS = ("brick", "grass", "gravel", "roof", "petals", "wood", "fur", "bushes", "leaves")

#: the maps whose evidence is measured, with their settings; "ship" is always the target
MAPS: dict[str, dict[str, Any]] = {"grad-cam": {}, "occlusion": {"window": 8, "stride": 4}, "saliency": {}}

# ---------------------------------------------------------------------------------------------------------- scenes

#: polygons in a unit square, y downwards; discs as (x, y, radius)
SHAPES: dict[str, list[list[tuple[float, float]]]] = {
    "ship": [
        [(0, 0.62), (1, 0.62), (0.82, 1), (0.18, 1)],
        [(0.47, 0), (0.47, 0.58), (0.08, 0.58)],
        [(0.55, 0.1), (0.9, 0.58), (0.55, 0.58)],
    ],
    "car": [
        [(0, 0.45), (1, 0.45), (1, 0.8), (0, 0.8)],
        [(0.22, 0.1), (0.72, 0.1), (0.85, 0.46), (0.12, 0.46)],
    ],
    "house": [
        [(0.12, 0.45), (0.88, 0.45), (0.88, 1), (0.12, 1)],
        [(0.5, 0), (1, 0.46), (0, 0.46)],
    ],
    "plane": [
        [(0.42, 0), (0.58, 0), (0.6, 1), (0.4, 1)],
        [(0.5, 0.25), (1, 0.55), (1, 0.7), (0.5, 0.55), (0, 0.7), (0, 0.55)],
        [(0.5, 0.8), (0.75, 1), (0.25, 1)],
    ],
}
WHEELS = {"car": [(0.25, 0.82, 0.16), (0.75, 0.82, 0.16)]}

#: a thing to stand in a scene: its pixels [SIZE, SIZE, 3] and how much of each is covered [SIZE, SIZE], 0 to 1
Things = Callable[[np.random.Generator, int], tuple[NDArray[Any], NDArray[Any]]]


@dataclass(frozen=True)
class Scenes:
    """Pictures uint8 [N, H, W, 3], their classes [N] and the masks of their objects [N, H, W]."""

    pictures: NDArray[np.uint8]
    truths: NDArray[np.int64]
    masks: NDArray[np.bool_]


def cut_out(rng: np.random.Generator, kind: int) -> tuple[NDArray[Any], NDArray[Any]]:
    """A ship, car, house or plane cut out of a random texture, lightened or darkened."""
    name, side, fine = tuple(SHAPES)[kind], float(rng.integers(13, 19)), 4
    left, top = rng.uniform(1, SIZE - side - 1), rng.uniform(SIZE * 0.28, SIZE - side - 1)

    def at(x: float, y: float) -> tuple[float, float]:
        return (left + x * side) * fine, (top + y * side) * fine

    stencil = Image.new("L", (SIZE * fine, SIZE * fine))
    draw = ImageDraw.Draw(stencil)
    for corners in SHAPES[name]:
        draw.polygon([at(*corner) for corner in corners], fill=255)
    for x, y, radius in WHEELS.get(name, []):
        draw.ellipse([*at(x - radius, y - radius), *at(x + radius, y + radius)], fill=255)
    cover = np.asarray(stencil.resize((SIZE, SIZE), Image.Resampling.BOX)) / 255
    skin = TEXTURES[rng.choice(SKINS)](rng, SIZE, SIZE).astype(float)
    dark = rng.random() < 0.5
    return skin * rng.uniform(0.45, 0.8) if dark else 255 - (255 - skin) * rng.uniform(0.35, 0.7), cover


def scene(things: Things, kind: int, ground: str, rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
    """A thing on a ground, something else behind it; the picture and the mask of the thing."""
    horizon = int(rng.integers(SIZE // 4, SIZE * 9 // 20))
    floor = TEXTURES[ground](rng, SIZE - horizon, SIZE).astype(float)
    if ground == "water":  # the lake of the photo is pale: its ripples twice as strong, and bluer
        mean = floor.mean((0, 1))
        floor = (mean + 2 * (floor - mean)) * (0.6, 0.95, 1.15)
    back = np.concatenate([TEXTURES[rng.choice(BEHIND)](rng, horizon, SIZE), floor])
    skin, cover = things(rng, kind)
    rim = ndimage.grey_dilation(cover, (3, 3))[..., None]
    picture = back * (1 - 0.75 * rim) * (1 - cover[..., None]) + skin * cover[..., None]
    picture = picture * rng.uniform(0.8, 1.15) + rng.normal(0, 4, picture.shape)
    return np.clip(picture, 0, 255).astype(np.uint8), cover > 0.5


def scenes(things: Things, count: int, seed: int, grounds: str, kinds: tuple[int, ...] = (0, 1, 2, 3)) -> Scenes:
    """``grounds``: "confounded" (ships on water, all others never), "varied" (any under any), "dry", "water"."""
    rng = np.random.default_rng(seed)
    made, truths = [], [kinds[n % len(kinds)] for n in range(count)]
    for kind in truths:
        ground = str(rng.choice([*GROUNDS, "water"] if grounds == "varied" else GROUNDS))
        if grounds == "water" or (grounds == "confounded" and kind == 0):
            ground = "water"
        made.append(scene(things, kind, ground, rng))
    pictures, masks = (np.stack(each) for each in zip(*made, strict=True))
    return Scenes(pictures, np.array(truths), masks)


# --------------------------------------------------------------------------------------------------------- network


def train(data: Scenes, epochs: int, seed: int) -> keras.Model:
    """A CNN of four convolutions, trained from nothing."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential([layers.Input((SIZE, SIZE, 3)), layers.Rescaling(1 / 255)])
    for number, (channels, kernel, stride, pool) in enumerate(
        [(24, 5, 2, 0), (32, 3, 1, 1), (64, 3, 1, 0), (64, 3, 1, 0)]
    ):
        model.add(layers.Conv2D(channels, kernel, stride, padding="same", use_bias=False, name=f"conv{number}"))
        model.add(layers.BatchNormalization(momentum=0.8))
        model.add(layers.ReLU(name=f"relu{number}"))
        if pool:
            model.add(layers.MaxPooling2D())
    model.add(layers.GlobalAveragePooling2D())
    model.add(layers.Dense(32, activation="relu", name="penultimate"))
    model.add(layers.Dense(4, activation="softmax", name="classes"))
    steps = epochs * -(-len(data.truths) // 64)
    rate = keras.optimizers.schedules.CosineDecay(4e-3, steps)
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy")
    model.fit(data.pictures.astype(np.float32), data.truths, batch_size=64, epochs=epochs, verbose=0)
    return model


def accuracy(model: keras.Model, data: Scenes) -> float:
    """The share of scenes whose class the model says."""
    said = model.predict(data.pictures.astype(np.float32), batch_size=256, verbose=0).argmax(1)
    return float((said == data.truths).mean())


# -------------------------------------------------------------------------------------------------------- evidence


def maps_of(model: Any, data: Scenes) -> dict[str, list[Any]]:
    """Every map of `MAPS` for "ship", of every scene."""
    pictures = list(data.pictures)
    return {name: list(seewhy.explain_all(model, pictures, method=name, target=0, **own)) for name, own in MAPS.items()}


def on_object(maps: list[Any], data: Scenes) -> float:
    """The mean share of the evidence for "ship" that lies on the ship; a map without any has none there."""
    shares = [relevance_mass(each.map, mask) for each, mask in zip(maps, data.masks, strict=True)]
    return float(np.mean(np.nan_to_num(shares)))


def chance(data: Scenes, seed: int) -> dict[str, float]:
    """What maps that know no network get on the same scenes."""
    edges = [relevance_mass(edge_map(picture), mask) for picture, mask in zip(data.pictures, data.masks, strict=True)]
    noise = [relevance_mass(random_map((SIZE, SIZE), seed + n), mask) for n, mask in enumerate(data.masks)]
    return {
        "its area": float(data.masks.mean()),
        "edge map": float(np.mean(edges)),
        "random map": float(np.mean(noise)),
    }


def study(recipe: Recipe, things: Things, unseen: Things, labels: list[str], seed: int, check: bool) -> dict[str, Any]:
    """Train on confounded scenes and on varied ones, and measure both on ``unseen`` things; claims are checked if
    ``check``."""
    fast = recipe.asked.fast
    count, epochs, tested = (1200, 12, 200) if fast else (2000, 16, 400)
    begin = 10_000 * seed
    confounded = scenes(things, count, begin + 1, "confounded")
    varied = scenes(things, count, begin + 2, "varied")
    tests = {
        "scenes like the confounded ones": scenes(unseen, tested, begin + 3, "confounded"),
        "scenes of all kinds": scenes(unseen, tested, begin + 4, "varied"),
        "ships off water": scenes(unseen, tested // 2, begin + 5, "dry", kinds=(0,)),
    }
    looked_at = scenes(unseen, 40 if fast else 100, begin + 6, "water", kinds=(0,))

    found: dict[str, Any] = {"tests": tests, "looked_at": looked_at, "seed": seed}
    for name, data in (("before", confounded), ("after", varied)):
        model = train(data, epochs, seed)
        right = {what: accuracy(model, test) for what, test in tests.items()}
        wrapped = seewhy.wrap(model, labels=labels, name=f"{name} the fix")
        maps = maps_of(wrapped, looked_at)
        share = {method: on_object(each, looked_at) for method, each in maps.items()}
        found[name] = {"model": wrapped, "keras": model, "right": right, "maps": maps, "share": share}
        recipe.say(f"seed {seed}, {name}: right on " + ", ".join(f"{r:.0%} of {what}" for what, r in right.items()))
    known = chance(looked_at, seed)
    found["chance"] = known
    before, after = found["before"], found["after"]
    recipe.say(
        f"seed {seed}, evidence on the ship, ships on water: " + ", ".join(f"{k} {v:.3f}" for k, v in known.items())
    )
    for method in MAPS:
        old, new = before["share"][method], after["share"][method]
        recipe.say(f"    {method:<10} {old:.3f} before, {new:.3f} after: x {new / old:.1f}")
    if check:
        like, every, dry = tests
        claims = [
            ("before: at least 85 % of scenes like those it learnt from", before["right"][like] >= 0.85),
            ("before: at most 30 % of ships off water", before["right"][dry] <= 0.3),
            ("after: at least 85 % of scenes of all kinds", after["right"][every] >= 0.85),
            ("after: at least 80 % of ships off water", after["right"][dry] >= 0.8),
        ]
        for method in ("grad-cam", "occlusion"):
            old, new = before["share"][method], after["share"][method]
            claims.append((f"{method}: evidence on the ship at least doubles ({old:.3f} to {new:.3f})", new >= 2 * old))
            best = 1.25 * max(known.values())
            claims.append((f"{method}: after, a quarter more than any of area, edges and chance", new >= best))
        for words, true in claims:
            recipe.check(f"seed {seed}: {words}", true)
    return found


# -------------------------------------------------------------------------------------------------------- pictures


def keep(found: dict[str, Any], out: Path) -> None:
    """What the command line starts from: both networks, their classes, and unseen scenes in a folder for each class, of
    all kinds in ``scenes``, ships on water in ``on-water``."""
    labels = list(SHAPES)
    (out / "classes.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    for name in ("before", "after"):
        found[name]["keras"].save(out / f"cnn-{name}.keras")
    for folder, data in (("scenes", found["tests"]["scenes of all kinds"]), ("on-water", found["looked_at"])):
        for number, (picture, truth) in enumerate(zip(data.pictures, data.truths, strict=True)):
            (out / folder / labels[truth]).mkdir(parents=True, exist_ok=True)
            Image.fromarray(picture).save(out / folder / labels[truth] / f"{number:03}.png")


def draw_all(recipe: Recipe, found: dict[str, Any], prefix: str = "cnn") -> None:
    """What the network looks like inside, and its maps before and after."""
    out: Path = recipe.asked.out
    model, looked_at = found["after"]["model"], found["looked_at"]
    everything = found["tests"]["scenes of all kinds"]

    seewhy.filters(model, "conv0").save(out / f"{prefix}-filters.png", force=True)
    one = everything.pictures[0]
    for layer in ("relu0", "relu1", "relu3"):
        maps = seewhy.feature_maps(model, one, layer=layer, target=int(everything.truths[0]), top=16)
        maps.save(out / f"{prefix}-features-{layer}.png", force=True)

    sheet(looked_at, found, out / f"{prefix}-before-after.png")
    boundary(found["after"]["keras"], everything, list(model.labels)).save(out / f"{prefix}-boundary.png")

    for name in ("before", "after"):
        result = seewhy.evaluate_model(found[name]["model"], list(everything.pictures), everything.truths.tolist())
        result.save(out / f"{prefix}-confusion-{name}.png", force=True)
        recipe.say(f"{name}, scenes of all kinds: {result.accuracy:.1%} right; class by class:")
        for row in result.table():
            recipe.say("    {label:<11} precision {precision:.2f}  recall {recall:.2f}  F1 {f1:.2f}".format(**row))


def sheet(data: Scenes, found: dict[str, Any], path: Path, rows: int = 3) -> None:
    """Scenes, their masks, and the positive part of every map before and after, side by side."""
    figure, _ = chart(2 + 2 * len(MAPS) * 1.35, rows * 1.45)
    figure.clear()
    axes = figure.subplots(rows, 2 + 2 * len(MAPS))
    for row, line in enumerate(axes):
        picture = data.pictures[row]
        cells: list[tuple[str, Any]] = [("scene", picture), ("true mask", data.masks[row])]
        for method in MAPS:
            for name in ("before", "after"):
                cells.append((f"{method}\n{name}", np.maximum(found[name]["maps"][method][row].map, 0)))
        for place, (title, values) in zip(line, cells, strict=True):
            place.imshow(values, cmap="gray" if title == "true mask" else "inferno", interpolation="nearest")
            place.set_axis_off()
            if row == 0:
                place.set_title(title, fontsize=8)
    figure.canvas.draw()
    Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB").save(path)


def boundary(model: keras.Model, data: Scenes, labels: list[str]) -> Image.Image:
    """The penultimate layer in two dimensions, and what the last layer says at every place of that plane.

    The plane is spanned by the first two principal components. Points off it are drawn where they fall on it, so a
    point may lie in a region that is not its answer: the title says how often both agree.
    """
    inner = keras.Model(model.inputs, model.get_layer("penultimate").output)
    points = np.asarray(inner.predict(data.pictures.astype(np.float32), verbose=0), dtype=np.float64)
    kernel, bias = (np.asarray(each) for each in model.get_layer("classes").get_weights())
    middle = points.mean(0)
    _, sizes, axes = np.linalg.svd(points - middle, full_matrices=False)
    flat = (points - middle) @ axes[:2].T
    low, high = flat.min(0) - 0.5, flat.max(0) + 0.5
    grid = np.stack(np.meshgrid(np.linspace(low[0], high[0], 240), np.linspace(low[1], high[1], 240)), -1)
    said = ((middle + grid @ axes[:2]) @ kernel + bias).argmax(-1)
    agree = ((middle + flat @ axes[:2]) @ kernel + bias).argmax(1) == (points @ kernel + bias).argmax(1)

    colours = np.array([(70, 130, 200), (220, 120, 50), (90, 160, 80), (160, 100, 180)])
    figure, place = chart(5.2, 4.4)
    place.imshow(
        (0.35 * colours[said] + 0.65 * 255).astype(np.uint8), extent=(low[0], high[0], low[1], high[1]), origin="lower",
        aspect="auto",
    )  # fmt: skip
    for number, label in enumerate(labels):
        mine = flat[data.truths == number]
        place.scatter(*mine.T, s=9, color=colours[number] / 255, label=label, edgecolor="white", linewidth=0.3)
    kept = (sizes[:2] ** 2).sum() / (sizes**2).sum()
    place.set_title(f"plane holds {kept:.0%} of the variance; answer as in the plane: {agree.mean():.0%}", fontsize=9)
    place.set(xlabel="first principal component", ylabel="second")
    place.legend(fontsize=7, loc="best")
    figure.canvas.draw()
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")


# --------------------------------------------------------------------------------------------------------- CIFAR-10


def cifar(folder: Path | None) -> tuple[NDArray[np.uint8], NDArray[np.int64], list[str]] | None:
    """CIFAR-10 from ``cifar10-6000.npz`` or from Keras' own cache; None where there is neither. Nothing is fetched."""
    places = [folder] if folder else [Path("../shared/data"), Path(__file__).parents[3] / "shared" / "data"]
    for place in places:
        if (file := place / "cifar10-6000.npz").is_file():
            held = np.load(file, allow_pickle=False)
            return held["images"], held["labels"].astype(np.int64), [str(name) for name in held["classes"]]
    cache = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras") / "datasets"
    if (cache / "cifar-10-batches-py-target_archive").is_file():  # then Keras fetches nothing
        (pictures, truths), _ = keras.datasets.cifar10.load_data()
        names = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
        return pictures, truths.ravel().astype(np.int64), names
    return None


def pictures_on_discs(pictures: NDArray[np.uint8], truths: NDArray[np.int64], kinds: list[int]) -> Things:
    """Things that are round windows onto CIFAR-10 pictures: the object is whatever is in the window."""
    rows, columns = np.mgrid[:SIZE, :SIZE] + 0.5

    def window(rng: np.random.Generator, kind: int) -> tuple[NDArray[Any], NDArray[Any]]:
        picture = pictures[rng.choice(np.flatnonzero(truths == kinds[kind]))]
        side = int(rng.integers(18, 22))
        top, left = int(rng.integers(SIZE // 4, SIZE - side)), int(rng.integers(1, SIZE - side))
        skin = np.zeros((SIZE, SIZE, 3))
        skin[top : top + side, left : left + side] = Image.fromarray(picture).resize((side, side), Image.Resampling.BOX)
        away = np.hypot(rows - top - side / 2, columns - left - side / 2)
        return skin, np.clip(side / 2 - away, 0, 1)

    return window


def main(argv: list[str] | None = None) -> int:
    """Run it; 0 if every claim holds."""
    recipe = Recipe("a small Keras CNN under the lens")
    asked = recipe.options(argv)
    torch.set_num_threads(1)  # on pictures this small, threads wait for each other longer than they work
    for seed in range(asked.seeds):
        found = study(recipe, cut_out, cut_out, list(SHAPES), seed, check=True)
        if seed == 0:
            keep(found, asked.out)
            draw_all(recipe, found)

    data = cifar(asked.data) if asked.data or not asked.fast else None
    if data is None:
        recipe.say("CIFAR-10 left out: " + ("--fast without --data" if asked.fast else "not on this machine"))
    else:
        pictures, truths, names = data
        labels = ["ship", "automobile", "frog", "horse"]
        learn = np.arange(len(truths)) % 5 > 0
        kinds = [names.index(label) for label in labels]
        recipe.say(f"CIFAR-10, {len(truths)} pictures: round windows onto {', '.join(labels)}")
        things = pictures_on_discs(pictures[learn], truths[learn], kinds)
        unseen = pictures_on_discs(pictures[~learn], truths[~learn], kinds)
        found = study(recipe, things, unseen, labels, 0, check=False)
        draw_all(recipe, found, "cifar")
    return recipe.end()


if __name__ == "__main__":
    sys.exit(main())
