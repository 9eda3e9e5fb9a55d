"""``seewhy explain`` and ``seewhy compare``: takes photos and a question, gives pictures of the answer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from seewhy.cli import options as o
from seewhy.cli.running import Source, run
from seewhy.cli.words import drawing_of, question_of

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


def explain(
    photos: o.Photos,
    method: o.Methods = None,
    target: o.Targets = None,
    layer: o.Layers = None,
    contrast: o.Contrast = None,
    fuse: o.Fuse = None,
    reduce: o.Reduce = None,
    backward_rule: o.Backward = "none",
    baseline: o.Baseline = None,
    fill: o.Fill = None,
    segments: o.Segments = None,
    set_: o.Set = None,
    seed: o.Seed = None,
    format_: o.Format = None,
    picture: o.Picture = "figure",
    opacity: o.Opacity = None,
    cmap: o.Cmap = None,
    contour: o.Contour = None,
    mode: o.Mode = None,
    model: o.ModelSpec = "builtin",
    weights: o.Weights = "auto",
    trust_pickle: o.TrustPickle = False,
    device: o.Device = "cpu",
    out: o.Out = Path("seewhy-out"),
    force: o.Force = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """Explain photos: one picture for each photo, method, target and layer.

    [dim]seewhy explain chelsea.png -M grad-cam -M saliency -t "tiger cat"[/dim]
    """
    formats, drawing = drawing_of(picture, format_, opacity=opacity, cmap=cmap, contour=contour, mode=mode)
    asked = question_of(
        method or ["grad-cam"],
        pairs=set_,
        seed=seed,
        baseline=baseline,
        fill=fill,
        segments=segments,
        target=target,
        layer=layer,
        contrast=contrast,
        fuse=fuse,
        reduce=reduce,
        backward_rule=backward_rule,
    )

    def one_each(folder: Folder, found: Explanations) -> list[list[Path]]:
        return folder.save(found, formats, **drawing)

    source = Source(model, weights, trust_pickle, device)
    return run(photos, source, out, asked, one_each, force=force, json=json, quiet=quiet)


def compare(
    photos: o.Photos,
    method: o.Methods = None,
    target: o.Targets = None,
    layer: o.Layers = None,
    contrast: o.Contrast = None,
    reduce: o.Reduce = None,
    backward_rule: o.Backward = "none",
    baseline: o.Baseline = None,
    fill: o.Fill = None,
    segments: o.Segments = None,
    set_: o.Set = None,
    seed: o.Seed = None,
    opacity: o.Opacity = None,
    cmap: o.Cmap = None,
    contour: o.Contour = None,
    mode: o.Mode = None,
    model: o.ModelSpec = "builtin",
    weights: o.Weights = "auto",
    trust_pickle: o.TrustPickle = False,
    device: o.Device = "cpu",
    out: o.Out = Path("seewhy-out"),
    force: o.Force = False,
    json: o.Json = False,
    quiet: o.Quiet = False,
) -> int:
    """Compare methods on photos: one grid for each photo, every pass shared.

    [dim]seewhy compare chelsea.png -M grad-cam -M layer-cam -M saliency[/dim]
    """
    _, drawing = drawing_of("overlay", None, opacity=opacity, cmap=cmap, contour=contour, mode=mode)
    drawing.pop("picture")
    asked = question_of(
        method or COMPARED,
        pairs=set_,
        seed=seed,
        baseline=baseline,
        fill=fill,
        segments=segments,
        target=target,
        layer=layer,
        contrast=contrast,
        reduce=reduce,
        backward_rule=backward_rule,
    )

    def one_grid(folder: Folder, found: Explanations) -> list[list[Path]]:
        columns = _COLUMNS if len(found) > _COLUMNS else None
        return [[folder.save_grid(found, "compare", columns=columns, **drawing)]] * len(found)

    source = Source(model, weights, trust_pickle, device)
    return run(photos, source, out, asked, one_grid, force=force, json=json, quiet=quiet)
