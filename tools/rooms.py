"""Who imports whom: takes source folders of seewhy, gives a picture of the rooms in each, with circles in red.

    python -m tools.rooms before/src src --out rooms.png

A room is a package, or a file that lies in none (of `core` and `api`, one level further down). It stands one floor
above the highest room that it imports; rooms that import each other in a circle stand on one.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

__all__ = ["main"]

_SPLIT = ("core", "api")
_CALM, _CIRCLE, _LINE = "#2b5d8a", "#c0392b", "#9aa7b4"


def _imports(source: Path) -> list[tuple[str, str]]:
    """Every import of one module by another, read in a process of its own: the path decides which package is meant."""
    code = (
        "import grimp\n"
        "graph = grimp.build_graph('seewhy', cache_dir=None)\n"
        "print(*(f'{a} {b}' for a in graph.modules for b in graph.find_modules_directly_imported_by(a)), sep='\\n')\n"
        "print(*(f'{a} {a}' for a in graph.modules), sep='\\n')"
    )
    argv = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(source)!r})\n{code}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    return [(a, b) for a, b in (line.split() for line in done.stdout.splitlines())]


def _room(module: str) -> str:
    parts = module.split(".")[1:]
    return ".".join(parts[: 2 if parts and parts[0] in _SPLIT else 1]) or "seewhy"


def _floors(source: Path) -> tuple[dict[int, list[str]], list[set[str]], set[tuple[str, str]], int, list[set[str]]]:
    """Rooms by floor, circles of rooms, imports between rooms, how many modules there are, and circles of modules."""
    import networkx as nx

    pairs = _imports(source)
    modules = nx.DiGraph([(a, b) for a, b in pairs if a != b])
    rooms = nx.DiGraph([(_room(a), _room(b)) for a, b in pairs if _room(a) != _room(b)])
    whole: Any = nx.condensation(rooms)
    height: dict[int, int] = {}
    for part in reversed(list(nx.topological_sort(whole))):
        height[part] = 1 + max((height[below] for below in whole.successors(part)), default=-1)
    floors: dict[int, list[str]] = {}
    for part, at in height.items():
        floors.setdefault(at, []).extend(sorted(whole.nodes[part]["members"]))
    circles = [each for each in nx.strongly_connected_components(rooms) if len(each) > 1]
    inner = [each for each in nx.strongly_connected_components(modules) if len(each) > 1]
    return floors, circles, set(rooms.edges), len({a for a, _ in pairs}), inner


def _draw(axes: Any, source: Path, title: str) -> str:
    floors, circles, edges, count, inner = _floors(source)
    mixed = set().union(*circles) if circles else set()
    at = {
        room: ((n + 0.5) / len(rooms), floor) for floor, rooms in floors.items() for n, room in enumerate(sorted(rooms))
    }
    for a, b in edges:
        red = a in mixed and b in mixed
        axes.plot(*zip(at[a], at[b], strict=True), color=_CIRCLE if red else _LINE, lw=0.9 if red else 0.3, zorder=1)
    for room, (x, y) in at.items():
        size = 7.5 if len(floors[y]) < 12 else 4.6
        box = {"boxstyle": "round,pad=0.3", "fc": _CIRCLE if room in mixed else _CALM, "ec": "white", "lw": 0.4}
        axes.text(x, y, room, color="white", fontsize=size, ha="center", va="center", bbox=box, zorder=2)
    said = (
        f"{count} modules, {len(at)} rooms on {len(floors)} floors, {len(circles)} circles of rooms "
        f"({', '.join(str(len(each)) for each in circles) or 'none'}), {len(inner)} of modules "
        f"({', '.join(str(len(each)) for each in inner) or 'none'})"
    )
    axes.set_title(f"{title}: {said}", fontsize=12)
    axes.set_axis_off()
    return said


def main() -> int:
    """Draw, and say what was counted."""
    from matplotlib.figure import Figure

    parser = argparse.ArgumentParser(prog="python -m tools.rooms", description=__doc__.split("\n\n")[0])
    parser.add_argument("source", type=Path, nargs="+", help="folders that hold seewhy, one picture each")
    parser.add_argument("--out", type=Path, default=Path("rooms.png"))
    given = parser.parse_args()
    figure = Figure(figsize=(17, 7.5 * len(given.source)), layout="constrained")
    names = ["now"] if len(given.source) == 1 else ["before", *["now"] * (len(given.source) - 1)]
    frames = figure.subplots(len(given.source), squeeze=False)[:, 0]
    for axes, source, name in zip(frames, given.source, names, strict=True):
        print(f"{name}: {_draw(axes, source, name)}")
    figure.savefig(given.out, dpi=75, facecolor="white")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
