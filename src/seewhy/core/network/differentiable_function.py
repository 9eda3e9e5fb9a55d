"""Functions of torch: takes a function that torch can differentiate, gives it as a module, for methods that ask for
gradients; has no layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

__all__ = ["DifferentiableFunction"]


class DifferentiableFunction(nn.Module):
    """A function from tensors to tensors that keeps their graph."""

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function

    def forward(self, *given: Any, **named: Any) -> Any:
        """What the function gives."""
        return self._function(*given, **named)
