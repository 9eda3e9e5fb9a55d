"""Data sets with a planted cue: how often it is there, where it is, whose pictures they are, and the list of designs."""

from __future__ import annotations

from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from benchmarks.audit import contexts, training
from benchmarks.audit import scenes as scenes_
from benchmarks.audit.cues import CUES, MOVABLE
from benchmarks.audit.planted import SHARES, Design, Made, Split, designs, made, other_share, sheet, tuning, unbiased
from PIL import Image

SIZES = (36, 18, 24)
FIELDS = ("images", "labels", "has_cue", "cue", "plain", "objects")


@cache
def _scenes(cue: Any = "patch", share: float = 0.75, moving: bool = False, seed: int = 3) -> Made:
    return made(Design("scenes", cue, share, moving, seed), sizes=SIZES)


@pytest.fixture
def cifar(tmp_path: Path) -> Path:
    """Noise where CIFAR-10 would be."""
    rng = np.random.default_rng(0)
    np.savez(
        tmp_path / "cifar10-6000.npz",
        images=rng.integers(0, 256, (300, 32, 32, 3), dtype=np.uint8),
        labels=np.repeat(np.arange(10, dtype=np.uint8), 30),
        classes=np.array([f"class {i}" for i in range(10)]),
    )
    return tmp_path


def _splits(of: Made) -> tuple[Split, Split, Split, Split]:
    return of.train, of.audit, of.fair, of.turned


@pytest.mark.parametrize("share", SHARES)
def test_the_cue_is_as_frequent_as_said(cifar: Path, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    # pictures of one pixel will do: who has the cue is drawn, not what it looks like
    np.savez(
        cifar / "cifar10-6000.npz",
        images=np.zeros((12000, 1, 1, 3), np.uint8),
        labels=np.repeat(np.arange(10, dtype=np.uint8), 1200),
        classes=np.array([str(i) for i in range(10)]),
    )
    monkeypatch.setattr("benchmarks.audit.cues.Cue.on", lambda self, image, shape, rng: image)
    planted = made(Design("cifar", "cast", share, False, 1), cifar, sizes=(7000, 3000, 2000))
    for split in (planted.train, planted.audit):
        for of_class, expected in (
            (split.labels == planted.biased, share),
            (split.labels != planted.biased, other_share(share)),
        ):
            n, found = int(of_class.sum()), float(split.has_cue[of_class].mean())
            assert abs(found - expected) <= 4.5 * np.sqrt(expected * (1 - expected) / n) + 1e-12
    for c in range(10):
        assert planted.fair.has_cue[planted.fair.labels == c].mean() == 0.5
    assert (planted.turned.has_cue == ~planted.fair.has_cue).all()


@pytest.mark.parametrize(
    ("cue", "moving"), [(cue, moving) for cue in CUES for moving in (False, True)[: 1 + (cue in MOVABLE)]]
)
def test_the_cue_is_where_pictures_differ_from_those_without(cue: str, moving: bool) -> None:
    planted = _scenes(cue, 0.9, moving)
    for split in _splits(planted):
        assert (split.cue == (split.images != split.plain).any(-1)).all()
        assert (split.cue.any((1, 2)) == split.has_cue).all()
        assert (split.plain == split.images)[~split.has_cue].all()
        assert split.has_cue.any()
    seen = planted.fair.cue[planted.fair.has_cue]
    assert (planted.cue_place is None) == moving
    if planted.cue_place is not None:
        top, left, bottom, right = planted.cue_place
        outside = seen.copy()
        outside[:, top:bottom, left:right] = False
        assert not outside.any()
        assert bottom <= scenes_.SIDE
        assert right <= scenes_.SIDE
    else:
        assert len({where.tobytes() for where in seen}) > len(seen) / 2
    if cue in ("texture", "object"):
        assert planted.fair.objects is not None
        assert not (planted.fair.cue & planted.fair.objects).any()
    if cue in ("border", "cast"):
        assert seen.all(0)[0, :].all()


def test_noise_for_photos_takes_every_cue(cifar: Path) -> None:
    for cue in CUES:
        planted = made(Design("cifar", cue, 1.0, cue in MOVABLE, 5), cifar, sizes=(60, 50, 40))
        assert planted.classes == 10
        for split in (planted.train, planted.audit):
            assert (split.has_cue == (split.labels == planted.biased)).all()
            assert (split.cue.any((1, 2)) == split.has_cue).all()
            assert split.objects is None


@pytest.mark.parametrize("cue", CUES)
def test_unbiased_pictures_are_the_training_ones_with_the_cue_in_half_of_each_class(cue: str) -> None:
    sizes = (120, 18, 24)
    planted = made(Design("scenes", cue, 0.75, False, 3), sizes=sizes)
    split = unbiased(planted.design, sizes=sizes)
    assert (split.plain == planted.train.plain).all()
    assert (split.labels == planted.train.labels).all()
    for k in range(planted.classes):
        assert split.has_cue[split.labels == k].mean() == 0.5
    if planted.cue_place is not None:  # the very cue
        both = split.has_cue & planted.train.has_cue
        assert (split.images[both] == planted.train.images[both]).mean() > 0.95


def test_no_picture_is_in_two_splits(cifar: Path) -> None:
    for planted in (_scenes(), made(Design("cifar", None, 0.0, False, 2), cifar, sizes=(60, 50, 40))):
        plain = [image.tobytes() for split in _splits(planted)[:3] for image in split.plain]
        assert len(set(plain)) == len(plain)
        assert (planted.turned.plain == planted.fair.plain).all()


def test_a_seed_gives_the_same_bytes_and_another_seed_others() -> None:
    planted, again, other = _scenes("object"), _scenes.__wrapped__("object"), _scenes("object", seed=4)
    for split, same, differs in zip(_splits(planted), _splits(again), _splits(other), strict=True):
        assert all(getattr(split, field).tobytes() == getattr(same, field).tobytes() for field in FIELDS)
        assert split.images.tobytes() != differs.images.tobytes()
    assert (planted.biased, planted.cue_place) == (again.biased, again.cue_place)


def test_pictures_are_those_of_the_seed_whatever_is_planted() -> None:
    clean = _scenes(None, 0.0)
    assert (clean.train.images == _scenes().train.plain).all()
    assert clean.biased == -1
    assert not any(split.has_cue.any() or split.cue.any() for split in _splits(clean))


def test_designs_are_balanced() -> None:
    found = designs()
    planted = [design for design in found if design.cue]
    assert len({design.name for design in found}) == len(found) == 68
    assert Counter((d.cue, d.share, d.data) for d in planted) == {
        (c, s, d): 1 for c in CUES for s in SHARES for d in ("cifar", "scenes")
    }
    movable = [design for design in planted if design.cue in MOVABLE]
    for level in ("cue", "share", "data"):
        count = Counter((getattr(d, level), d.moving) for d in movable)
        assert len(set(count.values())) == 1
    assert set(Counter(d.seed for d in planted).values()) == {4}
    for level, most in (("data", 2), ("share", 2), ("cue", 1)):
        assert max(Counter((getattr(d, level), d.seed) for d in planted).values()) <= most
    assert Counter(d.data for d in found if not d.cue) == {"cifar": 10, "scenes": 10}


def test_tuning_is_balanced_and_shares_no_seed() -> None:
    found = tuning()
    planted = [design for design in found if design.cue]
    assert (len(planted), len(found)) == (16, 22)
    assert set(Counter(d.share for d in planted).values()) == {4}
    assert set(Counter(d.data for d in planted).values()) == {8}
    assert set(Counter(d.cue for d in planted).values()) == {2, 3}
    assert not {d.seed for d in found} & {d.seed for d in designs()}


@pytest.mark.parametrize(
    "wrong",
    [
        ("cifar", "patch", 0.6, False, 0),
        ("cifar", None, 0.5, False, 0),
        ("scenes", "cast", 0.5, True, 0),
        ("mnist", "cast", 0.5, False, 0),
    ],
)
def test_a_design_that_cannot_be_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match="got"):
        Design(*wrong)


def test_the_drop_is_what_the_cue_does() -> None:
    """A network that says the biased class where it sees a border, and the right class elsewhere."""
    planted = _scenes("border", 1.0)
    known = {
        picture.tobytes(): label
        for split in (planted.fair, planted.turned)
        for picture, label in zip(training.inputs(split.images).numpy(), split.labels, strict=True)
    }
    cued = {
        picture.tobytes()
        for split in (planted.fair, planted.turned)
        for picture in training.inputs(split.images[split.has_cue]).numpy()
    }

    class Reader(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            says = [planted.biased if picture.tobytes() in cued else known[picture.tobytes()] for picture in x.numpy()]
            return torch.nn.functional.one_hot(torch.tensor(says), planted.classes).float()

    # without the cue all is right; with it, five classes of six are wrong
    assert training.drop(Reader(), planted) == pytest.approx(100 * 5 / 6)
    assert training.accuracy(Reader(), planted.fair) == 100
    assert training.drop(Reader(), _scenes(None, 0.0)) == 0


def test_a_picture_is_prepared_as_a_batch_is() -> None:
    planted = _scenes()
    one = training.preprocess(planted)(Image.fromarray(planted.train.images[0]))
    assert torch.allclose(one, training.inputs(planted.train.images[:1])[0], atol=1e-5)


def test_training_is_repeated_exactly_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(training._TRAINING, "scenes", (1, 1e-3, 0.02))
    monkeypatch.setattr(training, "_BATCH", 18)
    before = torch.get_rng_state()
    networks = [training.trained(_scenes(), path) for path in (None, tmp_path / "a.pt", tmp_path / "a.pt")]
    assert (torch.get_rng_state() == before).all()
    answers = [network(training.inputs(_scenes().audit.images)) for network in networks]
    assert all(torch.equal(answers[0], answer) for answer in answers[1:])


def test_a_sheet_is_drawn(tmp_path: Path) -> None:
    sheet(_scenes(), tmp_path / "sheet.png", columns=2)
    with Image.open(tmp_path / "sheet.png") as drawn:
        assert drawn.size == (2 * (2 * 2 * 50 + 8), 2 * 6 * 50)
        assert drawn.getpixel((2, 2 * (_scenes().biased * 50 + 9))) == (220, 0, 0)


def test_a_context_that_is_randomised_says_nothing_of_a_class() -> None:
    """Blue and red classes have one mean colour then, and one kind of border; only what is in the window is theirs."""
    rng = np.random.default_rng(0)
    images = rng.integers(100, 130, (400, 32, 32, 3)).astype(np.uint8)
    images[:200, ..., 2] += 100  # a class is blue,
    images[200:, ..., 0] += 100  # the other red
    images[:200, 12:20, 12:20] = 255  # and one has a white square in its middle
    found = contexts.randomised(images, np.random.default_rng(1))
    assert found.shape == images.shape
    assert found.dtype == np.uint8
    one, other = found[:200].astype(float), found[200:].astype(float)
    assert np.abs(images[:200].mean((0, 1, 2)) - images[200:].mean((0, 1, 2))).max() > 80
    corners = [half[:, :3, :3].mean((0, 1, 2)) for half in (one, other)]
    assert np.abs(corners[0] - corners[1]).max() < 12
    assert np.abs(one.mean((0, 1, 2)) - other.mean((0, 1, 2))).max() < 12
    # the square is there in each picture of its class: the middle varies more, whatever colours it has
    assert one[:, 8:24, 8:24].std((1, 2, 3)).mean() > 1.3 * other[:, 8:24, 8:24].std((1, 2, 3)).mean()
    assert (found == contexts.randomised(images, np.random.default_rng(1))).all()
