"""Cell drop: takes the input, asks for the score with one cell of a grid after the other hidden, gives what each is worth."""

from __future__ import annotations

from collections.abc import Generator

import torch
from torch import Tensor

from seewhy.extend import Card, ChangedInput, Collect, Fill, Need, Score, Stream, UsageError, method

__all__ = ["cell_drop"]


@method(
    Card(
        name="cell-drop",
        family="perturbation",
        paper="Zeiler & Fergus 2014, arXiv:1311.2901, section 4.1, over the cells of a grid",
        formula="S(x) - S(x with the cell of p hidden)",
        cost="1 forward, and one for every cell (16)",
        needs=frozenset({Need.STREAM}),
        at="input",
        use="a first look at where the evidence is, for any model that can be called",
        caveats=("what two cells both show counts for neither",),
    )
)
def cell_drop(input: Tensor, score: Tensor, fill: Fill, *, cells: int = 4) -> Generator[Stream, Tensor, Tensor]:
    """By how much hiding each cell of a grid lowers the score.

    ``input`` [B, C, *size], ``score`` [B]; values [B, *size], signed, in score units. ``cells`` along each axis.
    """
    batch, size = len(input), tuple(input.shape[2:])
    if isinstance(cells, bool) or not isinstance(cells, int) or not 1 <= cells <= min(size):
        raise UsageError(f"cells={cells!r}: a whole number from 1 to {min(size)}, e.g. cells=4")
    cell_of, count = _grid(size, cells).to(input.device), cells ** len(size)

    def hidden(images: Tensor, numbers: Tensor) -> Tensor:
        """Rows ``images`` [m] of the input, each without the cell of its number [m]."""
        visible = cell_of != numbers.reshape(-1, *(1 for _ in size))
        return fill(input, images, visible[:, None])

    source = ChangedInput(count, hidden, name=("cell-drop", cells, fill.key))
    scores = yield Stream(source, (Score(),), Collect(batch, count))  # [B, count]
    return (score[:, None] - scores)[:, cell_of]


def _grid(size: tuple[int, ...], cells: int) -> Tensor:
    """Which cell each place of the input belongs to, numbers from 0, [*size]."""
    number = torch.zeros(size, dtype=torch.long)
    for axis, length in enumerate(size):
        along = torch.arange(length) * cells // length
        number = number * cells + along.reshape(-1, *(1 for _ in size[axis + 1 :]))
    return number
