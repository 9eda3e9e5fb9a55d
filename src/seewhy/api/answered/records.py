"""Answers to explanations: takes what the engine computed for a batch, gives one record per image; runs no network."""

from __future__ import annotations

import math
import platform
from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np
import torch
from torch import Tensor

from seewhy._version import __version__
from seewhy.api.answered.statuses import Finished, ending, status_of
from seewhy.api.asked.parameters import reduce_channels
from seewhy.api.given.images import FRAMES, Item
from seewhy.core.compile.checksums import Contents
from seewhy.core.forward.costs import Spent
from seewhy.core.layers.verdicts import Proof
from seewhy.core.network.axis_order import AxisOrder
from seewhy.core.network.borrowed import Network
from seewhy.core.network.outputs import Outputs, several_rows
from seewhy.core.network.places import ATTENTION, AUTO, INPUT
from seewhy.core.schedule.jobs import Answer
from seewhy.core.targets import Target
from seewhy.explanation import Cost, Explanation, Guess, Prediction
from seewhy.models import Model, Preprocess
from seewhy.registry import Card, Need
from seewhy.registry import methods as registry

#: red, green and blue
_COLOURS = 3

__all__ = ["array", "cost_of", "finish", "predictions", "provenance", "records"]


def predictions(model: Model, outputs: Outputs, most: int = 5) -> list[Prediction | None]:
    """Each image's best classes; None where the output is not a row of class scores."""
    try:
        logits = outputs.logits.detach()
    except Exception:  # an output that only the user's own target understands has no classes to name
        return [None] * outputs.batch
    # of rows, or maps, of scores the second axis is the classes; of a detector's candidates it is not
    if logits.ndim in (2, len(outputs.size) + 2) and logits.shape[1] > 1:
        model.check_labels(logits.shape[1])
    if logits.ndim != 2 or logits.shape[1] < 2:
        return [None] * outputs.batch
    probabilities = outputs.probabilities.detach()
    best_classes: list[Prediction | None] = []
    for row, shares in zip(logits, probabilities, strict=True):
        best = _best(row, most)
        numbers = zip(best.tolist(), shares[best].tolist(), row[best].tolist(), strict=True)
        top = tuple(
            Guess(k, model.label(k), share if math.isfinite(share) else None, score) for k, share, score in numbers
        )
        best_classes.append(Prediction(top[0].index, top[0].label, top[0].probability, top))
    return best_classes


def _best(row: Tensor, most: int) -> Tensor:
    """The ``most`` largest of a row of scores, by number, of equal ones that with the lower number first."""
    if len(row) > most:
        # the largest alone take a fraction of the time, but say nothing of the order of equal ones, or of NaN
        top = row.topk(most + 1)
        if bool((top.values[:-1] > top.values[1:]).all()):
            return top.indices[:most]
    return row.argsort(descending=True)[:most]


def provenance(model: Model, x: Tensor, contents: Contents | None = None) -> dict[str, Any]:
    """Where a map comes from: versions, the model and its weights, device and dtype. ``contents`` of the model's
    tensors, as the call found them."""
    return {
        "seewhy": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "model": model.spec or model.name,
        "weights": model.weights,
        "fingerprint": model.fingerprint(contents),
        "device": str(x.device),
        "dtype": str(x.dtype).removeprefix("torch."),
    }


def finish(
    answer: Answer,
    reduce: str | None,
    *,
    values: Tensor | None = None,
    contrast: str | None = None,
    spent: Spent | None = None,
) -> Finished:
    """An answer with its channels reduced; ``values`` stands in for the answer's own (a contrast)."""
    card = answer.job.outline.method.card
    raw = answer.attribution.values if values is None else values
    error = answer.attribution.error
    parameters = {**answer.job.parameters, **answer.attribution.taken}
    if (rule := answer.job.outline.rule) not in ("none", answer.job.outline.method.card.rule):
        parameters["backward_rule"] = rule  # asked for, and no part of the method itself
    channels = False
    colours = _colours(answer, raw)
    if card.reduce is not None:
        how = parameters["reduce"] = reduce or card.reduce
        if raw.ndim > 2:  # a dense layer has no positions: its units are the answer
            channels = how == "none"
            if error is not None and error.ndim == raw.ndim:
                error = _reduced_error(answer, raw, error, how)
            raw = reduce_channels(raw, how)
    place = " + ".join(parameters.get("layers", ())) or answer.place
    return Finished(answer, raw, channels, error, place, contrast, parameters, spent or answer.spent, colours)


def _colours(answer: Answer, values: Tensor) -> Tensor | None:
    """The values of red, green and blue of a map that was made under a rule of guided backpropagation's kind; None for
    all else."""
    outline = answer.job.outline
    guided = outline.rule != "none" or Need.RULE in outline.method.card.needs
    return values if guided and values.ndim == 4 and values.shape[1] == _COLOURS else None


def _map_unit(card: Card, unit: str, place: str, parameters: Mapping[str, Any]) -> str:
    """What the values of a map are counted in, of a score counted in ``unit``."""
    shares = parameters.get("multiply_by_inputs", True)
    return (card.unit if shares else "{score} per unit of the {place}").format(
        score=unit or "score", place="input" if place == INPUT else "layer"
    )


def _reduced_error(answer: Answer, values: Tensor, error: Tensor, how: str) -> Tensor:
    """The standard error of a reduction: of the channel that won, of the sum where the method kept it; else bounded by
    the errors' sum."""
    if how == "none":
        return error
    if how == "sum" and answer.attribution.summed is not None:
        return answer.attribution.summed
    if how == "max-abs":
        return error.gather(1, values.abs().argmax(1, keepdim=True))[:, 0]
    return error.sum(1)


def records(
    model: Model,
    network: Network,
    done: Finished,
    items: list[Item],
    guesses: list[Prediction | None],
    origin: Mapping[str, Any],
    outputs: Outputs,
    *,
    keep_graph: bool,
    grids: Mapping[str, Proof] | None = None,
) -> list[Explanation]:
    """One explanation per image of the batch, whose ``forward`` gave the scores; ``grids`` are what pictures said of
    layers. ``origin`` is completed by the package that a method comes from, if that is another."""
    answer, method = done.answer, done.answer.job.outline.method
    batch = len(items)
    package = registry.package(method.name)
    origin = {**origin, "package": package} if package else origin
    order = None if model.inputs is None else model.inputs.order
    said = [words] if (words := several_rows(outputs.raw, batch)) else []
    explanations = []
    for row, item in enumerate(items):
        target = answer.job.targets[row]
        values = done.values[row]
        numbers = array(values)
        score = float(answer.scores[row])
        error = None if done.error is None else _array_or_number(done.error[row])
        status = status_of(network, item, numbers, score, done, row)
        unit = target.unit(outputs)
        grid = _of_grid(answer, target, grids or {})
        several = said if target.index is not None else []
        explanations.append(
            Explanation(
                values=numbers,
                size=tuple(item.tensor.shape[1:]),
                method=method.name,
                target=target.describe(model.label),
                target_index=target.index,
                score=score,
                prediction=guesses[row],
                layer=answer.job.outline.about or (None if done.place == INPUT else done.place),
                parameters=done.parameters,
                status=status,
                error=error,
                cost=cost_of(done.spent, row, batch),
                provenance=origin,
                input=array(item.tensor),
                image=item.view,
                name=item.name,
                positive=method.card.positive,
                channels=done.channels,
                contrast=done.contrast,
                notes=(
                    *item.notes,
                    *_unread(order, item, numbers),
                    *network.warned,
                    *several,
                    *ending(network, done, row),
                    *grid,
                ),
                tensor=values if keep_graph else None,
                unit=unit,
                map_unit=_map_unit(method.card, unit, done.place, done.parameters),
                photo=item.photo,
                window=item.window,
                inputs=_inputs(item, numbers),
                axes=order.positions if order is not None else "",
                frames=item.frames,
                scan=item.scan,
                views=_views(model, item),
                colours=_red_first(model, done.colours[row]) if _of_input(done.colours, item) else None,
            )
        )
    return explanations


def cost_of(spent: Spent, row: int, batch: int) -> Cost:
    """What one image of ``batch`` cost."""
    return Cost(*spent.of(row, batch), round(spent.checks / batch), spent.seconds / batch)


def _of_grid(answer: Answer, target: Target, grids: Mapping[str, Proof]) -> tuple[str, ...]:
    """What is to be said of the grid that the values lie on, of those that the target reads, and of an automatic choice
    that stepped back."""
    read = Need.ATTENTION in answer.job.outline.method.card.needs
    place = ATTENTION if read else answer.place
    notes = [proof.note(name) for name in dict.fromkeys((place, *target.layers)) if (proof := grids.get(name))]
    if answer.job.outline.place == AUTO and (proof := grids.get(place)):
        notes.append(proof.stepped_back(place))
    return tuple(note for note in notes if note)


def _unread(order: AxisOrder | None, item: Item, values: np.ndarray[Any, Any]) -> tuple[str, ...]:
    """What is to be said of frames whose values, as many as the input's, are all 0 where others are not."""
    size = tuple(item.tensor.shape[1:])
    if order is None or order.positions != FRAMES or values.shape[-len(size) :] != size or not values.any():
        return ()
    silent = [n for n, frame in enumerate(np.moveaxis(values, -3, 0)) if not frame.any()]
    if not silent:
        return ()
    which = f"frame {silent[0]} has" if len(silent) == 1 else f"frames {', '.join(map(str, silent))} have"
    return (f"{which} no part in this map: the network may not read {'it' if len(silent) == 1 else 'them'}",)


def _inputs(item: Item, values: np.ndarray[Any, Any]) -> dict[str, tuple[int, ...]]:
    """The shapes of several inputs that make the row of which ``values`` are; none for values of something else."""
    shapes = {name: tuple(part.tensor.shape) for name, part in item.parts.items()}
    return shapes if values.size == item.tensor.numel() and values.shape[-1:] == item.tensor.shape[-1:] else {}


def _views(model: Model, item: Item) -> dict[str, dict[str, Any]]:
    """What the map of each of several inputs is drawn on, as fields of its explanation."""
    explained = () if model.inputs is None else model.inputs.explained
    axes = {str(one.key): "" if one.order is None else one.order.positions for one in explained}
    return {
        name: {
            "image": part.view,
            "photo": part.photo,
            "window": part.window,
            "frames": part.frames,
            "scan": part.scan,
            "axes": axes.get(name, ""),
        }
        for name, part in item.parts.items()
    }


def _of_input(colours: Tensor | None, item: Item) -> TypeGuard[Tensor]:
    """Whether there are colours, and of the input: a layer may have three channels as well."""
    return colours is not None and tuple(colours.shape[1:]) == tuple(item.tensor.shape)


def _red_first(model: Model, values: Tensor) -> np.ndarray[Any, Any]:
    """[3, h, w] in the order of colours that pictures have."""
    turned = isinstance(model.preprocess, Preprocess) and model.preprocess.order == "bgr"
    return array(values)[::-1] if turned else array(values)


def _array_or_number(value: Tensor) -> np.ndarray[Any, Any] | float:
    return float(value.detach()) if value.ndim == 0 else array(value)


def array(values: Tensor) -> np.ndarray[Any, Any]:
    """Float32, or float64 where it was computed so; numpy has no bfloat16, and half precision is for computing."""
    dtype = torch.float64 if values.dtype == torch.float64 else torch.float32
    return values.detach().to("cpu", dtype).numpy()
