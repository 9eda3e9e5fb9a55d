"""zennit: takes a question, gives its gradients, plain or with its guided ReLUs; computes nothing of ours."""

from __future__ import annotations

import copy
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seewhy.api.bench.peers import Asked
from seewhy.api.bench.racing import Contestant

__all__ = ["LIBRARY", "PACKAGE", "contestants"]

LIBRARY, PACKAGE = "zennit", "zennit"


def contestants(asked: Asked) -> list[Contestant]:
    """Saliency and guided backpropagation. Raises `ImportError` where zennit is not installed."""
    if asked.method not in ("saliency", "guided-backprop"):
        return []
    attribution, composites = import_module("zennit.attribution"), import_module("zennit.composites")
    guided = asked.method == "guided-backprop"
    module = _out_of_place(asked.module) if guided else asked.module

    def start(out: Tensor) -> Tensor:
        rows = torch.zeros_like(out)
        rows[range(len(out)), list(asked.target)] = 1
        return rows

    def run() -> NDArray[Any]:
        composite = composites.GuidedBackprop() if guided else None
        with attribution.Gradient(module, composite, attr_output=start) as attributor:
            gradient = attributor(asked.x.clone().requires_grad_())[1]
        return np.asarray(gradient.detach().cpu().numpy())

    return [Contestant(LIBRARY, run)]


def _out_of_place(module: nn.Module) -> nn.Module:
    """A copy whose activations change nothing in place: zennit's hooks wrap a module's input and output in functions
    whose results may not be written to."""
    copied = copy.deepcopy(module)
    for part in copied.modules():
        if getattr(part, "inplace", False) is True:
            part.inplace = False  # type: ignore[assignment]  # whatever has the flag takes a bool
    return copied
