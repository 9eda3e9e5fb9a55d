"""Windowed streams: takes variants that differ from their image within windows, gives their scores from what changes
alone; compares the first ones with the whole network."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from seewhy.core.asks import Source
from seewhy.core.compile.programs import Preparer
from seewhy.core.compile.windows import WindowPlan, Windows
from seewhy.core.forward.agreement import difference
from seewhy.core.forward.demand import Demand, Use
from seewhy.core.forward.result import Forward
from seewhy.core.forward.session import DoesNotRun, Session, no_error_of_ours
from seewhy.core.memory_budget import unmetered

__all__ = ["MOST", "Following", "follow"]

#: windows at a time: early patches are small, and the late layers' maps, too
MOST = 64

#: windows that are compared, spread over all of them
_COMPARED = 4


@dataclass
class Following:
    """Runs the variants of ``source``, image by image."""

    session: Session
    source: Source
    demand: Demand
    plan: WindowPlan
    use: Use
    _image: int = -1
    _windows: Windows | None = field(default=None)

    def run(self, samples: Tensor, indices: Tensor) -> Forward:
        """A pass of one image's variants [m]. Raises `DoesNotRun`."""
        image = int(samples[0])
        if image != self._image or self._windows is None:
            with unmetered(), no_error_of_ours():  # once for an image, however many windows follow
                self._image, self._windows = image, self.plan.of(self.session.x[image : image + 1])
        windows, rows = self._windows, indices.tolist()
        variants = self.source.inputs(self.session.x, samples, indices).detach()
        return self.session.standing_in(lambda given: windows(given, rows), variants, self.demand, self.use)


def follow(
    session: Session, preparer: Preparer | None, source: Source, demand: Demand, items: Tensor
) -> tuple[Following | None, int]:
    """A way to run ``source`` by what its windows change, if there is one that agrees; and how many samples it took to
    compare."""
    boxes = source.boxes
    if boxes is None or preparer is None or not demand.scores_only or not len(items):
        return None, 0
    planned = preparer.windows(boxes)
    if planned is None:
        return None, 0
    use, plan = planned
    following = Following(session, source, demand, plan, use)
    if preparer.trusted(use):
        return following, 0
    first = items[items[:, 0] == items[0, 0]]
    samples, indices = first[torch.linspace(0, len(first) - 1, min(_COMPARED, len(first))).round().long()].unbind(1)
    variants = source.inputs(session.x, samples, indices).detach()
    ways = session.ways(variants, demand)
    exact = next(ways)
    try:
        verdict = difference(exact, following.run(samples, indices), ways)
    except DoesNotRun as error:
        verdict = str(error)
    preparer.judge(use, verdict)
    return (None if verdict else following), len(samples)
