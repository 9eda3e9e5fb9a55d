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
from seewhy.errors import ModelError, UnsafeModel, UsageError


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
    ours, theirs = (seewhy.explain(each, x, method=method, target=1, **options) for each in (model, same))
    for a, b in zip(ours, theirs, strict=True):
        assert np.allclose(a.values, b.values, atol=1e-5 * np.abs(b.values).max())
    assert ours.cost.forwards == theirs.cost.forwards


def test_layers_are_those_of_the_network(file: Path) -> None:
    model = seewhy.load(f"pt2:{file}", trust_pickle=True)
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(4))
    ours, theirs = (
        seewhy.explain(model_, rows, method="grad-cam", target=1, layer="5")
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
