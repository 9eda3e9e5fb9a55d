"""Takes an explanation and a path, gives an ``.npz`` file and back; never runs anything that a file holds.

The arrays are members of their own; everything else is one JSON text, in which what JSON lacks (tuples,
numbers that are not finite, arrays among the parameters) is a small tagged object. Loading trusts nothing.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, is_dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_origin, get_type_hints

import numpy as np

from seewhy.errors import UsageError
from seewhy.explanation.parts import Cost, Guess, Prediction, Status
from seewhy.explanation.scan import Scan
from seewhy.explanation.trust import Evidence, Trust
from seewhy.render import write_bytes

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from seewhy.explanation.result import Explanation

__all__ = ["decode", "encode", "load", "save"]

_FORMAT, _VERSION = "seewhy explanation", 1
_ARRAYS = ("values", "input", "image", "colours", "frames")
_PLAIN = (
    ("method", str),
    ("target", str),
    ("target_index", int | None),
    ("score", float),
    ("layer", str | None),
    ("parameters", dict),
    ("provenance", dict),
    ("name", str),
    ("positive", bool),
    ("channels", bool),
    ("contrast", str | None),
    ("unit", str),
    ("map_unit", str),
    ("window", tuple | None),
    ("inputs", dict),
    ("axes", str),
)
#: what files of earlier versions do not hold
_LATER: dict[str, Any] = {"map_unit": "", "window": None, "inputs": {}, "axes": ""}
# No photo has more pixels; a forged size must not make .map ask for all memory.
_MOST_PIXELS = 1 << 28
E = TypeVar("E", bound="Explanation")
R = TypeVar("R", Status, Cost, Guess, Prediction, Evidence)


def save(explanation: Explanation, path: str | os.PathLike[str], *, force: bool = False) -> Path:
    """The ``.npz`` file written; raises `UsageError` if it exists, unless ``force``."""
    arrays: dict[str, NDArray[Any]] = {}
    for name in _ARRAYS:
        value = getattr(explanation, name)
        if value is not None:
            arrays[name] = np.asarray(value)
    meta: dict[str, Any] = {name: encode(getattr(explanation, name), arrays) for name, _ in _PLAIN}
    meta["score"] = encode(float(explanation.score), arrays)
    meta["size"] = list(explanation.size)
    meta["notes"] = list(explanation.notes)
    meta["error"] = encode(explanation.error, arrays)
    for name in ("status", "cost", "prediction"):
        value = getattr(explanation, name)
        meta[name] = None if value is None else encode(asdict(value), arrays)
    if explanation.scan is not None:
        arrays["scan"] = explanation.scan.voxels
        meta["spacing"] = encode(explanation.scan.spacing, arrays)
        meta["affine"] = encode(explanation.scan.affine, arrays)
    if explanation.trust is not None:
        meta["trust"] = encode(_card(explanation.trust), arrays)
    meta["views"] = encode({name: _flat(seen) for name, seen in explanation.views.items()}, arrays)
    meta |= {"format": _FORMAT, "version": _VERSION}
    buffer = io.BytesIO()
    text = np.array(json.dumps(meta, allow_nan=False))
    np.savez_compressed(buffer, metadata=text, **arrays)  # type: ignore[arg-type]
    return write_bytes(buffer.getvalue(), path, force=force)


def load(kind: type[E], path: str | os.PathLike[str]) -> E:
    """The explanation, of class ``kind``, in the file; raises `UsageError` for what `save` did not write."""
    path = Path(path)
    if not path.is_file():
        raise UsageError(f"no file {path}; an explanation's file is what explanation.save('name.npz') writes")
    try:
        data = io.BytesIO(path.read_bytes())
        stored = np.load(data, allow_pickle=False)
        if not isinstance(stored, np.lib.npyio.NpzFile):
            raise ValueError("one array, not an archive")
        arrays = {name: np.asarray(stored[name]) for name in stored.files}
        meta = json.loads(str(arrays.pop("metadata")[()]))
        if meta["format"] != _FORMAT:
            raise ValueError(f"its format is {meta['format']!r}")
        if meta["version"] > _VERSION:
            raise UsageError(f"{path} was written by a newer seewhy (format {meta['version']}): pip install -U seewhy")
        return kind(**_fields(meta, arrays))
    except UsageError as error:
        raise UsageError(f"cannot load {path}: {error}") from error
    except Exception as error:  # a forged archive makes numpy, zipfile and json raise anything at all
        reason = str(error).split("\n", 1)[0][:120] or type(error).__name__
        raise UsageError(
            f"{path} is not an explanation: {reason}; such a file is what explanation.save('name.npz') writes"
        ) from error


def _fields(meta: dict[str, Any], arrays: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for name, kind in _PLAIN:
        value = decode(meta.get(name, _LATER[name]) if name in _LATER else meta[name], arrays)
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            raise ValueError(f"its {name} is {type(value).__name__}")
        fields[name] = value
    fields["inputs"] = {str(name): _size(shape) for name, shape in fields["inputs"].items()}
    fields["size"] = _size(meta["size"])
    fields["notes"] = tuple(str(note) for note in meta["notes"])
    fields["error"] = decode(meta["error"], arrays)
    if not isinstance(fields["error"], float | int | np.ndarray | None):
        raise ValueError("its error is no number")
    fields["status"] = _record(Status, decode(meta["status"], arrays))
    fields["cost"] = _record(Cost, decode(meta["cost"], arrays))
    prediction = decode(meta["prediction"], arrays)
    if prediction is not None:
        top = tuple(_record(Guess, guess) for guess in prediction.pop("top"))
        prediction = replace(_record(Prediction, prediction), top=top)
    fields["prediction"] = prediction
    if "scan" in arrays:
        spacing, affine = decode(meta["spacing"], arrays), decode(meta["affine"], arrays)
        fields["scan"] = Scan(arrays["scan"], spacing, affine)
    if (card := meta.get("trust")) is not None:
        fields["trust"] = _trust(decode(card, arrays))
    views = decode(meta.get("views", {"$pairs": []}), arrays)
    fields["views"] = {str(name): _seen(held) for name, held in views.items()}
    return fields | {name: arrays.get(name) for name in _ARRAYS} | {"values": arrays["values"]}


def _card(trust: Trust) -> dict[str, Any]:
    """A card as `encode` takes it."""
    measures = [asdict(each) for each in trust.measures]
    return {"level": trust.level, "sentence": trust.sentence, "cost": asdict(trust.cost), "measures": measures}


def _trust(held: Any) -> Trust:
    """What `_card` was given."""
    measures = tuple(_record(Evidence, each) for each in held["measures"])
    return Trust(str(held["level"]), str(held["sentence"]), measures, _record(Cost, held["cost"]))


def _flat(seen: Mapping[str, Any]) -> dict[str, Any]:
    """What one of several inputs is drawn on, as `encode` takes it; the whole photo is left out, as of one input."""
    held = {name: value for name, value in seen.items() if value is not None and name != "photo"}
    if (scan := held.pop("scan", None)) is not None:
        held |= {"voxels": scan.voxels, "spacing": scan.spacing, "affine": scan.affine}
    return held


def _seen(held: dict[str, Any]) -> dict[str, Any]:
    """What `_flat` was given."""
    if "voxels" in held:
        held["scan"] = Scan(held.pop("voxels"), held.pop("spacing"), held.pop("affine"))
    kinds = {"image": np.ndarray, "frames": np.ndarray, "window": tuple, "axes": str, "scan": Scan}
    if any(not isinstance(value, kinds.get(name, ())) for name, value in held.items()):
        raise ValueError(f"its views have {', '.join(held)}")
    return held


def _record(kind: type[R], held: Mapping[str, Any]) -> R:
    """A small record of ``kind``, once every value has the type that the kind declares for it."""
    for name, declared in get_type_hints(kind).items():
        # a whole number is as good where a fraction is expected
        declared = Mapping if get_origin(declared) is Mapping else declared
        fits = declared | int if declared is float or float in get_args(declared) else declared
        if name in held and not isinstance(held[name], fits):
            raise ValueError(f"its {kind.__name__.lower()} has {name} {held[name]!r}")
    return kind(**held)


def _size(stored: Any) -> tuple[int, ...]:
    size = tuple(stored)
    if not all(type(side) is int and side > 0 for side in size) or math.prod(size) > _MOST_PIXELS:
        raise ValueError(f"its size is {size}")
    return size


def encode(value: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    """``value`` as JSON data from which `decode` gives it back; arrays in it are put into ``arrays``.

    Text, numbers, None, lists, tuples, mappings and numeric arrays come back as they were (numpy numbers as
    Python's, mappings as dict); anything else comes back as its text.
    """
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or isinstance(value, bool | int | str):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"$float": repr(float(value))}
    if is_dataclass(value) and not isinstance(value, type):
        return {"$text": str(value)}
    if isinstance(value, Mapping):
        return {"$pairs": [[encode(key, arrays), encode(each, arrays)] for key, each in value.items()]}
    if isinstance(value, list):
        return [encode(each, arrays) for each in value]
    if isinstance(value, tuple):
        return {"$tuple": [encode(each, arrays) for each in value]}
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiubc":
        name = f"array_{len(arrays)}"
        arrays[name] = value
        return {"$array": name}
    return {"$text": str(value)}


def decode(value: Any, arrays: Mapping[str, NDArray[Any]]) -> Any:
    """What `encode` was given; raises `ValueError` or `KeyError` for data that it did not make."""
    if isinstance(value, list):
        return [decode(each, arrays) for each in value]
    if not isinstance(value, dict):
        return value
    if len(value) != 1:
        raise ValueError("an untagged object in its metadata")
    ((tag, held),) = value.items()
    if tag == "$float":
        return float(held)
    if tag == "$pairs":
        return {decode(key, arrays): decode(each, arrays) for key, each in held}
    if tag == "$tuple":
        return tuple(decode(each, arrays) for each in held)
    if tag == "$array":
        return arrays[held]
    if tag == "$text":
        return str(held)
    raise ValueError(f"an unknown tag {tag!r} in its metadata")
