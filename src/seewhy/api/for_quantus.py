"""For Quantus: takes a network, images and classes as that library hands them over, gives maps as it takes them;
decides nothing about them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from seewhy.api.explaining import explain_all
from seewhy.api.trusting.references import at_input
from seewhy.errors import UsageError
from seewhy.models import Model

__all__ = ["explain_func"]

#: what Quantus adds of its own
_THEIRS = ("device",)


def explain_func(
    model: Model | nn.Module, inputs: NDArray[Any] | Tensor, targets: Sequence[int] | NDArray[Any], **asked: Any
) -> NDArray[np.float32]:
    """Maps for Quantus' metrics: give it as their ``explain_func``, unchanged.

    ``model`` is the network that is measured, ``inputs`` [B, C, *size] as it takes them, ``targets`` [B] a class for
    each; further arguments, by ``explain_func_kwargs``, are those of `seewhy.explain_all` (``method="grad-cam"``,
    ``layer=``, ``steps=``). Gives float32 [B, 1, *size]: signed maps of the inputs' size, channels summed. A model that
    is asked on another device than its own is not moved.

    Raises `UsageError` for several methods or layers, and what `seewhy.explain_all` raises.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.Flatten(), torch.nn.Linear(72, 2))
    >>> seewhy.explain_func(net, torch.rand(4, 3, 8, 8).numpy(), [0, 1, 1, 0], method="saliency").shape
    (4, 1, 8, 8)
    """
    x = torch.as_tensor(inputs)
    classes = [int(k) for k in np.asarray(targets).reshape(-1)]
    if len(classes) != len(x):
        raise UsageError(f"{len(classes)} targets for {len(x)} inputs: a class for each")
    ours = {name: value for name, value in asked.items() if name not in _THEIRS}
    made = explain_all(model, x, target=[[k] for k in classes] if len(x) > 1 else classes, **ours)
    if len(made) != len(x):
        raise UsageError(f"{len(made)} maps of {len(x)} inputs: name one method, and one layer at most")
    return np.stack([at_input(each).numpy()[None] for each in made]).astype(np.float32)
