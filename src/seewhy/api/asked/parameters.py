"""Parameters: takes keyword arguments, gives each method its own and the baseline as a tensor; runs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seewhy.api.asked.request import Request
from seewhy.api.given.images import channels_first, own_layout
from seewhy.core.perturb.fills import blurred, mean_colour
from seewhy.core.perturb.noise import fingerprint, gaussian
from seewhy.errors import UnknownName, UsageError
from seewhy.models import Model
from seewhy.registry import REDUCTIONS, Method

__all__ = ["BASELINES", "baseline_tensor", "reduce_channels", "split_parameters"]

#: the arguments of a request, and those that say how to run it
_ARGUMENTS = [field.name for field in fields(Request) if field.name not in ("parameters", "settings")]
_ARGUMENTS += ["reshape", "differentiable", "prepare", "memory", "progress"]

BASELINES = ("black", "white", "grey", "mean", "blur", "noise", "zero")

_COLOURS = {"black": (0.0, 0.0, 0.0), "white": (1.0, 1.0, 1.0), "grey": (0.5, 0.5, 0.5), "gray": (0.5, 0.5, 0.5)}


def split_parameters(methods: Sequence[Method], given: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every method's own parameters, defaults completed; raises `UnknownName` for one that no method takes."""
    for name in given:
        if not any(name in method.parameters for method in methods):
            if (argument := name.removesuffix("s")) in _ARGUMENTS:
                raise UsageError(f"{name}= is {argument}=, for several as for one: {argument}=[...]")
            known = sorted({p for method in methods for p in method.parameters}) + _ARGUMENTS
            where = f" of {', '.join(method.name for method in methods)}"
            raise UnknownName("parameter", name, known, f"seewhy methods {methods[0].name}", where)
    return [{name: given.get(name, default) for name, default in method.parameters.items()} for method in methods]


def baseline_tensor(model: Model, kind: Any, x: Tensor, seed: int, what: str = "baseline") -> tuple[Tensor, str]:
    """The reference input for a batch ``x`` [B, C, *size] of ``kind``, and its description.

    Colours are meant on the image, before normalisation; ``mean`` is each input's own mean colour, ``blur`` its
    Gaussian blur with a standard deviation of a tenth of its size, ``noise`` uniform over its range. A number or
    tensor is in input units. ``what`` is the parameter's name, for errors.
    """
    if isinstance(kind, Tensor | np.ndarray):
        value = torch.as_tensor(kind).to(x)
        try:  # the user gives it as the network has its inputs
            return channels_first(model, value.expand_as(own_layout(model, x))).clone(), "given"
        except RuntimeError:
            raise UsageError(f"{what} of shape {tuple(value.shape)} for inputs {tuple(x.shape)}") from None
    if isinstance(kind, int | float) and not isinstance(kind, bool):
        return torch.full_like(x, float(kind)), f"{kind:g}"
    if not isinstance(kind, str) or kind not in (*BASELINES, *_COLOURS):
        raise UnknownName(what, str(kind), BASELINES, f"one of {', '.join(BASELINES)}, a number or a tensor")
    return _named(model, kind, x, seed, what), kind


def _named(model: Model, kind: str, x: Tensor, seed: int, what: str) -> Tensor:
    ones = (1,) * (x.ndim - 2)
    if kind == "zero":
        return torch.zeros_like(x)
    if kind in _COLOURS:
        colour = model.colour_to_input(_COLOURS[kind])
        if colour is None:
            raise UsageError(
                f"{what}={kind!r} is a colour before normalisation, which this model's preprocessing does not tell; "
                f"give a number in input units, e.g. {what}=0.0, or wrap the model with a seewhy Preprocess"
            )
        if len(colour) != x.shape[1]:
            raise UsageError(
                f"{what}={kind!r} is a colour of {len(colour)} channels, and an input has {x.shape[1]}; give a number "
                f"in input units, e.g. {what}=0.0, for several inputs by name"
            )
        return colour.to(x).reshape(1, -1, *ones).expand_as(x).clone()
    if kind == "mean":
        return mean_colour(x).clone()
    if kind == "noise":
        keys = [(key, 0) for key in fingerprint(x)]
        normal = gaussian(keys, tuple(x.shape[1:]), family="baseline", seed=seed).to(x)
        low, high = x.flatten(1).amin(1), x.flatten(1).amax(1)
        uniform: Tensor = torch.special.ndtr(normal)
        return low.reshape(-1, 1, *ones) + (high - low).reshape(-1, 1, *ones) * uniform
    return blurred(x)


def reduce_channels(values: Tensor, how: str) -> Tensor:
    """[B, C, ...] to [B, ...] by ``how``; ``none`` keeps the channels."""
    if how == "none":
        return values
    if how == "max-abs":
        return values.abs().amax(1)
    if how == "sum":
        return values.sum(1)
    if how == "l2":
        return values.square().sum(1).sqrt()
    if how == "sum-abs":
        return values.abs().sum(1)
    raise UnknownName("reduction", how, REDUCTIONS, f"one of {', '.join(REDUCTIONS)}")
