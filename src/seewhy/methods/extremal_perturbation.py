"""Extremal perturbation: takes the input, finds the part of a given area that keeps the score highest."""

from __future__ import annotations

import itertools
import math
from collections.abc import Generator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.core.perturb.fills import Fill
from seewhy.errors import CapabilityError, UsageError
from seewhy.methods._exceptions import FIXED_REFERENCE, NO_GRADIENT
from seewhy.methods._optimised_masks import search
from seewhy.registry import Card, Need, method

__all__ = ["extremal_perturbation"]

#: the smooth maximum's temperature, and by how much the area's weight grows over the run, as published
_TEMPERATURE, _GROWTH = 1 / 20, 16.0


@method(
    Card(
        name="extremal-perturbation",
        family="perturbation",
        paper="Fong, Patrick & Vedaldi 2019, Understanding Deep Networks via Extremal Perturbations and Smooth Masks, "
        "arXiv:1910.08485, eq. 3, 6-8",
        formula="mean over areas a of argmax_m S(x seen through m) - weight |sort(m) - r_a|^2, m a smooth maximum",
        unit="share of the mask",
        excepts={
            **NO_GRADIENT,
            **FIXED_REFERENCE,
            "blindness": "fills the area that it is given, with smooth edges, however little of it counts",
        },
        cost="for every area steps + 2 forwards, steps + 1 backwards, one after the other",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        at="input",
        positive=True,
        fill="blur",
        differentiable=False,
        use="the part of a given size that is enough for the class",
        caveats=(
            "an optimisation: slow, and it may end in another part of the same worth",
            "a fixed area is always found, whether the class is there or not: look at the score of what is left",
            "needs gradients, unlike the others of its family",
        ),
    )
)
def extremal_perturbation(
    input: Tensor,
    fill: Fill,
    score: Tensor,
    *,
    areas: float | tuple[float, ...] = (0.1,),
    steps: int = 400,
    sigma: float | None = None,
    weight: float = 5.0,
    learning_rate: float = 0.001,
) -> Generator[Any, Any, Attribution]:
    """The part of the image, of a given area, through which the network still sees the most of the class.

    ``input`` [B, C, H, W]; values [B, H, W] in [0, 1], 1 where the image is kept, the mean over ``areas`` (shares of
    the image, each an optimisation of its own). Masks are smooth: discs of about ``sigma`` pixels (21 at 224) joined by
    a smooth maximum. ``weight`` holds the area, and grows sixteenfold; the score is in units of what hiding
    everything costs. Zero where the score does not depend on the input. Raises `UsageError` for areas outside (0, 1)
    and invalid numbers, `CapabilityError` for inputs that are no pictures. An interrupted run gives the
    masks it has.
    """
    areas = tuple(areas) if isinstance(areas, tuple | list) else (float(areas),)
    if not areas or not all(0 < area < 1 for area in areas) or not weight > 0 or not (sigma is None or sigma > 0):
        raise UsageError(
            f"areas={areas}, weight={weight}, sigma={sigma}: shares between 0 and 1, positive numbers, "
            "e.g. (0.1, 0.2), 30, 21"
        )
    if input.ndim != 4:
        raise CapabilityError(f"extremal-perturbation needs pictures [B, C, H, W], not {tuple(input.shape)}")
    size = (input.shape[2], input.shape[3])
    smooth = _SmoothMask(size, 21 / 224 * max(size) if sigma is None else sigma, input)
    masks: list[Tensor] = []
    notes, finished = ("",) * len(input), True
    for area in areas:
        hidden = round((1 - area) * size[0] * size[1])

        def penalty(free: Tensor, step: int, hidden: int = hidden) -> Tensor:
            mask = smooth(free).flatten(1)
            wanted = torch.stack([_step(row, hidden) for row in mask.detach()])
            held: Tensor = weight * _GROWTH ** (step / steps) * (mask - wanted).square().mean(1)
            return held

        start = torch.ones((len(input), 1, *smooth.grid), dtype=input.dtype, device=input.device)
        searched = yield from search(
            input,
            fill,
            score,
            start,
            smooth,
            penalty,
            keep=True,
            steps=steps,
            learning_rate=learning_rate,
            momentum=0.9,
        )
        masks.append(searched.mask[:, 0] * searched.moved.reshape(-1, 1, 1))
        notes = tuple(
            f"{before}{'; ' if before else ''}area {area:g}: {note}"
            for before, note in zip(notes, searched.notes(steps), strict=True)
        )
        finished = searched.finished
        if not finished:
            break
    return Attribution(torch.stack(masks).mean(0), notes=notes, finished=finished)


def _step(values: Tensor, hidden: int) -> Tensor:
    """What each of ``values`` [n] would be if the ``hidden`` smallest were 0 and the others 1.

    Equal values share: a mask starts out flat, and the order of pixels must not decide which part is kept.
    """
    _, which, counts = torch.unique((values * 1e5).round(), return_inverse=True, return_counts=True)
    last = counts.cumsum(0)
    kept = (last - hidden).clamp(min=0) - (last - counts - hidden).clamp(min=0)
    wanted: Tensor = (kept / counts).to(values)[which]
    return wanted


class _SmoothMask:
    """Numbers on a coarse grid as a mask at full size: m(u) = smooth maximum over v of k(|u - v| / sigma) free(v).

    k is 1 up to half a sigma, and falls like a Gaussian beyond. Beyond the image the border's numbers go on, so
    that equal numbers make an even mask.
    """

    def __init__(self, size: tuple[int, int], sigma: float, like: Tensor) -> None:
        self.size, self.step = size, max(1, round(sigma / 3))
        self.reach = math.ceil(2 * sigma / self.step)
        self.grid = tuple(math.ceil(n / self.step) for n in size)
        # distance of every pixel of a cell from the centres of the cells around it
        at = [(n + 0.5) / self.step - 0.5 for n in range(self.step)]
        cells = range(-self.reach, self.reach + 1)
        distance = [
            [math.hypot(v - y, u - x) * self.step / sigma for v, u in itertools.product(cells, cells)]
            for y, x in itertools.product(at, at)
        ]
        beyond = (torch.tensor(distance, dtype=torch.float64) - 0.5).clamp(min=0)
        self.kernel = torch.exp(-2 * beyond.square()).to(like)

    def __call__(self, free: Tensor) -> Tensor:
        """[B, 1, *grid] as [B, 1, H, W]."""
        around = F.pad(free, (self.reach,) * 4, mode="replicate")
        windows = F.unfold(around, 2 * self.reach + 1).reshape(len(free), 1, -1, *self.grid)
        scaled = windows * self.kernel[None, :, :, None, None]
        share = (scaled / _TEMPERATURE).softmax(2)
        fine = F.pixel_shuffle((share * scaled).sum(2), self.step)
        return fine[..., : self.size[0], : self.size[1]]
