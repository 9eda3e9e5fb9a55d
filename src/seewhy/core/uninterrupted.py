"""What must not be interrupted: takes a call that does not stand our contexts, or an end in the midst of it, gives its
result.

Modes, autocast and the like belong to a thread, and interruptions to the main one: so a thread of its own keeps both
away. What torch imports when it is first needed stays half imported where an interruption falls into it, and fails in
every later call.
"""

from __future__ import annotations

import contextvars
import importlib
import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

__all__ = ["apart", "import_whole"]

T = TypeVar("T")


def apart(work: Callable[[], T]) -> T:
    """What ``work`` gives, run to its end in a thread of its own; then raises what it raised, or `KeyboardInterrupt`
    where one came meanwhile."""
    begin, done = threading.Event(), threading.Event()
    results: list[T] = []
    raised: list[BaseException] = []
    wanted = interrupted = False
    context = contextvars.copy_context()

    def body() -> None:
        begin.wait()
        try:
            if wanted:
                results.append(context.run(work))
        except BaseException as error:  # handed on to whoever asked
            raised.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=body, name="seewhy-apart", daemon=True)
    try:
        thread.start()
        while not done.is_set():
            try:
                wanted = True
                begin.set()
                done.wait()
            except KeyboardInterrupt:
                interrupted = True
    finally:
        begin.set()  # one that came too early: the thread ends without having begun
    if interrupted:
        raise KeyboardInterrupt
    if raised:
        raise raised[0]
    return results[0]


def import_whole(name: str) -> Any:
    """A module, which takes long to import, imported to its end."""
    if name not in sys.modules:
        apart(lambda: importlib.import_module(name))
    return sys.modules[name]
