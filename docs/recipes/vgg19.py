"""VGG-19 in PyTorch: ``python docs/recipes/vgg19.py [--fast] [--data FOLDER]``.

What a pretrained classifier looks at, step by step: its preprocessing, the saliency map of Simonyan et al. (2013), how
concentrated it is and what lies off the object, an adversarial twin of a photo, and the object cut out with no model of
segmentation. With torchvision's VGG-19 where its weights are on this machine, with the built-in network otherwise.
``--data`` is a folder of ImageNet photos called SYNSET_label.JPEG; without it crops of packaged photos serve.
"""

from __future__ import annotations

import sys
from pathlib import Path

import cv2
import numpy as np
from common import Recipe, edge_map, random_map, textures
from numpy.typing import NDArray
from PIL import Image
from skimage import data
from sklearn.datasets import load_sample_images

import seewhy
from seewhy.errors import ModelError
from seewhy.explanation import graph_cut
from seewhy.metrics import gini, relevance_mass
from seewhy.models import Preprocess

SIDE, PHOTOS, EPSILON, STEPS = 224, 50, 8, 20


def network() -> seewhy.Model:
    """VGG-19 if its weights are here, else the built-in network."""
    try:
        return seewhy.load("torchvision:vgg19")
    except ModelError:
        return seewhy.load("builtin")


def prepared_by_hand(model: seewhy.Model, photo: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The input as one would write it down: shorter side, middle, [0, 1], minus mean, by standard deviation."""
    ours = model.preprocess
    assert isinstance(ours, Preprocess)
    assert isinstance(ours.resize, int)
    picture = Image.fromarray(photo)
    scale = ours.resize / min(picture.size)
    wide, tall = (int(round(side * scale, 6)) for side in picture.size)
    kind = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}[ours.interpolation]
    picture = picture.resize((wide, tall), kind)
    left, top = round((wide - SIDE) / 2), round((tall - SIDE) / 2)
    pixels = np.asarray(picture.crop((left, top, left + SIDE, top + SIDE)), dtype=np.float32) / 255
    found: NDArray[np.float32] = ((pixels - np.float32(ours.mean)) / np.float32(ours.std)).transpose(2, 0, 1)
    return found


def objects() -> list[tuple[NDArray[np.uint8], str]]:
    """Two things that the network knows, as squares filled by them."""
    cat = Image.fromarray(data.chelsea()).crop((95, 15, 355, 275))
    cup = Image.fromarray(data.coffee()).crop((110, 30, 470, 390))
    return [(np.asarray(cat.resize((SIDE, SIDE))), "tiger cat"), (np.asarray(cup.resize((SIDE, SIDE))), "espresso")]


def scene(rng: np.random.Generator, thing: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """The thing, seen through an uneven hole of known shape, over a piece of another photograph."""
    names = ["brick", "grass", "gravel", "roof", "trees", "leaves", "wood", "sky"]
    ground = TEXTURES[names[rng.integers(len(names))]](rng, SIDE, SIDE)
    across, down = rng.integers(45, 75, 2)
    x, y = rng.integers(across, SIDE - across), rng.integers(down, SIDE - down)
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float64)
    angle, radius = np.arctan2(rows - y, columns - x), np.hypot((columns - x) / across, (rows - y) / down)
    waves = rng.uniform(0, 2 * np.pi, 2)
    mask = radius < 0.9 + 0.07 * np.sin(3 * angle + waves[0]) + 0.04 * np.sin(5 * angle + waves[1])
    small = np.asarray(Image.fromarray(thing).resize((2 * across, 2 * down)))
    whole = ground.copy()
    whole[y - down : y + down, x - across : x + across] = small
    return np.where(mask[..., None], whole, ground), mask


def box_cut(picture: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """GrabCut from a box in the middle: what one does without a map."""
    seeds = np.zeros(picture.shape[:2], np.uint8)
    cv2.setRNGSeed(0)
    quarter = SIDE // 4
    box = (quarter, quarter, 2 * quarter, 2 * quarter)
    colours = np.ascontiguousarray(picture[:, :, ::-1])
    cv2.grabCut(colours, seeds, box, np.zeros((1, 65)), np.zeros((1, 65)), 5, cv2.GC_INIT_WITH_RECT)
    return (seeds == cv2.GC_FGD) | (seeds == cv2.GC_PR_FGD)


def overlap(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Intersection over union."""
    return float((a & b).sum() / max((a | b).sum(), 1))


def saliency_and_cut(recipe: Recipe, model: seewhy.Model, seed: int, count: int) -> None:
    """How concentrated maps are, how much of them lies on the object, and how well they cut it out."""
    crops, rng = seewhy.wrap(model, preprocess=model.preprocess.as_is()), np.random.default_rng(seed)
    rows: dict[str, list[tuple[float, float]]] = {}
    cuts: dict[str, list[float]] = {}
    areas = []
    for number in range(count):
        thing, label = objects()[number % 2]
        picture, mask = scene(rng, thing)
        cut = seewhy.segment(crops, picture, target=label, resolution="input", n=16)
        maps = {"saliency": seewhy.explain(crops, picture, method="saliency", target=label).map}
        maps |= {
            "smooth-grad": cut.explanation.map,
            "edge map": edge_map(picture),
            "random map": random_map((SIDE, SIDE), seed * 1000 + number),
        }
        for name, values in maps.items():
            rows.setdefault(name, []).append((gini(values), relevance_mass(values, mask)))
        masks = {name: graph_cut(picture, maps[name]) for name in ("saliency", "edge map", "random map")}
        for name, found in ({"smooth-grad": cut.mask, "middle box": box_cut(picture)} | masks).items():
            cuts.setdefault(name, []).append(overlap(found, mask))
        areas.append(mask.mean())
        if number < 2:
            cut.gallery().save(recipe.asked.out / f"vgg19-cut-{seed}-{number}.png", force=True)
    recipe.say(f"seed {seed}: {count} scenes, the object is {np.mean(areas):.0%} of the picture")
    recipe.say(f"  {'map':12} concentration (Gini)   evidence on the object   off it")
    means = {name: np.mean(values, 0) for name, values in rows.items()}
    for name, (spread, on) in means.items():
        recipe.say(f"  {name:12} {spread:8.2f} {on:24.0%} {1 - on:17.0%}")
    recipe.check(
        f"averaged over noise, saliency lies on the object ({means['smooth-grad'][1]:.0%}) more than edges do "
        f"({means['edge map'][1]:.0%}), and far more than chance ({means['random map'][1]:.0%})",
        means["smooth-grad"][1] > max(means["edge map"][1], 2 * means["random map"][1], 2 * float(np.mean(areas))),
    )
    ious = {name: float(np.mean(values)) for name, values in cuts.items()}
    recipe.say("  cut out from: " + ", ".join(f"{name} IoU {iou:.2f}" for name, iou in ious.items()))
    mine = ious.pop("smooth-grad")
    recipe.check(
        f"the object is cut out from it: IoU {mine:.2f}, at least 0.6 and above every other start",
        mine >= 0.6 and mine > max(ious.values()),
    )


def photographs(model: seewhy.Model, folder: Path | None) -> tuple[list[NDArray[np.uint8]], list[int], str]:
    """Fifty photos with their classes: of a folder, or crops of packaged ones with the network's own answers."""
    named = sorted(folder.glob("n0*_*.JPEG"))[::4] if folder is not None else []
    if len(named) >= PHOTOS:
        from timm.data import ImageNetInfo

        order = ImageNetInfo().label_names()
        chosen = named[:PHOTOS]
        pictures = [np.asarray(Image.open(path).convert("RGB")) for path in chosen]
        return pictures, [order.index(path.name.split("_")[0]) for path in chosen], f"photos of {folder}"
    china, flower = load_sample_images().images
    sources, rng = (
        [data.chelsea(), data.coffee(), data.rocket(), data.astronaut(), china, flower],
        np.random.default_rng(0),
    )
    pictures = []
    for number in range(PHOTOS):
        source = Image.fromarray(sources[number % len(sources)])
        side = int(min(source.size) * rng.uniform(0.55, 1.0))
        left, top = (int(rng.integers(length - side + 1)) for length in source.size)
        pictures.append(np.asarray(source.crop((left, top, left + side, top + side))))
    answers = [each.prediction.index for each in seewhy.explain_all(model, pictures, method="saliency")]
    return pictures, answers, "crops of packaged photos, their classes the network's own answers"


def twin(recipe: Recipe, model: seewhy.Model) -> None:
    """Fifty photos attacked; the files that were written are read again and asked about."""
    pictures, truths, what = photographs(model, recipe.asked.data)
    crops, folder = seewhy.wrap(model, preprocess=model.preprocess.as_is()), recipe.asked.out / "twins"
    folder.mkdir(exist_ok=True)
    before = after = most = 0
    for start in range(0, PHOTOS, 10):
        mine, labels = pictures[start : start + 10], truths[start : start + 10]
        # -log p beyond log 1000 means that some other class leads: such a photo needs no further step
        found = seewhy.attack_all(
            model, mine, method="pgd", epsilon=EPSILON, steps=STEPS, stop=np.log(1000) + 1, target=labels, maps=None
        )
        paths = [each.save(folder / f"{start + n}.png", force=True) for n, each in enumerate(found)]
        again = seewhy.explain_all(crops, [str(path) for path in paths], method="saliency")
        for each, read, path, truth in zip(found, again, paths, labels, strict=True):
            before += each.before.index == truth
            after += read.prediction.index == truth
            with Image.open(path) as file:
                most = max(most, int(np.abs(np.asarray(file).astype(int) - each.image.astype(int)).max()))
    recipe.say(f"PGD-{STEPS}, epsilon {EPSILON} of 255, {PHOTOS} {what}: right before {before}, after {after}")
    recipe.check(f"under 5 % survive, judged on the files: {after / PHOTOS:.0%}", after / PHOTOS < 0.05)
    recipe.check(f"no pixel of a file moved by more than {EPSILON}: {most}", 0 < most <= EPSILON)
    one = seewhy.attack(model, data.coffee(), epsilon=2, steps=STEPS)
    one.gallery().save(recipe.asked.out / "vgg19-twin.png", force=True)
    recipe.say(f"the cup, by 2 levels: {one.before} becomes {one.after}")


def main() -> int:
    """Run what is asked; the exit code says whether every claim held."""
    recipe = Recipe("VGG-19 in PyTorch")
    asked = recipe.options()
    model = network()
    recipe.say(f"network: {model.name}, {model.weights}")
    photo = data.coffee()
    gap = float(
        np.abs(prepared_by_hand(model, photo) - model.to_input(seewhy.models.read_image(photo))[0].numpy()).max()
    )
    recipe.check(f"preprocessing by hand and the network's own differ by {gap:.1e}", gap < 1e-5)
    explained = seewhy.explain(model, photo, method="saliency", reduce="max-abs")
    explained.figure().save(asked.out / "vgg19-saliency.png")
    recipe.say(f"{explained.prediction}: saliency, the largest of three channels, Gini {gini(explained.map):.2f}")
    for seed in range(asked.seeds):
        saliency_and_cut(recipe, model, seed, 8 if asked.fast else 24)
    twin(recipe, model)
    return recipe.end()


TEXTURES = textures()

if __name__ == "__main__":
    sys.exit(main())
