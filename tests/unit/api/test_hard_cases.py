"""Networks, inputs and files that once ended in a traceback: each works, with the right values, or says why in a line."""

from __future__ import annotations

import copy
import errno
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.utils.checkpoint as checkpointing
from PIL import Image
from torch import Tensor, nn

import seewhy
from networks import image, make
from seewhy.cli.app import run
from seewhy.errors import CapabilityError, UsageError, on_a_line
from seewhy.render import write


def _net(act: type[nn.Module] = nn.ReLU) -> nn.Sequential:
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        body = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), act(), nn.Conv2d(4, 5, 3), act())
        return nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3)).eval()


def _x() -> Tensor:
    return image(1)[:1].float()


def _values(net: nn.Module, method: str, x: Tensor | None = None, **given: Any) -> np.ndarray[Any, Any]:
    found = seewhy.explain(net, _x() if x is None else x, method=method, target=1, **given)
    return found.values  # type: ignore[union-attr]


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    "make_script", [torch.jit.script, lambda net: torch.jit.trace(net, _x())], ids=["script", "trace"]
)
def test_torchscript_with_batch_norm(make_script: Any) -> None:
    net, leaf = _net(), _x().requires_grad_()
    (slope,) = torch.autograd.grad(net(leaf)[0, 1], leaf)
    scripted = make_script(net)
    np.testing.assert_allclose(_values(scripted, "saliency", reduce="none"), slope[0].numpy(), atol=1e-6)
    np.testing.assert_allclose(_values(scripted, "occlusion"), _values(net, "occlusion"), atol=1e-6)
    with pytest.raises(CapabilityError, match="TorchScript runs a model's layers unseen"):
        _values(scripted, "grad-cam")


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6, nn.GELU, nn.SiLU, nn.LeakyReLU, nn.ELU, nn.Hardswish])
@pytest.mark.parametrize("method", ["guided-backprop", "deconvnet"])
def test_a_rectifier_that_runs_unseen_is_no_plain_gradient(method: str, activation: Any) -> None:
    """A scripted part of a network that is none: the rule reaches the others alone."""
    net = _net(activation)
    assert np.isfinite(_values(net, method)).all()
    name = next(n for n, part in net.named_children() if any(type(p) is activation for p in part.modules()))
    setattr(net, name, torch.jit.script(getattr(net, name)))
    with pytest.raises(CapabilityError, match=r"cannot reach every activation function: \w+Backward|matched no activ"):
        _values(net, method)


def test_full_grad_of_a_function_without_a_second_derivative() -> None:
    net = _net(nn.Hardsigmoid)
    assert _values(net, "full-grad").sum() == pytest.approx(float(net(_x())[0, 1].detach()), abs=1e-5)


class _Unrecorded(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.net = _net()

    @torch.inference_mode()
    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, 3], in inference mode."""
        return self.net(x)


def test_a_forward_in_inference_mode() -> None:
    model = _Unrecorded().eval()
    for method in ("grad-cam", "saliency", "integrated-gradients", "layer-cam"):
        found = seewhy.explain(model, _x(), method=method, target=1)
        assert found.status.code == "zero-gradient"
    assert "inference_mode" in seewhy.explain(model, _x(), method="grad-cam").status.cause
    np.testing.assert_allclose(_values(model, "occlusion"), _values(model.net, "occlusion"), atol=1e-6)
    np.testing.assert_allclose(
        _values(model, "ablation-cam", layer="net.4"), _values(model.net, "ablation-cam", layer="4"), atol=1e-6
    )
    assert seewhy.layers(model, _x())


class _Autocast(nn.Module):
    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, 3], computed in bfloat16."""
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return self.net(x).float()


@pytest.mark.parametrize("method", ["lrp", "excitation-backprop", "c-excitation-backprop", "deep-lift"])
def test_relevance_under_autocast(method: str) -> None:
    """As far from the map in float32 as numbers with 8 binary digits are, and complete where that is."""
    given = {"layer": "2"} if "excitation" in method else {}
    exact, found = (
        _values(_net(), method, **given),
        _values(_Autocast(_net()), method, **{k: f"net.{v}" for k, v in given.items()}),
    )
    assert np.abs(found - exact).max() <= 0.05 * np.abs(exact).max()


def test_maps_of_three_axes_cannot_be_laid_over_two() -> None:
    for method in ("score-cam", "ss-cam", "is-cam", "guided-grad-cam"):
        with pytest.raises(CapabilityError, match="a map of 3 axes") as raised:
            _values(_net(), method, layer="2", reshape=lambda a: a.unflatten(1, (2, 2)))
        assert "\n" not in str(raised.value)


def _count(module: nn.Module) -> list[int]:
    calls: list[int] = []
    module.register_forward_hook(lambda *_: calls.append(1))
    return calls


@pytest.mark.parametrize("method", ["grad-cam", "conductance", "full-grad", "lrp", "guided-backprop"])
def test_a_compiled_module_runs_as_it_is(method: str) -> None:
    """``module.compile()`` and a compiled part: the map of the module, and compiled again afterwards."""
    exact = _values(_net(), method)
    net = _net()
    net.compile(backend=_refuse)
    compiled = net._compiled_call_impl
    np.testing.assert_allclose(_values(net, method), exact, rtol=1e-6, atol=1e-9)
    assert net._compiled_call_impl is compiled
    inner = torch.compile(_net()[:5], backend=_refuse)
    forward = vars(inner)["forward"]
    outer = nn.Sequential(inner, *_net()[5:]).eval()
    given = {"layer": "0._orig_mod.4"} if method in ("grad-cam", "conductance") else {}
    np.testing.assert_allclose(_values(outer, method, **given), exact, rtol=1e-6, atol=1e-9)
    assert vars(inner)["forward"] is forward


def _refuse(*args: Any) -> Any:
    raise AssertionError("something was compiled")


class _Checkpointed(nn.Module):
    def __init__(self, reentrant: bool) -> None:
        super().__init__()
        net = _net(nn.Sigmoid)
        self.early, self.middle, self.late, self.reentrant = net[:1], net[1:5], net[5:], reentrant

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, 3], the middle computed again in the backward pass."""
        return self.late(checkpointing.checkpoint(self.middle, self.early(x), use_reentrant=self.reentrant))


@pytest.mark.parametrize("reentrant", [True, False])
@pytest.mark.parametrize(
    "method",
    ["deep-lift", "lrp", "full-grad", "saliency", "integrated-gradients", "smooth-grad", "xgrad-cam", "blur-ig"],
)
def test_checkpointing_changes_nothing(method: str, reentrant: bool) -> None:
    """In either form the map is that of the same layers without it, with the same status."""
    given = {"layer": "2"} if method == "xgrad-cam" else {}
    named = {"layer": "middle.2"} if given else {}
    before = dict(vars(checkpointing))
    plain = seewhy.explain(_net(nn.Sigmoid), _x(), method=method, target=1, **given)
    found = seewhy.explain(_Checkpointed(reentrant).eval(), _x(), method=method, target=1, **named)
    np.testing.assert_allclose(found.values, plain.values, rtol=1e-5, atol=1e-7)
    assert found.status == plain.status
    assert dict(vars(checkpointing)) == before


def test_other_threads_checkpoint_meanwhile() -> None:
    """While a map is made here, somebody else's network is recomputed in its backward pass as ever."""
    seen: list[int] = []

    def elsewhere() -> None:
        block, calls = nn.Linear(2, 2), []
        block.register_forward_pre_hook(lambda *_: calls.append(1))
        out = checkpointing.checkpoint(block, torch.rand(1, 2, requires_grad=True), use_reentrant=False)
        out.sum().backward()
        seen.append(len(calls))

    net = _net()
    started = threading.Event()

    def meanwhile(*_: Any) -> None:
        if not started.is_set():
            started.set()
            other = threading.Thread(target=elsewhere)
            other.start()
            other.join()

    net.register_forward_hook(meanwhile)
    _values(net, "saliency")
    assert seen == [2]


def test_a_view_with_a_negative_bit() -> None:
    negated = torch.view_as_complex(torch.randn(1, 3, 8, 8, 2)).conj().imag
    assert negated.is_neg()
    for method in ("saliency", "smooth-grad", "occlusion", "grad-cam"):
        np.testing.assert_array_equal(_values(_net(), method, negated), _values(_net(), method, negated.resolve_neg()))


def test_a_network_that_takes_words_first_is_refused_in_a_line() -> None:
    transformers = pytest.importorskip("transformers")
    small = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    ids = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 1}
    config = transformers.CLIPConfig(
        text_config=small | ids | {"vocab_size": 50, "max_position_embeddings": 8},
        vision_config=small | {"image_size": 32, "patch_size": 8},
        projection_dim=8,
    )
    model = transformers.CLIPModel(config).eval()
    with pytest.raises(UsageError, match=r"takes 'input_ids' first.*model\.vision_model") as raised:
        seewhy.explain(model, torch.rand(1, 3, 32, 32))
    assert "\n" not in str(raised.value)
    found = seewhy.explain(
        model.vision_model, torch.rand(1, 3, 32, 32), method="saliency", target=lambda o: o.pooler_output[:, 0]
    )
    assert found.status.ok


class _Factor(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        """A number."""
        return x.mean().sigmoid()


class _Scaled(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body, self.factor, self.head = nn.Conv2d(3, 4, 3), _Factor(), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, 3]."""
        x = self.body(x).relu()
        return self.head(x.mean((2, 3))) * self.factor(x)


def test_layers_that_give_a_single_number() -> None:
    known = {info.name: info for info in seewhy.layers(_Scaled().eval(), _x())}
    assert (known["factor"].shape, known["factor"].grid, known["factor"].channels) == ((), (), None)
    assert known["body"].channels == 4
    assert seewhy.diagnose(_Scaled().eval(), _x(), methods=["grad-cam"]).methods[0].works


class _Features(nn.Module):
    def __init__(self, how: str) -> None:
        super().__init__()
        self.conv, self.how = nn.Conv2d(3, 4, 3), how

    def forward(self, x: Tensor) -> Any:
        """Features, or several tensors of which none is called the score."""
        x = self.conv(x)
        return x if self.how == "features" else {"a": x, "b": x.mean((2, 3))}


@pytest.mark.parametrize("how", ["features", "several"])
@pytest.mark.parametrize("method", ["eigen-cam", "kpca-cam", "fem"])
def test_methods_that_look_at_no_class_need_none(method: str, how: str) -> None:
    net = _Features(how).eval()
    found = seewhy.explain(net, _x(), method=method, layer="conv")
    asked = seewhy.explain(
        net, _x(), method=method, layer="conv", target=lambda out: (out if how == "features" else out["a"])[:, 0, 0, 0]
    )
    np.testing.assert_array_equal(found.values, asked.values)
    with torch.no_grad():
        whole = net(_x())
    total = whole.sum() if how == "features" else sum(each.sum() for each in whole.values())
    assert found.score == pytest.approx(float(total), rel=1e-5)
    assert found.target == "the whole output (no class is looked at)"


@pytest.mark.parametrize("rows", ["constant", "parameter", "zero"])
def test_scores_that_do_not_change(rows: str) -> None:
    class Constant(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = _net()

        def forward(self, x: Tensor) -> Tensor:
            """The same scores for every image."""
            scores = self.net(x)
            bias = self.net[-1].bias
            return {"constant": torch.ones(len(x), 3), "parameter": bias.expand(len(x), -1), "zero": 0 * scores}[rows]

    for prepare in (False, True):
        found = seewhy.explain(Constant().eval(), _x(), method="ablation-cam", target=1, layer="net.4", prepare=prepare)
        assert not found.values.any()
        assert found.status.code == "zero-gradient"


def test_a_full_disk_is_said_in_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    explanation = seewhy.explain(_net(), _x(), method="saliency")
    monkeypatch.setattr(Path, "write_bytes", full)
    monkeypatch.setattr(Image.Image, "save", full)
    for save in (
        lambda: explanation.save(tmp_path / "a.npz"),
        lambda: write(Image.new("RGB", (2, 2)), tmp_path / "a.png"),
    ):
        with pytest.raises(UsageError, match=r"cannot write .*a\.(npz|png): No space left on device; make room"):
            save()
    assert list(tmp_path.iterdir()) == []


def test_a_name_with_a_newline_stays_on_its_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("timm")
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (16, 16), (9, 99, 199)).save(tmp_path / "a\nb.png")
    assert run(["explain", "a\nb.png", "--method", "saliency"]) == 0
    assert any(line.startswith("a\\nb.png: ") for line in capsys.readouterr().out.splitlines())
    assert on_a_line("a\x1b[2Jb\tc é") == "a\\x1b[2Jb\\tc é"


def _keras() -> Any:
    return pytest.importorskip("keras_networks").keras


def test_the_doctor_sees_keras_models_with_channels_last() -> None:
    keras = _keras()
    layers = keras.layers
    plain = keras.Sequential(
        [layers.Input((24, 20, 3)), layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D(),
         layers.Conv2D(5, 3, activation="relu", name="last"), layers.GlobalAveragePooling2D(), layers.Dense(3)]
    )  # fmt: skip
    found = seewhy.diagnose(plain, methods=["grad-cam"])
    assert found.facts["layer for CAMs"].startswith("last (Conv2D), 5 channels on 9x7")
    assert found.methods[0].works
    grey = keras.Sequential([layers.Input((16, 16, 1)), layers.Conv2D(4, 3), layers.Flatten(), layers.Dense(2)])
    assert seewhy.diagnose(grey, methods=[]).facts["layer for CAMs"].startswith("conv2d")


def test_names_inside_nested_keras_models() -> None:
    keras = _keras()
    layers = keras.layers
    inner = keras.Sequential([layers.Input((12, 12, 3)), layers.Conv2D(4, 3, name="deep")], name="backbone")
    given = keras.Input((12, 12, 3))
    model = keras.Model(given, layers.Dense(3)(layers.GlobalAveragePooling2D()(inner(given))))
    x = np.random.default_rng(0).random((1, 12, 12, 3), dtype=np.float32)
    asked: dict[str, Any] = {"method": "grad-cam", "target": 1}
    whole = seewhy.explain(model, x, layer="backbone/deep", **asked)
    short = seewhy.explain(model, x, layer="deep", **asked)
    np.testing.assert_array_equal(short.values, whole.values)
    assert [info.name for info in seewhy.layers(model, x)][:2] == ["backbone", "backbone/deep"]


def test_filters_of_a_layer_with_lora_are_what_it_multiplies_by() -> None:
    keras = _keras()
    layers = keras.layers
    model = keras.Sequential(
        [layers.Input((12, 12, 3)), layers.Conv2D(4, 3, name="conv"), layers.GlobalAveragePooling2D()]
    )
    layer = model.get_layer("conv")
    layer.enable_lora(2)
    layer.lora_kernel_b.assign(np.random.default_rng(0).normal(size=layer.lora_kernel_b.shape))
    before = np.asarray(layer._kernel.value.detach())
    a, b = (np.asarray(each.value.detach()) for each in (layer.lora_kernel_a, layer.lora_kernel_b))
    kernel = before + layer.lora_alpha / layer.lora_rank * (a @ b)
    found = seewhy.filters(model, layer="conv", order="index")
    np.testing.assert_allclose(found.values, kernel.transpose(3, 2, 0, 1), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("method", ["lrp", "grad-cam", "deep-lift"])
def test_keras_in_mixed_precision(method: str) -> None:
    keras = _keras()
    keras.utils.set_random_seed(2)
    layers = keras.layers

    def built(policy: str) -> Any:
        body = [layers.Conv2D(4, 3, activation="relu", dtype=policy), layers.BatchNormalization(dtype=policy)]
        ends = [layers.GlobalAveragePooling2D(dtype=policy), layers.Dense(3, dtype=policy)]
        return keras.Sequential([layers.Input((12, 12, 3)), *body, *ends])

    exact, mixed = built("float32"), built("mixed_bfloat16")
    mixed.set_weights(exact.get_weights())
    x = np.random.default_rng(0).random((1, 12, 12, 3), dtype=np.float32)
    one, other = (seewhy.explain(each, x, method=method, target=1).values for each in (exact, mixed))
    assert np.linalg.norm(one - other) <= 0.1 * np.linalg.norm(one)


def test_no_warning_is_left_to_torch() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        _values(make("conv-bn-relu", 1, torch.float32).net, "saliency")


def _small(*more: nn.Module) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), *more, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
    ).eval()


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.filterwarnings("ignore")  # torch has moved it elsewhere
def test_no_gradient_comes_from_behind_a_quantised_layer(prepare: bool) -> None:
    net = torch.ao.quantization.quantize_dynamic(_small(nn.BatchNorm2d(6)), {nn.Linear}, dtype=torch.qint8)
    for each in seewhy.explain_all(net, torch.randn(3, 3, 12, 12), "saliency", 1, prepare=prepare):
        assert each.status.code == "zero-gradient"


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.half])
@pytest.mark.parametrize("composite", ["epsilon", "epsilon-gamma-box", "epsilon-alpha2-beta1-flat"])
def test_relevance_of_networks_of_16_bits(kind: torch.dtype, composite: str) -> None:
    net, x = _small(), torch.randn(2, 3, 12, 12)
    right = seewhy.explain_all(net, x, "lrp", 1, composite=composite)
    found = seewhy.explain_all(copy.deepcopy(net).to(kind), x.to(kind), "lrp", 1, composite=composite)
    for a, b in zip(found, right, strict=True):
        assert np.linalg.norm(a.values - b.values) < 0.05 * np.linalg.norm(b.values)


@pytest.mark.parametrize("method", ["saliency", "occlusion"])
@pytest.mark.filterwarnings("ignore")  # torch would rather have us export
def test_frozen_scripts(method: str) -> None:
    net, x = _small(), torch.randn(2, 3, 12, 12)
    frozen = torch.jit.freeze(torch.jit.trace(net, x[:1]))
    found, right = (seewhy.explain_all(each, x, method, 1) for each in (frozen, net))
    for a, b in zip(found, right, strict=True):
        assert np.allclose(a.values, b.values, atol=1e-5)


class _Rewritten(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 8, 3), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        y = torch.tanh(self.conv(x))
        y[:, :4] += 1.0
        return self.head(y.mean((2, 3)))


@pytest.mark.parametrize("ask", ["saliency", "grad-cam", "layers"])
def test_a_forward_that_its_backward_pass_does_not_stand(ask: str) -> None:
    net = _Rewritten().eval()
    with pytest.raises(CapabilityError, match=r"_Rewritten has no gradient: its forward rewrites in place.*occlusion"):
        seewhy.layers(net, _x()) if ask == "layers" else seewhy.explain(net, _x(), method=ask, target=1)
    assert seewhy.explain(net, _x(), method="occlusion", target=1).status.code == "ok"


def test_a_network_that_takes_a_pair_in_one_argument() -> None:
    class Pair(nn.Module):
        def forward(self, pair: Tensor) -> Tensor:
            a, b = pair
            return (a + b).mean((2, 3))

    with pytest.raises(CapabilityError, match=r"was given one tensor .* to unpack"):
        seewhy.explain(Pair(), _x(), target=1)


def test_layers_take_what_explain_takes() -> None:
    net = _net()
    batch = [each.name for each in seewhy.layers(net, _x())]
    assert [each.name for each in seewhy.layers(net, _x()[0])] == batch
    assert [each.name for each in seewhy.layers(net, _x()[0].numpy())] == batch


def test_a_sigmoid_written_by_hand_is_no_logit() -> None:
    class Written(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = _net()

        def forward(self, x: Tensor) -> Tensor:
            return 1 / (1 + torch.exp(-self.net(x)))

    assert seewhy.explain(Written().eval(), _x(), method="saliency", target=1).unit == "output"


def test_names_of_places_for_maximise() -> None:
    net = _net()
    for name in ("0[in]", "[relu()]"):
        assert name in seewhy.maximise(net, f"{name}:1", steps=1, size=16).title
