"""Which tests are slow: takes the durations of a whole run, marks those functions whose tests take long together.

``pytest -m "not slow"`` leaves them out: most functions of the suite, in under a minute on two cores. After
``pytest --write-slow`` on a quiet machine tests/slow.txt names them anew.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

__all__ = ["Slowness"]

#: the functions whose tests take longer than this together, in seconds
LIMIT = 0.15
LISTED = Path(__file__).with_name("slow.txt")


def _function(nodeid: str) -> str:
    return nodeid.partition("[")[0]


class Slowness:
    """Marks what is listed; with ``write`` notes what a run takes, and lists that."""

    def __init__(self, write: bool) -> None:
        self._write, self._took = write, defaultdict[str, float](float)
        self._listed = set(LISTED.read_text(encoding="utf-8").split("\n")) if LISTED.exists() else set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Mark tests before ``-m`` chooses among them."""
        for item in items:
            if _function(item.nodeid) in self._listed:
                item.add_marker(pytest.mark.slow)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """What setting up, running and tearing down took."""
        self._took[_function(report.nodeid)] += report.duration

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Write the list; where tests run side by side, the process that gathers all reports does."""
        if self._write and not hasattr(session.config, "workerinput"):
            slow = sorted(name for name, seconds in self._took.items() if seconds > LIMIT)
            LISTED.write_text("\n".join(slow) + "\n", encoding="utf-8")
