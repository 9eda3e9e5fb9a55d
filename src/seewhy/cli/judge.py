"""``seewhy evaluate`` and ``seewhy recommend``: takes photos, methods and metrics, gives how methods do, and which to
use."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from seewhy.cli import options as o
from seewhy.cli.bundles import DataOptions, ModelOptions, OutputOptions, bundled
from seewhy.cli.console import bars, complain, quiet_warnings
from seewhy.cli.option_words import complain_of, in_options
from seewhy.cli.reporting import checked, write_report
from seewhy.cli.show import as_json
from seewhy.cli.tables import console, table
from seewhy.errors import CapabilityError

if TYPE_CHECKING:
    from seewhy.api.judging.counting import Standing
    from seewhy.api.judging.ranking import Ranking
    from seewhy.api.judging.recommending import Recommendation

__all__ = ["evaluate", "recommend"]

_QUESTION = "The question"
#: arguments that are options of these commands, as lines may name them
_OWN = ("masks", "grid", "sure", "budget", "layers", "photos", "mosaics", "metric")


def _option(*names: str, help: str, show: str | None = None) -> Any:
    return typer.Option(*names, metavar=show, help=help, rich_help_panel=_QUESTION)


Compared = Annotated[
    list[str] | None,
    _option(
        "--method", "-M", show="NAME", help="One of seewhy methods, with a layer as in grad-cam@layer3; repeatable."
    ),
]
Judged = Annotated[
    list[str] | None,
    _option("--metric", show="NAME", help="One of seewhy metrics; repeatable. Left out: srg, insertion, deletion."),
]
MasksDir = Annotated[
    str | None,
    _option("--masks", show="DIR", help="PNG masks or Pascal VOC's XML called as the photos, or a COCO JSON."),
]
Grid = Annotated[
    int | None, _option("--grid", show="N", help="Mosaics of N x N photos that the model is sure of: 2 or 3.")
]
Mosaics = Annotated[int | None, _option("--mosaics", show="N", help="How many, with --grid; 100 unless given.")]
Shrink = Annotated[bool, _option("--shrink", help="Mosaics as large as one photo, with --grid; faster, and coarser.")]
Sure = Annotated[
    float | None,
    _option("--sure", show="P", help="How sure the model is at least of photos in mosaics; 0.9 unless given."),
]
Target = Annotated[str, _option("--target", "-t", show="WHICH", help="What is explained: top, or truth.")]
Score = Annotated[
    str, _option("--score", show="WHICH", help="What changed photos are judged by: logit, or probability.")
]
Photos = Annotated[int | None, _option("--photos", show="N", help="Take so many of the source, drawn from --seed.")]
Few = Annotated[int, _option("--photos", show="N", help="Take so many of the source, drawn from --seed.")]
Controls = Annotated[int, _option("--controls", show="N", help="Random maps that each map is held against.")]
Untrained = Annotated[
    bool,
    _option(
        "--untrained/--no-untrained",
        help="Hold maps against those of the model with its weights in another order, which doubles the passes.",
    ),
]
Steps = Annotated[int, _option("--steps", show="N", help="Of metrics that go in steps; more are finer and dearer.")]
Seed = Annotated[int, _option("--seed", show="N", help="Of all that is drawn by chance.")]
Layers = Annotated[int, _option("--layers", show="N", help="Earlier layers that class activation maps are tried at.")]
Budget = Annotated[int, _option("--budget", show="N", help="Passes that a map may take; a backward is two.")]
By = Annotated[str, _option("--metric", show="NAME", help="What the best is the best by.")]


@bundled
def evaluate(
    data: o.Data,
    method: Compared = None,
    metric: Judged = None,
    masks: MasksDir = None,
    grid: Grid = None,
    mosaics: Mosaics = None,
    shrink: Shrink = False,
    sure: Sure = None,
    target: Target = "top",
    score: Score = "logit",
    photos: Photos = None,
    controls: Controls = 20,
    untrained: Untrained = True,
    steps: Steps = 10,
    fill: o.Fill = None,
    pairs: o.Set = None,
    seed: Seed = 0,
    prepare: o.Prepare = "auto",
    report: o.Report = None,
    *,
    pictures: DataOptions,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Compare methods by metrics over photos: every number beside those of maps that know nothing.

    Writes the tables as Markdown, a chart and JSON with all numbers. The same command goes on where one that was
    interrupted ended.

    [dim]seewhy evaluate photos -M grad-cam -M saliency --photos 50[/dim]
    """
    import seewhy.methods  # noqa: F401 - fills the registry
    from seewhy.api.judging.asked import DEFAULT_METHODS
    from seewhy.api.judging.running import evaluate as judge
    from seewhy.cli.pairs import settings_of, value_of
    from seewhy.registry import methods as registry
    from seewhy.reports import Folder

    page = checked(report, force=output.force)
    files = Folder(output.out, force=output.force)
    names = list(method or DEFAULT_METHODS)
    defaults = {key: value for name in names for key, value in registry[name.partition("@")[0]].parameters.items()}
    own = settings_of(pairs or [], defaults)
    with quiet_warnings(output.quiet), bars(output.quiet) as bar:
        model = source.load()
        ranking = judge(
            model, data, names, metric, masks=masks, grid=grid, mosaics=mosaics, shrink=shrink, sure=sure,
            target=target, score=score, photos=photos, controls=controls, untrained=untrained, steps=steps,
            fill=None if fill is None else value_of(fill), seed=seed, keep=output.out, prepare=prepare, progress=bar,
            **pictures.told, **own,
        )  # fmt: skip
    return _told(ranking, ranking, files, output, page, model)


@bundled
def recommend(
    data: o.Data,
    method: Compared = None,
    metric: By = "srg",
    photos: Few = 12,
    layers: Layers = 2,
    budget: Budget = 100,
    controls: Controls = 20,
    steps: Steps = 5,
    seed: Seed = 0,
    prepare: o.Prepare = "auto",
    report: o.Report = None,
    *,
    pictures: DataOptions,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Say which method, and layer, to use with a model: the cheapest that does as well as the best.

    Writes the tables as Markdown, a chart and JSON. The same command goes on where one that was interrupted ended.

    [dim]seewhy recommend photos --model torchvision:resnet50[/dim]
    """
    from seewhy.api.judging.recommending import recommend as choose
    from seewhy.reports import Folder

    page = checked(report, force=output.force)
    files = Folder(output.out, force=output.force)
    with quiet_warnings(output.quiet), bars(output.quiet) as bar:
        model = source.load()
        found = choose(
            model, data, method, metric=metric, photos=photos, layers=layers, budget=budget, controls=controls,
            steps=steps, seed=seed, keep=output.out, prepare=prepare, progress=bar, **pictures.told,
        )  # fmt: skip
    return _told(found, found.ranking, files, output, page, model)


def _told(
    found: Ranking | Recommendation, ranking: Ranking, files: Any, output: OutputOptions, page: Path | None, model: Any
) -> int:
    """Save and tell; gives the exit code."""
    stem = "evaluation" if found is ranking else "recommendation"
    paths: list[Path] = [found.save(files.free(stem, kind), force=True) for kind in ("md", "json")]
    try:
        paths.append(found.save(files.free(stem, "png"), force=True))
    except CapabilityError as error:
        if not output.quiet:
            complain(in_options(str(error)))
    if page is not None:
        paths.append(write_report(found, page, model=model))
    complain_of(ranking.failed, ranking.notes, _OWN, quiet=output.quiet)
    if output.json:
        as_json({**found.to_dict(), "files": [str(path) for path in paths]})
        return 1 if ranking.failed else 0
    if found is ranking:
        for metric in ranking.metrics:
            better = f", {metric.card.better} is better" if metric.card.better else ""
            typer.echo(f"{metric.name}{better}: {ranking.verdicts[metric.name]}")
            _print(ranking.standings(metric.name), {})
    else:
        _tell(found)  # type: ignore[arg-type]
    for path in paths:
        typer.echo(f"    {path}")
    return 1 if ranking.failed else 0


def _tell(found: Recommendation) -> None:
    at = f" at {found.layer}" if found.layer else ""
    typer.echo(f"{found.method}{at}: {in_options(found.why, _OWN)}")
    _print(found.rows, dict.fromkeys(found.near, "as good as the best"))
    for name, other in found.same.items():
        typer.echo(f"  {name} draws the maps of {other} here")
    for name, why in found.not_tried.items():
        typer.echo(f"  {name} was not tried: {in_options(why, _OWN)}")


#: columns of a terminal that hold the whole table, and what is left out of a narrower one
_WIDE, _LESS = 130, ("edge map", "bump", "untrained", "rank <= .05", "images", "passes")


def _print(rows: list[Standing], said: dict[str, str]) -> None:
    """A line for each method; on a narrow terminal the columns that say most, the rest is in the files."""
    columns = {
        "method": [escape(row.method) for row in rows],
        "": [row.group for row in rows],
        "mean": [_figure(row.mean) for row in rows],
        "95 %": [f"{row.low:.3g} to {row.high:.3g}" if math.isfinite(row.low) else "-" for row in rows],
        "random maps": [_figure(row.random) for row in rows],
        "edge map": [_figure(row.edge) for row in rows],
        "bump": [_figure(row.bump) for row in rows],
        "untrained": [_figure(row.untrained) for row in rows],
        "mean rank": [_figure(row.rank) for row in rows],
        "rank <= .05": ["-" if math.isnan(row.beats) else f"{row.beats:.0%}" for row in rows],
        "images": [str(row.count) for row in rows],
        "passes": [_figure(row.passes) for row in rows],
        " ": [said.get(row.method, "") for row in rows] if said else [],
    }
    page = console()
    shown = [name for name, cells in columns.items() if cells and (page.width >= _WIDE or name not in _LESS)]
    drawn = table(*shown)
    drawn.columns[0].no_wrap = True
    drawn.columns[-1].no_wrap = bool(said)
    for cells in zip(*(columns[name] for name in shown), strict=True):
        drawn.add_row(*cells)
    page.print(drawn)


def _figure(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.3g}"
