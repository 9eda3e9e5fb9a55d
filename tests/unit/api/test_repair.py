"""Repairs from an audit to files: each way once in a small world, what is written put to use, and what is refused."""

from __future__ import annotations

import csv
import errno
import importlib.util
import io
import json
import shutil
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import cornered
import seewhy
from keras_networks import keras
from seewhy.api.auditing.result import Audit
from seewhy.api.auditing.running import audit
from seewhy.api.repairing import again, folders, running
from seewhy.api.repairing.proved import proved, where
from seewhy.api.repairing.reading import held_out, overlapping
from seewhy.api.repairing.result import Repair
from seewhy.audits.cast import Cast
from seewhy.audits.patches import Patch
from seewhy.audits.places import Frame, Place
from seewhy.audits.regions import Window
from seewhy.audits.stored import packed
from seewhy.errors import CapabilityError, StoreError, UnknownName, UsageError

NAMES = ["red", "green", "blue"]
PLAIN = seewhy.Preprocess(size=(12, 12), resize=None, mean=(0.5,) * 3, std=(0.5,) * 3)


class _Seen(nn.Module):
    """The network, on inputs from -1 to 1."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, 3]."""
        found: Tensor = self.net(x / 2 + 0.5)
        return found


def _wrapped(net: nn.Module) -> seewhy.Model:
    return seewhy.wrap(_Seen(net), preprocess=PLAIN, labels=NAMES, name="Seen")


def _written(folder: Path, count: int, share: float, seed: int) -> Path:
    x, labels, _ = cornered.pictures(count, share, seed)
    for n, (one, k) in enumerate(zip(x, labels.tolist(), strict=True)):
        (folder / NAMES[k]).mkdir(parents=True, exist_ok=True)
        pixels = (one * 255).round().clamp(0, 255).byte().movedim(0, -1).numpy()
        Image.fromarray(pixels).save(folder / NAMES[k] / f"{n:04}.png")
    return folder


def _saved(found: Audit, folder: Path, source: str = "") -> Path:
    """As `seewhy audit` writes it, of a ``source``."""
    return replace(found, source=source or found.source).save(folder)


def _rows(table: Path) -> list[dict[str, str]]:
    return list(csv.DictReader(table.read_text(encoding="utf-8").splitlines()))


def _open(path: Path) -> Image.Image:
    with Image.open(path) as image:
        image.load()
    return image


class World:
    """A network that has learnt the corner, its audit, in hand and saved, and training pictures."""

    def __init__(self, work: Path) -> None:
        self.net = cornered.network()
        self.model = _wrapped(self.net)
        self.audited, self.train = _written(work / "audited", 300, 0.95, 1), _written(work / "train", 360, 0.95, 2)
        self.found = audit(self.model, self.audited)
        self.saved = _saved(self.found, work / "AUDIT", str(self.audited))

    def some(self) -> Tensor:
        """Inputs that nobody has learnt from."""
        return 2 * cornered.pictures(60, 0.5, 9)[0] - 1


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    """Made once."""
    return World(tmp_path_factory.mktemp("world"))


@pytest.fixture
def no_audit(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the audit at the end, where a test is of something else."""

    def refused(*given: Any, **named: Any) -> Audit:
        raise UsageError("not now")

    monkeypatch.setattr(running, "audit_of", refused)


def test_a_repair_is_read_again(world: World, tmp_path: Path, no_audit: None) -> None:
    """From its folder, in front of the model as it was; what is none, or mends no model, or is of another, is one
    line."""
    some = world.some()
    for how in ("head", "project"):
        made = seewhy.repair(world.model, world.saved, world.train, how=how, pictures=60, out=tmp_path / how)
        assert made.model is not None
        assert again.is_repair(tmp_path / how)
        read = again.mended(world.model, tmp_path / how)
        with torch.no_grad():
            scores = [each.network().module(some) for each in (read, made.model, world.model)]
        assert torch.allclose(scores[0], scores[1], atol=1e-5), how
        assert not torch.allclose(scores[0], scores[2], atol=1e-2), how
        assert read.name.endswith(f"mended in {how}")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "repair.json").write_text(json.dumps({"how": "data", "details": {}}))
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "repair.json").write_bytes((tmp_path / "head" / "repair.json").read_bytes())
    (broken / "head.pt").write_bytes(b"no weights")
    other = seewhy.wrap(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(4, 2)))
    for model, folder, said in (
        (world.model, tmp_path / "data", "which mends no model"),
        (world.model, tmp_path / "nothing", "holds no repair that can be read"),
        (world.model, broken, "holds no repair that can be read"),
        (other, tmp_path / "head", "is of a model with the layer"),
    ):
        with pytest.raises(UsageError, match=said) as caught:
            again.mended(model, folder)
        assert "\n" not in str(caught.value)


def test_a_head_loads_into_the_users_own_network(world: World, tmp_path: Path) -> None:
    """What is saved has the network's own names, loads without code, and gives the mended scores; the audit and the
    worst group say what has changed."""
    made = seewhy.repair(world.model, world.saved, world.train, pictures=100, out=tmp_path)
    assert made.model is not None
    before, after = made.worst or (1.0, None)
    assert before < 0.2
    assert after is not None
    assert after > 0.8
    state = torch.load(tmp_path / "head.pt", weights_only=True)
    assert set(state) == {"net.6.weight", "net.6.bias"}
    own = _Seen(cornered.network()).eval()
    own.load_state_dict(state, strict=False)
    x = world.some()
    with torch.no_grad():
        assert torch.equal(own(x), made.model.module(x))
        assert not torch.equal(own(x), world.model.module(x))
    assert cornered.worst(own.net) > cornered.worst(world.net) + 0.5
    assert made.audit is not None
    assert made.audit.against is not None
    number = made.audit.findings.index(made.audit.shortcuts[0])
    best = made.audit.shortcuts[0].candidate.best
    now = next(each for each in made.audit.against.effects[number] if each.what == best.what)
    assert now.flipped < 0.3 * best.flipped
    document = json.loads((tmp_path / "repair.json").read_text())
    assert document["worst group"] == {"before": before, "after": after}
    assert document["audit"]["against"]["model"] == "Seen, net.6 fitted again"
    assert {each["label"] for each in document["cues"]} == {"red"}
    assert all(each["removed"] > 0 for each in document["cues"])
    assert "strict=False" in (tmp_path / "README.md").read_text()
    assert "| red |" in (tmp_path / "repair.md").read_text()
    assert json.loads((tmp_path / "audit-again.json").read_text())["against"]
    with pytest.raises(UsageError, match=r"has a README\.md already"):
        seewhy.repair(world.model, world.saved, world.train, out=tmp_path)
    made.save(tmp_path, force=True)


def test_a_projection_is_put_in_without_this_library(world: World, tmp_path: Path, no_audit: None) -> None:
    """The snippet beside the numbers gives the mended scores in a network of the user's own."""
    made = seewhy.repair(world.model, world.found, world.train, how="project", held=world.audited, out=tmp_path)
    assert made.model is not None
    assert made.details["layer"] == "net.5"
    assert made.details["tried"]["net.5"] > made.details["tried"]["net.3"]
    spec = importlib.util.spec_from_file_location("projection", tmp_path / "projection.py")
    assert spec is not None
    assert spec.loader is not None
    theirs = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(theirs)
    own = theirs.inserted(_Seen(cornered.network()).eval())
    x = world.some()
    with torch.no_grad():
        assert torch.allclose(own(x), made.model.module(x), atol=1e-6)
    assert cornered.worst(own.net) > cornered.worst(world.net) + 0.5
    assert "import seewhy" not in (tmp_path / "projection.py").read_text()
    assert made.notes == ("the audit of held-out pictures could not be made: not now",)
    at = seewhy.repair(world.model, world.found, world.train, how="project", layer="net.4", held=world.audited)
    assert at.details["layer"] == "net.4"


def test_a_training_folder_keeps_proportions_and_every_picture(world: World, tmp_path: Path, no_audit: None) -> None:
    """Any framework's ImageFolder reads it; pictures as they are are the same bytes; a counterfactual picture becomes
    the input that was made."""
    from torchvision.datasets import ImageFolder

    made = seewhy.repair(world.model, world.saved, world.train, how="data", out=tmp_path)
    rows = _rows(tmp_path / "pictures.csv")
    originals = [row for row in rows if row["change"] == "original"]
    assert len(originals) == 360
    for row in originals[::40]:
        assert (tmp_path / row["file"]).read_bytes() == (world.train / row["from"]).read_bytes()
    read = ImageFolder(tmp_path / "data")
    assert read.classes == sorted(NAMES)
    assert len(read) == len(rows)
    counts = np.bincount([k for _, k in read.samples])
    assert counts.max() - counts.min() <= 0.05 * counts.mean()
    pasted = [row for row in rows if row["change"] == "pasted"]
    assert {row["class"] for row in pasted} == {"green", "blue"}
    changed = read.loader(str(tmp_path / next(row["file"] for row in rows if row["change"] == "removed")))
    assert changed.size == (12, 12)
    said = (tmp_path / "collect.md").read_text()
    assert "red: pictures without the cue" in said
    assert "of 120 training pictures have it" in said
    assert made.model is None
    assert not list(tmp_path.glob(".*"))
    # what was pasted is a cue for the network
    x = torch.stack([PLAIN(_open(tmp_path / row["file"])) for row in pasted])
    with torch.no_grad():
        assert float((world.model.module(x).argmax(1) == 0).double().mean()) > 0.4
    with pytest.raises(UsageError, match="pictures are in"):
        made.save(tmp_path / "elsewhere")


def test_a_quarter_is_held_out_where_there_is_nothing_else(world: World, tmp_path: Path, no_audit: None) -> None:
    """The folder that is trained on has none of those that prove it."""
    saved = _saved(world.found, tmp_path / "AUDIT", str(world.train))
    made = seewhy.repair(world.model, saved, world.train, how="data", out=tmp_path / "out")
    learnt = {row["from"] for row in _rows(tmp_path / "out" / "pictures.csv")}
    held = [path.name.partition("-")[2] for path in (tmp_path / "out" / "held-out").rglob("*.png")]
    assert len(learnt) == 270
    assert len(held) == made.details["held out"] == 90
    assert not {Path(name).name for name in learnt} & set(held)
    assert any("30 held-out pictures of 'red', and an audit takes 40" in note for note in made.notes)
    with pytest.raises(UsageError, match="an audit takes 40: give others, held=SOURCE"):
        seewhy.repair(world.model, saved, world.train)


def test_pictures_may_be_in_shards_or_in_hand(world: World, tmp_path: Path, no_audit: None) -> None:
    """Bytes are written as they are; inputs become pictures of themselves."""
    shard, names = tmp_path / "s.tar", sorted(world.train.rglob("*.png"))[::2]
    with tarfile.open(shard, "w") as tar:
        for n, path in enumerate(names):
            for suffix, data in (("png", path.read_bytes()), ("cls", path.parent.name.encode())):
                told = tarfile.TarInfo(f"{n:04}.{suffix}")
                told.size = len(data)
                tar.addfile(told, io.BytesIO(data))
    asked: dict[str, Any] = {"how": "data", "held": world.audited}
    seewhy.repair(world.model, world.found, str(shard), out=tmp_path / "one", **asked)
    rows = [row for row in _rows(tmp_path / "one" / "pictures.csv") if row["change"] == "original"]
    assert {(tmp_path / "one" / row["file"]).read_bytes() for row in rows} == {path.read_bytes() for path in names}
    inputs = [PLAIN(_open(path)) for path in names]
    seewhy.repair(
        world.model, world.found, inputs, [path.parent.name for path in names], out=tmp_path / "two", **asked
    )  # fmt: skip
    read = {PLAIN(_open(path)).numpy().tobytes() for path in (tmp_path / "two" / "data" / "red").iterdir()}
    assert read >= {one.numpy().tobytes() for one, path in zip(inputs, names, strict=True) if path.parent.name == "red"}


def test_masks_are_where_the_cue_is(world: World, tmp_path: Path, no_audit: None) -> None:
    """A mask for each picture of the class that has the cue, and for no other; a penalty takes them as they are."""
    made = seewhy.repair(world.model, world.saved, world.train, how="loss", out=tmp_path)
    rows = _rows(tmp_path / "masks.csv")
    _, labels, has = cornered.pictures(360, 0.95, 2)
    wanted = {f"red/{n:04}.png" for n in torch.nonzero(has & (labels == 0))[:, 0].tolist()}
    found = {row["file"] for row in rows}
    assert found >= wanted
    assert len(found - wanted) <= 0.1 * len(wanted)
    mask = np.asarray(_open(tmp_path / rows[0]["mask"]))
    assert mask.shape == (12, 12)
    assert set(np.unique(mask)) == {0, 255}
    assert mask[-2, -2] == 255
    assert mask[:5, :5].max() == 0
    assert made.details["masks"] == len(rows)
    inputs = torch.stack([PLAIN(_open(world.train / row["file"])) for row in rows[:4]]).requires_grad_()
    masks = torch.stack([torch.from_numpy(np.asarray(_open(tmp_path / row["mask"])) / 255) for row in rows[:4]])
    before = seewhy.evidence_penalty(world.model.module(inputs), inputs, masks)
    assert before > seewhy.evidence_penalty(world.model.module(inputs), inputs, 0 * masks)


def test_a_head_of_keras_is_set_with_two_lines(world: World, tmp_path: Path, no_audit: None) -> None:
    """The same network in Keras; ``set_weights`` of what was saved gives the mended scores."""
    layers = keras.layers
    theirs = keras.Sequential(
        [keras.Input((12, 12, 3)), layers.Rescaling(0.5, 0.5), layers.Conv2D(12, 3, activation="relu"),
         layers.Conv2D(24, 3, activation="relu"), layers.AveragePooling2D(4), layers.Flatten(),
         layers.Dense(3, name="top")]
    )  # fmt: skip
    own = [part for part in world.net if hasattr(part, "weight")]
    for layer, part in zip([theirs.layers[1], theirs.layers[2]], own, strict=False):
        layer.set_weights([part.weight.detach().permute(2, 3, 1, 0).numpy(), part.bias.detach().numpy()])
    kernel = own[2].weight.detach().reshape(3, 24, 4).permute(2, 1, 0).reshape(96, 3)
    theirs.layers[-1].set_weights([kernel.numpy(), own[2].bias.detach().numpy()])
    model = seewhy.wrap(theirs, preprocess=PLAIN, labels=NAMES)
    x = world.some()
    with torch.no_grad():
        assert torch.allclose(torch.as_tensor(theirs(x.movedim(1, -1))), world.model.module(x), atol=1e-4)
    made = seewhy.repair(model, world.saved, world.train, pictures=60, out=tmp_path)
    assert made.model is not None
    head = np.load(tmp_path / "head.npz")
    theirs.get_layer("top").set_weights([head["kernel"], head["bias"]])
    with torch.no_grad():
        assert torch.allclose(torch.as_tensor(theirs(x.movedim(1, -1))), made.model.module(x), atol=1e-4)
    assert 'get_layer("top")' in (tmp_path / "README.md").read_text()
    assert any("180 of 360 training pictures are taken" in note for note in made.notes)


def _masked(world: World, folder: Path, *, everywhere: bool) -> Path:
    """Masks of where blobs are, or of the first column of the corner."""
    for path in world.train.rglob("*.png"):
        picture = np.asarray(_open(path)).astype(int)
        channel = picture[..., NAMES.index(path.parent.name)]
        mask = np.zeros((12, 12), dtype=np.uint8)
        mask[:9, :9] = (channel > 64)[:9, :9]
        if everywhere:
            mask = np.zeros((12, 12), dtype=np.uint8)
            mask[-4:, -4] = 1
        mask[0, 0] = 1
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(mask * 255).save(folder / path.parent.name / path.name)
    return folder


def test_a_cue_on_the_object_is_untestable(world: World, tmp_path: Path, no_audit: None) -> None:
    """With masks, pictures whose object the cue covers are left out; of a cue where that is so in all, it is said, and
    where there is no other nothing is made."""
    on, off = (_masked(world, tmp_path / name, everywhere=name == "on") for name in ("on", "off"))
    (first, *_) = world.found.shortcuts
    one = replace(world.found, findings=(first,))
    other = Place(Window(8, 9, 3, 2), (12, 12), first.candidate.cue.template)  # beside what the masks cover
    two = replace(world.found, findings=(first, replace(first, candidate=replace(first.candidate, cue=other))))
    asked: dict[str, Any] = {"held": world.audited, "how": "loss"}
    with pytest.raises(UsageError, match="untestable: where the cue is, is the object in all") as caught:
        seewhy.repair(world.model, one, world.train, masks=on, out=tmp_path / "none", **asked)
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "none").iterdir()) == []
    both = seewhy.repair(world.model, two, world.train, masks=on, out=tmp_path / "other", **asked)
    assert [bool(each.why) for each in both.cues] == [True, False]
    assert "untestable: the object is there in all" in both.sentences()[0]
    made = seewhy.repair(world.model, one, world.train, masks=off, out=tmp_path / "apart", **asked)
    assert made.cues[0].tally.removed > 50
    assert not made.cues[0].why


def test_what_is_invalid_is_one_line(world: World, tmp_path: Path) -> None:
    """What was asked, what was found, what to type; nothing is written."""
    model, train = world.model, world.train
    empty = tmp_path / "empty"
    empty.mkdir()
    nothing = replace(world.found, findings=tuple(each for each in world.found.findings if each.verdict == ""))
    broken = _saved(world.found, tmp_path / "broken")
    (broken / "cues.npz").write_bytes(b"none")
    gone = _saved(world.found, tmp_path / "gone")
    (gone / "cues.npz").unlink()
    words = _saved(world.found, tmp_path / "words")
    (words / "audit.json").write_text("{")
    others = _saved(world.found, tmp_path / "others")
    (others / "cues.npz").write_bytes(packed([(1, world.found.shortcuts[0].candidate.cue)]))
    moved, hand = (
        _saved(world.found, tmp_path / name, source) for name, source in (("moved", "gone/away"), ("hand", "images"))
    )
    assert proved(hand).source == ""
    larger = replace(model, preprocess=replace(PLAIN, size=(16, 16)))
    function = replace(model, preprocess=lambda picture: PLAIN(picture))
    renamed = replace(model, labels=("cat", "green", "blue"))
    only = tmp_path / "only"
    shutil.copytree(train / "green", only / "green")
    given: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"audit": empty}, UsageError, r"is no audit, it has no audit\.json: seewhy audit SOURCE"),
        ({"audit": tmp_path}, UsageError, "one is in it"),
        ({"audit": tmp_path / "nowhere"}, UsageError, "there is no folder"),
        ({"audit": 3}, UsageError, "not a int"),
        ({"audit": nothing}, UsageError, "found no shortcut in 3 classes"),
        ({"audit": broken}, UsageError, "holds no cues of an audit"),
        ({"audit": gone}, UsageError, r"has no cues\.npz"),
        ({"audit": words}, UsageError, "cannot be read"),
        ({"audit": others}, UsageError, "other cues than"),
        ({"audit": moved}, UsageError, "own pictures cannot be had again: .*give others, held=SOURCE"),
        ({"how": "heads"}, UnknownName, "nearest: 'head'"),
        ({"how": "data"}, UsageError, "out='FOLDER'"),
        ({"layer": "net.3"}, UsageError, "is for how='project'"),
        ({"how": "project", "layer": "net.33"}, UnknownName, "nearest: 'net.3'"),
        ({"pictures": 0}, UsageError, "how many of each class"),
        ({"held": train}, UsageError, "those are training pictures"),
        ({"train": tmp_path / "nowhere"}, UsageError, "nowhere"),
        ({"train": only}, UsageError, "no training picture is of 'red'"),
        ({"model": larger}, UsageError, "is of inputs 3 x 12 x 12, and Seen is given 3 x 16 x 16"),
        ({"model": renamed, "train": _renamed(train, tmp_path / "cats")}, UsageError, "class 0 is 'red', and Seen's is 'cat'"),
        ({"model": function, "how": "data", "out": tmp_path / "out"}, CapabilityError, "a function, which nobody can turn round"),
        ({"model": seewhy.wrap(lambda x: x.mean((2, 3)), preprocess=PLAIN, labels=NAMES)}, CapabilityError, "linear layer"),
    ]  # fmt: skip
    for some, error, said in given:
        asked = {"model": model, "audit": world.saved, "train": train} | some
        with pytest.raises(error, match=said) as caught:
            seewhy.repair(**asked)
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "data").exists()


def _renamed(train: Path, folder: Path) -> Path:
    shutil.copytree(train, folder)
    (folder / "red").rename(folder / "cat")
    return folder


def test_a_picture_that_cannot_be_read_is_told(world: World, tmp_path: Path, no_audit: None) -> None:
    """The others are learnt from."""
    train = tmp_path / "train"
    shutil.copytree(world.train, train)
    (train / "red" / "0000.png").write_bytes(b"none")
    made = seewhy.repair(world.model, world.saved, train, how="project", layer="net.5")
    assert len(made.failed) == 1
    assert "0000.png" in made.failed[0]
    assert made.model is not None


def test_folders_of_pictures_are_never_mixed(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that is there is refused, whatever force says, before anything is made; one that was interrupted leaves
    nothing."""
    (tmp_path / "data").mkdir()
    with pytest.raises(UsageError, match="has a data already"):
        seewhy.repair(world.model, world.saved, world.train, how="data", out=tmp_path, force=True)

    def ended(*given: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(folders, "_drawn", ended)
    with pytest.raises(KeyboardInterrupt):
        seewhy.repair(world.model, world.saved, world.train, how="data", out=tmp_path / "other")
    assert list((tmp_path / "other").iterdir()) == []


def test_a_full_disk_is_one_line(
    world: World, tmp_path: Path, no_audit: None, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    """Said of the folder; and no half of a training folder is left."""
    made = seewhy.repair(world.model, world.saved, world.train, how="head")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(StoreError, match=r"cannot write .*head': OSError.*No space left"):
        made.save(tmp_path / "head")
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(StoreError, match="No space left"):
        seewhy.repair(world.model, world.saved, world.train, how="data", out=tmp_path / "data")
    assert not [*(tmp_path / "data").rglob("*")]


def test_an_audit_in_hand_and_its_folder_prove_the_same(world: World) -> None:
    """Cues by class, and where they are in words."""
    one, other = proved(world.found), proved(str(world.saved / "audit.json"))
    assert [(k, cue.kind) for k, cue in one.cues] == [(k, cue.kind) for k, cue in other.cues]
    assert one.labels == other.labels == {0: "red"}
    assert (one.source, other.source) == ("", str(world.audited))
    square = torch.zeros(3, 12, 12)
    assert where(Place(Window(0, 9, 3, 3), (12, 12), square)) == "at the top right corner"
    assert where(Place(Window(4, 0, 3, 3), (12, 12), square)).startswith("at the left edge, in columns 0 to 3 of 12")
    assert where(Place(Window(4, 4, 3, 3), (12, 12), square)).startswith("in columns 4 to 7")
    assert where(Frame("border", torch.ones(12, 12), square)) == "in the border"
    assert where(Patch(torch.zeros(1, 3, 4, 5), 1.0, [0])) == "in a patch of 4 x 5 pixels, wherever it is"
    assert where(Cast(torch.ones(3), torch.eye(3), torch.zeros(3))) == "in the colour of the whole picture"


def test_what_is_held_out_is_a_quarter_of_each_class() -> None:
    """Drawn from the seed; sources that lie in one another are one."""
    truths = [n % 3 for n in range(120)]
    fit, held = held_out(truths, 0)
    assert sorted(fit + held) == list(range(120))
    assert [sum(truths[row] == k for row in held) for k in range(3)] == [10, 10, 10]
    assert held_out(truths, 0) == (fit, held) != held_out(truths, 1)
    assert overlapping("photos", Path("photos/../photos"))
    assert overlapping("photos/train", "photos")
    assert not overlapping("photos/train", "photos/val")
    assert not overlapping([1], [1])


def test_a_picture_keeps_what_the_model_does_not_see(tmp_path: Path) -> None:
    """The same resize and crop give what was changed, whatever they are."""
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 255, (37, 53, 3), dtype=np.uint8))
    for ours in (
        seewhy.Preprocess(size=(12, 12), resize=16),
        seewhy.Preprocess(size=(12, 12), resize=8),
        seewhy.Preprocess(size=(12, 10), resize=(12, 10), mode="squash"),
        seewhy.Preprocess(size=(12, 12), resize=(12, 12), mode="border"),
        seewhy.Preprocess(size=(20, 20), resize=None, mode="crop"),
    ):
        seen = ours.view(photo)
        changed = Image.fromarray(255 - np.asarray(seen))
        whole = ours.around(photo, changed)
        again = np.asarray(ours.view(whole)).astype(int)
        inside = np.asarray(ours.view(Image.new("RGB", photo.size, "white")))[..., 0] == 255
        assert np.array_equal(again[inside], np.asarray(changed)[inside])


def test_a_repair_without_classes_says_no_group(world: World, no_audit: None) -> None:
    """Held-out pictures whose classes nobody knows have no worst group."""
    pictures = [_open(path) for path in sorted(world.audited.rglob("*.png"))[:50]]
    made = seewhy.repair(world.model, world.found, world.train, how="project", layer="net.5", held=pictures)
    assert made.worst is None
    assert isinstance(made, Repair)
    assert "worst group" not in " ".join(made.sentences())
