"""A folder of results: takes explanations, gives files with names that never collide; computes nothing."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from seewhy.errors import UsageError
from seewhy.explanation import Explanation, Explanations, Gallery, file_stems
from seewhy.explanation.picture import check_relief, drawable
from seewhy.render import write

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["FORMATS", "GALLERY_FORMATS", "NUMBERS", "Folder"]

FORMATS = ("png", "jpg", "svg", "pdf", "npz", "nii", "nii.gz")
#: those of numbers, and not of a picture
NUMBERS = ("npz", "nii", "nii.gz")
#: of pictures of the inside, whose numbers are one array
GALLERY_FORMATS = ("png", "jpg", "svg", "pdf", "npy")
#: of a file's name, in bytes: what is left of the 255 that file systems allow is for numbers and suffixes
_LONGEST = 180


class Folder:
    """Where one run's files go.

    A name that is taken, by an earlier run or another image of this one, gets a number: nothing is ever overwritten,
    unless ``force``, which replaces files of earlier runs but never this run's own, or where it is `replacing` them.
    The folder is made with the first file. Raises `UsageError` if ``path`` is a file, or lies where nothing can be
    written.

    >>> import tempfile
    >>> Folder(tempfile.mkdtemp()).free("chelsea", "png").name
    'chelsea.png'
    """

    def __init__(self, path: str | Path, *, force: bool = False) -> None:
        self.path, self.force = Path(path), force
        _check_place(self.path)
        self._mine: set[str] = set()
        #: names that this run has given out, in their order
        self.given: list[str] = []
        self._earlier: set[str] = set()

    def replacing(self, names: Iterable[str]) -> None:
        """Have files of these names replaced: an earlier run of the same question wrote them."""
        self._earlier |= {name.casefold() for name in names}

    def free(self, stem: str, suffix: str) -> Path:
        """A path that is free: ``stem``, or ``stem-2`` and so on, with that suffix; it is reserved."""
        return self.all_free(stem, [suffix])[0]

    def all_free(self, stem: str, suffixes: Sequence[str]) -> list[Path]:
        """A path for each suffix, all with one name that is free for every one of them; they are reserved."""
        number, name = 1, stem
        while any(self._taken(f"{name}.{suffix}") for suffix in suffixes):
            number += 1
            name = f"{stem}-{number}"
        self.given += [f"{name}.{suffix}" for suffix in suffixes]
        self._mine |= {f"{name}.{suffix}".casefold() for suffix in suffixes}
        return [self.path / f"{name}.{suffix}" for suffix in suffixes]

    def _taken(self, name: str) -> bool:
        if name.casefold() in self._mine:
            return True
        kept = not self.force and name.casefold() not in self._earlier
        return kept and (self.path / name).exists()

    def save(
        self, explanations: Explanations, formats: Sequence[str] = ("png",), *, scale: str = "each", **options: Any
    ) -> list[list[Path]]:
        """Write every explanation in every format; gives each one's files. ``options`` are the pictures'.

        Every map has its own colour scale, unless ``scale`` is ``"shared"``: then those of the same method, layer,
        contrast and unit share theirs, and say so. Raises `UsageError` for an unknown
        format, and for a picture of values that have no two spatial axes (their numbers can be saved: ``npz``).
        """
        for suffix in formats:
            if suffix not in FORMATS:
                raise UsageError(f"no format {suffix!r}; one of {', '.join(FORMATS)}")
        pictured = any(suffix not in NUMBERS for suffix in formats)
        if pictured:
            _check_drawable(explanations)
        if pictured and options.get("picture") == "relief":
            for explanation in explanations:  # now, and not after the first few files
                check_relief(explanation)
        scales: list[dict[str, Any]] = [{} for _ in explanations]
        if pictured and scale == "shared" and options.get("picture") != "relief":
            scales = [{"limits": limits, "shared": True} for limits in explanations.limits()]
        stems = file_stems([_without_suffix(explanation) for explanation in explanations])
        files = []
        for explanation, stem, own_scale in zip(explanations, stems, scales, strict=True):
            paths = self.all_free(stem, formats)
            for path in paths:
                numbers = path.name.endswith(tuple(f".{suffix}" for suffix in NUMBERS))
                own: dict[str, Any] = {} if numbers else {**own_scale, **options}
                if path.suffix == ".svg":
                    own.pop("picture", None)
                explanation.save(path, force=True, **own)
            files.append(paths)
        return files

    def save_grid(self, explanations: Explanations, formats: Sequence[str] = ("png",), **options: Any) -> list[Path]:
        """Write all of one image in one picture in every format; gives its files. ``options`` are the grid's."""
        _check_drawable(explanations)
        files = self.all_free(_stem_of(explanations, "compare"), formats)
        for path in files:
            explanations.grid(path, force=True, **options)
        return files

    def save_strip(self, explanations: Explanations, formats: Sequence[str] = ("png",), **options: Any) -> list[Path]:
        """Write the maps of one image's layers as one strip in every format; gives its files. ``options`` are the
        strip's."""
        _check_drawable(explanations)
        word = "_".join(dict.fromkeys(explanation.method for explanation in explanations))
        files = self.all_free(_stem_of(explanations, word), formats)
        for path in files:
            explanations.strip(path, force=True, **options)
        return files

    def save_gallery(self, gallery: Gallery, words: Sequence[str], formats: Sequence[str] = ("png",)) -> list[Path]:
        """Write a gallery in every format, named after ``words``; gives the files. Raises `UsageError` for an unknown
        format."""
        for suffix in formats:
            if suffix not in GALLERY_FORMATS:
                raise UsageError(f"no format {suffix!r}; one of {', '.join(GALLERY_FORMATS)}")
        return [gallery.save(path, force=True) for path in self.all_free(self.stem(words), formats)]

    def save_pixels(self, pixels: NDArray[np.uint8], stem: str) -> Path:
        """Write one picture, uint8 ``[H, W, 3]``, as a PNG."""
        return write(Image.fromarray(pixels), self.free(stem, "png"), force=True)

    @staticmethod
    def stem(words: Sequence[str]) -> str:
        """``words`` as a file's name without suffix: what a file system might mind becomes a hyphen."""
        joined = "_".join(slug for slug in map(_slug, words) if slug)
        return joined.encode()[:_LONGEST].decode(errors="ignore") or "picture"


def _check_place(path: Path) -> None:
    """Found out before a model is loaded, and without making anything."""
    if path.exists() and not path.is_dir():
        raise UsageError(f"cannot write into {path}: that is a file; name a folder")
    near = next((place for place in (path, *path.absolute().parents) if place.exists()), path)
    if not near.is_dir():
        raise UsageError(f"cannot write into {path}: {near} is a file; name another folder")
    if not os.access(near, os.W_OK | os.X_OK):
        raise UsageError(f"cannot write into {path}: no permission in {near}; name another folder")


def _check_drawable(explanations: Sequence[Explanation]) -> None:
    for answer in explanations:
        if not drawable(answer):
            where = f" at layer {answer.layer!r}" if answer.layer else ""
            raise UsageError(
                f"{answer.method}{where} has values of shape {answer.values.shape}, of which there is no picture; "
                "take a layer with two spatial axes, or explain into --format npz"
            )


def _stem_of(explanations: Explanations, word: str) -> str:
    """The name of what shows all of one image, after the image and ``word``."""
    return f"{_slug(_stem(explanations[0].name)) or 'image'}_{word}"


def _slug(text: str) -> str:
    """Letters of any script and digits; at most as long as a name may be."""
    return re.sub(r"[^\w.]+", "-", text).strip("-.").encode()[:_LONGEST].decode(errors="ignore")


def _without_suffix(explanation: Explanation) -> Explanation:
    """The same, called ``chelsea`` and not ``chelsea.png``: a file's name has one suffix, its own."""
    return replace(explanation, name=_stem(explanation.name))


def _stem(name: str) -> str:
    """A name without its suffix, ``scan`` of ``scan.nii.gz``; of a slice, ``scan-12`` of ``scan.nii.gz#12``."""
    file, _, number = name.rpartition("#")
    file, number = (file, number) if file and number.isdigit() else (name, "")
    stem = Path(file).stem.removesuffix(".nii")
    return f"{stem}-{number}" if number else stem
