"""A record beside the files: takes what a photo was asked and which files came of it, gives that back to a later run of
the same question; a line for each photo, written when its files are."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["FILE", "HIDDEN", "Record", "question_of"]

#: a folder beside the files, and in it a JSON document a line: a run that is ended between two of them loses nothing
HIDDEN = ".seewhy"
FILE = "record.jsonl"


def question_of(asked: Mapping[str, Any]) -> str:
    """16 hexadecimal digits of everything that a photo's files depend on besides the photo."""
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=repr).encode()).hexdigest()[:16]


@dataclass
class Record:
    """What lies in ``folder`` of one ``question``: by the stamp of a photo, its entry as it was kept, with the files of
    its explanations, which are there still."""

    folder: Path
    question: str
    _known: dict[str, dict[str, Any]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        path = self.folder / HIDDEN / FILE
        if not path.is_file():
            return
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                entry = json.loads(line)
                stamp, question = _key(entry["stamp"]), entry["question"]
            except (ValueError, KeyError, TypeError):  # a line that was cut short, or somebody's own
                continue
            if question == self.question:
                self._known[stamp] = entry

    def files(self, stamp: Sequence[Any]) -> list[str]:
        """The names of the files that came of a photo and are as they were written; those of an entry that somebody
        wrote by hand name nothing outside the folder."""
        kept = self._known.get(_key(stamp), {}).get("files")
        named = kept.items() if isinstance(kept, dict) else ()
        return [name for name, written in named if Path(name).name == name and self._written(name) == written]

    def whole(self, stamp: Sequence[Any]) -> dict[str, Any] | None:
        """What was told of a photo, if all of its files are there still, whatever somebody has made of them."""
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
        self._known[_key(stamp)] = entry
        (self.folder / HIDDEN).mkdir(exist_ok=True)
        with (self.folder / HIDDEN / FILE).open("a", encoding="utf-8") as record:
            record.write(json.dumps(entry, default=str) + "\n")  # in ASCII: names of files may be no text

    def _written(self, name: str) -> list[int]:
        """Length and time of a file, by which it is known again; nothing of one that is gone."""
        path = self.folder / name
        return [path.stat().st_size, path.stat().st_mtime_ns] if path.is_file() else []


def _key(stamp: Sequence[Any]) -> str:
    return json.dumps(list(stamp))
