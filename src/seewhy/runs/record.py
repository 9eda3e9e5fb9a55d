"""A record of photos: takes what a photo was asked and what came of it, gives that back to a later call that asks the
same; a line for each photo, written when its files are."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seewhy.errors import storing

__all__ = ["FILE", "HIDDEN", "Record", "question_of"]

#: a folder beside the files, and in it a JSON document a line: a run that is ended between two of them loses nothing
HIDDEN = ".seewhy"
FILE = "record.jsonl"


def question_of(asked: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of everything that a photo's files depend on besides the photo."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=repr).encode()).hexdigest()[:16]


@dataclass
class Record:
    """What is known in ``folder`` of one ``question``: by the stamp of a photo, its entry as it was kept, with the
    files that came of it, which are there still; and of which lots of photos somebody began to ask, and did not come to
    the end, with those that were kept since."""

    folder: Path
    question: str
    _known: dict[str, dict[str, Any]] = field(default_factory=dict)
    _under_way: dict[str, set[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        path = self.folder / HIDDEN / FILE
        if not path.is_file():
            return
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
                question, lot = entry["question"], entry.get("lot")
                stamp = _key(entry["stamp"]) if lot is None else ""
            except (ValueError, KeyError, TypeError, AttributeError):  # a line that was cut short, or somebody's own
                continue
            if question != self.question:
                continue
            if lot is None:
                self._note(stamp, entry)
            elif entry.get("under way"):
                self._under_way.setdefault(str(lot), set())
            else:
                self._under_way.pop(str(lot), None)

    def _note(self, stamp: str, entry: dict[str, Any]) -> None:
        self._known[stamp] = entry
        for since in self._under_way.values():
            since.add(stamp)

    def unfinished(self, lot: str) -> bool:
        """Whether whoever asked of that lot of photos last did not come to the end."""
        return lot in self._under_way

    def begin(self, lot: str) -> None:
        """Note that somebody begins to ask of a lot of photos, by any name, and will `end`."""
        self._under_way.setdefault(lot, set())
        self._add({"question": self.question, "lot": lot, "under way": True})

    def end(self, lot: str) -> None:
        """Note that all of the lot was asked of."""
        self._under_way.pop(lot, None)
        self._add({"question": self.question, "lot": lot, "under way": False})

    def files(self, stamp: Sequence[Any]) -> list[str]:
        """The names of the files that came of a photo and are as they were written; those of an entry that somebody
        wrote by hand name nothing outside the folder."""
        kept = self._known.get(_key(stamp), {}).get("files")
        named = kept.items() if isinstance(kept, dict) else ()
        return [name for name, written in named if Path(name).name == name and self._written(name) == written]

    def whole(self, stamp: Sequence[Any], lot: str = "") -> dict[str, Any] | None:
        """What was told of a photo, if all of its files are there still, whatever somebody has made of them; of one of
        a ``lot`` under way, if that was since it was begun."""
        if lot and _key(stamp) not in self._under_way.get(lot, ()):
            return None
        entry = self._known.get(_key(stamp), {})
        kept, document = entry.get("files"), entry.get("document")
        if not isinstance(kept, dict) or not isinstance(document, dict) or not document:
            return None
        return document if all((self.folder / name).is_file() for name in kept) else None

    def small(self, stamp: Sequence[Any]) -> Path:
        """Where a small picture of what came of a photo is kept, for contact sheets."""
        return self.folder / HIDDEN / f"{question_of({'stamp': list(stamp), 'question': self.question})}.png"

    def keep(self, stamp: Sequence[Any], document: Mapping[str, Any], files: Sequence[str]) -> None:
        """Note that the photo's files, by their names in the folder, have been written now."""
        written = {name: self._written(name) for name in files}
        entry = {"stamp": list(stamp), "question": self.question, "files": written, "document": dict(document)}
        self._note(_key(stamp), entry)
        self._add(entry)

    def _add(self, entry: Mapping[str, Any]) -> None:
        """Write a line. Raises `StoreError`."""
        path = self.folder / HIDDEN / FILE
        line = json.dumps(entry, default=str).encode() + b"\n"  # in ASCII: names of files may be no text
        with storing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("ab+") as record:
                if record.seek(0, os.SEEK_END) and (record.seek(-1, os.SEEK_END), record.read(1))[1] != b"\n":
                    line = b"\n" + line  # whoever wrote last was ended within a line
                record.write(line)

    def _written(self, name: str) -> list[int]:
        """Length and time of a file, by which it is known again; nothing of one that is gone."""
        path = self.folder / name
        return [path.stat().st_size, path.stat().st_mtime_ns] if path.is_file() else []


def _key(stamp: Sequence[Any]) -> str:
    return json.dumps(list(stamp))
