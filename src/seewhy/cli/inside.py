"""``seewhy features``, ``filters`` and ``factors``: takes photos or a model alone, gives pictures of what is inside
it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seewhy.cli import options as o
from seewhy.cli.bundles import ModelOptions, OutputOptions, bundled
from seewhy.cli.galleries import Format, Show, number, showing
from seewhy.errors import ImageError, OutOfMemory

if TYPE_CHECKING:
    from seewhy.explanation import Gallery

__all__ = ["factors", "features", "filters"]

_PANEL = "The question"
Order = Annotated[
    str,
    typer.Option(
        "--order", metavar="HOW", rich_help_panel=_PANEL,
        help="evidence (support for the target first), magnitude (for or against), or index.",
    ),
]  # fmt: skip
FilterOrder = Annotated[
    str, typer.Option("--order", metavar="HOW", rich_help_panel=_PANEL, help="norm (largest first) or index.")
]
Scale = Annotated[
    str,
    typer.Option("--scale", metavar="HOW", rich_help_panel="The pictures", help="Colours: shared by all, or each."),
]
FeatureLayers = Annotated[
    list[str] | None,
    typer.Option(
        "--layer", "-l", metavar="NAME", rich_help_panel=_PANEL,
        help="One of seewhy layers; repeatable. Left out: the one chosen for CAMs.",
    ),
]  # fmt: skip
FilterLayers = Annotated[
    list[str] | None,
    typer.Option(
        "--layer", "-l", metavar="NAME", rich_help_panel=_PANEL,
        help="A convolution (seewhy layers); repeatable. Left out: the first larger than 1x1.",
    ),
]  # fmt: skip
FactorLayer = Annotated[
    str | None,
    typer.Option(
        "--layer", "-l", metavar="NAME", rich_help_panel=_PANEL,
        help="One of seewhy layers. Left out: the one chosen for CAMs.",
    ),
]  # fmt: skip


@bundled
def features(
    photos: o.Photos,
    layer: FeatureLayers = None,
    target: o.Targets = None,
    top: Annotated[int, number("--top", help="The most channels to show.")] = 32,
    order: Order = "evidence",
    scale: Scale = "shared",
    format_: Format = None,
    *,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Show a layer's channels on photos, those that speak for the target first; several layers also as one strip.

    [dim]seewhy features chelsea.png --layer blocks.4 --target "tiger cat"[/dim]
    """
    from seewhy.api.inside.channels import feature_maps_all

    with showing(source, output, format_) as show:
        for done, photo in enumerate(photos, 1):
            try:
                galleries = feature_maps_all(
                    show.model, photo, list(dict.fromkeys(layer or [])) or None,
                    list(dict.fromkeys(target or [])) or None, top=top, order=order, scale=scale,
                )  # fmt: skip
            except (ImageError, OutOfMemory) as error:
                show.lose(photo, str(error))
                continue
            for gallery in galleries:
                words = (
                    Path(photo).stem,
                    str(gallery.parameters["target"]),
                    "features",
                    str(gallery.parameters["layer"]),
                )
                show.keep(gallery, words, image=photo)
            if len(set(layer or [])) > 1:
                _strips(show, photo, galleries, target)
            if len(photos) > 1:
                show.bar("photos", done, len(photos))
    return show.code


def _strips(show: Show, photo: str, galleries: Sequence[Gallery], target: Sequence[str] | None) -> None:
    """For each target, all layers in one picture, with the map of the output itself at the end."""
    from seewhy.api.explaining import explain_all
    from seewhy.explanation import gallery_strip

    by_target: dict[str, list[Gallery]] = {}
    for gallery in galleries:
        by_target.setdefault(str(gallery.parameters["target"]), []).append(gallery)
    outputs = explain_all(show.model, photo, "saliency", list(dict.fromkeys(target or [])) or None)
    for words, own in by_target.items():
        output = next((each for each in outputs if each.target == words), None)
        show.keep(gallery_strip(own, output), (Path(photo).stem, words, "features", "layers"), image=photo)


@bundled
def filters(
    layer: FilterLayers = None,
    top: Annotated[int, number("--top", help="The most filters to show.")] = 64,
    order: FilterOrder = "norm",
    slices: Annotated[int, number("--slices", help="Input channels of each filter that reads no colours.")] = 4,
    scale: Scale = "each",
    format_: Format = None,
    *,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Show a convolution's kernels: in colour in a first layer, by input channels in others.

    [dim]seewhy filters --model torchvision:resnet18 --weights random[/dim]
    """
    from seewhy.api.inside.kernels import filters as filters_of

    with showing(source, output, format_) as show:
        for name in dict.fromkeys(layer or []) or [None]:
            gallery = filters_of(show.model, name, top=top, order=order, slices=slices, scale=scale)
            show.keep(gallery, (show.model.name, "filters", str(gallery.parameters["layer"])))
    return show.code


@bundled
def factors(
    photos: o.Photos,
    layer: FactorLayer = None,
    rank: Annotated[int, number("--rank", help="How many factors.")] = 6,
    format_: Format = None,
    *,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Show the few patterns that a layer sees in photos, and where each is.

    [dim]seewhy factors chelsea.png coffee.png --layer blocks.4 --rank 6[/dim]
    """
    from seewhy.api.inside.factorisation import factors as factors_of
    from seewhy.models import read_image

    with showing(source, output, format_) as show:
        read = []
        for photo in photos:
            try:
                read.append(read_image(photo))
            except ImageError as error:
                show.lose(photo, str(error))
        if read:
            gallery = factors_of(show.model, read, layer, rank=rank, progress=show.bar)
            first = Path(read[0].name).stem or "photo"
            more = f"and-{len(read) - 1}-more" if len(read) > 1 else ""
            words = (first, more, "factors", str(gallery.parameters["layer"]))
            show.keep(gallery, words, images=[image.name for image in read])
    return show.code
