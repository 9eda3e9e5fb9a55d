"""The process that decodes, from the outside: takes a file's bytes, gives its pixels; started when it is first needed,
stopped where it takes too long, and started again."""

from __future__ import annotations

import json
import multiprocessing
import threading
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from PIL import Image

from seewhy.models import Photo
from seewhy.web.decoding import child
from seewhy.web.limits import Limits
from seewhy.web.problems import Problem

__all__ = ["Decoder"]

#: seconds that a new process has to begin, beside those of a file
_BEGIN = 60.0
_RGB = 3


class Decoder:
    """One file at a time, for whoever asks."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._lock = limits, threading.Lock()
        self._process: BaseProcess | None = None
        self._pipe: Connection | None = None
        self._warm = False

    def photo(self, data: bytes, name: str) -> Photo:
        """The photo in ``data``. Raises `Problem` for what is none, is too large, or takes too long."""
        with self._lock:
            told, pixels = self._asked(data, name)
        if "problem" in told:
            status = told["status"] if told["status"] in (413, 415, 422) else 422
            raise Problem(status, str(told["problem"]))
        width, height = int(told["width"]), int(told["height"])
        if width * height > self._limits.pixels or len(pixels) != width * height * _RGB:
            raise Problem(422, "the file could not be decoded")
        image = Image.frombytes("RGB", (width, height), pixels)
        return Photo(image, name, None, tuple(map(str, told["notes"])))

    def start(self) -> None:
        """Begin, so that the first photo need not wait."""
        with self._lock:
            self._running()

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._stop()

    def _asked(self, data: bytes, name: str) -> tuple[dict[str, Any], bytes]:
        pipe = self._running()
        most = self._limits.pixels * _RGB
        try:
            pipe.send_bytes(json.dumps({"name": name}).encode())
            pipe.send_bytes(data)
            if not pipe.poll(self._limits.decoding + (0 if self._warm else _BEGIN)):
                self._stop()
                raise Problem(422, f"decoding took more than {self._limits.decoding:g} s, and was stopped")
            self._warm = True
            told = json.loads(pipe.recv_bytes(2**20))
            return told, pipe.recv_bytes(most)
        except (OSError, EOFError, ValueError):  # it ended in the midst of it, or said what no decoder of ours says
            self._stop()
            raise Problem(422, "the file could not be decoded: the process that read it ended") from None

    def _running(self) -> Connection:
        if self._process is not None and self._process.is_alive() and self._pipe is not None:
            return self._pipe
        self._stop()
        # a fresh interpreter, which holds nothing of this process's memory
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=child.run, args=(theirs, self._limits.pixels), daemon=True)
        process.start()
        theirs.close()
        self._process, self._pipe, self._warm = process, ours, False
        return ours

    def _stop(self) -> None:
        if self._pipe is not None:
            self._pipe.close()
        if self._process is not None:
            self._process.kill()
            self._process.join(5)
            self._process.close()
        self._process = self._pipe = None
