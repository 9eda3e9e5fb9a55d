"""A report of how often a model is right: takes its evaluation, gives a page."""

from __future__ import annotations

from seewhy.api.evaluating import Evaluation
from seewhy.api.reporting.wording import (
    REPORT,
    Asked,
    chart,
    listed,
    percent,
    provenance_of,
    share,
    spec_or_name,
    table_of,
)
from seewhy.reports.page import Block, Cell, Number, Page, Pairs, Section, Words

__all__ = ["page_of"]

#: mistakes that are listed
_MISTAKES = 300


def page_of(evaluation: Evaluation, asked: Asked, title: str | None = None) -> Page:
    """How often it is right, of which classes, what it takes for what, and its surest mistakes."""
    numbers = evaluation.numbers
    known: list[tuple[str, Cell]] = [
        ("photos", Number(numbers.count)), ("right", share(numbers.accuracy, 1)),
        ("right in the first five", share(numbers.top5, 1)),
        ("balanced accuracy", share(numbers.balanced_accuracy, 1)), ("macro F1", Number(numbers.macro_f1)),
        ("mean confidence", share(numbers.confidence, 1)), ("calibration error", share(numbers.calibration_error, 1)),
        ("could not be read", Number(len(evaluation.failed)) if evaluation.failed else None),
    ]  # fmt: skip
    rows: list[dict[str, Cell]] = [
        {
            "class": row["label"], "photos": Number(row["support"]), "precision": share(row["precision"]),
            "recall": share(row["recall"]), "F1": Number(row["f1"]),
        }
        for row in evaluation.table()
    ]  # fmt: skip
    mixed: list[dict[str, Cell]] = [
        {"class": evaluation.label(truth), "called": evaluation.label(said), "photos": Number(count)}
        for truth, said, count in numbers.mixed_up(50)
    ]
    mistakes: list[dict[str, Cell]] = [
        {
            "photo": each.name,
            "class": evaluation.label(each.truth),
            "called": evaluation.label(each.said),
            "sure": share(each.probability, 1),
        }
        for each in evaluation.mistakes
    ]
    taken = table_of("What is taken for what, the commonest first", mixed)
    every = table_of("Every mistake, the surest first", mistakes, _MISTAKES)
    matrix = chart(
        evaluation,
        f"Confusion matrix of {len(numbers.classes)} classes",
        "Rows are true classes, columns what they were called",
    )
    sections = [
        Section("Numbers", [Pairs(known), *matrix]),
        Section("Classes", table_of("Every class: how many photos show it, and the shares that are right", rows)),
        Section("Mistakes", [*taken, *every] or [Words("None.")]),
    ]  # fmt: skip
    said = [*evaluation.notes, *evaluation.failed]
    if said:
        sections.append(Section("What has to be known", listed(said)))
    lead: list[Block] = [
        Words(f"{evaluation.model} is right about {percent(numbers.accuracy, 1)} of {numbers.count:,} photos.")
    ]
    python = f"found = seewhy.evaluate_model({spec_or_name(evaluation.model)}, photos)\n{REPORT}"
    return Page(
        title or f"Evaluation: {evaluation.model}",
        lead,
        sections,
        provenance_of(asked, [("model", evaluation.model)], python),
    )
