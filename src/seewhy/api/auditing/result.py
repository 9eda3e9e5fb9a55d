"""An audit's result: takes what was found, gives it in words, as pictures and files; runs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from seewhy.api.auditing.files import saved
from seewhy.api.auditing.outcome import Outcome
from seewhy.api.auditing.sheets import cluster_sheet, finding_sheet, where_sheet
from seewhy.api.auditing.words import page_of, sentences_of

__all__ = ["Audit"]


@dataclass(frozen=True, eq=False)
class Audit(Outcome):
    """What `seewhy.audit` gives: its findings as data, see `Outcome`, in words, and as files."""

    def sentences(self) -> list[str]:
        """What was found of each class in a sentence; of most that is nothing, with what would have been seen; then
        those that were not looked at, and why."""
        return sentences_of(self)

    def to_markdown(self) -> str:
        """What was found in words, every proved cue in a table, where evidence lies, clusters of it, groups, and what
        was not looked at."""
        return page_of(self)

    def sheet(self, number: int) -> Image.Image | None:
        """Pictures that show the cue of a finding, by its number in ``findings``, which is framed; None where there are
        none to show."""
        return finding_sheet(self, number)

    def cluster_sheet(self, index: int, number: int) -> Image.Image | None:
        """Pictures in the middle of a class's cluster, counted from 0, each with its window of highest evidence; None
        where there is no such cluster."""
        return cluster_sheet(self, index, number)

    def evidence_sheet(self) -> Image.Image | None:
        """Each class's mean map, red for evidence, blue against it; None without maps."""
        return where_sheet(self)

    def save(self, path: str | Path) -> Path:
        """Write the JSON document (``.json``), the Markdown page (``.md``), or, by any other name, a folder of both
        with the pictures of findings and clusters and the cues of shortcuts, which `seewhy.repair` reads; gives its
        path. Raises `UsageError` for another suffix, `StoreError` where nothing can be written."""
        return saved(self, Path(path))
