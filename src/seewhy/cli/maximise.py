"""``seewhy maximise``: takes classes, layers, channels or neurons, gives the picture that makes each strong."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seewhy.cli import options as o
from seewhy.cli.bundles import ModelOptions, OutputOptions, bundled
from seewhy.cli.galleries import Format, number, showing
from seewhy.cli.pairs import settings_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from seewhy.explanation import Gallery
    from seewhy.reports import Folder

__all__ = ["maximise"]

_PANEL = "The question"
Aims = Annotated[
    list[str],
    typer.Argument(
        metavar="TARGET", help="A class, LAYER, LAYER:CHANNEL or LAYER:CHANNEL:Y,X.", show_default=False
    ),
]  # fmt: skip
Kind = Annotated[
    str | None,
    typer.Option(
        "--parametrisation", metavar="KIND", rich_help_panel=_PANEL,
        help="fourier (the default), maco (phases only) or pixel.",
    ),
]  # fmt: skip
Photos = Annotated[
    str | None,
    typer.Option("--folder", metavar="DIR", rich_help_panel=_PANEL, help="Photos, to show those it is strongest on."),
]


@dataclass
class Early:
    """Writes the pictures on the way, NAME-step0064.png and so on."""

    folder: Folder
    words: tuple[str, ...]
    files: list[Path] = field(default_factory=list)

    def __call__(self, pixels: NDArray[np.uint8], step: int) -> None:
        """Write the picture after ``step`` steps."""
        self.files.append(self.folder.save_pixels(pixels, f"{self.folder.stem(self.words)}-step{step:04d}"))


@bundled
def maximise(
    targets: Aims,
    steps: Annotated[int | None, number("--steps", help="Steps of the optimisation.")] = None,
    seed: o.Seed = None,
    parametrisation: Kind = None,
    every: Annotated[int, number("--every", help="Write the picture so far every N steps.", show_default=False)] = 0,
    folder: Photos = None,
    examples: Annotated[int, number("--examples", help="How many of the folder's photos to show.")] = 4,
    set_: o.Set = None,
    format_: Format = None,
    *,
    source: ModelOptions,
    output: OutputOptions,
) -> int:
    """Make the image that a class, layer, channel or neuron responds to most; of several, also one of all.

    [dim]seewhy maximise espresso blocks.4:12 --folder photos --every 64[/dim]
    """
    from seewhy.api.asked.targets import aim
    from seewhy.api.inside.visualisation import maximise as maximise_
    from seewhy.explanation import together
    from seewhy.registry import methods

    asked: dict[str, Any] = settings_of(set_ or [], methods["maximise"].parameters)
    said = {"steps": steps, "seed": seed, "parametrisation": parametrisation}
    asked |= {name: value for name, value in said.items() if value is not None}
    with showing(source, output, format_) as show:
        for target in targets:  # a misspelt one is found out before minutes are spent on the others
            aim(show.model, show.model.network(), target)
        made: list[Gallery] = []
        for target in dict.fromkeys(targets):
            early = Early(show.folder, (show.model.name, target, "maximise"))
            gallery = maximise_(
                show.model, target, folder=folder, examples=examples, every=every, preview=early,
                progress=show.bar, **asked,
            )  # fmt: skip
            show.keep(gallery, early.words, early.files, target=target)
            made.append(gallery)
            if show.stopped:
                break
        if len(made) > 1 and not show.stopped:
            show.keep(together(made, show.model.name), (show.model.name, "all", "maximise"), target=None)
    return show.code
