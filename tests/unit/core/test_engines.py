"""Scores through another engine than torch: the same numbers, of the weights as they are now, and never by an ONNX graph
that is not what was asked. Right values are the model's own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

import seewhy
from seewhy.core import kept_files
from seewhy.core.compile import fastest, measuring, onnx_part, programs
from seewhy.core.compile.building import Build, Steps
from seewhy.core.compile.choices import choices_of, take_over
from seewhy.core.compile.export import export
from seewhy.core.memory_budget import Meter
from seewhy.errors import CapabilityError, UsageError

pytest.importorskip("onnxruntime")
pytest.importorskip("onnxscript")

ONNX = Steps(True, True, True, engine=onnx_part.NAME)
BUDGETS: dict[str, dict[str, Any]] = {
    "occlusion": {"window": 6, "stride": 6}, "rise": {"n": 64, "seed": 0}, "score-cam": {}, "grad-cam": {},
    "ablation-cam": {}, "integrated-gradients": {"steps": 4, "rule": "gauss-legendre"}, "saliency": {},
}  # fmt: skip


@pytest.fixture(autouse=True, scope="module")
def kept_here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Graphs are written once for all tests, and kept in a folder of their own."""
    before = {name: os.environ.get(name) for name in ("SEEWHY_CACHE", "SEEWHY_ENGINES")}
    folder = tmp_path_factory.mktemp("kept")
    os.environ.update(SEEWHY_CACHE=str(folder), SEEWHY_ENGINES="torch,onnxruntime")
    yield folder
    for name, value in before.items():
        os.environ.pop(name, None) if value is None else os.environ.update({name: value})


class Residual(nn.Module):
    """Depthwise convolutions, a sum, functions that are no rectifiers, two ends."""

    def __init__(self, ends: int = 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.SiLU())
        self.depth = nn.Sequential(nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.BatchNorm2d(8), nn.Hardtanh(0, 6))
        self.point = nn.Sequential(nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8))
        self.last = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU())
        self.heads = nn.ModuleList(nn.Linear(16, 5) for _ in range(ends))

    def forward(self, x: Tensor) -> Any:
        x = self.stem(x)
        x = self.last(x + self.point(self.depth(x))).mean((2, 3))
        ends = tuple(head(x) for head in self.heads)
        return ends if len(ends) > 1 else ends[0]


def _net(**given: Any) -> Any:
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        net = Residual(**given).eval()
        for part in net.modules():
            if isinstance(part, nn.BatchNorm2d):
                part.running_mean.normal_()  # type: ignore[union-attr,operator]
                part.running_var.uniform_(0.5, 2)  # type: ignore[union-attr,operator]
        return net


def _x(batch: int = 2, size: int = 24) -> Tensor:
    return torch.randn(batch, 3, size, size, generator=torch.Generator().manual_seed(7))


def _close(found: Any, exact: Any) -> bool:
    return all(
        np.allclose(a.values, b.values, rtol=1e-4, atol=1e-5 * float(np.abs(b.values).max()))
        for a, b in zip(found, exact, strict=True)
    )


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("method", BUDGETS)
def test_maps_are_those_of_the_model(method: str, batch: int) -> None:
    net, x = _net(), _x(batch)
    given = {"target": 1, **BUDGETS[method]}
    for _ in range(2):  # the first looks for its layer on the model itself
        found = seewhy.explain_all(net, x, method, prepare=True, **given)
    record = found[0].provenance["prepared"]
    assert record["used"]
    kept = {name.partition(",")[0]: each["kept"] for name, each in record.items() if "kept" in str(each)}
    assert kept.pop("gradients", "tiles") == "tiles"  # which no other engine gives
    assert kept == ({} if method == "saliency" else {"scores": onnx_part.NAME})
    assert _close(found, seewhy.explain_all(net, x, method, prepare=False, **given))


@pytest.mark.parametrize("layer", ["stem.0", "depth", "last.0", "last"])
def test_layers_that_are_looked_at_are_further_outputs(layer: str) -> None:
    net, x = _net(), _x()
    program, _ = Build(export(net, x)).program([layer], "none", ONNX)
    seen: dict[str, Tensor] = {}
    for name, root in (("program", program), ("model", net)):
        part = root.get_submodule(layer)
        handle = part.register_forward_hook(lambda m, i, o, name=name: seen.update({name: o.detach()}))
        root(x)
        handle.remove()
    assert torch.allclose(seen["program"], seen["model"], rtol=1e-4, atol=1e-5)
    found = seewhy.explain_all(net, x, "layer-cam", 1, layer=layer, prepare=True)
    assert _close(found, seewhy.explain_all(net, x, "layer-cam", 1, layer=layer, prepare=False))


def test_transformers_and_networks_of_two_ends() -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        former = torchvision.models.VisionTransformer(24, 8, 2, 2, 16, 32, num_classes=5).eval()
        torch.nn.init.normal_(former.heads[0].weight)
    for net in (former, _net(ends=2)):
        x = _x()
        program, _ = Build(export(net, x)).program([], "none", ONNX)
        with torch.no_grad():
            for mine, theirs in zip(*(y if isinstance(y, tuple) else (y,) for y in (program(x), net(x))), strict=True):
                assert torch.allclose(mine, theirs, rtol=1e-4, atol=1e-5)


def test_weights_that_change_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    # not even torch's own steps, which would have a changed copy of every weight
    monkeypatch.setattr(fastest, "best_steps", lambda *a, **k: (Steps(engine=onnx_part.NAME), {}))
    net, x = _net(), _x()
    asked: dict[str, Any] = {"method": "score-cam", "target": 1}
    seewhy.explain_all(net, x, prepare=True, **asked)
    for change in (
        lambda: net.last[0].weight.data.mul_(-1),
        lambda: net.point[1].running_mean.data.add_(1),
        lambda: net.stem[0].weight.data[0].zero_(),
    ):
        change()
        found = seewhy.explain_all(net, x, prepare=True, **asked)
        assert found[0].provenance["prepared"]["used"]
        assert _close(found, seewhy.explain_all(net, x, prepare=False, **asked))


def test_a_graph_is_written_once_and_kept(kept_here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = _net(), _x()
    with torch.no_grad():
        exact = net(x)
    Build(export(net, x)).program([], "none", ONNX)

    def never(*args: object) -> None:
        raise AssertionError("written again")

    monkeypatch.setattr(onnx_part, "to_onnx", never)
    with torch.no_grad():  # the same graph, of other weights
        net.last[0].weight.mul_(2)
        program, _ = Build(export(net, x)).program([], "none", ONNX)
        assert torch.allclose(program(x), net(x), rtol=1e-4, atol=1e-5)
        assert not torch.allclose(program(x), exact, rtol=1e-2)
    # as one process after another, two shapes of input are two graphs
    with pytest.raises(CapabilityError, match="cannot be written as an ONNX graph"):
        Build(export(net, _x(2, 40))).program([], "none", ONNX)


@pytest.mark.parametrize("what", ["other bytes", "others may write to the file", "others may write to the folder"])
def test_what_others_may_have_written_is_not_read(what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEWHY_CACHE", str(tmp_path))
    net, x = _net(), _x()
    Build(export(net, x)).program([], "none", ONNX)
    (file,) = (tmp_path / "onnx-graphs").iterdir()
    written = file.read_bytes()
    assert file.stat().st_mode & 0o077 == 0
    assert len(written) < 100_000  # weights are not in it
    if what == "other bytes":
        file.write_bytes(b"nothing of ours")
    else:
        (file if "file" in what else file.parent).chmod(0o777)
    asked = list[object]()
    write = onnx_part.to_onnx
    monkeypatch.setattr(onnx_part, "to_onnx", lambda *given: asked.append(given) or write(*given))
    program, _ = Build(export(net, x)).program([], "none", ONNX)
    assert len(asked) == 1
    with torch.no_grad():
        assert torch.allclose(program(x), net(x), rtol=1e-4, atol=1e-5)


def test_files_that_are_kept_are_whole_or_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SEEWHY_CACHE", str(tmp_path))
    assert kept_files.read("room", "key", 10) is None
    assert kept_files.write("room", "key", b"0123456789")
    assert kept_files.read("room", "key", 10) == b"0123456789"
    assert kept_files.read("room", "key", 9) is None
    assert kept_files.read("room", "other", 10) is None
    (file,) = (tmp_path / "room").iterdir()
    other = tmp_path / "elsewhere"
    other.write_bytes(b"elsewhere")
    file.unlink()
    file.symlink_to(other)
    assert kept_files.read("room", "key", 10) is None
    (tmp_path / "room" / "file").write_text("")
    assert not kept_files.write("room/file", "key", b"")


def test_threads_and_processes_have_sessions_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x, before = _net(), _x(), torch.get_num_threads()
    program, _ = Build(export(net, x)).program([], "none", ONNX)
    opened = list[int]()
    way = onnx_part.Sessions._open
    monkeypatch.setattr(onnx_part.Sessions, "_open", lambda self, n: opened.append(n) or way(self, n))
    try:
        with torch.no_grad():
            exact = net(x)
            for threads in (before, before + 1, before + 1):
                torch.set_num_threads(threads)
                assert torch.allclose(program(x), exact, rtol=1e-4, atol=1e-5)
            assert opened == [before + 1]
            monkeypatch.setattr(os, "getpid", lambda: -1)  # as in a fork, whose threads are gone
            program(x)
            assert opened == [before + 1] * 2
    finally:
        torch.set_num_threads(before)


def test_what_cannot_be_written_is_torchs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SEEWHY_CACHE", str(tmp_path))

    def never(*args: object) -> None:
        raise RuntimeError("no such operation")

    monkeypatch.setattr(onnx_part, "to_onnx", never)
    net, x = _net(), _x()
    found = seewhy.explain_all(net, x, "score-cam", 1, prepare=True)
    record = found[0].provenance["prepared"]
    assert record["used"]
    assert "no such operation" in record["scores"]["onnxruntime"]
    assert record["scores"]["kept"] == "tiles"
    assert _close(found, seewhy.explain_all(net, x, "score-cam", 1, prepare=False))


def test_an_engine_that_is_slower_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    def times(old: Any, new: Any, x: Tensor, gradients: bool) -> tuple[float, float]:
        slow = isinstance(getattr(new, "_before", None), onnx_part.OnnxPart)
        return 1.0, 1.01 if slow else 0.5

    monkeypatch.setattr(measuring, "_times", times)
    steps, words = measuring.best_steps(Build(export(_net(), _x())), _net(), _x(), gradients=False, engines=True)
    assert steps == Steps(True, True, True, True)
    assert words["onnxruntime"].endswith("no gain")


def test_engines_are_tried_when_passes_take_long_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "PRICE", 0.0)
    monkeypatch.setattr(programs, "PASSES", 0)
    net, x = _net(), _x()
    model = seewhy.wrap(net)
    asked: dict[str, Any] = {"method": "score-cam", "target": 1, "prepare": "auto"}
    for _ in range(2):
        found = seewhy.explain_all(model, x, **asked)
    assert found[0].provenance["prepared"]["scores"]["kept"] == "tiles"
    shape = programs.prepared_shape(model.network(), x[0])
    assert shape is not None
    assert 0 < shape.seconds < programs._ENGINES
    shape.seconds = programs._ENGINES
    found = seewhy.explain_all(model, x, **asked)
    assert found[0].provenance["prepared"]["scores"]["kept"] == onnx_part.NAME
    assert _close(found, seewhy.explain_all(model, x, "score-cam", 1, prepare=False))


def test_a_run_that_was_begun_with_an_engine_does_not_go_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = _net(), _x()
    model = seewhy.wrap(net)
    seewhy.explain_all(model, x, "score-cam", 1, prepare=True)
    choices = choices_of(model.network(), x[0])
    assert onnx_part.NAME in choices["steps"]["scores"]
    monkeypatch.setenv("SEEWHY_ENGINES", "torch")
    with pytest.raises(UsageError, match=r"begun with onnxruntime.*seewhy\[fast\]"):
        take_over(seewhy.wrap(_net()).network(), x[0], choices)


def test_what_an_engine_makes_is_counted() -> None:
    net, x = _net(), _x(4)
    build = Build(export(net, x))
    counted = []
    for steps in (Steps(True), ONNX):
        program, _ = build.program([], "none", steps)
        with torch.no_grad(), Meter() as meter:
            program(x)
        counted.append(meter.largest)
    assert counted[1] == pytest.approx(counted[0], rel=0.5)


def test_functions_that_have_to_be_seen_are_torchs() -> None:
    """Guided backpropagation at a layer changes what happens at every rectifier before it."""
    net, x = _net(), _x()
    given: dict[str, Any] = {"method": "guided-grad-cam", "target": 1}
    found = seewhy.explain_all(net, x, prepare=True, **given)
    assert _close(found, seewhy.explain_all(net, x, prepare=False, **given))
