"""Training logs as others write them, and their curves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import seewhy
from seewhy.errors import UsageError

KERAS = "epoch,accuracy,loss,val_accuracy,val_loss\n0,0.3,2.0,0.4,1.5\n1,0.6,1.0,0.5,1.2\n2,0.9,0.5,0.6,1.4\n"
#: a row every step, then the epoch's own, as Lightning's CSVLogger does
LIGHTNING = (
    "epoch,lr-Adam,step,train_acc,train_loss_epoch,train_loss_step,val_loss\n"
    "0,,9,,,2.0,\n0,,19,,,1.0,\n0,,19,,,,0.9\n0,,19,0.5,1.4,,\n,0.001,20,,,,\n1,,39,0.7,0.8,,\n1,,39,,,,0.6\n"
)


def _log(folder: Path, text: str) -> Path:
    (folder / "log.csv").write_text(text)
    return folder / "log.csv"


def _known(curves: seewhy.Curves) -> dict[str, tuple[str, str]]:
    return {curve.column: (curve.measure, curve.role) for curve in curves.curves}


def test_as_keras_writes_it(tmp_path: Path) -> None:
    found = seewhy.training_curves(_log(tmp_path, KERAS))
    assert (found.axis, found.x.tolist()) == ("epoch", [0, 1, 2])
    assert list(_known(found).items()) == [
        ("loss", ("loss", "train")), ("val_loss", ("loss", "val")),
        ("accuracy", ("accuracy", "train")), ("val_accuracy", ("accuracy", "val")),
    ]  # fmt: skip
    assert found.of("accuracy")[1].values.tolist() == [0.4, 0.5, 0.6]
    assert found.lowest_loss() == ("val_loss", 1, 1.2)
    assert found.notes == ()


def test_as_lightning_writes_it(tmp_path: Path) -> None:
    found = seewhy.training_curves(_log(tmp_path, LIGHTNING))
    assert _known(found) == {
        "train_loss_epoch": ("loss", "train"), "val_loss": ("loss", "val"), "train_acc": ("accuracy", "train"),
        "lr-Adam": ("lr adam", ""),
    }  # fmt: skip
    assert found.x.tolist() == [0, 1]
    assert found.of("loss")[0].values.tolist() == [1.4, 0.8]
    assert found.of("lr adam")[0].values[0] == 0.001  # in a row that names no epoch, after those of the first
    by_step = "\n".join(line.replace("train_loss_epoch", "other") for line in LIGHTNING.splitlines())
    steps = seewhy.training_curves(_log(tmp_path, by_step))
    assert next(c for c in steps.curves if c.column == "train_loss_step").values[0] == 1.5  # the mean of its steps


@pytest.mark.parametrize(
    ("column", "known"),
    [
        ("train/loss", ("loss", "train")), ("Val/Loss", ("loss", "val")), ("loss_val", ("loss", "val")),
        ("validation_f1", ("f1", "val")), ("test_acc", ("accuracy", "test")), ("valid.top 5", ("top 5", "val")),
        ("learning_rate", ("learning rate", "")), ("val", ("val", "")), ("Train_loss_epoch", ("loss", "train")),
    ],
)  # fmt: skip
def test_what_a_column_is_of(tmp_path: Path, column: str, known: tuple[str, str]) -> None:
    assert _known(seewhy.training_curves(_log(tmp_path, f"epoch,{column}\n1,0.5\n"))) == {column: known}


def test_other_separators_and_axes(tmp_path: Path) -> None:
    found = seewhy.training_curves(_log(tmp_path, "\ufeffstep;loss;time\n10;1e-1;00:12\n20;nan;00:13\n"))
    assert (found.axis, found.x.tolist()) == ("step", [10, 20])
    assert np.isnan(found.curves[0].values[1])  # it diverged, and that is no missing number
    assert found.notes == ("column 'time' holds words and is left out",)
    assert found.lowest_loss() is None
    rows = seewhy.training_curves(_log(tmp_path, "loss\tval_loss\n3\t4\n2\t\n"))
    assert (rows.axis, rows.x.tolist(), rows.lowest_loss()) == ("row", [1, 2], ("val_loss", 1, 4))


def test_its_pictures_and_its_numbers(tmp_path: Path) -> None:
    found = seewhy.training_curves(_log(tmp_path, KERAS + "3,,,,\n"))
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert document["curves"][0]["values"] == [2.0, 1.0, 0.5, None]
    assert document["lowest_loss"] == {"column": "val_loss", "epoch": 1, "value": 1.2}
    pytest.importorskip("matplotlib")
    loss, accuracy = found._whole().axes
    assert [line.get_label() for line in loss.lines] == ["loss", "val_loss", "lowest val_loss: epoch 1"]
    assert loss.lines[1].get_ydata().tolist() == [1.5, 1.2, 1.4]
    assert loss.lines[0].get_color() != loss.lines[1].get_color() == accuracy.lines[1].get_color()
    assert "val_accuracy" in found.save(tmp_path / "a.svg").read_text()
    assert found.save(tmp_path / "a.png").stat().st_size > 5000
    with pytest.raises(UsageError, match=r"\.png"):
        found.save(tmp_path / "a.csv")
    many = "epoch," + ",".join(f"m{n}" for n in range(9)) + "\n1" + ",1" * 9 + "\n"
    assert len(seewhy.training_curves(_log(tmp_path, many))._whole().axes) == 6


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no rows"), ("epoch,loss\n", "no rows"), ("epoch,name\n1,a\n", "no column of numbers beside epoch"),
        ("0,1.0\n1,0.5\n", "begins with numbers"), ("epoch,losses\n0,high\n", "nearest to a loss: 'losses'"),
    ],
)  # fmt: skip
def test_what_is_no_log(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        seewhy.training_curves(_log(tmp_path, text))
    (tmp_path / "log.csv").write_bytes(b"\xff\xfe\x00")
    for name in ("log.csv", "none.csv", "."):
        with pytest.raises(UsageError, match="cannot read the training log"):
            seewhy.training_curves(tmp_path / name)


def test_beside_the_confusion_matrix(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    net, x = nn.Sequential(nn.Flatten(), nn.Linear(12, 3)), torch.rand(6, 3, 2, 2)
    alone = seewhy.evaluate_model(net, x, [0, 1, 2] * 2)
    found = seewhy.evaluate_model(net, x, [0, 1, 2] * 2, curves=_log(tmp_path, KERAS))
    one, both = np.asarray(alone.figure()), np.asarray(found.figure())
    assert (both.shape[0], both[:, : one.shape[1]].tolist()) == (one.shape[0], one.tolist())
    assert both.shape[1] > one.shape[1] + 400
    assert found.to_dict()["curves"]["axis"] == "epoch"
    assert "curves" not in alone.to_dict()
    assert seewhy.evaluate_model(net, x, [0] * 6, curves=found.curves).curves is found.curves
    with Image.open(found.save(tmp_path / "a.png")) as picture:
        assert picture.size == both.shape[1::-1]
    with pytest.raises(UsageError, match="cannot read the training log"):
        seewhy.evaluate_model(net, "no such folder", curves="no such log")  # said before anything is read
