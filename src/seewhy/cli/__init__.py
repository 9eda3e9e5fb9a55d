"""Words to api calls and back: takes a command line, gives files, tables and JSON; no mathematics, no tensors.

Torch is imported when a command runs, not before: ``seewhy --help`` answers at once.
"""

from __future__ import annotations

import sys

__all__ = ["main"]


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with its code.

    0 done, 1 finished with failed items, 2 usage, 3 unsafe or unloadable model, 4 unreadable image, 130 interrupted.
    """
    from seewhy.cli.app import run

    sys.exit(run(argv))
