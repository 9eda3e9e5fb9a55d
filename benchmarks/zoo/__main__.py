"""``python -m benchmarks.zoo``: takes the name of a zoo, judges each member in a process of its own, a JSON line a
model; ``--write`` makes a table of the lines; what is there already is not judged again."""

from __future__ import annotations

import argparse
import fnmatch
import json
import multiprocessing
import subprocess
import time
import traceback
import warnings
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import torch

from benchmarks.lines import read
from benchmarks.zoo import catalogue
from benchmarks.zoo.judging import judge
from benchmarks.zoo.table import table

#: seconds of a forward after which a model is not begun
_SLOW = 5.0


def main(argv: Sequence[str] | None = None) -> None:
    """Judge what is asked, and write it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo")
    parser.add_argument("--zoo", action="append", choices=catalogue.ZOOS, help="repeatable")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="names, as in 'vit_*'")
    parser.add_argument("--out", type=Path, default=Path("zoo.jsonl"), metavar="FILE.jsonl")
    parser.add_argument("--write", type=Path, metavar="FILE.md", help="write the table of what is in --out")
    parser.add_argument("--most", type=int, default=10**6, metavar="N", help="of each zoo; families take turns")
    parser.add_argument("--seconds", type=float, default=120.0, metavar="S", help="after which a model is given up")
    parser.add_argument("--list", action="store_true", help="only say which models there are")
    asked = parser.parse_args(argv)
    build = _build()
    for zoo in asked.zoo or ():
        members = [n for n in catalogue.names(zoo) if fnmatch.fnmatch(n, asked.only)][: asked.most]
        if asked.list:
            print("\n".join(members))
            continue
        there = {(row["zoo"], row["name"]) for row in read(asked.out)}
        for number, name in enumerate(members, 1):
            if (zoo, name) in there:
                continue
            began = time.perf_counter()
            row = _apart(zoo, name, asked.seconds)
            row |= {"seconds": round(time.perf_counter() - began, 1), "build": build}
            with asked.out.open("a") as file:
                file.write(json.dumps(row) + "\n")
            print(f"{zoo} {number}/{len(members)} {name} {row['seconds']} s {_brief(row)}", flush=True)
    if asked.write is not None:
        asked.write.write_text(table(read(asked.out)))


def _build() -> str:
    """The commit that is judged; nothing where that is not known."""
    here = Path(__file__).parent
    said = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=here, capture_output=True, text=True, check=False
    )
    return said.stdout.strip()


def _brief(row: dict[str, Any]) -> str:
    said = []
    for look in row.get("looks", ()):
        said.append(look.get("error") or look.get("refused") or f"{look['layer']} {look['grid']} {look.get('place')}")
    return " | ".join(text[:70] for text in said) or row.get("skipped", "")[:120]


def _apart(zoo: str, name: str, most: float) -> dict[str, Any]:
    """A model's row, made in a process of its own, which is ended when it takes too long."""
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    child = context.Process(target=_work, args=(zoo, name, theirs))
    child.start()
    theirs.close()
    looks: list[dict[str, Any]] = []
    skipped, end = "", time.monotonic() + most
    while True:
        try:
            if not ours.poll(max(end - time.monotonic(), 0)):
                skipped = f"too slow here: more than {most:.0f} s"
                break
            said = ours.recv()
        except EOFError:
            if child.exitcode not in (0, None):
                skipped = f"the process ended with {child.exitcode}"
            break
        if said is None:
            break
        if isinstance(said, str):
            skipped = said
            break
        looks.append(said)
    child.kill()
    child.join()
    return {"zoo": zoo, "name": name, "looks": looks} | ({"skipped": skipped} if skipped else {})


def _work(zoo: str, name: str, pipe: Connection) -> None:
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    seen: set[tuple[int, ...]] = set()
    for oblong in (False, True):
        try:
            exhibit = catalogue.build(zoo, name, oblong)
            size, seconds = _size(exhibit)
        except Exception as error:  # other people's networks fail in ways of their own: said, not judged
            if not seen:
                pipe.send(f"not built: {type(error).__name__}: {error}".splitlines()[0][:200])
                return
            break
        if seconds > _SLOW:
            pipe.send(f"too slow here: {seconds:.0f} s a forward")
            return
        if size in seen:
            break
        seen.add(size)
        try:
            pipe.send(judge(exhibit, size, prepared=not oblong))
        except Exception as error:
            traceback.print_exc()
            pipe.send({"size": list(size), "error": f"{type(error).__name__}: {error}".splitlines()[0][:200]})
    pipe.send(None)


def _size(exhibit: catalogue.Exhibit) -> tuple[tuple[int, int], float]:
    """The first size that the network takes, and seconds of a forward there."""
    failed: Exception | None = None
    for size in exhibit.sizes:
        shape = (2, *size, 3) if exhibit.last else (2, 3, *size)
        try:
            with torch.no_grad():
                _settle(exhibit, shape)
                began = time.perf_counter()
                exhibit.score(exhibit.net(torch.zeros(shape)))
                return size, time.perf_counter() - began
        except Exception as error:
            failed = error
    assert failed is not None
    raise failed


def _settle(exhibit: catalogue.Exhibit, shape: tuple[int, ...]) -> None:
    """Give batch norms statistics of their own: untrained deep networks die out, or explode, with those they come
    with."""
    norms = [p for p in exhibit.net.modules() if isinstance(p, torch.nn.modules.batchnorm._BatchNorm)]
    if norms:
        _widen(exhibit.net)
    for part in norms:
        part.train()
        part.momentum = 0.7 if part.momentum is not None else None
    draw = torch.Generator().manual_seed(3)
    try:
        for _ in range(2 if norms else 1):
            exhibit.net(torch.rand(shape, generator=draw) * 2 - 1)
    finally:
        for part in norms:
            part.eval()


def _widen(net: torch.nn.Module) -> None:
    """Weights so small that the variance that a batch norm divides by is next to nothing are made larger."""
    with torch.no_grad():
        for part in net.modules():
            weight = getattr(part, "weight", None)
            if isinstance(part, torch.nn.modules.conv._ConvNd) and weight.std() > 0:
                size = float(weight.std()) * weight[0].numel() ** 0.5
                if size < 0.5:
                    weight.mul_(1 / size)


if __name__ == "__main__":
    main()
