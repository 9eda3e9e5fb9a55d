"""ONNX files: what is read of them, which have a torch version, and what is said where one has none."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import seewhy
from exports import graph, save_onnx, small
from seewhy.core.forward.agreement import slope_gap
from seewhy.core.network.foreign import Program
from seewhy.core.network.outputs import main_tensor
from seewhy.errors import CapabilityError, ModelError, UsageError
from seewhy.models._onnx_file import read_onnx
from seewhy.models._onnx_network import OnnxNetwork, Unconvertible, convert
from seewhy.models._onnx_program import OnnxProgram

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("onnx2pytorch")
node = onnx.helper.make_node


def head(last: str = "y") -> list[Any]:
    return [
        node("Conv", ["x", "w"], ["c"], name="first.conv"),
        node("Relu", ["c"], ["r"]),
        node("GlobalAveragePool", ["r"], ["p"]),
        node("Flatten", ["p"], ["f"]),
        node("Gemm", ["f", "g"], [last]),
    ]


def weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {"w": rng.normal(size=(4, 3, 3, 3)).astype("f4"), "g": rng.normal(size=(4, 5)).astype("f4")}


def test_a_file_becomes_a_network_with_the_nodes_names(tmp_path: Path) -> None:
    model = seewhy.load(f"onnx:{graph(head(), weights(), ['n', 3, 20, 24], tmp_path / 'net.onnx')}")
    assert isinstance(model.module, OnnxNetwork)
    assert [name for name, _ in model.module.named_children()] == [
        "first_conv", "Relu_r", "GlobalAveragePool_p", "Flatten_f", "Gemm_y",
    ]  # fmt: skip
    assert model.preprocess.size == (20, 24)
    assert model.name == "net"
    assert "values from 0 to 1" in model.assumed
    assert "--preprocess imagenet" in model.assumed
    assert seewhy.load(model.spec, preprocess="imagenet").assumed == ""
    assert model.fingerprint()
    assert copy.deepcopy(model.module).program is model.module.program


@pytest.mark.parametrize("batch", [1, 3])
def test_a_fixed_batch_takes_any_number_of_images(tmp_path: Path, batch: int) -> None:
    path = save_onnx(small(), tmp_path / "net.onnx", batch=batch)
    model = seewhy.load(f"onnx:{path}")
    x = torch.rand(4, 3, 32, 32)
    with torch.no_grad():
        exact = small()(x)
        assert torch.allclose(model.module.program(x), exact, atol=1e-6)
        assert torch.allclose(model.module(x), exact, atol=1e-6)


def test_a_graph_built_around_its_batch_says_so(tmp_path: Path) -> None:
    """A constant of one row joined to every image's: no torch version of it takes two."""
    nodes = [
        node("Conv", ["x", "w"], ["c"]), node("Relu", ["c"], ["r"]), node("GlobalAveragePool", ["r"], ["p"]),
        node("Reshape", ["p", "shape"], ["f"]), node("Concat", ["f", "one"], ["j"], axis=1),
        node("ReduceMean", ["j"], ["m"], axes=[1], keepdims=0), node("Gemm", ["m", "g"], ["y"]),
    ]  # fmt: skip
    more = {"shape": np.array([1, 1, 4]), "one": np.ones((1, 1, 4), "f4")}
    model = seewhy.load(f"onnx:{graph(nodes, weights() | more, [1, 3, 8, 8], tmp_path / 'n.onnx', out=[1, 5])}")
    x = torch.rand(2, 3, 8, 8)
    assert seewhy.explain(model, x[:1], method="saliency", target=1).values.any()
    assert len(seewhy.explain_all(model, x, method="rise", target=1, n=8)) == 2
    with pytest.raises(CapabilityError, match=r"exported for batches of 1, .* cannot take 2 at once: export it with"):
        seewhy.explain_all(model, x, method="saliency", target=1)


def test_channels_last(tmp_path: Path) -> None:
    nodes = [node("Transpose", ["x"], ["t"], perm=[0, 3, 1, 2]), *head()]
    nodes[1].input[0] = "t"
    last = seewhy.load(f"onnx:{graph(nodes, weights(), ['n', 20, 24, 3], tmp_path / 'last.onnx')}")
    first = seewhy.load(f"onnx:{graph(head(), weights(), ['n', 3, 20, 24], tmp_path / 'first.onnx')}")
    assert last.preprocess == first.preprocess
    x = torch.rand(2, 3, 20, 24)
    for method in ("saliency", "grad-cam", "rise"):
        ours, theirs = (
            seewhy.explain_all(model, x, method=method, target=1, **({"n": 8} if method == "rise" else {}))
            for model in (last, first)
        )
        assert all(np.allclose(a.values, b.values, atol=1e-6) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("kind", ["FLOAT16", "DOUBLE", "UINT8"])
def test_other_input_types_are_cast_to(tmp_path: Path, kind: str) -> None:
    float_ = onnx.TensorProto.FLOAT
    nodes = [node("Cast", ["x"], ["t"], to=float_), *head()]
    nodes[1].input[0] = "t"
    path = graph(nodes, weights(), ["n", 3, 8, 8], tmp_path / "n.onnx", kind=getattr(onnx.TensorProto, kind))
    model = seewhy.load(f"onnx:{path}")
    assert model.tolerance == (1e-2 if kind == "FLOAT16" else 1e-4)
    assert ("from 0 to 255" in model.assumed) == (kind == "UINT8")
    photo = np.random.default_rng(1).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    found = seewhy.explain_all(model, photo, method=["saliency", "rise"], target=1, n=8)
    assert all(one.values.any() and one.values.dtype == np.float32 for one in found)


def test_what_the_exporter_wrote_down_is_used(tmp_path: Path) -> None:
    metadata = {"mean": "[123.675, 116.28, 103.53]", "std": "(58.395, 57.12, 57.375)"}
    names = {"names": "{0: 'a', 1: 'b', 2: 'c', 3: 'd', 4: 'e'}"}
    path = graph(head(), weights(), ["n", 3, 8, 8], tmp_path / "n.onnx", metadata=metadata | names)
    model = seewhy.load(f"onnx:{path}")
    assert model.labels == tuple("abcde")
    assert model.assumed == ""
    assert np.allclose(model.preprocess.mean, (0.485, 0.456, 0.406))
    assert np.allclose(model.preprocess.std, (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    "text",
    ["__import__('os').system('touch marker')", "[" * 100_000, "[1, 2]", "nan", "[0, 0, 0]", "'abc'", "1" * 9999],
)
def test_metadata_is_never_run_and_never_believed_blindly(tmp_path: Path, monkeypatch: Any, text: str) -> None:
    monkeypatch.chdir(tmp_path)
    metadata = dict.fromkeys(("mean", "std", "names", "labels"), text)
    path = graph(head(), weights(), ["n", 3, 8, 8], tmp_path / "n.onnx", metadata=metadata)
    model = seewhy.load(f"onnx:{path}")
    assert model.labels is None
    assert model.assumed
    assert not (tmp_path / "marker").exists()


def foreign(name: str, domain: str) -> list[Any]:
    return [*head("h"), node(name, ["h"], ["y"], domain=domain)]


def test_a_graph_without_a_torch_version_has_scores_and_says_why(tmp_path: Path) -> None:
    path = graph(
        foreign("Gelu", "com.microsoft"), weights(), ["n", 3, 8, 8], tmp_path / "n.onnx", domains=["com.microsoft"]
    )
    model = seewhy.load(f"onnx:{path}")
    assert isinstance(model.module, OnnxProgram)
    x = torch.rand(2, 3, 8, 8)
    assert len(seewhy.explain_all(model, x, method="occlusion", target=1)) == 2
    for method in ("saliency", "grad-cam"):
        with pytest.raises(CapabilityError, match=r"no torch version \(com.microsoft.Gelu is no operator of ONNX"):
            seewhy.explain(model, x, method=method)
    with pytest.raises(CapabilityError, match=r"no torch version .*no layers"):
        seewhy.layers(model)


def test_a_function_of_the_file_is_never_taken_for_one_of_torch(tmp_path: Path, monkeypatch: Any) -> None:
    """onnxruntime inlines functions that a file defines; onnx2pytorch would call torch.load for one named Load."""
    path = graph(foreign("Load", "mine"), weights(), ["n", 3, 8, 8], tmp_path / "n.onnx", domains=["mine"])
    model = onnx.load(str(path))
    body = [node("Identity", ["a"], ["b"])]
    model.functions.append(
        onnx.helper.make_function("mine", "Load", ["a"], ["b"], body, [onnx.helper.make_opsetid("", 17)])
    )
    path.write_bytes(model.SerializeToString())
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: pytest.fail("torch.load was called"))
    module = seewhy.load(f"onnx:{path}").module
    assert isinstance(module, OnnxProgram)
    assert "mine.Load is no operator of ONNX itself" in module.why


def test_an_operator_nobody_knows(tmp_path: Path) -> None:
    path = graph(foreign("Magic", "mine"), weights(), ["n", 3, 8, 8], tmp_path / "n.onnx", domains=["mine"])
    with pytest.raises(ModelError, match="onnxruntime cannot load") as caught:
        seewhy.load(f"onnx:{path}")
    assert "Magic" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_layers_called_like_methods_of_modules(tmp_path: Path) -> None:
    nodes = head()
    for each, name in zip(nodes, ["forward", "program", "", "weights/a.b", "weights.a/b"], strict=True):
        each.name = name
    model = seewhy.load(f"onnx:{graph(nodes, weights(), ['n', 3, 8, 8], tmp_path / 'n.onnx')}")
    names = [name for name, _ in model.module.named_children()]
    assert names == ["forward_2", "program_2", "GlobalAveragePool_p", "weights_a_b", "weights_a_b_2"]
    assert seewhy.explain(model, torch.rand(1, 3, 8, 8), method="grad-cam", layer="forward_2", target=1).values.any()


def test_slices_forwards_and_backwards(tmp_path: Path) -> None:
    nodes = [node("Slice", ["x", "s", "e", "a", "t"], ["t1"]), *head()]
    nodes[1].input[0] = "t1"
    more = {"s": np.array([-1, 0]), "e": np.array([-99, 6]), "a": np.array([2, -1]), "t": np.array([-1, 2])}
    model = seewhy.load(f"onnx:{graph(nodes, weights() | more, ['n', 3, 8, 8], tmp_path / 'n.onnx')}")
    assert isinstance(model.module, OnnxNetwork)
    assert seewhy.explain_all(model, torch.rand(2, 3, 8, 8), method="saliency", target=1)[0].values.any()


def test_external_data_beside_the_file(tmp_path: Path, monkeypatch: Any) -> None:
    path = graph(head(), weights(), ["n", 3, 8, 8], tmp_path / "whole.onnx")
    (tmp_path / "sub").mkdir()
    onnx.save(
        onnx.load(str(path)),
        str(tmp_path / "sub" / "net.onnx"),
        save_as_external_data=True,
        size_threshold=0,
        location="w.bin",
    )
    monkeypatch.chdir(tmp_path)
    whole, split = seewhy.load("onnx:whole.onnx"), seewhy.load("onnx:sub/net.onnx")
    x = torch.rand(2, 3, 8, 8)
    assert torch.equal(main_tensor(whole.module(x)), main_tensor(split.module(x)))
    assert torch.equal(main_tensor(whole.module.program(x)), main_tensor(split.module.program(x)))
    (tmp_path / "sub" / "w.bin").unlink()
    with pytest.raises(ModelError, match=r"in 'w.bin', which is not there"):
        seewhy.load("onnx:sub/net.onnx")


def test_files_that_are_no_models(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)

    def said(name: str, content: bytes | None = None, kind: type = ModelError, **more: Any) -> str:
        if content is not None:
            Path(name).write_bytes(content)
        with pytest.raises(kind) as caught:
            seewhy.load(f"onnx:{name}", **more)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    good = graph(head(), weights(), ["n", 3, 8, 8], Path("good.onnx")).read_bytes()
    assert "nearest: 'good.onnx'" in said("goo.onnx")
    assert "damaged or no ONNX file" in said("empty.onnx", b"")
    assert "damaged or no ONNX file" in said("text.onnx", b"hello there")
    said("cut.onnx", good[: len(good) // 2])
    assert "no valid ONNX graph" in said(
        "bad.onnx", graph([node("Relu", ["zz"], ["y"])], {}, ["n", 3, 8, 8], Path("b")).read_bytes()
    )
    assert "has its weights inside" in said("good.onnx", kind=UsageError, weights="random")
    assert "of shape [?, 3]" in said(
        "flat.onnx", graph([node("Relu", ["x"], ["y"])], {}, ["n", 3], Path("b")).read_bytes()
    )
    two = [onnx.helper.make_tensor_value_info("z", 1, ["n", 3, 8, 8])]
    both = graph([node("Add", ["x", "z"], ["y"])], {}, ["n", 3, 8, 8], Path("b"), inputs=two, out=["n", 3, 8, 8])
    assert "takes 2 inputs (x, z)" in said("two.onnx", both.read_bytes())


@pytest.mark.slow
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "vit"])
def test_networks_of_the_zoos_have_a_torch_version(tmp_path: Path, name: str, legacy: bool) -> None:
    torch.manual_seed(3)
    if name == "vit":
        module = pytest.importorskip("timm").create_model("vit_tiny_patch16_224").eval()
    else:
        module = getattr(pytest.importorskip("torchvision").models, name)().eval()
    model = seewhy.load(f"onnx:{save_onnx(module, tmp_path / 'net.onnx', 224, legacy=legacy)}")
    assert isinstance(model.module, OnnxNetwork), model.module.why
    x = torch.rand(1, 3, 224, 224, generator=torch.Generator().manual_seed(2))
    ours, theirs = (seewhy.explain(each, x, method="saliency", target=1).values for each in (model, module))
    # folding norms moves what is next to a rectifier's kink across it, each time seen in a window of a few pixels
    assert np.linalg.norm(ours - theirs) < 2e-2 * np.linalg.norm(theirs)
    assert any(isinstance(part, nn.Linear) for part in model.module.modules())


def _slopes(path: Path, x: torch.Tensor) -> np.ndarray:
    found = seewhy.explain(seewhy.load(f"onnx:{path}"), x, method="saliency", target=1, reduce="none")
    return found.values


@pytest.fixture
def exported(tmp_path: Path) -> tuple[Path, torch.Tensor, np.ndarray]:
    """A file, an input, and the gradient of its logit 1 there, by autograd on what was exported."""
    x = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad(small()[:-1](leaf)[0, 1], leaf)
    return save_onnx(small(), tmp_path / "net.onnx"), x, slope[0].numpy()


@pytest.mark.filterwarnings("ignore")
def test_a_quantised_file_has_scores_but_no_derivatives(tmp_path: Path, exported: Any) -> None:
    """What rounds has no gradient; the one that is left runs through the scales, and would be that of nothing."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    path, x, _ = exported
    quantised = tmp_path / "int8.onnx"
    quantization.quantize_dynamic(str(path), str(quantised), weight_type=quantization.QuantType.QUInt8)
    model = seewhy.load(f"onnx:{quantised}")
    with pytest.raises(CapabilityError, match=r"rounds on the way to its scores.*before quantising"):
        seewhy.explain(model, x, method="saliency", target=1)
    found = seewhy.explain(model, x, method="occlusion", target=1, window=8, stride=8, fill=0.0)
    hidden = x.clone()
    hidden[..., 8:16, 16:24] = 0
    before, after = (model.module.run(each)[1][0].source[0, 1] for each in (x, hidden))
    assert found.values[12, 20] == pytest.approx(float(before - after), abs=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", range(3))
def test_thin_quantised_files_have_no_derivatives_either(tmp_path: Path, seed: int) -> None:
    """Between two roundings the scores do follow the scales (seed 0); over what is rounded they do not."""
    quantization = pytest.importorskip("onnxruntime.quantization")
    torch.manual_seed(seed)
    norm = nn.BatchNorm2d(8)
    first = [nn.Conv2d(3, 8, 3, padding=1), norm, nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1), nn.ReLU()]
    last = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4)]
    net = nn.Sequential(*first, *last).eval()
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 2)
    x = torch.randn(1, 3, 24, 32)
    torch.onnx.export(net, (x,), str(tmp_path / "net.onnx"), dynamo=False)
    quantised = tmp_path / "int8.onnx"
    quantization.quantize_dynamic(str(tmp_path / "net.onnx"), str(quantised), weight_type=quantization.QuantType.QInt8)
    with pytest.raises(CapabilityError, match="rounds on the way to its scores"):
        seewhy.explain(seewhy.load(f"onnx:{quantised}"), x, method="saliency", target=1)
    assert np.abs(_slopes(tmp_path / "net.onnx", x)).max() > 0


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_derivatives_of_a_conversion_are_proved(
    share: float, tmp_path: Path, exported: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores that are equal, with ``share`` of their gradient behind them."""
    path, x, slope = exported
    forward = OnnxNetwork.forward

    def cut(self: OnnxNetwork, given: torch.Tensor) -> torch.Tensor:
        return forward(self, given.detach() + share * (given - given.detach()))

    monkeypatch.setattr(OnnxNetwork, "forward", cut)
    model = seewhy.load(f"onnx:{path}")
    if share == 1.0:
        assert np.allclose(
            seewhy.explain(model, x, method="saliency", target=1, reduce="none").values, slope, atol=1e-5
        )
        return
    with pytest.raises(CapabilityError, match=r"derivatives of the converted one are \d+% away"):
        seewhy.explain(model, x, method="saliency", target=1)


@pytest.mark.parametrize("ends", [True, False])
def test_files_of_the_float16_converter(tmp_path: Path, exported: Any, ends: bool) -> None:
    """With float32 at its ends, which it writes out of order, or without."""
    converter = pytest.importorskip("onnxruntime.transformers.float16")
    path, x, slope = exported
    half = converter.convert_float_to_float16(onnx.load(str(path)), keep_io_types=ends)
    onnx.save(half, str(tmp_path / "half.onnx"))
    found = _slopes(tmp_path / "half.onnx", x)
    assert np.linalg.norm(found - slope) <= 0.1 * np.linalg.norm(slope)  # in half precision a rectifier or two switches


def test_nodes_out_of_order_are_sorted_and_cycles_refused(tmp_path: Path) -> None:
    nodes = head()
    last = graph([nodes[-1], *nodes[:-1]], weights(), ["n", 3, 20, 24], tmp_path / "late.onnx")
    first = graph(nodes, weights(), ["n", 3, 20, 24], tmp_path / "net.onnx")
    x = torch.rand(2, 3, 20, 24)
    assert torch.equal(seewhy.load(f"onnx:{last}").module(x), seewhy.load(f"onnx:{first}").module(x))
    loop = [node("Conv", ["x", "w"], ["c"]), node("Add", ["c", "b"], ["a"]), node("Relu", ["a"], ["b"]), *head()[2:]]
    loop[3].input[0] = "b"
    with pytest.raises(ModelError, match="no valid ONNX graph"):
        seewhy.load(f"onnx:{graph(loop, weights(), ['n', 3, 20, 24], tmp_path / 'loop.onnx')}")


def test_what_was_exported_in_train_mode_says_so(tmp_path: Path) -> None:
    """Dropout is left out, as onnxruntime does; a batch norm of the batch cannot be explained, and the fix is named."""
    yes = {"yes": np.array(True), "ratio": np.array(0.5, "f4")}
    nodes = head()
    nodes[3:4] = [node("Dropout", ["p", "ratio", "yes"], ["d"]), node("Flatten", ["d"], ["f"])]
    path = graph(nodes, weights() | yes, ["n", 3, 20, 24], tmp_path / "dropout.onnx")
    model = seewhy.load(f"onnx:{path}")
    plain = seewhy.load(f"onnx:{graph(head(), weights(), ['n', 3, 20, 24], tmp_path / 'net.onnx')}")
    x = torch.rand(1, 3, 20, 24)
    both = [seewhy.explain(each, x, method="saliency", target=1) for each in (model, plain)]
    assert np.allclose(*(each.values for each in both), atol=1e-7)
    said = "exported in train mode: its dropout is left out, as onnxruntime leaves it out"
    assert said in both[0].notes
    assert said not in both[1].notes
    stats = {name: np.ones(4, "f4") for name in ("s", "b", "m", "v")}
    norm = node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n", "m2", "v2"], training_mode=1)
    nodes = [head()[0], norm, node("Relu", ["n"], ["r"]), *head()[2:]]
    path = graph(nodes, weights() | stats, ["k", 3, 20, 24], tmp_path / "norm.onnx")
    with pytest.raises(Unconvertible, match=r"exported in train mode.*model\.eval\(\)"):
        convert(read_onnx(path), plain.module.program)


@pytest.mark.parametrize("batch", ["k", 1, 3])
def test_images_of_a_file_in_train_mode_do_not_influence_each_other(batch: str | int, tmp_path: Path) -> None:
    """A batch norm that goes by its batch: occlusion scores each sample as if it were alone, and says so."""
    stats = {name: np.ones(4, "f4") for name in ("s", "b", "m", "v")}
    norm = node("BatchNormalization", ["c", "s", "b", "m", "v"], ["n", "m2", "v2"], training_mode=1)
    nodes = [head()[0], norm, node("Relu", ["n"], ["r"]), *head()[2:]]
    model = seewhy.load(f"onnx:{graph(nodes, weights() | stats, [batch, 3, 20, 24], tmp_path / 'norm.onnx')}")
    x = torch.rand(2, 3, 20, 24)
    scores = model.module(x)
    for n in range(2):
        part = nn.functional.conv2d(x[n : n + 1], torch.from_numpy(weights()["w"]))
        part = (part - part.mean((0, 2, 3), keepdim=True)) / (
            part.var((0, 2, 3), correction=0, keepdim=True) + 1e-5
        ) ** 0.5
        expected = (part + 1).relu().mean((2, 3)) @ torch.from_numpy(weights()["g"])
        assert torch.allclose(scores[n], expected[0], atol=1e-5)
    found = seewhy.explain(model, x[:1], method="occlusion", target=1, window=4, stride=4, fill=0.0)
    assert any("batch norm goes by each image alone" in note for note in found.notes)
    one = x[:1].clone()
    one[..., :4, :4] = 0
    left_out = float((model.module(x[:1]) - model.module(one))[0, 1])
    assert found.values[0, 0] == pytest.approx(left_out, abs=1e-5)


def test_a_file_that_answers_differently_each_time_is_refused(tmp_path: Path) -> None:
    """Noise that is drawn within it."""
    nodes = [*head()[:3], node("RandomNormalLike", ["p"], ["z"]), node("Add", ["p", "z"], ["q"]), *head()[3:]]
    nodes[5].input[0] = "q"
    path = graph(nodes, weights(), ["n", 3, 20, 24], tmp_path / "noise.onnx")
    with pytest.raises(ModelError, match=r"'.*noise\.onnx'.*other scores.*same input"):
        seewhy.load(f"onnx:{path}")


class _Torch(Program):
    """A program that torch runs, for the comparison alone."""

    runtime, tolerance = "torch", 1e-4

    def __init__(self, net: nn.Module) -> None:
        self.net = net

    def run(self, x: torch.Tensor) -> tuple[Any, list[Any]]:
        """Scores."""
        return self.net(x), []


def test_slopes_that_differ_are_told_from_those_that_do_not() -> None:
    net = small(softmax=False)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(5))

    def shifted(given: torch.Tensor) -> torch.Tensor:
        scores = net(given)
        return scores.detach() + 0.2 * (scores - scores.detach())

    def cut(given: torch.Tensor) -> torch.Tensor:
        return net(given.detach())

    def turned(given: torch.Tensor) -> torch.Tensor:
        scores = net(given)
        return scores.detach() + net(given.flip(-1)) - net(given.flip(-1)).detach()

    assert slope_gap(_Torch(net), x, net) < 0.05
    for wrong in (shifted, cut, turned):
        assert torch.allclose(wrong(x), net(x), atol=1e-6)
        assert slope_gap(_Torch(net), x, wrong) > 0.5
    flat = nn.Sequential(nn.Flatten(), nn.Linear(3072, 4)).requires_grad_(False)
    with torch.no_grad():
        flat[1].weight.zero_()
    assert slope_gap(_Torch(flat), x, flat) == 0


def _thin(seed: int) -> nn.Sequential:
    """Weights as torch draws them, so that the slopes are small."""
    torch.manual_seed(seed)
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3, stride=2, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 4),
    ).eval()  # fmt: skip
    net[1].running_mean.normal_()
    net[1].running_var.uniform_(0.5, 2)
    return net


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("ends", [True, False])
def test_files_of_the_float16_converter_with_small_slopes(tmp_path: Path, seed: int, ends: bool) -> None:
    onnx, converter = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime.transformers.float16")
    net, x = _thin(seed), torch.rand(1, 3, 32, 32)
    path = save_onnx(net, tmp_path / "net.onnx", legacy=True)
    onnx.save(converter.convert_float_to_float16(onnx.load(str(path)), keep_io_types=ends), str(tmp_path / "half.onnx"))
    leaf = x.clone().requires_grad_()
    (right,) = torch.autograd.grad(net(leaf)[0, 1], leaf)
    found = _slopes(tmp_path / "half.onnx", x)
    assert np.corrcoef(found.ravel(), right.numpy().ravel())[0, 1] > 0.99
