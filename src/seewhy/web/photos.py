"""Photos of a workbench: takes uploads and the folder that it was started with, gives each by a name that says nothing
of where it lies, as the model takes it and as a browser shows it."""

from __future__ import annotations

import hashlib
import io
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from PIL import Image

from seewhy.api.given.images import Item, read_one
from seewhy.api.intervening import Hiding
from seewhy.models import Model, Photo
from seewhy.models.images import photo_in
from seewhy.runs.sources import Entry, Source
from seewhy.web.decoding import Decoder
from seewhy.web.limits import Limits
from seewhy.web.problems import Problem

__all__ = ["Known", "Photos", "Recent", "jpeg"]

T = TypeVar("T")

#: pixels on the longer side of what a browser is shown, and of a small picture
_SHOWN, _THUMB = 2048, 192
#: photos that are held as inputs and as questions; pictures that are held as files; bytes of decoded photos
_INPUTS, _PICTURES, _DECODED = 12, 4000, 256 * 2**20
#: letters of a photo's name
_NAME = 120


@dataclass(frozen=True)
class Known:
    """A photo that can be asked for: ``data`` of an upload, the ``entry`` of one in the folder."""

    id: str
    name: str
    #: how a command line would name it, from where the workbench was started
    path: str
    data: bytes | None = None
    entry: Entry | None = None


class Recent:
    """The last values, each made when it is first asked for: as many as there is room for, at least one."""

    def __init__(self, most: int, size: Callable[[Any], int] = lambda value: 1) -> None:
        self._most, self._size, self._lock = most, size, threading.Lock()
        self._held: OrderedDict[Any, Any] = OrderedDict()

    def get(self, key: Any, make: Callable[[], T]) -> T:
        """The value of ``key``."""
        with self._lock:
            if key in self._held:
                self._held.move_to_end(key)
                value: T = self._held[key]
                return value
        value = make()
        with self._lock:
            self._held[key] = value
            while len(self._held) > 1 and sum(map(self._size, self._held.values())) > self._most:
                self._held.popitem(last=False)
        return value

    def drop(self, photo: str) -> None:
        """Forget all of a photo."""
        with self._lock:
            for key in [key for key in self._held if key == photo or (isinstance(key, tuple) and key[0] == photo)]:
                del self._held[key]


class Photos:
    """Uploads, and what lies in a folder or any other source."""

    def __init__(self, model: Model, source: Source | None, limits: Limits) -> None:
        self._model, self._source, self._limits = model, source, limits
        self.decoder = Decoder(limits)
        self._lock = threading.Lock()
        self._uploads: OrderedDict[str, Known] = OrderedDict()
        self._listed: OrderedDict[str, Known] = OrderedDict()
        for entry in () if source is None else source.entries():
            number = _id(entry.name.encode())
            self._listed[number] = Known(number, entry.name, _typed(source, entry.name), entry=entry)
        self._items, self._hidings = Recent(_INPUTS), Recent(_INPUTS)
        self._decoded = Recent(_DECODED, lambda photo: 3 * photo.pixels.width * photo.pixels.height)
        self._pictures = Recent(_PICTURES)

    @property
    def of_folder(self) -> bool:
        """Whether there is a folder."""
        return self._source is not None

    def __len__(self) -> int:
        with self._lock:
            return len(self._uploads) + len(self._listed)

    def listed(self, offset: int, limit: int) -> list[Known]:
        """Some of them: uploads first, the newest of them first."""
        with self._lock:
            every = [*reversed(self._uploads.values()), *self._listed.values()]
        return every[offset : offset + limit]

    def add(self, data: bytes, name: str) -> Known:
        """Keep an upload. Raises `Problem` for what is no photo, and where there is no more room."""
        if not data:
            raise Problem(422, "the upload is empty (0 bytes)")
        number = _id(data)
        name = name.strip()[:_NAME] or "photo"
        known = Known(number, name, _no_option(name), data)
        with self._lock:
            if number in self._uploads:
                return self._uploads[number]
            self._check_room(len(data))
        photo = self.decoder.photo(data, known.name)
        self._decoded.get(number, lambda: photo)
        self.item(known)  # what the model cannot take is said now
        with self._lock:
            self._check_room(len(data))
            self._uploads[number] = known
        return known

    def _check_room(self, more: int) -> None:
        used = sum(len(known.data or b"") for known in self._uploads.values())
        if len(self._uploads) >= self._limits.photos or used + more > self._limits.held:
            raise Problem(
                413,
                f"{len(self._uploads)} uploads of {used / 2**20:.0f} MiB are held, and no more than "
                f"{self._limits.photos} of {self._limits.held / 2**20:.0f}: delete some",
            )

    def remove(self, number: str) -> None:
        """Forget an upload. Raises `Problem` for none."""
        with self._lock:
            if self._uploads.pop(number, None) is None:
                raise Problem(404 if number not in self._listed else 409, "no upload of that name")
        for recent in (self._decoded, self._items, self._hidings, self._pictures):
            recent.drop(number)

    def known(self, number: str) -> Known:
        """The photo of that id. Raises `Problem` for none."""
        with self._lock:
            found = self._uploads.get(number) or self._listed.get(number)
        if found is None:
            raise Problem(404, "no such photo: uploads are forgotten when the workbench ends")
        return found

    def find(self, name: str) -> Known | None:
        """The photo that the folder has by that name."""
        return self._listed.get(_id(name.encode()))

    def photo(self, known: Known) -> Photo:
        """The photo itself, upright."""

        def read() -> Photo:
            if known.data is not None:
                return self.decoder.photo(known.data, known.name)
            assert self._source is not None
            assert known.entry is not None
            return photo_in(self._source.read(known.entry), known.name)

        return self._decoded.get(known.id, read)

    def item(self, known: Known) -> Item:
        """What the model takes of it."""
        return self._items.get(known.id, lambda: read_one(self._model, self.photo(known), known.name))

    def hiding(self, known: Known) -> Hiding:
        """It, to be asked about again and again; asks the model when it is first made."""
        return self._hidings.get(known.id, lambda: Hiding(self._model, self.item(known)))

    def shown(self, known: Known, small: bool) -> tuple[bytes, str]:
        """A picture file of it, and of what kind that is."""

        def draw() -> tuple[bytes, str]:
            return jpeg(self.photo(known).pixels, _THUMB if small else _SHOWN), "image/jpeg"

        return self._pictures.get((known.id, small), draw)

    def document(self, known: Known, *, whole: bool) -> dict[str, Any]:
        """What a client is told of it; how large it is only of the ``whole``, which has to be read for that."""
        told: dict[str, Any] = {
            "id": known.id, "name": known.name, "uploaded": known.data is not None,
            "image": f"/api/v1/photos/{known.id}/image", "thumb": f"/api/v1/photos/{known.id}/thumb",
            "width": None, "height": None, "window": None, "seen": None, "notes": [],
        }  # fmt: skip
        if whole:
            item, (width, height) = self.item(known), self.photo(known).pixels.size
            told |= {"width": width, "height": height, "window": item.window or [0, 0, 1, 1]}
            told |= {"seen": list(item.tensor.shape[1:]), "notes": list(item.notes)}
        return told

    def close(self) -> None:
        """End the process that decodes."""
        self.decoder.close()


def _typed(source: Source | None, name: str) -> str:
    """What one would type for a photo of a folder."""
    if source is None or source.kind != "folder":
        return _no_option(name)
    return str(Path(source.spec) / name)


def _no_option(name: str) -> str:
    return f"./{name}" if name.startswith("-") else name


def jpeg(image: Image.Image, most: int, quality: int = 88) -> bytes:
    """A picture as a file, at most so many pixels on its longer side."""
    small = image.convert("RGB")
    small.thumbnail((most, most), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    small.save(file, "JPEG", quality=quality)
    return file.getvalue()


def _id(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:20]
