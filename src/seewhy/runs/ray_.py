"""Units on Ray: takes what makes a worker and the numbers of units, has workers of Ray Data do them, each with a model
of its own; schedules nothing itself. Workers write results, as everywhere; what comes back are words."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Protocol

from seewhy.errors import SeewhyError, UsageError
from seewhy.runs.walking import Stop

__all__ = ["Worker", "on_ray"]

#: nothing is told to anybody unless the environment asks for it, and workers run like other processes (they would give
#: way to everything else on the machine); Ray reads this on import
_QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_DATA_DISABLE_PROGRESS_BARS": "1", "RAY_worker_niceness": "0"}


#: units that a worker is given at a time, at most: it reads ahead from one to the next
_AT_ONCE = 8


class Worker(Protocol):
    """One process's model and everything else that units take."""

    def __call__(self, numbers: Sequence[int]) -> int:
        """Do units, those that are not done; gives how many pictures they have."""


class _Actor:
    """A worker among Ray's: units in, words out."""

    def __init__(self, make: Callable[[], Worker]) -> None:
        self._error = ""
        try:
            self._worker = make()
        except SeewhyError as error:  # one that is raised here is no class of ours where it arrives
            self._error = _told(error)

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, list[Any]]:
        numbers = [int(number) for number in batch["unit"]]
        error, entries = self._error, 0
        if not error:
            try:
                entries = self._worker(numbers)
            except SeewhyError as raised:
                error = _told(raised)
        return {"error": [error], "entries": [entries]}


def _told(error: SeewhyError) -> str:
    return f"{type(error).__name__}|{error}"


def on_ray(
    make: Callable[[], Worker],
    numbers: Sequence[int],
    stop: Stop,
    tell: Callable[[int], None],
    *,
    threads: int,
    address: str | None = None,
) -> None:
    """Have units done by as many workers as there is room for, of ``threads`` each, on the cluster at ``address`` or,
    if none is named, in processes of this machine that end with the call; until ``stop`` says so. ``tell`` is called
    with numbers of pictures that are done.

    Raises what a worker raised, and `UsageError` where Ray is missing or nobody answers.
    """
    with _connected(address) as ray:
        cpus = int(ray.cluster_resources().get("CPU", 1))
        workers = max(1, min(cpus // threads, len(numbers)))
        some = max(1, min(_AT_ONCE, len(numbers) // (2 * workers)))
        units = ray.data.from_items(
            [{"unit": number} for number in numbers], override_num_blocks=-(-len(numbers) // some)
        )
        results = units.map_batches(
            _Actor, fn_constructor_args=(make,), batch_size=some, num_cpus=min(threads, cpus),
            compute=ray.data.ActorPoolStrategy(size=workers),
        )  # fmt: skip
        for row in results.iter_rows():
            if row["error"]:
                raise _raised(row["error"])
            tell(int(row["entries"]))
            if stop:
                break


def _raised(told: str) -> SeewhyError:
    """An error as it was raised in a worker."""
    import seewhy.errors

    name, _, words = told.partition("|")
    kind = getattr(seewhy.errors, name, SeewhyError)
    error: SeewhyError = kind(words) if kind is not seewhy.errors.UnknownName else UsageError(words)
    return error


@contextmanager
def _connected(address: str | None) -> Iterator[Any]:
    """Ray, ended with the context if it was begun here."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        import ray
        import ray.data
    except ImportError:
        raise UsageError("executor='ray' takes Ray: pip install 'seewhy[ray]'; 'local' needs nothing") from None
    mine = not ray.is_initialized()
    if mine:
        try:
            ray.init(address=address, include_dashboard=False, log_to_driver=False, configure_logging=False)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UsageError(f"no Ray cluster at {address!r}: {error}") from error
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    try:
        yield ray
    finally:
        if mine:
            ray.shutdown()
