"""Clusters of evidence: takes maps and what a layer says where they are high, gives groups of pictures that a class is
recognised in by other things, as far as they come again when pictures are drawn anew; and cues of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from seewhy.audits.cue import Box, Cue
from seewhy.audits.matching import cut
from seewhy.audits.patches import Patch, outside_share, peaks
from seewhy.audits.subject import Half, Subject
from seewhy.errors import CapabilityError

__all__ = ["STABLE", "Cluster", "clustered", "clusters_of", "cues_of"]

#: rows and columns that maps are compared in
_MAP = 7
#: principal components that clusters are looked for in
_COMPONENTS = 8
#: pictures of a cluster at least, in shares and in number
_SHARE, _FEWEST = 0.1, 6
#: draws of pictures without replacement, how many, and which share of them each takes
_DRAWS, _DRAWN = 20, 0.8
#: from which mean Jaccard similarity on a cluster is there: Hennig's "valid, stable"
STABLE = 0.75
#: clusters that are told of, and from which Jaccard similarity on two are one
_MOST, _SAME = 6, 0.5
#: the side of windows that show a cluster, in shares of the picture's, and how many of its pictures cues are made of
_WINDOW, _EXEMPLARS = 0.25, 8


@dataclass(frozen=True, eq=False)
class Cluster:
    """Pictures of a class, ``rows`` of its first half, the nearest to their middle first, that are alike in where
    evidence lies (``by`` maps) or in what it is (``by`` features); ``stability`` is the mean Jaccard similarity with
    the most similar cluster of twenty draws of 80 % of the pictures. ``second`` are rows of the other half that are
    nearer to its middle than to others', and no farther than its own; ``boxes`` are the windows of highest evidence,
    for each row, ``patch`` what they show, and ``elsewhere`` the share of each other class's pictures that hold it,
    too."""

    by: str
    rows: tuple[int, ...]
    stability: float
    second: tuple[int, ...] = ()
    boxes: tuple[Box, ...] = ()
    patch: Patch | None = None
    elsewhere: Mapping[int, float] = field(default_factory=dict)

    def told(self, label: Callable[[int], str] = str) -> dict[str, Any]:
        """As JSON holds it, other classes by their labels."""
        return {
            "by": self.by, "pictures": len(self.rows), "stability": self.stability,
            "elsewhere": {label(k): share for k, share in self.elsewhere.items()},
        }  # fmt: skip


def clusters_of(subject: Subject) -> list[Cluster]:
    """Stable clusters of a class's first half, over features and over maps, each told once; with those pictures of the
    second half that belong to them. Empty where evidence is of one kind, or nobody knows it. Raises `CapabilityError`
    without scikit-learn."""
    first, second = subject.own
    found: list[Cluster] = []
    for by in ("features", "maps"):
        points, others = _points(first, by), _points(second, by)
        if points is None:
            continue
        for each in clustered(points, by, subject.seed, others):
            if all(_jaccard(each.rows, one.rows) < _SAME for one in found):
                found.append(each)
    return [_looked_at(subject, each, f"cluster {number}") for number, each in enumerate(found[:_MOST], 1)]


def _looked_at(subject: Subject, cluster: Cluster, tag: str) -> Cluster:
    """The same with its windows of highest evidence, and where else there are such."""
    own = subject.own[0]
    assert own.evidence is not None
    height, width = (max(3, round(_WINDOW * side)) for side in subject.size)
    rows = torch.tensor(cluster.rows)
    top, left = peaks(own.evidence[rows], (height, width))
    windows = cut(own.inputs[rows], top, left, height, width)
    patch = Patch(
        windows[:_EXEMPLARS], outside_share(own, top, left, (height, width), rows), cluster.rows, tag
    )  # fmt: skip
    boxes = tuple((x, y, x + width, y + height) for y, x in zip(top.tolist(), left.tolist(), strict=True))
    return replace(cluster, boxes=boxes, patch=patch, elsewhere=_elsewhere(patch, own.picked(rows), subject.others[0]))


def _elsewhere(patch: Patch, own: Half, others: Half) -> dict[int, float]:
    """Of each other class the share of pictures that hold a patch as well as half of the cluster's own do."""
    has = patch.presence(others) >= patch.presence(own).median()
    return {
        int(k): float(has[others.truth == k].double().mean()) for k in torch.unique(others.truth).tolist() if k >= 0
    }


def cues_of(clusters: Sequence[Cluster], found: Sequence[Cue]) -> list[Cue]:
    """What clusters look at, as cues that may turn up anywhere; none that another patch holds already."""
    held = [cue.rows for cue in found if isinstance(cue, Patch)]
    return [
        each.patch
        for each in clusters
        if each.patch is not None and all(_jaccard(each.rows, rows) < _SAME for rows in held)
    ]


def clustered(points: Tensor, by: str, seed: int = 0, others: Tensor | None = None) -> list[Cluster]:
    """Stable clusters of ``points`` [N, D], the largest first: HDBSCAN (Campello 2013) in their first eight principal
    components, each held against what the same finds in draws of the points (Hennig 2007, Cluster-wise assessment of
    cluster stability, doi:10.1016/j.csda.2006.11.025); one cluster of all is none."""
    least = max(_FEWEST, round(_SHARE * len(points)))
    if len(points) < 2 * least:
        return []
    kept, turn = _components(points)
    labels = _labels(kept, least)
    found = [np.flatnonzero(labels == n) for n in range(labels.max() + 1)]
    if len(found) < 2:
        return []
    draw = np.random.default_rng(seed)
    similar = np.zeros((_DRAWS, len(found)))
    for turn_ in range(_DRAWS):
        rows = np.sort(draw.permutation(len(points))[: round(_DRAWN * len(points))])
        again = _labels(_components(points[rows])[0], max(_FEWEST, round(_SHARE * len(rows))))
        there = [set(rows[again == n].tolist()) for n in range(again.max() + 1)]
        for n, each in enumerate(found):
            mine = set(each.tolist()) & set(rows.tolist())
            similar[turn_, n] = max((_jaccard(mine, one) for one in there), default=0.0)
    stable = similar.mean(0)
    centres = np.stack([kept[each].mean(0) for each in found])
    reach = np.array([np.linalg.norm(kept[each] - c, axis=1).max() for each, c in zip(found, centres, strict=True)])
    theirs = None if others is None or not len(others) else turn(others)
    made = []
    for n in sorted(range(len(found)), key=lambda n: -len(found[n])):
        if stable[n] < STABLE:
            continue
        order = np.argsort(np.linalg.norm(kept[found[n]] - centres[n], axis=1), kind="stable")
        made.append(Cluster(by, tuple(found[n][order].tolist()), float(stable[n]), _belong(theirs, centres, reach, n)))
    return made


def _points(half: Half, by: str) -> Tensor | None:
    """What is clustered [N, D]: each of length 1."""
    if by == "features":
        return None if half.traits is None else F.normalize(half.traits.double(), dim=1)
    if half.evidence is None:
        return None
    shrunk = F.adaptive_avg_pool2d(half.evidence.double().clamp(min=0)[:, None], _MAP).flatten(1)
    return F.normalize(shrunk, dim=1)


def _components(points: Tensor) -> tuple[NDArray[np.float64], Any]:
    """The first principal components of points [N, D], and what gives those of others."""
    middle = points.mean(0)
    _, _, axes = torch.linalg.svd(points - middle, full_matrices=False)
    axes = axes[:_COMPONENTS]
    return ((points - middle) @ axes.T).numpy(), lambda others: ((others - middle) @ axes.T).numpy()


def _labels(points: NDArray[np.float64], least: int) -> NDArray[np.int64]:
    """The cluster of each point, -1 for none."""
    try:
        from sklearn.cluster import HDBSCAN
    except ImportError:
        raise CapabilityError("clusters of evidence take scikit-learn: pip install 'seewhy[audit]'") from None
    found: NDArray[np.int64] = HDBSCAN(min_cluster_size=least, copy=True).fit_predict(points)
    return found


def _belong(points: NDArray[np.float64] | None, centres: NDArray[np.float64], reach: Any, n: int) -> tuple[int, ...]:
    """Points that are of one cluster."""
    if points is None:
        return ()
    far = np.linalg.norm(points[:, None] - centres, axis=2)
    return tuple(np.flatnonzero((far.argmin(1) == n) & (far[:, n] <= reach[n])).tolist())


def _jaccard(one: Iterable[int], other: Iterable[int]) -> float:
    mine, theirs = set(one), set(other)
    return len(mine & theirs) / max(len(mine | theirs), 1)
