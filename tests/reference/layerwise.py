"""Backward passes by hand: takes a tree of plain layers, gives gradients under a rule and every implicit bias; never
asks autograd.

Each layer's forward and backward are written out; rectifiers follow the rule. Used for guided backpropagation,
DeconvNet and FullGrad, whose values no autograd call gives.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from networks import Residual

__all__ = ["Walk", "walk"]


@dataclass
class Walk:
    """``outputs[i]`` is the gradient at the output of child ``i``, ``input`` the one at the image [1, C, H, W].

    ``biases`` holds gradient x implicit bias of each function, summed over channels: [h, w], or a number where there
    are no positions.
    """

    input: Tensor
    outputs: dict[str, Tensor] = field(default_factory=dict)
    biases: list[Tensor] = field(default_factory=list)


def walk(net: nn.Sequential, x: Tensor, k: int, rule: str = "none") -> Walk:
    """Forward, then back from logit ``k`` to the image."""
    inputs = [x]
    for part in net:
        inputs.append(_forward(part, inputs[-1]))
    gradient = torch.zeros_like(inputs[-1])
    gradient[0, k] = 1
    found = Walk(gradient)
    for (name, part), z in reversed(list(zip(net.named_children(), inputs[:-1], strict=True))):
        found.outputs[name] = gradient
        gradient = _backward(part, z, gradient, rule, found.biases)
    found.input = gradient
    return found


def _forward(part: nn.Module, z: Tensor) -> Tensor:
    if isinstance(part, nn.Sequential):
        for child in part:
            z = _forward(child, z)
        return z
    if isinstance(part, Residual):
        return (_forward(part.body, z) + z).clamp(min=0)
    if _is_rectifier(part):
        return _value(part, z)
    with torch.no_grad():
        return part(z)


def _backward(part: nn.Module, z: Tensor, g: Tensor, rule: str, biases: list[Tensor]) -> Tensor:
    if isinstance(part, nn.Sequential):
        inputs = [z]
        for child in part:
            inputs.append(_forward(child, inputs[-1]))
        for child, at in reversed(list(zip(part, inputs[:-1], strict=True))):
            g = _backward(child, at, g, rule, biases)
        return g
    if isinstance(part, Residual):
        g = _backward(part.act, _forward(part.body, z) + z, g, rule, biases)
        return g + _backward(part.body, z, g, rule, biases)
    if _is_rectifier(part):
        beyond = _value(part, z) - _slope(part, z) * z
        biases.append(_by_position(g * beyond))
        if rule == "deconvnet":
            return g.clamp(min=0)
        if rule == "guided":
            return _slope(part, z) * g.clamp(min=0) * (_value(part, z) > 0)
        return _slope(part, z) * g
    return _linear_backward(part, z, g, biases)


def _linear_backward(part: nn.Module, z: Tensor, g: Tensor, biases: list[Tensor]) -> Tensor:
    match part:
        case nn.Conv2d():
            if part.bias is not None:
                biases.append(_by_position(g * part.bias.detach()[None, :, None, None]))
            return _conv_backward(part, z, g)
        case nn.BatchNorm2d():
            scale = part.weight.detach() / (part.running_var + part.eps).sqrt()
            shift = part.bias.detach() - scale * part.running_mean
            biases.append(_by_position(g * shift[None, :, None, None]))
            return g * scale[None, :, None, None]
        case nn.Linear():
            if part.bias is not None:
                biases.append((g * part.bias.detach()).sum())
            return g @ part.weight.detach()
        case nn.Flatten():
            return g.reshape(z.shape)
        case nn.AdaptiveAvgPool2d():
            return (g / (z.shape[2] * z.shape[3])).expand_as(z)
        case nn.MaxPool2d():
            return _max_backward(part.kernel_size, z, g)
    raise NotImplementedError(type(part).__name__)


def _conv_backward(part: nn.Conv2d, z: Tensor, g: Tensor) -> Tensor:
    (stride, _), (padding, _), (size, _) = part.stride, part.padding, part.kernel_size
    padded = torch.zeros_like(F.pad(z, (padding,) * 4))
    weight = part.weight.detach()
    for o in range(g.shape[1]):
        for y in range(g.shape[2]):
            for x in range(g.shape[3]):
                top, left = y * stride, x * stride
                padded[0, :, top : top + size, left : left + size] += g[0, o, y, x] * weight[o]
    return padded[:, :, padding : padding + z.shape[2], padding : padding + z.shape[3]]


def _max_backward(size: int, z: Tensor, g: Tensor) -> Tensor:
    out = torch.zeros_like(z)
    for c in range(g.shape[1]):
        for y in range(g.shape[2]):
            for x in range(g.shape[3]):
                window = z[0, c, y * size : (y + 1) * size, x * size : (x + 1) * size]
                row, column = divmod(int(window.argmax()), size)
                out[0, c, y * size + row, x * size + column] += g[0, c, y, x]
    return out


def _is_rectifier(part: nn.Module) -> bool:
    return isinstance(part, nn.ReLU | nn.ReLU6 | nn.SiLU | nn.GELU)


def _value(part: nn.Module, z: Tensor) -> Tensor:
    match part:
        case nn.ReLU6():
            return z.clamp(0, 6)
        case nn.ReLU():
            return z.clamp(min=0)
        case nn.SiLU():
            return z / (1 + (-z).exp())
    return z * _normal(z)


def _slope(part: nn.Module, z: Tensor) -> Tensor:
    match part:
        case nn.ReLU6():
            return ((z > 0) & (z < 6)).to(z)
        case nn.ReLU():
            return (z > 0).to(z)
        case nn.SiLU():
            s = 1 / (1 + (-z).exp())
            return s * (1 + z * (1 - s))
    return _normal(z) + z * (-0.5 * z * z).exp() / math.sqrt(2 * math.pi)


def _normal(z: Tensor) -> Tensor:
    """The normal distribution function."""
    return 0.5 * (1 + torch.erf(z / math.sqrt(2)))


def _by_position(product: Tensor) -> Tensor:
    return product[0].sum(0) if product.ndim == 4 else product.sum()
