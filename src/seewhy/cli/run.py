"""``seewhy run``: takes a data set and a question, gives a folder of maps with an index, and words on how far it is."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seewhy.cli import options as o
from seewhy.cli.bundles import DataOptions, ModelOptions, QuestionOptions, bundled
from seewhy.cli.console import bars, complain, duration, quiet_warnings
from seewhy.cli.photo_run import INTERRUPTED
from seewhy.cli.reporting import checked, write_report
from seewhy.cli.show import as_json
from seewhy.cli.words import request_of
from seewhy.errors import ImageError, UsageError

if TYPE_CHECKING:
    from seewhy.api.data_sets.running import Begun, Estimate
    from seewhy.runs.opened import Run

__all__ = ["run"]

#: rows without a map that are told one by one
_SAID = 5


@bundled
def run(
    data: o.Data,
    method: o.Methods = None,
    *,
    question: QuestionOptions,
    fuse: o.Fuse = None,
    trust: o.Trust = False,
    no_cache: o.NoCache = False,
    pictures: DataOptions,
    source: ModelOptions,
    out: Annotated[
        str, typer.Option("--out", "-o", metavar="DEST", help="Where the run lies, a folder or a URL; made if missing.")
    ],
    dtype: Annotated[
        str, typer.Option("--dtype", metavar="TYPE", help="What maps are kept as: float32 or float16.")
    ] = "float32",
    frames: Annotated[
        int | None, typer.Option("--frames", metavar="N", help="Of a film so many frames, evenly spaced.")
    ] = None,
    every: Annotated[int | None, typer.Option("--every", metavar="N", help="Of a film each N-th frame.")] = None,
    unit: Annotated[int, typer.Option("--unit", metavar="N", help="Pictures that are done at a time.")] = 64,
    units: Annotated[
        str | None, typer.Option("--units", metavar="A:B", help="A share of the units, for several machines.")
    ] = None,
    retry_failed: Annotated[
        bool,
        typer.Option(
            "--retry-failed", help="Do units again that hold pictures without a map, or whose files are damaged."
        ),
    ] = False,
    max_hours: Annotated[
        float | None, typer.Option("--max-hours", metavar="H", help="End after the unit in which this time is over.")
    ] = None,
    readers: Annotated[int, typer.Option("--readers", metavar="N", help="Threads that read ahead.")] = 2,
    draft: Annotated[
        bool,
        typer.Option(
            "--draft/--no-draft",
            help="Decode large JPEGs at a fraction of their size, if none of "
            "the first ones is called something else then.",
        ),
    ] = True,
    executor: Annotated[
        str, typer.Option("--executor", metavar="NAME", help="Who does the units: local, or ray.")
    ] = "local",
    ray_address: Annotated[
        str | None, typer.Option("--ray-address", metavar="ADDRESS", help="A cluster; one is begun here without.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Tell what it would take, and write nothing.")] = False,
    report: o.Report = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the report, if it is there already.")] = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """Explain a whole data set: maps and an index in one folder, gone on with by the same command.

    [dim]seewhy run photos --out maps -M grad-cam --model torchvision:resnet50[/dim]
    """
    from seewhy.api.data_sets.running import begin, elsewhere_of
    from seewhy.runs.manifest import FILE
    from seewhy.runs.opened import open_run
    from seewhy.runs.store import store_at
    from seewhy.runs.walking import Stop

    if report is not None and dry_run:
        raise UsageError("--dry-run writes nothing, and no --report: leave one of them out")
    page = checked(report, force=force)
    request = replace(request_of(method or ["grad-cam"], question, fuse), trust=trust, cache=not no_cache)
    share, stop = _share(units), Stop()
    told = {**pictures.told, "frames": frames, "every": every}
    if max_hours is not None:
        stop.within(max_hours)
    with quiet_warnings(quiet), bars(quiet) as bar, tempfile.TemporaryDirectory() as nowhere:
        place = nowhere if dry_run and store_at(out).size(FILE) < 0 else out

        def start() -> Begun:
            return begin(source.load(), data, place, request, dtype=dtype, unit=unit, draft=draft, told=told)

        elsewhere = elsewhere_of(executor, ray_address, start, readers)
        begun = start()
        for note in begun.source.notes:
            complain(note)
        if dry_run:
            return _told(begun, begun.estimate(share), json=json)
        begun.work(share, stop, bar, retry_failed=retry_failed, readers=readers, elsewhere=elsewhere)
    made = open_run(out)
    written = {}
    if page is not None and not stop.why:
        with quiet_warnings(quiet):
            written = {"report": str(write_report(made, page, model=begun.asker.model, source=begun.source))}
    if json:
        as_json(_document(made, stop.why) | written)
    elif not quiet:
        typer.echo("\n".join([_words(made), *(f"    {file}" for file in written.values())]))
    for row in _failed(made) if made.failed and not quiet else ():
        complain(row)
    if stop.why:
        complain(f"ended early, {stop.why}: the same command goes on at unit {_next(made)} of {made.manifest.units}")
        return INTERRUPTED
    if made.failed:
        return ImageError.exit_code if made.failed == made.manifest.count else 1
    return 0


def _share(typed: str | None) -> range | None:
    if typed is None:
        return None
    start, colon, stop = typed.partition(":")
    if not (colon and start.isdecimal() and stop.isdecimal()):
        raise UsageError(f"--units {typed}: the first and the one behind the last, counted from 0, as in --units 0:100")
    return range(int(start), int(stop))


def _told(begun: Begun, takes: Estimate, *, json: bool) -> int:
    """Tell what a run would take."""
    if json:
        as_json(vars(takes) | {"units_of_run": begun.manifest.units})
        return 0
    typer.echo(
        f"{takes.count:,} pictures, {takes.count - takes.pictures:,} of them done; {takes.pictures:,} to do in "
        f"{takes.units:,} units: about {duration(takes.seconds)}, {takes.forwards:,} samples forward, "
        f"{takes.backwards:,} backward, {_bytes(takes.bytes)} of maps"
    )
    return 0


def _bytes(count: float) -> str:
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"


def _words(made: Run) -> str:
    done = sum(marker.entries for marker in made.markers)
    lines = [f"{made.place}: {len(made) - made.failed:,} maps of {done - made.failed:,} pictures"]
    if made.failed:
        lines[0] += f", {made.failed:,} without one"
    if not made.complete:
        lines[0] += f"; {len(made.markers)} of {made.manifest.units} units"
    return "\n".join(lines)


def _failed(made: Run) -> list[str]:
    """The first pictures that have no map, each with the reason."""
    table = made.table(["path", "status", "reason"]).to_pylist()
    failed = [row for row in table if row["status"] == "failed"]
    more = [f"and {len(failed) - _SAID:,} more: their rows have the status 'failed'"] if len(failed) > _SAID else []
    return [*(row["reason"] for row in failed[:_SAID]), *more]


def _next(made: Run) -> int:
    done = {marker.unit for marker in made.markers}
    return next((number for number in range(made.manifest.units) if number not in done), made.manifest.units)


def _document(made: Run, ended: str) -> dict[str, Any]:
    return {
        "run": made.place,
        "complete": made.complete,
        "pictures": made.manifest.count,
        "units": made.manifest.units,
        "units_done": len(made.markers),
        "rows": len(made),
        "failed": made.failed,
        "ended": ended or None,
    }
