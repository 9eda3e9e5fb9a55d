"""Feature visualisation: takes a model and what to make strong, gives the image that does, beside real ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import seewhy.methods  # noqa: F401 - every method registers itself on import
from seewhy.api.answered.records import provenance
from seewhy.api.asked.parameters import split_parameters
from seewhy.api.asked.targets import aim
from seewhy.api.given.folders import strongest
from seewhy.api.listing import blank, guessing
from seewhy.api.waiting import watched
from seewhy.core.forward.answers import score_batch
from seewhy.core.forward.session import Session
from seewhy.core.forward.settings import Settings
from seewhy.core.layers.choice import read_layer
from seewhy.core.network.places import INPUT
from seewhy.core.schedule.attempts import attempts
from seewhy.core.schedule.engine import Engine
from seewhy.core.schedule.jobs import Job, Outline
from seewhy.errors import CapabilityError, UsageError
from seewhy.explanation import Cost, Gallery, Status, Tile
from seewhy.models import Model
from seewhy.models.loader import taken
from seewhy.registry import methods as registry

__all__ = ["maximise"]

Pixels = NDArray[np.uint8]


def maximise(
    model: Model | nn.Module | str,
    target: Any,
    *,
    size: int | tuple[int, int] | None = None,
    bounds: tuple[float, float] | None = None,
    folder: str | Path | Sequence[str | Path] | None = None,
    examples: int = 4,
    every: int = 0,
    preview: Callable[[Pixels, int], None] | None = None,
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
    **parameters: Any,
) -> Gallery:
    """The image that makes a class, layer, channel or neuron as strong as possible: a `Gallery` of it and, with a
    ``folder`` of photos, of the ``examples`` that activate the target most.

    ``target``: a class (number or label), ``"LAYER"`` (all of it, as DeepDream), ``"LAYER:CHANNEL"``,
    ``"LAYER:CHANNEL:Y,X"`` (one neuron), or a `Target`. ``size`` is the picture's, the model's own unless given;
    ``bounds`` the smallest and largest input there can be, for models whose preprocessing does not say. Every
    ``every`` steps ``preview`` is called with the picture so far, uint8 [H, W, 3], and the number of steps done.
    Further ``parameters`` are the method's: ``parametrisation`` (``"fourier"``, ``"maco"``, ``"pixel"``), ``steps``,
    ``learning_rate``, ``copies``, ``jitter``, ``scale``, ``rotate``, ``seed``. ``values`` are the image as input,
    [1, C, H, W]. An interrupted run gives the image it has, with status ``unfinished``.

    Raises `UnknownName` for a class or layer that does not exist, `CapabilityError` for models without gradients,
    `UsageError` for invalid values.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    >>> seewhy.maximise(net, "1:2", size=16, steps=3).values.shape
    (1, 3, 16, 16)
    """
    began = time.perf_counter()
    wrapped = taken(model)
    network, method = wrapped.network(), registry["maximise"]
    if isinstance(network.module, torch.jit.ScriptModule):
        raise CapabilityError("maximise looks at layers, which TorchScript hides; use the original module")
    what, (own,) = aim(wrapped, network, target), split_parameters([method], parameters)
    x, ends = network.like(_blank(wrapped, size)), _ends(wrapped, bounds)
    limits = tuple(end.to(x).reshape(1, -1, 1, 1).expand(1, x.shape[1], 1, 1) for end in ends)
    # found out before minutes are spent
    with network.borrowed() as call, guessing(x, "only networks of pictures can be maximised"), torch.no_grad():
        call(x)
    real = strongest(wrapped, network, what, folder, examples, watched(progress)) if folder is not None else []

    def drawn(values: Tensor) -> Pixels:
        return _pixels(values[0], limits[0][0], limits[1][0])

    def seen(values: Tensor, step: int, steps: int) -> None:
        if preview is not None and every > 0 and (step % every == 0 or step == steps):
            preview(drawn(values), step)

    settings = Settings(memory=memory, progress=watched(progress), preview=seen)
    outline = Outline(method, INPUT)
    job = Job(outline, (what,), own, {"bounds": limits})
    for attempt in attempts(network, settings):
        with (
            attempt,
            network.borrowed() as call,
            Engine(Session(network, call, x, attempt.settings, reader=read_layer), attempt.lost) as engine,
        ):
            engine.open([outline], what.layers)
            outcome = engine.run([job])
    best, spent = outcome.answers[0].attribution, outcome.spent
    # the optimisation's own scores are those of random views; this is the picture's
    words, status = what.describe(wrapped.label), Status() if best.finished else Status("unfinished", best.notes[0])
    score: float | None = None
    try:
        score = float(score_batch(network, best.values, what, reader=read_layer)[0])
    except KeyboardInterrupt:  # the picture of many minutes is finished: it is worth more than its number
        status = Status("unfinished", "interrupted before the finished picture had its score")
    tile = Tile(drawn(best.values), (words, *(() if score is None else (f"score {score:.3g}",))), value=score)
    return Gallery(
        title=f"What makes {words} strong in {wrapped.name}",
        tiles=(tile, *real),
        values=best.values.detach().cpu().numpy(),
        columns=1 + len(real),
        cell=224,
        notes=(*best.notes, *network.warned),
        status=status,
        parameters={"target": words, **own},
        cost=Cost(spent.forwards + 1, spent.backwards, 0, time.perf_counter() - began),
        provenance=provenance(wrapped, x),
    )


def _blank(model: Model, size: int | tuple[int, int] | None) -> Tensor:
    """An empty input of the size asked for; raises `UsageError` for one too small to be a picture."""
    x = blank(model, (size, size) if isinstance(size, int) else size)
    if min(x.shape[2:]) < 4:
        raise UsageError(f"size={tuple(x.shape[2:])}: a picture has at least 4 x 4 pixels, e.g. size=224")
    return x


def _ends(model: Model, bounds: tuple[float, float] | None) -> tuple[Tensor, Tensor]:
    """The smallest and the largest input, [C] or [1] each; [0, 1] where nothing is known."""
    if bounds is not None:
        low, high = bounds
        if not low < high:
            raise UsageError(f"bounds={bounds}: the smaller number first, e.g. bounds=(0.0, 1.0)")
        return torch.tensor([float(low)]), torch.tensor([float(high)])
    black, white = model.colour_to_input((0.0, 0.0, 0.0)), model.colour_to_input((1.0, 1.0, 1.0))
    if black is None or white is None:
        return torch.zeros(1), torch.ones(1)
    return black, white


def _pixels(values: Tensor, low: Tensor, high: Tensor) -> Pixels:
    """An input [C, H, W] between ``low`` and ``high`` as a picture [H, W, 3]; the first channel in grey if not
    three."""
    shown = ((values - low) / (high - low)).clamp(0, 1)
    shown = shown if len(shown) == 3 else shown[:1].expand(3, -1, -1)
    picture: Pixels = shown.mul(255).round().to(torch.uint8).permute(1, 2, 0).cpu().contiguous().numpy()
    return picture
