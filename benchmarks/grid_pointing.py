"""``python -m benchmarks.grid_pointing PHOTOS [--mosaics 100] [--keep FOLDER] [--out docs/grid-pointing.md]``: whether
evidence for a class is where the class is, for every method that explains one, on the built-in model; takes photos,
gives a Markdown table with controls and intervals.

Methods are done one after the other, the cheapest first; the same command goes on where one was ended, and with
``--rows``, a compressed file of all numbers, on another machine. The page is written when all are done, and after every
method to ``KEEP/so-far.md``.
"""

from __future__ import annotations

import argparse
import json
import lzma
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import seewhy
from benchmarks.mosaic import discriminative
from seewhy.registry import Method, Need

__all__ = ["main", "merged", "page"]

#: budgets under the defaults, so that a map takes seconds on two cores (without the untrained model's map); and layers
#: where a method needs some, or where the last one's 1280 channels are a pass each
SETTINGS: dict[str, dict[str, Any]] = {
    "ss-cam": {"n": 1}, "is-cam": {"n": 1}, "score-cam": {"budget": 64}, "guided-ig": {"steps": 12},
    "blur-ig": {"steps": 8}, "integrated-gradients": {"rule": "gauss-legendre", "steps": 8}, "rise": {"n": 300},
    "sobol": {"n": 528}, "hsic": {"n": 200}, "meaningful-perturbation": {"steps": 20},
    "occlusion": {"window": 64, "stride": 32}, "extremal-perturbation": {"steps": 20, "areas": (0.2,)},
    "expected-gradients": {"n": 8}, "xrai": {"steps": 8}, "shapley-sampling": {"n": 200}, "lime": {"n": 200},
    "kernel-shap": {"n": 200}, "conductance": {"steps": 8}, "internal-influence": {"steps": 8},
    "layer-integrated-gradients": {"steps": 8}, "smooth-grad": {"n": 8}, "smooth-grad-squared": {"n": 8},
    "var-grad": {"n": 8}, "smooth-grad-cam-pp": {"n": 8}, "feature-ablation": {},
    "unit-ablation": {"units": "positions"},  # channels have no place
}  # fmt: skip
LAYERS = {
    "refine-cam": "blocks.4+blocks.6", "internal-influence": "blocks.6", "conductance": "blocks.6",
    "layer-integrated-gradients": "blocks.6", "unit-ablation": "blocks.6", "ss-cam": "blocks.6", "is-cam": "blocks.6",
}  # fmt: skip
#: those that need what a mosaic does not have: other images, a detector, a neuron
_NOT = ("deep-shap", "d-rise", "layer-expected-gradients", "neuron-conductance")


def _dear(method: Method) -> tuple[int, str]:
    """The order of methods: maps of a layer, which have cheap controls; those of a pass or two; those of many."""
    slow = ("guided-ig", "is-cam", "ss-cam", "extremal-perturbation", "xrai", "meaningful-perturbation")
    many = Need.STREAM in method.card.needs and method.name not in ("ablation-cam", "recipro-cam")
    of_layer = method.card.at == "layer" and method.name != "guided-grad-cam"
    return (3 if method.name in slow else 2 if many else 0 if of_layer else 1), method.name


def merged(rankings: Sequence[seewhy.Ranking]) -> seewhy.Ranking:
    """Rankings of several methods on the same mosaics as one. Raises `ValueError` for other mosaics."""
    first = rankings[0]
    images: list[dict[str, Any]] = []
    for rows in zip(*(ranking.images for ranking in rankings), strict=True):
        cases = []
        for some in zip(*(row["cases"] for row in rows), strict=True):
            if len({case["target"] for case in some}) > 1 or len({str(row["tiles"]) for row in rows}) > 1:
                raise ValueError(f"{rows[0]['name']} is not the same mosaic everywhere: begin anew")
            methods: dict[str, Any] = {}
            for case in some:
                methods |= case["methods"]
            cases.append({**some[0], "methods": methods})
        images.append({**rows[0], "cases": cases})
    names = tuple(name for ranking in rankings for name in ranking.methods)
    left_out = {name: why for ranking in rankings for name, why in ranking.left_out.items()}
    return replace(first, methods=names, images=tuple(images), left_out=left_out)


def page(ranking: seewhy.Ranking, settings: Mapping[str, Mapping[str, Any]]) -> str:
    """The page of a finished table."""
    said = [f"{name} ({', '.join(f'{key}={value}' for key, value in own.items())})" for name, own in settings.items()]
    text = ranking.to_markdown().split("### grid-pointing, higher is better\n\n", 1)[1]
    rows = ranking.standings()
    pairs = len(rows) * (len(rows) - 1) // 2
    head = f"""# Grid pointing, every method

{len(ranking.images)} mosaics of 2 x 2 photos of which the built-in model is at least 90 % sure, each of four classes,
as large as one photo; every class is explained, and counted is the share of a map's positive part that lies in that
class's own tile (Boehle, Fritz & Schiele 2021, arXiv:2104.00032). A map that knows nothing has 25 %. Written by
`python -m benchmarks.grid_pointing PHOTOS`; how to read the columns: [evaluate](evaluate.md).

The edge map and the bump are the same for all four classes of a mosaic, so that their mean is 25 % by construction; so
is that of every method whose map does not depend on the class (`eigen-cam`, `fem`, `kpca-cam`, `guided-backprop`,
`deconvnet`, `layer-activation`), which are left out. Methods that share a letter cannot be told apart (paired sign
flips over mosaics, Holm over all {pairs} pairs). Photos come again in several mosaics, so that intervals are
somewhat too narrow for other photos.

"""
    budgets = f"\nBudgets under the defaults, and layers: {'; '.join(said)}.\n" if said else ""
    return head + text + budgets


def main() -> None:
    """Run what is asked and write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.grid_pointing")
    parser.add_argument("photos", type=Path)
    parser.add_argument("--mosaics", type=int, default=100)
    parser.add_argument("--keep", type=Path, default=Path("grid-pointing"))
    parser.add_argument("--out", type=Path, default=Path("docs/grid-pointing.md"))
    parser.add_argument("--rows", type=Path, help="numbers of methods that are done, read and written (.json.xz)")
    parser.add_argument("--method", action="append", help="repeatable; all, unless given")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    model = seewhy.load("builtin")
    known = [each for each in sorted(discriminative(), key=_dear) if each.name not in _NOT]
    asked_for = [each for each in known if not asked.method or each.name in asked.method]
    done: list[seewhy.Ranking] = []
    settings: dict[str, dict[str, Any]] = {}
    if asked.rows is not None and asked.rows.is_file():
        _spread(asked.rows, asked.keep)
    for lot in _lots(asked_for):
        for name, ranking in _ranked(model, asked, lot).items():
            word = _word(name)
            if SETTINGS.get(name):
                settings[word] = SETTINGS[name]
            done.append(ranking)
            row = ranking.standings()[0]
            print(f"{word}: {row.mean:.3f} [{row.low:.3f}, {row.high:.3f}], random {row.random:.3f}", flush=True)
        (asked.keep / "so-far.md").write_text(page(merged(done), settings), encoding="utf-8")
        if asked.rows is not None:
            _gather(merged(done), asked.rows)
    whole = merged(done)
    asked.out.write_text(page(whole, settings), encoding="utf-8")
    whole.save(asked.keep / "grid-pointing.png", force=True)
    print(f"{len(done)} methods: {asked.out}", flush=True)


def _gather(ranking: seewhy.Ranking, rows: Path) -> None:
    """Write the numbers of all methods, to four digits, in one compressed file."""
    text = json.dumps(_rounded(ranking.to_dict()), separators=(",", ":"))
    rows.write_bytes(lzma.compress(text.encode(), preset=9))


def _spread(rows: Path, keep: Path) -> None:
    """Put each method of such a file into a file of its own, where there is none."""
    keep.mkdir(parents=True, exist_ok=True)
    whole = keep / "rows.json"
    whole.write_bytes(lzma.decompress(rows.read_bytes()))
    ranking = seewhy.Ranking.load(whole)
    whole.unlink()
    for word in ranking.methods:
        own = keep / f"{word.partition('@')[0]}.json"
        if not own.is_file():
            _alone(ranking, word).save(own)


def _rounded(what: Any) -> Any:
    if isinstance(what, float):
        return round(what, 4)
    if isinstance(what, dict):
        return {key: _rounded(value) for key, value in what.items()}
    return [_rounded(value) for value in what] if isinstance(what, list) else what


def _word(name: str) -> str:
    layer = LAYERS.get(name)
    return f"{name}@{layer}" if layer else name


def _lots(known: Sequence[Method]) -> list[list[str]]:
    """Methods that are asked together, since they share passes: those of a layer, those of few passes; then each of
    many by itself, with its own settings."""
    lots: dict[int, list[str]] = {0: [], 1: []}
    alone = []
    for method in known:
        rank, name = _dear(method)
        if rank in lots and name not in SETTINGS:
            lots[rank].append(name)
        else:
            alone.append([name])
    return [lot for lot in lots.values() if lot] + alone


def _ranked(model: seewhy.Model, asked: argparse.Namespace, lot: Sequence[str]) -> dict[str, seewhy.Ranking]:
    """The ranking of each method of a lot, by name; what an earlier run has finished is read."""
    files = {name: asked.keep / f"{name}.json" for name in lot}
    found = {name: ranking for name, file in files.items() if (ranking := _kept(file, asked.mosaics)) is not None}
    left = [name for name in lot if name not in found]
    if left:
        try:
            together = seewhy.evaluate(
                model, asked.photos, [_word(name) for name in left], grid=2, mosaics=asked.mosaics, shrink=True,
                keep=asked.keep,  # of which photos the model is sure is found once
                prepare=True,  # thousands of passes are to come, which no single mosaic knows
                untrained=lot[0] not in SETTINGS, **(SETTINGS.get(lot[0], {}) if len(lot) == 1 else {}),
            )  # fmt: skip
        except seewhy.errors.UsageError as error:
            print(f"{', '.join(left)}: left out, {error}", flush=True)
            return found
        for name in left:
            if _word(name) in together.methods:
                found[name] = _alone(together, _word(name))
                found[name].save(files[name], force=True)
            else:
                print(f"{_word(name)}: left out, {together.left_out.get(_word(name))}", flush=True)
    return found


def _alone(ranking: seewhy.Ranking, word: str) -> seewhy.Ranking:
    """What a ranking says of one of its methods."""
    images = [
        {**row, "cases": [{**case, "methods": {word: case["methods"][word]}} for case in row["cases"]]}
        for row in ranking.images
    ]
    return replace(ranking, methods=(word,), images=tuple(images))


def _kept(path: Path, mosaics: int) -> seewhy.Ranking | None:
    """A method that an earlier run has finished."""
    if not path.is_file():
        return None
    ranking = seewhy.Ranking.load(path)
    return ranking if len(ranking.images) == mosaics else None


if __name__ == "__main__":
    main()
