"""Maps of volumes: trilinear, cut through three ways, at the voxels' own spacing, saved where the input lies."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seewhy.errors import UsageError
from seewhy.explanation import Explanation, Explanations, Scan
from seewhy.explanation.cuts import strongest

SIZE = (6, 10, 8)
#: [d, h, w] to right, front, head: d to the head, h to the back, w to the left
LPS = np.array([[0, 0, -1.0, 40], [0, -1.5, 0, 30], [3.0, 0, 0, 10], [0, 0, 0, 1]])


def of(values: np.ndarray, scan: Scan | None = None, **more: Any) -> Explanation:
    return Explanation(values=values, size=SIZE, method="grad-cam", target="class 1", score=1.0, scan=scan, **more)


def grey(affine: np.ndarray | None = None, spacing: Any = (3.0, 1.5, 1.0)) -> Scan:
    voxels = np.random.default_rng(0).integers(0, 256, SIZE).astype(np.uint8)
    return Scan(voxels, spacing, affine)


def trilinear(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Slow: every voxel by its eight neighbours, centres aligned."""
    result = np.zeros(size)
    for place in np.ndindex(*size):
        corners = []
        for n, have, length in zip(place, values.shape, size, strict=True):
            centre = min(max((n + 0.5) * have / length - 0.5, 0), have - 1)
            low = int(np.floor(centre))
            corners.append([(low, 1 - (centre - low)), (min(low + 1, have - 1), centre - low)])
        for d, a in corners[0]:
            for h, b in corners[1]:
                for w, c in corners[2]:
                    result[place] += values[d, h, w] * a * b * c
    return result


@pytest.mark.parametrize("shape", [(3, 5, 4), (6, 10, 8), (1, 2, 3), (9, 12, 16)])
def test_a_volume_is_trilinear(shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(1).normal(size=shape)
    volume = of(values).volume
    assert volume.dtype == np.float32
    np.testing.assert_allclose(volume, trilinear(values, SIZE), atol=1e-6)
    theirs = torch.nn.functional.interpolate(torch.from_numpy(values)[None, None], SIZE, mode="trilinear")
    np.testing.assert_allclose(volume, theirs[0, 0].numpy(), atol=1e-6)
    channels = np.stack([values, -3 * values])
    np.testing.assert_allclose(of(channels, channels=True).volume, -2 * volume, atol=1e-5)


def test_cuts_go_through_the_strongest_place_or_a_given_one() -> None:
    values = np.random.default_rng(1).normal(size=SIZE).astype(np.float32)
    values[4, 2, 7] = 9
    explanation = of(values)
    assert strongest(explanation) == (4, 2, 7)
    assert strongest(of(-np.abs(values))) == (4, 2, 7)
    assert strongest(of(np.zeros(SIZE))) == (3, 5, 4)
    for cut, wanted in zip(explanation.cuts(), (values[4], values[:, 2], values[:, :, 7]), strict=True):
        assert np.array_equal(cut.values, wanted)
    for cut, wanted in zip(explanation.cuts((1, 3, 5)), (values[1], values[:, 3], values[:, :, 5]), strict=True):
        assert np.array_equal(cut.values, wanted)
    for wrong in ((6, 0, 0), (0, 0), (0.5, 1, 1), (-1, 0, 0)):
        with pytest.raises(
            UsageError, match=r"one voxel of a volume of 6 x 10 x 8, counted from 0, as in at=\(3, 5, 4\)"
        ):
            explanation.cuts(wrong)


def test_cuts_lie_as_radiologists_have_them_and_keep_proportions() -> None:
    values = np.random.default_rng(1).normal(size=SIZE).astype(np.float32)
    across = of(values, grey(LPS)).cuts((1, 2, 3))
    assert np.array_equal(across[0].values, values[1]), "rows go to the back, columns to the left: as they are"
    assert np.array_equal(across[1].values, values[::-1, 2]), "the head is above"
    assert np.array_equal(across[2].values, values[::-1, :, 3])
    ras = LPS * np.array([[1], [-1], [1], [1]])
    assert np.array_equal(of(values, grey(ras)).cuts((1, 2, 3))[2].values, values[::-1, ::-1, 3])
    sides = [cut.size for cut in across]
    for (height, width), ratio in zip(sides, (15 / 8, 18 / 8, 18 / 15), strict=True):
        assert height / width == pytest.approx(ratio, abs=0.01)
        assert max(height, width) == 320
    for cut in across:
        assert cut.image is not None
        assert cut.image.shape == (*cut.size, 3)
        assert cut.overlay().size == cut.size[::-1]


def test_the_volume_under_a_cut_is_its_own_slice() -> None:
    voxels = np.zeros(SIZE, dtype=np.uint8)
    voxels[5, 0, 7] = 255  # head, first row (front), last column (left)
    explanation = of(np.ones(SIZE), Scan(voxels, (1.0, 1.0, 1.0), LPS))
    axial, coronal, sagittal = (cut.image for cut in explanation.cuts((5, 0, 7)))
    for image, corner in ((axial, (0, -1)), (coronal, (0, -1)), (sagittal, (0, 0))):
        assert image is not None
        assert image[corner].mean() > 200, "where the bright voxel is"
        assert image[-1 - corner[0], 0 if corner[1] else -1].mean() < 20


def test_all_cuts_have_the_colours_of_the_whole() -> None:
    values = np.zeros(SIZE)
    values[1, 2, 3], values[5, 5, 5] = 1.0, 4.0
    explanation = of(values, grey())
    cuts = explanation.cuts((1, 2, 3))
    bars = [Explanations([cut]).limits(100) for cut in cuts]
    assert bars == [[(0.0, 4.0)]] * 3
    assert Explanations([explanation]).limits(100) == [(0.0, 4.0)]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".svg", ".pdf"])
def test_every_picture_of_a_volume_can_be_drawn(tmp_path: Path, suffix: str) -> None:
    values = np.random.default_rng(1).normal(size=(3, 5, 4))
    for scan in (None, grey(), grey(LPS), grey(spacing=None)):
        path = of(values, scan, name="scan").save(tmp_path / f"a{suffix}", force=True)
        assert path.stat().st_size > 1000
    explanation = of(values, grey(LPS))
    assert explanation.overlay(at=(0, 0, 0)).width > 3 * 150
    assert explanation.heatmap(width=100).width == 316
    both = Explanations([explanation, of(-values, explanation.scan, layer="x")])
    assert both.grid(tmp_path / f"grid{suffix}").height > 900
    assert both.strip().height
    assert "<img" in both._repr_html_()
    assert "<img" in explanation._repr_html_()


def test_a_map_of_a_picture_has_no_voxels() -> None:
    flat = Explanation(values=np.ones((4, 4)), size=(4, 4), method="saliency", target="0", score=0.0)
    for asked in (flat.overlay, flat.figure):
        with pytest.raises(UsageError, match=r"at=.* is a voxel of a volume"):
            asked(at=(0, 0, 0))
    for wrong in (lambda: flat.volume, flat.cuts):
        with pytest.raises(UsageError, match="has no volume: its input has 2 spatial axes"):
            wrong()
    with pytest.raises(UsageError, match=r"use \.volume and \.cuts\(\)"):
        of(np.ones(SIZE)).map
    with pytest.raises(UsageError, match="without the 3 spatial axes"):
        of(np.ones((4, 4))).cuts()
    with pytest.raises(UsageError, match="scan has its size"):
        of(np.ones(SIZE), Scan(np.zeros((2, 2, 2), dtype=np.uint8)))


def test_numbers_come_back(tmp_path: Path) -> None:
    explanation = of(np.random.default_rng(1).normal(size=(3, 5, 4)), grey(LPS))
    back = Explanation.load(explanation.save(tmp_path / "a.npz"))
    assert back.scan is not None
    assert explanation.scan is not None
    assert np.array_equal(back.scan.voxels, explanation.scan.voxels)
    assert (back.scan.spacing, back.to_dict()["spacing"]) == ((3.0, 1.5, 1.0), [3.0, 1.5, 1.0])
    assert np.array_equal(back.scan.affine, LPS)  # type: ignore[arg-type]
    bare = Explanation.load(of(np.ones(SIZE)).save(tmp_path / "b.npz"))
    assert bare.scan is None


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_lies_where_the_input_lies(tmp_path: Path, suffix: str) -> None:
    nibabel = pytest.importorskip("nibabel")
    explanation = of(np.random.default_rng(1).normal(size=(3, 5, 4)), grey(LPS), name="Doe^Jane")
    path = explanation.save(tmp_path / f"map{suffix}")
    image = nibabel.load(path)
    assert image.get_data_dtype() == np.float32
    assert np.array_equal(image.get_fdata().transpose(2, 1, 0), explanation.volume)
    for d, h, w in ((0, 0, 0), (5, 2, 7)):
        np.testing.assert_allclose(image.affine @ [w, h, d, 1], LPS @ [d, h, w, 1])
    np.testing.assert_allclose(image.header.get_zooms(), (1.0, 1.5, 3.0))
    assert image.header.get_xyzt_units()[0] == "mm"
    assert path.read_bytes() == explanation.save(tmp_path / f"again{suffix}").read_bytes()
    with pytest.raises(UsageError, match="exists already"):
        explanation.save(path)
    with pytest.raises(UsageError, match="takes no cmap"):
        explanation.save(tmp_path / f"b{suffix}", cmap="gray")
    unknown = nibabel.load(of(np.ones(SIZE), grey(None, None)).save(tmp_path / f"c{suffix}"))
    assert (int(unknown.header["sform_code"]), int(unknown.header["qform_code"])) == (0, 0)
