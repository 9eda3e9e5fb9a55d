"""What must not change a map: the batch, the budget, the memory format, the precision, the caller's grad mode, the
moment."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from networks import image, make
from properties.asking import METHODS, SEEDED, close, every, explain, made, stacked
from properties.snapshots import difference, snapshot

NETS = ("conv-bn-relu", "residual", "silu")  # pool-then-linear heads, so that every method applies


def _net(name: str) -> str:
    """Another network for another method, so that all are used."""
    return NETS[METHODS.index(name) % len(NETS)]


@pytest.mark.parametrize("name", METHODS)
def test_batch_equals_singles(name: str) -> None:
    """Three images with a target each: together and one by one, to 1e-5 in float32 and 1e-11 in float64."""
    for dtype, relative in ((torch.float32, 1e-5), (torch.float64, 1e-11)):
        case, x, targets = made(name, _net(name), 1, dtype), image(1, batch=3, dtype=dtype), [2, 0, 3]
        together = explain(case, x, name, targets)
        for row, each in enumerate(every(together)):
            alone = explain(case, x[row], name, targets[row])
            close(each.values, every(alone)[0].values, relative)
            assert each.status == every(alone)[0].status
            assert each.score == pytest.approx(every(alone)[0].score, rel=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_memory_changes_nothing(name: str) -> None:
    """One sample at a time or all at once."""
    case, x = made(name, _net(name), 2), image(2, batch=3)
    close(stacked(explain(case, x, name, memory=1)), stacked(explain(case, x, name, memory=2**32)), 1e-11)


@pytest.mark.parametrize("name", METHODS)
def test_same_call_same_map(name: str) -> None:
    """Bit for bit, whatever the state of torch's generator; and the generator is left alone."""
    case, x = made(name, _net(name), 3, torch.float32), image(3, dtype=torch.float32)
    torch.manual_seed(1)
    first = stacked(explain(case, x, name))
    torch.manual_seed(2)
    np.testing.assert_array_equal(stacked(explain(case, x, name)), first)


@pytest.mark.parametrize("name", SEEDED)
def test_seed(name: str) -> None:
    """The seed decides, and so does the image; the order of images does not."""
    case, x = made(name, _net(name), 4), image(4)
    zero, one = (stacked(explain(case, x, name, seed=seed)) for seed in (0, 1))
    np.testing.assert_array_equal(stacked(explain(case, x, name, seed=0)), zero)
    assert np.abs(zero - one).max() > 1e-3 * np.abs(zero).max()
    close(stacked(explain(case, x.flip(0), name, seed=0))[::-1], zero, 1e-11)


@pytest.mark.parametrize("name", METHODS)
def test_precision(name: str) -> None:
    """float32 agrees with float64 to 1e-4; each keeps its own type."""
    wide, x = made(name, _net(name), 5), image(5)
    narrow = made(name, _net(name), 5, torch.float32)
    expected, found = stacked(explain(wide, x, name)), stacked(explain(narrow, x.float(), name))
    assert (expected.dtype, found.dtype) == (np.float64, np.float32)
    close(found, expected, 1e-4)


@pytest.mark.parametrize("name", METHODS)
def test_memory_format(name: str) -> None:
    """channels_last and sliced inputs, and a channels_last model, are the same numbers."""
    case, x = made(name, _net(name), 6), image(6)
    expected = stacked(explain(case, x, name))
    wide = torch.zeros(*x.shape[:3], 2 * x.shape[3], dtype=x.dtype)
    wide[..., ::2] = x
    close(stacked(explain(case, x.to(memory_format=torch.channels_last), name)), expected, 1e-11)
    close(stacked(explain(case, wide[..., ::2], name)), expected, 1e-11)
    case.net.to(memory_format=torch.channels_last)
    close(stacked(explain(case, x.to(memory_format=torch.channels_last), name)), expected, 1e-11)


@pytest.mark.parametrize("name", METHODS)
def test_callers_grad_mode(name: str) -> None:
    """Under no_grad and inference_mode, with inputs and weights made there or frozen: the same map."""
    case, x = made(name, _net(name), 7), image(7)
    expected = stacked(explain(case, x, name))
    with torch.no_grad():
        np.testing.assert_array_equal(stacked(explain(case, x, name)), expected)
    with torch.inference_mode():
        np.testing.assert_array_equal(stacked(explain(case, x, name)), expected)
        np.testing.assert_array_equal(stacked(explain(case, x.clone(), name)), expected)
        inside = made(name, _net(name), 7)
        inside.net.load_state_dict({k: v.clone() for k, v in case.net.state_dict().items()}, assign=True)
    close(stacked(explain(inside, x, name)), expected, 1e-11)
    case.net.requires_grad_(False)  # torch may choose another kernel then
    close(stacked(explain(case, x, name)), expected, 1e-11)


@pytest.mark.parametrize("network", ["conv-bn-relu", "residual"])
@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_left_behind(name: str, network: str) -> None:
    """Hooks, flags, tensors, gradients, random state and modes are what they were; so is the input."""
    case, x = made(name, network, 8), image(8)
    case.net.get_submodule(case.early).register_forward_hook(_no_change)
    first = next(p for p in case.net.parameters())
    first.grad = torch.full_like(first, 0.5)
    list(case.net.parameters())[-1].requires_grad_(False)
    x.requires_grad_()
    copy, before = x.detach().clone(), snapshot(case.net)
    explain(case, x, name)
    assert difference(before, snapshot(case.net)) == []
    assert torch.equal(x, copy)
    assert x.grad is None
    assert x.requires_grad


@pytest.mark.parametrize("name", METHODS)
def test_nothing_is_left_behind_in_train_mode(name: str) -> None:
    """Explained as in eval mode, with a warning; every flag and statistic stays, batch norm's counters too."""
    case, x = made(name, "conv-bn-relu", 9), image(9)
    expected = stacked(explain(case, x, name))
    case.net.train()
    case.net.get_submodule(case.early).eval()
    before = snapshot(case.net)
    with pytest.warns(UserWarning, match="train mode"):
        found = explain(case, x, name)
    assert difference(before, snapshot(case.net)) == []
    np.testing.assert_array_equal(stacked(found), expected)


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("at", ["forward", "target"])
def test_nothing_is_left_behind_by_a_failure(name: str, at: str) -> None:
    """A model that breaks in the middle, or a target that does, leaves no trace either."""
    case, x = made(name, "conv-bn-relu", 10), image(10)

    def broken(*_: object) -> torch.Tensor:
        raise ZeroDivisionError("on purpose")

    if at == "forward":
        case.head.register_forward_hook(broken)
    before = snapshot(case.net)
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        explain(case, x, name, broken if at == "target" else 1)
    assert difference(before, snapshot(case.net)) == []


def _no_change(*_: object) -> None:
    return None


def test_the_snapshot_sees() -> None:
    """The helper itself: each kind of trace is noticed, and no trace is not."""
    case = make("conv-bn-relu", 11)
    before = snapshot(case.net)
    assert difference(before, snapshot(case.net)) == []
    with torch.no_grad():
        first = next(case.net.parameters())
        first.add_(0)  # the same bits, another version
    assert difference(before, snapshot(case.net)) == ["0._parameters.weight"]
    before = snapshot(case.net)
    handle = case.net[2].register_full_backward_hook(_no_change)
    assert any("_backward_hooks" in name for name in difference(before, snapshot(case.net)))
    handle.remove()
    before = snapshot(case.net)
    case.net[1].running_mean = case.net[1].running_mean.clone()
    assert difference(before, snapshot(case.net)) == ["1._buffers.running_mean"]
    before = snapshot(case.net)
    torch.rand(1)
    assert difference(before, snapshot(case.net)) == ["rng"]
    before = snapshot(case.net)
    case.net[0].training = True
    with torch.no_grad():
        assert difference(before, snapshot(case.net)) == ["grad mode", "0.training"]


def test_full_grad_is_silent_in_a_fresh_process() -> None:
    code = (
        "import torch, seewhy; from torch.nn import *;"
        "net = Sequential(Conv2d(3, 4, 3), SiLU(), Flatten(), Linear(144, 2));"
        "seewhy.explain(net.eval(), torch.rand(1, 3, 8, 8), method='full-grad', target=1)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=os.environ, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-500:]
