"""The examples: every block of Python in README and docs runs, and is right to mypy (strict) and to pyright."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from scans import blob, write_nifti
from seewhy.models.builtin import weights_file

ROOT = Path(__file__).parents[2]
GIVEN = ROOT / "tests" / "examples" / "given.py"
#: what docs/extending.md shows is a package, tested in test_contract_extending.py
PACKAGE = ROOT / "tests" / "extension" / "src" / "seewhy_toy"
DOCUMENTS = [ROOT / "README.md", *(path for path in sorted((ROOT / "docs").glob("*.md")) if path.stem != "extending")]
#: what an example may need before its own lines: everything in tests/examples/given.py
HEAD = "from given import *\n\nimport seewhy\n\n"
#: the user's own script that docs/models.md speaks of
TRAINING = """
from torch import nn


class SmallNet(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 2))
"""


def _examples() -> dict[str, str]:
    """Every block of Python, by document and number."""
    return {
        f"{path.stem.replace('-', '_')}_{n}": code
        for path in DOCUMENTS
        for n, code in enumerate(re.findall(r"```python\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL), 1)
    }


EXAMPLES = _examples()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the photos that examples name, and each example as a file."""
    made = tmp_path_factory.mktemp("examples")
    shutil.copy(GIVEN, made / "given.py")
    for name in ("a", "b", "cat", "photo"):
        Image.new("RGB", (64, 48), (90, 140, 40)).save(made / f"{name}.jpg")
    for label in ("tabby", "espresso"):
        (made / "photos" / label).mkdir(parents=True)
        # with something in it: of one colour every map is the same everywhere
        Image.radial_gradient("L").resize((64, 48)).convert("RGB").save(made / "photos" / label / "1.jpg")
    (made / "seewhy-demo").mkdir()
    shutil.copy(made / "cat.jpg", made / "seewhy-demo" / "chelsea.png")
    (made / "train.py").write_text(TRAINING, encoding="utf-8")
    own: dict[str, Any] = {}
    exec(TRAINING, own)
    torch.save({"epoch": 3, "model": own["SmallNet"]().state_dict()}, made / "model.pth")
    (made / "log.csv").write_text("epoch,loss,val_loss\n0,1.2,1.3\n1,0.8,1.1\n", encoding="utf-8")
    write_nifti(made / "scan.nii.gz", blob((10, 12, 8), (5, 6, 4)))
    (made / "classes.txt").write_text("cat\ndog\n", encoding="utf-8")
    for name, code in EXAMPLES.items():
        (made / f"{name}.py").write_text(HEAD + code, encoding="utf-8")
    return made


def test_there_are_examples() -> None:
    assert "README_1" in EXAMPLES
    assert len(EXAMPLES) > 8


@pytest.mark.parametrize("name", EXAMPLES)
def test_an_example_runs(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if weights_file() is None:
        pytest.skip("the built-in model's weights are not installed")
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    exec(compile((folder / f"{name}.py").read_text(encoding="utf-8"), name, "exec"), {"__name__": name})


@pytest.mark.parametrize("command", [["mypy", "--strict"], ["pyright"]], ids=["mypy", "pyright"])
def test_examples_are_right_to_a_checker(command: list[str], folder: Path) -> None:
    if find_spec(command[0]) is None:
        pytest.skip(f"{command[0]} is not installed: pip install -e '.[lint]'")
    shutil.copytree(PACKAGE, folder / "seewhy_toy", dirs_exist_ok=True)
    files = [*(f"{name}.py" for name in EXAMPLES), "seewhy_toy"]
    done = subprocess.run(
        [sys.executable, "-m", *command, *files], cwd=folder, capture_output=True, text=True, timeout=600, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
