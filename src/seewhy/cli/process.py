"""The process of a command: takes its beginning and its end, gives both back faster; does nothing within a program of
somebody else."""

from __future__ import annotations

import atexit
import gc
import io
import os
import sys
from collections.abc import Callable

__all__ = ["begun", "loaded"]


def begun() -> Callable[[int], None]:
    """Make the process one that begins and ends fast; gives whom to tell its exit code.

    What is imported stays, so that nobody looks for garbage in it meanwhile (see `loaded`). At the end the libraries of
    torch are not taken down one by one, for half a second and 100 MB: once everything is done that Python does for
    others at an exit, threads and handlers, and every open file is written, the process ends at once. Not where
    somebody was here before (a profiler, a debugger, what measures coverage): then it ends as it would.
    """
    gc.disable()
    codes: list[int] = []
    if not atexit._ncallbacks():
        atexit.register(_leave, codes)  # the first one in is the last one out
    return codes.append


def loaded() -> None:
    """Look for garbage from now on, but not in what is there: modules and the model."""
    if not gc.isenabled():
        gc.freeze()
        gc.enable()


def _leave(codes: list[int]) -> None:
    if not codes:  # ended by something that nobody foresaw
        return
    gc.unfreeze()
    kinds = {io.TextIOWrapper, io.BufferedWriter, io.BufferedRandom, io.BufferedRWPair}
    files = [each for each in gc.get_objects() if type(each) in kinds]
    for file in sorted(files, key=lambda each: isinstance(each, io.TextIOWrapper), reverse=True):
        try:
            file.flush()
        except (OSError, ValueError):  # closed, or its reader went away
            if file in (sys.stdout, sys.stderr):
                return  # as Python ends then, with a code of its own
    os._exit(codes[-1])
