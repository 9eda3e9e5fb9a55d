"""What a benchmark found: takes times and differences, gives a record with its table in words and as JSON; times
nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from seewhy.api.bench.racing import Lap, fastest
from seewhy.explanation.plain import plain

__all__ = ["FORWARD", "OURS", "Bench", "MethodBench"]

#: what the two lines that are no library are called
OURS, FORWARD = "seewhy", "forward"


@dataclass(frozen=True)
class MethodBench:
    """One method on a model: the passes that a map takes, everybody's ``laps`` (a bare forward pass among them), or
    the reason why there are none. ``settings`` in words, ``layer`` None for the input."""

    method: str
    layer: str | None = None
    settings: str = ""
    forwards: int = 0
    backwards: int = 0
    laps: tuple[Lap, ...] = ()
    failure: str = ""

    def seconds(self, name: str = OURS, on: str = "eager") -> float:
        """Somebody's median; NaN where there is none."""
        return next((lap.median for lap in self.laps if lap.name == name and lap.on == on), math.nan)

    @property
    def best(self) -> float:
        """Our median, on the prepared model where there is one."""
        prepared = self.seconds(OURS, "prepared")
        return self.seconds() if math.isnan(prepared) else prepared

    def in_forwards(self, lap: Lap) -> float:
        """A time as a multiple of a bare forward pass of the eager model."""
        return lap.median / self.seconds(FORWARD)

    def ratio(self, lap: Lap) -> float:
        """How many times as long as ours a lap takes."""
        return lap.median / self.best

    @property
    def fastest(self) -> Lap | None:
        """The quickest library on the eager model whose result is ours, else the quickest; None without any."""
        return fastest(self.laps, besides=OURS)

    def to_dict(self) -> dict[str, Any]:
        """As plain, strictly valid JSON."""
        summary: dict[str, Any] = plain(
            {name: getattr(self, name) for name in ("method", "layer", "settings", "forwards", "backwards", "failure")}
        )
        return summary | {
            "contestants": [
                plain(asdict(lap) | {"median": lap.median, "forwards": self.in_forwards(lap), "ratio": self.ratio(lap)})
                for lap in self.laps
            ]
        }


@dataclass(frozen=True, eq=False)
class Bench:
    """A model's methods, timed: ``facts`` by name, ``preparation`` in words (empty: not prepared), a `MethodBench`
    each, and the libraries that are ``missing`` with the reason."""

    model: str
    facts: Mapping[str, str]
    methods: tuple[MethodBench, ...]
    preparation: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)

    def forward(self, on: str = "eager") -> float:
        """The least of all medians of a bare forward pass, seconds; NaN where none was timed."""
        medians = [method.seconds(FORWARD, on) for method in self.methods]
        return min((median for median in medians if not math.isnan(median)), default=math.nan)

    def rows(self) -> list[tuple[str, ...]]:
        """The table in words: method, passes, who, time, in forwards, against ours, result."""
        rows = list[tuple[str, ...]]()
        for method in self.methods:
            name = method.method + (f" at {method.layer}" if method.layer else "")
            if method.failure:
                rows.append((name, "", "", "", "", "", method.failure))
                continue
            passes = f"{method.forwards} forward, {method.backwards} backward"
            for n, lap in enumerate(lap for lap in method.laps if lap.name != FORWARD):
                rows.append((name if n == 0 else "", passes if n == 0 else "", *_words(method, lap)))
        return rows

    def markdown(self) -> str:
        """The whole as Markdown: facts, the table, who is missing."""
        head = ("method", "passes", "who", "time", "forwards", "against ours", "result")
        lines = [f"# {self.model}", "", *(f"- {name}: {words}" for name, words in self.facts.items())]
        lines += [f"- preparation, {name}: {words}" for name, words in self.preparation.items()]
        lines += [f"- {name}: {words}" for name, words in self.missing.items()]
        lines += ["", f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
        lines += [f"| {' | '.join(row)} |" for row in self.rows()]
        return "\n".join(lines) + "\n"

    def to_dict(self) -> dict[str, Any]:
        """Everything as plain, strictly valid JSON."""
        return {
            "model": self.model,
            "facts": dict(self.facts),
            "preparation": dict(self.preparation),
            "forward": plain({on: self.forward(on) for on in ("eager", "prepared")}),
            "methods": [method.to_dict() for method in self.methods],
            "missing": dict(self.missing),
        }


def _words(method: MethodBench, lap: Lap) -> tuple[str, str, str, str, str]:
    """Who, time, in forwards, against ours, result."""
    who = lap.name + (" on our prepared model" if lap.on == "prepared" and lap.name != OURS else "")
    who += ", prepared" if lap.on == "prepared" and lap.name == OURS else ""
    who += f" ({lap.setting})" if lap.setting else ""
    if lap.failure:
        return who, "", "", "", f"failed: {lap.failure}"
    ours = lap.name == OURS and lap.on == "eager"
    result = "the reference" if ours else "" if lap.difference is None else _result(lap)
    ratio = "" if lap.name == OURS else f"{method.ratio(lap):.2f}x"
    return who, _time(lap.median), f"{method.in_forwards(lap):.1f}", ratio, result


def _result(lap: Lap) -> str:
    if lap.difference is None or math.isnan(lap.difference):
        return "differs: another shape, or not finite"
    return f"{'equal' if lap.agrees else 'differs'} ({lap.difference:.1e})"


def _time(seconds: float) -> str:
    return f"{1000 * seconds:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"
