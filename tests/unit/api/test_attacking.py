"""Attacks on pictures: the ball holds in the saved file, what is reported is what the file gets, nothing is left behind."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import seewhy
from networks import image, make
from seewhy import targets as t
from seewhy.api.attacking import robustness
from seewhy.errors import CapabilityError, TargetError, UsageError
from seewhy.models import Preprocess

_SIZE = 12


def _model(order: str = "rgb", channels: int = 3, seed: int = 0) -> seewhy.Model:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(channels, 6, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 4)
        )
    spread = (0.2, 0.3, 0.25)[:channels]
    pixels = Preprocess(
        (_SIZE, _SIZE), None, "squash", (0.5, 0.4, 0.45)[:channels], spread, "bilinear", channels, order
    )
    return seewhy.wrap(net, preprocess=pixels, labels=["ant", "bee", "cat", "dog"])


def _photo(seed: int = 0, side: int = 20) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (side, side, 3), dtype=np.uint8))


@pytest.mark.parametrize("method", ["fgsm", "i-fgsm", "pgd"])
@pytest.mark.parametrize(("order", "channels"), [("rgb", 3), ("bgr", 3), ("rgb", 1)])
@pytest.mark.parametrize("epsilon", [1, 3.5, 8])
def test_the_saved_file_is_inside_the_ball_and_is_what_was_judged(
    method: str, order: str, channels: int, epsilon: float, tmp_path: Path
) -> None:
    model = _model(order, channels)
    found = seewhy.attack(model, _photo(), method=method, epsilon=epsilon)
    assert isinstance(found, seewhy.Attack)
    with Image.open(found.save(tmp_path / "a.png")) as file:
        back = np.asarray(file)
    assert np.array_equal(back, found.adversarial)
    assert 0 < np.abs(back.astype(int) - found.image.astype(int)).max() <= epsilon
    assert found.largest == np.abs(back.astype(int) - found.image.astype(int)).max()
    # read back as a photo of its own, it gets the scores that were reported
    assert isinstance(model.preprocess, Preprocess)
    again = seewhy.wrap(model, preprocess=model.preprocess.as_is())
    judged = seewhy.explain(again, tmp_path / "a.png", method="saliency", target=t.LogProbability(found.before.index))
    assert judged.score == pytest.approx(found.attacked_score, abs=1e-5)
    assert judged.prediction.index == found.after.index
    assert found.attacked_score < found.score


def test_the_class_to_leave_and_the_class_to_reach() -> None:
    model, photo = _model(), _photo()
    away = seewhy.attack(model, photo, target="bee", epsilon=30)
    assert away.goal == "away from bee"
    assert away.success == (away.after.label != "bee")
    to = seewhy.attack(model, photo, towards="dog", epsilon=30)
    assert to.attacked_score > to.score
    assert to.success == (to.after.label == "dog")
    assert [each.target for each in to.maps] == [to.before.label, to.after.label]


def test_several_images_have_a_goal_each() -> None:
    model, photos = _model(), [_photo(n) for n in range(3)]
    together = seewhy.attack_all(model, photos, target=[0, 2, 1], epsilon=6, maps=None)
    alone = [
        seewhy.attack(model, photo, target=k, epsilon=6, maps=None) for photo, k in zip(photos, (0, 2, 1), strict=True)
    ]
    for one, each in zip(alone, together, strict=True):
        assert np.array_equal(one.adversarial, each.adversarial)
        assert one.goal == each.goal


def test_a_regression_is_lowered_or_raised() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 1), nn.Tanh())
    x = torch.rand(3, 2, 2)
    lower = seewhy.attack(net, x, target=t.Output(0), epsilon=20)
    higher = seewhy.attack(net, x, target=-t.Output(0), epsilon=20)
    assert lower.attacked_score < lower.score
    assert lower.success is None
    assert higher.attacked_score < higher.score == -lower.score
    with pytest.raises(TargetError, match="say what the attack should lower"):
        seewhy.attack(net, x)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"epsilon": 0}, "epsilon=0"),
        ({"epsilon": 0.5}, "8 bits"),
        ({"epsilon": 300}, "at most 255"),
        ({"steps": 0}, "steps=0"),
        ({"step": -1.0}, "step=-1"),
        ({"target": 9}, "class 9"),
        ({"target": "cow"}, "cow"),
        ({"target": [0, 1]}, "2 targets for 1 images"),
        ({"target": t.Logit(0), "towards": 1}, "give one of them"),
        ({"method": "saliency"}, "no method of attack"),
        ({"method": "pgdd"}, "pgd"),
        ({"stepz": 3}, "stepz"),
    ],
)
def test_what_cannot_be_meant(given: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        seewhy.attack(_model(), _photo(), **given)


def test_a_callable_has_no_gradient() -> None:
    with pytest.raises(CapabilityError, match="pgd needs"):
        seewhy.attack(lambda x: x.flatten(1)[:, :3], torch.rand(3, 4, 4))


def test_attacks_are_no_explanations() -> None:
    with pytest.raises(UsageError, match="seewhy attack"):
        seewhy.explain(_model(), _photo(), method="pgd")


def test_an_interrupted_attack_gives_its_best() -> None:
    def stopping(what: str, done: int, total: int) -> None:
        if what == "i-fgsm" and done == 3:
            raise KeyboardInterrupt

    found = seewhy.attack(_model(), _photo(), method="i-fgsm", steps=10, progress=stopping)
    assert found.status.code == "unfinished"
    assert "interrupted after 3 of 10 steps" in found.notes
    assert 1 <= found.largest <= 3
    assert found.attacked_score < found.score


def test_nothing_is_left_behind() -> None:
    case, x = make("conv-bn-relu", 1), image(1, batch=1)
    case.net.train()
    before = {name: value.clone() for name, value in case.net.state_dict().items()}
    with pytest.warns(UserWarning, match="train mode"):
        seewhy.attack(case.net, x, steps=3)
    assert case.net.training
    assert all(torch.equal(value, before[name]) for name, value in case.net.state_dict().items())
    assert all(parameter.grad is None for parameter in case.net.parameters())


def test_the_curve_falls_and_counts_by_hand(tmp_path: Path) -> None:
    model = _model()
    for n in range(6):
        answer = seewhy.explain(model, _photo(n), method="saliency").prediction
        # every third photo has a class that the model does not answer
        name = answer.label if n % 3 else model.labels[(answer.index + 1) % 4]
        (tmp_path / name).mkdir(exist_ok=True)
        _photo(n).save(tmp_path / name / f"{n}.png")
    curve = robustness(model, tmp_path, [4, 1, 16], method="fgsm")
    assert [(p.epsilon, p.count) for p in curve.points] == [(0, 6), (1, 6), (4, 6), (16, 6)]
    assert curve.points[0].right == 4
    assert curve.truth == "labels"
    rights = [p.right for p in curve.points]
    assert rights == sorted(rights, reverse=True)
    standing = [n for n in range(6) if n % 3]
    for point in curve.points[1:]:
        standing = [
            n for n in standing if not seewhy.attack(model, _photo(n), method="fgsm", epsilon=point.epsilon).success
        ]
        assert point.right == len(standing)


def test_without_classes_the_models_own_answers_count(tmp_path: Path) -> None:
    for n in range(3):
        _photo(n).save(tmp_path / f"{n}.png")
    curve = robustness(_model(), tmp_path, [2], method="fgsm")
    assert (curve.truth, curve.points[0].accuracy) == ("own answers", 1.0)
    with pytest.raises(UsageError, match="levels above 0"):
        robustness(_model(), tmp_path, [0])
