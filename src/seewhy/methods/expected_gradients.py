"""Expected gradients: takes the input and reference images, asks for gradients between them at random places, gives the
mean of their shares."""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Any

from torch import Tensor

from seewhy.core.asks import Attribution, Gradient
from seewhy.core.perturb.estimators import Pairs
from seewhy.core.perturb.noise import fingerprint, gaussian
from seewhy.core.perturb.sources import ChangedInput
from seewhy.methods._exceptions import FIXED_REFERENCE, NO_GRADIENT
from seewhy.methods._references import Shares, check_pairs, point_between, uniform
from seewhy.methods._sampling import sampled
from seewhy.registry import Card, Need, method

__all__ = ["expected_gradients"]


@method(
    Card(
        name="expected-gradients",
        family="gradient",
        paper="Erion et al. 2021, Improving performance of deep learning models with axiomatic attribution priors, "
        "arXiv:1906.10670, eq. 1; with sigma > 0 GradientSHAP, Lundberg & Lee 2017",
        formula="E over references x' and a ~ U(0, 1) of (x - x') dS/dx(x' + a (x - x'))",
        unit="{score}",
        excepts={**NO_GRADIENT, **FIXED_REFERENCE},
        cost="n forwards, n backwards",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        at="input",
        reduce="sum",
        use="integrated gradients against a data set instead of one baseline; Shapley values of a linear model",
        caveats=(
            "the references are the question: against what is this evidence?",
            "without references it compares with uniform noise",
        ),
    )
)
def expected_gradients(
    input: Tensor,
    spread: Tensor,
    bounds: tuple[Tensor, Tensor],
    references: Tensor | None,
    *,
    n: int = 256,
    sigma: float = 0.0,
    tolerance: float = 0.01,
    seed: int = 0,
    multiply_by_inputs: bool = True,
) -> Generator[Any, Any, Attribution]:
    """The mean, over reference images and over places on the way from them, of the gradient times the difference.

    ``input`` [B, C, *size], ``references`` [N, C, *size] (`seewhy.explain`'s ``references=``: photos or inputs; noise
    between the smallest and largest possible input if there are none); values [B, C, *size] in score units, which on
    average sum to the score minus the references' mean score. ``n`` draws in antithetic pairs (places a and 1 - a of
    the same way); fewer once the standard error, which is returned, is under ``tolerance`` of the map's range.
    ``sigma`` adds Gaussian noise to the input, in units of its range (GradientSHAP). ``multiply_by_inputs=False``
    leaves the factor x - x' out: slopes. Raises `UsageError` for an odd ``n`` or a negative ``sigma``.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2), torch.nn.Tanh())
    >>> others = torch.rand(5, 3, 4, 4)
    >>> seewhy.explain(net, torch.rand(3, 4, 4), method="expected-gradients", references=others, n=4).values.shape
    (4, 4)
    """
    check_pairs(n, sigma)
    draws = _Draws(input, sigma * spread, bounds, references, seed)
    shares = Pairs(Shares(input.shape[0], tolerance, draws, multiplied=multiply_by_inputs))
    source = ChangedInput(n, partial(point_between, draws), ("expected-gradients", sigma, seed, id(references)))
    return (yield from sampled(source, (Gradient(),), shares, first=32))


class _Draws:
    """The ends, starts and places of pairs of draws, from (image, seed, number of the pair) alone."""

    def __init__(
        self, x: Tensor, noise: Tensor, bounds: tuple[Tensor, Tensor], references: Tensor | None, seed: int
    ) -> None:
        self.x, self.noise, self.bounds, self.references, self.seed = x, noise, bounds, references, seed
        self.keys = fingerprint(x)

    def __call__(self, samples: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[m, C, *size], [m, C, *size], [m]."""
        keys = [(self.keys[s], i) for s, i in zip(samples.tolist(), numbers.tolist(), strict=True)]
        x, shape = self.x[samples], tuple(self.x.shape[1:])
        picked = uniform(keys, (2,), self.seed)
        if self.references is None:
            low, high = (bound[samples] for bound in self.bounds)
            starts = low + (high - low) * uniform(keys, shape, self.seed, "-reference").to(x)
        else:
            count = len(self.references)
            starts = self.references[(picked[:, 1] * count).long().clamp(max=count - 1).to(self.references.device)]
        if bool(self.noise.any()):
            x = x + self.noise[samples] * gaussian(keys, shape, family="expected-gradients-input", seed=self.seed).to(x)
        return x, starts, picked[:, 0]
