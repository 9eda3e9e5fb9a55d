"""A folder of results: takes explanations, gives files with names that never collide; computes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seewhy.errors import UsageError
from seewhy.explanation import Explanations, file_stems
from seewhy.render import write

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["FORMATS", "Folder"]

FORMATS = ("png", "jpg", "svg", "npz")


class Folder:
    """Where one run's files go.

    A name that is taken, by an earlier run or another image of this one, gets a number: nothing is ever overwritten,
    unless ``force``, which replaces files of earlier runs but never this run's own. Raises `UsageError` if ``path``
    is a file.

    >>> import tempfile
    >>> Folder(tempfile.mkdtemp()).free("chelsea", "png").name
    'chelsea.png'
    """

    def __init__(self, path: str | Path, *, force: bool = False) -> None:
        self.path, self.force = Path(path), force
        if self.path.exists() and not self.path.is_dir():
            raise UsageError(f"--out {self.path}: that is a file; name a folder")
        self._mine: set[str] = set()

    def free(self, stem: str, *suffixes: str) -> Path:
        """A path without suffix clash: ``stem``, or ``stem-2`` and so on, free for every one of ``suffixes``.

        Given back with the first suffix; the names are reserved.
        """
        number, name = 1, stem
        while any(self._taken(f"{name}.{suffix}") for suffix in suffixes):
            number += 1
            name = f"{stem}-{number}"
        self._mine |= {f"{name}.{suffix}".casefold() for suffix in suffixes}
        return self.path / f"{name}.{suffixes[0]}"

    def _taken(self, name: str) -> bool:
        return name.casefold() in self._mine or (not self.force and (self.path / name).exists())

    def save(
        self, explanations: Explanations, formats: Sequence[str] = ("png",), **options: Any
    ) -> list[list[Path]]:
        """Write every explanation in every format; gives each one's files. ``options`` are the pictures'.

        Maps of the same method, layer and contrast share their colour scale. Raises `UsageError` for an unknown format.
        """
        for suffix in formats:
            if suffix not in FORMATS:
                raise UsageError(f"no format {suffix!r}; one of {', '.join(FORMATS)}")
        self.path.mkdir(parents=True, exist_ok=True)
        shared = explanations.limits()
        files = []
        for each, stem, limits in zip(explanations, file_stems(explanations), shared, strict=True):
            first = self.free(stem, *formats)
            mine = [first.with_name(f"{first.stem}.{suffix}") for suffix in formats]
            for path in mine:
                own: dict[str, Any] = {} if path.suffix == ".npz" else {"limits": limits, **options}
                if path.suffix == ".svg":
                    own.pop("picture", None)
                each.save(path, force=True, **own)
            files.append(mine)
        return files

    def picture(self, image: Image.Image, stem: str, suffix: str = "png") -> Path:
        """Write one picture under a free name."""
        self.path.mkdir(parents=True, exist_ok=True)
        return write(image, self.free(stem, suffix), force=True)
