"""What an audit proved: takes an audit in hand, or the folder that it was saved to, gives its cues with what is said of
them; checks that they are of the model at hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from seewhy.api.auditing.files import CUES, DOCUMENT
from seewhy.api.auditing.result import Audit
from seewhy.audits.background import Background
from seewhy.audits.cast import Cast
from seewhy.audits.cue import Cue
from seewhy.audits.patches import Patch
from seewhy.audits.places import Frame, Place
from seewhy.audits.stored import unpacked
from seewhy.errors import UsageError, one_line
from seewhy.models import Model

__all__ = ["Proved", "proved", "where"]

_HOW = "seewhy audit SOURCE --out AUDIT writes one"
#: what pictures are called that a caller had in hand
_IN_HAND = "images"
#: the verdict that makes a cue one to be mended
_VERDICT = "shortcut"


@dataclass(frozen=True, eq=False)
class Proved:
    """The cues that an audit proved, each of a class; what it calls classes, by number; the ``model`` and the pictures,
    ``source``, that it was of, '' where it does not say."""

    cues: tuple[tuple[int, Cue], ...]
    labels: Mapping[int, str]
    model: str
    source: str = ""

    def check(self, model: Model, some: Tensor) -> None:
        """Raise `UsageError` where cues are not of a model whose inputs are like ``some`` [N, C, H, W]: of other
        classes, or of inputs of another size."""
        for index, label in self.labels.items():
            known = model.labels
            if known is not None and (index >= len(known) or label not in (known[index], model.label(index))):
                own = repr(known[index]) if index < len(known) else f"not there: it has {len(known)}"
                raise UsageError(
                    f"the audit's class {index} is {label!r}, and {model.name}'s is {own}: give the model that was "
                    f"audited{f', {self.model}' if self.model else ''}, with its labels"
                )
        shape = tuple(some.shape[1:])
        for _, cue in self.cues:
            made = _shape(cue)
            if made is not None and not _fits(cue, made, shape):
                raise UsageError(
                    f"the audit's cue ({cue.kind}) is of inputs {_sides(made)}, and {model.name} is given "
                    f"{_sides(shape)}: give the model that was audited{f', {self.model}' if self.model else ''}"
                )


def proved(audit: Any) -> Proved:
    """What an audit proved, in hand or in its folder. Raises `UsageError` for what is none, and for an audit that
    proved nothing."""
    if isinstance(audit, Audit):
        cues = tuple((each.candidate.index, each.candidate.cue) for each in audit.shortcuts)
        labels = {index: audit.labels[index] for index, _ in cues if index in audit.labels}
        _check_some(cues, len(audit.checked), sum(each.proved for each in audit.findings))
        return Proved(cues, labels, audit.model)
    if not isinstance(audit, str | Path):
        raise UsageError(f"an audit is a seewhy.Audit or the folder that it was saved to, not a {type(audit).__name__}")
    folder = Path(audit)
    folder = folder.parent if folder.name == DOCUMENT else folder
    words, packed = _read(folder / DOCUMENT, audit), folder / CUES
    try:
        findings = [each for each in words["findings"] if each["verdict"] and each.get("same_as") is None]
        shortcuts = [each for each in findings if each["verdict"] == _VERDICT]
        labels = {int(each["class"]): str(each["label"]) for each in shortcuts}
        model, source, checked = str(words.get("model") or ""), str(words.get("source") or ""), len(words["checked"])
        kinds = [(int(each["class"]), each["kind"]) for each in shortcuts]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise UsageError(f"{str(audit)!r} is no audit ({type(error).__name__} in {DOCUMENT}): {_HOW}") from error
    _check_some(shortcuts, checked, len(findings))
    if not packed.is_file():
        raise UsageError(f"{str(audit)!r} has no {CUES}, in which the cues of an audit are: {_HOW}")
    found = tuple(unpacked(packed.read_bytes(), str(packed)))
    if [(index, cue.kind) for index, cue in found] != kinds:
        raise UsageError(f"{str(audit)!r}: {CUES} holds other cues than {DOCUMENT} says; audit again")
    # a class without a name is told by its number
    named = {index: label for index, label in labels.items() if label != str(index)}
    return Proved(found, named, model, "" if source == _IN_HAND else source)


def _read(path: Path, audit: str | Path) -> dict[str, Any]:
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder {str(audit)!r}: {_HOW}")
    if not path.is_file():
        near = sorted(each.parent.name for each in path.parent.glob(f"*/{DOCUMENT}"))
        hint = f"; one is in it: {str(path.parent / near[0])!r}" if near else ""
        raise UsageError(f"{str(audit)!r} is no audit, it has no {DOCUMENT}{hint}: {_HOW}")
    try:
        words = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{str(path)!r} cannot be read: {one_line(error, 80)}; {_HOW}") from error
    if not isinstance(words, dict):
        raise UsageError(f"{str(path)!r} is no audit: {_HOW}")
    return words


def _check_some(cues: Any, checked: int, proved_: int) -> None:
    if not cues:
        look = f"; {proved_} causes may be the object or a shortcut: look at them" if proved_ else ""
        raise UsageError(f"nothing to mend: the audit found no shortcut in {checked} classes{look}")


def _shape(cue: Cue) -> tuple[int, ...] | None:
    """The input [C, H, W] that a cue is of, as far as it says."""
    if isinstance(cue, Place | Frame):
        return tuple(cue.template.shape)
    if isinstance(cue, Patch):
        return tuple(cue.exemplars.shape[1:])
    return (len(cue.shift),) if isinstance(cue, Cast) else None


def _fits(cue: Cue, made: tuple[int, ...], shape: tuple[int, ...]) -> bool:
    if isinstance(cue, Place | Frame):
        return made == shape
    return made[0] == shape[0] and all(side <= whole for side, whole in zip(made[1:], shape[1:], strict=False))


def _sides(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape))


def where(cue: Cue) -> str:
    """Where a cue is, in words for people.

    >>> from seewhy.audits.regions import Window
    >>> import torch
    >>> where(Place(Window(12, 0, 4, 4), (16, 16), torch.zeros(3, 16, 16)))
    'at the bottom left corner'
    """
    if isinstance(cue, Place):
        window, (rows, columns) = cue.window, tuple(cue.mask.shape)
        down = "top" if window.top == 0 else "bottom" if window.top + window.height == rows else ""
        across = "left" if window.left == 0 else "right" if window.left + window.width == columns else ""
        if down and across:
            return f"at the {down} {across} corner"
        edge = f"at the {down or across} edge, " if down or across else ""
        return (
            f"{edge}in columns {window.left} to {window.left + window.width} of {columns}, "
            f"rows {window.top} to {window.top + window.height} of {rows}"
        )
    if isinstance(cue, Frame):
        return f"in the {cue.name}"
    if isinstance(cue, Patch):
        rows, columns = cue.size
        return f"in a patch of {rows} x {columns} pixels, wherever it is"
    return "in the background" if isinstance(cue, Background) else "in the colour of the whole picture"
