"""Explanation: the map, the metadata, and what it refuses."""

from __future__ import annotations

import json
import pickle
from dataclasses import FrozenInstanceError
from typing import Any

import numpy as np
import pytest

from seewhy.errors import UsageError
from seewhy.explanation import Cost, Explanation, Status
from seewhy.render import resize


def test_map_is_the_values_at_the_input_s_size(make: Any) -> None:
    explanation = make(np.array([[0.0, 1.0]]), size=(2, 4))
    assert explanation.map.dtype == np.float32
    assert explanation.map.tolist() == [[0, 0.25, 0.75, 1]] * 2


def test_map_keeps_its_sign_even_if_only_the_positive_part_is_drawn(make: Any) -> None:
    explanation = make(positive=True)
    assert explanation.map.min() == -0.5
    np.testing.assert_array_equal(np.asarray(explanation), explanation.map)
    assert np.asarray(explanation, dtype=np.float64).dtype == np.float64
    with pytest.raises(ValueError, match="copies"):
        np.asarray(explanation, copy=False)


def test_channels_are_summed_before_resizing(make: Any) -> None:
    values = np.random.default_rng(0).normal(size=(3, 4, 6)).astype(np.float32)
    explanation = make(values, channels=True)
    np.testing.assert_allclose(explanation.map, resize(values.sum(axis=0), (32, 48)), rtol=1e-6)
    assert explanation.values.shape == (3, 4, 6)


def test_map_of_enormous_float64_values_stays_finite_and_of_nan_stays_nan(make: Any) -> None:
    explanation = make(np.array([[1e300, np.nan, -1e300]]), size=(1, 3))
    top = np.finfo(np.float32).max
    np.testing.assert_array_equal(explanation.map, [[top, np.nan, -top]])


@pytest.mark.parametrize(
    ("values", "fields", "words"),
    [
        (np.zeros(10), {}, r"grad-cam at layer 'layer4' has values of shape \(10,\).*use \.values"),
        (np.zeros((3, 4, 4)), {}, r"shape \(3, 4, 4\)"),
        (np.zeros(10), {"layer": None, "channels": True}, r"grad-cam has values of shape \(10,\)"),
        (np.zeros((4, 4)), {"size": (100,)}, r"its input has 1 spatial axes, a picture has 2; use \.values"),
        (np.zeros((2, 2, 4, 4)), {"size": (8, 8, 8, 8)}, r"its input has 4 spatial axes"),
    ],
)
def test_values_without_two_axes_have_no_map_or_picture(
    make: Any, values: Any, fields: dict[str, Any], words: str
) -> None:
    explanation = make(values, **fields)
    for asked in (lambda: explanation.map, explanation.overlay, explanation.figure, explanation.heatmap):
        with pytest.raises(UsageError, match=words):
            asked()
    assert "use .values" in explanation._repr_html_()
    json.dumps(explanation.to_dict(), allow_nan=False)


def test_values_are_real_numbers_and_the_image_has_pixels(make: Any) -> None:
    assert make([[1, 2], [3, 4]]).values.dtype == np.float32
    assert make(np.zeros((2, 2), np.float64)).values.dtype == np.float64
    with pytest.raises(UsageError, match="complex128"):
        make(np.zeros((2, 2), complex))
    with pytest.raises(UsageError, match=r"uint8 \(H, W, 3\); got float64"):
        make(image=np.zeros((4, 4, 3)))


def test_explanations_are_frozen_and_equal_only_themselves(make: Any) -> None:
    one, other = make(), make()
    with pytest.raises(FrozenInstanceError):
        one.method = "saliency"
    assert one == one
    assert one != other
    assert len({one, other}) == 2


def test_explanations_travel_between_processes(make: Any) -> None:
    there = pickle.loads(pickle.dumps(make(parameters={"sigma": 0.5})))
    assert there.parameters == {"sigma": 0.5}
    np.testing.assert_array_equal(there.values, make().values)


def test_to_dict_is_strict_json(make: Any) -> None:
    class Odd:
        def __str__(self) -> str:
            return "odd"

    explanation = make(
        np.array([[np.nan, -1.0], [2.0, np.inf]]),
        score=float("nan"),
        status=Status("non-finite", "overflow"),
        cost=Cost(1, 2, 0, 0.5),
        parameters={
            "sigma": np.float32(0.5),
            "steps": np.int64(8),
            3: Odd(),
            "limits": (1, float("inf")),
            "set": {1},
        },
        error=np.array([[1.0, 3.0]]),
        contrast="top-10",
        notes=("a", "b"),
    )
    told = json.loads(json.dumps(explanation.to_dict(), allow_nan=False))
    assert told["score"] is None
    assert told["status"] == {"code": "non-finite", "cause": "overflow"}
    assert told["map"] == {
        "shape": [2, 2],
        "dtype": "float64",
        "unit": "",
        "min": -1.0,
        "max": 2.0,
        "sum": 1.0,
        "finite": False,
    }
    assert told["parameters"] == {"sigma": 0.5, "steps": 8, "3": "odd", "limits": [1, None], "set": [1]}
    assert told["cost"] == {"forwards": 1, "backwards": 2, "checks": 0, "seconds": 0.5}
    assert told["prediction"]["top"][1] == {"index": 281, "label": None, "probability": 0.2, "score": 9.5}
    assert told["error"] == {"shape": [1, 2], "mean": 2.0}
    assert (told["method"], told["target"], told["layer"]) == ("grad-cam", "tiger cat", "layer4")
    assert (told["contrast"], told["notes"], told["size"]) == ("top-10", ["a", "b"], [32, 48])


def test_to_dict_of_nothing_finite(make: Any) -> None:
    told = make(np.full((2, 2), np.nan), error=float("nan")).to_dict()
    assert told["map"]["min"] is None
    assert told["error"] is None


def test_repr_says_what_it_is(make: Any) -> None:
    words = repr(make(contrast="top-10", tensor="big"))
    assert words == (
        "Explanation('grad-cam', target='tiger cat', score=11.57, layer='layer4', contrast='top-10', "
        "values=4x6 float32, status='ok')"
    )


def test_html_has_the_picture_and_escapes_everything(make: Any) -> None:
    bad = "<script>alert(1)</script>"
    page = make(
        target=bad,
        method=bad,
        layer=bad,
        name=bad,
        parameters={bad: bad},
        notes=(bad,),
        status=Status("unfinished", bad),
    )._repr_html_()
    assert bad not in page
    assert "&lt;script&gt;" in page
    assert "data:image/png;base64," in page


def test_an_explanation_needs_only_what_it_is_about() -> None:
    bare = Explanation(values=np.ones((2, 2)), size=(4, 4), method="m", target="t", score=1.0)
    assert bare.status.ok
    assert bare.unit == "logit"
    assert bare.figure().mode == "RGB"
