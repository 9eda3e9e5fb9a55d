"""Photos of a run, read again from where they were: takes the run, and the model and the source where somebody has
them, gives its maps laid over what the model saw."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Self

from seewhy.api.given.images import read_one
from seewhy.errors import SeewhyError, reason
from seewhy.explanation import Explanation
from seewhy.models import Model, Photo
from seewhy.models.images import photo_in
from seewhy.runs.listing import Listing
from seewhy.runs.opened import Run
from seewhy.runs.sources import Entry, Source, open_source

__all__ = ["RunPhotos"]


class RunPhotos:
    """The photos of a ``run``, as long as the context lasts; ``note`` says what is missing."""

    def __init__(self, run: Run, model: Model | None = None, source: Source | None = None) -> None:
        self.run = run
        theirs = run.manifest.asked["model"]["fingerprint"]
        self._model = model if model is not None and model.fingerprint() in (None, theirs) else None
        self._source: Source | None = None
        self.note = ""
        try:
            self._source = source or open_source(str(run.manifest.taken["source"]))
        except (SeewhyError, KeyError) as error:
            self.note = f"The photos could not be read again, and maps stand alone: {reason(error)}"
        if self._source is not None and self._model is None:
            self.note = "Maps stand beside their photos: with model=, the run's own, they are laid over what it saw."

    def __enter__(self) -> Self:
        self._listing = Listing(self.run.store, self.run.manifest.asked["pictures"])
        return self

    def __exit__(self, *raised: object) -> None:
        self._listing.__exit__(*raised)

    @property
    def readable(self) -> bool:
        """Whether there are photos to be read."""
        return self._source is not None

    @property
    def laid(self) -> bool:
        """Whether maps can be laid over them: by the run's own model."""
        return self._source is not None and self._model is not None

    def entry(self, number: int) -> Entry:
        """What the source has that a row of the index is of."""
        return self._listing[self.run.row(number)["row"]]

    def photo(self, entry: Entry) -> Photo:
        """A photo. Raises what reading does."""
        assert self._source is not None
        return photo_in(self._source.read(entry), entry.name)

    def over(self, maps: Sequence[Explanation], entry: Entry) -> list[Explanation]:
        """Maps of a photo with what the model saw of it. Raises what reading does."""
        assert self._source is not None
        assert self._model is not None
        item = read_one(self._model, self._source.read(entry), entry.name)
        return [replace(each, image=item.view, photo=item.photo, window=item.window, scan=item.scan) for each in maps]
