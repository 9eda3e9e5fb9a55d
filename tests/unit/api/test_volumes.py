"""Volumes explained from files: a small 3-D DenseNet, a NIfTI file and a DICOM series, against loops in float64."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import seewhy
from scans import blob, write_dicom, write_nifti, write_series
from seewhy.errors import ImageError, UsageError

pytest.importorskip("pydicom")
pytest.importorskip("nibabel")

SIZE = (8, 12, 10)


class Dense(nn.Module):
    """Two dense blocks of two 3-D convolutions each, as DenseNet has them, with a pool between."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv3d(1, 4, 3, padding=1)
        self.one, self.two = nn.Conv3d(4, 3, 3, padding=1), nn.Conv3d(7, 3, 3, padding=1)
        self.pool = nn.AvgPool3d(2)
        self.three, self.last = nn.Conv3d(10, 3, 3, padding=1), nn.Conv3d(13, 5, 3, padding=1)
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x).relu()
        x = torch.cat([x, self.one(x).relu()], 1)
        x = self.pool(torch.cat([x, self.two(x).relu()], 1))
        x = torch.cat([x, self.three(x).relu()], 1)
        return self.head(self.last(x).relu().mean((2, 3, 4)))


@pytest.fixture(scope="module")
def net() -> Dense:
    torch.manual_seed(1)
    return Dense().double().eval()


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same head as a NIfTI file and as a DICOM series, and as their values in the orders in which they are read."""
    folder = tmp_path_factory.mktemp("scans")
    values = 2 * np.floor(blob(SIZE, (5, 3, 6)) / 2)
    # NIfTI [i, j, k] grows to the right and the front; the series goes to the left and the back
    nifti = np.flip(values, (1, 2)).transpose(2, 1, 0).astype(np.float32)
    return {
        "nifti": write_nifti(folder / "scan.nii.gz", nifti, np.diag([1.0, 1.5, 2.5, 1.0]), cal_min=-160, cal_max=239),
        "series": write_series(folder / "series", values),
    }


def expected(kind: str) -> np.ndarray:
    """The input that each file stands for: [D, H, W], the windowed picture from 0 to 1."""
    values = 2 * np.floor(blob(SIZE, (5, 3, 6)) / 2)
    values = np.flip(values, (1, 2)) if kind == "nifti" else values
    return np.rint(((values + 160) / 399).clip(0, 1) * 255) / 255


@pytest.mark.parametrize("kind", ["nifti", "series"])
def test_gradients_and_cams_by_hand(net: Dense, sources: dict[str, Path], kind: str) -> None:
    model = seewhy.wrap(net, preprocess="unit")
    x = torch.tensor(expected(kind)[None, None].copy(), dtype=torch.float32).double().requires_grad_()
    held: list[Tensor] = []
    handle = net.last.register_forward_hook(lambda module, given, out: held.append(out))
    score = net(x)[0, 2]
    handle.remove()
    activation = held[0].relu()
    (gradient,) = torch.autograd.grad(score, x, retain_graph=True)
    saliency = seewhy.explain(model, sources[kind], "saliency", 2, reduce="sum")
    assert saliency.score == pytest.approx(float(score.detach()), rel=1e-9)
    np.testing.assert_allclose(saliency.input, x.detach().numpy()[0], atol=1e-7)  # type: ignore[arg-type]
    np.testing.assert_allclose(saliency.values, gradient[0, 0].numpy(), rtol=1e-9, atol=1e-12)
    (by_layer,) = torch.autograd.grad(score, held[0])
    cam = np.zeros(activation.shape[2:])
    for c in range(activation.shape[1]):
        weight = sum(float(by_layer[0, c][at]) for at in np.ndindex(*cam.shape)) / cam.size
        for at in np.ndindex(*cam.shape):
            cam[at] += weight * float(held[0].detach()[0, c][at])
    ours = seewhy.explain(model, sources[kind], "grad-cam", 2, layer="last")
    np.testing.assert_allclose(ours.values, cam, rtol=1e-9, atol=1e-14)
    assert ours.volume.shape == SIZE


def test_occlusion_hides_boxes(net: Dense, sources: dict[str, Path]) -> None:
    model = seewhy.wrap(net, preprocess="unit")
    window, stride = (4, 6, 5), (4, 3, 5)
    ours = seewhy.explain(model, sources["series"], "occlusion", 1, window=window, stride=stride, fill="black")
    x = torch.tensor(expected("series")[None, None].copy(), dtype=torch.float32).double()
    with torch.no_grad():
        before = float(net(x)[0, 1])
        total, count = np.zeros(SIZE), np.zeros(SIZE)
        for d in (0, 4):
            for h in (0, 3, 6):
                for w in (0, 5):
                    box = np.s_[d : d + 4, h : h + 6, w : w + 5]
                    hidden = x.clone()
                    hidden[0, 0][box] = 0
                    total[box] += before - float(net(hidden)[0, 1])
                    count[box] += 1
    np.testing.assert_allclose(ours.values, total / count, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("axes", ["BCDHW", "BCHWD", "BDHWC"])
def test_axes_in_the_order_that_the_network_has(net: Dense, sources: dict[str, Path], axes: str) -> None:
    letters = axes[1:]

    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            return self.net(x.permute(0, *(1 + letters.index(letter) for letter in "CDHW")))

    way = seewhy.Preprocess(None, None, mean=(0.0,), std=(1.0,), channels=1)
    plain = seewhy.explain(seewhy.wrap(net, preprocess=way), sources["series"], "saliency", 0, reduce="sum")
    turned = seewhy.explain(
        seewhy.wrap(Turned(), preprocess=way, axes=axes), sources["series"], "saliency", 0, reduce="sum"
    )
    order = ["DHW".index(letter) for letter in letters if letter != "C"]
    np.testing.assert_allclose(turned.values, plain.values.transpose(order), rtol=1e-9, atol=1e-12)
    assert plain.scan is not None
    assert turned.scan is not None
    assert turned.scan.spacing == tuple(plain.scan.sides[n] for n in order)
    assert plain.scan.affine is not None
    assert np.array_equal(turned.scan.affine, plain.scan.affine[:, [*order, 3]])  # type: ignore[arg-type]


def test_resized_values_and_a_map_that_lies_where_they_lie(
    net: Dense, sources: dict[str, Path], tmp_path: Path
) -> None:
    import nibabel

    way = seewhy.Preprocess((4, 6, 6), (4, 6, 5), "squash", (0.0,), (1.0,), channels=1, values=(-100.0, 300.0))
    explanation = seewhy.explain(seewhy.wrap(net, preprocess=way), sources["nifti"], "grad-cam", 1)
    assert explanation.size == (4, 6, 6)
    image = nibabel.load(explanation.save(tmp_path / "map.nii.gz"))
    # 4 of 8 slices: voxels twice as long, their first centre half a voxel further; a column of padding at the right
    np.testing.assert_allclose(image.affine, [[2, 0, 0, 0.5], [0, 3, 0, 0.75], [0, 0, 5, 1.25], [0, 0, 0, 1]])
    assert "-100..300 as 0 to 1" in explanation.notes[0]


def test_a_function_is_given_the_values(net: Dense, sources: dict[str, Path]) -> None:
    seen = []

    def prepare(values: np.ndarray) -> Tensor:
        seen.append(values)
        return torch.from_numpy((values[:, ::2] - 40) / 300)[None]

    explanation = seewhy.explain(seewhy.wrap(net, preprocess=prepare), sources["series"], "saliency", 0)
    assert np.array_equal(seen[0], 2 * np.floor(blob(SIZE, (5, 3, 6)) / 2))
    assert explanation.size == (8, 6, 10)
    assert explanation.scan is not None
    assert explanation.scan.affine is None, "nobody knows where a function put its voxels"
    for wrong in (lambda values: values, lambda values: 1 / 0):
        with pytest.raises(UsageError, match="the preprocess of"):
            seewhy.explain(seewhy.wrap(net, preprocess=wrong), sources["series"], "saliency", 0)


def test_what_does_not_fit_is_one_line(net: Dense, sources: dict[str, Path], tmp_path: Path) -> None:
    flat = seewhy.wrap(nn.Sequential(nn.Conv2d(3, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()), preprocess="unit")
    with pytest.raises(
        UsageError, match=r"a volume of 8 slices of 12 x 10, and Sequential takes pictures: give one slice"
    ):
        seewhy.explain(flat, sources["nifti"], "saliency", 0)
    assert seewhy.explain(flat, f"{sources['nifti']}#3", "saliency", 0).name == "scan.nii.gz#3"
    deep = seewhy.wrap(net, preprocess="unit")
    Image.new("RGB", (20, 20)).save(tmp_path / "a.png")
    write_dicom(tmp_path / "a.dcm", np.zeros((8, 8), dtype=np.int16))
    for picture in (tmp_path / "a.png", tmp_path / "a.dcm", np.zeros((9, 9, 3), dtype=np.uint8)):
        with pytest.raises(UsageError, match=r"is one picture, and Dense takes inputs \[D, H, W\]: give a NIfTI file"):
            seewhy.explain(deep, picture, "saliency", 0)
    with pytest.raises(UsageError, match="nothing says how a volume becomes an input"):
        seewhy.explain(net, sources["nifti"], "saliency", 0)
    pictures = seewhy.wrap(net, preprocess=seewhy.Preprocess(mean=(0.0,), std=(1.0,), channels=1))
    with pytest.raises(UsageError, match="and the preprocessing is for pictures: --size 32x64x64"):
        seewhy.explain(pictures, sources["nifti"], "saliency", 0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ImageError, match="it is a folder; give one picture file"):
        seewhy.explain(flat, tmp_path / "empty", "saliency", 0)


@pytest.mark.parametrize(("axes", "named"), [("BCTHW", "BCDHW"), ("BCXYZ", "BCDHW"), ("BCHWT", "BCHWD")])
def test_slices_are_not_taken_for_frames(net: Dense, sources: dict[str, Path], axes: str, named: str) -> None:
    """Where the caller's axes are none of a volume's, nothing says which of them its slices are."""
    with pytest.raises(UsageError, match=rf"is a volume, \[D, H, W\], and .*, axes='{axes}': .* as in axes='{named}'"):
        seewhy.explain(seewhy.wrap(net, preprocess="unit", axes=axes), sources["nifti"], "saliency", 0)
    model = seewhy.wrap(net, preprocess="unit", axes=named)
    depth, height, width = SIZE
    sides = {"D": depth, "H": height, "W": width}
    assert seewhy.explain(model, sources["nifti"], "saliency", 0).size == tuple(sides[letter] for letter in named[2:])


def test_what_is_not_installed_is_named(
    net: Dense, sources: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = seewhy.wrap(net, preprocess="unit")
    explanation = seewhy.explain(model, sources["nifti"], "saliency", 0)
    picture = write_dicom(tmp_path / "a.dcm", np.zeros((8, 8), dtype=np.int16))
    for package in ("pydicom", "nibabel"):
        monkeypatch.setitem(sys.modules, package, None)
    for package, asked in (
        ("pydicom", lambda: seewhy.explain(model, sources["series"], "saliency", 0)),
        ("pydicom", lambda: seewhy.explain("builtin", picture, "saliency", 0)),
        ("nibabel", lambda: seewhy.explain(model, sources["nifti"], "saliency", 0)),
        ("nibabel", lambda: explanation.save(tmp_path / "map.nii.gz")),
    ):
        with pytest.raises(UsageError, match=rf"takes {package}: pip install 'seewhy\[medical\]'"):
            asked()


def test_several_volumes_and_noisy_ones(net: Dense, sources: dict[str, Path], tmp_path: Path) -> None:
    model = seewhy.wrap(net, preprocess="unit")
    both = seewhy.explain_all(model, [sources["series"], sources["nifti"]], ["saliency", "grad-cam"], 0)
    assert [one.name for one in both] == ["series", "series", "scan.nii.gz", "scan.nii.gz"]
    assert len(both.save(tmp_path / "numbers", suffix=".nii.gz")) == 5, "a file for each, and the grid"
    noisy = seewhy.explain(model, sources["series"], "saliency", 0, noise=seewhy.Noise(n=4))
    assert noisy.scan is not None
    assert noisy.volume.shape == SIZE
