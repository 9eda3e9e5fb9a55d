"""Takes what was asked for, gives the table of ways to load a network; never loads one itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from seewhy.registry import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from seewhy.models.model import Model

__all__ = ["ModelRequest", "Scheme", "from_file", "no_weights", "schemes", "untrained"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """What comes after the scheme's colon, and where weights come from: "auto", "random" or a file.

    ``trust_pickle`` says that a file may run code that it carries. ``arguments`` are for what builds the network,
    ``part`` names the weights that are meant in a file with several.
    """

    name: str
    weights: str | Path
    trust_pickle: bool = False
    arguments: Mapping[str, Any] = field(default_factory=dict)
    part: str = ""


@dataclass(frozen=True, slots=True)
class Scheme:
    """One way to load: the word before the colon, what to type (``toy:NAME``), the loader, its names and their listing.

    ``load`` gives the `Model`, in eval mode on the CPU, and raises `UnknownName` for a name, `ModelError` for weights
    that cannot be loaded; it downloads nothing. ``listing`` is the command that lists the names. One that ``builds``
    what it loads passes ``ModelRequest.arguments`` on to what does.
    """

    name: str
    form: str
    load: Callable[[ModelRequest], Model]
    names: Callable[[], list[str]]
    listing: str
    builds: bool = False


#: every way to name a model; a further framework is one more file, which enters itself, and its name here, or another
#: package's entry point
schemes: Registry[Scheme] = Registry("model scheme", "python -m pydoc seewhy.models.loader")
schemes.wait_for(
    {
        name: f"seewhy.models.{name if name == 'builtin' else f'{name}_'}"
        for name in ("builtin", "torchvision", "timm", "keras", "onnx", "hf", "pt2", "python")
    },
    lambda scheme: scheme.load.__module__,
)


def untrained(build: Callable[[], T]) -> T:
    """What ``build`` makes, with the same random weights every time; the caller's generator is untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(0)  # torch.manual_seed would reseed every accelerator as well
        return build()


def from_file(weights: str | Path, taken: str) -> str:
    """In words, the file that weights are from and what of it was ``taken`` (as `fill` says it)."""
    return f"file {weights}" + (f": {taken}" if taken else "")


def no_weights(spec: str, looked: str) -> str:
    """The message for a network whose trained weights are not on this machine."""
    return (
        f"no weights for {spec} on this machine (looked for {looked}; nothing is downloaded): "
        "--weights FILE, or --weights random to look at the untrained network"
    )
