"""Photos of every condition: each is explained, or refused in one line while the others are explained."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seewhy import Explanation

Make = Callable[[Path], object]


def _photo() -> Image.Image:
    return Image.open("a.png").convert("RGB")


def _bomb(path: Path) -> None:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b""))


def _truncated(path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, format="JPEG")
    path.write_bytes(path.read_bytes()[:1500])


UNREADABLE: dict[str, tuple[str, Make, str]] = {
    "missing": ("b.png", lambda path: None, "there is no such file; nearest: 'a.png'"),
    "folder": ("folder.png", lambda path: path.mkdir(), "it names no photo, nor a folder of photos"),
    "text": ("text.jpg", lambda path: path.write_text("no picture"), "no picture format that Pillow knows"),
    "truncated": ("half.jpg", _truncated, "damaged or incomplete"),
    "empty": ("empty.png", lambda path: path.write_bytes(b""), "the file is empty (0 bytes)"),
    "bomb": ("bomb.png", _bomb, "2500 megapixels"),
}


@pytest.mark.parametrize("kind", UNREADABLE)
def test_an_unreadable_photo_is_one_line_and_the_others_are_explained(say: Any, work: Path, kind: str) -> None:
    name, make, words = UNREADABLE[kind]
    make(work / name)
    alone = say("explain", name, "--quiet")
    assert alone.code == 4
    assert words in alone.complaint
    assert name in alone.complaint
    assert alone.out == ""
    assert not (work / "seewhy-out").exists()
    among = say("explain", name, "a.png", name, "--json")
    assert among.code == 1
    assert [image["image"] for image in among.document["images"]] == ["a.png"]
    assert [each["image"] for each in among.document["failed"]] == [name, name]
    assert all(words in each["reason"] for each in among.document["failed"])
    assert len(among.err.splitlines()) == 2


def test_none_readable_still_gives_the_document(say: Any) -> None:
    said = say("explain", "x.png", "y.png", "--json")
    assert said.code == 4
    assert said.document["images"] == []
    assert len(said.document["failed"]) == 2
    assert said.document["cost"]["forwards"] == 0


def _grey(path: Path) -> None:
    _photo().convert("L").save(path)


def _glass(path: Path) -> None:
    photo = _photo()
    photo.putalpha(90)
    photo.save(path)


READABLE: dict[str, tuple[str, Make, str]] = {
    "one pixel": ("dot.png", lambda path: Image.new("RGB", (1, 1), "red").save(path), ""),
    "grey": ("grey.png", _grey, ""),
    "cmyk": ("print.jpg", lambda path: _photo().convert("CMYK").save(path), "CMYK converted"),
    "palette": ("few.gif", lambda path: _photo().quantize(16).save(path), ""),
    "alpha": ("glass.png", _glass, "transparent"),
    "animated": (
        "moving.gif",
        lambda path: _photo().save(path, save_all=True, append_images=[Image.new("RGB", (20, 16))]),
        "animated, 2 frames: the first is explained",
    ),
    "unicode": ("grüße 猫 [x].png", lambda path: _photo().save(path), ""),
}


@pytest.mark.parametrize("kind", READABLE)
def test_every_kind_of_photo_works_and_says_what_was_done(say: Any, work: Path, kind: str) -> None:
    name, make, note = READABLE[kind]
    make(work / name)
    said = say("explain", name, "--json")
    assert said.code == 0
    (image,) = said.document["images"]
    assert image["explanations"][0]["map"]["finite"]
    assert Path(image["explanations"][0]["files"][0]).is_file()
    text = say("explain", name)
    if note:
        assert any(note in each for each in image["notes"])
        assert f"  note: {image['notes'][0]}" in text.out
    else:
        assert image["notes"] == []
        assert "note:" not in text.out


def _explained(say: Any, name: str) -> Explanation:
    said = say("explain", name, "--method", "saliency", "--format", "npz", "--json")
    return Explanation.load(said.document["images"][0]["explanations"][0]["files"][0])


def test_a_photo_that_lies_on_its_side_is_explained_upright(say: Any, work: Path) -> None:
    photo = Image.open("a.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter, clockwise
    photo.transpose(Image.Transpose.ROTATE_90).save("turned.png", exif=exif)
    turned, upright = _explained(say, "turned.png"), _explained(say, "a.png")
    np.testing.assert_array_equal(turned.image, upright.image)
    np.testing.assert_array_equal(turned.values, upright.values)
    photo.transpose(Image.Transpose.ROTATE_90).save("lying.png")
    assert not np.array_equal(_explained(say, "lying.png").values, upright.values)


def test_sixteen_bits_are_scaled_to_eight(say: Any, work: Path) -> None:
    eight = np.asarray(Image.open("a.png").convert("L"))
    Image.fromarray(eight).save("eight.png")
    Image.fromarray(eight.astype(np.uint16) * 257).save("sixteen.png")
    with Image.open("sixteen.png") as opened:
        assert opened.mode == "I;16"
    low, high = _explained(say, "eight.png"), _explained(say, "sixteen.png")
    np.testing.assert_array_equal(high.image, low.image)
    np.testing.assert_array_equal(high.values, low.values)


def test_only_the_first_frame_counts(say: Any, work: Path) -> None:
    photo = _photo().quantize(64)
    photo.save("still.gif")
    photo.save("moving.gif", save_all=True, append_images=[Image.new("P", photo.size, 3)])
    np.testing.assert_array_equal(_explained(say, "moving.gif").values, _explained(say, "still.gif").values)
