"""The small pieces: folds, maps, noise, targets in words, outputs, layer names, the registry."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from seewhy.core import targets as t
from seewhy.core.intercept.backward_rules import rule_name
from seewhy.core.intercept.functions import canonical_name
from seewhy.core.network.outputs import Outputs
from seewhy.core.network.places import AUTO, find_place, place_name
from seewhy.core.perturb.folds import Collect, Gather, WeightedSum
from seewhy.core.perturb.noise import fingerprint, gaussian, uniform
from seewhy.core.perturb.resampling import upsample, upsample_sum
from seewhy.errors import TargetError, UnknownName, UsageError, nearest
from seewhy.registry import Card, Registry, method, methods


def test_other_folds() -> None:
    samples, indices = torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1])
    values = torch.tensor([[1.0], [2.0], [4.0]])
    total = WeightedSum(2, (10.0, 100.0))
    total.add(samples, indices, values)
    assert total.result().tolist() == [[210.0], [400.0]]
    every = Gather(2, 2)
    every.add(samples, indices, values, 10 * values[:, 0])
    assert [answer.tolist() for answer in every.result()] == [
        [[[1.0], [2.0]], [[0.0], [4.0]]], [[10.0, 20.0], [0.0, 40.0]],
    ]  # fmt: skip
    scores = Collect(2, 2, missing=-1)
    scores.add(samples, indices, torch.tensor([5.0, 6.0, 7.0]))
    assert scores.result().tolist() == [[5.0, 6.0], [-1.0, 7.0]]


@given(st.integers(1, 9), st.integers(1, 9), st.integers(1, 40), st.integers(1, 40), st.integers(0, 1000))
def test_upsampling_that_keeps_the_sum(h: int, w: int, H: int, W: int, seed: int) -> None:
    maps = torch.randn(
        2, max(min(h, H), 1), max(min(w, W), 1), dtype=torch.float64, generator=torch.Generator().manual_seed(seed)
    )
    large = upsample_sum(maps, (H, W))
    np.testing.assert_allclose(large.sum((1, 2)), maps.sum((1, 2)), rtol=1e-9, atol=1e-9)


def test_upsampling_keeps_the_sum_without_positions_too() -> None:
    assert upsample_sum(torch.tensor([6.0]), (2, 3)).tolist() == [[[1.0] * 3] * 2]
    assert torch.equal(upsample(torch.eye(3)[None, None], (3, 3))[0, 0], torch.eye(3))


def test_noise_depends_on_image_seed_and_index_and_on_nothing_else() -> None:
    x = torch.randn(3, 2, 4)
    keys = fingerprint(x)
    assert fingerprint(x[1:2])[0] == keys[1]
    assert fingerprint(x.double()) == keys
    a = gaussian([(keys[0], 0), (keys[0], 1), (keys[1], 0)], (5,), family="f", seed=0)
    assert torch.equal(a[1:2], gaussian([(keys[0], 1)], (5,), family="f", seed=0))
    assert len({tuple(row.tolist()) for row in a}) == 3
    assert not torch.equal(a, gaussian([(keys[0], 0), (keys[0], 1), (keys[1], 0)], (5,), family="f", seed=1))
    many = gaussian([(keys[0], n) for n in range(200)], (100,), family="f", seed=0)
    assert abs(float(many.mean())) < 0.03
    assert abs(float(many.std()) - 1) < 0.03


def test_uniform_draws_depend_on_the_same_things() -> None:
    keys = fingerprint(torch.randn(2, 2, 4))
    pairs = [(keys[0], 0), (keys[0], 1), (keys[1], 0)]
    a = uniform(pairs, (5,), family="f", seed=0)
    assert a.dtype == torch.float64
    assert len({tuple(row.tolist()) for row in a}) == 3
    assert torch.equal(a[2:], uniform(pairs[2:], (5,), family="f", seed=0))
    for family, seed in (("g", 0), ("f", 1)):
        assert not torch.equal(a, uniform(pairs, (5,), family=family, seed=seed))
    many = uniform([(keys[0], n) for n in range(200)], (100,), family="f", seed=0)
    assert float(many.min()) >= 0
    assert float(many.max()) < 1
    assert abs(float(many.mean()) - 1 / 2) < 0.01
    assert abs(float(many.var()) - 1 / 12) < 0.003


def forward(logits: torch.Tensor) -> Outputs:
    return Outputs(logits, len(logits))


def test_targets_have_the_values_they_say() -> None:
    y = torch.tensor([[1.0, 4.0, 2.0], [0.0, -1.0, 5.0]])
    f = forward(y)
    cases = {
        t.Logit(1): y[:, 1],
        t.Probability(1): y.softmax(1)[:, 1],
        t.Centred(1): y[:, 1] - y.mean(1),
        t.Margin(1, 2): y[:, 1] - y[:, 2],
        t.Output(2): y[:, 2],
        t.Logit(1) - t.Logit(2): y[:, 1] - y[:, 2],
        2 * t.Logit(0) + t.Logit(1): 2 * y[:, 0] + y[:, 1],
        -(t.Logit(0) - 3 * t.Logit(1)): -y[:, 0] + 3 * y[:, 1],
    }
    for target, expected in cases.items():
        np.testing.assert_allclose(target(f), expected, rtol=1e-6)
    mixed = t.scores(f, [t.Logit(0), t.Logit(2)])
    assert mixed.tolist() == [1.0, 5.0]
    embedded = t.Similarity([1.0, 0.0, 0.0])(f)
    np.testing.assert_allclose(embedded, F.cosine_similarity(y, torch.tensor([[1.0, 0, 0]])))


def test_targets_in_words() -> None:
    names = ["hen", "cat", "cup"].__getitem__
    assert t.Logit(1).describe(names) == "cat"
    assert t.Logit(1).describe() == "class 1"
    assert t.Margin(1, 2).describe(names) == "cat − cup"
    assert (t.Logit(1) - 0.5 * t.Logit(2)).describe(names) == "cat − 0.5·cup"
    assert (t.Logit(1) - 0.5 * t.Logit(2)).index == 1
    assert t.Neuron("layer4", 3, (1, 2)).describe() == "layer4[3] at 1,2"


@pytest.mark.parametrize(
    ("target", "words"),
    [
        (t.Logit(3), "0 to 2"),
        (t.Similarity([1.0]), "length 1"),
        (t.Region(np.ones((2, 2)), 0), r"\[B, K, H, W\]"),
        (t.Custom(lambda out: out), "one scalar per sample"),
    ],
)
def test_targets_that_do_not_fit(target: t.Target, words: str) -> None:
    with pytest.raises(TargetError, match=words):
        target(forward(torch.zeros(2, 3)))


def test_an_empty_region() -> None:
    with pytest.raises(TargetError, match="empty"):
        t.Region(np.zeros((2, 2)), 0)(forward(torch.zeros(1, 2, 4, 4)))


def test_one_name_for_every_spelling() -> None:
    spellings = [F.relu, torch.relu, torch.Tensor.relu, torch.ops.aten.relu, torch.ops.aten.relu.default]
    assert {canonical_name(f) for f in spellings} == {"relu"}
    assert {canonical_name(f) for f in (torch.relu_, torch.Tensor.relu_, torch.ops.aten.relu_.default)} == {"relu_"}


def test_rule_names() -> None:
    assert [rule_name(n) for n in (None, "none", "relu", "deconvnet", "guided")] == [
        "none", "none", "deconvnet", "deconvnet", "guided",
    ]  # fmt: skip
    with pytest.raises(UnknownName, match="nearest: 'guided'"):
        rule_name("guide")


def test_layer_names() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sequential(nn.ReLU()))
    assert find_place(net, "1.0").module is net[1][0]
    assert find_place(net, "1.0#2").call == 2
    assert place_name(net, net[1]) == "1"
    for bad in ("2", "", "1.1"):
        with pytest.raises(UnknownName, match="no layer"):
            find_place(net, bad)
    for bad in ("1#0", "1#x", "1#"):
        with pytest.raises(UsageError, match="number of the call"):
            find_place(net, bad)
    assert AUTO not in dict(net.named_modules())


def test_the_registry_suggests_and_refuses() -> None:
    table: Registry[Card] = Registry("method", "seewhy methods")
    card = Card(name="a-cam", family="cam", paper="", formula="", cost="")
    table.add(card)
    assert table["a-cam"] is card
    with pytest.raises(UsageError, match="registered twice"):
        table.add(card)
    with pytest.raises(UnknownName, match="nearest: 'a-cam'"):
        table["acam"]
    table.remove("a-cam")
    assert "a-cam" not in table


@pytest.mark.parametrize(
    ("formula", "words"),
    [(lambda photo: 0, "nothing fills argument 'photo'"), (lambda *, n: 0, "needs a default")],
)
def test_a_formula_nobody_can_call_is_refused(formula: object, words: str) -> None:
    before = methods.keys()
    with pytest.raises(UsageError, match=words):
        method(Card(name="trial", family="cam", paper="", formula="", cost=""))(formula)
    assert methods.keys() == before


def test_nearest() -> None:
    assert nearest("GradCam", ["grad-cam", "cam"]) == ["grad-cam"]
    assert nearest("zzz", ["grad-cam"]) == []
