"""What goes in and what comes out: images, targets, layers, several of everything, contrasts, fusions, statuses."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import seewhy
from seewhy.errors import CapabilityError, TargetError, UnknownName, UsageError

LABELS = ["tench", "tabby, tabby cat", "goldfish", "espresso", "hen"]


@pytest.fixture
def net() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    ).eval()  # fmt: skip


@pytest.fixture
def model(net: nn.Module) -> seewhy.Model:
    preprocess = seewhy.Preprocess(size=(16, 20), resize=None, mode="squash", mean=(0.5,) * 3, std=(0.25,) * 3)
    return seewhy.wrap(net, preprocess=preprocess, labels=LABELS)


@pytest.fixture
def x() -> Tensor:
    return torch.randn(3, 3, 16, 20, generator=torch.Generator().manual_seed(2))


def pixels(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (16, 20, 3), dtype=np.uint8)


def test_every_kind_of_image_is_the_same_image(model: seewhy.Model, tmp_path: object) -> None:
    array = pixels()
    path = tmp_path / "a.png"
    Image.fromarray(array).save(path)
    tensor = (torch.from_numpy(array).permute(2, 0, 1) / 255 - 0.5) / 0.25
    kinds = [
        path,
        str(path),
        Image.fromarray(array),
        array,
        torch.from_numpy(array),
        tensor,
        tensor[None],
        tensor.numpy(),
    ]
    found = [seewhy.explain(model, kind, method="saliency", target=1) for kind in kinds]
    for each in found:
        assert isinstance(each, seewhy.Explanation)
        np.testing.assert_allclose(each.values, found[0].values, rtol=1e-4, atol=1e-7)
        np.testing.assert_array_equal(each.image, array)
    assert found[0].name == "a.png"


def test_values_are_native_and_signed_and_the_map_is_full_size(model: seewhy.Model) -> None:
    e = seewhy.explain(model, pixels(), method="grad-cam", target=1)
    assert e.layer == "4"
    assert e.values.shape == (5, 7)
    assert e.values.dtype == np.float32
    assert e.map.shape == (16, 20)
    expected = torch.nn.functional.interpolate(torch.tensor(e.values)[None, None], (16, 20), mode="bilinear")[0, 0]
    np.testing.assert_allclose(e.map, expected.numpy(), atol=1e-6)


def test_one_of_each_gives_one_and_several_of_anything_gives_several(model: seewhy.Model, x: Tensor) -> None:
    one = {"image": x[:1], "method": "grad-cam", "target": 1, "layer": "4"}
    assert isinstance(seewhy.explain(model, **one), seewhy.Explanation)
    for change in (
        {"image": x}, {"image": [x[0]]}, {"method": ["grad-cam"]}, {"target": [1, 2]}, {"target": "all"},
        {"target": "top-1"}, {"layer": ["1", "4"]},
    ):  # fmt: skip
        assert isinstance(seewhy.explain_all(model, **(one | change)), seewhy.Explanations), change


def test_order_is_image_method_layer_target(model: seewhy.Model, x: Tensor) -> None:
    found = seewhy.explain_all(
        model, x[:2], method=["grad-cam", "hires-cam"], target=[[1, 2], [3, 4]], layer=["1", "4"]
    )
    got = [(e.name, e.method, e.layer, e.target_index) for e in found]
    assert got == [
        (f"input {i}", method, layer, t)
        for i in (0, 1)
        for method in ("grad-cam", "hires-cam")
        for layer in ("1", "4")
        for t in (1 + 2 * i, 2 + 2 * i)
    ]


def test_mixed_shapes_keep_their_order(net: nn.Module) -> None:
    images = [torch.randn(3, s, s) for s in (16, 20, 16)]
    found = seewhy.explain_all(net, images, method="saliency", target=0)
    assert [e.size for e in found] == [(16, 16), (20, 20), (16, 16)]
    for image, e in zip(images, found, strict=True):
        np.testing.assert_allclose(e.values, seewhy.explain(net, image, method="saliency", target=0).values, rtol=1e-4)


@pytest.mark.parametrize("names", [("guided-backprop", "guided-grad-cam"), ("guided-grad-cam", "guided-backprop")])
def test_a_rule_asked_for_later_shares_its_backward(net: nn.Module, x: Tensor, names: tuple[str, str]) -> None:
    found = seewhy.explain_all(net, x, method=["saliency", *names], target=1)
    assert (found.cost.forwards, found.cost.backwards) == (len(x), 2 * len(x))


def test_twelve_maps_three_layers_five_classes_cost_one_forward_and_five_backwards(net: nn.Module, x: Tensor) -> None:
    found = seewhy.explain_all(
        net, x[:1], method=["grad-cam", "hires-cam", "layer-cam", "xgrad-cam"], target="all", layer=["1", "3", "4"]
    )
    assert len(found) == 4 * 3 * 5
    assert (found.cost.forwards, found.cost.backwards) == (1, 5)
    # the input's gradient comes out of the same backward passes
    found = seewhy.explain_all(net, x[:1], method=["grad-cam", "saliency", "input-x-gradient"], target="top-2")
    assert (found.cost.forwards, found.cost.backwards) == (1, 2)


def test_a_second_rule_costs_one_more_backward_and_no_forward(net: nn.Module, x: Tensor) -> None:
    found = seewhy.explain_all(net, x[:1], method=["saliency", "guided-backprop", "deconvnet"], target=1)
    assert (found.cost.forwards, found.cost.backwards) == (1, 3)


def test_streams_over_the_same_variants_are_shared(net: nn.Module, x: Tensor) -> None:
    found = seewhy.explain_all(net, x[:1], method=["smooth-grad", "smooth-grad-squared", "var-grad"], target=1, n=6)
    assert (found.cost.forwards, found.cost.backwards) == (7, 6)
    alone = seewhy.explain(net, x[:1], method="var-grad", target=1, n=6)
    np.testing.assert_allclose(found[2].values, alone.values, rtol=1e-5)


def test_the_chosen_layer_costs_nothing_the_second_time(net: nn.Module, x: Tensor) -> None:
    first, second = (seewhy.explain(net, x[:1], method="grad-cam", target=1) for _ in range(2))
    assert first.layer == second.layer == "4"
    assert (first.cost.forwards, second.cost.forwards) == (1, 1)
    np.testing.assert_array_equal(first.values, second.values)


@pytest.mark.parametrize(
    "target", [1, "tabby, tabby cat", "TABBY, tabby cat", "1", seewhy.targets.Logit(1), np.int64(1), -4]
)
def test_ways_to_name_a_target(model: seewhy.Model, x: Tensor, target: object) -> None:
    e = seewhy.explain(model, x[:1], method="saliency", target=target)
    assert e.target_index == 1
    np.testing.assert_array_equal(e.values, seewhy.explain(model, x[:1], method="saliency", target=1).values)


def test_none_is_each_images_top_class(net: nn.Module, x: Tensor) -> None:
    found = seewhy.explain_all(net, x, method="saliency")
    assert [e.target_index for e in found] == net(x).argmax(1).tolist()
    assert [e.prediction.index for e in found] == net(x).argmax(1).tolist()


def test_a_tensor_of_targets_is_one_per_image(net: nn.Module, x: Tensor) -> None:
    found = seewhy.explain_all(net, x, method="saliency", target=torch.tensor([4, 0, 2]))
    assert [e.target_index for e in found] == [4, 0, 2]
    with pytest.raises(UsageError, match="2 targets for 3 images"):
        seewhy.explain(net, x, method="saliency", target=[4, 0])


def test_a_callable_target(net: nn.Module, x: Tensor) -> None:
    def spread(output: Tensor) -> Tensor:
        return output[:, 1] - output[:, 3]

    by_hand = seewhy.explain_all(net, x, method="saliency", target=spread, reduce="none")
    margin = seewhy.explain_all(net, x, method="saliency", target=seewhy.targets.Margin(1, 3), reduce="none")
    assert by_hand[0].target == "spread"
    for a, b in zip(by_hand, margin, strict=True):
        np.testing.assert_allclose(a.values, b.values, atol=1e-7)
    with pytest.raises(TargetError, match="one scalar per sample"):
        seewhy.explain_all(net, x, method="saliency", target=lambda output: output)


def test_a_neuron_is_a_target(net: nn.Module, x: Tensor) -> None:
    e = seewhy.explain(net, x[:1], method="saliency", target=seewhy.targets.Neuron("3", 2, (1, 4)), reduce="none")
    leaf = x[:1].clone().requires_grad_()
    expected = torch.autograd.grad(net[:4](leaf)[0, 2, 1, 4], leaf)[0][0]
    np.testing.assert_allclose(e.values, expected.numpy(), atol=1e-7)


def test_regression_and_segmentation_outputs(x: Tensor) -> None:
    torch.manual_seed(0)
    steering = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 18, 1))
    e = seewhy.explain(steering, x[:1], method="saliency")
    assert e.target == "output 0"
    assert e.prediction is None
    assert e.score == pytest.approx(steering(x[:1]).item(), rel=1e-5)
    segment = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1))
    with pytest.raises(TargetError, match="Region"):
        seewhy.explain(segment, x[:1], method="saliency")
    mask = np.zeros((14, 18), bool)
    mask[:3, :3] = True
    region = seewhy.explain(segment, x[:1], method="saliency", target=seewhy.targets.Region(mask, 1))
    assert region.values[:5, :5].any()
    assert not region.values[5:, 5:].any()


@pytest.mark.parametrize("reduce", ["max-abs", "sum", "l2", "sum-abs", "none"])
def test_reductions(net: nn.Module, x: Tensor, reduce: str) -> None:
    leaf = x[:1].clone().requires_grad_()
    g = torch.autograd.grad(net(leaf)[0, 1], leaf)[0][0].numpy()
    expected = {
        "max-abs": np.abs(g).max(0), "sum": g.sum(0), "l2": np.sqrt((g**2).sum(0)), "sum-abs": np.abs(g).sum(0), "none": g,
    }[reduce]  # fmt: skip
    e = seewhy.explain(net, x[:1], method="saliency", target=1, reduce=reduce)
    np.testing.assert_allclose(e.values, expected, rtol=1e-4, atol=1e-7)
    assert e.parameters["reduce"] == reduce
    assert e.map.shape == (16, 20)


def test_contrast_subtracts_the_strongest_rival_at_each_place(net: nn.Module, x: Tensor) -> None:
    maps = {k: seewhy.explain(net, x[:1], method="grad-cam", target=k).values for k in range(5)}
    order = net(x[:1])[0].argsort(descending=True).tolist()
    own = order[1]
    rivals = [k for k in order if k != own][:3]
    e = seewhy.explain(net, x[:1], method="grad-cam", target=own, contrast="top-3")
    expected = maps[own] - np.max([maps[k] for k in rivals], axis=0)
    np.testing.assert_allclose(e.values, expected, atol=1e-7)
    assert e.contrast == "against top-3"
    assert (e.cost.forwards, e.score) == (1, pytest.approx(net(x[:1])[0, own].item()))
    single = seewhy.explain(net, x[:1], method="grad-cam", target=own, contrast=rivals[0])
    np.testing.assert_allclose(single.values, maps[own] - maps[rivals[0]], atol=1e-7)
    with pytest.raises(TargetError, match="itself"):
        seewhy.explain(net, x[:1], method="grad-cam", target=own, contrast=own)
    with pytest.raises(UsageError, match="not a CAM of a class"):
        seewhy.explain(net, x[:1], method="saliency", contrast="top-3")


def test_fusing_layers(net: nn.Module, x: Tensor) -> None:
    a, b = seewhy.explain_all(net, x[:1], method="grad-cam", target=1, layer=["1", "4"])
    up = torch.nn.functional.interpolate(torch.tensor(b.values)[None, None], a.values.shape, mode="bilinear")[
        0, 0
    ].numpy()
    mean = seewhy.explain(net, x[:1], method="grad-cam", target=1, layer=["1", "4"], fuse="mean")
    most = seewhy.explain(net, x[:1], method="grad-cam", target=1, layer=["1", "4"], fuse="max")
    assert isinstance(mean, seewhy.Explanation)
    np.testing.assert_allclose(mean.values, (a.values + up) / 2, atol=1e-7)
    np.testing.assert_allclose(most.values, np.maximum(a.values, up), atol=1e-7)
    assert mean.layer == "1 + 4"


def test_backward_rules_on_cams(net: nn.Module, x: Tensor) -> None:
    plain, guided, relu = (
        seewhy.explain(net, x[:1], method="grad-cam", target=1, layer="1", backward_rule=rule).values
        for rule in ("none", "guided", "relu")
    )
    leaf = net[:2](x[:1]).detach().requires_grad_()
    pooled = net[2](leaf)
    z = net[3](pooled)
    above = z.relu().detach().requires_grad_()
    arriving = torch.autograd.grad(net[5:](above)[0, 1], above)[0]
    for found, passed in (
        (plain, arriving * (z > 0)), (guided, arriving.clamp(min=0) * (z > 0)), (relu, arriving.clamp(min=0))
    ):  # fmt: skip
        (g,) = torch.autograd.grad(z, leaf, passed, retain_graph=True)
        expected = (g.mean((2, 3), keepdim=True) * leaf).sum(1)[0].detach().numpy()
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_baselines(model: seewhy.Model, x: Tensor) -> None:
    image = pixels()
    black = seewhy.explain(model, image, method="integrated-gradients", target=1, rule="gauss-legendre", steps=4)
    assert black.provenance["baseline"] == "black"
    number = seewhy.explain(
        model, image, method="integrated-gradients", target=1, rule="gauss-legendre", steps=4, baseline=-2.0
    )
    np.testing.assert_allclose(black.values, number.values, atol=1e-6)  # black is (0 - 0.5) / 0.25 for this model
    bare = seewhy.explain(model, x[:1], method="integrated-gradients", target=1, steps=4, rule="gauss-legendre")
    assert bare.provenance["baseline"] == "zero"
    for kind in ("white", "grey", "mean", "blur", "noise", x[0], np.zeros((3, 1, 1), np.float32)):
        e = seewhy.explain(model, image, method="integrated-gradients", target=1, baseline=kind, max_steps=8)
        assert np.isfinite(e.values).all()
    with pytest.raises(UnknownName, match="nearest: 'black'"):
        seewhy.explain(model, image, method="integrated-gradients", baseline="blak")
    with pytest.raises(UsageError, match="has none"):
        seewhy.explain(model, image, method="saliency", baseline="black")


def test_differentiable_values_carry_a_graph_to_the_parameters(net: nn.Module, x: Tensor) -> None:
    for method in ("grad-cam", "saliency", "input-x-gradient", "layer-cam", "guided-backprop"):
        e = seewhy.explain(net, x[:1], method=method, target=1, differentiable=True)
        (gradient,) = torch.autograd.grad(e.tensor.square().sum(), net[0].weight)
        assert gradient.abs().sum() > 0, method
        np.testing.assert_array_equal(e.tensor.detach().numpy(), e.values)
    assert all(p.grad is None for p in net.parameters())


def test_differentiable_agrees_with_finite_differences(net: nn.Module, x: Tensor) -> None:
    double, x = net.double(), x[:1].double()

    def total() -> Tensor:
        return seewhy.explain(double, x, method="grad-cam", target=1, differentiable=True).tensor.sum()

    weight = double[7].weight
    (gradient,) = torch.autograd.grad(total(), weight)
    with torch.no_grad():
        before = float(total())
        weight[1, 0] += 1e-6
        after = float(total())
    assert (after - before) / 1e-6 == pytest.approx(float(gradient[1, 0]), rel=1e-4)


def test_reshape_is_there_for_layouts_nobody_foresaw(x: Tensor) -> None:
    class Odd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.fold, self.head = nn.Conv2d(3, 4, 3), nn.Identity(), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.fold(self.conv(x).flatten(2).permute(2, 0, 1))  # [positions, batch, channels]
            return self.head(y.mean(0))

    model = Odd()
    expected = seewhy.explain(model, x[:1], method="grad-cam", layer="conv", target=1)
    found = seewhy.explain(
        model,
        x[:1],
        method="grad-cam",
        layer="fold",
        target=1,
        reshape=lambda a: a.permute(1, 2, 0).unflatten(2, (14, 18)),
    )
    np.testing.assert_allclose(found.values, expected.values, atol=1e-7)


@pytest.mark.parametrize("prepare", [False, True, "auto", "verify"])
def test_prepare_is_accepted_and_recorded(net: nn.Module, x: Tensor, prepare: object) -> None:
    e = seewhy.explain(net, x[:1], method="saliency", prepare=prepare)
    assert e.provenance["prepare"] == str(prepare)
    with pytest.raises(UsageError, match="prepare"):
        seewhy.explain(net, x[:1], prepare="sometimes")


def test_a_dense_layer_has_values_but_no_map(net: nn.Module, x: Tensor) -> None:
    e = seewhy.explain(net, x[:1], method="saliency", layer="7", target=1)
    np.testing.assert_array_equal(e.values, [0, 1, 0, 0, 0])
    with pytest.raises(UsageError, match=r"\.values"):
        e.map
    with pytest.raises(UsageError, match=r"positions|spatial"):
        seewhy.explain(net, x[:1], method="grad-cam", layer="7", target=1).map


@pytest.mark.parametrize(
    ("asked", "error", "words"),
    [
        ({"method": "gradcam"}, UnknownName, "no method 'gradcam'; nearest: 'grad-cam'. List them: seewhy methods"),
        ({"layer": "44"}, UnknownName, "nearest: '4'"),
        ({"target": "esspresso"}, UnknownName, "nearest: 'espresso'"),
        ({"target": 5}, TargetError, "0 to 4"),
        ({"target": True}, UsageError, "index, a label"),
        ({"target": []}, UsageError, "no targets"),
        ({"method": []}, UsageError, "no methods"),
        ({"image": []}, UsageError, "no images"),
        ({"image": torch.zeros(3, 8, 8, dtype=torch.int64)}, UsageError, "int64"),
        ({"image": 7}, UsageError, "int"),
        ({"image": torch.zeros(0, 3, 8, 8)}, UsageError, "empty"),
        ({"step": 3, "method": "integrated-gradients"}, UnknownName, "nearest: 'steps'"),
        ({"reduce": "max", "method": "saliency"}, UnknownName, "max-abs"),
        ({"reduce": "sum"}, UsageError, "no channel"),
        ({"backward_rule": "guide"}, UnknownName, "guided"),
        ({"fuse": "product"}, UnknownName, "mean"),
        ({"method": "refine-cam"}, UsageError, "two or more"),
        ({"method": "guided-backprop", "backward_rule": "relu"}, UsageError, "contradicts"),
        ({"method": "integrated-gradients", "layer": "4"}, UsageError, "conductance"),
        ({"method": "cam", "layer": "1"}, CapabilityError, "grad-cam is the same map"),
        ({"layer": 3.5}, UsageError, "name or a submodule"),
        ({"layer": nn.ReLU()}, UsageError, "not part of"),
        ({"method": "integrated-gradients", "steps": 0, "rule": "trapezoid"}, UsageError, "at least one step"),
    ],
)
def test_bad_words_get_one_clear_line(
    model: seewhy.Model, x: Tensor, asked: dict, error: type[Exception], words: str
) -> None:
    with pytest.raises(error) as raised:
        seewhy.explain(model, **({"image": x[:1]} | asked))
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_nan_weights_are_named(net: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        net[3].weight[0, 0, 0, 0] = float("nan")
    for method in ("grad-cam", "saliency", "eigen-cam", "kpca-cam", "score-cam", "full-grad", "integrated-gradients"):
        e = seewhy.explain(net, x[:1], method=method, target=1)
        assert e.status.code == "non-finite", method
        assert "'3.weight'" in e.status.cause


def test_constant_output_says_so(x: Tensor) -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return torch.ones(len(x), 3) + 0 * self.conv(x).sum()

    for method in ("saliency", "grad-cam"):
        e = seewhy.explain(Constant(), x[:1], method=method, target=1)
        assert e.status.code == "zero-gradient"
        assert e.status.cause
    e = seewhy.explain(Constant(), x[:1], method="saliency", target=lambda out: out.detach()[:, 0])
    assert "does not depend on the input" in e.status.cause


def test_all_negative_evidence_says_so(net: nn.Module, x: Tensor) -> None:
    with torch.no_grad():
        net[7].weight[1] = -net[7].weight[1].abs() - 0.1
    e = seewhy.explain(net, x[:1], method="grad-cam", target=1)
    assert e.values.max() <= 0
    assert e.status.code == "no-positive-evidence"
    assert "speaks against" in e.status.cause


def test_a_1x1_image_and_a_1x1_grid(net: nn.Module) -> None:
    tiny = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten(), nn.Linear(4, 2))
    e = seewhy.explain(tiny, torch.rand(1, 3, 1, 1), method="saliency", target=0)
    assert e.values.shape == (1, 1)
    assert seewhy.explain(tiny, torch.rand(1, 3, 1, 1), method="grad-cam", layer="1", target=0).values.shape == (1, 1)


def test_a_network_without_positions_is_refused_for_cams(x: Tensor) -> None:
    mlp = nn.Sequential(nn.Flatten(), nn.Linear(960, 8), nn.ReLU(), nn.Linear(8, 2))
    with pytest.raises(CapabilityError, match="no layer with spatial positions"):
        seewhy.explain(mlp, x[:1], method="grad-cam")


def test_callables_are_refused_before_anything_runs(x: Tensor) -> None:
    calls = []
    with pytest.raises(CapabilityError, match="scores only"):
        seewhy.explain(lambda batch: calls.append(1), x, method="saliency")
    assert calls == []


def test_a_wrong_number_of_rows_is_an_error(x: Tensor) -> None:
    class Folded(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.mean((2, 3)).mean(0, keepdim=True)

    with pytest.raises(TargetError, match="1 rows of scores for 2"):
        seewhy.explain_all(Folded(), x, method="saliency", target=0)


def test_layers_lists_shapes_and_marks_the_choice(net: nn.Module, x: Tensor) -> None:
    found = {layer.name: layer for layer in seewhy.layers(net, x[:1])}
    assert [name for name, layer in found.items() if layer.chosen] == ["4"]
    assert found["0"].shape == (1, 6, 14, 18)
    assert found["7"].parameters == 45


def test_methods_lists_cards() -> None:
    cards = seewhy.methods()
    assert len(cards) > 50
    assert [c.name for c in seewhy.methods("cam")] == sorted(c.name for c in cards if c.family == "cam")
