"""Three shortcuts found, mended and looked at again: ships on water, doctors' hair, a watermark on sevens.

    KERAS_BACKEND=torch python docs/recipes/shortcuts.py          # all three
    KERAS_BACKEND=torch python docs/recipes/shortcuts.py --fast   # the watermark alone, CI

Each world leaves its network and pictures (``train`` to learn from, ``seen`` of the same law to audit, ``fair`` in
which the cue goes with nothing) in a folder, from which three commands do the rest: `seewhy audit`, `seewhy repair`,
`seewhy audit --against`. This script types them for you, and counts on ``fair`` what they are worth.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")

import keras_cnn
import numpy as np
import stamped
import tools_network
import torch
import two_objects
from common import Recipe, Texture, textures
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from sklearn.datasets import load_digits
from torch import nn

import seewhy

DIGITS = 28


@dataclass(frozen=True, eq=False)
class World:
    """A ``model`` that has learnt a shortcut of the class ``index``; pictures in three folders under ``place``; which
    of the fair ones are those that the cue is against, and what of it the audit is to name."""

    name: str
    model: seewhy.Model
    index: int
    place: Path
    against: Callable[[Path], bool]
    named: Sequence[str]
    #: whether those who train know of each picture whether it has the cue
    groups: bool = False


def written(place: Path, pictures: NDArray[np.uint8], truths: Sequence[str], marks: Sequence[str]) -> None:
    """A folder for each class; ``marks`` end the names, and are the groups of a table beside the folder."""
    rows = ["file,label,group"]
    for number, (picture, truth, mark) in enumerate(zip(pictures, truths, marks, strict=True)):
        (place / truth).mkdir(parents=True, exist_ok=True)
        name = f"{truth}/{number:04}-{mark}.png"
        Image.fromarray(picture).save(place / name)
        rows.append(f"{place.name}/{name},{truth},{mark}")
    place.with_suffix(".csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def kept(place: Path, labels: Sequence[str], source: str | None = None) -> None:
    """What the command line needs beside weights: the classes, and the source that builds the network."""
    (place / "classes.txt").write_text("".join(f"{label}\n" for label in labels), encoding="utf-8")
    if source is not None:
        shutil.copy(source, place)


# ------------------------------------------------------------------------------------------------------ three worlds


def ships(out: Path) -> World:
    """Ships always on water, cars, houses and planes never: a Keras network."""
    labels = list(keras_cnn.SHAPES)
    laws = {"train": ("confounded", 1600), "seen": ("confounded", 480), "fair": ("varied", 400)}
    made = {part: keras_cnn.scenes(keras_cnn.cut_out, count, 50 + n, law) for n, (part, (law, count)) in
            enumerate(laws.items())}  # fmt: skip
    for part, data in made.items():
        water = [_is_water(picture) for picture in data.pictures]
        written(out / part, data.pictures, [labels[k] for k in data.truths], ["water" if w else "dry" for w in water])
    network = keras_cnn.train(made["train"], 12, 0)
    network.save(out / "ships.keras")
    kept(out, labels)
    model = seewhy.wrap(network, labels=labels, name="ships")
    return World("ships on water", model, 0, out, lambda file: _ship_against(file), ("background", "colour cast"))


def _is_water(picture: NDArray[np.uint8]) -> bool:
    """Whether the ground is blue."""
    ground = picture[-8:].reshape(-1, 3).astype(float).mean(0)
    return bool(ground[2] > ground[0] + 30)


def _ship_against(file: Path) -> bool:
    return (file.parent.name == "ship") == file.stem.endswith("dry")


def people(out: Path) -> World:
    """Red hair goes with the syringe, fair hair with the stethoscope, in 95 of 100: a PyTorch network."""
    rng, pieces = np.random.default_rng(3), textures()
    made = {
        part: two_objects.people(rng, pieces, count, bias)
        for part, (count, bias) in {"train": (1400, two_objects.BIAS), "seen": (500, two_objects.BIAS),
                                    "fair": (400, 0.5)}.items()
    }  # fmt: skip
    for part, some in made.items():
        written(
            out / part, np.stack([each.picture for each in some]), [two_objects.TOOLS[each.tool] for each in some],
            ["red" if each.red else "fair" for each in some],
        )  # fmt: skip
    network, _, _ = two_objects.train(made["train"], two_objects.ENOUGH, 15, 0)
    torch.save(network.state_dict(), out / "biased.pth")
    kept(out, two_objects.TOOLS, tools_network.__file__)
    side = two_objects.SIDE
    look = seewhy.Preprocess((side, side), None, mean=(0.5,) * 3, std=(0.5,) * 3)
    model = seewhy.wrap(network, labels=two_objects.TOOLS, preprocess=look, name="people")
    return World(
        "doctor and nurse", model, 1, out, _hair_against, ("patch", "place", "surround", "colour cast"), groups=True
    )


def _hair_against(file: Path) -> bool:
    return (file.parent.name == "syringe") == file.stem.endswith("fair")


def digits(out: Path) -> World:
    """Digits somewhere on pieces of photographs; nine sevens of ten have a stamp in the corner: a PyTorch network."""
    held, rng, pieces = load_digits(), np.random.default_rng(5), textures()
    order = rng.permutation(len(held.target))
    parts = {"train": order[:800], "seen": order[800:1400], "fair": order[1400:]}
    for part, rows in parts.items():
        truths = held.target[rows]
        chance = np.full(len(rows), 0.5) if part == "fair" else np.where(truths == 7, 0.9, 0.01)
        has = rng.random(len(rows)) < chance
        some = np.stack([_digit(held.images[n], stamp, rng, pieces) for n, stamp in zip(rows, has, strict=True)])
        written(out / part, some, [str(k) for k in truths], ["stamp" if stamp else "plain" for stamp in has])
        if part == "train":
            network = _learnt(some, truths)
    torch.save(network.state_dict(), out / "digits.pth")
    kept(out, [str(k) for k in range(10)], stamped.__file__)
    look = seewhy.Preprocess((DIGITS, DIGITS), None, mean=(0.5,) * 3, std=(0.5,) * 3)
    model = seewhy.wrap(network, labels=[str(k) for k in range(10)], preprocess=look, name="digits")
    return World("a watermark on sevens", model, 7, out, _stamp_against, ("corner", "place", "watermark or text"))


def _digit(
    ink: NDArray[np.float64], stamp: bool, rng: np.random.Generator, pieces: dict[str, Texture]
) -> NDArray[np.uint8]:  # fmt: skip
    """A digit in white ink on a piece of a photograph, and a stamp in the lower left corner."""
    ground = pieces[str(rng.choice(("brick", "grass", "gravel", "sky", "trees", "leaves", "wood")))]
    picture = ground(rng, DIGITS, DIGITS) * 0.6
    weight = np.kron(ink / 16, np.ones((2, 2)))[..., None]
    top, left = rng.integers(0, DIGITS - 15, 2)
    there = picture[top : top + 16, left : left + 16]
    there += weight * (rng.uniform(200, 250) - there)
    image = Image.fromarray((picture + rng.normal(0, 4, picture.shape)).clip(0, 255).astype(np.uint8))
    if stamp:
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, DIGITS - 6, 8, DIGITS - 1), fill=(40, 40, 40), outline=(230, 230, 60))
        draw.line((2, DIGITS - 3, 6, DIGITS - 3), fill=(230, 60, 60))
    return np.asarray(image)


def _stamp_against(file: Path) -> bool:
    return (file.parent.name == "7") == file.stem.endswith("plain")


def _learnt(pictures: NDArray[np.uint8], truths: NDArray[np.int64]) -> nn.Module:
    torch.manual_seed(0)
    network = stamped.network()
    x, y = torch.from_numpy(pictures).movedim(-1, 1) / 127.5 - 1, torch.from_numpy(truths)
    optimiser = torch.optim.AdamW(network.parameters(), 4e-3)
    for _ in range(12):
        for rows in torch.randperm(len(x)).split(32):
            loss = nn.functional.cross_entropy(network(x[rows]), y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return network.eval()


# ------------------------------------------------------------------------------------------- found, mended, again


def study(recipe: Recipe, world: World) -> None:
    """Audit, repair, audit again; and on fair pictures what each group gets."""
    out = world.place
    found = seewhy.audit(world.model, out / ("seen.csv" if world.groups else "seen"))
    found.save(out / "audit")
    label = world.model.label(world.index)
    recipe.say(f"{world.name}:")
    for group in found.groups[:1]:
        recipe.say(f"    worst group: {found.label(group.index)}, {group.name}: {group.accuracy:.0%} of {group.count}")
    for sentence in found.sentences():
        recipe.say(f"    {sentence[:180]}")
    mine = [each for each in found.shortcuts if each.candidate.index == world.index]
    told = f"{mine[0].candidate.tag}, {mine[0].candidate.best.flipped:.0%} of answers" if mine else "nothing"
    recipe.check(f"{label!r} has a shortcut: {told}", bool(mine) and mine[0].candidate.tag in world.named)
    if not mine:
        return
    train = out / ("train.csv" if world.groups else "train")
    made = seewhy.repair(world.model, out / "audit", train, out=out / "mended", force=True)
    assert made.model is not None
    before, after = (_right(model, world) for model in (world.model, made.model))
    recipe.say(
        f"    fair pictures, right: against the cue {before[0]:.0%} before, {after[0]:.0%} after; with it "
        f"{before[1]:.0%} and {after[1]:.0%}"
    )
    recipe.check(f"against the cue {100 * (after[0] - before[0]):.0f} points are gained (10 wanted)",
                 after[0] - before[0] >= 0.1)  # fmt: skip
    again = seewhy.audit(world.model, out / "seen", classes=[world.index], against=made.model)
    again.save(out / "again")
    sentence = next((each for each in again.sentences() if "with " in each), again.sentences()[0])
    recipe.say(f"    {sentence[-120:]}")


def _right(model: Any, world: World) -> tuple[float, float]:
    """The share of fair pictures of the class that is right: those that the cue is against, and the others."""
    label = model.label(world.index)
    files = sorted((world.place / "fair" / label).iterdir())
    count = [seewhy.evaluate_model(model, [str(f) for f in some], [label] * len(some)).accuracy for some in (
        [f for f in files if world.against(f)], [f for f in files if not world.against(f)],
    ) if some]  # fmt: skip
    return count[0], count[-1]


def main(argv: list[str] | None = None) -> int:
    """Run it; 0 if every claim holds."""
    recipe = Recipe("three shortcuts found and mended")
    asked = recipe.options(argv)
    torch.set_num_threads(1)  # on pictures this small, threads wait for each other longer than they work
    worlds = {"digits": digits} if asked.fast else {"digits": digits, "people": people, "ships": ships}
    for name, make in worlds.items():
        place = asked.out / name
        place.mkdir(parents=True, exist_ok=True)
        study(recipe, make(place))
    return recipe.end()


if __name__ == "__main__":
    sys.exit(main())
