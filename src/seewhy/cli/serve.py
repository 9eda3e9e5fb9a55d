"""``seewhy serve``: takes a model and what is to be looked at, serves the workbench until it is interrupted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from seewhy.cli.bundles import ModelOptions, bundled
from seewhy.cli.console import bars, quiet_warnings
from seewhy.errors import CapabilityError

__all__ = ["serve"]


def _option(*names: str, help: str, show: str | None = None, panel: str = "What to look at") -> Any:
    return typer.Option(*names, metavar=show, help=help, rich_help_panel=panel)


_SERVER = "The server"


@bundled
def serve(
    photos: Annotated[
        str | None, _option("--photos", show="DIR", help="A folder of photos, or any other source of seewhy run.")
    ] = None,
    run: Annotated[str | None, _option("--run", show="DEST", help="A folder that seewhy run wrote.")] = None,
    audit: Annotated[Path | None, _option("--audit", show="DIR", help="A folder that seewhy audit wrote.")] = None,
    repair: Annotated[Path | None, _option("--repair", show="DIR", help="A folder that seewhy repair wrote.")] = None,
    port: Annotated[
        int | None,
        _option("--port", show="N", help="Left out: the first free one from 8765 on.", panel=_SERVER),
    ] = None,
    no_browser: Annotated[
        bool, _option("--no-browser", help="Print the address, and open no browser.", panel=_SERVER)
    ] = False,
    host: Annotated[
        str, _option("--host", show="ADDRESS", help="Another address than this machine's own.", panel=_SERVER)
    ] = "127.0.0.1",
    allow_remote: Annotated[
        bool,
        _option("--allow-remote", help="Let other machines ask this model; takes --token.", panel=_SERVER),
    ] = False,
    token: Annotated[
        str | None,
        _option("--token", show="WORD", help="What opens the workbench; left out, one is made.", panel=_SERVER),
    ] = None,
    *,
    source: ModelOptions,
) -> int:
    """Open the workbench in a browser: drop photos, compare methods, hide regions, look through data sets.

    Prints its address, with the token that opens it, and serves until Ctrl-C.

    [dim]seewhy serve --photos holiday --model torchvision:resnet50[/dim]
    """
    try:
        from seewhy.web.serving import check_open
        from seewhy.web.serving import serve as run_server
    except ImportError as error:
        raise CapabilityError(
            f"the workbench takes {error.name}, which is not installed: pip install 'seewhy[web]'"
        ) from error
    from seewhy.web.workbench import Workbench

    check_open(host, token, allow_remote=allow_remote)

    with quiet_warnings(False), bars(False):
        bench = Workbench(source.load(), photos, run, audit, repair)
    run_server(
        bench, host=host, port=port, allow_remote=allow_remote, token=token, browser=not no_browser,
        said=lambda url: print(url, flush=True),
    )  # fmt: skip
    return 0
