"""``python -m benchmarks.audit.repairs DATA``: networks with planted cues audited, repaired in each of the four ways,
and measured on pictures that neither training nor audit saw; beside training on unbiased data, re-weighting by groups
that somebody labelled, and BNNR where it is installed. A JSON line for each; ``--write`` makes a table of the lines."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from torch import nn

import seewhy
from benchmarks.audit.command import Case, Row, carried_out
from benchmarks.audit.cues import CUES
from benchmarks.audit.folders import by_class, masks_of
from benchmarks.audit.mended import Mended, reweighted, without_bias
from benchmarks.audit.peers import bnnr
from benchmarks.audit.planted import Design, Made, designs, made
from benchmarks.audit.repaired import WAYS, table
from benchmarks.audit.training import drop, preprocess, seeded, standing, trained
from seewhy.errors import SeewhyError

#: BNNR, whose maps take a hundred passes forth and back for each picture, gets every fourth design
_PEER = 4
_SHARES = (0.75, 0.9, 1.0)
_TURNED = ("watermark", "texture")
_MARKS = "<!-- repairs -->", "<!-- end of repairs -->"


def main(argv: Sequence[str] | None = None) -> None:
    """Measure what is asked for, and write it."""
    carried_out("python -m benchmarks.audit.repairs", argv, _cases, table, _MARKS, out="repairs.jsonl")


def _cases(asked: Namespace) -> Iterator[Case]:
    for design in repaired_designs():
        yield Case(design, partial(_known, design), partial(row_of, design, asked.data, asked.work), _told)


def _known(design: Design, row: Row) -> bool:
    return bool(row["design"] == design.name)


def _told(row: Row) -> str:
    return f": {row['chosen'] or 'none'} {row['why']}, {row['seconds']}"


def repaired_designs() -> list[Design]:
    """Of the designs with 75, 90 and 100 %, every second one: each cue with each share once, in both kinds of data in
    turn; of the cues that can move two do and two stay."""
    some = [each for each in designs() if each.cue is not None and each.share in _SHARES]
    return [
        each
        for each in some
        if (CUES.index(each.cue) + (each.cue in _TURNED) + _SHARES.index(each.share)) % 2 == (each.data == "scenes")
    ]


def row_of(design: Design, data: Path, work: Path) -> dict[str, Any]:
    """Everything that the table is made of, as JSON holds it; networks as they were are kept in ``work``."""
    pictures, seconds = made(design, data), dict[str, float]()
    network = trained(pictures, work / f"{design.name}.pt")
    row: dict[str, Any] = {
        "design": design.name, "data": design.data, "cue": design.cue, "share": design.share, "moving": design.moving,
        "biased": pictures.biased,
    }  # fmt: skip
    networks = {"before": network}
    with TemporaryDirectory() as folder:
        row |= _repaired(pictures, network, networks, Path(folder), seconds)
    others: dict[str, Callable[[], nn.Module | None]] = {
        "unbiased": partial(without_bias, pictures, data), "re-weighted": partial(reweighted, pictures),
    }  # fmt: skip
    if design in repaired_designs()[::_PEER]:
        others["bnnr"] = partial(bnnr, pictures)
    for name, train in others.items():
        with _timed(seconds, name), seeded(design):
            found = train()
        if found is not None:
            networks[name] = found
    row["standing"] = {name: standing(each, pictures) for name, each in networks.items()}
    row["drop"] = {name: drop(each, pictures) for name, each in networks.items()}
    row["seconds"] = {name: round(took, 1) for name, took in seconds.items()}
    return row


def _repaired(
    pictures: Made, network: nn.Module, networks: dict[str, nn.Module], place: Path, seconds: dict[str, float]
) -> dict[str, Any]:
    """What the audit found, and, with the repairs added to ``networks``, which of them does best on held-out
    pictures."""
    model = seewhy.wrap(network, preprocess=preprocess(pictures), labels=[f"c{k}" for k in range(pictures.classes)])
    by_class(pictures.train, place / "train")
    held = by_class(pictures.audit, place / "held")
    masks = None if pictures.audit.objects is None else place / "masks"
    if masks is not None:
        masks_of(pictures.train, "train", masks)
        masks_of(pictures.audit, "held", masks)
    with _timed(seconds, "audit"):
        audit = seewhy.audit(model, str(held), masks=masks)
    found: dict[str, Any] = {
        "found": [f.candidate.tag for f in audit.shortcuts if f.candidate.index == pictures.biased],
        "elsewhere": sum(f.candidate.index != pictures.biased for f in audit.shortcuts),
        "chosen": "", "held": {}, "why": "" if audit.shortcuts else "the audit found no shortcut",
    }  # fmt: skip
    if not audit.shortcuts:
        return found
    mended = Mended(model, network, pictures, audit, place, masks)
    for how in WAYS:
        try:
            with _timed(seconds, how):
                networks[how] = getattr(mended, how)()
        except SeewhyError as error:
            found["why"] += f"{how}: {error}; "
    found["held"] = {how: mended.worst(each) for how, each in networks.items()}
    found["chosen"] = max(found["held"], key=found["held"].get)  # the cheapest of equals
    return found


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - began


if __name__ == "__main__":
    main()
