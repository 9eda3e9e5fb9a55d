"""Where a classifier draws its lines: places, regions and mistakes, against the network's own layers run by hand."""

from __future__ import annotations

import csv
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import seewhy
from exports import save_onnx, small
from seewhy.errors import CapabilityError, TargetError, UnknownName, UsageError
from seewhy.metrics import principal_plane, voted
from seewhy.models import Preprocess


def _net(features: int = 6, classes: int = 3) -> nn.Sequential:
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        body = (nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, features), nn.ReLU())
        return nn.Sequential(*body, nn.Linear(features, classes), nn.Softmax(1)).eval()


def _inputs(count: int = 40) -> tuple[Tensor, list[int]]:
    x = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(2)) * 2
    return x, [n % 3 for n in range(count)]


@pytest.mark.parametrize("shape", [(50, 4), (5, 30), (4, 4)])
def test_a_plane_is_that_of_the_largest_eigenvalues_of_the_covariance(shape: tuple[int, int]) -> None:
    rows = np.random.default_rng(0).normal(size=shape) * np.linspace(3, 0.5, shape[1]) + 7
    found = principal_plane(rows)
    values, vectors = np.linalg.eigh(np.cov(rows.T))
    assert found.shares == pytest.approx((values[-1] / values.sum(), values[-2] / values.sum()))
    for axis, vector in zip(found.axes, vectors.T[::-1][:2], strict=True):
        assert abs(axis @ vector) == pytest.approx(1)
        assert axis[np.abs(axis).argmax()] > 0
    assert found.back(np.zeros((1, 2)))[0] == pytest.approx(rows.mean(0))
    there = np.array([[1.0, -2], [0.5, 3]])
    assert found.place(found.back(there)) == pytest.approx(there)


def test_a_plane_without_a_second_direction() -> None:
    found = principal_plane(np.outer([1.0, 2, 4], [3.0, 4]))
    assert found.shares == (pytest.approx(1), 0)
    assert not found.axes[1].any()
    assert principal_plane(np.full((3, 2), 0.1)).shares == (0, 0)
    assert principal_plane(np.array([[1.0], [2]])).place(np.array([[2.0]])).tolist() == [[0.5, 0]]
    with pytest.raises(UsageError, match="finite"):
        principal_plane(np.array([[np.nan, 1]]))


def test_votes_by_hand() -> None:
    rng = np.random.default_rng(3)
    known, answers, points = rng.normal(size=(30, 2)), rng.integers(0, 3, 30), rng.normal(size=(50, 2))
    found = voted(points, known, answers)
    for point, said in zip(points, found, strict=True):
        order = sorted(range(30), key=lambda n: float(np.hypot(*(known[n] - point))))[:5]
        near = [int(answers[n]) for n in order]
        most = max(near.count(one) for one in near)
        assert said == next(one for one in near if near.count(one) == most)


def test_places_and_regions_are_those_of_the_networks_own_layers() -> None:
    net, (x, truths) = _net(), _inputs()
    found = seewhy.boundary(net, x, truths)
    with torch.no_grad():
        features, shares = net[:5](x).double().numpy(), net(x).double().numpy()
    centred = features - features.mean(0)
    _, vectors = np.linalg.eigh(centred.T @ centred)
    axes = vectors.T[::-1][:2]
    axes *= np.sign(axes[np.arange(2), np.abs(axes).argmax(1)])[:, None]
    assert found.points == pytest.approx(centred @ axes.T, abs=1e-5)
    assert found.answers.tolist() == shares.argmax(1).tolist()
    assert found.probabilities == pytest.approx(shares.max(1), abs=1e-6)
    assert found.wrong.tolist() == (shares.argmax(1) != np.array(truths)).tolist()
    assert (found.region_rule, found.features, found.notes) == ("head", 6, ())
    places = np.random.default_rng(4).uniform(-2, 2, (500, 2))
    with torch.no_grad():  # the layer itself, on what stands there
        said = net[5](torch.from_numpy(features.mean(0) + places @ axes).float()).argmax(1).numpy()
    assert (found.called(places) == said).mean() > 0.995  # rounding, on the lines
    assert len(np.unique(said)) > 1
    own = net[5](torch.from_numpy(features.mean(0) + found.points @ axes).float()).argmax(1).numpy()
    assert found.agreement == pytest.approx((own == shares.argmax(1)).mean())


def test_the_surest_mistakes_come_first() -> None:
    net, (x, truths) = _net(), _inputs()
    found = seewhy.boundary(net, x, truths, worst=4)
    sure = np.where(found.wrong, found.probabilities, -1)
    assert [tile.index for tile in found.worst] == np.argsort(-sure, kind="stable")[:4].tolist()
    assert found.worst[0].value == pytest.approx(sure.max())
    assert found.worst[0].title[0] == f"shows class {truths[int(found.worst[0].index or 0)]}"
    assert seewhy.boundary(net, x, truths, worst=0).worst == ()


class _Functional(nn.Module):
    """A head that is no module, after it a ``temperature``."""

    def __init__(self, temperature: float = 1.0, convolution: bool = False) -> None:
        super().__init__()
        self.body, self.temperature, self.convolution = _net()[:5], temperature, convolution
        self.conv = nn.Conv2d(3, 3, 3)
        self.weight = nn.Parameter(torch.linspace(-1, 1, 18).view(3, 6))

    def forward(self, x: Tensor) -> Tensor:
        if self.convolution:
            return self.conv(x).mean((2, 3))
        scores = F.linear(self.body(x), self.weight)
        return scores if self.temperature == 1 else scores / self.temperature


def test_a_functional_head_is_one_and_scaled_scores_are_none() -> None:
    x, truths = _inputs()
    assert seewhy.boundary(_Functional(), x, truths).region_rule == "head"
    scaled = seewhy.boundary(_Functional(2.0), x, truths)
    assert (scaled.region_rule, scaled.features) == ("neighbours", 6)
    assert "do not come out of the last linear layer" in scaled.notes[0]
    assert scaled.called(scaled.points[:3]).tolist() == voted(scaled.points[:3], scaled.points, scaled.answers).tolist()
    assert seewhy.boundary(_Functional(), x, truths, regions="neighbours").region_rule == "neighbours"


def test_without_a_linear_layer_one_is_named() -> None:
    x, truths = _inputs()
    net = _Functional(convolution=True)
    with pytest.raises(CapabilityError, match=r"no linear layer.*layer='conv'"):
        seewhy.boundary(net, x, truths)
    found = seewhy.boundary(net, x, truths, layer="conv")
    with torch.no_grad():
        features = net.conv(x).mean((2, 3)).double().numpy()
    plane = principal_plane(features)
    assert found.points == pytest.approx(plane.place(features), abs=1e-5)
    assert (found.region_rule, found.features) == ("neighbours", 3)
    assert seewhy.boundary(net, x, truths, layer=net.conv).points == pytest.approx(found.points)
    with pytest.raises(UnknownName, match="nearest: 'conv'"):
        seewhy.boundary(net, x, truths, layer="cnov")


def test_photos_the_model_gives_nan_to_are_named() -> None:
    x, truths = _inputs(6)
    x[2] = float("nan")
    found = seewhy.boundary(_net(), x, truths)
    assert len(found) == 5
    assert "NaN" in found.failed[0]
    with pytest.raises(UsageError, match="none of the 1 photos finite"):
        seewhy.boundary(_net(), x[2:3], [0])


def test_a_folder_with_its_files(tmp_path: Path) -> None:
    for n, colour in enumerate([(220, 10, 10), (10, 220, 10), (10, 10, 220), (200, 40, 0), (0, 40, 200)]):
        path = tmp_path / "photos" / ("red", "green", "blue", "green", "blue")[n] / f"{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), colour).save(path)
    (tmp_path / "photos" / "red" / "broken.png").write_bytes(b"nothing")
    pixels = Preprocess((8, 8), None, "squash", (0.0,) * 3, (1.0,) * 3)
    model = seewhy.wrap(_net(), preprocess=pixels, labels=["red", "green", "blue"])
    found = seewhy.boundary(model, tmp_path / "photos")
    assert len(found) == 5
    assert "broken.png" in found.failed[0]
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert [point["right"] for point in document["points"]] == (~found.wrong).tolist()
    assert document["variance"] == pytest.approx(list(found.shares or ()))
    rows = list(csv.DictReader(found.save(tmp_path / "points.csv").read_text().splitlines()))
    assert [Path(row["image"]).name for row in rows] == ["2.png", "4.png", "1.png", "3.png", "0.png"]
    assert float(rows[0]["x"]) == pytest.approx(found.points[0, 0])
    with pytest.raises(UsageError, match=r"\.svg.*\.csv"):
        found.save(tmp_path / "points.txt")
    pytest.importorskip("matplotlib")
    drawn = found.save(tmp_path / "a.svg").read_text()
    assert "principal component 1" in drawn
    assert "called otherwise" in drawn
    again = seewhy.boundary(model, tmp_path / "photos").save(tmp_path / "b.svg").read_text()
    assert again == drawn
    with Image.open(found.save(tmp_path / "a.png")) as picture:
        assert picture.size[0] > 800


def test_rings_are_where_the_mistakes_are() -> None:
    pytest.importorskip("matplotlib")
    x, truths = _inputs()
    found = seewhy.boundary(_net(), x, truths)
    points, rings = found._figure().axes[0].collections
    assert np.array(points.get_offsets()) == pytest.approx(found.points)
    assert np.array(rings.get_offsets()) == pytest.approx(found.points[found.wrong])
    right = seewhy.boundary(_net(), x, found.answers.tolist())
    assert len(right._figure().axes[0].collections) == 1
    assert right.accuracy == 1


def test_a_model_of_more_classes_than_are_shown_has_grey_regions() -> None:
    pytest.importorskip("matplotlib")
    x, _ = _inputs(6)
    net = _net(classes=30)
    said = seewhy.boundary(net, x, [0] * 6)
    assert "Grey: a class" in said._foot(True)
    assert said.figure().size[0] > 500


@pytest.mark.parametrize("count", [1, 2, 3])
def test_few_photos_have_a_picture(count: int) -> None:
    pytest.importorskip("matplotlib")
    x, truths = _inputs(count)
    found = seewhy.boundary(_net(), x, truths)
    assert len(found.points) == count
    assert np.isfinite(found.points).all()
    assert found.figure().size[0] > 500


def test_any_word_is_a_name() -> None:
    pytest.importorskip("matplotlib")
    x, _ = _inputs(6)
    model = seewhy.wrap(_net(), labels=["__background__", r"$\nonsense$ {", "w" * 80], name="a $ and $b_")
    found = seewhy.boundary(model, x, [0, 1, 2] * 2)
    svg = found.figure_svg()
    assert "__background__" in svg
    assert r"$\nonsense$" in svg
    assert seewhy.evaluate_model(model, x, [0, 1, 2] * 2).figure().size[0] > 300


def test_features_that_lie_in_the_networks_own_memory_are_kept() -> None:
    class Reusing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.head = _net()[:5], nn.Linear(6, 3)
            self.kept = torch.zeros(64, 6)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.kept[: len(x)].copy_(self.body(x)))

    x, truths = _inputs(40)
    net = Reusing().eval()
    found = seewhy.boundary(net, x, truths)  # in several chunks
    with torch.no_grad():
        features = net.body(x).double().numpy()
    assert found.points == pytest.approx(principal_plane(features).place(features), abs=1e-5)


def test_umap_is_asked_for_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    x, truths = _inputs()
    monkeypatch.setitem(sys.modules, "umap", None)
    with pytest.raises(CapabilityError, match=r"pip install 'seewhy\[umap\]'"):
        seewhy.boundary(_net(), "no such folder", projection="umap")
    asked: dict[str, Any] = {}

    class Fake:
        def __init__(self, **given: Any) -> None:
            asked.update(given)

        def fit_transform(self, rows: np.ndarray) -> np.ndarray:
            return rows[:, :2].astype(np.float32)

    module = ModuleType("umap")
    module.UMAP = Fake  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "umap", module)
    found = seewhy.boundary(_net(), x, truths, projection="umap", seed=5)
    assert (asked["random_state"], asked["n_components"], asked["n_jobs"]) == (5, 2, 1)
    assert (found.shares, found.region_rule, found.parameters["seed"]) == (None, "neighbours", 5)
    with torch.no_grad():
        assert found.points == pytest.approx(_net()[:5](x)[:, :2].numpy(), abs=1e-5)
    with pytest.raises(UsageError, match="UMAP of 3 photos"):
        seewhy.boundary(_net(), x[:3], truths[:3], projection="umap")


def test_umap_itself_is_repeated_by_its_seed() -> None:
    pytest.importorskip("umap")
    x, truths = _inputs()
    one, two = (seewhy.boundary(_net(), x, truths, projection="umap").points for _ in range(2))
    assert one.tolist() == two.tolist()


def test_what_cannot_be_meant() -> None:
    x, truths = _inputs(4)
    for given, words in (
        ({"projection": "pac"}, "nearest: 'pca'"), ({"regions": "heads"}, "nearest: 'head'"),
        ({"worst": -1}, "worst=-1"), ({"truths": None}, "boundary needs the true classes"),
        ({"truths": [0, 1]}, "2 truths for 4 images"), ({"truths": [9] * 4}, "the model has 0 to 2"),
    ):  # fmt: skip
        with pytest.raises(UsageError, match=words):
            seewhy.boundary(_net(), x, **{"truths": truths, **given})
    with pytest.raises(TargetError, match="no row of class scores"):
        seewhy.boundary(nn.Sequential(nn.Flatten(), nn.Linear(192, 1)), x, truths)


def test_nothing_is_left_behind_in_the_model() -> None:
    net, (x, truths) = _net().train(), _inputs(6)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    seewhy.boundary(net, x, truths)
    assert net.training
    assert all(module.training for module in net.modules())
    assert not any(module._forward_hooks for module in net.modules())
    assert all(torch.equal(before[name], value) for name, value in net.state_dict().items())


def test_a_network_of_keras_has_a_head_as_well() -> None:
    from keras_networks import keras

    layers = [keras.layers.Input((8, 8, 3)), keras.layers.Conv2D(4, 3, activation="relu"), keras.layers.Flatten()]
    layers += [keras.layers.Dense(6, activation="relu"), keras.layers.Dense(3, activation="softmax")]
    model, (x, truths) = keras.Sequential(layers), _inputs(20)
    pictures = x.permute(0, 2, 3, 1).numpy()
    found = seewhy.boundary(model, pictures, truths)
    inner = keras.Model(model.inputs, model.layers[-2].output)
    features = np.asarray(inner.predict(pictures, verbose=0), dtype=np.float64)
    assert found.region_rule == "head"
    assert found.points == pytest.approx(principal_plane(features).place(features), abs=1e-4)


def test_a_network_of_onnx_has_the_layers_of_its_torch_twin(tmp_path: Path) -> None:
    for library in ("onnxruntime", "onnx2pytorch"):
        pytest.importorskip(library)
    net, x = small(), torch.rand(12, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    file = save_onnx(net, tmp_path / "net.onnx")
    found, own = (seewhy.boundary(one, x, [0, 1, 2] * 4) for one in (f"onnx:{file}", net))
    assert (found.region_rule, found.features) == ("head", 12)
    assert found.points == pytest.approx(own.points, abs=1e-4)
    assert found.answers.tolist() == own.answers.tolist()
