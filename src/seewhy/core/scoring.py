"""Scores alone: takes a network, a batch and a target, gives every sample's score; records no gradient."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.core.batching import Budget, in_chunks
from seewhy.core.forwards import run_forward
from seewhy.core.layers import find_place
from seewhy.core.network import Network
from seewhy.core.passes import Request
from seewhy.core.targets import Target

__all__ = ["score_batch"]


def score_batch(network: Network, x: Tensor, target: Target, memory: int | None = None) -> Tensor:
    """The target's value for every sample of ``x`` [B, C, *size], [B], in chunks that fit into ``memory`` bytes."""
    places = {name: find_place(network.module, name) for name in target.layers}
    request = Request(places, gradients=False)
    with network.borrowed() as call:

        def work(start: int, stop: int) -> Tensor:
            return run_forward(network, call, x[start:stop], request).scores([target] * (stop - start)).detach()

        return torch.cat([found for _, _, found in in_chunks(len(x), work, Budget(memory), recorded=False)])
