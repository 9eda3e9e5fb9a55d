"""``seewhy serve`` as a person types it: prints an address that answers, and ends with Ctrl-C."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from seewhy.cli.app import run

pytest.importorskip("uvicorn")

_NET = """
import torch
from torch import nn
def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))
"""


def test_the_address_that_is_printed_answers(tmp_path: Path) -> None:
    (tmp_path / "nets.py").write_text(_NET)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    process = subprocess.Popen(
        [sys.executable, "-m", "seewhy", "serve", "--no-browser", "--model", "python:nets:net"],
        cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        line = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/\?token=[\w-]{20,}", line), line
        address = urlsplit(line)
        with closing(http.client.HTTPConnection(str(address.hostname), address.port or 0, timeout=30)) as connection:
            connection.request("GET", f"/?{address.query}")
            answer = connection.getresponse()
            assert answer.status == 200
            assert b"<html" in answer.read()
        process.send_signal(signal.SIGINT)
        assert process.wait(30) in (0, 130)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    finally:
        process.kill()
        process.communicate()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--host", "0.0.0.0"], 2, "--allow-remote"),
        (["--token", "short"], 2, "16 at least"),
        (["--photos", "nowhere"], 2, "nowhere"),
        (["--run", "nowhere"], 5, "nowhere"),
        (["--audit", "."], 2, "has no audit.json: give the folder that seewhy audit --out wrote"),
        (["--repair", "."], 2, "has no repair.json"),
        (["--model", "nothing"], 2, "nothing"),
    ],
)
def test_what_cannot_be_served_is_said(
    words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert run(["serve", "--no-browser", *words]) == code
    printed = capsys.readouterr()
    assert said in printed.err.replace("\n", " ")
    assert printed.out == ""
