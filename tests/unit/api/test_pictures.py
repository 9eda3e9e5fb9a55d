"""Pictures of real explanations: on the photo's own pixels, in the right unit, guided maps with their colours."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import seewhy
from seewhy.api.given import images
from seewhy.core.targets import Probability
from seewhy.errors import UsageError
from seewhy.explanation import Status
from seewhy.models import Preprocess
from seewhy.render import greyed

PHOTO = Image.fromarray(np.random.default_rng(0).integers(0, 256, size=(60, 90, 3), dtype=np.uint8))


def model(order: str = "rgb") -> Any:
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(4, 4, 3, padding=1), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(64, 3),
    ).eval()  # fmt: skip
    return seewhy.wrap(net, preprocess=Preprocess(size=(8, 8), resize=10, order=order))


def test_a_photo_is_kept_whole_and_the_map_lies_where_it_came_from() -> None:
    explanation = seewhy.explain(model(), PHOTO, method="saliency")
    assert explanation.image is not None
    assert explanation.image.shape == (8, 8, 3)
    assert (explanation.photo == np.asarray(PHOTO)).all()
    assert explanation.window == pytest.approx((24 / 90, 6 / 60, 72 / 90, 54 / 60))
    assert explanation.to_dict()["window"] == list(explanation.window or ())
    assert explanation.map.shape == (8, 8)
    drawn = np.asarray(explanation.overlay()).astype(int)
    assert drawn.shape == (60, 90, 3)
    beside = np.ones((60, 90), dtype=bool)
    beside[6:54, 24:72] = False
    assert (drawn[beside] == greyed(np.asarray(PHOTO))[beside]).all()
    colour = drawn.max(-1) - drawn.min(-1) > 0
    assert colour[6:54, 24:72].mean() > 0.9
    assert explanation.heatmap().size == (48, 48)  # of what is seen alone


@pytest.mark.parametrize("cell", [(2, 2), (3, 5), (5, 4)])
@pytest.mark.parametrize("size", [(60, 90), (90, 60), (61, 37), (20, 26)])
@pytest.mark.parametrize("whole", [False, True])
def test_a_cell_of_the_map_is_drawn_on_the_pixels_it_is_about(
    cell: tuple[int, int], size: tuple[int, int], whole: bool
) -> None:
    """Against what the network's view of a ramp says about where in the photo a cell is."""
    own = model()
    if whole:
        own = seewhy.wrap(own.module, preprocess=own.preprocess.whole())
    height, width = size
    y, x = np.mgrid[0:height, 0:width]
    ramp = Image.fromarray(np.stack([x * 2 + 40, y * 2 + 40, 0 * x], axis=-1).astype(np.uint8))
    red, green, _ = np.asarray(own.preprocess.view(ramp))[cell].astype(int)
    explanation = seewhy.explain(own, Image.new("RGB", (width, height)), method="saliency")
    lone = np.zeros((8, 8))
    lone[cell] = 1.0
    drawn = np.asarray(replace(explanation, values=lone, status=Status("ok")).overlay(enlarge="bilinear")).astype(int)
    colour = (drawn.max(-1) - drawn.min(-1)).astype(float)
    scale = drawn.shape[0] / height
    centre = [(colour.sum(1 - axis) * (np.arange(drawn.shape[axis]) + 0.5)).sum() / colour.sum() for axis in (0, 1)]
    cells = max(size) / 8
    assert centre[0] / scale == pytest.approx((green - 40) / 2 + 0.5, abs=0.4 * cells)
    assert centre[1] / scale == pytest.approx((red - 40) / 2 + 0.5, abs=0.4 * cells)


def test_inputs_have_no_photo() -> None:
    explanation = seewhy.explain(model(), torch.rand(1, 3, 8, 8), method="saliency")
    assert explanation.photo is None
    assert explanation.overlay(caption=False).size == (8, 8)


def test_photos_of_one_call_are_kept_in_their_own_pixels_as_long_as_there_is_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(images, "_PHOTOS", 2 * 60 * 90 * 3)
    monkeypatch.setattr(images, "_SMALL", 45)
    maps = seewhy.explain_all(model(), [PHOTO] * 3, method="saliency")
    assert [each.overlay(caption=False).size for each in maps] == [(90, 60), (90, 60), (45, 30)]


@pytest.mark.parametrize("window", [(0.5, 0, 0.5, 1), (0, 0, float("nan"), 1), (1.5, 0, 2, 1), (-2, 0, -1, 1)])
def test_a_window_is_a_part_of_the_photo(window: tuple[float, ...]) -> None:
    explanation = seewhy.explain(model(), PHOTO, method="saliency")
    with pytest.raises(UsageError, match="a part of the photo"):
        replace(explanation, window=window)


def test_a_letterboxed_photo_is_drawn_without_its_border() -> None:
    own = model()
    whole = seewhy.wrap(own.module, preprocess=own.preprocess.whole())
    explanation = seewhy.explain(whole, PHOTO, method="guided-backprop", target=1)
    assert explanation.window == pytest.approx((0, -0.2, 1, 1.4))  # of 8 rows, 5 are the photo
    assert explanation.overlay().size == (90, 60)
    # all that the model saw, 90 x 96 of the photo's pixels, in as many as the photo has
    assert explanation.relief().size == (71, 76)


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
