"""``seewhy audit``: takes a data set and a model, gives what besides the object makes it say a class, proved."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Any

import typer

from seewhy.cli import options as o
from seewhy.cli.bundles import DataOptions, ModelOptions, OutputOptions, bundled
from seewhy.cli.console import bars, quiet_warnings
from seewhy.cli.option_words import complain_of
from seewhy.cli.reporting import checked, write_report
from seewhy.cli.show import as_json

__all__ = ["audit"]

_QUESTION = "The question"
#: options that are no method's own
_OWN = ("masks", "against", "class", "pictures", "method", "seed", "out")


def _option(*names: str, help: str, show: str | None = None) -> Any:
    return typer.Option(*names, metavar=show, help=help, rich_help_panel=_QUESTION)


@bundled
def audit(
    data: o.Data,
    masks: Annotated[
        str | None,
        _option("--masks", show="DIR", help="Where objects are: PNG masks, Pascal VOC's XML, or a COCO JSON."),
    ] = None,
    against: Annotated[
        str | None,
        _option(
            "--against",
            show="SPEC",
            help="Another model, or a folder of seewhy repair, tried by the same cues on the same pictures.",
        ),
    ] = None,
    against_weights: Annotated[
        str, _option("--against-weights", show="FILE", help="Of the other model, as --weights.")
    ] = "auto",
    class_: Annotated[
        list[str] | None,
        _option("--class", show="CLASS", help="Audit this class alone; repeatable. Left out: all with enough."),
    ] = None,
    pictures_: Annotated[
        int, _option("--pictures", show="N", help="Of each class at most: half propose cues, half decide.")
    ] = 200,
    method: Annotated[
        str, _option("--method", "-M", show="NAME", help="Whose maps show where evidence is: one of seewhy methods.")
    ] = "grad-cam",
    seed: Annotated[int, _option("--seed", show="N", help="Of all that is drawn by chance.")] = 0,
    prepare: o.Prepare = "auto",
    report: o.Report = None,
    *,
    pictures: DataOptions,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Find what, besides the object, makes a model say a class, and prove it by pasting and removing it.

    SOURCE may be a folder of seewhy run. Writes audit.md, audit.json, pictures of what was found, and cues.npz, which
    seewhy repair reads. The same command goes on where one that was interrupted ended.

    [dim]seewhy audit photos --model torchvision:resnet50 --out audit[/dim]
    """
    from seewhy.api.auditing.running import audit as look
    from seewhy.api.repairing.again import is_repair, mended

    page = checked(report, force=output.force)
    with quiet_warnings(output.quiet), bars(output.quiet) as bar:
        model = source.load()
        other = None
        if against is not None and is_repair(against):
            other = mended(model, against)
        elif against is not None:
            other = replace(source, model=against, weights=against_weights, save_model=None).load()
        found = look(
            model, data, masks=masks, against=other, classes=class_, pictures=pictures_, method=method,
            seed=seed, keep=output.out, prepare=prepare, progress=bar, **pictures.told,
        )  # fmt: skip
    place = found.save(output.out)
    told = {} if page is None else {"report": str(write_report(found, page, model=model))}
    complain_of(found.failed, found.notes, _OWN, quiet=output.quiet)
    if output.json:
        as_json({**found.to_dict(), "out": str(place), **told})
    else:
        for line in found.sentences():
            typer.echo(line)
        for file in (place, *told.values()):
            typer.echo(f"    {file}")
    return 1 if found.failed else 0
