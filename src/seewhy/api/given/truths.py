"""Photos and their true classes: takes a source of pictures, or images with classes, has a few at a time looked at
while the next are read, and gives what was found of each; runs no network."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from torch import Tensor

from seewhy.api.given.images import Item, read_one
from seewhy.errors import UnknownName, UsageError
from seewhy.models import Model, Photo
from seewhy.runs.reading import Opened
from seewhy.runs.record import Record
from seewhy.runs.sources import Entry, Source, open_source
from seewhy.runs.walking import Stop, walk

__all__ = ["Found", "Known", "Seen", "known_truths"]

T = TypeVar("T")

#: axes of one picture
_ONE = 3
#: photos that are looked at together, and threads that read them
AT_ONCE, _READERS = 64, 2


@dataclass(frozen=True, eq=False)
class Seen:
    """One photo that was read: what it is called, its true class (None where nobody said), its input, and what its
    source has it ``listed`` as."""

    name: str
    truth: int | None
    item: Item
    listed: str


@dataclass(frozen=True, eq=False)
class Found(Generic[T]):
    """What was found of one photo, by its name and true class; ``row`` is its place in the source."""

    name: str
    truth: int | None
    found: T
    row: int


@dataclass
class Known:
    """Pictures, and what class each is of: ``count`` of them, ``told`` of these with a class; ``failed`` says which
    could not be read, and why, once they were looked at."""

    model: Model
    source: Source
    truth_of: Callable[[Entry], int | None]
    count: int
    told: int
    progress: Callable[[str, int, int], None] | None = None
    failed: list[str] = field(default_factory=list)
    said: tuple[str, ...] = ()

    def truths(self) -> list[int | None]:
        """The class of each, in the order of the source."""
        return [self.truth_of(entry) for entry in self.source.entries()]

    def part(self, rows: Collection[int]) -> Known:
        """Those at some places of the source, which may be looked at as all can."""
        chosen = frozenset(rows)
        told = sum(truth is not None for row, truth in enumerate(self.truths()) if row in chosen)
        return replace(self, source=_Part(self.source, chosen), count=len(chosen), told=told, failed=[])

    @property
    def notes(self) -> tuple[str, ...]:
        """What the source left out, and what is not known of its classes, in words."""
        return (*self.source.notes, *self.said)

    def look(
        self, look: Callable[[list[Seen]], Sequence[T]], *, at_once: int = AT_ONCE, record: Record | None = None
    ) -> list[Found[T]]:
        """What ``look`` finds of each, ``at_once`` at a time, in the order of the source.

        With a ``record`` what is found, plain JSON then, is kept as it comes, and what it holds of an earlier look that
        was ended, at the same picture of the same class, is not looked for again; an interruption is raised once those
        under way are kept. Raises `UsageError` if none can be read.
        """
        found, failed = dict[int, Found[T]](), dict[int, str]()
        stop = Stop()
        before = record if record is not None and record.unfinished(self.source.spec) else None

        def opened(entry: Entry, raw: Any) -> _Read:
            stamp = None if record is None else _stamp(entry, raw, self.truth_of(entry))
            known = (None if before is None or stamp is None else before.whole(stamp, self.source.spec)) or {}
            if not known.keys() >= {"name", "truth", "found"}:  # somebody's own line
                return _Read(stamp, self._open(entry, raw), {})
            return _Read(stamp, None, known)

        def do(_: object, some: Sequence[Opened], waited: float) -> None:
            failed.update((each.row, each.reason) for each in some if each.reason)
            read: list[tuple[int, _Read]] = [(each.row, each.input) for each in some if not each.reason]
            for row, one in read:
                if one.seen is None:
                    found[row] = Found(one.before["name"], one.before["truth"], one.before["found"], row)
            anew = [(row, one.stamp, one.seen) for row, one in read if one.seen is not None]
            answers = look([seen for _, _, seen in anew]) if anew else ()
            for (row, stamp, seen), what in zip(anew, answers, strict=True):
                found[row] = Found(seen.name, seen.truth, what, row)
                if record is not None and stamp is not None:
                    record.keep(stamp, {"name": seen.name, "truth": seen.truth, "found": what}, ())
            if self.progress is not None:
                self.progress("photos", len(found) + len(failed), self.count)

        if record is not None:
            record.begin(self.source.spec)
        # those that are known go through as well, so that groups are those of a look that nothing has ended
        rows = enumerate(self.source.entries())
        groups = ((None, some) for some in iter(lambda: list(islice(rows, at_once)), []))
        walk(groups, self.source, opened, do, stop, threads=_READERS, ahead=at_once, digests=False)
        if stop:
            on = "" if record is None else " and kept: the same command goes on"
            raise KeyboardInterrupt(f"{len(found)} of {self.count} photos are done{on}")
        if record is not None:
            record.end(self.source.spec)
        self.failed = [failed[row] for row in sorted(failed)]
        if not found:
            raise UsageError(f"none of the {self.count} photos can be read: {self.failed[0]}")
        return [found[row] for row in sorted(found)]

    def _open(self, entry: Entry, raw: Any) -> Seen:
        item = read_one(self.model, raw, entry.name)
        own = entry.name if isinstance(raw, bytes) else item.name or entry.name
        return Seen(str(raw) if isinstance(raw, str | Path) else own, self.truth_of(entry), item, entry.name)


@dataclass(frozen=True, eq=False)
class _Read:
    """One photo that was read: by what a record knows it again, None for nothing; and its input, or what was found of
    it ``before``."""

    stamp: list[Any] | None
    seen: Seen | None
    before: Mapping[str, Any]


def _stamp(entry: Entry, raw: Any, truth: int | None) -> list[Any] | None:
    """A picture by its name and class, and by its file's path, length and time; where it has no file of its own (in a
    shard, a table, a film, in hand) by what is in it. None for what has neither, which is always looked at."""
    if isinstance(raw, str | Path):
        path = Path(raw)
        if not path.is_file():
            return None
        known = path.stat()
        return [str(path.absolute()), known.st_size, known.st_mtime_ns, truth]
    if isinstance(raw, bytes):
        return [entry.name, hashlib.sha256(raw).hexdigest(), truth]
    held = raw
    if isinstance(raw, Photo) and raw.bands is None and raw.measured is None:  # a frame of a film
        held = np.asarray(raw.pixels)
    elif isinstance(raw, Tensor):
        held = raw.detach().cpu().double().numpy()
    if not isinstance(held, np.ndarray) or held.dtype.hasobject:
        return None
    kind = str(getattr(raw, "dtype", held.dtype))
    return [entry.name, kind, [*held.shape], hashlib.sha256(held.tobytes()).hexdigest(), truth]


class _Given:
    """Images that a caller has, as a source."""

    kind = "images"
    notes: tuple[str, ...] = ()

    def __init__(self, images: Sequence[Any]) -> None:
        self.spec, self._images = "images", images

    def entries(self) -> Iterator[Entry]:
        """See `Source`."""
        for number, one in enumerate(self._images):
            yield Entry(str(one) if isinstance(one, str | Path) else f"image {number}", at=str(number))

    def read(self, entry: Entry) -> Any:
        """The image, whatever it is."""
        return self._images[int(entry.at)]


class _Part:
    """Some pictures of a source, by their places in it."""

    def __init__(self, source: Source, rows: frozenset[int]) -> None:
        self._whole, self._rows = source, rows
        self.kind, self.spec = source.kind, f"{source.spec}, {len(rows)} of its pictures"

    @property
    def notes(self) -> tuple[str, ...]:
        """See `Source`."""
        return self._whole.notes

    def entries(self) -> Iterator[Entry]:
        """See `Source`."""
        return (entry for number, entry in enumerate(self._whole.entries()) if number in self._rows)

    def read(self, entry: Entry) -> Any:
        """See `Source`."""
        return self._whole.read(entry)


def known_truths(
    model: Model,
    images: Any,
    truths: Sequence[int | str] | None,
    told: Mapping[str, Any],
    call: str,
    progress: Callable[[str, int, int], None] | None = None,
    *,
    needed: bool = True,
) -> Known:
    """A source of pictures that says of which class each is, ``told`` as `open_source` is, or ``images`` with
    ``truths``, numbers or labels; ``call`` is who asks, and whether a class is ``needed``. What is known already stays
    so.

    Raises `UsageError` for photos without a class, and for a class that the model does not have; where none is needed
    and the model has none of them (folders of days, of cameras), they are no classes, which is said.
    """
    if isinstance(images, Known):
        return replace(images, progress=progress, failed=[])
    if truths is not None:
        given = list(images) if not isinstance(images, str | Path) else [images]
        known = [model.find_label(label) if isinstance(label, str) else int(label) for label in truths]
        if len(known) != len(given):
            raise UsageError(f"{len(known)} truths for {len(given)} images: one for each")
        return Known(model, _Given(given), lambda entry: known[int(entry.at)], len(given), len(given), progress)
    if not isinstance(images, str | Path):
        if needed:
            raise UsageError(
                f"{call} needs the true classes: truths=[...], or a source that says them, a folder for each"
            )
        in_hand = list(images) if isinstance(images, list | tuple) else list(_each_of(images))
        return Known(model, _Given(in_hand), lambda entry: None, len(in_hand), 0, progress)
    source = open_source(images, **told)
    classes: dict[tuple[str, ...], int | None] = {}
    count = with_one = 0
    no_class: UsageError | None = None
    for entry in source.entries():
        if entry.labels not in classes:
            try:
                classes[entry.labels] = _class_of(model, source, entry)
            except UsageError as error:
                classes[entry.labels], no_class = None, no_class or error
                if needed:
                    raise
        count += 1
        with_one += classes[entry.labels] is not None
    said: tuple[str, ...] = ()
    if no_class is not None:
        if with_one:  # a name that is misspelt
            raise no_class
        said = (f"no photo's class is known: {no_class}",)
    if with_one not in (count,) if needed else with_one not in (0, count):
        how = (
            "sort them into a sub-folder for each class, or write labels.csv with a line file,label for each"
            if source.kind in ("folder", "picture") else "columns= (--column) names the column that holds classes"
            if source.kind not in ("coco", "film") else "give a folder of each class, or a table file,label"
        )  # fmt: skip
        raise UsageError(f"{count - with_one} of {count} photos in {str(images)!r} have no class: {how}")
    return Known(model, source, lambda entry: classes[entry.labels], count, with_one, progress, said=said)


def _each_of(images: Any) -> list[Any]:
    """One picture, or the pictures of a batch."""
    batch = isinstance(images, Tensor | np.ndarray) and images.ndim > _ONE
    return list(images) if batch else [images]


def _class_of(model: Model, source: Source, entry: Entry) -> int | None:
    """The class that a source says; raises `UnknownName` or `UsageError` for one that the model does not have."""
    if not entry.labels:
        return None
    where = f"{source.spec!r}, {entry.at or repr(entry.name)}"
    if len(entry.labels) > 1:
        raise UsageError(f"{where}: of {len(entry.labels)} classes, {', '.join(entry.labels):.80}; give one for each")
    (name,) = entry.labels
    try:
        return model.find_label(name)
    except (UnknownName, UsageError) as error:
        if re.fullmatch(r"-?\d*\.\d+|-?\d+\.|nan", name):  # 3.0 and nan are what tables of numbers write
            whole = name != "nan" and float(name).is_integer()
            hint = f"a class is a whole number or a label{f': {float(name):.0f}' if whole else ''}"
            raise UsageError(f"{where}: {name!r} is no class; {hint}") from error
        raise UsageError(f"{where}: {name!r} is no class of the model: {error}") from error
