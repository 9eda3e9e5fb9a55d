"""LXT 2.1, by AttnLRP's authors, under the same rules: torchvision's ViT-B/16 and a small CLIP. float64, untrained.

Its "efficient" form carries R / x instead of R and multiplies by the input at the end: linear layers have an epsilon of
0 there, sums as well. Its map for torchvision's ViT is CP-LRP within attention (`cp_LRP`); AttnLRP's own factors, a
quarter for queries and keys and half for values, are put around the fused attention here as it puts them around that of
language models. For norms to unit length it has a rule in its explicit form alone.

Its package is imported past its `__init__`, which wants every language model that it knows in the form that an older
transformers had.
"""

from __future__ import annotations

import copy
import importlib
import sys
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
from parity.comparing import agree, differ

lxt = pytest.importorskip("lxt")
models = pytest.importorskip("torchvision.models")

pytestmark = pytest.mark.filterwarnings("ignore")

if "lxt.efficient" not in sys.modules:
    sys.modules["lxt.efficient"] = types.ModuleType("lxt.efficient")
    sys.modules["lxt.efficient"].__path__ = [str(Path(lxt.__file__).parent / "efficient")]  # type: ignore[attr-defined]
patches: Any = importlib.import_module("lxt.efficient.patches")
rules: Any = importlib.import_module("lxt.efficient.rules")

#: what makes ours the same rules: no stabiliser but that of sums
PLAIN = {"epsilon": 0.0, "gamma": 0.0}


def _patched(net: nn.Module, activations: tuple[type, ...]) -> nn.Module:
    """A copy whose layer norms and activation functions are LXT's."""
    net = copy.deepcopy(net)
    for part in net.modules():
        if isinstance(part, nn.LayerNorm):
            part.forward = types.MethodType(patches.layer_norm_forward, part)
        elif isinstance(part, activations):
            part.original_forward = part.forward
            part.forward = types.MethodType(patches.non_linear_forward, part)
    return net


def _input_times_gradient(score: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(score(leaf), leaf)
    return x * gradient


def _drawn(net: nn.Module, seed: int) -> nn.Module:
    """Weights of a size that trained ones have, biases, norms and positions that matter."""
    draw = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in net.double().eval().named_parameters():
            normal = torch.randn(value.shape, generator=draw).double()
            if value.ndim < 2:
                scale = name.endswith("weight")  # of a norm: no other weight has one axis
                value.copy_(0.1 * normal + (1.0 if scale else 0.0))
            elif value.shape[0] == 1:
                value.copy_(0.5 * normal)
            else:
                value.copy_(normal * value[0].numel() ** -0.5)
    return net


def _ours(model: Any, x: Tensor, k: int, **given: Any) -> np.ndarray:
    found = seewhy.explain(model, x, method="lrp", target=k, reduce="none", prepare=False, **PLAIN | given)
    return found.values[None]


@pytest.mark.parametrize("composite", ["attn-lrp", "cp-lrp"])
def test_vit_b_16(composite: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """To 1e-4, at 64 pixels."""
    net = _drawn(models.VisionTransformer(64, 16, 12, 12, 768, 3072, num_classes=10), 1)
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(2)).double()
    mine = {name: _ours(net, x, 3, composite=name) for name in ("attn-lrp", "cp-lrp")}
    theirs = _patched(net, (nn.GELU,))
    if composite == "cp-lrp":
        for part in theirs.modules():
            if isinstance(part, nn.MultiheadAttention):
                part.original_forward = part.forward
                part.forward = types.MethodType(patches.cp_multi_head_attention_forward, part)
    else:
        fused = nn.functional.scaled_dot_product_attention

        def divided(query: Tensor, key: Tensor, value: Tensor, *args: Any, **kwargs: Any) -> Tensor:
            wrapped = patches.wrap_attention_forward(lambda _, q, k, v: fused(q, k, v, *args, **kwargs))
            return wrapped(None, query, key, value)

        monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", divided)
    expected = _input_times_gradient(lambda at: theirs(at)[0, 3], x)
    agree(mine.pop(composite), expected, 1e-4)
    differ(mine.popitem()[1], expected, 1e-2)


@pytest.fixture
def clip(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A CLIP, what its text tower is given, and a copy of it under LXT's rules."""
    transformers = pytest.importorskip("transformers")
    modeling = importlib.import_module("transformers.models.clip.modeling_clip")
    activations = importlib.import_module("transformers.activations")
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 3, "num_attention_heads": 4}
    text = size | {"vocab_size": 100, "max_position_embeddings": 16, "eos_token_id": 99, "bos_token_id": 98}
    config = transformers.CLIPConfig(
        text_config=text,
        vision_config=size | {"image_size": 64, "patch_size": 8},
        projection_dim=16,
        attn_implementation="eager",
    )
    net = _drawn(transformers.CLIPModel(config), 3)
    words = torch.randint(0, 97, (3, 7), generator=torch.Generator().manual_seed(4))
    words[:, -1] = 99
    others = {"input_ids": words, "attention_mask": torch.ones_like(words)}
    theirs = _patched(net, (activations.QuickGELUActivation,))
    return net, theirs, others, modeling


def _use(modeling: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """LXT's rules for eager attention, and its held norm to unit length."""
    monkeypatch.setattr(
        modeling, "eager_attention_forward", patches.wrap_attention_forward(modeling.eager_attention_forward)
    )
    size = modeling._get_vector_norm
    monkeypatch.setattr(modeling, "_get_vector_norm", lambda tensor: rules.stop_gradient(size(tensor)))


def test_clip(clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """To 1e-4: an image's similarity to a prompt, and the image tower's projection; fused attention is the same."""
    net, theirs, others, modeling = clip
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(5)).double()
    mine = _ours(seewhy.wrap(net, inputs=others), x, 1, composite="attn-lrp")
    fused = copy.deepcopy(net)
    fused.set_attn_implementation("sdpa")
    # transformers' own softmax is in float32
    agree(_ours(seewhy.wrap(fused, inputs=others), x, 1, composite="attn-lrp"), mine, 1e-4)
    _use(modeling, monkeypatch)
    agree(mine, _input_times_gradient(lambda at: theirs(pixel_values=at, **others).logits_per_image[0, 1], x), 1e-4)


class _Tower(nn.Module):
    """A CLIP's image tower with its projection."""

    def __init__(self, clip: Any) -> None:
        super().__init__()
        self.tower, self.projection = clip.vision_model, clip.visual_projection

    def forward(self, x: Tensor) -> Tensor:
        """Embeddings [B, D]."""
        return self.projection(self.tower(pixel_values=x).pooler_output)


def test_gamma(clip: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """To 1e-4, an embedding's number under zennit's gamma rule in every layer, which LXT carries in its own way. The
    product with prompts, which is no module, stays out of it: here it is a linear layer like others."""
    zennit = pytest.importorskip("zennit.composites")
    zennit_rules, core = (importlib.import_module(f"zennit.{name}") for name in ("rules", "core"))
    hooks: Any = importlib.import_module("lxt.efficient.zennit_patches")
    net, theirs, _, modeling = clip
    x = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(6)).double()
    plain = _ours(_Tower(net), x, 2, composite="attn-lrp")
    mine = _ours(_Tower(net), x, 2, composite="attn-lrp", gamma=0.25, linear_gamma=0.05)
    _use(modeling, monkeypatch)
    for name in ("forward", "backward"):
        monkeypatch.setattr(core.BasicHook, name, getattr(hooks, name))
    composite = zennit.LayerMapComposite([(nn.Conv2d, zennit_rules.Gamma(0.25)), (nn.Linear, zennit_rules.Gamma(0.05))])
    with composite.context(_Tower(theirs)) as hooked:
        expected = _input_times_gradient(lambda at: hooked(at)[0, 2], x)
    agree(mine, expected, 1e-4)
    differ(plain, expected, 1e-2)
