"""The process that decodes, from the outside: takes a file's bytes, gives its pixels; started when it is first needed,
stopped where it takes too long, and started again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from typing import Any

from PIL import Image

from seewhy.models import Photo
from seewhy.web.decoding.frames import frame, framed
from seewhy.web.limits import Limits
from seewhy.web.problems import Problem

__all__ = ["Decoder"]

#: seconds that a new process has to begin, beside those of a file
_BEGIN = 60.0
_RGB = 3
_ENDED = "the file could not be decoded: the process that read it ended"


class Decoder:
    """One file at a time, for whoever asks."""

    def __init__(self, limits: Limits) -> None:
        self._limits, self._lock = limits, threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._warm = False

    @property
    def pid(self) -> int | None:
        """The number of the process, where it runs."""
        return None if self._process is None else self._process.pid

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
        process = self._running()
        found: list[bytes | None] = []

        def ask() -> None:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(frame(json.dumps({"name": name}).encode()) + frame(data))
                process.stdin.flush()
                found.append(framed(process.stdout, 2**20))
                found.append(framed(process.stdout, self._limits.pixels * _RGB))
            except (OSError, ValueError):  # it ended in the midst of it, or says what no decoder of ours says
                found.append(None)

        asking = threading.Thread(target=ask, name="seewhy-decoder", daemon=True)
        asking.start()
        asking.join(self._limits.decoding + (0 if self._warm else _BEGIN))
        late = asking.is_alive()
        if late or None in found:
            self._stop()
            asking.join()
            raise Problem(
                422, f"decoding took more than {self._limits.decoding:g} s, and was stopped" if late else _ENDED
            )
        self._warm = True
        told, pixels = found
        assert told is not None
        assert pixels is not None
        try:
            return dict(json.loads(told)), pixels
        except ValueError:
            self._stop()
            raise Problem(422, _ENDED) from None

    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._stop()
        # a fresh interpreter, which holds nothing of this process's memory and runs nothing of whoever started it
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "seewhy.web.decoding.child", str(self._limits.pixels)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )  # fmt: skip
        self._warm = False
        return self._process

    def _stop(self) -> None:
        if self._process is None:
            return
        self._process.kill()
        self._process.wait(10)
        for pipe in (self._process.stdin, self._process.stdout):
            try:
                if pipe is not None:
                    pipe.close()
            except OSError:  # what was still to be written is of no use
                continue
        self._process = None
