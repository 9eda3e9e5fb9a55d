"""Convolutions by tiles: the same numbers as a convolution in float64, for every size, and only where they are faster."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from seewhy.core.compile import winograd
from seewhy.core.compile.building import Build, Steps
from seewhy.core.compile.export import export
from seewhy.core.compile.measuring import best_steps
from seewhy.core.compile.onednn import FUSED
from seewhy.core.compile.winograd import by_tiles, decided, pays, tile_bias, tile_weight
from seewhy.core.memory_budget import Meter

pytestmark = pytest.mark.skipif(FUSED is None, reason="this torch has no oneDNN")


@pytest.mark.parametrize("rows", [1, 3, 4, 5, 8, 13])
@pytest.mark.parametrize("columns", [2, 4, 9])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_tiles_of_every_size(rows: int, columns: int, padding: int) -> None:
    make = torch.Generator().manual_seed(rows)
    x = torch.randn(3, 6, rows + 2 - 2 * padding + 2, columns + 2 - 2 * padding + 2, generator=make)
    weight, bias = torch.randn(5, 6, 3, 3, generator=make), torch.randn(5, generator=make)
    want = torch.conv2d(x.double(), weight.double(), bias.double(), padding=padding)
    before = x.clone()
    found = by_tiles(
        x, None, tile_weight(weight, (want.shape[2], want.shape[3])), tile_bias(bias), (padding, padding), "none", []
    )
    assert found.shape == want.shape
    assert (found - want).norm() <= 1e-5 * want.norm()
    assert torch.equal(x, before)


@pytest.mark.parametrize("tiles", [1, 2, 6, 20, 60, 1000])
@pytest.mark.parametrize("padding", [0, 1, 2])
def test_pictures_go_through_in_pieces_and_bands(monkeypatch: pytest.MonkeyPatch, tiles: int, padding: int) -> None:
    monkeypatch.setattr(winograd, "_TOGETHER", tiles * 4 * 36 * 8)
    calls: list[tuple[int, ...]] = []
    inner = winograd._products
    monkeypatch.setattr(winograd, "_products", lambda x, *rest: calls.append(tuple(x.shape)) or inner(x, *rest))
    x, weight = torch.randn(5, 4, 19 - 2 * padding, 10 - 2 * padding), torch.randn(8, 4, 3, 3)
    added = torch.randn(5, 8, 17, 8)
    found = by_tiles(x, added, tile_weight(weight, (17, 8)), None, (padding, padding), "relu", [])
    assert torch.allclose(found, (torch.conv2d(x, weight, padding=padding) + added).relu(), atol=1e-4)
    # 5 x 2 tiles a picture: bands of 1, 3 and 5 rows, pieces of 1, 2 and 5 pictures
    together = {1: (1, 1, 25), 2: (1, 1, 25), 6: (1, 3, 10), 20: (2, 5, 3), 60: (5, 5, 1), 1000: (5, 5, 1)}[tiles]
    assert (calls[0][0], calls[0][1] // 4, len(calls)) == together


@pytest.fixture
def ticks(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """A clock that a test sets: how long each of the two ways takes, in turn."""
    lasts, now = [1.0, 1.0], iter(range(10**6))
    passed = [0.0]

    def clock() -> float:
        n = next(now)
        if n % 2:
            passed[0] += lasts[n // 2 % 2]
        return passed[0]

    monkeypatch.setattr(winograd.time, "perf_counter", clock)
    decided.clear()
    yield lasts
    decided.clear()


@pytest.mark.parametrize(("tiles", "better"), [(0.5, True), (0.99, False), (5.0, False)])
def test_tiles_are_taken_where_they_are_faster(ticks: list[float], tiles: float, better: bool) -> None:
    ticks[1] = tiles
    assert pays(64, 64, (1, 8, 8), 1) is better


def test_few_channels_and_small_maps_are_not_measured(ticks: list[float]) -> None:
    ticks[1] = 0.1
    assert pays(64, 64, (1, 4, 4), 1)
    assert not pays(63, 64, (1, 8, 8), 1)
    assert not pays(64, 64, (1, 3, 8), 1)


def test_nothing_in_tiles_is_not_timed_twice() -> None:
    x = torch.randn(2, 3, 12, 12)
    for kernel, kept in ((3, "tiles"), (5, "fuse")):
        net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, kernel, padding=1), torch.nn.ReLU()).eval()
        steps, words = best_steps(Build(export(net, x)), net, x, gradients=True)
        assert words["kept"] == kept
        assert steps == Steps(True, True, True, kept == "tiles")
        assert ("tiles" in words) == (kept == "tiles")


def test_what_comes_between_is_not_taken_for_what_stays() -> None:
    x = torch.randn(2, 5, 13, 11).contiguous(memory_format=torch.channels_last)
    weight = tile_weight(torch.randn(7, 5, 3, 3), (13, 11))
    with Meter() as meter:
        y = by_tiles(x, None, weight, None, (1, 1), "relu", [])
        torch.neg(y)
    assert meter.total == 2 * y.numel() * 4
