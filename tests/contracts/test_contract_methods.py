"""Every method is one file with one name, and a file dropped in appears everywhere by itself."""

from __future__ import annotations

import importlib
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from tools.write_docs import METRICS, PAGE, measures, page
from torch import nn

import seewhy
from seewhy.cli.app import run
from seewhy.errors import UnknownName, UsageError
from seewhy.methods._guide import GUIDE
from seewhy.registry import FAMILIES, REDUCTIONS, Card, method
from seewhy.registry import methods as registry

# `seewhy.methods` is also a function: the module is in sys.modules
ROOM: Any = importlib.import_module("seewhy.methods")
OWN = sorted(Path(ROOM.__file__).parent.glob("[!_]*.py"))

CAM = '''
"""Negated Grad-CAM: takes an activation and its gradient, gives their product summed and negated."""

from __future__ import annotations

from torch import Tensor

from seewhy.registry import Card, method


@method(
    Card(
        name="minus-cam",
        family="cam",
        paper="nobody 2020",
        formula="-sum_c g_c A_c",
        cost="1 forward, 1 backward",
        use="a trial of [bold]one file[/bold]",
    )
)
def minus_cam(activation: Tensor, gradient: Tensor, *, times: float = 1.0) -> Tensor:
    """Minus activation times gradient."""
    return -times * (gradient * activation).sum(1)
'''
GRADIENT = '''
"""Squared gradient: takes an input and its gradient, gives the gradient's square."""

from __future__ import annotations

from torch import Tensor

from seewhy.registry import Card, method


@method(
    Card(
        name="squared-gradient",
        family="gradient",
        paper="nobody 2021",
        formula="(dS/dx)^2",
        cost="1 forward, 1 backward",
        reduce="sum",
        use="a trial of one file",
    )
)
def squared_gradient(gradient: Tensor) -> Tensor:
    """The gradient's square."""
    return gradient.square()
'''


@pytest.fixture
def dropped_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    names = {"minus_cam": CAM, "squared_gradient": GRADIENT}
    for name, text in names.items():
        (tmp_path / f"{name}.py").write_text(text)
    monkeypatch.chdir(tmp_path)
    ROOM.__path__.append(str(tmp_path))
    try:
        ROOM._discover()
        yield
    finally:
        ROOM.__path__.remove(str(tmp_path))
        for name in names:
            sys.modules.pop(f"seewhy.methods.{name}", None)
            vars(ROOM).pop(name, None)
            if name.replace("_", "-") in registry:
                registry.remove(name.replace("_", "-"))


def _net() -> nn.Sequential:
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        return nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
        ).eval()


def _x() -> torch.Tensor:
    return torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(4))


@pytest.mark.usefixtures("dropped_in")
def test_a_file_each_is_all_that_a_method_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert {"minus-cam", "squared-gradient"} <= registry.keys()
    assert registry["minus-cam"].parameters == {"times": 1.0}
    cards = {card.name: card for card in seewhy.methods()}
    assert cards["minus-cam"].at == "layer"
    assert cards["squared-gradient"].at == "any"
    assert "minus-cam" in {card.name for card in seewhy.methods("cam")} - {
        card.name for card in seewhy.methods("gradient")
    }

    assert run(["methods"]) == 0
    table = capsys.readouterr().out
    assert "minus-cam" in table
    assert "squared-gradient" in table
    assert "a trial of [bold]one file[/bold]" in table
    assert run(["methods", "--json"]) == 0
    listed = {card["name"]: card for card in json.loads(capsys.readouterr().out)["methods"]}
    assert listed["minus-cam"]["formula"] == "-sum_c g_c A_c"
    assert listed["minus-cam"]["parameters"] == {"times": 1.0}
    assert listed["squared-gradient"]["family"] == "gradient"
    assert run(["methods", "minus-cam"]) == 0
    assert "nobody 2020" in capsys.readouterr().out


@pytest.mark.usefixtures("dropped_in")
def test_their_values_are_the_formula_by_hand() -> None:
    net, x = _net(), _x().requires_grad_()
    activation = net[1](net[0](x))
    score = net[4](net[3](net[2](activation)))[0, 2]
    at_layer, at_input = torch.autograd.grad(score, (activation, x))
    cam = seewhy.explain(net, x.detach(), method="minus-cam", target=2, layer="1", times=2.0)
    np.testing.assert_allclose(cam.values, -2 * (at_layer * activation).sum(1)[0].detach().numpy(), rtol=1e-5)
    squared = seewhy.explain(net, x.detach(), method="squared-gradient", target=2)
    np.testing.assert_allclose(squared.values, at_input.square().sum(1)[0].numpy(), rtol=1e-5)
    both = seewhy.explain_all(net, x.detach(), method=["minus-cam", "squared-gradient", "grad-cam"], target=2)
    assert (both.cost.forwards, both.cost.backwards) == (1, 1)


@pytest.mark.usefixtures("dropped_in")
def test_the_command_line_explains_with_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    rows = np.arange(8 * 8 * 3).reshape(8, 8, 3).astype(np.uint8)
    Image.fromarray(rows).save("a.png")
    Path("seewhy_dropped_in_network.py").write_text(
        "import seewhy, torch\n"
        "look = seewhy.Preprocess(size=(8, 8), resize=None, mode='squash', mean=(0.5,) * 3, std=(0.5,) * 3)\n"
        "def net():\n"
        "    torch.manual_seed(0)\n"
        "    body = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1))\n"
        "    return seewhy.wrap(torch.nn.Sequential(*body, torch.nn.Flatten(), torch.nn.Linear(4, 3)), preprocess=look)\n"
    )
    words = ["--method", "minus-cam", "--set", "times=3", "--method", "squared-gradient", "--json"]
    before = list(sys.path)
    try:
        with torch.random.fork_rng([]):
            assert run(["explain", "a.png", "--model", "python:seewhy_dropped_in_network:net", *words]) == 0
    finally:
        sys.path[:] = before
        sys.modules.pop("seewhy_dropped_in_network", None)
    cam, squared = json.loads(capsys.readouterr().out)["images"][0]["explanations"]
    assert cam["parameters"] == {"times": 3.0}
    assert squared["map"]["min"] >= 0
    assert all(Path(each["files"][0]).is_file() for each in (cam, squared))


def test_what_was_dropped_in_leaves_nothing_behind() -> None:
    assert {path.stem.replace("_", "-") for path in OWN} == registry.keys()


@pytest.mark.parametrize("path", OWN, ids=lambda path: path.stem)
def test_file_name_registry_key_and_function_are_one(path: Path) -> None:
    module: ModuleType = importlib.import_module(f"seewhy.methods.{path.stem}")
    entry = registry[path.stem.replace("_", "-")]
    assert entry.formula is getattr(module, path.stem)
    assert entry.formula.__name__ == path.stem
    assert entry.formula.__module__ == module.__name__
    assert module.__all__ == [path.stem]
    assert entry.card.name == entry.name


@pytest.mark.parametrize("name", sorted(registry.keys()))
def test_cards_are_complete(name: str) -> None:
    entry = registry[name]
    card = entry.card
    for text in (card.paper, card.formula, card.cost, card.use, entry.summary):
        assert text.strip()
        assert text == " ".join(text.split()), "one line"
    assert card.family in FAMILIES
    assert card.at in ("input", "layer", "any")
    assert card.reduce in (None, *REDUCTIONS)
    assert card.needs
    assert "forward" in card.cost or "pass" in card.cost
    assert re.search(r"\b(19|20)\d\d\b", card.paper), "which paper, of which year"
    json.dumps(dict(entry.parameters))


def test_a_name_used_twice_is_refused() -> None:
    before = registry["saliency"]
    with pytest.raises(UsageError, match="'saliency' is registered twice"):

        @method(Card(name="saliency", family="gradient", paper="p", formula="f", cost="c"))
        def saliency(gradient: torch.Tensor) -> torch.Tensor:
            return gradient

    assert registry["saliency"] is before


def test_an_argument_that_nobody_fills_is_refused() -> None:
    with pytest.raises(UsageError, match="nothing fills argument 'photo'"):

        @method(Card(name="photo-cam", family="cam", paper="p", formula="f", cost="c"))
        def photo_cam(photo: torch.Tensor) -> torch.Tensor:
            return photo

    assert "photo-cam" not in registry


def test_an_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"no method 'smoothgrad'; nearest: 'smooth-grad'. List them: seewhy methods"):
        registry["smoothgrad"]
    with pytest.raises(UnknownName, match="nearest: 'layer-cam'"):
        seewhy.explain(_net(), _x(), method="layercam")


def test_the_page_of_methods_is_what_the_cards_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it: python tools/write_docs.py"
    assert METRICS.read_text(encoding="utf-8") == measures(), "write it: python tools/write_docs.py"


def test_the_guide_names_methods_that_exist() -> None:
    named = {name for advice in GUIDE for name in advice.methods}
    assert named <= registry.keys()
    assert len({advice.question for advice in GUIDE}) == len(GUIDE)
