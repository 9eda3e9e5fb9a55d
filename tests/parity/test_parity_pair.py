"""PAIR's saliency, where it computes the same thing: blur, guided integrated gradients and XRAI. float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from networks import image, make
from parity.comparing import agree, ours, targets_for
from parity.seeds import SEEDS

pair = pytest.importorskip("saliency.core")
guided_ig = pytest.importorskip("saliency.core.guided_ig")

pytestmark = pytest.mark.filterwarnings("ignore")

#: networks for any input size
POOLED = ["conv-bn-relu", "silu", "residual"]
each_seed = pytest.mark.parametrize("seed", SEEDS)


def _gradients(net: nn.Module, k: int) -> Callable[..., dict[str, np.ndarray]]:
    """PAIR's way to ask a model: pictures [B, H, W, C] in, gradients out."""

    def call(pictures: np.ndarray, call_model_args: Any = None, expected_keys: Any = None) -> dict[str, np.ndarray]:
        leaf = torch.from_numpy(np.asarray(pictures)).permute(0, 3, 1, 2).contiguous().requires_grad_()
        (gradient,) = torch.autograd.grad(net(leaf)[:, k].sum(), leaf)
        return {pair.INPUT_OUTPUT_GRADIENTS: gradient.permute(0, 2, 3, 1).numpy()}

    return call


class _Numpy:
    """numpy for PAIR's guided IG, which calls `quantile` by a word that numpy 2.4 no longer knows."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def quantile(self, values: np.ndarray, share: float, interpolation: str) -> float:
        return np.quantile(values, share, method=interpolation)


def _last(x: torch.Tensor) -> np.ndarray:
    return x[0].permute(1, 2, 0).numpy()


@each_seed
@pytest.mark.parametrize("network", ["silu", "gelu"])
def test_blur_ig(network: str, seed: int) -> None:
    """To 1 % of the maximum, both at many steps: PAIR takes left sums evenly spaced in sigma with a finite difference
    for dL/dsigma, and cuts its kernel at four sigma; ours are trapezoids in the image itself, denser at slight blurs."""
    case, x = make(network, seed), image(seed, batch=1)
    (k,) = targets_for(x, seed)
    found = ours(case.net, x, "blur-ig", [k], reduce="none", steps=300, max_sigma=3.0)
    asked = {"max_sigma": 3, "steps": 3000, "grad_step": 1e-4, "batch_size": 500}
    theirs = pair.BlurIG().GetMask(_last(x), _gradients(case.net, k), **asked)
    agree(found, theirs.transpose(2, 0, 1)[None], 1e-2)


@each_seed
@pytest.mark.parametrize(("fraction", "max_dist"), [(0.25, 0.02), (0.1, 0.5), (0.6, 1.0)])
@pytest.mark.parametrize("network", ["silu", "gelu"])
def test_guided_ig(network: str, fraction: float, max_dist: float, seed: int, monkeypatch: Any) -> None:
    """To 1e-6, by PAIR's left sums (rule="riemann-left"), on smooth networks: at a kink the path may fork."""
    case, x = make(network, seed), image(seed, batch=1)
    (k,) = targets_for(x, seed)
    monkeypatch.setattr(guided_ig, "np", _Numpy())
    asked = {"fraction": fraction, "max_dist": max_dist}
    found = ours(case.net, x, "guided-ig", [k], reduce="none", steps=20, rule="riemann-left", baseline=0.0, **asked)
    call = _gradients(case.net, k)
    theirs = pair.GuidedIG().GetMask(_last(x), call, x_baseline=np.zeros_like(_last(x)), x_steps=20, **asked)
    agree(found, theirs.transpose(2, 0, 1)[None], 1e-6)


@each_seed
@pytest.mark.parametrize("network", POOLED)
def test_xrai(network: str, seed: int) -> None:
    """To 1e-6, given our integrated gradients (PAIR's are left sums) and the same regions. Half of the pieces are
    wider than the least that PAIR lets count, which is not ours to choose."""
    case, x = make(network, seed), image(seed, batch=1, size=32)
    (k,) = targets_for(x, seed)
    size = x.shape[2]
    labels = torch.arange(size)[:, None] // (size // 4) * 4 + torch.arange(size) // (size // 4)
    low, high = x.amin((0, 2, 3), keepdim=True), x.amax((0, 2, 3), keepdim=True)
    base = sum(
        ours(case.net, x, "integrated-gradients", [k], reduce="none", rule="gauss-legendre", steps=9, baseline=bound.expand_as(x))
        for bound in (low, high)
    ) / 2  # fmt: skip
    given = {"segments": labels, "dilation": 0, "min_pixels": 50, "steps": 9}
    found = ours(case.net, x, "xrai", [k], **given)
    regions = [(labels == piece).numpy() for piece in range(16)]
    theirs = pair.XRAI().GetMask(
        _last(x), _gradients(case.net, k), segments=regions, base_attribution=np.asarray(base)[0].transpose(1, 2, 0)
    )
    agree(found, theirs[None], 1e-6)
