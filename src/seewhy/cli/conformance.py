"""``seewhy conformance``: takes names, gives what methods do on networks whose right answer is known exactly."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from seewhy.cli import options as o
from seewhy.cli.console import bars, quiet_warnings
from seewhy.cli.show import as_json
from seewhy.cli.tables import console, table

if TYPE_CHECKING:
    from seewhy.conformance import Conformance

__all__ = ["conformance"]

_PANEL = "The question"
Library = Annotated[
    str | None,
    typer.Option(
        "--library", metavar="NAME", rich_help_panel=_PANEL,
        help="captum, pytorch-grad-cam, torchcam or zennit. Left out: seewhy itself.",
    ),
]  # fmt: skip
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", "-M", metavar="NAME", rich_help_panel=_PANEL, help="Again for several. Left out: all."),
]
Units = Annotated[
    list[str] | None,
    typer.Option("--unit", "-u", metavar="NAME", rich_help_panel=_PANEL, help="Again for several. Left out: all."),
]
List = Annotated[bool, typer.Option("--list", help="The units with what they check; nothing runs.")]
All = Annotated[bool, typer.Option("--all", help="Also what could not be asked, and why.")]


def conformance(
    library: Library = None,
    method: Methods = None,
    unit: Units = None,
    listed: List = False,
    everything: All = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """Put methods through small networks whose right answer is known exactly.

    A method fails by design where its card excepts the property, with the reason. Exit code 1 if one fails otherwise.

    [dim]seewhy conformance --library captum --json[/dim]
    """
    from seewhy.conformance import run

    if listed:
        return _list(json)
    with quiet_warnings(True), bars(quiet) as bar:
        found = run(method or None, unit or None, library, progress=bar)
    if json:
        as_json(found.to_dict())
    else:
        _print(found, everything)
    return 1 if found.failures else 0


def _list(json: bool) -> int:
    from seewhy.conformance import units

    if json:
        as_json({"units": [asdict(each.card) for each in units]})
        return 0
    shown = table("unit", "property", "checks")
    for each in units:
        shown.add_row(each.name, each.card.property, escape(each.card.checks))
    console().print(shown)
    return 0


def _print(found: Conformance, everything: bool) -> None:
    out = console()
    out.print(", ".join(f"{name} {version}" for name, version in found.versions.items()), highlight=False)
    shown = table("method", "passed", "by design", "failed", "not asked")
    for name in dict.fromkeys(row.method for row in found.pairs):
        own = [row.outcome for row in found.pairs if row.method == name]
        counts = [own.count(outcome) for outcome in ("passed", "failed by design", "failed", "not applicable")]
        shown.add_row(name, *map(str, counts))
    out.print(shown)
    said = [row for row in found.pairs if row.outcome == "failed" or (everything and row.outcome != "passed")]
    for row in said:
        why = f" ({row.reason})" if row.reason else ""
        out.print(escape(f"{row.method}, {row.unit}: {row.outcome}: {row.found}{why}"), highlight=False, soft_wrap=True)
