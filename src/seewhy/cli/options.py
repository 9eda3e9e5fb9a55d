"""The options that commands share: takes nothing, gives annotated types; parses the few that need it."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Annotated, Any

import typer

from seewhy.errors import UsageError

__all__ = [
    "Device", "Force", "Json", "Layers", "ModelSpec", "Out", "Photos", "Quiet", "Seed", "Targets", "TrustPickle", "Weights",
    "settings_of",
]  # fmt: skip

Photos = Annotated[list[str], typer.Argument(metavar="PHOTO...", help="Image files.", show_default=False)]
ModelSpec = Annotated[
    str,
    typer.Option("--model", "-m", help="builtin, torchvision:NAME, timm:NAME or python:package.module:callable."),
]
Weights = Annotated[
    str,
    typer.Option(help="auto (what is on this machine), random, or a file: safetensors, or .pth without code in it."),
]
TrustPickle = Annotated[
    bool, typer.Option("--trust-pickle", help="Run the code inside a weights file. Only for files you made.")
]
Targets = Annotated[
    list[str] | None,
    typer.Option("--target", "-t", help="Class index or label, top-3, or all; repeatable. Default: the top class."),
]
Layers = Annotated[
    list[str] | None,
    typer.Option("--layer", "-l", help="Layer name (seewhy layers), name#2 for its 2nd call; repeatable."),
]
Out = Annotated[Path, typer.Option("--out", "-o", help="Folder for the files; made if missing.")]
Force = Annotated[bool, typer.Option("--force", help="Replace files of the same name instead of numbering new ones.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no notes on stderr.")]
Seed = Annotated[int | None, typer.Option(help="Seed of methods that draw random numbers.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps...")]


def settings_of(pairs: list[str] | None) -> dict[str, Any]:
    """``["steps=50", "rule=trapezoid"]`` as keyword arguments; numbers, True, False and None are understood.

    >>> settings_of(["steps=50", "rule=trapezoid"])
    {'steps': 50, 'rule': 'trapezoid'}
    """
    found: dict[str, Any] = {}
    for pair in pairs or []:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--set {pair!r}: write NAME=VALUE, as in --set steps=50")
        try:
            found[name.replace("-", "_")] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            found[name.replace("-", "_")] = text
    return found
