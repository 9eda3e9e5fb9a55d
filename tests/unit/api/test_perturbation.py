"""Perturbation methods from outside: any callable, any number of axes, invalid values, and values that add up."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
import seewhy.methods
from networks import image, make
from properties.asking import every, explain
from seewhy.errors import UsageError
from seewhy.registry import FORWARD_ONLY, methods

#: the ones that need forwards only: optimised masks need gradients
NAMES = sorted(m.name for m in methods if m.card.family == "perturbation" and m.card.needs <= FORWARD_ONLY)
HALVES = torch.tensor([[0] * 5 + [1] * 3] * 8)


def test_what_needs_forwards_only() -> None:
    wanted = ["feature-ablation", "hsic", "kernel-shap", "lime", "occlusion", "rise", "shapley-sampling", "sobol"]
    assert set(wanted) <= set(NAMES)


@pytest.mark.parametrize("kind", ["numpy", "no_grad", "inference_mode"])
@pytest.mark.parametrize("name", NAMES)
def test_any_function_of_a_batch_will_do(name: str, kind: str) -> None:
    """One that gives numpy arrays, or tensors without a graph: the map of the module that it runs."""
    case, x = make("conv-bn-relu", 1), image(1)
    parts = {"window": 4} if name == "occlusion" else {"segments": HALVES} if _takes(name, "segments") else {}
    expected = every(explain(case, x, name, **parts))

    def numpy(batch: Tensor) -> np.ndarray:
        return case.net(batch).detach().numpy()

    def scores(batch: Tensor) -> Tensor:
        with torch.no_grad() if kind == "no_grad" else torch.inference_mode():
            return case.net(batch)

    given = {"n": 48, "cells": 2} | parts
    given = {key: value for key, value in given.items() if _takes(name, key)}
    found = seewhy.explain_all(numpy if kind == "numpy" else scores, x, method=name, target=1, **given)
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-9, atol=1e-12)
        assert a.status == b.status


def _takes(name: str, word: str) -> bool:
    return word in methods[name].parameters or word in methods[name].requires


@pytest.mark.parametrize("axes", [1, 3])
@pytest.mark.parametrize("name", NAMES)
def test_signals_and_volumes(name: str, axes: int) -> None:
    """One axis of positions or three: a map of that shape, which finds the place that the score comes from."""
    size = (12,) if axes == 1 else (6, 6, 4)
    kind = {1: nn.Conv1d, 3: nn.Conv3d}[axes]
    net = nn.Sequential(kind(2, 1, 1, bias=False), nn.Flatten(), nn.Linear(int(np.prod(size)), 1, bias=False)).double()
    with torch.no_grad():
        net[0].weight.fill_(1.0)
        net[2].weight.zero_()
        net[2].weight[0, 0] = 1.0  # the first position
    x = torch.ones(1, 2, *size, dtype=torch.float64)
    given: dict[str, Any] = {"n": 80, "cells": 2} | {"window": 2, "seed": 1}
    if name in ("sobol", "shapley-sampling"):  # a replicate, a pair of orders, take more
        given["n"] = 400
    given = {key: value for key, value in given.items() if _takes(name, key)}
    found = seewhy.explain(net, x, method=name, target=lambda out: out[:, 0], **given)
    assert found.values.shape == size
    assert np.abs(found.values).max() == np.abs(found.values[(0,) * axes])


@pytest.mark.parametrize("name", ["kernel-shap", "shapley-sampling"])
@pytest.mark.parametrize("n", [20, 100, 1000])
def test_shapley_values_add_up_at_every_budget(name: str, n: int) -> None:
    """To the score minus that of everything hidden; in float32 as well, and pieces by image."""
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 1e-5)):
        case, x = make("gelu", 2, dtype), image(2, dtype=dtype)
        labels = torch.stack([torch.arange(64).reshape(8, 8) // 13, HALVES])
        found = seewhy.explain_all(case.net, x, method=name, target=2, segments=labels, fill=0.3, n=n)
        with torch.no_grad():
            total = (case.net(x) - case.net(torch.full_like(x, 0.3)))[:, 2]
        for each, whose, expected in zip(found, labels, total, strict=True):
            pieces = [each.values[(whose == k).numpy()] for k in range(int(whose.max()) + 1)]
            assert all(np.ptp(piece) == 0 for piece in pieces)
            assert sum(float(piece[0]) for piece in pieces) == pytest.approx(
                float(expected), rel=tolerance, abs=tolerance
            )


def test_two_pieces_are_exact() -> None:
    """Both orders are a pair: Shapley values by hand, from four scores."""
    case, x = make("silu", 3), image(3, batch=1)
    first = (torch.where(HALVES == 0, 1.0, 0.0) * x).double()
    with torch.no_grad():
        whole, one, other, none = (float(case.net(each)[0, 0]) for each in (x, first, x - first, 0 * x))
    expected = [((whole - other) + (one - none)) / 2, ((whole - one) + (other - none)) / 2]
    for name in ("kernel-shap", "shapley-sampling"):
        found = seewhy.explain(case.net, x, method=name, target=0, segments=HALVES, n=8)
        assert [found.values[0, 0], found.values[0, 7]] == pytest.approx(expected)
        assert float(found.error.max()) == pytest.approx(0, abs=1e-12)
        assert found.status.code == "ok"


@pytest.mark.parametrize("name", [name for name in NAMES if _takes(name, "segments")])
def test_one_piece_is_the_whole_image(name: str) -> None:
    case, x = make("silu", 4), image(4, batch=1)
    with torch.no_grad():
        drop = float((case.net(x) - case.net(0 * x))[0, 1])
    given = {key: value for key, value in {"n": 64, "alpha": 0.0}.items() if _takes(name, key)}
    whole = torch.zeros(8, 8, dtype=torch.long)
    found = seewhy.explain(case.net, x, method=name, target=1, segments=whole, **given)
    assert np.ptp(found.values) == 0
    assert found.values[0, 0] == pytest.approx(drop)


def test_images_may_have_different_numbers_of_pieces() -> None:
    """Each is explained as it would be alone, enumerated or sampled."""
    case, x = make("conv-bn-relu", 5), image(5, batch=3)
    labels = torch.stack([HALVES, torch.arange(64).reshape(8, 8) // 7, torch.zeros(8, 8, dtype=torch.long)])
    for name in (name for name in NAMES if _takes(name, "segments")):
        given = {"n": 60} if _takes(name, "n") else {}
        together = seewhy.explain_all(case.net, x, method=name, target=1, segments=labels, **given)
        for row, each in enumerate(together):
            alone = seewhy.explain(case.net, x[row], method=name, target=1, segments=labels[row], **given)
            np.testing.assert_allclose(each.values, alone.values, rtol=1e-9, atol=1e-12)
            assert each.notes == alone.notes


def test_a_linear_score_is_explained_exactly() -> None:
    """Where every pixel counts on its own, what a piece is worth is the sum of its pixels' worth, in every way."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(192, 1, bias=False)).double()
    x, labels = image(6, batch=1), torch.arange(64).reshape(8, 8) // 13
    worth = (net[1].weight.detach().reshape(3, 8, 8) * x[0]).sum(0)
    pieces = torch.stack([worth[labels == k].sum() for k in range(5)])[labels].numpy()
    ask = {"target": lambda out: out[:, 0], "segments": labels}
    for name, given in (
        ("feature-ablation", {}), ("kernel-shap", {"n": 20}), ("shapley-sampling", {"n": 8}),
        ("lime", {"n": 40, "alpha": 0.0}),
    ):  # fmt: skip
        found = seewhy.explain(net, x, method=name, **ask, **given)
        np.testing.assert_allclose(found.values, pieces, rtol=1e-9, atol=1e-9)
    window = seewhy.explain(net, x, method="occlusion", target=ask["target"], window=1)
    np.testing.assert_allclose(window.values, worth.numpy(), rtol=1e-9, atol=1e-12)


def test_total_indices_of_a_score_that_is_known() -> None:
    """S = 3 a + b c of four cells: shares of the variance by hand (a: 9/12, b and c interact, d nothing)."""
    x = torch.ones(1, 1, 2, 2, dtype=torch.float64)

    def score(batch: Tensor) -> Tensor:
        a, b, c, _ = batch.flatten(1).T
        return (3 * a + b * c)[:, None]

    found = seewhy.explain(score, x, method="sobol", target=lambda out: out[:, 0], cells=2, n=24 * 200, tolerance=0)
    variance = 9 / 12 + (1 / 9 - 1 / 16)
    expected = np.array([[9 / 12, 1 / 36], [1 / 36, 0]]) / variance
    assert (np.abs(found.values - expected) <= 4 * found.error + 1e-12).all()
    assert found.error.max() < 0.06
    assert found.values[1, 1] == 0


def test_dependence_is_found_without_correlation() -> None:
    """A score that only the agreement of two cells decides depends on each alone in nothing; one cell's own, fully."""
    x = torch.ones(1, 1, 2, 2, dtype=torch.float64)

    def alone(batch: Tensor) -> Tensor:
        return batch.flatten(1)[:, :1]

    def agreeing(batch: Tensor) -> Tensor:
        return (batch.flatten(1)[:, :1] == batch.flatten(1)[:, 1:2]).double()

    own = seewhy.explain(alone, x, method="hsic", target=lambda out: out[:, 0], cells=2, n=400, tolerance=0)
    # K is 1/2 or -1/2, L 1 or e^(-1/2), both by whether two samples agree
    assert own.values[0, 0] == pytest.approx((1 - np.exp(-0.5)) / 4, abs=0.01)
    assert np.abs(own.values.ravel()[1:]).max() < 0.01
    both = seewhy.explain(agreeing, x, method="hsic", target=lambda out: out[:, 0], cells=2, n=400, tolerance=0)
    assert np.abs(both.values).max() < 0.01


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        ("occlusion", {"window": 9}, "window=9 for an image of"),
        ("occlusion", {"window": 0}, "window=0"),
        ("occlusion", {"window": (2, 2, 2)}, "one for each of the 2 axes"),
        ("occlusion", {"window": "wide"}, "window='wide'"),
        ("occlusion", {"window": 2.5}, r"window=2\.5"),
        ("occlusion", {"window": 3, "stride": 0}, "stride=0"),
        ("occlusion", {"window": 3, "stride": 4}, "larger than the window"),
        ("rise", {"cells": 0}, "cells=0"),
        ("rise", {"cells": 9}, "cells=9: a whole number from 1 to 8"),
        ("rise", {"p": 0.0}, r"p=0\.0"),
        ("rise", {"p": 1}, "p=1"),
        ("rise", {"n": 3}, "n=3.*4 forwards"),
        ("rise", {"seed": 0.5}, r"seed=0\.5"),
        ("lime", {"kernel_width": 0}, "kernel_width=0"),
        ("lime", {"alpha": -1}, "alpha=-1"),
        ("lime", {"n": 1}, "n=1"),
        ("kernel-shap", {"n": 1}, "n=1"),
        ("shapley-sampling", {"n": 1, "segments": torch.arange(64).reshape(8, 8) // 13}, "n=8 or more"),
        ("sobol", {"n": 40, "cells": 2}, "n=48 or more, or fewer cells"),
        ("sobol", {"cells": 20}, "cells=20"),
        ("hsic", {"n": 3, "cells": 2}, "n=3"),
        ("hsic", {"cells": True}, "cells=True"),
    ],
)
def test_what_cannot_be_meant(name: str, given: dict[str, Any], words: str) -> None:
    case, x = make("silu", 7), image(7, batch=1)
    if _takes(name, "segments"):
        given = {"segments": HALVES} | given
    with pytest.raises(UsageError, match=words) as raised:
        seewhy.explain(case.net, x, method=name, target=1, **given)
    assert "\n" not in str(raised.value)


@pytest.mark.usefixtures("no_spot_checks")
def test_the_fill_hides() -> None:
    """What is asked for as a fill is what the model sees in a window."""
    seen: list[Tensor] = []

    def watched(batch: Tensor) -> Tensor:
        seen.append(batch.clone())
        return batch.sum((1, 2, 3))[:, None].expand(-1, 2)

    x = image(8, batch=1)
    seewhy.explain(watched, x, method="occlusion", window=4, stride=4, fill=7.0, target=0)
    hidden = torch.cat(seen[1:])
    places = [(slice(4 * a, 4 * a + 4), slice(4 * b, 4 * b + 4)) for a, b in itertools.product(range(2), repeat=2)]
    for row, (down, across) in zip(hidden, places, strict=True):
        assert (row[:, down, across] == 7).all()
        rest = torch.ones(8, 8, dtype=torch.bool)
        rest[down, across] = False
        assert torch.equal(row[:, rest], x[0][:, rest])


def test_the_jackknife_leaves_groups_out() -> None:
    """Each group's absence as if it had never been, where the width of the kernel is the same without it."""
    from seewhy.methods.hsic import _unbiased

    draw = torch.Generator().manual_seed(0)
    signs = 2.0 * torch.randint(2, (40, 5), generator=draw).double() - 1
    # two values only: the width is the one distance there is
    scores = torch.randint(2, (40,), generator=draw).double()
    groups = torch.arange(40) // 9
    whole, without = _unbiased(signs, scores, groups)
    torch.testing.assert_close(whole, _unbiased(signs, scores, torch.zeros(40, dtype=torch.long))[0])
    for group in range(5):
        rest = groups != group
        alone = _unbiased(signs[rest], scores[rest], torch.zeros(int(rest.sum()), dtype=torch.long))[0]
        torch.testing.assert_close(without[group], alone)


@pytest.mark.parametrize("name", ["kernel-shap", "shapley-sampling"])
def test_shapley_values_cost_what_their_tolerance_needs(name: str) -> None:
    """A looser tolerance, fewer forwards, each as soon as its error is small; all of it counted."""
    case, x = make("gelu", 6), image(6, batch=1)
    asked = {"method": name, "target": 1, "segments": torch.arange(64).reshape(8, 8) // 6, "n": 6000}
    spent = []
    for tolerance in (0.2, 0.05, 0.02):
        found = seewhy.explain(case.net, x, tolerance=tolerance, **asked)
        assert found.status.code == "ok"
        share = np.sqrt((found.error**2).mean()) / np.ptp(found.values)
        assert share <= tolerance
        (note,) = (note for note in found.notes if "forwards" in note)
        assert int(note.split("stopped after ")[1].split(" of")[0]) <= found.cost.forwards - 2
        spent.append(found.cost.forwards)
    assert spent[0] < spent[1] < spent[2] < 6000


def test_enumeration_is_for_few_pieces_or_on_request() -> None:
    """Nine pieces: sampled until the tolerance is met, unless all coalitions are asked for."""
    case, x = make("gelu", 6), image(6, batch=1)
    asked = {"method": "kernel-shap", "target": 1, "segments": torch.arange(64).reshape(8, 8) // 8, "n": 600}
    few = torch.arange(64).reshape(8, 8) // 11  # six pieces
    assert seewhy.explain(case.net, x, **{**asked, "segments": few}).cost.forwards == 64
    nine = torch.arange(64).reshape(8, 8) * 9 // 64
    loose, exact = (seewhy.explain(case.net, x, **{**asked, "segments": nine}, tolerance=t) for t in (0.2, 0))
    assert loose.cost.forwards < 300
    assert exact.cost.forwards == 512
    assert not exact.error.any()
    assert np.abs(loose.values - exact.values).max() < 0.5 * np.ptp(exact.values)


@pytest.mark.parametrize(
    ("name", "usual", "n"), [("rise", 7, 40), ("d-rise", 16, 40), ("sobol", 8, 1800), ("hsic", 7, 40)]
)
def test_cells_that_nobody_names_fit_axes_of_any_length(name: str, usual: int, n: int) -> None:
    """Three frames of 9 x 20: as many cells as there are frames, which the parameters say; the map is the one of just
    those cells."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 9 * 20, 1, bias=False)).double()
    x = torch.rand(1, 1, 3, 9, 20, dtype=torch.float64)
    cells = (3, min(usual, 9), min(usual, 20))
    given: dict[str, Any] = {"target": lambda out: out[:, 0], "n": n}
    found = seewhy.explain(net, x, method=name, **given)
    assert found.parameters["cells"] == cells
    np.testing.assert_array_equal(found.values, seewhy.explain(net, x, method=name, cells=cells, **given).values)
    assert seewhy.explain(net, x, method=name, cells=[2, 2, 2], **given).parameters["cells"] == 2
    with pytest.raises(
        UsageError, match=rf"cells=4: a whole number from 1 to 3 .*one for each axis, cells=\(3, {cells[1]}"
    ):
        seewhy.explain(net, x, method=name, cells=4, **given)
