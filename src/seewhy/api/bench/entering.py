"""Our own entrants: takes a model and a question, gives our raw explanations, and the model prepared; times nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.api.explaining import explain_all
from seewhy.api.preparing import prepare
from seewhy.explanation import Explanations
from seewhy.models import Model
from seewhy.registry import methods as registry

__all__ = ["Entry", "StandIn", "ours", "prepared"]


@dataclass(frozen=True, eq=False)
class Entry:
    """A model, prepared: a ``module`` for others to hook and differentiate and one that gives ``scores`` alone, the
    bare pass (each None where nothing is faster that way), how it was done, in words, and ``why`` nothing was prepared
    at all, else ''."""

    module: nn.Module | None
    scores: nn.Module | None = None
    record: Mapping[str, str] = field(default_factory=dict)
    why: str = ""


class StandIn(nn.Module):
    """A prepared module as others expect modules to be, for inputs like ``x``.

    It has a parameter, of no elements, that says which device it is on, and records a graph for inputs that want none,
    as a module with weights does. Its layers are its own, called in the place of the prepared module's: nobody's hook
    reaches that one, a layer may be replaced, and a deep copy calls the copied layers.
    """

    def __init__(self, module: nn.Module, x: Tensor) -> None:
        super().__init__()
        self.nothing = nn.Parameter(x.new_empty(0))
        for name, _ in module.named_modules():
            if name:
                parent, _, last = name.rpartition(".")
                self.get_submodule(parent).add_module(last, nn.Identity())
        # a function: it would not be a part of this module, and copies share it
        self._run = _runner(module)
        self.eval()

    def forward(self, x: Tensor) -> Any:
        """What the model gives for ``x`` [B, C, *size]."""
        return self._run(x.detach().requires_grad_() if torch.is_grad_enabled() and not x.requires_grad else x, self)


def _runner(module: nn.Module) -> Callable[[Tensor, nn.Module], Any]:
    """A function that runs ``module``, with somebody else's layers of the same names in the place of its own."""
    taps = {name: tap for name, tap in module.named_modules() if name}

    def run(x: Tensor, shown: nn.Module) -> Any:
        try:
            for name, tap in taps.items():
                vars(tap)["forward"] = shown.get_submodule(name)
            return module(x)
        finally:
            for tap in taps.values():
                vars(tap).pop("forward", None)

    return run


def prepared(model: Model, x: Tensor, layer: str | None = None) -> Entry:
    """The prepared form of a model for inputs like ``x`` [B, C, *size], which shows ``layer``; without one ``why`` says
    why.

    >>> import torch, seewhy
    >>> isinstance(prepared(seewhy.wrap(torch.nn.Conv2d(3, 4, 3)), torch.rand(1, 3, 8, 8)).why, str)
    True
    """
    last = model.channels_last
    given = x.movedim(1, -1) if last else x
    module = prepare(model, given, [] if layer is None else [layer]).module
    bare = prepare(model, given, gradients=False)  # its record is of both
    record = {name: _words(said) for name, said in bare.record.items() if name != "used"}
    why = "" if bare.record["used"] else "not prepared: " + record.get("why", "the model itself is as fast")
    return Entry(None if module is None else StandIn(module, x), bare.module, record, why)


def _words(said: Any) -> str:
    return "; ".join(f"{name}: {value}" for name, value in said.items()) if isinstance(said, Mapping) else str(said)


def ours(
    model: Model,
    x: Tensor,
    method: str,
    target: Sequence[int],
    layer: str | None = None,
    settings: Mapping[str, Any] | None = None,
    *,
    prepare: bool = False,
) -> Explanations:
    """Our explanations of ``x`` [B, C, *size], raw: with channels where a method would take them together.

    >>> import torch, seewhy
    >>> net = seewhy.wrap(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 2)))
    >>> ours(net, torch.rand(2, 3, 2, 2), "saliency", [0, 1])[1].values.shape
    (3, 2, 2)
    """
    last = model.channels_last
    given = dict(settings or {})
    if registry[method].card.reduce is not None:
        given.setdefault("reduce", "none")
    goal = list(target) if len(x) > 1 else target[0]
    return explain_all(
        model, x.movedim(1, -1) if last else x, method=[method], target=goal, layer=layer, prepare=prepare, **given
    )
