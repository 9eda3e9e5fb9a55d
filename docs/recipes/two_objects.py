"""Interpreting a CNN's prediction: where in a picture of two objects each class is, and what a biased network looks at.

First the built-in network and a picture that is half cat, half cup: CAM, Grad-CAM, guided backpropagation and guided
Grad-CAM for both classes. Then two small networks that tell a stethoscope from a syringe, after the study of doctors
and nurses in the Grad-CAM paper (Selvaraju et al. 2016, arXiv:1610.02391, section 6.3): one trained where hair goes
with the tool in 95 pictures of 100, one where it goes with nothing.

    python docs/recipes/two_objects.py --fast
"""

from __future__ import annotations

import shutil
import sys
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tools_network
import torch
from common import Recipe, Texture, edge_map, random_map, textures
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from torch import nn

import seewhy
from seewhy.api.demo import mosaic
from seewhy.metrics import relevance_mass
from seewhy.render import Cell, grid, write

OBJECTS = ("tiger cat", "espresso")
METHODS = ("cam", "grad-cam", "guided-backprop", "guided-grad-cam")

SIDE = 64
TOOLS = ("stethoscope", "syringe")
BIAS = 0.95
#: training ends when so many of an epoch's pictures were right
ENOUGH = 0.94


# ---------------------------------------------------------------- one picture, two objects


def two_objects(recipe: Recipe) -> None:
    """Each method, for each class: how much of its evidence is in that object's half."""
    model = seewhy.load("builtin")
    picture = mosaic([Path(str(resources.files("seewhy.photos") / name)) for name in ("chelsea.png", "coffee.png")])
    found = seewhy.explain_all(model, picture, method=list(METHODS), target=list(OBJECTS))
    picture.save(recipe.asked.out / "cat-and-cup.png")
    recipe.say(f"cat on the left, cup on the right; the network says: {found[0].prediction}")

    halves = _halves(found[0].map.shape)
    own = {}
    for method in METHODS:
        own[method] = [
            relevance_mass(found.where(method=method, target=name)[0].map, half)
            for name, half in zip(OBJECTS, halves, strict=True)
        ]
    view = np.asarray(picture.resize(found[0].map.shape[::-1]))
    own["edge map"] = [relevance_mass(edge_map(view), half) for half in halves]
    chance = [random_map(view.shape[:2], seed) for seed in range(20)]
    own["random map"] = [float(np.mean([relevance_mass(each, half) for each in chance])) for half in halves]

    recipe.say("share of the positive evidence in the class's own half: " + ", ".join(OBJECTS))
    for name, shares in own.items():
        recipe.say(f"  {name:16} " + "  ".join(f"{share:.2f}" for share in shares))
    for method in ("cam", "grad-cam", "guided-grad-cam"):
        worst, edges = min(own[method]), max(own["edge map"])
        recipe.check(
            f"{method}: {worst:.2f} or more of each class's evidence in its own half (edge map: {edges:.2f} at best; "
            f"random: 0.50); 0.75 wanted",
            worst >= 0.75 and worst > edges,
        )
    gap = [own[method][0] + own[method][1] - 1 for method in METHODS]
    recipe.check(
        f"guided backprop hardly tells the classes apart: {gap[2]:.2f}, where guided Grad-CAM has {gap[3]:.2f} (0: as "
        "much in either half whatever the class, 1: each in its own); less than half of that wanted",
        gap[2] < gap[3] / 2,
    )
    write(found.grid(cell=176), recipe.asked.out / "two-objects.jpg", force=True)


def _halves(size: tuple[int, ...]) -> list[NDArray[np.bool_]]:
    left = np.zeros(size, dtype=bool)
    left[:, : size[1] // 2] = True
    return [left, ~left]


# ---------------------------------------------------------------- a biased network and a rebalanced one


class Person(NamedTuple):
    """A picture [64, 64, 3], which tool, whether the hair is red (or fair), and where tool and hair are."""

    picture: NDArray[np.uint8]
    tool: int
    red: bool
    tool_mask: NDArray[np.bool_]
    hair_mask: NDArray[np.bool_]

    @property
    def minority(self) -> bool:
        """Whether the hair is the other tool's: red hair goes with the syringe."""
        return self.red != (self.tool == 1)


def person(rng: np.random.Generator, pieces: dict[str, Texture], tool: int, red: bool) -> Person:
    """Somebody in a coat in front of something, with a tool at the chest; all surfaces are cut from photographs."""

    def cut(*names: str) -> NDArray[np.float64]:
        return pieces[rng.choice(names)](rng, SIDE, SIDE).astype(np.float64)

    middle, top = 32 + rng.integers(-6, 7), 15 + rng.integers(-3, 4)
    picture = cut("brick", "grass", "gravel", "sky", "trees", "leaves", "night")
    coat = _drawn("polygon", [(middle - 22, 64), (middle - 15, top + 14), (middle + 15, top + 14), (middle + 22, 64)])
    head = _drawn("ellipse", (middle - 7, top - 9, middle + 7, top + 9))
    hair = _drawn("ellipse", (middle - 9, top - 12, middle + 9, top + 2))
    if rng.random() < 0.5:  # long or short, whatever the tool
        hair |= _drawn("rectangle", (middle - 11, top - 4, middle - 6, top + 16))
        hair |= _drawn("rectangle", (middle + 6, top - 4, middle + 11, top + 16))
    hair &= ~_drawn("ellipse", (middle - 6, top - 5, middle + 6, top + 8))

    cloth = cut("gravel", "fur", "sky", "brick")
    picture[coat] = (rng.uniform(140, 210) + 0.4 * (cloth - cloth.mean()))[coat]
    skin = cut("fur", "wood")
    picture[head] = (np.array([190, 145, 120]) * rng.uniform(0.5, 1.1) + 0.3 * (skin - skin.mean()))[head]
    strands = cut("fur", "wood", "grass")
    colour = np.array([185, 65, 30] if red else [220, 185, 110]) * rng.uniform(0.7, 1.1)
    picture[hair] = (colour + 0.4 * (strands - strands.mean()))[hair]

    mask = _tool(rng, tool, (middle + rng.integers(-8, 9), top + 30 + rng.integers(-5, 6)))
    picture[mask] = rng.uniform(10, 50) + rng.normal(0, 8, 3)
    for _ in range(rng.integers(0, 3)):  # pens and creases: as dark as the tool, and no tool
        u, v, turn = middle + rng.integers(-16, 17), top + rng.integers(20, 46), rng.uniform(0, np.pi)
        line = _drawn("line", [(u, v), (u + 7 * np.cos(turn), v + 7 * np.sin(turn))], width=2) & ~mask
        picture[line] = rng.uniform(15, 90)
    picture = ndimage.gaussian_filter(picture, (0.5, 0.5, 0)) + rng.normal(0, 4, picture.shape)
    return Person(picture.clip(0, 255).astype(np.uint8), tool, red, mask, hair)


def _tool(rng: np.random.Generator, tool: int, at: tuple[int, int]) -> NDArray[np.bool_]:
    """A loop with a disc, or a rod with a plunger; turned at random."""
    turn, grow = rng.uniform(-0.6, 0.6), rng.uniform(0.85, 1.2)

    def place(*points: tuple[float, float]) -> list[tuple[float, float]]:
        return [
            (
                at[0] + grow * (u * np.cos(turn) - v * np.sin(turn)),
                at[1] + grow * (u * np.sin(turn) + v * np.cos(turn)),
            )
            for u, v in points
        ]

    if tool == 0:
        arc = [(5 * np.cos(a), 5 * np.sin(a)) for a in np.linspace(0, np.pi, 9)]
        mask = _drawn("line", place((5, -6), *arc, (-5, -6)), width=2)
        (u, v), *_ = place((0, 8))
        return mask | _drawn("ellipse", (u - 2.5, v - 2.5, u + 2.5, v + 2.5))
    mask = _drawn("line", place((0, -9), (0, 10)), width=2) | _drawn("line", place((0, -4), (0, 5)), width=5)
    return mask | _drawn("line", place((-4, -9), (4, -9)), width=2)


def _drawn(shape: str, where: object, **options: int) -> NDArray[np.bool_]:
    canvas = Image.new("1", (SIDE, SIDE))
    getattr(ImageDraw.Draw(canvas), shape)(where, fill=1, **options)
    return np.array(canvas)


def people(rng: np.random.Generator, pieces: dict[str, Texture], count: int, bias: float) -> list[Person]:
    """``count`` people, half with each tool; in a share of ``bias`` the hair is the tool's usual one."""
    made = []
    for n in range(count):
        tool = n % 2
        usual = rng.random() < bias
        made.append(person(rng, pieces, tool, (tool == 1) == usual))
    return made


def train(made: list[Person], enough: float, most: int, seed: int) -> tuple[nn.Module, float, int]:
    """A small network that ends in pooling and one linear layer; the last epoch's accuracy, and how many there were.

    It ends with the first epoch in which a share of ``enough`` was right, or after ``most``."""
    torch.manual_seed(seed)
    network = tools_network.network()
    x, y = batch(made), torch.tensor([each.tool for each in made])
    optimiser = torch.optim.AdamW(network.parameters(), 2e-3, weight_decay=1e-2)
    right, epochs = 0.0, 0
    while right < enough and epochs < most:
        right, epochs = 0.0, epochs + 1
        for rows in torch.randperm(len(x)).split(32):
            mirrored = x[rows].flip(-1) if torch.rand(()) < 0.5 else x[rows]
            scores = network(mirrored)
            loss = nn.functional.cross_entropy(scores, y[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            right += float((scores.argmax(1) == y[rows]).sum()) / len(x)
    return network.eval(), right, epochs


def batch(made: list[Person]) -> torch.Tensor:
    """Pictures as the network takes them: [N, 3, 64, 64], from -1 to 1."""
    return torch.from_numpy(np.stack([each.picture for each in made])).movedim(-1, 1) / 127.5 - 1


def accuracy(network: nn.Module, made: list[Person]) -> float:
    """The share that is right."""
    with torch.no_grad():
        answers = network(batch(made)).argmax(1)
    return float((answers == torch.tensor([each.tool for each in made])).double().mean())


def looks(maps: list[NDArray[np.float64]], made: list[Person]) -> dict[str, float]:
    """How many times chance the evidence on the tool and on the hair is; masks are widened by 2 pixels, half a cell of
    the layer's grid."""
    found: dict[str, list[float]] = {"tool": [], "hair": []}
    for values, each in zip(maps, made, strict=True):
        for what, mask in (("tool", each.tool_mask), ("hair", each.hair_mask)):
            wide = ndimage.binary_dilation(mask, iterations=2)
            share = relevance_mass(values, wide)
            if np.isfinite(share):  # a map without any positive evidence looks at nothing
                found[what].append(share / wide.mean())
    return {what: float(np.mean(times)) for what, times in found.items()}


def bias_study(recipe: Recipe, seed: int, pieces: dict[str, Texture]) -> dict[str, dict[str, float]]:
    """Train both networks; what each gets right and looks at."""
    fast = recipe.asked.fast
    rng = np.random.default_rng(seed)
    count, tested = 1400, 300 if fast else 1000
    test = people(rng, pieces, tested, 0.5)
    few, many = [each for each in test if each.minority], [each for each in test if not each.minority]
    shown = few[: 60 if fast else 200]
    found: dict[str, dict[str, float]] = {}
    explained, networks = {}, {}
    plans = {"biased": (BIAS, ENOUGH, 15), "rebalanced": (0.5, ENOUGH, 15)}
    if not fast:
        plans["biased, longer"] = (BIAS, 1.1, 10)  # ten epochs, whatever is right
    for name, (bias, enough, most) in plans.items():
        network, right, epochs = train(people(rng, pieces, count, bias), enough, most, seed)
        networks[name] = network
        recipe.say(f"seed {seed}, {name}: {epochs} epochs, {right:.3f} of the training pictures right in the last")
        model = seewhy.wrap(
            network, labels=TOOLS, preprocess=seewhy.Preprocess((SIDE, SIDE), None, mean=(0.5,) * 3, std=(0.5,) * 3)
        )
        maps = seewhy.explain_all(model, [each.picture for each in shown], method="grad-cam")
        explained[name] = maps
        found[name] = {
            "minority": accuracy(network, few),
            "majority": accuracy(network, many),
            **looks([each.map for each in maps], shown),
        }
    found["edge map"] = looks([edge_map(each.picture) for each in shown], shown)
    found["random map"] = looks([random_map((SIDE, SIDE), n) for n in range(len(shown))], shown)
    if seed == 0:
        keep(networks, {"minority": shown, "majority": many[: len(shown)]}, recipe.asked.out)
        _draw(recipe, shown[:4], explained)
    return found


def keep(networks: dict[str, nn.Module], groups: dict[str, list[Person]], out: Path) -> None:
    """What the command line starts from: both networks' weights, the source that builds them, the two classes, and
    people whom neither network has seen in a folder for each tool."""
    shutil.copy(tools_network.__file__, out)
    (out / "tools.txt").write_text("".join(f"{tool}\n" for tool in TOOLS), encoding="utf-8")
    for name in ("biased", "rebalanced"):
        torch.save(networks[name].state_dict(), out / f"{name}.pth")
    for group, made in groups.items():
        for number, each in enumerate(made):
            folder = out / "people" / group / TOOLS[each.tool]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(each.picture).save(folder / f"{number:03}-{'red' if each.red else 'fair'}.png")


def _draw(recipe: Recipe, shown: list[Person], explained: dict[str, seewhy.Explanations]) -> None:
    rows = [[Cell(each.picture, (TOOLS[each.tool], f"{'red' if each.red else 'fair'} hair")) for each in shown]]
    for name, maps in explained.items():
        row = [Cell(np.asarray(maps[n].overlay()), (name, f"says {maps[n].prediction}")) for n in range(len(shown))]
        rows.append(row)
    figure = grid(rows, cell=150, header="Grad-CAM of each network's own answer", footer="Each map has its own scale.")
    write(figure, recipe.asked.out / "biased-and-rebalanced.jpg", force=True)


def main() -> int:
    """Run both parts."""
    recipe = Recipe("Interpreting a CNN's prediction: two objects, and two networks of which one is biased")
    recipe.options()
    two_objects(recipe)
    pieces = textures()
    runs = []
    for seed in range(recipe.asked.seeds):
        found = bias_study(recipe, seed, pieces)
        runs.append(found)
        recipe.say(
            f"seed {seed}; minority: the hair is the other tool's (half of the test, 5 % of the biased training set); "
            "evidence on tool and hair times chance, on the minority"
        )
        for name, numbers in found.items():
            recipe.say(f"  {name:11}" + "".join(f"  {what} {value:5.2f}" for what, value in numbers.items()))

    def worst(name: str, what: str, low: bool = True) -> float:
        return (min if low else max)(run[name][what] for run in runs)

    recipe.check(
        f"biased: right on the majority ({worst('biased', 'majority'):.2f}; 0.85 wanted), not on the minority "
        f"({worst('biased', 'minority', low=False):.2f} at most; a coin: 0.50)",
        worst("biased", "majority") >= 0.85 and worst("biased", "minority", low=False) < 0.5,
    )
    recipe.check(
        f"rebalanced: right on the minority ({worst('rebalanced', 'minority'):.2f}; 0.8 wanted)",
        worst("rebalanced", "minority") >= 0.8,
    )
    rivals = ("edge map", "random map")
    recipe.check(
        f"rebalanced: evidence on the tool {worst('rebalanced', 'tool'):.1f} times chance or more; biased "
        f"{worst('biased', 'tool', low=False):.1f}, edge map {worst('edge map', 'tool', low=False):.1f}, random map "
        f"{worst('random map', 'tool', low=False):.1f} at most; 4 wanted",
        worst("rebalanced", "tool") >= 4
        and all(run["rebalanced"]["tool"] > run[other]["tool"] for run in runs for other in ("biased", *rivals)),
    )
    recipe.check(
        f"biased: evidence on the hair {worst('biased', 'hair'):.1f} times chance or more; "
        f"rebalanced {worst('rebalanced', 'hair', low=False):.1f}, "
        f"edge map {worst('edge map', 'hair', low=False):.1f}, "
        f"random map {worst('random map', 'hair', low=False):.1f} at most",
        all(run["biased"]["hair"] > run[other]["hair"] for run in runs for other in ("rebalanced", *rivals)),
    )
    return recipe.end()


if __name__ == "__main__":
    sys.exit(main())
