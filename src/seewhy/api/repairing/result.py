"""A repair's result: takes what was mended and what the audit said again, gives it as data, words and files; runs
nothing."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from seewhy.api.auditing.result import Audit
from seewhy.api.repairing.standing import Group, worst
from seewhy.api.repairing.training import Tally
from seewhy.errors import UsageError, storing
from seewhy.explanation.plain import plain
from seewhy.models import Model
from seewhy.reports import Folder

__all__ = ["DATA", "HELD", "MASKS", "WAYS", "Mending", "Repair", "check_place"]

#: folders of pictures: to train with, held out, and of masks
DATA, HELD, MASKS = "data", "held-out", "masks"


@dataclass(frozen=True, eq=False)
class Mending:
    """A cue of a class, ``index``, that was to be mended: its ``kind`` and ``where`` it is, in words; in how many
    training pictures it was, and how many counterfactual ones were made (``tally``); ``why`` it was left out, or
    empty."""

    index: int
    kind: str
    where: str
    tally: Tally
    why: str = ""

    def told(self, labels: Mapping[int, str]) -> dict[str, Any]:
        """As JSON holds it."""
        tally = self.tally
        return {
            "class": self.index, "label": labels.get(self.index) or str(self.index), "kind": self.kind,
            "where": self.where, "pictures": tally.pictures, "have it": tally.have, "removed": tally.removed,
            "pasted": tally.pasted, "untestable": self.why,
        }  # fmt: skip


@dataclass(frozen=True, eq=False)
class Repair:
    """What was done about the shortcuts of a model, ``how``, and what it has changed.

    ``model`` is the mended model, None where there is none (``data`` and ``loss`` are for a training of your own);
    ``audit`` the audit of held-out pictures, whose ``against`` is the mended model; ``cues`` what was mended;
    ``groups`` how often the model was right on held-out pictures of each class with and without each cue, before and
    after; ``details`` what each way has to say besides; ``files`` what `save` writes, by name; ``folder`` is where
    pictures were written.
    """

    how: str
    name: str
    model: Model | None
    audit: Audit | None
    cues: tuple[Mending, ...]
    groups: tuple[Group, ...]
    labels: Mapping[int, str]
    details: Mapping[str, Any]
    files: Mapping[str, bytes] = field(default_factory=dict)
    folder: Path | None = None
    failed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def worst(self) -> tuple[float, float | None] | None:
        """The share of the worst group of held-out pictures that is right, before and after (None without a mended
        model); None where nobody knows the classes of held-out pictures."""
        return worst(self.groups)

    def told(self) -> dict[str, Any]:
        """As JSON holds it."""
        both = self.worst
        found: dict[str, Any] = plain(
            {
                "how": self.how,
                "model": self.name,
                "cues": [each.told(self.labels) for each in self.cues],
                "worst group": None if both is None else {"before": both[0], "after": both[1]},
                "groups": [each.told(self.labels) for each in self.groups],
                "details": dict(self.details),
                "audit": None if self.audit is None else self.audit.to_dict(),
                "failed": list(self.failed),
                "notes": list(self.notes),
            }
        )
        return found

    def to_json(self) -> str:
        """The same as text."""
        return json.dumps(self.told(), indent=1, allow_nan=False)

    def label(self, index: int) -> str:
        """What a class is called."""
        return self.labels.get(index) or str(index)

    def cues_of(self, row: Group) -> str:
        """Which cues a group of pictures has, in words."""
        return "; ".join(f"{self.label(self.cues[n].index)}'s {self.cues[n].where}" for n in row.cues) or "none"

    def sentences(self) -> list[str]:
        """What was found and done, a sentence for each cue; how the worst group does; what the audit says again."""
        found = []
        for each in self.cues:
            tally, name = each.tally, self.label(each.index)
            if each.why:
                found.append(f"{name}: the cue {each.where} is left out, untestable: {each.why}")
                continue
            found.append(
                f"{name}: {tally.have} of {tally.pictures} training pictures have the cue {each.where}; it was taken "
                f"out of {tally.removed}, and put into {tally.pasted} of other classes"
            )
        both = self.worst
        if both is not None:
            before, after = both
            then = "" if after is None else f", after {after:.0%}"
            found.append(f"worst group of held-out pictures, with and without the cue: right before {before:.0%}{then}")
        if self.audit is not None:
            found += [f"audit of held-out pictures: {each}" for each in self.audit.sentences()]
        return found

    def to_markdown(self) -> str:
        """What was done in words, and held-out pictures by class and cue in a table."""
        lines = [f"# Repair of {self.name}: {self.how}", "", *(f"- {each}" for each in self.sentences())]
        if self.groups:
            head = ["class", "cues", "pictures", "right before", "right after"]
            lines += ["", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        for row in self.groups:
            after = "" if row.after is None else f"{row.after:.0%}"
            lines.append(
                f"| {self.label(row.index)} | {self.cues_of(row)} | {row.pictures} | {row.before:.0%} | {after} |"
            )  # fmt: skip
        lines += ["", *(f"- {' '.join(note.split())}" for note in (*self.notes, *self.failed))]
        return "\n".join(lines).rstrip() + "\n"

    @property
    def _written(self) -> dict[str, bytes]:
        """Files by their names, as `save` writes them."""
        found = dict(self.files)
        found["repair.json"] = f"{self.to_json()}\n".encode()
        found["repair.md"] = self.to_markdown().encode()
        if self.audit is not None:
            found["audit-again.json"] = f"{self.audit.to_json()}\n".encode()
            found["audit-again.md"] = self.audit.to_markdown().encode()
        return found

    def paths(self, folder: str | Path) -> list[Path]:
        """What is written into a folder: files, and folders of pictures."""
        made = [] if self.folder is None else [name for name in _FOLDERS[self.how] if (self.folder / name).is_dir()]
        return [Path(folder) / name for name in sorted([*self._written, *made])]

    def save(self, folder: str | Path, *, force: bool = False) -> list[Path]:
        """Write all that there is into a folder, made if missing: the mended part with the lines to type
        (``README.md``), ``repair.json`` and ``repair.md``, and the audit's ``audit-again.json`` and ``.md``; gives the
        paths. Raises `UsageError` where a file is there already, unless ``force``, and for pictures that were written
        elsewhere; `StoreError` where nothing can be written."""
        target = Path(folder)
        if self.folder is not None and target.resolve() != self.folder.resolve():
            raise UsageError(f"the pictures are in {str(self.folder)!r}: copy that folder")
        files = self._written
        check_free(target, files, force=force)
        with storing(target):
            target.mkdir(parents=True, exist_ok=True)
            for name, data in files.items():
                (target / name).write_bytes(data)
        return self.paths(target)


#: what each way may write, the cheapest first: files, and folders of pictures, which are never replaced
WAYS: Mapping[str, Sequence[str]] = {
    "head": ("head.pt", "head.npz"),
    "project": ("project.pt", "projection.py"),
    "data": ("pictures.csv", "collect.md"),
    "loss": ("masks.csv", "held-out.csv"),
}
_FOLDERS: Mapping[str, Sequence[str]] = {"data": (DATA, HELD), "loss": (MASKS,)}
#: and whatever was mended
_NAMES = ("README.md", "repair.json", "repair.md", "audit-again.json", "audit-again.md")


def check_place(folder: Path, how: str, *, force: bool) -> None:
    """Raise `UsageError` for a folder where nothing can be written, and for one that has what a way to repair writes:
    files unless ``force``, folders of pictures always."""
    Folder(folder)
    check_free(folder, (*_NAMES, *WAYS[how]), force=force)
    check_free(folder, _FOLDERS.get(how, ()), force=False)


def check_free(folder: Path, names: Iterable[str], *, force: bool) -> None:
    """Raise `UsageError` for a folder that has a file of these names, unless ``force``."""
    there = [name for name in names if (folder / name).exists()]
    if there and not force:
        raise UsageError(
            f"{str(folder)!r} has a {there[0]} already: name another folder; --force, in Python force=True, replaces "
            "files"
        )
