"""Where channels and positions are, in the activations of real architectures and of awkward ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import seewhy
from seewhy.core.network.layouts import find_layout
from seewhy.errors import UsageError


@pytest.mark.parametrize(
    ("shape", "size", "channel", "grid", "prefix"),
    [
        ((2, 512, 7, 7), (224, 224), 1, (7, 7), 0),
        ((2, 7, 7, 768), (224, 224), 3, (7, 7), 0),
        ((2, 64, 64, 64), (256, 256), 1, (64, 64), 0),
        ((2, 197, 768), (224, 224), 2, (14, 14), 1),
        ((2, 198, 192), (224, 224), 2, (14, 14), 2),
        ((2, 201, 192), (224, 224), 2, (14, 14), 5),
        ((2, 196, 192), (224, 224), 2, (14, 14), 0),
        ((2, 1 + 14 * 28, 192), (224, 448), 2, (14, 28), 1),
        ((2, 16, 10, 18), (20, 36), 1, (10, 18), 0),
        ((2, 10, 18, 16), (20, 36), 3, (10, 18), 0),
        # more positions than the picture: a border of padding, and a stride of less than one
        ((2, 16, 20, 24), (18, 22), 1, (20, 24), 0),
        ((2, 16, 36, 44), (18, 22), 1, (36, 44), 0),
        ((2, 20, 24, 16), (18, 22), 3, (20, 24), 0),
        ((2, 8, 108), (100,), 1, (108,), 0),
        ((2, 10, 12, 14, 8), (8, 10, 12), 4, (10, 12, 14), 0),
        ((2, 1000), (224, 224), 1, (), 0),
        ((2, 8, 100), (100,), 1, (100,), 0),
        ((2, 8, 4, 5, 6), (8, 10, 12), 1, (4, 5, 6), 0),
    ],
)
def test_known_shapes(
    shape: tuple[int, ...], size: tuple[int, ...], channel: int, grid: tuple[int, ...], prefix: int
) -> None:
    layout = find_layout(shape, size)
    assert (layout.channel, layout.grid, layout.prefix) == (channel, grid, prefix)


@given(
    kind=st.sampled_from(["first", "last", "tokens"]),
    rows=st.integers(2, 9),
    columns=st.integers(2, 9),
    channels=st.integers(1, 6),
    prefix=st.integers(0, 5),
)
def test_restore_undoes_canonical(kind: str, rows: int, columns: int, channels: int, prefix: int) -> None:
    size = (rows * 16, columns * 16)
    shape = {
        "first": (2, channels, rows, columns),
        "last": (2, rows, columns, channels),
        "tokens": (2, prefix + rows * columns, channels),
    }[kind]
    raw = torch.randn(shape)
    layout = find_layout(shape, size)
    canonical = layout.canonical(raw)
    assert canonical.shape[0] == 2
    assert torch.equal(layout.restore(canonical, raw), raw)


# (name, options, input size, grid of the layer chosen)
TRANSFORMERS = [
    ("vit_tiny_patch16_224", {"img_size": 64}, (64, 64), (4, 4)),
    ("vit_tiny_patch16_224", {"img_size": (64, 96)}, (64, 96), (4, 6)),
    ("deit3_small_patch16_224", {"img_size": 64}, (64, 64), (4, 4)),
    ("vit_small_patch16_dinov3", {"img_size": 64}, (64, 64), (4, 4)),
    ("swin_tiny_patch4_window7_224", {}, (224, 224), (7, 7)),
    ("convnext_atto", {}, (96, 96), (3, 3)),
]


@pytest.mark.slow
@pytest.mark.parametrize(("name", "options", "size", "grid"), TRANSFORMERS)
def test_transformers_get_a_layer_and_a_grid(
    name: str, options: dict, size: tuple[int, int], grid: tuple[int, int]
) -> None:
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    net = timm.create_model(name, pretrained=False, num_classes=7, **options).eval()
    for parameter in net.parameters():  # layer scales and heads start out near zero: give gradients a way
        torch.nn.init.normal_(parameter, std=0.1) if parameter.ndim > 1 else None
    x = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    found = seewhy.explain_all(net, x, method=["grad-cam", "hires-cam", "eigen-cam"], target=3)
    for e in found:
        assert e.status.code in ("ok", "no-positive-evidence"), e.status
        assert e.values.shape == grid
        assert np.abs(e.values).max() > 0
    again = seewhy.explain(net, x, method="grad-cam", layer=found[0].layer, target=3)
    np.testing.assert_allclose(again.values, found[0].values, rtol=1e-4, atol=1e-6)
    alone = seewhy.explain(net, x, method="recipro-cam", target=3)
    assert alone.values.shape == grid


@pytest.mark.slow
def test_the_torchvision_vit_too() -> None:
    vit_b_16 = pytest.importorskip("torchvision.models").vit_b_16
    torch.manual_seed(0)
    net = vit_b_16(weights=None).eval()
    torch.nn.init.normal_(net.heads.head.weight, std=0.02)  # zero at initialisation: no gradient anywhere
    e = seewhy.explain(net, torch.randn(1, 3, 224, 224), method="grad-cam", target=3)
    assert e.values.shape == (14, 14)
    assert np.abs(e.values).max() > 0


@pytest.mark.parametrize("method", ["grad-cam", "score-cam", "ablation-cam", "recipro-cam"])
def test_a_reshape_without_positions_is_said(method: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    with pytest.raises(UsageError, match=r"reshape= makes \(1, 144\) of \(1, 4, 6, 6\).*\[B, C, \*positions\]"):
        seewhy.explain(net, torch.rand(1, 3, 8, 8), method=method, layer="1", target=1, reshape=lambda a: a.flatten(1))
