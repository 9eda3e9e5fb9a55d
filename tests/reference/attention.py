"""Attention methods: takes a probe of a `networks.Transformer`, runs it by hand, gives [h, w] on the patches' grid."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from networks import Block, MultiHead, Transformer
from reference.probing import Probe

__all__ = ["attention_maps", "attention_rollout", "gradient_attention", "le_grad"]


def _attend(block: Block, x: Tensor) -> tuple[Tensor, Tensor]:
    """One image's tokens [N, E] through a block: (tokens, weights [heads, N, N]), head by head."""
    part = block.attn
    if isinstance(part, MultiHead):
        weight, bias, out = part.in_proj_weight, part.in_proj_bias, part.out_proj
    else:
        weight, bias, out = part.qkv.weight, part.qkv.bias, part.proj
    normed = block.norm1(x)
    width = normed.shape[1]
    q, k, v = (normed @ weight[i * width : (i + 1) * width].T + bias[i * width : (i + 1) * width] for i in range(3))
    size = width // part.heads
    weights, mixed = [], []
    for head in range(part.heads):
        mine = slice(head * size, (head + 1) * size)
        logits = torch.stack([torch.stack([q[i, mine] @ k[j, mine] for j in range(len(x))]) for i in range(len(x))])
        exponents = (logits / size**0.5 - (logits / size**0.5).max()).exp()
        weights.append(exponents / exponents.sum(1, keepdim=True))
    stacked = torch.stack(weights)
    for head in range(part.heads):
        mixed.append(stacked[head] @ v[:, head * size : (head + 1) * size])
    x = x + torch.cat(mixed, 1) @ out.weight.T + out.bias
    return x + block.mlp(block.norm2(x)), stacked


def _head(net: Transformer, x: Tensor, k: int) -> Tensor:
    tokens = net.norm(x)
    return net.head(tokens[net.prefix :].mean(0) if net.pooled else tokens[0])[k]


def _walk(probe: Probe) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
    """Weights of every block, and the gradients at them of the final score and of the block's own score."""
    net = probe.net
    assert isinstance(net, Transformer)
    x = torch.cat([net.special[0], net.patches(probe.x)[0].flatten(1).T])
    weights, after = [], []
    for block in net.blocks:
        x, attention = _attend(block, x)
        weights.append(attention)
        after.append(x)
    final = torch.autograd.grad(_head(net, x, probe.k), weights, retain_graph=True)
    own = [
        torch.autograd.grad(_head(net, tokens, probe.k), attention, retain_graph=True)[0]
        for tokens, attention in zip(after, weights, strict=True)
    ]
    return [w.detach() for w in weights], list(final), own


def _patches(probe: Probe, row: np.ndarray) -> np.ndarray:
    side = probe.x.shape[2] // 2
    return row[probe.net.prefix :].reshape(side, side)


def _rows(probe: Probe, relevance: np.ndarray) -> np.ndarray:
    """The class token's row, or the mean of the patches' rows."""
    return relevance[probe.net.prefix :].mean(0) if probe.net.pooled else relevance[0]


def attention_maps(probe: Probe) -> np.ndarray:
    """The row of every head of a layer, [heads, h, w]."""
    weights = _walk(probe)[0][probe.parameters["layer"]]
    return np.stack([_patches(probe, _rows(probe, head.numpy())) for head in weights])


def attention_rollout(probe: Probe) -> np.ndarray:
    """The product of (mean over heads + identity) / 2, later blocks on the left."""
    join = {"mean": np.mean, "max": np.max, "min": np.min}[probe.parameters.get("heads", "mean")]
    weights, _, _ = _walk(probe)
    total = np.eye(len(weights[0][0]))
    for attention in weights:
        mixed = join(attention.numpy(), axis=0) + np.eye(len(total))
        total = np.stack([row / row.sum() for row in mixed]) @ total
    return _patches(probe, _rows(probe, total))


def gradient_attention(probe: Probe) -> np.ndarray:
    """R = R + mean_h max(g A, 0) R; the identity that R starts from is no evidence."""
    weights, gradients, _ = _walk(probe)
    total = np.eye(len(weights[0][0]))
    for attention, gradient in zip(weights, gradients, strict=True):
        total = total + np.maximum(attention.numpy() * gradient.numpy(), 0).mean(0) @ total
    return _patches(probe, _rows(probe, total - np.eye(len(total))))


def le_grad(probe: Probe) -> np.ndarray:
    """Mean over blocks of the mean over heads and queries of the positive gradient of the block's own score."""
    _, _, own = _walk(probe)
    return _patches(probe, np.mean([np.maximum(g.numpy(), 0).mean(0).mean(0) for g in own], axis=0))
