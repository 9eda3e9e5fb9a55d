"""Noise over any method, against Captum's NoiseTunnel: both draw, so they agree as far as their standard errors go."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import seewhy

attr = pytest.importorskip("captum.attr")
N = 400


@pytest.mark.parametrize("kind", ["smooth", "squared", "variance"])
@pytest.mark.parametrize("method", ["input-x-gradient", "saliency", "occlusion"])
def test_noise_tunnel(kind: str, method: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.Tanh(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 3), nn.Tanh()
    ).double()
    x = torch.rand(1, 3, 8, 8, dtype=torch.float64)
    types = {"smooth": "smoothgrad", "squared": "smoothgrad_sq", "variance": "vargrad"}
    peers = {
        "input-x-gradient": (attr.InputXGradient(net), {}),
        "saliency": (attr.Saliency(net), {"abs": False}),
        "occlusion": (attr.Occlusion(net), {"sliding_window_shapes": (3, 4, 4), "strides": (3, 4, 4)}),
    }
    peer, given = peers[method]
    tunnel = attr.NoiseTunnel(peer)
    theirs = tunnel.attribute(
        x, target=1, nt_type=types[kind], nt_samples=N, nt_samples_batch_size=50, stdevs=0.3, **given
    )
    own = {"window": 4, "stride": 4, "fill": 0.0} if method == "occlusion" else {"reduce": "none"}
    noise = seewhy.Noise(statistic=kind, n=N, std=0.3, tolerance=0.0)
    ours = seewhy.explain(net, x, method=method, target=1, noise=noise, **own)
    expected = theirs[0].detach().numpy()
    if method == "occlusion":  # Captum gives each channel the value of their window
        expected = expected[0]
    if kind == "variance":  # Captum divides by n, we by n - 1
        expected = expected * N / (N - 1)
    away = np.abs(ours.values - expected) / (np.sqrt(2) * np.maximum(ours.error, 1e-15))
    assert np.median(away) < 1.5
    assert away.max() < 5
