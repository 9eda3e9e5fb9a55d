"""What code does: takes a function's code, gives a short hash that any process finds again, whatever file and line it
stands in; runs nothing."""

from __future__ import annotations

import hashlib
from types import CodeType
from typing import Any

__all__ = ["does"]


def does(code: CodeType) -> str:
    """16 hexadecimal digits of what a function does: its instructions, names and constants, inner functions among them.

    >>> does((lambda x: x + 1).__code__) == does((lambda x: x + 1).__code__) != does((lambda x: x + 2).__code__)
    True
    """
    parts = [code.co_code.hex(), repr(code.co_names), *map(_constant, code.co_consts)]
    return hashlib.sha256("|".join(parts).encode()).hexdigest()[:16]


def _constant(value: Any) -> str:
    if isinstance(value, CodeType):
        return does(value)
    if isinstance(value, frozenset):  # whose order is another one in each process
        return f"{{{', '.join(sorted(map(repr, value)))}}}"
    return repr(value)
