"""Opening sources: takes what was typed, gives the source that it is, by what the path is; reads no picture."""

from __future__ import annotations

import itertools
import os
import posixpath
import re
from collections.abc import Mapping
from os import PathLike
from typing import Any

from seewhy.errors import UnknownName, UsageError
from seewhy.models.films import SUFFIXES as FILMS
from seewhy.runs.sources.base import Source
from seewhy.runs.sources.coco import Coco
from seewhy.runs.sources.csv_index import ROLES, CsvIndex
from seewhy.runs.sources.film import Frames
from seewhy.runs.sources.folder import Folder, Picture
from seewhy.runs.sources.huggingface import SavedDataset
from seewhy.runs.sources.names import is_picture, suffix_of
from seewhy.runs.sources.parquet import open_parquet
from seewhy.runs.sources.place import Place, is_pattern
from seewhy.runs.sources.webdataset import COMPRESSED, Shards, compressed

__all__ = ["open_source"]

#: what each kind of source may be told, and how it is spoken of
_TAKES = {
    "folder": ("a folder", {"table"}),
    "picture": ("a picture", set[str]()),
    "table": ("a table", {"columns"}),
    "listed": ("a folder with its table", {"columns", "table"}),
    "webdataset": ("shards", {"columns"}),
    "datasets": ("a directory of datasets", {"columns"}),
    "coco": ("a COCO file", {"images"}),
    "film": ("a film", {"frames", "every"}),
}
_KINDS = (
    "a folder, a CSV, TSV or Parquet table, .tar shards, a directory of Hugging Face's datasets, a COCO JSON, a film "
    "or a picture"
)
#: what a folder's table is called
_TABLE = "labels.csv"
#: shards that one pattern may name
_SHARDS = 1_000_000


def open_source(
    spec: str | PathLike[str],
    *,
    columns: Mapping[str, str] | None = None,
    table: str | PathLike[str] | None = None,
    images: str | PathLike[str] | None = None,
    frames: int | None = None,
    every: int | None = None,
) -> Source:
    """The pictures that ``spec`` names: a path, or a URL of any store that fsspec opens.

    A folder, whose sub-folders are classes; a CSV, TSV or Parquet table of paths (or, in Parquet, of pictures);
    WebDataset shards (``a.tar``, ``'a-{000..099}.tar'``, ``'a-*.tar'``); a directory that Hugging Face's ``datasets``
    has saved; a COCO JSON; a film; a picture. What it is, is told by what is there.

    ``columns`` names columns of tables (members of shards) for ``image``, ``label`` and ``group``; ``table`` a folder's
    list of pictures and classes, ``labels.csv`` where there is one; ``images`` the folder of a COCO file's pictures;
    ``frames`` how many of a film, evenly spaced, or ``every``: 5 for each fifth. No picture is read, and nothing is
    listed yet.

    Raises `UsageError` for what is no source, or has no use for what it is told, and where a package is missing.

    >>> from tempfile import TemporaryDirectory
    >>> from pathlib import Path
    >>> with TemporaryDirectory() as folder:
    ...     _ = (Path(folder) / "cats").mkdir(), (Path(folder) / "cats" / "1.png").touch()
    ...     [entry] = open_source(folder).entries()
    >>> entry.name, entry.labels
    ('cats/1.png', ('cats',))
    """
    spec, table, images = os.fspath(spec), *(None if word is None else os.fspath(word) for word in (table, images))
    given = {"columns": columns, "table": table, "images": images, "frames": frames, "every": every}
    _check(spec, given)
    named = dict(columns or {})
    place = Place.of(spec)
    if place.name.lower().endswith((".tar", *COMPRESSED)) and _names_several(place):
        _fits(spec, "webdataset", given)
        return Shards(spec, *_shards(spec, place), named)
    if missing := place.missing():
        raise UsageError(f"cannot take pictures from {spec!r}: {missing}")
    if place.is_folder():
        return _folder(spec, place, named, table, given)
    suffix = suffix_of(place.name)
    if place.name.lower().endswith(COMPRESSED):
        raise UsageError(compressed(spec))
    if suffix == ".tar":
        _fits(spec, "webdataset", given)
        return Shards(spec, place.folder, [place.name], named)
    if suffix in (".csv", ".tsv", ".parquet"):
        _fits(spec, "table", given)
        return _table(spec, place, place.folder, named)
    if suffix == ".json":
        _fits(spec, "coco", given)
        return Coco(spec, place, place.folder if images is None else _images(images))
    if suffix in FILMS:
        _fits(spec, "film", given)
        return Frames(spec, place, frames, every)
    if is_picture(place.name):
        _fits(spec, "picture", given)
        return Picture(spec, place)
    hint = "; unpack it first" if suffix in (".zip", ".7z", ".rar", ".gz") else ""
    raise UsageError(f"cannot take pictures from {spec!r}{hint}; give {_KINDS}")


def _check(spec: str, given: Mapping[str, Any]) -> None:
    for role in given["columns"] or ():
        if role not in ROLES:
            raise UnknownName("column to name", role, ROLES, ", ".join(ROLES))
    for word in ("frames", "every"):
        if (number := given[word]) is not None and number < 1:
            raise UsageError(f"{word}={number}: at least one")
    if given["frames"] is not None and given["every"] is not None:
        raise UsageError(f"frames={given['frames']} and every={given['every']} are two ways to choose frames; give one")
    if not spec:
        raise UsageError(f"no source; give {_KINDS}")


def _fits(spec: str, kind: str, given: Mapping[str, Any]) -> None:
    """Refuse what a source has no use for."""
    words, takes = _TAKES[kind]
    for word, value in given.items():
        if value is not None and word not in takes:
            uses = [what for what, known in _TAKES.values() if word in known]
            raise UsageError(f"{word}={value!r:.60} is for {' or '.join(uses)}; {spec!r} is {words}")


def _folder(spec: str, place: Place, named: dict[str, str], table: str | None, given: Mapping[str, Any]) -> Source:
    if place.below("state.json").is_file() or place.below("dataset_dict.json").is_file():
        _fits(spec, "datasets", given)
        return SavedDataset(spec, place, named)
    listing = Place.of(table) if table is not None else place.below(_TABLE)
    if table is not None and (missing := listing.missing()):
        raise UsageError(f"cannot read the table {table!r}: {missing}")
    if table is None and not listing.is_file():
        _fits(spec, "folder", given)
        return Folder(spec, place)
    _fits(spec, "listed", given)
    return _table(table or posixpath.join(spec, _TABLE), listing, place, named, tells_unlisted=True)


def _table(spec: str, file: Place, root: Place, named: dict[str, str], *, tells_unlisted: bool = False) -> Source:
    if suffix_of(file.name) == ".parquet":
        return open_parquet(spec, file, root, named, tells_unlisted=tells_unlisted)
    return CsvIndex(spec, file, root, named, tells_unlisted=tells_unlisted)


def _images(images: str) -> Place:
    place = Place.of(images)
    if not place.is_folder():
        raise UsageError(f"images={images!r}: there is no such folder")
    return place


def _names_several(place: Place) -> bool:
    several = re.search(r"\{[^{}]*(,|\.\.)[^{}]*\}", place.path) is not None or is_pattern(place.path)
    return several and not place.is_file()


def _shards(spec: str, place: Place) -> tuple[Place, list[str]]:
    """The folder that shards have in common, and their names from there."""
    paths = list(itertools.islice(expanded(place.path), _SHARDS + 1))
    if len(paths) > _SHARDS:
        raise UsageError(f"{spec!r} names more than {_SHARDS} shards; a run takes up to that many")
    folders = [posixpath.dirname(path) for path in paths]
    first = next((n for n, part in enumerate(folders[0].split("/")) if is_pattern(part)), None)
    common = posixpath.commonpath(folders) if all(folders) else ""
    if first is not None:
        common = posixpath.commonpath([common, "/".join(folders[0].split("/")[:first])]) if common else ""
    base = Place(common or ("." if place.local else ""), place.store)
    names, missing = list[str](), list[str]()
    for path in paths:
        name = path[len(common) + 1 :] if common.strip("/") else path[len(common) :]
        if is_pattern(name):
            names += base.matching(name)
        else:
            names.append(name)
            missing += [] if base.below(name).is_file() else [name]
    if missing:
        raise UsageError(
            f"{len(missing)} of the {len(paths)} shards that {spec!r} names are not there, the first {missing[0]!r}"
        )
    if not names:
        raise UsageError(f"{spec!r} names no shard: there is none in {base.word!r}")
    if again := next((name for name, count in _counted(names).items() if count > 1), None):
        raise UsageError(f"{spec!r} names the shard {again!r} twice")
    return base, names


def _counted(names: list[str]) -> dict[str, int]:
    found = dict[str, int]()
    for name in names:
        found[name] = found.get(name, 0) + 1
    return found


def expanded(pattern: str) -> Any:
    """What a pattern with braces names, as shells expand it: ranges of numbers, padded where one of their ends is, and
    lists.

    >>> list(expanded("a-{08..10}-{x,y}.tar"))[1:4]
    ['a-08-y.tar', 'a-09-x.tar', 'a-09-y.tar']
    """
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None or not re.search(r",|\.\.", match[1]):
        yield pattern
        return
    head, tail = pattern[: match.start()], pattern[match.end() :]
    ends = re.fullmatch(r"(-?\d+)\.\.(-?\d+)", match[1])
    if ends is None:
        words: Any = match[1].split(",")
    else:
        low, high = int(ends[1]), int(ends[2])
        padded = any(re.match(r"-?0\d", end) for end in ends.groups())
        width = max(map(len, ends.groups())) if padded else 0
        words = (f"{n:0{width}}" for n in range(low, high + 1 if high >= low else high - 1, 1 if high >= low else -1))
    for word in words:
        yield from (f"{head}{word}{rest}" for rest in expanded(tail))
