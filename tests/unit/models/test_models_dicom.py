"""DICOM files that pydicom wrote: windows, inversion, values, places; what cannot be read is one line without a name."""

from __future__ import annotations

import gzip
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import seewhy
from scans import PERSON, blob, write_dicom, write_nifti, write_series
from seewhy.errors import ImageError, UsageError
from seewhy.models import Preprocess, read_image, read_volume

pydicom = pytest.importorskip("pydicom")

STORED = np.arange(-32, 32, dtype=np.int16).reshape(8, 8) * 20


def plain(**more: object) -> Preprocess:
    return Preprocess((8, 8), None, "squash", (0.0,), (1.0,), channels=1, **more)  # type: ignore[arg-type]


def by_hand(value: float, centre: float, width: float, function: str) -> float:
    """PS3.3 C.11.2.1.2.1, and C.11.2.1.3 for the other functions, of one value, as a share."""
    if function == "SIGMOID":
        return 1 / (1 + math.exp(-4 * (value - centre) / width))
    if function == "LINEAR_EXACT":
        return min(max((value - centre) / width + 0.5, 0), 1)
    if value <= centre - 0.5 - (width - 1) / 2:
        return 0
    if value > centre - 0.5 + (width - 1) / 2:
        return 1
    return (value - (centre - 0.5)) / (width - 1) + 0.5


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
def test_the_picture_is_the_files_window(tmp_path: Path, function: str, kind: str) -> None:
    path = write_dicom(
        tmp_path / "a.dcm", STORED, RescaleSlope=1.5, RescaleIntercept=-100, WindowCenter=50, WindowWidth=350,
        VOILUTFunction=function, PhotometricInterpretation=kind, Modality="CT",
    )  # fmt: skip
    photo = read_image(path)
    assert photo.measured is not None
    values = STORED * 1.5 - 100
    assert np.array_equal(photo.measured.values, values.astype(np.float32))
    shares = np.array([by_hand(value, 50, 350, function) for value in values.ravel()]).reshape(8, 8)
    shares = 1 - shares if kind == "MONOCHROME1" else shares
    assert np.array_equal(np.asarray(photo.pixels)[..., 0], np.rint(shares.astype(np.float32) * 255))
    data = pydicom.dcmread(path)
    theirs = pydicom.pixels.apply_windowing(pydicom.pixels.apply_modality_lut(data.pixel_array, data), data)
    ours = photo.measured.shares() if kind == "MONOCHROME2" else 1 - photo.measured.shares()
    low, high = -(2**15) * 1.5 - 100, (2**15 - 1) * 1.5 - 100
    np.testing.assert_allclose((theirs - low) / (high - low), ours, atol=1e-6)
    assert photo.measured.unit == "HU"


def test_a_table_of_greys_goes_before_the_window(tmp_path: Path) -> None:
    table = pydicom.Dataset()
    greys = (np.arange(64) ** 2).astype(np.uint16)
    table.LUTDescriptor, table.LUTData = [64, 10, 12], greys.tobytes()
    stored = np.arange(100, dtype=np.uint16).reshape(10, 10)
    path = write_dicom(tmp_path / "a.dcm", stored, VOILUTSequence=[table], WindowCenter=3, WindowWidth=5)
    wanted = [greys[min(max(value - 10, 0), 63)] / 4095 for value in range(100)]
    measured = read_image(path).measured
    assert measured is not None
    np.testing.assert_allclose(measured.shares().ravel(), wanted, atol=1e-7)
    data = pydicom.dcmread(path)
    np.testing.assert_allclose(pydicom.pixels.apply_voi(stored, data) / 4095, measured.shares(), atol=1e-7)


@pytest.mark.parametrize(("given", "expected"), [(None, "picture"), ((-200, 300), "part"), ("raw", "values")])
def test_what_the_network_is_given(tmp_path: Path, given: object, expected: str) -> None:
    path = write_dicom(
        tmp_path / "a.dcm", STORED, WindowCenter=50, WindowWidth=350, PhotometricInterpretation="MONOCHROME1"
    )
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = seewhy.wrap(net, preprocess=plain(values=given))
    explanation = seewhy.explain(model, path, "saliency", 1)
    shares = np.array([by_hand(float(value), 50, 350, "LINEAR") for value in STORED.ravel()]).reshape(8, 8)
    wanted = {
        "picture": np.rint((1 - shares).astype(np.float32) * 255) / 255,
        "part": ((STORED + 200) / 500).clip(0, 1),
        "values": STORED.astype(float),
    }[expected]
    assert explanation.input is not None
    np.testing.assert_allclose(explanation.input[0], wanted, atol=1e-5)
    assert any("values" in note for note in explanation.notes)
    if expected == "part":
        assert explanation.image is not None
        assert np.array_equal(explanation.image[..., 0], np.rint(wanted * 255)), (
            "the picture is what the network is given"
        )


def test_a_picture_has_no_values() -> None:
    model = seewhy.wrap(nn.Conv2d(1, 2, 3), preprocess=plain(values="raw"))
    with pytest.raises(UsageError, match="'array' is a picture: leave --values, in Python values=, out"):
        seewhy.explain(model, np.zeros((8, 8), dtype=np.uint8), "saliency", 0)
    for wrong in ((3, 1), "hu", (1,), (0, math.nan)):
        with pytest.raises(UsageError, match="values="):
            plain(values=wrong)


@pytest.mark.parametrize("syntax", ["ExplicitVRLittleEndian", "RLELossless"])
def test_colours(tmp_path: Path, syntax: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (8, 10, 3), dtype=np.uint8)
    path = write_dicom(tmp_path / "a.dcm", pixels)
    if syntax == "RLELossless":
        data = pydicom.dcmread(path)
        data.compress(pydicom.uid.RLELossless)
        data.save_as(path)
    photo = read_image(path)
    assert np.array_equal(np.asarray(photo.pixels), pixels)
    assert photo.measured is None
    ycc = pydicom.pixels.convert_color_space(pixels, "RGB", "YBR_FULL")
    write_dicom(path, ycc, PhotometricInterpretation="YBR_FULL")
    assert np.abs(np.asarray(read_image(path).pixels).astype(int) - pixels).max() <= 2


def test_a_series_is_a_volume_in_the_order_of_its_places(tmp_path: Path) -> None:
    values = 2 * np.floor(blob((9, 6, 5), (4, 2, 1)) / 2)
    volume = read_volume(write_series(tmp_path / "s", values))
    assert np.array_equal(volume.measured.values, values)
    assert volume.spacing == (2.5, 1.5, 1.0)
    assert volume.affine is not None
    for d, h, w in ((0, 0, 0), (8, 0, 0), (3, 5, 2)):
        left, back, head = -40 + w, -30 + 1.5 * h, 10 + 2.5 * d
        np.testing.assert_allclose(volume.affine @ [d, h, w, 1], [-left, -back, head, 1])
    assert (volume.measured.low, volume.measured.high) == (-160, 239)
    middle = read_image(f"{tmp_path / 's'}#4")
    assert np.array_equal(middle.measured.values, values[4])  # type: ignore[union-attr]
    backwards = read_volume(write_series(tmp_path / "t", values, step=-2.5))
    assert np.array_equal(backwards.measured.values, values[::-1])


def test_pixels_that_are_no_squares_are_said(tmp_path: Path) -> None:
    said = "pixels are 1.5 mm high and 1 mm wide in the file; the picture shows them as squares"
    assert read_image(write_dicom(tmp_path / "a.dcm", STORED, PixelSpacing=[1.5, 1.0])).notes == (said,)
    assert read_image(write_dicom(tmp_path / "a.dcm", STORED, PixelSpacing=[1.5, 1.5])).notes == ()
    folder = write_series(tmp_path / "s", blob((4, 6, 5), (1, 2, 1)))
    assert read_image(f"{folder}#1").notes == (said,)


def test_slices_with_slopes_of_their_own(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", 2 * np.floor(blob((4, 6, 5), (1, 2, 1)) / 2))
    before = read_volume(folder).measured.values
    for n, path in enumerate(sorted(folder.iterdir())):
        data = pydicom.dcmread(path)
        data.RescaleSlope, data.WindowWidth = 1 + n, 100 + n
        data.save_as(path)
    volume = read_volume(folder)
    stored = (before + 1000) / 2
    order = [sorted(folder.iterdir()).index(folder / f"im{(n * 7) % 4:03}.dcm") for n in range(4)]
    wanted = np.stack([stored[n] * (1 + order[n]) - 1000 for n in range(4)])
    np.testing.assert_allclose(volume.measured.values, wanted)
    assert any("windows of their own" in note for note in volume.notes)


def test_frames_of_one_file(tmp_path: Path) -> None:
    stored = np.random.default_rng(0).integers(0, 4000, (5, 6, 7), dtype=np.uint16)
    path = write_dicom(tmp_path / "a.dcm", stored, PixelSpacing=[1.5, 1.25], SpacingBetweenSlices=4)
    volume = read_volume(path)
    assert np.array_equal(volume.measured.values, stored)
    assert (volume.spacing, volume.affine) == ((4.0, 1.5, 1.25), None)
    with pytest.raises(ImageError, match=r"it holds 5 slices of 6 x 7; '.*a.dcm#2' is the one in the middle"):
        read_image(path)
    groups = []
    for n in range(5):
        place, measures, frame = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        place.ImagePositionPatient = [0, 0, 9 - 3 * n]
        measures.PixelSpacing = [2, 2]
        frame.PlanePositionSequence, frame.PixelMeasuresSequence = [place], [measures]
        groups.append(frame)
    plane, shared = pydicom.Dataset(), pydicom.Dataset()
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PlaneOrientationSequence = [plane]
    write_dicom(path, stored, PerFrameFunctionalGroupsSequence=groups, SharedFunctionalGroupsSequence=[shared])
    volume = read_volume(path)
    assert np.array_equal(volume.measured.values, stored[::-1])
    assert volume.spacing == (3.0, 2.0, 2.0)


@pytest.mark.parametrize("what", ["twice", "directions"])
def test_one_frame_of_a_file_whose_frames_make_no_volume(tmp_path: Path, what: str) -> None:
    """It is that of its number in the file, with its own values, and says so; all together are refused with what to
    type."""
    stored = np.random.default_rng(0).integers(0, 4000, (3, 6, 7), dtype=np.uint16)
    groups = []
    for n in range(3):
        place, plane, frame = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        place.ImagePositionPatient = [0, 0, (9, 3, 9)[n] if what == "twice" else 3 * n]
        plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0] if what == "twice" or n else [0, 1, 0, 0, 0, 1]
        frame.PlanePositionSequence, frame.PlaneOrientationSequence = [place], [plane]
        groups.append(frame)
    path = write_dicom(tmp_path / "a.dcm", stored, PerFrameFunctionalGroupsSequence=groups, RescaleSlope=2)
    said = {"twice": "two slices at one place", "directions": "slices that are not parallel"}[what]
    other = {"twice": 2, "directions": 1}[what]
    with pytest.raises(ImageError, match=rf"{said}, '.*a.dcm#0' and '.*a.dcm#{other}'"):
        read_volume(path)
    for n in range(3):
        photo = read_image(f"{path}#{n}")
        assert photo.measured is not None
        np.testing.assert_array_equal(photo.measured.values, 2.0 * stored[n])
        assert any(f"make no volume ({said}" in note and f"frame {n} in it" in note for note in photo.notes)
    with pytest.raises(ImageError, match="it holds 3 slices, 0 to 2"):
        read_image(f"{path}#3")


def test_no_places_no_spacing_is_said(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", blob((4, 6, 5), (1, 2, 1)), ImagePositionPatient=None, PixelSpacing=None)
    volume = read_volume(folder)
    assert (volume.spacing, volume.affine) == (None, None)
    assert "in the order of their numbers" in volume.notes[0]
    assert "how far apart its voxels are" in volume.notes[1]
    numbers = [pydicom.dcmread(path).InstanceNumber for path in sorted(folder.iterdir())]
    assert numbers == sorted(numbers)


def test_a_missing_slice_is_said(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", blob((9, 6, 5), (4, 2, 1)))
    (folder / f"im{(4 * 7) % 9:03}.dcm").unlink()
    assert "slices are 2.5 to 5 mm apart (is one missing?)" in read_volume(folder).notes[0]


def test_one_of_several_pictures_in_colour(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (4, 6, 5, 3), dtype=np.uint8)
    path = write_dicom(tmp_path / "film.dcm", pixels[0])
    data = pydicom.dcmread(path)
    data.NumberOfFrames, data.PixelData = 4, pixels.tobytes()
    data.save_as(path)
    np.testing.assert_array_equal(np.asarray(read_image(f"{path}#2").pixels), pixels[2])
    with pytest.raises(ImageError, match="it holds 4 slices, 0 to 3"):
        read_image(f"{path}#4")
    for read in (read_image, read_volume):
        with pytest.raises(ImageError, match=r"in colour; give one as a picture, such as .*film\.dcm#0'"):
            read(path)


def test_a_slice_beside_the_others_is_said(tmp_path: Path) -> None:
    folder = write_series(tmp_path / "s", blob((9, 6, 5), (4, 2, 1)))
    assert not read_volume(folder).notes
    path = folder / "im003.dcm"
    data = pydicom.dcmread(path)
    data.ImagePositionPatient = [float(data.ImagePositionPatient[0]) + 9, *data.ImagePositionPatient[1:]]
    data.save_as(path)
    assert "slices are shifted against each other, by up to 9 mm" in read_volume(folder).notes[0]


def test_slices_are_known_by_what_they_begin_with_whatever_their_names_end_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some systems take names that end in a number for pages of manuals: names of slices mostly do."""
    import mimetypes

    monkeypatch.setattr(
        mimetypes, "guess_type", lambda name: ("application/x-troff-man" if name[-1] in "12" else None, None)
    )
    folder = write_series(tmp_path / "s", blob((5, 6, 5), (2, 2, 1)))
    for n, path in enumerate(sorted(folder.iterdir())):
        path.rename(folder / f"IM.{n}")
    assert read_volume(folder).size == (5, 6, 5)


def spoiled(tmp_path: Path, what: str) -> Path:
    """A folder or a file with one thing that is wrong."""
    folder = write_series(tmp_path / "s", blob((4, 6, 5), (1, 2, 1)))
    path = folder / "im001.dcm"
    data = pydicom.dcmread(path)
    if what == "sizes":
        write_dicom(path, np.zeros((3, 3), dtype=np.int16), SeriesInstanceUID="1.2.3")
    elif what == "series":
        data.SeriesInstanceUID = "1.2.4"
    elif what == "directions":
        data.ImageOrientationPatient = [1, 0, 0, 0, 0, 1]
    elif what == "twice":
        data.ImagePositionPatient = pydicom.dcmread(folder / "im002.dcm").ImagePositionPatient
    elif what == "spacings":
        data.PixelSpacing = [3.0, 1.0]
    elif what == "inverted":
        data.PhotometricInterpretation = "MONOCHROME1"
    elif what == "no pixels":
        del data.PixelData
    elif what == "no picture":
        del data.Rows
    elif what == "short":
        data.PixelData = data.PixelData[:10]
    elif what == "huge":
        data.Rows, data.Columns = 65000, 65000
    elif what == "deflated":
        data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    elif what == "compressed":
        data.file_meta.TransferSyntaxUID = pydicom.uid.MPEG2MPML
        data.PixelData = pydicom.encaps.encapsulate([b"\0" * 64])
    elif what == "slope":
        data.RescaleSlope = 1e308
    if what != "sizes":
        data.save_as(path)
    if what == "cut off":
        path.write_bytes(path.read_bytes()[:300])
    if what == "other":
        path.write_bytes(PERSON.encode() * 200)
    return folder if what in ("sizes", "spacings", "inverted", "series", "directions", "twice") else path


@pytest.mark.parametrize(
    ("what", "words"),
    [
        ("sizes", r"slices of 2 sizes, 6 x 5 \('im000.dcm'\) and 3 x 3 \('im001.dcm'\)"),
        ("spacings", r"slices of 2 sizes of pixels, 1.5 x 1 mm \('im000.dcm'\) and 3 x 1 mm \('im001.dcm'\)"),
        ("inverted", r"slices of 2 kinds, low values dark \('im000.dcm'\) and low values bright \('im001.dcm'\)"),
        ("series", r"it holds 2 series, of 3 \('im000.dcm'...\) and 1 \('im001.dcm'...\) files; a folder for each"),
        ("directions", r"slices that are not parallel"),
        ("twice", r"two slices at one place"),
        ("no pixels", r"no pixel data"),
        ("no picture", r"holds no picture"),
        ("short", r"damaged or incomplete DICOM"),
        ("huge", r"more than 268 million"),
        ("deflated", r"a deflated DICOM file"),
        ("compressed", r"compressed \(MPEG2"),
        ("slope", r"NaN or infinite"),
        ("cut off", r"damaged or incomplete DICOM|holds no picture"),
        ("other", r"damaged or incomplete DICOM|holds no picture"),
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_one_line_without_a_name(tmp_path: Path, what: str, words: str) -> None:
    source = spoiled(tmp_path, what)
    with pytest.raises(ImageError, match=words) as caught:
        (read_volume if source.is_dir() else read_image)(source)
    assert "\n" not in str(caught.value)
    assert "Doe" not in str(caught.value)


def test_no_name_is_told(tmp_path: Path) -> None:
    path = write_dicom(tmp_path / "a.dcm", STORED)
    explanation = seewhy.explain(
        seewhy.wrap(nn.Sequential(nn.Conv2d(1, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), preprocess=plain()),
        path,
        "saliency",
        1,
    )
    saved = explanation.save(tmp_path / "a.npz").read_bytes()
    assert "Doe" not in repr(explanation.to_dict())
    assert b"Doe" not in saved
    assert torch.is_tensor(torch.from_numpy(explanation.values))


@pytest.mark.parametrize("kind", ["dcm", "nii", "nii.gz"])
def test_flipped_bytes_are_read_or_refused_in_one_line(tmp_path: Path, kind: str) -> None:
    """Whatever a byte of the header becomes: values, or an `ImageError` of one line without the name in the file."""
    pytest.importorskip("nibabel")
    path = tmp_path / f"a.{kind}"
    if kind == "dcm":
        write_dicom(path, STORED, PixelSpacing=[1, 1], ImagePositionPatient=[0, 0, 0], WindowCenter=5, WindowWidth=9)
    else:
        write_nifti(path, np.stack([STORED, STORED]))
    packed = kind == "nii.gz"
    whole, random = gzip.decompress(path.read_bytes()) if packed else path.read_bytes(), np.random.default_rng(0)
    said = []
    for _ in range(150):
        raw = bytearray(whole)
        for at in random.integers(0, min(len(raw), 900), 3):
            raw[at] = int(random.integers(0, 256))
        path.write_bytes(gzip.compress(raw) if packed else raw)
        try:
            read_volume(path)
        except ImageError as error:
            said.append(str(error))
    assert 0 < len(said) < 150
    assert not [words for words in said if "\n" in words or "Doe" in words]
