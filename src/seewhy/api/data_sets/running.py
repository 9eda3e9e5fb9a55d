"""Running: takes a model, a source of pictures and what is asked, gives a folder of maps with an index, done unit by
unit and gone on with by the same call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, fields, replace
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seewhy.api.asked.noise import noise_of
from seewhy.api.asked.request import Request
from seewhy.api.data_sets.asker import Asker
from seewhy.api.data_sets.question import question_of
from seewhy.api.waiting import Progress, watched
from seewhy.core.forward.settings import Settings, when
from seewhy.core.memory_budget import DEFAULT_BYTES
from seewhy.errors import StoreError, UsageError
from seewhy.models import Model
from seewhy.models.loader import taken
from seewhy.runs.listing import Listing, digest_of, first_other, is_listed, write_listing
from seewhy.runs.manifest import FILE, Manifest
from seewhy.runs.opened import Run, open_run
from seewhy.runs.reading import Opened, read_ahead
from seewhy.runs.results import DTYPES
from seewhy.runs.sources import Entry, Source, open_source
from seewhy.runs.store import LocalStore, Store, store_at
from seewhy.runs.units import Units
from seewhy.runs.walking import Stop
from seewhy.runs.work import Work, work_through

__all__ = ["UNIT", "Begun", "Estimate", "begin", "elsewhere_of", "run"]

#: entries of a unit
UNIT = 64

#: pictures that everything is tried on first, and entries among which they are looked for
_WARM, _TRIED = 4, 256

#: how many images go through the network together at most, and before that is measured
_TOGETHER, _AT_FIRST = 16, 2

#: pictures from which on preparing pays in any run
_MANY = 200


def run(
    model: Model | nn.Module | Callable[[Tensor], Any] | str,
    source: str | Path,
    out: str | Path,
    method: str | Sequence[str] = "grad-cam",
    target: Any = None,
    layer: str | nn.Module | Sequence[str | nn.Module] | None = None,
    *,
    dtype: str = "float32",
    unit: int = UNIT,
    units: range | None = None,
    retry_failed: bool = False,
    max_hours: float | None = None,
    readers: int = 2,
    columns: Mapping[str, str] | None = None,
    table: str | Path | None = None,
    images: str | Path | None = None,
    frames: int | None = None,
    every: int | None = None,
    draft: bool = True,
    prepare: bool | str = "auto",
    memory: int | None = None,
    executor: str = "local",
    ray_address: str | None = None,
    stop: Stop | None = None,
    progress: Progress | None = None,
    **asked: Any,
) -> Run:
    """Maps for a whole data set, kept in ``out`` with an index: a `Run`, which gives them by row.

    ``source`` is a folder (its sub-folders are classes), a CSV or Parquet table, WebDataset shards, a directory of
    Hugging Face ``datasets``, a COCO file or a film; it and ``out`` are paths or URLs that fsspec knows; ``columns``,
    ``table``, ``images``, ``frames`` and ``every`` say more of it (docs/sources.md). ``model``,
    ``method``, ``target``, ``layer`` and all that is ``asked`` besides are as in `seewhy.explain`; ``target="truth"``
    is each picture's own class.

    Pictures are done ``unit`` at a time. A unit is written whole or not at all, so that the same call goes on where an
    earlier one ended, however that was; several processes may run it at once, and ``units=range(a, b)`` takes a share.
    A picture that cannot be read is a row with the reason; ``retry_failed`` does units with such rows again, and those
    whose files are not what was written (all are read and compared). Units whose files are gone are done anew. The run
    ends early, after a unit, when ``max_hours`` are over or ``stop`` says so. ``readers`` threads read ahead.
    ``executor="ray"`` has workers of Ray do the units, on the cluster at ``ray_address`` or in processes of this
    machine.

    JPEGs that are twice as large as the input needs, or more, are decoded at a half, a quarter or an eighth of their
    size (``draft``), if that changes none of the first pictures' top classes; the manifest says how far inputs move.

    Maps are at the resolution they were computed in, ``"float32"`` or ``"float16"``. Their bytes are the same
    whatever was interrupted, whoever did which unit: what decides them (threads, pieces, steps of prepared programs,
    `docs/prepared.md`) is measured once, kept in the run's manifest, and taken over by whoever goes on. ``prepare`` is
    settled once, too: ``"auto"`` prepares for 200 pictures and more that go in at one size.

    Raises `UsageError` for a source without pictures, for a run of something else in ``out`` (it says what differs) and
    for what `explain` refuses; `StoreError` where ``out`` is full or cannot be written.

    >>> import tempfile, numpy as np, seewhy
    >>> from pathlib import Path
    >>> from PIL import Image
    >>> photos, out = Path(tempfile.mkdtemp()), Path(tempfile.mkdtemp()) / "maps"
    >>> for n in range(3):
    ...     Image.fromarray(np.full((40, 40, 3), 80 * n, np.uint8)).save(photos / f"{n}.png")
    >>> maps = seewhy.run("builtin", photos, out, "saliency")
    >>> len(maps), maps[2].values.shape
    (3, (224, 224))
    """
    settings = Settings(memory=memory, prepare=when(prepare))
    told = {"columns": columns, "table": table, "images": images, "frames": frames, "every": every}
    request = _request(method, target, layer, asked, settings)

    def start() -> Begun:
        return begin(taken(model), source, out, request, dtype=dtype, unit=unit, draft=draft, told=told)

    elsewhere = elsewhere_of(executor, ray_address, start, readers)
    ends = Stop() if stop is None else stop
    if max_hours is not None:
        ends.within(max_hours)
    begun = start()
    begun.work(units, ends, watched(progress), retry_failed=retry_failed, readers=readers, elsewhere=elsewhere)
    return open_run(out)


def _check(dtype: str, unit: int) -> None:
    if dtype not in DTYPES:
        raise UsageError(f"dtype={dtype!r}: maps are kept as {' or '.join(DTYPES)}")
    if not isinstance(unit, int) or unit < 1:
        raise UsageError(f"unit={unit!r}: how many pictures are done at a time, at least 1")


def _request(method: Any, target: Any, layer: Any, asked: Mapping[str, Any], settings: Settings) -> Request:
    """What `explain` would have been asked, words of its own apart from the methods' parameters."""
    words = {field.name for field in fields(Request)} - {"parameters", "settings"}
    own = {name: value for name, value in asked.items() if name in words}
    others = {name: value for name, value in asked.items() if name not in words and name != "reshape"}
    own["noise"] = noise_of(own.get("noise"))
    settings = replace(settings, reshape=asked.get("reshape"))
    return Request(method=method, target=target, layer=layer, parameters=others, settings=settings, **own)


#: does units somewhere else: their numbers, when to end, who is told of pictures, threads of a worker
Elsewhere = Callable[[Sequence[int], Stop, Callable[[int], None], int], Any]


@dataclass(frozen=True)
class Estimate:
    """What a run will take: ``pictures`` that are left of ``count``, ``seconds``, ``bytes``, and passes, samples sent
    forward and backward, of which one picture took so many; measured on the first pictures."""

    count: int
    pictures: int
    units: int
    forwards: int
    backwards: int
    seconds: float
    bytes: int


@dataclass(frozen=True, eq=False)
class Begun:
    """A run that has a manifest: whoever comes goes on with it."""

    asker: Asker
    store: Store
    source: Source
    manifest: Manifest
    first: Sequence[Opened]

    @contextmanager
    def _pinned(self) -> Iterator[None]:
        """As many threads as the run has everywhere."""
        before = torch.get_num_threads()
        torch.set_num_threads(self.manifest.taken["threads"])
        try:
            yield
        finally:
            torch.set_num_threads(before)

    def work(
        self,
        share: range | None,
        ends: Stop,
        progress: Progress,
        *,
        retry_failed: bool = False,
        readers: int = 2,
        elsewhere: Elsewhere | None = None,
    ) -> None:
        """Do the units that are not done, in order, or those of a ``share`` of them; here, or ``elsewhere``."""
        units = Units(self.store)
        numbers = _share(share, self.manifest.units)
        for number in units.lost(units.done() & set(numbers)):
            units.undo(number)
        if retry_failed:
            for number in sorted(units.done() & set(numbers)):
                marker = units.marker(number)
                if marker.failed or not units.sound(marker):
                    units.undo(number)
        known = units.done() & set(numbers)
        pictures = sum(map(self._pictures, numbers))
        done = sum(map(self._pictures, known))
        progress("pictures", done, pictures)

        def tell(entries: int) -> None:
            nonlocal done
            done += entries
            progress("pictures", done, pictures)

        left = [number for number in numbers if number not in known]
        if elsewhere is not None and left:
            elsewhere(left, ends, tell, self.manifest.taken["threads"])
        else:
            self.do(left, ends, tell, readers)
        if isinstance(self.store, LocalStore):
            self.store.tidy()

    def do(self, numbers: Sequence[int], ends: Stop, tell: Callable[[int], None], readers: int) -> None:
        """Do units in this process."""
        with self._pinned(), Listing(self.store, self.manifest.asked["pictures"]) as listing:
            work = Work(
                self.store, self.manifest, listing, self.source, self.asker.read, self.asker.explain,
                self.manifest.asked["dtype"], readers,
            )  # fmt: skip
            work_through(work, numbers, ends, lambda marker: tell(marker.entries))

    def _pictures(self, unit: int) -> int:
        start, stop = self.manifest.bounds(unit)
        return stop - start

    def estimate(self, share: range | None = None) -> Estimate:
        """What is left to do, by what the first pictures take now."""
        known = Units(self.store).done()
        numbers = [number for number in _share(share, self.manifest.units) if number not in known]
        pictures = sum(map(self._pictures, numbers))
        if not self.first:
            return Estimate(self.manifest.count, pictures, len(numbers), 0, 0, 0.0, 0)
        began = time.perf_counter()
        again = [self.asker.read(each.entry, self.source.read(each.entry)) for each in self.first]
        read = time.perf_counter() - began
        with self._pinned():
            began = time.perf_counter()
            done = self.asker.explain([replace(e, input=item) for e, item in zip(self.first, again, strict=True)])
            took = max(time.perf_counter() - began, read)  # pictures are read meanwhile
        each = pictures / len(self.first)
        results = [result for one in done for result in one.results]
        width = np.dtype(self.manifest.asked["dtype"]).itemsize
        return Estimate(
            self.manifest.count,
            pictures,
            len(numbers),
            round(each * sum(result.columns["forwards"] for result in results)),
            round(each * sum(result.columns["backwards"] for result in results)),
            each * took,
            round(each * sum(result.values.size for result in results) * width),
        )


def _share(share: range | None, units: int) -> range:
    if share is None:
        return range(units)
    if share.start < 0 or share.stop > units or share.start >= share.stop:
        raise UsageError(f"units={share.start}:{share.stop}: this run has {units}, 0:{units}")
    return share


def begin(
    model: Model,
    source: str | Path,
    out: str | Path,
    request: Request,
    *,
    dtype: str = "float32",
    unit: int = UNIT,
    draft: bool = True,
    told: Mapping[str, Any] | None = None,
) -> Begun:
    """The run in ``out``, begun now if there is none; with everything that was measured taken over if there is.
    ``told`` is what `seewhy.runs.sources.open_source` takes beside the source.

    Raises `UsageError` for what is invalid, a run of something else among it, and `StoreError`.
    """
    _check(dtype, unit)
    store, found = store_at(out), open_source(source, **(told or {}))
    settings = replace(request.settings, memory=request.settings.memory or DEFAULT_BYTES)
    return _begun(model, replace(request, settings=settings), store, found, dtype, unit, draft=draft)


def elsewhere_of(executor: str, address: str | None, start: Callable[[], Begun], readers: int) -> Elsewhere | None:
    """What has a run's units done by workers of Ray, on the cluster at ``address``, each of which ``start`` begins the
    run for; None where this process does them. Raises `UsageError` for another ``executor``, and for ``readers`` that
    are none."""
    if isinstance(readers, bool) or not isinstance(readers, int) or readers < 1:
        raise UsageError(f"readers={readers!r}: threads that read ahead, at least 1")
    if executor == "local" and address is None:
        return None
    if executor != "ray":
        raise UsageError(f"executor={executor!r}: 'local' or 'ray', which may have a ray_address=")
    from seewhy.runs.ray_ import Worker, on_ray

    def worker() -> Worker:
        begun = start()

        def do(numbers: Sequence[int]) -> int:
            begun.do(numbers, Stop(), lambda entries: None, readers)
            return sum(map(begun._pictures, numbers))

        return do

    return lambda numbers, ends, tell, threads: on_ray(worker, numbers, ends, tell, threads=threads, address=address)


def _begun(
    model: Model, request: Request, store: Store, source: Source, dtype: str, unit: int, *, draft: bool
) -> Begun:
    asker = Asker(model, request)  # what is wrong with the question is said before a million pictures are listed
    some = Units(store).done()  # before the manifest is looked for, which is written before the first of them
    earlier = Manifest.of(store) if store.size(FILE) >= 0 else None
    if some and earlier is None:
        raise StoreError(
            f"{store.place} holds units of a run without its {FILE}, so that nobody knows what they are: put it back, "
            "delete the folder, or name another one with --out"
        )
    known = earlier is not None and is_listed(store, str(earlier.asked["pictures"]))
    listed = digest_of(source) if known else write_listing(source, store)
    auto = asker.one_size and listed.count >= _MANY
    prepare = auto if request.settings.prepare == "auto" else request.settings.prepare
    if prepare and not asker.one_size:
        raise UsageError(
            f"prepare={prepare!r}: pictures of many sizes go into this model, and programs of a network are measured "
            "for one: leave it out, or give a size (--size)"
        )
    asker.run_by(prepare=prepare)
    asked = question_of(asker.plan) | {
        "pictures": listed.digest,
        "dtype": dtype,
        "prepare": str(prepare),
        "memory": request.settings.memory,
        "draft": draft,
    }
    mine = Manifest(listed.count, unit, asked, {})
    if earlier is not None:
        other = known and earlier.asked["pictures"] != listed.digest
        mine.check(earlier, store.place, first_other(store, earlier.asked["pictures"], source) if other else "")
    with Listing(store, listed.digest) as listing:
        first = list(enumerate(listing.between(0, _TRIED)))
    if earlier is not None:
        return Begun(asker, store, source, earlier, _warm(asker, source, first, earlier.taken)[1])
    measured, tried = _warm(asker, source, first, None, draft=draft)
    measured |= {"source": source.spec, "kind": source.kind}
    manifest = replace(mine, taken=measured).begin(store)
    if manifest.taken != measured:  # somebody began the same at the same time, and was first
        _warm(asker, source, first, manifest.taken)
    return Begun(asker, store, source, manifest, tried)


def _warm(
    asker: Asker,
    source: Source,
    first: Sequence[tuple[int, Entry]],
    known: Mapping[str, Any] | None,
    *,
    draft: bool = False,
) -> tuple[dict[str, Any], list[Opened]]:
    """Ask the question of the first pictures, so that everything that is found out once (the layer, what its grid is,
    programs) is found out on the same ones in every process; gives what was measured, which is what is ``known`` where
    somebody has measured it (threads, steps of programs, how many images go together), and those pictures.

    Raises what is wrong with the question.
    """
    before = torch.get_num_threads()
    with closing(read_ahead(first, source, asker.read, threads=1, ahead=1)) as opened:
        some = list(islice((each for each in opened if not each.reason), _WARM))
    if known is not None:
        torch.set_num_threads(known["threads"])
        asker.draft = known["draft"]
        if some:
            asker.take_over(some[0].input, known["choices"])
    try:
        moved = asker.try_draft(some, source) if draft else 0.0
        asker.run_by(together=known["together"] if known is not None else _AT_FIRST)
        asker.explain(some)
        if known is not None:
            return dict(known), some
        together = asker.room(some, _TOGETHER)
        asker.run_by(together=together)
        asker.explain(some)  # in batches as they will be: programs may be others for one image than for several
        choices = asker.choices(some[0].input) if some else {}
        found = {"threads": before, "choices": choices, "together": together}
        return found | {"draft": asker.draft, "draft_moves": moved}, some
    finally:
        torch.set_num_threads(before)
