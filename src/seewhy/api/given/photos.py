"""Photos one after the other: takes what opens each and what is asked, gives each one's answer or why it has none; the
next ones are read meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from seewhy._version import __version__
from seewhy.api.given.images import Item, read_items
from seewhy.api.given.sources import Source
from seewhy.api.given.told import told
from seewhy.errors import ImageError, OutOfMemory, SeewhyError, UnfitImage
from seewhy.models import Model
from seewhy.runs.reading import in_order
from seewhy.runs.record import question_of

__all__ = ["Answered", "asked_of", "each_photo"]

A = TypeVar("A")

#: photos that are read meanwhile, with all that drawings need of them; and threads: frames of a film come in order
_AHEAD, _READERS = 2, 1


@dataclass(frozen=True)
class Answered(Generic[A]):
    """One photo: what was found of it, or in words why nothing was, and what the command line ends with for that."""

    photo: Source
    answer: A | None
    reason: str = ""
    code: int = 0


def asked_of(model: Model, call: str, **asked: Any) -> str:
    """By what a `Record` knows that the same is ``asked`` of the same model, by the same version of this package."""
    content = model.fingerprint() or told(model.module, None)
    own = [model.spec, model.name, model.weights, content, repr(model.preprocess), model.labels]
    return question_of({"call": call, "asked": asked, "model": own, "seewhy": __version__})


def each_photo(model: Model, photos: Iterable[Source], ask: Callable[[list[Item]], A]) -> Generator[Answered[A]]:
    """What ``ask`` finds of each photo, in order; one that is unreadable, of another kind than the model takes, without
    what is asked for, or too large for the memory, is passed over with its reason."""

    def read(photo: Source) -> tuple[Source, list[Item], SeewhyError | None]:
        try:
            return photo, read_items(model, photo.open())[0], None
        except (ImageError, UnfitImage, OutOfMemory) as error:
            return photo, [], error

    with closing(in_order(photos, read, threads=_READERS, ahead=_AHEAD)) as opened:
        for photo, items, failed in opened:
            try:
                if failed is not None:
                    raise failed
                answer = ask(items)
            except (ImageError, UnfitImage, OutOfMemory) as error:
                yield Answered(photo, None, str(error), error.exit_code)
                continue
            yield Answered(photo, answer)
