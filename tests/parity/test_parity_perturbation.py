"""Perturbation methods against Captum, lime, shap and scipy, where they compute the same thing; float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import seewhy
from networks import image, make
from parity.comparing import agree, differ, ours, targets_for
from parity.seeds import SEEDS
from seewhy.core.perturb.noise import fingerprint, uniform

attr = pytest.importorskip("captum.attr")

pytestmark = pytest.mark.filterwarnings("ignore")  # theirs, about versions and about regressions

NETWORKS = ["conv-bn-relu", "relu6-in-place", "silu", "residual"]

each_seed = pytest.mark.parametrize("seed", SEEDS)


def _pieces(seed: int, count: int) -> Tensor:
    """A random map of ``count`` pieces, each of which occurs."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.cat([torch.arange(count), torch.randint(count, (64 - count,), generator=draw)])
    return labels[torch.randperm(64, generator=draw)].reshape(8, 8)


def _each(values: np.ndarray, labels: Tensor) -> np.ndarray:
    """One number a piece, [B, P]."""
    first = [int((labels.flatten() == k).nonzero()[0]) for k in range(int(labels.max()) + 1)]
    return values.reshape(len(values), -1)[:, first]


@each_seed
@pytest.mark.parametrize(("window", "stride"), [((3, 3), (2, 2)), ((4, 2), (3, 1)), ((5, 8), (4, 3)), ((1, 2), (1, 2))])
def test_occlusion(window: tuple[int, int], stride: tuple[int, int], seed: int) -> None:
    """To 1e-5: Captum adds up in float32. The last window is cut off at the border there too."""
    case, x = make(NETWORKS[seed % 4], seed), image(seed)
    k, start = targets_for(x, seed), 0.1 * (seed % 5)
    expected = attr.Occlusion(case.net).attribute(
        x, sliding_window_shapes=(3, *window), strides=(3, *stride), baselines=start, target=k
    )
    agree(ours(case.net, x, "occlusion", k, window=window, stride=stride, fill=start), expected[:, 0], 1e-5)


@each_seed
@pytest.mark.parametrize("network", NETWORKS)
def test_feature_ablation(network: str, seed: int) -> None:
    """To 1e-5, for the same reason."""
    case, x, labels = make(network, seed), image(seed), _pieces(seed, 2 + seed % 7)
    k = targets_for(x, seed)
    expected = attr.FeatureAblation(case.net).attribute(x, baselines=0.2, target=k, feature_mask=labels[None, None])
    agree(ours(case.net, x, "feature-ablation", k, segments=labels, fill=0.2), expected[:, 0], 1e-5)


@each_seed
def test_shapley_values(seed: int) -> None:
    """Captum enumerates all orders: our enumerated coalitions agree to 1e-5, our sampled orders within 6 of their errors
    (50 pairs of orders, or all there are)."""
    case, x, labels = make(NETWORKS[seed % 4], seed), image(seed, batch=1), _pieces(seed, 5)
    k = targets_for(x, seed)[0]
    expected = attr.ShapleyValues(case.net).attribute(x, baselines=0.1, target=k, feature_mask=labels[None, None])
    given = {"segments": labels, "fill": 0.1}
    agree(ours(case.net, x, "kernel-shap", k, n=30, **given), expected[:, 0], 1e-5)
    sampled = seewhy.explain(case.net, x, method="shapley-sampling", target=k, n=400, tolerance=0.0, seed=seed, **given)
    away = np.abs(sampled.values - expected[0, 0].numpy())
    assert (away <= 6 * sampled.error + 1e-6 * np.abs(sampled.values).max()).all()


@each_seed
def test_kernel_shap(seed: int) -> None:
    """Captum's regression on 3000 random coalitions lands within 15 % of the largest value; ours on 60 pairs of 10
    pieces within 6 of its errors of the enumerated values."""
    case, x, labels = make("silu", seed), image(seed, batch=1), _pieces(seed, 5)
    k = targets_for(x, seed)[0]
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        theirs = attr.KernelShap(case.net).attribute(
            x, baselines=0.0, target=k, feature_mask=labels[None, None], n_samples=3000, perturbations_per_eval=100
        )
    agree(ours(case.net, x, "kernel-shap", k, segments=labels, fill=0.0), theirs[:, 0], 0.15)
    more = _pieces(seed, 10)
    truth = ours(case.net, x, "kernel-shap", k, segments=more, n=1022, tolerance=0.0)
    found = seewhy.explain(case.net, x, method="kernel-shap", target=k, segments=more, n=120, tolerance=0.0, seed=seed)
    assert (np.abs(found.values - truth[0]) <= 6 * found.error + 1e-9).all()
    differ(found.values[None], truth, 1e-9)


@pytest.mark.parametrize("seed", SEEDS[:4])
def test_shap(seed: int) -> None:
    """To 1e-6 with the shap package's kernel explainer where it, too, takes every coalition."""
    shap = pytest.importorskip("shap")
    case, x, labels = make("conv-bn-relu", seed), image(seed, batch=1), _pieces(seed, 6)
    k = targets_for(x, seed)[0]

    def of(shown: np.ndarray) -> np.ndarray:
        masks = torch.from_numpy(shown)[:, labels].double()[:, None]
        with torch.no_grad():
            return case.net(x * masks)[:, k].numpy()

    explainer = shap.KernelExplainer(of, np.zeros((1, 6)), silent=True)
    expected = explainer.shap_values(np.ones((1, 6)), nsamples=2**6 - 2, l1_reg=0, silent=True)
    found = ours(case.net, x, "kernel-shap", k, segments=labels)
    agree(_each(found, labels), np.asarray(expected).reshape(1, 6), 1e-6)


def _samples(x: Tensor, n: int, pieces: int, seed: int) -> np.ndarray:
    """The pieces that our LIME shows in each sample, [n, P]."""
    (key,) = fingerprint(x)
    return (uniform([(key, i) for i in range(n)], (pieces,), family="lime", seed=seed) < 0.5).double().numpy()


@each_seed
@pytest.mark.parametrize("alpha", [1.0, 0.01])
def test_lime_of_captum(alpha: float, seed: int) -> None:
    """To 1e-4 (theirs fits in float32) given the same samples, similarity and ridge. Its default is a lasso of other
    samples, and its default similarity compares images, not pieces."""
    from captum._utils.models.linear_model import SkLearnRidge

    case, x, labels = make(NETWORKS[seed % 4], seed), image(seed, batch=1), _pieces(seed, 6)
    k = targets_for(x, seed)
    rows = iter(torch.from_numpy(_samples(x, 60, 6, seed)))

    def similarity(original: Any, perturbed: Any, shown: Tensor, **given: Any) -> Tensor:
        distance = 1 - (shown.double().mean() ** 0.5)
        return torch.exp(-(distance**2) / (2 * 0.25**2))

    peer = attr.Lime(
        case.net, SkLearnRidge(alpha=alpha), similarity, perturb_func=lambda original, **given: next(rows)[None]
    )
    expected = peer.attribute(x, baselines=0.1, target=k, feature_mask=labels[None, None], n_samples=60)
    found = ours(case.net, x, "lime", k, segments=labels, fill=0.1, n=60, alpha=alpha, seed=seed, tolerance=0.0)
    agree(found, expected[:, 0], 1e-4)


@each_seed
def test_lime_of_the_lime_package(seed: int) -> None:
    """To 1e-8 with its image explainer's kernel, distance and ridge, on the same samples and on logits."""
    base = pytest.importorskip("lime.lime_base")
    metrics = pytest.importorskip("sklearn.metrics")
    case, x, labels = make(NETWORKS[seed % 4], seed), image(seed, batch=1), _pieces(seed, 7)
    k = targets_for(x, seed)
    rows = _samples(x, 80, 7, seed)
    with torch.no_grad():
        scores = case.net(x * torch.from_numpy(rows)[:, labels][:, None])[:, k].numpy()
    # the first row is the whole image in the package, and only there to be measured from
    distances = metrics.pairwise_distances(rows, np.ones((1, 7)), metric="cosine").ravel()
    peer = base.LimeBase(lambda d: np.sqrt(np.exp(-(d**2) / 0.25**2)))
    weights = dict(peer.explain_instance_with_data(rows, scores, distances, 0, 100, feature_selection="none")[1])
    found = ours(case.net, x, "lime", k, segments=labels, n=80, seed=seed, tolerance=0.0)
    agree(_each(found, labels), np.array([[weights[j] for j in range(7)]]), 1e-8)


@pytest.mark.parametrize("seed", SEEDS[:3])
def test_sobol_indices_of_scipy(seed: int) -> None:
    """Within 5 of our standard errors and 0.02 of scipy's own estimate from 2^12 points (four cells, before they are
    enlarged: the corners of the map)."""
    stats = pytest.importorskip("scipy.stats")
    case, x = make("silu", seed), image(seed, batch=1)
    k = targets_for(x, seed)[0]

    def of(cells: np.ndarray) -> np.ndarray:
        masks = torch.from_numpy(cells.T.reshape(-1, 1, 2, 2).copy()).repeat_interleave(4, 2).repeat_interleave(4, 3)
        with torch.no_grad():
            return case.net(x * masks)[:, k].numpy()

    expected = stats.sobol_indices(func=of, n=2**12, dists=[stats.uniform()] * 4, rng=np.random.default_rng(seed))
    found = seewhy.explain(case.net, x, method="sobol", target=k, cells=2, n=24 * 64, tolerance=0.0, seed=seed)
    corners = np.ix_([0, -1], [0, -1])
    away = np.abs(found.values[corners].ravel() - expected.total_order.ravel())
    assert (away <= 5 * found.error[corners].ravel() + 0.02).all()


@each_seed
def test_rise_is_the_papers_map_without_its_mean(seed: int) -> None:
    """In expectation: the mean over seeds of sum_i S_i M_i / (n p) - mean S, with scores and masks written out, is ours
    within 5 standard errors of the difference."""
    case, x = make("gelu", seed), image(seed, batch=1)
    k = targets_for(x, seed)[0]
    draw, n, p = np.random.default_rng(seed), 4000, 0.5
    grids = (draw.random((n, 1, 2, 2)) < p).astype(np.float64)
    large = torch.nn.functional.interpolate(torch.from_numpy(grids), (12, 12), mode="bilinear")
    starts = draw.integers(0, 4, (n, 2))
    masks = torch.stack([large[i, :, a : a + 8, b : b + 8] for i, (a, b) in enumerate(starts)])
    with torch.no_grad():
        scores = case.net(x * masks)[:, k]
    terms = ((scores - scores.mean())[:, None, None] * masks[:, 0] / p).numpy()
    paper, spread = terms.mean(0), terms.std(0) / n**0.5
    found = seewhy.explain(case.net, x, method="rise", target=k, cells=2, n=400, tolerance=0.0, seed=seed)
    assert (np.abs(found.values - paper) <= 5 * np.hypot(spread, found.error)).all()
