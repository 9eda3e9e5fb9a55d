"""Looking inside against the references: feature maps, filters, factors, each layer's saliency, feature visualisation."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import seewhy
from networks import NETWORKS, TRANSFORMERS, image, make
from reference.inside import evidence, factorise
from reference.probing import Probe
from reference.table import REFERENCES
from seewhy.registry import methods


def _close(found: Any, expected: Any, relative: float = 1e-9) -> None:
    found, expected = np.asarray(found), np.asarray(expected)
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= relative * max(np.abs(expected).max(), 1e-12)


@pytest.mark.parametrize("at", ["layer", "early"])
@pytest.mark.parametrize("network", NETWORKS)
def test_feature_maps(network: str, at: str) -> None:
    """Two images with a target each; the evidence of all channels, and its order."""
    case, x, targets = make(network, 3), image(3), [2, 0]
    layer = getattr(case, at)
    for dtype, relative in ((torch.float64, 1e-9), (torch.float32, 1e-4)):
        net = make(network, 3, dtype).net
        galleries = seewhy.feature_maps_all(net, x.to(dtype), layer, targets)
        for row, gallery in enumerate(galleries):
            probe = Probe(case.net, x[row : row + 1], targets[row], layer)
            _close(gallery.arrays["evidence"], evidence(probe), relative)
            _close(gallery.values, REFERENCES["feature-maps"](probe), relative)
            by_hand = sorted(evidence(probe), reverse=True)
            _close([tile.value for tile in gallery if tile.index is not None], by_hand, relative)


def test_evidence_adds_up_to_the_score_where_the_network_is_linear_from_there_on() -> None:
    """Without biases and with ReLUs only, at any layer."""
    case, x = make("bias-free", 4), image(4)
    for layer in (case.early, case.layer):
        found = seewhy.feature_maps_all(case.net, x, layer, [1, 1])
        for gallery, score in zip(found, case.net(x)[:, 1].tolist(), strict=True):
            assert gallery.arrays["evidence"].sum() == pytest.approx(score, abs=1e-11)


@pytest.mark.parametrize(
    ("layer", "asked"), [("0", {}), ("3", {"slices": 2}), ("3", {"slices": 9, "top": 3}), ("5", {})]
)
def test_filters(layer: str, asked: dict[str, int]) -> None:
    """Colour, slices, and a single input channel."""
    with torch.random.fork_rng([]):
        torch.manual_seed(5)
        net = nn.Sequential(
            nn.Conv2d(3, 6, 5),
            nn.BatchNorm2d(6),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3),
            nn.ReLU(),
            nn.Conv2d(8, 8, 3, groups=8),
        )
    probe = Probe(net, image(0, batch=1), 0, layer, asked)
    _close(seewhy.filters(net, layer, **asked).values, REFERENCES["filters"](probe), 1e-7)


@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("steps", [1, 4])
def test_factors(network: str, steps: int) -> None:
    """Of one image, and of two together."""
    case, x = make(network, 6), image(6)
    probes = [Probe(case.net, x[row : row + 1], 0, case.early, {"rank": 3, "steps": steps}) for row in range(2)]
    asked = {"rank": 3, "steps": steps, "tolerance": 0.0}
    one = seewhy.factors(case.net, x[:1], case.early, **asked)
    _close(one.values[0], REFERENCES["factors"](probes[0]), 1e-8)
    maps, directions = factorise([probe.at_layer()[0] for probe in probes], rank=3, steps=steps)
    both = seewhy.factors(case.net, x, case.early, **asked)
    _close(both.values, maps, 1e-8)
    _close(both.arrays["directions"], directions, 1e-8)
    single = seewhy.factors(make(network, 6, torch.float32).net, x.float(), case.early, **asked)
    _close(single.values, maps, 1e-3)


def test_factors_are_as_good_as_scikit_learns() -> None:
    decomposition = pytest.importorskip("sklearn.decomposition")
    draw = torch.Generator().manual_seed(1)
    for shape, rank in (((2, 12, 6, 6), 3), ((3, 32, 7, 7), 6)):
        # a product of few factors with noise: what is left over is the noise
        true = torch.rand(shape[0], rank, *shape[2:], generator=draw, dtype=torch.float64).pow(3)
        mixed = torch.einsum("nkhw,kc->nchw", true, torch.rand(rank, shape[1], generator=draw, dtype=torch.float64))
        activation = mixed + 0.05 * torch.randn(shape, generator=draw, dtype=torch.float64)
        maps, directions, shares, error, _ = methods["factors"].formula(activation, rank=rank)
        rows = activation.movedim(1, -1).reshape(-1, shape[1]).clamp(min=0).numpy()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it wants more sweeps still
            theirs = decomposition.NMF(rank, init="nndsvda", max_iter=1000, tol=1e-5).fit(rows)
        assert error <= 1.01 * theirs.reconstruction_err_ / np.linalg.norm(rows)
        product = torch.einsum("nkhw,kc->nhwc", maps, directions).reshape(-1, shape[1]).numpy()
        assert np.linalg.norm(product - rows) / np.linalg.norm(rows) == pytest.approx(error, rel=1e-9)
        assert shares.tolist() == sorted(shares.tolist(), reverse=True)
        assert float(shares.sum()) == pytest.approx(np.minimum(product, rows).sum() / rows.sum(), rel=1e-9)
        factor = maps[:, 0].reshape(-1, 1).numpy() * directions[0].numpy()
        kept = rows / np.maximum(product, np.maximum(rows, 1e-300))
        assert float(shares[0]) == pytest.approx((factor * kept).sum() / rows.sum(), rel=1e-9)
        assert bool((maps >= 0).all())
        assert bool((directions >= 0).all())


@pytest.mark.parametrize("network", NETWORKS)
def test_principal_components(network: str) -> None:
    """Of one image at two layers, both precisions; of two together, whose positions are rows of one matrix."""
    case, x = make(network, 7), image(7)
    for layer in (case.early, case.layer):
        probes = [Probe(case.net, x[row : row + 1], 0, layer) for row in range(2)]
        rank = min(3, *(math.prod(shape) for shape in [probes[0].at_layer()[0].shape[1:]]))
        probe = replace(probes[0], parameters={"rank": rank})
        found = seewhy.principal_components(case.net, x[:1], layer, rank=rank)
        _close(found.values[0], REFERENCES["principal-components"](probe))
        narrow = seewhy.principal_components(make(network, 7, torch.float32).net, x[:1].float(), layer, rank=rank)
        _close(narrow.values[0], REFERENCES["principal-components"](probe), 1e-4)
    both = seewhy.principal_components(case.net, x, case.early)
    activation = np.stack([Probe(case.net, x[row : row + 1], 0, case.early).at_layer()[0] for row in range(2)])
    rows = np.moveaxis(activation, 1, -1).reshape(-1, activation.shape[1])
    left, sizes, right = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    signs = np.sign([row[np.abs(row).argmax()] for row in right[:3]])
    _close(both.arrays["directions"], signs[:, None] * right[:3])
    _close(both.arrays["shares"], (sizes**2 / (sizes**2).sum())[:3])
    _close(np.moveaxis(both.values, 1, -1).reshape(-1, 3), (left * sizes)[:, :3] * signs)


@pytest.mark.parametrize("network", TRANSFORMERS)
def test_attention_maps(network: str) -> None:
    """Every layer and head, each at both precisions; rows sum to 1."""
    case, x = make(network, 8), image(8)
    narrow = make(network, 8, torch.float32).net
    layers = list(range(len(case.net.blocks)))
    found = seewhy.attention_all(case.net, x, layers)
    coarse = seewhy.attention_all(narrow, x.float(), layers)
    for n, (wide, thin) in enumerate(zip(found, coarse, strict=True)):
        row, layer = divmod(n, len(layers))
        by_hand = REFERENCES["attention-maps"](Probe(case.net, x[row : row + 1], 1, "", {"layer": layer}))
        _close(wide.values, by_hand, 1e-12)
        _close(thin.values, by_hand, 1e-5)
        np.testing.assert_allclose(wide.values.sum((1, 2)) + wide.arrays["elsewhere"].sum(1), 1, rtol=1e-12)
        assert wide.arrays["tokens"].tolist() == list(range(case.net.prefix))
        assert len(wide.values) == case.net.blocks[layer].attn.heads


@pytest.mark.parametrize("network", NETWORKS | TRANSFORMERS)
def test_saliency_by_layer(network: str) -> None:
    """Every convolution and dense layer, in the order of the forward; two images; both precisions."""
    case, x = make(network, 8), image(8)
    found = seewhy.explain_all(case.net, x, method="saliency-by-layer", reduce="none")
    narrow = seewhy.explain_all(
        make(network, 8, torch.float32).net, x.float(), method="saliency-by-layer", reduce="none"
    )
    names = [each.layer for each in found][: len(found) // 2]
    # out_proj of torch's attention is never called as a module
    expected = {n for n, m in case.net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear) and "out_proj" not in n}
    assert set(names) == expected
    assert len(names) == len(expected)
    for n, each in enumerate(found):
        row, layer = divmod(n, len(names))
        assert (each.layer, each.target) == (names[layer], f"mean of {names[layer]}")
        by_hand = REFERENCES["saliency-by-layer"](Probe(case.net, x[row : row + 1], 0, each.layer))
        _close(each.values, by_hand)
        _close(narrow[n].values, by_hand, 1e-4)


@pytest.mark.parametrize("network", ["silu", "residual"])
def test_maximise_by_the_fourier_parametrisation(network: str) -> None:
    """Two steps, with and without moving the image; bounds other than 0 and 1."""
    case = make(network, 9)
    still = {"steps": 2, "copies": 1, "jitter": 0, "scale": 0.0, "rotate": 0.0, "seed": 3}
    moving = {
        "steps": 2,
        "copies": 2,
        "jitter": 2,
        "scale": 0.3,
        "rotate": 30.0,
        "seed": 4,
        "learning_rate": 0.2,
        "decay": 1.0,
    }
    for asked, bounds in ((still, (0.0, 1.0)), (moving, (-1.5, 2.0))):
        found = seewhy.maximise(case.net, 1, size=8, bounds=bounds, **asked)
        x = torch.zeros(1, 3, 8, 8, dtype=torch.float64)
        probe = Probe(case.net, x, 1, parameters={**asked, "bounds": bounds})
        _close(found.values[0], REFERENCES["maximise"](probe), 1e-9)
