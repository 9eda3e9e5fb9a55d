"""Takes package.module:callable, gives the network that the user's code builds; never changes that code."""

from __future__ import annotations

import dataclasses
import importlib
import sys
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch import nn

from seewhy.errors import ModelError, UnknownName, UsageError, nearest, reason
from seewhy.models._scheme import ModelRequest, Scheme, from_file, schemes
from seewhy.models.model import NO_WEIGHTS, Model
from seewhy.models.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

__all__ = ["SCHEME"]

_FORM = "python:package.module:callable"


def load(request: ModelRequest) -> Model:
    """What the callable returns, called with the request's arguments: a `torch.nn.Module` or a `Model`.

    The working directory is searched first while importing and stays at the end of ``sys.path``, so that the
    user's code can import its neighbours later. A module or model found under the name is taken as it is.
    Raises `ModelError` with the original error for code that fails.
    """
    module_name, _, attribute = request.name.partition(":")
    spec = f"python:{request.name}"
    if not module_name or not attribute:
        raise UsageError(f"cannot tell what to call in {spec!r}; type {_FORM}")
    if "/" in module_name or module_name.endswith(".py"):
        module = module_name.removesuffix(".py").strip("./").replace("/", ".")
        raise UsageError(f"{module_name!r} is a file; give the module: python:{module}:{attribute}")
    if request.weights == "random":
        raise UsageError(f"{spec} decides its own starting weights; leave --weights out or give a file")
    here = str(Path.cwd())
    sys.path.insert(0, here)
    try:
        member = _look_up(_import(module_name, spec), attribute, module_name)
        if isinstance(member, nn.Module | Model) and request.arguments:
            raise UsageError(f"{spec} is a network already: leave --arg out, or name what builds it")
        built = member if isinstance(member, nn.Module | Model) else _call(member, request.arguments, spec)
    finally:
        sys.path.remove(here)
        if here not in sys.path:
            sys.path.append(here)
    if not isinstance(built, nn.Module | Model):
        raise ModelError(f"{spec} gives a {type(built).__name__}, not a torch.nn.Module or a seewhy Model")
    made = f"made by {spec}" if built is member else NO_WEIGHTS
    model = built if isinstance(built, Model) else Model(built, name=type(built).__name__, weights=made)
    if request.weights != "auto":
        words = load_weights(model.module, request.weights, request.trust_pickle, request.part)
        model = dataclasses.replace(model, weights=from_file(request.weights, words))
    return dataclasses.replace(model, spec=spec)


def _import(name: str, spec: str) -> ModuleType:
    importlib.invalidate_caches()
    try:
        return importlib.import_module(name)
    except (Exception, SystemExit) as error:  # user code may raise anything, or end the process at import
        raise ModelError(f"cannot import {name!r} for {spec}: {reason(error)}{_way_out(name, error)}") from error


def _way_out(name: str, error: BaseException) -> str:
    """What to do about a module that cannot be imported."""
    if isinstance(error, SystemExit):
        return '. What it does when it is run belongs under if __name__ == "__main__":'
    if isinstance(error, ModuleNotFoundError) and error.name == name.partition(".")[0]:
        close = nearest(name, [path.stem for path in Path.cwd().glob("*.py")])
        return f" in {Path.cwd().name}/ or on the path{f'; nearest: {close[0]!r}' if close else ''}"
    return ""


def _look_up(module: ModuleType, attribute: str, name: str) -> Any:
    try:
        return reduce(getattr, attribute.split("."), module)
    except AttributeError as error:
        known = [key for key, value in vars(module).items() if callable(value) and not key.startswith("_")]
        listing = f'python -c "import {name}; print(dir({name}))"'
        raise UnknownName("callable", attribute, known, listing, f" in {name}") from error


def _call(factory: Any, arguments: Mapping[str, Any], spec: str) -> Any:
    if not callable(factory):
        raise ModelError(f"{spec} is a {type(factory).__name__}, which cannot be called; type {_FORM}")
    try:
        return factory(**arguments)
    except (Exception, SystemExit) as error:
        missing = isinstance(error, TypeError) and "required positional argument" in str(error)
        hint = "; --arg NAME=VALUE gives it one (Python: arguments={...})" if missing else ""
        raise ModelError(f"{spec} fails when called: {reason(error)}{hint}") from error


SCHEME = schemes.add(Scheme("python", _FORM, load, list, "python -m pydoc seewhy.models.loader", builds=True))
