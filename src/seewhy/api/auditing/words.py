"""An audit in words: takes its result, gives sentences and a page of tables; decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from seewhy.api.auditing.outcome import Outcome
from seewhy.audits.verdicts import Finding

__all__ = ["page_of", "sentence_of", "sentences_of"]

#: classes passed over for one reason that are named; the others are counted
_NAMED = 3


def sentences_of(audit: Outcome) -> list[str]:
    """What was found of each class in a sentence; of most that is nothing, with what would have been seen; then those
    that were not looked at, and why."""
    found = []
    for index in audit.checked:
        mine = [each for each in _told(audit) if each.candidate.index == index]
        name = audit.label(index)
        shortcuts = [each for each in mine if each.verdict == "shortcut"]
        if shortcuts:
            found += [f"{name}: {sentence_of(each)}{_beside(audit, each)}" for each in shortcuts]
        else:
            least = f"an effect on {audit.power[index]:.0%} of pictures would have been seen"
            look = f"; {len(mine)} cause{'s' * (len(mine) > 1)} to look at, which may be the object" if mine else ""
            found.append(f"{name}: no shortcut found; {least}{look}")
    return found + _passed_over(audit)


def _passed_over(audit: Outcome) -> list[str]:
    """Classes that were not audited, and why; many with one reason in one sentence."""
    by_reason: dict[str, list[str]] = {}
    for index, why in audit.skipped.items():
        by_reason.setdefault(why, []).append(audit.label(index))
    found = []
    for why, names in by_reason.items():
        more = len(names) - _NAMED
        if more > 1:
            found.append(f"{'; '.join(names[:_NAMED])}; and {more} more classes: passed over, {why}")
        else:
            found += [f"{name}: passed over, {why}" for name in names]
    return found


def _told(audit: Outcome) -> list[Finding]:
    """What is proved, each thing once."""
    return [each for each in audit.findings if each.proved]


def sentence_of(finding: Finding) -> str:
    """A finding in words, without its class."""
    best, tag = finding.candidate.best, finding.candidate.tag
    low, high = best.interval
    return (
        f"{finding.verdict} ({tag}): {best.what} it changes the answer of {best.flipped:.0%} of pictures "
        f"[{low:.0%}, {high:.0%}] more than {best.control} does, q={finding.q:.2g}"
        + (f"; {finding.candidate.outside}" if finding.candidate.outside else "")
    )


def _beside(audit: Outcome, finding: Finding) -> str:
    """The same effect in the other model, in words."""
    if audit.against is None:
        return ""
    number = audit.findings.index(finding)
    same = [each for each in audit.against.effects[number] if each.what == finding.candidate.best.what]
    if not same:
        return f"; {audit.against.model} has no pictures to try it on"
    low, high = same[0].interval
    return f"; with {audit.against.model} {same[0].flipped:.0%} [{low:.0%}, {high:.0%}]"


def page_of(audit: Outcome) -> str:
    """What was found in words, every proved cue in a table, where evidence lies, and what was not looked at."""
    lines = [f"# Audit of {audit.model}", "", *(f"- {each}" for each in sentences_of(audit))]
    for part in (_causes, _against, _evidence, _clusters, _groups):
        lines += part(audit)
    lines += ["", *(f"- {' '.join(note.split())}" for note in (*audit.notes, *audit.failed))]
    return "\n".join(lines).rstrip() + "\n"


def _table(title: str, head: Sequence[str], rows: Iterator[Sequence[str]]) -> list[str]:
    """A table under a heading; nothing where it has no rows."""
    found = [f"| {' | '.join(row)} |" for row in rows]
    return ["", f"## {title}", "", f"| {' | '.join(head)} |", "|" + "---|" * len(head), *found] if found else []


def _causes(audit: Outcome) -> list[str]:
    def rows() -> Iterator[Sequence[str]]:
        for each in _told(audit):
            best = each.candidate.best
            yield [
                audit.label(each.candidate.index), each.candidate.tag, best.what,
                _share(best.flipped, *best.interval), f"{best.moved:+.2g}", f"{each.q:.2g}", each.verdict,
                each.candidate.outside,
            ]  # fmt: skip

    head = ["class", "cue", "effect", "flips, 95 %", "odds, in sd", "q", "verdict", "outside the object"]
    return _table("What causes answers", head, rows())


def _against(audit: Outcome) -> list[str]:
    other = audit.against
    if other is None:
        return []

    def rows() -> Iterator[Sequence[str]]:
        for each, mine, theirs in audit.both():
            yield [
                audit.label(each.candidate.index), each.candidate.tag, mine.what,
                _share(mine.flipped, *mine.interval), _share(theirs.flipped, *theirs.interval),
            ]  # fmt: skip

    def accuracy() -> Iterator[Sequence[str]]:
        for index, share in audit.accuracy.items():
            yield [audit.label(index), f"{share:.1%}", f"{other.accuracy.get(index, float('nan')):.1%}"]

    models = [audit.model, other.model]
    return [
        *_table("The same causes in both models", ["class", "cue", "effect", *models], rows()),
        *_table("How often both are right", ["class", *models], accuracy()),
    ]


def _evidence(audit: Outcome) -> list[str]:
    def rows() -> Iterator[Sequence[str]]:
        for index, where in audit.where.items():
            for part, each in where.shares.items():
                yield [
                    audit.label(index), part, _share(each.share, each.low, each.high),
                    f"{each.area:.0%}", f"{each.edges:.0%}", f"{each.bump:.0%}",
                ]  # fmt: skip

    head = ["class", "part", "evidence, 95 %", "area", "edge map", "bump in the middle"]
    return _table("Where evidence lies", head, rows())


def _clusters(audit: Outcome) -> list[str]:
    def rows() -> Iterator[Sequence[str]]:
        for index, some in audit.clusters.items():
            for number, each in enumerate(some, 1):
                most = sorted(each.elsewhere.items(), key=lambda pair: -pair[1])[:3]
                held = ", ".join(f"{audit.label(k)} {share:.0%}" for k, share in most if share > 0)
                yield [
                    audit.label(index), str(number), each.by, str(len(each.rows)), f"{each.stability:.2f}", held or "-"
                ]  # fmt: skip

    head = ["class", "cluster", "by", "pictures", "stability", "classes that contain it, too"]
    return _table("Clusters of evidence", head, rows())


def _groups(audit: Outcome) -> list[str]:
    def rows() -> Iterator[Sequence[str]]:
        for row in audit.groups:
            yield [
                audit.label(row.index), row.name, str(row.count), _share(row.accuracy, row.low, row.high),
                f"{row.behind:.0%}", f"{row.p:.2g}", f"{row.confidence:.0%}", f"{row.overconfident:+.0%}",
            ]  # fmt: skip

    head = ["class", "group", "pictures", "right, 95 %", "behind the class's others", "p", "confidence", "too sure by"]
    return _table("Groups, the worst first", head, rows())


def _share(share: float, low: float, high: float) -> str:
    return f"{share:.0%} ({low:.0%} to {high:.0%})"
