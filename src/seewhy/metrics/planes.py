"""Rows of numbers in two dimensions: takes features, gives the plane that holds most of their variance, a UMAP of them,
and what the nearest of some points say; runs no model and never draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.errors import CapabilityError, UsageError

__all__ = ["NEIGHBOURS", "Plane", "principal_plane", "umap", "umap_class", "voted"]

#: how many of the nearest points have a vote
NEIGHBOURS = 5
#: distances that are held in memory at once
_AT_ONCE = 4_000_000
#: fewer rows than UMAP can be started with
_FEWEST = 5


@dataclass(frozen=True, eq=False)
class Plane:
    """A plane through the ``mean`` [D] of rows, spanned by ``axes`` [2, D] of length one and at right angles;
    ``shares`` say what part of the rows' variance lies along each."""

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    shares: tuple[float, float]

    def place(self, rows: NDArray[Any]) -> NDArray[np.float64]:
        """Where ``rows`` [N, D] are seen from the plane: [N, 2]."""
        return np.asarray((np.asarray(rows, dtype=np.float64) - self.mean) @ self.axes.T)

    def back(self, points: NDArray[Any]) -> NDArray[np.float64]:
        """What stands at ``points`` [M, 2] of the plane: rows [M, D]."""
        return np.asarray(self.mean + np.asarray(points, dtype=np.float64) @ self.axes)


def principal_plane(rows: NDArray[Any]) -> Plane:
    """The plane that holds most of the variance of ``rows`` [N, D]: their first two principal components.

    Each axis points to where its largest number is positive, so that the same rows give the same picture. Where there
    is no second direction, its axis is zero, and so is its share. Raises `UsageError` for rows that are no finite
    numbers, or none.

    Pearson 1901, doi:10.1080/14786440109462720.

    >>> plane = principal_plane(np.array([[0.0, 0, 5], [2, 0, 5], [0, 1, 5], [2, 1, 5]]))
    >>> plane.axes.round(6).tolist(), [round(share, 3) for share in plane.shares]
    ([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]], [0.8, 0.2])
    """
    values = _checked(rows)
    mean = values.mean(0)
    centred = values - mean
    # of many rows the small triangle has the same axes
    small = np.linalg.qr(centred, mode="r") if len(centred) > centred.shape[1] else centred
    lengths, directions = np.linalg.svd(small, full_matrices=False)[1:]
    total = float((lengths**2).sum())
    axes, shares = np.zeros((2, values.shape[1])), [0.0, 0.0]
    for n in range(min(2, len(lengths))):
        if lengths[n] <= 1e-12 * max(lengths[0], np.abs(values).max()):  # rounding has a direction, too
            break
        axes[n] = directions[n] * np.sign(directions[n, np.abs(directions[n]).argmax()])
        shares[n] = float(lengths[n] ** 2) / total
    return Plane(mean, axes + 0.0, (shares[0], shares[1]))


def umap(rows: NDArray[Any], seed: int = 0) -> NDArray[np.float64]:
    """``rows`` [N, D] as points [N, 2] whose neighbours are mostly the same: distances and axes mean nothing.

    Raises `CapabilityError` without umap-learn, `UsageError` for fewer than five rows.

    McInnes, Healy & Melville 2018, arXiv:1802.03426.
    """
    values = _checked(rows)
    if len(values) < _FEWEST:
        raise UsageError(f"UMAP of {len(values)} photos: it needs {_FEWEST} at least; pca takes any number")
    # one job: with several the same seed gives other points
    fitted = umap_class()(n_components=2, n_neighbors=min(15, len(values) - 1), random_state=seed, n_jobs=1)
    return np.asarray(fitted.fit_transform(values), dtype=np.float64)


def umap_class() -> Any:
    """What umap-learn calls UMAP; raises `CapabilityError` without it."""
    try:
        from umap import UMAP
    except ImportError as error:
        raise CapabilityError(
            "the projection umap needs umap-learn: pip install 'seewhy[umap]'; the projection pca needs nothing"
        ) from error
    return UMAP


def voted(points: NDArray[Any], known: NDArray[Any], answers: NDArray[Any]) -> NDArray[np.int64]:
    """The commonest of the ``answers`` [N], whole numbers, of the five nearest of ``known`` [N, 2], for each of
    ``points`` [M, 2]; of equally common ones that of the nearest.

    >>> voted(np.array([[0.0, 0], [9, 9]]), np.array([[0.0, 1], [9, 8]]), np.array([3, 7])).tolist()
    [3, 7]
    """
    given, labels = np.asarray(known, dtype=np.float64), np.asarray(answers, dtype=np.int64)
    count = min(NEIGHBOURS, len(given))
    said = np.empty(len(points), dtype=np.int64)
    step = max(1, _AT_ONCE // max(len(given), 1))
    for start in range(0, len(points), step):
        some = np.asarray(points[start : start + step], dtype=np.float64)
        far = ((some[:, None] - given) ** 2).sum(2)
        near = np.argpartition(far, count - 1, axis=1)[:, :count]
        order = np.take_along_axis(far, near, 1).argsort(1, kind="stable")
        votes = labels[np.take_along_axis(near, order, 1)]
        counts = (votes[:, :, None] == votes[:, None]).sum(2)
        said[start : start + step] = np.take_along_axis(votes, counts.argmax(1)[:, None], 1)[:, 0]
    return said


def _checked(rows: NDArray[Any]) -> NDArray[np.float64]:
    values = np.asarray(rows, dtype=np.float64)
    if values.ndim != 2 or 0 in values.shape or not np.isfinite(values).all():
        raise UsageError(f"features of shape {values.shape}: a row of finite numbers for each photo, and one at least")
    return values
