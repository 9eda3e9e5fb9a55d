"""The last layer fitted again: takes features, classes and the layer as it was, gives one that does as well on each
group, and does not tell pictures with a cue from the same ones without it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from seewhy.errors import UsageError

__all__ = ["Head", "balance", "refitted"]

#: steps of Newton's kind that a fit may take
_STEPS = 200


@dataclass(frozen=True, eq=False)
class Head:
    """Scores [N, K] = features [N, D] @ ``weight``.T [D, K] + ``bias`` [K]."""

    weight: Tensor
    bias: Tensor

    def __call__(self, features: Tensor) -> Tensor:
        """Scores of features."""
        return features @ self.weight.T + self.bias


def balance(groups: Tensor) -> Tensor:
    """Weights [N] with which each group (a number for each picture [N]) counts as much as any other; their mean is 1.

    >>> balance(torch.tensor([0, 0, 0, 1])).tolist()
    [0.6666666865348816, 0.6666666865348816, 0.6666666865348816, 2.0]
    """
    _, place, counts = torch.unique(groups, return_inverse=True, return_counts=True)
    weights: Tensor = len(groups) / (len(counts) * counts[place].float())
    return weights


def refitted(
    head: Head,
    features: Tensor,
    labels: Tensor,
    weights: Tensor | None = None,
    pairs: tuple[Tensor, Tensor] | None = None,
    *,
    stay: float = 1e-3,
    alike: float = 1.0,
) -> Head:
    """A head that fits ``features`` [N, D] to ``labels`` [N], counted by ``weights`` [N], and stays close to ``head``.

    ``pairs`` are features [M, D] of the same pictures with a cue and without it, whose scores are to be alike. What is
    minimised, by L-BFGS in double precision, is the weighted cross-entropy + ``stay`` / 2 times the squared distance
    from the head as it was, in units of the features' spread, + ``alike`` / 2 times the mean squared difference of the
    scores of pairs, each less its mean over classes.

    Kirichenko, Izmailov & Wilson 2023, Last Layer Re-Training is Sufficient for Robustness to Spurious Correlations,
    arXiv:2204.02937; pairs: Plumb et al. 2022, SPIRE, arXiv:2106.02112. Raises `UsageError` for what does not fit
    together, and for numbers that are none.
    """
    if features.ndim != 2 or features.shape[1] != head.weight.shape[1] or len(labels) != len(features):
        raise UsageError(
            f"features {tuple(features.shape)} and {len(labels)} labels for a head of {tuple(head.weight.shape)}: "
            "features are [N, D], with a label each"
        )
    if not bool(features.isfinite().all()):
        raise UsageError("features that are no numbers: a head cannot be fitted to them")
    x, y = features.double(), labels.long()
    w = torch.ones(len(x), dtype=torch.float64) if weights is None else weights.double()
    # one step is as long in every feature, whatever its scale
    scale = x.std(0).clamp(min=1e-6)
    x = x / scale
    start = torch.cat([head.weight.double() * scale, head.bias.double()[:, None]], 1)
    gap = None if pairs is None else (pairs[0].double() - pairs[1].double()) / scale
    found = start.clone().requires_grad_()
    optimiser = torch.optim.LBFGS([found], max_iter=_STEPS, tolerance_grad=1e-9, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        scores = x @ found[:, :-1].T + found[:, -1]
        total = (w * cross_entropy(scores, y, reduction="none")).mean() + stay / 2 * (found - start).square().sum()
        if gap is not None:
            apart = gap @ found[:, :-1].T
            total = total + alike / 2 * (apart - apart.mean(1, keepdim=True)).square().mean()
        (found.grad,) = torch.autograd.grad(total, found)
        return total

    optimiser.step(loss)  # type: ignore[no-untyped-call]
    made = found.detach()
    return Head((made[:, :-1] / scale).to(head.weight), made[:, -1].to(head.bias))
