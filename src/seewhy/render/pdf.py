"""Takes a sheet, gives it as a PDF file of one page: text stays text, pictures keep their own pixels; never decides a
place."""

from __future__ import annotations

import io
import zlib
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from seewhy.render.sheet import Picture, Rectangle, Sheet, Text
from seewhy.render.typeset import FINER, settable, width

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seewhy.render.sheet import Piece

__all__ = ["DPI", "document"]

#: pixels an inch where nobody says: the page is as large as a browser shows the SVG
DPI = 96.0


def document(sheet: Sheet, *, dpi: float | None = None) -> bytes:
    """The sheet as a PDF of one page, ``dpi`` of its pixels an inch (default 96).

    Text is set in Helvetica, which every reader has, as wide as it was measured, and can be searched; a line that
    Helvetica lacks letters for is a picture of itself. Pictures are stored without loss.

    >>> document(Sheet(10, 10, ()))[:8]
    b'%PDF-1.4'
    """
    page = _Page(sheet.height)
    for item in sheet.items:
        page.add(item)
    return page.written(sheet, 72 / (dpi or DPI))


class _Page:
    """The drawing operators of one page, and the objects that they refer to; number 1 to 4 are the catalogue, the
    pages, the page and the font."""

    def __init__(self, height: float) -> None:
        self._height = height
        self._operators: list[str] = []
        self._objects: list[bytes] = []
        self._pictures: list[int] = []
        self._veils: dict[float, str] = {}

    def add(self, item: Piece) -> None:
        """Draw one piece over what there is."""
        if isinstance(item, Text):
            self._text(item)
        elif isinstance(item, Rectangle):
            self._operators.append(
                f"q /{self._veil(item.opacity)} gs {_colour(item.fill)} "
                f"{item.x:.2f} {self._height - item.y - item.height:.2f} {item.width:.2f} {item.height:.2f} re f Q"
            )
        else:
            self._picture(item)

    def _text(self, item: Text) -> None:
        words = item.words.replace("−", "–")
        try:
            letters = words.encode("cp1252")
        except UnicodeEncodeError:
            self._drawn(item)
            return
        long = width(item.words, item.size)
        start = item.x - {"start": 0.0, "middle": long / 2, "end": long}[item.align]
        natural = _helvetica(letters) * item.size / 1000
        stretch = 100 * long / natural if natural > 0 else 100.0
        literal = "".join(f"\\{byte:03o}" if byte in b"()\\" or not 32 <= byte < 127 else chr(byte) for byte in letters)
        self._operators.append(
            f"BT {_colour(item.fill)} /F {item.size} Tf {stretch:.2f} Tz "
            f"{start:.2f} {self._height - item.y:.2f} Td ({literal}) Tj ET"
        )

    def _drawn(self, item: Text) -> None:
        """A line in letters that Helvetica has not, as a picture."""
        words, font = settable(item.words, item.size * FINER)
        left, top, right, bottom = font.getbbox(words, anchor="ls")
        wide, high = max(1, round(right - left)), max(1, round(bottom - top))
        picture = Image.new("RGB", (wide, high), "white")
        ImageDraw.Draw(picture).text((-left, -top), words, fill=item.fill, font=font, anchor="ls")
        start = item.x - {"start": 0.0, "middle": wide / 2, "end": wide}[item.align] / FINER
        place = (start, item.y + top / FINER, wide / FINER, high / FINER)
        self._picture(Picture(*place, np.asarray(picture)))

    def _picture(self, item: Picture) -> None:
        number = self._kept(_image(item.pixels, smooth=item.smooth))
        self._pictures.append(number)
        self._operators.append(
            f"q {item.width:.2f} 0 0 {item.height:.2f} {item.x:.2f} {self._height - item.y - item.height:.2f} cm "
            f"/P{number} Do Q"
        )

    def _veil(self, opacity: float) -> str:
        return self._veils.setdefault(opacity, f"V{len(self._veils)}")

    def _kept(self, content: bytes) -> int:
        self._objects.append(content)
        return len(self._objects) + 5

    def written(self, sheet: Sheet, scale: float) -> bytes:
        """The file."""
        stream = zlib.compress("\n".join([f"{scale:.6f} 0 0 {scale:.6f} 0 0 cm", *self._operators]).encode("ascii"))
        pictures = " ".join(f"/P{number} {number} 0 R" for number in self._pictures)
        veils = " ".join(f"/{name} << /ca {opacity:g} >>" for opacity, name in self._veils.items())
        box = f"[0 0 {sheet.width * scale:.3f} {sheet.height * scale:.3f}]"
        objects = [
            b"<< /Type /Catalog /Pages 2 0 R >>",
            b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
            (
                f"<< /Type /Page /Parent 2 0 R /MediaBox {box} /Contents 5 0 R /Resources << /Font << /F 4 0 R >> "
                f"/XObject << {pictures} >> /ExtGState << {veils} >> >> >>"
            ).encode("ascii"),
            b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
            _stream(stream, "/Filter /FlateDecode"),
            *self._objects,
        ]
        file = io.BytesIO()
        file.write(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
        places = []
        for number, content in enumerate(objects, 1):
            places.append(file.tell())
            file.write(b"%d 0 obj\n%b\nendobj\n" % (number, content))
        table = file.tell()
        file.write(b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1))
        file.writelines(b"%010d 00000 n \n" % place for place in places)
        file.write(b"trailer\n<< /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (len(objects) + 1, table))
        return file.getvalue()


def _image(pixels: NDArray[np.uint8], *, smooth: bool) -> bytes:
    height, wide = pixels.shape[:2]
    head = (
        f"/Type /XObject /Subtype /Image /Width {wide} /Height {height} /ColorSpace /DeviceRGB /BitsPerComponent 8 "
        f"/Interpolate {'true' if smooth else 'false'} /Filter /FlateDecode"
    )
    return _stream(zlib.compress(np.ascontiguousarray(pixels).tobytes()), head)


def _stream(data: bytes, head: str) -> bytes:
    return f"<< {head} /Length {len(data)} >>\nstream\n".encode("ascii") + data + b"\nendstream"


def _colour(fill: str) -> str:
    red, green, blue = (int(fill[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return f"{red:.3f} {green:.3f} {blue:.3f} rg"


# the widths of Helvetica's letters from space to tilde, in thousandths of its size (Adobe's metrics of the 14 fonts)
_WIDTHS = (
    278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278, 556, 556, 556, 556, 556, 556, 556,
    556, 556, 556, 278, 278, 584, 584, 584, 556, 1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833,
    722, 778, 667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556, 333, 556, 556, 500, 556,
    556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556, 556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334,
    260, 334, 584,
)  # fmt: skip
#: of others than ASCII: what most have
_OTHER = {0x85: 1000, 0xB7: 278, 0xD7: 584, 0x96: 556}


def _helvetica(letters: bytes) -> float:
    """How wide a line is in Helvetica of size 1000."""
    return sum(_WIDTHS[byte - 32] if 32 <= byte < 127 else _OTHER.get(byte, 556) for byte in letters)
