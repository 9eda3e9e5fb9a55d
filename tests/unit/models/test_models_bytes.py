"""Pictures from the bytes of their files: what the file itself gives, in pixels, values, notes and refusals."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageFile

from scans import write_dicom
from seewhy.errors import ImageError
from seewhy.models import Photo, read_image, read_image_bytes

NOISE = np.random.default_rng(0).integers(0, 256, (30, 40, 4), dtype=np.uint8)


def written(path: Path, kind: str) -> Path:
    """A file of a kind that is read in a way of its own."""
    colours, grey = Image.fromarray(NOISE[..., :3]), NOISE[..., 0].astype(np.uint16) * 100
    if kind == "dicom":
        return write_dicom(path / "a.dcm", grey.astype(np.int16), RescaleSlope=2, WindowCenter=5000, WindowWidth=9000)
    if kind == "dicom without a suffix":
        return write_dicom(path / "a", grey.astype(np.int16)).rename(path / "b")
    if kind.startswith("tiff"):
        tifffile = pytest.importorskip("tifffile")
        made = path / "a.tif"
        if kind == "tiff planar":
            tifffile.imwrite(made, np.stack([grey, grey, grey + 7]), photometric="rgb", planarconfig="separate")
        else:
            tifffile.imwrite(made, np.concatenate([NOISE, NOISE], 2), photometric="minisblack", planarconfig="contig")
        return made
    if kind == "turned":
        exif = Image.Exif()
        exif[0x0112] = 6
        colours.save(made := path / "a.jpg", exif=exif)
        return made
    if kind == "moving":
        colours.save(made := path / "a.gif", save_all=True, append_images=[Image.fromarray(NOISE[::-1, :, :3])])
        return made
    modes = {"transparent": Image.fromarray(NOISE), "16 bits": Image.fromarray(grey), "plain": colours}
    modes[kind].save(made := path / "a.png")
    return made


KINDS = [
    "dicom",
    "dicom without a suffix",
    "tiff planar",
    "tiff bands",
    "turned",
    "moving",
    "transparent",
    "16 bits",
    "plain",
]


@pytest.mark.parametrize("lenient", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_are_read_as_their_file(
    tmp_path: Path, kind: str, lenient: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "dicom" in kind:
        pytest.importorskip("pydicom")
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
    path = written(tmp_path, kind)
    there, here = read_image(path), read_image_bytes(path.read_bytes(), f"shard/{path.name}")
    assert np.array_equal(np.asarray(there.pixels), np.asarray(here.pixels))
    assert (here.name, here.path, here.notes, here.channels) == (there.name, None, there.notes, there.channels)
    assert here.of_colours == there.of_colours
    assert (here.bands is None) == (there.bands is None)
    assert here.bands is None or np.array_equal(here.bands, there.bands)
    assert (here.measured is None) == (there.measured is None)
    if here.measured is not None and there.measured is not None:
        assert np.array_equal(here.measured.values, there.measured.values)
    assert {field.name for field in fields(Photo)} == {
        "pixels", "name", "path", "notes", "bands", "channels", "measured", "of_colours"
    }  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.45])
def test_what_is_cut_off_is_refused_in_the_same_words(tmp_path: Path, kind: str, share: float) -> None:
    path = written(tmp_path, kind)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])

    def refused(read: Any) -> str:
        with pytest.raises(ImageError) as caught:
            read()
        return str(caught.value)

    there = refused(lambda: read_image(path))
    here = refused(lambda: read_image_bytes(path.read_bytes(), f"shard/{path.name}"))
    assert here == there.replace(str(path), f"shard/{path.name}")
    assert "\n" not in here


def test_bombs_and_letters_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with pytest.raises(
        ImageError, match=r"cannot read 'x\.jpg': no picture format that Pillow knows; it starts with b'hello'"
    ):
        read_image_bytes(b"hello", "x.jpg")
    path = written(tmp_path, "plain")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ImageError, match=r"cannot read 'a\.png': 0 megapixels, more than Pillow's limit"):
        read_image_bytes(path.read_bytes(), "a.png")
