"""Choices by measurement as plain values: takes what was found fastest for a network on one machine, has it hold
elsewhere without measuring, so that other processes compute the same bits; measures nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

from torch import Tensor

from seewhy.core.compile.building import TORCH, Steps
from seewhy.core.compile.measuring import Pieces
from seewhy.core.compile.onnx_part import can_run
from seewhy.core.compile.programs import impose, prepared_shape
from seewhy.core.compile.winograd import decided
from seewhy.core.network.borrowed import Network
from seewhy.errors import UsageError

__all__ = ["choices_of", "take_over"]

_ALONE = "one image"


def choices_of(network: Network, x: Tensor) -> dict[str, Any]:
    """What was measured of ``network`` for inputs like ``x`` [C, *size], as JSON holds it; nothing where no program
    stands for it: steps of programs, how many samples go together, which convolutions are computed by tiles."""
    shape = prepared_shape(network, x)
    if shape is None or shape.build is None:
        return {}
    steps = {
        f"{kind}, {_ALONE}" if single else kind: None if each is None else list(astuple(each))
        for (kind, single), each in shape.steps.items()
    }
    pieces = {kind: [each.samples, each.each] for kind, each in shape.pieces.items()}
    tiles = [[*channels, list(size), threads, yes] for (*channels, size, threads), yes in sorted(decided.items())]
    return {"steps": steps, "pieces": pieces, "tiles": tiles}


def take_over(network: Network, x: Tensor, choices: Mapping[str, Any]) -> None:
    """Have ``choices`` hold for ``network`` and inputs like ``x`` from now on, in the place of measurements. Raises
    `UsageError` where they need an engine that is not here: others give other bits."""
    if not choices:
        return
    tiles = {(out, inner, (b, h, w), threads): yes for out, inner, (b, h, w), threads, yes in choices["tiles"]}
    anew = any(decided.get(key, yes) != yes for key, yes in tiles.items())
    decided.update(tiles)
    steps = {
        (name.removesuffix(f", {_ALONE}"), name.endswith(_ALONE)): None if given is None else Steps(*given)
        for name, given in choices["steps"].items()
    }
    engines = {each.engine for each in steps.values() if each is not None} - {TORCH}
    if engines and not can_run(x):
        raise UsageError(
            f"this was begun with {', '.join(engines)}, which is not here or switched off: "
            "pip install 'seewhy[fast]', or begin anew elsewhere"
        )
    impose(network, x, steps, {kind: Pieces(*given) for kind, given in choices["pieces"].items()}, anew=anew)
