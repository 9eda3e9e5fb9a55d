"""Functions of torch: takes a function that torch can differentiate, gives it as a module, for methods that ask for
gradients; the networks that it calls are parts of it."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from typing import Any

from torch import nn

__all__ = ["DifferentiableFunction"]


class DifferentiableFunction(nn.Module):
    """A function from tensors to tensors that keeps their graph.

    Networks that it holds (it is a method of one, or names one in its code) are submodules under those names, so that
    they are lent and given back like any, and their layers can be named: ``net.layer4``.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        super().__init__()
        self._function = function
        for name, network in _networks(function):
            if not hasattr(self, name):
                self.add_module(name, network)

    def forward(self, *given: Any, **named: Any) -> Any:
        """What the function gives."""
        return self._function(*given, **named)


def _networks(function: Any) -> Iterator[tuple[str, nn.Module]]:
    """The networks that a function's code names, and what it calls them."""
    if isinstance(function, functools.partial):
        yield from _networks(function.func)
        held = {f"argument{n}": value for n, value in enumerate(function.args)} | function.keywords
        yield from ((name, value) for name, value in held.items() if isinstance(value, nn.Module))
        return
    owner = getattr(function, "__self__", None)
    if isinstance(owner, nn.Module):
        yield type(owner).__name__.lower(), owner
    function = getattr(function, "__func__", function)
    code = getattr(function, "__code__", None)
    if code is None:
        return
    values = dict(zip(code.co_freevars, map(_content, function.__closure__ or ()), strict=True))
    values |= {name: function.__globals__.get(name) for name in code.co_names}
    yield from ((name, value) for name, value in values.items() if isinstance(value, nn.Module))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None
