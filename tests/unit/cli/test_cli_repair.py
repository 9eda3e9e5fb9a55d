"""Repairs from the command line: files, words, JSON, exit codes."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import cornered
import seewhy
from seewhy.api.auditing.result import Audit
from seewhy.api.auditing.running import audit
from seewhy.audits.stored import packed

MODULE = """
import cornered, seewhy

def made():
    look = seewhy.Preprocess(size=(12, 12), resize=None, mean=(0.0,) * 3, std=(1.0,) * 3)
    return seewhy.wrap(cornered.network(), preprocess=look, labels=["red", "green", "blue"])
"""
SPEC = "python:seewhy_cornered:made"


@cache
def _found() -> Audit:
    look = seewhy.Preprocess(size=(12, 12), resize=None, mean=(0.0,) * 3, std=(1.0,) * 3)
    model = seewhy.wrap(cornered.network(), preprocess=look, labels=["red", "green", "blue"])
    images, truths, _ = cornered.pictures(180, 0.95, 1)
    return audit(model, list(images), truths.tolist())


@pytest.fixture
def audited(work: Path) -> Path:
    """An audit as it is saved, beside the training pictures ``train``."""
    (work / "seewhy_cornered.py").write_text(MODULE)
    x, labels, _ = cornered.pictures(180, 0.95, 2)
    names = ["red", "green", "blue"]
    for n, (one, k) in enumerate(zip(x, labels.tolist(), strict=True)):
        (work / "train" / names[k]).mkdir(parents=True, exist_ok=True)
        pixels = (one * 255).round().clamp(0, 255).byte().movedim(0, -1).numpy()
        Image.fromarray(pixels).save(work / "train" / names[k] / f"{n:03}.png")
    found = _found()
    folder = work / "AUDIT"
    folder.mkdir()
    told = found.to_dict() | {"source": "train", "model": SPEC}
    (folder / "audit.json").write_text(json.dumps(told))
    (folder / "cues.npz").write_bytes(packed([(f.candidate.index, f.candidate.cue) for f in found.shortcuts]))
    return folder


def test_repair_writes_what_mends_and_says_what_it_changed(say: Any, audited: Path) -> None:
    """Of the audit's own model unless another is typed; every error is one line, and nothing is replaced unasked."""
    said = say("repair", "AUDIT", "--train", "train", "--how", "loss", "--out", "masks", model=None)
    assert said.code == 0
    assert "training pictures have the cue" in said.out
    assert "masks/masks.csv" in said.out
    assert "15 held-out pictures of 'red', and an audit takes 40: give others, --held SOURCE" in said.err
    again = say("repair", "AUDIT", "--train", "train", "--how", "loss", "--out", "masks", model=None)
    assert again.code == 2
    assert "name another folder; --force" in again.complaint
    few = say("repair", "AUDIT", "--train", "train", model=None)
    assert few.code == 2
    assert "--held SOURCE" in few.complaint
    assert not Path("seewhy-out").exists()
    said = say("repair", "AUDIT", "--train", "train", "--how", "data", "--out", "data", "--json", "-q", model=None)
    assert (said.code, said.err) == (0, "")
    document = said.document
    assert "data/pictures.csv" in document.pop("files")
    assert document == json.loads(Path("data/repair.json").read_text())
    assert document["model"] == SPEC


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (["repair", "train", "--train", "train"], "'train' is no audit, it has no audit.json: seewhy audit SOURCE --out AUDIT"),
        (["repair", "AUDIT", "--train", "train", "--how", "heads"], "nearest: 'head'"),
        (["repair", "AUDIT", "--train", "nowhere"], "nowhere"),
        (["repair", "AUDIT", "--train", "train", "--layer", "3"], "--layer 3 is for --how project, and this is --how head"),
        (["repair", "AUDIT", "--train", "train", "--model", "python:seewhy_cornered:mad"], "mad"),
    ],
)  # fmt: skip
def test_what_is_invalid_is_one_line(say: Any, audited: Path, words: list[str], line: str) -> None:
    """What was asked, what was found, what to type."""
    said = say(*words, model=None)
    assert said.code in (2, 3)
    assert line in said.complaint


def test_the_audits_model_may_be_one_that_nobody_can_load(say: Any, audited: Path) -> None:
    """Of a network that was in hand only its name is known."""
    told = json.loads((audited / "audit.json").read_text())
    (audited / "audit.json").write_text(json.dumps(told | {"model": "Net"}))
    said = say("repair", "AUDIT", "--train", "train", model=None)
    assert "the audit's model cannot be loaded, name it with --model" in said.complaint
    assert torch.is_grad_enabled()
