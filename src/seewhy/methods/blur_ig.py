"""Blur integrated gradients: takes the input, asks for gradients while it is blurred away, gives the path's
integral."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Activation, Attribution, Gradient, Score, Stream
from seewhy.core.perturb.folds import Collect
from seewhy.core.perturb.sources import ChangedInput
from seewhy.errors import UsageError
from seewhy.methods._exceptions import NO_GRADIENT
from seewhy.methods._paths import Telescope
from seewhy.registry import Card, Need, method

__all__ = ["blur_ig"]

#: the published 50 pixels of blur, at their 224 pixels
_SHARE = 50 / 224


@method(
    Card(
        name="blur-ig",
        family="gradient",
        paper="Xu, Venugopalan & Sundararajan 2020, Attribution in Scale and Space, arXiv:2004.03383, eq. 6",
        formula="-integral_0^max dS/dL dL/dsigma dsigma, L(sigma) the image blurred by a Gaussian",
        unit="{score}",
        excepts=NO_GRADIENT,
        cost="steps + 1 forwards and backwards",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        at="input",
        reduce="sum",
        sums="the score's difference from that of the blurred image",
        use="integrated gradients without a baseline colour: no pixel is blind because it equals the baseline",
        caveats=(
            "the path ends in a blurred image, of which the network may still say something",
            "beyond the border counts as zero (mid-grey for most preprocessings), as published",
        ),
    )
)
def blur_ig(
    input: Tensor, score: Tensor, *, steps: int = 64, max_sigma: float | None = None
) -> Generator[Any, Any, Attribution]:
    """The integral of the gradient along the path from a blurred image to the image.

    ``input`` [B, C, *size]; values of that shape, in score units; they sum to the score minus that of the blurred
    image up to the residual, which is returned as ``error``. ``max_sigma`` is the blur at the start in pixels, 50 / 224
    of the larger side unless given; ``steps`` intervals, denser where the blur is slight. The integral is taken in the
    image itself, by trapezoids. Raises `UsageError` for a blur that is not positive.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(192, 2), torch.nn.Tanh())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="blur-ig", steps=8).values.shape
    (8, 8)
    """
    most = _SHARE * max(input.shape[2:]) if max_sigma is None else max_sigma
    if not most > 0 or steps < 1:
        raise UsageError(f"max_sigma={max_sigma}, steps={steps}: both must be positive, e.g. max_sigma=50, steps=64")
    # quadratic spacing: an image changes fastest where the blur is slight
    sigmas = [most * (1 - k / steps) ** 2 for k in range(steps + 1)]

    def blurred(samples: Tensor, indices: Tensor) -> Tensor:
        rows = [_blur(input[s : s + 1], sigmas[i]) for s, i in zip(samples.tolist(), indices.tolist(), strict=True)]
        return torch.cat(rows)

    path, batch = ChangedInput(steps + 1, blurred, ("blur-ig", most)), input.shape[0]
    values, scores = yield (
        Stream(path, (Activation(), Gradient()), Telescope(batch)),
        Stream(path, (Score(),), Collect(batch, steps + 1)),
    )
    residual = values.flatten(1).sum(1) - (score - scores[:, 0])
    return Attribution(values, error=residual, total=score - scores[:, 0])


def _blur(x: Tensor, sigma: float) -> Tensor:
    """Gaussian blur of every spatial axis, zero beyond the border."""
    for axis in range(2, x.ndim):
        x = (x.movedim(axis, -1) @ _kernel(x.shape[axis], sigma).to(x)).movedim(-1, axis)
    return x


def _kernel(n: int, sigma: float) -> Tensor:
    """[n, n]: how much of pixel i goes to pixel j; what leaves the image is lost."""
    if sigma < 1e-3:
        return torch.eye(n, dtype=torch.float64)
    at = torch.arange(n, dtype=torch.float64)
    reach = math.ceil(8 * sigma) + 1
    whole = torch.exp(-0.5 * (torch.arange(-reach, reach + 1, dtype=torch.float64) / sigma) ** 2).sum()
    return torch.exp(-0.5 * ((at[:, None] - at) / sigma) ** 2) / whole
