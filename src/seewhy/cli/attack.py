"""``seewhy attack``: takes photos and a goal, gives changed photos, or a curve of accuracy over a folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seewhy.cli import options as o
from seewhy.cli.bundles import ModelOptions, OutputOptions, bundled
from seewhy.cli.console import bars, complain, quiet_warnings
from seewhy.cli.galleries import Show, showing
from seewhy.cli.option_words import in_options
from seewhy.cli.pairs import settings_of
from seewhy.cli.show import as_json
from seewhy.errors import CapabilityError, ImageError, UsageError

if TYPE_CHECKING:
    from seewhy.api.attacking import Curve

__all__ = ["attack"]

_PANEL = "The question"
Method = Annotated[
    str,
    typer.Option(
        "--method", "-M", metavar="NAME", rich_help_panel=_PANEL, help="pgd, i-fgsm or fgsm (seewhy methods)."
    ),
]
Epsilon = Annotated[
    float,
    typer.Option("--epsilon", "-e", metavar="N", rich_help_panel=_PANEL, help="Levels of 255 that a pixel may move."),
]
StepCount = Annotated[
    int | None, typer.Option("--steps", metavar="N", rich_help_panel=_PANEL, help="Of the iterated ones.")
]
Leave = Annotated[
    str | None,
    typer.Option(
        "--target", "-t", metavar="CLASS", rich_help_panel=_PANEL, help="Class to leave. Left out: the top one."
    ),
]
Towards = Annotated[
    str | None, typer.Option("--towards", metavar="CLASS", rich_help_panel=_PANEL, help="Class to reach instead.")
]
Maps = Annotated[
    str,
    typer.Option(
        "--maps", metavar="NAME", rich_help_panel=_PANEL, help="Method of the maps before and after; none for none."
    ),
]
Curve_ = Annotated[
    str | None,
    typer.Option(
        "--curve", metavar="N,N...", rich_help_panel=_PANEL,
        help="Instead: accuracy over a folder at these epsilons; sub-folders or labels.csv name the classes.",
    ),
]  # fmt: skip


@bundled
def attack(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO", help="Image files, or one folder with --curve.")],
    method: Method = "pgd",
    epsilon: Epsilon = 8.0,
    steps: StepCount = None,
    target: Leave = None,
    towards: Towards = None,
    maps: Maps = "auto",
    curve: Curve_ = None,
    seed: o.Seed = None,
    set_: o.Set = None,
    *,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Change photos by a few levels of 255 until the model answers otherwise.

    Writes the changed picture (explain it with --as-is), the change amplified, and all beside the maps before and
    after.

    [dim]seewhy attack chelsea.png --method pgd --epsilon 4[/dim]
    """
    import seewhy.methods  # noqa: F401 - fills the registry
    from seewhy.registry import methods

    defaults = methods[method].parameters
    said = {"epsilon": epsilon, "steps": steps, "seed": seed}
    given = {name: value for name, value in said.items() if value is not None and name in defaults}
    given |= settings_of(set_ or [], defaults)
    if curve is not None:
        if target is not None or towards is not None:
            raise UsageError("--curve counts right answers: --target and --towards have no meaning there")
        return _curve(photos, curve, method, given, source, output)
    with showing(source, output, None) as show:
        for done, photo in enumerate(photos, 1):
            _attack(show, photo, method, target, towards, None if maps == "none" else maps, given)
            if len(photos) > 1:
                show.bar("photos", done, len(photos))
            if show.stopped:
                break
    return show.code


def _attack(
    show: Show,
    photo: str,
    method: str,
    target: str | None,
    towards: str | None,
    maps: str | None,
    given: dict[str, Any],
) -> None:
    from seewhy.api.attacking import attack as attack_

    try:
        attacked = attack_(
            show.model, photo, method=method, target=target, towards=towards, maps=maps, progress=show.bar, **given
        )
    except ImageError as error:
        show.lose(photo, str(error))
        return
    words = (Path(photo).stem, attacked.goal, method)
    stem = show.folder.stem(words)
    early = [
        show.folder.save_pixels(attacked.adversarial, f"{stem}_attacked"),
        show.folder.save_pixels(attacked.amplified, f"{stem}_change-x{attacked.amplification}"),
    ]
    show.keep(attacked.gallery(), words, early, attacked.in_words(), image=photo, attack=attacked.to_dict())


def _curve(
    photos: list[str], typed: str, method: str, given: dict[str, Any], source: ModelOptions, output: OutputOptions
) -> int:
    from seewhy.api.attacking import robustness

    if len(photos) != 1:
        raise UsageError(f"--curve takes one folder; got {len(photos)} names")
    try:
        sizes = [float(size) for size in typed.split(",")]
    except ValueError:
        raise UsageError(f"--curve {typed}: epsilons with commas between, as in --curve 1,2,4,8") from None
    given.pop("epsilon", None)
    with quiet_warnings(output.quiet), bars(output.quiet) as bar:
        measured = robustness(source.load(), photos[0], sizes, method=method, progress=bar, **given)
    for reason in (*measured.failed, *measured.notes):
        complain(in_options(reason))
    path = _drawn(measured, output)
    if output.json:
        as_json({"model": source.model, **measured.to_dict(), "file": None if path is None else str(path)})
    else:
        right = "right" if measured.truth == "labels" else "still the model's own answer (no classes are given)"
        for point in measured.points:
            typer.echo(f"epsilon {point.epsilon:5g}: {point.right:4d} of {point.count} {right}, {point.accuracy:.1%}")
        if path is not None:
            typer.echo(f"    {path}")
    return 1 if measured.failed else 0


def _drawn(measured: Curve, output: OutputOptions) -> Path | None:
    """The curve as a picture, if matplotlib is there."""
    from seewhy.render import write
    from seewhy.render.plots import curve
    from seewhy.report import Folder

    x, y = [p.epsilon for p in measured.points], [100 * p.accuracy for p in measured.points]
    title = f"{measured.method}, {measured.truth}"
    try:
        picture = curve(x, y, title=title, x_label="epsilon, levels of 255", y_label="accuracy, %")
    except CapabilityError as error:
        if not output.quiet:
            complain(in_options(str(error)))
        return None
    return write(
        picture, Folder(output.out, force=output.force).free(f"robustness_{measured.method}", "png"), force=True
    )
