"""Whatever numbers a network gives, a call ends, and nothing that is no number passes for an answer."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import seewhy
from networks import Case, image, make
from properties.asking import METHODS, every, explain
from seewhy.api.attacking import robustness
from seewhy.errors import CapabilityError
from seewhy.metrics import NO_ANSWER, classification, relevance_rank
from seewhy.models import Preprocess
from seewhy.registry import methods

#: seconds that any of these calls may take; those that never end took all there were
_ENOUGH = 60


@pytest.fixture(autouse=True)
def ends() -> Iterator[None]:
    """A call that goes on for ever fails instead."""

    def stop(*_: Any) -> None:
        pytest.fail("the call does not end")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(_ENOUGH)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


class _Broken(torch.autograd.Function):
    """The input as it is, and a gradient of NaN, everywhere or at every second value."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, every_second: bool) -> Tensor:
        """The input."""
        ctx.every_second = every_second
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        """NaN."""
        broken = torch.full_like(grads[0], torch.nan)
        if ctx.every_second:
            broken.flatten()[::2] = grads[0].flatten()[::2]
        return broken, None


def _numbers(kind: str) -> Case:
    case = make("conv-bn-relu", 3)
    if kind == "NaN scores":
        case.head.register_forward_hook(lambda module, args, out: out * torch.nan)
    elif kind == "infinite scores":
        case.head.register_forward_hook(lambda module, args, out: out * torch.inf)
    elif kind == "some NaN scores":
        case.head.register_forward_hook(lambda module, args, out: torch.where(out > out.mean(), out, torch.nan))
    else:
        second = kind == "some NaN gradients"
        case.net.register_forward_pre_hook(lambda module, args: (_Broken.apply(args[0], second),))
    return case


@pytest.mark.parametrize(
    "kind", ["NaN scores", "infinite scores", "some NaN scores", "NaN gradients", "some NaN gradients"]
)
@pytest.mark.parametrize("name", [name for name in METHODS if methods[name].card.family != "attention"])
def test_every_method_ends(name: str, kind: str) -> None:
    """On numbers that are none; where they are in the map the status says so, and it is never an answer."""
    try:
        found = every(explain(_numbers(kind), image(3), name))
    except CapabilityError:
        return  # a rule or a head that is not there: said in one line
    for each in found:
        if not np.isfinite(each.values).all() or not np.isfinite(each.score):
            assert each.status.code == "non-finite"


def test_occlusion_of_chosen_windows_ends() -> None:
    case = _numbers("some NaN scores")
    for each in every(explain(case, image(3), "occlusion", adaptive=True)):
        assert each.status.code == "non-finite"


def test_guided_ig_crosses_what_is_no_number_last() -> None:
    """Where half the slopes are numbers they are the first to move; the path still ends at the input."""
    case = _numbers("some NaN gradients")
    for each in every(explain(case, image(3), "guided-ig", baseline=0.0)):
        assert np.isfinite(each.values).any()
        assert each.status.code == "non-finite"


def test_no_answer_is_wrong_and_no_class() -> None:
    shares = np.array([[0.7, 0.2, 0.1], [np.nan] * 3, [0.1, 0.1, 0.8], [np.nan, 1.0, 0.0]])
    found = classification([0, 0, 2, 1], shares)
    assert found.accuracy == 0.5
    assert found.classes == (NO_ANSWER, 0, 1, 2)
    assert found.mixed_up() == [(0, NO_ANSWER, 1), (1, NO_ANSWER, 1)]
    assert found.confidence == pytest.approx(0.75)
    assert found.calibration_error == pytest.approx((0.3 + 0.2) / 2)
    assert found.balanced_accuracy == pytest.approx((1 / 2 + 0 + 1) / 3)
    assert np.isnan(classification([0], shares[1:2]).confidence)


class _Undecided(nn.Module):
    """Scores of the mean colour; NaN for pictures that are dark."""

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, 3]."""
        mean = 4 * x.mean((2, 3))
        return torch.where(mean.sum(1, keepdim=True) > 1, mean, torch.nan)


def _model(net: nn.Module) -> seewhy.Model:
    return seewhy.wrap(net, preprocess=Preprocess((8, 8), None, "squash", (0.0,) * 3, (1.0,) * 3), labels=list("rgb"))


class _Faint(nn.Module):
    """Scores of the mean colour times ``sign``; NaN where there is little red."""

    def __init__(self, sign: int) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, 3]."""
        mean = 4 * x.mean((2, 3))
        return torch.where(mean[:, :1] > 1.95, self.sign * mean, torch.nan)


@pytest.mark.parametrize(("sign", "goal", "met"), [(1, {"target": 0}, True), (-1, {"target": 2, "towards": 0}, False)])
def test_an_attack_that_ends_in_no_answer_leaves_its_class_and_reaches_none(
    sign: int, goal: dict[str, int], met: bool
) -> None:
    found = seewhy.attack(_model(_Faint(sign)), torch.full((3, 8, 8), 0.5), method="fgsm", epsilon=8, maps=None, **goal)
    assert np.isnan(found.attacked_score)
    assert found.success is met


@pytest.mark.parametrize("method", ["fgsm", "i-fgsm", "pgd"])
def test_where_there_is_no_answer_there_is_none_to_leave(method: str) -> None:
    found = seewhy.attack(_numbers("NaN scores").net, image(2)[0], method=method, maps=None)
    assert found.success is None


def test_an_attack_moves_the_pixels_whose_slopes_are_numbers() -> None:
    class Rooted(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return 4 * x.mean((2, 3)) + (x[:, :, 0] * 0).sqrt().sum(2)  # 0 times infinity in the first row

    x = torch.full((3, 8, 8), 0.5)
    found = seewhy.attack(_model(Rooted()), x, target=0, epsilon=8, maps=None, method="fgsm")
    assert np.isfinite(found.attacked_score)
    moved = np.zeros((3, 8, 8))
    moved[0], moved[1:] = -8, 8
    moved[:, 0] = 0
    assert np.allclose(found.perturbation, moved, atol=1e-4)


def test_an_evaluation_says_how_many_have_no_answer() -> None:
    x = torch.stack([torch.full((3, 8, 8), each) for each in (0.9, 0.01)])
    found = seewhy.evaluate_model(_model(_Undecided()), x, [0, 0])
    assert (found.accuracy, found.numbers.count) == (0.5, 2)
    assert found.label(NO_ANSWER) == "no answer"
    assert [mistake.said for mistake in found.mistakes] == [NO_ANSWER]
    assert found.to_dict()["mixed_up"] == [{"truth": "r", "said": "no answer", "count": 1}]


class _Rounded(nn.Module):
    """Scores of the mean colour in steps: right, and without a gradient."""

    def __init__(self, brighter: float = torch.inf) -> None:
        super().__init__()
        self.brighter = brighter

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, 3]; of pictures that are ``brighter`` with a gradient."""
        mean = 4 * x.mean((2, 3))
        return torch.where(mean.sum(1, keepdim=True) > self.brighter, mean, (64 * mean).round() / 64)


@pytest.mark.parametrize("method", ["fgsm", "i-fgsm", "pgd"])
def test_an_attack_without_a_gradient_is_none(method: str) -> None:
    found = seewhy.attack(
        _model(_Rounded()), np.full((8, 8, 3), 200, dtype=np.uint8), method=method, epsilon=2, maps=None
    )
    assert isinstance(found, seewhy.Attack)
    assert found.status.code == "zero-gradient"
    case = make("conv-bn-relu", 2)
    assert seewhy.attack(case.net, image(2)[0], method=method, maps=None).status.ok
    broken = _numbers("NaN gradients")
    assert seewhy.attack(broken.net, image(2)[0], method=method, maps=None).status.code == "zero-gradient"


def test_standing_still_is_not_robust(tmp_path: Path) -> None:
    for number, colour in enumerate(((250, 10, 10), (60, 70, 60))):
        Image.new("RGB", (8, 8), colour).save(tmp_path / f"{number}.png")
    with pytest.raises(CapabilityError, match="no gradient at the pixels of any photo"):
        robustness(_model(_Rounded()), tmp_path, [1, 2])
    some = robustness(_model(_Rounded(brighter=3.5)), tmp_path, [1])
    assert some.notes == ("1 photos have no gradient at their pixels: they count as they answer",)


@pytest.mark.parametrize("seed", range(5))
def test_ties_are_broken_by_expectation(seed: int) -> None:
    """The mean over many random orders of equal pixels, taken one after the other."""
    rng = np.random.default_rng(seed)
    values, mask = rng.integers(-1, 2, (6, 7)).astype(float), rng.random((6, 7)) < 0.4
    shares = []
    for _ in range(4000):
        order = rng.permutation(values.size)
        best = order[np.argsort(-values.ravel()[order], kind="stable")][: mask.sum()]
        shares.append(mask.ravel()[best].mean())
    assert relevance_rank(values, mask) == pytest.approx(np.mean(shares), abs=4 * np.std(shares) / 4000**0.5 + 1e-9)


def test_a_map_with_nothing_inside_ranks_as_chance() -> None:
    values, mask = np.zeros((7, 7)), np.zeros((7, 7), dtype=bool)
    mask[:3] = True
    values[5, 5] = 1
    assert relevance_rank(values, mask) == pytest.approx(20 * (21 / 48) / 21)
