"""LIME: takes the input, its pieces and what hides them, asks for scores with random pieces hidden, gives the weights
of a linear model of them; fits a ridge, selects nothing."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution, Score
from seewhy.core.perturb.estimators import student
from seewhy.core.perturb.fills import Fill
from seewhy.core.perturb.sources import ChangedInput
from seewhy.errors import UsageError
from seewhy.methods._hidden_pieces import Draws, KeptScores, Rows, paint, piece_counts, piece_masks, unknown
from seewhy.methods._sampling import sampled
from seewhy.registry import Card, Need, method

__all__ = ["lime"]


@method(
    Card(
        name="lime",
        family="perturbation",
        paper='Ribeiro, Singh & Guestrin 2016, "Why should I trust you?", arXiv:1602.04938, eq. 1-2',
        formula="w of min_w sum_i k(z_i) (S(z_i) - w_0 - w z_i)^2 + alpha |w|^2, k = exp(-d^2 / (2 width^2))",
        unit="{score}",
        cost="1 forward, and up to n",
        needs=frozenset({Need.STREAM}),
        at="input",
        use="a linear model of the score over superpixels, with a standard error",
        caveats=(
            "the linear model explains random half-hidden images, not the image alone",
            "the ridge shrinks weights, less with every sample; n counts forwards",
        ),
    )
)
def lime(
    input: Tensor,
    score: Tensor,
    fill: Fill,
    segments: Tensor,
    *,
    n: int = 3000,
    kernel_width: float = 0.25,
    alpha: float = 1.0,
    tolerance: float = 0.05,
    seed: int = 0,
) -> Generator[Any, Any, Attribution]:
    """Each piece's weight in a linear model of the score, fitted to images with random pieces hidden.

    ``input`` [B, C, *size], ``score`` [B], ``segments`` [B, *size] whole numbers; values [B, *size], signed, in score
    units: every pixel has its piece's. Every piece is visible with probability 1/2. An image with k of P pieces
    visible is d = 1 - sqrt(k / P) away (the cosine distance), and weighs exp(-d^2 / (2 ``kernel_width``^2));
    ``alpha`` is the ridge, which leaves the intercept alone. This is what the lime package does with its defaults,
    except that it explains probabilities and counts the whole image as a sample. The standard error, which is
    returned, is the regression's, robust against errors of unequal size (a sandwich with leave-one-out residuals),
    and what the ridge took counts as error besides. ``n`` counts forwards; fewer are made once the error is under
    ``tolerance`` of the map's range. Raises `UsageError` for a width that is not positive, a negative ridge.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    >>> halves = torch.tensor([[0, 0, 1, 1]] * 4)
    >>> e = seewhy.explain(net, torch.rand(1, 3, 4, 4), method="lime", segments=halves, n=16)
    >>> len(set(e.values.ravel().tolist())), e.cost.forwards
    (2, 17)
    """
    if not _number(kernel_width) or not kernel_width > 0:
        raise UsageError(f"kernel_width={kernel_width!r}: a number above 0, e.g. kernel_width=0.25")
    if not _number(alpha) or not alpha >= 0:
        raise UsageError(f"alpha={alpha!r}: a number, 0 or more, e.g. alpha=1.0")
    if n == 1 and n is not True:
        raise UsageError("lime n=1: a regression needs two forwards or more, e.g. n=1000")
    counts = piece_counts(segments)
    draws = Draws(input, "lime", seed)

    def shown(sample: int, index: int) -> Tensor:
        return (draws.uniform(sample, index, counts[sample]) < 0.5).to(torch.float64)

    def hidden(samples: Tensor, indices: Tensor) -> Tensor:
        rows = [shown(s, i) for s, i in zip(samples.tolist(), indices.tolist(), strict=True)]
        return fill(input, samples, piece_masks(segments, samples, rows, input.dtype))

    fold = _Ridge(score, segments, shown, kernel_width, alpha, tolerance)
    source = ChangedInput(n, hidden, ("lime", seed, fill.key, id(segments)))
    return (yield from sampled(source, (Score(),), fold, "forwards", 64))


def _number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


class _Ridge(KeptScores):
    """The weighted ridge of drops on visibilities, and its robust standard error."""

    def __init__(
        self,
        score: Tensor,
        segments: Tensor,
        shown: Callable[[int, int], Tensor],
        width: float,
        alpha: float,
        tolerance: float,
    ) -> None:
        super().__init__(score, segments.shape[1:], tolerance)
        self._segments, self._width, self._alpha = segments, width, alpha
        self._shown = Rows(lambda sample, a, b: torch.stack([shown(sample, index) for index in range(a, b)]))

    def least(self, sample: int) -> int:
        """Two samples make a slope."""
        return 2

    def estimate(self, sample: int, drops: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients and their errors; a drop is the score with its sign turned."""
        z = self._shown.first(sample, len(drops))
        similarity = z.mean(1).sqrt()
        weights = torch.exp(-((1 - similarity) ** 2) / (2 * self._width**2))
        share = weights / weights.sum()
        centred, scores = z - share @ z, share @ drops - drops
        gram = (centred * weights[:, None]).T @ centred
        inverse = torch.linalg.pinv(gram + self._alpha * torch.eye(z.shape[1], dtype=z.dtype), hermitian=True)
        values = inverse @ (centred.T @ (weights * scores))
        error = self._error(centred, weights, scores - centred @ values, inverse)
        # what the ridge takes is no chance, but larger budgets give it back
        shrunk = self._alpha * (inverse @ values.detach())
        labels = self._segments[sample]
        return paint(values, labels), paint((error**2 + shrunk**2).sqrt(), labels)

    @staticmethod
    def _error(centred: Tensor, weights: Tensor, residuals: Tensor, inverse: Tensor) -> Tensor:
        """Square roots of the diagonal of A^-1 (sum_i w_i^2 e_i^2 z_i z_i^T) A^-1, e_i as if sample i had been left
        out."""
        freedom = len(centred) - centred.shape[1] - 1
        if freedom < 1:
            return unknown(inverse[0])
        moves = (centred * weights[:, None]) @ inverse
        leverage = (moves * centred).sum(1) + weights / weights.sum()
        left_out = residuals.detach() / (1 - leverage).clamp(min=1e-12)
        return (moves * left_out[:, None]).square().sum(0).sqrt() * student(torch.tensor(float(freedom)))
