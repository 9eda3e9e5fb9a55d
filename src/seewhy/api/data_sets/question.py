"""What decides a run's bytes, as plain values: takes a model and a request, gives what a manifest keeps of them, the
same in every process; keeps no array, only its hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from importlib import metadata
from types import CodeType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seewhy._version import __version__
from seewhy.api.asked.plan import Plan
from seewhy.core.network.places import place_name

__all__ = ["question_of", "told"]

#: packages whose version decides bits
_PACKAGES = ("torch", "numpy", "pillow", "pyarrow", "safetensors")


def question_of(plan: Plan) -> dict[str, Any]:
    """Everything but the pictures and what is measured: the model, what is asked of it, how pictures become inputs, and
    the versions of whoever computes."""
    model, request = plan.model, plan.request
    asked = {
        field.name: _single(told(getattr(request, field.name), plan.network.module))
        for field in fields(request)
        if field.name != "settings"
    }
    return {
        "model": {
            "name": model.spec or model.name,
            "fingerprint": model.fingerprint(),
            "labels": told(model.labels, None),
        },
        "asked": asked,
        "preprocessing": repr(model.preprocess) if is_dataclass(model.preprocess) else told(model.preprocess, None),
        "reshape": told(plan.settings.reshape, None),
        "versions": {"seewhy": __version__} | {name: metadata.version(name) for name in _PACKAGES},
        "device": _device(plan.network.module),
    }


def _single(value: Any) -> Any:
    """One of a list of one: the same is asked by words of a command and by Python's arguments."""
    value = value[0] if isinstance(value, list) and len(value) == 1 else value
    return int(value) if isinstance(value, str) and value.isdecimal() else value


def _device(module: Any) -> str:
    """The kind of machine that computes: other instructions round otherwise."""
    first = next(iter(module.parameters()), None) if isinstance(module, nn.Module) else None
    if first is None or first.device.type == "cpu":
        return f"cpu {torch.backends.cpu.get_cpu_capability()}"
    return f"{first.device.type} {torch.cuda.get_device_name(first.device)}" if first.is_cuda else first.device.type


def told(value: Any, network: Any) -> Any:
    """``value`` as JSON can hold it and as other processes find it again: arrays and code by their hashes."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, nn.Module):
        return place_name(network, value) if network is not None else type(value).__qualname__
    if isinstance(value, Tensor):
        return told(value.detach().cpu().float().numpy(), network)
    if isinstance(value, np.ndarray):
        plain = np.ascontiguousarray(value)
        return f"array {plain.shape} {plain.dtype} {hashlib.sha256(plain.tobytes()).hexdigest()[:16]}"
    if isinstance(value, Mapping):
        return {str(key): told(each, network) for key, each in value.items()}
    if isinstance(value, tuple | list | range):
        return [told(each, network) for each in value] if len(value) <= 64 else _hash(list(map(str, value)))
    if is_dataclass(value) and not isinstance(value, type):
        own = {field.name: told(getattr(value, field.name), network) for field in fields(value)}
        return {"kind": type(value).__qualname__, **own}
    if callable(value):
        code = getattr(value, "__code__", None)
        name = f"{getattr(value, '__module__', '')}.{getattr(value, '__qualname__', type(value).__qualname__)}"
        return f"{name} {_hash(_constants(code))}" if code is not None else name
    return str(value)


def _hash(value: Any) -> str:
    return hashlib.sha256(repr(value).encode()).hexdigest()[:16]


def _constants(code: CodeType) -> tuple[Any, ...]:
    """What a function does, without where it stands."""
    inner = [_constants(each) if isinstance(each, CodeType) else each for each in code.co_consts]
    return code.co_code, tuple(inner), code.co_names
