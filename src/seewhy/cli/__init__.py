"""Words to api calls and back: takes a command line, gives files, tables and JSON; no mathematics, no tensors.

Torch is imported when a command runs, not before: ``seewhy --help`` answers at once.
"""

from __future__ import annotations

import io
import sys

__all__ = ["main"]


def main(argv: list[str] | None = None) -> None:
    """Run the command line and exit with its code.

    0 done, 1 finished with failed items, 2 usage, 3 unsafe or unloadable model, 4 unreadable image, 130 interrupted.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # a file name may hold bytes that are no text, and a label letters that the terminal's encoding lacks
            stream.reconfigure(errors="backslashreplace")
    try:
        if argv is None:
            from seewhy.cli import process

            ended = process.begun()
        from seewhy.cli.app import run
    except KeyboardInterrupt:
        sys.exit(130)
    code = run(argv)
    if argv is None:
        ended(code)
    sys.exit(code)
