"""Settings: how a call is to be run, as opposed to what; plain values."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from seewhy.core.memory_budget import Budget
from seewhy.core.network.layouts import Reshape

__all__ = ["Settings"]


@dataclass(frozen=True)
class Settings:
    """How to run, as opposed to what: nothing here changes a value beyond float tolerance, except ``reshape``."""

    reshape: Reshape | None = None
    differentiable: bool = False
    memory: int | None = None
    prepare: bool | str = "auto"
    progress: Callable[[str, int, int], None] = lambda what, done, total: None
    preview: Callable[[Tensor, int, int], None] = lambda values, step, steps: None
    #: why no program is to be used, whatever ``prepare`` says; '' where none is doubted
    doubt: str = ""
    #: whether every sample goes through the network by itself
    alone: bool = False
    #: whether a softmax or sigmoid that ends the network is left where it is, and its output explained as it is given
    as_given: bool = False

    def budget(self, most: int = 32, first: int = 4) -> Budget:
        """How many samples go together: at most ``most``, ``first`` of them before it is known what each takes."""
        return Budget(self.memory, 1, 1) if self.alone else Budget(self.memory, most, first)
