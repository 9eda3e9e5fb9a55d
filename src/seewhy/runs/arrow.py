"""pyarrow, where it is installed: whoever keeps tables asks here."""

from __future__ import annotations

from typing import Any

from seewhy.errors import UsageError

__all__ = ["arrow_of"]


def arrow_of() -> tuple[Any, Any]:
    """pyarrow, and what it reads Parquet with; raises `UsageError` where it is missing."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise UsageError("runs keep tables in Parquet: pip install 'seewhy[data]'") from None
    return pyarrow, pyarrow.parquet
