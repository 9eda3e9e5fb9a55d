"""What long benchmarks keep: a file of JSON lines, read again, and a page with a table between two marks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["put", "read"]


def read(path: Path) -> list[dict[str, Any]]:
    """The lines of a file, none if there is none."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def put(page: Path, text: str, begin: str, end: str) -> None:
    """Put a text into a page between two marks, in place of what is there."""
    old = page.read_text()
    page.write_text(f"{old.split(begin)[0]}{begin}\n{text}{end}{old.split(end)[-1]}")
