"""TIFFs of every kind show what was written into them; what nobody here reads right is refused."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from seewhy.errors import ImageError
from seewhy.models import read_image
from seewhy.models._tiff import read_tags, trusted

tifffile = pytest.importorskip("tifffile")


def _array(path: Path) -> np.ndarray[Any, Any]:
    return np.asarray(read_image(path).pixels).astype(int)


def _levels(shares: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Shares of white [H, W] or [H, W, 3] as a person sees them, level by level."""
    grey = np.stack([shares] * 3, 2) if shares.ndim == 2 else shares
    return np.rint(255 * grey).astype(int)


def _noise(shape: tuple[int, ...], top: int, dtype: str) -> np.ndarray[Any, Any]:
    values = np.random.default_rng(3).integers(0, top, shape, endpoint=True).astype(dtype)
    values.flat[0], values.flat[1] = 0, top
    return values


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("white", [True, False])
def test_grey_of_16_bits(tmp_path: Path, white: bool, compression: str | None, order: str) -> None:
    values = _noise((20, 30), 65535, "uint16")
    photometric = "miniswhite" if white else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=photometric, compression=compression, byteorder=order)
    shares = values / 65535
    assert np.array_equal(_array(tmp_path / "a.tif"), _levels(1 - shares if white else shares))
    assert any("0..65535" in note for note in read_image(tmp_path / "a.tif").notes)


@pytest.mark.parametrize("planar", ["contig", "separate"])
@pytest.mark.parametrize("dtype", ["uint16", "uint32", "float32"])
def test_colours(tmp_path: Path, dtype: str, planar: str) -> None:
    top = {"uint16": 65535, "uint32": 4_000_000_000, "float32": 1}[dtype]
    rows = (
        np.random.default_rng(1).random((20, 30, 3), dtype=np.float32) if top == 1 else _noise((20, 30, 3), top, dtype)
    )
    stored = np.ascontiguousarray(np.moveaxis(rows, -1, 0)) if planar == "separate" else rows
    tifffile.imwrite(tmp_path / "a.tif", stored, photometric="rgb", planarconfig=planar)
    assert np.array_equal(_array(tmp_path / "a.tif"), _levels(rows.astype(float) / top))


@pytest.mark.parametrize("dtype", ["uint32", "int32", "int16", "uint64", "float64", "float32"])
@pytest.mark.parametrize("white", [True, False])
def test_numbers_without_a_scale_are_stretched(tmp_path: Path, dtype: str, white: bool) -> None:
    low, high = {"uint32": (7, 4_111_222_333), "int32": (-2_000_000_000, 90), "int16": (-300, 999),
                 "uint64": (0, 2**50), "float64": (-2.5, 9.0), "float32": (3.0, 4.0)}[dtype]  # fmt: skip
    values = (low + (high - low) * np.random.default_rng(2).random((20, 30))).astype(dtype)
    values[0, 0], values[0, 1] = low, high
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="miniswhite" if white else "minisblack")
    shares = (values.astype(float) - low) / (high - low)
    assert np.array_equal(_array(tmp_path / "a.tif"), _levels(1 - shares if white else shares))
    assert "stretched" in read_image(tmp_path / "a.tif").notes[0]


@pytest.mark.parametrize("shape", [(20, 30), (20, 30, 3)])
def test_twelve_bits_in_sixteen(tmp_path: Path, shape: tuple[int, ...]) -> None:
    """Of a sensor of 12 bits white is 4095, not a grey so dark that all is black; a tag that says so is believed."""
    values, photometric = _noise(shape, 4095, "uint16"), "rgb" if len(shape) == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=photometric)
    assert np.array_equal(_array(tmp_path / "a.tif"), _levels(values / 4095))
    assert "12 bits in 16" in read_image(tmp_path / "a.tif").notes[0]
    tifffile.imwrite(tmp_path / "b.tif", values // 4, photometric=photometric, extratags=[(281, 3, 1, 1023, True)])
    assert np.array_equal(_array(tmp_path / "b.tif"), _levels(values // 4 / 1023))
    assert "as the file says" in read_image(tmp_path / "b.tif").notes[0]


def test_transparency_and_further_channels(tmp_path: Path) -> None:
    values = _noise((20, 30, 4), 65535, "uint16")
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="rgb", extrasamples=["unassalpha"])
    colour, alpha = values[..., :3] / 65535, values[..., 3:] / 65535
    assert np.abs(_array(tmp_path / "a.tif") - 255 * (colour * alpha + 1 - alpha)).max() <= 1.5
    assert "transparent parts are drawn on white" in read_image(tmp_path / "a.tif").notes
    two = _noise((20, 30, 2), 65535, "uint16")
    tifffile.imwrite(
        tmp_path / "b.tif", two, photometric="minisblack", planarconfig="contig", extrasamples=["unspecified"]
    )
    assert np.array_equal(_array(tmp_path / "b.tif"), _levels(two[..., 0] / 65535))
    assert "1 further channel is not in the picture" in read_image(tmp_path / "b.tif").notes


@pytest.mark.parametrize(("photometric", "planes"), [("minisblack", 2), ("rgb", 5), ("rgb", 3), ("rgb", 4)])
def test_eight_bits_with_channels_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, photometric: str, planes: int
) -> None:
    """Pillow knows three or four of them; of more it says that the file is no picture."""
    values = _noise((planes, 20, 30), 255, "uint8")
    extra = ["unspecified"] * (planes - (3 if photometric == "rgb" else 1))
    more = {"extrasamples": extra} if extra else {}
    tifffile.imwrite(tmp_path / "a.tif", values, photometric=photometric, planarconfig="separate", **more)
    shown = values[:3].transpose(1, 2, 0) if photometric == "rgb" else values[0]
    assert np.array_equal(_array(tmp_path / "a.tif"), _levels(shown / 255))
    monkeypatch.setitem(sys.modules, "tifffile", None)
    if planes == 3:
        assert np.array_equal(_array(tmp_path / "a.tif"), _levels(shown / 255))
    else:
        with pytest.raises(ImageError, match=r"channel by channel\).*pip install 'seewhy\[tiff\]'"):
            read_image(tmp_path / "a.tif")


def test_orientation_and_pages(tmp_path: Path) -> None:
    values = _noise((20, 30), 65535, "uint16")
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        for page in (values, values[::-1]):
            file.write(page, photometric="miniswhite", extratags=[(274, 3, 1, 6, True)])
    assert np.array_equal(_array(tmp_path / "a.tif"), _levels(1 - np.rot90(values, -1) / 65535))
    assert "2 pictures in one file: the first is explained" in read_image(tmp_path / "a.tif").notes


def test_damaged_files_are_no_pictures(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", _noise((200, 150), 65535, "uint16"), photometric="miniswhite")
    data = (tmp_path / "a.tif").read_bytes()
    for share in (0.001, 0.3, 0.97):
        (tmp_path / "cut.tif").write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ImageError, match="cannot read") as raised:
            read_image(tmp_path / "cut.tif")
        assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("dtype", "photometric", "planar"),
    [("uint16", "miniswhite", None), ("uint16", "rgb", "separate"), ("uint32", "minisblack", None), ("float64", "minisblack", None)],
)  # fmt: skip
def test_without_tifffile_what_pillow_misreads_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, photometric: str, planar: str | None
) -> None:
    shape = (3, 20, 30) if planar else (20, 30)
    more = {"planarconfig": planar} if planar else {}
    tifffile.imwrite(tmp_path / "a.tif", np.ones(shape, dtype=dtype), photometric=photometric, **more)
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(ImageError, match=r"Pillow does not read right; pip install 'seewhy\[tiff\]'"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("dtype", "shape"), [("uint8", (20, 30)), ("uint16", (20, 30)), ("uint16", (20, 30, 3)), ("uint16", (20, 30, 4)), ("float32", (20, 30))]
)  # fmt: skip
def test_what_pillow_reads_is_what_tifffile_reads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, shape: tuple[int, ...]
) -> None:
    """The list of what is left to Pillow is right: the same picture either way, to a level."""
    values = np.random.default_rng(4).random(shape) if dtype == "float32" else _noise(shape, np.iinfo(dtype).max, dtype)
    more = {"extrasamples": ["unassalpha"]} if shape[2:] == (4,) else {}
    tifffile.imwrite(tmp_path / "a.tif", values.astype(dtype), photometric="rgb" if shape[2:] else "minisblack", **more)
    with (tmp_path / "a.tif").open("rb") as file:
        assert trusted(read_tags(file))
    found = _array(tmp_path / "a.tif")
    monkeypatch.setitem(sys.modules, "tifffile", None)
    assert np.abs(_array(tmp_path / "a.tif") - found).max() <= (2 if more else 1)  # on white, both round twice


def test_a_picture_in_hand_that_pillow_misread_is_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.tif", _noise((20, 30), 65535, "uint16"), photometric="miniswhite")
    with Image.open(tmp_path / "a.tif") as image, pytest.raises(ImageError, match=r"give the file itself: .*a\.tif"):
        read_image(image)
    tifffile.imwrite(tmp_path / "b.tif", _noise((20, 30), 65535, "uint16"), photometric="minisblack")
    with Image.open(tmp_path / "b.tif") as image:
        assert read_image(image).pixels.size == (30, 20)
