"""``python -m benchmarks.builds --other PATH``: this checkout against another one, two processes in turn under one
driver; prints the ratio of seconds (this / other) for each network and method, with the interval that 95 % of
bootstrapped medians of the pairs fall into.

Each process measures for itself which steps of preparing pay, and may choose otherwise than the other: so both are
started several times, and the rounds are shared out among the starts."""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

METHODS: dict[str, dict[str, Any]] = {
    "grad-cam": {},
    "saliency": {},
    "occlusion": {"window": 32, "stride": 16},
    "integrated-gradients": {"rule": "gauss-legendre", "steps": 50},
    "integrated-gradients, 20": {"method": "integrated-gradients", "rule": "gauss-legendre", "steps": 20},
    "twelve-methods": {"method": (
        "saliency", "input-x-gradient", "guided-backprop", "deconvnet", "grad-cam", "grad-cam-pp", "xgrad-cam",
        "hires-cam", "layer-cam", "eigen-cam", "guided-grad-cam", "ablation-cam",
    )},
}  # fmt: skip
#: calls below so many seconds feel what lies in the processor's caches when they begin
_SHORT = 0.5
#: from this call on spot checks come once in so many
_CHECKED = 64
NETWORKS = ("mobilenet_v2", "resnet50", "vgg16")


def main() -> int:
    """Time every case in both, pair by pair."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--other", type=Path, help="another checkout")
    words.add_argument("--rounds", type=int, default=15)
    words.add_argument("--starts", type=int, default=3, help="of both processes")
    words.add_argument("--networks", nargs="*", default=list(NETWORKS))
    words.add_argument("--methods", nargs="*", default=list(METHODS))
    words.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    asked = words.parse_args()
    if asked.serve:
        return _serve()
    here = Path(__file__).resolve().parent.parent
    for network in asked.networks:
        pairs: dict[str, list[tuple[float, float]]] = {method: [] for method in asked.methods}
        for start in range(asked.starts):
            both = [_begun(path, here) for path in (here, asked.other.resolve())]
            for process in both:
                _ask(process, {"network": network})
            for method in asked.methods:
                pairs[method] += _pairs(both, method, -(-asked.rounds // asked.starts), start)
            for process in both:
                process.stdin.close()
                process.wait()
        for method, some in pairs.items():
            ratios = [a / b for a, b in some]
            low, high = _interval(ratios)
            ours, theirs = (statistics.median(column) for column in zip(*some, strict=True))
            print(
                f"{network:<14} {method:<22} {statistics.median(ratios):.3f} ({low:.3f} to {high:.3f}), "
                f"{1000 * ours:.1f} and {1000 * theirs:.1f} ms, {len(some)} pairs, {asked.starts} starts",
                flush=True,
            )
    return 0


def _pairs(both: list[Any], method: str, rounds: int, start: int) -> list[tuple[float, float]]:
    """Seconds of (this, other), in turn, once both are prepared, compared and warm."""
    took = [[_ask(process, {"method": method}) for _ in range(5)] for process in both]
    short = min(min(each) for each in took) < _SHORT
    if short:  # past the first calls, which are checked more often than later ones
        for process in both:
            for _ in range(_CHECKED):
                _ask(process, {"method": method})
    found = []
    for turn in range(rounds):
        order = both if (turn + start) % 2 else both[::-1]
        seconds = {}
        for process in order:
            if short:  # the other's turn has emptied the processor's caches: once untimed
                _ask(process, {"method": method})
            seconds[id(process)] = _ask(process, {"method": method})
        found.append((seconds[id(both[0])], seconds[id(both[1])]))
    return found


def _interval(values: list[float]) -> tuple[float, float]:
    draw = random.Random(0)
    medians = sorted(statistics.median(draw.choices(values, k=len(values))) for _ in range(2000))
    return medians[50], medians[-51]


def _begun(checkout: Path, here: Path) -> Any:
    command = [sys.executable, str(here / "benchmarks" / "builds.py"), "--serve"]
    environment = os.environ | {"PYTHONPATH": str(checkout / "src")}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)


def _ask(process: Any, what: dict[str, str]) -> float:
    process.stdin.write(json.dumps(what) + "\n")
    process.stdin.flush()
    return float(json.loads(process.stdout.readline())["seconds"])


def _serve() -> int:
    import torch
    import torchvision

    import seewhy

    net: Any = None
    x = torch.randn(1, 3, 224, 224, generator=torch.Generator().manual_seed(0))
    for line in sys.stdin:
        what = json.loads(line)
        began = time.perf_counter()
        if "network" in what:
            torch.manual_seed(0)
            named = what["network"]
            net = seewhy.load() if named == "builtin" else getattr(torchvision.models, named)(weights=None).eval()
        else:
            seewhy.explain_all(net, x, target=1, prepare=True, **{"method": what["method"], **METHODS[what["method"]]})
        print(json.dumps({"seconds": time.perf_counter() - began}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
