"""One run: takes photos, a model and a question, gives files, words on stdout and an exit code; computes nothing
itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from seewhy.cli.bundles import ModelOptions, OutputOptions
from seewhy.cli.console import Bars, bars, complain, quiet_warnings
from seewhy.cli.show import as_json, cost_dict, image_dict, image_lines
from seewhy.errors import ImageError

if TYPE_CHECKING:
    from seewhy.api.asked.request import Request
    from seewhy.explanation import Explanations
    from seewhy.models import Model
    from seewhy.report import Folder

__all__ = ["INTERRUPTED", "Save", "run"]

#: what a shell expects of a program that Ctrl-C ended
INTERRUPTED = 130
#: writes one photo's explanations into the folder; gives each one's files
Save = Callable[["Folder", "Explanations"], Sequence[Sequence[Path]]]


def run(
    photos: Sequence[str],
    source: ModelOptions,
    output: OutputOptions,
    request: Request,
    save: Save,
) -> int:
    """Explain, save and tell; gives the exit code."""
    from seewhy.report import Folder

    folder = Folder(output.out, force=output.force)
    with quiet_warnings(output.quiet), bars(output.quiet) as bar:
        request = replace(request, settings=replace(request.settings, progress=bar))
        return _all(photos, source.load(), folder, request, save, bar, json=output.json, quiet=output.quiet)


def _all(
    photos: Sequence[str],
    model: Model,
    folder: Folder,
    request: Request,
    save: Save,
    bar: Bars,
    *,
    json: bool,
    quiet: bool,
) -> int:
    from seewhy.api.explaining import explain_photos
    from seewhy.explanation import Cost

    images: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    total, stopped = Cost(), False
    for n, outcome in enumerate(explain_photos(model, photos, request), 1):
        if outcome.explanations is None:
            failed.append({"image": outcome.path, "reason": outcome.reason})
            with bar.aside():
                complain(outcome.reason)
        else:
            files = save(folder, outcome.explanations)
            total += outcome.explanations.cost
            images.append(image_dict(outcome.path, outcome.explanations, files))
            if not json:
                with bar.aside():
                    typer.echo("\n".join(image_lines(outcome.path, outcome.explanations, files)))
            if outcome.explanations.interrupted:
                stopped = True
                break
        if len(photos) > 1:
            bar("photos", n, len(photos))
    with bar.aside():
        if json:
            name = model.spec or model.name
            as_json({"model": name, "images": images, "failed": failed, "cost": cost_dict(total)})
        elif not quiet:
            lost = f", {len(failed)} failed" if failed else ""
            complain(f"{len(images)} photo{'' if len(images) == 1 else 's'} explained{lost}: {total}")
    if stopped:
        return INTERRUPTED
    if failed:
        return 1 if images else ImageError.exit_code
    return 0
