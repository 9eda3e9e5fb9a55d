"""Samples that influence each other when they go through a network together: each goes alone, and the maps are those of
one picture at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy

#: what a forward does first, or a layer of it; the last one does not mix
SCALES: dict[str, Callable[[Tensor], Tensor]] = {
    "by its range": lambda x: (x - x.min()) / (x.max() - x.min()),
    "by its largest": lambda x: x / x.max(),
    "by mean and spread": lambda x: (x - x.mean()) / x.std(),
    "batch norm without statistics": lambda x: torch.nn.functional.batch_norm(x, None, None, training=True),
    "by each one's largest": lambda x: x / x.amax((1, 2, 3), keepdim=True),
}


class _Scaled(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.scale, self.conv, self.head = SCALES[kind], nn.Conv2d(3, 8, 3), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.conv(self.scale(x))).mean((2, 3)))


def _net(kind: str) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return _Scaled(kind).eval()


def _bright(batch: int = 1) -> Tensor:
    x = torch.rand(batch, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    x[:1, :, 4:8, 4:8] *= 4
    return x


def _hidden_by_hand(net: nn.Module, x: Tensor) -> np.ndarray[Any, Any]:
    """How far the score falls when each cell of 4 x 4 pixels is set to 0, one forward each."""
    found = torch.zeros(4, 4)
    with torch.no_grad():
        for row in range(4):
            for column in range(4):
                hidden = x.clone()
                hidden[:, :, 4 * row : 4 * row + 4, 4 * column : 4 * column + 4] = 0
                found[row, column] = (net(x) - net(hidden))[0, 1]
    return found.numpy()


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("kind", SCALES)
def test_windows_of_one_picture_do_not_see_each_other(kind: str, prepare: bool) -> None:
    net, x = _net(kind), _bright()
    right = _hidden_by_hand(net, x)
    for _ in range(4):  # looked at, known
        found = seewhy.explain(net, x, "occlusion", 1, window=4, stride=4, fill=0.0, prepare=prepare)
        np.testing.assert_allclose(found.values[::4, ::4], right, rtol=1e-3, atol=1e-6)
        told = any("influence each other" in note for note in found.notes)
        assert told is (kind != "by each one's largest")


@pytest.mark.parametrize("kind", SCALES)
def test_pictures_given_together_do_not_see_each_other(kind: str) -> None:
    net, x = _net(kind), _bright(3)
    for method in ("saliency", "grad-cam"):
        together = seewhy.explain_all(net, x, method, 1)
        for row, found in enumerate(together):
            alone = seewhy.explain(_net(kind), x[row : row + 1], method, 1)
            np.testing.assert_allclose(found.values, alone.values, rtol=1e-3, atol=1e-6)


def test_predictions_of_photos_do_not_see_each_other() -> None:
    net, x = _net("by mean and spread"), _bright(4) * torch.tensor([1.0, 3.0, -2.0, 0.2])[:, None, None, None]
    twins = seewhy.attack_all(net, x, method="fgsm", epsilon=0.01, target=None)
    for row, twin in enumerate(twins):
        assert twin.before.probability == pytest.approx(net(x[row : row + 1]).softmax(1).max().item(), rel=1e-4)


def test_a_callable_is_looked_at_too() -> None:
    net, x = _net("by its range"), _bright()
    right = _hidden_by_hand(net, x)
    found = seewhy.explain(lambda given: net(given), x, "occlusion", 1, window=4, stride=4, fill=0.0)
    np.testing.assert_allclose(found.values[::4, ::4], right, rtol=1e-3, atol=1e-6)


def test_noise_is_no_influence() -> None:
    class Noisy(_Scaled):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x) + torch.rand(len(x), 1)

    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = Noisy("by each one's largest").eval()
    found = seewhy.explain_all(net, _bright(2), "occlusion", 1, window=4, stride=4)
    assert not any("influence each other" in note for each in found for note in each.notes)


@pytest.mark.parametrize("kind", SCALES)
def test_an_input_is_not_changed_by_its_own_baseline(kind: str) -> None:
    """What DeepLIFT's map is to add up to is the difference of two forwards of one picture each."""
    net, x = _net(kind), _bright()
    start = 0.1 + 0.2 * torch.rand(x.shape, generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        rise = float((net(x) - net(start))[0, 1])
    for _ in range(2):  # looked at, known
        found = seewhy.explain(net, x, "deep-lift", 1, baseline=start)
        assert float(found.values.sum()) - float(found.error) == pytest.approx(rise, rel=1e-4, abs=1e-6)


def test_a_norm_that_says_nothing_of_one_picture() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(27, 4), nn.BatchNorm1d(4, track_running_stats=False))
    for count in (1, 3):
        with pytest.raises(seewhy.errors.CapabilityError, match=r"batch norm without statistics of its own"):
            seewhy.explain_all(net.eval(), torch.rand(count, 3, 3, 3), "saliency", 1)


def test_a_layer_that_normalises_by_its_batch_has_every_picture_alone() -> None:
    net = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8, track_running_stats=False), nn.ReLU(), nn.Conv2d(8, 8, 3))
    net, x = nn.Sequential(*net, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3)).eval(), _bright(3)
    for row, found in enumerate(seewhy.explain_all(net, x, "grad-cam", 1, prepare=False)):
        alone = seewhy.explain(net, x[row : row + 1], "grad-cam", 1, prepare=False)
        np.testing.assert_array_equal(found.values, alone.values)
        assert any("normalises by the statistics of its batch" in note for note in found.notes)


class _EndsIn(nn.Module):
    """Computes in one type, and gives another."""

    def __init__(self, dtype: torch.dtype, scale: str) -> None:
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            self.one, self.two, self.head = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 8, 3, stride=2), nn.Linear(8, 4)
        self.dtype, self.scale = dtype, SCALES[scale]

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.two(self.one(self.scale(x)).relu()).relu().mean((2, 3))
        return self.head(hidden).softmax(1, dtype=self.dtype)


@pytest.mark.parametrize("prepare", [False, True, "verify"])
@pytest.mark.parametrize("scale", ["by its largest", "by each one's largest"])
def test_what_is_given_in_a_finer_type_is_no_more_exact(scale: str, prepare: Any) -> None:
    x = torch.rand(5, 3, 16, 24, generator=torch.Generator().manual_seed(2)) * torch.arange(1, 6)[:, None, None, None]
    net = _EndsIn(torch.float64, scale).eval()
    for _ in range(2):  # what they say of each other is asked in the 1st, the 2nd...
        found = seewhy.explain_all(net, x, method="saliency", target=1, prepare=prepare)
        mixed = any("influence each other" in note for explanation in found for note in explanation.notes)
        assert mixed == (scale == "by its largest")
    if not mixed and prepare:
        assert dict(found[0].provenance["prepared"])["used"]


class _Reordered(nn.Module):
    """A batch that goes through the network in another order, and comes out in its own."""

    def __init__(self, there: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.there, self.back = there, back
        self.stem, self.conv, self.head = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 8, 3, 2, 1), nn.Linear(8, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.conv(self.there(torch.tanh(self.stem(x))))
        return self.head(self.back(torch.tanh(hidden).mean((2, 3))))


@pytest.mark.parametrize("prepare", [False, "auto", True])
@pytest.mark.parametrize(
    ("there", "back"),
    [
        (lambda x: x.flip(0), lambda x: x.flip(0)),
        (lambda x: x.roll(1, 0), lambda x: x.roll(-1, 0)),
        (lambda x: torch.cat([x[::2], x[1::2]]), lambda x: x[[0, 2, 1]] if len(x) == 3 else x),
    ],
)
def test_a_batch_in_another_order_inside_gets_the_maps_of_its_own_images(
    there: Callable[[Tensor], Tensor], back: Callable[[Tensor], Tensor], prepare: bool
) -> None:
    """What the layer gave for one image was another one's: grad-cam a third off, with a note on the grid at best."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = _Reordered(there, back).eval()
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    found = seewhy.explain_all(net, x, "grad-cam", target=1, layer="conv", prepare=prepare)
    for row, explanation in enumerate(found):
        value = net.conv(torch.tanh(net.stem(x[row : row + 1]))).detach().requires_grad_()
        net.head(torch.tanh(value).mean((2, 3)))[0, 1].backward()
        by_hand = (value.grad.mean((2, 3), keepdim=True) * value).sum(1)[0].detach().numpy()
        np.testing.assert_allclose(explanation.values, by_hand, rtol=1e-4, atol=1e-7)
        assert explanation.provenance["grid"] == {"conv": "proved"}
        assert any("what layer 'conv' gives" in note for note in explanation.notes)


def test_scores_that_depend_on_whether_gradients_are_recorded_are_not_laid_on_the_batch() -> None:
    class Recorded(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 8, 3, 2, 1), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            hidden = torch.relu(self.conv(x)).mean((2, 3))
            return self.head(1.5 * hidden if torch.is_grad_enabled() else hidden)

    with torch.random.fork_rng():
        torch.manual_seed(3)
        net = Recorded().eval()
    x = _bright(3).requires_grad_()
    found = seewhy.explain_all(net, x.detach(), "saliency", target=1, prepare=False)
    net(x)[:, 1].sum().backward()
    by_hand = x.grad.abs().amax(1).numpy()
    np.testing.assert_allclose(np.stack([e.values for e in found]), by_hand, rtol=1e-4, atol=1e-8)
    assert any("depends on whether gradients are recorded" in note for note in found[0].notes)
    assert not any("influence each other" in note for note in found[0].notes)
    hidden = seewhy.explain_all(net, x.detach(), "occlusion", target=1, prepare=False)
    with torch.no_grad():
        assert hidden[0].score == pytest.approx(float(net(x)[0, 1]))
