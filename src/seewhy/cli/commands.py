"""Every command by name: takes a name, gives the function that the frame registers; what no command asks for is not
imported."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

__all__ = ["HOMES", "command"]

#: the file that each command is in, in the order of the help
HOMES = {
    "demo": "demo", "run": "run", "explain": "explain", "compare": "explain", "features": "inside", "filters": "inside",
    "factors": "inside", "components": "inside", "attention": "inside", "maximise": "maximise", "attack": "attack",
    "segment": "segment", "evaluate": "judge", "recommend": "judge", "repair": "repair", "evaluate-model": "evaluate",
    "audit": "audit", "serve": "serve", "boundary": "boundary", "doctor": "doctor", "bench": "bench", "layers": "lists",
    "labels": "lists", "methods": "lists", "metrics": "metrics", "conformance": "conformance",
}  # fmt: skip


def command(name: str) -> Callable[..., int]:
    """The command of that name."""
    function: Callable[..., int] = getattr(import_module(f"seewhy.cli.{HOMES[name]}"), name.replace("-", "_"))
    return function
