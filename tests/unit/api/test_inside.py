"""Looking inside: what comes back, in which order and units, of every kind of layer; and what is refused, in one line."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

import seewhy
from networks import image, make
from seewhy import targets as t
from seewhy.errors import CapabilityError, TargetError, UnknownName, UsageError
from seewhy.explanation import Gallery


def _net(**last: Any) -> nn.Sequential:
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3, **last), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(4, 5),
        ).eval()  # fmt: skip


def _model() -> seewhy.Model:
    look = seewhy.Preprocess(size=(16, 20), resize=None, mode="squash", mean=(0.5,) * 3, std=(0.25,) * 3)
    return seewhy.wrap(_net(), preprocess=look, labels=["one", "two", "three", "four", "five"])


def _photo(seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 20, 3), dtype=np.uint8))


# feature maps


def test_feature_maps_of_a_photo_say_what_they_are_of() -> None:
    found = seewhy.feature_maps(_model(), _photo(), "1", "two")
    assert isinstance(found, Gallery)
    score = seewhy.explain(_model(), _photo(), method="saliency", target="two").score
    assert found.title == f"image: 1, 6 channels of 14×18, for two (logit {score:.3g})"
    photo, *channels = found
    assert (photo.index, photo.value, photo.pixels.shape) == (None, None, (16, 20, 3))
    assert [each.title for each in channels] == [(f"channel {c.index}", f"evidence {c.value:+.3g}") for c in channels]
    values = [each.value for each in channels]
    assert values == sorted(values, reverse=True)
    assert [found.arrays["evidence"][each.index] for each in channels] == pytest.approx(values)
    assert found.colorbar[:2] == ("ember", 0.0)
    assert found.status.ok
    assert (found.cost.forwards, found.cost.backwards) == (1, 1)
    assert found.provenance["fingerprint"]


@pytest.mark.parametrize(
    ("order", "key"), [("magnitude", lambda v: -abs(v)), ("index", None), ("evidence", lambda v: -v)]
)
def test_the_order_of_channels(order: str, key: Any) -> None:
    found = seewhy.feature_maps(_net(), image(1, batch=1).float(), "0", 1, order=order, top=4)
    evidence = found.arrays["evidence"].tolist()
    expected = sorted(range(6), key=lambda c: key(evidence[c])) if key else list(range(6))
    assert [each.index for each in found if each.index is not None] == expected[:4]
    assert found.values.shape == (4, 6, 6)
    with torch.no_grad():
        np.testing.assert_allclose(found.values, _net()[0](image(1, batch=1).float())[0][expected[:4]], rtol=1e-5)
    assert found.notes[0].startswith("4 of 6 channels")


def test_one_scale_for_all_or_each_its_own() -> None:
    x = image(2, batch=1).float()
    shared, each = (seewhy.feature_maps(_net(), x, "1", 1, scale=scale, order="index") for scale in ("shared", "each"))
    assert shared.colorbar is not None
    assert each.colorbar is None
    np.testing.assert_array_equal(shared.values, each.values)
    brightest = [max(tile.pixels.astype(int).sum(2).max() for tile in [one]) for one in each if one.value is not None]
    assert min(brightest) > 600  # every channel that is not all zero reaches the top of its own scale
    assert any((a.pixels != b.pixels).any() for a, b in zip(shared, each, strict=True))


def test_several_images_layers_and_targets_are_a_list() -> None:
    net, x = _net(), image(3).float()
    found = seewhy.feature_maps_all(net, x, ["0", "2"], [[1, 2], [3, 4]])
    assert [(g.parameters["layer"], g.parameters["target"]) for g in found] == [
        (layer, f"class {k}") for pair in ((1, 2), (3, 4)) for layer in ("0", "2") for k in pair
    ]
    assert isinstance(seewhy.feature_maps_all(net, x[:1], "0", [1]), list)
    assert isinstance(seewhy.feature_maps(net, x[:1], "0"), Gallery)
    with pytest.raises(seewhy.errors.UsageError, match="feature_maps gives one gallery, and 2 images were given"):
        seewhy.feature_maps(net, x[:2], "0")
    sizes = [torch.rand(3, 8, 8), torch.rand(3, 10, 9), torch.rand(3, 8, 8)]
    assert [g.values.shape[1:] for g in seewhy.feature_maps_all(net, sizes, "0", [1, 1, 1])] == [(6, 6), (8, 7), (6, 6)]


def test_the_layer_is_chosen_as_for_cams() -> None:
    x = image(4, batch=1).float()
    assert seewhy.feature_maps(_net(), x).parameters["layer"] == "3"


def test_tokens_and_channels_last_layers_are_grids_too() -> None:
    case, x = make("tokens", 5), image(5, batch=1)
    found = seewhy.feature_maps(case.net, x, "blocks.0", 1)
    assert found.values.shape == (6, 4, 4)
    assert found.colorbar[0] == "blue-red"

    class Last(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.permute(0, 2, 3, 1)

    net = nn.Sequential(nn.Conv2d(3, 5, 3, padding=1), Last(), nn.Flatten(), nn.Linear(5 * 8 * 12, 2)).double()
    assert seewhy.feature_maps(net, torch.rand(1, 3, 8, 12).double(), "1", 0).values.shape == (5, 8, 12)


def test_a_target_that_depends_on_nothing_is_told_and_still_drawn() -> None:
    found = seewhy.feature_maps(_net(), image(6, batch=1).float(), "1", lambda out: out.detach()[:, 0])
    assert found.status.code == "zero-gradient"
    assert not found.arrays["evidence"].any()
    assert found.values.any()
    assert found.figure().size[0] > 0


@pytest.mark.parametrize("look", [seewhy.feature_maps, seewhy.factors])
@pytest.mark.parametrize(("layer", "shape"), [("6", "5"), ("5", "4")])
def test_a_layer_without_a_grid_is_refused_with_one_that_has(look: Any, layer: str, shape: str) -> None:
    with pytest.raises(CapabilityError) as raised:
        look(_net(), image(7, batch=1).float(), layer)
    assert f"layer '{layer}' puts out {shape} an image: take '3'" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_an_input_without_two_axes_is_refused() -> None:
    net = nn.Sequential(nn.Conv1d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(18, 2))
    with pytest.raises(CapabilityError, match="grids of two axes"):
        seewhy.feature_maps(net, torch.rand(1, 2, 8), "0", 1)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"top": 0}, "top=0: a whole number"),
        ({"top": 2.5}, "top=2.5"),
        ({"order": "size"}, "order='size': one of 'evidence'"),
        ({"scale": "log"}, "scale='log'"),
        ({"target": 9}, "no class 9"),
        ({"layer": "input"}, "explains a layer, not the input"),
    ],
)
def test_what_cannot_be_meant_of_feature_maps(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        seewhy.feature_maps(_net(), image(8, batch=1).float(), **{"layer": "0"} | asked)


def test_a_callable_has_no_feature_maps() -> None:
    with pytest.raises(CapabilityError, match="wrap the module itself"):
        seewhy.feature_maps(lambda x: x.flatten(1)[:, :4], image(8, batch=1).float(), "0")


# filters


def test_filters_of_the_first_convolution_are_in_colour() -> None:
    net = _net()
    found = seewhy.filters(net)
    assert found.title.endswith(": 0, 6 filters of 3×3 over 3 input channels")
    norms = [each.value for each in found]
    assert norms == sorted(norms, reverse=True)
    for tile, values in zip(found, found.values, strict=True):
        weights = net[0].weight[tile.index].detach().numpy()
        np.testing.assert_array_equal(values, weights)
        assert tile.value == pytest.approx(np.linalg.norm(weights))
        scale = max(np.abs(weights).max(), np.abs(found.values).max() / 20)
        expected = np.rint(127.5 * (1 + weights / scale)).transpose(1, 2, 0)
        np.testing.assert_allclose(tile.pixels, expected, atol=1)
    assert found.cost.forwards == 0


def test_filters_run_no_network() -> None:
    net = _net()
    net.register_forward_hook(lambda *_: pytest.fail("it ran"))
    assert len(seewhy.filters(net, order="index")) == 6


def test_a_dead_filter_stays_grey() -> None:
    net = _net()
    with torch.no_grad():
        net[0].weight[2] *= 1e-6
    dead = seewhy.filters(net)[5]
    assert dead.index == 2
    assert np.abs(dead.pixels.astype(int) - 128).max() <= 1
    with torch.no_grad():
        net[0].weight.zero_()
    assert np.abs(seewhy.filters(net)[0].pixels.astype(int) - 128).max() <= 1


def test_deeper_filters_by_their_strongest_inputs() -> None:
    net = _net()
    found = seewhy.filters(net, net[2], slices=2, top=3, scale="shared")
    assert found.values.shape == (3, 2, 3, 3)
    assert found.colorbar[0] == "blue-red"
    for tile, values, inputs in zip(found, found.values, found.arrays["channels"], strict=True):
        np.testing.assert_array_equal(values, net[2].weight[tile.index].detach().numpy()[inputs])
        sizes = net[2].weight[tile.index].flatten(1).norm(dim=1)
        assert inputs.tolist() == sizes.argsort(descending=True)[:2].tolist()
        assert tile.title[2] == f"inputs {inputs[0]}, {inputs[1]}"


def test_the_inputs_of_a_group_are_counted_over_the_layer() -> None:
    net = _net(groups=2)
    found = seewhy.filters(net, "2", order="index", slices=3)
    assert [sorted(row) for row in found.arrays["channels"].tolist()] == [[0, 1, 2]] * 2 + [[3, 4, 5]] * 2
    depthwise = nn.Sequential(nn.Conv2d(4, 8, 3, groups=4))
    found = seewhy.filters(depthwise, order="index")
    assert found.values.shape == (8, 1, 3, 3)
    assert found.arrays["channels"][:, 0].tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    # the three inputs of a group are no colours
    found = seewhy.filters(nn.Sequential(nn.Conv2d(9, 3, 3, groups=3)), order="index")
    assert found.arrays["channels"].tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert found[0].title[2] == "inputs 0, 1, 2"
    assert found.title.endswith("over 3 input channels in 3 groups")


def test_the_first_that_can_be_drawn_is_taken() -> None:
    net = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Conv2d(3, 4, (1, 5)), nn.Conv2d(4, 4, 3))
    assert seewhy.filters(net).parameters["layer"] == "1"


@pytest.mark.parametrize(
    ("layer", "words"),
    [
        ("6", "layer '6' is a Linear: take '0'"),
        ("1", "is a ReLU: take '0'"),
        ("7", "has kernels of 1×1, a number a channel: take '0'"),
        ("8", "is a Conv1d"),
        ("9", "is a Conv3d"),
        ("10", "is a Sequential: take '10.1'"),
    ],
)
def test_what_has_no_kernels_is_refused_with_what_has(layer: str, words: str) -> None:
    more = nn.Conv2d(4, 4, 1), nn.Conv1d(4, 4, 3), nn.Conv3d(4, 4, 3), nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 3))
    with pytest.raises(CapabilityError) as raised:
        seewhy.filters(nn.Sequential(*_net(), *more), layer)
    assert words in str(raised.value)


def test_a_network_without_convolutions_has_no_filters() -> None:
    with pytest.raises(CapabilityError, match="this Sequential has none"):
        seewhy.filters(nn.Sequential(nn.Flatten(), nn.Linear(4, 2)))
    with pytest.raises(UnknownName, match="no layer 'x'"):
        seewhy.filters(_net(), "x")
    with pytest.raises(UsageError, match="order='size'"):
        seewhy.filters(_net(), order="size")
    with pytest.raises(UsageError, match="top=0"):
        seewhy.filters(_net(), top=0)


def test_weights_that_are_not_finite_are_told() -> None:
    net = _net()
    with torch.no_grad():
        net[0].weight[1, 0, 0, 0] = float("nan")
    assert seewhy.filters(net).status.code == "non-finite"


def test_normalised_weights_are_read_without_changing_them() -> None:
    """Spectral normalisation takes a step of its power iteration whenever weights are read in train mode."""
    net = nn.Sequential(spectral_norm(nn.Conv2d(3, 4, 3))).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    seewhy.filters(net)
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())
    assert net.training


# factors


def test_factors_of_photos_a_row_each() -> None:
    found = seewhy.factors(_model(), [_photo(0), _photo(1)], "1", rank=3)
    assert found.values.shape == (2, 3, 14, 18)
    assert (found.values >= 0).all()
    assert found.columns == 5  # the photo, all factors, each factor
    assert len(found) == 10
    shares = found.arrays["shares"]
    assert shares.tolist() == sorted(shares.tolist(), reverse=True)
    np.testing.assert_allclose(np.linalg.norm(found.arrays["directions"], axis=1), 1, rtol=1e-5)
    assert [tile.index for tile in found] == [None, None, 0, 1, 2] * 2
    with torch.no_grad():
        x = torch.stack([_model().to_input(seewhy_photo)[0] for seewhy_photo in map(_read, (0, 1))])
        activation = _model().module[:2](x)
    totals = activation.sum((1, 2, 3)).tolist()
    overall = [sum(found[5 * row + 2 + k].value * totals[row] for row in (0, 1)) / sum(totals) for k in range(3)]
    assert overall == pytest.approx(shares.tolist(), rel=1e-4)
    product = np.einsum("nkhw,kc->nchw", found.values, found.arrays["directions"])
    error = np.linalg.norm(product - activation.numpy()) / np.linalg.norm(activation.numpy())
    assert found.notes[0].startswith(f"relative error {error:.3g} after ")
    assert "no activation is negative" in found.notes
    assert found.cost.forwards == 2


def _read(seed: int) -> Any:
    from seewhy.models import read_image

    return read_image(_photo(seed))


def test_what_is_negative_is_left_out_and_said() -> None:
    net, x = _net(), image(9).float()
    with torch.no_grad():
        raw = net[0](x)
    share = float(-raw.clamp(max=0).sum() / raw.abs().sum())
    assert f"{share:.0%} of the activation is negative and left out" in seewhy.factors(net, x, "0", rank=2).notes
    np.testing.assert_allclose(
        seewhy.factors(net, x, "0", rank=2).values, seewhy.factors(net, x, "1", rank=2).values, rtol=1e-4, atol=1e-5
    )


def test_factors_find_what_the_activation_was_made_of() -> None:
    """Two channels patterns at separate places are told apart exactly."""

    class Made(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Identity()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            left, right = x[:, :1] * 2, x[:, 1:2] * 5
            return self.body(torch.cat([left, left * 3, right, right * 0.5, right * 2], 1)).mean((2, 3))

    x = torch.zeros(1, 3, 4, 4)
    x[0, 0, :, :2] = torch.arange(1, 9).reshape(4, 2)
    x[0, 1, :, 2:] = torch.arange(8, 0, -1).reshape(4, 2)
    found = seewhy.factors(Made(), x, "body", rank=2)
    np.testing.assert_allclose(
        found.arrays["directions"][0] / found.arrays["directions"][0, 2], [0, 0, 1, 0.5, 2], atol=1e-3
    )
    np.testing.assert_allclose(
        found.arrays["directions"][1] / found.arrays["directions"][1, 0], [1, 3, 0, 0, 0], atol=1e-3
    )
    assert float(found.notes[0].split()[2]) < 1e-3


def test_a_constant_network_has_factors_of_nothing() -> None:
    net = _net()
    with torch.no_grad():
        net[0].weight.zero_()
        net[0].bias.fill_(-1)
    found = seewhy.factors(net, image(10).float(), "1", rank=2)
    assert not found.values.any()
    assert not found.arrays["shares"].any()
    assert found.notes[0].startswith("relative error 0 ")


def test_a_model_that_ends_in_maps_needs_a_layer() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    assert seewhy.factors(net, image(11).float(), "1", rank=2).values.shape == (2, 2, 6, 6)
    with pytest.raises(TargetError, match="name one with layer="):
        seewhy.factors(net, image(11).float(), rank=2)


@pytest.mark.parametrize("look", [seewhy.factors, seewhy.principal_components])
def test_a_backbone_without_classes_has_a_layer_chosen(look: Any) -> None:
    class Backbone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = _net()[:4]

        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            maps = self.body(x)
            return {"pooled": maps.mean((2, 3)), "largest": maps.amax((2, 3))}

    chosen = look(Backbone(), image(11).float(), rank=2)
    assert chosen.parameters["layer"] == "body"
    np.testing.assert_array_equal(chosen.values, look(Backbone(), image(11).float(), "body", rank=2).values)


def test_an_output_that_says_nothing_of_each_image_chooses_no_layer() -> None:
    class Sum(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.sum()

    with pytest.raises(TargetError, match="name one with layer="):
        seewhy.factors(nn.Sequential(nn.Conv2d(3, 4, 3), Sum()), image(11).float(), rank=2)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"rank": 0}, "so a rank from 1 to 6"),
        ({"rank": 7}, "6 channels at 72 positions, so a rank from 1 to 6"),
        ({"steps": 0}, "steps from 1"),
        ({"seed": 1}, "no parameter 'seed'"),
        ({"layer": ["0", "1"]}, "takes one layer; got 2"),
    ],
)
def test_what_cannot_be_meant_of_factors(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        seewhy.factors(_net(), image(12).float(), **{"layer": "0"} | asked)


def test_factors_of_images_of_several_sizes_or_without_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="images of one size"):
        seewhy.factors(_net(), [torch.rand(3, 8, 8), torch.rand(3, 9, 8)], "0")
    with pytest.raises(CapabilityError, match="NaN or infinity"):
        seewhy.factors(_net(), torch.full((1, 3, 8, 8), float("nan")), "0", rank=2)


# principal components


def test_components_of_photos_a_row_each() -> None:
    found = seewhy.principal_components(_model(), [_photo(0), _photo(1)], "1", rank=4)
    assert found.values.shape == (2, 4, 14, 18)
    assert found.columns == 6  # the photo, the colours, each component
    assert [tile.index for tile in found] == [None, None, 0, 1, 2, 3] * 2
    assert [tile.title[0] for tile in found][1:4] == [
        "1 to 3 in colour", "component 1 (red)", "component 2 (green)"
    ]  # fmt: skip
    assert found.arrays["shares"].tolist() == sorted(found.arrays["shares"].tolist(), reverse=True)
    assert found.cost.forwards == 2
    assert found.values.mean((0, 2, 3)) == pytest.approx([0] * 4, abs=1e-6)
    # the colours are the components: red is high where the first one is
    colours, one = found[1].pixels.astype(float), found.values[0, 0]
    rows, columns = np.unravel_index([one.argmax(), one.argmin()], one.shape)
    red = [colours[r * 16 // 14, c * 20 // 18, 0] for r, c in zip(rows, columns, strict=True)]
    assert red[0] > 128 + 30
    assert red[1] < 128 - 30


def test_components_beyond_what_there_is_are_nothing_and_said_to_be() -> None:
    class Made(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return torch.cat([x[:, :1], 2 * x[:, :1], -x[:, :1]], 1)

    found = seewhy.principal_components(nn.Sequential(Made()), image(3).double(), "0")
    assert found.values[:, 0].any()
    assert not found.values[:, 1:].any()
    assert found.arrays["shares"].tolist() == [pytest.approx(1.0), 0.0, 0.0]
    np.testing.assert_allclose(found.arrays["directions"][0], np.array([1, 2, -1]) / np.sqrt(6), atol=1e-12)
    assert "2 of them are 0 everywhere: the activation has no more" in found.notes
    flat = seewhy.principal_components(nn.Sequential(nn.Conv2d(3, 4, 1)), torch.zeros(1, 3, 4, 4), "0")
    assert not flat.values.any()
    assert flat.figure().size[0] > 0


@pytest.mark.parametrize("rank", [0, 5, True, 1.5])
def test_a_rank_that_cannot_be(rank: Any) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(UsageError, match="so a rank from 1 to 4"):
        seewhy.principal_components(net, image(4).float(), "0", rank=rank)


# every layer's saliency


class _Auxiliary(nn.Module):
    """A head that eval mode never runs, defined before the layers that it follows."""

    def __init__(self) -> None:
        super().__init__()
        self.aux, self.late, self.early = nn.Linear(4, 2), nn.Conv2d(4, 4, 3), nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.late(self.early(x).relu()).relu().mean((2, 3))
        return self.head(x) + (self.aux(x).sum() if self.training else 0)


def test_layers_come_in_the_order_of_the_forward_and_those_that_never_run_not_at_all() -> None:
    found = seewhy.explain_all(_Auxiliary().eval(), image(13, batch=1).float(), method="saliency-by-layer")
    assert [each.layer for each in found] == ["early", "late", "head"]
    assert (found.cost.forwards, found.cost.backwards) == (1, 3)
    assert {each.unit for each in found} == {"activation"}
    with pytest.raises(CapabilityError, match="layer 'aux' did not run"):
        seewhy.explain(_Auxiliary().eval(), image(13, batch=1).float(), method="saliency-by-layer", layer="aux")


def test_layers_named_come_as_named_whatever_they_are() -> None:
    found = seewhy.explain_all(_net(), image(14, batch=1).float(), method="saliency-by-layer", layer=["3", "0"])
    assert [(each.layer, each.target) for each in found] == [("3", "mean of 3"), ("0", "mean of 0")]
    one = seewhy.explain(_net(), image(14, batch=1).float(), method="saliency-by-layer", layer="3")
    np.testing.assert_array_equal(one.values, found[0].values)
    with torch.no_grad():
        assert one.score == pytest.approx(float(_net()[:4](image(14, batch=1).float()).mean()), rel=1e-5)


def test_a_layer_that_runs_several_times_by_the_number_of_the_call() -> None:
    case, x = make("shared-relu", 15), image(15, batch=1)
    first, last = seewhy.explain_all(case.net, x, method="saliency-by-layer", layer=["relu#1", "relu"])
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(case.net.one(leaf).relu().mean(), leaf)
    np.testing.assert_allclose(first.values, expected[0].abs().amax(0), rtol=1e-9)
    assert np.abs(first.values - last.values).max() > 1e-4


def test_an_mlp_and_what_has_no_such_layer() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 5), nn.Tanh(), nn.Linear(5, 2))
    found = seewhy.explain_all(net, image(16, batch=1).float(), method="saliency-by-layer")
    assert [each.layer for each in found] == ["1", "3"]
    with pytest.raises(CapabilityError, match="no convolution and no dense layer in this Sequential"):
        seewhy.explain(nn.Sequential(nn.AvgPool2d(8), nn.Flatten()), image(16).float(), method="saliency-by-layer")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"target": 1}, "explains the mean of each layer, no class: leave target= out"),
        ({"layer": "input"}, "explains layers; the input is none"),
        ({"fuse": "mean", "layer": ["0", "2"]}, "have a target each"),
        ({"contrast": 1}, "not a CAM of a class"),
    ],
)
def test_what_cannot_be_meant_of_saliency_by_layer(asked: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        seewhy.explain(_net(), image(17, batch=1).float(), method="saliency-by-layer", **asked)


def test_maps_about_layers_lie_side_by_side() -> None:
    model = _model()
    found = seewhy.explain_all(model, _photo(), method="saliency-by-layer")
    wide, high = found.grid(cell=64).size
    assert wide > 4 * 64
    assert high < 3 * 64


@pytest.mark.parametrize("windows", [1, 4, 5])
def test_the_mean_of_a_layer_is_over_all_it_puts_out(windows: int) -> None:
    """Of windows too, of which each image has several in the first axis."""

    class Inner(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Inner()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            rows = self.inner(x.flatten(1)[:, : 9 * windows].reshape(len(x) * windows, 3, 3))
            return rows.reshape(len(x), -1)

    x = image(18, batch=3)
    found = seewhy.explain_all(Odd(), x, method="saliency", target=t.LayerMean("inner"))
    for row, each in enumerate(found):
        assert each.score == pytest.approx(float(x[row].flatten()[: 9 * windows].mean()), abs=1e-12)


def test_the_mean_of_tokens_has_the_class_token_in_it() -> None:
    case, x = make("tokens", 19), image(19)
    found = seewhy.explain_all(case.net, x, method="saliency", target=t.LayerMean("norm"))
    with torch.no_grad():
        tokens = case.net.norm(case.net.blocks(_tokens(case.net, x)))
    assert [each.score for each in found] == pytest.approx(tokens.mean((1, 2)).tolist(), abs=1e-12)


def _tokens(net: Any, x: torch.Tensor) -> torch.Tensor:
    patches = net.patches(x).flatten(2).transpose(1, 2)
    return torch.cat([net.special.expand(len(x), -1, -1), patches], 1)


def test_a_layer_whose_images_cannot_be_told_apart_is_refused() -> None:
    """Positions first, images second, as older transformers have it."""

    class First(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.Linear(3, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.inner(x.flatten(2).permute(2, 0, 1)).mean(0)

    with pytest.raises(CapabilityError, match="whose first axis is not the batch of 2"):
        seewhy.explain_all(First(), image(20).float(), method="saliency-by-layer")
    assert len(seewhy.explain_all(First(), image(20, batch=1).float(), method="saliency-by-layer")) == 1


# the commands' names


@pytest.mark.parametrize(
    ("method", "command", "function"),
    [
        ("feature-maps", "seewhy features", "seewhy.feature_maps"),
        ("filters", "seewhy filters", "seewhy.filters"),
        ("factors", "seewhy factors", "seewhy.factors"),
        ("principal-components", "seewhy components", "seewhy.principal_components"),
        ("attention-maps", "seewhy attention", "seewhy.attention"),
        ("maximise", "seewhy maximise", "seewhy.maximise"),
    ],
)
def test_explain_says_who_makes_what_it_does_not(method: str, command: str, function: str) -> None:
    with pytest.raises(UsageError) as raised:
        seewhy.explain(_net(), image(0, batch=1).float(), method=method)
    assert command in str(raised.value)
    assert function in str(raised.value)
    assert callable(getattr(seewhy, function.removeprefix("seewhy.")))


class _TwoWays(nn.Module):
    """Takes another way, through other layers, from the second call on."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.calls = nn.Conv2d(3, 4, 3), nn.Conv2d(3, 4, 3), 0
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self.head((self.first if self.calls == 1 else self.second)(x).mean((2, 3)))


def test_a_chosen_layer_that_does_not_run_this_time_is_chosen_anew() -> None:
    net, x = _TwoWays().eval(), image(21, batch=1).float()
    assert seewhy.explain(net, x, method="grad-cam").layer == "first"
    found = seewhy.explain_all(net, x, method=["grad-cam", "saliency-by-layer"])
    assert [each.layer for each in found] == ["second", "second", "head"]
