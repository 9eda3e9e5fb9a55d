"""What decides a run's bytes, as plain values: takes a model and a request, gives what a manifest keeps of them, the
same in every process."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from importlib import metadata
from typing import Any

import torch
from torch import nn

from seewhy._version import __version__
from seewhy.api.asked.plan import Plan
from seewhy.api.given.told import told

__all__ = ["question_of"]

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
            "fingerprint": model.fingerprint() or told(model.module, None),
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
