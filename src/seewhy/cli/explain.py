"""``seewhy explain`` and ``seewhy compare``: takes photos and a question, gives pictures of the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seewhy.cli import options as o
from seewhy.cli.bundles import DrawingOptions, ModelOptions, OutputOptions, PhotoOptions, QuestionOptions, bundled
from seewhy.cli.photo_run import Asking, run
from seewhy.cli.reporting import checked
from seewhy.cli.show import image_dict, image_lines
from seewhy.cli.words import drawing_of, request_of

if TYPE_CHECKING:
    from PIL import Image

    from seewhy.api.asked.request import Request
    from seewhy.api.given.images import Item
    from seewhy.cli.console import Bars
    from seewhy.explanation import Explanation, Explanations
    from seewhy.models import Model
    from seewhy.reports import Folder

__all__ = ["COMPARED", "compare", "explain"]

#: what ``compare`` shows unless told otherwise: cheap methods that share one forward
COMPARED = (
    "saliency", "guided-backprop", "full-grad", "grad-cam", "grad-cam-pp", "hires-cam", "layer-cam", "guided-grad-cam",
)  # fmt: skip
#: maps and reliefs in one line of a comparison: all of them, up to the first number; else the second
_ALL, _COLUMNS = 6, 4


@bundled
def explain(
    photos: o.Photos,
    method: o.Methods = None,
    *,
    question: QuestionOptions,
    fuse: o.Fuse = None,
    trust: o.Trust = False,
    no_cache: o.NoCache = False,
    format_: o.Format = None,
    picture: o.Picture = "figure",
    drawing: DrawingOptions,
    given: PhotoOptions,
    report: o.Report = None,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Explain photos: one picture for each photo, method, target and layer.

    [dim]seewhy explain chelsea.png -M grad-cam -M saliency -t "tiger cat"[/dim]
    """
    page = checked(report, force=output.force)
    formats, drawn = drawing_of(picture, format_, drawing)
    request = replace(request_of(method or ["grad-cam"], question, fuse), trust=trust, cache=not no_cache)

    def one_each(folder: Folder, explanations: Explanations) -> list[list[Path]]:
        return saved(folder, explanations, formats, drawn)

    told = {"formats": formats, **drawn}
    return run(photos, given, source, output, _asking(replace(request, output=True), one_each, told), page)


def _asking(
    request: Request, save: Callable[[Folder, Explanations], Sequence[Sequence[Path]]], drawn: Mapping[str, Any]
) -> Asking:
    """A request of every photo; ``save`` writes its explanations and gives each one's files, as ``drawn`` says."""

    def ask(model: Model, progress: Bars) -> Callable[[list[Item]], _Explained]:
        from seewhy.api.asked.plan import Plan
        from seewhy.api.explaining import explained

        plan = Plan.make(model, replace(request, settings=replace(request.settings, progress=progress)))
        return lambda items: _Explained(explained(plan, items, partial=True), save)

    asked = {name: value for name, value in vars(request).items() if name != "settings"}
    return Asking(ask, {"asked": asked, "drawn": dict(drawn)}, "explained")


class _Explained:
    """One photo's explanations."""

    def __init__(
        self, explanations: Explanations, save: Callable[[Folder, Explanations], Sequence[Sequence[Path]]]
    ) -> None:
        self.explanations, self._save = explanations, save
        self.cost, self.interrupted = explanations.cost, explanations.interrupted
        self._files: Sequence[Sequence[Path]] = ()

    def save(self, folder: Folder) -> list[Path]:
        """See `Answer`."""
        self._files = self._save(folder, self.explanations)
        return [path for own in self._files for path in own]

    def document(self, name: str) -> dict[str, Any]:
        """See `Answer`."""
        return image_dict(name, self.explanations, self._files)

    def lines(self, name: str) -> list[str]:
        """See `Answer`."""
        return image_lines(name, self.explanations, self._files)

    def strip(self) -> Image.Image | None:
        """See `Answer`."""
        from seewhy.reports import strip

        return strip(self.explanations)


def saved(
    folder: Folder, explanations: Explanations, formats: Sequence[str], drawn: Mapping[str, Any]
) -> list[list[Path]]:
    """One file for each map, but a single one, a strip, for those of a method that has a map for each layer."""
    from seewhy.explanation import Explanations
    from seewhy.registry import methods
    from seewhy.reports import NUMBERS

    def apart(part: Iterable[Explanation]) -> Explanations:
        return Explanations(part, cost=explanations.cost)

    layers = [drawn["picture"] == "figure" and methods[one.method].card.by_layer for one in explanations]
    pictures = [form for form in formats if form not in NUMBERS]
    if sum(layers) < 2 or not pictures:
        return folder.save(explanations, formats, **drawn)
    rest = apart(one for one, layer in zip(explanations, layers, strict=True) if not layer)
    strips = apart(one for one, layer in zip(explanations, layers, strict=True) if layer)
    others = iter(folder.save(rest, formats, **drawn) if len(rest) else [])
    options = {name: value for name, value in drawn.items() if name in ("width", "dpi", "cmap")}
    strip = folder.save_strip(strips, pictures, **options)
    numbers = iter(_numbers(folder, strips, formats))
    return [next(numbers) + strip if layer else next(others) for layer in layers]


def _numbers(folder: Folder, explanations: Explanations, formats: Sequence[str]) -> list[list[Path]]:
    """The numbers of maps that share a picture, each in a file of its own, where they were asked for."""
    from seewhy.reports import NUMBERS

    asked = [form for form in formats if form in NUMBERS]
    return folder.save(explanations, asked) if asked else [[]] * len(explanations)


@bundled
def compare(
    photos: o.Photos,
    method: o.Methods = None,
    *,
    question: QuestionOptions,
    format_: o.Format = None,
    drawing: DrawingOptions,
    given: PhotoOptions,
    report: o.Report = None,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Compare methods on photos: one grid for each photo, every pass shared.

    [dim]seewhy compare chelsea.png -M grad-cam -M layer-cam -M saliency[/dim]
    """
    from seewhy.reports import NUMBERS

    page = checked(report, force=output.force)
    formats, drawn = drawing_of("overlay", format_, drawing)
    drawn.pop("picture")
    pictures = [form for form in formats if form not in NUMBERS]
    request = request_of(method or COMPARED, question)

    def one_grid(folder: Folder, explanations: Explanations) -> list[list[Path]]:
        wide = _wide(explanations)
        columns = None if wide <= _COLUMNS else wide if wide <= _ALL else _COLUMNS
        shared = folder.save_grid(explanations, pictures, columns=columns, **drawn) if pictures else []
        return [own + shared for own in _numbers(folder, explanations, formats)]

    told = {"compared": True, "formats": formats, **drawn}
    return run(photos, given, source, output, _asking(request, one_grid, told), page)


def _wide(explanations: Explanations) -> int:
    """How many maps and reliefs a target of one photo has where every method has every target; else, all of them."""
    asked, targets = {(each.method, each.layer) for each in explanations}, {each.target for each in explanations}
    cells = len(explanations) + sum(each.colours is not None for each in explanations)
    rows = len(targets) if len(asked) > 1 and len(asked) * len(targets) == len(explanations) else 1
    return cells // rows
