"""Random numbers: takes nothing, tells where the generators that a forward may draw from stand; never moves them."""

from __future__ import annotations

import random
from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["drawn_from_torch", "drawn_outside"]


def drawn_outside() -> Hashable:
    """Where the generators of Python and numpy stand."""
    state: Any = np.random.get_state()
    return random.getstate(), state[1].tobytes(), state[2]


def drawn_from_torch(x: Tensor) -> list[Tensor]:
    """Where torch's own generators stand, on the CPU and where ``x`` is."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(x.device)] if x.is_cuda else [])]
