"""``seewhy segment``: takes photos, gives the object of each as a mask and cut out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seewhy.cli import options as o
from seewhy.cli.bundles import ModelOptions, OutputOptions, bundled
from seewhy.cli.galleries import showing
from seewhy.cli.pairs import settings_of
from seewhy.errors import ImageError

if TYPE_CHECKING:
    from seewhy.explanation import Segmentation
    from seewhy.reports import Folder

__all__ = ["segment"]

_PANEL = "The question"
Method = Annotated[
    str,
    typer.Option("--method", "-M", metavar="NAME", rich_help_panel=_PANEL, help="Whose map the cut starts from."),
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target", "-t", metavar="CLASS", rich_help_panel=_PANEL, help="What to cut out. Left out: the top class."
    ),
]
Layer = Annotated[
    str | None,
    typer.Option("--layer", "-l", metavar="NAME", rich_help_panel=_PANEL, help="For methods that explain a layer."),
]
Resolution = Annotated[
    str,
    typer.Option("--resolution", metavar="WHICH", rich_help_panel=_PANEL, help="photo (its own pixels) or input."),
]


@bundled
def segment(
    photos: o.PhotoFiles,
    method: Method = "smooth-grad",
    target: Target = None,
    layer: Layer = None,
    resolution: Resolution = "photo",
    seed: o.Seed = None,
    set_: o.Set = None,
    *,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Cut the object of a class out of photos: a map says where, colours and edges say how far.

    Writes the mask, the cut-out with transparency, and both beside photo and map. --set inside=0.95, likely, outside,
    smooth, iterations tune the cut.

    [dim]seewhy segment chelsea.png --target "tiger cat"[/dim]
    """
    import seewhy.methods  # noqa: F401 - fills the registry
    from seewhy.api.segmenting import segment as segment_
    from seewhy.explanation.segmentation import CUT
    from seewhy.registry import methods

    defaults = methods[method].parameters
    given = settings_of(set_ or [], {**defaults, **CUT})
    if seed is not None and "seed" in defaults:
        given["seed"] = seed
    with showing(source, output, None) as show:
        for done, photo in enumerate(photos, 1):
            try:
                segmentation = segment_(
                    show.model, photo, method=method, target=target, layer=layer, resolution=resolution,
                    progress=show.bar, **given,
                )  # fmt: skip
            except ImageError as error:
                show.lose(photo, str(error))
                continue
            words = (Path(photo).stem, segmentation.explanation.target, "object")
            show.keep(
                segmentation.gallery(),
                words,
                _files(show.folder, segmentation, words),
                segmentation.in_words(),
                image=photo,
                object=segmentation.to_dict(),
            )
            if len(photos) > 1:
                show.bar("photos", done, len(photos))
    return show.code


def _files(folder: Folder, segmentation: Segmentation, words: tuple[str, ...]) -> list[Path]:
    """The mask and the cut-out."""
    stem = folder.stem(words)
    mask, alone = folder.free(f"{stem}_mask", "png"), folder.free(f"{stem}_cutout", "png")
    segmentation.save(mask, force=True)
    segmentation.cutout().save(alone)
    return [mask, alone]
