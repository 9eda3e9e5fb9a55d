"""``seewhy explain`` and ``seewhy compare``: takes photos and a question, gives pictures of the answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seewhy.cli import options as o
from seewhy.cli.bundles import DrawingOptions, ModelOptions, OutputOptions, PhotoOptions, QuestionOptions, bundled
from seewhy.cli.photo_run import Pictures, run
from seewhy.cli.words import drawing_of, request_of

if TYPE_CHECKING:
    from seewhy.explanation import Explanations
    from seewhy.report import Folder

__all__ = ["COMPARED", "compare", "explain"]

#: what ``compare`` shows unless told otherwise: cheap methods that share one forward
COMPARED = (
    "saliency", "guided-backprop", "full-grad", "grad-cam", "grad-cam-pp", "hires-cam", "layer-cam", "guided-grad-cam",
)  # fmt: skip
#: maps in one line of a comparison, if there are more
_COLUMNS = 4


@bundled
def explain(
    photos: o.Photos,
    method: o.Methods = None,
    *,
    question: QuestionOptions,
    fuse: o.Fuse = None,
    format_: o.Format = None,
    picture: o.Picture = "figure",
    drawing: DrawingOptions,
    given: PhotoOptions,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Explain photos: one picture for each photo, method, target and layer.

    [dim]seewhy explain chelsea.png -M grad-cam -M saliency -t "tiger cat"[/dim]
    """
    formats, drawn = drawing_of(picture, format_, drawing)
    request = request_of(method or ["grad-cam"], question, fuse)

    def one_each(folder: Folder, explanations: Explanations) -> list[list[Path]]:
        return folder.save(explanations, formats, **drawn)

    return run(photos, given, source, output, request, Pictures(one_each, {"formats": formats, **drawn}))


@bundled
def compare(
    photos: o.Photos,
    method: o.Methods = None,
    *,
    question: QuestionOptions,
    drawing: DrawingOptions,
    given: PhotoOptions,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Compare methods on photos: one grid for each photo, every pass shared.

    [dim]seewhy compare chelsea.png -M grad-cam -M layer-cam -M saliency[/dim]
    """
    _, drawn = drawing_of("overlay", None, drawing)
    drawn.pop("picture")
    request = request_of(method or COMPARED, question)

    def one_grid(folder: Folder, explanations: Explanations) -> list[list[Path]]:
        columns = _COLUMNS if len(explanations) > _COLUMNS else None
        return [[folder.save_grid(explanations, "compare", columns=columns, **drawn)]] * len(explanations)

    return run(photos, given, source, output, request, Pictures(one_grid, {"compared": True, **drawn}))
