"""Attention made visible: weights, blocks and read-out, on a transformer small enough to do by hand, and every spelling of
attention."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seewhy
from networks import FusedAttention, MultiHead, Transformer, image, make
from seewhy.core.forward.attention import blocks, check
from seewhy.core.intercept.attention import AttentionWatch
from seewhy.core.intercept.functions import Interceptor
from seewhy.core.network.places import Seen
from seewhy.errors import CapabilityError


class Attend(nn.Module):
    """Tokens that are their own queries, keys and values, one head: [B, N, 2]."""

    def forward(self, x: Tensor) -> Tensor:
        return x + F.scaled_dot_product_attention(x[:, None], x[:, None], x[:, None], scale=1.0)[:, 0]


class TwoTokens(nn.Module):
    """Two patches (t, 1), t the patch's mean, one block; the scores are the two components, averaged over tokens.

    Everything can be done on paper.
    """

    def __init__(self) -> None:
        super().__init__()
        self.block = Attend()

    def forward(self, x: Tensor) -> Tensor:
        means = F.avg_pool2d(x, 2).flatten(1)
        return self.block(torch.stack([means, torch.ones_like(means)], 2)).mean(1)


@pytest.mark.parametrize("k", [0, 1])
def test_two_tokens_by_hand(k: int) -> None:
    first, second = 0.5, -1.0
    x = torch.tensor([[[[first, first, second, second]] * 2]])
    tokens = np.array([[first, 1.0], [second, 1.0]])
    # keys are the tokens: the logits are their products
    logits = np.array([[first * first + 1, first * second + 1], [second * first + 1, second * second + 1]])
    weights = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    net = TwoTokens().eval()
    found = {
        name: seewhy.explain(net, x, method=name, target=k).values
        for name in ("attention-rollout", "gradient-attention", "le-grad")
    }
    # both tokens are read out: the mean row of (A + I) / 2
    assert found["attention-rollout"][0] == pytest.approx((weights + np.eye(2)).mean(0) / 2)
    # S_k = mean_i (t_ik + sum_j A_ij t_jk), so dS_k/dA_ij = t_jk / 2
    gradient = np.array([tokens[:, k], tokens[:, k]]) / 2
    assert found["gradient-attention"][0] == pytest.approx(np.maximum(gradient * weights, 0).mean(0))
    assert found["le-grad"][0] == pytest.approx(np.maximum(gradient, 0).mean(0))
    if k == 0:  # the second patch lowers the score
        assert found["gradient-attention"][0, 1] == found["le-grad"][0, 1] == 0
        assert found["attention-rollout"][0, 1] > 0.2


def _seen(call: object) -> list[Tensor]:
    watch = AttentionWatch()
    with Interceptor([watch.handlers]):
        call()  # type: ignore[operator]
    return watch.weights


@pytest.mark.parametrize("mask", ["none", "boolean", "additive", "causal"])
def test_fused_attention_is_unchanged_and_seen(mask: str) -> None:
    torch.manual_seed(0)
    q, k, v = torch.randn(3, 2, 4, 5, 6).double().unbind()
    hidden = torch.rand(5, 5) > 0.6
    hidden.fill_diagonal_(False)
    options: dict[str, object] = {
        "none": {}, "boolean": {"attn_mask": ~hidden}, "additive": {"attn_mask": torch.randn(5, 5).double()},
        "causal": {"is_causal": True},
    }[mask]  # fmt: skip
    expected = F.scaled_dot_product_attention(q, k, v, **options)
    out: list[Tensor] = []
    (weights,) = _seen(lambda: out.append(F.scaled_dot_product_attention(q, k, v, **options)))
    torch.testing.assert_close(out[0], expected)
    torch.testing.assert_close(weights @ v, expected)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2, 4, 5).double())


def test_grouped_queries() -> None:
    q, k, v = torch.randn(1, 4, 3, 2), torch.randn(1, 2, 3, 2), torch.randn(1, 2, 3, 2)
    expected = F.scaled_dot_product_attention(q, k, v, enable_gqa=True)
    out: list[Tensor] = []
    _seen(lambda: out.append(F.scaled_dot_product_attention(q, k, v, enable_gqa=True)))
    torch.testing.assert_close(out[0], expected)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("average", [False, True])
def test_multi_head_attention_is_unchanged_and_seen(masked: bool, bias: bool, average: bool) -> None:
    torch.manual_seed(0)
    part = nn.MultiheadAttention(6, 3, bias=bias, batch_first=True).double().eval()
    x = torch.randn(2, 5, 6).double()
    mask = torch.triu(torch.ones(5, 5, dtype=torch.bool), 1) if masked else None
    expected = part(x, x, x, attn_mask=mask, average_attn_weights=average)
    out: list[tuple[Tensor, Tensor]] = []
    (weights,) = _seen(lambda: out.append(part(x, x, x, attn_mask=mask, average_attn_weights=average)))
    torch.testing.assert_close(out[0][0], expected[0])
    torch.testing.assert_close(out[0][1], expected[1])
    torch.testing.assert_close(weights.mean(1) if average else weights, expected[1])


def test_explicit_softmax_is_seen_and_others_are_not() -> None:
    a = torch.randn(1, 2, 3, 3)
    assert len(_seen(lambda: a.softmax(-1))) == 1
    assert len(_seen(lambda: torch.softmax(a, dim=3))) == 1
    assert len(_seen(lambda: F.softmax(a, 1))) == 0  # scores of a segmentation
    assert len(_seen(lambda: F.softmax(a[0, 0], -1))) == 0  # class scores


def test_what_cannot_be_followed() -> None:
    with pytest.raises(CapabilityError, match=r"no transformer.*grad-cam"):
        check([], 1)
    with pytest.raises(CapabilityError, match="within windows"):
        check([torch.zeros(4, 2, 3, 3)], 1)
    with pytest.raises(CapabilityError, match="tokens change"):
        check([torch.zeros(1, 2, 9, 9), torch.zeros(1, 2, 4, 4)], 1)
    check([torch.zeros(1, 2, 9, 9), torch.zeros(1, 2, 1, 9)], 1)  # a pooling head
    with pytest.raises(CapabilityError, match="blocks"):
        blocks(AttentionWatch([torch.zeros(1, 1, 5, 5)], [0]), [Seen("a", "Conv2d", (1, 5, 4, 4), (0, 0))], 1)


@pytest.mark.parametrize("name", ["attention-rollout", "gradient-attention", "le-grad"])
def test_a_network_without_attention_is_refused(name: str) -> None:
    with pytest.raises(CapabilityError, match="no attention"):
        seewhy.explain_all(make("conv-bn-relu").net, image(), method=name)


class PoolingHead(nn.Module):
    """Tokens read out by a learned query, as in SigLIP's attention pooling."""

    def __init__(self) -> None:
        super().__init__()
        inner = Transformer([FusedAttention(6, 2), MultiHead(6, 2)], prefix=0, pooled=True)
        self.patches, self.blocks, self.head = inner.patches, inner.blocks, inner.head
        self.query = nn.Parameter(torch.randn(1, 1, 1, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.patches(x).flatten(2).transpose(1, 2))[:, None]
        return self.head(F.scaled_dot_product_attention(self.query.expand(len(x), -1, -1, -1), x, x)[:, 0, 0])


@pytest.mark.parametrize("name", ["attention-rollout", "gradient-attention"])
def test_a_pooling_head_reads_the_tokens(name: str) -> None:
    torch.manual_seed(0)
    found = seewhy.explain(PoolingHead().eval(), torch.randn(1, 3, 8, 12), method=name, target=1)
    assert found.values.shape == (4, 6)
    assert found.values.min() >= 0
    assert found.values.max() > 0
    if name == "attention-rollout":
        assert found.values.sum() == pytest.approx(1)


def test_le_grad_uses_each_blocks_own_score() -> None:
    """The first block's gradient is not that of the final score, which a shortcut would take."""
    case, x = make("tokens", 3), image(3, batch=1)
    found = seewhy.explain(case.net, x, method="le-grad", target=1)
    assert (found.cost.forwards, found.cost.backwards) == (3, 2)
    assert math.isfinite(found.values.max())
