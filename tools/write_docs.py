"""Writes docs/methods.md and docs/metrics.md from the cards: run it after adding or changing a method or a metric.

python tools/write_docs.py                       # rewrite the pages
python tools/write_docs.py --check               # exit 1 if one is out of date
python tools/write_docs.py --package seewhy-toy  # print the cards that a package adds; the page has none of them
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import seewhy.methods  # noqa: F401 - fills the registry
from seewhy.methods._guide import GUIDE
from seewhy.metrics import Metric, metrics
from seewhy.registry import FAMILIES, Card, Method, methods

PAGE = Path(__file__).parent.parent / "docs" / "methods.md"
METRICS = PAGE.with_name("metrics.md")

TITLES = {
    "gradient": "Gradients",
    "cam": "Class activation maps",
    "perturbation": "Perturbation",
    "propagation": "Propagation",
    "attention": "Attention",
    "adversarial": "Adversarial attacks",
    "inside": "Inside the network",
}

INTRO = """# Methods

Every attribution method, from its card; this page is written by `python tools/write_docs.py`. S is the score that is
explained, x the input, A a layer's activation (C channels), g = dS/dA. Values are signed and in score units per unit
of the place unless said otherwise.

Every CAM takes `layer=` (one or several, `fuse=`), `backward_rule=` and `contrast=`; every gradient method takes
`layer=` where it says "any place", and `reduce=`.

Any of them can be a statistic of its maps at noisy copies of the image: `noise="smooth"`, `"squared"` or `"variance"`,
or a `seewhy.Noise` with numbers; `--noise smooth,n=16,sigma=0.1`.
"""


STATUSES = """## What a status says

A map's status is computed from what its card promises. Whatever is not `ok` has its cause in words.

| status | the map |
|---|---|
| `ok` | is what the method promises |
| `no-positive-evidence` | speaks against the target everywhere, or is 0 because the formula leaves out all that does |
| `no-evidence` | is 0 everywhere by the method's own formula, though the score does change with the place |
| `zero-gradient` | is 0 because nothing there changes the score, as one plain gradient shows, or nothing is there |
| `incomplete` | misses the sum it is to have by more than 1 %: functions of the network are not covered, or not seen |
| `not-converged` | is not as exact as was asked for: raise the steps or the samples |
| `unfinished` | was interrupted, and is what there was |
| `non-finite` | holds NaN or infinity, or the score does |
"""


def page() -> str:
    """The whole page: seewhy's own methods."""
    parts = [INTRO, guide(), STATUSES]
    own = [method for method in methods if not methods.package(method.name)]
    for family, words in FAMILIES.items():
        title = TITLES[family]
        mine = [method for method in own if method.card.family == family]
        rows = [f"| [{m.name}](#{m.name}) | {m.card.use} | {m.card.cost} |" for m in mine]
        head = [f"## {title}", "", f"{words.capitalize()}.", "", "| method | use it for | cost |", "|---|---|---|"]
        parts.append("\n".join([*head, *rows, ""]))
        parts.extend(entry(method) for method in mine)
    return "\n".join(parts)


def guide() -> str:
    """Which method for which question."""
    rows = [f"| {a.question} | {', '.join(f'[{n}](#{n})' for n in a.methods)} | {a.why} |" for a in GUIDE]
    return "\n".join(["## Which one?", "", "| question | begin with | why |", "|---|---|---|", *rows, ""])


def entry(method: Method) -> str:
    """One method's section."""
    card = method.card
    where = {"any": "any place, the input unless a layer is given", "input": "the input", "layer": "a layer"}[card.at]
    parameters = ", ".join(f"`{name}={value!r}`" for name, value in method.parameters.items()) or "none of its own"
    made = "" if card.call == "explain" else f"; made by `seewhy {card.call}`"
    lines = [
        f"### {method.name}",
        "",
        method.summary,
        "",
        f"- formula: `{card.formula}`",
        f"- source: {card.paper}",
        f"- explains: {where}; needs {', '.join(sorted(card.needs))}; {card.cost}{made}",
        f"- parameters: {parameters}" + (f"; channels reduced by `{card.reduce}`" if card.reduce else ""),
    ]
    if card.unit:
        lines.append(f"- counted in: {card.unit.format(score='unit of the score', place='place')}")
    if not card.discriminative:
        lines.append("- not class-discriminative")
    lines += [f"- the values add up to {card.sums}; where they miss it, the status says so"] if card.sums else []
    lines += [f"- leaves out {card.cuts}: a map of zeros may mean no evidence for the target"] if card.cuts else []
    lines += [f"- breaks [{', '.join(names)}](conformance.md): {why}" for why, names in _broken(card)]
    lines += [f"- beware: {caveat}" for caveat in card.caveats]
    return "\n".join([*lines, ""])


def _broken(card: Card) -> list[tuple[str, list[str]]]:
    """Reasons, each with the properties that a card excepts for it."""
    reasons: dict[str, list[str]] = {}
    for name, why in card.excepts.items():
        reasons.setdefault(why, []).append(name)
    return list(reasons.items())


MEASURES = """# Metrics

Numbers about maps, from their cards; this page is written by `python tools/write_docs.py`. M is a map, x the image, S
the score that is explained, p a probability. A metric is called with maps and functions, so that it judges anybody's
maps:

```python
import torch

from seewhy import metrics


def predict(x: torch.Tensor) -> torch.Tensor:
    scores: torch.Tensor = module(x)
    return scores[:, 1]


drawn = torch.rand(2, 32, 32)  # a map of each image of the batch
metrics.srg(predict, batch, drawn)  # a number each
print(metrics.srg.card.better, metrics.srg.measures(predict, batch, drawn)[0].arrays["weakest_first"][:3])
```

A map of another size than its image is refused; one that holds NaN, or is the same everywhere where that says nothing,
has no number, NaN, and `measures` says why. A map has the same number alone and in any company. A number alone says
little: hold it against those of maps that know no network (`seewhy.metrics.controls`): random ones with the map's own
values and spectrum, an edge map, a bump in the middle.
"""


def measures() -> str:
    """The whole page of metrics."""
    rows = [
        f"| [{m.name}](#{m.name}) | {m.card.use} | {m.card.better or 'neither way'} | {m.card.range} | {m.card.cost} |"
        for m in metrics
    ]
    head = ["| metric | what it tells | better | range | cost |", "|---|---|---|---|---|", *rows, ""]
    return "\n".join([MEASURES, *head, *map(measure, metrics)])


def measure(metric: Metric) -> str:
    """One metric's section."""
    card = metric.card
    parameters = ", ".join(f"`{name}={value!r}`" for name, value in metric.parameters.items()) or "none of its own"
    called = f"seewhy.metrics.{metric.name.replace('-', '_')}({', '.join(metric.takes)})"
    lines = [f"### {metric.name}", "", metric.summary, "", f"- formula: `{card.formula}`", f"- source: {card.paper}"]
    lines += [f"- called: `{called}`; parameters: {parameters}"]
    lines += [f"- counted in: {card.unit.format(score='the unit of the score')}"] if card.unit else []
    return "\n".join([*lines, *(f"- fooled: {words}" for words in card.fooled), ""])


def cards(package: str) -> str:
    """The sections of the methods that ``package`` adds; '' if it adds none."""
    return "\n".join(entry(each) for each in methods if methods.package(each.name).partition(" ")[0] == package)


def main() -> int:
    """Write the page; with ``--check`` compare it, with ``--package`` print another package's cards."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--check", action="store_true", help="exit 1 if the page is out of date")
    words.add_argument("--package", metavar="NAME", help="print the cards of the methods that this package adds")
    asked = words.parse_args()
    if asked.package:
        found = cards(asked.package)
        if not found:
            sys.exit(f"no package {asked.package!r} adds methods to seewhy. List them: seewhy methods --json")
        print(found, end="")
        return 0
    for path, text in ((PAGE, page()), (METRICS, measures())):
        if not asked.check:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            sys.exit(f"docs/{path.name} is out of date; write it: python tools/write_docs.py")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
