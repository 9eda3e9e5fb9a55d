"""Pictures of real explanations: on the photo's own pixels, in the right unit, guided maps with their colours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import seewhy
from seewhy.api.given import images
from seewhy.core.targets import Probability
from seewhy.models import Preprocess

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, size=(60, 90, 3), dtype=np.uint8))


def model(order: str = "rgb") -> Any:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(4, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 3),
    ).eval()  # fmt: skip
    return seewhy.wrap(net, preprocess=Preprocess(size=(8, 8), resize=10, order=order))


def test_a_photo_is_kept_in_its_own_pixels_and_drawn_so() -> None:
    explanation = seewhy.explain(model(), PHOTO, method="saliency")
    assert explanation.image is not None
    assert explanation.image.shape == (8, 8, 3)
    assert explanation.photo is not None
    assert (explanation.photo == np.asarray(PHOTO)[6:54, 24:72]).all()
    assert explanation.overlay().size == (48, 48)
    assert explanation.map.shape == (8, 8)


def test_inputs_have_no_photo() -> None:
    explanation = seewhy.explain(model(), torch.rand(1, 3, 8, 8), method="saliency")
    assert explanation.photo is None
    assert explanation.overlay(caption=False).size == (8, 8)


def test_photos_of_one_call_are_kept_as_long_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "_PHOTOS", 2 * 48 * 48 * 3)
    maps = seewhy.explain_all(model(), [PHOTO] * 3, method="saliency")
    assert [each.photo is None for each in maps] == [False, False, True]
    assert maps[2].overlay(caption=False).size == (8, 8)


def test_a_map_says_what_its_values_are_counted_in() -> None:
    methods = ["grad-cam", "saliency", "integrated-gradients", "occlusion", "score-cam", "eigen-cam"]
    units = {each.method: each.map_unit for each in seewhy.explain_all(model(), PHOTO, method=methods, target=0)}
    assert units == {
        "grad-cam": "logit",
        "saliency": "logit per unit of the input",
        "integrated-gradients": "logit",
        "occlusion": "logit",
        "score-cam": "activation",
        "eigen-cam": "activation",
    }
    shared = seewhy.explain(model(), PHOTO, method="saliency", target=Probability(0))
    assert shared.map_unit == "probability per unit of the input"
    assert shared.to_dict()["map"]["unit"] == shared.map_unit
    at = seewhy.explain(model(), PHOTO, method="saliency", layer="0")
    assert at.map_unit == "logit per unit of the layer"


@pytest.mark.parametrize("method", ["guided-backprop", "deconvnet", "guided-grad-cam"])
def test_guided_maps_keep_their_colours(method: str) -> None:
    explanation = seewhy.explain(model(), PHOTO, method=method, target=1)
    assert explanation.colours is not None
    assert explanation.colours.shape == (3, 8, 8)
    assert np.abs(explanation.colours).max(0) == pytest.approx(np.abs(explanation.values))
    assert explanation.relief().size == (48, 48)
    turned = seewhy.explain(model("bgr"), torch.as_tensor(explanation.input)[None], method=method, target=1)
    assert turned.colours == pytest.approx(explanation.colours[::-1])


def test_other_maps_keep_none() -> None:
    assert seewhy.explain(model(), PHOTO, method="saliency").colours is None
    assert seewhy.explain(model(), PHOTO, method="saliency", backward_rule="guided").colours is not None
    assert seewhy.explain(model(), PHOTO, method="saliency", layer="0", backward_rule="guided").colours is None


def test_a_backward_rule_that_was_asked_for_is_kept_and_told() -> None:
    guided = seewhy.explain(model(), PHOTO, method="saliency", backward_rule="guided")
    assert guided.parameters["backward_rule"] == "guided"
    assert ">saliency, guided<" in guided.figure_svg()
    for plain in ({"method": "saliency"}, {"method": "guided-backprop"}):
        found = seewhy.explain(model(), PHOTO, **plain)
        assert "backward_rule" not in found.parameters
        assert ", guided<" not in found.figure_svg()


def test_colours_and_units_survive_a_file(tmp_path: Any) -> None:
    explanation = seewhy.explain(model(), PHOTO, method="guided-backprop")
    again = seewhy.Explanation.load(explanation.save(tmp_path / "a.npz"))
    assert again.colours == pytest.approx(explanation.colours)
    assert (again.map_unit, again.photo) == (explanation.map_unit, None)
