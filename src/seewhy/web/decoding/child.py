"""What runs in the process that decodes: takes files from a pipe, gives pixels, or what is wrong, as bytes that nobody
has to unpickle."""

from __future__ import annotations

import io
import json
import signal
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from PIL import Image

from seewhy.errors import SeewhyError, reason
from seewhy.models.images import read_image_bytes

__all__ = ["FORMATS", "run"]

#: what is taken for a photo, as Pillow calls it
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
#: memory that a file may take beyond what the process has from its beginning
_ROOM = 2 * 2**30


def run(pipe: Connection, pixels: int) -> None:
    """Answer one file after the other, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started the process ends it
    _confine()
    while True:
        try:
            head = json.loads(pipe.recv_bytes())
            data = pipe.recv_bytes()
        except (EOFError, OSError):
            return
        told, body = _decoded(data, str(head["name"]), pixels)
        pipe.send_bytes(json.dumps(told).encode())
        pipe.send_bytes(body)


def _decoded(data: bytes, name: str, pixels: int) -> tuple[dict[str, Any], bytes]:
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
        if width * height > pixels:
            return {"problem": f"{width} x {height} pixels: more than {pixels / 1e6:g} million", "status": 413}, b""
        photo = read_image_bytes(data, name)
    except SeewhyError as error:
        return {"problem": str(error), "status": 422}, b""
    except MemoryError:
        return {"problem": "this file takes more memory than a photo may", "status": 413}, b""
    except Exception as error:  # of decoders, which raise anything
        why = f"no picture of a kind that is taken here ({', '.join(FORMATS)}): {reason(error, 120)}"
        return {"problem": why, "status": 415}, b""
    width, height = photo.pixels.size
    return {"width": width, "height": height, "notes": list(photo.notes)}, photo.pixels.tobytes()


def _confine() -> None:
    """So much memory and no more; no file may be written. Where the system knows no such limits, time is one."""
    try:
        import resource
    except ImportError:  # Windows
        return
    counted = Path("/proc/self/statm")  # Linux
    if counted.exists():
        now = int(counted.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (now + _ROOM, now + _ROOM))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
