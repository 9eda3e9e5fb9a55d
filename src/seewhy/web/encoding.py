"""Answers: takes plain values, numpy's among them, gives JSON that any reader takes: null for what is no number."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from starlette.responses import Response

from seewhy.errors import on_a_line
from seewhy.web.problems import Problem, Scrub

__all__ = ["Answer", "plainly", "problem_answer"]


def plainly(value: Any) -> Any:
    """``value`` of what JSON has.

    >>> plainly({"a": float("nan"), 2: np.float32(0.5), "c": (np.int64(3), np.array([1.0, np.inf]))})
    {'a': None, '2': 0.5, 'c': [3, [1.0, None]]}
    """
    if isinstance(value, Mapping):
        return {str(name): plainly(each) for name, each in value.items()}
    if isinstance(value, np.ndarray):
        return plainly(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [plainly(each) for each in value]
    if isinstance(value, np.generic):
        return plainly(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int):
        return value
    # what would turn a line round, or do something to whoever shows it, is written out; code has several lines
    return "\n".join(map(on_a_line, str(value).split("\n")))


class Answer(Response):
    """A JSON answer."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """Its bytes."""
        return json.dumps(plainly(content), allow_nan=False, ensure_ascii=False, separators=(",", ":")).encode(
            "utf-8", "replace"
        )


def problem_answer(problem: Problem, scrub: Scrub) -> Response:
    """A problem as it is sent."""
    body = json.dumps(plainly(problem.document(scrub)), ensure_ascii=False).encode("utf-8", "replace")
    return Response(body, problem.status, problem.headers, "application/problem+json")
