"""Finer-CAM: takes an activation and the scores, asks for the gradient against the nearest classes, gives a Grad-CAM
of the difference."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Gradient, Targets
from seewhy.core.targets import Logit, Target
from seewhy.errors import CapabilityError, UsageError
from seewhy.methods._channels import mean_over_positions, weighted_sum
from seewhy.methods._exceptions import LOCAL, POOLED
from seewhy.registry import Card, Need, method

__all__ = ["finer_cam"]


@method(
    Card(
        name="finer-cam",
        family="cam",
        paper="Zhang et al. 2025, Finer-CAM, arXiv:2501.11309, eq. 4",
        formula="mean over d of Grad-CAM of y_c - gamma y_d, d the classes with the nearest logits",
        unit="{score}",
        excepts={**LOCAL, **POOLED},
        cost="1 forward, 1 backward",
        needs=frozenset({Need.GRADIENT}),
        positive=True,
        use="what tells a class from its look-alikes",
        caveats=("answers why c rather than its neighbours, not why c",),
    )
)
def finer_cam(
    activation: Tensor, logits: Tensor, *, gamma: float = 0.6, classes: int = 3
) -> Generator[Any, Any, Tensor]:
    """Grad-CAM of the class's logit less ``gamma`` times the mean logit of the ``classes`` nearest to it.

    ``activation`` [B, C, *positions], ``logits`` [B, K]; values [B, *positions], signed. Grad-CAM is linear in the
    score, so the mean over competitors is one backward of their mean. The target must be about one class; fewer than
    two classes raise `CapabilityError`.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="finer-cam", layer="1").values.shape
    (6, 6)
    """
    if classes < 1:
        raise UsageError(f"finer-cam classes={classes}: it compares with one class or more, e.g. classes=3")
    targets = yield Targets()
    if logits.ndim != 2 or logits.shape[1] < 2 or any(target.index is None for target in targets):
        raise CapabilityError(
            "finer-cam compares a class with its neighbours: it needs a class target and two classes or more"
        )
    against = tuple(_against(t, row, gamma, classes) for t, row in zip(targets, logits, strict=True))
    gradient = yield Gradient(targets=against)
    return weighted_sum(mean_over_positions(gradient), activation)


def _against(target: Target, logits: Tensor, gamma: float, classes: int) -> Target:
    """``target`` less gamma times the mean logit of its nearest competitors."""
    own = int(target.index or 0) % len(logits)
    distance = (logits - logits[own]).abs()
    distance[own] = float("inf")
    nearest = distance.argsort()[: min(classes, len(logits) - 1)].tolist()
    for k in nearest:
        target = target - (gamma / len(nearest)) * Logit(k)
    return target
