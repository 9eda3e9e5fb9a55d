"""Interruption: a sampling method that is stopped gives the map of the samples that it has; too early, nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import seewhy
from networks import image, make
from properties.snapshots import difference, snapshot
from seewhy.registry import methods

GRID = torch.arange(64).reshape(8, 8) // 13
#: what to ask, the forwards done before the interruption, and the budget that they amount to
CASES: dict[str, tuple[dict[str, Any], int, int]] = {
    "rise": ({"cells": 2, "n": 4000}, 150, 150),
    "lime": ({"segments": GRID, "n": 4000}, 150, 150),
    "kernel-shap": ({"segments": torch.arange(64).reshape(8, 8), "n": 4000}, 151, 150),
    "shapley-sampling": ({"segments": GRID, "n": 4000}, 151, 144),
    "sobol": ({"cells": 2, "n": 4800}, 151, 144),
    "hsic": ({"cells": 2, "n": 4000}, 150, 150),
    "smooth-grad": ({"n": 400, "reduce": "none"}, 50, 50),
}

pytestmark = pytest.mark.usefixtures("no_spot_checks")  # forwards are counted


class Interrupt:
    """A forward hook that raises before sample ``n``, counting those of the variants."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, module: nn.Module, args: object, output: torch.Tensor) -> None:
        self.left -= len(output)
        if self.left < 0:
            raise KeyboardInterrupt("on purpose")


def _ahead(name: str) -> int:
    """Forwards before the first sample: the image, and where a method needs it, everything hidden."""
    return 2 if name in ("kernel-shap", "shapley-sampling") else 1


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_there_is_is_given(name: str) -> None:
    """The same numbers as a run with the budget that was used up; status and note say so; the model is untouched."""
    asked, forwards, amount = CASES[name]
    case, x = make("silu", 1), image(1, batch=1)
    handle = case.net[-1].register_forward_hook(Interrupt(forwards + _ahead(name)))
    before = snapshot(case.net)
    # one sample a chunk, so that the count is exact
    given = {"method": name, "target": 1, "tolerance": 0.0, "memory": 1}
    found = seewhy.explain(case.net, x, **given, **asked)
    assert difference(before, snapshot(case.net)) == []
    handle.remove()
    assert found.status.code == "unfinished"
    assert found.status.cause.startswith("interrupted after ")
    assert found.status.cause.split()[2] == str(amount)
    short = seewhy.explain(case.net, x, **given, **asked | {"n": amount})
    np.testing.assert_array_equal(found.values, short.values)
    np.testing.assert_array_equal(found.error, short.error)


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("when", [0, 1, 2])
def test_too_early_is_an_interruption(name: str, when: int) -> None:
    """During the first forward, before the first sample, and with a sample that says nothing yet."""
    asked, *_ = CASES[name]
    case, x = make("silu", 2), image(2, batch=1)
    case.net[-1].register_forward_hook(Interrupt(when if when < 2 else _ahead(name) + 1))
    before = snapshot(case.net)
    with pytest.raises(KeyboardInterrupt, match="on purpose"):
        seewhy.explain(case.net, x, method=name, target=1, memory=1, **asked)
    assert difference(before, snapshot(case.net)) == []


def test_a_batch_needs_enough_of_every_image() -> None:
    """Variants run image by image: while the second has none, there is nothing to give."""
    case, x = make("silu", 3), image(3, batch=2)
    case.net[-1].register_forward_hook(Interrupt(2 + 64 + 1))
    with pytest.raises(KeyboardInterrupt):
        seewhy.explain_all(case.net, x, method="rise", target=1, cells=2, n=400, memory=1)
    case, x = make("silu", 3), image(3, batch=2)
    case.net[-1].register_forward_hook(Interrupt(2 + 64 + 20))
    found = seewhy.explain_all(case.net, x, method="rise", target=1, cells=2, n=400, memory=1, tolerance=0.0)
    assert [each.status.code for each in found] == ["unfinished"] * 2
    assert [each.status.cause.split()[2] for each in found] == ["64", "20"]


def test_what_was_done_before_is_kept() -> None:
    """Of several methods, those that were finished stay as they are."""
    case, x = make("silu", 4), image(4, batch=1)
    whole = seewhy.explain(case.net, x, method="occlusion", target=1, window=4)
    case.net[-1].register_forward_hook(Interrupt(1 + 9 + 30))
    found = seewhy.explain_all(case.net, x, method=["occlusion", "rise"], target=1, window=4, cells=2, n=400, memory=1)
    assert found.interrupted
    assert [(each.method, each.status.code) for each in found] == [("occlusion", "ok"), ("rise", "unfinished")]
    np.testing.assert_allclose(found[0].values, whole.values, rtol=1e-9, atol=1e-12)


def test_methods_that_cannot_stop_early_are_not_given() -> None:
    assert "seed" not in methods["occlusion"].parameters
    case, x = make("silu", 5), image(5, batch=1)
    case.net[-1].register_forward_hook(Interrupt(5))
    with pytest.raises(KeyboardInterrupt):
        seewhy.explain(case.net, x, method="occlusion", target=1, window=4, memory=1)


def test_a_finished_picture_outlives_an_interruption_of_its_score(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seewhy.api.inside.visualisation.score_batch", interrupted)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    found = seewhy.maximise(net, "1:2", size=16, steps=3)
    assert found.status.code == "unfinished"
    assert found.values.shape == (1, 3, 16, 16)
    assert found.tiles[0].value is None
