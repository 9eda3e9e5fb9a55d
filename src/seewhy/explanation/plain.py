"""Takes values of any kind, gives plain JSON data; never fails and never keeps an array."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from seewhy.explanation.result import Explanation

__all__ = ["common_notes", "describe", "plain", "score_in_words"]


def plain(value: Any) -> Any:
    """``value`` as JSON can hold it: numbers that are not finite are None, small arrays lists, the rest text.

    >>> plain({"sigma": np.float32(0.5), "limits": (float("nan"), 1)})
    {'sigma': 0.5, 'limits': [None, 1]}
    """
    if value is None or isinstance(value, bool | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if isinstance(value, set | frozenset):
        return sorted((plain(each) for each in value), key=str)
    if isinstance(value, np.ndarray):
        return plain(value.tolist()) if value.size <= 64 else f"array {value.shape} {value.dtype}"
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    return str(value)


def common_notes(explanations: Sequence[Explanation]) -> list[str]:
    """The notes that all of ``explanations`` have."""
    first = explanations[0].notes if len(explanations) else ()
    return [note for note in first if all(note in other.notes for other in explanations)]


def score_in_words(explanation: Explanation) -> str:
    """``logit 9.24``; of a target that is called by its unit already, such as output 0 in output, the number alone."""
    unit = explanation.unit or "score"
    number = f"{explanation.score:.3g}"
    return number if explanation.target.split(" ")[0] == unit else f"{unit} {number}"


def describe(explanation: Explanation) -> dict[str, Any]:
    """See `Explanation.to_dict`."""
    values = explanation.values
    known = values[np.isfinite(values)]
    error = explanation.error
    fields: dict[str, Any] = {
        "name": explanation.name,
        "method": explanation.method,
        "target": explanation.target,
        "target_index": explanation.target_index,
        "score": explanation.score,
        "unit": explanation.unit,
        "contrast": explanation.contrast,
        "layer": explanation.layer,
        "status": explanation.status,
        "prediction": explanation.prediction,
        "size": explanation.size,
        "window": explanation.window,
        "spacing": None if explanation.scan is None else explanation.scan.spacing,
        "inputs": explanation.inputs,
        "map": {
            "shape": values.shape,
            "dtype": str(values.dtype),
            "unit": explanation.map_unit,
            "min": known.min() if known.size else None,
            "max": known.max() if known.size else None,
            "sum": known.sum(dtype=np.float64) if known.size else None,
            "finite": known.size == values.size,
        },
        "positive": explanation.positive,
        "channels": explanation.channels,
        "error": _error(error),
        "parameters": explanation.parameters,
        "notes": explanation.notes,
        "cost": explanation.cost,
        "trust": None if explanation.trust is None else explanation.trust.to_dict(),
        "provenance": explanation.provenance,
    }
    return {key: plain(value) for key, value in fields.items()}


def _error(error: Any) -> Any:
    if isinstance(error, np.ndarray) and error.ndim:
        known = error[np.isfinite(error)]
        return {"shape": error.shape, "mean": known.mean() if known.size else None}
    return error
