"""What a pass held is freed when the pass is dropped, not when the garbage collector comes by: a long run of short passes
would fill the memory meanwhile."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest
import torch
from torch import nn

import seewhy
import seewhy.methods
from networks import image
from properties.asking import METHODS, explain, made
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.session import Session
from seewhy.core.network.borrowed import Network
from seewhy.core.network.places import find_place


@pytest.fixture
def _no_collector() -> Iterator[None]:
    gc.collect()
    gc.freeze()  # what is there before is not looked through
    gc.disable()
    yield
    gc.enable()


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.parametrize("kind", ["plain", "rules", "biases", "attention", "survey"])
def test_a_pass_is_freed_at_once(kind: str) -> None:
    case, x = made("attention-rollout" if kind == "attention" else "saliency", "conv-bn-relu"), image()
    network = Network(case.net)
    options = {} if kind == "plain" else {kind: True}
    with network.borrowed() as call:
        places = {case.layer: find_place(case.net, case.layer)}
        pass_ = Session(network, call, x).run(x, Demand(places, at_input=True, **options))
        seen = weakref.ref(pass_.raw(case.layer)), weakref.ref(pass_.outputs.main)
        del pass_
    assert [each() for each in seen] == [None, None]


def _alive() -> int:
    tensors = [each for each in gc.get_objects() if issubclass(type(each), torch.Tensor)]
    return sum(each.numel() for each in tensors if each.grad_fn is not None)


@pytest.mark.usefixtures("_no_collector")
@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize("name", METHODS)
def test_nothing_with_a_graph_outlives_the_call(name: str) -> None:
    case, x = made(name, "conv-bn-relu", 3), image(3)
    explain(case, x, name)
    gc.collect()
    before = _alive()
    explain(case, x, name)
    assert _alive() == before


def test_a_long_optimisation_holds_one_step() -> None:
    """The number of tensors alive does not grow from step to step."""
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3))
    counts: list[int] = []

    def count(picture: object, step: int) -> None:
        counts.append(_alive())

    gc.collect()
    gc.disable()
    try:
        seewhy.maximise(net, "2:1", size=16, steps=12, every=1, preview=count)
    finally:
        gc.enable()
    assert max(counts[3:]) <= counts[2]
