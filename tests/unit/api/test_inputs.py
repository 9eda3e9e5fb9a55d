"""Inputs as a network has them: several explained at once, other orders of axes, rows, one sample at a time; every number
against the network run by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy.errors import CapabilityError, UnknownName, UsageError


class Both(nn.Module):
    """A row of features, a picture and a number."""

    def __init__(self) -> None:
        super().__init__()
        self.row, self.picture, self.out = nn.Linear(3, 4), nn.Conv2d(2, 4, 3), nn.Linear(4, 2)

    def forward(self, row: Tensor, picture: Tensor, scale: float = 1.0) -> Tensor:
        hidden = torch.tanh(self.row(row)) + self.picture(picture).relu().mean((2, 3))
        return self.out(scale * hidden)


@pytest.fixture
def net() -> Any:
    torch.manual_seed(0)
    return Both().eval().double()


AXES = {"row": "BF", "picture": "BCHW"}
ROWS = torch.randn(2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
PICTURES = torch.randn(2, 2, 5, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
IMAGE = {"row": ROWS, "picture": PICTURES}


def both(net: nn.Module, **more: Any) -> seewhy.Model:
    return seewhy.wrap(net, explained=("row", "picture"), axes=AXES, **more)


@pytest.mark.parametrize("prepare", [False, True, "verify"])
def test_gradients_of_several_inputs(net: Any, prepare: Any) -> None:
    leaves = [ROWS.clone().requires_grad_(), PICTURES.clone().requires_grad_()]
    gradients = torch.autograd.grad(net(*leaves, 2.0)[:, 1].sum(), leaves)
    model = both(net, inputs={"scale": 2.0})
    maps = seewhy.explain_all(model, IMAGE, method="saliency", target=1, reduce="none", prepare=prepare)
    for n, explanation in enumerate(maps):
        np.testing.assert_allclose(explanation.part("row").values, gradients[0][n], rtol=1e-6)
        np.testing.assert_allclose(explanation.part("picture").values, gradients[1][n], rtol=1e-6)
        assert explanation.part("picture").size == (5, 5)
        assert explanation.inputs == {"row": (1, 3), "picture": (2, 5, 5)}


def test_channels_of_one_part_are_reduced_and_its_map_is_drawn(net: Any) -> None:
    first = {name: value[:1] for name, value in IMAGE.items()}
    whole = seewhy.explain(both(net), first, method="saliency", target=1, reduce="none")
    for how, reduced in {
        "max-abs": lambda v: np.abs(v).max(0),
        "sum": lambda v: v.sum(0),
        "l2": lambda v: np.sqrt((v**2).sum(0)),
        "sum-abs": lambda v: np.abs(v).sum(0),
    }.items():
        found = seewhy.explain(both(net), first, method="saliency", target=1, reduce=how)
        np.testing.assert_allclose(found.part("picture").values, reduced(whole.part("picture").values), rtol=1e-12)
    assert whole.part("picture").heatmap().size[0] > 0
    with pytest.raises(UsageError, match=r"\.part\(name\) is of one, of 'row', 'picture'"):
        _ = whole.map
    with pytest.raises(UnknownName, match="nearest: 'picture'"):
        whole.part("pictur")


def test_integrated_gradients_of_several_inputs_are_complete(net: Any) -> None:
    baseline = {"row": torch.full((3,), 0.5), "picture": PICTURES.flip(0)}
    maps = seewhy.explain_all(both(net), IMAGE, method="integrated-gradients", target=0, baseline=baseline)
    start = net(torch.full((2, 3), 0.5, dtype=torch.float64), PICTURES.flip(0))[:, 0]
    for n, explanation in enumerate(maps):
        rise = (net(ROWS, PICTURES)[n, 0] - start[n]).item()
        parts = sum(explanation.part(name).values.sum() for name in ("row", "picture"))
        assert parts == pytest.approx(rise, rel=0.02)
        assert parts == pytest.approx(explanation.values.sum())


def test_pieces_run_through_several_inputs(net: Any) -> None:
    segments = {"row": torch.tensor([0, 0, 1]), "picture": torch.ones(2, 5, 5).long()}
    segments["picture"][1] = 2
    maps = seewhy.explain_all(
        both(net), IMAGE, method="feature-ablation", target=1, segments=segments, fill={"row": 1.0, "picture": 0.0}
    )
    score = net(ROWS, PICTURES)[:, 1]
    for n, explanation in enumerate(maps):
        for piece in range(3):
            row, picture = ROWS.clone(), PICTURES.clone()
            row[:, segments["row"] == piece] = 1
            picture[:, segments["picture"] == piece] = 0
            drop = (score - net(row, picture)[:, 1])[n].item()
            for name in ("row", "picture"):
                values = explanation.part(name).values[segments[name] == piece]
                np.testing.assert_allclose(values, drop, rtol=1e-9, atol=1e-12)


class Watched(Both):
    """Keeps the pictures and the rows that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: dict[str, list[Tensor]] = {"row": [], "picture": []}

    def forward(self, row: Tensor, picture: Tensor, scale: float = 1.0) -> Tensor:
        self.given["row"].append(row.detach().clone())
        self.given["picture"].append(picture.detach().clone())
        return super().forward(row, picture, scale)


#: numbers of other sizes: an age beside a picture
UNLIKE = {"row": 100 * ROWS[:1], "picture": PICTURES[:1]}


@pytest.mark.parametrize(
    "words",
    [
        {"method": "smooth-grad", "n": 400, "sigma": 0.1, "tolerance": 0},
        {"method": "saliency", "noise": seewhy.Noise(n=400, sigma=0.1, tolerance=0)},
    ],
)
def test_noise_is_a_share_of_the_range_of_each_input(words: dict[str, Any]) -> None:
    net = Watched().eval().double()
    seewhy.explain(both(net), UNLIKE, target=1, prepare=False, **words)
    for name, value in UNLIKE.items():
        assert spread_of(net.given[name], value) == pytest.approx(0.1 * (value.max() - value.min()).item(), rel=0.2)


def spread_of(given: list[Tensor], value: Tensor) -> float:
    """The standard deviation of noise, by the median of its size: a few forwards are asked for by checks."""
    noise = (torch.cat(given) - value).flatten(1)
    return noise[noise.any(1)].abs().median().item() / 0.6745


@pytest.mark.parametrize("method", ["expected-gradients", "deep-shap"])
def test_noise_to_compare_with_stays_in_the_bounds_of_each_input(method: str) -> None:
    net = Watched().eval().double()
    seewhy.explain(both(net), UNLIKE, method=method, target=1, n=16, prepare=False)
    for name, value in UNLIKE.items():
        given, margin = torch.cat(net.given[name]), 0.01 * (value.max() - value.min())
        inside = (given >= value.min() - margin) & (given <= value.max() + margin)
        assert inside.double().mean() > 0.9  # a few forwards are asked for by checks


def test_the_noise_of_gradient_shap_is_a_share_of_the_range_of_each_input() -> None:
    net = Watched().eval().double()
    words: dict[str, Any] = {"n": 400, "sigma": 0.1, "tolerance": 0, "references": UNLIKE}
    seewhy.explain(both(net), UNLIKE, method="expected-gradients", target=1, prepare=False, **words)
    away = spread_of(net.given["picture"], UNLIKE["picture"])
    assert away < 0.1 * (UNLIKE["picture"].max() - UNLIKE["picture"].min()).item()  # a part of the way to it


def test_references_are_mappings_one_or_several(net: Any) -> None:
    words: dict[str, Any] = {"method": "deep-shap", "target": 1}
    each = [{name: value[n : n + 1] for name, value in IMAGE.items()} for n in range(2)]
    for one, other in zip(
        seewhy.explain_all(both(net), IMAGE, references=IMAGE, **words),
        seewhy.explain_all(both(net), IMAGE, references=each, **words),
        strict=True,
    ):
        np.testing.assert_allclose(one.values, other.values, rtol=1e-9)
    for references in ({"row": ROWS}, [each[0], {"row": ROWS[:1]}]):
        with pytest.raises(UsageError, match="references= says nothing of 'picture'"):
            seewhy.explain_all(both(net), IMAGE, references=references, **words)


@pytest.mark.parametrize("word", ["mean", "blur"])
def test_a_baseline_in_a_word_is_made_of_each_input(net: Any, word: str) -> None:
    words: dict[str, Any] = {"method": "integrated-gradients", "target": 1, "rule": "gauss-legendre", "steps": 8}
    found = seewhy.explain_all(both(net), IMAGE, baseline=word, **words)
    by_name = seewhy.explain_all(both(net), IMAGE, baseline={"row": word, "picture": word}, **words)
    for one, other in zip(found, by_name, strict=True):
        np.testing.assert_allclose(one.values, other.values, rtol=1e-9)


@pytest.mark.parametrize("segments", [None, "grid", {"row": "grid", "picture": "grid"}])
def test_pieces_in_a_word_are_of_one_input(net: Any, segments: Any) -> None:
    if segments is None:
        pytest.importorskip("skimage")
    words: dict[str, Any] = {"method": "feature-ablation", "target": 1, "fill": 0.0, "segments": segments}
    found = seewhy.explain_all(both(net), IMAGE, **words)
    score = net(ROWS, PICTURES)[:, 1]
    for n, explanation in enumerate(found):
        for number in range(3):
            row = ROWS.clone()
            row[:, number] = 0
            drop = (score - net(row, PICTURES)[:, 1])[n].item()
            assert explanation.part("row").values[number] == pytest.approx(drop, rel=1e-9)
    with pytest.raises(CapabilityError, match="blur-ig looks at the places of one picture"):
        seewhy.explain_all(both(net), IMAGE, method="blur-ig", target=1)


class Pooled(nn.Module):
    """A mean over all that is no channel, and a row."""

    def __init__(self, convolution: nn.Module) -> None:
        super().__init__()
        self.convolution, self.row = convolution, nn.Linear(3, 4)

    def forward(self, seen: Tensor, row: Tensor) -> Tensor:
        frames = isinstance(self.convolution, nn.Conv2d)
        hidden = self.convolution(seen.flatten(0, 1) if frames else seen).relu().flatten(2).mean(2)
        out: Tensor = (hidden.unflatten(0, (len(seen), -1)).mean(1) if frames else hidden) + self.row(row)
        return out


def test_a_volume_beside_a_row_lies_where_its_file_lies(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    values = np.random.default_rng(0).random((5, 6, 7)).astype(np.float32)
    affine = np.array([[-1.0, 0, 0, 40], [0, 1.5, 0, -30], [0, 0, 2.5, 10], [0, 0, 0, 1]])
    nibabel.save(nibabel.Nifti1Image(values, affine), tmp_path / "scan.nii.gz")
    look = seewhy.Preprocess(None, None, mean=(0.0,), std=(1.0,), channels=1, values="raw")
    words: dict[str, Any] = {"method": "saliency", "target": 1}
    row, net = ROWS[:1].float(), Pooled(nn.Conv3d(1, 4, 3))
    axes = {"seen": "BCDHW", "row": "BF"}
    model = seewhy.wrap(net, explained=("seen", "row"), axes=axes, preprocess=look)
    found = seewhy.explain(model, {"seen": tmp_path / "scan.nii.gz", "row": row}, **words)
    again = seewhy.Explanation.load(found.save(tmp_path / "found.npz"))
    of_one = seewhy.wrap(net, inputs={"row": row}, axes="BCDHW", preprocess=look)
    alone = seewhy.explain(of_one, tmp_path / "scan.nii.gz", **words)
    expected = nibabel.load(alone.save(tmp_path / "alone.nii.gz"))
    for n, one in enumerate((found, again)):
        made = nibabel.load(one.part("seen").save(tmp_path / f"{n}.nii.gz"))
        np.testing.assert_allclose(made.affine, expected.affine)
        np.testing.assert_allclose(made.get_fdata(), expected.get_fdata(), rtol=1e-5, atol=1e-9)
        one.part("seen").save(tmp_path / f"{n}.png")


def test_a_video_beside_a_row_has_its_frames(tmp_path: Path) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (4, 12, 12, 3), dtype=np.uint8)
    look, axes = seewhy.Preprocess(size=(12, 12), resize=None), {"seen": "BTCHW", "row": "BF"}
    model = seewhy.wrap(Pooled(nn.Conv2d(3, 4, 3)), explained=("seen", "row"), axes=axes, preprocess=look)
    found = seewhy.explain(model, {"seen": frames, "row": ROWS[:1].float()}, method="saliency", target=1)
    again = seewhy.Explanation.load(found.save(tmp_path / "found.npz"))
    for n, one in enumerate((found, again)):
        part = one.part("seen")
        np.testing.assert_array_equal(part.frames, frames)
        assert part.frame(2).values.shape == (12, 12)
        part.save(tmp_path / f"{n}.gif")
    assert found.part("row").frames is None


def test_several_inputs_are_saved_with_their_names(net: Any, tmp_path: Path) -> None:
    found = seewhy.explain(both(net), {n: v[:1] for n, v in IMAGE.items()}, method="saliency", target=1)
    again = seewhy.Explanation.load(found.save(tmp_path / "both.npz"))
    np.testing.assert_array_equal(again.part("picture").values, found.part("picture").values)
    assert found.to_dict()["inputs"] == {"row": [1, 3], "picture": [2, 5, 5]}


def test_a_pair_of_photos(tmp_path: Path) -> None:
    """Both photos of a pair, each drawn on itself."""

    class Pair(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.back = nn.Conv2d(3, 4, 3)

        def forward(self, left: Tensor, right: Tensor) -> Tensor:
            return self.back(left).relu().mean((2, 3)) - self.back(right).relu().mean((2, 3))

    torch.manual_seed(0)
    preprocess = seewhy.Preprocess(size=(32, 32), resize=None)
    model = seewhy.wrap(Pair().eval(), explained=("left", "right"), preprocess=preprocess)
    chelsea = Path(seewhy.__file__).parent / "photos" / "chelsea.png"
    coffee = chelsea.with_name("coffee.png")
    found = seewhy.explain(model, {"left": chelsea, "right": coffee}, method="saliency", target=0)
    left, right = found.part("left"), found.part("right")
    assert left.image is not None
    assert right.image is not None
    assert not np.array_equal(left.image, right.image)
    assert left.values.shape == (32, 32)
    left.save(tmp_path / "left.png")
    again = seewhy.Explanation.load(found.save(tmp_path / "both.npz"))
    np.testing.assert_array_equal(again.part("right").image, right.image)
    words: dict[str, Any] = {"method": "integrated-gradients", "target": 0}
    photos = {"left": chelsea, "right": coffee}
    black = seewhy.explain(model, photos, baseline="black", **words)  # as for one photo, where nobody says
    assert black.provenance["baseline"] == "black"
    np.testing.assert_array_equal(seewhy.explain(model, photos, **words).values, black.values)
    by_name = seewhy.explain(model, photos, baseline={"left": "black"}, **words)
    np.testing.assert_allclose(by_name.values, black.values, rtol=1e-6)


@pytest.mark.parametrize("prepare", [False, True])
def test_rows_of_features(prepare: Any) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3)).eval().double()
    model, x = seewhy.wrap(net, axes="BF"), torch.randn(3, 5, dtype=torch.float64)
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(net(leaf)[:, 2].sum(), leaf)
    maps = seewhy.explain_all(
        model, x, method=["saliency", "feature-ablation", "occlusion"], target=2, reduce="sum",
        segments=torch.arange(5), fill=0.0, window=2, stride=1, prepare=prepare,
    )  # fmt: skip
    for n in range(3):
        saliency, ablation, occlusion = maps[3 * n : 3 * n + 3]
        np.testing.assert_allclose(saliency.values, gradient[n], rtol=1e-5)
        drops = [(net(x)[n, 2] - net(x * (torch.arange(5) != k))[n, 2]).item() for k in range(5)]
        np.testing.assert_allclose(ablation.values, drops, rtol=1e-4, atol=1e-6)
        sums, counts = np.zeros(5), np.zeros(5)
        for k in range(4):
            hidden = x.clone()
            hidden[:, k : k + 2] = 0
            sums[k : k + 2] += (net(x)[n, 2] - net(hidden)[n, 2]).item()
            counts[k : k + 2] += 1
        np.testing.assert_allclose(occlusion.values, sums / counts, rtol=1e-4, atol=1e-6)


def test_one_number_a_sample() -> None:
    net = nn.Sequential(nn.Unflatten(0, (-1, 1)), nn.Linear(1, 2)).eval()
    found = seewhy.explain_all(
        seewhy.wrap(net, axes="B"), torch.tensor([1.0, 2.0]), method="input-x-gradient", target=1
    )
    weight = net[1].weight[1, 0].item()
    assert [float(one.values[0]) for one in found] == pytest.approx([weight, 2 * weight])


@pytest.mark.parametrize("axes", ["BHWC", "HWBC", "BWCH"])
def test_axes_in_any_order(axes: str) -> None:
    torch.manual_seed(0)
    plain = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 6 * 4, 2)).eval()

    class Turned(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.plain = plain

        def forward(self, x: Tensor) -> Tensor:
            return self.plain(x.permute([axes.index(letter) for letter in "BCHW"]))

    x = torch.randn(2, 3, 8, 6)
    own = x.permute(["BCHW".index(letter) for letter in axes])
    model = seewhy.wrap(Turned(), axes=axes)
    layers = {"method": ["saliency", "grad-cam"], "target": 1, "reduce": "sum"}
    found = seewhy.explain_all(model, own, layer="plain.1", **layers)
    expected = seewhy.explain_all(plain, x, layer="1", **layers)
    positions = [letter for letter in axes if letter in "HW"]
    for one, other in zip(found, expected, strict=True):
        values = other.values if positions == ["H", "W"] else other.values.T
        np.testing.assert_allclose(one.values, values, rtol=1e-4, atol=1e-6)
        assert one.status.code == other.status.code


@pytest.mark.parametrize("axes", ["BCHW", "BHWC", "CHW"])
def test_pictures_are_taken_whatever_the_order_of_the_axes(axes: str) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    turned = {"BCHW": lambda x: x, "BHWC": lambda x: x.permute(0, 3, 1, 2), "CHW": lambda x: x[None]}[axes]
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    words: dict[str, Any] = {"preprocess": seewhy.Preprocess(size=(8, 12))}
    model = seewhy.wrap(Turned(net, turned, axes == "CHW"), axes=axes, **words)
    for image in (pixels, np.stack([pixels, pixels])):
        found = seewhy.explain_all(model, image, method="saliency", target=1)
        plain = seewhy.explain_all(seewhy.wrap(net, **words), image, method="saliency", target=1)
        assert len(found) == len(plain)
        np.testing.assert_allclose(found[-1].values, plain[-1].values, rtol=1e-5, atol=1e-9)


class Turned(nn.Module):
    """A network of pictures that lie otherwise, one at a time if it is ``alone``."""

    def __init__(self, net: nn.Module, turned: Any, alone: bool) -> None:
        super().__init__()
        self.net, self.turned, self.alone = net, turned, alone

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.net(self.turned(x))
        return out[0] if self.alone else out


@pytest.mark.parametrize(
    ("axes", "words"), [("BCWH", r"takes inputs of \[W, H\]"), ("BTCHW", r"frames as a uint8 array \[T, H, W, 3\]")]
)
def test_a_picture_for_inputs_that_are_none_is_told_what_they_are(axes: str, words: str) -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    model = seewhy.wrap(net, axes=axes, preprocess=seewhy.Preprocess(size=(8, 8)))
    photo = Path(seewhy.__file__).parent / "photos" / "chelsea.png"
    with pytest.raises(UsageError, match=words):
        seewhy.explain(model, photo, method="saliency", target=1)


def test_a_network_that_takes_one_sample_at_a_time() -> None:
    """It never sees a batch, whatever is asked."""

    class Alone(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(12, 2)

        def forward(self, x: Tensor) -> Tensor:
            assert x.shape == (3, 2, 2)
            return torch.tanh(self.out(x.flatten()))

    net, x = Alone().eval(), torch.randn(2, 3, 2, 2)
    maps = seewhy.explain_all(
        seewhy.wrap(net, axes="CHW"), x, method=["saliency", "occlusion"], target=1, reduce="none", window=1, stride=1,
        fill=0.0, prepare=True,
    )  # fmt: skip
    for n in range(2):
        leaf = x[n].clone().requires_grad_()
        (gradient,) = torch.autograd.grad(net(leaf)[1], leaf)
        np.testing.assert_allclose(maps[2 * n].values, gradient, rtol=1e-5)
        hidden = x[n].clone()
        hidden[:, 1, 0] = 0
        assert maps[2 * n + 1].values[1, 0] == pytest.approx((net(x[n])[1] - net(hidden)[1]).item(), abs=1e-6)
        assert "one sample at a time" in " ".join(maps[2 * n].notes)


def test_one_answer_for_a_whole_batch() -> None:
    """What some call a batch is then an axis like any other."""

    def loss(rows: Tensor) -> Tensor:
        return (rows.sum(1) ** 2).sum()

    x = torch.tensor([[1.0, 2.0], [3.0, -1.0]])
    model = seewhy.wrap(loss, axes="NF", differentiable=True)
    found = seewhy.explain(model, x, method="saliency", reduce="sum")
    np.testing.assert_allclose(found.values, 2 * x.sum(1, keepdim=True).expand(2, 2))
    assert found.score == 13
    ablation = seewhy.explain(model, x, method="feature-ablation", segments=[[0, 1], [2, 3]], fill=0.0)
    np.testing.assert_allclose(ablation.values, [[5, 8], [3, -5]])


def test_functions_that_torch_differentiates() -> None:
    def scores(x: Tensor) -> Tensor:
        return torch.stack([x.square().sum((1, 2, 3)), x.sum((1, 2, 3))], 1)

    x = torch.randn(1, 3, 4, 4)
    with pytest.raises(CapabilityError, match="a callable has scores only"):
        seewhy.explain(scores, x, method="saliency")
    found = seewhy.explain(seewhy.wrap(scores, differentiable=True), x, method="saliency", target=0, reduce="none")
    np.testing.assert_allclose(found.values, 2 * x[0], rtol=1e-6)


CASES: dict[str, tuple[dict[str, Any], Any, str]] = {
    "a letter twice": ({"axes": "BCC"}, None, r"none of them twice"),
    "small letters": ({"axes": "bchw"}, None, r"one capital letter for each axis"),
    "no positions": ({"axes": "BC"}, None, r"rows of features: axes='BF'"),
    "held and explained": ({"explained": "row", "inputs": {"row": 1}}, None, r"'row' is held by inputs= and to be"),
    "none left": ({"explained": "row"}, None, r"cannot do without picture: hold what is not explained"),
    "no such input": ({"explained": ("row", "pictures")}, None, r"nearest: 'picture'"),
    "axes of another": ({"explained": ("row", "picture"), "axes": {"scale": "B"}}, None, r"axes= names 'scale'"),
    "one with a batch": ({"explained": ("row", "picture"), "axes": {"row": "F"}}, None, r"or none of them has"),
    "no mapping": ({"explained": ("row", "picture"), "axes": AXES}, ROWS, r"an image is \{'row': \.\.\., 'picture'"),
    "one missing": ({"explained": ("row", "picture"), "axes": AXES}, {"row": ROWS}, r"'picture' is to be explained, too"),
    "one too many": ({"explained": ("row", "picture"), "axes": AXES}, IMAGE | {"x": 1}, r"the image names 'x'"),
    "other numbers": (
        {"explained": ("row", "picture"), "axes": AXES}, IMAGE | {"row": ROWS[:1]}, r"1 for 'row', 2 for 'picture'",
    ),
    "other axes": ({"explained": "row", "inputs": {"picture": PICTURES}, "axes": "BF"}, PICTURES, r"takes \[F\] or"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_is_said_in_a_line(net: Any, case: str) -> None:
    words, image, message = CASES[case]
    with pytest.raises(UsageError, match=message) as raised:
        seewhy.explain_all(seewhy.wrap(net, **words), IMAGE if image is None else image, method="saliency", target=0)
    assert "\n" not in str(raised.value)


def test_places_of_one_picture_are_not_looked_for_in_several_inputs(net: Any) -> None:
    with pytest.raises(CapabilityError, match="occlusion looks at the places of one picture, and 2 inputs"):
        seewhy.explain_all(both(net), IMAGE, method="occlusion", target=0)
    with pytest.raises(UsageError, match="explained at once, which explain and explain_all can"):
        seewhy.feature_maps(both(net), IMAGE)


def test_channels_that_contradict_the_first_layer() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.LazyLinear(2))
    net(torch.zeros(1, 3, 8, 6))
    with pytest.raises(UsageError, match="has 8 channels; the first layer of this model takes 3"):
        seewhy.explain(seewhy.wrap(net, axes="BHCW"), torch.randn(1, 3, 8, 6), method="saliency")


class _Two(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.back, self.out = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return self.out(self.back(left).relu().mean((2, 3)) - right.mean((2, 3)).sum(1, keepdim=True))


def test_layers_of_a_network_of_which_several_inputs_are_explained() -> None:
    """Their shapes, of what is given for each by name; without that one line, from whatever makes inputs up."""
    model = seewhy.wrap(_Two().eval(), explained=("left", "right"))
    x = {"left": torch.rand(1, 3, 8, 8), "right": torch.rand(1, 3, 8, 8)}
    listed = seewhy.layers(model, x)
    seen: dict[str, tuple[int, ...]] = {}
    for name, part in model.module.named_modules():
        if name:
            part.register_forward_hook(lambda part, args, out, name=name: seen.update({name: tuple(out.shape)}))
    model.module(**x)
    assert {each.name: each.shape for each in listed if each.shape is not None} == seen
    assert not any(each.chosen for each in listed)
    with pytest.raises(UsageError, match=r"none is given: seewhy.layers\(model, {'left': ..., 'right': ...}\)"):
        seewhy.layers(model)
    for call in (lambda: seewhy.diagnose(model), lambda: seewhy.maximise(model, 1)):
        with pytest.raises(UsageError, match=r"'left' and 'right' are explained at once.*hold all but one"):
            call()
