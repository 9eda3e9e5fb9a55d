"""Errors: one plain line, whatever was asked."""

from __future__ import annotations

import inspect

import pytest

from seewhy import errors

ALL = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.SeewhyError)]


@pytest.mark.parametrize("kind", [kind for kind in ALL if kind is not errors.UnknownName])
@pytest.mark.parametrize("breaking", ["\n", "\r", "\x0b", "\x85", "\u2028", "\x1b", "\0", "\udc80"])
def test_no_message_has_more_than_a_line(kind: type[Exception], breaking: str) -> None:
    said = str(kind(f"cannot read a{breaking}b.png: é"))
    assert said == f"cannot read a{breaking.encode('unicode_escape').decode()}b.png: é"
    assert len(said.splitlines()) == 1


def test_a_name_that_is_not_known_is_on_one_line() -> None:
    error = errors.UnknownName("layer", "a\nb", ["a", "\nb"], "seewhy layers --model m\n.pt", " in m\n.pt")
    assert len(str(error).splitlines()) == 1
