"""``seewhy demo``: takes nothing, gives good pictures of why a real network called two real photos what it did."""

from __future__ import annotations

from pathlib import Path

import typer

from seewhy.cli import options as o
from seewhy.cli.console import bars, quiet_warnings
from seewhy.cli.show import as_json

__all__ = ["demo"]


def demo(out: o.Out = Path("seewhy-demo"), json: o.Json = False, quiet: o.Quiet = False) -> int:
    """Explain two photos, and a picture of both, with the built-in ImageNet network."""
    from seewhy.api.demo import run_demo
    from seewhy.reports import Folder

    Folder(out)  # says now, not after half a minute, that nothing can be written there
    with quiet_warnings(quiet), bars(quiet) as bar:
        results = run_demo(out, bar)
    if json:
        pictures = [{"picture": str(path), "shows": words} for path, words in results.pictures]
        as_json({"predictions": results.predictions, "pictures": pictures, "photos": [str(p) for p in results.photos]})
        return 0
    for name, words in results.predictions.items():
        typer.echo(f"{name}: {words}")
    typer.echo("")
    for path, words in results.pictures:
        typer.echo(f"{path}\n    {words}")
    typer.echo(
        f"\nNext, with a photo of yours in place of the cat:\n    seewhy explain {results.photos[0]} --method grad-cam"
    )
    return 0
