"""What methods are handed besides the model: fills and baselines by name, pieces, bounds; made once for a batch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import seewhy
import seewhy.methods
from seewhy.api.asked.request import Request
from seewhy.api.asked.supplies import FILLS, Supplier
from seewhy.api.given.images import Item, read_items
from seewhy.core.perturb.fills import Fill, Inpaint
from seewhy.errors import UnknownName, UsageError
from seewhy.registry import methods

LOOK = seewhy.Preprocess(size=(8, 8), resize=None, mode="squash", mean=(0.5, 0.4, 0.3), std=(0.5, 0.25, 0.2))


def _model(preprocess: Any = LOOK) -> seewhy.Model:
    with torch.random.fork_rng([]):
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
    return seewhy.wrap(net, preprocess=preprocess) if preprocess is not None else seewhy.wrap(net)


def _picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)


def _supplier(model: seewhy.Model, images: Any, request: Request | None = None, seed: int = 0) -> Supplier:
    items: list[Item] = read_items(model, images)[0]
    return Supplier(model, torch.stack([item.tensor for item in items]), items, request or Request(), seed)


def test_only_what_a_method_takes() -> None:
    supplier = _supplier(_model(), _picture())
    assert set(supplier.supplies(methods["occlusion"])) == {"fill"}
    assert set(supplier.supplies(methods["lime"])) == {"fill", "segments"}
    assert set(supplier.supplies(methods["saliency"])) == set()
    assert set(supplier.supplies(methods["integrated-gradients"])) == {"baseline"}


@pytest.mark.parametrize(("name", "colour"), [("occlusion", 0.5), ("rise", 0.0)])
def test_each_methods_own_fill_is_a_colour_before_normalisation(name: str, colour: float) -> None:
    supplier = _supplier(_model(), _picture())
    fill = supplier.supplies(methods[name])["fill"]
    assert type(fill) is Fill
    expected = (torch.full((3,), colour) - torch.tensor(LOOK.mean)) / torch.tensor(LOOK.std)
    torch.testing.assert_close(fill.reference, expected.reshape(1, 3, 1, 1).expand(1, 3, 8, 8))
    assert supplier.described["fill"] == {0.5: "grey", 0.0: "black"}[colour]


def test_an_input_without_a_picture_is_filled_with_zero() -> None:
    supplier = _supplier(_model(), torch.randn(2, 3, 8, 8))
    assert not supplier.supplies(methods["rise"])["fill"].reference.any()
    assert supplier.described["fill"] == "zero"


def test_a_preprocess_that_tells_no_colours_is_filled_with_the_mean() -> None:
    model = _model(lambda picture: torch.from_numpy(np.asarray(picture).copy()).permute(2, 0, 1).float() / 7)
    supplier = _supplier(model, _picture())
    fill = supplier.supplies(methods["occlusion"])["fill"]
    torch.testing.assert_close(fill.reference, supplier.x.mean((2, 3), keepdim=True).expand_as(supplier.x))
    assert supplier.described["fill"] == "mean"


@pytest.mark.parametrize("kind", [*FILLS, "gray", 0.25, -3])
def test_every_fill_can_be_asked_for(kind: Any) -> None:
    supplier = _supplier(_model(), _picture(), Request(fill=kind))
    fill = supplier.supplies(methods["lime"])["fill"]
    assert isinstance(fill, Inpaint) == (kind == "inpaint")
    assert fill.reference.shape == (1, 3, 8, 8)
    assert fill.reference.isfinite().all()
    if not isinstance(kind, str):
        assert (fill.reference == kind).all()


def test_a_tensor_is_a_fill() -> None:
    own = torch.randn(3, 8, 8)
    supplier = _supplier(_model(), [_picture(), _picture()], Request(fill=own))
    assert torch.equal(supplier.supplies(methods["lime"])["fill"].reference, own.expand(2, 3, 8, 8))
    with pytest.raises(UsageError, match=r"fill of shape \(2, 2\)"):
        _supplier(_model(), _picture(), Request(fill=torch.zeros(2, 2))).supplies(methods["lime"])


def test_an_unknown_fill_names_the_nearest() -> None:
    with pytest.raises(UnknownName, match="nearest: 'grey'"):
        _supplier(_model(), _picture(), Request(fill="greyy")).supplies(methods["lime"])
    with pytest.raises(UnknownName, match="no fill"):
        _supplier(_model(), _picture(), Request(fill=object())).supplies(methods["lime"])


def test_what_is_supplied_is_made_once() -> None:
    """Two methods that take the same are handed the same."""
    supplier = _supplier(_model(), _picture(), Request(segments="grid", fill="blur"))
    first, second = supplier.supplies(methods["lime"]), supplier.supplies(methods["kernel-shap"])
    assert first["segments"] is second["segments"]
    assert first["fill"].reference is second["fill"].reference


def test_noise_depends_on_the_seed_and_the_image() -> None:
    def reference(seed: int, images: Any) -> torch.Tensor:
        return _supplier(_model(), images, Request(fill="noise"), seed).supplies(methods["lime"])["fill"].reference

    one, two = _picture(), 255 - _picture()
    both = reference(0, [one, two])
    assert torch.equal(both[1:], reference(0, two))
    assert not torch.equal(both[:1], reference(1, one))
    low, high = both.amin(), both.amax()
    assert float(low) < float(high)


def test_bounds_are_what_black_and_white_come_to() -> None:
    """Or further, where a tensor goes beyond; the input's own extremes where colours are not known."""
    taker = next(method for method in methods if "bounds" in method.requires)
    low, high = _supplier(_model(), _picture()).supplies(taker)["bounds"]
    mean, std = torch.tensor(LOOK.mean), torch.tensor(LOOK.std)
    torch.testing.assert_close(low.flatten(), -mean / std)
    torch.testing.assert_close(high.flatten(), (1 - mean) / std)
    x = torch.zeros(1, 3, 8, 8)
    x[0, 0, 0, 0], x[0, 1, 0, 0] = -50.0, 60.0
    low, high = _supplier(_model(), x).supplies(taker)["bounds"]
    assert float(low[0, 0]) == -50
    assert float(high[0, 1]) == 60
    low, high = _supplier(_model(lambda picture: torch.zeros(3, 8, 8)), x).supplies(taker)["bounds"]
    assert low.flatten().tolist() == [-50, 0, 0]
    assert high.flatten().tolist() == [0, 60, 0]


def test_bounds_that_the_caller_gives() -> None:
    """A number for all channels or one each, as numbers, arrays or tensors; what they cannot be is one line."""
    taker = next(method for method in methods if "bounds" in method.requires)
    x = torch.zeros(2, 3, 8, 8)
    x[0, 1, 0, 0] = 2.0

    def ends(bounds: Any) -> list[list[float]]:
        supplied = _supplier(_model(), x, Request(bounds=bounds)).supplies(taker)["bounds"]
        assert all(end.shape == (2, 3, 1, 1) for end in supplied)
        assert all(torch.equal(end[0], end[1]) for end in supplied)
        return [end[0].flatten().tolist() for end in supplied]

    assert ends((-1, 3)) == [[-1] * 3, [3] * 3]
    assert ends(([-1, -2, -3], torch.tensor([1.0, 2.0, 3.0]).reshape(3, 1, 1))) == [[-1, -2, -3], [1, 2, 3]]
    assert ends(np.array([-1.5, 2.5])) == [[-1.5] * 3, [2.5] * 3]
    for bounds, words in (
        ((3, -1), "bounds from 3 to -1 in channel 0: low is below high"),
        ((-1, float("nan")), "bounds from -1 to nan in channel 0: low is below high"),
        ((-1, 1), "bounds from -1 to 1, and the input has 0 to 2 in channel 1: give bounds that hold it"),
        (([0, 0], 3), "bounds with 2 numbers for inputs of 3 channels: give a pair"),
        (3, "bounds=3: give a pair"),
        ((1, 2, 3), "give a pair"),
        (("low", "high"), "bounds=.*: give a pair"),
    ):
        with pytest.raises(UsageError, match=words) as raised:
            ends(bounds)
        assert "\n" not in str(raised.value)
    with pytest.raises(UsageError, match=r"bounds=\(0, 1\): saliency has none; lrp, xrai and expected-gradients do"):
        seewhy.explain(_model(), _picture(), method="saliency", bounds=(0, 1))
    found = seewhy.explain(_model(), _picture(), method="lrp", bounds=(-9, 9), composite="epsilon")
    assert found.provenance["bounds"] == "given"


def test_the_record_says_what_was_used() -> None:
    found = seewhy.explain(_model(), _picture(), method="occlusion", window=4, fill="mean")
    assert found.provenance["fill"] == "mean"
    found = seewhy.explain(_model(), _picture(), method="occlusion", window=4)
    assert found.provenance["fill"] == "grey"


def test_words_that_no_method_takes() -> None:
    with pytest.raises(UsageError, match="fill='blur': saliency has none; perturbation methods do"):
        seewhy.explain(_model(), _picture(), method="saliency", fill="blur")
    with pytest.raises(UsageError, match="segments='grid': occlusion has none"):
        seewhy.explain(_model(), _picture(), method="occlusion", segments="grid")
