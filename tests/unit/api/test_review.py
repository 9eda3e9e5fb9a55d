"""Traps that a hostile reader found: each was a wrong number, a crash or a false word once."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seewhy
from seewhy.errors import CapabilityError, TargetError, UsageError


def net(classes: int = 5) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(8, classes),
    ).eval()  # fmt: skip


@pytest.fixture
def x() -> Tensor:
    return torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))


class TokensFirst(nn.Module):
    """Tokens on the first axis, images on the second; without ``places`` rows of tokens that are none of the picture."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.patch, self.block, self.head = nn.Conv2d(3, 4, 4, 4), nn.Linear(4, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.block(self.patch(x).flatten(2).permute(2, 0, 1)).relu().mean(0))


def test_a_layer_with_tokens_first_is_put_in_order() -> None:
    model, x = TokensFirst().eval(), torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(4))
    tokens = model.block(model.patch(x).flatten(2).permute(2, 0, 1)).detach().requires_grad_()
    (slope,) = torch.autograd.grad(model.head(tokens.relu().mean(0))[:, 0].sum(), tokens)
    want = torch.einsum("bc,nbc->bn", slope.mean(0), tokens.detach()).reshape(2, 4, 6)
    for layer in (None, "block"):
        found = seewhy.explain_all(model, x, method="grad-cam", layer=layer, target=0)
        assert [e.layer for e in found] == ["block", "block"]
        np.testing.assert_allclose(np.stack([e.values for e in found]), want, rtol=1e-4, atol=1e-6)
    # edited in its own order, too: what is left without a position
    alone = seewhy.explain_all(model, x, method="ablation-cam", layer="block", target=0)
    without = tokens.detach().clone()
    without[:, :, 2] = 0
    drop = (model.head(tokens.relu().mean(0)) - model.head(without.relu().mean(0)))[:, 0]
    assert alone[0].values.shape == (4, 6)
    assert torch.isfinite(drop).all()


def test_a_layer_whose_first_axis_is_not_the_batch_is_refused(x: Tensor) -> None:
    class Pieces(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.body, self.head = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(4, 4, 1), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.body(self.conv(x).repeat_interleave(3, 0))
            return self.head(y.unflatten(0, (-1, 3)).mean((1, 3, 4)))

    with pytest.raises(CapabilityError, match="reshape="):
        seewhy.explain(Pieces(), x, method="grad-cam", layer="body", target=0)


def test_two_heads_and_an_in_place_sigmoid(x: Tensor) -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.a, self.b = net()[:6], nn.Linear(8, 3), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            y = self.body(x)
            return self.a(y).softmax(1), self.b(y).sigmoid_()

    model = Two().eval()
    e = seewhy.explain(model, x, method="cam", target=0)
    assert e.score == pytest.approx(model.a(model.body(x))[0, 0].item(), rel=1e-5)

    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = net()

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x).sigmoid_()

    e = seewhy.explain(InPlace(), x, method="saliency", target=1)
    assert e.score == pytest.approx(net()(x)[0, 1].item(), rel=1e-5)


def test_an_auxiliary_head_is_not_chosen(x: Tensor) -> None:
    class Aux(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.tail, self.aux = net()[:4], net()[4:], nn.Conv2d(8, 2, 1)

        def forward(self, x: Tensor) -> dict[str, Tensor]:
            y = self.body(x)
            return {"out": self.tail(y), "aux": self.aux(y)}

    assert seewhy.explain(Aux().eval(), x, method="grad-cam", target=1).layer == "body"


def test_a_computed_weight_is_not_a_layer(x: Tensor) -> None:
    model = nn.Sequential(
        nn.Conv2d(3, 8, 5), nn.ReLU(), nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 5, 12)), nn.Flatten()
    )
    assert seewhy.explain(model, x, method="grad-cam", target=1).layer == "1"


def test_a_submodule_called_input(x: Tensor) -> None:
    class Named(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.input, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.input(x).relu().mean((2, 3)))

    e = seewhy.explain(Named(), x, method="grad-cam", target=1)
    assert (e.layer, e.values.shape) == ("input", (14, 14))
    assert seewhy.explain(Named(), x, method="saliency", layer="input", target=1).layer == "input"
    assert seewhy.explain(net(), x, method="saliency", layer="input", target=1).layer is None


def test_a_model_run_by_another_thread_meanwhile_is_left_alone(x: Tensor) -> None:
    model, other, seen = net(), torch.rand(1, 3, 16, 16), []
    expected = seewhy.explain(model, x, method="grad-cam", layer="1", target=1).values
    stop = threading.Event()

    def work() -> None:
        with torch.no_grad():
            while not stop.is_set():
                model(other)
                seen.append(torch.is_grad_enabled())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        for _ in range(60):
            found = seewhy.explain(model, x, method="grad-cam", layer="1", target=1).values
            np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)
    finally:
        stop.set()
        thread.join()
    assert seen
    assert not any(seen)


def test_contrast_compares_like_with_like(x: Tensor) -> None:
    p = seewhy.targets.Probability
    own, rival = (seewhy.explain(net(), x, method="grad-cam", layer="3", target=p(k)).values for k in (0, 1))
    found = seewhy.explain(net(), x, method="grad-cam", layer="3", target=p(0), contrast=1)
    np.testing.assert_allclose(found.values, own - rival, atol=1e-8)
    with pytest.raises(TargetError, match="one class"):
        seewhy.explain(net(), x, method="grad-cam", target=seewhy.targets.Margin(0, 1), contrast=2)


def test_an_identity_that_is_captured_keeps_what_is_written_into_it_later(x: Tensor) -> None:
    class PreActivation(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.short, self.relu = nn.Conv2d(3, 4, 3), nn.Identity(), nn.ReLU(inplace=True)
            self.body, self.head = nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            kept = self.short(y)
            self.relu(y)
            return self.head((kept + self.body(y)).mean((2, 3)))

    torch.manual_seed(0)
    model = PreActivation().eval()
    for method in ("grad-cam", "guided-grad-cam"):
        e = seewhy.explain(model, x, method=method, layer="short", target=1)
        assert e.score == pytest.approx(model(x)[0, 1].item(), rel=1e-5)


def test_an_in_place_layer_with_the_input_gradient_wanted_as_well(x: Tensor) -> None:
    class Side(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.relu, self.head = nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Linear(4, 2)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            self.relu(y)
            return self.head(y.mean((2, 3)))

    torch.manual_seed(0)
    model = Side().eval()
    leaf = x.clone().requires_grad_()
    expected = torch.autograd.grad(model.head(F.relu(model.conv(leaf)).mean((2, 3)))[0, 1], leaf)[0][0]
    for _ in range(2):  # the first call surveys, the second captures by name
        saliency, cam = seewhy.explain_all(model, x, method=["saliency", "hires-cam"], target=1, reduce="none")
        assert cam.layer == "relu"
        np.testing.assert_allclose(saliency.values, expected.numpy(), atol=1e-8)


def test_the_chosen_layer_follows_changes_of_the_model(x: Tensor) -> None:
    model = net()
    assert seewhy.explain(model, x, method="grad-cam", target=1).layer == "3"
    model.insert(4, nn.Conv2d(8, 8, 3))
    model.insert(5, nn.ReLU())
    assert seewhy.explain(model, x, method="grad-cam", target=1).layer == "5"


def test_the_chosen_layer_follows_the_path_that_an_image_takes() -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 2, 3), nn.Conv2d(3, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            return (self.a if float(x.detach().mean()) > 0 else self.b)(x).mean((2, 3))

    model = Branching()
    assert seewhy.explain(model, torch.ones(1, 3, 8, 8), method="grad-cam", target=0).layer == "a"
    assert seewhy.explain(model, -torch.ones(1, 3, 8, 8), method="grad-cam", target=0).layer == "b"


def test_a_neuron_inside_the_container_that_is_explained(x: Tensor) -> None:
    model = nn.Sequential(net()[:2], net()[2:4], *net()[4:]).eval()
    alive = int(net()[:4](x)[0].mean((1, 2)).argmax())
    e = seewhy.explain(model, x, method="hires-cam", target=seewhy.targets.Neuron("1.3", alive), layer="1")
    assert e.status.code != "zero-gradient"
    assert np.abs(e.values).max() > 0


def test_noise_does_not_follow_the_default_dtype(x: Tensor) -> None:
    expected = seewhy.explain(net(), x, method="smooth-grad", target=1, n=4).values
    model = net()
    torch.set_default_dtype(torch.float64)
    try:
        found = seewhy.explain(model, x, method="smooth-grad", target=1, n=4).values
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_gives_float32_maps(x: Tensor, dtype: torch.dtype) -> None:
    for e in seewhy.explain_all(net().to(dtype), x.to(dtype), method=["saliency", "grad-cam"], target=1):
        assert e.values.dtype == np.float32
        assert np.isfinite(e.values).all()


def test_one_dimensional_and_channels_last_inputs(x: Tensor) -> None:
    torch.manual_seed(0)
    series = nn.Sequential(nn.Conv1d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    one = seewhy.explain_all(series, torch.randn(1, 2, 32), method=["saliency", "grad-cam"], target=1)
    assert [e.values.shape for e in one] == [(32,), (30,)]
    assert len(seewhy.explain_all(series, torch.randn(4, 2, 32), method="saliency", target=1)) == 4
    with pytest.raises(UsageError, match="channels last"):
        seewhy.explain(net(), np.zeros((16, 16, 3), np.float32), method="saliency")


def test_arrays_of_every_kind_are_read_and_copied(x: Tensor) -> None:
    array = x[0].numpy()
    expected = seewhy.explain(net(), array, method="saliency", target=1)
    frozen = array.copy()
    frozen.setflags(write=False)
    for odd in (array[:, ::-1][:, ::-1], array.astype(">f4"), frozen, np.asfortranarray(array)):
        np.testing.assert_allclose(
            seewhy.explain(net(), odd, method="saliency", target=1).values, expected.values, rtol=1e-5
        )


@pytest.mark.parametrize(
    "asked",
    [
        {"method": "smooth-grad", "n": 0},
        {"method": "smooth-grad", "n": 2.5},
        {"method": "smooth-grad", "sigma": -1.0},
        {"method": "smooth-grad", "seed": "a"},
        {"method": "var-grad", "n": 1},
        {"method": "integrated-gradients", "steps": 8},
        {"method": "ss-cam", "n": 0, "layer": "3"},
        {"method": "finer-cam", "classes": -1},
        {"method": "smooth-grad", "memory": 0},
        {"method": "grad-cam", "contrast": [1, 2]},
        {"method": "grad-cam", "contrast": True},
        {"method": "grad-cam", "fuse": "mean"},
        {"method": "saliency", "fuse": "mean", "layer": ["1", "3"], "reduce": "none"},
        {"method": "saliency", "fuse": "mean", "layer": ["1", "6"]},
        {"method": "refine-cam", "layer": ["6", "3"]},
    ],
)
def test_values_that_cannot_be_meant_get_one_line(x: Tensor, asked: dict) -> None:
    with pytest.raises(seewhy.errors.UsageError) as raised:
        seewhy.explain(net(), x, target=1, **asked)
    assert "\n" not in str(raised.value)


def test_one_class_has_no_rivals(x: Tensor) -> None:
    with pytest.raises(TargetError, match="one class"):
        seewhy.explain(net(1), x, method="grad-cam", target=0, contrast="top-3")


def test_costs_are_of_all_that_a_map_took(x: Tensor) -> None:
    contrast = seewhy.explain(net(), x, method="grad-cam", layer="3", target=0, contrast="top-3")
    assert (contrast.cost.forwards, contrast.cost.backwards) == (1, 4)
    fused = seewhy.explain(net(), x, method="recipro-cam", layer=["1", "3"], target=0, fuse="mean")
    assert fused.cost.forwards == 1 + 14 * 14  # behind layer 3 it has a closed form
    same = seewhy.explain_all(net(), x, method=["grad-cam", "grad-cam"], layer=["1", "3"], target=0, fuse="mean")
    assert [e.layer for e in same] == ["1 + 3", "1 + 3"]
    assert (same.cost.forwards, same.cost.backwards) == (1, 1)


def test_masks_are_shared_by_targets(x: Tensor) -> None:
    found = seewhy.explain_all(net(), x, method="score-cam", layer="3", target=[0, 1, 2])
    alone = seewhy.explain(net(), x, method="score-cam", layer="3", target=2)
    np.testing.assert_allclose(found[2].values, alone.values, rtol=1e-5)
    assert found.cost.forwards == alone.cost.forwards > 2
    assert seewhy.explain_all(net(), x, method="recipro-cam", layer="1", target=[0, 1]).cost.forwards == 1 + 196


def test_the_train_mode_note_is_said_once(x: Tensor) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.warns(UserWarning, match="train mode"):
        found = seewhy.explain_all(model, torch.rand(20, 3, 8, 8), method="saliency", target=0, memory=2**14)
    assert {len(e.notes) for e in found} == {1}


def test_words_for_models_that_switch_recording_off(x: Tensor) -> None:
    class Closed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = net()

        @torch.no_grad()
        def forward(self, x: Tensor) -> Tensor:
            return self.body(x)

    e = seewhy.explain(Closed(), x, method="saliency", target=1)
    assert "do not lead back to the input" in e.status.cause
    e = seewhy.explain(net(), torch.zeros(1, 3, 16, 16), method="input-x-gradient", target=1)
    assert "so is the input" in e.status.cause


def test_a_small_region_of_a_coarse_output() -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 4, 4), nn.ReLU(), nn.Conv2d(4, 2, 1))
    mask = np.zeros((16, 16), bool)
    mask[5, 6] = True
    e = seewhy.explain(
        model, torch.rand(1, 3, 16, 16), method="saliency", target=seewhy.targets.Region(mask[:, ::1], 1)
    )
    assert e.values[4:8, 4:8].any()
    assert not e.values[8:].any()


def test_sums_and_quotients_of_targets(x: Tensor) -> None:
    logit, scores = seewhy.targets.Logit, net()(x)[0]
    total = seewhy.explain(net(), x, method="saliency", target=sum([logit(0), logit(1)]) / 2)
    assert total.score == pytest.approx((scores[0] + scores[1]).item() / 2, rel=1e-5)
    with pytest.raises(TargetError, match="scaled by a number"):
        logit(1) * logit(2)


def test_all_classes_do_not_take_quadratic_time(x: Tensor) -> None:
    found = seewhy.explain_all(net(600), x, method="grad-cam", layer="3", target="all")
    assert len(found) == 600
    assert (found.cost.forwards, found.cost.backwards) == (1, 600)
