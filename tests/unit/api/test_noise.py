"""Noise over any method, against loops in double precision that draw the same noise, and against SmoothGrad's family."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy.core.perturb.sources import GaussianNoise
from seewhy.errors import CapabilityError, UnknownName, UsageError

N = 12


@pytest.fixture(scope="module")
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.Conv2d(6, 6, 3, padding=1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(24, 3),
    ).eval().double()  # fmt: skip


X = torch.rand(2, 3, 12, 12, dtype=torch.float64, generator=torch.Generator().manual_seed(2))


def copies(x: Tensor, n: int = N, sigma: float = 0.15, seed: int = 0) -> Tensor:
    """The noisy copies of one image [1, C, H, W]."""
    return GaussianNoise(n, sigma, seed).inputs(x, torch.zeros(n, dtype=torch.long), torch.arange(n))


def statistic_of(values: np.ndarray[Any, Any], statistic: str) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """By the formulas of the papers, over axis 0, with a standard error that is only right up to its widening."""
    if statistic == "variance":
        return values.var(0, ddof=1), values.std(0)
    if statistic == "squared":
        values = values**2
    return values.mean(0), values.std(0, ddof=1) / np.sqrt(len(values))


@pytest.mark.parametrize("statistic", ["smooth", "squared", "variance"])
@pytest.mark.parametrize("absolute", [False, True])
@pytest.mark.parametrize("method", ["grad-cam", "occlusion", "input-x-gradient", "integrated-gradients"])
def test_a_map_is_the_statistic_of_the_maps_of_noisy_copies(
    net: nn.Module, method: str, statistic: str, absolute: bool
) -> None:
    own: dict[str, Any] = {"occlusion": {"window": 4, "stride": 4}}.get(method, {})
    noise = seewhy.Noise(statistic=statistic, n=N, tolerance=0.0, absolute=absolute)
    found = seewhy.explain_all(net, X, method=method, target=1, noise=noise, **own)
    for n, explanation in enumerate(found):
        each = [seewhy.explain(net, x[None], method=method, target=1, **own).values for x in copies(X[n : n + 1])]
        values = np.abs(np.stack(each)) if absolute else np.stack(each)
        right, _ = statistic_of(values, statistic)
        np.testing.assert_allclose(explanation.values, right, rtol=1e-9, atol=1e-12 * np.abs(right).max())
        assert explanation.score == pytest.approx(net(X)[n, 1].item())
        assert isinstance(explanation.error, np.ndarray)
        assert explanation.error.shape == explanation.values.shape


@pytest.mark.parametrize(
    ("statistic", "method"), [("smooth", "smooth-grad"), ("squared", "smooth-grad-squared"), ("variance", "var-grad")]
)
def test_over_saliency_it_is_what_smooth_grad_and_its_kin_are(net: nn.Module, statistic: str, method: str) -> None:
    noise = seewhy.Noise(statistic=statistic, n=16, tolerance=0.0, seed=3)
    ours = seewhy.explain(net, X[:1], method="saliency", reduce="none", target=2, noise=noise)
    theirs = seewhy.explain(net, X[:1], method=method, reduce="none", target=2, n=16, tolerance=0.0, seed=3)
    np.testing.assert_allclose(ours.values, theirs.values, rtol=1e-9)
    np.testing.assert_allclose(ours.error, theirs.error, rtol=1e-9)
    assert ours.map_unit == theirs.map_unit


def test_the_standard_error_covers_the_truth(net: nn.Module) -> None:
    """Of the mean of very many copies, in 95 % of places and seeds."""
    far = copies(X[:1], 4000, seed=99)
    leaf = far.clone().requires_grad_()
    (gradients,) = torch.autograd.grad(net(leaf)[:, 0].sum(), leaf)
    truth = gradients.mean(0).numpy()
    inside = []
    for seed in range(10):
        noise = seewhy.Noise(n=16, tolerance=0.0, seed=seed)
        found = seewhy.explain(net, X[:1], method="saliency", reduce="none", target=0, noise=noise)
        inside.append((np.abs(found.values - truth) <= 2 * found.error).mean())
    assert 0.9 < np.mean(inside) < 0.99


def test_the_target_is_the_one_of_the_image_itself() -> None:
    """Noise may change the top class; the question stays."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(432, 3)).eval().double()
    shaky = seewhy.Noise(n=8, std=50.0, tolerance=0.0)
    found = seewhy.explain_all(net, X, method="saliency", noise=shaky)
    top = net(X).argmax(1).tolist()
    assert [one.target_index for one in found] == top
    tops = {net(copies(X[:1], 8, 50.0 / float(X[0].max() - X[0].min()))).argmax(1).tolist()[n] for n in range(8)}
    assert len(tops) > 1  # else the test shows nothing
    assert [
        one.target_index for one in seewhy.explain_all(net, X, method="saliency", target="top-2", noise="smooth")
    ] == (net(X).topk(2).indices.flatten().tolist())


def test_std_is_in_units_of_the_input(net: nn.Module) -> None:
    spread = float(X[0].max() - X[0].min())
    share, size = seewhy.Noise(n=4, sigma=0.1, tolerance=0.0), seewhy.Noise(n=4, std=0.1 * spread, tolerance=0.0)
    first, second = (seewhy.explain(net, X[:1], method="saliency", noise=noise) for noise in (share, size))
    np.testing.assert_allclose(first.values, second.values, rtol=1e-9)
    # an image that is the same everywhere has no range, and noise all the same
    even = torch.full((1, 3, 12, 12), 0.5, dtype=torch.float64)
    found = seewhy.explain(net, even, method="saliency", target=1, noise=size)
    drawn = GaussianNoise(4, 0.1 * spread, 0, absolute=True).inputs(
        even, torch.zeros(4, dtype=torch.long), torch.arange(4)
    )
    assert float((drawn - even).std()) == pytest.approx(0.1 * spread, rel=0.15)
    each = [seewhy.explain(net, x[None], method="saliency", target=1).values for x in drawn]
    assert found.status.ok
    np.testing.assert_allclose(found.values, np.mean(each, 0), rtol=1e-9)
    assert float(np.max(found.error)) > 0


def test_copies_are_drawn_until_the_error_is_small(net: nn.Module) -> None:
    found = seewhy.explain(net, X[:1], method="grad-cam", noise=seewhy.Noise(n=64, tolerance=0.2))
    assert any("stopped after 8 of 64 noisy copies" in note for note in found.notes)
    assert found.cost.forwards == 9  # and the image itself
    strict = seewhy.explain(net, X[:1], method="grad-cam", noise=seewhy.Noise(n=10, tolerance=1e-6))
    assert (strict.status.code, strict.cost.forwards) == ("not-converged", 11)


def test_layers_contrasts_and_methods_at_once(net: nn.Module) -> None:
    found = seewhy.explain_all(
        net, X, method=["saliency", "grad-cam"], layer=["1", "3"], target="all", noise=seewhy.Noise(n=4, tolerance=0.0)
    )
    assert len(found) == 2 * 2 * 2 * 3
    alone = seewhy.explain(net, X[1:], method="grad-cam", layer="1", target=2, noise=seewhy.Noise(n=4, tolerance=0.0))
    np.testing.assert_allclose(found.where(method="grad-cam", layer="1", target=2)[1].values, alone.values, rtol=1e-9)


def test_what_it_is_kept_with(net: nn.Module) -> None:
    found = seewhy.explain(net, X[:1], method="saliency", noise="squared")
    assert found.parameters["noise"] == "squared, sigma 0.15 of the range"
    assert (found.values >= 0).all()
    assert found.positive


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"statistic": "smoth"}, "nearest: 'smooth'"),
        ({"n": 1}, "2 or more"),
        ({"n": True}, "2 or more"),
        ({"sigma": -1.0}, "0 or more"),
        ({"std": float("nan")}, "0 or more"),
        ({"sigma": 0.1, "std": 0.1}, "give one"),
        ({"seed": 0.5}, "whole number"),
        ({"tolerance": -1.0}, "share of the map's range"),
    ],
)
def test_numbers_that_mean_nothing(given: dict[str, Any], words: str) -> None:
    with pytest.raises((UsageError, UnknownName), match=words):
        seewhy.Noise(**given)


def test_words_that_are_no_noise(net: nn.Module) -> None:
    with pytest.raises(UsageError, match="or a seewhy"):
        seewhy.explain(net, X[:1], method="saliency", noise=0.1)  # type: ignore[arg-type]
    with pytest.raises(CapabilityError, match="leave noise= out"):
        seewhy.explain(net, X[:1], method="saliency", noise="smooth", differentiable=True)


def test_an_interruption_keeps_what_there_is(net: nn.Module) -> None:
    class Stop(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.calls = net, 0

        def forward(self, x: Tensor) -> Tensor:
            self.calls += len(x)
            if self.calls > 60:
                raise KeyboardInterrupt
            return self.net(x)

    found = seewhy.explain_all(
        Stop(), X[:1], method="saliency", noise=seewhy.Noise(n=512, tolerance=0.0), prepare=False
    )
    assert found.interrupted
    assert [one.status.code for one in found] == ["unfinished"]
