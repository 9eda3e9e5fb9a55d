"""The state of a model and of torch: takes a module, gives everything a library could leave changed; compares bit for
bit."""

from __future__ import annotations

import threading
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["difference", "snapshot"]


def snapshot(net: nn.Module) -> dict[str, Any]:
    """Hooks, flags, parameters, buffers, gradients, plain attributes of each submodule, and torch's global state.

    Tensors are kept with their identity, version, dtype, strides, device and a copy of their bits.
    """
    found: dict[str, Any] = {
        "rng": _bits(torch.random.get_rng_state()),
        "grad mode": torch.is_grad_enabled(),
        "inference mode": torch.is_inference_mode_enabled(),
        "default dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "function modes": torch._C._len_torch_function_stack(),
        "dispatch modes": torch._C._len_torch_dispatch_stack(),
        "anomaly": torch.is_anomaly_enabled(),
        "python threads": threading.active_count(),
        "global hooks": _global_hooks(),
    }
    for name, part in net.named_modules():
        found[f"{name}: class"] = type(part)
        for key, value in vars(part).items():
            where = f"{name}.{key}"
            if key in ("_parameters", "_buffers"):
                for tensor_name, tensor in value.items():
                    found[f"{where}.{tensor_name}"] = None if tensor is None else _tensor(tensor)
            elif key == "_modules":
                found[where] = {child: id(module) for child, module in value.items()}
            elif isinstance(value, dict):
                found[where] = dict(value)  # all hooks: forward, pre-forward, backward, state dict
            elif isinstance(value, set):
                found[where] = set(value)
            elif isinstance(value, Tensor):
                found[where] = _tensor(value)
            else:
                found[where] = value
    return found


def difference(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """The names of what is not as it was."""
    names = list(dict.fromkeys([*before, *after]))
    return [name for name in names if name not in before or name not in after or before[name] != after[name]]


def _global_hooks() -> tuple[int, ...]:
    module = torch.nn.modules.module
    return tuple(
        len(getattr(module, name)) for name in sorted(vars(module)) if name.startswith("_global_") and "hooks" in name
    )


def _tensor(tensor: Tensor) -> tuple[Any, ...]:
    return (
        id(tensor),
        type(tensor),
        tensor.data_ptr(),
        None if tensor.is_inference() else tensor._version,
        tensor.dtype,
        tuple(tensor.shape),
        tensor.stride(),
        tensor.device,
        tensor.requires_grad,
        tensor.grad_fn,
        None if tensor.grad is None else (id(tensor.grad), _bits(tensor.grad)),
        len(tensor._backward_hooks or {}),
        _bits(tensor),
    )


def _bits(tensor: Tensor) -> bytes:
    return bytes(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).tolist())
