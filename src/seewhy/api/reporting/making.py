"""``seewhy.report``: takes a result of any call, gives one HTML file that shows it; runs no model."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, overload

from seewhy.api.auditing.result import Audit
from seewhy.api.evaluating import Evaluation
from seewhy.api.judging.ranking import Ranking
from seewhy.api.judging.recommending import Recommendation
from seewhy.api.repairing.result import Repair
from seewhy.api.reporting import audit, diagnosis, evaluation, ranking, repair, run
from seewhy.api.reporting.explanations import Explained
from seewhy.api.reporting.wording import Asked
from seewhy.errors import UsageError
from seewhy.explanation import Diagnosis, Explanation, Explanations
from seewhy.models.loader import taken
from seewhy.render import check, write_bytes
from seewhy.reports.page import LIMIT, Page, html_of
from seewhy.runs.opened import Run

__all__ = ["SUFFIXES", "report", "write"]

#: what a report may be called
SUFFIXES = (".html", ".htm")


@overload
def report(
    result: Any, path: None = None, *, title: str | None = ..., command: str | None = ..., model: Any = ...,
    limit: int = ..., force: bool = ...,
) -> str: ...  # fmt: skip
@overload
def report(
    result: Any, path: str | os.PathLike[str], *, title: str | None = ..., command: str | None = ..., model: Any = ...,
    limit: int = ..., force: bool = ...,
) -> Path: ...  # fmt: skip
def report(
    result: Any,
    path: str | os.PathLike[str] | None = None,
    *,
    title: str | None = None,
    command: str | None = None,
    model: Any = None,
    limit: int = LIMIT,
    force: bool = False,
) -> str | Path:
    """One HTML file that shows a result: its path, or without a ``path`` the document itself.

    ``result`` is what `seewhy.explain`, `explain_all`, `evaluate`, `recommend`, `evaluate_model`, `audit`, `repair`,
    `run` or `open_run`, or `diagnose` gave, or a list of explanations. The file refers to nothing outside itself and
    runs no code but its own (docs/report.md). It has at most ``limit`` bytes: pictures are as large as there is room
    for, and the page says how large. ``command`` is the line that is told at its end, a line of Python unless given;
    ``model`` the one that was asked: its fingerprint is told where the result has none, and a run's maps are laid
    over their photos.

    Raises `UsageError` for anything else, for a path that is no ``.html`` or that exists unless ``force``.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    >>> page = seewhy.report(seewhy.explain(net, torch.rand(1, 3, 4, 4), "saliency"))
    >>> page.startswith("<!doctype html>"), len(page) < 200_000
    (True, True)
    """
    if path is not None:
        path = check(path, SUFFIXES, force=force)
    asked = Asked(command or "", None if model is None else taken(model))
    html = html_of(_page(result, asked, title), limit)
    return html if path is None else write_bytes(html.encode(), path, force=force)


def write(result: Any, path: Path, *, command: str, model: Any, source: Any) -> Path:
    """Write a report to a path that was checked, in place of what lies there; ``source`` is that of a run's pictures,
    where it is open."""
    return write_bytes(html_of(_page(result, Asked(command, model, source), None)).encode(), path, force=True)


def _page(result: Any, asked: Asked, title: str | None) -> Page:
    if isinstance(result, Explained):
        return result.page(asked, title)
    some = [result] if isinstance(result, Explanation) else result
    if isinstance(some, Sequence) and not isinstance(some, str | bytes) and len(some):
        several = [one for each in some for one in (each if isinstance(each, Explanations) else [each])]
        if all(isinstance(each, Explanation) for each in several):
            made = Explained()
            made.add(several, some.cost if isinstance(some, Explanations) else None)
            return made.page(asked, title)
    if isinstance(result, Ranking | Recommendation):
        return ranking.page_of(result, asked, title)
    if isinstance(result, Evaluation):
        return evaluation.page_of(result, asked, title)
    if isinstance(result, Audit):
        return audit.page_of(result, asked, title)
    if isinstance(result, Repair):
        return repair.page_of(result, asked, title)
    if isinstance(result, Run):
        return run.page_of(result, asked, title)
    if isinstance(result, Diagnosis):
        return diagnosis.page_of(result, asked, title)
    what = "nothing" if isinstance(some, Sequence) and not len(some) else f"a {type(result).__name__}"
    raise UsageError(
        "a report is of explanations, a ranking, an evaluation, an audit, a repair, a run or a diagnosis; this is "
        f"{what}"
    )
