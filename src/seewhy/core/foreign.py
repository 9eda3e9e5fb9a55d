"""Foreign machinery: takes a call of something that does not stand our contexts, gives its result; holds interruptions
until it has ended, and never runs it within a mode.

What traces a network asks its stand-ins for tensors things that a mode of ours cannot answer, and the error crosses
C++, where it ends the interpreter. An interruption in the midst of it leaves modules of torch half imported. Modes,
autocast and the like belong to a thread, and interruptions to the main one: so a thread of its own keeps both away.
"""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from typing import TypeVar

__all__ = ["apart"]

T = TypeVar("T")


def apart(work: Callable[[], T]) -> T:
    """What ``work`` gives, run to its end in a thread of its own; then raises what it raised, or `KeyboardInterrupt`
    where one came meanwhile."""
    begin, done = threading.Event(), threading.Event()
    found: list[T] = []
    raised: list[BaseException] = []
    wanted = interrupted = False
    context = contextvars.copy_context()

    def body() -> None:
        begin.wait()
        try:
            if wanted:
                found.append(context.run(work))
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
    return found[0]
