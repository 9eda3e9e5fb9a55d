"""Folders of photos: takes a folder, gives paths, and with a model the photos that activate a target most; explains
nothing."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

from seewhy.api.given.images import read_items
from seewhy.core.forward.answers import score_batch
from seewhy.core.layers.choice import read_layer
from seewhy.core.network.borrowed import Network
from seewhy.core.targets import Target
from seewhy.errors import ImageError, UsageError
from seewhy.explanation import Tile
from seewhy.models import Model
from seewhy.models.images import SUFFIXES
from seewhy.runs.sources.names import is_hidden

__all__ = ["photos_in", "strongest"]


def photos_in(folder: str | Path | Sequence[str | Path], also: Collection[str] = ()) -> list[Path]:
    """The image files in a folder and below it, by name, and those whose names end in ``also``; or those of a list.
    Raises `UsageError` if there are none."""
    if not isinstance(folder, str | Path):
        return [Path(photo) for photo in folder]
    root = Path(folder)
    if root.is_file():
        return [root]
    known = SUFFIXES | set(also)
    files = (path for path in root.rglob("*") if path.name.lower().endswith(tuple(known)) and path.is_file())
    paths = sorted(path for path in files if not is_hidden(path, root))
    if not paths:
        what = "there is no such folder" if not root.exists() else "no image files in it"
        raise UsageError(f"folder {str(root)!r}: {what}; name one with .png, .jpg or .webp files")
    return paths


def strongest(
    model: Model,
    network: Network,
    target: Target,
    folder: str | Path | Sequence[str | Path],
    count: int,
    progress: Callable[[str, int, int], None] | None = None,
) -> list[Tile]:
    """The ``count`` photos with the highest score, best first; unreadable ones are passed over.

    Raises `UsageError` if none can be read, or for a ``count`` under one.
    """
    if count < 1:
        raise UsageError(f"examples={count}: at least one, e.g. examples=4")
    paths = photos_in(folder)
    best: list[tuple[float, str, Any]] = []
    for number, path in enumerate(paths, 1):
        try:
            ((item,), _) = read_items(model, str(path))
        except ImageError:
            continue
        score = float(score_batch(network, network.like(item.tensor[None]), target, reader=read_layer)[0])
        best = sorted([*best, (score, path.name, item.view)], key=lambda scored: -scored[0])[:count]
        if progress is not None:
            progress("photos", number, len(paths))
    if not best:
        raise UsageError(f"none of the {len(paths)} photos in {str(folder)!r:.80} can be read")
    return [Tile(view, (name, f"score {score:.3g}"), value=score) for score, name, view in best if view is not None]
