"""``python -m benchmarks.coverage [--size 64] [--method NAME]... [--out FILE.md]``: whether reported standard errors
are right; takes the built-in model and photos that packages ship, gives a Markdown table of methods and photos."""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

import seewhy
import seewhy.methods
from seewhy.models import read_image
from seewhy.registry import methods

__all__ = ["covered", "main", "photos", "run", "stochastic"]

#: budgets that leave an error to measure, in a few seconds each; other methods take n=32
SETTINGS: dict[str, dict[str, Any]] = {
    "rise": {"n": 512, "fill": "black"},
    "lime": {"n": 256, "segments": 25},
    "kernel-shap": {"n": 256, "segments": 25},
    "shapley-sampling": {"n": 480, "segments": 25},
    "sobol": {"n": 576, "cells": 4},
    "hsic": {"n": 240},
}
MORE = 8


def stochastic() -> list[str]:
    """The methods that sample: they take a seed and a budget."""
    return [each.name for each in methods if {"seed", "n"} <= set(each.parameters)]


def covered(model: Any, x: Any, name: str, given: dict[str, Any], seeds: int) -> list[float] | None:
    """For each image, the share of values within two reported standard errors of those of a run with 8 times the budget
    and another seed, over several seeds; None for a method that reports no error."""
    card = methods[name].card
    asked = {"method": name, "tolerance": 0.0, **given} | ({"reduce": "none"} if card.reduce is not None else {})
    if "tolerance" not in methods[name].parameters:
        return None
    short = [seewhy.explain_all(model, x, seed=seed, **asked) for seed in range(seeds)]
    if any(not isinstance(each.error, np.ndarray) or each.error.shape != each.values.shape for each in short[0]):
        return None
    long = seewhy.explain_all(model, x, seed=1000, **asked | {"n": MORE * asked["n"]})
    shares = [
        [np.mean(np.abs(a.values - b.values) <= 2 * np.asarray(a.error)) for a, b in zip(each, long, strict=True)]
        for each in short
    ]
    return [float(share) for share in np.mean(shares, 0)]


def photos(model: seewhy.Model, size: int) -> tuple[list[str], torch.Tensor]:
    """Names, and inputs [5, 3, size, size]."""
    from skimage import data

    grey = data.camera()
    pictures = {
        "chelsea": data.chelsea(), "coffee": data.coffee(), "rocket": data.rocket(), "astronaut": data.astronaut(),
        "camera": np.stack([grey] * 3, -1),
    }  # fmt: skip
    inputs = torch.stack([model.to_input(read_image(Image.fromarray(each)))[0] for each in pictures.values()])
    return list(pictures), F.interpolate(inputs, (size, size), mode="bilinear", antialias=True)


def run(names: Sequence[str], size: int, seeds: int) -> list[str]:
    """The table's lines."""
    model = seewhy.load("builtin")
    columns, x = photos(model, size)
    black = float(model.colour_to_input((0.0, 0.0, 0.0))[0])
    lines = [f"| method | {' | '.join(columns)} | mean | seconds |", "|---" * (len(columns) + 3) + "|"]
    for name in names:
        began = time.perf_counter()
        given = {"n": 32} | SETTINGS.get(name, {})
        if given.get("fill") == "black":  # inputs are tensors here, so that they can be small: say it in their units
            given["fill"] = black
        found = covered(model, x, name, given, seeds)
        if found is not None:
            shares = [f"{100 * share:.0f} %" for share in (*found, float(np.mean(found)))]
            words = ", ".join(f"{key}={value}" for key, value in given.items() if key != "fill")
            lines.append(f"| {name} ({words}) | {' | '.join(shares)} | {time.perf_counter() - began:.0f} |")
            print(lines[-1], flush=True)
    return lines


def main() -> None:
    """Run what is asked and print it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage")
    parser.add_argument("--size", type=int, default=64, help="pixels a side; the built-in model takes any")
    parser.add_argument("--seeds", type=int, default=4, help="short runs, all compared with one long run")
    parser.add_argument("--method", action="append", choices=stochastic())
    parser.add_argument("--out", type=Path, default=None)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    title = f"Values within two standard errors of a run with {MORE} times the budget, {asked.size} pixels"
    text = "\n".join([f"{title}, {asked.seeds} seeds", "", *run(asked.method or stochastic(), asked.size, asked.seeds)])
    print(text)
    if asked.out is not None:
        asked.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
