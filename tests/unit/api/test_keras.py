"""Keras models give the maps of the same network in PyTorch, under Keras' own layer names, and stay as they are."""

from __future__ import annotations

import gc
import json
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import seewhy
from keras_networks import HEADS, keras, pair
from properties.asking import METHODS
from seewhy.core.compile.state import structure
from seewhy.core.network.parts import submodules
from seewhy.errors import UsageError
from seewhy.registry import methods

#: those that need attention: there is none in the network of this file
CONVOLUTIONAL = [name for name in METHODS if methods[name].card.family != "attention"]
_QUICK = {"n": 96, "steps": 8, "window": 4, "cells": 2}


def _photo(batch: int = 1, seed: int = 5) -> torch.Tensor:
    return torch.rand(batch, 16, 16, 3, generator=torch.Generator().manual_seed(seed))


def _settings(name: str) -> dict[str, Any]:
    method = methods[name]
    found: dict[str, Any] = {key: value for key, value in _QUICK.items() if key in method.parameters}
    if "max_steps" in method.parameters:
        found.pop("steps", None)
        found["max_steps"] = 8
    if "segments" in method.requires:
        found["segments"] = "grid"
    return found


def _both(name: str, keras_model: Any, ours: torch.nn.Module, x: torch.Tensor, **given: Any) -> tuple[Any, Any]:
    method, given = methods[name], _settings(name) | given
    layers = {"layer": ("last", "act"), "layers": (["two", "last"], ["two", "act"])}
    theirs_at, ours_at = layers["layers"] if method.card.several_layers else layers["layer"]
    if method.card.at == "input" and not method.card.several_layers:
        theirs_at = ours_at = None
    if name == "cam":  # it needs the layer whose mean the head reads
        theirs_at = ours_at = "pool"
    theirs, mine = dict(given), dict(given)
    # not an empty image: all places of one would tie in the max pooling
    for word in {"baseline", "references"} & set(method.requires):
        theirs[word] = _photo(seed=9)
        mine[word] = theirs[word].movedim(-1, 1)
    found = seewhy.explain_all(keras_model, x, method=name, layer=theirs_at, **theirs)
    expected = seewhy.explain_all(ours, x.movedim(-1, 1), method=name, layer=ours_at, **mine)
    return found, expected


def _agree(found: Any, expected: Any, tolerance: float = 1e-4) -> None:
    found, expected = ([each] if hasattr(each, "values") else each for each in (found, expected))
    for one, two in zip(found, expected, strict=True):
        assert one.values.shape == two.values.shape
        assert np.abs(two.values).max() > 0, "nothing to compare"
        assert np.abs(one.values - two.values).max() <= tolerance * np.abs(two.values).max()
        assert one.score == pytest.approx(two.score, rel=1e-4, abs=1e-5)


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_every_method_gives_the_map_of_the_same_network_in_pytorch(name: str) -> None:
    model, ours = pair()
    found, expected = _both(name, model, ours, _photo(), target=2)
    # xrai starts from a black and a white image, all of whose places tie in the max pooling; steps of an optimiser make
    # more of the last digits, in which kernels of other memory orders differ
    _agree(found, expected, {"xrai": 1e-2, "extremal-perturbation": 1e-3}.get(name, 1e-4))


@pytest.mark.parametrize("composite", ["epsilon", "epsilon-plus-flat", "epsilon-alpha2-beta1", "by-depth"])
@pytest.mark.parametrize("act", ["relu", "silu", "relu6"])
def test_every_composite_takes_bias_and_batch_norm_into_the_layer(composite: str, act: str) -> None:
    model, ours = pair("linear", seed=1, act=act)
    _agree(*_both("lrp", model, ours, _photo(2), target=1, composite=composite, reduce="none"))


@pytest.mark.parametrize("act", ["silu", "relu6"])
def test_full_gradients_know_the_same_biases(act: str) -> None:
    model, ours = pair("linear", seed=2, act=act)
    x = _photo()
    found, expected = _both("full-grad", model, ours, 3 * x, target=1)
    _agree(found, expected)
    assert float(found[0].values.sum()) == pytest.approx(found[0].score, rel=1e-4)


@pytest.mark.parametrize("head", HEADS)
def test_the_final_activation_is_looked_behind_and_left_in_its_place(head: str) -> None:
    model, ours = pair(head)
    x = _photo()
    before = model.get_layer("dense").activation
    found = seewhy.explain(model, x, method="saliency", target=3)
    with torch.no_grad():
        logits = ours(x.movedim(-1, 1))
    assert found.score == pytest.approx(float(logits[0, 3]), rel=1e-5)
    assert model.get_layer("dense").activation is before
    if head == "softmax":
        assert float(model(x, training=False).detach().sum()) == pytest.approx(1)


def test_arrays_are_in_the_layout_of_the_model_and_values_are_not() -> None:
    model, ours = pair()
    x = _photo(2)
    for given in (x, x.numpy(), list(x), [x[0].numpy(), x[1]]):
        several = seewhy.explain_all(model, given, method="saliency", target=1, reduce="none")
        assert [each.values.shape for each in several] == [(3, 16, 16)] * 2
    one = seewhy.explain(model, x[0].numpy(), method="saliency", target=1, reduce="none")
    expected = seewhy.explain(ours, x.movedim(-1, 1)[:1], method="saliency", target=1, reduce="none")
    _agree(one, expected)
    with pytest.raises(UsageError, match=r"channels last: \[H, W, C\] or \[B, H, W, C\] with 3 channels"):
        seewhy.explain(model, x.movedim(-1, 1), method="saliency")


def test_baselines_and_references_are_in_the_layout_of_the_model() -> None:
    model, ours = pair()
    x, other = _photo(), _photo(3, seed=8)
    baseline = {"method": "integrated-gradients", "target": 1, "max_steps": 16}
    for given in (other[:1], other[0], other[0, :1, :1]):
        found = seewhy.explain(model, x, baseline=given, **baseline)
        _agree(found, seewhy.explain(ours, x.movedim(-1, 1), baseline=given.movedim(-1, -3), **baseline))
    asked = {"method": "expected-gradients", "target": 1, "n": 16}
    found = seewhy.explain(model, x, references=other, **asked)
    _agree(found, seewhy.explain(ours, x.movedim(-1, 1), references=other.movedim(-1, 1), **asked))


def test_layers_have_the_names_that_keras_shows() -> None:
    model, _ = pair()
    found = seewhy.layers(model)
    assert [layer.name for layer in found] == [layer.name for layer in model.layers[1:]]
    assert [layer.name for layer in found if layer.chosen] == ["last"]
    chosen = {layer.name: layer for layer in found}
    assert chosen["one"].shape == (1, 16, 16, 6)
    assert (chosen["one"].grid, chosen["one"].channels, chosen["one"].kind) == ((16, 16), 6, "Conv2D")
    found = seewhy.explain(model, _photo(), method="grad-cam", target=1)
    assert found.layer == "last"
    with pytest.raises(seewhy.errors.UnknownName, match="nearest: 'three'"):
        seewhy.explain(model, _photo(), method="grad-cam", layer="thre")


def test_channels_that_are_as_many_as_positions_are_still_last() -> None:
    model = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(8, 3, padding="same", name="square")])
    model.add(keras.layers.Flatten())
    model.add(keras.layers.Dense(2))
    x = torch.rand(1, 8, 8, 3)
    found = seewhy.explain(model, x, method="grad-cam", layer="square", target=1)
    raw = keras.Model(model.inputs, model.get_layer("square").output)(x).detach()
    weights = model.layers[-1].kernel.value.detach()[:, 1].reshape(8, 8, 8).mean((0, 1))
    assert np.allclose(found.values, (raw[0] * weights).sum(-1).relu(), atol=1e-6) or np.allclose(
        found.values, (raw[0] * weights).sum(-1), atol=1e-6
    )


def test_nested_and_shared_layers_have_paths() -> None:
    layers = keras.layers
    shared = layers.Conv2D(4, 3, padding="same", activation="relu", name="shared")
    inner = keras.Sequential([keras.Input((12, 12, 4)), layers.Conv2D(4, 3, name="conv"), layers.ReLU(name="act")])
    inner.name = "inner"
    inside = keras.Input((12, 12, 3))
    x = layers.Conv2D(4, 1, name="first")(inside)
    x = inner(shared(shared(x)))
    model = keras.Model(inside, layers.Dense(3, name="out")(layers.Flatten(name="flat")(x)))
    names = [layer.name for layer in seewhy.layers(model)]
    assert names == ["first", "shared", "inner", "inner/conv", "inner/act", "flat", "out"]
    x = torch.rand(1, 12, 12, 3)
    deep = seewhy.explain_all(model, x, method="grad-cam", layer=["inner/act", "shared#1", "shared"], target=1)
    assert [each.values.shape for each in deep] == [(10, 10), (12, 12), (12, 12)]
    assert seewhy.explain(model, x, method="grad-cam", layer=shared, target=1).layer == "shared"
    assert seewhy.explain(model, x, method="grad-cam", target=1).layer in ("inner", "inner/act")


def test_a_subclassed_model_has_layers_too() -> None:
    class Own(keras.Model):
        def __init__(self) -> None:
            super().__init__()
            self.conv = keras.layers.Conv2D(4, 3, activation="relu", name="conv")
            self.head = keras.layers.Dense(2, name="head")

        def call(self, x: Any) -> Any:
            return {"logits": self.head(keras.ops.mean(self.conv(x), (1, 2)))}

    model = Own()
    with pytest.raises(UsageError, match=r"not built yet; call it once on an input: model\(x\)"):
        seewhy.explain(model, torch.rand(1, 8, 8, 3), method="saliency")
    model(torch.rand(1, 8, 8, 3))
    assert [layer.name for layer in seewhy.layers(model, torch.rand(1, 8, 8, 3))] == ["conv", "head"]
    x = torch.rand(1, 8, 8, 3)
    assert seewhy.explain(model, x, method="grad-cam", target=1).values.shape == (6, 6)
    assert seewhy.explain(model, x, method="saliency", target=lambda out: out["logits"][:, 0]).values.shape == (8, 8)


@pytest.mark.parametrize(("shape", "grid"), [((16, 3), (16,)), ((8, 8, 6, 2), (8, 8, 6)), ((7,), ())])
def test_other_numbers_of_axes(shape: tuple[int, ...], grid: tuple[int, ...]) -> None:
    layers = keras.layers
    inside = keras.Input(shape)
    conv = {1: layers.Conv1D, 3: layers.Conv3D}.get(len(grid))
    x = conv(4, 3, activation="relu", name="conv")(inside) if conv else layers.Dense(4, activation="relu")(inside)
    model = keras.Model(inside, layers.Dense(2)(layers.Flatten()(x)))
    x = torch.rand(2, *shape)
    found = seewhy.explain_all(model, x, method="input-x-gradient", target=1, reduce="none")
    assert [each.values.shape for each in found] == [((shape[-1], *grid))] * 2
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model(leaf)[:, 1].sum(), leaf)
    expected = (x * slope).movedim(-1, 1)
    assert np.allclose(np.stack([each.values for each in found]), expected, atol=1e-6)


def _two_inputs(order: str = "list") -> Any:
    layers = keras.layers
    photo, age = keras.Input((8, 8, 3), name="photo"), keras.Input((2,), name="age")
    x = layers.Conv2D(4, 3, activation="relu", name="conv")(photo)
    x = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), age])
    inputs = {"photo": photo, "age": age} if order == "dict" else [photo, age]
    return keras.Model(inputs, layers.Dense(2, name="out")(x), name="two")


@pytest.mark.parametrize("order", ["list", "dict"])
def test_one_of_several_inputs_is_explained(order: str) -> None:
    model, x = _two_inputs(order), torch.rand(2, 8, 8, 3)
    with pytest.raises(UsageError, match=r"2 input\(s\).*'photo'.*seewhy.wrap\(model, inputs=\{'") as caught:
        seewhy.explain(model, x, method="saliency")
    assert "\n" not in str(caught.value)
    ages = np.array([0.3, -2.0])
    wrapped = seewhy.wrap(model, inputs={"age": ages})
    found = seewhy.explain_all(wrapped, x, method="grad-cam", target=1)
    given = [x, torch.tensor(ages).float().expand(2, 2)]
    with torch.no_grad():
        expected = model(dict(zip(("photo", "age"), given, strict=True)) if order == "dict" else given)[:, 1]
    assert [each.score for each in found] == pytest.approx(expected.tolist(), rel=1e-5)
    assert found[0].values.shape == (6, 6)
    for wrong, words in (
        ({"years": ages}, "'years'; the inputs of 'two'"),
        ({"age": np.zeros(3)}, "takes one row of"),
        ({"age": ages, "photo": np.zeros((8, 8, 3))}, "one is explained"),
    ):
        with pytest.raises(UsageError, match=words):
            seewhy.wrap(model, inputs=wrong)
    by_row = seewhy.wrap(model, inputs={"photo": x[:1]})
    assert seewhy.explain(by_row, torch.zeros(2), method="input-x-gradient", target=1, reduce="none").values.shape == (
        2,
    )
    with pytest.raises(UsageError, match="inputs= names 'a'; the inputs of Flatten: 'input'"):
        seewhy.wrap(torch.nn.Flatten(), inputs={"a": 1})


def test_the_model_is_left_bit_for_bit() -> None:
    model, _ = pair()
    model.get_layer("one").trainable = False
    drop = model.get_layer("drop")
    before = [np.array(each) for each in model.get_weights()]
    flags = [layer.trainable for layer in model.layers], [part.training for part in model.layers]
    seed = np.array(drop.seed_generator.state.value)
    state = torch.get_rng_state()
    for name in ("saliency", "lrp", "grad-cam", "smooth-grad", "rise", "full-grad"):
        seewhy.explain(model, _photo(), method=name, target=1, **_settings(name))
    assert all(np.array_equal(one, two) for one, two in zip(before, model.get_weights(), strict=True))
    assert flags == ([layer.trainable for layer in model.layers], [part.training for part in model.layers])
    assert np.array_equal(seed, np.array(drop.seed_generator.state.value))
    assert torch.equal(state, torch.get_rng_state())
    assert not any(part._forward_hooks or part._backward_hooks for part in model.layers)
    assert all(variable.value.grad is None for variable in model.variables)


def test_layers_that_draw_or_train_by_default_change_nothing() -> None:
    class Drawing(keras.layers.Layer):
        def __init__(self) -> None:
            super().__init__()
            self.seed_generator, self.modes = keras.random.SeedGenerator(1), []
            self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, x: Any, training: bool = True) -> Any:
            self.modes.append(training)
            self.count.assign(self.count + 1)
            return x + 0.0 * keras.random.normal((1,), seed=self.seed_generator)

    drawing, torch_own = Drawing(), torch.nn.Sequential(torch.nn.BatchNorm1d(48), torch.nn.Linear(48, 2))
    model = keras.Sequential(
        [keras.Input((4, 4, 3)), drawing, keras.layers.Flatten(), keras.layers.TorchModuleWrapper(torch_own)]
    )
    drawing.modes.clear()
    before = [np.array(value) for value in drawing.get_weights()], np.array(drawing.seed_generator.state.value)
    mean, flags = torch_own[0].running_mean.clone(), [part.training for part in torch_own.modules()]
    x = torch.rand(3, 4, 4, 3)
    with pytest.warns(UserWarning, match="explained as in eval mode"):  # of the torch module inside
        seewhy.explain_all(model, x, method="saliency", target=1)
    assert drawing.modes
    assert not any(drawing.modes)
    assert all(np.array_equal(one, two) for one, two in zip(before[0], drawing.get_weights(), strict=True))
    assert np.array_equal(before[1], np.array(drawing.seed_generator.state.value))
    assert torch.equal(mean, torch_own[0].running_mean)
    assert flags == [part.training for part in torch_own.modules()]


def test_a_fingerprint_follows_the_weights_and_the_architecture() -> None:
    model, _ = pair()
    wrapped = seewhy.wrap(model)
    first = wrapped.fingerprint()
    assert first == wrapped.fingerprint() == seewhy.wrap(pair()[0]).fingerprint()
    model.get_layer("dense").bias.assign(np.ones(5))
    assert wrapped.fingerprint() != first
    assert seewhy.wrap(pair(act="relu6")[0]).fingerprint() != first


def test_looking_inside() -> None:
    model, ours = pair()
    for layer, theirs in (("one", "one"), ("conv2", "two")):
        found, expected = seewhy.filters(model, theirs), seewhy.filters(ours, layer)
        assert np.allclose(found.values, expected.values)
    assert seewhy.filters(model).parameters["layer"] == "one"
    x = _photo()
    found = seewhy.feature_maps(model, x, layer="last")
    assert np.allclose(found.values, seewhy.feature_maps(ours, x.movedim(-1, 1), layer="act").values, atol=1e-5)
    for aim in (1, "two:3"):
        one, two = (seewhy.maximise(each, aim, steps=3, size=16) for each in (model, ours))
        assert one.values.shape == two.values.shape
    by_layer = seewhy.explain_all(model, x, method="saliency-by-layer")
    assert [each.target for each in by_layer]


def test_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from seewhy.cli.app import run

    model, _ = pair()
    file = tmp_path / "small.keras"
    model.save(file)
    photo = tmp_path / "photo.png"
    Image.fromarray((_photo()[0].numpy() * 255).astype("uint8")).save(photo)
    spec = f"keras:{file}"
    code = run(["explain", str(photo), "--model", spec, "-M", "grad-cam", "-o", str(tmp_path / "out"), "--json"])
    out = capsys.readouterr()
    assert code == 0, out.err
    assert json.loads(out.out)
    assert "pixels are taken as 0 to 1" in out.out + out.err
    assert run(["layers", "--model", spec]) == 0
    assert "norm3" in capsys.readouterr().out


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("end", ["softmax", "sigmoid"])
def test_occlusion_of_a_network_with_a_final_activation_by_hand(end: str, prepare: bool) -> None:
    """Probabilities so sure that windows change none of them: what a window takes from the logit is found all the same,
    also by a program that runs its batch in pieces."""
    layers = keras.layers
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            layers.Input((16, 16, 3)),
            layers.Conv2D(6, 3, activation="relu", padding="same"),
            layers.MaxPooling2D(),
            layers.Flatten(),
            layers.Dense(
                1 if end == "sigmoid" else 4, activation=end, kernel_initializer=keras.initializers.RandomNormal(0, 4)
            ),
        ]
    )
    x = _photo(3)
    weight, bias = (torch.tensor(each) for each in model.layers[-1].get_weights())
    features = keras.Model(model.inputs, model.layers[-2].output)

    def logit(values: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return (features(values) @ weight + bias)[:, 0]

    target = None if end == "sigmoid" else 0
    found = seewhy.explain_all(model, x, "occlusion", target, window=4, stride=4, fill=0.0, prepare=prepare)
    assert found[0].provenance["prepared"]["used"] is prepare
    for row, each in enumerate(found):
        whole = logit(x[row : row + 1])
        right = np.zeros((16, 16))
        for top in range(0, 16, 4):
            for left in range(0, 16, 4):
                changed = x[row : row + 1].clone()
                changed[:, top : top + 4, left : left + 4] = 0
                right[top : top + 4, left : left + 4] = float(whole - logit(changed))
        assert np.abs(each.values - right).max() <= 1e-3 * np.abs(right).max()
        assert each.unit == "logit"


def test_mixed_precision_casts_behind_the_softmax() -> None:
    layers = keras.layers
    keras.utils.set_random_seed(3)
    model = keras.Sequential(
        [
            layers.Input((16, 16, 3)),
            layers.Conv2D(4, 3, activation="relu", dtype="mixed_bfloat16"),
            layers.GlobalAveragePooling2D(dtype="mixed_bfloat16"),
            layers.Dense(3, activation="softmax", dtype="mixed_bfloat16"),
            layers.Activation("linear", dtype="float32"),
        ]
    )
    found = seewhy.explain(model, _photo(), "saliency", 1)
    assert found.unit == "logit"
    assert found.values.any()
    probability = seewhy.explain(model, _photo(), "saliency", seewhy.targets.Probability(1))
    assert probability.unit == "probability"
    assert 0 < probability.score < 1


def test_a_deep_network_is_not_too_much_to_look_at() -> None:
    """What Keras keeps of its layers for itself is no state of the network."""
    layers = [keras.layers.ReLU() for _ in range(400)]
    net = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(4, 3), *layers, keras.layers.Flatten()])
    model = seewhy.wrap(net)
    before = structure(submodules(model.module))
    assert structure(submodules(model.module)) == before
    net.layers[0].strides = (2, 2)
    assert structure(submodules(model.module)) != before


def test_what_is_known_of_a_model_in_hand_is_kept_and_goes_with_it() -> None:
    """Its layer is chosen and its grid proved once, not in every call; a layer more, and it is done anew."""
    layers = keras.layers
    net = keras.Sequential([layers.Input((16, 24, 3)), layers.Conv2D(4, 3), layers.ReLU()])
    for layer in (layers.GlobalAveragePooling2D(), layers.Dense(3)):
        net.add(layer)
    x = torch.rand(1, 16, 24, 3)
    first, second = (seewhy.explain(net, x, method="grad-cam", target=1) for _ in range(2))
    assert first.cost.checks > 0 == second.cost.checks
    assert first.provenance["grid"] == second.provenance["grid"]
    net.pop()
    net.add(layers.Dense(5))
    assert seewhy.explain(net, x, method="grad-cam", target=4).cost.checks > 0
    gone = weakref.ref(net)
    del net, layer
    gc.collect()
    assert gone() is None


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", [None, "softmax"])
@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_a_head_in_mixed_precision_is_still_pool_then_linear(policy: str, activation: str | None, bias: bool) -> None:
    """Keras multiplies in float32 there, casts, and adds the bias to that."""
    layers = keras.layers
    keras.utils.set_random_seed(3)
    given = {"activation": activation, "use_bias": bias, "bias_initializer": "random_normal", "dtype": policy}
    model = keras.Sequential(
        [
            layers.Input((32, 40, 3)),
            layers.Conv2D(8, 3, activation="relu", dtype=policy),
            layers.BatchNormalization(dtype=policy),
            layers.Dropout(0.1, dtype=policy),
            layers.GlobalAveragePooling2D(dtype=policy),
            layers.Dense(4, **given),
        ]
    )
    x = torch.rand(1, 32, 40, 3, generator=torch.Generator().manual_seed(0))
    facts = seewhy.diagnose(model, x, methods=["cam"]).facts
    assert facts["output"].endswith("head: pool then linear")
    assert facts["parameters"] == f"{288 + 4 * bias} in 3 layers"
    cam, grad = (seewhy.explain(model, x, method, 1).values for method in ("cam", "grad-cam"))
    assert np.linalg.norm(cam / cam.size - grad) <= 0.02 * np.linalg.norm(grad)


def test_another_head_is_not_taken_for_one_in_mixed_precision() -> None:
    layers = keras.layers
    keras.utils.set_random_seed(3)
    body = [layers.Conv2D(8, 3, activation="relu"), layers.GlobalMaxPooling2D(), layers.Dense(4)]
    for each in body:
        each.dtype_policy = keras.DTypePolicy("mixed_float16")
    model = keras.Sequential([layers.Input((16, 16, 3)), *body])
    facts = seewhy.diagnose(model, torch.rand(1, 16, 16, 3), methods=["cam"]).facts
    assert facts["output"].endswith("head: not pool then linear")


@pytest.mark.parametrize("size", [(12, 12), (8, 12)])
def test_a_region_of_a_segmentation_network(size: tuple[int, int]) -> None:
    """[B, H, W, K] was read as [B, K, H, W], for as many classes as rows without a word."""
    keras.utils.set_random_seed(1)
    given = keras.Input((*size, 3))
    hidden = keras.layers.Conv2D(4, 3, padding="same", activation="tanh")(given)
    maps = keras.layers.Conv2D(12, 1)(hidden)
    logits, net = keras.Model(given, maps), keras.Model(given, keras.layers.Softmax()(maps))
    x, mask = torch.rand(1, *size, 3, generator=torch.Generator().manual_seed(2)), torch.zeros(size)
    mask[:5, 2:] = 1
    leaf = x.clone().requires_grad_()
    score = (logits(leaf)[..., 3] * mask).sum() / mask.sum()
    (right,) = torch.autograd.grad(score, leaf)
    found = seewhy.explain(net, x, "saliency", seewhy.targets.Region(mask, 3), reduce="none")
    assert (found.unit, found.score) == ("logit", pytest.approx(score.item(), rel=1e-4))
    np.testing.assert_allclose(np.moveaxis(found.values, 0, -1), right[0].numpy(), atol=1e-6)


def test_a_layer_that_is_not_there_is_told_in_words_of_keras() -> None:
    model, _ = pair()
    with pytest.raises(seewhy.errors.UnknownName) as caught:
        seewhy.explain(model, _photo(), method="grad-cam", layer="thre")
    assert str(caught.value) == (
        f"no layer 'thre' in the Keras model {model.name!r}; nearest: 'three'. List them: seewhy.layers(model)"
    )
    with pytest.raises(UsageError, match=f"the Linear given as layer= is not part of the Keras model '{model.name}'"):
        seewhy.explain(model, _photo(), method="grad-cam", layer=torch.nn.Linear(1, 1))
    assert "three" in [layer.name for layer in seewhy.layers(model)]
