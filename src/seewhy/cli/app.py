"""The command line's frame: takes words, gives an exit code; every error of ours becomes one line on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from seewhy._version import __version__
from seewhy.cli import commands
from seewhy.errors import SeewhyError

__all__ = ["app", "run"]

app = typer.Typer(
    name="seewhy",
    help="Shows why a vision model decided what it did.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"seewhy {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    """Shows why a vision model decided what it did."""


app.command("demo")(commands.demo)
app.command("explain")(commands.explain)
app.command("compare")(commands.compare)
app.command("layers")(commands.layers)
app.command("labels")(commands.labels)
app.command("methods")(commands.methods)


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code instead of raising."""
    try:
        code = app(args=None if argv is None else list(argv), standalone_mode=False)
        return code if isinstance(code, int) else 0
    except SeewhyError as error:
        _complain(str(error))
        return error.exit_code
    except typer.Abort:  # what click makes of an interrupt
        _complain("interrupted")
        return 130
    except KeyboardInterrupt:
        _complain("interrupted")
        return 130
    except typer.Exit as stop:
        return stop.exit_code
    except Exception as error:
        code = _usage(error)
        if code is None:
            raise
        return code


def _usage(error: Exception) -> int | None:
    """Show a mistake in the command line itself the way click does; None if ``error`` is not one."""
    show, code = getattr(error, "show", None), getattr(error, "exit_code", None)
    if show is None or code is None:
        return None
    show(file=sys.stderr)
    return int(code)


def _complain(message: str) -> None:
    # one line, whatever a library put into its text
    typer.echo(f"seewhy: {' '.join(message.split())}", err=True)
