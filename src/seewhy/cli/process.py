"""The process of a command: takes its beginning and its end, gives both back faster; does nothing within a program of
somebody else."""

from __future__ import annotations

import atexit
import gc
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

__all__ = ["begun", "loaded"]


def begun() -> Callable[[int], None]:
    """Make the process one that begins and ends fast; gives whom to tell its exit code.

    What is imported stays, so that nobody looks for garbage in it meanwhile (see `loaded`). At the end the libraries of
    torch are not taken down one by one, for half a second and 100 MB: once everything is done that Python does for
    others at an exit, threads and handlers, the process ends at once. Not where somebody was here before (a profiler, a
    debugger, what measures coverage), or has a file open to write; then it ends as it would.
    """
    gc.disable()
    codes: list[int] = []
    alone = not atexit._ncallbacks()
    atexit.register(_leave, codes, alone)  # the first one in is the last one out
    return codes.append


def loaded() -> None:
    """Look for garbage from now on, but not in what is there: modules and the model."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _leave(codes: list[int], alone: bool) -> None:
    if not alone or not codes or _writing():  # without a code it ends by something that nobody foresaw
        gc.unfreeze()  # what is frozen is not taken down, and a file in it not written
        return
    try:
        for stream in filter(None, (sys.stdout, sys.stderr)):
            stream.flush()
    except (OSError, ValueError):  # its reader went away, which Python has words and a code for
        return
    os._exit(codes[-1])


def _writing() -> bool:
    """Whether a file, a pipe or a connection is open to be written to, besides the three that every process has; yes
    where that cannot be told."""
    try:
        import fcntl

        numbers = [int(entry.name) for entry in Path("/dev/fd").iterdir()]
    except (ImportError, OSError):
        return True
    for number in numbers:
        try:
            kind, way = os.fstat(number).st_mode, fcntl.fcntl(number, fcntl.F_GETFL)
        except OSError:  # that of the listing itself
            continue
        plain = stat.S_ISREG(kind) or stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind)
        if number > 2 and plain and way & os.O_ACCMODE != os.O_RDONLY:
            return True
    return False
