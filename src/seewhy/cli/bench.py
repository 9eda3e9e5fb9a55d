"""``seewhy bench``: takes a model, gives what its maps cost beside a bare forward pass and beside other libraries."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from seewhy.cli import options as o
from seewhy.cli.bundles import ModelOptions, bundled
from seewhy.cli.console import bars, quiet_warnings
from seewhy.cli.pairs import settings_of
from seewhy.cli.show import as_json
from seewhy.cli.tables import console, table
from seewhy.errors import UsageError

if TYPE_CHECKING:
    from seewhy.api.bench.result import Bench
    from seewhy.reports import Folder

__all__ = ["bench"]

_PANEL = "The question"
Target = Annotated[
    str | None,
    typer.Option("--target", "-t", metavar="CLASS", rich_help_panel=_PANEL, help="Left out: the top class."),
]
Layer = Annotated[
    str | None,
    typer.Option("--layer", "-l", metavar="NAME", rich_help_panel=_PANEL, help="Of CAMs. Left out: chosen."),
]
Rounds = Annotated[
    int, typer.Option("--rounds", metavar="N", rich_help_panel="The run", help="Everybody runs once in each.")
]
Seconds = Annotated[
    float,
    typer.Option("--seconds", metavar="N", rich_help_panel="The run", help="A method; then no further round."),
]
Peers = Annotated[
    bool, typer.Option("--peers/--no-peers", rich_help_panel="The run", help="Other libraries that are installed too.")
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FOLDER", rich_help_panel="The run", help="Write the table there, as Markdown and JSON."
    ),
]


@bundled
def bench(
    photo: Annotated[
        str | None, typer.Argument(metavar="[PHOTO]", help="What is explained. Left out: a photo that comes along.")
    ] = None,
    method: o.Methods = None,
    target: Target = None,
    layer: Layer = None,
    pairs: o.Set = None,
    rounds: Rounds = 5,
    seconds: Seconds = 20.0,
    peers: Peers = True,
    out: Out = None,
    *,
    source: ModelOptions,
    force: o.Force = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """Time a model's maps: in seconds, in forward passes, eager and prepared, beside other libraries.

    Exit code 1 if no method ran.

    [dim]seewhy bench --model torchvision:resnet50 --weights random --method grad-cam[/dim]
    """
    # a mistyped number is refused before torch is imported
    for name, value in (("--rounds", rounds), ("--seconds", seconds)):
        if not value > 0:
            raise UsageError(f"{name} {value:g}: a number above 0, as in {name} 5")
    from seewhy.api.bench.running import bench as run
    from seewhy.reports import Folder

    settings = settings_of(pairs or [], _defaults(method))
    folder = None if out is None else Folder(out, force=force)
    with quiet_warnings(True), bars(quiet) as bar:
        timings = run(
            source.load(), photo, method, target=target, layer=layer, settings=settings, rounds=rounds,
            seconds=seconds, peers=peers, progress=bar,
        )  # fmt: skip
    files = [] if folder is None else _write(timings, folder)
    if json:
        as_json(timings.to_dict() | {"files": [str(path) for path in files]})
    else:
        _print(timings)
        for path in files:
            typer.echo(f"    {path}")
    return 1 if all(timed.failure for timed in timings.methods) else 0


def _defaults(names: list[str] | None) -> dict[str, object]:
    """The parameters of all methods that are named; raises `UnknownName` for one that there is not."""
    import seewhy.methods  # noqa: F401 - fills the registry
    from seewhy.registry import methods as registry

    return {key: value for name in names or [] for key, value in registry[name].parameters.items()}


def _write(timings: Bench, folder: Folder) -> list[Path]:
    import json

    from seewhy.render import write_bytes

    texts = timings.markdown(), json.dumps(timings.to_dict(), indent=2, allow_nan=False)
    paths = folder.all_free("bench", ["md", "json"])
    return [write_bytes(text.encode(), path, force=True) for path, text in zip(paths, texts, strict=True)]


def _print(timings: Bench) -> None:
    out = console()
    facts = {"model": timings.model, **timings.facts}
    for on in ("eager", "prepared"):
        if (forward := timings.forward(on)) == forward:
            facts[f"forward, {on}"] = f"{1000 * forward:.3g} ms"
    facts |= {f"preparation, {name}": words for name, words in timings.preparation.items()}
    facts |= timings.missing
    width = max(len(name) for name in facts)
    for name, words in facts.items():
        out.print(f"[bold]{name:{width}}[/bold]  {escape(words)}", highlight=False)
    out.print()
    shown = table("method", "passes", "who", "time", "forwards", "against ours", "result")
    for row in timings.rows():
        shown.add_row(*map(escape, row))
    out.print(shown)
