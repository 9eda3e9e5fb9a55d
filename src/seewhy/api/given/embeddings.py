"""Embeddings: takes a similarity to a picture, gives the similarity to what the model makes of it; runs the model
once."""

from __future__ import annotations

from dataclasses import replace

import torch

from seewhy.api.given.images import read_items
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.session import Session
from seewhy.core.layers.choice import read_layer
from seewhy.core.targets import Combination, Similarity, Target
from seewhy.errors import UsageError
from seewhy.models import Model

__all__ = ["embedded", "with_embeddings"]


def with_embeddings(model: Model, target: Target) -> Target:
    """``target`` with an embedding in the place of each picture that something is to be similar to."""
    if isinstance(target, Combination):
        return Combination(tuple((weight, with_embeddings(model, term)) for weight, term in target.terms))
    return embedded(model, target) if isinstance(target, Similarity) and target.pictured else target


def embedded(model: Model, target: Similarity) -> Similarity:
    """``target``, whose other one is a picture, with the model's vector [D] of that in its place.

    The picture becomes an input as any other does. Raises `UsageError` for several, `TargetError` for a model without
    such a vector, or with one that is 0 everywhere.
    """
    items, _ = read_items(model, target.other)
    if len(items) != 1:
        raise UsageError(f"Similarity is to one picture; {len(items)} were given: a target for each")
    network, item = model.network(), items[0]
    x = network.like(item.tensor[None])
    with network.borrowed() as call, torch.no_grad():
        session = Session(network, call, x, reader=read_layer)
        demand = Demand({name: session.find(name) for name in target.layers}, gradients=False)
        forward = session.run(x, demand)
        vector = target.vector(forward.outputs)[0].detach().clone()
    return replace(target, other=vector, name=target.name or item.name)
