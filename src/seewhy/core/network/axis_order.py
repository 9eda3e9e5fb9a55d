"""Axis orders: takes the letters of a network's axes, gives inputs as formulas see them, [B, C, *positions], and back;
never runs a network."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from seewhy.errors import UsageError

__all__ = ["BATCH", "CHANNELS", "AxisOrder"]

#: what the two axes are called that are no positions
BATCH, CHANNELS = "B", "C"


@dataclass(frozen=True)
class AxisOrder:
    """The axes of a network's input, a letter each: ``B`` the batch, ``C`` the channels, any other one of positions.

    Without a ``B`` the network takes one sample at a time; without a ``C`` every number is one of its own. Formulas see
    [B, C, *positions] in any case, with the positions in the network's own order, and one of length 1 where it has
    none. Raises `UsageError` for letters that stand twice.

    >>> import torch
    >>> AxisOrder("BTCHW").canonical(torch.zeros(2, 8, 3, 16, 16)).shape
    torch.Size([2, 3, 8, 16, 16])
    >>> AxisOrder("BF").canonical(torch.zeros(2, 5)).shape, AxisOrder("BF").own(torch.zeros(2, 1, 5)).shape
    (torch.Size([2, 1, 5]), torch.Size([2, 5]))
    """

    letters: str

    def __post_init__(self) -> None:
        letters = self.letters
        if not letters.isalpha() or not letters.isupper() or len(set(letters)) != len(letters):
            raise UsageError(
                f"axes={letters!r}: one capital letter for each axis of the input, none of them twice: B the batch, C "
                "the channels, others positions, as in axes='BTCHW' for frames or axes='BF' for rows of features"
            )
        if letters == BATCH + CHANNELS:
            raise UsageError(f"axes={letters!r} leaves no positions; for rows of features: axes='BF'")

    @property
    def batched(self) -> bool:
        """Whether the network takes several samples at once."""
        return BATCH in self.letters

    @property
    def sample(self) -> str:
        """The axes of one sample, in the network's order."""
        return self.letters.replace(BATCH, "")

    @property
    def positions(self) -> str:
        """The axes of positions."""
        return self.sample.replace(CHANNELS, "")

    def canonical(self, own: Tensor) -> Tensor:
        """A batch of inputs as the network has them, as [B, C, *positions]: a view. Where the network takes one sample
        at a time the batch comes first."""
        letters = self.letters if self.batched else BATCH + self.letters
        x = own.movedim(letters.index(BATCH), 0)
        x = x.movedim(1 + self.sample.index(CHANNELS), 1) if CHANNELS in self.letters else x.unsqueeze(1)
        return x if self.positions else x.unsqueeze(2)

    def own(self, x: Tensor) -> Tensor:
        """The inverse of `canonical`."""
        x = x if self.positions else x.squeeze(2)
        x = x.movedim(1, 1 + self.sample.index(CHANNELS)) if CHANNELS in self.letters else x.squeeze(1)
        return x.movedim(0, self.letters.index(BATCH)) if self.batched else x

    def __str__(self) -> str:
        """As shapes are written: ``[B, T, C, H, W]``."""
        return f"[{', '.join(self.letters)}]"
