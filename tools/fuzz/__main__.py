"""``python -m tools.fuzz --networks 50 --jobs 2``: random networks against every way of computing; prints the seeds of
disagreements and exits with 1 if there is one, or if an interpreter died."""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import time
import traceback

#: networks that one process takes: what ends it loses no more
_EACH = 25


def main() -> int:
    """Run the trials; a child runs some of them by itself."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--networks", type=int, default=50)
    words.add_argument("--seed", type=int, help="the first seed; drawn, and printed, if left out")
    words.add_argument("--jobs", type=int, default=1)
    words.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.child:
        return _child(asked.seed, asked.networks)
    first = random.randrange(10**6) if asked.seed is None else asked.seed
    print(
        f"{asked.networks} networks from seed {first}; one alone: python -m tools.fuzz --networks 1 --seed N",
        flush=True,
    )
    waiting = [(n, min(_EACH, first + asked.networks - n)) for n in range(first, first + asked.networks, _EACH)]
    running: list[tuple[int, int, subprocess.Popen[str]]] = []
    began, done, bad, unfit, alarms = time.perf_counter(), 0, 0, 0, 0
    while waiting or running:
        while waiting and len(running) < asked.jobs:
            start, count = waiting.pop(0)
            running.append((start, count, _begun(start, count)))
        start, count, process = running.pop(0)
        out, errors = process.communicate()
        lines = [line for line in out.splitlines() if line.startswith(("seed", "  "))]
        if process.returncode not in (0, 1):
            lines.append(
                f"seeds {start} to {start + count - 1}: the interpreter died ({process.returncode}): {errors[-400:]}"
            )
        if process.returncode == 1 and not lines:
            lines.append(f"seeds {start} to {start + count - 1}: {errors[-800:]}")
        for line in out.splitlines():
            if line.startswith("unfit "):
                unfit, alarms = unfit + int(line.split()[1]), alarms + int(line.split()[3])
        bad += sum(line.startswith("seed") for line in lines)
        done += count
        lines.append(
            f"{done} of {asked.networks} in {time.perf_counter() - began:.0f} s: {bad} disagree, {unfit} unfit, "
            f"{alarms} with a program dropped though all maps agree"
        )
        print("\n".join(lines), flush=True)
    return int(bad > 0)


def _begun(start: int, count: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tools.fuzz", "--child", "--seed", str(start), "--networks", str(count)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment)


def _child(first: int, count: int) -> int:
    import torch

    from tools.fuzz.trial import ALARM, trial

    torch.set_num_threads(1)
    bad = unfit = alarms = 0
    for seed in range(first, first + count):
        try:
            words, found = trial(seed)
        except Exception:  # one network's trouble is a finding, and no end of the others
            words, found = "raised", traceback.format_exc().splitlines()[-4:]
        unfit += "passed over" in words
        alarms += any(ALARM in each for each in found)
        if any(ALARM not in each for each in found):
            bad += 1
            print(f"seed {seed}: {words}")
            print("\n".join(f"  {each}" for each in found), flush=True)
    print(f"unfit {unfit} alarms {alarms}")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
