"""Expected gradients: takes the input and reference images, asks for gradients between them at random places, gives the
mean of their shares."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution, Gradient
from seewhy.core.perturb.estimators import Means, Pairs
from seewhy.core.perturb.noise import fingerprint, gaussian
from seewhy.core.perturb.sources import ChangedInput
from seewhy.errors import UsageError
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
    if n % 2 or not sigma >= 0:
        raise UsageError(f"n={n}, sigma={sigma}: draws come in pairs, so n is even, and sigma is 0 or more")
    draws = _Draws(input, bounds, references, sigma, seed)

    def between(samples: Tensor, indices: Tensor) -> Tensor:
        ends, starts, places = draws(samples, indices // 2)
        mirrored = torch.where(indices % 2 == 1, 1 - places, places).to(input)
        return starts + mirrored.reshape(-1, *(1 for _ in input.shape[1:])) * (ends - starts)

    class Shares(Means):
        """Gradients times the difference that their pair has in common."""

        def add(self, samples: Tensor, indices: Tensor, *answers: Tensor) -> None:
            ends, starts, _ = draws(samples, indices)
            super().add(samples, indices, answers[0] * (ends - starts) if multiply_by_inputs else answers[0])

    shares = Pairs(Shares(input.shape[0], tolerance))
    source = ChangedInput(n, between, ("expected-gradients", sigma, seed, id(references)))
    return (yield from sampled(source, (Gradient(),), shares, first=32))


class _Draws:
    """The ends, starts and places of pairs of draws, from (image, seed, number of the pair) alone."""

    def __init__(
        self, x: Tensor, bounds: tuple[Tensor, Tensor], references: Tensor | None, sigma: float, seed: int
    ) -> None:
        self.x, self.bounds, self.references, self.sigma, self.seed = x, bounds, references, sigma, seed
        self.keys = fingerprint(x)

    def __call__(self, samples: Tensor, numbers: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[m, C, *size], [m, C, *size], [m]."""
        keys = [(self.keys[s], i) for s, i in zip(samples.tolist(), numbers.tolist(), strict=True)]
        x, shape = self.x[samples], tuple(self.x.shape[1:])
        # uniform by way of the normal distribution function: one kind of draw serves all
        picked = torch.special.ndtr(gaussian(keys, (2,), family="expected-gradients", seed=self.seed).double())
        if self.references is None:
            low, high = (bound[samples] for bound in self.bounds)
            drawn = gaussian(keys, shape, family="expected-gradients-reference", seed=self.seed).double()
            starts = low + (high - low) * torch.special.ndtr(drawn).to(x)
        else:
            count = len(self.references)
            starts = self.references[(picked[:, 1] * count).long().clamp(max=count - 1).to(self.references.device)]
        if self.sigma > 0:
            spread = self.sigma * (x.flatten(1).amax(1) - x.flatten(1).amin(1))
            noise = gaussian(keys, shape, family="expected-gradients-input", seed=self.seed).to(x)
            x = x + spread.reshape(-1, *(1 for _ in shape)) * noise
        return x, starts, picked[:, 0]
