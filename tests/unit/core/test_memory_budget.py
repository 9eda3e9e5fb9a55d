"""Chunks: sizes follow the budget, a failed chunk is halved and never handed out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode

import seewhy
from seewhy.core.memory_budget import Budget, Meter, chunks, unmetered
from seewhy.errors import OutOfMemory


def in_chunks(
    total: int, work: Callable[[int, int], Any], budget: Budget, *, recorded: bool
) -> Iterator[tuple[int, int, Any]]:
    """Every chunk that fitted, with what ``work`` gave."""
    for chunk in chunks(total, budget, recorded=recorded):
        with chunk:
            result = work(chunk.start, chunk.stop)
        if chunk.done:
            yield chunk.start, chunk.stop, result


def allocate(start: int, stop: int) -> Tensor:
    return torch.zeros(stop - start, 1000)  # 4000 bytes an item


def test_the_first_chunk_is_measured_and_the_rest_fill_the_budget() -> None:
    sizes = [stop - start for start, stop, _ in in_chunks(40, allocate, Budget(limit=40_000), recorded=True)]
    assert sizes == [4, 10, 10, 10, 6]


def test_without_a_graph_three_of_the_largest_tensors_count() -> None:
    budget = Budget(limit=120_000)
    sizes = [stop - start for start, stop, _ in in_chunks(40, allocate, budget, recorded=False)]
    assert sizes == [4, 10, 10, 10, 6]


def test_never_more_than_the_cap_and_never_less_than_one() -> None:
    assert max(b - a for a, b, _ in in_chunks(100, allocate, Budget(limit=10**9), recorded=True)) == 32
    sizes = [b - a for a, b, _ in in_chunks(7, allocate, Budget(limit=1), recorded=True)]
    assert sizes == [4, 1, 1, 1]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory"),
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=["cuda", "python", "cpu"],
)
def test_running_out_halves_the_chunk_and_goes_on(error: Exception) -> None:
    tried: list[int] = []

    def work(start: int, stop: int) -> Tensor:
        tried.append(stop - start)
        if stop - start > 3:
            raise error
        return torch.arange(start, stop)

    budget = Budget()
    budget.size = 16
    handed = torch.cat([result for _, _, result in in_chunks(10, work, budget, recorded=True)])
    assert handed.tolist() == list(range(10))
    assert tried == [10, 5, 2, 2, 2, 2, 2]


def test_other_errors_pass_and_one_sample_too_many_says_so() -> None:
    def broken(start: int, stop: int) -> None:
        raise RuntimeError("shape mismatch")

    with pytest.raises(RuntimeError, match="shape mismatch"):
        list(in_chunks(4, broken, Budget(), recorded=True))

    def full(start: int, stop: int) -> None:
        raise MemoryError("no room")

    with pytest.raises(OutOfMemory, match="one sample alone does not fit"):
        list(in_chunks(4, full, Budget(), recorded=True))


def hungry(limit: int) -> nn.Module:
    """A network that runs out of memory on more than ``limit`` samples."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()

    def hook(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        if len(args[0]) > limit:
            raise torch.OutOfMemoryError("CUDA out of memory")

    net.register_forward_pre_hook(hook)
    return net


@pytest.mark.parametrize("method", ["smooth-grad", "integrated-gradients", "score-cam", "conductance"])
def test_a_stream_that_runs_out_gives_the_same_map(method: str) -> None:
    x = torch.randn(3, 3, 10, 10, generator=torch.Generator().manual_seed(0))
    layer = "1" if method in ("score-cam", "conductance") else None
    plenty, tight = (seewhy.explain_all(hungry(n), x, method=method, target=1, layer=layer) for n in (1000, 3))
    for a, b in zip(plenty, tight, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-5, atol=1e-7)


def test_images_are_chunked_too() -> None:
    x = torch.randn(9, 3, 10, 10, generator=torch.Generator().manual_seed(0))
    plenty, tight = (seewhy.explain_all(hungry(n), x, method="grad-cam", target=1, layer="1") for n in (1000, 2))
    assert len(tight) == 9
    for a, b in zip(plenty, tight, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-5, atol=1e-7)


def test_what_is_given_for_each_image_follows_it_into_its_chunk() -> None:
    make = torch.Generator().manual_seed(0)
    x, baseline = torch.randn(5, 3, 10, 10, generator=make), torch.randn(5, 3, 10, 10, generator=make)
    labels = torch.randint(0, 4, (5, 10, 10), generator=make)
    for asked in ({"baseline": baseline, "method": "integrated-gradients"}, {"segments": labels, "fill": baseline}):
        asked = {"method": "feature-ablation", "target": 1} | asked
        together = seewhy.explain_all(hungry(2), x, **asked)
        for row, each in enumerate(together):
            own = {key: value[row] if torch.is_tensor(value) else value for key, value in asked.items()}
            np.testing.assert_allclose(
                each.values, seewhy.explain(hungry(2), x[row], **own).values, rtol=1e-5, atol=1e-7
            )


def test_a_tensor_too_large_to_be_used_again_makes_chunks_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("seewhy.core.memory_budget._BLOCK", 12_000)
    sizes = [stop - start for start, stop, _ in in_chunks(10, allocate, Budget(limit=10**9), recorded=False)]
    assert sizes == [4, 3, 3]


@pytest.mark.usefixtures("no_spot_checks")
def test_nothing_holds_all_samples_at_once() -> None:
    """The largest batch a stream sends through the network does not grow with the number of samples."""
    largest = []

    def count(module: nn.Module, args: tuple[Tensor, ...]) -> None:
        largest.append(len(args[0]))

    net = hungry(10**6)
    net.register_forward_pre_hook(count)
    x = torch.randn(1, 3, 10, 10)
    seewhy.explain(net, x, method="smooth-grad", target=1, n=200, tolerance=0)
    assert max(largest) == 32
    assert sum(largest) == 201


def test_memory_that_was_there_is_not_counted() -> None:
    weight, x = torch.zeros(1000, 100), torch.zeros(2, 100)
    with torch.inference_mode(), Meter() as meter:  # where no view says that it is one
        y = torch.nn.functional.linear(x, weight.detach())
        y.relu_()
        torch.add(y, 1, out=y)
    assert (meter.largest, meter.total) == (2 * 1000 * 4, 2 * 1000 * 4)


class _Seen(TorchDispatchMode):
    """What operations somebody's own mode comes upon."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.count = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.count += 1
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("between", [False, True])
def test_what_is_unmetered_is_not_counted_nor_paid_for(between: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever modes of others lie between; and counting goes on behind it, an error or not."""
    asked: list[Any] = []
    dispatch = Meter.__torch_dispatch__

    def counted(meter: Meter, *given: Any) -> Any:
        asked.append(given)
        return dispatch(meter, *given)

    monkeypatch.setattr(Meter, "__torch_dispatch__", counted)

    def fails() -> None:
        with unmetered():
            with unmetered():
                torch.zeros(1000)
            torch.zeros(1000)
            raise ValueError("wrong")

    seen = _Seen()
    with Meter() as outer, seen if between else nullcontext(), Meter() as inner:
        torch.zeros(10)
        paid = len(asked)
        with pytest.raises(ValueError, match="wrong"):
            fails()
        # those on top are aside; one that another's mode lies upon is only told not to count
        assert len(asked) == paid + (2 if between else 0)
        torch.zeros(20)
    assert (outer.total, inner.total) == (120, 120)
    assert seen.count == (4 if between else 0)
    assert _get_current_dispatch_mode() is None
