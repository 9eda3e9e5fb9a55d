"""Takes what was asked for, gives the table of ways to load a network; never loads one itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from seewhy.models.model import Model

__all__ = ["ModelRequest", "Scheme", "no_weights", "untrained"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What comes after the scheme's colon, and where weights come from: "auto", "random" or a file.

    ``trust_pickle`` says that a file may run code that it carries.
    """

    name: str
    weights: str | Path
    trust_pickle: bool = False


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to load: the word before the colon, what to type (``toy:NAME``), the loader, its names and their listing.

    ``load`` gives the `Model`, in eval mode on the CPU, and raises `UnknownName` for a name, `ModelError` for weights
    that cannot be loaded; it downloads nothing. ``listing`` is the command that lists the names.
    """

    name: str
    form: str
    load: Callable[[ModelRequest], Model]
    names: Callable[[], list[str]]
    listing: str


def untrained(build: Callable[[], T]) -> T:
    """What ``build`` makes, with the same random weights every time; the caller's generator is untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # torch.manual_seed would reseed every accelerator as well
        return build()


def no_weights(spec: str, looked: str) -> str:
    """The message for a network whose trained weights are not on this machine."""
    return (
        f"no weights for {spec} on this machine (looked for {looked}; nothing is downloaded): "
        "--weights FILE, or --weights random to look at the untrained network"
    )
