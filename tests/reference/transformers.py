"""AttnLRP by hand: takes a probe of a small transformer, gives relevance [C, h, w] at the input and what its rules took
on the way; nothing asks autograd.

Tokens are rows. Linear layers and layer norms are matrices whose tables share relevance out (`reference.propagation`);
a softmax, a product of two matrices and a sum are loops over their elements, as the paper writes them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from networks import Block, FusedAttention, Transformer
from reference.probing import Probe
from reference.propagation import EPS, Table, _epsilon, _gamma, matrix

__all__ = ["Rules", "attn_lrp", "product_back", "softmax_back"]


@dataclass
class Rules:
    """The numbers of a call."""

    epsilon: float = EPS
    gamma: float = 0.25
    linear_gamma: float = 0.0
    held: bool = False

    @property
    def linear(self) -> Table:
        """The table of a linear layer."""
        return _gamma(self.linear_gamma) if self.linear_gamma else _epsilon(self.epsilon)


def attn_lrp(probe: Probe) -> np.ndarray:
    """The logit, shared out by AttnLRP, or by CP-LRP if the parameters say so."""
    given = {name: value for name, value in probe.parameters.items() if name != "composite"}
    rules, net = Rules(**given, held=probe.parameters["composite"] == "cp-lrp"), probe.net
    assert isinstance(net, Transformer)
    image = probe.x[0].numpy()
    weight, bias = matrix(net.patches, image, None)
    maps = weight @ image.reshape(-1) + bias  # [width, positions]
    tokens = np.concatenate([_array(net.special)[0], maps.reshape(net.norm.weight.numel(), -1).T])
    inputs = [tokens]
    for block in net.blocks:
        inputs.append(_block(block, inputs[-1])[-1])
    last = _normed(net.norm, inputs[-1])
    read = last[net.prefix :].mean(0) if net.pooled else last[0]
    score = _rows(net.head, read[None])[0]
    r = np.zeros_like(score)
    r[probe.k] = score[probe.k]
    r = _rows_back(net.head, read[None], r[None], rules.linear)[0]
    whole = np.zeros_like(last)
    if net.pooled:
        for n in range(net.prefix, len(last)):
            for c in range(last.shape[1]):
                whole[n, c] = last[n, c] / (len(last) - net.prefix) * r[c] / _stable(read[c], rules.epsilon)
    else:
        whole[0] = r
    r = _norm_back(net.norm, inputs[-1], whole, rules)
    for block, at in reversed(list(zip(net.blocks, inputs[:-1], strict=True))):
        r = _block_back(block, at, r, rules)
    table = _gamma(rules.gamma) if rules.gamma else _epsilon(rules.epsilon)
    return (r[net.prefix :].T.reshape(-1) @ table(weight, bias, image.reshape(-1))).reshape(image.shape)


def _block(block: Block, x: np.ndarray) -> list[np.ndarray]:
    """x, the attention's output, their sum, the second branch's inner values, its output, the sum."""
    attended = _attention(block.attn, _normed(block.norm1, x))["out"]
    middle = x + attended
    up = _rows(block.mlp[0], _normed(block.norm2, middle))
    curved = np.vectorize(lambda z: z * 0.5 * (1 + math.erf(z / math.sqrt(2))))(up)
    down = _rows(block.mlp[2], curved)
    return [x, attended, middle, curved, down, middle + down]


def _block_back(block: Block, x: np.ndarray, r: np.ndarray, rules: Rules) -> np.ndarray:
    _, attended, middle, curved, down, _ = _block(block, x)
    straight, branch = _sum_back(middle, down, r, rules)
    normed = _normed(block.norm2, middle)
    branch = _rows_back(block.mlp[2], curved, branch, rules.linear)
    branch = _rows_back(block.mlp[0], normed, branch, rules.linear)  # GELU passes on what it is given
    straight, branch = _sum_back(x, attended, straight + _norm_back(block.norm2, middle, branch, rules), rules)
    branch = _attention_back(block.attn, _normed(block.norm1, x), branch, rules)
    return straight + _norm_back(block.norm1, x, branch, rules)


def _parts(part: nn.Module) -> tuple[np.ndarray, np.ndarray, nn.Linear]:
    """The weight and bias that make queries, keys and values, and the layer behind."""
    if isinstance(part, FusedAttention):
        return _array(part.qkv.weight), _array(part.qkv.bias), part.proj
    return _array(part.in_proj_weight), _array(part.in_proj_bias), part.out_proj


def _attention(part: Any, x: np.ndarray) -> dict[str, Any]:
    weight, bias, last = _parts(part)
    qkv = (x @ weight.T + bias).reshape(len(x), 3, part.heads, -1)
    heads = []
    for h in range(part.heads):
        q, k, v = qkv[:, 0, h], qkv[:, 1, h], qkv[:, 2, h]
        logits = q @ k.T / math.sqrt(q.shape[1])
        weights = np.exp(logits - logits.max(1, keepdims=True))
        weights /= weights.sum(1, keepdims=True)
        heads.append((q, k, v, logits, weights))
    mixed = np.concatenate([weights @ v for *_, v, _, weights in heads], 1)
    return {"heads": heads, "mixed": mixed, "out": _rows(last, mixed)}


def _attention_back(part: Any, x: np.ndarray, r: np.ndarray, rules: Rules) -> np.ndarray:
    weight, bias, last = _parts(part)
    met = _attention(part, x)
    r = _rows_back(last, met["mixed"], r, rules.linear).reshape(len(x), part.heads, -1)
    before = np.zeros((len(x), 3, part.heads, r.shape[2]))
    for h, (q, k, v, logits, weights) in enumerate(met["heads"]):
        at_weights, before[:, 2, h] = product_back(weights, v, r[:, h], rules.epsilon, rules.held)
        at_logits = np.stack([softmax_back(row, back) for row, back in zip(logits, at_weights, strict=True)])
        at_q, at_k = product_back(q, k.T, at_logits, rules.epsilon)  # the scale passes
        before[:, 0, h], before[:, 1, h] = at_q, at_k.T
    shares = [rules.linear(weight, bias, row) for row in x]
    return np.stack([row.reshape(-1) @ share for row, share in zip(before, shares, strict=True)])


def product_back(
    a: np.ndarray, b: np.ndarray, r: np.ndarray, epsilon: float, held: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """z = a b: R_ji = sum_p a_ji b_ip R_jp / (2 z_jp + epsilon) and its like; ``held``: a takes nothing."""
    at_a, at_b = np.zeros_like(a), np.zeros_like(b)
    for j in range(a.shape[0]):
        for p in range(b.shape[1]):
            z = sum(a[j, i] * b[i, p] for i in range(a.shape[1]))
            for i in range(a.shape[1]):
                share = a[j, i] * b[i, p] * r[j, p] / _stable(z if held else 2 * z, epsilon)
                at_a[j, i] += 0 if held else share
                at_b[i, p] += share
    return at_a, at_b


def softmax_back(x: np.ndarray, r: np.ndarray) -> np.ndarray:
    """x_i (R_i - s_i sum_j R_j)."""
    total = sum(math.exp(value) for value in x)
    return np.array([x[i] * (r[i] - math.exp(x[i]) / total * sum(r)) for i in range(len(x))])


def _norm_back(norm: nn.LayerNorm, x: np.ndarray, r: np.ndarray, rules: Rules) -> np.ndarray:
    """Each token's norm as the matrix w_j / sigma (1 at j = i, less 1 / E)."""
    out = np.zeros_like(x)
    for n, token in enumerate(x):
        sigma = math.sqrt(((token - token.mean()) ** 2).mean() + norm.eps)
        m = _array(norm.weight)[:, None] / sigma * (np.eye(len(token)) - 1 / len(token))
        out[n] = r[n] @ _epsilon(rules.epsilon)(m, _array(norm.bias), token)
    return out


def _sum_back(a: np.ndarray, b: np.ndarray, r: np.ndarray, rules: Rules) -> tuple[np.ndarray, np.ndarray]:
    ratio = np.vectorize(lambda share, z: share / _stable(z, rules.epsilon))(r, a + b)
    return a * ratio, b * ratio


def _rows(part: nn.Linear, x: np.ndarray) -> np.ndarray:
    return x @ _array(part.weight).T + _array(part.bias)


def _rows_back(part: nn.Linear, x: np.ndarray, r: np.ndarray, table: Table) -> np.ndarray:
    weight, bias = _array(part.weight), _array(part.bias)
    return np.stack([back @ table(weight, bias, row) for row, back in zip(x, r, strict=True)])


def _normed(norm: nn.LayerNorm, x: np.ndarray) -> np.ndarray:
    centred = x - x.mean(1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(1, keepdims=True) + norm.eps) * _array(norm.weight) + _array(norm.bias)


def _array(values: torch.Tensor) -> np.ndarray:
    return values.detach().numpy()


def _stable(z: float, epsilon: float) -> float:
    return z + (epsilon if z >= 0 else -epsilon)
