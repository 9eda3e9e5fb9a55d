"""Findings that somebody keeps while looking: takes words, a view and what an intervention gave, holds them until the
workbench ends."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from seewhy.web.problems import Problem

__all__ = ["Findings"]


class Findings:
    """What was kept, the oldest first."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._held: dict[str, dict[str, Any]] = {}

    def add(self, title: str, note: str, view: str, result: Mapping[str, Any] | None) -> dict[str, Any]:
        """Keep one. Raises `Problem` where there is no more room."""
        made = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC"
        number = secrets.token_hex(8)
        finding: dict[str, Any] = {
            "id": number, "title": title, "note": note, "view": view, "made": made, "result": result,
        }  # fmt: skip
        with self._lock:
            if len(self._held) >= self._most:
                raise Problem(413, f"{self._most} findings are held, and no more: export them, and delete some")
            self._held[number] = finding
        return finding

    def remove(self, number: str) -> None:
        """Forget one. Raises `Problem` for none."""
        with self._lock:
            if self._held.pop(number, None) is None:
                raise Problem(404, "no such finding")

    def all(self) -> list[dict[str, Any]]:
        """All of them."""
        with self._lock:
            return list(self._held.values())
