"""D-RISE of objects against loops: the paper's score of every mask, and its map of all of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import seewhy
from detecting import ANCHORS, FORMS, by_hand, detector, iou, likeness, picture
from reference.perturbation import covariance
from reference.probing import Probe
from seewhy import targets as t
from seewhy.core.network.outputs import Outputs

SIZE = (24, 32)


def _likeness(form: str, box: list[float], shares: list[float], x: torch.Tensor) -> float:
    with torch.no_grad():
        return likeness(by_hand(form, detector(form)(x), SIZE), box, shares)


def _asked(form: str) -> tuple[t.Box, list[float]]:
    """A target beside the surest object, and the class probabilities that it has."""
    with torch.no_grad():
        found = by_hand(form, detector(form)(picture()), SIZE)
    best = max(found, key=lambda each: max(each.scores))
    left, top, right, bottom = best.box
    k, box = int(np.argmax(best.scores)), (left + 0.2, top + 0.1, right + 0.3, bottom)
    own = max(found, key=lambda each: each.scores[k] * iou(each.box, list(box)))
    assert own is best
    maps = t.YoloMaps(ANCHORS, form.removesuffix("-maps")) if form.endswith("maps") else form
    return t.Box(box, k, maps), best.shares


@pytest.mark.parametrize("given", [{"n": 24, "cells": 3}, {"n": 17, "cells": 2, "p": 0.3, "seed": 2}])
@pytest.mark.parametrize("form", FORMS)
def test_d_rise_of_an_object_equals_the_loops(form: str, given: dict[str, float]) -> None:
    target, shares = _asked(form)
    found = seewhy.explain(detector(form), picture(), method="d-rise", target=target, fill=0.0, **given)
    probe = Probe(detector(form), picture(), 0, parameters=given)
    expected = covariance(probe, lambda x: _likeness(form, list(target.box), shares, x))
    assert np.abs(expected).max() > 1e-4
    assert np.abs(found.values - expected).max() <= 1e-9 * np.abs(expected).max()


def test_of_a_class_that_is_not_the_best_the_class_alone_is_followed() -> None:
    target, shares = _asked("yolov8")
    k = (int(np.argmax(shares)) + 1) % 3
    alone = [float(each == k) for each in range(3)]
    given = {"n": 24, "cells": 3}
    found = seewhy.explain(
        detector("yolov8"), picture(), method="d-rise", target=t.Box(target.box, k), fill=0.0, **given
    )
    probe = Probe(detector("yolov8"), picture(), 0, parameters=given)
    expected = covariance(probe, lambda x: _likeness("yolov8", list(target.box), alone, x))
    assert np.abs(found.values - expected).max() <= 1e-9 * np.abs(expected).max()


def test_likeness_is_a_target_and_1_for_a_detection_that_is_sure() -> None:
    """By hand: IoU 1/2, cosine of (1, 0) with (0.6, 0.8), objectness 1/2; nothing proposed is 0."""
    row = torch.tensor([[[5.0, 5.0, 10.0, 10.0, 0.5, 0.6, 0.8]]], dtype=torch.float64)
    output = Outputs(row, 1, size=SIZE)
    assert t.Likeness((0, 0, 10, 5), 0, form="yolov5")(output).item() == pytest.approx(0.5 * 0.6 * 0.5)
    assert t.Likeness((0, 0, 10, 10), 0, (0.6, 0.8), "yolov5")(output).item() == pytest.approx(0.5)
    assert t.Likeness((0, 0, 10, 10), 0, form="nms")(Outputs([torch.zeros(0, 6)], 1, size=SIZE)).item() == 0
    with pytest.raises(seewhy.errors.TargetError, match="probabilities of 3 classes; the detector tells 2"):
        t.Likeness((0, 0, 10, 10), 0, (0.1, 0.2, 0.3), "yolov5")(output)


def test_the_papers_own_map_is_this_one_and_a_constant() -> None:
    """sum_i S_i M_i / (n E[M]) of many masks drawn here, less its mean score, within the standard errors of both."""
    target, shares = _asked("yolov8")
    net, x, p = detector("yolov8"), picture(), 0.5
    found = seewhy.explain(net, x, method="d-rise", target=target, n=4000, cells=3, fill=0.0, tolerance=0.0)
    rng, masks, scores = np.random.default_rng(0), [], []
    side = [-(-n // 3) for n in SIZE]
    for _ in range(1500):
        grid = torch.from_numpy((rng.random((1, 1, 3, 3)) < p).astype(float))
        large = torch.nn.functional.interpolate(grid, [4 * n for n in side], mode="bilinear", align_corners=False)[0, 0]
        top, left = (int(rng.integers(n)) for n in side)
        mask = large[top : top + SIZE[0], left : left + SIZE[1]]
        masks.append(mask.numpy())
        scores.append(_likeness("yolov8", list(target.box), shares, x * mask))
    s, m = np.array(scores), np.stack(masks)
    paper = (s[:, None, None] * m).mean(0) / p - s.mean()
    spread = (s[:, None, None] * (m - p)).std(0) / p / np.sqrt(len(s))
    apart = (found.values - paper) / np.sqrt(spread**2 + found.error**2)
    assert float(np.sqrt((apart**2).mean())) < 2.0
    assert np.corrcoef(found.values.ravel(), paper.ravel())[0, 1] > 0.9


def test_rise_and_d_rise_share_every_forward() -> None:
    target, _ = _asked("detr")
    given = {"n": 24, "cells": 3, "tolerance": 0.0}
    alone = seewhy.explain(detector("detr"), picture(), method="d-rise", target=target, **given)
    both = seewhy.explain_all(detector("detr"), picture(), method=["rise", "d-rise"], target=target, **given)
    assert both.cost.forwards == alone.cost.forwards == 25
    assert np.array_equal(both[1].values, alone.values)
    assert not np.allclose(both[0].values, both[1].values)
