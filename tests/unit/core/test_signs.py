"""The sign of principal maps: not left to rounding where the channels of a layer average to nothing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy


class Normed(nn.Module):
    """A fresh layer norm over channels, whose mean is 0 at every place but for rounding."""

    def __init__(self, seed: int, weight: bool = False) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.first, self.norm, self.head = nn.Conv2d(3, 12, 3), nn.LayerNorm(12), nn.Linear(12, 4)
        if weight:
            self.norm.weight.data.uniform_(0.5, 2)
            self.norm.bias.data.normal_()

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.first(x).permute(0, 2, 3, 1)).mean((1, 2)))


@pytest.mark.parametrize("method", ["eigen-cam", "kpca-cam"])
@pytest.mark.parametrize("centred", [False, True])
def test_the_sign_behind_a_fresh_layer_norm_is_no_rounding(method: str, centred: bool) -> None:
    given = {"centred": centred} if method == "eigen-cam" else {"kernel": "linear" if centred else "sigmoid"}
    for seed in range(12):
        net = Normed(seed).eval()
        x = torch.randn(1, 3, 10, 10, generator=torch.Generator().manual_seed(seed))
        maps = [
            seewhy.explain(net, x * (1 + n * 1e-6), method=method, target=0, layer="norm", **given).values
            for n in range(3)
        ]
        for each in maps[1:]:
            assert np.corrcoef(each.ravel(), maps[0].ravel())[0, 1] > 0.999
        assert (maps[0].astype(np.float64) ** 3).sum() > 0  # the larger responses are positive


@pytest.mark.parametrize("method", ["eigen-cam", "kpca-cam"])
def test_the_sign_is_the_mean_activation_s_where_that_is_more_than_rounding(method: str) -> None:
    for seed in range(8):
        net = Normed(seed, weight=True).eval()
        x = torch.randn(1, 3, 10, 10, generator=torch.Generator().manual_seed(seed))
        mean = net.norm(net.first(x).permute(0, 2, 3, 1)).mean(3)[0].detach().numpy()
        values = seewhy.explain(net, x, method=method, target=0, layer="norm").values
        assert np.corrcoef(values.ravel(), mean.ravel())[0, 1] > 0
