"""Galleries on the command line: takes them as they are made, gives files, words on stdout and an exit code; makes
none."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from seewhy.cli.bundles import ModelOptions, OutputOptions
from seewhy.cli.console import KEPT, Bars, bars, complain, quiet_warnings
from seewhy.cli.option_words import in_options
from seewhy.cli.photo_run import INTERRUPTED
from seewhy.cli.show import as_json, cost_dict
from seewhy.errors import ImageError, UsageError, on_a_line

if TYPE_CHECKING:
    from seewhy.explanation import Gallery
    from seewhy.models import Model
    from seewhy.reports import Folder

__all__ = ["Format", "Show", "formats_of", "gallery_dict", "gallery_lines", "number", "showing"]

Format = Annotated[
    list[str] | None,
    typer.Option(
        "--format", metavar="KIND", rich_help_panel="The pictures",
        help="png (the default), jpg, svg, pdf, or npy for the numbers; repeatable.",
    ),
]  # fmt: skip


def formats_of(typed: Sequence[str] | None) -> list[str]:
    """The formats asked for, each once; raises `UsageError` for one that there is not."""
    from seewhy.reports import GALLERY_FORMATS

    kinds = list(dict.fromkeys(form.lower().lstrip(".") for form in typed or ["png"]))
    for kind in kinds:
        if kind not in GALLERY_FORMATS:
            raise UsageError(f"--format {kind}: no such thing; one of {', '.join(GALLERY_FORMATS)}")
    return kinds


def gallery_dict(gallery: Gallery, files: Sequence[Path]) -> dict[str, Any]:
    """What JSON says of a gallery that was saved in ``files``."""
    return {**gallery.to_dict(), "cost": cost_dict(gallery.cost), "files": [str(path) for path in files]}


def gallery_lines(gallery: Gallery, files: Sequence[Path], numbers: str = "") -> list[str]:
    """The same for people, with its ``numbers`` in a line."""
    state = "" if gallery.status.ok else f"  [{gallery.status}]"
    lines = [f"{gallery.title}{state}", *([f"  {numbers}"] if numbers else [])]
    lines += [*(f"  note: {note}" for note in gallery.notes), *(f"    {file}" for file in files)]
    return [on_a_line(line) for line in lines]


@dataclass
class Show:
    """One run: the model, the folder, the progress bars, and what was made and lost so far."""

    model: Model
    folder: Folder
    formats: Sequence[str]
    bar: Bars
    json: bool
    made: list[dict[str, Any]] = field(default_factory=list)
    failed: list[dict[str, str]] = field(default_factory=list)
    stopped: bool = False

    def keep(
        self, gallery: Gallery, words: Sequence[str], early: Sequence[Path] = (), numbers: str = "", **more: Any
    ) -> None:
        """Save a gallery under a name made of ``words`` and tell of it, with its ``numbers`` in a line; ``early`` are
        files written on the way."""
        files = [*self.folder.save_gallery(gallery, words, self.formats), *early]
        self.made.append({**more, **gallery_dict(gallery, files)})
        self.stopped = self.stopped or gallery.status.code == "unfinished"
        if not self.json:
            with self.bar.aside():
                typer.echo("\n".join(gallery_lines(gallery, files, numbers)))

    def lose(self, photo: str, reason: str) -> None:
        """Tell of a photo that gave nothing."""
        self.failed.append({"image": photo, "reason": reason})
        with self.bar.aside():
            complain(in_options(reason))

    @property
    def code(self) -> int:
        """0 done, 1 with failed photos, 4 with no other, 130 interrupted."""
        if self.stopped:
            return INTERRUPTED
        if self.failed:
            return 1 if self.made else ImageError.exit_code
        return 0


@contextmanager
def showing(source: ModelOptions, output: OutputOptions, formats: Sequence[str] | None) -> Iterator[Show]:
    """A run whose model is loaded when the folder is known to be usable; tells the whole at its end."""
    from seewhy.reports import Folder

    kinds, folder = formats_of(formats), Folder(output.out, force=output.force)
    with quiet_warnings(output.quiet), bars(output.quiet) as bar:
        show = Show(source.load(), folder, kinds, bar, output.json)
        yield show
        with bar.aside():
            if output.json:
                name = show.model.spec or show.model.name
                as_json({"model": name, "galleries": show.made, "failed": show.failed})
    if show.stopped:
        complain(KEPT)


def number(name: str, help: str, **more: Any) -> Any:
    """An option that takes a whole number."""
    return typer.Option(name, metavar="N", help=help, rich_help_panel="The question", **more)
