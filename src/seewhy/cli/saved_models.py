"""Models by a name of one's own: takes what was typed about a model, keeps it in ``seewhy.toml`` in the working
directory, gives it back when its name is typed; never keeps leave to run code."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import Any, TypeVar

from seewhy.errors import UnknownName, UsageError, one_line, reason

__all__ = ["FILE", "check", "recalled", "remember"]

FILE = "seewhy.toml"
_TABLE = "models"
#: typed anew each time: where to run, what to call it, and whether a file may run code that it carries
_NEVER = ("save_model", "trust_pickle", "device")

#: `seewhy.cli.bundles.ModelOptions`, which reads what is saved here
Typed = TypeVar("Typed", bound=Any)


def recalled(typed: Typed) -> Typed:
    """``typed``, with what was saved under the name that it gives for a model; what is typed goes before what was
    saved. Anything that is no plain word is a model of its own.

    Raises `UsageError` for a file that cannot be read, or that says of a model what no option is.
    """
    name = typed.model
    if ":" in name or name == "builtin" or not Path(FILE).is_file():
        return typed
    table = _read().get(_TABLE)
    saved = table.get(name) if isinstance(table, dict) else None
    if saved is None:
        return typed
    defaults = {field.name: field.default for field in fields(typed) if field.name not in _NEVER}
    if not isinstance(saved, dict) or not isinstance(saved.get("model"), str):
        raise UsageError(f'{FILE}: [{_TABLE}.{name}] names no model; write model = "python:package.module:callable"')
    unknown = next((key for key in saved if key not in defaults), None)
    if unknown is not None:
        raise UnknownName(f"key in [{_TABLE}.{name}]", unknown, list(defaults), "seewhy explain --help", f" of {FILE}")
    said = {key: _as_typed(value, key, f"{key} of [{_TABLE}.{name}]") for key, value in saved.items()}
    own = {key: value for key, value in said.items() if getattr(typed, key) == defaults[key] or key == "model"}
    return replace(typed, **own)


#: options that are numbers, or switches; of which several may be typed; all others are words
_NUMBERS, _SWITCHES, _SEVERAL = ("channels", "range"), ("bgr", "as_is"), ("arg",)


def _as_typed(value: Any, key: str, where: str) -> Any:
    """A value as it would have been typed: people write numbers and lists into such a file as it suits them."""
    number = isinstance(value, int | float) and not isinstance(value, bool)
    plain = isinstance(value, str) or number
    if key in _SWITCHES and isinstance(value, bool):
        return value
    if key in _NUMBERS and number:
        return value
    if key in _SEVERAL and isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    if key in _NUMBERS or key in _SWITCHES or key in _SEVERAL:
        raise UsageError(f"{FILE}: {where} is {one_line(repr(value), 60)}, which no option of that name could be")
    if isinstance(value, list) and value and all(isinstance(item, int | float) for item in value):
        return ",".join(map(str, value))
    if not plain:
        raise UsageError(f"{FILE}: {where} is {one_line(repr(value), 60)}, no word or number")
    return str(value)


def check(name: str) -> None:
    """Find out before a model is loaded whether it can be kept under ``name``. Raises `UsageError` for a name that
    could be taken for something else, and for a file that cannot be read."""
    if not name.replace("-", "").replace("_", "").isalnum() or name in ("builtin", "auto", "random"):
        raise UsageError(f"--save-model {name!r}: a word of letters, digits, - and _, and not builtin")
    if Path(FILE).is_dir():
        raise UsageError(f"--save-model {name}: {FILE} is a folder here; it has to be a file")
    if Path(FILE).is_file() and not isinstance(_read().get(_TABLE, {}), dict):
        raise UsageError(f"--save-model {name}: {FILE} has {_TABLE} that are no table; write [{_TABLE}.{name}]")


def remember(typed: Any) -> None:
    """Keep what was typed about a model under the name that was asked for, beside the others in the file."""
    import tomlkit

    name = typed.save_model
    words = {
        field.name: value
        for field in fields(typed)
        if field.name not in _NEVER and (value := getattr(typed, field.name)) != field.default
    }
    document = tomlkit.parse(Path(FILE).read_text("utf-8")) if Path(FILE).is_file() else tomlkit.document()
    models: Any = document.setdefault(_TABLE, tomlkit.table(is_super_table=True))
    models[name] = {"model": typed.model, **words}
    Path(FILE).write_text(tomlkit.dumps(document), encoding="utf-8")


def _read() -> dict[str, Any]:
    import tomllib

    try:
        return tomllib.loads(Path(FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot read {FILE}: {reason(error, 100)}") from error
