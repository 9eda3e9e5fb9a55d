"""What networks give: read after others have run, in whatever memory it lay, with or without an axis for the sample."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy


def net() -> nn.Module:
    torch.manual_seed(0)
    layers = (nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 5))
    return nn.Sequential(*layers).double().eval()


class Answering(nn.Module):
    """Answers in a buffer of its own, as programs with static memory do."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.net, self.kind = net(), kind
        self.register_buffer("own", torch.zeros(256, 5, dtype=torch.float64))
        self.kept = [torch.zeros(256, 5, dtype=torch.float64)]
        self.array = np.zeros((256, 5))

    def forward(self, x: Tensor) -> Any:
        z = self.net(x)
        if z.requires_grad:
            return z
        room = {"buffer": self.own, "list": self.kept[0], "numpy": torch.from_numpy(self.array)}[self.kind]
        room[: len(z)].copy_(z)
        return room[: len(z)]


def numbers(kind: str) -> Callable[[Tensor], Any]:
    """A function that answers in an array that it keeps."""
    inner, room = net(), np.zeros((256, 5))

    def scores(x: Tensor) -> Any:
        with torch.no_grad():
            room[: len(x)] = inner(x.double()).numpy()
        return room[: len(x)] if kind == "array" else torch.from_numpy(room)[: len(x)]

    return scores


def by_hand(x: Tensor, k: int) -> tuple[float, np.ndarray]:
    """The score, and occlusion by windows of 8 in steps of 4, filled with 0."""
    inner = net()
    with torch.no_grad():
        score = float(inner(x[None])[0, k])
        total, count = torch.zeros(16, 16).double(), torch.zeros(16, 16).double()
        for i in range(0, 9, 4):
            for j in range(0, 9, 4):
                hidden = x.clone()
                hidden[:, i : i + 8, j : j + 8] = 0
                total[i : i + 8, j : j + 8] += score - float(inner(hidden[None])[0, k])
                count[i : i + 8, j : j + 8] += 1
    return score, (total / count).numpy()


@pytest.mark.parametrize("prepare", [False, "auto", True])
@pytest.mark.parametrize("kind", ["buffer", "list", "numpy", "array", "from_numpy"])
def test_scores_that_lie_where_the_next_forward_writes(kind: str, prepare: bool | str) -> None:
    x = torch.rand(3, 3, 16, 16, dtype=torch.float64)
    model: Any = Answering(kind).eval() if kind in ("buffer", "list", "numpy") else numbers(kind)
    maps = seewhy.explain_all(
        model, x, "occlusion", target=2, prepare=prepare, window=8, stride=4, fill=0.0, memory=None
    )
    for row, answer in enumerate(maps):
        score, right = by_hand(x[row], 2)
        assert answer.score == pytest.approx(score, rel=1e-6)
        assert answer.unit == "logit"
        np.testing.assert_allclose(answer.values, right, atol=1e-6)


class Squeezed(nn.Module):
    """Leaves out the axis of a single sample."""

    def __init__(self, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.net, self.end = net(), end

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.net(x))


ENDS: dict[str, Callable[[Tensor], Tensor]] = {
    "scores": lambda z: z.squeeze(),
    "softmax, then squeeze": lambda z: z.softmax(1).squeeze(),
    "squeeze, then softmax": lambda z: z.squeeze().softmax(-1),
}


@pytest.mark.parametrize("prepare", [False, "auto", True])
@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("end", ENDS)
def test_a_network_that_squeezes_its_scores(end: str, count: int, prepare: bool | str) -> None:
    x = torch.rand(count, 3, 16, 16, dtype=torch.float64, requires_grad=True)
    scores = net()(x)
    (slopes,) = torch.autograd.grad(scores[:, 2].sum(), x)
    maps = seewhy.explain_all(
        Squeezed(ENDS[end]).eval(), x.detach(), "saliency", target=2, prepare=prepare, reduce="none"
    )
    for row, answer in enumerate(maps):
        assert answer.score == pytest.approx(float(scores[row, 2].detach()), rel=1e-6)
        assert answer.unit == "logit"
        np.testing.assert_allclose(answer.values, slopes[row].numpy(), atol=1e-8)


class Two(nn.Module):
    """Features and scores."""

    def __init__(self) -> None:
        super().__init__()
        self.net = net()

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.mean((2, 3)), self.net(x)


def test_of_several_rows_of_numbers_it_is_said_which_are_explained() -> None:
    x = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    first = seewhy.explain(Two().eval(), x, "saliency", target=2)
    assert any("gives 2 outputs" in note and "output[1][:, CLASS]" in note for note in first.notes)
    other = seewhy.explain(Two().eval(), x, "saliency", target=lambda output: output[1][:, 2])
    assert not any("outputs" in note for note in other.notes)
    assert other.score == pytest.approx(float(net()(x)[0, 2].detach()), rel=1e-6)
