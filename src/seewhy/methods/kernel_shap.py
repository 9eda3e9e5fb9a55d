"""Kernel SHAP: takes the input, its pieces and what hides them, asks for scores of random coalitions and their
complements, gives the pieces' Shapley values by regression; always adds up."""

from __future__ import annotations

import math
from collections.abc import Generator, Sequence
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution, Score, Stream
from seewhy.core.perturb.estimators import student
from seewhy.core.perturb.fills import Fill
from seewhy.core.perturb.folds import Collect
from seewhy.core.perturb.sources import ChangedInput
from seewhy.errors import UsageError
from seewhy.methods._hidden_pieces import (
    Draws,
    KeptScores,
    Rows,
    all_hidden,
    paint,
    piece_counts,
    piece_masks,
    unknown,
)
from seewhy.methods._sampling import sampled
from seewhy.registry import Card, Need, method

__all__ = ["kernel_shap"]

#: forwards times squared tolerance that sampling takes at least: where all coalitions are fewer, all are scored
_SAMPLED = 2.5


@method(
    Card(
        name="kernel-shap",
        family="perturbation",
        paper="Lundberg & Lee 2017, arXiv:1705.07874, theorem 2; Covert & Lee 2021, arXiv:2012.01536, section 4.2; "
        "Musco & Witter 2025, arXiv:2410.01917",
        formula="min_phi sum_i v_i (S(z_i) - S(0) - phi z_i)^2, sum phi = S(1) - S(0), v = 1 / (k (P - k)) for k of P",
        unit="{score}",
        cost="2 forwards, and up to n; 2^P - 2 for few pieces P",
        needs=frozenset({Need.STREAM}),
        at="input",
        use="Shapley values of pieces in fewer forwards than shapley-sampling, with a standard error",
        caveats=(
            "shows the network images with most pieces hidden, which it never saw in training",
            "unknown until there are more pairs of forwards than pieces; n counts forwards",
        ),
    )
)
def kernel_shap(
    input: Tensor,
    score: Tensor,
    fill: Fill,
    segments: Tensor,
    *,
    n: int = 5000,
    tolerance: float = 0.1,
    seed: int = 0,
) -> Generator[Any, Any, Attribution]:
    """Each piece's Shapley value, by least squares over coalitions of visible pieces.

    ``input`` [B, C, *size], ``score`` [B], ``segments`` [B, *size] whole numbers; values [B, *size], signed, in score
    units: every pixel has its piece's. The pieces' values add up to the score minus that of everything hidden,
    whatever the budget. Coalitions have any number k of the P pieces equally often, count 1 / (k (P - k)) in the
    regression, and come with their complements; the standard error, which is returned, is the regression's over pairs
    (a sandwich with leave-one-out residuals). Where all 2^P - 2 coalitions fit into ``n`` and are fewer than
    sampling would take (up to 8 pieces at a tolerance of 0.1, 12 at 0.02, any at 0), all are scored: the values are
    the Shapley values, the error 0. ``n`` counts forwards; fewer are made once the standard error is under
    ``tolerance`` of the map's range. With fewer pairs than pieces the smallest values that fit are given, without a
    standard error. Raises `UsageError` for a budget under 2.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    >>> quarters = torch.tensor([[0, 0, 1, 1]] * 2 + [[2, 2, 3, 3]] * 2)
    >>> e = seewhy.explain(net, torch.rand(1, 3, 4, 4), method="kernel-shap", segments=quarters)
    >>> e.cost.forwards, float(e.error.max())
    (16, 0.0)
    """
    if n == 1 and n is not True:
        raise UsageError("kernel-shap n=1: coalitions come with their complements; n=2 or more")
    batch, counts = input.shape[0], piece_counts(segments)
    draws, source_count = Draws(input, "kernel-shap", seed), ChangedInput(n).count
    likely = _SAMPLED / tolerance**2 if isinstance(tolerance, int | float) and tolerance else source_count
    whole = [2**pieces - 2 <= min(source_count, likely) for pieces in counts]

    def shown(sample: int, index: int) -> Tensor:
        pieces = counts[sample]
        if whole[sample]:
            return (torch.tensor(index + 1) >> torch.arange(pieces)).remainder(2).to(torch.float64)
        return _coalition(draws, sample, index, pieces)

    def hidden(samples: Tensor, indices: Tensor) -> Tensor:
        rows = [shown(s, i) for s, i in zip(samples.tolist(), indices.tolist(), strict=True)]
        return fill(input, samples, piece_masks(segments, samples, rows, input.dtype))

    empty = yield Stream(all_hidden(input, fill), (Score(),), Collect(batch, 1))
    needed = [2**p - 2 if all_ else source_count - source_count % 2 for p, all_ in zip(counts, whole, strict=True)]
    items = torch.cat([torch.cartesian_prod(torch.tensor([b]), torch.arange(count)) for b, count in enumerate(needed)])
    fold = _Coalitions(score, score - empty[:, 0], segments, shown, counts, whole, tolerance)
    source = ChangedInput(n, hidden, ("kernel-shap", seed, fill.key, id(segments)))
    return (yield from sampled(source, (Score(),), fold, "forwards", 64, items, growth=1.25))


def _coalition(draws: Draws, sample: int, index: int, pieces: int) -> Tensor:
    """Visible pieces [P] of 0 and 1; odd ones are the complement of those before them.

    Every number of pieces is as likely as any other: the leverage of a coalition in the regression is one over the
    number of coalitions of its size.
    """
    drawn = draws.uniform(sample, index // 2, pieces + 1)
    size = 1 + int(drawn[0] * (pieces - 1))
    shows = torch.zeros(pieces, dtype=torch.float64)
    shows[drawn[1:].argsort(stable=True)[:size]] = 1
    return 1 - shows if index % 2 else shows


class _Coalitions(KeptScores):
    """The constrained regression, or the Shapley values themselves where every coalition is known."""

    def __init__(
        self, score: Tensor, total: Tensor, segments: Tensor, shown: Any, pieces: Sequence[int], whole: Sequence[bool],
        tolerance: float,
    ) -> None:  # fmt: skip
        super().__init__(score, segments.shape[1:], tolerance)
        self._total = total.to("cpu", torch.float64)
        self._segments, self._pieces, self._whole = segments, pieces, whole
        #: the first of each pair
        self._shown = Rows(lambda sample, a, b: torch.stack([shown(sample, 2 * index) for index in range(a, b)]))

    def least(self, sample: int) -> int:
        """A pair, or every coalition where all are wanted."""
        return 2 ** self._pieces[sample] - 2 if self._whole[sample] else 2

    def count(self, sample: int) -> int:
        """Only whole pairs count."""
        return super().count(sample) // 2 * 2

    def estimate(self, sample: int, drops: Tensor) -> tuple[Tensor, Tensor]:
        """Values and errors, painted on the pieces."""
        whole = self._whole[sample]
        values, error = _exact(drops, self._total[sample]) if whole else self._regressed(sample, drops)
        return paint(values, self._segments[sample]), paint(error, self._segments[sample])

    def _regressed(self, sample: int, drops: Tensor) -> tuple[Tensor, Tensor]:
        """Least squares over pairs: S(z) - S(1 - z) on 2 z - 1, which is all that pairs leave of the problem.

        With sum phi = T fixed, phi = T / P + Q theta, Q an orthonormal basis of the directions that add up to 0.
        """
        pieces, total = self._pieces[sample], self._total[sample]
        shown = self._shown.first(sample, len(drops) // 2)
        signs, size = 2 * shown - 1, shown.sum(1)
        root = (1 / (size * (pieces - size))).sqrt()
        basis = torch.linalg.qr(torch.cat([torch.ones(pieces, 1), torch.eye(pieces)[:, :-1]], 1).double())[0][:, 1:]
        rows = root[:, None] * (signs @ basis)
        inverse = torch.linalg.pinv(rows.T @ rows, hermitian=True)
        wanted = root * (drops[1::2] - drops[::2] - signs.sum(1) * total / pieces)
        theta = inverse @ (rows.T @ wanted)
        values = total / pieces + basis @ theta
        freedom = len(rows) - (pieces - 1)
        if freedom < 1:
            return values, unknown(values.detach())
        moves = rows @ inverse
        leverage = (moves * rows).sum(1)
        left_out = (wanted - rows @ theta).detach() / (1 - leverage).clamp(min=1e-12)
        away = (moves * left_out[:, None]) @ basis.T
        return values, away.square().sum(0).sqrt() * student(torch.tensor(float(freedom)))


def _exact(drops: Tensor, total: Tensor) -> tuple[Tensor, Tensor]:
    """phi_j = sum over the coalitions S without j of |S|! (P - |S| - 1)! / P! (S(S and j) - S(S)); coalition i + 1 in
    binary."""
    lost = torch.cat([total.reshape(1), drops, torch.zeros(1, dtype=torch.float64)])
    pieces = (len(lost) - 1).bit_length()
    numbers = torch.arange(len(lost))
    sizes = torch.stack([(numbers >> j).remainder(2) for j in range(pieces)]).sum(0)
    chance = [math.factorial(k) * math.factorial(pieces - k - 1) / math.factorial(pieces) for k in range(pieces)]
    values = []
    for j in range(pieces):
        without = numbers[(numbers >> j).remainder(2) == 0]
        weights = torch.tensor(chance, dtype=torch.float64)[sizes[without]]
        values.append((weights * (lost[without] - lost[without + 2**j])).sum())
    shapley = torch.stack(values)
    # rounding alone keeps the sum from being exact
    return shapley + (total - shapley.sum()) / pieces, torch.zeros(pieces, dtype=torch.float64)
