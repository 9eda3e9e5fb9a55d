"""RISE's masks: what is summed up without making any is what the masks themselves give."""

from __future__ import annotations

import pytest
import torch

from seewhy.core.perturb.fills import Fill
from seewhy.methods._hidden_pieces import Draws
from seewhy.methods._soft_masks import SoftMasks, _binning

SHAPES = [((24, 31), (7, 5)), ((16,), (3,)), ((6, 9, 8), (2, 3, 4)), ((5, 5), (1, 5)), ((4, 40), (4, 7))]


@pytest.fixture(params=SHAPES, ids=str)
def case(request: pytest.FixtureRequest) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return request.param  # type: ignore[no-any-return]


def _masks(size: tuple[int, ...], cells: tuple[int, ...], p: float, *, paired: bool) -> SoftMasks:
    x = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    return SoftMasks(Draws(x, "rise", 4), size, cells, p, paired)


@pytest.mark.parametrize(("p", "paired"), [(0.5, True), (0.3, False)])
def test_sums_and_features_are_those_of_the_masks(
    case: tuple[tuple[int, ...], tuple[int, ...]], p: float, paired: bool
) -> None:
    size, cells = case
    masks = _masks(size, cells, p, paired=paired)
    samples, indices = torch.tensor([0, 1] * 20), torch.arange(40)
    made = masks(samples, indices)[:, 0]
    weights = torch.randn(40, dtype=torch.float64, generator=torch.Generator().manual_seed(2)).requires_grad_()
    once, squares = masks.sums(samples, indices, weights)
    assert torch.allclose(once, torch.tensordot(weights, made - p, dims=1), atol=1e-12)
    assert torch.allclose(squares, torch.tensordot(weights.detach() ** 2, (made - p) ** 2, dims=1), atol=1e-12)
    (slope,) = torch.autograd.grad(once.sum(), weights)
    assert torch.allclose(slope, (made - p).flatten(1).sum(1), atol=1e-10)
    features = made - p
    for n, k in zip(size, cells, strict=True):
        features = torch.tensordot(features, _binning(n, min(k + 1, n)), dims=([1], [1]))
    assert torch.allclose(masks.features(samples, indices), features.flatten(1), atol=1e-12)


def test_expectations_are_those_of_all_masks(case: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    """Of so many masks the mean is the expectation, to its standard error."""
    size, cells = case
    masks = _masks(size, cells, 0.5, paired=False)
    samples, indices = torch.zeros(4000, dtype=torch.long), torch.arange(4000)
    made, features = masks(samples, indices)[:, 0] - 0.5, masks.features(samples, indices)
    weights = torch.randn(features.shape[1], dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    terms = (features @ weights).reshape(-1, *(1 for _ in size)) * made
    error = terms.std(0) / 4000**0.5
    away = (terms.mean(0) - masks.expected(weights)).abs() / error
    assert float(away.max()) < 5
    assert masks.spread() == pytest.approx(float(features.var(0).mean()), rel=0.2)


def test_single_precision_is_rounding_only() -> None:
    masks = _masks((24, 31), (7, 5), 0.5, paired=True)
    samples, indices = torch.zeros(6, dtype=torch.long), torch.arange(6)
    exact, rounded = masks(samples, indices), masks(samples, indices, torch.float32)
    assert rounded.dtype == torch.float32
    assert torch.allclose(rounded.double(), exact, atol=1e-6)
    assert torch.allclose(exact[::2] + exact[1::2], torch.ones(()).double())


def test_one_image_is_broadcast_and_several_are_chosen() -> None:
    x = torch.rand(3, 2, 4, 5, generator=torch.Generator().manual_seed(0))
    fill = Fill(torch.rand(3, 2, 4, 5, generator=torch.Generator().manual_seed(1)))
    visible = torch.rand(4, 1, 4, 5, generator=torch.Generator().manual_seed(2)).double()
    for samples in (torch.tensor([1, 1, 1, 1]), torch.tensor([2, 0, 1, 1]), torch.zeros(0, dtype=torch.long)):
        shows = visible[: len(samples)].float()
        right = torch.lerp(fill.reference[samples], x[samples], shows.expand_as(x[samples]))
        assert torch.equal(fill(x, samples, visible[: len(samples)]), right)
