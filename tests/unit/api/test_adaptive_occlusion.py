"""Occlusion that scores windows where they matter: how many it takes, how near it comes, what it says of itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy.errors import UsageError


class Spot(nn.Module):
    """A score that a small part of the image makes, smoothly."""

    def __init__(self, at: tuple[int, int] = (20, 24), width: float = 3.0) -> None:
        super().__init__()
        rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
        self.register_buffer("weights", torch.exp(-((rows - at[0]) ** 2 + (columns - at[1]) ** 2) / (2 * width**2)))

    def forward(self, x: Tensor) -> Tensor:
        score = (x.mean(1) * self.weights).sum((1, 2))
        return torch.stack([score, -score], 1)


ASKED: dict[str, Any] = {"method": "occlusion", "window": 8, "stride": 4, "target": 0, "prepare": False}


def _x(batch: int = 1) -> Tensor:
    return torch.rand(batch, 3, 64, 64, generator=torch.Generator().manual_seed(1)) + 0.5


def test_fewer_windows_give_the_same_map() -> None:
    exact = seewhy.explain(Spot(), _x(), **ASKED)
    found = seewhy.explain(Spot(), _x(), **ASKED, adaptive=True)
    range_ = exact.values.max() - exact.values.min()
    assert exact.cost.forwards == 226
    assert found.cost.forwards < 140
    assert np.sqrt(np.square(found.values - exact.values).mean()) < 0.02 * range_
    assert found.error is not None
    assert f"{found.cost.forwards - 1} of 225 windows" in found.notes[-1]


def test_a_tighter_tolerance_scores_more_and_comes_nearer() -> None:
    net = Spot(width=6.0)
    exact = seewhy.explain(net, _x(), **ASKED)
    found = [seewhy.explain(net, _x(), **ASKED, adaptive=True, tolerance=t) for t in (0.5, 0.004, 1e-9)]
    forwards = [each.cost.forwards for each in found]
    errors = [float(np.abs(each.values - exact.values).max()) for each in found]
    assert forwards[0] < forwards[1] < forwards[2] <= exact.cost.forwards
    assert errors[0] > errors[1] > errors[2]
    assert np.allclose(found[2].values, exact.values, atol=1e-6 * np.abs(exact.values).max())
    assert found[2].error.max() < 1e-8 * np.abs(exact.values).max()


def test_every_image_of_a_batch_has_its_own_windows() -> None:
    x = _x(2)
    x[1] = 0  # of the spot, one pixel
    x[1, :, 20, 24] = 1
    together = seewhy.explain_all(Spot(), x, **ASKED, adaptive=True)
    for row, one in enumerate(together):
        alone = seewhy.explain(Spot(), x[row : row + 1], **ASKED, adaptive=True)
        assert one.cost.forwards == alone.cost.forwards
        assert np.allclose(one.values, alone.values, atol=1e-6)
    assert together[0].cost.forwards != together[1].cost.forwards


def test_a_score_that_no_window_changes_takes_the_coarse_ones_only() -> None:
    class Constant(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x.new_ones(len(x), 2) + 0 * x.flatten(1).sum(1, keepdim=True)

    found = seewhy.explain(Constant(), _x(), **ASKED, adaptive=True)
    assert found.cost.forwards == 1 + 8 * 8
    assert not found.values.any()


@pytest.mark.parametrize("tolerance", [0, -1, True, "x"])
def test_a_tolerance_that_is_none_is_refused(tolerance: Any) -> None:
    with pytest.raises(UsageError, match=r"tolerance=.*more than 0"):
        seewhy.explain(Spot(), _x(), **ASKED, adaptive=True, tolerance=tolerance)


def test_volumes_and_windows_as_large_as_the_image() -> None:
    class Sum(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv3d(1, 2, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.conv(x).relu().flatten(1).sum(1, keepdim=True).expand(-1, 2)

    volume = torch.rand(1, 1, 8, 8, 8, generator=torch.Generator().manual_seed(1))
    asked: dict[str, Any] = {"method": "occlusion", "window": 4, "stride": 2, "target": 0, "prepare": False}
    net = Sum()
    exact = seewhy.explain(net, volume, **asked)
    found = seewhy.explain(net, volume, **asked, adaptive=True, tolerance=1e-9)
    assert np.allclose(exact.values, found.values, atol=1e-4)
    whole = seewhy.explain(net, volume, method="occlusion", window=8, stride=8, adaptive=True, target=0)
    assert whole.cost.forwards == 2
