"""Relevance through transformers: nothing is lost unseen, spellings do not matter, other composites refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seewhy
from networks import CLASSES, TRANSFORMERS, FusedAttention, image, make
from seewhy.core.network.places import INPUT
from seewhy.core.relevance.composites import COMPOSITES
from seewhy.errors import CapabilityError, UsageError
from unit.core.relevances import flow_of, lrp, noisy, same, toy

ATTENTIVE = ("attn-lrp", "cp-lrp")
each = pytest.mark.parametrize("composite", ATTENTIVE)


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _balanced(net: nn.Module, x: Tensor, composite: str, place: str) -> Any:
    """The flow at a place that all of it crosses: what arrives and what was absorbed make up the score of each image,
    to rounding of the largest amount that went through."""
    flow = flow_of(net, x, composite, place)
    amounts = torch.stack([flow.start.detach(), flow.bias, flow.stabiliser, flow.values.flatten(1).sum(1)])
    assert bool(amounts.isfinite().all())
    assert float(flow.elsewhere.abs().max()) < 1e-10 * float(amounts.abs().max())
    with torch.no_grad():
        assert torch.allclose(flow.start, net(x.clone())[:, 1], rtol=1e-9)
    return flow


@each
@pytest.mark.parametrize("network", sorted(TRANSFORMERS))
def test_nothing_is_lost_unseen(network: str, composite: str) -> None:
    """Special tokens are elsewhere; those of zeros get nothing."""
    case, x = make(network, 1), image(1)
    assert float(flow_of(case.net, x, composite).elsewhere.abs().min()) > 1e-6
    with torch.no_grad():
        case.net.special.zero_()
    flow = _balanced(case.net, x, composite, INPUT)
    assert float(flow.bias.abs().min()) > 1e-6


class _Written(nn.Module):
    """`FusedAttention` or `MultiHead` in other words, with the same weights."""

    def __init__(self, part: nn.Module, way: str) -> None:
        super().__init__()
        self.heads, self.way = part.heads, way
        fused = isinstance(part, FusedAttention)
        self.weight = part.qkv.weight if fused else part.in_proj_weight
        self.bias = part.qkv.bias if fused else part.in_proj_bias
        self.proj = part.proj if fused else part.out_proj

    def forward(self, x: Tensor) -> Tensor:
        x = F.linear(x, self.weight, self.bias)
        q, k, v = x.unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if self.way == "operators":
            mixed = (q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5).softmax(-1) @ v
        elif self.way == "batches of heads":
            flat = [part.flatten(0, 1) for part in (q, k, v)]
            weights = F.softmax(torch.bmm(flat[0] * q.shape[-1] ** -0.5, flat[1].mT), dim=-1)
            mixed = torch.bmm(weights, flat[2]).unflatten(0, (len(x), -1))
        elif self.way == "other axes":
            mixed = F.scaled_dot_product_attention(*(part.flatten(0, 1) for part in (q, k, v))).unflatten(
                0, (len(x), -1)
            )
        else:
            mask = torch.zeros(q.shape[-2], q.shape[-2], dtype=q.dtype)
            mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask if self.way == "mask" else mask == 0)
        return self.proj(mixed.transpose(1, 2).flatten(2))


@each
@pytest.mark.parametrize("way", ["operators", "batches of heads", "other axes", "mask", "boolean mask"])
def test_spellings_of_attention_do_not_matter(way: str, composite: str) -> None:
    case, x = make("tokens", 2), image(2)
    expected = lrp(case.net, x, composite, epsilon=0.0)
    for block in case.net.blocks:
        block.attn = _Written(block.attn, way)
    same(lrp(case.net, x, composite, epsilon=0.0), expected, 1e-9)


def _hidden(s: Any, x: Tensor) -> tuple[Tensor, ...]:
    return tuple(part.flatten(2).transpose(1, 2)[:, None] for part in (s.a(x), s.b(x), s.a(x).relu()))


def _back(x: Tensor) -> Tensor:
    return x[:, 0].transpose(1, 2).unflatten(2, (8, 8))


def test_what_a_mask_hides_gets_nothing() -> None:
    """As if the hidden keys were not there; a mask of large numbers is one as well. What it adds to the others is 0,
    a share of which is a stabiliser's."""
    x, seen = image(3), torch.arange(64) % 3 > 0

    def masked(mask: Tensor) -> Callable[[Any, Tensor], Tensor]:
        return lambda s, x: _back(F.scaled_dot_product_attention(*_hidden(s, x), attn_mask=mask))

    def cut(s: Any, x: Tensor) -> Tensor:
        q, k, v = _hidden(s, x)
        return _back(F.scaled_dot_product_attention(q, k[:, :, seen], v[:, :, seen]))

    expected = lrp(toy(cut), x, "attn-lrp")
    additive = torch.zeros(64, 64).double().masked_fill(~seen, -torch.inf)
    same(lrp(toy(masked(seen.expand(64, 64))), x, "attn-lrp"), expected, 1e-9)
    expected = lrp(toy(cut), x, "attn-lrp", epsilon=0.0)
    for mask in (additive, additive.clamp(min=-1e300)):
        same(lrp(toy(masked(mask)), x, "attn-lrp", epsilon=0.0), expected, 1e-9)


def _layer_norm(s: Any, x: Tensor) -> Tensor:
    x = x - x.mean(-1, keepdim=True)
    return x / (x.pow(2).mean(-1, keepdim=True) + s.norm.eps).sqrt() * s.norm.weight + s.norm.bias


def _inverse(s: Any, x: Tensor) -> Tensor:
    x = x - x.mean(-1, keepdim=True)
    return x * (1 / torch.sqrt((x**2).mean(-1, keepdim=True) + s.norm.eps)) * s.norm.weight + s.norm.bias


SAME: dict[str, tuple[Callable[[Any, Tensor], Tensor], ...]] = {
    "layer norm": (
        lambda s, x: s.norm(s.a(x)).relu(),
        lambda s, x: _layer_norm(s, s.a(x)).relu(),
        lambda s, x: _inverse(s, s.a(x)).relu(),
    ),
    "RMS norm": (
        lambda s, x: F.rms_norm(s.a(x), (8,), s.norm.weight, 1e-5),
        lambda s, x: s.norm.weight * (s.a(x) * torch.rsqrt(s.a(x).pow(2).mean(-1, keepdim=True) + 1e-5)),
    ),
    "unit length": (
        lambda s, x: F.normalize(s.a(x), dim=1),
        lambda s, x: s.a(x) / s.a(x).norm(dim=1, keepdim=True),
        lambda s, x: s.a(x) / torch.linalg.vector_norm(s.a(x), dim=1, keepdim=True).clamp_min(1e-9),
        lambda s, x: s.a(x) / torch.pow(torch.sum(torch.pow(s.a(x), 2), dim=1, keepdim=True), 0.5),
    ),
    "GELU": (
        lambda s, x: F.gelu(s.a(x)),
        lambda s, x: s.a(x) * 0.5 * (1.0 + torch.erf(s.a(x) / 2**0.5)),
    ),
    "tanh GELU": (
        lambda s, x: F.gelu(s.a(x), approximate="tanh"),
        lambda s, x: 0.5 * s.a(x) * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (s.a(x) + 0.044715 * s.a(x) ** 3))),
    ),
    "SiLU": (lambda s, x: F.silu(s.a(x)), lambda s, x: s.a(x) * torch.sigmoid(s.a(x))),
    "group norm": (
        lambda s, x: F.group_norm(s.a(x), 1),
        lambda s, x: F.layer_norm(s.a(x), (4, 8, 8)),
    ),
    "weights first": (
        lambda s, x: s.gate(s.a(x).mean((2, 3)))[:, :, None, None] + s.b(x),
        lambda s, x: (s.gate.weight @ s.a(x).mean((2, 3)).t()).t()[:, :, None, None] + s.gate.bias[:, None, None] + s.b(x),
    ),
}  # fmt: skip


@each
@pytest.mark.parametrize("name", sorted(SAME))
def test_spellings_of_other_functions_do_not_matter(name: str, composite: str) -> None:
    x, (first, *others) = image(4), SAME[name]
    expected = lrp(toy(first), x, composite, epsilon=0.0)
    for other in others:
        same(lrp(toy(other), x, composite, epsilon=0.0), expected, 1e-9)


def test_products_of_signals_halve() -> None:
    """Each factor gets half, a gate as well, whatever their sizes; nothing is lost."""
    x = image(5)
    # the same score: a factor of ones that depends on the input
    ones = toy(lambda s, x: s.a(x) * (0 * s.b(x) + 1))
    same(lrp(ones, x, "attn-lrp", layer="a"), lrp(toy(lambda s, x: s.a(x)), x, "attn-lrp", layer="a") / 2, 1e-9)
    gated = toy(lambda s, x: s.a(x) * torch.sigmoid(s.gate(s.b(x).mean((2, 3))))[:, :, None, None])
    one, two = seewhy.explain_all(
        gated, x[:1], method="lrp", target=1, layer=["a", "gate"], composite="attn-lrp", reduce="none"
    )
    assert one.values.sum() == pytest.approx(two.values.sum(), rel=1e-9)
    assert float(flow_of(gated, x, "attn-lrp").elsewhere.abs().max()) < 1e-12


def test_positions_take_their_share() -> None:
    """What is added of constants absorbs as a bias does; numbers pass."""
    x, positions = image(6), 1 + torch.rand(1, 4, 8, 8, generator=torch.Generator().manual_seed(0)).double()
    net = toy(lambda s, x: s.a(x) + positions)
    flow = flow_of(net, x, "attn-lrp", "a")
    with torch.no_grad():
        weight = net.head.weight[1][:, None, None] / 64
        expected = net.a(x) * weight
        assert torch.allclose(flow.bias, (positions * weight).sum((1, 2, 3)).expand(2), atol=1e-4)
    same(flow.values, expected, 1e-3)
    same(lrp(toy(lambda s, x: s.a(x) + 2.0), x, "attn-lrp", layer="a").sum((1, 2, 3)),
         flow_of(toy(lambda s, x: s.a(x) + 2.0), x, "attn-lrp").start.detach(), 1e-4)  # fmt: skip


def test_held_weights_get_nothing() -> None:
    """Queries and keys have none of CP-LRP's relevance, and values all of it."""

    class Apart(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = (nn.Conv2d(3, 4, 1) for _ in range(3))
            self.head = nn.Linear(4, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            q, k, v = (part(x).flatten(2).mT[:, None] for part in (self.q, self.k, self.v))
            return self.head(F.scaled_dot_product_attention(q, k, v)[:, 0].mean(1))

    net, x = noisy(Apart()), image(7)
    for layer in ("q", "k"):
        assert not flow_of(net, x, "cp-lrp", layer).values.any()
        assert flow_of(net, x, "attn-lrp", layer).values.any()
    _balanced(net, x, "cp-lrp", "v")


@pytest.mark.parametrize("composite", sorted({*COMPOSITES} - {*ATTENTIVE}))
def test_other_composites_refuse_and_say_which_does_not(composite: str) -> None:
    case, x = make("tokens", 8), image(8)
    with pytest.raises(CapabilityError, match=r'has no rule for .*; composite="attn-lrp" has rules for') as raised:
        lrp(case.net, x, composite)
    assert "\n" not in str(raised.value)


def test_what_has_no_rule_here_either() -> None:
    x = image(9)
    for name, body in {
        "div": lambda s, x: s.a(x) / (1 + s.b(x).relu()),
        "exp": lambda s, x: s.a(x).exp(),
        "convolution": lambda s, x: F.conv2d(s.a(x)[:1], s.b(x)[:1], padding=3)[:, :1].expand(2, 4, -1, -1),
    }.items():
        with pytest.raises(CapabilityError, match=f"lrp has no rule for .*{name}") as raised:
            lrp(toy(body), x, "attn-lrp")
        assert "attn-lrp" not in str(raised.value)
    with pytest.raises(UsageError, match=r"linear_gamma=0\.1 is about the composites attn-lrp and cp-lrp"):
        lrp(make("silu", 9).net, x, "epsilon", linear_gamma=0.1)


def test_kinds_of_composite_leave_each_other_alone() -> None:
    case, x = make("silu", 10), image(10)
    alone = {name: lrp(case.net, x, name) for name in ("epsilon-plus", "attn-lrp")}
    again = {name: lrp(case.net, x, name) for name in ("attn-lrp", "epsilon-plus")}
    for name, values in alone.items():
        assert (values == again[name]).all()


@each
def test_maps_carry_graphs(composite: str) -> None:
    """Their derivative is that of the map: by finite differences."""
    case = make("tokens", 11)
    x, way = image(11, batch=1), torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(5)).double()

    def first(x: Tensor, **given: Any) -> Any:
        return seewhy.explain(
            case.net, x, method="lrp", target=1, composite=composite, epsilon=0.1, reduce="none", **given
        )

    weights = torch.randn(3, 8, 8, generator=torch.Generator().manual_seed(6)).double()
    leaf = x.clone().requires_grad_()
    (slope,) = torch.autograd.grad((first(leaf, differentiable=True).tensor.reshape(3, 8, 8) * weights).sum(), leaf)
    step = 1e-6
    up, down = ((first(x + sign * step * way).values * weights.numpy()).sum() for sign in (1, -1))
    assert float((slope * way).sum()) == pytest.approx((up - down) / (2 * step), rel=1e-4)


class _Embedding(nn.Module):
    """A network whose scores are one of its outputs."""

    def __init__(self, net: nn.Module, name: str) -> None:
        super().__init__()
        self.net, self.name = net, name

    def forward(self, x: Tensor) -> Tensor:
        return getattr(self.net(x), self.name)


def _real(name: str) -> nn.Module:
    """An untrained network for images of 32 pixels."""
    kind, _, rest = name.partition(" ")
    if kind == "timm":
        timm = pytest.importorskip("timm")
        small = {"depth": 2, "embed_dim": 24, "num_heads": 2, "patch_size": 8, "init_values": 0.5, "img_size": 32}
        small = small if rest.startswith("vit") else {}
        return timm.create_model(rest, pretrained=False, num_classes=CLASSES, **small)
    if kind == "torchvision":
        models = pytest.importorskip("torchvision.models")
        if rest == "swin":
            return models.SwinTransformer([2, 2], 12, [2, 2], [1, 2], [4, 4], num_classes=CLASSES)
        return models.VisionTransformer(32, 8, 2, 2, 16, 32, num_classes=CLASSES)
    transformers = pytest.importorskip("transformers")
    size = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    size |= {"image_size": 32, "patch_size": 8}
    if rest == "vit":
        return transformers.ViTForImageClassification(transformers.ViTConfig(**size, num_labels=CLASSES))
    tower = transformers.CLIPVisionModelWithProjection(transformers.CLIPVisionConfig(**size, projection_dim=CLASSES))
    return _Embedding(tower, "image_embeds")


REAL = [
    "timm vit_tiny_patch16_224", "timm vit_tiny_patch16_224 written out", "timm convnext_atto", "torchvision vit",
    "torchvision swin", "transformers vit", "transformers clip",
]  # fmt: skip


@each
@pytest.mark.parametrize("name", REAL)
def test_real_networks(name: str, composite: str) -> None:
    """The identity holds to rounding of the largest amount that went through, with class tokens of zeros; an image's
    relevance does not depend on its neighbour."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = noisy(_real(name.removesuffix(" written out")))
    for part in net.modules():
        if name.endswith("written out") and hasattr(part, "fused_attn"):
            part.fused_attn = False
    with torch.no_grad():
        for called, value in net.named_parameters():
            if called.endswith(("cls_token", "class_token", "class_embedding")):
                value.zero_()
    x = image(12, batch=2, size=32)
    flow = flow_of(net, x, composite)
    assert bool(flow.values.isfinite().all())
    assert bool(flow.values.any())
    scale = max(float(amount.abs().max()) for amount in (flow.start, flow.bias, flow.stabiliser))
    assert float(flow.elsewhere.abs().max()) < 1e-9 * scale
    same(flow_of(net, x[:1], composite).values, flow.values[:1], 1e-6)
