"""The workbench itself: takes a model and what is to be looked at, holds it with the queue through which the model is
asked; knows nothing of HTTP."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from seewhy.api.asked.plan import Plan
from seewhy.api.asked.request import Request
from seewhy.api.asked.supplies import FILLS
from seewhy.api.listing import LayerInfo, layers
from seewhy.errors import SeewhyError
from seewhy.models import Model
from seewhy.registry import methods as registry
from seewhy.runs.opened import Run, open_run
from seewhy.runs.sources import open_source
from seewhy.web.findings import Findings
from seewhy.web.folders import Folder
from seewhy.web.limits import Limits
from seewhy.web.photos import Photos
from seewhy.web.problems import Scrub
from seewhy.web.queueing import Queue
from seewhy.web.results import Results
from seewhy.web.rows import Rows

__all__ = ["Workbench"]


@dataclass(eq=False)
class Workbench:
    """What a workbench shows: a ``model``, the ``photos`` of a folder, a ``run``, an ``audit`` and a ``repair``, each
    where there is one. Raises what opening them raises."""

    model: Model
    photos_of: str | None = None
    run_at: str | None = None
    audit_at: Path | None = None
    repair_at: Path | None = None
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        places = [self.photos_of, self.run_at, self.audit_at, self.repair_at, Path.home(), Path.cwd()]
        self.scrub = Scrub([place for place in places if place])
        run: Run | None = None if self.run_at is None else open_run(self.run_at)
        self.rows = None if run is None else Rows(run, self.model)
        self.audit = None if self.audit_at is None else Folder(self.audit_at, "audit.json")
        self.repair = None if self.repair_at is None else Folder(self.repair_at, "repair.json")
        source = None if self.photos_of is None else open_source(self.photos_of)
        self.photos = Photos(self.model, source, self.limits)
        self.results = Results(self.model, self.limits.results)
        self.findings = Findings(self.limits.findings)
        self.queue = Queue(self.limits, self.scrub)
        self._refused: dict[str, str] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        """End everything that runs."""
        self.queue.close()
        self.photos.close()

    def refused(self, method: str, why: str) -> None:
        """Remember that this model does not allow a method."""
        with self._lock:
            self._refused[method] = why

    def methods(self) -> list[dict[str, Any]]:
        """The cards of all methods that explain, and whether this model allows them, as far as that is known."""
        found = []
        for method in registry:
            if method.card.call == "explain":
                why = self._planned.get(method.name, "") or self._refused.get(method.name, "")
                found.append({**method.told(), "allowed": not why, "why": why})
        return found

    @cached_property
    def _planned(self) -> dict[str, str]:
        """What is known before the model is asked: which methods it cannot have, and why."""
        found = {}
        for method in registry:
            if method.card.call != "explain":
                continue
            try:
                Plan.make(self.model, Request(method=method.name))
            except SeewhyError as error:
                found[method.name] = self.scrub(str(error))
        return found

    @cached_property
    def layers(self) -> list[LayerInfo]:
        """The layers of the model; asks it when this is first needed."""
        return layers(self.model)

    @property
    def fills(self) -> list[str]:
        """What may take the place of what is hidden."""
        known = [name for name in ("grey", "mean", "blur", "inpaint", "noise", "black", "white") if name in FILLS]
        return [*(name for name in known if name != "inpaint" or _opencv()), "patch"]

    def warm(self) -> None:
        """Do what is slow the first time, before somebody waits for it."""
        self.photos.decoder.start()
        steps: list[Callable[[], object]] = [lambda: self._planned, lambda: self.layers]

        def work(job: Any) -> None:
            for step in steps:
                try:
                    step()
                except SeewhyError:  # said to whoever asks
                    continue

        self.queue.add("the workbench", work)


def _opencv() -> bool:
    try:
        import cv2  # noqa: F401
    except ImportError:
        return False
    return True
