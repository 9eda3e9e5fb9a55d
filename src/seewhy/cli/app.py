"""The command line's frame: takes words, gives an exit code; every error of ours becomes one line on stderr."""

from __future__ import annotations

import itertools
import os
import shlex
import sys
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import typer

from seewhy._version import __version__
from seewhy.cli import commands
from seewhy.cli.console import KEPT, complain
from seewhy.cli.option_words import in_options
from seewhy.cli.photo_run import INTERRUPTED
from seewhy.cli.reporting import TYPED
from seewhy.errors import SeewhyError

__all__ = ["app", "run"]

#: set to anything, it lets errors that nobody foresaw through with their traceback
DEBUG = "SEEWHY_DEBUG"

app = typer.Typer(
    name="seewhy",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"seewhy {__version__}")
        raise typer.Exit


@app.callback(
    epilog="Exit codes: 0 done, 1 finished with failed photos, 2 usage, 3 unsafe or unloadable model, "
    "4 no photo could be read, 5 results cannot be written, 130 interrupted."
)
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, metavar="", help="Print the version."
    ),
) -> None:
    """Shows why a vision model decided what it did.

    To begin: [bold]seewhy demo[/bold], then [bold]seewhy explain PHOTO[/bold].
    """


def _heard(command: Callable[..., int]) -> Callable[..., int]:
    """``command``, which says in a line that it was interrupted, with what it has to say of that: whoever calls it
    makes an exit code of an interruption, and loses its words."""

    @wraps(command)
    def heard(**typed: Any) -> int:
        try:
            return command(**typed)
        except KeyboardInterrupt as error:
            complain(f"interrupted; {error}" if str(error) else KEPT)
            return INTERRUPTED

    return heard


def _offer(words: Sequence[str]) -> None:
    """Have the command that ``words`` begin with, or, where that is none, all of them: for the help, and for what is
    nearest."""
    asked = [name for name in commands.HOMES if [name] == list(words[:1])]
    app.registered_commands = []
    for name in asked or commands.HOMES:
        app.command(name)(_heard(commands.command(name)))


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command; gives its exit code instead of raising.

    An error that is none of ours is one line too, and exit code 1, unless the environment has ``SEEWHY_DEBUG``: a
    network's own code may raise anything.
    """
    words = sys.argv[1:] if argv is None else list(argv)
    TYPED.set(words)
    try:
        _offer(words)
        code = app(args=None if argv is None else list(argv), prog_name="seewhy", standalone_mode=False)
    except SeewhyError as error:
        complain(_as_typed(in_options(str(error), _own_options(words)), words))
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):  # before a command has begun, or after it
        complain(KEPT)
        return INTERRUPTED
    except SystemExit as stop:  # the reader of stdout went away
        return stop.code if isinstance(stop.code, int) else 1
    except Exception as error:
        return _unforeseen(error)
    return code if isinstance(code, int) else 0


#: what has to be typed again, beside its name, for the same model
_OF_A_MODEL = ("--weights", "--weights-part", "--arg", "--labels", "--size", "--channels")


def _as_typed(line: str, words: Sequence[str]) -> str:
    """``line`` with the model in it as it was typed, with all that it was given: ``--model python:train:Net`` alone may
    be no model."""
    pairs = list(itertools.pairwise(words))
    spec = next((word for option, word in pairs if option in ("--model", "-m")), None)
    more = "".join(f" {option} {shlex.quote(word)}" for option, word in pairs if option in _OF_A_MODEL)
    return line if spec is None else line.replace(f"--model {spec}", f"--model {spec}{more}")


#: options whose names mean something else where an error says them
_SAID_OTHERWISE = ("size", "range", "mean", "std", "channels", "out", "json", "force", "quiet", "preprocess")


def _own_options(words: Sequence[str]) -> list[str]:
    """The names of the options of the command in ``words``."""
    group = typer.main.get_command(app)
    command = getattr(group, "commands", {}).get(words[0]) if words else None
    return [option.name for option in getattr(command, "params", ()) if option.name not in _SAID_OTHERWISE]


def _unforeseen(error: Exception) -> int:
    """A mistake in the command line itself, which typer raises in its own class, or an error of a library."""
    show: Any = getattr(error, "format_message", None)
    if show is None:
        if os.environ.get(DEBUG):
            raise error
        # a full disk or a folder that vanished is nobody's mistake: its own words are enough
        hint = "" if isinstance(error, OSError) else f" ({DEBUG}=1 shows the traceback)"
        complain(f"{type(error).__name__}: {error}{hint}")
        return 1
    context: Any = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":  # the help itself has been shown
        return 2
    where = getattr(context, "command_path", "seewhy")
    message = show()
    stop = "" if message.endswith(("?", ".")) else "."
    complain(f"{message[:1].lower()}{message[1:]}{stop} See: {where} --help")
    return 2
