"""Answers from one open forward: takes a job's ask, gives tensors; streams are answered elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from seewhy.core import asks
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.result import Forward
from seewhy.core.forward.session import Session
from seewhy.core.forward.settings import Settings
from seewhy.core.intercept.head import Linear
from seewhy.core.memory_budget import chunks
from seewhy.core.network.borrowed import Network
from seewhy.core.network.one_by_one import one_by_one
from seewhy.core.network.places import INPUT, find_place
from seewhy.core.targets import Target
from seewhy.errors import CapabilityError

__all__ = [
    "GradientKey",
    "answer",
    "bias_maps",
    "gradients_at",
    "head_weights",
    "hessian_product",
    "last_linear",
    "proven_head",
    "score_batch",
]


@dataclass(frozen=True)
class GradientKey:
    """What makes two gradients one backward pass: the targets and the rule."""

    targets: tuple[Target, ...]
    rule: str


def answer(forward: Forward, ask: asks.Ask, place: str, targets: Sequence[Target], keep: bool) -> Tensor:
    """The answer to an ask that needs no backward pass; detached unless ``keep``."""
    match ask:
        case asks.Input():
            value = forward.leaf
        case asks.Activation():
            value = forward.activation(ask.place or place)
        case asks.Logits():
            value = forward.outputs.logits
        case asks.Score():
            value = forward.scores(ask.targets or targets)
        case _:
            raise CapabilityError(f"nothing answers {type(ask).__name__} on a single forward")
    return value if keep else value.detach()


def gradients_at(
    forward: Forward, key: GradientKey, places: Iterable[str], *, keep: bool, last: bool = False
) -> dict[str, tuple[Tensor, bool]]:
    """Canonical gradients at ``places`` from one backward, each with whether the score depended on the place at all;
    after the ``last`` there can be no other."""
    names = list(dict.fromkeys(places))
    raws = [forward.raw(name) for name in names]
    sources = [forward.source(name) for name in names]
    grads = forward.gradients(forward.scores(key.targets), sources, key.rule, graph=keep, last=last)
    by_place = {}
    for name, raw, grad in zip(names, raws, grads, strict=True):
        value = torch.zeros_like(raw) if grad is None else grad
        value = forward.layout(name).canonical(value)
        by_place[name] = (value if keep else value.detach(), grad is not None)
    return by_place


def hessian_product(forward: Forward, place: str, targets: Sequence[Target], keep: bool) -> Tensor:
    """H A at ``place``, canonical: a second backward through the first, with the activation A as direction."""
    raw = forward.raw(place)
    source = forward.source(place)
    (grad,) = forward.gradients(forward.scores(targets), [source], graph=True)
    if grad is None or not grad.requires_grad:
        return forward.layout(place).canonical(torch.zeros_like(raw)).detach()
    direction = raw if keep else raw.detach()
    (product,) = torch.autograd.grad(grad, source, direction, retain_graph=True, allow_unused=True, create_graph=keep)
    value = forward.layout(place).canonical(torch.zeros_like(raw) if product is None else product)
    return value if keep else value.detach()


def proven_head(forward: Forward, ask: asks.HeadWeights, place: str, targets: Sequence[Target]) -> Linear | None:
    """The linear layer that reads the mean of ``place`` over positions and gives the scores, proved on the actual
    values.

    None, or `CapabilityError` where the ask requires it, for any other tail.
    """
    if not (ask.required or forward.scores(targets).requires_grad):
        return None  # its weights are read off a gradient, and none was recorded
    linear = last_linear(forward)
    problem = ""
    if place == INPUT:
        problem = "it was asked for at the input"
    elif linear is None:
        problem = "its scores do not come out of a linear layer"
    elif not _same(linear.features, forward.activation(place).flatten(2).mean(2)):
        problem = f"its linear layer does not read the mean of layer {place!r} over positions"
    elif not _linear_in(forward, linear.result, targets):
        problem = "the target is not a linear function of its scores"
    if problem and ask.required:
        raise CapabilityError(
            f"CAM needs global average pooling followed by one linear layer; {problem}. "
            "--method grad-cam is the same map there and works on any head"
        )
    return None if problem else linear


def last_linear(forward: Forward) -> Linear | None:
    """The linear layer that gives the scores; None where they come out of anything else."""
    return next((layer for layer in reversed(forward.linears) if _gives(layer, forward.outputs.logits)), None)


def _linear_in(forward: Forward, result: Tensor, targets: Sequence[Target]) -> bool:
    """Whether the targets are linear in ``result`` and read nothing else: then their gradient carries no graph."""
    score = forward.scores(targets)
    if not score.requires_grad:
        return True
    if any(target.layers for target in targets):
        return False
    (slope,) = forward.gradients(score, [result], graph=True)
    return slope is not None and not slope.requires_grad


def head_weights(forward: Forward, linear: Linear, targets: Sequence[Target], keep: bool) -> Tensor:
    """d score / d pooled channel, [B, C]: for a logit, its row of the linear layer's weights."""
    (weights,) = forward.gradients(forward.scores(targets), [linear.features], graph=keep)
    value = torch.zeros_like(linear.features) if weights is None else weights
    return value if keep else value.detach()


def _gives(linear: Linear, logits: Tensor) -> bool:
    return any(result is not None and _same(result, logits) for result in (linear.retyped, linear.result))


def _same(a: Tensor, b: Tensor) -> bool:
    """Equal up to 1e-4 of the largest value, or two roundings of the coarser type; NaN equals NaN, so that a broken
    network is not called another head."""
    if a.shape != b.shape:
        return False
    scale = float(b.detach().nan_to_num(0, 0, 0).abs().max())
    share = max([1e-4, *(2 * torch.finfo(tensor.dtype).eps for tensor in (a, b) if tensor.is_floating_point())])
    wide = torch.promote_types(a.dtype, b.dtype)
    return torch.allclose(a.detach().to(wide), b.detach().to(wide), rtol=0, atol=share * scale, equal_nan=True)


def bias_maps(forward: Forward, targets: Sequence[Target]) -> list[Tensor]:
    """gradient x implicit bias of every function that has one, summed over channels: [B, *positions] or [B]."""
    grads = forward.gradients(forward.scores(targets), [term.output for term in forward.biases])
    maps = []
    for term, grad in zip(forward.biases, grads, strict=True):
        if grad is None:
            continue
        product = (grad * term.bias).detach()
        layout = forward.layout_of(product.shape)
        known = layout.tokens or term.channel in (None, layout.channel)
        if known and len(layout.grid) == len(forward.size) and len(product) == forward.outputs.batch:
            maps.append(_by_position(product, forward))
        else:  # windows (image by image in the first axis), or rows without a grid: no place of their own
            maps.append(product.reshape(forward.outputs.batch, -1).sum(1))
    return maps


def _by_position(product: Tensor, forward: Forward) -> Tensor:
    layout = forward.layout_of(product.shape)
    summed = layout.canonical(product).sum(1)
    if layout.spare(product.shape):
        # tokens without a position: their part is spread over the grid
        rest = product.flatten(1).sum(1) - summed.flatten(1).sum(1)
        cells = summed[0].numel()
        summed = summed + (rest / cells).reshape(-1, *(1 for _ in summed.shape[1:]))
    return summed


def score_batch(
    network: Network,
    x: Tensor,
    target: Target,
    memory: int | None = None,
    reader: Callable[[Session, str, Sequence[int]], int] | None = None,
) -> Tensor:
    """The target's value for every sample of ``x`` [B, C, *size], [B], in chunks that fit into ``memory`` bytes;
    ``reader`` knows how layers are to be read, as `Session` has it."""
    places = {name: find_place(network.module, name) for name in target.layers}
    demand = Demand(places, gradients=False)
    with network.borrowed() as call:
        session = Session(network, call, x, Settings(memory=memory, alone=bool(one_by_one(network))), reader=reader)
        scores = []
        for chunk in chunks(len(x), session.settings.budget(), recorded=False):
            with chunk:
                some = x[chunk.start : chunk.stop]
                scores.append(session.run(some, demand).scores([target] * len(some)).detach())
        return torch.cat(scores)
