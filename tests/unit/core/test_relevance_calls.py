"""Relevance does not depend on how a function is spelled; sums share, gates and padding get nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seewhy
import seewhy.methods
from networks import CLASSES, image
from seewhy.core.relevance.composites import COMPOSITES
from unit.core.relevances import flow_of, lrp, same, toy


@pytest.fixture(autouse=True)
def _one_thread() -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def _weights() -> dict[str, Tensor]:
    draw = torch.Generator().manual_seed(2)

    def normal(*shape: int) -> Tensor:
        return 0.4 * torch.randn(*shape, generator=draw).double()

    return {
        "w1": normal(4, 3, 3, 3), "b1": normal(4), "w2": normal(4, 4, 3, 3), "b2": normal(4),
        "g": 1 + normal(4), "b": normal(4), "m": normal(4), "v": 1 + normal(4).abs(),
        "w3": normal(CLASSES, 4), "b3": normal(CLASSES),
    }  # fmt: skip


class _Spelled(nn.Module):
    """conv, batch norm, ReLU, a residual convolution, a mean over positions, a linear layer; in one way or another."""

    def __init__(self, way: Callable[[Any, Tensor], Tensor]) -> None:
        super().__init__()
        self.way = way
        for name, value in _weights().items():
            if name in ("m", "v"):
                self.register_buffer(name, value)
            else:
                setattr(self, name, nn.Parameter(value))

    def forward(self, x: Tensor) -> Tensor:
        return self.way(self, x)


def _functional(s: Any, x: Tensor) -> Tensor:
    x = F.relu(F.batch_norm(F.conv2d(x, s.w1, s.b1, padding=1), s.m, s.v, s.g, s.b))
    x = x + F.conv2d(x, s.w2, s.b2, padding=1)
    return F.linear(F.adaptive_avg_pool2d(x.relu(), 1).flatten(1), s.w3, s.b3)


def _keywords(s: Any, x: Tensor) -> Tensor:
    x = torch.conv2d(input=x, weight=s.w1, bias=s.b1, padding=1)
    x = torch.relu(F.batch_norm(input=x, running_mean=s.m, running_var=s.v, weight=s.g, bias=s.b))
    x = torch.add(x, torch.conv2d(x, s.w2, bias=s.b2, padding=(1, 1)))
    return F.linear(input=x.relu().mean((2, 3)), weight=s.w3, bias=s.b3)


def _in_place(s: Any, x: Tensor) -> Tensor:
    x = F.relu_(F.batch_norm(F.conv2d(x, s.w1, s.b1, padding=1), s.m, s.v, s.g, s.b))
    out = F.conv2d(x, s.w2, s.b2, padding=1)
    out += x
    out.relu_()
    mean = out.mean(dim=(-2, -1))
    out.zero_()  # nobody needs it any more, except whoever kept it without a copy
    return torch.addmm(s.b3, mean, s.w3.t())


def _before_the_head(s: Any, x: Tensor) -> Tensor:
    x = F.batch_norm(F.conv2d(x, s.w1, s.b1, padding=1), s.m, s.v, s.g, s.b)
    F.relu(x, inplace=True)  # the result is thrown away: only the rewriting counts
    out = F.conv2d(x, s.w2, s.b2, padding=1)
    out.add_(x)
    torch.relu_(out)
    return out.mean((2, 3))


def _side_effects(s: Any, x: Tensor) -> Tensor:
    return F.linear(_before_the_head(s, x), s.w3, s.b3)


def _aten(s: Any, x: Tensor) -> Tensor:
    ops = torch.ops.aten
    x = ops.convolution.default(x, s.w1, s.b1, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)
    x = ops._native_batch_norm_legit_no_training.default(x, s.g, s.b, s.m, s.v, 0.1, 1e-5)[0]
    x = ops.relu.default(x)
    out = ops.convolution.default(x, s.w2, s.b2, [1, 1], [1, 1], [1, 1], False, [0, 0], 1)
    x = ops.relu.default(ops.add.Tensor(out, x))
    x = ops.view.default(ops.mean.dim(x, [2, 3], True), [x.shape[0], 4])
    return ops.addmm.default(s.b3, x, ops.permute.default(s.w3, [1, 0]))


WAYS = {"keywords": _keywords, "in place": _in_place, "side effects": _side_effects, "aten": _aten}


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("way", sorted(WAYS))
def test_spellings_do_not_matter(way: str, composite: str) -> None:
    x = image(9)
    expected = lrp(_Spelled(_functional), x, composite)
    same(lrp(_Spelled(WAYS[way]), x, composite), expected, 1e-9)


def test_an_exported_graph_is_the_same() -> None:
    x = image(9)
    net = _Spelled(_functional).eval()
    exported = torch.export.export(net, (x,)).module()
    found = [seewhy.explain_all(each, x, method="lrp", target=1, reduce="none") for each in (exported, net)]
    same(*(np.stack([each.values for each in explained]) for explained in found), 1e-9)


def _added(s: Any, x: Tensor) -> Tensor:
    """Every bias added after its layer, the batch norm written out, in the order of axes that Keras has."""
    x = F.conv2d(x, s.w1, padding=1).permute(0, 2, 3, 1) + s.b1.reshape(1, 1, 1, -1)
    x = torch.subtract(x, s.m).mul_((s.v + 1e-5).rsqrt() * s.g).add_(s.b).permute(0, 3, 1, 2).relu()
    x = x + (F.conv2d(x, s.w2, padding=1) + s.b2[:, None, None])
    return s.b3 + x.relu().mean((2, 3)) @ s.w3.t()


@pytest.mark.parametrize("composite", COMPOSITES)
def test_constants_of_each_channel_belong_to_the_layer_before_them(composite: str) -> None:
    x = image(9)
    same(lrp(_Spelled(_added), x, composite), lrp(_Spelled(_functional), x, composite), 1e-9)


def test_constants_that_were_not_alone_in_reading_a_layer_pass() -> None:
    """With a second reader of the bare product the bias absorbs nothing: nobody can say whose it is."""
    x = image(9)

    def alone(s: Any, x: Tensor) -> Tensor:
        return (F.conv2d(x, s.w1, padding=1) + s.b1[:, None, None]).relu().mean((2, 3)) @ s.w3.t()

    def beside(s: Any, x: Tensor) -> Tensor:
        product = F.conv2d(x, s.w1, padding=1)
        return ((product + s.b1[:, None, None]).relu() + 0.5 * product).mean((2, 3)) @ s.w3.t()

    assert flow_of(_Spelled(alone).eval(), x, "epsilon").bias.abs().min() > 1e-3
    assert flow_of(_Spelled(beside).eval(), x, "epsilon").bias.abs().max() == 0


def test_sums_share_in_proportion() -> None:
    """By hand at the sum: each branch's sum of relevance is what its values contribute to the score."""
    x = image(10, batch=1)
    for body, sign in (
        (lambda s, x: s.a(x) + s.b(x), 1.0),
        (lambda s, x: s.a(x) - s.b(x), -1.0),
        (lambda s, x: torch.add(s.a(x), s.b(x), alpha=0.5), 0.5),
        (lambda s, x: torch.sub(s.a(x), s.b(x), alpha=2), -2.0),
    ):
        net = toy(body)
        with torch.no_grad():
            one, two = (branch(x)[0] * net.head.weight[1][:, None, None] / 64 for branch in (net.a, net.b))
        explained = seewhy.explain_all(
            net, x, method="lrp", target=1, layer=["a", "b"], composite="epsilon", reduce="none"
        )
        same(explained[0].values, one, 1e-2)
        same(explained[1].values, sign * two, 1e-2)
        # a branch asked about alone shares with the other one all the same
        same(lrp(net, x, "epsilon", layer="a"), explained[0].values[None], 1e-12)


def test_addends_may_be_rewritten_after_their_sum() -> None:
    """A sum does not need its arguments any more, whatever relevance needs."""

    def rewritten(s: Any, x: Tensor) -> Tensor:
        one, two = s.a(x), s.b(x)
        out = one + two
        one.zero_()
        two.zero_()
        return out

    x = image(10)
    same(lrp(toy(rewritten), x, "epsilon"), lrp(toy(lambda s, x: s.a(x) + s.b(x)), x, "epsilon"), 1e-12)


def test_a_gate_gets_nothing_and_the_signal_everything() -> None:
    """Squeeze-and-excitation, a hand-written SiLU, a softmax over branches, a constant factor."""
    x = image(11)
    squeezed = toy(lambda s, x: s.a(x) * torch.sigmoid(s.gate(s.a(x).mean((2, 3))))[:, :, None, None])
    flow = flow_of(squeezed, x, "epsilon")
    assert float(flow.elsewhere.abs().max()) < 1e-12
    flow = flow_of(toy(lambda s, x: s.a(x) * s.a(x).sigmoid()), x, "epsilon")
    assert float(flow.elsewhere.abs().max()) < 1e-12
    softened = toy(lambda s, x: s.a(x) * s.gate(s.b(x).mean((2, 3))).softmax(1)[:, :, None, None])
    assert float(flow_of(softened, x, "epsilon").elsewhere.abs().max()) < 1e-12
    same(lrp(toy(lambda s, x: 3 * s.a(x) / 3 + 0.0), x, "epsilon"), lrp(toy(lambda s, x: s.a(x)), x, "epsilon"), 1e-9)


def test_padding_gets_nothing() -> None:
    """A model's own padding with zeros is like the convolution's: under every rule of the first layer."""
    x = image(12)

    def padded(s: Any, x: Tensor) -> Tensor:
        return F.conv2d(F.pad(x, (1, 1, 1, 1)), s.a.weight).relu()

    for composite in ("epsilon-plus-flat", "epsilon-gamma-box", lambda call: "w-square"):
        same(lrp(toy(padded), x, composite), lrp(toy(lambda s, x: s.a(x).relu()), x, composite), 1e-9)


def test_normalisation_inside_the_model_is_part_of_the_way_to_the_first_layer() -> None:
    """z-box then knows the range of what the convolution reads."""
    x = image(13)

    def inside(s: Any, x: Tensor) -> Tensor:
        return s.a((x - 0.3) / -0.7).relu()

    same(
        lrp(toy(inside), x, "epsilon-gamma-box"),
        lrp(toy(lambda s, x: s.a(x).relu()), (x - 0.3) / -0.7, "epsilon-gamma-box"),
        1e-9,
    )
