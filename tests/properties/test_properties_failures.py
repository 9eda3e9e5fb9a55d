"""The whole method x failure matrix: whatever goes wrong, and whenever, the model is what it was."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import torch
from torch import nn

import seewhy
from networks import image
from properties.asking import METHODS, every, explain, made
from properties.snapshots import difference, snapshot
from seewhy.errors import SeewhyError
from seewhy.registry import methods


class Stop:
    """A forward hook that raises at its ``n``-th call, and counts all of them."""

    def __init__(self, n: int, error: type[BaseException]) -> None:
        self.n, self.error, self.calls = n, error, 0

    def __call__(self, module: nn.Module, args: object, output: object) -> None:
        self.calls += 1
        if self.calls == self.n:
            raise self.error("on purpose")


def _known(name: str) -> Any:
    """The toy problem, of whose layers pictures have said already what their grids are: that is done once, and what is
    raised there is no end of a call."""
    case = made(name, "conv-bn-relu", 3)
    explain(case, image(3), name)
    return case


def forwards(name: str) -> int:
    """How often the method runs the network on the toy problem."""
    case, count = _known(name), Stop(0, ValueError)
    case.head.register_forward_hook(count)
    explain(case, image(3), name)
    return count.calls


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("name", METHODS)
def test_a_module_that_raises_or_is_interrupted_midway(name: str, error: type[BaseException]) -> None:
    """At the first pass, in the middle and at the last one, which for streams is deep inside a chunk loop.

    An interruption propagates, or, from the second pass on, gives what a method that samples or optimises has.
    """
    total = forwards(name)
    for n in sorted({1, (total + 1) // 2, total}):
        case, x = _known(name), image(3)
        # an inner module: captures further up are armed already, those further down are not
        inner = case.net.get_submodule(case.layer)
        inner.register_forward_hook(Stop(n, error))
        inner.train()  # a flag to be restored; on a ReLU it does not matter, so nothing warns
        before = snapshot(case.net)
        try:
            found = explain(case, x, name)
        except error as raised:
            message = str(raised)
            found = None
        if found is None:
            assert message == "on purpose"
        else:
            assert error is KeyboardInterrupt
            assert n > 1
            assert "seed" in methods[name].parameters or not methods[name].card.differentiable
            assert {each.status.code for each in every(found)} == {"unfinished"}
        assert difference(before, snapshot(case.net)) == []


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("name", METHODS)
def test_a_backward_that_raises(name: str, error: type[BaseException]) -> None:
    case, x = made(name, "conv-bn-relu", 4), image(4)

    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: torch.Tensor) -> torch.Tensor:
            return x.view_as(x)

        @staticmethod
        def backward(ctx: object, *grads: torch.Tensor) -> torch.Tensor:
            raise error("on purpose")

    case.head.register_forward_hook(lambda module, args, output: Broken.apply(output))
    before = snapshot(case.net)
    with contextlib.suppress(error):  # methods that need no backward finish in peace
        explain(case, x, name)
    assert difference(before, snapshot(case.net)) == []


@pytest.mark.parametrize(
    "target", [99, "no such label", lambda out: out, object()], ids=["index", "label", "shape", "type"]
)
@pytest.mark.parametrize("name", METHODS)
def test_a_bad_target(name: str, target: object) -> None:
    case, x = made(name, "conv-bn-relu", 5), image(5)
    before = snapshot(case.net)
    with pytest.raises(SeewhyError) as raised:
        explain(case, x, name, target)
    assert "\n" not in str(raised.value)
    assert difference(before, snapshot(case.net)) == []


@pytest.mark.parametrize("name", METHODS)
def test_a_bad_layer(name: str) -> None:
    case, x = made(name, "conv-bn-relu", 6), image(6)
    before = snapshot(case.net)
    with pytest.raises(SeewhyError, match=r"layer|explains the input"):
        seewhy.explain(case.net, x, method=name, layer="nowhere")
    assert difference(before, snapshot(case.net)) == []
