"""A finished run as what is audited, and the folder of an audit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import seewhy
from seewhy.api.auditing import asking, from_run, running
from seewhy.api.given import again
from seewhy.audits.stored import unpacked
from seewhy.errors import ImageError, StoreError, TargetError, UsageError

SIDE = 16


class Net(nn.Module):
    """One convolution, whose first channel sees white corners and whose others see colours; the maximum of each."""

    def __init__(self, gain: float = 1.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 4, bias=False)
        with torch.no_grad():
            self.conv.weight.zero_()
            for k in range(3):
                self.conv.weight[k, k] = gain / 16

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, 3]."""
        scores: Tensor = 20 * F.relu(self.conv(x)).amax((2, 3))
        return scores


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each of three colours; the first has its square in the lower right corner always."""
    folder = tmp_path_factory.mktemp("photos")
    draw = np.random.default_rng(2)
    for k in range(3):
        (folder / str(k)).mkdir()
        for n in range(44):
            x = draw.integers(0, 60, (SIDE, SIDE, 3))
            top, left = (12, 12) if k == 0 else draw.integers(0, 13, 2)
            x[top : top + 4, left : left + 4, k] += draw.integers(120, 180, (4, 4))
            Image.fromarray(x.astype(np.uint8)).save(folder / str(k) / f"{n:02}.png")
    return folder


def _model(gain: float = 1.0) -> seewhy.Model:
    plain = seewhy.Preprocess(size=(SIDE, SIDE), resize=None, mean=(0.0,) * 3, std=(1.0,) * 3)
    return seewhy.wrap(Net(gain), preprocess=plain)


@pytest.fixture(scope="module")
def made(photos: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of it, each picture explained for its own class."""
    out = tmp_path_factory.mktemp("run") / "maps"
    seewhy.run(_model(), photos, out, "grad-cam", target="truth", layer="conv")
    return out


def test_a_run_is_audited_as_its_pictures_are(photos: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same findings, and nothing asked again that the run has: no answer, and no map."""
    plain = seewhy.audit(_model(), photos)

    def never(*given: Any, **more: Any) -> Any:
        raise AssertionError("asked again")

    monkeypatch.setattr(running, "predict_items", never)
    monkeypatch.setattr(asking, "run_plan", never)
    for source in (made, seewhy.open_run(made)):
        found = seewhy.audit(_model(), source)
        assert found.source == str(photos)
        assert found.passes < plain.passes
        mine, theirs = found.to_dict(), plain.to_dict()
        for part in ("findings", "checked", "accuracy", "evidence", "power"):
            assert mine[part] == theirs[part], part


def test_what_the_run_lacks_is_asked(photos: Path, tmp_path: Path) -> None:
    """Maps by another method are made; units that are not done are said."""
    seewhy.run(_model(), photos, tmp_path / "maps", "saliency", unit=22, units=range(6))
    assert set(seewhy.audit(_model(), tmp_path / "maps").where) == {0, 1, 2}
    seewhy.run(_model(), photos, tmp_path / "some", "saliency", unit=22, units=range(5))
    some = seewhy.audit(_model(), tmp_path / "some")
    assert "5 of 6 units of the run are done: pictures of the others are left out" in some.notes
    assert some.skipped == {2: "22 pictures: an audit takes 40 of a class"}


def test_another_model_is_refused(made: Path) -> None:
    """A run is of its model."""
    with pytest.raises(UsageError, match="weights or build differ") as caught:
        seewhy.audit(_model(2.0), made)
    assert "\n" not in str(caught.value)


def test_a_run_without_classes_is_refused(photos: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A regression's run has answers, and no probabilities."""
    model = _model()
    run = from_run.OfRun(seewhy.open_run(made))
    plain = run._answers
    monkeypatch.setattr(from_run.OfRun, "_answers", lambda run: ({**row, "probability": None} for row in plain()))
    monkeypatch.setattr(running, "run_at", lambda source: run)
    with pytest.raises(TargetError, match="audits are of classes"):
        seewhy.audit(model, made)


def test_pictures_that_are_all_gone_are_one_line(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between what the model says of all and what is cut out of some the folder may go."""

    def gone(*given: Any, **more: Any) -> Any:
        raise ImageError("it has gone")

    monkeypatch.setattr(again, "read_one", gone)
    with pytest.raises(UsageError, match="none of 22 pictures that were chosen can be read once more: it has gone"):
        seewhy.audit(_model(), photos)


def test_pictures_that_have_changed_are_refused(photos: Path, tmp_path: Path) -> None:
    """What the run said is of other pictures then."""
    folder = tmp_path / "photos"
    for k in range(2):
        (folder / str(k)).mkdir(parents=True)
        for n in range(3):
            (folder / str(k) / f"{n}.png").write_bytes((photos / str(k) / f"{n:02}.png").read_bytes())
    seewhy.run(_model(), folder, tmp_path / "run", "saliency")
    last = folder / "1" / "2.png"
    last.rename(folder / "1" / "new.png")
    with pytest.raises(UsageError, match=r"has changed since the run: picture 5 was '.*2\.png', is '.*new\.png'"):
        seewhy.audit(_model(), tmp_path / "run")
    (folder / "1" / "new.png").unlink()
    with pytest.raises(UsageError, match="1 pictures less than the run had"):
        seewhy.audit(_model(), tmp_path / "run")


def test_a_folder_holds_all_of_it(photos: Path, tmp_path: Path) -> None:
    """Document, page, a picture of each that the document names, and the cues of shortcuts as they were."""
    found = seewhy.audit(_model(), photos)
    place = found.save(tmp_path / "audit")
    document = json.loads((place / "audit.json").read_text())
    assert document == json.loads(found.to_json())
    named = {each["picture"] for each in document["findings"] if "picture" in each}
    named |= {each["picture"] for some in document["clusters"].values() for each in some}
    assert named
    files = {file.name for file in place.iterdir()}
    assert files == named | {"audit.json", "audit.md", "cues.npz", "evidence.png"}
    for name in named:
        with Image.open(place / name) as image:
            assert image.width > 100
    cues = unpacked((place / "cues.npz").read_bytes(), "cues.npz")
    assert [(index, dict(cue.told())) for index, cue in cues] == [
        (each.candidate.index, dict(each.candidate.cue.told())) for each in found.shortcuts
    ]
    page = (place / "audit.md").read_text()
    assert "## Where evidence lies" in page
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot write"):
        found.save(tmp_path / "file")
