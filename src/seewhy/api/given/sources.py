"""Sources of photos: takes files, folders, patterns, series and videos as they were typed, gives one photo after the
other, to be opened when it is its turn; explains nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from seewhy.api.given.folders import photos_in
from seewhy.errors import ImageError, UsageError
from seewhy.models import Photo
from seewhy.models.films import SUFFIXES as FILMS
from seewhy.models.films import Film, evenly
from seewhy.models.images import frames_in, read_frame
from seewhy.models.volumes import SUFFIXES as VOLUMES
from seewhy.models.volumes import holds_series
from seewhy.runs.sources.names import is_hidden

__all__ = ["Source", "sources"]

#: what makes a word a pattern
_PATTERN = frozenset("*?[")


@dataclass(frozen=True, eq=False)
class Source:
    """One photo to come: what it is called, the file that it is in, and what opens it (`ImageError`, if nothing
    can)."""

    name: str
    path: Path
    open: Callable[[], Any]

    @property
    def stamp(self) -> tuple[str, int, int]:
        """The photo, and its file's length and time: another file under the same name has another stamp."""
        try:
            known = self.path.stat()
        except OSError:
            return self.name, 0, 0
        return f"{self.path.absolute()}{self.name.removeprefix(str(self.path))}", known.st_size, known.st_mtime_ns


#: frames of a film where nobody says how many
_FRAMES = 8


def sources(words: Sequence[str], frames: int | None = None, results: Path | None = None) -> list[Source]:
    """The photos that ``words`` name, in order: files; folders with all that is below them; patterns such as ``*.jpg``
    and ``**/*.png``, but for what was named before; of films ``frames`` pictures, evenly spaced, 8 unless given; of
    animated pictures as many where it is given, else the first. A folder with DICOM files of its own is one series, and
    NIfTI files are volumes. What lies in the folder of ``results`` is no photo of a folder or a pattern around it.

    A word that names nothing, an empty folder and a film that cannot be read are sources, too, whose error is told when
    they are opened. Raises `UsageError` for a film where nothing is installed that reads any.
    """
    if frames is not None and frames < 1:
        raise UsageError(f"--frames {frames}: at least one of each film")
    found: list[Source] = []
    for word in words:
        known = {source.name for source in found}
        several = _several(Path(word).expanduser(), word)
        if several and results is not None and not _within(Path(word).expanduser(), results):
            several = [path for path in several if not _within(path, results)]
        if several is None:
            found += _opened(Path(word).expanduser(), word, frames)
        else:
            found += [s for path in several for s in _opened(path, str(path), frames) if s.name not in known]
            if not several:
                found.append(_failing(word, f"cannot read {word!r}: it names no photo, nor a folder of photos"))
    return found


def _within(path: Path, folder: Path) -> bool:
    return path.absolute().is_relative_to(folder.expanduser().absolute())


def _several(path: Path, word: str) -> list[Path] | None:
    """What a folder or a pattern names; None for what is neither, and for a folder that is one series."""
    if path.is_dir():
        if holds_series(path):
            return None
        try:
            return photos_in(path, also=FILMS | set(VOLUMES))
        except UsageError:
            return []
    if path.exists() or not _PATTERN & set(word):
        return None
    root = Path(path.anchor or ".")
    matches = root.glob(str(path.relative_to(root) if path.anchor else path))
    return sorted(match for match in matches if match.is_file() and not is_hidden(match, root))


def _opened(path: Path, word: str, frames: int | None) -> list[Source]:
    if path.suffix.lower() in FILMS and path.is_file():
        return _frames(path, word, _FRAMES if frames is None else frames)
    if frames is not None and path.is_file() and (total := frames_in(path)) > 1:
        return [Source(f"{word}#{at}", path, partial(read_frame, path, at, word)) for at in evenly(total, frames)]
    return [Source(word, path, lambda: word)]


def _failing(word: str, why: str) -> Source:
    def fail() -> Any:
        raise ImageError(why)

    return Source(word, Path(word), fail)


def _frames(path: Path, word: str, count: int) -> list[Source]:
    """The frames of a film, evenly spaced, the first one in the middle of the first of ``count`` equal parts."""
    film = Film(path, word)
    try:
        total = film.count()
    except ImageError as error:
        return [_failing(word, str(error))]
    numbers = evenly(total, count)

    def opened(at: int) -> Photo:
        photo = film.frame(at)
        if at == numbers[-1]:  # of many films, those that are done would keep their decoders
            film.close()
        return photo

    return [Source(f"{word}#{at}", path, partial(opened, at)) for at in numbers]
