"""AttnLRP and CP-LRP against loops in float64 on two transformers, and each of their rules by itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import seewhy
from networks import TRANSFORMERS, image, make
from reference.probing import Probe
from reference.transformers import attn_lrp, product_back, softmax_back
from seewhy.core.relevance.redistribution import share_product, share_softmax

VARIANTS: list[dict[str, Any]] = [
    {"composite": "attn-lrp"},
    {"composite": "attn-lrp", "epsilon": 0.1, "gamma": 0.0},
    {"composite": "attn-lrp", "gamma": 1.0, "linear_gamma": 0.05},
    {"composite": "cp-lrp"},
    {"composite": "cp-lrp", "epsilon": 0.01, "linear_gamma": 0.1},
]


def _apart(found: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("number", range(len(VARIANTS)))
@pytest.mark.parametrize("network", sorted(TRANSFORMERS))
def test_transformers(network: str, number: int) -> None:
    """float64 to 1e-9 of the map's maximum, two images with a target each; float32 to 1e-3, since relevance is
    divided by sums that may cancel."""
    case, x = make(network, number), image(number)
    given, targets = VARIANTS[number], [number % 4, (number + 1) % 4]
    expected = np.stack([attn_lrp(Probe(case.net, x[n : n + 1], k, "", given)) for n, k in enumerate(targets)])
    asked: Any = {"method": "lrp", "target": targets, "reduce": "none", **given}
    found = np.stack([each.values for each in seewhy.explain_all(case.net, x, **asked)])
    assert _apart(found, expected) < 1e-9
    single = make(network, number, torch.float32)
    found = np.stack([each.values for each in seewhy.explain_all(single.net, x.float(), **asked)])
    assert found.dtype == np.float32
    assert _apart(found, expected) < 1e-3


def _drawn(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize("held", [False, True])
def test_a_product_of_matrices(held: bool) -> None:
    a, b, r = _drawn(1, 2, 3, 4), _drawn(2, 2, 4, 5), _drawn(3, 2, 3, 5)
    shares, taken = share_product((a, b), r, 0.1, (not held, True))
    for n in range(2):
        at_a, at_b = product_back(a[n].numpy(), b[n].numpy(), r[n].numpy(), 0.1, held)
        assert shares[1] is not None
        assert np.abs(shares[1][n].numpy() - at_b).max() < 1e-12
        assert (shares[0] is None) == held
        assert shares[0] is None or np.abs(shares[0][n].numpy() - at_a).max() < 1e-12
        assert at_a.sum() + at_b.sum() + float(taken[n]) == pytest.approx(float(r[n].sum()), abs=1e-12)


def test_a_softmax() -> None:
    """Along any axis; what a mask hides gets nothing."""
    x, r = _drawn(4, 2, 5), _drawn(5, 2, 5)
    values, taken = share_softmax(x, r, 1)
    for n in range(2):
        assert np.abs(values[n].numpy() - softmax_back(x[n].numpy(), r[n].numpy())).max() < 1e-12
        assert float(values[n].sum() + taken[n]) == pytest.approx(float(r[n].sum()), abs=1e-12)
    across, _ = share_softmax(x.T, r.T, 0)
    assert torch.allclose(across.T, values, rtol=1e-12)
    x[:, 2], r[:, 2] = -torch.inf, 0.0
    values, _ = share_softmax(x, r, 1)
    assert np.abs(values[0, [0, 1, 3, 4]].numpy() - softmax_back(x[0, [0, 1, 3, 4]].numpy(), r[0, [0, 1, 3, 4]].numpy())
                  ).max() < 1e-12  # fmt: skip
    assert not values[:, 2].any()
