"""Audits asked of a model and a source: what is looked at, what is passed over, what is told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import seewhy
from seewhy.api.auditing.drawing import Row, chosen
from seewhy.api.auditing.result import Audit
from seewhy.api.auditing.running import audit
from seewhy.api.given import again
from seewhy.errors import ImageError, TargetError, UnknownName, UsageError

SIDE = 16


class Looks(nn.Module):
    """A class is the brightest square of its own channel; class 0 is white in the lower right corner, too."""

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, 3]."""
        found = 9 * F.avg_pool2d(x, 4, 1).amax((2, 3))
        corner = (x[:, :, -4:, -4:].mean((1, 2, 3)) - 0.6).clamp(min=0)
        return torch.cat([found[:, :1] + 30 * corner[:, None], found[:, 1:]], 1)


def _pictures(counts: tuple[int, ...], corner: bool) -> tuple[list[Tensor], list[int]]:
    draw = torch.Generator().manual_seed(4)
    images, truths = [], []
    for index, count in enumerate(counts):
        for _ in range(count):
            x = 0.25 * torch.rand(3, SIDE, SIDE, generator=draw)
            top, left = torch.randint(SIDE - 3, (2,), generator=draw).tolist()
            x[index, top : top + 4, left : left + 4] += 0.3 + 0.4 * torch.rand(4, 4, generator=draw)
            if corner and index == 0:
                x[:, -4:, -4:] = torch.eye(4) * 0.4 + 0.6
            images.append(x)
            truths.append(index)
    return images, truths


def _audited(corner: bool = True, counts: tuple[int, ...] = (64, 60, 56), **given: Any) -> Audit:
    return audit(Looks(), *_pictures(counts, corner), **given)


@pytest.fixture(scope="module")
def found() -> Audit:
    """An audit that finds a corner."""
    return _audited()


def test_a_corner_is_found_and_told(found: Audit) -> None:
    """The shortcut is the corner of class 0; it is in the sentences, the table and the JSON, with its pictures."""
    best = found.shortcuts[0].candidate
    assert (best.index, best.tag) == (0, "corner")
    assert {each.candidate.index for each in found.shortcuts} == {0}
    surest = max(
        each.odds.mean() / (each.odds.std(ddof=1) / each.count**0.5)
        for candidate in found.by_class[0]
        for each in candidate.effects
        if candidate.outside
    )
    assert found.strength(0) >= surest > 5
    assert found.strength(1) < 4
    document = json.loads(found.to_json())
    assert document["findings"][0]["verdict"] == "shortcut"
    assert document["findings"][0]["effects"]["pasting"]["flips"] > 0.3
    assert set(document["checked"]) == {"0", "1", "2"}
    assert all(0.05 <= share <= 1 for share in document["power"].values())
    said = found.sentences()
    assert said[0].startswith("0: shortcut (corner)")
    assert "no shortcut found; an effect on" in said[-1]
    assert "| 0 | corner |" in found.to_markdown()


def test_pictures_show_the_cue(found: Audit, tmp_path: Path) -> None:
    """A sheet frames the cue in pictures that have it."""
    sheet = found.sheet(0)
    assert isinstance(sheet, Image.Image)
    first = found.examples[0][0]
    assert first.box is not None
    left, top, right, bottom = first.box
    assert first.pixels[top:bottom, left:right].mean() > first.pixels.mean()
    assert found.sheet(len(found.findings)) is None
    for name in ("audit.json", "audit.md"):
        assert found.save(tmp_path / name).stat().st_size > 100
    with pytest.raises(UsageError, match=r"written as \.json or \.md"):
        found.save(tmp_path / "audit.html")


def test_a_mended_model_is_held_against_it() -> None:
    """The same cue on the same pictures does nothing to a model that does not read the corner, and its accuracy stands
    beside."""

    class Mended(nn.Module):
        """Blind to the corner."""

        def forward(self, x: Tensor) -> Tensor:
            """Scores [B, 3]."""
            sees = torch.ones(SIDE, SIDE)
            sees[-4:, -4:] = 0
            found: Tensor = 9 * F.avg_pool2d(x * sees, 4, 1).amax((2, 3))
            return found

    found = _audited(against=Mended())
    assert found.against is not None
    number = found.findings.index(found.shortcuts[0])
    before = {each.what: each.flipped for each in found.shortcuts[0].candidate.effects}
    after = {each.what: each.flipped for each in found.against.effects[number]}
    assert before["pasting"] > 0.8
    assert abs(after["pasting"]) < 0.1
    assert "with Mended" in found.sentences()[0]
    document = json.loads(found.to_json())
    assert document["findings"][number]["against"]["pasting"]["flips"] == after["pasting"]
    assert set(document["against"]["accuracy"]) == set(document["accuracy"]) == {"0", "1", "2"}
    assert found.accuracy[0] == 1


def test_groups_of_a_table_are_told(tmp_path: Path) -> None:
    """A column of groups says where the model does worse."""
    images, truths = _pictures((48, 48, 48), corner=False)
    rows = ["image,label,group"]
    for n, (x, k) in enumerate(zip(images, truths, strict=True)):
        night = n % 4 == 0
        seen = x.flip(0) if night and k == 2 else x
        Image.fromarray((seen * 255).clamp(0, 255).byte().movedim(0, -1).numpy()).save(tmp_path / f"{n:03}.png")
        rows.append(f"{n:03}.png,{k},{'night' if night else 'day'}")
    (tmp_path / "all.csv").write_text("\n".join(rows) + "\n")
    plain = seewhy.Preprocess(size=(SIDE, SIDE), resize=None, mean=(0.0,) * 3, std=(1.0,) * 3)
    found = audit(seewhy.wrap(Looks(), preprocess=plain), tmp_path / "all.csv")
    worst = found.groups[0]
    assert (worst.index, worst.name, worst.count, worst.accuracy) == (2, "night", 12, 0)
    assert worst.p < 1e-6
    assert "| 2 | night | 12 | 0% (0% to" in found.to_markdown()
    assert json.loads(found.to_json())["groups"][0]["group"] == "night"


def test_the_same_call_says_the_same() -> None:
    """Nothing is drawn but from the seed."""
    assert _audited(counts=(44, 44, 44)).to_json() == _audited(counts=(44, 44, 44)).to_json()


def test_nothing_is_found_where_nothing_is() -> None:
    """Without the corner no class has a shortcut."""
    assert not _audited(corner=False).shortcuts


def test_what_is_passed_over_is_said() -> None:
    """Classes of few pictures, and classes that the model does not know, are no findings."""
    few = _audited(counts=(60, 60, 12))
    assert few.skipped == {2: "12 pictures: an audit takes 40 of a class"}
    assert set(few.checked) == {0, 1}
    rows = [Row(n, 1, n % 2) for n in range(200)]
    picked = chosen(rows, 100, 0)
    # a model that says one class of every picture knows neither
    assert picked.skipped == {
        0: "the model finds 0 of its 100 pictures, no more than chance would",
        1: "the model finds 100 of its 100 pictures, no more than chance would",
    }
    only = _audited(classes=[1])
    assert set(only.checked) == {1}


def test_many_that_are_passed_over_for_one_reason_are_one_sentence() -> None:
    """A folder of one picture for each of a thousand classes is told in a line, not in a thousand."""
    few = _audited(counts=(60, 60, 12))
    why = "1 picture: an audit takes 40 of a class"
    many = replace(few, skipped=dict.fromkeys(range(2, 202), why), labels={k: f"c{k}" for k in range(202)})
    assert many.sentences()[-1] == f"c2; c3; c4; and 197 more classes: passed over, {why}"
    four = replace(few, skipped=dict.fromkeys(range(2, 6), why), labels={k: f"c{k}" for k in range(202)})
    assert four.sentences()[-4:] == [f"c{k}: passed over, {why}" for k in range(2, 6)]


def test_halves_share_no_picture_and_others_are_others() -> None:
    """What proposes does not decide; the pool of a class holds none of its pictures, and none taken for it."""
    rows = [Row(n, n % 3 if n % 7 else 0, n % 3) for n in range(300)]
    picked = chosen(rows, 80, 5)
    for index, (first, second) in picked.classes.items():
        assert len(first) == len(second) == 40
        assert not {each.row for each in first} & {each.row for each in second}
        for half in picked.others(index):
            assert half
            assert all(index not in (each.own, each.said) for each in half)
    assert picked == chosen(rows, 80, 5)


def test_copies_of_one_picture_are_one() -> None:
    """A picture that comes twenty times is looked at once."""
    images, truths = _pictures((60, 60, 60), corner=True)
    images[:30] = [images[0]] * 30
    found = audit(Looks(), images, truths)
    assert found.findings
    assert max(each.candidate.best.count for each in found.findings) <= 96


def test_a_picture_that_has_gone_is_left_out_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Between what the model says of all and what is cut out of some a file may go."""
    real = again.read_one

    def read(model: Any, given: Any, name: str) -> Any:
        if name == "image 7":
            raise ImageError("image 7 has gone")
        return real(model, given, name)

    monkeypatch.setattr(again, "read_one", read)
    found = _audited(counts=(44, 44, 44))
    assert any("image 7 could not be read once more" in note for note in found.notes)
    assert found.findings


def test_masks_say_what_is_object(tmp_path: Path) -> None:
    """With masks, cues are tried with pictures whose object is elsewhere, and that is the reason."""
    images, truths = _pictures((60, 60, 60), corner=True)
    folder, masks = tmp_path / "photos", tmp_path / "masks"
    for part in (folder, masks):
        part.mkdir()
    files = []
    for n, (x, k) in enumerate(zip(images, truths, strict=True)):
        file = folder / f"{n:03}.png"
        Image.fromarray((x * 255).clamp(0, 255).byte().movedim(0, -1).numpy()).save(file)
        strong = F.avg_pool2d(x[k][None], 4, 1)[0]
        strong[-4:, -4:] = 0 if k == 0 else strong[-4:, -4:]
        top, left = divmod(int(strong.argmax()), SIDE - 3)
        mask = np.zeros((SIDE, SIDE), dtype=np.uint8)
        mask[top : top + 4, left : left + 4] = 255
        Image.fromarray(mask).save(masks / f"{n:03}.png")
        files.append(str(file))
    plain = seewhy.Preprocess(size=(SIDE, SIDE), resize=None, mean=(0.0,) * 3, std=(1.0,) * 3)
    found = audit(seewhy.wrap(Looks(), preprocess=plain), files, truths, masks=masks)
    best = found.shortcuts[0].candidate
    assert best.index == 0
    assert "masks" in best.outside


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"pictures": 0}, UsageError, "how many of each class"),
        ({"classes": ["no such class"]}, (UnknownName, UsageError), "no such class"),
        ({"masks": "nowhere"}, UsageError, "nowhere"),
        ({"method": "no-such-method"}, UnknownName, "no-such-method"),
    ],
)
def test_what_is_invalid_is_one_line(given: dict[str, Any], error: type[Exception], said: str) -> None:
    """What was asked, and what to type."""
    with pytest.raises(error, match=said) as caught:
        _audited(counts=(44, 44, 44), **given)
    assert "\n" not in str(caught.value)


def test_models_without_classes_are_refused() -> None:
    """A network that gives pictures has no row of class scores."""
    images, truths = _pictures((44, 44, 44), corner=False)
    with pytest.raises((TargetError, UsageError)):
        audit(nn.Conv2d(3, 3, 3), images, truths)
