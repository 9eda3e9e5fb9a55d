"""The queue: takes what is to be asked of the model, does one thing at a time in a thread of its own, clients in turn,
and tells whoever listens how far each is."""

from __future__ import annotations

import asyncio
import secrets
import threading
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from seewhy.web.limits import Limits
from seewhy.web.problems import Problem, Scrub, problem_of

__all__ = ["Cancelled", "Event", "Job", "Queue", "Work"]

#: jobs that are over and can still be asked for
_KEPT = 200
#: seconds between two words about progress
_EVERY = 0.1
OVER = ("done", "failed", "cancelled")


class Cancelled(BaseException):
    """Raised in the midst of work that nobody wants any longer; what is asked of the model stops at its next pass. No
    `Exception`: those of a model's own code are taken as an answer in some places."""


@dataclass(frozen=True)
class Event:
    """One thing that happened to a job."""

    number: int
    name: str
    data: Mapping[str, Any]


#: does the work, telling the job how far it is
Work = Callable[["Job"], None]


@dataclass(eq=False)
class Job:
    """One thing that is asked, by a ``client``; ``quick`` ones come before others of the same client."""

    client: str
    work: Work
    running: float
    quick: bool = False
    id: str = field(default_factory=lambda: secrets.token_hex(12))
    state: str = "queued"
    reason: str = ""
    results: list[Mapping[str, Any]] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    problem: Problem | None = None
    answer: Any = None
    _stop: str = ""
    _until: float = 0.0
    _told: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _listeners: set[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = field(default_factory=set)

    @property
    def over(self) -> bool:
        """Whether nothing more comes of it."""
        return self.state in OVER

    def tell(self, event: str, **data: Any) -> None:
        """Say what happened to whoever listens, now or later."""
        with self._lock:
            self._append(event, data)
        self._wake()

    def _append(self, event: str, data: Mapping[str, Any]) -> None:
        number = self.events[-1].number + 1 if self.events else 1
        if event == "progress" and self.events and self.events[-1].name == "progress":
            self.events.pop()  # only the last word about it is of use to who comes later
        self.events.append(Event(number, event, data))

    def _wake(self) -> None:
        with self._lock:
            listeners = list(self._listeners)
        for loop, changed in listeners:
            try:
                loop.call_soon_threadsafe(changed.set)
            except RuntimeError:  # the loop is closed: the workbench ends
                continue

    def result(self, result: Mapping[str, Any]) -> None:
        """One of what was asked for is ready."""
        self.results.append(result)
        self.tell("result", **result)

    def progress(self, what: str, done: int, total: int) -> None:
        """How far it is; raises `Cancelled` where nobody wants it any longer, or its time is over."""
        self.check()
        now = time.monotonic()
        if now - self._told >= _EVERY or done >= total:
            self._told = now
            self.tell("progress", what=what, done=done, total=total)

    def check(self) -> None:
        """Raise `Cancelled` if it is to stop."""
        if not self._stop and self._until and time.monotonic() > self._until:
            self._stop = f"it ran for {self.running:g} s, which is the most that one job may"
        if self._stop:
            raise Cancelled(self._stop)

    def stop(self, reason: str) -> None:
        """Have it stop, at once if it has not begun."""
        self._stop = self._stop or reason

    def begin(self) -> None:
        """Its time runs from now on."""
        self.state, self._until = "running", time.monotonic() + self.running
        self.tell("started")

    def end(self, state: str, data: Mapping[str, Any], reason: str = "", problem: Problem | None = None) -> None:
        """Nothing more comes of it: ``data`` are the last word."""
        with self._lock:
            self.reason, self.problem, self.state = reason, problem, state
            self.work = _nothing  # it holds the photo, which may be deleted
            self._append(state, data)
        self._wake()

    def document(self, place: int = 0) -> dict[str, Any]:
        """What a client is told of it."""
        return {
            "id": self.id, "state": self.state, "place": place, "reason": self.reason, "results": list(self.results),
        }  # fmt: skip

    async def heard(self, after: int = 0) -> AsyncIterator[Event]:
        """Everything that happened to it since event ``after``, until it is over."""
        here = asyncio.get_running_loop(), asyncio.Event()
        with self._lock:
            self._listeners.add(here)
        try:
            while True:
                here[1].clear()
                with self._lock:
                    over = self.over
                    news = [event for event in self.events if event.number > after]
                for event in news:
                    after = event.number
                    yield event
                if over:
                    return
                await here[1].wait()
        finally:
            with self._lock:
                self._listeners.discard(here)


def _nothing(job: Job) -> None:
    """What is left to do of a job that is over."""


class Queue:
    """Jobs of all clients, each client's in its own order, clients one after the other."""

    def __init__(self, limits: Limits, scrub: Scrub) -> None:
        self._limits, self._scrub = limits, scrub
        self._waiting: OrderedDict[str, deque[Job]] = OrderedDict()
        self._kept: OrderedDict[str, Job] = OrderedDict()
        self._changed = threading.Condition()
        self._running: Job | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="seewhy-workbench", daemon=True)
        self._thread.start()

    def add(self, client: str, work: Work, *, quick: bool = False) -> Job:
        """Have something done. Raises `Problem` where too much waits already."""
        job = Job(client, work, self._limits.running, quick)
        with self._changed:
            own = self._waiting.setdefault(client, deque())
            waiting = sum(map(len, self._waiting.values()))
            if self._closed:
                raise Problem(409, "the workbench is ending")
            if len(own) >= self._limits.own or waiting >= self._limits.waiting:
                if not own:
                    del self._waiting[client]
                raise Problem(429, f"{waiting} questions wait already: try again in a moment", **{"Retry-After": "2"})
            behind = next((n for n, other in enumerate(own) if not other.quick), len(own)) if quick else len(own)
            own.insert(behind, job)
            self._kept[job.id] = job
            self._forget()
            job.tell("queued", place=waiting + (self._running is not None))
            self._changed.notify()
        return job

    async def ask(self, client: str, work: Callable[[Job], Any]) -> Any:
        """What something small gives, once its turn has come. Raises what it raises, as `Problem`."""

        def keep(job: Job) -> None:
            job.answer = work(job)

        job = self.add(client, keep, quick=True)
        try:
            async for _ in job.heard():
                pass
        except asyncio.CancelledError:
            job.stop("whoever asked went away")
            raise
        if job.problem is not None:
            raise job.problem
        if job.state == "cancelled":
            raise Problem(409, job.reason)
        answer, job.answer = job.answer, None
        return answer

    def job(self, number: str) -> Job:
        """The job of that id. Raises `Problem` for none."""
        with self._changed:
            if number not in self._kept:
                raise Problem(404, "no such job: it is over since long, or never was")
            return self._kept[number]

    def place(self, job: Job) -> int:
        """How many are done before it, about; 0 once it runs."""
        with self._changed:
            own = self._waiting.get(job.client)
            if own is None or job not in own:
                return 0
            at = own.index(job)
            return 1 + at + sum(min(len(other), at + 1) for name, other in self._waiting.items() if name != job.client)

    def cancel(self, job: Job, reason: str) -> None:
        """Have a job stop."""
        with self._changed:
            job.stop(reason)
            own = self._waiting.get(job.client)
            waits = own is not None and job in own
            if waits and own is not None:
                own.remove(job)
                if not own:
                    del self._waiting[job.client]
        if waits:
            self._over(job, "cancelled", reason)

    def close(self) -> None:
        """Stop everything, and the thread."""
        with self._changed:
            self._closed = True
            waiting = [job for own in self._waiting.values() for job in own]
            self._waiting.clear()
            if self._running is not None:
                self._running.stop("the workbench ends")
            self._changed.notify()
        for job in waiting:
            self._over(job, "cancelled", "the workbench ends")
        self._thread.join(30)

    def _forget(self) -> None:
        for number in list(self._kept)[: max(0, len(self._kept) - _KEPT)]:
            if self._kept[number].over:
                del self._kept[number]

    def _next(self) -> Job | None:
        """The next job of the client whose turn it is; None at the end."""
        with self._changed:
            self._running = None
            while not self._closed:
                if self._waiting:
                    client, own = self._waiting.popitem(last=False)
                    job = own.popleft()
                    if own:
                        self._waiting[client] = own
                    self._running = job
                    return job
                self._changed.wait()
        return None

    def _work(self) -> None:
        while (job := self._next()) is not None:
            try:
                job.check()
                job.begin()
                job.work(job)
            except Cancelled as stop:
                self._over(job, "cancelled", str(stop))
            except BaseException as error:  # a model's own code may raise anything, and the next job must go on
                self._over(job, "failed", str(error), problem_of(error))
            else:
                self._over(job, "done")

    def _over(self, job: Job, state: str, reason: str = "", problem: Problem | None = None) -> None:
        reason = self._scrub(reason)
        if problem is not None:
            job.end(state, {"problem": problem.document(self._scrub)}, reason, problem)
        elif state == "cancelled":
            job.end(state, {"reason": reason}, reason)
        else:
            job.end(state, {**job.document(), "state": state})
