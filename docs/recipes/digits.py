"""Digits, class by class: what keras-vis showed of a Keras CNN, on Keras 3.

    KERAS_BACKEND=torch python docs/recipes/digits.py          # three seeds
    KERAS_BACKEND=torch python docs/recipes/digits.py --fast   # one seed, CI

A small CNN learns the 1797 digits that come with scikit-learn. For every class: saliency and Grad-CAM with no modifier,
``guided`` and ``relu`` as arrays in keras-vis' convention, occlusion, and the picture that makes the class strongest.
Whether a map has found what the network uses is measured by deletion: the fifth of the pixels that it ranks first is
blanked, and the better the map, the further the class's score falls; beside it what an edge map, the ink itself and
chance rank first.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
from common import Recipe, edge_map, random_map
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_digits

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras
import torch
from keras import layers

import seewhy
from seewhy.metrics import gini, relevance_mass
from seewhy.render.plots import chart

#: keras-vis' words for what the backward pass does at every ReLU
MODIFIERS = ("none", "guided", "relu")
#: the digits are 8x8; each pixel becomes a block of 2x2, so that there is something to pool
SIDE = 16
#: the share of the pixels that deletion blanks
DELETED = 0.2


def load(seed: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    """Digits [N, 16, 16, 1] from 0 to 1 and their classes: three quarters to learn from, one to test."""
    held = load_digits()
    large = np.kron(held.images / 16, np.ones((2, 2)))[..., None].astype(np.float32)
    order = np.random.default_rng(seed).permutation(len(large))
    learn, test = order[450:], order[:450]
    return large[learn], held.target[learn], large[test], held.target[test]


class Unseen(keras.callbacks.Callback):
    """Loss and accuracy on digits that are not learnt from, after every epoch; training goes on as it would without."""

    def __init__(self, pictures: NDArray[np.float32], truths: NDArray[np.int64]) -> None:
        super().__init__()
        self.pictures, self.truths = pictures, truths

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Add them to what is logged."""
        with torch.random.fork_rng([]):  # Keras' own validation draws from the numbers that shuffle the next epoch
            loss, accuracy = self.model.evaluate(self.pictures, self.truths, verbose=0)
        (logs or {}).update(val_loss=loss, val_accuracy=accuracy)


def train(
    pictures: NDArray[np.float32],
    truths: NDArray[np.int64],
    epochs: int,
    seed: int,
    unseen: tuple[NDArray[np.float32], NDArray[np.int64]],
    log: Path,
) -> keras.Model:
    """Two convolutions, a pooling, a third, and two dense layers; every epoch is a line of ``log``."""
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            layers.Input((SIDE, SIDE, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu", name="conv0"),
            layers.MaxPooling2D(name="pool0"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv1"),
            layers.Conv2D(32, 3, padding="same", activation="relu", name="conv2"),
            layers.MaxPooling2D(name="pool1"),
            layers.Flatten(),
            layers.Dense(64, activation="relu", name="dense"),
            layers.Dense(10, activation="softmax", name="classes"),
        ]
    )
    model.compile(keras.optimizers.Adam(2e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    callbacks = [Unseen(*unseen), keras.callbacks.CSVLogger(str(log))]
    model.fit(pictures, truths, batch_size=32, epochs=epochs, verbose=0, callbacks=callbacks)
    return model


def keep(model: keras.Model, pictures: NDArray[np.float32], truths: NDArray[np.int64], out: Path) -> None:
    """What the command line starts from: the network, and unseen digits in a folder for each class."""
    model.save(out / "digits.keras")
    for number, (picture, truth) in enumerate(zip(pictures, truths, strict=True)):
        (out / "digits" / str(truth)).mkdir(parents=True, exist_ok=True)
        grey = Image.fromarray(np.rint(picture[..., 0] * 255).astype(np.uint8))
        grey.save(out / "digits" / str(truth) / f"{number:03}.png")


# ------------------------------------------------------------------------------------------------------------- maps


def maps_of(model: Any, pictures: NDArray[np.float32], truths: NDArray[np.int64]) -> dict[str, list[Any]]:
    """Explanations of every picture for its own class, by name: both methods of keras-vis under each modifier, and
    occlusion."""
    images, targets = list(pictures), [int(truth) for truth in truths]
    found: dict[str, list[Any]] = {}
    for rule in MODIFIERS:
        found[f"saliency, {rule}"] = list(
            seewhy.explain_all(model, images, method="saliency", target=targets, backward_rule=rule)
        )
        found[f"grad-cam, {rule}"] = list(
            seewhy.explain_all(model, images, method="grad-cam", target=targets, layer="conv2", backward_rule=rule)
        )
    found["occlusion"] = list(seewhy.explain_all(model, images, method="occlusion", target=targets, window=4, stride=2))
    found["input x gradient"] = list(seewhy.explain_all(model, images, method="input-x-gradient", target=targets))
    return found


def without_network(pictures: NDArray[np.float32], seed: int) -> dict[str, NDArray[np.float64]]:
    """Maps [N, 16, 16] that know no network."""
    ink = pictures[..., 0].astype(np.float64)
    grey = (np.repeat(pictures, 3, -1) * 255).astype(np.uint8)
    return {
        "edge map": np.stack([edge_map(one) for one in grey]),
        "ink": ink + 1e-9 * np.random.default_rng(seed).normal(size=ink.shape),  # ties broken by chance
        "random map": np.stack([random_map((SIDE, SIDE), seed + n) for n in range(len(ink))]),
    }


def fallen(
    model: Any, pictures: NDArray[np.float32], truths: NDArray[np.int64], maps: NDArray[Any]
) -> NDArray[np.float64]:
    """By how much each picture's logit falls when the fifth of its pixels that its map ranks first is blanked."""
    count = int(DELETED * SIDE * SIDE)
    blanked = pictures.copy().reshape(len(pictures), -1)
    first = np.argsort(-maps.reshape(len(maps), -1), axis=1, kind="stable")[:, :count]
    np.put_along_axis(blanked, first, 0.0, axis=1)
    rows = np.arange(len(truths))
    full = logits(model, pictures)[rows, truths]
    return np.asarray(full - logits(model, blanked.reshape(pictures.shape))[rows, truths])


def logits(model: keras.Model, pictures: NDArray[np.float32]) -> NDArray[np.float64]:
    """What the last layer says before its softmax, [N, 10]."""
    inner = keras.Model(model.inputs, model.get_layer("dense").output)
    kernel, bias = (np.asarray(each) for each in model.get_layer("classes").get_weights())
    return np.asarray(inner.predict(pictures, verbose=0), dtype=np.float64) @ kernel + bias


def keras_vis(explanation: Any) -> NDArray[Any]:
    """The array that ``visualize_saliency`` or ``visualize_cam`` would have returned, [16, 16] from 0 to 1."""
    found: NDArray[Any] = explanation.convention("keras-vis")
    return found


def measure(
    recipe: Recipe, model: keras.Model, pictures: NDArray[np.float32], truths: NDArray[np.int64], seed: int
) -> Any:
    """A row of numbers for every map, and the claims."""
    found = maps_of(model, pictures, truths)
    arrays = {name: np.stack([each.map for each in maps]) for name, maps in found.items()}
    arrays |= without_network(pictures, seed)
    masks = pictures[..., 0] > 0.25
    falls = {name: float(fallen(model, pictures, truths, maps).mean()) for name, maps in arrays.items()}
    recipe.say(f"seed {seed}: blanking the fifth of the pixels that a map ranks first lowers the logit by")
    for name, maps in arrays.items():
        on_ink = np.nanmean([relevance_mass(one, mask) for one, mask in zip(maps, masks, strict=True)])
        dense = np.nanmean([gini(one) for one in maps])
        recipe.say(f"    {name:<18} {falls[name]:6.2f}   evidence on ink {on_ink:.2f}   Gini index {dense:.2f}")
    recipe.say(f"    ink covers {masks.mean():.2f} of the pictures")
    blind = max(falls["edge map"], falls["random map"])
    for name in ("occlusion", "input x gradient"):
        numbers = f"{falls[name]:.2f} to {blind:.2f}"
        recipe.check(f"seed {seed}: {name}, at least twice edges and chance ({numbers})", falls[name] >= 2 * blind)
    numbers = f"{falls['occlusion']:.2f} to {falls['ink']:.2f}"
    recipe.check(f"seed {seed}: occlusion, more than the ink itself ({numbers})", falls["occlusion"] > falls["ink"])
    inside = all(
        keras_vis(each).min() >= 0 and keras_vis(each).max() <= 1 and keras_vis(each).shape == (SIDE, SIDE)
        for name, maps in found.items()
        if name.startswith(("saliency", "grad-cam"))
        for each in maps[:10]
    )
    recipe.check(f"seed {seed}: maps in keras-vis' convention are {SIDE}x{SIDE} from 0 to 1", inside)
    return found


# --------------------------------------------------------------------------------------------------------- pictures


def sheet(rows: list[list[tuple[str, NDArray[Any]]]], path: Path, cmap: str = "jet") -> None:
    """Arrays as small pictures, titled in the first row; those from 0 to 1 in keras-vis' colours."""
    figure, _ = chart(0.95 * len(rows[0]), 0.95 * len(rows) + 0.3)
    figure.clear()
    axes = figure.subplots(len(rows), len(rows[0]), squeeze=False)
    for line, cells in zip(axes, rows, strict=True):
        for place, (title, values) in zip(line, cells, strict=True):
            place.imshow(values, cmap="gray" if title in ("digit", "maximised") else cmap, interpolation="nearest")
            place.set_axis_off()
            if cells is rows[0]:
                place.set_title(title.replace(", ", "\n"), fontsize=6)
    figure.canvas.draw()
    Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB").save(path)


def draw_all(
    recipe: Recipe, model: keras.Model, pictures: NDArray[np.float32], truths: NDArray[np.int64], found: Any
) -> None:
    """A row for every class: the digit, seven maps in keras-vis' convention, and the class maximised."""
    out: Path = recipe.asked.out
    # jitter and turning are made for photographs: on 16 pixels a little of both
    own: dict[str, Any] = {"parametrisation": "pixel", "copies": 2, "jitter": 1, "rotate": 5, "learning_rate": 0.1}
    own["steps"] = 20 if recipe.asked.fast else 80
    wrapped = seewhy.wrap(model, labels=[str(digit) for digit in range(10)])
    rows = []
    for digit in range(10):
        at = int(np.flatnonzero(truths == digit)[0])
        row: list[tuple[str, NDArray[Any]]] = [("digit", pictures[at, ..., 0])]
        row += [(name, keras_vis(found[name][at])) for kind in ("saliency", "grad-cam") for name in found
                if name.startswith(kind)]  # fmt: skip
        row.append(("occlusion", np.maximum(found["occlusion"][at].map, 0)))
        strong = seewhy.maximise(wrapped, digit, size=SIDE, bounds=(0, 1), seed=0, **own)
        row.append(("maximised", strong.values.reshape(SIDE, SIDE)))
        rows.append(row)
    strongest = np.stack([row[-1][1] for row in rows])[..., None].astype(np.float32)
    right = int((logits(model, strongest).argmax(1) == np.arange(10)).sum())
    recipe.check(f"seed 0: maximised pictures that are called their class ({right} of 10)", right == 10)
    sheet(rows, out / "digits-classes.png")
    seewhy.filters(wrapped, "conv0", top=16).save(out / "digits-filters.png", force=True)
    result = seewhy.evaluate_model(wrapped, list(pictures), truths.tolist(), curves=out / "digits-log.csv")
    result.save(out / "digits-confusion.png", force=True)
    lines = seewhy.boundary(wrapped, list(pictures), truths.tolist())
    lines.save(out / "digits-boundary.png", force=True)
    recipe.check("seed 0: the network's own last layer draws the boundary", lines.region_rule == "head")
    recipe.say(
        "mixed up most: " + (", ".join(f"{t} for {s} ({n})" for t, s, n in result.numbers.mixed_up(3)) or "none")
    )


def main(argv: list[str] | None = None) -> int:
    """Run it; 0 if every claim holds."""
    recipe = Recipe("digits, class by class")
    asked = recipe.options(argv)
    torch.set_num_threads(1)  # on pictures this small, threads wait for each other longer than they work
    epochs, looked_at = (8, 100) if asked.fast else (16, 200)
    for seed in range(asked.seeds):
        pictures, truths, tests, right = load(seed)
        model = train(pictures, truths, epochs, seed, (tests, right), asked.out / "digits-log.csv")
        accuracy = float((logits(model, tests).argmax(1) == right).mean())
        recipe.check(f"seed {seed}: at least 95 % of 450 unseen digits are right ({accuracy:.1%})", accuracy >= 0.95)
        found = measure(recipe, model, tests[:looked_at], right[:looked_at], seed)
        if seed == 0:
            keep(model, tests, right, asked.out)
            draw_all(recipe, model, tests[:looked_at], right[:looked_at], found)
    return recipe.end()


if __name__ == "__main__":
    sys.exit(main())
