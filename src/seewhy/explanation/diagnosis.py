"""What is the matter with a model: takes findings and facts, gives a record in words; examines nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from seewhy.explanation.plain import plain

__all__ = ["SEVERITIES", "Diagnosis", "Finding", "MethodCheck"]

#: from what makes every map wrong to what is merely good to know
SEVERITIES = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing about a model: its code (a heading of the docs), how bad it is, what was seen, and what to do."""

    code: str
    severity: str
    words: str
    fix: str


@dataclass(frozen=True)
class MethodCheck:
    """Whether a method runs on a model, why not, and what a map costs here: ``seconds`` is an estimate where the run
    was cut short (``whole`` is False), None where nothing can be said."""

    name: str
    family: str
    works: bool
    reason: str = ""
    seconds: float | None = None
    forwards: int = 0
    backwards: int = 0
    whole: bool = True


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """Everything found: ``facts`` by name, in the order they are told, ``findings`` the worst first, ``methods`` in the
    order of their families (empty if they were not tried)."""

    model: str
    facts: Mapping[str, str]
    findings: tuple[Finding, ...]
    methods: tuple[MethodCheck, ...] = ()
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def healthy(self) -> bool:
        """Whether nothing is worse than a note."""
        return all(each.severity == "note" for each in self.findings)

    def codes(self) -> list[str]:
        """The codes of all findings."""
        return [each.code for each in self.findings]

    def to_dict(self) -> dict[str, Any]:
        """As plain, strictly valid JSON."""
        return {
            "model": self.model,
            "healthy": self.healthy,
            "facts": dict(self.facts),
            "findings": [asdict(each) for each in self.findings],
            "methods": [plain(asdict(each)) for each in self.methods],
        }
