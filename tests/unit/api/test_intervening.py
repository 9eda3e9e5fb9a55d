"""Interventions: scores with a region hidden, against networks whose answer is known, and against what perturbation
methods say of the same region."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import seewhy
from seewhy.api.given.shapes import covered
from seewhy.errors import UnknownName, UsageError
from seewhy.models import Preprocess


def _linear() -> nn.Module:
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(3 * 8 * 8, 3)).double()


def _conv() -> nn.Module:
    torch.manual_seed(2)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4)
    )


def test_a_linear_network_loses_what_was_hidden() -> None:
    net, x = _linear(), torch.rand(3, 8, 8, dtype=torch.float64)
    done = seewhy.intervene(net, x, [{"kind": "box", "box": [0.25, 0.0, 0.75, 0.5]}], fill=0.25)
    weight = net[1].weight.reshape(3, 3, 8, 8)  # type: ignore[operator]
    lost = (weight * (x - 0.25))[:, :, 0:4, 2:6].sum((1, 2, 3))
    assert done.hidden == 16 / 64
    for k in range(3):
        assert done.drop(k) == pytest.approx(float(lost[k].detach()), abs=1e-5)
    np.testing.assert_allclose(done.before[1].sum(), 1, atol=1e-6)
    assert done.top(1)[0].index == int(done.after[0].argmax())
    assert done.top(1, before=True)[0].score == pytest.approx(float(done.before[0].max()))


@pytest.mark.parametrize("fill", ["grey", "mean", "blur", "inpaint", "noise", "black", 0.3])
def test_the_drop_is_that_of_feature_ablation(fill: Any) -> None:
    model = seewhy.wrap(_conv(), preprocess=Preprocess(size=(16, 16), resize=20))
    photo = np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8)
    done = seewhy.intervene(
        model, photo, [{"kind": "stroke", "points": [[0.3, 0.3], [0.6, 0.7]], "width": 0.2}], fill=fill
    )
    assert 0.05 < done.hidden < 0.6
    for k in range(4):
        own = seewhy.explain(
            model, photo, "feature-ablation", target=k, segments=done.mask.astype(int), fill=fill, prepare=False
        )
        assert done.drop(k) == pytest.approx(float(own.map[done.mask][0]), abs=1e-5)


def test_nothing_hidden_changes_nothing() -> None:
    done = seewhy.intervene(_conv(), torch.rand(3, 8, 8), [])
    assert done.hidden == 0
    np.testing.assert_array_equal(done.before, done.after)


def test_a_patch_is_what_lies_there_in_the_other_photo() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(8 * 8, 2, bias=False))
    with torch.no_grad():
        net[1].weight.zero_()
        net[1].weight[0, 8 * 2 + 3] = 1  # row 2, column 3
        net[1].weight[1, 8 * 7 + 7] = 1
    other = torch.arange(64, dtype=torch.float32).reshape(1, 8, 8)
    box = [{"kind": "box", "box": [2 / 8, 2 / 8, 5 / 8, 5 / 8]}]
    done = seewhy.intervene(net, torch.zeros(1, 8, 8), box, patch=(other, 0.5, 0.25))
    # the corner of the box, row 2 and column 2, shows row 2 and column 4 of the other
    assert float(done.after[0, 0]) == 8 * 2 + 5
    assert float(done.after[0, 1]) == 0
    with pytest.raises(UsageError, match="both"):
        seewhy.intervene(net, torch.zeros(1, 8, 8), box, fill="grey", patch=(other, 0, 0))
    with pytest.raises(UsageError, match="one size"):
        seewhy.intervene(_conv(), torch.zeros(3, 8, 8), box, patch=(torch.zeros(3, 9, 9), 0, 0))


def test_shapes_follow_the_crop() -> None:
    model = seewhy.wrap(_conv(), preprocess=Preprocess(size=(8, 8), resize=8, mode="crop"))
    photo = Image.new("RGB", (40, 20))  # of 8 rows and 16 columns the middle 8 are seen
    done = seewhy.intervene(model, photo, [{"kind": "box", "box": [0.25, 0.0, 0.5, 1.0]}])
    np.testing.assert_array_equal(done.mask, np.tile(np.arange(8) < 4, (8, 1)))
    outside = seewhy.intervene(model, photo, [{"kind": "box", "box": [0.0, 0.0, 0.24, 1.0]}])
    assert not outside.mask.any()


def test_shapes_cover_what_lies_in_them() -> None:
    size, whole = (60, 80), (0.0, 0.0, 1.0, 1.0)
    ys, xs = np.mgrid[0:60, 0:80] + 0.5
    circle = covered([{"kind": "stroke", "points": [[0.5, 0.5]], "width": 0.25}], size, (120, 160), whole)
    np.testing.assert_array_equal(circle, (xs - 40) ** 2 + (ys - 30) ** 2 <= 10**2)
    line = covered([{"kind": "stroke", "points": [[0.25, 0.5], [0.75, 0.5]], "width": 0.1}], size, (120, 160), whole)
    across = np.clip(xs, 20, 60)
    np.testing.assert_array_equal(line, (xs - across) ** 2 + (ys - 30) ** 2 <= 4**2)
    corners = [[0.1, 0.1], [0.9, 0.1], [0.1, 0.9]]
    triangle = covered([{"kind": "polygon", "points": corners}], size, (120, 160), whole)
    inside = (xs / 80 > 0.1) & (ys / 60 > 0.1) & (xs / 80 + ys / 60 < 1.0)
    assert (triangle != inside).mean() < 0.02
    box = {"kind": "box", "box": [0, 0, 1, 1]}
    hole = {"kind": "box", "box": [0.75, 0.75, 0.25, 0.25], "erase": True}
    rest = covered([box, hole], size, (120, 160), whole)
    assert rest.sum() == 60 * 80 - 30 * 40
    # a part of the photo, whatever lies beyond it
    part = covered([{"kind": "box", "box": [-3, -3, 0.5, 3]}], (4, 4), (10, 10), (0.25, 0.25, 0.75, 0.75))
    np.testing.assert_array_equal(part, np.tile([True, True, False, False], (4, 1)))


def test_a_polygon_that_crosses_itself_is_even_and_odd() -> None:
    star = [[0.5, 0.0], [0.8, 1.0], [0.0, 0.4], [1.0, 0.4], [0.2, 1.0]]
    inside = covered([{"kind": "polygon", "points": star}], (100, 100), (100, 100), (0, 0, 1, 1))
    assert not inside[55, 50]
    assert inside[20, 50]


@pytest.mark.parametrize(
    ("region", "error"),
    [
        ("box", "an array"), ({"kind": "box"}, "a list of shapes"), ([{"kind": "star"}], "no kind of shape 'star'"),
        ([{"kind": "box", "points": []}], "it takes"), ([{"kind": "box", "box": [0, 1]}], "finite fractions"),
        ([{"kind": "box", "box": [0, 0, 1, float("nan")]}], "finite fractions"), ([3], "a mapping"),
        ([{"kind": "polygon", "points": [[0, 0], [1, 1]]}], "3 at least"),
        ([{"kind": "stroke", "points": [[0, 0, 0]], "width": 1}], "finite fractions"),
        (np.zeros((3, 3), dtype=bool), "at the input's size"), (np.zeros((8, 8)), "true and false"),
    ],
)  # fmt: skip
def test_what_is_no_region(region: Any, error: str) -> None:
    with pytest.raises((UsageError, UnknownName), match=error):
        seewhy.intervene(_conv(), torch.rand(3, 8, 8), region)


def test_what_is_no_picture_or_has_no_classes() -> None:
    with pytest.raises(UsageError, match="regions of pictures"):
        seewhy.intervene(nn.Sequential(nn.Conv1d(3, 2, 3), nn.Flatten()), torch.rand(3, 8), [])
    with pytest.raises(UsageError):
        seewhy.intervene(nn.Conv2d(3, 2, 3), torch.rand(3, 8, 8), []).drop(0)
    with pytest.raises(UsageError):
        seewhy.intervene(_conv(), torch.rand(3, 8, 8), []).drop(4)
