"""Quiet reading: takes nothing, sets aside what the packages that read files say of them; changes no file."""

from __future__ import annotations

import logging
import threading
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["quiet"]

_LOG = logging.getLogger("pydicom")


def _nothing(record: logging.LogRecord) -> bool:
    return False


_lock = threading.Lock()
_readers = 0
_kept: Any = None


@contextmanager
def quiet() -> Iterator[None]:
    """Warnings of the packages that read files, and pydicom's log, set aside while any thread reads: they quote what is
    in the files. The filters return with the last one."""
    global _readers, _kept
    with _lock:
        if _readers == 0:
            _LOG.addFilter(_nothing)
            _kept = warnings.catch_warnings()
            _kept.__enter__()
            warnings.filterwarnings("ignore", module=r"(PIL|pydicom|nibabel|seewhy\.models)\b")
        _readers += 1
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if _readers == 0:
                _kept.__exit__(None, None, None)
                _LOG.removeFilter(_nothing)
