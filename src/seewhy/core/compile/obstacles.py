"""Obstacles: takes a borrowed network and its surroundings, gives in words what keeps a prepared program from standing
for it; prepares nothing."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

from seewhy.core.compile.export import function_modes
from seewhy.core.compile.reads import reads_of
from seewhy.core.compile.state import structure
from seewhy.core.memory_budget import Meter
from seewhy.core.network.borrowed import Network
from seewhy.core.network.parts import Parts, seen_of
from seewhy.core.network.random_numbers import drawn_outside
from seewhy.errors import CapabilityError

__all__ = ["around", "at_rest", "hooked", "kinds"]

#: hooks that hand on what passes and are part of how some models compute: they are traced with the rest
_TRACED = ("transformers.utils.output_capturing",)


def at_rest(network: Network, call: Callable[[Tensor], Any], x: Tensor) -> Hashable:
    """The network's structure, which a forward of ``x`` leaves as it is; what a first one makes, such as hooks of its
    own, is made then. Raises `CapabilityError` for one that each forward changes, or that draws numbers outside
    torch."""
    seen = []
    for _ in range(2):
        before = drawn_outside()
        read = reads_of(lambda: call(x.clone()))
        if before != drawn_outside():
            raise CapabilityError("its forward draws random numbers outside torch")
        network.put_back_buffers()
        parts = Parts(network.module)
        seen.append(structure(parts))
    if read:  # in the second one: a first one may read files of code, and what it keeps
        raise CapabilityError(f"its forward calls {read}, and what that gives nobody can look at")
    if seen[0] != seen[1]:
        raise CapabilityError("its forward changes the model's own attributes, so that no graph of it holds")
    if why := hooked(parts):
        raise CapabilityError(why)
    return seen[1]


def around(x: Tensor) -> str:
    """What of the caller's surroundings no program would follow, in words."""
    if torch.is_autocast_enabled(x.device.type):
        return "autocast is on, and a program has the types that it was made with"
    if type(x) is not Tensor:
        return f"the input is a {type(x).__name__}, which computes in ways of its own"
    modes = [mode for mode in _get_current_dispatch_mode_stack() if not isinstance(mode, Meter)]
    modes += [mode for mode in function_modes() if not isinstance(mode, DeviceContext)]
    return f"a {type(modes[-1]).__name__} of the caller's is on, which a program would not meet" if modes else ""


def hooked(parts: Sequence[nn.Module]) -> str:
    """Whose hooks keep a program from standing for the modules, in words; '' where there are none but those that are
    traced."""
    shared = nn.modules.module
    if shared._global_forward_hooks or shared._global_forward_pre_hooks:
        return "torch has forward hooks for all modules, and what they do no graph can know"
    some = any(seen_of(parts).of("_forward_hooks", "_forward_pre_hooks"))
    for part in parts if some else ():
        hooks = [*part._forward_hooks.values(), *part._forward_pre_hooks.values()]
        if any(getattr(hook, "__module__", "") not in _TRACED for hook in hooks):
            return f"the model has forward hooks (on a {type(part).__name__}), and what they do no graph can know"
    return ""


def kinds(tensors: Sequence[Tensor]) -> str:
    """What kind of the model's tensors keeps a program from standing for it, in words."""
    other = next(iter(set(map(type, tensors)) - {Tensor, nn.Parameter, nn.Buffer}), None)
    return (
        "" if other is None else f"some of the model's tensors are {other.__name__}s, which compute in their own ways"
    )
