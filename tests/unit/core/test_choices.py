"""What was measured on one machine, taken over on another: as plain values, without a measurement, to the same bits."""

from __future__ import annotations

import json
from dataclasses import astuple

import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy.core.compile import fastest, programs, winograd
from seewhy.core.compile.building import Steps
from seewhy.core.compile.choices import choices_of, take_over


def _net() -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
            nn.Flatten(), nn.Linear(8, 3),
        ).eval()  # fmt: skip


def _maps(model: seewhy.Model, x: Tensor) -> list[bytes]:
    maps = seewhy.explain_all(model, x, ["saliency", "grad-cam"], target=1, layer=["3"], prepare=True)
    return [each.values.tobytes() for each in maps]


def test_choices_hold_elsewhere_without_a_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.rand(2, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    first = seewhy.wrap(_net())
    asked = {"method": ["saliency", "grad-cam"], "target": 1, "prepare": True}
    for _ in range(2):  # programs are made once it is known how many go together
        seewhy.explain_all(first, x, **asked)
    found = json.loads(json.dumps(choices_of(first.network(), x[0])))
    assert {"scores", "gradients"} & found["steps"].keys()

    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("measured again")

    monkeypatch.setattr(fastest, "best_steps", never)
    monkeypatch.setattr(fastest, "best_pieces", never)
    # others than are fastest here, so that it shows whose they are
    found["steps"] = {kind: list(astuple(Steps(fold=True))) for kind in ("scores", "gradients")}
    found["pieces"] = {"scores": [1, 1000], "gradients": [1, 1000]}
    second = seewhy.wrap(_net())
    take_over(second.network(), x[0], found)
    for _ in range(2):
        maps = seewhy.explain_all(second, x, **asked)
    record = maps[0].provenance["prepared"]
    assert record["used"] is True
    assert record["gradients"] == {"taken over": "from an earlier measurement"}
    shape = programs.prepared_shape(second.network(), x[0])
    assert shape is not None
    assert shape.steps["gradients", False] == Steps(fold=True)
    # what is prepared so is kept, and what is not is forgotten
    take_over(second.network(), x[0], found)
    assert programs.prepared_shape(second.network(), x[0]) is (shape if len(shape.steps) == 2 else None)
    found["steps"]["gradients"] = None
    take_over(second.network(), x[0], found)
    assert programs.prepared_shape(second.network(), x[0]) is None


def test_one_image_takes_what_was_measured_for_several() -> None:
    x = torch.rand(1, 3, 20, 20, generator=torch.Generator().manual_seed(0))
    model = seewhy.wrap(_net())
    found = {"steps": {"gradients": list(astuple(Steps(True)))}, "pieces": {"gradients": [4, 1000]}, "tiles": []}
    take_over(model.network(), x[0], found)
    seewhy.explain_all(model, x, "saliency", target=1, prepare=True)
    shape = programs.prepared_shape(model.network(), x[0])
    assert shape is not None
    assert shape.steps["gradients", True] == Steps(True)


def test_kernels_that_were_chosen_elsewhere_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(winograd.decided, (64, 64, (1, 16, 16), 3), False)
    model, x = seewhy.wrap(_net()), torch.rand(3, 20, 20)
    take_over(model.network(), x, {"steps": {}, "pieces": {}, "tiles": [[64, 64, [1, 16, 16], 3, True]]})
    assert winograd.pays(64, 64, (1, 16, 16), 3)
    nothing = seewhy.wrap(_net())
    assert choices_of(nothing.network(), x) == {}
    take_over(nothing.network(), x, {})
