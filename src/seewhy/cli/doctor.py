"""``seewhy doctor``: takes a model, gives what is the matter with it in plain words, with the fix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from seewhy.cli import options as o
from seewhy.cli.bundles import ModelOptions, bundled
from seewhy.cli.console import bars, quiet_warnings
from seewhy.cli.reporting import checked, write_report
from seewhy.cli.show import as_json
from seewhy.cli.tables import console, table
from seewhy.errors import CapabilityError

if TYPE_CHECKING:
    from seewhy.explanation import Diagnosis, MethodCheck

__all__ = ["doctor"]


@bundled
def doctor(
    photo: Annotated[
        str | None, typer.Argument(metavar="[PHOTO]", help="What to try it on. Left out: a photo that comes along.")
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", "-M", metavar="NAME", help="Try only this; repeatable; none tries none."),
    ] = None,
    grid: Annotated[
        Path | None,
        typer.Option("--grid", metavar="FILE.png", help="Write a picture of how the grid of the layer was proved."),
    ] = None,
    *,
    source: ModelOptions,
    report: o.Report = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the report, if it is there already.")] = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """Examine a model: what is the matter with it and what to do, which methods work, what a map costs here.

    Exit code 1 if anything is worse than a note.

    [dim]seewhy doctor --model torchvision:resnet18 --weights random[/dim]
    """
    from seewhy.api.doctoring import diagnose

    page = checked(report, force=force)
    chosen = None if method is None else [] if method == ["none"] else method
    with quiet_warnings(True), bars(quiet) as bar:
        model = source.load()
        diagnosis = diagnose(model, photo, methods=chosen, progress=bar)
    if grid is not None:
        if diagnosis.grid is None:
            raise CapabilityError("--grid: there is no layer whose grid could be proved; seewhy doctor says why")
        diagnosis.grid.save(grid)
    written = {} if page is None else {"report": str(write_report(diagnosis, page, model=model))}
    if json:
        as_json(diagnosis.to_dict() | written)
    else:
        _print(diagnosis)
        for file in written.values():
            typer.echo(f"    {file}")
    return 0 if diagnosis.healthy else 1


def _print(diagnosis: Diagnosis) -> None:
    out = console()
    width = max(len(name) for name in diagnosis.facts)
    for name, words in diagnosis.facts.items():
        out.print(f"[bold]{name:{width}}[/bold]  {escape(words)}", highlight=False)
    out.print()
    colours = {"error": "red", "warning": "yellow", "note": "cyan"}
    for finding in diagnosis.findings:
        colour = colours[finding.severity]
        out.print(
            f"[{colour}]{finding.severity}[/{colour}] [bold]{finding.code}[/bold]: {escape(finding.words)}",
            highlight=False,
        )
        out.print(f"    {escape(finding.fix)}", highlight=False)
    if not diagnosis.findings:
        out.print("nothing is the matter")
    if diagnosis.methods:
        out.print()
        shown = table("method", "family", "works", "a map takes")
        for check in diagnosis.methods:
            shown.add_row(check.name, check.family, "yes" if check.works else "no", escape(_cost(check)))
        out.print(shown)


def _cost(check: MethodCheck) -> str:
    if not check.works:
        return check.reason
    seconds = check.seconds or 0.0
    said = f"{seconds:.2g} s" if seconds < 100 else f"{seconds / 60:.0f} min"
    return f"{said}, {check.forwards} forward, {check.backwards} backward" if check.whole else f"about {said}"
