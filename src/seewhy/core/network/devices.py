"""Devices: where new tensors are made for the length of a call, ours on the CPU and the model's own where the user has
them made; changes nothing of what the user has set."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext

__all__ = ["OurDevice", "made_here"]


class OurDevice(DeviceContext):
    """Where new tensors of ours are made."""


@contextmanager
def made_here() -> Iterator[Callable[[], AbstractContextManager[Any]]]:
    """New tensors are made on the CPU, as ours are to be, where the user has them made elsewhere (``with
    torch.device(...)``, ``torch.set_default_device``); gives the context in which the model makes its own."""
    modes = _get_current_function_mode_stack()  # type: ignore[no-untyped-call]
    places = [mode.device for mode in modes if isinstance(mode, DeviceContext) and not isinstance(mode, OurDevice)]
    if not places or places[-1].type == "cpu":
        yield nullcontext
        return
    with OurDevice(torch.device("cpu")):
        yield lambda: DeviceContext(places[-1])
