"""Takes what a person asks, gives explanations: the only room where models, methods, engine and pictures meet."""

from __future__ import annotations

from seewhy.api.explaining import explain, explain_all
from seewhy.api.explaining_batches import explain_batches
from seewhy.models import load, wrap

__all__ = ["explain", "explain_all", "explain_batches", "load", "wrap"]
