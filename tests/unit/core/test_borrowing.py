"""Borrowing: when buffers are copied, whose locks are held, what is read of a network in every call."""

from __future__ import annotations

from queue import SimpleQueue

import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy.core.compile.checksums import Bits
from seewhy.core.compile.state import structure
from seewhy.core.network import borrowed as networks
from seewhy.core.network.borrowed import Network
from seewhy.core.network.locks import locks_of
from seewhy.core.network.parts import submodules


class Calls(SimpleQueue):
    """What the buffer held in each call: noted where no program looks for a model's state."""

    def all(self) -> list[float]:
        return [self.get_nowait() for _ in range(self.qsize())]


Calls.__module__ = "torch"  # of objects of torch's no more is looked at than which they are


class Counted(nn.Module):
    """Counts its own calls in a buffer, replaced or (``written``) written into, but when it is exported."""

    def __init__(self, written: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5))
        self.register_buffer("seen", torch.zeros(1))
        self.calls, self.written = Calls(), written

    def forward(self, x: Tensor) -> Tensor:
        if not torch.compiler.is_compiling():
            self.calls.put(float(self.seen))
            self.seen = self.seen.add_(1) if self.written else self.seen + 1
        return self.head(self.body(x))


@pytest.fixture
def x() -> Tensor:
    return torch.randn(1, 3, 12, 12, generator=torch.Generator().manual_seed(1))


@pytest.mark.usefixtures("no_spot_checks")
def test_buffers_are_put_back_where_the_model_runs_after_a_program_in_the_same_call(x: Tensor) -> None:
    net = Counted().eval()
    asked = {"target": 1, "prepare": True}
    seewhy.explain(net, x, method="saliency", **asked)
    seen = net.seen
    net.calls.all()
    found = seewhy.explain(net, x, method="saliency", **asked)
    assert found.provenance["prepared"]["used"]
    assert not net.calls.all()
    seewhy.explain_all(net, x, method=["saliency", "lrp"], **asked)
    assert net.calls.all()[0] == 0
    assert net.seen is seen


def test_buffers_are_put_back_where_the_model_fails(x: Tensor) -> None:
    net = Counted(written=True).eval()
    net.head.register_forward_hook(lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        seewhy.explain(net, x, method="saliency", target=1)
    assert net.calls.all()
    assert net.seen.item() == 0


def test_buffers_that_reading_a_weight_changes_are_put_back() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("seen", torch.zeros(1))

        def forward(self, weight: Tensor) -> Tensor:
            self.seen += 1
            return 2 * weight

    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    nn.utils.parametrize.register_parametrization(net[0], "weight", Counting())
    net[0].parametrizations.weight[0].seen.zero_()
    seewhy.filters(net)
    assert net[0].parametrizations.weight[0].seen.item() == 0


@pytest.mark.usefixtures("no_spot_checks")
def test_a_prepared_call_copies_no_buffers(x: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    net, copied = Counted().eval(), []
    copies = networks._copies
    monkeypatch.setattr(networks, "_copies", lambda values: copied.append(len(values)) or copies(values))
    for expected in ([4, 4, 4], [4, 4, 4]):  # tried twice at rest, and compared with the model once
        seewhy.explain(net, x, method="saliency", target=1, prepare=True)
        assert copied == expected
    seewhy.explain(net, x, method="saliency", target=1, prepare=False)
    assert copied == [4, 4, 4, 4]


def test_watches_do_not_see_the_copying_of_buffers(x: Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    modes, copies = [], networks._copies
    monkeypatch.setattr(
        networks, "_copies", lambda v: modes.append(torch.overrides._get_current_function_mode()) or copies(v)
    )
    seewhy.explain_all(Counted().eval(), x, method=["saliency", "full-grad"], target=1)
    assert modes == [None]


def test_networks_that_share_a_part_share_a_lock_and_all_are_taken_in_one_order() -> None:
    shared = nn.Linear(2, 2)
    one, other = nn.Sequential(shared, nn.ReLU()), nn.Sequential(nn.Tanh(), shared)
    both = nn.Sequential(other, one)
    mine, theirs, all_of_them = (locks_of(root, submodules(root)) for root in (one, other, both))
    assert mine is locks_of(one, submodules(one))
    assert len(mine) == 1  # its parts were first met together
    assert mine[0] in theirs
    assert len(theirs) == 2
    assert all_of_them[:2] == theirs  # the one that was first there comes first everywhere
    assert locks_of(shared, [shared]) == mine


def test_a_part_that_comes_later_brings_its_lock_and_one_that_goes_takes_it_along() -> None:
    one, alone = nn.Sequential(nn.Linear(2, 2), nn.ReLU()), nn.Tanh()
    before, own = list(locks_of(one, submodules(one))), locks_of(alone, [alone])
    one.append(alone)
    assert locks_of(one, submodules(one)) == [*before, *own]
    del one[2]
    assert locks_of(one, submodules(one)) == before


def test_a_network_given_back_holds_nothing(x: Tensor) -> None:
    network = Network(Counted().eval())
    with network.borrowed() as call:
        call(x)
        assert network.parts
        assert network.held
    assert not network.parts
    assert not network.held
    network.keep_buffers()  # too late: nothing is put back any more
    network.model.seen += 1
    with network.borrowed():
        pass
    assert network.model.seen.item() == 1


def test_a_structure_tells_which_part_holds_what() -> None:
    one, other = nn.Linear(2, 2), nn.Linear(2, 2, bias=False)
    other.weight = None
    before, bias = structure([one, other]), one.bias
    one.bias, other.weight = None, bias  # the same tensors, one after the other
    assert structure([one, other]) != before
    one.extra = 2  # as many as there are features
    before = structure([one, other])
    del one.extra
    other.extra = 2
    assert structure([one, other]) != before
    relu, tanh, buffer = nn.ReLU(), nn.Tanh(), torch.zeros(1)
    relu.register_buffer("extra", buffer)
    before = structure([relu, tanh])
    del relu.extra
    tanh.register_buffer("extra", buffer)
    assert structure([relu, tanh]) != before


def test_bits_of_any_tensors() -> None:
    tensors = [
        torch.arange(12.0).reshape(3, 4),
        torch.ones(5, dtype=torch.bfloat16),
        torch.tensor([True, False]),
        torch.randn(4, dtype=torch.complex64),
        torch.randn(4, dtype=torch.complex128).conj(),
        torch.zeros(0),
    ]
    bits = Bits([tensor.reshape(-1)[::2] for tensor in tensors])
    before = bits.now()
    for tensor in tensors[:-1]:
        tensor.data.view(-1)[0] = 0 if tensor.dtype == torch.bool else 7
        assert bits.now() != before
        before = bits.now()
    assert all(tensor.untyped_storage().resizable() for tensor in tensors)
    tensors[0][0, 1] = -1  # beside what is looked at
    assert bits.now() == before
