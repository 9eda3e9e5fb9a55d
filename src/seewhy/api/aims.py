"""Aims: takes words or targets, gives what a feature visualisation makes as strong as possible; runs no network."""

from __future__ import annotations

from typing import Any

from seewhy.core import targets as t
from seewhy.core.network.borrowed import Network
from seewhy.core.network.places import find_place, function_of, split_name
from seewhy.errors import UnknownName, UsageError
from seewhy.models import Model

__all__ = ["aim"]


def aim(model: Model, network: Network, what: Any) -> t.Target:
    """The target that ``what`` means.

    A number or a label is a class. ``LAYER`` is a whole layer (the mean of its squares, as DeepDream has it),
    ``LAYER:CHANNEL`` one channel's mean, ``LAYER:CHANNEL:Y,X`` one neuron. A `Target` is itself. Raises `UnknownName`
    for a word that is neither, `UsageError` for numbers that cannot be read.

    >>> import torch
    >>> from seewhy.models import wrap
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
    >>> aim(wrap(net), Network(net), "0:2").describe()
    '0[2]'
    """
    if isinstance(what, t.Target):
        return what
    if isinstance(what, int) and not isinstance(what, bool):
        return t.Logit(what)
    if not isinstance(what, str):
        raise UsageError(f"{what!r:.60} is no class, layer or target; give a label, a number, or 'LAYER:CHANNEL'")
    layer, colon, rest = what.partition(":")
    layers = {name for name, _ in network.module.named_modules(remove_duplicate=False) if name}
    owner, element, *_ = split_name(layer)
    if (owner in layers or function_of(element)) and not (what.isdigit() and model.labels is not None):
        find_place(network.module, layer, model.spec)
        return _inside(layer, rest) if colon else t.LayerMean(layer, 2)
    try:
        return t.Logit(model.find_label(what))
    except UnknownName as error:
        if colon:
            find_place(network.module, layer, model.spec)  # says which layer is nearest
        raise UnknownName(
            "class or layer", what, [*(model.labels or ()), *layers], f"seewhy layers --model {model.spec or 'SPEC'}"
        ) from error


def _inside(layer: str, rest: str) -> t.Target:
    channel, _, place = rest.partition(":")
    try:
        position = tuple(int(n) for n in place.split(",")) if place else None
        return t.Neuron(layer, int(channel), position)
    except ValueError:
        raise UsageError(f"{layer}:{rest}: write LAYER:CHANNEL or LAYER:CHANNEL:Y,X, as in {layer}:3:4,4") from None
