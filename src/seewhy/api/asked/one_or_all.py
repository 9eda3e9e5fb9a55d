"""One or all: takes a function that notes what it is asked, gives it as one that answers: with a single result, or,
under a name of its own, with all that there are. So what a call returns is known without running it."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar, cast

from seewhy.errors import UsageError

__all__ = ["all_of", "one", "refuse_several"]

P = ParamSpec("P")
T = TypeVar("T")
S = TypeVar("S")


def one(kind: type[T]) -> Callable[[Callable[P, Callable[[bool], Sequence[T]]]], Callable[P, T]]:
    """A function that notes what it is asked, as one that gives its only result, a ``kind``.

    What it gives itself is a function that runs what was asked; that is told whether one result is all that is wanted,
    and refuses more before anything is computed (`refuse_several`).
    """

    def answering(note: Callable[P, Callable[[bool], Sequence[T]]]) -> Callable[P, T]:
        @wraps(note)
        def answer(*args: P.args, **kwargs: P.kwargs) -> T:
            results = note(*args, **kwargs)(True)
            if not results:  # interrupted before there was anything
                raise KeyboardInterrupt
            return results[0]

        return _giving(answer, kind)

    return answering


def all_of(answer: Callable[P, Any], kind: type[S], doc: str) -> Callable[P, S]:
    """What `one` made ``answer`` of, as a function that gives everything, a ``kind``: a sequence in the order of the
    images."""
    note = cast(Callable[P, Callable[[bool], S]], inspect.unwrap(answer))

    @wraps(note)
    def answer_all(*args: P.args, **kwargs: P.kwargs) -> S:
        return note(*args, **kwargs)(False)

    answer_all.__name__ = answer_all.__qualname__ = f"{answer.__name__}_all"
    answer_all.__doc__ = doc
    return _giving(answer_all, kind)


def _giving(answer: Callable[P, T], kind: Any) -> Callable[P, T]:
    """``answer``, which says of itself that it gives a ``kind``."""
    answer.__signature__ = inspect.signature(answer).replace(return_annotation=kind)  # type: ignore[attr-defined]
    answer.__annotations__ = answer.__annotations__ | {"return": kind}
    return answer


def refuse_several(name: str, what: str, why: str) -> None:
    """Raise `UsageError` if there is a reason ``why`` the function called ``name`` would have several results."""
    if why:
        raise UsageError(f"{name} gives one {what}, and {why}: seewhy.{name}_all gives all of them")
