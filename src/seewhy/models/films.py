"""Films: takes a file, gives how many frames it has and each of them upright as a photo; never decodes from the start
again while it is asked in order."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import IO, Any

from PIL import Image

from seewhy.errors import ImageError, UsageError, reason
from seewhy.models.images import Photo

__all__ = ["SUFFIXES", "Film", "evenly"]

#: suffixes of films, which take PyAV to be read
SUFFIXES = frozenset((".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg"))

#: bytes, and frames, that are kept of those just decoded, for threads that ask slightly out of order
_KEPT, _FRAMES = 64 << 20, 16


class Film:
    """The frames of one film, by number from 0.

    ``source`` is its path, or what opens it; ``word`` is what errors call it. Any thread may ask; frames are decoded
    one after the other, and from the start again only for one that has gone by.

    Raises `UsageError` where PyAV is not installed.
    """

    def __init__(self, source: str | Path | Callable[[], IO[bytes]], word: str) -> None:
        self._source, self.word = source, word
        self._lock = Lock()
        self._frames: Iterator[Any] | None = None
        self._next = 0
        self._recent: OrderedDict[int, Any] = OrderedDict()
        _library(word)

    def __reduce__(self) -> tuple[Any, ...]:
        return Film, (self._source, self.word)

    def count(self) -> int:
        """How many frames it has, by the packets of its first stream of pictures; nothing is decoded.

        Raises `ImageError` for a file that is no film.
        """
        with self._opened() as film:
            stream = film.streams.video[0]
            return sum(1 for packet in film.demux(stream) if packet.size and not packet.is_discard)

    def close(self) -> None:
        """Let the decoder and its frames go; whoever asks again has them made anew."""
        with self._lock:
            self._forget()

    def frame(self, number: int) -> Photo:
        """One frame, turned as the film says. Raises `ImageError`."""
        with self._lock:
            try:
                frame = self._decoded(number)
                pixels: Image.Image = frame.to_image()
            except ImageError:
                self._forget()
                raise
            except Exception as error:  # of damaged streams PyAV raises whatever its library says
                self._forget()
                raise ImageError(f"cannot read frame {number} of {self.word!r}: {reason(error, 100)}") from error
            turned = int(frame.rotation)
        stem, dot, suffix = Path(self.word).name.rpartition(".")
        name = f"{stem}-{number}{dot}{suffix}"
        return Photo(pixels.rotate(turned, expand=True) if turned else pixels, name, f"{self.word}#{number}")

    def _decoded(self, number: int) -> Any:
        if number in self._recent:
            return self._recent[number]
        if self._frames is None or number < self._next:
            self._forget()
            self._frames = self._all()
        for frame in self._frames:
            self._keep(self._next, frame)
            self._next += 1
            if self._next > number:
                return frame
        raise ImageError(f"cannot read frame {number} of {self.word!r}: the film ends before")

    def _keep(self, number: int, frame: Any) -> None:
        self._recent[number] = frame
        most = max(1, min(_FRAMES, _KEPT // (3 * frame.width * frame.height)))
        while len(self._recent) > most:
            self._recent.popitem(last=False)

    def _forget(self) -> None:
        self._frames, self._next = None, 0
        self._recent.clear()

    def _all(self) -> Iterator[Any]:
        with self._opened() as film:
            yield from film.decode(film.streams.video[0])

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        av = _library(self.word)
        try:
            file = self._source() if callable(self._source) else str(self._source)
            with av.open(file, metadata_errors="replace") as film:
                yield film
        except (av.error.FFmpegError, IndexError, OSError, ValueError) as error:
            raise ImageError(f"cannot read the film {self.word!r}: {reason(error, 100)}") from error


def evenly(total: int, count: int) -> list[int]:
    """Numbers of at most ``count`` of ``total`` frames, each in the middle of one of as many equal parts.

    >>> evenly(12, 3), evenly(2, 5)
    ([2, 6, 10], [0, 1])
    """
    return list(dict.fromkeys((2 * n + 1) * total // (2 * count) for n in range(count) if total))


def _library(word: str) -> Any:
    try:
        import av
    except ImportError:
        raise UsageError(f"{word!r} is a film: pip install 'seewhy[video]', or save its frames as pictures") from None
    return av
