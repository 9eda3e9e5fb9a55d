"""``python -m benchmarks.flipping [PHOTO] [--rounds 5] [--steps 96]``: how long curves of one map take, deletion and
insertion, and ROAD, beside Quantus and pytorch-grad-cam; takes the built-in model and a photo, gives a Markdown table.

Everybody in one process, in turn, the first turn left out; the same map, the same order of places, the same number of
steps, and at every step the same places gone. Quantus counts the values of each channel as a place of its own: it gets
a map whose channels come one after the other, and pictures of 216 x 216, which let a step be of whole pixels. Memory is
what a run adds at its peak in a process of its own, at few steps and at many.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
import torch.nn.functional as F

import seewhy
from benchmarks.memory import peak
from seewhy.api.given.images import Item, read_items
from seewhy.api.measuring import measured
from seewhy.api.trusting.references import at_input
from seewhy.core.forward.settings import Settings
from seewhy.core.targets import Logit
from seewhy.metrics import deletion, insertion, road

__all__ = ["main"]

#: what hides things, in the built-in network's input, from -1 to 1
_GREY = 0.0
#: the side of the pictures
_SIDE = 216
#: steps at which memory is looked at
_FEW, _MANY = 12, 960
_CURVES, _ROAD = "seewhy, deletion and insertion", "seewhy, ROAD"
_FLIPPING, _COMBINED = "Quantus PixelFlipping, twice", "pytorch-grad-cam ROADCombined"


class _Subject:
    """The built-in model, a photo, the map whose places are ordered, and what is raced."""

    def __init__(self, photo: Path | None) -> None:
        self.model = seewhy.load("builtin")
        with resources.as_file(resources.files("seewhy.photos") / "chelsea.png") as ours:
            item = read_items(self.model, photo or ours)[0][0]
        large = F.interpolate(item.tensor[None], size=(_SIDE, _SIDE), mode="bilinear", align_corners=False)[0]
        self.item: Item = read_items(self.model, large)[0][0]
        made = seewhy.explain(self.model, self.item.tensor, "grad-cam")
        # whole numbers, no two alike: everybody orders them alike, in any precision
        order = at_input(made).flatten().argsort(stable=True).argsort()
        self.values = order.reshape(_SIDE, _SIDE).double()
        self.target = int(made.target_index or 0)

    def curves(self, steps: int) -> dict[str, Any]:
        """Both curves."""
        found = self._measured([(deletion, {"steps": steps}), (insertion, {"steps": steps})], fill=_GREY)
        return {one.metric: one.arrays["curve"] for one in found}

    def road(self, steps: int) -> dict[str, Any]:
        """ROAD at as many shares."""
        (found,) = self._measured([(road, {"steps": steps})])
        return {"road": found.value}

    def _measured(self, jobs: Any, **given: Any) -> Any:
        ((found,), _) = measured(
            self.model, [self.item], [self.values], [Logit(self.target)], jobs, settings=Settings(prepare=True), **given
        )
        return found


def main(argv: Sequence[str] | None = None) -> None:
    """Race, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flipping")
    parser.add_argument("photo", nargs="?", type=Path)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=96, help="Quantus takes divisors of the number of pixels alone")
    parser.add_argument("--memory", type=int, metavar="STEPS", help="print the MiB that both curves and ROAD add")
    asked = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    it = _Subject(asked.photo)
    if asked.memory:
        it.curves(_FEW)
        print(*(round(peak(lambda run=run: run(asked.memory))[0] / 2**20) for run in (it.curves, it.road)))
        return
    entrants: dict[str, Callable[[int], dict[str, Any]]] = {_CURVES: it.curves, _ROAD: it.road}
    entrants |= _quantus(it) | _cam(it)
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
        beside = times[_ROAD if "ROAD" in name else _CURVES]
        ratio = statistics.median(a / b for a, b in zip(own, beside, strict=True))
        print(f"| {name} | {statistics.median(own):.2f} s | {ratio:.2f}x |")
    if _FLIPPING in last:
        gap = np.abs(last[_FLIPPING]["deletion"] - last[_CURVES]["deletion"][1:]).max()
        print(f"\nQuantus' curve and ours differ by {gap:.1e} at most.")
    if _COMBINED in last:
        # ROADCombined is half of what the curves are apart
        print(f"pytorch-grad-cam's ROAD is {last[_COMBINED]['road']:.3f}, half of ours {last[_ROAD]['road'] / 2:.3f}.")
    for steps in (_FEW, _MANY):
        again = [sys.executable, "-m", "benchmarks.flipping", "--memory", str(steps)]
        done = subprocess.run(again, capture_output=True, text=True, check=True)
        both, imputed = done.stdout.split()
        print(f"{steps} steps: the curves add {both} MiB at their peak, ROAD {imputed} MiB.")


def _quantus(it: _Subject) -> dict[str, Any]:
    try:
        import quantus
    except ImportError:
        return {}
    x, channels = it.item.tensor, len(it.item.tensor)

    def curve(order: np.ndarray[Any, Any], steps: int) -> Any:
        flipping = quantus.PixelFlipping(
            features_in_step=x.numel() // steps, normalise=False, disable_warnings=True, perturb_baseline=_GREY
        )
        each = np.stack([channels * order + k for k in range(channels)])
        return np.array(
            flipping(model=it.model.module, x_batch=x.numpy()[None], y_batch=np.array([it.target]),
                     a_batch=each[None], softmax=False, device="cpu")
        )[0]  # fmt: skip

    def both(steps: int) -> dict[str, Any]:
        order = it.values.numpy()
        return {"deletion": curve(order, steps), "weakest first": curve(order.max() - order, steps)}

    return {_FLIPPING: both}


def _cam(it: _Subject) -> dict[str, Any]:
    try:
        from pytorch_grad_cam.metrics.road import ROADCombined
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
    except ImportError:
        return {}

    def combined(steps: int) -> dict[str, Any]:
        shares = [100 * k / steps for k in range(1, steps)]
        found = ROADCombined(percentiles=shares)(
            it.item.tensor[None], it.values.numpy()[None], [ClassifierOutputTarget(it.target)], it.model.module
        )
        return {"road": float(found[0])}

    return {_COMBINED: combined}


if __name__ == "__main__":
    main()
