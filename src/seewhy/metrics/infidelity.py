"""Infidelity: takes images and maps, asks for the scores of changed images, gives how badly the map foretells them."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution, Score, Stream
from seewhy.core.perturb.folds import Collect
from seewhy.core.perturb.noise import fingerprint, gaussian
from seewhy.core.perturb.sources import ChangedInput, spread_of
from seewhy.errors import UsageError
from seewhy.metrics._metric import MetricCard, metric

__all__ = ["infidelity"]


@metric(
    MetricCard(
        name="infidelity",
        paper="Yeh et al. 2019, arXiv:1901.09392, definition 2.1, noise",
        formula="mean over changes d of (<d, M> - (S(x) - S(x - d)))^2",
        better="lower",
        range="0 or more, in squares of score units",
        cost="n forwards",
        use="whether a gradient-like map foretells what small changes do",
        fooled=(
            "a map of zeros gets the variance of the score: small where the score hardly moves",
            "scaled maps: look at the best scale and its sign beside it, which normalising would hide",
        ),
        constant=True,
        of_values=True,
    )
)
def infidelity(
    input: Tensor, score: Tensor, values: Tensor, *, n: int = 64, sigma: float = 0.1, seed: int = 0
) -> Generator[Any, Any, Attribution]:
    """The mean square of what a map misses of the fall of the score under Gaussian noise.

    ``input`` [B, C, *size], ``score`` [B], ``values`` [B, *size] in score units per input unit; a number for each map,
    in squares of score units. ``sigma`` is the noise's standard deviation as a share of the image's range; it is
    subtracted from the image, and summed over channels where it meets the map. Beside it the ``scale`` by which the map
    would have to be multiplied to miss least (1 for a right one, negative for one that is upside down), and the
    ``infidelity_at_scale`` that is left then. Noise is drawn from each image's own values, as everywhere.

    >>> import torch, seewhy
    >>> image, right = torch.rand(1, 4, 4), torch.ones(4, 4)
    >>> round(float(seewhy.metrics.infidelity(lambda x: x.sum((1, 2, 3)), image, right)), 6)
    0.0
    """
    if n < 2 or sigma == 0:
        raise UsageError(f"n={n!r}, sigma={sigma!r}: two changes or more, of a size above 0")
    keys, spread = fingerprint(input), spread_of(input)

    def change(samples: Tensor, indices: Tensor) -> Tensor:
        pairs = [(keys[b], i) for b, i in zip(samples.tolist(), indices.tolist(), strict=True)]
        noise = gaussian(pairs, tuple(input.shape[1:]), family="infidelity", seed=seed).to(input)
        return sigma * spread[samples] * noise

    source = ChangedInput(
        n, lambda samples, indices: input[samples] - change(samples, indices), ("infidelity", n, sigma, seed)
    )
    scores = yield Stream(source, (Score(),), Collect(len(input), n))
    falls = (score[:, None].to(scores) - scores).double()
    told = torch.empty_like(falls)
    for b, own in enumerate(values.to(input).double()):
        for i in range(n):  # drawn again, not kept: they are as large as the images
            told[b, i] = (change(torch.tensor([b]), torch.tensor([i]))[0].double() * own).sum()
    missed = (told - falls).square().mean(1)
    scale = (told * falls).sum(1) / told.square().sum(1).clamp(min=1e-300)
    best = (scale[:, None] * told - falls).square().mean(1)
    return Attribution(missed, arrays={"scale": scale, "infidelity_at_scale": best})
