"""What runs in the process that decodes (``python -m seewhy.web.decoding.child PIXELS``): takes files from its standard
input, gives pixels, or what is wrong, at its standard output, as bytes that nobody has to unpickle."""

from __future__ import annotations

import io
import json
import signal
import sys
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from seewhy.errors import SeewhyError, reason
from seewhy.models.images import read_image_bytes
from seewhy.web.decoding.frames import frame, framed

__all__ = ["FORMATS", "main"]

#: what is taken for a photo, as Pillow calls it
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
#: memory that a file may take beyond what the process has from its beginning
_ROOM = 2 * 2**30


def main() -> None:
    """Answer one file after the other, until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started the process ends it
    pixels, source, sink = int(sys.argv[1]), sys.stdin.buffer, sys.stdout.buffer
    sys.stdout = sys.stderr  # what a decoder prints is no answer
    _confine()
    while (head := framed(source)) is not None and (data := framed(source)) is not None:
        told, body = _decoded(data, str(json.loads(head)["name"]), pixels)
        sink.write(frame(json.dumps(told).encode()) + frame(body))
        sink.flush()


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
    except Image.DecompressionBombError:
        return {"problem": f"more than {pixels / 1e6:g} million pixels", "status": 413}, b""
    except UnidentifiedImageError:
        return {"problem": f"no picture of a kind that is taken here: {', '.join(FORMATS)}", "status": 415}, b""
    except Exception as error:  # of decoders, which raise anything
        return {"problem": f"damaged or incomplete ({reason(error, 120)})", "status": 422}, b""
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


if __name__ == "__main__":
    main()
