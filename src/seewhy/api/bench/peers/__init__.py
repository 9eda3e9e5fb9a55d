"""Peers: takes a question that other libraries can answer too, gives those that are installed as contestants; needs
none of them, and computes nothing itself.

One file a library. Each has ``LIBRARY`` (its name), ``PACKAGE`` (what to install) and ``contestants(asked)``, which
imports the library and gives a contestant for every setting worth trying, none where the library has no such method.
They hook what they are given, and leave gradients on its parameters: give them a copy.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib import import_module
from typing import Any

from torch import Tensor, nn

from seewhy.api.bench.racing import Contestant

__all__ = ["LIBRARIES", "Asked", "contestants"]

#: the files of this package
LIBRARIES = ("captum_", "grad_cam_", "torchcam_", "zennit_")
#: done everywhere by hooks on modules of rectifiers; what they give without any is the plain gradient
_THROUGH_RECTIFIERS = ("guided-backprop", "deconvnet")


@dataclass(frozen=True)
class Asked:
    """One question: a method's raw map of ``x`` [B, C, *size] for a class each (``target``), in our words.

    ``layer`` is a dotted name of ``module``; None for the input. ``settings`` are `seewhy.explain`'s: ``steps``,
    ``rule``, ``baseline`` and ``fill`` (numbers), ``window`` and ``stride``.
    """

    module: nn.Module
    x: Tensor
    method: str
    target: Sequence[int]
    layer: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def place(self) -> nn.Module:
        """The layer itself."""
        return self.module.get_submodule(self.layer or "")


def contestants(asked: Asked, on: str = "eager") -> tuple[list[Contestant], dict[str, str]]:
    """Every installed library that has the method, and why others are missing, by name. ``on`` a prepared model, whose
    rectifiers are no modules, methods that change these are left out.

    >>> import torch
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2))
    >>> there, missing = contestants(Asked(net, torch.rand(1, 3, 2, 2), "no-such-method", [0]))
    >>> there
    []
    """
    if on == "prepared" and asked.method in _THROUGH_RECTIFIERS:
        why = "other libraries left out: they hook modules of rectifiers, and it has functions"
        return [], {f"{asked.method} on our prepared model": why}
    rivals: list[Contestant] = []
    missing: dict[str, str] = {}
    for file in LIBRARIES:
        library = import_module(f"{__name__}.{file}")
        try:
            rivals += [replace(contestant, on=on) for contestant in library.contestants(asked)]
        except ImportError as error:
            missing[library.LIBRARY] = f"not installed: pip install {library.PACKAGE} ({error})"
    return rivals, missing
