"""Running: takes methods or a function, and units, gives what came of every pair; a failure of one is a row of its
own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch import Tensor, nn

from seewhy.conformance._unit import Unfit, Unit, units
from seewhy.conformance.explainers import SINGLE, Explainer, by_hand, ours
from seewhy.conformance.peers import explainers, versions
from seewhy.conformance.result import BY_DESIGN, FAILED, PASSED, UNFIT, Conformance, Row
from seewhy.errors import UsageError, reason
from seewhy.registry import methods as registry

__all__ = ["run"]

Progress = Callable[[str, int, int], None]
Function = Callable[[nn.Module, Tensor, int], Any]


def run(
    methods: str | Sequence[str] | Function | None = None,
    units: str | Sequence[str] | None = None,
    library: str | None = None,
    *,
    kind: str = "attribution",
    error: float = SINGLE,
    progress: Progress | None = None,
) -> Conformance:
    """Every method on every unit: a small network whose right answer is known exactly.

    ``methods``: names, all of the library's where left out, or a function ``explain(module, x, target)`` of anybody's
    that gives maps [B, h, w] or [B, C, h, w] (channels are added up) of inputs [B, 1, 16, 16], float32, for a class;
    the module gives scores [B, K] and is in eval mode. ``units``: names; all where left out. ``library``: None for
    seewhy's own, or ``"captum"``, ``"pytorch-grad-cam"``, ``"torchcam"``, ``"zennit"``, whose own names of methods
    are taken. Of a function, ``kind`` says what its values count (one of `seewhy.registry.KINDS`) and ``error`` how
    far they may be off by their own arithmetic, as a share of the largest value.

    A row is `passed`, `failed by design` (the card excepts the property, with the reason) or `failed`; what cannot be
    asked of a method is no row. What an explainer raises is its own row's failure. Raises `UnknownName` for a method,
    unit, library or kind that there is not, and `UsageError` for a library that is not installed.

    >>> import torch, seewhy
    >>> def gradient(module, x, target):
    ...     x.requires_grad_()
    ...     return torch.autograd.grad(module(x)[:, target].sum(), x)[0].abs()
    >>> found = seewhy.conformance.run(gradient, ["linear", "saturation"], kind="sensitivity")
    >>> [(row.unit, row.outcome) for row in found.rows]
    [('linear', 'passed'), ('saturation', 'failed')]
    """
    chosen = _units(units)
    asked = _explainers(methods, library, kind, error)
    rows = []
    for number, explainer in enumerate(asked):
        if progress is not None:
            progress("methods", number, len(asked))
        rows += [_row(explainer, each) for each in chosen]
    if progress is not None:
        progress("methods", len(asked), len(asked))
    return Conformance(library or "seewhy", tuple(rows), versions(library))


def _units(asked: str | Sequence[str] | None) -> list[Unit]:
    if asked is None:
        return list(units)
    names = [asked] if isinstance(asked, str) else list(asked)
    return [units[name] for name in _some(names, "units", "seewhy conformance --list")]


def _explainers(asked: Any, library: str | None, kind: str, error: float) -> list[Explainer]:
    if callable(asked):
        if library is not None:
            raise UsageError(f"library={library!r} and a function: leave one of them out")
        return [by_hand(asked, getattr(asked, "__name__", type(asked).__name__), kind, error)]
    names = None if asked is None else [asked] if isinstance(asked, str) else list(asked)
    if names is not None:
        _some(names, "methods", "seewhy methods")
    if library is None:
        return [ours(name) for name in (names if names is not None else sorted(registry.keys()))]
    return explainers(library, names)


def _some(names: Iterable[str], what: str, listing: str) -> list[str]:
    found = list(dict.fromkeys(names))
    if not found:
        raise UsageError(f"no {what}: the list given is empty. List them: {listing}")
    return found


def _row(explainer: Explainer, each: Unit) -> Row:
    try:
        wrong = each.judge(explainer.maps)
    except Unfit as why:
        return Row(explainer.name, each.name, UNFIT, str(why))
    except Exception as raised:  # whatever somebody's code raises is its own row's
        wrong = f"raised {reason(raised)}" if not isinstance(raised, UsageError) else str(raised)
        return Row(explainer.name, each.name, FAILED, wrong)
    if not wrong:
        return Row(explainer.name, each.name, PASSED)
    excepted = explainer.excepts.get(each.card.property, "")
    return Row(explainer.name, each.name, BY_DESIGN if excepted else FAILED, wrong, excepted)
