"""Agreement: takes an eager pass and a prepared one of the same inputs, gives in words where they differ; runs no
forward."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from seewhy.core.layers import INPUT

if TYPE_CHECKING:
    from seewhy.core.passes import Pass

__all__ = ["difference", "gap", "mixes", "rounding"]


def difference(exact: Pass, made: Pass) -> str:
    """'' where outputs and captured layers agree to eps^0.6 of the largest value (7e-5 for float32), and gradients to
    eps^0.25 in relative L2 (2e-2); else what does not.

    A gradient of a ReLU network jumps where rounding moves a value across zero, so it is not held to the same.
    """
    ours, theirs = _floats(exact.forward.raw), _floats(made.forward.raw)
    if len(ours) != len(theirs):
        return "it gives other outputs"
    layers = list(exact.tape.activations)
    if layers != list(made.tape.activations) and set(layers) != set(made.tape.activations):
        return "it runs other layers"
    names = ["its output"] * len(ours) + [f"layer {name!r}" for name in layers]
    for name, a, b in zip(
        names, ours + [exact.raw(n) for n in layers], theirs + [made.raw(n) for n in layers], strict=True
    ):
        if a.shape != b.shape or a.dtype != b.dtype:
            return f"{name} has another shape or type"
        allowed = rounding(a.dtype)
        if not gap(a, b) <= allowed:
            return f"{name} differs by {gap(a, b):.1e} of the largest value (allowed: {allowed:.0e})"
    if [s.kind for s in exact.forward.squashes[-1:]] != [s.kind for s in made.forward.squashes[-1:]]:
        return "its last softmax or sigmoid is not seen"
    if exact.request.graph == "none":
        return ""
    places = layers + ([INPUT] if exact.request.at_input else [])
    for place, a, b in zip(places, _gradients(exact, ours, places), _gradients(made, theirs, places), strict=True):
        allowed = torch.finfo(a.dtype).eps ** 0.25
        share = float((a - b).double().norm() / a.double().norm().clamp(min=1e-300))
        if not (share <= allowed or torch.equal(a, b)):
            where = "the input" if place == INPUT else f"layer {place!r}"
            return f"gradients at {where} differ by {share:.1%} (relative L2; allowed: {allowed:.1%})"
    return ""


def _floats(raw: Any) -> list[Tensor]:
    """The tensors of numbers in what a network gives."""
    return [leaf for leaf in pytree.tree_leaves(raw) if isinstance(leaf, Tensor) and leaf.is_floating_point()]


def _gradients(made: Pass, outputs: list[Tensor], places: list[str]) -> list[Tensor]:
    """Gradients of one weighted sum of all outputs at ``places``; zero where there is none."""
    score = torch.zeros((), dtype=torch.float64)
    for output in outputs:
        weights = torch.arange(1, output.numel() + 1, device=output.device, dtype=output.dtype).cos()
        score = score.to(output.device) + (output.reshape(-1) * weights).sum().double()
    found = made.gradients(score, [made.source(place) for place in places])
    return [
        torch.zeros_like(made.raw(place)) if grad is None else grad for place, grad in zip(places, found, strict=True)
    ]


def mixes(call: Callable[[Tensor], Any], x: Tensor) -> bool:
    """Whether a network gives several samples like ``x`` [1, C, *size] together other scores than each alone."""
    samples = torch.cat([share * x for share in (1.0, 0.5, -0.25)])
    with torch.no_grad():
        together, *alone = (_floats(call(each.clone())) for each in (samples, *torch.split(samples, 1)))
    pairs = zip(together, *alone, strict=True)
    return not all(gap(several, torch.cat(each)) <= rounding(several.dtype) for several, *each in pairs)


def rounding(dtype: torch.dtype) -> float:
    """How far values may be apart, as a share of the largest, and still be taken for the same: eps^0.6."""
    return float(torch.finfo(dtype).eps ** 0.6)


def gap(exact: Tensor, found: Tensor) -> float:
    """The largest difference as a share of the largest value; infinity where one is a number and the other is not."""
    if exact.shape != found.shape:
        return float("inf")
    exact, found = exact.detach().double().cpu(), found.detach().double().cpu()
    if not torch.equal(exact.isfinite(), found.isfinite()):
        return float("inf")
    exact, found = exact.nan_to_num(0, 0, 0), found.nan_to_num(0, 0, 0)
    if exact.numel() == 0:
        return 0.0
    scale = float(exact.abs().max())
    return float((exact - found).abs().max()) / (scale or 1.0)
