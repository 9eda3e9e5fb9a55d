"""A plugin for pytest: has seewhy answer what Captum's tests ask of Captum's classes, and notes for each test who
answered; a JSON line a test in the file that ``SEEWHY_ANSWERS`` names."""

from __future__ import annotations

import functools
import inspect
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from seewhy.errors import SeewhyError
from tools.captum_tests.answers import Else, answer

#: of the test that runs: how often seewhy answered, and why it did not
_ours: list[str] = []
_theirs: list[str] = []
_depth = [0]


def _bound(takes: inspect.Signature, asked: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """What is asked, by its names."""
    try:
        given = dict(takes.bind(asked, *args, **kwargs).arguments)
    except TypeError as error:
        raise Else("arguments that it does not take") from error
    del given["self"]
    return given | given.pop("kwargs", {})


def _patch(kind: type) -> None:
    theirs = kind.__dict__["attribute"]
    takes = inspect.signature(theirs)

    @functools.wraps(theirs)
    def attribute(self: Any, *args: Any, **kwargs: Any) -> Any:
        if type(self) is not kind or _depth[0]:  # a part of another of Captum's own answers
            return theirs(self, *args, **kwargs)
        try:
            found = answer(kind.__name__, self, _bound(takes, self, args, kwargs))
        except Else as why:
            _theirs.append(f"{kind.__name__}: {why}")
            _depth[0] += 1
            try:
                return theirs(self, *args, **kwargs)
            finally:
                _depth[0] -= 1
        except SeewhyError as error:
            _ours.append(kind.__name__)
            raise AssertionError(str(error)) from error  # what Captum's classes raise for what cannot be meant
        except Exception:
            _ours.append(kind.__name__)
            raise
        _ours.append(kind.__name__)
        return found

    kind.attribute = attribute  # type: ignore[attr-defined]


def pytest_configure() -> None:
    """Take the place of every class that attributes."""
    import captum.attr

    for name in dir(captum.attr):
        kind = getattr(captum.attr, name)
        if isinstance(kind, type) and "attribute" in kind.__dict__:
            _patch(kind)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Nobody has answered yet."""
    _ours.clear()
    _theirs.clear()
    _depth[0] = 0


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Write who answered, and how it went."""
    if report.when != "call":
        return
    why = "" if report.passed else str(report.longrepr).splitlines()[-1][:300]
    row = {"test": report.nodeid, "ours": sorted(_ours), "theirs": sorted(set(_theirs)), "failed": why}
    with Path(os.environ["SEEWHY_ANSWERS"]).open("a") as file:
        file.write(json.dumps(row) + "\n")
