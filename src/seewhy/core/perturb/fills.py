"""Fills: take an input and what of it stays visible, give the input with the rest replaced; run no model."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.errors import CapabilityError

__all__ = ["Fill", "Inpaint", "blurred", "mean_colour", "rows_of"]

#: the range that a channel is scaled to for OpenCV: its rounding is then far below what can be seen
_LEVELS = 2.0**16


@dataclass(frozen=True, eq=False)
class Fill:
    """What takes the place of what is hidden: ``reference`` [B, C, *size], a colour, a blur or noise."""

    reference: Tensor

    @property
    def key(self) -> Hashable:
        """What the fill depends on: equal for fills that paint alike, while their reference lives."""
        return type(self).__name__, id(self.reference)

    def __call__(self, x: Tensor, samples: Tensor, visible: Tensor) -> Tensor:
        """Rows ``samples`` [m] of ``x`` [B, C, *size], blended with the fill by ``visible`` [m, 1, *size] in [0, 1]:
        1 shows the image, 0 the fill. Differentiable in ``visible``."""
        hidden, shown = rows_of(self.reference, samples), rows_of(x, samples)
        return torch.lerp(hidden, shown, visible.to(shown))

    def boxes(self, x: Tensor, samples: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
        """Rows ``samples`` [m] of ``x``, each with the box from ``lo`` to ``hi`` [m, axes], inclusive, hidden."""
        hidden = x[samples]
        for row, (sample, first, last) in enumerate(zip(samples.tolist(), lo.tolist(), hi.tolist(), strict=True)):
            box = tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))
            hidden[row][(slice(None), *box)] = self.reference[sample][(slice(None), *box)]
        return hidden


@dataclass(frozen=True, eq=False)
class Inpaint(Fill):
    """The hidden part is painted in from its surroundings (Telea 2004, OpenCV), channel by channel.

    Masks count as hidden below one half. Raises `CapabilityError` without OpenCV, and for inputs that are no pictures.
    """

    radius: float = 3.0

    def __call__(self, x: Tensor, samples: Tensor, visible: Tensor) -> Tensor:
        """Rows ``samples`` of ``x``, painted in where ``visible`` is under one half, the rest to the bit; not
        differentiable."""
        if x.ndim != 4:
            raise CapabilityError(f"fill='inpaint' needs pictures [B, C, H, W], not {tuple(x.shape)}; use fill='blur'")
        try:
            import cv2
        except ImportError as error:
            raise CapabilityError("fill='inpaint' needs OpenCV: pip install 'seewhy[segment]'") from error
        painted = []
        for row, mask in zip(x[samples].detach().cpu(), visible.detach().cpu(), strict=True):
            hidden = mask[0] < 0.5
            channels = []
            for channel in row:
                # OpenCV adds a step of up to 1.4 in the channel's own units, meant for numbers up to 255
                low, high = channel.amin(), channel.amax()
                scale = _LEVELS / (high - low) if bool(high > low) else torch.zeros_like(low)
                levels = ((channel - low) * scale).float().contiguous().numpy()
                filled = cv2.inpaint(levels, hidden.to(torch.uint8).numpy(), self.radius, cv2.INPAINT_TELEA)
                patch = torch.from_numpy(filled).to(channel) / scale.clamp(min=1e-30) + low
                channels.append(torch.where(hidden, patch, channel))
            painted.append(torch.stack(channels))
        return torch.stack(painted).to(x)

    def boxes(self, x: Tensor, samples: Tensor, lo: Tensor, hi: Tensor) -> Tensor:
        """Rows ``samples`` of ``x``, each with a box painted in."""
        visible = torch.ones(len(samples), 1, *x.shape[2:], device="cpu")
        for mask, first, last in zip(visible, lo.tolist(), hi.tolist(), strict=True):
            mask[(slice(None), *(slice(a, b + 1) for a, b in zip(first, last, strict=True)))] = 0
        return self(x, samples, visible)


def rows_of(x: Tensor, samples: Tensor) -> Tensor:
    """Rows ``samples`` [m] of ``x``, or the one that they all are, [1, ...]: to be broadcast, not to be copied."""
    first = int(samples[0]) if len(samples) else 0
    return x[first : first + 1] if bool((samples == first).all()) else x[samples]


def mean_colour(x: Tensor) -> Tensor:
    """Each input's own mean of each channel, [B, C, *size]."""
    return x.flatten(2).mean(2).reshape(*x.shape[:2], *(1 for _ in x.shape[2:])).expand_as(x)


def blurred(x: Tensor) -> Tensor:
    """Each input [B, C, *size] through a Gaussian of a tenth of its size, one axis after the other, edges repeated."""
    for axis in range(2, x.ndim):
        n = x.shape[axis]
        sigma = max(n / 10, 1.0)
        reach = min(int(3 * sigma), max(n - 1, 0))
        offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
        kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
        kernel = (kernel / kernel.sum()).to(x)
        rows = x.movedim(axis, -1)
        flat = F.pad(rows.reshape(-1, 1, n), (reach, reach), mode="replicate")
        x = F.conv1d(flat, kernel[None, None]).reshape(rows.shape).movedim(-1, axis)
    return x.contiguous()
