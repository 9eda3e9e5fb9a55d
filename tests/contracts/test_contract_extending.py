"""What another package sees: `seewhy.extend` has all that seewhy's own methods use, the package that docs/extending.md
shows works as written, everywhere, and the one that CONTRIBUTING.md drops in as well."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import reference.cams
import seewhy
from installing import TOY, install, install_toy
from networks import image, make
from reference.probing import Probe
from seewhy import extend
from seewhy.core import asks
from seewhy.registry import methods

ROOT = Path(__file__).parents[2]
ROOM: Any = importlib.import_module("seewhy.methods")
PHOTO = ROOT / "src" / "seewhy" / "photos" / "chelsea.png"


def _blocks(document: str, language: str) -> list[str]:
    """The code in a document, without the indentation of what it stands in."""
    text = (ROOT / document).read_text(encoding="utf-8")
    found = re.findall(rf"^( *)```{language}\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(f"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


# what is offered


def _used() -> dict[str, set[str]]:
    """What seewhy's own methods import from below them, by module."""
    found: dict[str, set[str]] = {}
    for path in sorted(Path(ROOM.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("seewhy"):
                found.setdefault(node.module, set()).update(each.name for each in node.names)
    below = {name: names for name, names in found.items() if not name.startswith("seewhy.methods")}
    below["seewhy.registry"] -= {"cards", "methods", "registered_by"}  # the room's own affair
    return below


@pytest.mark.parametrize("module", sorted(_used()))
def test_another_package_can_do_what_a_method_of_seewhy_does(module: str) -> None:
    offered = {id(value) for home in (extend, extend.noise, extend.targets) for value in vars(home).values()}
    missing = {name for name in _used()[module] if id(getattr(importlib.import_module(module), name)) not in offered}
    assert missing == set()


def test_every_ask_is_offered_and_everything_offered_is_described() -> None:
    assert set(asks.__all__) <= set(extend.__all__)
    public = {name for name in vars(extend) if not name.startswith("_")}
    assert set(extend.__all__) == public - {"annotations", "seewhy"}
    described = set(re.findall(r"``(\w+)", inspect.getdoc(extend) or ""))
    assert set(extend.__all__) - described == set()
    assert extend.__all__ == sorted(extend.__all__, key=lambda name: (not name.isupper(), not name[0].isupper(), name))


# the package of docs/extending.md


def test_the_document_shows_the_package_that_is_tested() -> None:
    (project,) = _blocks("docs/extending.md", "toml")
    assert project == (TOY / "pyproject.toml").read_text(encoding="utf-8")
    shown = _blocks("docs/extending.md", "python")
    sources = [path for path in sorted((TOY / "src" / "seewhy_toy").glob("*.py")) if path.stem != "__init__"]
    assert shown == [path.read_text(encoding="utf-8") for path in sources]
    for path in sources:
        assert "from seewhy.extend import" in path.read_text(encoding="utf-8")
        assert len(re.findall(r"\bseewhy\.(?!extend\b)\w+", path.read_text(encoding="utf-8"))) == 0


def _python(*words: str | Path, paths: tuple[Path, ...] = (), **environment: str) -> subprocess.CompletedProcess[str]:
    """A fresh Python with ``paths`` before all others, and every package let in unless told otherwise."""
    kept = {name: value for name, value in os.environ.items() if name not in ("SEEWHY_EXTENSIONS", "COLUMNS")}
    before = [*map(str, paths), *filter(None, [kept.get("PYTHONPATH")])]
    kept |= {"PYTHONPATH": os.pathsep.join(before), "OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"}
    argv = [sys.executable, *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, env=kept | environment)
    assert "Traceback" not in done.stderr, done.stderr
    return done


@pytest.fixture
def toy(tmp_path: Path) -> tuple[Path, ...]:
    """The package, and two that cannot be used, installed in a folder of their own: what is to be on the path."""
    folder = tmp_path / "installed"
    paths = install_toy(folder)
    install(folder, "broken-one", {"seewhy.methods": {"a": "broken_one"}}, broken_one="import not_there")
    text = (TOY / "src" / "seewhy_toy" / "cell_drop.py").read_text(encoding="utf-8").replace("cell-drop", "grad-cam")
    install(folder, "greedy-one", {"seewhy.methods": {"a": "greedy_one"}}, greedy_one=text)
    return tuple(paths)


def test_the_command_line_lists_it_and_says_what_cannot_be_used(toy: tuple[Path, ...]) -> None:
    done = _python("-m", "seewhy", "methods", "--json", paths=toy)
    assert done.returncode == 0
    cards = {card["name"]: card for card in json.loads(done.stdout)["methods"]}
    assert cards.keys() >= {*methods.keys(), "cell-drop"}
    assert cards["cell-drop"]["package"] == "seewhy-toy 0.1"
    assert cards["cell-drop"]["needs"] == ["fill", "input", "many passes", "score"]
    assert cards["grad-cam"]["package"] == ""
    assert cards["grad-cam"]["paper"] == methods["grad-cam"].card.paper
    said = [line for line in done.stderr.splitlines() if "-one 0.1 is left out" in line]
    assert len(said) == 2
    assert said[0].startswith(
        "seewhy: note: broken-one 0.1 is left out: its entry point a = broken_one (seewhy.methods) "
    )
    assert said[0].endswith("No module named 'not_there'. To get rid of it: pip uninstall broken-one")
    assert "greedy-one" in said[1]
    assert "method 'grad-cam' is registered twice; rename one of them" in said[1]
    only = _python("-m", "seewhy", "methods", "cell-drop", paths=toy, SEEWHY_EXTENSIONS="seewhy-toy")
    assert only.stderr == ""
    assert re.search(r"^package +seewhy-toy 0.1 *$", only.stdout, re.MULTILINE)


def test_the_command_line_explains_its_model_with_its_method(toy: tuple[Path, ...], tmp_path: Path) -> None:
    words = ("--model", "toy:stripes", "--method", "cell-drop", "--method", "occlusion", "--set", "cells=2", "--json")
    done = _python(
        "-m", "seewhy", "explain", PHOTO, *words, "--set", "window=16", "--set", "stride=16", "--out", tmp_path / "out",
        "--quiet", paths=toy, SEEWHY_EXTENSIONS="seewhy-toy,broken-one",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["model"] == "toy:stripes"
    theirs, ours = document["images"][0]["explanations"]
    assert theirs["target"] in ("horizontal", "vertical")
    assert theirs["provenance"]["package"] == "seewhy-toy 0.1"
    assert "package" not in ours["provenance"]
    assert theirs["provenance"]["model"] == "toy:stripes"
    # four cells are four windows of half the picture
    for what in ("min", "max", "sum"):
        assert theirs["map"][what] == pytest.approx(ours["map"][what], rel=1e-4)
    assert theirs["map"]["max"] > theirs["map"]["min"]
    assert all(Path(file).is_file() for file in theirs["files"])


def test_the_cards_of_a_package_are_written_when_asked_and_the_page_has_none(toy: tuple[Path, ...]) -> None:
    done = _python(ROOT / "tools" / "write_docs.py", "--package", "seewhy-toy", paths=toy)
    assert done.returncode == 0
    assert done.stdout.startswith("### cell-drop\n\nBy how much hiding each cell of a grid lowers the score.\n")
    assert done.stdout.count("### ") == 1
    assert _python(ROOT / "tools" / "write_docs.py", "--check", paths=toy).returncode == 0


@pytest.mark.slow
def test_properties_are_asked_of_what_a_package_or_a_file_adds(toy: tuple[Path, ...], tmp_path: Path) -> None:
    """As docs/extending.md and CONTRIBUTING.md have it, both at once; a wrong method would be found out."""
    wrong = (TOY / "src" / "seewhy_toy" / "cell_drop.py").read_text(encoding="utf-8").replace("cell-drop", "cell-dice")
    wrong = wrong.replace("return (score", "return torch.rand(()) * (score")
    install(tmp_path / "dice", "dicing-one", {"seewhy.methods": {"a": "dicing_one"}}, dicing_one=wrong)
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "square_cam.py").write_text(_blocks("CONTRIBUTING.md", "python")[0])
    (tmp_path / "dropping.py").write_text(
        "import importlib\n"
        "room = importlib.import_module('seewhy.methods')\n"
        f"room.__path__.append({str(tmp_path / 'room')!r})\n"
        "room._discover()\n"
    )
    chosen = "cell-drop or square-cam or (cell-dice and same_call_same_map)"
    done = _python(
        "-m", "pytest", "-p", "dropping", "-p", "no:cacheprovider", "-n0", "-q", ROOT / "tests" / "properties", "-k", chosen,
        "--rootdir", ROOT, "-c", ROOT / "pyproject.toml",
        paths=(tmp_path, tmp_path / "dice", *toy), SEEWHY_EXTENSIONS="seewhy-toy,dicing-one",
    )  # fmt: skip
    failed = re.findall(r"^FAILED \S*?(test_\w+)\[(\S+)\]", done.stdout, re.MULTILINE)
    assert failed == [("test_same_call_same_map", "cell-dice")], done.stdout[-3000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) > 60


# the file of CONTRIBUTING.md


@pytest.fixture
def square_cam(tmp_path: Path) -> Iterator[None]:
    """The file that CONTRIBUTING.md shows, dropped into the room of methods."""
    (tmp_path / "square_cam.py").write_text(_blocks("CONTRIBUTING.md", "python")[0])
    ROOM.__path__.append(str(tmp_path))
    try:
        ROOM._discover()
        yield
    finally:
        ROOM.__path__.remove(str(tmp_path))
        sys.modules.pop("seewhy.methods.square_cam", None)
        vars(ROOM).pop("square_cam", None)
        if "square-cam" in methods:
            methods.remove("square-cam")


@pytest.mark.usefixtures("square_cam")
def test_the_file_that_contributors_are_shown_is_a_method_and_its_reference_a_reference() -> None:
    assert "square-cam" in {card.name for card in seewhy.methods("cam")}
    _, code = _blocks("CONTRIBUTING.md", "python")
    names = dict(vars(reference.cams))
    exec(code, names)
    case, x = make("residual", 3), image(3)
    found = seewhy.explain_all(case.net, x, method="square-cam", target=[1, 0], layer=case.layer)
    for row, (each, k) in enumerate(zip(found, (1, 0), strict=True)):
        by_hand = names["square_cam"](Probe(case.net, x[row : row + 1], k, case.layer, {}))
        assert np.abs(by_hand).max() > 1e-6
        np.testing.assert_allclose(each.values, by_hand, rtol=1e-9, atol=1e-9 * np.abs(by_hand).max())


def test_what_contributors_are_told_of_is_there() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for name in set(re.findall(r"`((?:src|tests|tools|docs|core)/[\w./]*)`", text)) - {
        "src/seewhy/methods/square_cam.py"
    }:
        assert any((base / name).exists() for base in (ROOT, ROOT / "src" / "seewhy")), name
    handed = re.search(r"What a formula is handed.*?\(`ARGUMENTS`", text, re.DOTALL)
    assert handed is not None
    assert set(re.findall(r"`(\w+)`", handed[0])) - {"ARGUMENTS"} == {
        name for name, each in extend.ARGUMENTS.items() if not each.call
    }
