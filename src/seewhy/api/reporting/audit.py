"""A report of an audit: takes what was found, gives a page with what shows it; another model beside it, where there is
one."""

from __future__ import annotations

from seewhy.api.auditing.outcome import Example
from seewhy.api.auditing.result import Audit
from seewhy.api.auditing.sheets import framed
from seewhy.api.auditing.words import sentence_of
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
from seewhy.audits.trials import Effect
from seewhy.audits.verdicts import Finding
from seewhy.render import DIVERGING, heatmap, resize
from seewhy.reports.page import (
    Badge,
    Block,
    Cell,
    Figure,
    Figures,
    Heading,
    Number,
    Page,
    Points,
    Scale,
    Section,
    Words,
    held,
)

__all__ = ["page_of", "sections_of"]

#: findings that are shown with pictures, and pictures of each; pictures of clusters in all; classes with a mean map
_FINDINGS, _EXAMPLES, _CLUSTERS, _CLASSES = 24, 8, 96, 30
#: pixels of an example's longer side, and of a mean map's
_SIDE, _MEAN = 224, 240


def page_of(audit: Audit, asked: Asked, title: str | None = None) -> Page:
    """What besides the object makes a model say a class, what proves it, and what would have been seen."""
    shortcuts = len(audit.shortcuts)
    look = sum(each.proved for each in audit.findings) - shortcuts
    verdict = (
        Badge(f"{shortcuts} shortcut{'s' * (shortcuts != 1)}", "bad")
        if shortcuts
        else Badge("no shortcut found", "good")
    )
    words = f"{audit.model} on pictures of {audit.source}: {len(audit.checked)} classes audited"
    words += f", {look} more causes to look at, which may be the object." if look else "."
    lead: list[Block] = [Words(words, badge=verdict)]
    if audit.against is not None:
        lead.append(Words(f"Beside it {audit.against.model}: the same cues on the same pictures."))
    named: list[tuple[str, Cell]] = [
        ("model", audit.model), ("beside it", "" if audit.against is None else audit.against.model),
        ("pictures of", audit.source),
        ("settings", settings_in_words(audit.settings)), ("passes", Number(audit.passes)),
    ]  # fmt: skip
    told = {
        name: audit.settings[name]
        for name in ("masks", "pictures", "method", "seed")
        if audit.settings.get(name) is not None
    }
    options = "".join(f", {name}={value!r}" for name, value in told.items())
    options += "" if audit.against is None else f", against={spec_or_name(audit.against.model)}"
    python = f"found = seewhy.audit({spec_or_name(audit.model)}, {audit.source!r}{options})"
    made = provenance_of(asked, named, f"{python}\n{REPORT}")
    return Page(title or f"Audit: {audit.model}", lead, sections_of(audit), made)


def sections_of(audit: Audit) -> list[Section]:
    """All that an audit found, as sections."""
    found = [
        Section("What was found", _found(audit)),
        Section("Causes", _causes(audit)),
        Section("Both models", _both(audit)),
        Section("Where evidence lies", _where(audit)),
        Section("Clusters of evidence", _clusters(audit)),
        Section("Groups", _groups(audit)),
        Section("What was not looked at", _rest(audit)),
    ]
    return [section for section in found if section.blocks]


def _found(audit: Audit) -> list[Block]:
    marks = dict.fromkeys(audit.checked, 0)
    for each in audit.shortcuts:
        marks[each.candidate.index] += 1
    badges: list[Badge | None] = []
    for index in audit.checked:  # as sentences are: one for each shortcut, or one for a class without any
        badges += [Badge("shortcut", "bad")] * marks[index] or [Badge("none found", "good")]
    sentences = audit.sentences()
    badges += [None] * (len(sentences) - len(badges))  # classes that were passed over
    return [Points(sentences, badges)] if sentences else []


def _verdict(finding: Finding) -> Badge:
    return Badge(finding.verdict, "bad" if finding.verdict == "shortcut" else "doubt")


def _causes(audit: Audit) -> list[Block]:
    proved = [(number, each) for number, each in enumerate(audit.findings) if each.proved]
    rows: list[dict[str, Cell]] = []
    for _, each in proved:
        best = each.candidate.best
        rows.append(
            {
                "class": audit.label(each.candidate.index), "cue": each.candidate.tag, "verdict": _verdict(each),
                "by": best.what, **_effect(best), "q": Number(each.q), "outside the object": each.candidate.outside,
            }
        )  # fmt: skip
    caption = (
        "What causes answers: the share of pictures whose answer changes beyond the control, with its 95 % interval"
    )
    found = table_of(caption, rows)
    for number, each in proved[:_FINDINGS]:
        name = audit.label(each.candidate.index)
        found += [Heading(f"{name}: {each.candidate.tag}", [_verdict(each)]), Words(f"{sentence_of(each)}.")]
        found += table_of(f"Trials of this cue of {name}", _trials(audit, number, each))
        shown = audit.examples.get(number, ())
        if shown:
            found.append(
                Figures([_example(one, f"the cue ({each.candidate.tag}) of {name}") for one in shown[:_EXAMPLES]])
            )
    if len(proved) > _FINDINGS:
        found.append(Words(f"The first {_FINDINGS} of {len(proved)} causes are shown with pictures.", note=True))
    return found


def _effect(effect: Effect) -> dict[str, Cell]:
    low, high = effect.interval
    return {
        "flips": share(effect.flipped), "from": share(low), "to": share(high), "odds, in sd": Number(effect.moved),
        "more than": effect.control, "pictures": Number(effect.count),
    }  # fmt: skip


def _trials(audit: Audit, number: int, finding: Finding) -> list[dict[str, Cell]]:
    rows: list[dict[str, Cell]] = [
        {"model": audit.model if audit.against else None, "trial": each.what, **_effect(each), "p": Number(each.p)}
        for each in finding.candidate.effects
    ]
    if audit.against is not None:
        rows += [
            {"model": audit.against.model, "trial": each.what, **_effect(each), "p": Number(each.p)}
            for each in audit.against.effects.get(number, ())
        ]
    return rows


def _both(audit: Audit) -> list[Block]:
    other = audit.against
    if other is None:
        return []
    rows: list[dict[str, Cell]] = [
        {
            "class": audit.label(each.candidate.index), "cue": each.candidate.tag, "verdict": _verdict(each),
            "trial": mine.what, f"flips, {audit.model}": _between(mine), f"flips, {other.model}": _between(theirs),
            "difference": share(theirs.flipped - mine.flipped),
        }
        for each, mine, theirs in audit.both()
    ]  # fmt: skip
    right: list[dict[str, Cell]] = []
    for index, accuracy in audit.accuracy.items():
        after = other.accuracy.get(index)
        right.append(
            {
                "class": audit.label(index), f"right, {audit.model}": share(accuracy, 1),
                f"right, {other.model}": share(after, 1),
                "difference": None if after is None else share(after - accuracy, 1),
            }
        )  # fmt: skip
    return [
        *table_of("The same causes in both models, with 95 % intervals", rows),
        *table_of("How often both are right, by class", right),
    ]


def _between(effect: Effect) -> Number:
    low, high = effect.interval
    return Number(effect.flipped, f"{percent(effect.flipped)} ({percent(low)} to {percent(high)})")


def _where(audit: Audit) -> list[Block]:
    rows: list[dict[str, Cell]] = []
    figures: list[Figure] = []
    for index, where in audit.where.items():
        name = audit.label(index)
        for part, each in where.shares.items():
            rows.append(
                {
                    "class": name, "part": part, "evidence": share(each.share), "from": share(each.low),
                    "to": share(each.high),
                    "area": share(each.area), "edge map": share(each.edges), "centre bump": share(each.bump),
                    "pictures": Number(where.count),
                }
            )  # fmt: skip
        if len(figures) < _CLASSES:
            large = resize(where.mean, (_MEAN, _MEAN))
            top = float(abs(where.mean).max())
            lines = [f"mean of {where.count} pictures"]
            scale = Scale(DIVERGING, -top, top, "of a map") if top > 0 else None
            figures.append(
                Figure(
                    held(heatmap(large, signed=True)),
                    f"Mean evidence for {name} over its pictures",
                    name,
                    lines,
                    scale=scale,
                )
            )
    found = table_of(
        "The share of positive evidence in a part of the pictures, beside what maps that know no network have there",
        rows,
    )
    return [*found, Figures(figures)] if figures else found


def _clusters(audit: Audit) -> list[Block]:
    rows: list[dict[str, Cell]] = []
    blocks: list[Block] = []
    pictures = 0
    for index, some in audit.clusters.items():
        for number, each in enumerate(some):
            most = sorted(each.elsewhere.items(), key=lambda pair: -pair[1])[:3]
            held_by = ", ".join(f"{audit.label(k)} {percent(part)}" for k, part in most if part > 0)
            name = f"{audit.label(index)}, cluster {number + 1}"
            rows.append(
                {
                    "class": audit.label(index), "cluster": Number(number + 1), "by": each.by,
                    "pictures": Number(len(each.rows)),
                    "stability": Number(each.stability),
                    "classes that contain it, too": held_by,
                }
            )  # fmt: skip
            shown = audit.cluster_pictures.get(index, ())
            if number < len(shown) and shown[number] and pictures < _CLUSTERS:
                figures = [
                    _example(one, f"{name}, its window of highest evidence") for one in shown[number][:_EXAMPLES]
                ]
                pictures += len(figures)
                blocks += [Heading(f"{name}, by {each.by}"), Figures(figures)]
    caption = (
        "Pictures of a class that are recognised by the same thing; stability is the mean Jaccard similarity over draws"
    )
    return [*table_of(caption, rows), *blocks]


def _groups(audit: Audit) -> list[Block]:
    rows: list[dict[str, Cell]] = [
        {
            "class": audit.label(row.index), "group": row.name, "pictures": Number(row.count),
            "right": share(row.accuracy),
            "from": share(row.low), "to": share(row.high), "behind the class's others": share(row.behind),
            "p": Number(row.p),
            "confidence": share(row.confidence), "too sure by": share(row.overconfident),
        }
        for row in audit.groups
    ]  # fmt: skip
    return table_of(
        "How often the model is right on each group of a class, the worst first (95 % interval: Wilson)", rows
    )


def _rest(audit: Audit) -> list[Block]:
    rows: list[dict[str, Cell]] = [
        {
            "class": audit.label(index),
            "pictures": Number(count),
            "an effect that would have been seen": share(audit.power.get(index)),
        }
        for index, count in audit.checked.items()
    ]
    found = table_of("What was looked at: the smallest effect that 80 % of such audits would have seen", rows)
    return [*found, *listed([*audit.notes, *audit.failed])]


def _example(example: Example, what: str) -> Figure:
    name = example.name.rpartition("/")[2]
    return Figure(
        held(framed(example, _SIDE)),
        f"{name}, with {what} framed" if example.box else f"{name}, an example of {what}",
        name,
    )
