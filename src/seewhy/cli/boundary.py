"""``seewhy boundary``: takes a data set with its classes, gives a chart of where a model draws its lines."""

from __future__ import annotations

from typing import Annotated

import typer

from seewhy.cli import options as o
from seewhy.cli.bundles import DataOptions, ModelOptions, OutputOptions, bundled
from seewhy.cli.console import bars, complain, quiet_warnings
from seewhy.cli.show import as_json
from seewhy.errors import UsageError, nearest, on_a_line

__all__ = ["boundary"]

_PANEL, _PICTURES = "The question", "The pictures"
_FORMATS = ("png", "jpg", "svg")
Layer = Annotated[
    str | None,
    typer.Option(
        "--layer", "-l", metavar="NAME", rich_help_panel=_PANEL,
        help="Whose mean over positions is shown. Left out: what the last linear layer reads.",
    ),
]  # fmt: skip
Projection = Annotated[
    str,
    typer.Option(
        "--projection", metavar="HOW", rich_help_panel=_PANEL,
        help="pca (the plane of the first two components) or umap (extra umap).",
    ),
]  # fmt: skip
Regions = Annotated[
    str,
    typer.Option(
        "--regions", metavar="HOW", rich_help_panel=_PANEL,
        help="What colours the plane: head (the model's last layer) or neighbours (the nearest photos' answers).",
    ),
]  # fmt: skip
Seed = Annotated[int, typer.Option("--seed", metavar="N", rich_help_panel=_PANEL, help="Of umap, drawn by chance.")]
Worst = Annotated[
    int,
    typer.Option(
        "--worst",
        metavar="N",
        rich_help_panel=_PICTURES,
        help="Mistakes told, the surest first; eight of them are drawn.",
    ),
]
Kind = Annotated[
    list[str] | None,
    typer.Option(
        "--format", metavar="KIND", rich_help_panel=_PICTURES, help="png (the default), jpg or svg; repeatable."
    ),
]


@bundled
def boundary(
    data: o.Data,
    layer: Layer = None,
    projection: Projection = "pca",
    regions: Regions = "head",
    seed: Seed = 0,
    worst: Worst = 8,
    format_: Kind = None,
    *,
    pictures: DataOptions,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Show where a model draws its lines: photos in two dimensions over the class it has there, mistakes ringed.

    Writes the chart, and the photos' places as CSV; --json has them all, too.

    [dim]seewhy boundary photos --model keras:digits.keras[/dim]
    """
    from seewhy.api.boundaries import boundary as boundary_of
    from seewhy.reports import Folder

    kinds = list(dict.fromkeys(kind.lower().lstrip(".") for kind in format_ or ["png"]))
    for kind in kinds:
        if kind not in _FORMATS:
            close = nearest(kind, _FORMATS)
            hint = f"nearest: {close[0]}; " if close else ""
            raise UsageError(f"--format {kind}: no such thing; {hint}one of {', '.join(_FORMATS)}")
    files = Folder(output.out, force=output.force)
    with quiet_warnings(output.quiet), bars(output.quiet) as bar:
        found = boundary_of(
            source.load(), data, layer=layer, projection=projection, regions=regions, worst=worst, seed=seed,
            progress=bar, **pictures.told,
        )  # fmt: skip
        paths = [found.save(path, force=True) for path in files.all_free("boundary", [*kinds, "csv"])]
    for reason in found.failed:
        complain(reason)
    if output.json:
        as_json({**found.to_dict(), "files": [str(path) for path in paths]})
        return 1 if found.failed else 0
    rule = "the last linear layer's answers" if found.region_rule == "head" else "the nearest photos' answers"
    held = "" if found.shares is None else f"{sum(found.shares):.1%} of the features' variance, "
    lines = [
        f"{found.model}: {len(found)} photos, {found.accuracy:.1%} right; {found.layer}",
        f"{found.projection}: {held}coloured by {rule}, the model's own for {found.agreement:.1%} of the photos",
        *(f"  note: {note}" for note in found.notes),
        *(f"  {found.names[int(tile.index or 0)]}: {', '.join(tile.title)}" for tile in found.worst),
        *(f"    {path}" for path in paths),
    ]
    typer.echo("\n".join(on_a_line(line) for line in lines))
    return 1 if found.failed else 0
