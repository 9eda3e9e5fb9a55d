"""NAME=VALUE: takes what was typed so, gives keyword arguments; knows no option."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from seewhy.errors import UsageError

__all__ = ["settings_of", "value_of"]

_EXAMPLES = {"--set": "steps=50", "--arg": "num_classes=10", "--noise": "smooth,n=16"}
_TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


def settings_of(pairs: Sequence[str], defaults: Mapping[str, Any], option: str = "--set") -> dict[str, Any]:
    """``["steps=50", "rule=trapezoid"]`` as keyword arguments of the types that ``defaults`` have.

    A name without a default is kept: whoever takes the arguments refuses it by name.

    >>> settings_of(["steps=50", "rule=trapezoid"], {"steps": 8, "rule": "adaptive"})
    {'steps': 50, 'rule': 'trapezoid'}
    """
    settings: dict[str, Any] = {}
    for pair in pairs:
        typed, equals, text = pair.partition("=")
        name = typed.strip().replace("-", "_")
        if not equals or not name:
            raise UsageError(f"{option} {pair!r}: write NAME=VALUE, as in {option} {_EXAMPLES[option]}")
        try:
            settings[name] = _like(text.strip(), defaults.get(name))
        except ValueError as error:
            raise UsageError(f"{option} {pair!r}: {name} is {error}, as in {option} {name}={defaults[name]}") from None
    return settings


def _like(text: str, default: Any) -> Any:
    """``text`` as a value of the type of ``default``; raises `ValueError` with the name of that type."""
    if isinstance(default, bool):
        if text.lower() not in _TRUTH:
            raise ValueError("true or false")
        return _TRUTH[text.lower()]
    for kind, words in ((int, "a whole number"), (float, "a number")):
        if isinstance(default, kind):
            try:
                return kind(text)
            except ValueError:
                raise ValueError(words) from None
    return text if isinstance(default, str) else value_of(text)


def value_of(text: str) -> Any:
    """A number, True, False or None where ``text`` is one; else the text itself.

    >>> value_of("0.5"), value_of("blur")
    (0.5, 'blur')
    """
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text
