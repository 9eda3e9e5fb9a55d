from __future__ import annotations

import io
import struct
import threading
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from seewhy.errors import ImageError, SeewhyError, UsageError
from seewhy.models import read_image
from seewhy.models._quiet import quiet


def array(photo):
    return np.asarray(photo.pixels)


@pytest.fixture
def gradient():
    ramp = np.linspace(0, 255, 40, dtype=np.uint8)
    return np.stack([np.tile(ramp, (30, 1)), np.tile(ramp[::-1], (30, 1)), np.full((30, 40), 77, np.uint8)], 2)


def failure(source):
    with pytest.raises(ImageError) as caught:
        read_image(source)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 4
    return text


def test_a_png_comes_back_as_it_was(tmp_path, gradient):
    path = tmp_path / "a.png"
    Image.fromarray(gradient).save(path)
    photo = read_image(str(path))
    assert np.array_equal(array(photo), gradient)
    assert (photo.name, photo.path, photo.notes) == ("a.png", str(path), ())
    assert np.array_equal(array(read_image(path)), gradient)
    assert read_image(photo) is photo


def test_missing_things_name_the_nearest(tmp_path, gradient):
    Image.fromarray(gradient).save(tmp_path / "tabby_cat.png")
    assert "nearest" in failure(tmp_path / "tabby_cats.png")
    assert "tabby_cat.png" in failure(tmp_path / "tabby_cats.png")
    assert "no folder" in failure(tmp_path / "nowhere" / "x.png")
    assert "a folder" in failure(tmp_path)
    assert "nothing is downloaded" in failure("https://example.org/cat.jpg")
    assert "nothing is downloaded" in failure("file:///tmp/cat.jpg")
    assert "cannot read" in failure("a" * 5000 + ".png")
    assert "no such file" in failure("a\0b.png")


def test_files_that_are_no_pictures(tmp_path):
    (tmp_path / "text.jpg").write_text("hello world, I am a letter")
    assert "starts with b'hello world,'" in failure(tmp_path / "text.jpg")
    (tmp_path / "nothing.png").touch()
    assert "empty (0 bytes)" in failure(tmp_path / "nothing.png")


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("suffix", ["jpg", "png", "bmp", "gif", "webp", "tif"])
def test_a_truncated_file_is_never_a_picture(tmp_path, gradient, suffix, lenient, monkeypatch):
    whole, path = tmp_path / f"whole.{suffix}", tmp_path / f"cut.{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (200, 150, 3), dtype=np.uint8)
    Image.fromarray(noise).save(whole)
    data = whole.read_bytes()
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    assert array(read_image(whole)).shape == (200, 150, 3)
    for share in (0.3, 0.7, 0.97):
        path.write_bytes(data[: int(len(data) * share)])
        assert "cannot read" in failure(path)
    assert ImageFile.LOAD_TRUNCATED_IMAGES is lenient


def test_a_damaged_png_is_refused_even_if_pillow_was_told_to_shrug(tmp_path, monkeypatch):
    noise = np.random.default_rng(0).integers(0, 256, (99, 99, 3), dtype=np.uint8)
    path = tmp_path / "a.png"
    Image.fromarray(noise).save(path)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0xFF
    path.write_bytes(data)
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    assert "damaged" in failure(path)


def bomb(width, height):
    """A PNG that claims a size; its few bytes decode to nothing."""

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * ((width // 8 + 1) * height), 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def test_a_decompression_bomb_is_an_error_that_says_its_size(tmp_path):
    path = tmp_path / "bomb.png"
    path.write_bytes(bomb(20_000, 10_000))
    text = failure(path)
    assert "200 megapixels" in text
    assert "limit of 179" in text


def test_a_merely_large_picture_is_read_without_a_warning(tmp_path, monkeypatch):
    path = tmp_path / "large.png"
    Image.new("L", (150, 100), 9).save(path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10_000)  # Pillow warns from here and refuses from twice as much
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert read_image(path).pixels.size == (150, 100)
    assert caught == []


def test_warning_filters_come_back_after_threads_that_overlap():
    before = list(warnings.filters)
    inside, leave = threading.Event(), threading.Event()

    def hold():
        with quiet():
            inside.set()
            leave.wait(5)

    thread = threading.Thread(target=hold)
    with quiet():
        thread.start()
        assert inside.wait(5)
    assert list(warnings.filters) != before  # the other one still reads
    leave.set()
    thread.join()
    assert list(warnings.filters) == before


def test_one_pixel(tmp_path):
    Image.new("RGB", (1, 1), (1, 2, 3)).save(tmp_path / "dot.png")
    assert array(read_image(tmp_path / "dot.png")).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_drawn_upright(tmp_path, gradient, orientation):
    turn = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "turned.png"
    Image.fromarray(gradient).save(path, exif=exif)
    assert np.array_equal(array(read_image(path)), turn(gradient))
    with Image.open(path) as image:
        assert np.array_equal(array(read_image(image)), turn(gradient))
        assert image.size == (40, 30)  # the caller's picture is left alone


def test_a_broken_exif_block_is_a_note(tmp_path, gradient, monkeypatch):
    path = tmp_path / "a.jpg"
    Image.fromarray(gradient).save(path, exif=b"Exif\0\0XX*\0garbage")
    assert read_image(path).pixels.size == (40, 30)  # newer Pillows read past it

    def broken(self):
        raise SyntaxError("not a TIFF file\n(header b'XX' not valid)")

    monkeypatch.setattr(Image.Image, "getexif", broken)
    photo = read_image(path)
    assert photo.pixels.size == (40, 30)
    expected = "the EXIF block cannot be read, taken as upright "
    assert photo.notes == (expected + "(SyntaxError: not a TIFF file (header b'XX' not valid))",)


def test_sixteen_bit_grey_is_scaled_not_clipped(tmp_path):
    values = np.array([[0, 257, 25700, 65535]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    Image.fromarray(values).save(tmp_path / "a.tif")
    Image.fromarray(values.astype(np.int32)).save(tmp_path / "i.tif")
    for name in ("a.png", "a.tif", "i.tif"):
        photo = read_image(tmp_path / name)
        assert array(photo)[0, :, 1].tolist() == [0, 1, 100, 255], name
        how = "32-bit greyscale: 0..65535 stretched" if name == "i.tif" else "16-bit greyscale: 0..65535 scaled"
        assert photo.notes == (f"{how} to 0..255",)
    big = Image.frombytes("I;16B", (4, 1), values.astype(">u2").tobytes())
    assert array(read_image(big))[0, :, 0].tolist() == [0, 1, 100, 255]


def test_wider_integers_are_stretched():
    photo = read_image(Image.fromarray(np.array([[-100, 0, 100]], dtype=np.int32)))
    assert array(photo)[0, :, 0].tolist() == [0, 128, 255]
    assert photo.notes == ("32-bit greyscale: -100..100 stretched to 0..255",)


def test_float_pictures(tmp_path):
    Image.fromarray(np.array([[0.0, 0.2, 1.0]], dtype=np.float32)).save(tmp_path / "unit.tif")
    unit = read_image(tmp_path / "unit.tif")
    assert array(unit)[0, :, 2].tolist() == [0, 51, 255]
    Image.fromarray(np.array([[-2.0, 0.0, 8.0]], dtype=np.float32)).save(tmp_path / "wide.tif")
    wide = read_image(tmp_path / "wide.tif")
    assert array(wide)[0, :, 0].tolist() == [0, 51, 255]
    assert wide.notes == ("float greyscale: -2..8 stretched to 0..255",)
    assert array(read_image(Image.new("F", (2, 2), 7.0))).max() == 0
    Image.fromarray(np.array([[0.0, np.nan]], dtype=np.float32)).save(tmp_path / "nan.tif")
    assert "NaN" in failure(tmp_path / "nan.tif")


def test_transparency_is_drawn_on_white_and_said(tmp_path):
    rgba = np.array([[[255, 0, 0, 255], [0, 0, 0, 0], [0, 0, 0, 128]]], dtype=np.uint8)
    Image.fromarray(rgba).save(tmp_path / "a.png")
    photo = read_image(tmp_path / "a.png")
    assert array(photo)[0].tolist() == [[255, 0, 0], [255, 255, 255], [127, 127, 127]]
    assert photo.notes == ("transparent parts are drawn on white",)
    opaque = rgba.copy()
    opaque[..., 3] = 255
    assert read_image(opaque).notes == ()
    assert array(read_image(opaque))[0, 2].tolist() == [0, 0, 0]

    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 200, 0, 0])
    palette.putpixel((1, 0), 1)
    palette.save(tmp_path / "p.png", transparency=bytes([0, 255]))
    assert array(read_image(tmp_path / "p.png"))[0].tolist() == [[255, 255, 255], [200, 0, 0]]
    palette.save(tmp_path / "p.gif", transparency=0)
    assert array(read_image(tmp_path / "p.gif"))[0, 0].tolist() == [255, 255, 255]

    grey = Image.merge("LA", [Image.new("L", (1, 1), 40), Image.new("L", (1, 1), 0)])
    grey.save(tmp_path / "la.png")
    assert array(read_image(tmp_path / "la.png")).ravel().tolist() == [255, 255, 255]
    Image.new("L", (1, 1), 40).save(tmp_path / "trns.png", transparency=40)
    assert array(read_image(tmp_path / "trns.png")).ravel().tolist() == [255, 255, 255]


@pytest.mark.parametrize("mode", ["1", "L", "P", "CMYK", "YCbCr", "HSV", "RGBX", "RGBa", "La", "PA", "LAB"])
def test_every_mode_becomes_rgb(mode):
    image = Image.new(mode, (3, 2))
    photo = read_image(image)
    assert photo.pixels.mode == "RGB"
    assert photo.pixels.size == (3, 2)


def test_cmyk_jpeg_is_converted_and_said(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    photo = read_image(tmp_path / "a.jpg")
    red = array(photo)[4, 4].astype(int)
    assert red[0] > 240
    assert red[1:].max() < 15
    assert "CMYK" in photo.notes[0]
    assert array(read_image(Image.new("1", (1, 1), 1))).tolist() == [[[255, 255, 255]]]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_the_first_frame_of_an_animation(tmp_path, suffix):
    frames = [Image.new("RGB", (20, 20), colour) for colour in ("red", "blue", "lime")]
    path = tmp_path / f"a.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    photo = read_image(path)
    assert array(photo)[5, 5].tolist() == [255, 0, 0]
    assert "animated, 3 frames: the first is explained" in photo.notes
    with Image.open(path) as image:
        image.seek(1)
        later = read_image(image)
        assert array(later)[5, 5].tolist() == [0, 0, 255]
        assert "animated, 3 frames: number 2 is explained" in later.notes


def test_pages_are_not_called_an_animation(tmp_path):
    pages = [Image.new("L", (4, 4), 3), Image.new("L", (4, 4), 200)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    photo = read_image(tmp_path / "a.tif")
    assert array(photo)[0, 0, 0] == 3
    assert photo.notes == ("2 pictures in one file: the first is explained",)


def test_arrays(gradient):
    assert np.array_equal(array(read_image(gradient)), gradient)
    grey = gradient[:, :, 0]
    for given in (grey, grey[:, :, None]):
        assert np.array_equal(array(read_image(given)), np.stack([grey] * 3, 2))
    assert np.array_equal(array(read_image(gradient[::-1, ::2])), gradient[::-1, ::2])
    held = read_image(gradient)
    gradient[:] = 0
    assert array(held).max() > 0  # a photo does not change with the caller's array


def test_a_photo_does_not_change_with_the_callers_picture():
    image = Image.new("RGB", (2, 2), (9, 9, 9))
    photo = read_image(image)
    image.putpixel((0, 0), (200, 0, 0))
    assert array(photo).max() == 9


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (np.zeros((4, 4, 3), np.float32), "already preprocessed"),
        (np.zeros((4, 4), np.int64), "uint8, got int64"),
        (np.zeros((4, 4), bool), "uint8, got bool"),
        (np.zeros((3, 8, 8), np.uint8), "channels come last"),
        (np.zeros((2, 4, 4, 3), np.uint8), r"got \[2, 4, 4, 3\]"),
        (np.zeros((0, 4, 3), np.uint8), r"got \[0, 4, 3\]"),
        (np.zeros((7,), np.uint8), r"got \[7\]"),
        (3, "builtins.int"),
        (None, "NoneType"),
        (b"abc", "builtins.bytes"),
    ],
)
def test_what_is_no_picture(wrong, words):
    with pytest.raises(UsageError, match=words):
        read_image(wrong)


def test_sixteen_bit_colour(tmp_path):
    """Pillow itself keeps the high byte; the file is written by hand because it cannot write one."""
    pixel = struct.pack(">HHH", 65535, 32768, 256)

    def chunk(kind, body):
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    head = struct.pack(">IIBBBBB", 1, 1, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" + pixel))
    (tmp_path / "a.png").write_bytes(data + chunk(b"IEND", b""))
    assert array(read_image(tmp_path / "a.png")).ravel().tolist() == [255, 128, 1]


@pytest.mark.parametrize("suffix", ["png", "jpg", "gif", "webp", "bmp", "tif"])
def test_any_damage_gives_a_photo_or_one_line(tmp_path, gradient, suffix):
    buffer = io.BytesIO()
    name = {"jpg": "JPEG", "tif": "TIFF"}.get(suffix, suffix.upper())
    Image.fromarray(gradient).save(buffer, name)
    rng, path, seen = np.random.default_rng(1), tmp_path / f"a.{suffix}", []
    for _ in range(60):
        data = np.frombuffer(buffer.getvalue(), np.uint8).copy()
        where = rng.integers(0, min(len(data), 400), 4)
        data[where] = rng.integers(0, 256, 4)
        path.write_bytes(data.tobytes())
        try:
            text = type(read_image(path)).__name__
        except SeewhyError as error:
            text = str(error)
        seen.append(text)
    assert not [text for text in seen if "\n" in text]
    assert "Photo" in seen
