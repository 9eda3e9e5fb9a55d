"""Targets by the numbers: each is computed by hand from one output, and sums of them from those."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

import seewhy
from seewhy import targets as t
from seewhy.core.network.outputs import Outputs
from seewhy.errors import SeewhyError, TargetError, UsageError

_ROWS = torch.tensor([[2.0, -1.0, 0.5], [0.0, 3.0, -2.0]])


def _of(target: t.Target, raw: object = _ROWS, batch: int = 2) -> list[float]:
    return target(Outputs(raw, batch)).tolist()


def _softmax(row: list[float], k: int) -> float:
    return math.exp(row[k]) / sum(math.exp(value) for value in row)


@pytest.mark.parametrize(
    ("target", "number"),
    [
        (t.Logit(1), lambda row: row[1]),
        (t.Probability(1), lambda row: _softmax(row, 1)),
        (t.LogProbability(2), lambda row: math.log(_softmax(row, 2))),
        (t.Centred(0), lambda row: row[0] - sum(row) / 3),
        (t.Margin(0, 2), lambda row: row[0] - row[2]),
        (t.Output(2), lambda row: row[2]),
        (t.Logit(0) - t.Logit(1), lambda row: row[0] - row[1]),
        (2 * t.Logit(0) + t.Margin(1, 2) / 4, lambda row: 2 * row[0] + (row[1] - row[2]) / 4),
        (-(t.Logit(0) - 3 * t.Output(1)), lambda row: -row[0] + 3 * row[1]),
        (t.Probability(0) - t.Probability(1), lambda row: _softmax(row, 0) - _softmax(row, 1)),
        (sum([t.Logit(0), t.Logit(1), t.Logit(2)]), sum),
    ],
    ids=lambda value: (
        str(value) if isinstance(value, t.Target) else ""
    ),  # a function's address is another in every process
)
def test_a_target_by_hand(target: t.Target, number: Callable[[list[float]], float]) -> None:
    assert _of(target) == pytest.approx([number(row) for row in _ROWS.tolist()], abs=1e-6)


def test_log_probability_of_several_labels_at_once() -> None:
    """Behind a sigmoid every class is a yes or no of its own."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.Sigmoid()).requires_grad_(False)
    x = torch.rand(1, 1, 2, 2)
    found = seewhy.explain(net, x, method="saliency", target=t.LogProbability(1))
    assert found.score == pytest.approx(math.log(float(net(x)[0, 1])), abs=1e-6)


def test_regression_looks_through_nothing() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 1), nn.Tanh()).requires_grad_(False)
    x = torch.rand(1, 1, 2, 2)
    found = seewhy.explain(net, x, method="input-x-gradient", reduce="sum")
    assert found.target == "output 0"
    assert found.score == pytest.approx(float(net(x)), abs=1e-6)
    assert found.values == pytest.approx(
        ((1 - found.score**2) * net[1].weight.detach().reshape(2, 2) * x[0, 0]).numpy(), abs=1e-6
    )


def test_region_is_the_mean_over_the_mask() -> None:
    maps = torch.arange(32.0).reshape(1, 2, 4, 4)
    mask = np.zeros((4, 4), dtype=bool)
    mask[1, 2] = mask[3, 0] = True
    assert _of(t.Region(mask, 1), maps, 1) == [(16 + 6 + 16 + 12) / 2]
    # a mask of twice the size is averaged down: half a pixel weighs half
    fine = np.zeros((8, 8), dtype=bool)
    fine[2, 4] = fine[3, 4] = True
    fine[6:8, 0:2] = True
    assert _of(t.Region(fine, 0), maps, 1) == pytest.approx([(0.5 * 6 + 12) / 1.5])


def test_similarity_is_the_cosine() -> None:
    assert _of(t.Similarity([1.0, 2.0, 0.0])) == pytest.approx([0.0, 6 / math.sqrt(13) / math.sqrt(5)], abs=1e-6)


_FOUND = [
    {
        "boxes": torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 10.0, 5.0], [20.0, 20.0, 30.0, 30.0]]),
        "labels": torch.tensor([1, 1, 2]),
        "scores": torch.tensor([0.6, 0.9, 0.8]),
    },
    {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0, dtype=torch.long), "scores": torch.zeros(0)},
]


def test_box_is_overlap_times_score() -> None:
    # the whole box at 0.6 against half of it at 0.9; in the second image nothing was found
    assert _of(t.Box((0, 0, 10, 10), 1), _FOUND) == pytest.approx([0.6, 0.0])
    assert _of(t.Box((0, 0, 10, 6), 1), _FOUND) == pytest.approx([0.9 * 50 / 60, 0.0])
    assert _of(t.Box((0, 0, 10, 10), 2), _FOUND) == [0.0, 0.0]
    assert _of(t.Box((15, 20, 25, 30), 2) * 3, _FOUND) == pytest.approx([3 * 0.8 * 50 / 150, 0.0])


def test_boxes_that_cannot_be() -> None:
    with pytest.raises(TargetError, match="left < right"):
        t.Box((10, 0, 5, 5), 1)
    with pytest.raises(TargetError, match="Box needs detections; this model gives Tensor"):
        _of(t.Box((0, 0, 5, 5), 1))
    with pytest.raises(TargetError, match="finds objects"):
        _of(t.Logit(1), _FOUND)


@pytest.mark.parametrize(
    ("words", "target"),
    [
        ("cat vs dog", t.Margin(0, 1)),
        ("cat vs. 2", t.Margin(0, 2)),
        ("P(dog)", t.Probability(1)),
        ("output 2", t.Output(2)),
        ("a vs b", t.Logit(2)),
    ],
)
def test_words_for_targets(words: str, target: t.Target) -> None:
    """A label comes before what its words would mean."""
    net = seewhy.wrap(nn.Sequential(nn.Flatten(), nn.Linear(4, 3)), labels=["cat", "dog", "a vs b"])
    x = torch.rand(1, 1, 2, 2)
    named, meant = (seewhy.explain(net, x, method="saliency", target=each) for each in (words, target))
    assert (named.target, named.score) == (meant.target, meant.score)


def test_present_is_every_class_with_a_positive_score() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 4), nn.Sigmoid())
    with torch.no_grad():
        net[1].weight.zero_()
        net[1].bias.copy_(torch.tensor([-1.0, 2.0, 0.5, -3.0]))
    found = seewhy.explain_all(net, torch.rand(1, 1, 2, 2), method="saliency", target="present")
    assert [each.target_index for each in found] == [1, 2]


def _detector(kind: str) -> nn.Module:
    from torchvision.models import detection

    torch.manual_seed(0)
    if kind == "faster-rcnn":
        net = detection.fasterrcnn_mobilenet_v3_large_320_fpn(
            weights=None,
            weights_backbone=None,
            num_classes=3,
            min_size=96,
            max_size=128,
            box_score_thresh=0.0,
            rpn_post_nms_top_n_test=20,
            rpn_pre_nms_top_n_test=50,
            box_detections_per_img=10,
        )
    else:
        net = detection.retinanet_resnet50_fpn(
            weights=None,
            weights_backbone=None,
            num_classes=3,
            min_size=96,
            max_size=128,
            score_thresh=0.0,
            detections_per_img=10,
            topk_candidates=50,
        )
    return net.eval()


@pytest.mark.parametrize("kind", ["faster-rcnn", "retinanet"])
def test_a_detection_is_explained(kind: str) -> None:
    """The surest object by default; the gradient agrees with differences of the model's own output."""
    net = _detector(kind).double()
    x = torch.rand(1, 3, 96, 128, dtype=torch.float64)
    found = seewhy.explain(net, x, method="saliency", reduce="none")
    with torch.no_grad():
        (own,) = net(x)
    n = int(own["scores"].argmax())
    assert found.score == pytest.approx(float(own["scores"][n]), abs=1e-9)  # it overlaps itself wholly
    assert found.target_index == int(own["labels"][n])
    target = t.Box(tuple(own["boxes"][n].tolist()), int(own["labels"][n]))
    direction = torch.from_numpy(found.values).sign()[None].double()
    step = 1e-7
    with torch.no_grad():
        up, down = (float(target(Outputs(net(x + sign * step * direction), 1))) for sign in (1, -1))
    assert np.abs(found.values).sum() == pytest.approx((up - down) / (2 * step), rel=2e-2)


@pytest.mark.parametrize("kind", ["faster-rcnn", "retinanet"])
def test_a_detector_takes_cams_and_masks(kind: str) -> None:
    net, x = _detector(kind), torch.rand(3, 96, 128)
    cam = seewhy.explain_all(net, x, method="grad-cam", target="top-5")
    assert len(cam) == 5
    assert all(np.abs(each.values).max() > 0 for each in cam)
    hidden = seewhy.explain(net, x, method="occlusion", window=48, stride=48)
    assert hidden.map.shape == (96, 128)
    assert hidden.cost.forwards == 1 + 6


def test_detectors_have_no_classes() -> None:
    net, x = _detector("retinanet"), torch.rand(3, 96, 128)
    with pytest.raises(TargetError, match="finds objects"):
        seewhy.explain(net, x, method="saliency", target=1)


def test_a_segmentation_region_is_explained() -> None:
    from torchvision.models import segmentation

    torch.manual_seed(0)
    net = segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3).eval()
    x, mask = torch.rand(1, 3, 64, 64), np.zeros((64, 64), dtype=bool)
    mask[10:30, 20:50] = True
    found = seewhy.explain_all(net, x, method=["saliency", "grad-cam"], target=t.Region(mask, 2))
    with torch.no_grad():
        expected = float(net(x)["out"][0, 2][torch.from_numpy(mask)].mean())
    assert [each.score for each in found] == pytest.approx([expected] * 2, abs=1e-5)
    with pytest.raises((TargetError, UsageError), match="Region"):
        seewhy.explain(net, x, method="saliency")


class Backbone(nn.Module):
    """Features of a picture in a record: a grid of them, and their pooled and projected row."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.project = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        grid = self.conv(x).tanh()
        return {"last_hidden_state": grid, "pooler_output": self.project(grid.mean((2, 3)))}


def _backbone() -> Backbone:
    with torch.random.fork_rng([]):
        torch.manual_seed(2)
        return Backbone().double().eval()


def _picture(seed: int) -> torch.Tensor:
    return torch.randn(1, 3, 6, 6, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize(
    ("where", "vector"),
    [
        ({}, lambda net, x: net(x)["pooler_output"]),  # the only row of numbers
        ({"element": "pooler_output"}, lambda net, x: net(x)["pooler_output"]),
        ({"element": "last_hidden_state"}, lambda net, x: net(x)["last_hidden_state"].flatten(1)),
        ({"layer": "conv"}, lambda net, x: net.conv(x).mean((2, 3))),
        ({"layer": "project"}, lambda net, x: net(x)["pooler_output"]),
    ],
)
def test_similarity_and_its_gradient_by_hand(where: dict[str, str], vector: Callable[..., torch.Tensor]) -> None:
    """y e / |y| |e| and (e / |e| - s y / |y|) / |y| times dy/dx, number by number; to a vector, and to the picture
    that gives it."""
    net, x, other = _backbone(), _picture(0), _picture(1)
    with torch.no_grad():
        e = vector(net, other)[0]
    leaf = x.clone().requires_grad_()
    y = vector(net, leaf)[0]
    sizes = [math.sqrt(sum(float(n) ** 2 for n in v)) for v in (y.detach(), e)]
    score = sum(float(a) * float(b) for a, b in zip(y.detach(), e, strict=True)) / sizes[0] / sizes[1]
    slope = [(float(b) / sizes[1] - score * float(a) / sizes[0]) / sizes[0] for a, b in zip(y.detach(), e, strict=True)]
    (gradient,) = torch.autograd.grad(y, leaf, torch.tensor(slope, dtype=torch.float64))
    for given in (e, e.tolist(), 7 * e.numpy(), other, other[0].numpy()):
        found = seewhy.explain(net, x, method="saliency", target=t.Similarity(given, **where), reduce="none")
        assert found.score == pytest.approx(score, abs=1e-12)
        np.testing.assert_allclose(found.values, gradient[0], atol=1e-12)
        assert found.unit == "cosine similarity"
    difference = t.Similarity(other, **where) - 2 * t.Similarity(e, **where)
    assert seewhy.explain(net, x, method="saliency", target=difference).score == pytest.approx(-score, abs=1e-12)


def test_the_other_picture_goes_through_the_model_once() -> None:
    net, calls = _backbone(), []
    like = t.Similarity(_picture(1), name="the other")
    seewhy.explain(net, _picture(0), method="saliency", target=like)
    handle = net.register_forward_hook(lambda module, given, out: calls.append(given[0].clone()))
    found = seewhy.explain_all(
        net, torch.cat([_picture(0), _picture(2)]), method="saliency", target=like, prepare=False
    )
    handle.remove()
    assert sum(torch.equal(each, _picture(1)) for each in calls) == 1
    assert [each.target for each in found] == ["similarity to the other"] * 2
    assert like.pictured  # a target is a value: what it was given stays


def test_similarity_is_a_target_of_every_kind_of_method() -> None:
    net, like = _backbone(), t.Similarity(_picture(1))
    for method, given in (
        ("grad-cam", {"layer": "conv"}), ("occlusion", {"window": 2, "stride": 2}), ("integrated-gradients", {}),
        ("input-x-gradient", {}),
    ):  # fmt: skip
        found = seewhy.explain(net, _picture(0), method=method, target=like, **given)
        assert found.status.ok, method
        assert np.abs(found.values).max() > 0
    same = seewhy.explain(net, _picture(1), method="saliency", target=like)
    assert same.score == pytest.approx(1.0, abs=1e-12)
    assert np.abs(same.values).max() < 1e-12


def test_a_vector_of_nothing_is_similar_to_nothing() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False))
    found = seewhy.explain(net, torch.zeros(1, 1, 2, 2), method="saliency", target=t.Similarity([1.0, 0.0, 2.0]))
    assert found.score == 0
    assert not found.values.any()


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: t.Similarity([0.0, 0.0]), "is 0 everywhere: it has no direction"),
        (lambda: t.Similarity([1.0, math.nan]), "is not finite"),
        (lambda: t.Similarity([]), "is empty"),
        (lambda: t.Similarity(["a", "b"]), "a row of numbers, or a picture"),
        (lambda: t.Similarity([1.0], layer="conv", element="pooler_output"), r"layer='conv\[pooler_output\]'"),
        (lambda: t.Similarity([1.0, 2.0]), "embedding of length 2; the model gives 5 numbers for each image"),
        (lambda: t.Similarity([1.0], layer="conv"), "embedding of length 1; the layer 'conv' gives 4"),
        (
            lambda: t.Similarity([1.0], element="pooled"),
            "no tensor 'pooled' with a row for each image; it has 'last_hidden_state', 'pooler_output'",
        ),
        (lambda: t.Similarity([1.0], layer="cov"), "no layer 'cov'.*nearest: 'conv'"),
        (lambda: t.Similarity(torch.cat([_picture(0), _picture(1)])), "to one picture; 2 were given"),
        (lambda: t.Similarity(object()), "image is object"),
    ],
)
def test_similarities_that_cannot_be(make: Callable[[], t.Target], words: str) -> None:
    with pytest.raises(SeewhyError, match=words) as raised:
        seewhy.explain(_backbone(), _picture(0), method="saliency", target=make())
    assert "\n" not in str(raised.value)


def test_of_several_rows_one_has_to_be_named() -> None:
    class Two(nn.Module):
        def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
            return {"first": x.flatten(1), "second": x.mean((2, 3))}

    with pytest.raises(TargetError, match="element=: 'first', 'second'"):
        seewhy.explain(Two(), _picture(0), method="saliency", target=t.Similarity([1.0, 2.0, 3.0]))
    found = seewhy.explain(
        Two(), _picture(0), method="saliency", target=t.Similarity([1.0, 2.0, 3.0], element="second")
    )
    assert found.target == "similarity in second"


def test_an_embedding_is_explained() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 3, bias=False))
    x, wanted = torch.rand(1, 1, 2, 2), torch.tensor([1.0, -1.0, 0.5])
    found = seewhy.explain(net, x, method="saliency", target=t.Similarity(wanted), reduce="none")
    leaf = x.clone().requires_grad_()
    score = torch.cosine_similarity(net(leaf), wanted[None]).sum()
    (gradient,) = torch.autograd.grad(score, leaf)
    assert found.values == pytest.approx(gradient[0].numpy(), abs=1e-6)


@pytest.mark.parametrize("last", [False, True])
def test_regions_of_volumes(last: bool) -> None:
    """Scores [B, K, D, H, W], or with the classes last; by loops, of a mask, one twice as fine, and the prediction."""
    rows = torch.rand(2, 3, 2, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mask = np.zeros((2, 4, 5), dtype=bool)
    mask[1, 2:, 1] = mask[0, 0, 4] = True
    inside = [(1, 2, 1), (1, 3, 1), (0, 0, 4)]
    expected = [sum(float(rows[b, 2][at]) for at in inside) / 3 for b in range(2)]
    given = Outputs(rows.movedim(1, -1) if last else rows, 2, size=(2, 4, 5), last=last)
    assert t.Region(mask, 2)(given).tolist() == pytest.approx(expected, abs=1e-12)
    fine = mask.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    assert t.Region(fine, 2)(given).tolist() == pytest.approx(expected, abs=1e-12)
    predicted = t.Region(None, 1).settled(given, 1)
    tops = [at for at in np.ndindex(2, 4, 5) if all(rows[1, 1][at] >= rows[1, k][at] for k in range(3))]
    wanted = sum(float(rows[1, 1][at]) for at in tops) / len(tops)
    assert float(predicted(given)[1]) == pytest.approx(wanted, abs=1e-12)
    with pytest.raises(TargetError, match=r"takes a mask \[D, H, W\]; got \(4, 5\)"):
        t.Region(mask[0], 2)(given)


def test_regions_of_videos() -> None:
    """[B, K, T, H, W], and [B, T, K, H, W] of networks that have the frames first; frames that are fewer than those of
    the input, with a stride of their own."""
    rows = torch.rand(1, 3, 8, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mask = np.zeros((8, 4, 4))
    mask[5, 1, 2] = 1
    expected = [float(rows[0, 1, 5, 1, 2])]
    for given in (rows, rows.movedim(1, 2)):
        assert t.Region(mask, 1)(Outputs(given, 1, size=(8, 4, 4))).tolist() == expected
    few = Outputs(rows[:, :2], 1, size=(8, 16, 16))  # not two frames of eight classes
    assert t.Region(mask, 1)(few).tolist() == expected


def test_maps_of_numbers_of_volumes() -> None:
    rows = torch.rand(1, 1, 2, 4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    mask = np.zeros((2, 4, 5), dtype=bool)
    mask[1, 3, 1:3] = True
    for given in (rows, rows[:, 0], rows.movedim(1, -1)):
        output = Outputs(given, 1, size=(4, 8, 10))
        assert t.Depth()(output).tolist() == pytest.approx([float(rows.mean())], abs=1e-12)
        assert t.Depth(mask)(output).tolist() == pytest.approx([float(rows[0, 0, 1, 3, 1:3].sum()) / 2], abs=1e-12)
        assert t.Depth(at=(4, 7, 1))(output).tolist() == [float(rows[0, 0, 0, 3, 2])]  # column, row, slice
    with pytest.raises(TargetError, match=r"at=\(4, 7\) for a map of 2 x 4 x 5: \(x, y, slice or frame\)"):
        t.Depth(at=(4, 7))(output)
    with pytest.raises(TargetError, match=r"at=\(4, 7, 4\) is outside the picture of 10 x 8 x 4"):
        t.Depth(at=(4, 7, 4))(output)
    assert t.Depth(at=(4, 7, 1)).describe() == "depth at 4, 7, 1"


def test_a_network_that_segments_volumes() -> None:
    net = nn.Conv3d(1, 3, 3, padding=1).double()
    x = torch.rand(1, 1, 4, 6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    mask = torch.zeros(4, 6, 8)
    mask[1, 2:4, 3:6] = 1
    found, named = seewhy.explain_all(net, x, "saliency", [t.Region(mask, 1), "region 1"], reduce="none")
    leaf = x.clone().requires_grad_()
    scores = net(leaf)
    (slope,) = torch.autograd.grad((scores[0, 1] * mask).sum() / 6, leaf)
    np.testing.assert_allclose(found.values, slope[0].numpy(), atol=1e-12)
    inside = scores[0].argmax(0) == 1
    assert named.score == pytest.approx(float(scores[0, 1][inside].detach().mean()), abs=1e-12)
    single = nn.Conv3d(1, 1, 3, padding=1).double()
    assert seewhy.explain(single, x, "saliency", "depth at 3,2,1").score == float(single(x)[0, 0, 1, 2, 3].detach())
