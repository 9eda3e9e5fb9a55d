"""Chunks under a memory budget: takes a number of items, gives as many at a time as fit; knows nothing of methods."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Self

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode
from torch.utils._pytree import tree_leaves

from seewhy.core.uninterrupted import import_whole
from seewhy.errors import OutOfMemory, UsageError

__all__ = ["Budget", "Meter", "chunks", "made_elsewhere", "out_of_memory", "unmetered"]

#: bytes that a chunk may take beyond the model and the results
DEFAULT_BYTES = 512 * 2**20

#: bytes of one tensor up to which the C library keeps freed memory for the next one; larger blocks are taken from the
#: system, page by page, and handed back every time, which can take longer than what is computed in them
_BLOCK = 32 * 2**20


class _Active(threading.local):
    """The meters running in this thread, the outermost first."""

    def __init__(self) -> None:
        self.meters: list[Meter] = []


_active = _Active()


class Meter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the bytes of what every operation makes: their sum, the largest, and the largest in main memory. What lies
    in the memory of an argument is not made (in inference mode no view says that it is one)."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = self.largest = self.block = 0
        self.paused = False

    def each(self, count: int, recorded: bool) -> int:
        """About how many bytes one of ``count`` samples takes at a time, with a graph or without."""
        return max((self.total if recorded else 3 * self.largest) // count, 1)

    def __enter__(self) -> Self:
        import_whole("torch._dynamo")  # as torch does for the first operation within a mode
        _active.meters.append(self)
        return super().__enter__()  # type: ignore[no-any-return, no-untyped-call]

    def __exit__(self, *raised: object) -> None:
        super().__exit__(*raised)  # type: ignore[no-untyped-call]
        _active.meters.remove(self)

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        # whoever watches functions has seen this one already, or, where TorchScript runs it, never does
        with torch._C.DisableTorchFunction():
            out = func(*args, **(kwargs or {}))
        if self.paused:
            return out
        given = {_place(leaf) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)}
        for value in out if isinstance(out, tuple | list) else (out,):
            if isinstance(value, Tensor) and _place(value) not in given:
                size = value.numel() * value.element_size()
                self.total += size
                self.largest = max(self.largest, size)
                if value.device.type == "cpu":
                    self.block = max(self.block, size)
        return out


def _place(x: Tensor) -> int:
    """Where the memory of ``x`` begins; 0 for what has none of its own to tell of."""
    return x.untyped_storage().data_ptr() if x.layout is torch.strided else 0


def made_elsewhere(total: int, largest: int) -> None:
    """Have the meters of this thread count bytes that no operation of torch's made: their sum, and the largest."""
    for meter in _active.meters:
        if not meter.paused:
            meter.total += total
            meter.largest = max(meter.largest, largest)


@contextmanager
def unmetered() -> Iterator[None]:
    """Keep what runs inside out of the measurement around it: what is freed at once, or goes by chunks of its own.

    Meters that nobody's mode has come upon since are put aside meanwhile, for each operation pays for them."""
    before, aside = [(meter, meter.paused) for meter in _active.meters], list[Meter]()
    try:
        for meter, _ in before:
            meter.paused = True
        while isinstance(last := _get_current_dispatch_mode(), Meter):
            last.__exit__(None, None, None)
            aside.append(last)
        yield
    finally:
        for meter in reversed(aside):
            meter.__enter__()
        for meter, paused in before:
            meter.paused = paused


class Budget:
    """How many samples go through the network at once.

    The first chunk is small and measured; what follows fills ``limit`` bytes, at most ``most`` samples (a CPU gains
    nothing beyond, a GPU may be given more), on a CPU so few that no tensor is a block too large to be used again.
    ``recorded`` says whether the passes keep a graph: then everything they make stays, otherwise about three of the
    largest tensors live at once.
    """

    def __init__(self, limit: int | None = None, most: int = 32, first: int = 4) -> None:
        if limit is not None and (not isinstance(limit, int) or limit < 1):
            raise UsageError(f"memory={limit!r}: a number of bytes, at least 1, e.g. memory=512 * 2**20")
        self.limit = DEFAULT_BYTES if limit is None else limit
        self.most, self.first = most, first
        self.size: int | None = None
        #: as many samples as the next chunk may be, whatever ``size`` says; for one that takes more than others will
        self.opening: int | None = None

    @contextmanager
    def measured(self, count: int, recorded: bool) -> Iterator[None]:
        """Measure what runs inside, ``count`` samples of it, and set ``size`` from it."""
        with Meter() as meter:
            yield
        most = min(self.most, _BLOCK // max(meter.block // count, 1))
        self.settle(most, meter.each(count, recorded))

    def settle(self, most: int, per_sample: int) -> None:
        """Take ``most`` samples at once, of ``per_sample`` bytes each: that was measured before."""
        self.size = max(1, min(most, self.limit // per_sample))

    def halve(self, failed: int) -> None:
        """Go on with half of a chunk that did not fit."""
        self.size = max(1, failed // 2)
        self.most = self.size


def out_of_memory(error: BaseException) -> bool:
    """Whether ``error`` says that memory ran out, on any device."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return isinstance(error, RuntimeError) and any(
        words in str(error) for words in ("can't allocate memory", "out of memory", "not enough memory")
    )


@dataclass
class Chunk:
    """Items ``start`` to ``stop``, to be worked on within its context; ``done`` says afterwards whether they fitted
    into memory: where they did not, that is no error, and smaller chunks follow."""

    start: int
    stop: int
    budget: Budget
    #: what the passes keep, if the chunk is to be measured
    recorded: bool | None = None
    done: bool = False
    _measured: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Self:
        if self.recorded is not None:
            self._measured.enter_context(self.budget.measured(self.stop - self.start, self.recorded))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: Any) -> bool:
        self._measured.__exit__(kind, error, trace)
        if error is None:
            self.done, self.budget.opening = True, None
            return False
        if not out_of_memory(error):
            return False
        if self.stop - self.start == 1:
            raise OutOfMemory(
                f"one sample alone does not fit into memory ({error}); try a smaller input or another device"
            ) from error
        self.budget.halve(self.stop - self.start)
        return True


def chunks(total: int, budget: Budget, *, recorded: bool) -> Iterator[Chunk]:
    """``total`` items, chunk by chunk, in order; each is to be worked on within its context.

    One that runs out of memory is not ``done``, and its items come again in smaller ones; raises `OutOfMemory` when a
    single item does not fit.
    """
    start = 0
    while start < total:
        size = budget.size or budget.first
        stop = min(start + min(size, budget.opening or size), total)
        # nothing to plan for when this is all
        chunk = Chunk(start, stop, budget, recorded if budget.size is None and stop < total else None)
        yield chunk
        if chunk.done:
            start = stop
            continue
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
