"""Takes label files, lists and words, gives class names and numbers; never looks at a network."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seewhy.errors import UnknownName, UsageError, one_line, reason
from seewhy.models._missing_files import missing_file

__all__ = ["Labels", "find_label", "imagenet_labels", "read_labels", "shown"]

#: what a caller may give as labels
Labels = Sequence[str] | Mapping[int, str] | Mapping[str, int] | str | Path


def read_labels(labels: Labels) -> tuple[str, ...]:
    """The class names in order, from a sequence, a mapping of number to name, or a .txt or .json file's path.

    A .txt file has one name a line. A .json file has a list, or an object of number to name (Keras' pairs of
    synset and name too), or of name to number, as torchvision's ``class_to_idx``. Numbers must run from 0 without a
    gap. Raises `UsageError` for anything else.

    >>> read_labels({1: "dog", 0: "cat"})
    ('cat', 'dog')
    """
    if isinstance(labels, str | Path):
        return _from_file(Path(labels).expanduser())
    if isinstance(labels, Mapping):
        return _from_mapping(labels, "the labels")
    return _strings(labels, "the labels")


def _from_file(path: Path) -> tuple[str, ...]:
    name = f"label file {str(path)!r}"
    missing = missing_file(path)
    if missing:
        raise UsageError(f"cannot read {name}: {missing}")
    if not path.is_file():
        raise UsageError(f"cannot read {name}: it is a folder; give one file, .txt or .json")
    try:
        text = path.read_text(encoding="utf-8-sig")
        content = json.loads(text) if path.suffix.lower() == ".json" else text.rstrip().splitlines()
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(
            f"cannot read {name}: {reason(error)}; it must be UTF-8 text, one name a line, or .json"
        ) from error
    if isinstance(content, Mapping):
        return _from_mapping(content, name)
    if not isinstance(content, list):
        raise UsageError(f"{name} holds a {type(content).__name__}; it must be a list or an object of number to name")
    return _strings(content, name)


def _from_mapping(mapping: Mapping[int, str] | Mapping[str, Any], name: str) -> tuple[str, ...]:
    turned = all(isinstance(number, int) and not isinstance(number, bool) for number in mapping.values())
    pairs = [(number, text) for text, number in mapping.items()] if turned else mapping.items()
    try:
        numbered = {int(number): text for number, text in pairs}
    except (TypeError, ValueError):
        raise UsageError(
            f"{name}: keys must be class numbers, or values be, as in class_to_idx; got {one_line(list(mapping)[:3])}"
        ) from None
    gap = next((number for number in range(len(numbered)) if number not in numbered), None)
    if gap is not None or len(numbered) != len(mapping):
        raise UsageError(f"{name}: class numbers must run from 0 to {len(mapping) - 1} once each; missing: {gap}")
    return _strings([numbered[number] for number in range(len(numbered))], name)


def _strings(entries: Sequence[object], name: str) -> tuple[str, ...]:
    # Keras' class index has pairs of synset and name
    entries = [entry[-1] if isinstance(entry, list | tuple) and len(entry) == 2 else entry for entry in entries]
    for number, text in enumerate(entries):
        if not isinstance(text, str) or not text.strip():
            raise UsageError(
                f"{name}: class {number} has no name but {text!r} (line {number + 1} of a text file); "
                "every class needs one line of text"
            )
    if not entries:
        raise UsageError(f"{name}: no names in it")
    return tuple(str(text).strip() for text in entries)


@lru_cache(maxsize=1)
def imagenet_labels() -> tuple[str, ...]:
    """ImageNet-1k's 1000 descriptions, comma-separated synonyms such as "tabby, tabby cat"; needs timm, whose files are
    read: importing it takes seconds. Raises `ImportError` without it."""
    found = find_spec("timm")
    for folder in (found and found.submodule_search_locations) or ():
        try:
            return _descriptions(Path(folder) / "data" / "_info")
        except (OSError, LookupError, ValueError):  # a timm that keeps them elsewhere knows where
            continue
    info = import_module("timm.data").ImageNetInfo()
    return tuple(info.index_to_description(index) for index in range(info.num_classes()))


def _descriptions(folder: Path) -> tuple[str, ...]:
    """What timm's tables say of the classes; raises `OSError`, `LookupError` or `ValueError` where they are others."""
    synsets = (folder / "imagenet_synsets.txt").read_text(encoding="utf-8").splitlines()
    lines = (folder / "imagenet_synset_to_lemma.txt").read_text(encoding="utf-8").splitlines()
    wanted = set(synsets)
    lemmas = dict(csv.reader((line for line in lines if line.partition("\t")[0] in wanted), delimiter="\t"))
    return tuple(lemmas[synset] for synset in synsets)


@lru_cache(maxsize=32)
def shown(labels: tuple[str, ...], synonyms: bool) -> tuple[str, ...]:
    """What is written on a picture: with ``synonyms`` the first one, unless another class starts with it too.

    >>> shown(("maillot", "maillot, tank suit", "tabby, tabby cat"), True)
    ('maillot', 'maillot, tank suit', 'tabby')
    """
    if not synonyms:
        return labels
    first = [label.split(",")[0].strip() for label in labels]
    count = Counter(first)
    return tuple(short if count[short] == 1 else label for short, label in zip(first, labels, strict=True))


def _parts(label: str) -> list[str]:
    return [part.strip() for part in label.split(",")]


def _folded(text: str) -> str:
    return " ".join(text.casefold().replace("_", " ").split())


def find_label(text: str, labels: tuple[str, ...] | None, synonyms: bool, listing: str) -> int:
    """The class that ``text`` means: as written, a comma-separated part of it, without case, a number.

    Raises `UsageError` when several classes are meant equally or a number is out of range, `UnknownName` when
    none.

    >>> find_label("Tabby Cat", ("tiger cat", "tabby, tabby cat"), True, "")
    1
    """
    asked = text.strip()
    if labels is not None:
        tries: list[tuple[str, Callable[[int], list[str]]]] = [
            (asked, lambda k: [labels[k]]),
            (asked, lambda k: [shown(labels, synonyms)[k]]),
            (asked, lambda k: _parts(labels[k])),
            (_folded(asked), lambda k: [_folded(labels[k])]),
            (_folded(asked), lambda k: [_folded(part) for part in _parts(labels[k])]),
        ]
        for wanted, names in tries:
            matches = [index for index in range(len(labels)) if wanted in names(index)]
            if len(matches) == 1:
                return matches[0]
            if matches:
                several = "; ".join(f"{index} {labels[index]!r}" for index in matches[:6])
                raise UsageError(f"label {asked!r} means {len(matches)} classes: {several}; give the number")
    if asked.removeprefix("-").isdecimal():
        number = int(asked)
        if number < 0 or (labels is not None and number >= len(labels)):
            last = f", the last is {len(labels) - 1}" if labels is not None else ""
            raise UsageError(f"no class {number}; classes are numbered from 0{last}. List them: {listing}")
        return number
    if labels is None:
        raise UsageError(f"label {asked!r}: this model has no labels; give the class number, or load it with labels=")
    known = [part for label in labels for part in _parts(label)]
    raise UnknownName("label", asked, known, listing, within=True)
