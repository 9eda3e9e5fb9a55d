"""What a person asks of a command that explains, whatever the images: one frozen `Request`, made once, of Python's
arguments or of words that were typed; checked by whoever plans it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import Tensor

from seewhy.api.asked.noise import Noise
from seewhy.core.forward.settings import Settings

__all__ = ["Request"]


@dataclass(frozen=True, kw_only=True)
class Request:
    """The arguments of `seewhy.explain`, under the same names; None is each method's own default.

    ``output`` asks methods that explain the mean of each layer for the map of the output itself as well, last, where
    the network has one. ``trust`` asks for a card for each map, ``cache`` whether what was found out about a method on
    this model may be kept in a file. ``parameters`` are the methods' own, ``settings`` say how to run, not what.
    """

    method: str | Sequence[str] = "grad-cam"
    target: Any = None
    layer: Any = None
    contrast: int | str | None = None
    fuse: str | None = None
    reduce: str | None = None
    backward_rule: str = "none"
    baseline: Any = None
    fill: Any = None
    segments: Any = None
    references: Any = None
    bounds: Any = None
    noise: Noise | None = None
    output: bool = False
    trust: bool = False
    cache: bool = True
    parameters: Mapping[str, Any] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)

    def about(self, indices: Sequence[int], count: int, ndim: int, own: int) -> Request:
        """The same for some of ``count`` images, inputs [B, C, *size] of ``ndim`` axes, of ``own`` as the network has
        them: of what was given for each image by itself, their rows."""

        def rows(value: Any, axes: int) -> Any:
            own = isinstance(value, Tensor | np.ndarray) and value.ndim == axes and len(value) == count
            return value[list(indices)] if own else value

        return replace(
            self,
            baseline=rows(self.baseline, own),
            fill=rows(self.fill, own),
            segments=rows(self.segments, ndim - 1),
        )
