"""Exported programs: never opened without being told to; then the maps of the network that was exported."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import seewhy
from exports import small
from seewhy.errors import CapabilityError, ModelError, UnsafeModel, UsageError


@pytest.fixture(scope="module", params=["any", "one", "three"])
def file(request: Any, tmp_path_factory: Any) -> Path:
    """The same network exported for any number of images, for one and for three at once."""
    path = tmp_path_factory.mktemp("pt2") / f"{request.param}.pt2"
    count = {"any": 2, "one": 1, "three": 3}[request.param]
    shapes = ({0: torch.export.Dim.DYNAMIC},) if request.param == "any" else None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.export.export(small(), (torch.rand(count, 3, 32, 32),), dynamic_shapes=shapes)
        torch.export.save(program, path)
    return path


@pytest.mark.parametrize(
    "method", ["saliency", "guided-backprop", "integrated-gradients", "lrp", "deep-lift", "rise", "full-grad"]
)
def test_the_maps_are_those_of_the_network(file: Path, method: str) -> None:
    model = seewhy.load(f"pt2:{file}", trust_pickle=True)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    options = {"n": 8} if method == "rise" else {}
    same = seewhy.wrap(small(), preprocess=model.preprocess)
    ours, theirs = (seewhy.explain_all(each, x, method=method, target=1, **options) for each in (model, same))
    for a, b in zip(ours, theirs, strict=True):
        assert np.allclose(a.values, b.values, atol=1e-5 * np.abs(b.values).max())
    assert ours.cost.forwards == theirs.cost.forwards


def test_layers_are_those_of_the_network(file: Path) -> None:
    model = seewhy.load(f"pt2:{file}", trust_pickle=True)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    ours, theirs = (
        seewhy.explain_all(model_, rows, method="grad-cam", target=1, layer="5")
        for model_, rows in ((model, x), (small(), x))
    )
    for a, b in zip(ours, theirs, strict=True):
        assert np.allclose(a.values, b.values, atol=1e-5 * np.abs(b.values).max())


def test_what_it_says_about_itself(file: Path) -> None:
    model = seewhy.load(f"pt2:{file}", trust_pickle=True)
    assert model.preprocess.size == (32, 32)
    assert "this exported program does not say" in model.assumed
    assert not any(part.training for part in model.module.modules())


def test_it_is_not_even_opened_without_trust(file: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(torch.export, "load", lambda *args, **kwargs: pytest.fail("it was opened"))
    with pytest.raises(UnsafeModel, match=r"unpickles .*--trust-pickle") as caught:
        seewhy.load(f"pt2:{file}")
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 3


def test_files_that_are_no_programs(tmp_path: Path) -> None:
    (tmp_path / "net.pt2").write_bytes(b"nothing")
    for name, words in (("net.pt2", "damaged or no torch.export program"), ("nett.pt2", "nearest: ")):
        with pytest.raises(ModelError, match=words):
            seewhy.load(f"pt2:{tmp_path / name}", trust_pickle=True)
    with pytest.raises(UsageError, match="weights inside"):
        seewhy.load(f"pt2:{tmp_path / 'net.pt2'}", weights="random")


def _slope(net: torch.nn.Module, x: torch.Tensor) -> np.ndarray:
    leaf = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(net(leaf)[:, 1].sum(), leaf)
    return found.numpy()


@pytest.mark.parametrize("how", ["program", "module"])
def test_exported_programs_in_hand(how: str) -> None:
    """One that was exported for a single image takes several, and is left as it was."""
    net, x = small(softmax=False), torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    program = torch.export.export(net, (x[:1],))
    given = program if how == "program" else program.module()
    before = program.module() if how == "program" else given
    code = before.code
    for row, each in enumerate(seewhy.explain_all(given, x, method="saliency", target=1, reduce="none")):
        np.testing.assert_allclose(each.values, _slope(net, x)[row], atol=1e-6)
    whole = seewhy.explain(given, x[:1], method="integrated-gradients", target=1, baseline=0.0)
    with torch.no_grad():
        rise = float((net(x[:1]) - net(0 * x[:1]))[0, 1])
    assert whole.values.sum() == pytest.approx(rise, abs=0.011 * abs(rise))
    assert seewhy.explain_all(given, x, method="occlusion", target=1)[1].status.ok
    assert (program.module() if how == "program" else given).code == code
    if how == "module":
        with pytest.raises(AssertionError, match="Guard failed"):
            given(x)


def test_a_softmax_is_seen_behind_for_every_number_of_images() -> None:
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    given = torch.export.export(small(), (x[:1],)).module()
    found = seewhy.explain_all(given, x, method="saliency", target=1, reduce="none")
    for row, each in enumerate(found):
        np.testing.assert_allclose(each.values, _slope(small()[:-1], x)[row], atol=1e-6)


class _Built(torch.nn.Module):
    """A network whose graph holds a row for each of the images that it was exported with."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores [B, 3], each row with something of its own."""
        return x.mean((2, 3)) + torch.arange(3.0 * x.shape[0]).reshape(-1, 3)


def test_a_module_built_around_its_batch_says_so() -> None:
    given = torch.export.export(_Built(), (torch.rand(2, 3, 8, 8),)).module()
    assert len(seewhy.explain_all(given, torch.rand(2, 3, 8, 8), method="saliency", target=1)) == 2
    with pytest.raises(CapabilityError, match=r"was exported for 2 image\(s\) at once and cannot take [13]"):
        seewhy.explain_all(given, torch.rand(3, 3, 8, 8), method="saliency", target=1)
