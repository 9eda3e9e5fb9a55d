"""Vision transformers and their kin from three libraries: layer, token grid and prefix tokens are found, for square and
other inputs, by every class activation, gradient and attention method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pytest
import torch
from torch import nn

import seewhy
import seewhy.methods
from properties.asking import METHODS
from seewhy.errors import CapabilityError
from seewhy.registry import methods

timm = pytest.importorskip("timm")
torchvision = pytest.importorskip("torchvision")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")

QUICK = {"n": 2, "steps": 4, "max_steps": 8}
#: as many passes as channels, or the very passes of another method: covered by score-cam and smooth-grad
SLOW = {"ss-cam", "is-cam", "smooth-grad-squared", "var-grad", "smooth-grad-cam-pp"}


@dataclass(frozen=True)
class Family:
    """A small network, its input's size, its grid of tokens and the layer that is chosen for class activation maps."""

    make: Callable[[], nn.Module]
    size: tuple[int, int]
    grid: tuple[int, int]
    layer: str
    attention: bool = True


def _timm(name: str, **given: object) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, num_classes=5, **given)


def _hf(attention: str) -> nn.Module:
    transformers = pytest.importorskip("transformers")
    config = transformers.ViTConfig(
        hidden_size=24, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32, image_size=(64, 96), num_labels=5,
        attn_implementation=attention,
    )  # fmt: skip
    return transformers.ViTForImageClassification(config)


_VIT = {"depth": 2, "embed_dim": 24, "num_heads": 2}
FAMILIES = {
    "timm vit": Family(_timm("vit_tiny_patch16_224", img_size=64, **_VIT), (64, 64), (4, 4), "blocks.1.norm1"),
    "timm vit, wide": Family(
        _timm("vit_tiny_patch16_224", img_size=(64, 96), **_VIT), (64, 96), (4, 6), "blocks.1.norm1"
    ),
    "timm deit3": Family(_timm("deit3_small_patch16_224", img_size=(96, 64), **_VIT), (96, 64), (6, 4), "blocks.1.norm1"),
    "timm registers": Family(
        _timm("vit_little_patch16_reg4_gap_256", img_size=(64, 96), **_VIT), (64, 96), (4, 6), "blocks"
    ),
    "timm eva": Family(
        _timm("vit_small_patch16_rope_reg1_gap_256", img_size=(64, 96), **_VIT), (64, 96), (4, 6), "blocks.1"
    )
    if "vit_small_patch16_rope_reg1_gap_256" in timm.list_models("*rope*")
    else Family(_timm("eva02_tiny_patch14_224", img_size=(56, 84), **_VIT), (56, 84), (4, 6), "blocks.1"),
    "timm swin": Family(
        _timm("swin_tiny_patch4_window7_224", img_size=(64, 96), window_size=4, embed_dim=12, depths=(1, 2), num_heads=(2, 2)),
        (64, 96), (8, 12), "norm", attention=False,
    ),
    "timm convnext": Family(
        _timm("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 8, 16, 16)), (64, 96), (2, 3), "stages", attention=False
    ),
    "torchvision vit": Family(
        lambda: torchvision.models.VisionTransformer(64, 16, 2, 2, 24, 32, num_classes=5),
        (64, 64), (4, 4), "encoder.layers.encoder_layer_1.ln_1",
    ),
    "torchvision swin": Family(
        lambda: torchvision.models.SwinTransformer([4, 4], 12, [1, 2], [2, 2], [4, 4], num_classes=5),
        (64, 96), (8, 12), "permute", attention=False,
    ),
    "hugging face vit": Family(lambda: _hf("sdpa"), (64, 96), (4, 6), "vit.layers.1.layernorm_before"),
    "hugging face vit, eager": Family(lambda: _hf("eager"), (64, 96), (4, 6), "vit.layers.1.layernorm_before"),
}  # fmt: skip


@lru_cache
def built(name: str) -> nn.Module:
    """The family's network with weights under which patches differ and no head is zero."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = FAMILIES[name].make().eval()
        for parameter in net.parameters():
            if parameter.ndim > 1:
                nn.init.normal_(parameter, std=1.5 / parameter[0].numel() ** 0.5)
            elif not parameter.any() or "gamma" in name:
                nn.init.normal_(parameter, std=0.1)
            elif float(parameter.detach().abs().max()) < 1e-3:  # layer scale starts at almost nothing
                nn.init.ones_(parameter)
    return net


def _image(family: Family) -> torch.Tensor:
    return torch.randn(1, 3, *family.size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", FAMILIES)
def test_the_layer_is_found(name: str) -> None:
    family = FAMILIES[name]
    found = seewhy.explain(built(name), _image(family), method="grad-cam", target=2)
    assert found.layer == family.layer
    assert found.values.shape == family.grid
    assert np.abs(found.values).max() > 0
    assert found.map.shape == family.size


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize(
    "method", [m for m in METHODS if methods[m].card.family in ("cam", "gradient") and m not in SLOW]
)
def test_every_cam_and_gradient_method(name: str, method: str) -> None:
    family, card = FAMILIES[name], methods[method]
    given = {key: value for key, value in QUICK.items() if key in card.parameters}
    if "max_steps" in given:
        given.pop("steps", None)
    layer = family.layer if card.card.at == "layer" else None
    if card.card.several_layers:
        pytest.skip("several layers: which ones is the user's choice")
    try:
        found = seewhy.explain(built(name), _image(family), method=method, layer=layer, target=2, **given)
    except CapabilityError as error:
        assert method == "cam", error  # noqa: PT017 - few of these heads pool and are linear
        return
    assert np.isfinite(found.values).all()
    assert found.values.any() or method == "fem"  # among six positions none need stand out
    assert found.values.shape[found.channels :] in (family.grid, family.size)


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("method", ["attention-rollout", "gradient-attention", "le-grad"])
def test_attention_methods(name: str, method: str) -> None:
    """On the patches' grid where attention is global; one line where it is not."""
    family = FAMILIES[name]
    if not family.attention:
        with pytest.raises(CapabilityError, match=r"within windows|no attention.*grad-cam"):
            seewhy.explain(built(name), _image(family), method=method, target=2)
        return
    found = seewhy.explain(built(name), _image(family), method=method, target=2)
    assert found.status.ok
    assert found.values.shape == family.grid
    assert found.values.min() >= 0
    assert found.values.std() > 0


@pytest.mark.parametrize("name", [name for name, family in FAMILIES.items() if family.attention])
def test_making_attention_visible_changes_no_score(name: str) -> None:
    family = FAMILIES[name]
    found = seewhy.explain(built(name), _image(family), method="attention-rollout", target=2)
    with torch.no_grad():
        out = built(name)(_image(family))
    logits = out if isinstance(out, torch.Tensor) else out.logits
    assert found.score == pytest.approx(float(logits[0, 2]), rel=1e-4, abs=1e-5)
