"""An audit's files: takes its result, gives a document, a page, or a folder of both with pictures and cues."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from seewhy.api.auditing.outcome import Outcome, cluster_name, finding_name
from seewhy.api.auditing.sheets import cluster_sheet, finding_sheet, where_sheet
from seewhy.api.auditing.words import page_of
from seewhy.audits.stored import packed
from seewhy.errors import UsageError, storing
from seewhy.render import png

__all__ = ["CUES", "DOCUMENT", "saved"]

#: the document of a folder, and the cues of its shortcuts, in the order of its findings
DOCUMENT, CUES = "audit.json", "cues.npz"


def saved(audit: Outcome, path: Path) -> Path:
    """Write it; see `Audit.save`."""
    if path.suffix in (".json", ".md") and not path.is_dir():
        return _write(path, (audit.to_json() if path.suffix == ".json" else page_of(audit)).encode())
    if path.suffix and not path.is_dir():
        raise UsageError(f"{path.name!r}: an audit is written as .json or .md, or as a folder")
    for name, image in _pictures(audit):
        if image is not None:
            _write(path / name, png(image))
    _write(path / CUES, packed([(each.candidate.index, each.candidate.cue) for each in audit.shortcuts]))
    _write(path / "audit.md", page_of(audit).encode())
    _write(path / DOCUMENT, audit.to_json().encode() + b"\n")
    return path


def _pictures(audit: Outcome) -> Iterator[tuple[str, Image.Image | None]]:
    """All pictures, by the names that the document has them by."""
    yield "evidence.png", where_sheet(audit)
    for number in audit.examples:
        yield finding_name(number), finding_sheet(audit, number)
    for index, some in audit.clusters.items():
        for number in range(len(some)):
            yield cluster_name(index, number), cluster_sheet(audit, index, number)


def _write(path: Path, data: bytes) -> Path:
    with storing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return path
