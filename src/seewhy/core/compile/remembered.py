"""Remembered: what was measured of a graph on this machine, kept between processes; takes a build and inputs, gives the
steps and pieces that were fastest, or nothing. Measures nothing, and believes nothing: who asks holds it against the
model once more."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import astuple
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seewhy.core import kept_files
from seewhy.core.compile.building import Build, Steps
from seewhy.core.compile.graphs import in_words
from seewhy.core.compile.measuring import Pieces
from seewhy.core.compile.winograd import decided

__all__ = ["Question", "recall", "remember"]

#: the room of what was measured; changes when it means something else
_ROOM, _FORMAT = "programs", 1

#: bytes of one entry, beyond which it is none of ours
_MOST = 200_000

_CPU_NAMES = Path("/proc/cpuinfo")


class Question:
    """What was, or is to be, measured: programs of ``build`` for inputs like ``x``, one or several, for scores or
    gradients (``kind``), with what ``engines`` there were to choose from."""

    def __init__(self, build: Build, x: Tensor, kind: str, engines: str) -> None:
        exported = build.exported
        self.key = "\n".join(
            (
                f"{_FORMAT} torch {torch.__version__} {engines}", _machine(), f"{torch.get_num_threads()} threads",
                f"{kind} {list(x.shape)} {x.dtype} {x.device}", in_words(exported.graph, exported.tensors),
            )
        )  # fmt: skip


def recall(question: Question) -> tuple[Steps | None, Pieces | None] | None:
    """What was found in an earlier process; None where nothing is kept."""
    data = kept_files.read(_ROOM, question.key, _MOST)
    try:
        held = None if data is None else json.loads(data)
        if held is None or held["key"] != question.key:
            return None
        steps = None if held["steps"] is None else Steps(*held["steps"])
        pieces = None if held["pieces"] is None else Pieces(*held["pieces"])
        tiles = {(out, inner, (b, h, w), threads): yes for out, inner, (b, h, w), threads, yes in held["tiles"]}
    except (ValueError, KeyError, TypeError):  # something else lies there: as if it had never been
        return None
    decided.update({key: yes for key, yes in tiles.items() if key not in decided})
    return steps, pieces


def remember(question: Question, steps: Steps | None, pieces: Pieces | None) -> None:
    """Keep what was found."""
    threads = torch.get_num_threads()
    tiles = [[*key[:2], list(key[2]), key[3], yes] for key, yes in decided.items() if key[3] == threads]
    held: dict[str, Any] = {
        "key": question.key,
        "steps": None if steps is None else astuple(steps),
        "pieces": None if pieces is None else astuple(pieces),
        "tiles": tiles,
    }
    kept_files.write(_ROOM, question.key, json.dumps(held).encode())


@cache
def _machine() -> str:
    """What the speed of programs depends on besides them: the processor, and how many cores there are."""
    name = platform.processor()
    if _CPU_NAMES.is_file():
        lines = _CPU_NAMES.read_text(errors="replace").splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    graphics = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    return f"{platform.machine()} {name} {os.cpu_count()} {torch.backends.cpu.get_cpu_capability()} {graphics}"
