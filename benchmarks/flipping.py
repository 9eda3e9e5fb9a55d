"""``python -m benchmarks.flipping [PHOTO] [--rounds 5] [--steps 98]``: how long curves of one map take, deletion and
insertion, and ROAD, beside Quantus and pytorch-grad-cam; takes the built-in model and a photo, gives a Markdown table.

Everybody in one process, in turn, the first turn left out; the same map, the same order of places, the same number of
steps. Curves are compared where they are defined alike (Quantus' pixel flipping; ROAD at the same shares); memory is
what a run adds at its peak, at 14 steps and at as many as asked.
"""

from __future__ import annotations

import argparse
import statistics
import time
import tracemalloc
import warnings
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch

import seewhy
from seewhy.api.given.images import read_items
from seewhy.api.measuring import measured
from seewhy.api.trusting.references import at_input
from seewhy.core.forward.settings import Settings
from seewhy.core.targets import Logit
from seewhy.metrics import deletion, insertion, road

__all__ = ["main"]

#: what hides things, in the built-in network's input, from -1 to 1
_GREY = 0.0


def main(argv: Sequence[str] | None = None) -> None:
    """Race, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flipping")
    parser.add_argument("photo", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=98, help="Quantus takes divisors of the number of pixels alone")
    asked = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    model = seewhy.load("builtin")
    with resources.as_file(resources.files("seewhy.photos") / "chelsea.png") as ours:
        item = read_items(model, asked.photo or ours)[0][0]
    made = seewhy.explain(model, item.tensor, "grad-cam")
    values, target = at_input(made), int(made.target_index or 0)
    x, settings = item.tensor, Settings(prepare=True)

    def curves(steps: int) -> dict[str, Any]:
        jobs = [(deletion, {"steps": steps}), (insertion, {"steps": steps})]
        ((found,), _) = measured(model, [item], [values], [Logit(target)], jobs, fill=_GREY, settings=settings)
        return {one.metric: one.arrays["curve"] for one in found}

    def imputed(steps: int) -> dict[str, Any]:
        ((found,), _) = measured(
            model, [item], [values], [Logit(target)], [(road, {"steps": steps})], settings=settings
        )
        return {"road": found[0].value}

    entrants: dict[str, Callable[[int], dict[str, Any]]] = {
        "seewhy, deletion and insertion": curves,
        "seewhy, road": imputed,
    }
    entrants |= _quantus(model.module, x, values, target) | _cam(model.module, x, values, target)
    times: dict[str, list[float]] = {name: [] for name in entrants}
    last: dict[str, dict[str, Any]] = {}
    for turn in range(asked.rounds + 1):
        for name in entrants if turn % 2 else reversed(list(entrants)):
            began = time.perf_counter()
            last[name] = entrants[name](asked.steps)
            if turn:
                times[name].append(time.perf_counter() - began)
    print(f"| {asked.steps} steps, {asked.rounds} turns | median | beside ours |")
    print("|---|---|---|")
    for name, own in times.items():
        beside = times["seewhy, road" if "ROAD" in name or "road" in name else "seewhy, deletion and insertion"]
        ratio = statistics.median(a / b for a, b in zip(own, beside, strict=True))
        print(f"| {name} | {statistics.median(own):.2f} s | {ratio:.2f}x |")
    theirs = last.get("Quantus PixelFlipping, twice")
    if theirs is not None:
        gap = np.abs(theirs["deletion"] - last["seewhy, deletion and insertion"]["deletion"][1:]).max()
        print(f"\nQuantus' curve and ours differ by {gap:.1e} at most.")
    for steps in (14, asked.steps):
        tracemalloc.start()
        curves(steps)
        print(
            f"Python's own memory at {steps} steps: {tracemalloc.get_traced_memory()[1] / 2**20:.1f} MiB at its peak."
        )
        tracemalloc.stop()


def _quantus(net: Any, x: torch.Tensor, values: torch.Tensor, target: int) -> dict[str, Any]:
    try:
        import quantus
    except ImportError:
        return {}

    def curve(map: np.ndarray[Any, Any], steps: int) -> Any:
        flipping = quantus.PixelFlipping(
            features_in_step=x.numel() // steps, normalise=False, disable_warnings=True,
            perturb_baseline=_GREY,
        )  # fmt: skip
        return np.array(
            flipping(model=net, x_batch=x.numpy()[None], y_batch=np.array([target]), a_batch=map[None, None],
                     softmax=False, device="cpu")
        )[0]  # fmt: skip

    def both(steps: int) -> dict[str, Any]:
        order = values.numpy()
        return {"deletion": curve(order, steps), "weakest first": curve(order.max() - order, steps)}

    return {"Quantus PixelFlipping, twice": both}


def _cam(net: Any, x: torch.Tensor, values: torch.Tensor, target: int) -> dict[str, Any]:
    try:
        from pytorch_grad_cam.metrics.road import ROADCombined
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError:
        return {}

    def combined(steps: int) -> dict[str, Any]:
        shares = [100 * k / steps for k in range(1, steps)]
        return {
            "road": ROADCombined(percentiles=shares)(
                x[None], values.numpy()[None], [ClassifierOutputTarget(target)], net
            )
        }

    return {"pytorch-grad-cam ROADCombined": combined}


if __name__ == "__main__":
    main()
