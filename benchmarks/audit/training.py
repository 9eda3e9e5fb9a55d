"""Trains a small network on a planted data set and says what the cue does to it: takes what was made, gives a network
and numbers."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

import seewhy
from benchmarks.audit.planted import Data, Design, Made, Split
from seewhy import Preprocess

__all__ = [
    "Small",
    "accuracy",
    "drop",
    "fit",
    "inputs",
    "preprocess",
    "seeded",
    "standing",
    "steps_of",
    "trained",
    "untrained",
]

_MEAN, _STD = 0.47, 0.25
_BATCH = 64
#: channels and stride of the first convolution
_BUILT: dict[Data, tuple[int, int]] = {"cifar": (16, 1), "scenes": (24, 2)}
#: epochs, learning rate and standard deviation of the noise in [0, 1] that training adds
_TRAINING: dict[Data, tuple[int, float, float]] = {"cifar": (20, 4e-3, 0.04), "scenes": (18, 4e-3, 0.03)}


class Small(nn.Module):
    """Five convolutions with batch norm, a mean over positions, a linear head. The second and fourth convolution halve
    the sides, with ``stem`` 2 the first as well: shapes of half a picture's side need to be seen whole."""

    def __init__(self, classes: int, w: int = 16, stem: int = 1) -> None:
        super().__init__()
        self.features = nn.Sequential(
            _conv(3, w, stem),
            _conv(w, 2 * w, 2),
            _conv(2 * w, 2 * w, 1),
            _conv(2 * w, 4 * w, 2),
            _conv(4 * w, 4 * w, 1),
        )
        self.head = nn.Linear(4 * w, classes)

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, classes] of pictures [B, 3, H, W] that `inputs` made."""
        return self.head(self.features(x).mean((2, 3)))  # type: ignore[no-any-return]


def _conv(channels: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(channels, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU())


def preprocess(made: Made) -> Preprocess:
    """What `seewhy.wrap` takes, so that the network can be given a picture as it is."""
    side = made.train.images.shape[1]
    return Preprocess(size=(side, side), resize=None, mean=(_MEAN,) * 3, std=(_STD,) * 3)


def inputs(images: NDArray[np.uint8]) -> Tensor:
    """Pictures [N, H, W, 3] as the network takes them, [N, 3, H, W]; the same as `preprocess` makes of each."""
    return ((torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255 - _MEAN) / _STD).contiguous()


@contextmanager
def seeded(design: Design) -> Iterator[None]:
    """Whatever is drawn inside is the same for the same seed of a design."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(design.seed)
        yield


def untrained(made: Made) -> Small:
    """A network for ``made``, drawn now."""
    return Small(made.classes, *_BUILT[made.design.data])


def trained(made: Made, path: Path | None = None) -> nn.Module:
    """A network trained on ``made.train``, the same for the same seed and number of threads; kept at ``path``, and read
    from there where it is."""
    with seeded(made.design):
        network = untrained(made)
        if path is not None and path.exists():
            network.load_state_dict(torch.load(path, weights_only=True))
            return network.eval()
        fit(network, made.design, inputs(made.train.images), torch.from_numpy(made.train.labels))
    if path is not None:
        torch.save(network.state_dict(), path)
    return network


def fit(
    network: nn.Module,
    design: Design,
    x: Tensor,
    y: Tensor,
    *,
    steps: int | None = None,
    rate: float | None = None,
    shares: Tensor | None = None,
    masks: Tensor | None = None,
    penalty: float = 0.0,
) -> None:
    """Train ``network`` in place as a design's networks are, on inputs ``x`` with classes ``y``: for as many steps as
    its own training pictures take, or ``steps``; at its ``rate`` or another. ``shares`` [N] are how often each input is
    drawn; with a ``penalty``, evidence under ``masks`` [N, H, W] costs that much.

    Nothing that training does to the pictures moves, turns over or recolours a cue: there is noise alone.
    """
    epochs, usual, noise = _TRAINING[design.data]
    steps = epochs * (len(x) // _BATCH) if steps is None else steps
    rate = usual if rate is None else rate
    # channels last is a quarter faster on a CPU; the penalty's second derivatives are not
    order = torch.contiguous_format if penalty else torch.channels_last
    network.to(memory_format=order)
    x = x.to(memory_format=order)
    optimiser = torch.optim.AdamW(network.parameters(), lr=rate, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=steps)
    network.train()
    for batch in _batches(len(x), steps, shares):
        given = x[batch] + noise / _STD * torch.randn_like(x[batch])
        given.requires_grad_(penalty > 0)
        scores = network(given)
        loss = nn.functional.cross_entropy(scores, y[batch], label_smoothing=0.05)
        if masks is not None and penalty:
            loss = loss + penalty * seewhy.evidence_penalty(scores, given, masks[batch])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
    network.to(memory_format=torch.contiguous_format).eval()


def steps_of(made: Made) -> int:
    """How many steps the training of a design's network takes."""
    return _TRAINING[made.design.data][0] * (len(made.train.images) // _BATCH)


def _batches(count: int, steps: int, shares: Tensor | None) -> Iterator[Tensor]:
    """Which inputs each of so many steps takes: all of them in an order drawn anew, again and again, or by shares."""
    if shares is not None:
        yield from torch.multinomial(shares, steps * _BATCH, replacement=True).split(_BATCH)
        return
    whole = count // _BATCH * _BATCH
    every = (batch for _ in itertools.count() for batch in torch.randperm(count)[:whole].split(_BATCH))
    yield from itertools.islice(every, steps)


def standing(network: nn.Module, made: Made) -> dict[str, float]:
    """The share of the pictures of ``made.fair``, each taken with the cue and without, that a network gets right, in
    percent: of the biased class and of the others, with and without."""
    right = np.concatenate([_right(network, s.images, s.labels) for s in (made.fair, made.turned)])
    has = np.concatenate([made.fair.has_cue, made.turned.has_cue])
    own = np.concatenate([made.fair.labels, made.turned.labels]) == made.biased
    return {
        f"{whose}, {what}": 100 * float(right[mine & cue].mean())
        for whose, mine in (("class", own), ("others", ~own))
        for what, cue in (("cue", has), ("none", ~has))
    }


def _right(network: nn.Module, images: NDArray[np.uint8], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    with torch.inference_mode():
        found = torch.cat([network(part).argmax(1) for part in inputs(images).split(256)])
    return np.asarray(found.numpy() == labels)


def accuracy(network: nn.Module, split: Split, *, plain: bool = True) -> float:
    """The share of a split's pictures whose class is found, in percent; ``plain``: all of them without the cue."""
    return 100 * float(_right(network, split.plain if plain else split.images, split.labels).mean())


def drop(network: nn.Module, made: Made) -> float:
    """By how many percentage points the cue changes the accuracy; 0 where nothing is planted.

    Cue and class agree in a picture of the biased class with the cue and in one of another class without it; else the
    cue contradicts the class. Each picture of ``made.fair`` is taken both ways, as it is there and as in
    ``made.turned``: the accuracy on those that agree minus that on the same pictures where the cue contradicts.
    """
    if made.design.cue is None:
        return 0.0
    agrees = made.fair.has_cue == (made.fair.labels == made.biased)
    fair = _right(network, made.fair.images, made.fair.labels)
    turned = _right(network, made.turned.images, made.turned.labels)
    return 100 * float(np.where(agrees, fair, turned).mean() - np.where(agrees, turned, fair).mean())
