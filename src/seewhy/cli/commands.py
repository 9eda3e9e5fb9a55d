"""Every command by name: takes nothing, gives the functions that the frame registers."""

from __future__ import annotations

from seewhy.cli.demo import demo
from seewhy.cli.explain import compare, explain
from seewhy.cli.lists import labels, layers, methods

__all__ = ["compare", "demo", "explain", "labels", "layers", "methods"]
