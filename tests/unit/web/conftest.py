"""A small network, photos and a workbench of them, for all tests of the workbench."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import seewhy
from pages import EVIL
from seewhy.models import Model, Preprocess
from seewhy.web.workbench import Workbench
from serving import Client, served

SIZE = 24


def network() -> nn.Module:
    """A small convolutional network of five classes."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 8, 3, padding=1, stride=2), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    ).eval()  # fmt: skip


def small() -> Model:
    """The network, with a crop, and names that mean to be more than text."""
    labels = [EVIL[0], "tiger cat", "tabby cat", EVIL[3], "dog"]
    return seewhy.wrap(network(), preprocess=Preprocess(size=(SIZE, SIZE), resize=SIZE + 8), labels=labels)


def picture(seed: int = 0, size: tuple[int, int] = (40, 60)) -> Image.Image:
    """Soft noise."""
    draw = np.random.default_rng(seed)
    coarse = Image.fromarray(draw.integers(0, 255, (6, 8, 3), dtype=np.uint8))
    return coarse.resize((size[1], size[0]), Image.Resampling.BICUBIC)


def png(seed: int = 0, size: tuple[int, int] = (40, 60)) -> bytes:
    """A photo as a file."""
    file = io.BytesIO()
    picture(seed, size).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="session")
def folder(tmp_path_factory: Any) -> Path:
    """Photos, one of them in a folder, with a name that is no markup."""
    place: Path = tmp_path_factory.mktemp("photos")
    for n, name in enumerate(["a.png", "b.png", "deep/c.png", "x ' onerror=alert(1) .png"]):
        (place / name).parent.mkdir(exist_ok=True)
        picture(n + 10).save(place / name)
    return place


@pytest.fixture(scope="module")
def bench(folder: Path) -> Workbench:
    """A workbench of the small network."""
    return Workbench(small(), str(folder))


@pytest.fixture(scope="module")
def client(bench: Workbench) -> Iterator[Client]:
    """Asks it."""
    with served(bench) as found:
        yield found


@pytest.fixture
def photo(client: Client) -> str:
    """A photo that was sent."""
    number: str = client.send(png()).json["id"]
    return number
