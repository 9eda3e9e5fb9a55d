"""Packages that extend seewhy, installed without an index: takes what one announces, writes what an installer would."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

__all__ = ["TOY", "install", "install_toy"]

#: the package that docs/extending.md shows
TOY = Path(__file__).parent / "extension"


def install(
    folder: Path, name: str, points: Mapping[str, Mapping[str, str]], version: str = "0.1", **modules: str
) -> Path:
    """Into ``folder``, which is then to be on ``sys.path``: the metadata of a package with entry ``points`` by group, and
    its ``modules``."""
    metadata = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    lines = []
    for group, entries in points.items():
        lines += [f"[{group}]", *(f"{key} = {value}" for key, value in entries.items())]
    (metadata / "entry_points.txt").write_text("\n".join(lines) + "\n")
    for module, text in modules.items():
        (folder / f"{module}.py").write_text(text)
    return folder


def install_toy(folder: Path) -> list[Path]:
    """What `TOY` announces, read off its own ``pyproject.toml``; gives all that is to be on ``sys.path``."""
    project = tomllib.loads((TOY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return [install(folder, project["name"], project["entry-points"], project["version"]), TOY / "src"]
