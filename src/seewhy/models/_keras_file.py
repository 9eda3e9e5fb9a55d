"""Looks into a Keras file before it is loaded: takes its path, gives nothing or the reason why not; runs no code of it.

Keras' own safe mode refuses lambdas, but imports whatever module a file names, and can be switched off for a whole
process. So the file's own description is read first, as plain JSON: only classes of Keras itself get through.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from seewhy.errors import ModelError, UnsafeModel, one_line, reason
from seewhy.models._missing_files import missing_file

__all__ = ["check_file", "check_weights_file"]

_HDF5 = b"\x89HDF\r\n\x1a\n"
#: classes of Keras that hold a program: Python bytecode, a pickled module, a TensorFlow graph
_PROGRAMS = ("Lambda", "__lambda__", "__typespec__", "TorchModuleWrapper", "TFSMLayer", "JaxLayer", "FlaxLayer")
_ADVICE = "build the model in Python and pass it in hand: seewhy.explain(model, ...)"
#: no description of a network is larger; a member that says so is a bomb
_LARGEST = 1 << 26


def check_file(path: Path) -> None:
    """Raise `UnsafeModel` for a file that holds code or names code that is not Keras' own, `ModelError` for one that is
    missing, damaged or of another kind."""
    name = f"Keras file {str(path)!r}"
    head = _head(path, name)
    if head.startswith(_HDF5) or path.suffix.lower() in (".h5", ".hdf5"):
        raise UnsafeModel(
            f"{name} is in the old HDF5 format, which can hold Python code; load it in Keras and save it anew: "
            "model.save('model.keras')"
        )
    if path.suffix.lower() != ".keras":
        raise ModelError(f"{name}: a Keras model is a file that ends in .keras; model.save('model.keras') makes one")
    try:
        with zipfile.ZipFile(path) as archive:
            for member in archive.infolist():
                _check_member(member.filename, name)
            if archive.getinfo("config.json").file_size > _LARGEST:
                raise UnsafeModel(f"{name}: its config.json claims to be larger than any network's; {_ADVICE}")
            config = json.loads(archive.read("config.json"))
    except ModelError:
        raise
    except Exception as error:  # damaged archives raise anything from BadZipFile to NotImplementedError
        raise ModelError(f"cannot read {name}: damaged or no Keras model ({reason(error, 120)})") from error
    if isinstance(config, dict):
        config.pop("compile_config", None)  # losses and optimisers: never loaded
    for part in _objects(config):
        _check_object(part, name)


def check_weights_file(path: Path) -> None:
    """Raise `ModelError` unless there is a file that Keras reads weights, and nothing else, from."""
    name = f"weights file {str(path)!r}"
    _head(path, name)
    if path.suffix.lower() not in (".h5", ".hdf5", ".keras"):
        raise ModelError(
            f"{name}: a Keras network takes .weights.h5, .h5 or .keras; model.save_weights makes the first"
        )


def _head(path: Path, name: str) -> bytes:
    missing = missing_file(path)
    if missing:
        raise ModelError(f"cannot read {name}: {missing}")
    if path.is_dir():
        raise ModelError(f"cannot read {name}: it is a folder; give a file: model.save('model.keras') makes one")
    try:
        with path.open("rb") as file:
            head = file.read(len(_HDF5))
    except OSError as error:
        raise ModelError(f"cannot read {name}: {reason(error)}") from error
    if not head:
        raise ModelError(f"cannot read {name}: the file is empty (0 bytes)")
    return head


def _check_member(member: str, name: str) -> None:
    plain = member.replace("\\", "/")
    if PurePosixPath(plain).is_absolute() or ".." in PurePosixPath(plain).parts or ":" in plain.partition("/")[0]:
        raise UnsafeModel(f"{name} has a member {one_line(member, 60)!r} that would be written outside its folder")


def _objects(config: Any) -> Iterator[dict[str, Any]]:
    """Every description of an object in ``config``, however deep; without recursion, since a file may nest at will."""
    waiting = [config]
    while waiting:
        part = waiting.pop()
        if isinstance(part, dict):
            if "class_name" in part:
                yield part
            waiting.extend(part.values())
        elif isinstance(part, list):
            waiting.extend(part)


def _check_object(part: dict[str, Any], name: str) -> None:
    kind, module = str(part["class_name"]), part.get("module")
    own = module is None or (isinstance(module, str) and module.split(".")[0] == "keras")
    registered = part.get("registered_name")
    if kind in _PROGRAMS or kind.rpartition(">")[2] in _PROGRAMS or str(registered).rpartition(">")[2] in _PROGRAMS:
        what = "a Lambda layer, which is Python code" if "ambda" in kind else f"a {kind}, which is a program"
        raise UnsafeModel(f"{name} holds {what}; {_ADVICE}")
    called = part.get("config") if kind == "function" else kind
    custom = f"{name} needs the custom {'function' if kind == 'function' else 'class'} {one_line(called, 60)!r}"
    if isinstance(registered, str) and ">" in registered:
        raise ModelError(f"{custom}, which is not Keras' own; {_ADVICE}")
    if not own or kind == "function" or ">" in kind:
        raise UnsafeModel(f"{custom} of module {one_line(module, 60)!r}, which is not Keras' own; {_ADVICE}")
