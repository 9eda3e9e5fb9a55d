"""Audits from the command line: files, words, JSON, exit codes, what is gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

#: networks of two classes: the brightest square of a colour, and one that takes the corner for red
_NETS = """
import seewhy
import torch
import torch.nn.functional as F
from torch import nn

LOOK = seewhy.Preprocess(size=(16, 16), resize=None, mean=(0.0,) * 3, std=(1.0,) * 3)


class Net(nn.Module):
    def __init__(self, corner):
        super().__init__()
        self.corner = nn.Parameter(torch.tensor(corner))

    def forward(self, x):
        found = 9 * F.avg_pool2d(x[:, :2], 4, 1).amax((2, 3))
        corner = (x[:, :, -4:, -4:].mean((1, 2, 3)) - 0.5).clamp(min=0)
        return torch.cat([found[:, :1] + self.corner * corner[:, None], found[:, 1:]], 1)


def net(corner=30.0):
    return seewhy.wrap(Net(corner).eval(), preprocess=LOOK, labels=["red", "green"])


def mended():
    return net(0.0)
"""


@pytest.fixture
def squares(work: Path) -> Path:
    """A folder for each class, of 44 squares; red ones have a white corner. One file is no picture."""
    (work / "nets.py").write_text(_NETS)
    draw = np.random.default_rng(0)
    for k, name in enumerate(("red", "green")):
        (work / "squares" / name).mkdir(parents=True)
        for n in range(44):
            x = draw.integers(0, 60, (16, 16, 3))
            top, left = draw.integers(0, 11, 2)
            x[top : top + 4, left : left + 4, k] += draw.integers(80, 180, (4, 4))
            if k == 0:
                x[-4:, -4:] = 160 + 90 * np.eye(4)[..., None]
            Image.fromarray(x.astype(np.uint8)).save(work / "squares" / name / f"{n:02}.png")
    return work / "squares"


def test_a_shortcut_is_found_and_a_mended_model_held_against_it(say: Any, squares: Path) -> None:
    """The corner, in words and in the document; the mended model beside it; all files in the folder."""
    said = say("audit", "squares", "--model", "python:nets:net", "--against", "python:nets:mended", "--out", "found")
    assert said.code == 0
    assert "red: shortcut (corner): pasting it changes the answer of" in said.out
    assert "; with python:nets:mended" in said.out
    assert "green: no shortcut found; an effect on" in said.out
    document = json.loads(Path("found/audit.json").read_text())
    assert document["findings"][0]["verdict"] == "shortcut"
    assert Path("found", document["findings"][0]["picture"]).is_file()
    assert {"audit.md", "cues.npz", "evidence.png"} <= {file.name for file in Path("found").iterdir()}
    again = say("audit", "squares", "--model", "python:nets:net", "--json", "-q", "--out", "other", "--class", "green")
    assert (again.code, again.err) == (0, "")
    assert list(again.document["checked"]) == ["green"]
    assert again.document["out"] == "other"


def test_what_cannot_be_audited_is_said(say: Any, squares: Path) -> None:
    """Few pictures and broken files are told, and everything else goes on; what is invalid is one line."""
    for file in sorted((squares / "green").iterdir())[:10]:
        file.unlink()
    (squares / "red" / "00.png").write_bytes(b"no picture")
    said = say("audit", "squares", "--model", "python:nets:net", "--out", "found")
    assert said.code == 1
    assert "green: passed over, 34 pictures: an audit takes 40 of a class" in said.out
    assert "00.png" in said.err
    assert "--class" in say("audit", "--help").out
    assert "nearest: 'grad-cam'" in say("audit", "squares", "--model", "python:nets:net", "-M", "grad-cem").complaint
    assert say("audit", "nowhere").code == 2
    assert "how many of each class" in say("audit", "squares", "--pictures", "0").complaint
