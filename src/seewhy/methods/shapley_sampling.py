"""Shapley sampling: takes the input, its pieces and what hides them, asks for scores while pieces vanish in random
orders, gives each piece's mean share; every order is complete."""

from __future__ import annotations

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
from seewhy.methods._hidden_pieces import Draws, KeptScores, all_hidden, paint, piece_counts, piece_masks, unknown
from seewhy.methods._sampling import sampled
from seewhy.registry import Card, Need, method

__all__ = ["shapley_sampling"]


@method(
    Card(
        name="shapley-sampling",
        family="perturbation",
        paper="Castro, Gomez & Tejada 2009, Polynomial calculation of the Shapley value based on sampling, eq. 4-5; "
        "Strumbelj & Kononenko 2010",
        formula="mean over orders of S(before p's piece is hidden) - S(after)",
        unit="{score}",
        cost="2 forwards, and up to n: one order of P pieces takes P - 1",
        needs=frozenset({Need.STREAM}),
        at="input",
        use="Shapley values of pieces, with a standard error, complete at every budget",
        caveats=(
            "shows the network images with most pieces hidden, which it never saw in training",
            "n counts forwards: 50 pieces take 98 for one order and its reverse",
        ),
    )
)
def shapley_sampling(
    input: Tensor,
    score: Tensor,
    fill: Fill,
    segments: Tensor,
    *,
    n: int = 5000,
    tolerance: float = 0.1,
    seed: int = 0,
) -> Generator[Any, Any, Attribution]:
    """Each piece's Shapley value: what hiding it takes from the score, averaged over random orders of hiding.

    ``input`` [B, C, *size], ``score`` [B], ``segments`` [B, *size] whole numbers; values [B, *size], signed, in score
    units: every pixel has its piece's. The pieces' values add up to the score minus that of everything hidden,
    whatever the budget. Orders come in pairs, one the reverse of the other; the standard error, which is returned, is
    that of pair means. ``n`` counts forwards, of which whole pairs are used; fewer are made once the standard error
    is under ``tolerance`` of the map's range. Raises `UsageError` for a budget under one pair of orders.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    >>> halves = torch.tensor([[0, 0, 1, 1]] * 4)
    >>> e = seewhy.explain(net, torch.rand(1, 3, 4, 4), method="shapley-sampling", segments=halves, n=4)
    >>> len(set(e.values.ravel().tolist())), e.cost.forwards
    (2, 6)
    """
    counts = piece_counts(segments)
    draws = Draws(input, "shapley-sampling", seed)
    source_count = ChangedInput(n).count  # refuses a budget that is no positive whole number
    pairs = [source_count // (2 * (pieces - 1)) if pieces > 1 else 0 for pieces in counts]
    if short := [pieces for pieces, of in zip(counts, pairs, strict=True) if pieces > 1 and not of]:
        least = 2 * (max(short) - 1)
        raise UsageError(
            f"n={n}: an order of {max(short)} pieces and its reverse take {least} forwards; n={least} or more"
        )

    def hidden(samples: Tensor, indices: Tensor) -> Tensor:
        shown = []
        for sample, index in zip(samples.tolist(), indices.tolist(), strict=True):
            which, step = divmod(index, counts[sample] - 1)
            shows = torch.ones(counts[sample])
            shows[_order(draws, sample, which, counts[sample])[: step + 1]] = 0
            shown.append(shows)
        return fill(input, samples, piece_masks(segments, samples, shown, input.dtype))

    batch = input.shape[0]
    empty = yield Stream(all_hidden(input, fill), (Score(),), Collect(batch, 1))
    whole = [torch.arange(2 * of * (pieces - 1)) for pieces, of in zip(counts, pairs, strict=True)]
    items = torch.cat([torch.cartesian_prod(torch.tensor([b]), indices) for b, indices in enumerate(whole)])
    fold = _Orders(score, score - empty[:, 0], segments, counts, draws, tolerance)
    source = ChangedInput(n, hidden, ("shapley-sampling", seed, fill.key, id(segments)))
    return (yield from sampled(source, (Score(),), fold, "forwards", 64, items, growth=1.25))


def _order(draws: Draws, sample: int, which: int, pieces: int) -> Tensor:
    """The order of hiding [P]; odd ones are the reverse of those before them."""
    order = draws.uniform(sample, which // 2, pieces).argsort(stable=True)
    return order.flip(0) if which % 2 else order


class _Orders(KeptScores):
    """Means over pairs of orders."""

    def __init__(
        self, score: Tensor, total: Tensor, segments: Tensor, pieces: Sequence[int], draws: Draws, tolerance: float
    ) -> None:
        super().__init__(score, segments.shape[1:], tolerance)
        self._total = total.to("cpu", torch.float64)
        self._segments, self._pieces, self._draws = segments, pieces, draws

    def least(self, sample: int) -> int:
        """A pair of orders."""
        return 2 * (self._pieces[sample] - 1)

    def count(self, sample: int) -> int:
        """Only whole pairs count."""
        pair = self.least(sample)
        return super().count(sample) // pair * pair if pair else 0

    def estimate(self, sample: int, drops: Tensor) -> tuple[Tensor, Tensor]:
        """Shares of the total, telescoped along each order."""
        total, pieces = self._total[sample], self._pieces[sample]
        labels = self._segments[sample]
        if pieces == 1:
            values = total.reshape(1)
            return paint(values, labels), paint(torch.zeros_like(values), labels)
        along = drops.reshape(-1, pieces - 1)
        ends = torch.zeros(len(along), 1, dtype=torch.float64), total.expand(len(along), 1)
        steps = torch.cat([ends[0], along, ends[1]], 1).diff(dim=1)
        orders = torch.stack([_order(self._draws, sample, which, pieces) for which in range(len(along))])
        shares = torch.zeros_like(steps).scatter(1, orders, steps)
        pairs = shares.reshape(-1, 2, pieces).mean(1)
        values = pairs.mean(0)
        if len(pairs) < 2:
            return paint(values, labels), paint(unknown(values.detach()), labels)
        error = (pairs.detach().var(0) / len(pairs)).sqrt() * student(torch.tensor(float(len(pairs) - 1)))
        return paint(values, labels), paint(error, labels)
