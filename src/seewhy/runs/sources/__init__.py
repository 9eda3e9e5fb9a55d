"""Where a run's pictures come from: one module for each kind of source, a file or folder of any kind to a `Source`."""

from seewhy.runs.sources.base import Entry, Source
from seewhy.runs.sources.opening import open_source

__all__ = ["Entry", "Source", "open_source"]
