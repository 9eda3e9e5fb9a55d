"""Films: takes a film, gives its frames, all, every so many or evenly spaced; listing them decodes nothing."""

from __future__ import annotations

from collections.abc import Iterator

from seewhy.errors import ImageError, UsageError
from seewhy.models import Photo
from seewhy.models.films import Film, evenly
from seewhy.runs.sources.base import Entry
from seewhy.runs.sources.kept import Keeps
from seewhy.runs.sources.place import Place

__all__ = ["Frames"]


class Frames(Keeps):
    """The frames of a film: all, every ``every``-th from the first on, or ``frames`` evenly spaced. Asked in order,
    each is decoded once; threads may ask slightly out of order."""

    kind = "film"
    notes: tuple[str, ...] = ()

    def __init__(self, spec: str, place: Place, frames: int | None, every: int | None) -> None:
        super().__init__()
        self.spec, self._place, self._count, self._every = spec, place, frames, every or 1

    def entries(self) -> Iterator[Entry]:
        """All of them. Raises `UsageError` for a file that is no film, or one without frames."""
        try:
            total = self._film().count()
        except ImageError as error:
            raise UsageError(str(error)) from error
        if not total:
            raise UsageError(f"the film {self.spec!r} has no frames")
        for number in range(0, total, self._every) if self._count is None else evenly(total, self._count):
            yield Entry(f"{number:08}", at=f"frame {number}")

    def read(self, entry: Entry) -> Photo:
        """The frame. Raises `ImageError`."""
        return self._film().frame(int(entry.at.removeprefix("frame ")))

    def _film(self) -> Film:
        return self.once("film", lambda: Film(self._place.path if self._place.local else self._place.open, self.spec))
