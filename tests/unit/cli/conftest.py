"""A folder with photos and a module of tiny networks, and the command line called in this process."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seewhy.cli.app import run

#: the module that ``python:`` specs name; the networks answer in milliseconds
NETWORKS = """
import time

import seewhy
import torch
from torch import nn

LABELS = ["tench", "tabby, tabby cat", "gold [bold]fish[/bold]", "espresso", "hen"]
LOOK = seewhy.Preprocess(size=(16, 20), resize=None, mode="squash", mean=(0.5,) * 3, std=(0.25,) * 3)


def net():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3), nn.ReLU(),
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
        ).eval()


def ready(module, labels=LABELS):
    return seewhy.wrap(module, preprocess=LOOK, labels=labels)


def labelled():
    return ready(net())


def nameless():
    return ready(net(), None)


def single():
    return ready(nn.Sequential(net(), nn.Linear(5, 1)).eval(), None)


def tokens():
    from torchvision.models import VisionTransformer

    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        module = VisionTransformer(16, 4, num_layers=2, num_heads=3, hidden_dim=12, mlp_dim=16, num_classes=5).eval()
        for parameter in module.parameters():
            nn.init.normal_(parameter, std=0.3)
    return seewhy.wrap(module, preprocess=seewhy.Preprocess(size=(16, 16), resize=None, mode="squash"), labels=LABELS)


def maps():
    return ready(nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3)).eval(), None)


def broken():
    module = net()
    with torch.no_grad():
        module[3].weight[0, 0, 0, 0] = float("nan")
    return ready(module)


def constant():
    module = net()
    nn.init.zeros_(module[-1].weight)
    return ready(module)


def against():
    module = net()
    with torch.no_grad():
        module[-1].weight.copy_(-module[-1].weight.abs() - 0.1)
    return ready(module)


class Refusing(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = net()

    def forward(self, x):
        raise RuntimeError("no such\\nsize")


def refusing():
    return ready(Refusing())


class Slow(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = net()

    def forward(self, x):
        time.sleep(0.05)
        return self.body(x)


def blind():
    network = net()
    return ready(lambda x: network(x))


def slow():
    return ready(Slow())


class Warning(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = net()

    def forward(self, x):
        import warnings

        warnings.warn("weights look\\nodd", stacklevel=1)
        return self.body(x)


def warning():
    return ready(Warning())


number = 3
"""
MODULE = "seewhy_cli_networks"
#: the commands that take a model
TAKING = (
    "explain", "compare", "layers", "labels", "features", "filters", "factors", "components", "attention", "maximise",
    "attack", "segment", "evaluate", "recommend", "evaluate-model", "boundary", "bench",
)  # fmt: skip


@dataclass
class Said:
    """What one command gave."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """stdout as JSON, which must be strict."""

        def refuse(word: str) -> None:
            raise AssertionError(f"{word} is not JSON")

        return json.loads(self.out, parse_constant=refuse)

    @property
    def complaint(self) -> str:
        """The only line on stderr."""
        lines = self.err.splitlines()
        assert len(lines) == 1, self.err
        assert lines[0].startswith("seewhy: ")
        return lines[0].removeprefix("seewhy: ")


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with ``a.png`` and the networks in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / f"{MODULE}.py").write_text(NETWORKS)
    Image.fromarray(pixels()).save("a.png")
    return tmp_path


@pytest.fixture
def say(work: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run a command line; ``explain`` and its like get a tiny model unless one is named."""

    def run_it(*words: str | Path, model: str | None = "labelled") -> Said:
        argv = [str(word) for word in words]
        if model is not None and argv[0] in TAKING:
            argv += ["--model", f"python:{MODULE}:{model}"]
        capsys.readouterr()
        code = run(argv)
        said = capsys.readouterr()
        assert "Traceback" not in said.err + said.out
        return Said(code, said.out, said.err)

    return run_it


def pixels(seed: int = 0, size: tuple[int, int] = (16, 20)) -> np.ndarray:
    """A photo: smooth and coloured, so that no two of its corners are alike."""
    high, wide = size
    y, x = np.mgrid[0:high, 0:wide]
    planes = [255 * x / wide, 255 * y / high, 128 + 100 * np.sin((x + 2 * y + seed) / 3)]
    return np.stack(planes, axis=2).astype(np.uint8)
