"""Feature ablation: takes the input, its pieces and what hides them, asks for the score without each piece, gives what
each is worth; never more than one piece at a time."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Score, Stream
from seewhy.core.perturb.fills import Fill
from seewhy.core.perturb.folds import Collect
from seewhy.core.perturb.sources import ChangedInput
from seewhy.methods._exceptions import ONE_BY_ONE
from seewhy.methods._hidden_pieces import paint, piece_counts
from seewhy.registry import Card, Need, method

__all__ = ["feature_ablation"]


@method(
    Card(
        name="feature-ablation",
        family="perturbation",
        paper="Zeiler & Fergus 2014, arXiv:1311.2901, section 4.1, over pieces; Merrick 2019, arXiv:1911.01417",
        formula="S(x) - S(x with the piece of p hidden)",
        unit="{score}",
        excepts=ONE_BY_ONE,
        cost="1 forward, and one for every piece (50 superpixels unless told otherwise)",
        needs=frozenset({Need.STREAM}),
        at="input",
        use="the cheapest look at what the score loses without each piece",
        caveats=(
            "what two pieces both show counts for neither",
            "depends on the pieces and on the fill",
        ),
    )
)
def feature_ablation(input: Tensor, score: Tensor, fill: Fill, segments: Tensor) -> Generator[Any, Any, Tensor]:
    """By how much hiding each piece lowers the score.

    ``input`` [B, C, *size], ``score`` [B], ``segments`` [B, *size] whole numbers; values [B, *size], signed, in score
    units: every pixel has its piece's. Images may have different numbers of pieces.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    >>> halves = torch.tensor([[0, 0, 1, 1]] * 4)
    >>> e = seewhy.explain(net, torch.rand(1, 3, 4, 4), method="feature-ablation", segments=halves)
    >>> e.cost.forwards, len(set(e.values.ravel().tolist()))
    (3, 2)
    """
    counts = piece_counts(segments)
    most = max(counts)

    def hidden(samples: Tensor, pieces: Tensor) -> Tensor:
        shown = segments[samples] != pieces.reshape(-1, *(1 for _ in input.shape[2:]))
        return fill(input, samples, shown[:, None])

    items = torch.cat([torch.cartesian_prod(torch.tensor([b]), torch.arange(n)) for b, n in enumerate(counts)])
    source = ChangedInput(most, hidden, ("feature-ablation", fill.key, id(segments)))
    stream = Stream(source, (Score(),), Collect(input.shape[0], most), items)
    scores = yield stream
    return torch.stack([paint(row, labels) for row, labels in zip(score[:, None] - scores, segments, strict=True)])
