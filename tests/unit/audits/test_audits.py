"""Audits of models whose rule is written down: what is planted is found, named and proved, and nothing else is."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from seewhy.audits.auditing import PROPOSALS, audited
from seewhy.audits.cue import Cue
from seewhy.audits.groups import by_group
from seewhy.audits.patches import matches
from seewhy.audits.places import Frame, Place
from seewhy.audits.regions import Window, blurred, frame, pasted, windows
from seewhy.audits.stored import packed, unpacked
from seewhy.audits.subject import Half, Subject, answers
from seewhy.audits.verdicts import Finding, corrected, findings, power, without
from seewhy.errors import UsageError

SIDE, CLASSES, COUNT, BLOB = 20, 3, 56, 5
#: what a planted cue adds to the score of class 0
WEIGHT = 14.0

Plant = Callable[[Tensor, torch.Generator], Tensor]
Rule = Callable[[Tensor], Tensor]


def _own(x: Tensor) -> Tensor:
    """A class is a blob of its own colour, anywhere: the brightest square of each channel [N, 3]."""
    return 9 * F.avg_pool2d(x, BLOB, 1).amax((2, 3))


def _pictures(count: int, draw: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Noise with a grained blob somewhere [N, 3, S, S], classes [N], and where blobs are [N, S, S]."""
    x = 0.25 * torch.rand(count, 3, SIDE, SIDE, generator=draw)
    labels = torch.arange(count) % CLASSES
    objects = torch.zeros(count, SIDE, SIDE, dtype=torch.bool)
    for n in range(count):
        top, left = torch.randint(SIDE - BLOB + 1, (2,), generator=draw).tolist()
        rows, columns = slice(top, top + BLOB), slice(left, left + BLOB)
        x[n, labels[n], rows, columns] += 0.3 + 0.4 * torch.rand(BLOB, BLOB, generator=draw)
        objects[n, rows, columns] = True
    return x, labels, objects


def _planted(
    plant: Plant | None, rule: Rule, share: float = 1.0, *, masks: bool = False, seed: int = 0
) -> tuple[list[Subject], list[Finding]]:
    """All classes audited, of pictures of which a ``share`` of class 0 has what ``plant`` gives them."""

    def score(x: Tensor) -> Tensor:
        found = _own(x)
        return torch.cat([found[:, :1] + rule(x)[:, None], found[:, 1:]], 1)

    halves = []
    for half in range(2):
        draw = torch.Generator().manual_seed(10 * seed + half)
        x, labels, objects = _pictures(COUNT * CLASSES, draw)
        if plant is not None:
            has = (labels == 0) & (torch.rand(len(x), generator=draw) < share)
            x[has] = plant(x[has], draw)
        halves.append((x, labels, score(x).argmax(1), objects))
    subjects = []
    for k in range(CLASSES):
        own, others = [], []
        for x, labels, said, objects in halves:
            leaf = x[labels == k].clone().requires_grad_()
            (gradient,) = torch.autograd.grad(answers(score(leaf), k)[:, 0].sum(), leaf)
            evidence = (gradient * leaf).detach().sum(1)
            places = [objects[labels == k], objects[labels != k]] if masks else [None, None]
            own.append(Half(x[labels == k], said[labels == k], labels[labels == k], evidence, places[0]))
            others.append(Half(x[labels != k], said[labels != k], labels[labels != k], None, places[1]))
        subjects.append(Subject(k, (own[0], own[1]), (others[0], others[1]), score, seed))
    return subjects, findings([each for subject in subjects for each in audited(subject)])


def _shortcuts(found: list[Finding]) -> list[Finding]:
    return [each for each in found if each.verdict == "shortcut"]


#: what is stuck on pictures: four pixels square, a pattern that no noise has
STICKER = torch.tensor([[1.0, 0, 0, 1], [0, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1]]).expand(3, 4, 4)


def _stuck(x: Tensor, top: int, left: int) -> Tensor:
    found = x.clone()
    found[:, :, top : top + 4, left : left + 4] = STICKER
    return found


def _in_corner(x: Tensor) -> Tensor:
    """How much of the sticker is in the lower right corner."""
    return WEIGHT * ((x[:, :, -4:, -4:] - 0.5) * (STICKER - 0.5)).mean((1, 2, 3)).clamp(min=0)


def _anywhere(x: Tensor) -> Tensor:
    kernel = (STICKER - 0.5)[None] / STICKER.numel()
    return (3 * WEIGHT * (F.conv2d(x - 0.5, kernel)[:, 0].amax((1, 2)) - 0.12)).clamp(min=0)


@pytest.mark.parametrize("masks", [False, True])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_nothing_is_found_where_nothing_is_planted(seed: int, masks: bool) -> None:
    """Blobs move, and what is around them says nothing: no class has a shortcut."""
    _, found = _planted(None, lambda x: x.new_zeros(len(x)), masks=masks, seed=seed)
    assert len(found) >= 3 * CLASSES
    assert not _shortcuts(found)


@pytest.mark.parametrize("share", [1.0, 0.75])
def test_a_sticker_in_a_corner(share: float) -> None:
    """The window of the corner is found and proved, and is outside the object because it keeps its place."""
    _, found = _planted(lambda x, draw: _stuck(x, SIDE - 4, SIDE - 4), _in_corner, share)
    best = _shortcuts(found)[0]
    assert best.candidate.index == 0
    assert isinstance(best.candidate.cue, Place)
    assert Window(SIDE - 4, SIDE - 4, 4, 4).overlap(best.candidate.cue.window) >= 0.5
    assert best.candidate.tag == "corner"
    assert "keeps its place" in best.candidate.outside
    assert best.candidate.best.flipped > 0.3
    assert {each.candidate.index for each in _shortcuts(found)} == {0}


def test_a_border() -> None:
    """A frame of one colour is found as the border."""
    ring = frame((SIDE, SIDE), 0.1)

    def plant(x: Tensor, draw: torch.Generator) -> Tensor:
        return pasted(x, torch.ones_like(x), ring)

    def rule(x: Tensor) -> Tensor:
        return WEIGHT * ((x * ring).sum((1, 2, 3)) / (3 * ring.sum()) - 0.3).clamp(min=0)

    _, found = _planted(plant, rule)
    assert {each.candidate.index for each in _shortcuts(found)} == {0}
    assert any(
        isinstance(each.candidate.cue, Frame) and each.candidate.cue.name == "border" for each in _shortcuts(found)
    )


def test_a_border_that_is_another_in_each_picture() -> None:
    """Noise keeps no place, and is the border all the same."""
    ring = frame((SIDE, SIDE), 0.1)

    def plant(x: Tensor, draw: torch.Generator) -> Tensor:
        return pasted(x, 1 + 2 * torch.randn(x.shape, generator=draw), ring)

    def rule(x: Tensor) -> Tensor:
        return WEIGHT * ((x * ring).sum((1, 2, 3)) / (3 * ring.sum()) - 0.3).clamp(min=0)

    _, found = _planted(plant, rule)
    borders = [e for e in _shortcuts(found) if isinstance(e.candidate.cue, Frame) and e.candidate.cue.name == "border"]
    assert [each.candidate.index for each in borders] == [0]
    assert borders[0].candidate.outside.startswith("it is a border: pixels change ")


def test_a_border_is_set_off_from_what_it_surrounds() -> None:
    """Not where pictures go on to their edges, or are dark there as digits are, and not by one side alone."""
    draw = torch.Generator().manual_seed(0)
    smooth = torch.rand(20, 3, 6, 6, generator=draw)
    smooth = F.interpolate(smooth, SIDE, mode="bicubic")
    digits = torch.zeros(20, 3, SIDE, SIDE)
    digits[:, :, 2:-2, SIDE // 2] = 1
    framed, topped, some = smooth.clone(), smooth.clone(), smooth.clone()
    ring = frame((SIDE, SIDE), 0.08)
    framed[:, :, ring.bool()] += 1
    some[:12] = framed[:12]
    topped[:, :, :2] += 1
    cue = Frame("border", ring, torch.zeros(3, SIDE, SIDE))
    labels = torch.zeros(20, dtype=torch.long)
    plain, dark, all_, one, half = (
        cue.set_off(Half(x, labels, labels)) for x in (smooth, digits, framed, topped, some)
    )
    assert max(plain, dark, one) < 2
    assert min(all_, half) > 3


def test_a_colour_cast() -> None:
    """A shift of all colours is found as a cast, in its direction."""
    shift = torch.tensor([0.15, -0.05, 0.1])

    def rule(x: Tensor) -> Tensor:
        return 100 * ((x.mean((2, 3)) - 0.16) @ shift).clamp(min=0)

    _, found = _planted(lambda x, draw: x + shift[:, None, None], rule, 0.9)
    best = _shortcuts(found)[0].candidate
    assert (best.index, best.cue.kind) == (0, "cast")
    assert F.cosine_similarity(torch.tensor(best.cue.told()["shift"]), shift, 0) > 0.9


def test_a_sticker_anywhere() -> None:
    """What moves is found by what it looks like; that it is no part of the object is known from the pictures without
    it, which lose accuracy."""

    def plant(x: Tensor, draw: torch.Generator) -> Tensor:
        where = torch.randint(SIDE - 3, (len(x), 2), generator=draw).tolist()
        # the object is dim where the sticker helps, so that the model needs it
        return torch.stack([_stuck(0.5 * one[None], *place)[0] for one, place in zip(x, where, strict=True)])

    _, found = _planted(plant, _anywhere, 0.8)
    patches = [each for each in found if each.candidate.cue.kind == "patch" and each.candidate.index == 0]
    assert patches
    assert patches[0].verdict
    assert patches[0].candidate.best.flipped > 0.2


def test_a_background_where_masks_say_what_is_object() -> None:
    """Bright surroundings are found as the background."""

    def rule(x: Tensor) -> Tensor:
        return 30 * (x.flatten(1).median(1).values - 0.2).clamp(min=0)

    _, found = _planted(lambda x, draw: x + 0.2, rule, masks=True)
    assert "background" in {each.candidate.cue.kind for each in _shortcuts(found) if each.candidate.index == 0}


def test_what_is_found_does_not_depend_on_chance() -> None:
    """The same subject gives the same numbers, and few scores are asked for."""
    told = []
    for _ in range(2):
        subjects, found = _planted(lambda x, draw: _stuck(x, SIDE - 4, SIDE - 4), _in_corner)
        told.append([each.told() for each in found])
        assert max(subject.asked[0] for subject in subjects) < 6000
    assert repr(told[0]) == repr(told[1])


def test_pictures_without_a_cue() -> None:
    """Accuracy with and without a cue, and Fisher's exact test, against scipy's."""
    stats = pytest.importorskip("scipy.stats")
    right = torch.tensor([1] * 18 + [0] * 2 + [1] * 5 + [0] * 5)
    half = Half(torch.zeros(30, 1, 2, 2), 1 - right, torch.zeros(30, dtype=torch.long))
    other = Half(torch.zeros(20, 1, 2, 2), torch.ones(20), torch.ones(20))
    subject = Subject(0, (half, half), (other, other), lambda x: x.flatten(1))
    presence = torch.tensor([1.0] * 20 + [0.0] * 10)
    gap, p, count = without(subject, presence, torch.zeros(20))
    assert (gap, count) == (pytest.approx(0.4), 10)
    assert p == pytest.approx(stats.fisher_exact([[18, 2], [5, 5]], alternative="greater").pvalue)


def test_cues_are_kept_and_read_again() -> None:
    """Every kind of cue says the same of pictures once it was in a file; what is no such file is refused."""
    subjects, _ = _planted(lambda x, draw: _stuck(x + 0.1, SIDE - 4, SIDE - 4), _in_corner, masks=True)
    subject = subjects[0]
    cues: list[Cue] = []
    for propose in PROPOSALS:
        cues += propose(subject, cues)
    assert {cue.kind for cue in cues} == {"place", "frame", "cast", "background", "patch", "stamp"}
    data = packed([(3, cue) for cue in cues])
    again = unpacked(data, "cues.npz")
    half, others = subject.own[1], subject.others[1]
    for one, (index, other) in zip(cues, again, strict=True):
        assert index == 3
        assert one.told() == other.told()
        assert torch.equal(one.presence(half).nan_to_num(7), other.presence(half).nan_to_num(7))
        rows = torch.arange(16)
        changes = [
            cue.pasted(half.picked(rows), others.picked(rows), torch.Generator().manual_seed(0)) for cue in (one, other)
        ]
        for a, b in zip(*changes, strict=True):
            assert torch.equal(a.edited, b.edited)
            assert torch.equal(a.control, b.control)
    for wrong in (b"", data[: len(data) // 2], packed([]).replace(b"version", b"vErsion")):
        with pytest.raises(UsageError, match=r"cues\.npz"):
            unpacked(wrong, "cues.npz")


@pytest.mark.parametrize("scale", [1, 8])
def test_a_window_is_found_again_where_it_is(scale: int) -> None:
    """At any size of pictures; brightness does not matter."""
    draw = torch.Generator().manual_seed(0)
    x = torch.rand(6, 3, 20, 20, generator=draw)
    places = [(0, 0), (3, 5), (15, 15), (7, 0), (0, 15), (9, 9)]
    for n, (top, left) in enumerate(places):
        x[n, :, top : top + 5, left : left + 5] = 0.5 + torch.eye(5) / (n + 1)
    x = x.repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    exemplar = (0.1 + torch.eye(5)).expand(1, 3, 5, 5).repeat_interleave(scale, 2).repeat_interleave(scale, 3)
    alike, top, left = matches(x, exemplar)
    assert float(alike.min()) > 0.99
    assert torch.stack([top, left], 1).tolist() == [[scale * a, scale * b] for a, b in places]


def test_groups_by_hand() -> None:
    """Accuracy, what the model is sure of, and how far a group is behind its class; the worst first."""
    stats = pytest.importorskip("scipy.stats")
    groups = ["day"] * 8 + ["night"] * 4 + ["day"] * 3
    truths = [0] * 12 + [1] * 3
    said = [0] * 7 + [1] + [0, 1, 1, 1] + [1] * 3
    sure = [0.9] * 8 + [0.8] * 4 + [0.5] * 3
    night, day = by_group(groups, truths, said, sure)
    assert (night.index, night.name, night.count, night.accuracy) == (0, "night", 4, 0.25)
    assert night.behind == pytest.approx(7 / 8 - 1 / 4)
    assert night.overconfident == pytest.approx(0.8 - 0.25)
    assert night.p == day.p == pytest.approx(stats.fisher_exact([[1, 3], [7, 1]]).pvalue)
    assert (day.low, day.high) == pytest.approx(tuple(stats.binomtest(7, 8).proportion_ci(0.95, "wilson")))


def test_false_discoveries_are_those_of_scipy() -> None:
    """q is Benjamini and Hochberg's."""
    stats = pytest.importorskip("scipy.stats")
    chances = torch.rand(40, generator=torch.Generator().manual_seed(0), dtype=torch.float64).square().tolist()
    assert corrected(chances) == pytest.approx(stats.false_discovery_control(chances))


def test_odds_and_probabilities() -> None:
    """The odds of a class are its score against all others together."""
    scores = torch.tensor([[2.0, 0.5, -1.0], [0.0, 3.0, 1.0]])
    odds, chance, top = answers(scores, 0).T
    assert chance.tolist() == pytest.approx(scores.softmax(1)[:, 0].tolist())
    assert odds.exp().tolist() == pytest.approx((chance / (1 - chance)).tolist(), rel=1e-6)
    assert top.tolist() == [1, 0]


def test_what_an_audit_could_have_seen() -> None:
    """More tests see less; no audit sees less than an effect that counts."""
    subjects, _ = _planted(None, lambda x: x.new_zeros(len(x)))
    candidates = audited(subjects[0])
    assert 0.05 <= power(candidates, 5) < power(candidates, 500) < 1


def test_windows_cover_the_picture_and_its_edges() -> None:
    """Every pixel is in a window, and a blur leaves a constant picture as it is."""
    covered = sum(each.mask((13, 9)) for each in windows((13, 9)))
    assert bool((covered > 0).all())
    flat = torch.full((1, 2, 7, 5), 0.3)
    assert torch.allclose(blurred(flat), flat)
