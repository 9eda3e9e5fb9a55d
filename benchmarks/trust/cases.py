"""Maps that are known to be right or wrong: takes a model, a photo and another's maps, gives maps by what they are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

import seewhy
from seewhy import Model
from seewhy.api.given.images import read_items
from seewhy.api.trusting.references import at_input
from seewhy.metrics import controls

__all__ = ["GOOD", "HOSTILE", "REPORTED", "maps_of"]

#: methods that are sound, where the model is right and sure
GOOD = ("grad-cam", "hires-cam", "integrated-gradients", "occlusion", "rise")
#: kinds of wrong maps, and what each is made of
HOSTILE: Mapping[str, tuple[str, ...]] = {
    "random weights": ("grad-cam", "integrated-gradients"),
    "another image": ("grad-cam", "integrated-gradients", "occlusion"),
    "first layer": ("grad-cam",),
    "edge detector": ("",),
    "guided backpropagation": ("",),
    "noise": ("grad-cam", "integrated-gradients", "occlusion"),
    "inverted": ("grad-cam", "integrated-gradients", "occlusion"),
}
#: kinds of which the rate is reported, and not demanded
REPORTED: Mapping[str, tuple[str, ...]] = {"another class": ("grad-cam", "integrated-gradients")}


def maps_of(
    model: Model, untaught: Model, first: str, photo: Any, target: int, second: int, before: Mapping[str, Tensor] | None
) -> dict[str, Tensor]:
    """Maps [*size] of one photo, as a person gets them for it, by ``kind: method``; ``before`` are those of the photo
    before."""

    def one(of: Model, method: str, k: int = target, **given: Any) -> Tensor:
        return at_input(seewhy.explain(of, photo, method, target=k, **given))

    found = {f"good: {name}": one(model, name) for name in GOOD}
    found |= {f"random weights: {name}": one(untaught, name) for name in HOSTILE["random weights"]}
    found |= {f"first layer: {name}": one(model, name, layer=first) for name in HOSTILE["first layer"]}
    found["edge detector: "] = controls.edge_map(read_items(model, photo)[0][0].tensor[None].double())[0]
    found["guided backpropagation: "] = one(model, "guided-backprop")
    for name in HOSTILE["noise"]:
        own = found[f"good: {name}"]
        found[f"inverted: {name}"] = -own
        found[f"noise: {name}"] = controls.spectrum_maps(own, 1, seed=99)[0]  # another draw than the cards' own
        if before is not None:
            found[f"another image: {name}"] = before[f"good: {name}"]
    found |= {f"another class: {name}": one(model, name, second) for name in REPORTED["another class"]}
    return {name: torch.as_tensor(values) for name, values in found.items()}
