"""``seewhy repair``: takes what an audit proved and training pictures, gives a mended part of the model, or what a
training takes to mend it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seewhy.cli import options as o
from seewhy.cli.bundles import DataOptions, ModelOptions, OutputOptions, bundled
from seewhy.cli.console import bars, quiet_warnings
from seewhy.cli.option_words import complain_of
from seewhy.cli.reporting import checked, write_report
from seewhy.cli.show import as_json
from seewhy.errors import SeewhyError, UsageError, on_a_line

if TYPE_CHECKING:
    from seewhy.models import Model

__all__ = ["repair"]

_QUESTION = "The question"
#: arguments that are options of this command, as lines may name them
_OWN = ("audit", "train", "how", "held", "masks", "pictures", "out", "force", "seed", "layer")


def _option(*names: str, help: str, show: str | None = None) -> Any:
    return typer.Option(*names, metavar=show, help=help, rich_help_panel=_QUESTION)


AuditFolder = Annotated[str, typer.Argument(metavar="AUDIT", help="The folder that seewhy audit has written.")]
Train = Annotated[
    str, _option("--train", show="SOURCE", help="Training pictures with their classes, as for the audit.")
]
How = Annotated[
    str,
    _option(
        "--how", show="WAY",
        help="head (the last layer fitted again), project (the cue taken out of a layer), data (a counterfactual "
        "training folder) or loss (masks for your own training).",
    ),
]  # fmt: skip
Layer = Annotated[str | None, _option("--layer", show="NAME", help="Of --how project; seewhy layers lists all.")]
Held = Annotated[
    str | None,
    _option(
        "--held", show="SOURCE",
        help="Pictures that prove it. Left out: the audit's own, or a quarter of the training pictures.",
    ),
]  # fmt: skip
MasksDir = Annotated[str | None, _option("--masks", show="DIR", help="Where objects are, as for the audit.")]
Pictures = Annotated[
    int | None, _option("--pictures", show="N", help="Training pictures of a class; fits take 500 unless given.")
]
Seed = Annotated[int, _option("--seed", show="N", help="Of all that is drawn by chance.")]


@dataclass(frozen=True)
class AuditedModel(ModelOptions):
    """A model, that of the audit unless another is typed."""

    model: o.ModelSpec = ""

    def audited(self, spec: str) -> Model:
        """The model itself; ``spec`` is what the audit says that it was of."""
        if self.model:
            return self.load()
        try:
            return replace(self, model=spec).load()
        except SeewhyError as error:
            raise UsageError(f"the audit's model cannot be loaded, name it with --model: {error}") from error


@bundled
def repair(
    audit: AuditFolder,
    train: Train,
    how: How = "head",
    layer: Layer = None,
    held: Held = None,
    masks: MasksDir = None,
    pictures: Pictures = None,
    seed: Seed = 0,
    prepare: o.Prepare = "auto",
    report: o.Report = None,
    *,
    told: DataOptions,
    source: AuditedModel,
    output: OutputOptions,
) -> int:
    """Mend the shortcuts that an audit has proved, and audit held-out pictures once more.

    Writes the mended part with the lines to type, or pictures for a training of your own, and what has changed.

    [dim]seewhy repair AUDIT --train photos/train --out mended[/dim]
    """
    from seewhy.api.repairing.proved import proved
    from seewhy.api.repairing.running import repair as mend

    page = checked(report, force=output.force)
    found = proved(audit)
    with quiet_warnings(output.quiet), bars(output.quiet) as bar:
        model = source.audited(found.model)
        made = mend(
            model, audit, train, how=how, layer=layer, out=output.out, held=held, masks=masks,
            pictures=pictures, seed=seed, force=output.force, prepare=prepare, progress=bar, **told.told,
        )  # fmt: skip
    complain_of(made.failed, made.notes, _OWN, quiet=output.quiet)
    paths = [str(path) for path in made.paths(output.out)]
    if page is not None:
        paths.append(str(write_report(made, page, model=model)))
    if output.json:
        as_json({**made.told(), "files": paths})
        return 1 if made.failed else 0
    for sentence in made.sentences():
        typer.echo(on_a_line(sentence))
    for path in paths:
        typer.echo(f"    {path}")
    return 1 if made.failed else 0
