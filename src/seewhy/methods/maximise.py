"""Feature visualisation: takes a size, changes an image step by step until the target is as strong as it gets, gives
the image."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Attribution, Interrupted, Progress
from seewhy.core.perturb.noise import fingerprint, gaussian, uniform
from seewhy.errors import CapabilityError, UnknownName, UsageError
from seewhy.methods import _image_parameters
from seewhy.methods._gradient_steps import look_at_views
from seewhy.registry import Card, Need, method

__all__ = ["maximise"]

_PICTURES = {"fourier": _image_parameters.fourier, "maco": _image_parameters.phases, "pixel": _image_parameters.pixels}


@method(
    Card(
        name="maximise",
        family="inside",
        paper="Olah, Mordvintsev & Schubert 2017, Feature Visualization, doi:10.23915/distill.00007; "
        "MACO: Fel et al. 2023, arXiv:2306.06805",
        formula="argmax_z E_t S(t(image(z))), z in Fourier space with decorrelated colours, t jitter, scale, rotation",
        cost="steps x copies forwards and backwards",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        at="input",
        call="maximise",
        differentiable=False,
        use="what a class, channel, layer or single neuron responds to most",
        caveats=(
            "an extreme, not an example: see the real images that activate it beside it",
            "one image shows one facet; another seed may show another",
        ),
    )
)
def maximise(
    input: Tensor,
    bounds: tuple[Tensor, Tensor],
    *,
    parametrisation: str = "fourier",
    steps: int = 256,
    learning_rate: float = 0.05,
    decay: float = 1.25,
    copies: int = 4,
    jitter: int = 16,
    scale: float = 0.1,
    rotate: float = 10.0,
    seed: int = 0,
) -> Generator[Any, Any, Attribution]:
    """An image that makes the target as large as possible.

    ``input`` [B, C, H, W] gives the size and number of images (one start for each, from ``seed`` and its content);
    values of that shape are the images, in input units, between ``bounds``. ``parametrisation`` is ``fourier``,
    ``maco`` (phases only, magnitudes of natural images) or ``pixel``; ``decay`` is how much more coarse scales move
    than fine ones in ``fourier`` (Lucid: 1). ``copies`` random views a step, moved by up to ``jitter`` pixels, scaled
    by 1 +- ``scale``, turned by +- ``rotate`` degrees. Raises `UsageError` for invalid values; an
    interrupted run gives the image it has.
    """
    if parametrisation not in _PICTURES:
        raise UnknownName("parametrisation", parametrisation, _PICTURES, "seewhy methods maximise")
    if steps < 1 or copies < 1 or not learning_rate > 0 or jitter < 0 or not 0 <= scale < 1 or rotate < 0:
        raise UsageError(
            f"steps={steps}, copies={copies}, learning_rate={learning_rate}, jitter={jitter}, scale={scale}, "
            f"rotate={rotate}: the first three are positive, the others not negative, scale under 1"
        )
    if input.ndim != 4:
        raise CapabilityError(f"maximise makes pictures [B, C, H, W]; this model takes {tuple(input.shape)}")
    low, high = bounds
    batch, keys = input.shape[0], fingerprint(input)
    height, width = input.shape[2:]
    shape = (
        (input.shape[1], height, width) if parametrisation == "pixel" else (input.shape[1], height, width // 2 + 1, 2)
    )
    noise = gaussian([(key, 0) for key in keys], shape, family="maximise", seed=seed).to(input)
    free, picture = _PICTURES[parametrisation](noise, (height, width), decay)
    free = free.clone().requires_grad_()
    adam = torch.optim.Adam([free], lr=learning_rate)
    scores: list[float] = []
    try:
        for step in range(steps):
            draws = uniform([(key, step) for key in keys], (copies, 4), family="maximise-views", seed=seed)
            image = low + (high - low) * picture(free)
            seen = _image_parameters.views(
                image.repeat_interleave(copies, 0), draws.flatten(0, 1), jitter=jitter, scale=scale, rotate=rotate
            )
            gradient, score = yield from look_at_views(seen.detach().reshape(batch, copies, *seen.shape[1:]))
            # ascent: Adam goes down
            (free.grad,) = torch.autograd.grad(seen, free, -gradient.flatten(0, 1) / copies)
            adam.step()
            scores.append(float(score.mean()))
            yield Progress(step + 1, steps, image.detach())
    except Interrupted:
        if not scores:
            raise
    with torch.no_grad():
        values = low + (high - low) * picture(free)
    done = len(scores)
    cut = "" if done == steps else "interrupted after "
    note = f"{cut}{done} of {steps} steps, score of its random views {scores[0]:.3g} to {scores[-1]:.3g}"
    return Attribution(values, notes=(note,) * batch, finished=done == steps)
