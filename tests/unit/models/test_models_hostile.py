"""Hostile files through the command line: refused in one line with exit code 3, and nothing in them ever runs."""

from __future__ import annotations

import json
import os
import pickle
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from exports import graph
from seewhy.cli.app import run

MARKER = "marker"


class Payload:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> Any:
        return open, (MARKER, "w")


class Custom(nn.Module):
    """A module whose class a reader would have to import."""


@pytest.fixture
def refused(tmp_path: Path, monkeypatch: Any, capsys: Any) -> Any:
    """Run a command on a model; gives the one line that it is refused with."""
    monkeypatch.chdir(tmp_path)
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save("a.png")

    def ask(*words: str) -> str:
        lines = []
        for command in (["explain", "a.png"], ["layers"]):
            capsys.readouterr()
            code = run([*command, *words])
            said = capsys.readouterr()
            assert code == 3, said.err
            assert said.out == ""
            lines = said.err.splitlines()
            assert len(lines) == 1, said.err
            assert lines[0].startswith("seewhy: ")
            assert not Path(MARKER).exists()
        return str(lines[0])

    return ask


def test_the_payload_works(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    pickle.loads(pickle.dumps(Payload())).close()
    assert Path(MARKER).exists()


@pytest.mark.parametrize("name", ["evil.pth", "evil.pt", "evil.bin", "evil.ckpt"])
@pytest.mark.parametrize("container", ["zip", "pickle"])
def test_a_pickle_with_a_payload(refused: Any, name: str, container: str) -> None:
    pytest.importorskip("timm")
    if container == "zip":
        torch.save({"state_dict": {"x": Payload()}}, name)
    else:
        Path(name).write_bytes(pickle.dumps(Payload()))
    assert "would run code" in refused("--model", "timm:test_resnet", "--weights", name)


def test_a_whole_module(refused: Any) -> None:
    pytest.importorskip("timm")
    torch.save(Custom(), "net.pth")
    assert "--trust-pickle" in refused("--model", "timm:test_resnet", "--weights", "net.pth")


def test_torchscript(refused: Any) -> None:
    pytest.importorskip("timm")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch would rather have nobody write them any more
        torch.jit.script(nn.Linear(2, 2)).save("net.pt")
    assert "TorchScript" in refused("--model", "timm:test_resnet", "--weights", "net.pt")


@pytest.mark.parametrize(
    "location",
    ["../secret", "/etc/passwd", "sub/../../secret", "link", "sub/link", "C:\\secret", "..\\secret", "", "a\0b"],
)
@pytest.mark.parametrize("place", ["initializer", "attribute", "subgraph"])
def test_external_data_outside_the_folder(refused: Any, monkeypatch: Any, location: str, place: str) -> None:
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    Path("secret").write_bytes(np.arange(20, dtype="f4").tobytes())
    Path("models/sub").mkdir(parents=True)
    Path("models/link").symlink_to(Path("secret").resolve())
    Path("models/sub/link").symlink_to(Path("secret").resolve())
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[4, 5], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    path = graph(
        [onnx.helper.make_node("Flatten", ["x"], ["f"]), onnx.helper.make_node("MatMul", ["f", "w"], ["y"])],
        {} if place != "initializer" else {"w": np.zeros((4, 5), "f4")}, ["n", 1, 2, 2], Path("models/net.onnx"),
    )  # fmt: skip
    model = onnx.load(str(path))
    if place == "initializer":
        model.graph.initializer[0].CopyFrom(tensor)
    else:
        constant = onnx.NodeProto(op_type="Constant", output=["w"])
        constant.attribute.add(name="value", type=onnx.AttributeProto.TENSOR).t.CopyFrom(tensor)
        if place == "subgraph":
            inner = onnx.GraphProto(name="inner", node=[constant])
            constant = onnx.NodeProto(op_type="If", input=["x"], output=["w"])
            constant.attribute.add(name="then_branch", type=onnx.AttributeProto.GRAPH).g.CopyFrom(inner)
        model.graph.node.insert(0, constant)
    path.write_bytes(model.SerializeToString())
    opened: list[str] = []
    monkeypatch.setattr(onnx, "load_external_data_for_model", lambda *args: opened.append("outside"))
    line = refused("--model", "onnx:models/net.onnx")
    assert "keeps tensor 'w' in" in line
    assert not opened


@pytest.mark.skipif(os.name != "posix", reason="links of POSIX")
def test_a_link_that_stays_inside_is_fine_and_a_loop_is_not(refused: Any) -> None:
    onnx = pytest.importorskip("onnx")
    Path("loop").symlink_to("loop")
    tensor = onnx.TensorProto(name="w", data_type=1, dims=[4, 5], data_location=onnx.TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="loop")
    path = graph(
        [onnx.helper.make_node("MatMul", ["x", "w"], ["y"])],
        {"w": np.zeros((4, 5), "f4")},
        ["n", 1, 2, 4],
        Path("n.onnx"),
    )
    model = onnx.load(str(path))
    model.graph.initializer[0].CopyFrom(tensor)
    path.write_bytes(model.SerializeToString())
    assert "'loop'" in refused("--model", "onnx:n.onnx")


def directory() -> Path:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, image_size=8, patch_size=4
    )
    transformers.ViTForImageClassification(config).save_pretrained("net")
    return Path("net")


def test_a_directory_with_code(refused: Any) -> None:
    config = directory() / "config.json"
    (config.parent / "evil.py").write_text(f"open({MARKER!r}, 'w')\nclass Net: pass\n")
    config.write_text(json.dumps(json.loads(config.read_text()) | {"auto_map": {"AutoModel": "evil.Net"}}))
    assert "wants code of its own" in refused("--model", "hf:net")
    assert "wants code of its own" in refused("--model", "hf:net", "--trust-pickle")


@pytest.mark.parametrize("pieces", [False, True])
def test_a_directory_with_a_payload(refused: Any, pieces: bool) -> None:
    folder = directory()
    (folder / "model.safetensors").unlink()
    torch.save({"x": Payload()}, folder / ("piece.bin" if pieces else "pytorch_model.bin"))
    if pieces:
        (folder / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": {"x": "piece.bin"}}))
    assert "would run code" in refused("--model", "hf:net")


@pytest.mark.parametrize("name", ["pytorch_model.bin", "model.safetensors"])
def test_a_directory_whose_pieces_are_elsewhere(refused: Any, name: str) -> None:
    folder = directory()
    (folder / "model.safetensors").unlink()
    (folder / f"{name}.index.json").write_text(json.dumps({"weight_map": {"x": "../secret.bin"}}))
    assert "no file of its own directory" in refused("--model", "hf:net")


def test_an_exported_program(refused: Any) -> None:
    torch.save({"x": Payload()}, "net.pt2")
    line = refused("--model", "pt2:net.pt2")
    assert "unpickles" in line
    assert "--trust-pickle" in line
