"""Option words: takes a line that names Python's arguments, gives it with the options that are typed for them; knows no
command."""

from __future__ import annotations

import ast
import re
from collections.abc import Collection, Iterable
from dataclasses import fields

from seewhy.cli.bundles import DrawingOptions, QuestionOptions
from seewhy.cli.console import complain

__all__ = ["complain_of", "in_options"]

#: the arguments that are options of most commands
_OPTIONS = {field.name for kind in (QuestionOptions, DrawingOptions) for field in fields(kind)} - {"pairs"}
_OPTIONS |= {"method", "fuse", "labels", "weights", "weights_part", "trust_pickle", "device"}

#: those that nothing can be typed for
_PYTHON = ("reshape", "memory", "references", "bounds", "differentiable")

#: an argument as errors name it: a word, and its value if it has one; not where it is typed already
_NAMED = re.compile(
    r"(?<!in Python )(?<!\(Python: )(?<!--set )(?<!--set ')(?<![\w.\-(])(\()?([a-z]\w*)="
    r"(\[[^\]]*\]|\([^()]*\)|'[^']*'|\"[^\"]*\"|[\w.+-]+)?(?!=)"
)


def in_options(line: str, own: Collection[str] = ()) -> str:
    """``line`` with ``layer='x'`` as ``--layer x``, and a method's own ``steps=9`` as ``--set steps=9``; ``own`` are
    the names of further options, of the command that was typed.

    >>> in_options("give two or more, layer=['a', 'b'], or leave fuse= out; max_steps=0: at least 1")
    'give two or more, --layer a --layer b, or leave --fuse out; --set max_steps=0: at least 1'
    >>> in_options("order='size': one of evidence, index", ["order"])
    '--order size: one of evidence, index'
    >>> in_options("--set 'steps=x': steps is a whole number, as in --set steps=10")
    "--set 'steps=x': steps is a whole number, as in --set steps=10"
    >>> in_options("values=(5.0, 5.0): the smaller one first, as in values=(-1000, 400)", ["values"])
    '--values 5,5: the smaller one first, as in --values -1000,400'
    >>> in_options("say how to read it with reshape=")
    'say how to read it with reshape= in Python'
    """
    return _NAMED.sub(lambda found: _typed(found, _OPTIONS.union(own)), line)


def complain_of(failed: Iterable[str], notes: Iterable[str], own: Collection[str] = (), *, quiet: bool) -> None:
    """Say on stderr what has failed and, unless ``quiet``, what has to be known besides, with options as typed."""
    for line in (*failed, *(() if quiet else notes)):
        complain(in_options(line, own))


def _typed(found: re.Match[str], options: Collection[str]) -> str:
    before, name, value = found[1] or "", found[2], found[3] or ""
    if name in _PYTHON:
        return f"{found[0]} in Python"
    if name in options:
        option = f"--{name.replace('_', '-')}"
        return before + " ".join(f"{option} {word}" if word else option for word in _words(value))
    return before + (f"--set {name}={value.strip(chr(39))}" if name in _parameters() else found[0])


def _words(value: str) -> list[str]:
    try:
        meant = ast.literal_eval(value)
    except (ValueError, SyntaxError):
        return [value]
    if isinstance(meant, tuple):
        return [",".join(f"{word:g}" if isinstance(word, int | float) else str(word) for word in meant)]
    return [str(word) for word in meant] if isinstance(meant, list) else [str(meant)]


def _parameters() -> set[str]:
    import seewhy.methods  # noqa: F401 - fills the registry
    from seewhy.registry import methods

    return {name for method in methods for name in method.parameters}
