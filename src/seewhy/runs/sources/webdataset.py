"""WebDataset shards: takes tar archives, gives the pictures of their samples by where they stand in them; unpacks
nothing, and follows no link."""

from __future__ import annotations

import json
import posixpath
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import IO, Any, NamedTuple

from seewhy.errors import ImageError, UsageError, one_line, reason
from seewhy.runs.sources.base import Entry
from seewhy.runs.sources.names import LABELS, is_hidden_name, is_picture
from seewhy.runs.sources.notes import LeftOut, Names
from seewhy.runs.sources.parquet import words_of
from seewhy.runs.sources.place import Place

__all__ = ["COMPRESSED", "Shards"]

#: what names of compressed archives end in, and what the files begin with
COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")
_MAGIC = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")

_BLOCK = tarfile.BLOCKSIZE
#: bytes of a header, of a file with a class, and of what is looked at behind the end
_HEADER, _LABEL = 1 << 20, 1 << 20
#: letters that a class has at most: what is longer is a caption
_WORD = 100
#: members that hold a class where nobody says which, the likeliest first
_CLASSES = ("cls", "json", "txt")


class _Member(NamedTuple):
    """A regular file in a shard: its name, what belongs to one sample, the rest of its name, and where it is."""

    name: str
    key: str
    extension: str
    start: int
    size: int


class Shards:
    """The pictures of samples in tar archives, in order. Members whose names are alike up to the first dot of the last
    part are one sample; its class is in its ``.cls``, its ``.json`` (label, class...) or a short ``.txt``.

    Pictures are called by their members; of several shards with the shard's name before it.
    """

    kind = "webdataset"

    def __init__(self, spec: str, base: Place, shards: Sequence[str], columns: Mapping[str, str]) -> None:
        self.spec, self._base, self._shards, self._columns = spec, base, tuple(shards), dict(columns)
        self._left, self._ends = LeftOut(), list[str]()

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out, in words."""
        return (*self._left.sentences(), *self._ends)

    def entries(self) -> Iterator[Entry]:
        """All of them. Raises `UsageError` for archives that cannot be read, names that come twice, samples of several
        pictures, and where there are none."""
        self._left, self._ends = LeftOut(), []
        names = Names()
        for shard in self._shards:
            with self._opened(shard) as file:
                for key, members in groupby(self._members(shard, file), key=lambda member: member.key):
                    if (entry := self._entry(shard, key, list(members), file)) is not None:
                        names.add(entry.name)
                        yield entry
        if not len(names):
            raise UsageError(f"{self.spec!r} holds no pictures" + "".join(f"; {note}" for note in self.notes))
        if repeated := names.repeated():
            self._refuse_twice(repeated)

    def read(self, entry: Entry) -> bytes:
        """The bytes of the member. Raises `ImageError`."""
        shard, _, start = entry.at.rpartition("@")
        if shard not in self._shards:
            raise ImageError(f"cannot read {entry.name!r}: {shard!r} is none of the shards of {self.spec!r}")
        return self._base.below(shard).part(int(start), entry.size, entry.name)

    def _opened(self, shard: str) -> IO[bytes]:
        try:
            file = self._base.below(shard).open()
        except OSError as error:
            raise UsageError(f"cannot read the shard {shard!r}: {reason(error)}") from error
        start = file.read(8)
        file.seek(0)
        if start.startswith(_MAGIC) or shard.lower().endswith(COMPRESSED):
            file.close()
            raise UsageError(compressed(shard))
        return file

    def _members(self, shard: str, file: IO[bytes]) -> Iterator[_Member]:
        """The regular files of an archive, in order."""
        try:
            with tarfile.open(fileobj=_Headers(file), mode="r:") as archive:  # type: ignore[call-overload]
                while (info := archive.next()) is not None:
                    archive.members.clear()  # or it would keep all that it has seen
                    name = info.name.removeprefix("./")
                    if why := _why_not(info, name):
                        self._left.add(why, f"{shard}: {name}")
                        continue
                    folder, last = posixpath.split(name)
                    stem, dot, extension = last.partition(".")
                    if info.isreg() and dot and stem:
                        yield _Member(name, posixpath.join(folder, stem), extension, info.offset_data, info.size)
                    elif info.isreg():
                        self._left.add("members without an extension", f"{shard}: {name}")
                self._look_at_end(shard, file, archive.offset)
        except (tarfile.TarError, OSError, ValueError) as error:
            raise UsageError(
                f"cannot read the shard {shard!r}: damaged, or no tar archive ({reason(error)})"
            ) from error

    def _look_at_end(self, shard: str, file: IO[bytes], offset: int) -> None:
        """`tarfile` ends without a word at a header that it cannot read."""
        file.seek(offset)
        mark = file.read(_BLOCK)
        if not mark:
            self._ends.append(f"{shard} has no mark at its end: it may have been cut off between two members")
        elif mark.strip(b"\0"):
            raise tarfile.ReadError(f"what stands at byte {offset} is no header of a member")
        elif file.read(_HEADER).strip(b"\0"):
            self._ends.append(
                f"{shard} goes on behind the mark of its end, at byte {offset}: what is there is left out"
            )

    def _entry(self, shard: str, key: str, members: list[_Member], file: IO[bytes]) -> Entry | None:
        wanted = self._columns.get("image")
        if wanted is None:
            pictures = [member for member in members if is_picture(f"x.{member.extension}")]
        else:
            pictures = [member for member in members if member.extension.lower() == wanted.lower().lstrip(".")]
        if not pictures:
            self._left.add("samples without a picture", f"{shard}: {key}")
            return None
        if len(pictures) > 1:
            first, second = pictures[:2]
            if first.name == second.name:
                raise UsageError(_twice(first.name, shard, first.start, second.start))
            raise UsageError(
                f"sample {key!r} of {shard} has {len(pictures)} pictures, {first.extension!r} and "
                f"{second.extension!r}: say which, image={first.extension}. (Keys end at the first dot of a name)"
            )
        (picture,) = pictures
        labels = self._words("label", _CLASSES, members, file, shard)
        group = "; ".join(self._words("group", (), members, file, shard))
        return Entry(self._called(shard, picture.name), labels, group, f"{shard}@{picture.start}", picture.size)

    def _called(self, shard: str, name: str) -> str:
        return name if len(self._shards) == 1 else f"{shard.removesuffix('.tar')}/{name}"

    def _words(
        self, role: str, usual: Sequence[str], members: list[_Member], file: IO[bytes], shard: str
    ) -> tuple[str, ...]:
        """What a sample says of its class, or group: in a member that is named (``cls``, ``json``, ``json.KEY``), or in
        one that usually has it."""
        asked = self._columns.get(role)
        extension, _, key = (asked or "").lstrip(".").partition("json.")
        wanted = [f"{extension}json" if key else extension] if asked else usual
        for each in wanted:
            member = next((member for member in members if member.extension.lower() == each.lower()), None)
            if member is None:
                continue
            if member.size > _LABEL:
                self._left.add("classes in files of more than 1 MiB", f"{shard}: {member.name}")
                continue
            file.seek(member.start)
            data = file.read(member.size)
            try:
                words = _told(data, each.lower().endswith("json"), (key,) if key else (*LABELS, "cls"))
            except (ValueError, RecursionError):
                self._left.add("classes that cannot be read", f"{shard}: {member.name}")
                continue
            if words or asked:
                return words
        return ()

    def _refuse_twice(self, repeated: frozenset[int]) -> None:
        """Say which members have one name; hashes may be alike by chance."""
        first: dict[str, int] = {}
        for shard in self._shards:
            with self._opened(shard) as file:
                for member in self._members(shard, file):
                    name = self._called(shard, member.name)
                    if hash(name) in repeated and (at := first.setdefault(name, member.start)) != member.start:
                        raise UsageError(_twice(member.name, shard, at, member.start))


def compressed(shard: str) -> str:
    """Why a compressed archive is not read, and what to type."""
    return (
        f"the shard {shard!r} is compressed, so that nothing in it can be found by its place, and pictures are "
        "compressed already: unpack it to a .tar (gunzip, bunzip2, unxz, unzstd) and give that"
    )


def _twice(name: str, shard: str, first: int, second: int) -> str:
    return f"{shard} holds {name!r} twice, at byte {first} and byte {second}; rename one of them"


def _told(data: bytes, structured: bool, keys: Sequence[str]) -> tuple[str, ...]:
    """Classes in a member's bytes."""
    text = data.decode("utf-8-sig")
    if not structured:
        text = text.strip()
        return (one_line(text),) if text and "\n" not in text and len(text) <= _WORD else ()
    told: Any = json.loads(text)
    if isinstance(told, Mapping):
        told = next((told[key] for key in keys if key in told), None)
    return () if isinstance(told, Mapping) else words_of(told)


def _why_not(info: tarfile.TarInfo, name: str) -> str:
    """Why a member is left out; '' for what is not, folders among it."""
    parts = name.split("/")
    if name.startswith("/") or ".." in parts or "\\" in name:
        return "members whose names lead out of the archive"
    if info.issym() or info.islnk():
        return "links"
    if info.isdir():
        return ""
    if not info.isreg():
        return "devices and their like"
    if info.issparse():
        return "sparse files, which are other than they stand there"
    if any(map(is_hidden_name, parts)):
        return "hidden files and folders"
    if re.fullmatch(r"__.*__", parts[0]):
        return "members about the archive (__NAME__)"
    return ""


class _Headers:
    """An archive as `tarfile` reads its headers: no more than they can need, however much one says that it has."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= _HEADER:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._file.read(size)
