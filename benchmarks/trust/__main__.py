"""``python -m benchmarks.trust``: takes a folder of photos, measures maps that are known to be right or wrong, a JSON
line for each; ``--write`` judges the lines and makes a table; what is there already is not measured again."""

from __future__ import annotations

import argparse
import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from benchmarks.lines import put, read
from benchmarks.trust.cases import maps_of
from benchmarks.trust.networks import GROUPS, Judged, judged
from benchmarks.trust.table import table
from seewhy.api.answered.predictions import predict_items
from seewhy.api.given.images import read_items
from seewhy.api.trusting.held import held
from seewhy.api.trusting.references import Comparing
from seewhy.core.forward.settings import Settings
from seewhy.core.targets import Logit
from seewhy.models.redrawn import redrawn

#: how sure a model has to be of a photo for its maps to count as good
SURE = 0.7
#: what the table stands between, in a page
_BEGIN, _END = "<!-- table -->", "<!-- end of table -->"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what is asked for, and write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.trust")
    parser.add_argument("data", type=Path, help="a folder with photos/*.JPEG and cifar10-6000.npz")
    parser.add_argument("--network", action="append", choices=[n for names in GROUPS.values() for n in names])
    parser.add_argument("--photos", type=int, default=20, metavar="N", help="of each network, right and sure")
    parser.add_argument("--out", type=Path, default=Path("trust.jsonl"), metavar="FILE.jsonl")
    parser.add_argument("--work", type=Path, default=Path("trust-networks"), metavar="DIR", help="for trained weights")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="put the table of what is in --out into a page")
    asked = parser.parse_args(argv)
    asked.work.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    for name in asked.network or ():
        _measure(name, judged(name, asked.data, asked.work), asked.photos, asked.out)
    if asked.write is not None:
        put(asked.write, table(read(asked.out)), _BEGIN, _END)


def _measure(name: str, given: Judged, photos: int, out: Path) -> None:
    there = {row["photo"] for row in read(out) if row["network"] == name}
    comparing = Comparing(given.model, Settings())
    # wrong maps are of another network than the one that the cards compare with
    untaught = redrawn(given.model, seed=7)
    before: dict[str, Tensor] | None = None
    done = 0
    for number, (photo, truth) in enumerate(given.photos):
        if done == photos:
            return
        item = read_items(given.model, photo)[0][0]
        (said,) = predict_items(given.model, [item])
        if said.prediction is None or not _right(said.prediction, truth) or (said.prediction.probability or 0) < SURE:
            continue
        done += 1
        target, second = (guess.index for guess in said.prediction.top[:2])
        if number in there and number + 1 not in there:
            before = maps_of(given.model, untaught, given.first, photo, target, second, None)
        if number in there:
            continue
        maps = maps_of(given.model, untaught, given.first, photo, target, second, before)
        before = maps
        found, cost = held(comparing, item, Logit(target), list(maps.values()))
        with out.open("a") as file:
            for which, one in zip(maps, found, strict=True):
                kind, method = which.split(": ")
                row = {
                    "network": name, "photo": number, "kind": kind, "method": method,
                    "probability": said.prediction.probability, "held": one if isinstance(one, str) else _plain(one),
                }  # fmt: skip
                file.write(json.dumps(row) + "\n")
        print(f"{name}: {done} of {photos} photos, {cost}", flush=True)


def _right(prediction: Any, truth: int | str) -> bool:
    return prediction.index == truth if isinstance(truth, int) else truth in (prediction.label or "").lower()


def _plain(one: Any) -> dict[str, Any]:
    return {
        name: value.round(6).tolist() if isinstance(value, np.ndarray) else value for name, value in asdict(one).items()
    }


if __name__ == "__main__":
    main()
