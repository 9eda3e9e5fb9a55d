"""NIfTI files that nibabel wrote: one orientation, places, windows; sizes are looked at before they are believed."""

from __future__ import annotations

import gzip
import itertools
from pathlib import Path

import numpy as np
import pytest

from scans import AFFINE, write_nifti
from seewhy.errors import ImageError
from seewhy.models import Preprocess, Volume, read_image, read_volume
from seewhy.models.measured import Measured

nibabel = pytest.importorskip("nibabel")

VALUES = np.random.default_rng(0).integers(-900, 900, (5, 6, 7)).astype(np.int16)
LOWEST = 348


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
@pytest.mark.parametrize("signs", [(1, 1, 1), (-1, 1, -1), (-1, -1, -1)])
def test_every_orientation_is_read_alike(tmp_path: Path, order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    """The same head, stored along other axes: the same volume, each voxel at the millimetres that the file says."""
    affine = np.eye(4)
    for axis, (along, sign) in enumerate(zip(order, signs, strict=True)):
        affine[:3, axis] = 0
        affine[along, axis] = sign * (1.0, 2.0, 3.0)[along]
    affine[:3, 3] = (4, 5, 6)
    volume = read_volume(write_nifti(tmp_path / "a.nii.gz", VALUES, affine))
    assert volume.spacing == (3.0, 2.0, 1.0)
    assert volume.affine is not None
    assert volume.notes == ()
    inverse = np.linalg.inv(affine)
    for d, h, w in itertools.product(*map(range, volume.size)):
        i, j, k = np.rint(inverse @ volume.affine @ [d, h, w, 1])[:3].astype(int)
        assert volume.measured.values[d, h, w] == VALUES[i, j, k]
    assert (np.diag(volume.affine[:3, [2, 1, 0]]) > 0).all(), "towards the right, the front and the head"


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_slopes_windows_units_and_further_axes_of_one(tmp_path: Path, suffix: str) -> None:
    path = write_nifti(tmp_path / f"a{suffix}", VALUES[..., None], cal_min=-100, cal_max=300, xyzt_units=3)
    image = nibabel.load(path)
    image.header.set_slope_inter(0.5, 10)
    nibabel.save(nibabel.Nifti1Image(VALUES.astype(np.float64) * 0.5 + 10, AFFINE, image.header), path)
    volume = read_volume(path)
    np.testing.assert_allclose(volume.measured.values, np.flip(VALUES, 0).transpose(2, 1, 0) * 0.5 + 10, atol=0.01)
    assert (volume.measured.low, volume.measured.high, volume.measured.source) == (-100, 300, "the file's window")
    assert volume.spacing == (0.0025, 0.0015, 0.001), "micrometres"


def test_what_nobody_knows_is_said(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii", VALUES, None)
    volume = read_volume(path)
    assert np.array_equal(volume.measured.values, VALUES.transpose(2, 1, 0)), "nothing is turned on a guess"
    assert (volume.spacing, volume.affine) == ((1.0, 1.0, 1.0), None)
    assert "which way it lies" in volume.notes[0]
    raw = bytearray(path.read_bytes())
    raw[80:92] = b"\0" * 12  # pixdim[1..3]
    path.write_bytes(raw)
    volume = read_volume(path)
    assert volume.spacing is None
    assert "how far apart its voxels are" in volume.notes[1]


def forged(path: Path, at: int, value: bytes) -> Path:
    raw = bytearray(path.read_bytes())
    raw[at : at + len(value)] = value
    path.write_bytes(raw)
    return path


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (42, np.array([30000, 30000, 30000], "<i2").tobytes(), r"more than 268 million"),
        (42, np.array([-5, 6, 7], "<i2").tobytes(), r"a volume has three axes|cannot read"),
        (40, np.array([4, 5, 6, 7, 9], "<i2").tobytes(), r"9 volumes in one file \(5 x 6 x 7 x 9\)"),
        (40, np.array([2, 5, 6], "<i2").tobytes(), r"a volume has three axes"),
        (70, np.array([128], "<i2").tobytes(), r"plain numbers"),
        (70, np.array([32], "<i2").tobytes(), r"plain numbers"),
        (70, np.array([999], "<i2").tobytes(), r"damaged or incomplete NIfTI"),
        (108, np.array([1e9], "<f4").tobytes(), r"its values begin at byte 1e\+09"),
        (108, np.array([np.nan], "<f4").tobytes(), r"its values begin at byte nan"),
        (344, b"nope", r"no NIfTI file of header and values in one"),
        (42, np.array([50, 60, 70], "<i2").tobytes(), r"its values end after the file does"),
    ],
)  # fmt: skip
def test_forged_headers_are_one_line(tmp_path: Path, at: int, value: bytes, words: str) -> None:
    path = forged(write_nifti(tmp_path / "a.nii", VALUES), at, value)
    with pytest.raises(ImageError, match=words) as caught:
        read_volume(path)
    assert "\n" not in str(caught.value)
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(path.read_bytes()))
    with pytest.raises(ImageError):
        read_volume(tmp_path / "b.nii.gz")


def test_damaged_files_are_one_line(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", VALUES)
    whole = path.read_bytes()
    for content in (b"", b"GIF89a", whole[: len(whole) // 2], whole[:40] + b"\0" * 40 + whole[80:]):
        path.write_bytes(content)
        with pytest.raises(ImageError, match="cannot read"):
            read_volume(path)
    write_nifti(path, np.full((2, 2, 2), np.nan))
    with pytest.raises(ImageError, match="NaN or infinite"):
        read_volume(path)


def test_one_slice_is_a_picture(tmp_path: Path) -> None:
    path = write_nifti(tmp_path / "a.nii.gz", VALUES)
    photo = read_image(f"{path}#6")
    assert np.array_equal(photo.measured.values, np.flip(VALUES, 0)[..., 6].T)  # type: ignore[union-attr]
    assert photo.name == "a.nii.gz#6"
    with pytest.raises(ImageError, match="7 slices, 0 to 6"):
        read_image(f"{path}#7")
    with pytest.raises(ImageError, match=r"7 slices of 6 x 5; '.*a.nii.gz#3' is the one in the middle"):
        read_image(path)


@pytest.mark.parametrize("mode", ["crop", "squash", "border"])
def test_a_resized_volume_knows_where_its_voxels_are(mode: str) -> None:
    """A ramp of millimetres: every voxel that is no padding and no edge has the place that its affine says."""
    size, affine = (8, 10, 12), AFFINE[:, [2, 1, 0, 3]]
    index = np.stack(np.meshgrid(*map(np.arange, size), indexing="ij"), -1)
    where = index @ affine[:3, :3].T + affine[:3, 3]
    ways = {"crop": (16, 20, 24), "squash": (16, 30, 36), "border": (16, 30, 36)}
    way = Preprocess((12, 16, 40), ways[mode], mode, (0.0,), (1.0,), channels=1, values="raw")
    for axis in range(3):
        volume = Volume(Measured(where[..., axis].astype(np.float32)), "v", None, (2.5, 1.5, 1.0), affine)
        tensor, seen = way.of_volume(volume)
        assert seen.affine is not None
        assert tensor.shape == (1, 12, 16, 40)
        places = (
            np.stack(np.meshgrid(*map(np.arange, (12, 16, 40)), indexing="ij"), -1) @ seen.affine[:3, :3].T
            + seen.affine[:3, 3]
        )
        back = (places - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T
        inside = ((back >= 0) & (back <= np.array(size) - 1)).all(-1)
        assert inside.sum() > 400
        np.testing.assert_allclose(tensor[0].numpy()[inside], places[..., axis][inside], atol=1e-4)


def test_pictures_and_volumes_are_resized_alike() -> None:
    values = np.random.default_rng(0).normal(size=(1, 9, 14)).astype(np.float32)
    flat = Preprocess((5, 6), (7, 8), "squash", (0.1,), (2.0,), channels=1, values="raw").of_values(Measured(values[0]))
    deep, _ = Preprocess((1, 5, 6), (1, 7, 8), "squash", (0.1,), (2.0,), channels=1, values="raw").of_volume(
        Volume(Measured(values), "v")
    )
    np.testing.assert_allclose(deep[0, 0].numpy(), flat[0].numpy(), atol=1e-6)
