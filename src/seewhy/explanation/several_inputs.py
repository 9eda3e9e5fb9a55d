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
    values = cut(explanation.values)
    error = explanation.error
    single = shape[0] == 1
    if reduced is not None or single:
        whole = isinstance(error, np.ndarray) and single
        error = cut(error)[0] if whole and isinstance(error, np.ndarray) else None
        values = reduced(values) if reduced is not None else values[0]
    elif isinstance(error, np.ndarray):
        error = cut(error)
    else:
        error = None  # a residual is one of all inputs
    return replace(
        explanation,
        values=values,
        error=error,
        size=shape[1:],
        channels=values.ndim == len(shape),
        input=None if explanation.input is None else cut(explanation.input),
        image=explanation.views.get(name),
        inputs={},
        views={},
        name=f"{explanation.name} {name}".strip(),
        tensor=None,
    )
