"""``seewhy attack``: takes photos and a goal, gives changed photos, or a curve of accuracy over a data set."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seewhy.cli import options as o
from seewhy.cli.bundles import DataOptions, ModelOptions, OutputOptions, PhotoOptions, bundled
from seewhy.cli.console import bars, complain, quiet_warnings
from seewhy.cli.galleries import gallery_dict, gallery_lines
from seewhy.cli.option_words import in_options
from seewhy.cli.pairs import settings_of
from seewhy.cli.photo_run import Asking, run
from seewhy.cli.show import as_json
from seewhy.errors import CapabilityError, UsageError

if TYPE_CHECKING:
    from PIL import Image

    from seewhy.api.attacking import Curve
    from seewhy.api.given.images import Item
    from seewhy.cli.console import Bars
    from seewhy.explanation import Attack
    from seewhy.models import Model
    from seewhy.reports import Folder

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
        help="Instead: accuracy over a data set at these epsilons; sub-folders or a table name the classes.",
    ),
]  # fmt: skip


@bundled
def attack(
    photos: o.Photos,
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
    given: PhotoOptions,
    pictures: DataOptions,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Change photos by a few levels of 255 until the model answers otherwise.

    Writes the changed picture (explain it with --as-is), the change amplified, and all beside the maps before and
    after. The same command goes on where one that was interrupted ended.

    [dim]seewhy attack chelsea.png --method pgd --epsilon 4[/dim]
    """
    import seewhy.methods  # noqa: F401 - fills the registry
    from seewhy.registry import methods

    defaults = methods[method].parameters
    said = {"epsilon": epsilon, "steps": steps, "seed": seed}
    asked = {name: value for name, value in said.items() if value is not None and name in defaults}
    asked |= settings_of(set_ or [], defaults)
    if curve is not None:
        if target is not None or towards is not None:
            raise UsageError("--curve counts right answers: --target and --towards have no meaning there")
        return _curve(photos, curve, method, asked, pictures, source, output)
    pictures.refuse_any("--curve")
    words = {"method": method, "target": target, "towards": towards, "maps": None if maps == "none" else maps}
    return run(photos, given, source, output, _asking({**words, **asked}))


def _asking(asked: dict[str, Any]) -> Asking:
    def ask(model: Model, progress: Bars) -> Callable[[list[Item]], _Attacked]:
        from seewhy.api.attacking import attack_items

        def attacked(items: list[Item]) -> _Attacked:
            (made,) = attack_items(model, items, progress=progress, partial=True, **asked)
            return _Attacked(made)

        return attacked

    return Asking(ask, asked, "attacked")


class _Attacked:
    """One photo's attack."""

    def __init__(self, attack: Attack) -> None:
        self._attack = attack
        self.cost, self.interrupted = attack.cost, attack.status.code == "unfinished"
        self._files: list[Path] = []

    def save(self, folder: Folder) -> list[Path]:
        """See `Answer`."""
        one = self._attack
        words = (Path(one.name).stem, one.goal, one.method)
        stem = folder.stem(words)
        early = [
            folder.save_pixels(one.adversarial, f"{stem}_attacked"),
            folder.save_pixels(one.amplified, f"{stem}_change-x{one.amplification}"),
        ]
        self._files = [*folder.save_gallery(one.gallery(), words, ["png"]), *early]
        return self._files

    def document(self, name: str) -> dict[str, Any]:
        """See `Answer`."""
        return {"image": name, "attack": self._attack.to_dict(), **gallery_dict(self._attack.gallery(), self._files)}

    def lines(self, name: str) -> list[str]:
        """See `Answer`."""
        return gallery_lines(self._attack.gallery(), self._files, self._attack.in_words())

    def strip(self) -> Image.Image | None:
        """See `Answer`."""
        from seewhy.reports import tiles_strip

        return tiles_strip(self._attack.gallery())


def _curve(
    photos: list[str],
    typed: str,
    method: str,
    asked: dict[str, Any],
    pictures: DataOptions,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    from seewhy.api.attacking import robustness

    if len(photos) != 1:
        raise UsageError(f"--curve takes one folder, table or other source; got {len(photos)} names")
    try:
        sizes = [float(size) for size in typed.split(",")]
    except ValueError:
        raise UsageError(f"--curve {typed}: epsilons with commas between, as in --curve 1,2,4,8") from None
    asked.pop("epsilon", None)
    with quiet_warnings(output.quiet), bars(output.quiet) as bar:
        measured = robustness(
            source.load(), photos[0], sizes, method=method, keep=output.out, progress=bar, **pictures.told, **asked
        )
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
    from seewhy.reports import Folder

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
