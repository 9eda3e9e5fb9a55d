"""Takes what builds a network, gives it without the random values that a file's would replace; proves that none of them
is left, or draws them after all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from seewhy.models._scheme import untrained

__all__ = ["undrawn"]

M = TypeVar("M", bound=nn.Module)

#: what fills a tensor with random numbers: the two that all of torch's ways of drawing weights end in, and those of
#: torch.nn.init that say themselves to a mode that they are called
_DRAWS: frozenset[Any] = frozenset(
    (Tensor.normal_, Tensor.uniform_, nn.init.normal_, nn.init.uniform_, nn.init.kaiming_uniform_)
)


class _Undrawn(TorchFunctionMode):
    """Leaves tensors as they are that would be drawn; what is drawn in another way is drawn."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = kwargs or {}
        if func in _DRAWS and given.get("generator") is None:
            return args[0] if args else given["tensor"]
        return func(*args, **given)


def undrawn(build: Callable[[], M]) -> M:
    """What ``build`` makes, for somebody who replaces every value in its state dict: `untrained`, but for those values.

    Drawing them takes longer than reading them. It is left out if the state dict has every tensor of the network, so
    that nothing made of them stays, and if nothing else is drawn, which would have come out differently.
    """
    try:
        module, drew = untrained(lambda: _built(build))
    except Exception:  # whatever a constructor makes of values that are none: with drawn ones it says what is wrong
        return untrained(build)
    return untrained(build) if drew or _besides(module) else module


def _built(build: Callable[[], M]) -> tuple[M, bool]:
    """The network, and whether anything was drawn."""
    before = torch.default_generator.get_state()
    with _Undrawn():
        module = build()
    return module, not torch.equal(before, torch.default_generator.get_state())


def _besides(module: nn.Module) -> bool:
    """Whether parts keep tensors that a state dict does not have."""
    stated = {id(value) for value in module.state_dict(keep_vars=True).values()}
    kept = [value for part in module.modules() for value in (*vars(part).values(), *part.buffers(recurse=False))]
    return any(isinstance(value, Tensor) and id(value) not in stated for value in kept)
