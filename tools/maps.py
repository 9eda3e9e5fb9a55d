"""``python -m tools.maps --write BEFORE.npz`` and, after a change, ``--against BEFORE.npz``: maps, scores, notes and
refusals of every method on six networks, by the models themselves, to be equal bit for bit where nothing was to
change."""

from __future__ import annotations

import argparse
import json
import math
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import seewhy
from seewhy.errors import SeewhyError
from seewhy.registry import Method, methods

#: budgets, by the names that parameters have
_QUICK = {"n": 48, "steps": 8, "max_steps": 16, "window": 16, "cells": 2}


def main() -> int:
    """Compute all of it; write it or compare it."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--write", type=Path)
    words.add_argument("--against", type=Path)
    asked = words.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    found: dict[str, np.ndarray] = {}
    for name, make in _NETWORKS.items():
        torch.manual_seed(0)
        net = _settled(make().eval())
        for card in seewhy.methods():
            for key, value in _asked(net, methods[card.name]):
                found[f"{name} {card.name} {key}"] = value
    if asked.write is not None:
        np.savez_compressed(asked.write, **found)  # type: ignore[arg-type]
        print(f"{len(found)} arrays")
        return 0
    with np.load(asked.against) as known:
        names = sorted(set(known.files) | set(found))
        apart = [name for name in names if not _same(known, found, name)]
        for name in apart[:20]:
            print(f"{name}: {_told(known, name)} before, {_told(found, name)} now")
    print(f"{len(names) - len(apart)} of {len(names)} arrays equal bit for bit")
    return int(bool(apart))


def _same(known: Any, found: dict[str, np.ndarray], name: str) -> bool:
    if name not in known or name not in found:
        return False
    one, other = known[name], found[name]
    return one.dtype == other.dtype and one.shape == other.shape and one.tobytes() == other.tobytes()


def _told(arrays: Any, name: str) -> str:
    if name not in arrays:
        return "nothing"
    value = arrays[name]
    return str(value)[:300] if value.dtype.kind == "U" else f"{value.shape} of norm {np.linalg.norm(value):.9g}"


def _asked(net: nn.Module, method: Method) -> Iterator[tuple[str, np.ndarray]]:
    """What a method gives for two images, by name."""
    x = torch.rand(2, 3, 64, 96, generator=torch.Generator().manual_seed(1)) * 2 - 1
    given: dict[str, Any] = {key: value for key, value in _QUICK.items() if key in method.parameters}
    if "max_steps" in given:  # adaptive ones take one or the other
        given.pop("steps", None)
    target: Any = seewhy.targets.Region(torch.arange(96) > torch.arange(64)[:, None], 1)
    target = None if method.card.by_layer else target if isinstance(net, _Segmenter) else 1
    if method.card.several_layers:
        given["layer"] = [each.name for each in seewhy.layers(net, x) if each.grid and math.prod(each.grid) > 1][-4:-2]
    try:
        if method.card.call == "explain":
            found = seewhy.explain_all(net, x, method=method.name, target=target, prepare=False, **given)
            for number, each in enumerate(found):
                yield f"{number}", each.values
                yield f"{number} words", np.array(json.dumps([each.layer, each.status.code, each.unit, each.notes]))
                yield f"{number} score", np.array([each.score])
        elif method.card.call == "attack":
            twin = seewhy.attack(net, x[:1], method=method.name, target=target, **given)
            yield "twin", np.asarray(twin.image)
        else:
            several = {
                "features": lambda: seewhy.feature_maps_all(net, x, target=target),
                "factors": lambda: seewhy.factors(net, x, rank=3),
                "filters": lambda: seewhy.filters(net),
                "components": lambda: seewhy.principal_components(net, x),
                "attention": lambda: seewhy.attention_all(net, x),
                "maximise": lambda: seewhy.maximise(net, 1, size=32, steps=4),
            }[method.card.call]()
            for number, gallery in enumerate(several if isinstance(several, list) else [several]):
                yield f"{number}", gallery.values
                yield f"{number} words", np.array(json.dumps([gallery.title, gallery.notes]))
    except SeewhyError as error:
        yield "refused", np.array(str(error))


def _settled(net: nn.Module) -> nn.Module:
    """With statistics of its own: untrained deep networks die out with those they come with."""
    norms = [part for part in net.modules() if isinstance(part, nn.BatchNorm2d)]
    for part in norms:
        part.train()
    with torch.no_grad():
        for _ in range(3):
            net(torch.rand(4, 3, 64, 96, generator=torch.Generator().manual_seed(2)) * 2 - 1)
    return net.eval()


class _Segmenter(nn.Module):
    """Classes at each pixel, by way of a skip."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 16, 3, 2, 1), nn.ReLU())
        self.up = nn.Sequential(nn.ConvTranspose2d(16, 8, 4, 4), nn.ReLU())
        self.skip, self.end = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(16, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, 4, H, W]."""
        return self.end(torch.cat([self.up(self.down(x)), self.skip(x).relu()], 1))


def _timm(name: str, **given: Any) -> Callable[[], nn.Module]:
    def make() -> nn.Module:
        import timm

        return timm.create_model(name, pretrained=False, num_classes=5, **given)

    return make


def _vgg() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.Conv2d(8, 12, 3, padding=1),
        nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(48, 16), nn.ReLU(), nn.Dropout(),
        nn.Linear(16, 5), nn.Softmax(1),
    )  # fmt: skip


_NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet": _timm("resnet10t"),
    "mobilenet": _timm("mobilenetv3_small_050"),
    "vit": _timm("vit_tiny_patch16_224", img_size=(64, 96), depth=3),
    "swin": _timm("swin_tiny_patch4_window7_224", img_size=(64, 96), depths=(1, 1, 2, 1), embed_dim=24),
    "vgg": _vgg,
    "segmenter": _Segmenter,
}

if __name__ == "__main__":
    raise SystemExit(main())
