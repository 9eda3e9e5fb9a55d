"""``seewhy features``, ``filters``, ``factors``, ``components`` and ``attention``: takes photos or a model alone, gives
pictures of what is inside it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from seewhy.cli import options as o
from seewhy.cli.bundles import ModelOptions, OutputOptions, bundled
from seewhy.cli.galleries import Format, Show, number, showing
from seewhy.errors import ImageError, OutOfMemory, UnfitImage, UsageError

if TYPE_CHECKING:
    from seewhy.explanation import Gallery
    from seewhy.models import Photo

__all__ = ["attention", "components", "factors", "features", "filters"]

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
AttentionLayers = Annotated[
    list[str] | None,
    typer.Option(
        "--layer", "-l", metavar="N", rich_help_panel=_PANEL,
        help="Of the attentions that the picture goes through, from 0, -1 is the last; or a name; repeatable. Left "
        "out: the last.",
    ),
]  # fmt: skip
Heads = Annotated[
    list[str] | None,
    typer.Option(
        "--head", metavar="N", rich_help_panel=_PANEL, help="From 0; repeatable. Or mean, or all (if left out)."
    ),
]
Query = Annotated[
    str | None,
    typer.Option(
        "--query", metavar="ROW", rich_help_panel=_PANEL,
        help="Whose attention: mean (of all places), Y,X (a place on the grid), or a token's number. Left out: the "
        "class token's, or of the tokens that the output is read from.",
    ),
]  # fmt: skip
Registers = Annotated[
    bool,
    typer.Option(
        "--registers", rich_help_panel=_PANEL, help="Tell the share of each token that is no place of the picture."
    ),
]


@bundled
def features(
    photos: o.PhotoFiles,
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
            except (ImageError, UnfitImage, OutOfMemory) as error:
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
    photos: o.PhotoFiles,
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

    with showing(source, output, format_) as show:
        _together(
            show, photos, "factors", lambda read: factors_of(show.model, read, layer, rank=rank, progress=show.bar)
        )
    return show.code


def _together(show: Show, photos: Sequence[str], what: str, make: Callable[[Sequence[Photo]], Gallery]) -> None:
    """One gallery of all photos that can be read."""
    from seewhy.models import read_image

    read = []
    for photo in photos:
        try:
            read.append(read_image(photo))
        except ImageError as error:
            show.lose(photo, str(error))
    if read:
        gallery = make(read)
        first = Path(read[0].name).stem or "photo"
        more = f"and-{len(read) - 1}-more" if len(read) > 1 else ""
        words = (first, more, what, str(gallery.parameters["layer"]))
        show.keep(gallery, words, images=[image.name for image in read])


@bundled
def components(
    photos: o.PhotoFiles,
    layer: FactorLayer = None,
    rank: Annotated[int, number("--rank", help="How many components; the first three are the colours.")] = 3,
    format_: Format = None,
    *,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Show what a layer takes for alike in photos, as colours: the principal components of its positions.

    [dim]seewhy components chelsea.png coffee.png --layer blocks.4[/dim]
    """
    from seewhy.api.inside.components import principal_components

    with showing(source, output, format_) as show:
        _together(
            show, photos, "components",
            lambda read: principal_components(show.model, read, layer, rank=rank, progress=show.bar),
        )  # fmt: skip
    return show.code


@bundled
def attention(
    photos: o.PhotoFiles,
    layer: AttentionLayers = None,
    head: Heads = None,
    query: Query = None,
    registers: Registers = False,
    scale: Scale = "shared",
    format_: Format = None,
    *,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Show what a layer of a vision transformer looks at in photos, head by head.

    [dim]seewhy attention chelsea.png --model timm:vit_tiny_patch16_224 --weights random --layer 11[/dim]
    """
    from seewhy.api.inside.attending import attention_all

    with showing(source, output, format_) as show:
        heads, row = _heads(head), _row(query)
        layers = [int(each) if _whole(each) else each for each in dict.fromkeys(layer or [])] or None
        for done, photo in enumerate(photos, 1):
            try:
                galleries = attention_all(show.model, photo, layers, heads, query=row, registers=registers, scale=scale)
            except (ImageError, OutOfMemory) as error:
                show.lose(photo, str(error))
                continue
            for gallery in galleries:
                which = "" if heads is None else str(gallery.parameters["head"])
                show.keep(
                    gallery, (Path(photo).stem, "attention", str(gallery.parameters["layer"]), which), image=photo
                )
            if len(photos) > 1:
                show.bar("photos", done, len(photos))
    return show.code


def _whole(word: str) -> bool:
    return word.removeprefix("-").isdecimal()


def _heads(words: Sequence[str] | None) -> str | list[int] | None:
    """The heads as typed; None for all."""
    if not words or list(words) == ["all"]:
        return None
    if all(map(_whole, words)):
        return [int(word) for word in words]
    if len(words) == 1:
        return words[0]
    raise UsageError(f"--head {' --head '.join(words)}: numbers, or one of mean and all")


def _row(word: str | None) -> int | str | tuple[int, int] | None:
    """Whose attention, as typed: a token's number, a place, or a word."""
    if word is None:
        return None
    numbers = word.split(",")
    if not all(map(_whole, numbers)) or len(numbers) > 2:
        return word
    return int(word) if len(numbers) == 1 else (int(numbers[0]), int(numbers[1]))
