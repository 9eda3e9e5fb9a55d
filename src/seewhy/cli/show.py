"""Results in words: takes explanations and their files, gives JSON-ready dictionaries and lines of text; computes
nothing."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from seewhy.errors import on_a_line

if TYPE_CHECKING:
    from seewhy.explanation import Cost, Explanation, Explanations

__all__ = ["as_json", "cost_dict", "image_dict", "image_lines"]

#: layers that have a line each
_LAYERS = 12


def as_json(document: Any) -> None:
    """Print ``document`` on stdout as strict JSON, in plain ASCII where stdout cannot hold more."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:  # a terminal of another time, or a file name whose bytes are no text
        text = json.dumps(document, indent=2, allow_nan=False)
    typer.echo(text)


def cost_dict(cost: Cost) -> dict[str, Any]:
    """forwards, backwards, checks, seconds."""
    return {
        "forwards": cost.forwards,
        "backwards": cost.backwards,
        "checks": cost.checks,
        "seconds": round(cost.seconds, 4),
    }


def image_dict(path: str, explanations: Explanations, files: Sequence[Sequence[Path]]) -> dict[str, Any]:
    """One image of the ``images`` list: its prediction, the notes that all of its explanations have, and those with
    their files."""
    from seewhy.explanation.plain import common_notes

    whole = [answer.to_dict() for answer in explanations]
    prediction = whole[0]["prediction"] if whole else None
    return {
        "image": path,
        "notes": common_notes(explanations),
        "prediction": prediction,
        "explanations": [
            {key: value for key, value in one.items() if key not in ("prediction", "name")}
            | {"cost": cost_dict(answer.cost), "files": [str(path) for path in own_files]}
            for answer, one, own_files in zip(explanations, whole, files, strict=True)
        ],
        "cost": cost_dict(explanations.cost),
    }


def image_lines(path: str, explanations: Explanations, files: Sequence[Sequence[Path]]) -> list[str]:
    """The same for people: the prediction, then each explanation and, on lines of their own, its files."""
    from seewhy.explanation.plain import common_notes, score_in_words

    common = common_notes(explanations)
    lines = [f"{path}: {_prediction(explanations)}", *(f"  note: {note}" for note in common)]
    held: list[tuple[Explanation, str]] = []  # layers of a picture that is named at its end
    for n, (answer, own_files) in enumerate(zip(explanations, files, strict=True)):
        where = f" at {answer.layer}" if answer.layer else ""
        against = f" {answer.contrast}" if answer.contrast else ""
        state = "" if answer.status.ok else f"  [{answer.status}]"
        line = f"  {answer.method}{where} for {answer.target}{against} ({score_in_words(answer)}){state}"
        notes = [f"    note: {note}" for note in answer.notes if note not in common]
        if answer.trust is not None:
            notes.insert(0, f"    trust: {answer.trust}")
        # a picture that several share is named once, after the last of them
        later = files[n + 1] if n + 1 < len(files) else ()
        unnamed = [f"    {file}" for file in own_files if file not in later]
        if _of_layer(answer) and not state and not unnamed and not notes:
            held.append((answer, line))
            continue
        lines += [*_few(held), line, *notes, *unnamed]
        held = []
    return [on_a_line(line) for line in (*lines, *_few(held))]


def _few(held: Sequence[tuple[Explanation, str]]) -> list[str]:
    """The lines of layers in a row; one line for more than a few of them."""
    if len(held) <= _LAYERS:
        return [line for _, line in held]
    (first, _), (last, _) = held[0], held[-1]
    return [f"  {first.method} at {len(held)} layers, {first.layer} to {last.layer}"]


def _prediction(explanations: Explanations) -> str:
    """What the model says: its first classes, or the number that is its answer, and never one of a layer."""
    prediction = explanations[0].prediction
    if prediction is not None:
        return ", ".join(map(str, prediction.top[:3]))
    answer = next((one for one in explanations if not _of_layer(one)), None)
    return "no answer that goes without saying" if answer is None else f"{answer.unit or 'score'} {answer.score:.4g}"


def _of_layer(explanation: Explanation) -> bool:
    """Whether its score is a layer's own mean."""
    return explanation.target == f"mean of {explanation.layer}"
