"""How often a model is right: by hand, from arrays, folders and tables."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import seewhy
from seewhy.errors import TargetError, UsageError
from seewhy.metrics import classification
from seewhy.models import Preprocess


class _Brightest(nn.Module):
    """Logits are four times the mean red, green and blue."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return 4 * x.mean((2, 3))


def _model() -> seewhy.Model:
    pixels = Preprocess((4, 4), None, "squash", (0.0,) * 3, (1.0,) * 3)
    return seewhy.wrap(_Brightest(), preprocess=pixels, labels=["red", "green", "blue"])


def _folder(root: Path) -> Path:
    """Two red pictures, one of them green in truth; one green; three blue, one of them in the red folder."""
    pictures = {
        "red/a.png": (200, 10, 0), "green/b.png": (200, 0, 10), "green/c.png": (0, 200, 10),
        "blue/d.png": (0, 10, 200), "blue/deep/e.png": (10, 0, 200), "red/f.png": (0, 0, 200),
    }  # fmt: skip
    for name, colour in pictures.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 8), colour).save(root / name)
    return root


def test_a_folder_by_hand(tmp_path: Path) -> None:
    found = seewhy.evaluate_model(_model(), _folder(tmp_path))
    assert found.numbers.classes == (0, 1, 2)
    assert found.numbers.confusion.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 2]]
    assert found.accuracy == pytest.approx(4 / 6)
    assert found.numbers.balanced_accuracy == pytest.approx((1 / 2 + 1 / 2 + 1) / 3)
    assert found.numbers.macro_f1 == pytest.approx((2 / 4 + 2 / 3 + 4 / 5) / 3)
    rows = {row["label"]: row for row in found.table()}
    assert (rows["blue"]["precision"], rows["blue"]["recall"]) == (pytest.approx(2 / 3), 1.0)
    assert sorted(Path(each.name).name for each in found.mistakes) == ["b.png", "f.png"]
    shares = np.exp(np.array([200, 0, 10]) / 255 * 4)
    wrong = next(each for each in found.mistakes if each.name.endswith("b.png"))
    assert wrong.probability == pytest.approx(shares[0] / shares.sum(), abs=1e-6)


def test_calibration_error_by_hand() -> None:
    """Two bins: sure 0.9 and right half the time, sure 0.6 and always right."""
    shares = np.array([[0.9, 0.1], [0.9, 0.1], [0.6, 0.4], [0.4, 0.6]])
    found = classification([0, 1, 0, 1], shares)
    assert found.calibration_error == pytest.approx(0.5 * 0.4 + 0.5 * 0.4)
    assert found.confidence == pytest.approx(0.75)


def test_bins_of_confidence_are_closed_above() -> None:
    """As in Guo et al. 2017: 0.8 = 12/15 is of the bin that ends there, with 0.74, and not of the next one with 0.81."""
    sure, right = np.array([0.8, 0.74, 0.81, 1.0]), [1, 0, 1, 1]
    shares = np.stack([sure, 1 - sure], 1)
    found = classification([0 if r else 1 for r in right], shares)
    bins = [sure[[0, 1]].mean() - 0.5, 0.81 - 1, 1.0 - 1]
    assert found.calibration_error == pytest.approx(0.5 * abs(bins[0]) + 0.25 * abs(bins[1]) + 0.25 * abs(bins[2]))


@pytest.mark.parametrize(("classes", "told"), [(2, False), (5, False), (6, True)])
def test_the_five_surest_are_told_of_more_than_five_classes(classes: int, told: bool) -> None:
    """Of two, 100 % are among the five surest, whatever the network says."""
    found = classification([0, 1], np.full((2, classes), 1 / classes))
    assert math.isfinite(found.top5) == told


@pytest.mark.parametrize(
    "header", ["file_name,label", "Image Path,Class", "id,x,category", "filename,split,target", "label,file"]
)
def test_tables_of_other_people_say_which_column_is_which(tmp_path: Path, header: str) -> None:
    _folder(tmp_path)
    names = header.split(",")
    swapped, between = names[0] == "label", len(names) == 3
    lines = [header]
    for photo, truth in (("red/a.png", "red"), ("green/b.png", "green")):
        row = [truth, photo] if swapped else [photo, *["train"] * between, truth]
        lines.append(",".join(row))
    (tmp_path / "labels.csv").write_text("\n".join(lines) + "\n")
    assert seewhy.evaluate_model(_model(), tmp_path).numbers.count == 2


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (
            "red/a.png,red\nred/f.png,red\nred/a.png,red\n",
            r"lists 'red/a.png' twice, in line 1 and line 3",
        ),
        ("red/a.png,2.0\n", r"line 1: '2.0' is no class; a class is a whole number or a label: 2$"),
        ("file,label\n\nred/a.png,1.5\n", r"line 3: '1.5' is no class; a class is a whole number or a label$"),
        ("red/a.png,rde\n", r"no label 'rde'; nearest: 'red'"),
    ],
)
def test_a_table_with_a_mistake_is_one_line(tmp_path: Path, lines: str, said: str) -> None:
    _folder(tmp_path)
    (tmp_path / "labels.csv").write_text(lines)
    with pytest.raises(UsageError, match=said):
        seewhy.evaluate_model(_model(), tmp_path)


def test_against_scikit_learn() -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    shares = rng.dirichlet(np.ones(7), 400)
    truths = rng.integers(0, 7, 400)
    found, answers = classification(truths.tolist(), shares), shares.argmax(1)
    assert np.array_equal(found.confusion, metrics.confusion_matrix(truths, answers))
    assert found.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(truths, answers))
    assert found.macro_f1 == pytest.approx(metrics.f1_score(truths, answers, average="macro"))
    assert found.top5 == pytest.approx(metrics.top_k_accuracy_score(truths, shares, k=5))


def test_a_table_instead_of_folders(tmp_path: Path) -> None:
    _folder(tmp_path)
    (tmp_path / "labels.csv").write_text("file,label\nred/a.png,red\nred/f.png,2\ngreen/b.png,RED\n")
    found = seewhy.evaluate_model(_model(), tmp_path)
    assert (found.numbers.count, found.accuracy) == (3, 1.0)
    (tmp_path / "other.csv").write_text("red/a.png,blue\n")
    assert seewhy.evaluate_model(_model(), tmp_path, table=tmp_path / "other.csv").accuracy == 0


def test_images_in_hand() -> None:
    x = torch.zeros(4, 3, 2, 2)
    for row, channel in enumerate((0, 1, 2, 2)):
        x[row, channel] = 1
    found = seewhy.evaluate_model(_model(), x, ["red", "green", 2, 0])
    assert found.numbers.confusion.tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 1]]


def test_files_and_json(tmp_path: Path) -> None:
    found = seewhy.evaluate_model(_model(), _folder(tmp_path / "photos"))
    rows = list(csv.DictReader(found.save(tmp_path / "classes.csv").read_text().splitlines()))
    assert [(row["label"], row["support"]) for row in rows] == [("red", "2"), ("green", "2"), ("blue", "2")]
    pytest.importorskip("matplotlib")
    with Image.open(found.save(tmp_path / "confusion.png")) as picture:
        assert picture.size[0] > 300
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["confusion"] == [[1, 0, 1], [1, 1, 0], [0, 0, 2]]
    assert document["mixed_up"][0]["count"] == 1


def test_long_names_leave_the_matrix_its_room() -> None:
    pytest.importorskip("matplotlib")
    model = seewhy.wrap(_Brightest(), labels=["__background__", "w" * 90, "$x$ and $y_"])
    assert seewhy.evaluate_model(model, torch.rand(6, 3, 4, 4), [0, 1, 2] * 2).figure().size == (636, 564)


def test_a_class_that_was_never_shown_has_no_recall() -> None:
    found = classification([0, 0], np.array([[0.9, 0.1], [0.2, 0.8]]))
    assert math.isnan(found.scores[1].recall)
    assert found.balanced_accuracy == 0.5


def test_photos_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    _folder(tmp_path)
    (tmp_path / "red" / "broken.png").write_bytes(b"no picture")
    found = seewhy.evaluate_model(_model(), tmp_path)
    assert found.numbers.count == 6
    assert len(found.failed) == 1
    assert "broken.png" in found.failed[0]


def test_what_cannot_be_meant(tmp_path: Path) -> None:
    root = _folder(tmp_path / "photos")
    Image.new("RGB", (4, 4)).save(root / "loose.png")
    with pytest.raises(UsageError, match="1 of 7 photos"):
        seewhy.evaluate_model(_model(), root)
    (root / "loose.png").unlink()
    (root / "red").rename(root / "rad")
    with pytest.raises(UsageError, match=r"'rad'.*nearest: 'red'"):
        seewhy.evaluate_model(_model(), root)
    with pytest.raises(UsageError, match="2 truths for 1 images"):
        seewhy.evaluate_model(_model(), [torch.rand(3, 4, 4)], [0, 1])
    with pytest.raises(UsageError, match="needs the true classes"):
        seewhy.evaluate_model(_model(), [torch.rand(3, 4, 4)])
    with pytest.raises(UsageError, match="the model has 0 to 2"):
        seewhy.evaluate_model(_model(), torch.rand(2, 3, 4, 4), [0, 3])
    with pytest.raises(TargetError, match="no row of class scores"):
        seewhy.evaluate_model(nn.Sequential(nn.Flatten(), nn.Linear(12, 1)), torch.rand(1, 3, 2, 2), [0])
    table = tmp_path / "photos" / "labels.csv"
    for text, words in (("", "lists no pictures"), ("rad/a.png", "1 of 1 photos"), ("no.png,red", "none of the files")):
        table.write_text(text)
        with pytest.raises(UsageError, match=words):
            seewhy.evaluate_model(_model(), root)
