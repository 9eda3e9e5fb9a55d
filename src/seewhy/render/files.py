"""Takes a picture and a path, gives a file; never replaces one unless told to, never leaves half of one."""

from __future__ import annotations

import errno
import io
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.errors import UsageError, nearest, one_line
from seewhy.render.pdf import document
from seewhy.render.sheet import Picture, Sheet

if TYPE_CHECKING:
    from collections.abc import Callable

    from PIL import Image

__all__ = ["SUFFIXES", "check", "write", "write_bytes"]

#: what `write` can write
SUFFIXES = (".png", ".jpg", ".jpeg", ".svg", ".pdf")


def write(
    image: Image.Image | str | bytes, path: str | os.PathLike[str], *, force: bool = False, dpi: float | None = None
) -> Path:
    """The file written, by suffix: PNG, JPEG (quality 92, 4:4:4) or a PDF of one page from an image, SVG from an SVG
    document, PDF from the bytes of one.

    An image is printed ``dpi`` pixels an inch; documents know already. Missing folders are made. Raises `UsageError`
    for another suffix, for an image given as ``.svg`` or the reverse, and for a file that exists already unless
    ``force``.
    """
    suffix = check(path, SUFFIXES, force=force).suffix.lower()
    has, wants = "an image", [".png", ".jpg", ".jpeg", ".pdf"]
    if isinstance(image, str | bytes):
        has, wants = ("an SVG document", [".svg"]) if isinstance(image, str) else ("a PDF document", [".pdf"])
    if suffix not in wants:
        raise UsageError(f"{has} cannot be written as {suffix!r}: {path}; name it {' or '.join(wants)}")
    inch: dict[str, Any] = {"dpi": (dpi, dpi)} if dpi else {}

    def fill(temporary: Path) -> None:
        # by way of memory: Pillow's JPEG encoder writes to a file by itself, and does not see a full disk
        buffer = io.BytesIO()
        if isinstance(image, str):
            buffer.write(image.encode())
        elif isinstance(image, bytes):
            buffer.write(image)
        elif suffix == ".pdf":
            whole = Picture(0, 0, image.width, image.height, np.asarray(image.convert("RGB")))
            buffer.write(document(Sheet(image.width, image.height, (whole,)), dpi=dpi))
        elif suffix == ".png":
            # a file that is 1 % smaller takes four times as long
            image.save(buffer, format="PNG", compress_level=4, **inch)
        else:
            image.convert("RGB").save(buffer, format="JPEG", quality=92, subsampling=0, **inch)
        temporary.write_bytes(buffer.getvalue())

    return _replace(Path(path), fill)


def write_bytes(data: bytes, path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """The file written, holding ``data``; raises `UsageError` as `write` does, whatever the suffix."""
    check(path, None, force=force)

    def fill(temporary: Path) -> None:
        temporary.write_bytes(data)

    return _replace(Path(path), fill)


def check(path: str | os.PathLike[str], suffixes: tuple[str, ...] | None, *, force: bool) -> Path:
    """``path``, if it may be written; raises `UsageError` if not, before any work is done."""
    path = Path(path)
    if "\0" in str(path):
        raise UsageError(f"cannot write {str(path)!r}: no file's name has a NUL in it; choose another name")
    if suffixes is not None and path.suffix.lower() not in suffixes:
        close = nearest(path.suffix, suffixes)
        hint = f"; nearest: {close[0]!r}" if close else ""
        asked = repr(path.suffix) if path.suffix else "no suffix"
        raise UsageError(f"cannot write {path}: {asked}{hint}. Suffixes: {', '.join(suffixes)}")
    try:
        folder, there = path.is_dir(), path.exists()
    except OSError as error:  # a name that no file system takes, a folder that may not be looked into
        raise _refused(path, error, "choose another folder") from error
    if folder:
        raise UsageError(f"cannot write {path}: it is a folder; name a file in it")
    if there and not force:
        raise UsageError(f"{path} exists already; to replace it: --force (in Python: force=True)")
    return path


def _refused(path: Path, error: OSError, advice: str) -> UsageError:
    """What the file system said of ``path``, and what to do."""
    advice = "choose a shorter name" if error.errno == errno.ENAMETOOLONG else advice
    return UsageError(f"cannot write {one_line(path, 120)}: {error.strerror or error}; {advice}")


def _replace(path: Path, fill: Callable[[Path], None]) -> Path:
    """Fill a temporary file beside ``path``, then move it there in one step."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.stem[:40]}-", suffix=".part", dir=path.parent)
    except OSError as error:
        raise _refused(path, error, "choose another folder") from error
    os.close(handle)
    temporary = Path(name)
    try:
        fill(temporary)
        # mkstemp makes private files; the result gets what any new file gets
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    except OSError as error:  # a full disk, a quota, a drive that went
        temporary.unlink(missing_ok=True)
        raise _refused(path, error, "make room there, or choose another folder") from error
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    return path
