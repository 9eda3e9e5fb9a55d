"""A mended model from what a repair has written: takes the model as it was and the repair's folder, gives the model
with the mended part in its place."""

from __future__ import annotations

import io
import json
import zipfile
from dataclasses import replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seewhy.api.repairing.planning import FITTED
from seewhy.audits.mending.projection import Projection
from seewhy.errors import SeewhyError, UsageError, one_line
from seewhy.models import Model
from seewhy.models.behind import with_behind
from seewhy.models.last_layer import linear_layers, with_weights

__all__ = ["is_repair", "mended"]

_WORDS = "repair.json"
_HOW = "seewhy repair AUDIT --train SOURCE --out FOLDER writes one"


def is_repair(folder: str | Path) -> bool:
    """Whether a repair was written there."""
    return (Path(folder) / _WORDS).is_file()


def mended(model: Model, folder: str | Path) -> Model:
    """``model`` with the head that a repair fitted, or behind its projections; the model that is handed over is as it
    was.

    Raises `UsageError` for a folder that holds no repair, one of another model, or one that mended no model (a training
    folder, masks).
    """
    place = Path(folder)
    try:
        told = json.loads((place / _WORDS).read_text(encoding="utf-8"))
        how, details = str(told["how"]), dict(told["details"])
        if how in FITTED:
            return _head(model, place, details) if how == "head" else _projected(model, place, details)
    except SeewhyError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, UnpicklingError, zipfile.BadZipFile) as error:
        said = one_line(error, 100)
        raise UsageError(f"{str(folder)!r} holds no repair that can be read ({said}): {_HOW}") from error
    raise UsageError(f"{str(folder)!r} is a repair by {how!r}, which mends no model: train one on it, and name that")


def _head(model: Model, place: Path, details: dict[str, Any]) -> Model:
    layer = str(details["layer"])
    known = {each.name: each for each in linear_layers(model)}
    if layer not in known:
        near = ", ".join(known) or "none"
        raise UsageError(f"{str(place)!r} is of a model with the layer {layer!r}; {model.name} has {near}")
    if (place / "head.pt").is_file():
        state: dict[str, Tensor] = torch.load(place / "head.pt", weights_only=True)
        weight, bias = state[f"{layer}.weight" if layer else "weight"], state.get(f"{layer}.bias" if layer else "bias")
    else:
        with np.load(io.BytesIO((place / "head.npz").read_bytes()), allow_pickle=False) as file:
            held = {name: torch.from_numpy(file[name]) for name in file.files}
        weight, bias = held["kernel"].T if "kernel" in held else held["weight"], held.get("bias")
    level = known[layer].bias if bias is None else bias
    return _named(with_weights(model, layer, weight.float(), level.float()), place)


def _projected(model: Model, place: Path, details: dict[str, Any]) -> Model:
    state: dict[str, Tensor] = torch.load(place / "project.pt", weights_only=True)
    axis = int(details["axis"])
    modules = [Projection(state[f"{n}.along"], state[f"{n}.level"], axis) for n in range(len(state) // 2)]
    return _named(with_behind(model, str(details["layer"]), nn.Sequential(*modules)), place)


def _named(model: Model, place: Path) -> Model:
    return replace(model, name=f"{model.name}, mended in {place.name}")
