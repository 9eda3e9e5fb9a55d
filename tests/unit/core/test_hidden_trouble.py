"""What users of other libraries trip over: every case against the plain network that it is a disguise of."""

from __future__ import annotations

import copy
import threading
import warnings
from dataclasses import dataclass

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seewhy
from seewhy.core.intercept.functions import Interceptor
from seewhy.core.intercept.torch_faults import WORKAROUNDS
from seewhy.errors import CapabilityError, TargetError

METHODS = ("saliency", "guided-backprop", "deconvnet", "full-grad", "grad-cam", "layer-cam")


class Plain(nn.Module):
    """The reference: functional activation, fresh tensors everywhere."""

    act = staticmethod(F.relu)

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3)
        self.body = nn.Conv2d(8, 8, 3)
        self.head = nn.Linear(8, 5)

    def features(self, x: Tensor) -> Tensor:
        return self.act(self.body(self.act(self.conv(x))))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.features(x).mean((2, 3)))


class InPlaceModule(Plain):
    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU(inplace=True)

    def features(self, x: Tensor) -> Tensor:
        return self.relu(self.body(self.relu(self.conv(x))))


class SideEffect(InPlaceModule):
    """Calls the ReLU for what it does to its argument, not for what it returns."""

    def features(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        self.relu(y)
        z = self.body(y)
        self.relu(z)
        return z


class Method(Plain):
    def features(self, x: Tensor) -> Tensor:
        return self.body(self.conv(x).relu_()).relu()


class Aten(Plain):
    def features(self, x: Tensor) -> Tensor:
        return torch.ops.aten.relu_.default(self.body(torch.ops.aten.relu(self.conv(x))))


class InputRewritten(Plain):
    """torch's own ReLU keeps its output for the backward pass: what went in may be rewritten."""

    def features(self, x: Tensor) -> Tensor:
        for layer in (self.conv, self.body):
            into = layer(x)
            x = F.relu(into)
            into.zero_()
        return x


DISGUISES = [InPlaceModule, SideEffect, Method, Aten, InputRewritten]


@pytest.fixture
def x() -> Tensor:
    return torch.randn(2, 3, 12, 12, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def plain() -> Plain:
    torch.manual_seed(0)
    return Plain().eval()


def dressed(kind: type[Plain], plain: Plain) -> Plain:
    other = kind().eval()
    other.load_state_dict(plain.state_dict(), strict=False)
    return other


def values(model: object, x: Tensor, method: str, target: object = 1, **asked: object) -> np.ndarray:
    layer = asked.pop("layer", "body" if "cam" in method else None)
    found = seewhy.explain_all(model, x, method=method, target=target, layer=layer, **asked)
    return np.stack([one.values for one in found])


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", DISGUISES)
def test_every_spelling_of_relu_is_one(kind: type[Plain], method: str, plain: Plain, x: Tensor) -> None:
    expected = values(plain, x, method)
    assert np.abs(expected).max() > 0
    np.testing.assert_array_equal(values(dressed(kind, plain), x, method), expected)


class Halved(Plain):
    """torch's own ReLU6 keeps its input: what came out may be rewritten."""

    def __init__(self, rewrites: bool = False) -> None:
        super().__init__()
        self.rewrites = rewrites

    def act(self, x: Tensor) -> Tensor:
        y = F.relu6(8 * x)
        return y.mul_(0.5) if self.rewrites else 0.5 * y


@pytest.mark.parametrize("method", METHODS)
def test_what_relu6_gives_may_be_rewritten(method: str, x: Tensor) -> None:
    torch.manual_seed(0)
    plain = Halved().eval()
    other = Halved(rewrites=True).eval()
    other.load_state_dict(plain.state_dict())
    expected = values(plain, x, method)
    assert np.abs(expected).max() > 0
    np.testing.assert_array_equal(values(other, x, method), expected)


def test_a_captured_layer_rewritten_in_place_later_keeps_its_own_value(plain: Plain, x: Tensor) -> None:
    # "body" is captured, then rectified in place by the ReLU after it
    raw = plain.body(F.relu(plain.conv(x)))
    e = seewhy.explain_all(dressed(InPlaceModule, plain), x, method="hires-cam", layer="body", target=1)
    gradient = torch.autograd.grad(plain.head(F.relu(raw).mean((2, 3)))[:, 1].sum(), raw)[0]
    expected = (gradient * raw).sum(1).detach().numpy()
    assert raw.min() < 0
    np.testing.assert_allclose(np.stack([one.values for one in e]), expected, atol=1e-7)


def test_an_in_place_layer_called_for_its_side_effect_is_captured(plain: Plain, x: Tensor) -> None:
    features = plain.features(x).detach().requires_grad_()
    gradient = torch.autograd.grad(plain.head(features.mean((2, 3)))[:, 1].sum(), features)[0]
    expected = (gradient * features).sum(1).detach().numpy()
    found = values(dressed(SideEffect, plain), x, "hires-cam", layer="relu")
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_a_layer_called_twice_means_its_last_call_unless_told(plain: Plain, x: Tensor) -> None:
    model = dressed(InPlaceModule, plain)
    last, first, second = (values(model, x, "grad-cam", layer=name) for name in ("relu", "relu#1", "relu#2"))
    np.testing.assert_array_equal(last, second)
    assert first.shape[1:] == (10, 10)
    assert second.shape[1:] == (8, 8)
    with pytest.raises(CapabilityError, match="ran 2 time"):
        values(model, x, "grad-cam", layer="relu#3")


ACTIVATIONS = [
    nn.ReLU,
    nn.ReLU6,
    nn.Hardtanh,
    nn.SiLU,
    nn.GELU,
    nn.Hardswish,
    nn.LeakyReLU,
    nn.ELU,
    nn.Mish,
    nn.Softplus,
]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("rule", ["guided-backprop", "deconvnet"])
def test_rules_hold_for_every_rectifier(activation: type[nn.Module], rule: str, x: Tensor) -> None:
    torch.manual_seed(0)
    first, f, last = nn.Conv2d(3, 8, 3).double(), activation(), nn.Linear(800, 5).double()
    model = nn.Sequential(first, f, nn.Flatten(), last)
    x = 3 * x.double()
    z = first(x).detach().requires_grad_()
    arriving = last.weight[1].reshape(1, 8, 10, 10).expand_as(z)
    slope = torch.autograd.grad(f(z).sum(), z)[0]
    passed = arriving.clamp(min=0)
    if rule == "guided-backprop":
        passed = passed * slope * (f(z) > 0)
    expected = F.conv_transpose2d(passed, first.weight)
    np.testing.assert_allclose(values(model, x, rule, reduce="none"), expected.detach().numpy(), atol=1e-12)


def test_a_gate_is_not_a_rectifier(x: Tensor) -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(400, 2))
    with pytest.raises(CapabilityError, match="matched no activation function"):
        seewhy.explain_all(model, x, method="guided-backprop", target=1)


def test_frozen_parameters_do_not_matter_and_stay_without_gradients(plain: Plain, x: Tensor) -> None:
    frozen = copy.deepcopy(plain).requires_grad_(False)
    for method in METHODS:
        np.testing.assert_array_equal(values(frozen, x, method), values(plain, x, method))
    assert all(p.grad is None and not p.requires_grad for p in frozen.parameters())
    assert all(p.grad is None for p in plain.parameters())


@pytest.mark.parametrize("around", [torch.no_grad, torch.inference_mode])
def test_the_callers_grad_mode_does_not_matter(around: type, plain: Plain, x: Tensor) -> None:
    expected = {method: values(plain, x, method) for method in METHODS}
    with around():
        inside = {method: values(plain, x.clone(), method) for method in METHODS}
        assert not torch.is_grad_enabled()
    for method in METHODS:
        np.testing.assert_array_equal(inside[method], expected[method])


def test_parameters_made_in_inference_mode(plain: Plain, x: Tensor) -> None:
    with torch.inference_mode():
        model = Plain().eval()
        model.load_state_dict(plain.state_dict())
    assert next(model.parameters()).is_inference()
    for method in METHODS:
        np.testing.assert_array_equal(values(model, x, method), values(plain, x, method))


def test_train_mode_is_explained_as_eval_with_a_warning_and_flags_come_back(x: Tensor) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(800, 5)
    )
    model.eval()
    expected = values(model, x, "saliency")
    model.train()
    model[1].eval()  # a mixed state, as in fine-tuning with frozen statistics
    statistics = model[1].running_mean.clone()
    with pytest.warns(UserWarning, match="train mode"):
        found = seewhy.explain_all(model, x, method="saliency", target=1)
    np.testing.assert_array_equal(np.stack([e.values for e in found]), expected)
    assert [m.training for m in model.modules()] == [True, True, False, True, True, True, True]
    assert torch.equal(model[1].running_mean, statistics)
    assert any(note.startswith("Sequential is in train mode") for note in found[0].notes)


def test_layers_left_in_train_mode_are_named() -> None:
    """The network itself was said to be in train mode."""
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.5), nn.Flatten())
    model.eval()
    model[1].train()
    x = torch.rand(1, 3, 8, 8)
    with pytest.warns(UserWarning, match="layer '1' is in train mode, though Sequential is not"):
        found = seewhy.explain(model, x, "saliency", target=1)
    assert any(note.startswith("layer '1' is in train mode") for note in found.notes)
    model[3].train()
    with pytest.warns(UserWarning, match="2 layers, of which '1' is one, are in train mode"):
        seewhy.explain(model, x, "saliency", target=1)


@dataclass
class Structured:
    logits: Tensor
    extra: Tensor


@pytest.mark.parametrize(
    "pack",
    [
        lambda y: (y, y * 0),
        lambda y: [y],
        lambda y: {"logits": y, "aux": y * 0},
        lambda y: {"anything": y},
        lambda y: Structured(y, y * 0),
    ],
    ids=["tuple", "list", "dict", "single-key", "dataclass"],
)
def test_outputs_that_are_no_tensor(pack: object, plain: Plain, x: Tensor) -> None:
    class Packed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = plain

        def forward(self, x: Tensor) -> object:
            return pack(self.inner(x))

    np.testing.assert_array_equal(values(Packed(), x, "saliency"), values(plain, x, "saliency"))


def test_an_ambiguous_output_asks_which(plain: Plain, x: Tensor) -> None:
    class Two(nn.Module):
        def forward(self, x: Tensor) -> dict[str, Tensor]:
            return {"left": x.mean((2, 3)), "right": x.amax((2, 3))}

    with pytest.raises(TargetError, match="left, right"):
        seewhy.explain_all(Two(), x, method="saliency", target=0)
    picked = seewhy.explain_all(Two(), x, method="saliency", target=lambda out: out["left"][:, 0], reduce="none")
    np.testing.assert_allclose(picked[0].values[0], np.full((12, 12), 1 / 144), rtol=1e-6)


SQUASHES = [nn.Softmax(1), nn.LogSoftmax(1), nn.Sigmoid()]


@pytest.mark.parametrize("squash", SQUASHES, ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("method", ["saliency", "grad-cam"])
def test_the_logit_before_a_final_squash_is_explained(squash: nn.Module, method: str, plain: Plain, x: Tensor) -> None:
    model = nn.Sequential(plain, squash)
    found = seewhy.explain_all(model, x, method=method, target=1, layer="0.body" if method == "grad-cam" else None)
    np.testing.assert_array_equal(np.stack([e.values for e in found]), values(plain, x, method))
    np.testing.assert_allclose([e.score for e in found], plain(x)[:, 1].detach().numpy(), rtol=1e-6)


def test_probabilities_of_a_squashed_model_are_its_own(plain: Plain, x: Tensor) -> None:
    for squash in (nn.Softmax(1), nn.Sigmoid()):
        found = seewhy.explain_all(nn.Sequential(plain, squash), x, method="saliency")
        best = squash(plain(x)).max(1)
        assert [e.prediction.index for e in found] == best.indices.tolist()
        np.testing.assert_allclose([e.prediction.probability for e in found], best.values.detach().numpy(), rtol=1e-6)


def test_the_models_own_probability_can_be_explained_on_request(plain: Plain, x: Tensor) -> None:
    leaf = x.clone().requires_grad_()
    expected = torch.autograd.grad(plain(leaf).softmax(1)[:, 1].sum(), leaf)[0]
    for model in (plain, nn.Sequential(plain, nn.Softmax(1))):
        found = values(model, x, "saliency", target=seewhy.targets.Probability(1), reduce="none")
        np.testing.assert_allclose(found, expected.numpy(), atol=1e-8)


@pytest.mark.parametrize("method", METHODS)
def test_float64_is_honoured(method: str, plain: Plain, x: Tensor) -> None:
    double = copy.deepcopy(plain).double()
    found = values(double, x.double(), method)
    assert found.dtype == np.float64
    np.testing.assert_allclose(values(plain, x, method), found, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_channels_last_changes_nothing(method: str, plain: Plain, x: Tensor) -> None:
    model = copy.deepcopy(plain).to(memory_format=torch.channels_last)
    found = values(model, x.to(memory_format=torch.channels_last), method)
    np.testing.assert_allclose(found, values(plain, x, method), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("method", METHODS)
def test_every_image_can_have_its_own_target(method: str, plain: Plain, x: Tensor) -> None:
    found = values(plain, x, method, target=[3, 0])
    np.testing.assert_allclose(found[0], values(plain, x, method, target=3)[0], rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(found[1], values(plain, x, method, target=0)[1], rtol=1e-5, atol=1e-7)


def test_a_submodule_shared_by_two_models_and_by_two_names(plain: Plain, x: Tensor) -> None:
    class Twin(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = self.b = plain

        def forward(self, x: Tensor) -> Tensor:
            return self.a(x) + self.b(x)

    np.testing.assert_allclose(values(Twin(), x, "saliency"), 2 * values(plain, x, "saliency"), rtol=1e-5)
    twin = values(Twin(), x, "grad-cam", layer="b.body#1")
    np.testing.assert_allclose(twin, values(plain, x, "grad-cam"), rtol=1e-5, atol=1e-7)


def test_data_parallel_and_compiled_wrappers_are_taken_off(plain: Plain, x: Tensor) -> None:
    for wrapped in (nn.DataParallel(plain), torch.compile(plain), nn.DataParallel(torch.compile(plain))):
        np.testing.assert_array_equal(values(wrapped, x, "grad-cam"), values(plain, x, "grad-cam"))


@pytest.fixture
def exported(plain: Plain, x: Tensor) -> nn.Module:
    batch = torch.export.Dim("batch")
    return torch.export.export(plain, (x,), dynamic_shapes=({0: batch},)).module()


@pytest.mark.parametrize("method", ["saliency", "guided-backprop", "deconvnet", "full-grad", "smooth-grad"])
def test_exported_modules_obey_rules_too(method: str, exported: nn.Module, plain: Plain, x: Tensor) -> None:
    np.testing.assert_allclose(values(exported, x, method), values(plain, x, method), rtol=1e-5, atol=1e-8)


def test_exported_modules_have_functions_for_layers_and_say_so(exported: nn.Module, plain: Plain, x: Tensor) -> None:
    with pytest.raises(CapabilityError, match="did not run as a module"):
        seewhy.explain_all(exported, x, method="grad-cam", layer="conv", target=1)
    for method in ("grad-cam", "score-cam", "ablation-cam"):
        found = seewhy.explain_all(exported, x, method=method, target=1)
        theirs = values(plain, x, method, layer=found[0].layer)
        np.testing.assert_allclose(np.stack([each.values for each in found]), theirs, rtol=1e-5, atol=1e-7)
        assert found[0].layer == "[relu()]"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("make", [torch.jit.script, lambda m: torch.jit.trace(m, torch.zeros(2, 3, 12, 12))])
def test_torchscript_gives_gradients_at_the_input_and_refuses_the_rest(make: object, x: Tensor) -> None:
    torch.manual_seed(0)
    original = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(400, 2)).eval()
    scripted = make(original)
    np.testing.assert_allclose(values(scripted, x, "saliency"), values(original, x, "saliency"), rtol=1e-5)
    with pytest.raises(CapabilityError, match="TorchScript hides"):
        seewhy.explain_all(scripted, x, method="guided-backprop", target=1)
    with pytest.raises(CapabilityError, match="TorchScript"):
        seewhy.explain_all(scripted, x, method="grad-cam", layer="0", target=1)
    with pytest.raises(CapabilityError):
        seewhy.explain_all(scripted, x, method="grad-cam", backward_rule="guided", target=1)


def test_a_model_that_switches_gradients_off_inside_is_recorded_from_the_input(x: Tensor) -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

        @torch.no_grad()
        def frozen(self, x: Tensor) -> Tensor:
            return self.conv(x)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.frozen(x).mean((2, 3)) + x.mean((2, 3)).sum(1, keepdim=True))

    model = Half()
    found = seewhy.explain_all(model, x, method="grad-cam", layer="conv", target=0)
    weights = model.head.weight[0] / 100
    expected = torch.einsum("c,bchw->bhw", weights, model.conv(x)).detach().numpy()
    np.testing.assert_allclose(np.stack([e.values for e in found]), expected, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("prepare", [False, True])
def test_buffers_that_a_forward_changes_are_put_back(prepare: bool, x: Tensor) -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 2, 3)
            self.register_buffer("seen", torch.zeros(1))
            self.register_buffer("replaced", torch.zeros(1))

        def forward(self, x: Tensor) -> Tensor:
            self.seen += 1
            self.replaced = self.replaced + 1
            return self.conv(x).mean((2, 3))

    model = Counting()
    original = model.replaced
    seewhy.explain_all(model, x, method="saliency", target=0, prepare=prepare)
    assert model.seen.item() == 0
    assert model.replaced is original
    assert original.item() == 0


def test_the_random_state_is_left_alone_even_by_models_that_draw(x: Tensor) -> None:
    class Drawing(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return (x + 0 * torch.rand_like(x)).mean((2, 3))

    before = torch.get_rng_state()
    seewhy.explain_all(Drawing(), x, method=["saliency", "smooth-grad"], target=0, n=2)
    assert torch.equal(torch.get_rng_state(), before)


def test_the_users_input_is_never_rewritten(x: Tensor) -> None:
    model = nn.Sequential(nn.ReLU(inplace=True), nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    kept = x.clone()
    seewhy.explain_all(model, x, method=["saliency", "grad-cam", "guided-backprop"], target=0, layer=None)
    assert torch.equal(x, kept)
    assert not x.requires_grad


def test_the_users_own_hooks_keep_working(plain: Plain, x: Tensor) -> None:
    calls: list[str] = []
    handle = plain.conv.register_forward_hook(lambda m, a, o: calls.append("forward"))
    other = plain.body.register_full_backward_hook(lambda m, gi, go: calls.append("backward"))
    expected = list(plain.conv._forward_hooks), list(plain.body._backward_hooks)
    seewhy.explain_all(plain, x, method=["saliency", "grad-cam"], layer="body", target=1)
    assert (list(plain.conv._forward_hooks), list(plain.body._backward_hooks)) == expected
    assert "forward" in calls
    handle.remove()
    other.remove()


def test_two_threads_on_models_that_share_a_part(plain: Plain, x: Tensor) -> None:
    models = [plain, nn.Sequential(plain, nn.Softmax(1)), nn.ModuleList([plain])[0]]
    expected = values(plain, x, "grad-cam")
    results: list[np.ndarray] = []
    errors: list[BaseException] = []

    def work(n: int) -> None:
        try:
            for _ in range(5):
                layer = "0.body" if isinstance(models[n % 3], nn.Sequential) else "body"
                results.append(values(models[n % 3], x, "grad-cam", layer=layer))
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert len(results) == 30
    for found in results:
        np.testing.assert_array_equal(found, expected)


def test_explaining_inside_a_forward_hook_does_not_deadlock(plain: Plain, x: Tensor) -> None:
    inner: list[np.ndarray] = []

    def hook(module: nn.Module, args: object, output: object) -> None:
        if not inner:
            inner.append(np.zeros(0))
            inner.append(values(plain, x, "saliency"))

    handle = plain.head.register_forward_hook(hook)
    outer = values(plain, x, "saliency")
    handle.remove()
    np.testing.assert_array_equal(inner[1], outer)


DEVICES = ["cpu", pytest.param("cuda", marks=[pytest.mark.cuda])]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("method", [*METHODS, "smooth-grad", "integrated-gradients", "score-cam"])
def test_device_and_dtype(method: str, device: str, dtype: torch.dtype, plain: Plain, x: Tensor) -> None:
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    model = copy.deepcopy(plain).to(device, dtype)
    found = values(model, x, method)  # the input goes where the model is
    np.testing.assert_allclose(found, values(plain, x, method), rtol=1e-3, atol=1e-5)


def test_nothing_warns_on_a_model_in_eval_mode(plain: Plain, x: Tensor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for method in METHODS:
            values(plain, x, method)


def test_batch_norm_of_one_image_whose_gradient_arrives_in_an_odd_order() -> None:
    """Torch 2.14.1 alone gets this gradient wrong by as much as its size; so do libraries that trust it."""
    torch.manual_seed(0)
    norm = nn.BatchNorm2d(5).eval()
    nn.init.normal_(norm.weight)
    norm.running_var.uniform_(0.5, 2)
    x = torch.randn(1, 5, 4, 4, requires_grad=True)
    odd = torch.randn(16, 5).T.as_strided((1, 5, 4, 4), (5, 1, 20, 5))
    with Interceptor([WORKAROUNDS]):
        y = norm(x)
    (gradient,) = torch.autograd.grad(y, x, odd)
    scale = (norm.weight / (norm.running_var + norm.eps).sqrt())[None, :, None, None]
    np.testing.assert_allclose(gradient, (odd * scale).detach(), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("batch", [1, 2])
def test_instance_norm_of_one_image_whose_gradient_arrives_channels_last(batch: int, prepare: bool) -> None:
    """Torch 2.14.1 alone gets this gradient wrong by as much as its size, for one image, and no other batch."""
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.InstanceNorm2d(4), nn.Conv2d(4, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 3),
    )  # fmt: skip
    net.eval().to(memory_format=torch.channels_last)
    x = torch.randn(batch, 3, 9, 9)
    found = seewhy.explain_all(net, x, method="saliency", target=1, reduce="none", prepare=prepare)
    leaf = torch.cat([x, x]).double().requires_grad_()
    (right,) = torch.autograd.grad(copy.deepcopy(net).double()(leaf)[:, 1].sum(), leaf)
    for each, values in zip(found, right[:batch].numpy(), strict=True):
        assert np.linalg.norm(each.values - values) <= 1e-3 * np.linalg.norm(values)
