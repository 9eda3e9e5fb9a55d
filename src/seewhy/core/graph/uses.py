"""Uses: takes nothing, gives the name of what a prepared program is for; runs nothing."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Literal

__all__ = ["Recorded", "Use"]

#: which part of the network gradients are asked of: none, what follows the taps, all of it
Recorded = Literal["none", "after", "all"]


@dataclass(frozen=True)
class Use:
    """What a program is for: the layers it shows, what gradients are asked of, whether activation functions have to be
    seen one by one, whether of one image (a batch of one can take another way through a network), and the ``windows``
    outside of which the inputs are one and the same image, by name."""

    layers: tuple[str, ...]
    recorded: Recorded
    rules: bool
    single: bool
    windows: Hashable = None

    def __str__(self) -> str:
        if self.windows is not None:
            return "scores, of what changes in a window"
        what = {"none": "scores", "after": "gradients at layers", "all": "gradients at the input"}[self.recorded]
        about = [*self.layers, *(["rules"] if self.rules else []), "one image" if self.single else "several images"]
        return f"{what} ({', '.join(about)})"
