"""Where a run's pictures come from: one module for each kind of source, a file or folder of any kind to a `Source`."""

from typing import TYPE_CHECKING, Any

from seewhy.runs.sources.base import Entry, Source

if TYPE_CHECKING:
    from seewhy.runs.sources.opening import open_source

__all__ = ["Entry", "Source", "open_source"]


def __getattr__(name: str) -> Any:
    """`open_source`, with every kind of source, when it is first used."""
    if name != "open_source":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from seewhy.runs.sources import opening

    return opening.open_source
