"""What comes again as it was: letters that others show through are found, grown to their size and told from parts of
things; aligned pictures; one thing that several windows saw."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from seewhy.audits.background import Background
from seewhy.audits.patches import Patch
from seewhy.audits.places import aligned
from seewhy.audits.recurring import Stamp, recurring
from seewhy.audits.subject import Half, Subject
from seewhy.audits.trials import Effect
from seewhy.audits.verdicts import Candidate, findings

SIDE, COUNT, CLASSES = 40, 60, 3
#: an L and an I, a gap of two pixels between them
LETTERS = torch.zeros(8, 9)
LETTERS[:, 0] = LETTERS[7, :4] = LETTERS[:, 6] = LETTERS[0, 5:8] = LETTERS[7, 5:8] = 1


def _ground(count: int, draw: torch.Generator) -> Tensor:
    """Noise that is smooth over a few pixels, [N, 3, S, S]: no two places alike."""
    rough = torch.randn(count, 3, SIDE // 4, SIDE // 4, generator=draw)
    smooth = torch.nn.functional.interpolate(rough, (SIDE, SIDE), mode="bilinear")
    return smooth + 0.2 * torch.randn(count, 3, SIDE, SIDE, generator=draw)


def _subject(weight: float, share: float = 0.75, seed: int = 0) -> tuple[Subject, list[Tensor]]:
    """A class of which a ``share`` has the letters somewhere, ``weight`` of what is behind them covered; and where, for
    each half."""
    halves, placed = [], []
    for half in range(2):
        draw = torch.Generator().manual_seed(10 * seed + half)
        own, others = _ground(COUNT, draw), _ground(COUNT, draw)
        places = torch.full((COUNT, 2), -1)
        for n in range(round(share * COUNT)):
            # windows are wider than letters, and have to fit into the picture
            top, left = torch.randint(6, SIDE - 17, (2,), generator=draw).tolist()
            window = own[n, :, top : top + 8, left : left + 9]
            window += weight * LETTERS * (3.0 - window)
            places[n] = torch.tensor([top, left])
        truth = torch.ones(COUNT, dtype=torch.long)
        halves.append((Half(own, truth, truth), Half(others, 0 * truth, 0 * truth)))
        placed.append(places)
    pairs = tuple(zip(*halves, strict=True))
    return Subject(1, pairs[0], pairs[1], lambda x: torch.zeros(len(x), 2), seed), placed


@pytest.mark.parametrize("seed", range(3))
def test_letters_that_show_what_is_behind_are_found_whole(seed: int) -> None:
    """Both letters, over their gap, in the pictures that have them and at their place; nothing where there are none."""
    subject, placed = _subject(0.6, seed=seed)
    found = recurring(subject, [])
    assert found
    for stamp in found:
        assert isinstance(stamp, Stamp)
        height, width = stamp.size
        assert 8 <= height <= 16  # fine structure reaches two pixels beyond, and windows one more
        assert 9 <= width <= 18
        own, others = subject.own[1], subject.others[1]
        has = placed[1][:, 0] >= 0
        alike, top, left = stamp.found(own)
        assert float(alike[has].median()) > 0.6 > float(alike[~has].max())
        assert float(stamp.presence(others).max()) < 0.6
        down, right = (at[has] - placed[1][has, axis] for axis, at in enumerate((top, left)))
        # one place for all, to the pixel, of nearly all that have it
        assert float((down == down.mode().values).double().mean()) > 0.9
        assert float((right == right.mode().values).double().mean()) > 0.9
    assert recurring(_subject(0.0, seed=seed)[0], []) == []


def _patch(half: Half, places: Tensor) -> Patch:
    """The letters as four pictures have them."""
    some = [half.inputs[n, :, top : top + 8, left : left + 9] for n, (top, left) in enumerate(places[:4].tolist())]
    return Patch(torch.stack(some), float("nan"), (0, 1, 2, 3))


def test_what_was_put_in_is_told_from_what_varies() -> None:
    """A stamp of two shades comes again to the pixel; letters that show what is behind do not, and a white ground is of
    one shade."""
    subject, placed = _subject(0.0)
    own = subject.own[1]
    draw = torch.Generator().manual_seed(8)
    places = torch.randint(SIDE - 9, (COUNT, 2), generator=draw)
    for n, (top, left) in enumerate(places.tolist()):
        own.inputs[n, :, top : top + 8, left : left + 9] = 3 * LETTERS - 1
    share, words = _patch(own, places).unchanged(own)
    assert share == 1
    assert words == "100% of its pixels are the same in the pictures that have it"
    through, placed = _subject(0.6, share=1.0)
    assert _patch(through.own[1], placed[1]).unchanged(through.own[1])[1] == ""
    white = _subject(0.0)[0].own[1]
    white.inputs[:, :, :20] = 3.0
    edge = Patch(white.inputs[:4, :, 16:24, 4:12], float("nan"), (0, 1, 2, 3))
    assert edge.unchanged(white)[1] == ""


def test_pictures_that_are_aligned_are_known_by_other_classes() -> None:
    """Photos are not; pictures of one thing at one place are, whatever the audited class's own look like."""
    draw = torch.Generator().manual_seed(3)
    truth = torch.arange(COUNT) % CLASSES
    drawings = torch.randn(CLASSES, 3, SIDE, SIDE, generator=draw)

    def subject(lined_up: bool) -> Subject:
        halves = []
        for _ in range(2):
            x = _ground(COUNT, draw) + (drawings[truth] if lined_up else 0)
            halves.append((Half(_ground(20, draw), *[torch.full((20,), 9)] * 2), Half(x, truth, truth)))
        pairs = tuple(zip(*halves, strict=True))
        return Subject(9, pairs[0], pairs[1], lambda x: x.flatten(1))

    assert aligned(subject(True)) > 0.9
    assert aligned(subject(False)) < 0.05


def _candidate(box: tuple[int, int, int, int], flips: float, index: int = 0) -> Candidate:
    moved = np.full(30, flips)
    moved[:3] = 0
    patch = Patch(torch.zeros(1, 3, 4, 4), float("nan"), (0,))
    boxes = tuple((box[0] + n, box[1], box[2] + n, box[3]) for n in range(8))
    effect = Effect("pasting", "another window", 5 * moved, moved, 1.0)
    return Candidate(index, patch, (effect,), "it keeps its place", {}, tuple(enumerate(boxes)), "", boxes)


def test_one_thing_is_told_once() -> None:
    """Windows over one another in the same pictures are one finding, the one of the largest effect; those beside, and
    of other classes, are their own."""
    given = [_candidate((0, 0, 8, 8), 0.5), _candidate((2, 0, 10, 8), 0.9), _candidate((20, 20, 28, 28), 0.7),
             _candidate((2, 0, 10, 8), 0.3, index=1)]  # fmt: skip
    found = findings(given)
    assert [round(each.candidate.best.flipped, 2) for each in found] == [0.81, 0.63, 0.45, 0.27]
    assert [each.same_as for each in found] == [None, None, 0, None]
    assert found[2].told()["same_as"] == 0


def test_an_effect_that_may_be_none_is_no_verdict() -> None:
    """Odds that surely move a little, and a few answers that flip, of which as many may flip the other way by chance:
    proved, but of no size that is known."""
    draw = np.random.default_rng(0)
    odds = np.abs(draw.normal(0.3, 0.1, 40))
    flips = np.array([1.0] * 6 + [-1.0] * 2 + [0.0] * 32)
    patch = Patch(torch.zeros(1, 3, 4, 4), float("nan"), (0,))
    few, many, far = (
        Candidate(0, patch, (Effect("pasting", "another window", moved, flipped, 1.0),), "masks")
        for moved, flipped in ((odds, flips), (odds, np.abs(flips)), (3 * odds, flips))
    )
    assert few.best.flipped == 0.1
    assert few.best.interval[0] <= 0 < many.best.interval[0]
    assert [each.verdict for each in findings([few, few])] == ["", ""]
    assert [findings([each])[0].verdict for each in (many, far)] == ["shortcut", "shortcut"]


def test_the_effect_that_matters_is_told_though_a_small_one_is_surer() -> None:
    """Pasting that surely does next to nothing does not hide what removing does."""
    draw = np.random.default_rng(0)
    small = Effect("pasting", "another window", np.full(90, 0.1), np.zeros(90), 1.0)
    flips = (draw.random(40) < 0.4).astype(float)
    large = Effect("removing", "another window", flips + draw.normal(0, 0.5, 40), flips, 1.0)
    patch = Patch(torch.zeros(1, 3, 4, 4), float("nan"), (0,))
    found = Candidate(0, patch, (small, large), "masks")
    assert small.p < large.p < 0.01
    assert found.best is large
    assert found.p == 2 * large.p
    assert findings([found])[0].verdict == "shortcut"
    assert Candidate(0, patch, (small,), "masks").best is small


def test_a_part_is_told_before_all_that_it_is_a_part_of() -> None:
    """If it does nearly as much: where masks say what is around objects, that holds every cue beside them."""

    def effect(count: int) -> Effect:
        flips = np.array([1.0] * count + [0.0] * (40 - count))
        return Effect("pasting", "another window", flips + 0.1, flips, 1.0)

    patch = Patch(torch.zeros(1, 3, 4, 4), 1.0, (0,))
    part, weak = (Candidate(0, patch, (effect(count),), "masks") for count in (17, 8))
    whole = Candidate(0, Background(), (effect(20),), "masks")
    assert [each.candidate for each in findings([whole, part])] == [part, whole]
    assert [each.candidate for each in findings([weak, whole])] == [whole, weak]


def test_strength_is_certainty_and_half_of_it_for_what_may_be_object() -> None:
    """In standard errors of the odds; removing a part of the object says nothing, and what goes the other way is 0."""
    draw = np.random.default_rng(0)
    odds = draw.normal(1, 1, 50)
    wanted = odds.mean() / (odds.std(ddof=1) / 50**0.5)
    flips = np.zeros(50)
    pasting, removing, against = (
        Effect(what, "another window", values, flips, 1.0)
        for what, values in (("pasting", odds), ("removing", 3 * odds), ("pasting", -odds))
    )
    patch = Patch(torch.zeros(1, 3, 4, 4), float("nan"), (0,))
    assert Candidate(0, patch, (pasting,), "masks").strength == pytest.approx(wanted)
    assert Candidate(0, patch, (removing,), "masks").strength == pytest.approx(wanted)
    assert Candidate(0, patch, (pasting, removing), "").strength == pytest.approx(wanted / 2)
    assert Candidate(0, patch, (removing, against), "").strength == 0
    assert Effect("pasting", "another window", odds[:1], flips[:1], 1.0).surely == 0
