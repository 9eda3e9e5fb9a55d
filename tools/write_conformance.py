"""Writes docs/conformance.md: runs seewhy's own methods through all units, and with --peers the libraries around it.

python tools/write_conformance.py            # our table anew, those of others as they are
python tools/write_conformance.py --peers    # all tables, with the versions that are installed
python tools/write_conformance.py --picture  # draws docs/images/conformance.png as well
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

import seewhy.methods  # noqa: F401 - fills the registry
from seewhy.conformance import LIBRARIES, Conformance, run, units
from seewhy.registry import KINDS, PROPERTIES, methods

PAGE = Path(__file__).parent.parent / "docs" / "conformance.md"
PICTURE = PAGE.parent / "images" / "conformance.png"

#: how outcomes look on the page
SIGNS = {"passed": "✓", "by design": "○", "FAILED": "✗", "-": "–"}
#: before our table, and before those of others
OURS = "## seewhy"
OTHERS = "## Other libraries"

INTRO = """# Conformance

Small networks whose right answer is known exactly, as unit tests of attribution: what each part of the picture counts
is written into their weights, and a map is held against that. This page is written by
`python tools/write_conformance.py`.

![Maps of one unit](images/conformance.png)

*The unit `blind-half`: the network reads the left half alone, and the same cues lie, brighter, in the right half.
Beside the picture the exact answer, and the maps of six methods; in percent the evidence in the left half, of which a
sound map has at least 99.*

```sh
seewhy conformance                              # all of ours; exit code 1 if one fails and its card does not say so
seewhy conformance --method grad-cam --all      # one of them, with what cannot be asked, and why
seewhy conformance --library captum --json
seewhy conformance --list                       # the units
```

**For authors of methods.** Any function `explain(module, x, target)` that gives maps can be put through: `module` gives
scores [B, K] of inputs `x` [B, 1, 16, 16], maps are [B, h, w] or [B, C, h, w] with sides that are multiples of 4.

```python
import torch
from torch import Tensor, nn

from seewhy import conformance


def gradient(module: nn.Module, x: Tensor, target: int) -> Tensor:
    x.requires_grad_()
    return torch.autograd.grad(module(x)[:, target].sum(), x)[0].abs()


found = conformance.run(gradient, kind="sensitivity")
print(found.table())
for row in found.failures:
    print(row.unit, row.found)
print(conformance.units["saturation"].card.violated)
```
"""

JUDGING = """## How maps are judged

A unit judges a property, not equality with one formula. Pictures are 16 pixels a side, in cells of 4; a detector sees
one cell, so that a layer with one position a cell says as much as a map of pixels: evidence is summed over cells, and
coarse maps are judged at their own resolution. What is hidden, and what is compared with, is 0. What the values of a
map count is on the method's card:

{kinds}

**Tolerances** are those of the arithmetic: 1e-4 of the largest value in single precision; the tolerance of an integral
that has one, else what one of its nodes counts; for optimised masks rounding times steps; four standard errors for what
is sampled, as it says itself, or measured with several seeds. A map that its own error may have decided has no outcome.

**Outcomes**: ✓ passed; ○ failed by design: the formula implies it, and the card says why (`excepts`, told in
[methods.md](methods.md)); ✗ failed; – not asked: the method refuses the network, explains something else, or is not
exact enough at this budget (`seewhy conformance --all` says which). A method of ours that fails without its card saying
so fails the suite, and so does an exception that no unit shows.
"""

PEERS = """Each under its own names, its maps before they are cut, scaled and enlarged where it hands these out;
judged as our method of the same formula, whose exceptions it has (and torchcam those of its ReLU, Captum's Lime those
of the lasso, rules that multiply by pixels that of a shifted input). LRP starts from the score. Captum's and zennit's
attributors take one class of a network that reads the region or the object, in the place of the segmenter and the
detector.
"""


def ours(found: Conformance) -> str:
    """Everything before the tables of others."""
    kinds = "\n".join(f"- **{name}**: {words}" for name, words in KINDS.items())
    rows = [
        f"| `{each.name}` | {each.card.property} | {each.summary} | {each.card.checks} | {each.card.answer} | "
        f"{each.card.violated} | {each.card.paper} |"
        for each in units
    ]
    head = ["## Units", "", "| unit | property | network | a map has to | exact answer | violated | after |",
            "|---|---|---|---|---|---|---|"]  # fmt: skip
    properties = [f"| {name} | {words} |" for name, words in PROPERTIES.items()]
    return "\n".join(
        [INTRO, *head, *rows, "", "| property | of a sound map |", "|---|---|", *properties, "",
         JUDGING.format(kinds=kinds), OURS, "", _versions(found), "", *_table(found), ""]
    )  # fmt: skip


def others(results: Iterable[Conformance]) -> str:
    """The tables of other libraries."""
    parts = [OTHERS, "", PEERS]
    for found in results:
        parts += [f"### {found.library}", "", _versions(found), "", *_table(found), ""]
        failed: dict[tuple[str, str], list[str]] = {}
        for row in found.failures:
            failed.setdefault((row.method, row.found), []).append(row.unit)
        parts += [f"- {method}, {', '.join(names)}: {words}" for (method, words), names in failed.items()]
        parts += [""] if failed else []
    return "\n".join(parts)


def asked() -> list[str]:
    """Our methods that give maps of a picture for a class."""
    own = (each for each in methods if each.card.call == "explain" and not methods.package(each.name))
    return sorted(each.name for each in own if not each.card.by_layer)


def line(cells: Iterable[str]) -> str:
    """A row of a table: a method's name, and its outcomes as signs."""
    name, *found = cells
    return f"| {name} | {' | '.join(SIGNS[cell] for cell in found)} |"


def _versions(found: Conformance) -> str:
    """What ran; our own version is that of the page."""
    return ", ".join(f"{name} {version}" for name, version in found.versions.items() if name != "seewhy") + "."


def _table(found: Conformance) -> list[str]:
    heads, *rows = found.table()
    return [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|", *map(line, rows)]


def picture() -> None:
    """One unit's picture, its exact answer, and the maps of six methods."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    from seewhy.conformance import Maps, Scene
    from seewhy.conformance.explainers import ours as explainer

    names = ["occlusion", "integrated-gradients", "hires-cam", "grad-cam", "rise", "eigen-cam"]
    seen: list[tuple[Scene, Maps]] = []
    for name in names:
        explain = explainer(name).maps

        def watched(scene: Scene, explain: object = explain) -> Maps:
            seen.append((scene, explain(scene)))  # type: ignore[operator]
            return seen[-1][1]

        units["blind-half"].judge(watched)
    scene = seen[0][0]
    figure, axes = plt.subplots(2, 4, figsize=(10, 5.4), constrained_layout=True)
    axes[0, 0].imshow(scene.x[0, 0], cmap="gray", extent=(0, 4, 4, 0))
    axes[0, 0].set_title("picture")
    panels = [("exact answer", scene.answer[0].double())]
    panels += [(name, maps.values[0]) for name, (_, maps) in zip(names, seen, strict=True)]
    for axis, (title, values) in zip(axes.flat[1:], panels, strict=True):
        half = values.shape[1] // 2
        share = float(values[:, :half].abs().sum() / values.abs().sum())
        size = float(values.abs().max())
        axis.imshow(values, cmap="RdBu_r", vmin=-size, vmax=size, extent=(0, 4, 4, 0), interpolation="nearest")
        axis.set_title(f"{title}: {100 * share:.0f} %")
    for axis in axes.flat:
        axis.axvline(2, color="black", linewidth=1, linestyle="--")
        axis.set_xticks([])
        axis.set_yticks([])
    figure.savefig(PICTURE, dpi=110)


def main() -> None:
    """Run and write."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--peers", action="store_true", help="run other libraries, too: they have to be installed")
    words.add_argument("--picture", action="store_true", help="draw the picture, too")
    given = words.parse_args()
    if given.picture:
        picture()
    own = ours(run(asked()))
    if given.peers:
        rest = others([run(library=name) for name in LIBRARIES])
    else:
        rest = OTHERS + PAGE.read_text(encoding="utf-8").partition(OTHERS)[2]
    PAGE.write_text(f"{own}\n{rest.rstrip()}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
