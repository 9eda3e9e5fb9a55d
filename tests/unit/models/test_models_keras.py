"""Keras specs: files, architectures, presets, what is refused and why; and that Keras is left alone unless asked for."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import seewhy
from keras_networks import keras, pair
from seewhy.errors import ModelError, UnknownName, UnsafeModel, UsageError
from seewhy.models import keras_
from seewhy.models._keras_file import check_file

layers = keras.layers
FILES = Path(__file__).parents[2] / "keras_files"


def _run(code: str, backend: str | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """``code`` in a Python of its own, with Keras on ``backend``."""
    env = {key: value for key, value in os.environ.items() if key != "KERAS_BACKEND"}
    env |= {} if backend is None else {"KERAS_BACKEND": backend}
    return subprocess.run(
        [sys.executable, "-c", code, *arguments], env=env, capture_output=True, text=True, check=False
    )


def _rewritten(source: Path, target: Path, change: Any) -> Path:
    """A copy of a .keras file whose config.json went through ``change``."""
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w") as new:
        for member in old.infolist():
            content = old.read(member)
            if member.filename == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            new.writestr(member.filename, content)
    return target


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path: Path = tmp_path_factory.mktemp("keras") / "small.keras"
    pair()[0].save(path)
    return path


def _line(error: BaseException) -> str:
    text = str(error)
    assert "\n" not in text
    assert len(text) < 500
    return text


def test_a_file_is_loaded_with_its_size_and_what_was_assumed(small: Path) -> None:
    model = seewhy.load(f"keras:{small}")
    assert (model.name, model.spec, model.weights) == ("small", f"keras:{small}", "file small.keras")
    assert model.preprocess == seewhy.Preprocess.preset("unit", (16, 16))
    assert "taken as 0 to 1" in model.assumed
    assert "--preprocess" in model.assumed
    assert seewhy.load(f"keras:{small}", preprocess="signed").assumed == ""
    ours, x = pair()[0], torch.rand(2, 16, 16, 3)
    assert torch.allclose(model.module(x.movedim(-1, 1)), ours(x, training=False))
    with pytest.raises(UsageError, match="has its own weights"):
        seewhy.load(f"keras:{small}", weights="random")
    with pytest.raises(ModelError, match="has the dtype that it was made with"):
        seewhy.load(f"keras:{small}", dtype=torch.float64)


@pytest.mark.parametrize("first", ["Rescaling", "Normalization"])
def test_a_network_that_rescales_takes_bytes(first: str, tmp_path: Path) -> None:
    made = layers.Rescaling(1 / 255) if first == "Rescaling" else layers.Normalization(mean=[120.0], variance=[3600.0])
    model = keras.Sequential([keras.Input((None, None, 1)), made, layers.Conv2D(2, 3), layers.GlobalMaxPooling2D()])
    model.save(tmp_path / "grey.keras")
    loaded = seewhy.load(f"keras:{tmp_path / 'grey.keras'}")
    assert loaded.preprocess == seewhy.Preprocess.preset("bytes", (224, 224), 1)
    assert "taken as 0 to 255" in loaded.assumed
    assert seewhy.wrap(model).assumed == loaded.assumed


@pytest.mark.parametrize("file", sorted(FILES.glob("*.keras")), ids=lambda file: file.stem)
def test_files_trained_under_another_backend_load(file: Path) -> None:
    """Written by `tools/write_keras_files.py` where that backend is installed, with what it predicts there."""
    seen = np.load(file.with_suffix(".npz"))
    model = seewhy.load(f"keras:{file}")
    found = model.module(torch.from_numpy(seen["x"]).movedim(-1, 1)).detach()
    assert np.allclose(found, seen["y"], atol=1e-5)
    assert seewhy.explain(model, seen["x"][0], method="grad-cam").values.shape == (4, 4)


def test_every_architecture_has_the_preset_of_its_own_preprocessing() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    for name in keras_.names():
        module = sys.modules[getattr(keras.applications, name).__module__]
        expected = np.asarray(module.preprocess_input(pixels.astype("float32")[None].copy()))[0]
        preset = seewhy.Preprocess.preset(keras_._family(name)[0], (9, 7))
        found = preset(Image.fromarray(pixels)).movedim(0, -1).numpy()
        assert np.allclose(found, expected, atol=1e-3), name


@pytest.mark.filterwarnings("ignore:`input_shape` is undefined")
def test_every_architecture_has_the_file_that_keras_would_fetch(monkeypatch: pytest.MonkeyPatch) -> None:
    """The names are Keras' own: a network that asks for its weights says which."""
    asked: list[str] = []

    class _Asked(Exception):
        pass

    def get_file(name: str, *args: Any, **kwargs: Any) -> str:
        asked.append(name)
        raise _Asked

    file_utils = sys.modules["keras.src.utils.file_utils"]
    monkeypatch.setattr(file_utils, "get_file", get_file)
    for name in ("MobileNet", "MobileNetV2", "MobileNetV3Small", "VGG16", "ResNet50", "ResNet50V2", "EfficientNetB0"):
        with pytest.raises(_Asked):
            getattr(keras.applications, name)(weights="imagenet")
        assert Path(keras_.cached_file(name)).name == asked[-1]


def test_an_architecture_untrained_is_the_same_every_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = random.getstate(), torch.get_rng_state()
    one, two = (seewhy.load("keras:MobileNetV3Small", weights="random") for _ in range(2))
    assert (random.getstate(), torch.get_rng_state().tolist()) == (state[0], state[1].tolist())
    pairs = zip(one.module.model.get_weights(), two.module.model.get_weights(), strict=True)
    assert all(np.array_equal(ours, theirs) for ours, theirs in pairs)  # Keras numbers its names anew each time
    assert one.preprocess == seewhy.Preprocess.preset("bytes", (224, 224))
    assert one.find_label("goldfish") == 1
    assert one.label(999) == "toilet tissue"
    assert one.weights == "random"
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    with pytest.raises(
        ModelError, match=r"weights_mobilenet_v3_small_224_1.0_float.h5; nothing is downloaded"
    ) as caught:
        seewhy.load("keras:MobileNetV3Small")
    assert "--weights random" in _line(caught.value)
    kernel = one.module.model.layers[2].kernel
    kernel.assign(np.full(kernel.shape, 0.5))
    (tmp_path / "models").mkdir()
    cached = Path(keras_.cached_file("MobileNetV3Small"))
    one.module.model.save_weights(tmp_path / "own.weights.h5")
    loaded = seewhy.load("keras:MobileNetV3Small", weights=tmp_path / "own.weights.h5")
    assert float(loaded.module.model.layers[2].kernel.value.detach().min()) == 0.5
    keras.Sequential([keras.Input((2,)), layers.Dense(2)]).save_weights(tmp_path / "wrong.weights.h5")
    for wrong, words in (("wrong.weights.h5", "does not fit"), ("none.h5", "no such file"), ("x.pth", "no such file")):
        with pytest.raises(ModelError, match=words) as caught:
            seewhy.load("keras:MobileNetV3Small", weights=tmp_path / wrong)
        _line(caught.value)
    cached.write_bytes(b"damaged")
    with pytest.raises(ModelError, match="does not fit"):
        seewhy.load("keras:MobileNetV3Small")


def test_names_that_are_none() -> None:
    with pytest.raises(UnknownName, match="nearest: 'MobileNetV2'"):
        seewhy.load("keras:MobileNetV")
    with pytest.raises(ModelError, match=r"no such file|no folder"):
        seewhy.load("keras:somewhere/model.keras")
    with pytest.raises(UsageError, match="is a file: say what it is, as in keras:"):
        seewhy.load(str(FILES / "jax.keras"))
    with pytest.raises(UsageError, match="names no model"):
        seewhy.load("keras:")


def _evil(config: dict[str, Any], changed: dict[str, Any]) -> None:
    config["config"]["layers"][-1].update(changed)


REFUSED = {
    "a module that is not Keras": ({"module": "os", "class_name": "system"}, UnsafeModel, "'system' of module 'os'"),
    "a lambda": ({"class_name": "Lambda"}, UnsafeModel, "a Lambda layer, which is Python code"),
    "bytecode": ({"class_name": "__lambda__", "config": {"value": "x"}}, UnsafeModel, "Python code"),
    "a pickled module": ({"class_name": "TorchModuleWrapper"}, UnsafeModel, "a TorchModuleWrapper, which is a program"),
    "a TensorFlow graph": ({"class_name": "TFSMLayer"}, UnsafeModel, "a TFSMLayer, which is a program"),
    "a function": ({"module": "builtins", "class_name": "function", "config": "exec"}, UnsafeModel, "function 'exec'"),
    "a name like Keras'": ({"module": "keras_evil.layers"}, UnsafeModel, "not Keras' own"),
    "a custom class": ({"module": "own", "class_name": "Mine", "registered_name": "shop>Mine"}, ModelError, "'Mine'"),
}


@pytest.mark.parametrize("case", sorted(REFUSED))
def test_hostile_files_are_refused_before_keras_sees_them(
    case: str, small: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed, kind, words = REFUSED[case]
    file = _rewritten(small, tmp_path / "evil.keras", lambda config: _evil(config, changed))
    monkeypatch.setattr(keras.saving, "load_model", lambda *args, **kwargs: pytest.fail("Keras was asked to load it"))
    keras.config.enable_unsafe_deserialization()  # somebody's switch elsewhere in the process changes nothing
    try:
        with pytest.raises(kind, match=words) as caught:
            seewhy.load(f"keras:{file}", trust_pickle=True)
    finally:
        sys.modules["keras.src.saving.serialization_lib"].global_state.set_global_attribute("safe_mode_saving", None)
    assert caught.value.exit_code == 3
    assert "in hand" in _line(caught.value)


def test_safe_mode_stays_on(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    load, seen = keras.saving.load_model, []
    monkeypatch.setattr(
        keras.saving, "load_model", lambda *args, **kwargs: seen.append(kwargs) or load(*args, **kwargs)
    )
    seewhy.load(f"keras:{small}", trust_pickle=True)
    assert seen == [{"compile": False, "safe_mode": True}]


def test_a_real_lambda_is_refused(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4, 4, 3)), layers.Lambda(lambda x: x * 2), layers.Flatten()])
    model.save(tmp_path / "lambda.keras")
    with pytest.raises(UnsafeModel, match="Lambda"):
        seewhy.load(f"keras:{tmp_path / 'lambda.keras'}")
    assert seewhy.explain(model, torch.rand(1, 4, 4, 3), method="saliency", target=1).values.shape == (4, 4)


def test_files_of_another_kind_and_damaged_ones(small: Path, tmp_path: Path) -> None:
    hdf5 = b"\x89HDF\r\n\x1a\n" + bytes(64)
    content = small.read_bytes()
    files = {
        "old.h5": (hdf5, UnsafeModel, "can hold Python code"),
        "renamed.keras": (hdf5, UnsafeModel, "can hold Python code"),
        "empty.keras": (b"", ModelError, "empty"),
        "half.keras": (content[: len(content) // 2], ModelError, "damaged or no Keras model"),
        "text.keras": (b"not a model", ModelError, "damaged or no Keras model"),
    }
    for name, (data, kind, words) in files.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(kind, match=words) as caught:
            seewhy.load(f"keras:{tmp_path / name}")
        _line(caught.value)
    (tmp_path / "folder.keras").mkdir()
    with pytest.raises(ModelError, match="it is a folder"):
        seewhy.load(f"keras:{tmp_path / 'folder.keras'}")
    for member in ("../outside", "/etc/outside", "assets/../../outside", "c:\\outside"):
        with zipfile.ZipFile(tmp_path / "path.keras", "w") as archive:
            archive.writestr(member, "x")
            archive.writestr("config.json", "{}")
        with pytest.raises(UnsafeModel, match="outside its folder"):
            check_file(tmp_path / "path.keras")
    for change in (
        lambda c: c.update(class_name="Dense"),
        lambda c: c.clear(),
        lambda c: _evil(c, {"class_name": "Nope"}),
    ):
        file = _rewritten(small, tmp_path / "odd.keras", change)
        with pytest.raises(ModelError) as caught:
            seewhy.load(f"keras:{file}")
        _line(caught.value)


@pytest.mark.parametrize("what", ["file", "hand"])
def test_another_backend_is_said_in_one_line(what: str, small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    model = pair()[0]
    with pytest.raises(ModelError) as caught:
        seewhy.load(f"keras:{small}") if what == "file" else seewhy.explain(model, torch.rand(1, 16, 16, 3))
    assert _line(caught.value) == "keras is already running on jax; start Python with KERAS_BACKEND=torch"


def test_keras_is_imported_on_torch_and_only_when_asked_for(small: Path) -> None:
    made = _run(
        "import sys, os, seewhy\n"
        "from seewhy.cli import app\n"
        "import seewhy.api, seewhy.models\n"
        "seewhy.layers(__import__('torch').nn.Conv2d(3, 1, 1))\n"
        "assert 'keras' not in sys.modules\n"
        "model = seewhy.load('keras:' + sys.argv[1])\n"
        "assert sys.modules['keras'].config.backend() == 'torch'\n"
        "print(os.environ.get('KERAS_BACKEND'), model.name)\n",
        None,
        str(small),
    )
    assert made.stdout.split() == ["None", "small"], made.stderr[-800:]


def _rescaled(how: str) -> tuple[Any, bool]:
    """A model that rescales its pixels in some way, and whether it takes bytes."""
    layers, given = keras.layers, keras.Input((24, 20, 3))
    normal = keras.layers.Normalization
    mean, variance = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225]) ** 2
    ways: dict[str, tuple[Any, bool]] = {
        "nothing": (lambda x: x, False),
        "layer": (layers.Rescaling(1 / 255), True),
        "layer, signed": (layers.Rescaling(1 / 127.5, offset=-1), True),
        "behind augmentation": (
            lambda x: layers.Rescaling(1 / 255)(
                layers.RandomContrast(0.2)(layers.RandomZoom(0.1)(layers.RandomRotation(0.1)(layers.RandomFlip()(x))))
            ),
            True,
        ),
        "nested model": (keras.Sequential([layers.Input((24, 20, 3)), layers.Rescaling(1 / 255)]), True),
        "division": (lambda x: x / 255.0, True),
        "division and shift": (lambda x: (x - 127.5) / 127.5, True),
        "preprocess_input, signed": (keras.applications.mobilenet_v2.preprocess_input, True),
        "preprocess_input, caffe": (keras.applications.vgg16.preprocess_input, True),
        "preprocess_input, torch": (keras.applications.densenet.preprocess_input, True),
        "statistics of 0..1": (normal(mean=mean, variance=variance), False),
        "statistics of 0..255": (normal(mean=255 * mean, variance=255**2 * variance), True),
        "unadapted statistics": (normal(mean=np.zeros(3), variance=np.ones(3)), False),
        "signed from 0..1": (layers.Rescaling(2.0, offset=-1), False),
        "rescaling at the end": (lambda x: x, False),
        "resized and padded": (lambda x: layers.ZeroPadding2D(3)(layers.Rescaling(1 / 255)(layers.Resizing(16, 16)(x))), True),
    }  # fmt: skip
    first, takes_bytes = ways[how]
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3, activation="relu")(first(given)))
    x = layers.Rescaling(1 / 255)(x) if how == "rescaling at the end" else x
    return keras.Model(given, layers.Dense(3)(x)), takes_bytes


WAYS = ["nothing", "layer", "layer, signed", "behind augmentation", "nested model", "division", "division and shift",
        "preprocess_input, signed", "preprocess_input, caffe", "preprocess_input, torch", "statistics of 0..1",
        "statistics of 0..255", "unadapted statistics", "signed from 0..1", "rescaling at the end", "resized and padded"]  # fmt: skip


@pytest.mark.parametrize("how", WAYS)
def test_pixels_are_what_the_first_layers_make_of_them(how: str) -> None:
    """Found by running them, whatever does it; what the network then gets is what the way says, by hand."""
    model, takes_bytes = _rescaled(how)
    wrapped = seewhy.wrap(model)
    assert wrapped.assumed.startswith(f"pixels are taken as 0 to {'255' if takes_bytes else '1'}, since")
    photo = np.random.default_rng(0).integers(0, 256, (24, 20, 3), dtype=np.uint8)
    found = seewhy.explain(wrapped, photo, method="saliency", target=1)
    pixels = photo.astype(np.float32) if takes_bytes else photo / np.float32(255)
    expected = np.asarray(model(pixels[None], training=False).detach())[0, 1]
    assert found.score == pytest.approx(float(expected), rel=1e-4, abs=1e-6)


def test_a_model_whose_first_layers_cannot_be_run_says_so() -> None:
    class Broken(keras.layers.Layer):
        def call(self, x: Any) -> Any:
            """Nothing once built."""
            if getattr(self, "ready", False):
                raise ValueError("on purpose")
            return x

    model = keras.Sequential([keras.layers.Input((8, 8, 3)), Broken(), keras.layers.Conv2D(2, 3)])
    model.layers[0].ready = True
    assert "could not be run (" in seewhy.wrap(model).assumed
