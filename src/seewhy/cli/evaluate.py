"""``seewhy evaluate-model``: takes a data set with its classes, gives how often a model is right, and where not."""

from __future__ import annotations

import math
from typing import Annotated

import typer
from rich.markup import escape

from seewhy.cli import options as o
from seewhy.cli.bundles import DataOptions, ModelOptions, OutputOptions, bundled
from seewhy.cli.console import bars, complain, quiet_warnings
from seewhy.cli.option_words import in_options
from seewhy.cli.reporting import checked, write_report
from seewhy.cli.show import as_json
from seewhy.cli.tables import console, table
from seewhy.errors import CapabilityError

__all__ = ["evaluate_model"]

#: rows of the table of classes that are printed; the CSV has all
_SHOWN = 40


@bundled
def evaluate_model(
    data: o.Data,
    curves: Annotated[
        str | None,
        typer.Option(
            "--curves",
            metavar="FILE",
            help="A training's CSV (epoch,loss,val_loss..., Keras' or Lightning's), drawn beside the matrix.",
        ),
    ] = None,
    report: o.Report = None,
    *,
    pictures: DataOptions,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Count how often a model is right: accuracy, precision and recall of each class, confusion matrix.

    Writes the matrix as a picture and the classes as CSV; --json has every mistake. The same command goes on where one
    that was interrupted ended.

    [dim]seewhy evaluate-model photos --model torchvision:resnet50[/dim]
    """
    from seewhy.api.evaluating import evaluate_model as evaluate
    from seewhy.reports import Folder

    page = checked(report, force=output.force)
    files = Folder(output.out, force=output.force)
    with quiet_warnings(output.quiet), bars(output.quiet) as bar:
        model = source.load()
        evaluation = evaluate(model, data, curves=curves, keep=output.out, progress=bar, **pictures.told)
    for reason in (*evaluation.notes, *evaluation.failed):
        complain(in_options(reason))
    if evaluation.curves is not None and not output.quiet:
        for note in evaluation.curves.notes:
            complain(f"{evaluation.curves.name}: {note}")
    paths = [evaluation.save(files.free("classes", "csv"), force=True)]
    try:
        paths.append(evaluation.save(files.free("confusion", "png"), force=True))
    except CapabilityError as error:
        if not output.quiet:
            complain(in_options(str(error)))
    if page is not None:
        paths.append(write_report(evaluation, page, model=model))
    if output.json:
        as_json({**evaluation.to_dict(), "files": [str(path) for path in paths]})
        return 1 if evaluation.failed else 0
    shown = table("class", "label", "support", "precision", "recall", "f1")
    for row in evaluation.table()[:_SHOWN]:
        numbers = ["-" if row[name] != row[name] else f"{row[name]:.2f}" for name in ("precision", "recall", "f1")]
        shown.add_row(str(row["class"]), escape(row["label"]), str(row["support"]), *numbers)
    console().print(shown)
    numbers_ = evaluation.numbers
    top5 = "" if math.isnan(numbers_.top5) else f"top 5 {numbers_.top5:.1%}, "
    typer.echo(
        f"{numbers_.accuracy:.1%} of {numbers_.count} right, {top5}"
        f"balanced {numbers_.balanced_accuracy:.1%}, macro F1 {numbers_.macro_f1:.2f}, "
        f"mean confidence {numbers_.confidence:.1%}, calibration error {numbers_.calibration_error:.1%}"
    )
    for truth, said, count in numbers_.mixed_up(5):
        typer.echo(f"  {count} x {evaluation.label(truth)!r} called {evaluation.label(said)!r}")
    if evaluation.curves is not None and (best := evaluation.curves.lowest_loss()) is not None:
        typer.echo(f"lowest {best[0]}: {best[2]:.4g} at {evaluation.curves.axis} {best[1]:g}, {evaluation.curves.name}")
    for path in paths:
        typer.echo(f"    {path}")
    return 1 if evaluation.failed else 0
