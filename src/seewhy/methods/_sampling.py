"""Sampling as a part of a generator method: takes a source and an estimator, gives the attribution, whether the run
settled, spent its budget or was interrupted."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Activation, Attribution, Gradient, Interrupted, Score, Source, Stream
from seewhy.core.perturb.estimators import Estimator, Pairs, rounds

__all__ = ["sampled"]


def sampled(
    source: Source,
    wants: tuple[Activation | Gradient | Score, ...],
    fold: Estimator | Pairs,
    unit: str = "samples",
    first: int = 8,
    items: Tensor | None = None,
    growth: float = 2.0,
) -> Generator[Any, Any, Attribution]:
    """Run ``source`` until ``fold`` is settled or every variant was run; an interrupted run gives what it has.

    ``first`` samples are drawn before the first look, ``growth`` times as many before the next: few looks where a look
    is dear, many where the samples are. ``items`` [N, 2] restricts the
    variants where images differ in how many they have. Raises `Interrupted` when there is not enough for an estimate
    yet.
    """
    finished = True
    try:
        yield Stream(source, wants, fold, items, rounds(source.count, first, growth))
    except Interrupted:
        if not fold.ready:
            raise
        finished = False
    return fold.attribution(source.count, unit, finished=finished)
