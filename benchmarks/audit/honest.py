"""``python -m benchmarks.audit.honest DATA --work DIR``: a network trained on CIFAR-10 with nothing planted, audited on
pictures that it has not seen; and how long a run and an audit of 6,000 pictures take. Prints both."""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

import seewhy
from benchmarks.audit.training import Small, inputs
from seewhy import Preprocess

__all__ = ["honest", "main"]

_TRAINED, _EPOCHS, _BATCH, _RATE, _WIDTH = 4500, 40, 64, 4e-3, 32
#: pixels by which training moves pictures
_MOVED = 3


def main(argv: Sequence[str] | None = None) -> None:
    """Train, audit, and measure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.audit.honest")
    parser.add_argument("data", type=Path, help="a folder with cifar10-6000.npz")
    parser.add_argument("--work", type=Path, default=Path("honest"), metavar="DIR", help="for pictures and results")
    asked = parser.parse_args(argv)
    warnings.simplefilter("ignore")
    asked.work.mkdir(parents=True, exist_ok=True)
    with np.load(asked.data / "cifar10-6000.npz", allow_pickle=False) as file:
        images, labels, names = file["images"], file["labels"].astype(np.int64), [str(each) for each in file["classes"]]
    order = np.random.default_rng(0).permutation(len(images))
    train, rest = order[:_TRAINED], order[_TRAINED:]
    network = honest(images[train], labels[train], asked.work / "honest.pt")
    right = (network(inputs(images[rest])).argmax(1).numpy() == labels[rest]).mean()
    print(f"accuracy on {len(rest)} pictures that it has not seen: {right:.0%}", flush=True)
    model = seewhy.wrap(
        network, labels=names, preprocess=Preprocess(size=(32, 32), resize=None, mean=(0.47,) * 3, std=(0.25,) * 3)
    )
    held = _written(images[rest], labels[rest], names, asked.work / "held")
    found = seewhy.audit(model, str(held))
    found.save(asked.work / "audit")
    print("\n".join(found.sentences()))
    every = _written(images, labels, names, asked.work / "all")
    spent = {}
    for name, work in _works(model, every, asked.work).items():
        began = time.perf_counter()
        work()
        spent[name] = time.perf_counter() - began
        print(f"{name}: {spent[name]:.1f} s, {spent[name] / spent['run']:.2f} of the run", flush=True)


def honest(images: NDArray[np.uint8], labels: NDArray[np.int64], path: Path) -> nn.Module:
    """A small network trained on pictures that are moved and turned over, kept at ``path``."""
    torch.manual_seed(0)
    network = Small(10, _WIDTH)
    if path.exists():
        network.load_state_dict(torch.load(path, weights_only=True))
        return network.eval().requires_grad_(False)
    x, y = inputs(images).to(memory_format=torch.channels_last), torch.from_numpy(labels)
    network.to(memory_format=torch.channels_last)
    steps = len(x) // _BATCH
    optimiser = torch.optim.AdamW(network.parameters(), lr=_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, _RATE, total_steps=_EPOCHS * steps)
    network.train()
    for _ in range(_EPOCHS):
        for batch in torch.randperm(len(x))[: steps * _BATCH].split(_BATCH):
            down, right = (int(n) for n in torch.randint(-_MOVED, _MOVED + 1, (2,)))
            some = x[batch].roll((down, right), (2, 3))
            some = some.flip(3) if torch.rand(()) < 0.5 else some
            loss = nn.functional.cross_entropy(network(some), y[batch], label_smoothing=0.05)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    network.to(memory_format=torch.contiguous_format)
    torch.save(network.state_dict(), path)
    return network.eval().requires_grad_(False)


def _works(model: seewhy.Model, pictures: Path, work: Path) -> dict[str, Callable[[], object]]:
    maps = work / "maps"
    return {
        "run": lambda: seewhy.run(model, str(pictures), str(maps)),
        "audit": lambda: seewhy.audit(model, str(pictures)),
        "audit of the run": lambda: seewhy.audit(model, str(maps)),
    }


def _written(images: NDArray[np.uint8], labels: NDArray[np.int64], names: Sequence[str], folder: Path) -> Path:
    for number, (pixels, label) in enumerate(zip(images, labels.tolist(), strict=True)):
        place = folder / names[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place / f"{number:04d}.png", compress_level=1)
    return folder


if __name__ == "__main__":
    main()
