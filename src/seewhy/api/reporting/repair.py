"""A report of a repair: takes what was mended, gives a page of what it has changed, group by group, and of the audit
that was made again."""

from __future__ import annotations

from seewhy.api.repairing.result import Repair
from seewhy.api.reporting.audit import sections_of
from seewhy.api.reporting.wording import (
    REPORT,
    Asked,
    listed,
    percent,
    provenance_of,
    settings_in_words,
    share,
    spec_or_name,
    table_of,
)
from seewhy.reports.page import Badge, Block, Cell, Number, Page, Points, Section, Words

__all__ = ["page_of"]

#: settings of details that are told, by their kinds
_PLAIN = (bool, int, float, str)


def page_of(repair: Repair, asked: Asked, title: str | None = None) -> Page:
    """What was done about each cue, and how often the model is right with and without it, before and after."""
    cues: list[dict[str, Cell]] = [
        {
            "class": repair.label(each.index), "cue": each.kind, "where": each.where,
            "mended": Badge("left out", "doubt") if each.why else Badge("mended", "good"),
            "training pictures": Number(each.tally.pictures), "have it": Number(each.tally.have),
            "taken out of": Number(each.tally.removed), "put into": Number(each.tally.pasted), "why not": each.why,
        }
        for each in repair.cues
    ]  # fmt: skip
    groups: list[dict[str, Cell]] = [
        {
            "class": repair.label(row.index),
            "cues": repair.cues_of(row),
            "pictures": Number(row.pictures), "right before": share(row.before), "right after": share(row.after),
            "change": None if row.after is None else share(row.after - row.before),
        }
        for row in repair.groups
    ]  # fmt: skip
    sections = [
        Section(
            "What was done",
            [Points(repair.sentences()), *table_of("The cues, and the training pictures that have them", cues)],
        ),
        Section(
            "Before and after", table_of("Held-out pictures by class and cue: how often the model is right", groups)
        ),
    ]
    details = {name: value for name, value in repair.details.items() if isinstance(value, _PLAIN)}
    said = [*repair.notes, *repair.failed]
    if said:
        sections.append(Section("What has to be known", listed(said)))
    if repair.audit is not None:
        sections += [
            Section(f"Audit again: {each.title[:1].lower()}{each.title[1:]}", each.blocks)
            for each in sections_of(repair.audit)
        ]
    named: list[tuple[str, Cell]] = [
        ("model", repair.name),
        ("repaired by", repair.how),
        ("details", settings_in_words(details)),
    ]
    python = f"found = seewhy.repair({spec_or_name(repair.name)}, audit, train, how={repair.how!r})\n{REPORT}"
    return Page(
        title or f"Repair: {repair.name}", _lead(repair), [each for each in sections if each.blocks],
        provenance_of(asked, named, python),
    )  # fmt: skip


def _lead(repair: Repair) -> list[Block]:
    found: list[Block] = [Words(f"{repair.name}, repaired by {repair.how}.")]
    if repair.worst is None:
        return found
    before, after = repair.worst
    if after is None:
        return [
            *found,
            Words(f"Worst group of held-out pictures: right {percent(before)} before. There is no mended model yet."),
        ]
    badge = Badge("better", "good") if after > before else Badge("no better", "bad")
    return [
        *found,
        Words(
            "Worst group of held-out pictures, with and without the cue: "
            f"right {percent(before)} before, {percent(after)} after.",
            badge=badge,
        ),
    ]
