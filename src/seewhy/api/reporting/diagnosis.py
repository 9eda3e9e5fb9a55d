"""A report of a diagnosis: takes what the doctor found, gives a page."""

from __future__ import annotations

from seewhy.api.reporting.wording import REPORT, Asked, provenance_of, spec_or_name, table_of
from seewhy.errors import CapabilityError
from seewhy.explanation import Diagnosis, MethodCheck
from seewhy.reports.page import (
    Badge,
    Block,
    Cell,
    Figure,
    Figures,
    Heading,
    Number,
    Page,
    Pairs,
    Section,
    Words,
    held,
)

__all__ = ["page_of"]

_KINDS = {"error": "bad", "warning": "doubt", "note": "plain"}


def page_of(diagnosis: Diagnosis, asked: Asked, title: str | None = None) -> Page:
    """What is the matter with a model, what is known of it, which methods work and what they cost."""
    worst = {kind: sum(each.severity == kind for each in diagnosis.findings) for kind in _KINDS}
    counted = (
        ", ".join(f"{count} {kind}{'s' * (count != 1)}" for kind, count in worst.items() if count)
        or "nothing is the matter"
    )
    verdict = (
        Badge("healthy", "good")
        if diagnosis.healthy
        else Badge("not as it should be", "bad" if worst["error"] else "doubt")
    )
    found: list[Block] = []
    for each in diagnosis.findings:
        found += [
            Heading(each.code, [Badge(each.severity, _KINDS[each.severity])]),
            Words(each.words),
            Words(f"What to do: {each.fix}"),
        ]
    facts: list[Block] = [Pairs(list(diagnosis.facts.items()))]
    if diagnosis.grid is not None:
        grid = diagnosis.grid
        lines = [f"layer {grid.layer}: {grid.verdict}, correlation {grid.correlation:.2f}"]
        try:
            facts.append(
                Figures(
                    [
                        Figure(
                            held(grid.picture(), drawing=True),
                            f"What pictures changed in stripes say of {grid.layer}",
                            "How the layer's grid was proved",
                            lines,
                            drawing=True,
                        )
                    ]
                )
            )
        except CapabilityError as error:
            facts.append(Words(str(error), note=True))
    sections = [Section("Findings", found or [Words("Nothing is the matter.")]), Section("Facts", facts)]
    if diagnosis.methods:
        works = sum(each.works for each in diagnosis.methods)
        rows = table_of(
            "Each method at its defaults on one image, timed on this machine",
            [_row(each) for each in diagnosis.methods],
        )
        sections.append(
            Section("Methods", [Words(f"{works} of {len(diagnosis.methods)} methods work with this model."), *rows])
        )
    lead: list[Block] = [Words(f"{diagnosis.model}: {counted}.", badge=verdict)]
    python = f"found = seewhy.diagnose({spec_or_name(diagnosis.model)})\n{REPORT}"
    made = provenance_of(asked, [("model", diagnosis.model)], python)
    return Page(title or f"Diagnosis: {diagnosis.model}", lead, sections, made)


def _row(each: MethodCheck) -> dict[str, Cell]:
    known, about = each.works and each.seconds is not None, "" if each.whole else "about "
    return {
        "method": each.name, "family": each.family,
        "works": Badge("works", "good") if each.works else Badge("does not", "bad"),
        "seconds a map": Number(each.seconds or 0.0, f"{about}{each.seconds:.2g}") if known else None,
        "forwards": Number(each.forwards) if known and each.whole else None,
        "backwards": Number(each.backwards) if known and each.whole else None, "why not": each.reason,
    }  # fmt: skip
