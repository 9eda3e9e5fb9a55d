"""Looking inside, what its functions share: takes what was asked and what a layer put out, checks it; draws nothing."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from seewhy.api.given.images import own_layout
from seewhy.api.listing import layers
from seewhy.core.network.places import INPUT
from seewhy.errors import CapabilityError, UsageError
from seewhy.models import Model

__all__ = ["check_count", "check_grid", "check_word"]


def check_grid(model: Model, x: Tensor, method: str, place: str, shape: tuple[int, ...]) -> None:
    """Refuse an activation of ``shape`` [B, C, *positions] that is no grid of pictures, naming a layer that is."""
    if len(shape) == 4:
        return
    better = next(
        (
            layer.name
            for layer in layers(model, own_layout(model, x[:1]))
            if layer.chosen and len(layer.grid or ()) == 2
        ),
        None,
    )
    where = "the input" if place == INPUT else f"layer {place!r}"
    hint = f"take {better!r} (layer={better!r})" if better else "this model has no layer that does"
    raise CapabilityError(
        f"{method} draws grids of two axes; {where} puts out {'×'.join(map(str, shape[1:]))} an image: {hint}"
    )


def check_count(name: str, value: Any) -> int:
    """A whole number from 1."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise UsageError(f"{name}={value!r}: a whole number, at least 1, e.g. {name}=16")
    return value


def check_word(name: str, value: Any, known: tuple[str, ...]) -> str:
    """One of ``known``."""
    if value not in known:
        raise UsageError(f"{name}={value!r}: one of {', '.join(map(repr, known))}")
    return str(value)
