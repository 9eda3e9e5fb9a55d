"""PDF: a file that readers can read, with the words as text and the pixels as they are."""

from __future__ import annotations

import re
import zlib

import numpy as np

from seewhy.render import Cell, grid, grid_pdf
from seewhy.render.pdf import document
from seewhy.render.sheet import Picture, Rectangle, Sheet, Text

PIXELS = np.random.default_rng(0).integers(0, 256, size=(3, 5, 3), dtype=np.uint8)


def streams(file: bytes) -> list[bytes]:
    """Every stream, unpacked, the page's operators first; each exactly as long as it says."""
    found = []
    for match in re.finditer(rb"/Length (\d+) >>\nstream\n", file):
        end = match.end() + int(match[1])
        assert file[end : end + 10] == b"\nendstream"
        found.append(zlib.decompress(file[match.end() : end]))
    return found


def test_the_table_says_where_every_object_is() -> None:
    file = document(Sheet(20, 10, (Picture(0, 0, 5, 5, PIXELS), Picture(5, 0, 5, 5, PIXELS))))
    start = int(file.rsplit(b"startxref\n", 1)[1].split(b"\n")[0])
    assert file[start : start + 4] == b"xref"
    places = [int(line[:10]) for line in file[start:].split(b"\n")[3:10]]
    assert [file[place:].split(b" ")[0] for place in places] == [b"%d" % n for n in range(1, 8)]
    assert file.endswith(b"%%EOF\n")


def test_pictures_are_stored_without_loss() -> None:
    assert streams(document(Sheet(9, 9, (Picture(0, 0, 9, 9, PIXELS),))))[1] == PIXELS.tobytes()


def test_words_are_text_and_others_pictures_of_themselves() -> None:
    words = (Text(0, 9, "a (b) − é \\", 12, "#000000"), Text(0, 20, "\u732b", 12, "#000000"))
    operators, *pictures = streams(document(Sheet(90, 30, words)))
    assert rb"(a \050b\051 \226 \351 \134) Tj" in operators
    assert operators.count(b"Tj") == 1
    assert len(pictures) == 1


def test_words_are_as_wide_as_they_were_measured() -> None:
    """Helvetica is stretched to the room that was laid out for another font."""
    operators = streams(document(Sheet(90, 30, (Text(80, 9, "wide words", 12, "#000000", "end"),))))[0]
    stretch = float(re.search(rb"([\d.]+) Tz", operators)[1])  # type: ignore[index]
    assert 70 < stretch < 130


def test_the_page_is_as_large_as_its_pixels_are_printed() -> None:
    sheet = Sheet(192, 96, (Rectangle(0, 0, 5, 5, "#ff0000", 0.5),))
    assert b"/MediaBox [0 0 144.000 72.000]" in document(sheet)
    assert b"/MediaBox [0 0 46.080 23.040]" in document(sheet, dpi=300)
    assert b"/ca 0.5" in document(sheet)


def test_a_figure_has_the_raster_s_size() -> None:
    cells = [[Cell(PIXELS, ("grad-cam", "cat"), "a note"), Cell(None, note="not computed")]]
    wide, high = grid(cells, cell=96, header="Why?").size
    file = grid_pdf(cells, cell=96, header="Why?", dpi=72)
    assert f"/MediaBox [0 0 {wide:.3f} {high:.3f}]".encode() in file
    operators = streams(file)[0]
    for word in (b"(Why?)", b"(grad-cam)", b"(a note)", b"(not computed)"):
        assert word in operators
