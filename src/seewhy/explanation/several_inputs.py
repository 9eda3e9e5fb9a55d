"""Several inputs in one row: takes an explanation of inputs one behind the other, gives that of each of them; computes
no map."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seewhy.explanation.result import Explanation

__all__ = ["part"]

#: how the channels of a part are taken together, by the name of a reduction
_REDUCTIONS: dict[str, Any] = {
    "sum": lambda values: values.sum(0),
    "sum-abs": lambda values: np.abs(values).sum(0),
    "max-abs": lambda values: np.abs(values).max(0),
    "l2": lambda values: np.sqrt(np.square(values).sum(0)),
}


def part(explanation: Explanation, name: str) -> Explanation:
    """The explanation of input ``name`` alone; see `Explanation.part`."""
    shapes = explanation.inputs
    if not shapes:
        where = "one input" if explanation.layer is None else f"layer {explanation.layer!r}"
        raise UsageError(f"{explanation.method} of {explanation.target!r} is of {where}: it has no parts")
    if name not in shapes:
        raise UnknownName("input", name, shapes, f"one of {', '.join(map(repr, shapes))}")
    lengths = [math.prod(shape) for shape in shapes.values()]
    at = list(shapes).index(name)
    start = [0, *accumulate(lengths)][at]
    shape = shapes[name]

    def cut(row: NDArray[Any]) -> NDArray[Any]:
        flat = row.reshape(-1)
        return flat[start : start + lengths[at]].reshape(shape)

    reduced = _REDUCTIONS.get(str(explanation.parameters.get("reduce")))
    values, single, whole = cut(explanation.values), shape[0] == 1, explanation.error
    # a residual is one of all inputs, and errors of several channels are none of what they were reduced to
    error = cut(whole) if isinstance(whole, np.ndarray) and (reduced is None or single) else None
    if reduced is not None:
        values = reduced(values)
    elif single:
        values = values[0]
    if error is not None and single:
        error = error[0]
    return replace(
        explanation,
        values=values,
        error=error,
        size=shape[1:],
        channels=values.ndim == len(shape),
        input=None if explanation.input is None else cut(explanation.input),
        inputs={},
        views={},
        **{"image": None, **explanation.views.get(name, {})},
        name=f"{explanation.name} {name}".strip(),
        tensor=None,
    )
