"""``python -m tools.kills PHOTOS``: a run over 500 pictures that is killed (SIGKILL) at 20 random moments, and gone on
with each time, against one that nobody touched: maps and index have to be the same, byte for byte. Prints what it found
and ends with 1 if they are not."""

from __future__ import annotations

import argparse
import hashlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import seewhy

#: the share of a whole run that one life lasts at most; its first seconds are spent on imports and on what is measured
_LIFE = 0.6


def main() -> int:
    """Kill, go on, compare."""
    words = argparse.ArgumentParser(prog="python -m tools.kills", description=__doc__)
    words.add_argument("photos", type=Path)
    words.add_argument("--count", type=int, default=500)
    words.add_argument("--kills", type=int, default=20)
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--prepare", default="off")
    words.add_argument("--executor", default="local")
    asked = words.parse_args()
    draw = random.Random(asked.seed)
    with tempfile.TemporaryDirectory() as place:
        folder, whole, out = (Path(place) / name for name in ("photos", "whole", "out"))
        _copied(asked.photos, folder, asked.count)
        line = ["run", str(folder), "-M", "grad-cam", "-M", "saliency", "--unit", "8", "--prepare", asked.prepare, "-q"]
        line = [sys.executable, "-m", "seewhy", *line, "--executor", asked.executor, "--out"]
        began = time.perf_counter()
        subprocess.run([*line, str(whole)], check=True)
        life = (time.perf_counter() - began) * _LIFE
        # what one machine has measured, the next run is to take over: else other steps may be found fastest
        out.mkdir()
        shutil.copy(whole / "manifest.json", out)
        done, killed = [], 0
        while killed < asked.kills:
            child = subprocess.Popen([*line, str(out)])
            time.sleep(draw.uniform(0.5, life))
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
                killed += 1
            child.wait()
            done.append(len(list((out / "done").glob("*.json"))))
            if done[-1] == len(list((whole / "done").iterdir())):  # it was done before all kills were: anew
                print(f"done after {killed} kills; units after each: {done}")
                if not _same(whole, out):
                    return 1
                for name in ("done", "maps", "index"):
                    shutil.rmtree(out / name)
        subprocess.run([*line, str(out)], check=True)
        print(f"{killed} kills; units that were done after each: {done}")
        return 0 if _same(whole, out) else 1


def _copied(photos: Path, folder: Path, count: int) -> None:
    folder.mkdir()
    files = sorted(path for path in photos.iterdir() if path.is_file() and path.suffix.lower() != ".md")
    for n in range(count):
        path = files[n % len(files)]
        shutil.copy(path, folder / f"{n:05d}{path.suffix}")


def _same(one: Path, other: Path) -> bool:
    contents = [
        {
            f"{path.parent.name}/{path.name}": hashlib.sha256(path.read_bytes()).hexdigest()
            for name in ("maps", "index")
            for path in sorted((place / name).iterdir())
        }
        for place in (one, other)
    ]
    rows = seewhy.open_run(other).table(["row", "method"]).to_pylist()
    twice = len(rows) - len({(row["row"], row["method"]) for row in rows})
    print(f"{len(rows)} rows, {twice} of them double; files the same: {contents[0] == contents[1]}")
    return contents[0] == contents[1] and not twice


if __name__ == "__main__":
    sys.exit(main())
