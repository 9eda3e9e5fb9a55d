"""Supplies: takes a plan and a batch, gives what methods cannot know by themselves: references, fills, regions, bounds;
runs no network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seewhy.api.asked.parameters import BASELINES, baseline_tensor
from seewhy.api.asked.request import Request
from seewhy.api.given.images import Item, read_items
from seewhy.api.given.regions import regions, segments
from seewhy.api.given.rows import alone
from seewhy.core.perturb.fills import Fill, Inpaint
from seewhy.core.perturb.sources import spread_of
from seewhy.errors import UnknownName, UsageError
from seewhy.models import Model
from seewhy.registry import ARGUMENTS, Method

__all__ = ["FILLS", "Supplier", "bounds_of", "spread_in"]

FILLS = (*BASELINES, "inpaint")


@dataclass
class Supplier:
    """Everything that methods may ask for by name, made once for a batch ``x`` [B, C, *size]."""

    model: Model
    x: Tensor
    items: Sequence[Item]
    request: Request
    seed: int = 0
    #: what was used, in words, for the record
    described: dict[str, str] = field(default_factory=dict)
    _made: dict[tuple[str, Any], Any] = field(default_factory=dict)

    def supplies(self, method: Method) -> Mapping[str, Any]:
        """By name, what ``method`` takes."""
        supplied = [name for name in method.requires if ARGUMENTS[name].supplied]
        return {name: getattr(self, f"_{name}")(method) for name in supplied}

    def fill(self, method: Method) -> Fill:
        """What takes the place of what ``method`` hides."""
        return self._fill(method)

    def _baseline(self, method: Method) -> Tensor:
        return self._reference("baseline", self.request.baseline, "black")

    def _fill(self, method: Method) -> Fill:
        asked = self.request.fill
        if isinstance(asked, str) and asked not in (*FILLS, "gray"):
            raise UnknownName("fill", asked, FILLS, f"one of {', '.join(FILLS)}, a number or a tensor")
        if isinstance(asked, str) and asked == "inpaint":
            self.described["fill"] = asked
            return Inpaint(self.x)
        kind = method.card.fill
        if asked is None and self.model.colour_to_input((0.5, 0.5, 0.5)) is None:
            kind = "mean"  # colours cannot be told of a preprocess that is a function
        return Fill(self._reference("fill", asked, kind))

    def _reference(self, what: str, asked: Any, default: str) -> Tensor:
        key = what, (default if asked is None else asked) if isinstance(asked, str | int | float | None) else id(asked)
        if key not in self._made:
            self._made[key] = self._new_reference(what, asked, default)
        tensor, self.described[what] = self._made[key]
        return tensor  # type: ignore[no-any-return]

    def _new_reference(self, what: str, asked: Any, default: str) -> tuple[Tensor, str]:
        def of_one(model: Model, x: Tensor, items: Sequence[Item]) -> tuple[Tensor, str]:
            kind = (default if items[0].pictured else "zero") if asked is None else asked
            return baseline_tensor(model, kind, x, self.seed, what)

        if isinstance(asked, Tensor | np.ndarray):  # a row of several inputs already
            return of_one(self.model, self.x, self.items)
        each = [of_one(*one) for one in each_alone(self.model, self.x, self.items)]
        words = list(dict.fromkeys(word for _, word in each))
        if len(words) > 1:
            words = [f"{name}: {word}" for name, (_, word) in zip(self.items[0].parts, each, strict=True)]
        return in_a_row([tensor for tensor, _ in each]), ", ".join(words)

    def _segments(self, method: Method) -> Tensor:
        if isinstance(self.request.segments, Tensor | np.ndarray):
            return self._once("segments", lambda: segments(self.request.segments, self.x, self.items))
        return self._once("segments", self._pieces)

    def _pieces(self) -> Tensor:
        """Pieces of the input; of several, those of each, numbered one input after the other."""
        rows: list[Tensor] = []
        first = torch.zeros(len(self.x), 1, dtype=torch.long)
        for model, x, items in each_alone(self.model, self.x, self.items):
            labels = segments(self.request.segments, x, items)
            if model is self.model:
                return labels
            row = labels[:, None].expand(x.shape).flatten(1) + first
            first = row.amax(1, keepdim=True) + 1
            rows.append(row)
        return torch.cat(rows, 1)

    def _spread(self, method: Method) -> Tensor:
        return self._once("spread", lambda: spread_in(self.model, self.x, self.items))

    def _regions(self, method: Method) -> Tensor:
        return self._once("regions", lambda: regions(self.request.segments, self.x, self.items))

    def _references(self, method: Method) -> Tensor | None:
        """Other images, as inputs [N, C, *size]: photos, arrays or tensors, or one batch of inputs."""
        asked = self.request.references
        if asked is None:
            return None
        if self.items[0].parts and isinstance(asked, Tensor):  # rows of several inputs already
            rows = self._once("references", lambda: asked.to(self.x))
        else:
            rows = self._once(
                "references", lambda: torch.stack([item.tensor for item in read_items(self.model, asked)[0]]).to(self.x)
            )
        if rows.shape[1:] != self.x.shape[1:]:
            raise UsageError(
                f"references of shape {tuple(rows.shape[1:])} for inputs {tuple(self.x.shape[1:])}; give images of the "
                "same size"
            )
        self.described["references"] = f"{len(rows)} given"
        return rows

    def _once(self, name: str, make: Any) -> Tensor:
        """One object for all methods and targets of the batch: it is part of what names a stream that they share."""
        if (name, None) not in self._made:
            self._made[name, None] = make()
        supply: Tensor = self._made[name, None]
        return supply

    def _bounds(self, method: Method) -> tuple[Tensor, Tensor]:
        if self.request.bounds is None:
            each = [(bounds_of(model, x), x) for model, x, _ in each_alone(self.model, self.x, self.items)]
            if len(each) == 1:
                return each[0][0]
            low, high = ([ends[n].expand_as(x) for ends, x in each] for n in range(2))
            return in_a_row(low), in_a_row(high)
        self.described["bounds"] = "given"
        return _given_bounds(self.request.bounds, self.x)


def each_alone(model: Model, x: Tensor, items: Sequence[Item]) -> list[tuple[Model, Tensor, Sequence[Item]]]:
    """What is explained, input by input: a model of it alone, what it is given of ``x`` [B, C, *size], its items."""
    inputs = model.inputs
    if inputs is None or not items[0].parts:
        return [(model, x, items)]
    return [
        (alone(model, one), part, [item.parts[str(one.key)] for item in items])
        for one, part in zip(inputs.explained, inputs.parts(x), strict=True)
    ]


def in_a_row(each: Sequence[Tensor]) -> Tensor:
    """One row [B, 1, N] of a tensor [B, C, *size] of each input; that of the only one as it is."""
    return each[0] if len(each) == 1 else torch.cat([one.flatten(1) for one in each], 1)[:, None]


def spread_in(model: Model, x: Tensor, items: Sequence[Item]) -> Tensor:
    """The largest minus the smallest value of each image, [B, 1...]; of several inputs, of each, [B, 1, N]."""
    each = [(spread_of(part), part) for _, part, _ in each_alone(model, x, items)]
    return each[0][0] if len(each) == 1 else in_a_row([spread.expand_as(part) for spread, part in each])


def bounds_of(model: Model, x: Tensor) -> tuple[Tensor, Tensor]:
    """What black and white come to for inputs ``x`` [B, C, *size], or their own extremes where that is not known; [B,
    C, 1...] each."""
    ones = (1,) * (x.ndim - 2)
    ends = model.colour_to_input((0.0, 0.0, 0.0)), model.colour_to_input((1.0, 1.0, 1.0))
    flat = x.flatten(2)
    if ends[0] is None or ends[1] is None or len(ends[0]) != x.shape[1]:
        low, high = flat.amin(2), flat.amax(2)
    else:
        both = torch.stack([end.to(x) for end in ends if end is not None])
        low, high = both.amin(0).expand(len(x), -1), both.amax(0).expand(len(x), -1)
        # a tensor given by hand may go beyond what a picture can
        low, high = torch.minimum(low, flat.amin(2)), torch.maximum(high, flat.amax(2))
    return low.reshape(*low.shape, *ones), high.reshape(*high.shape, *ones)


def _given_bounds(asked: Any, x: Tensor) -> tuple[Tensor, Tensor]:
    """The caller's own bounds for inputs ``x`` [B, C, *size], two of [B, C, 1...]; `UsageError` unless they hold it."""
    channels, axes = x.shape[1], (0, *range(2, x.ndim))
    how = f"a pair (low, high) in input units, each a number or {channels} of them, as bounds=(-2.0, 2.5)"
    try:
        low, high = (torch.as_tensor(end).detach().to(x).flatten() for end in asked)
    except (TypeError, ValueError, RuntimeError):
        raise UsageError(f"bounds={asked!r:.60}: give {how}") from None
    for end in (low, high):
        if len(end) not in (1, channels):
            raise UsageError(f"bounds with {len(end)} numbers for inputs of {channels} channels: give {how}")
    low, high = low.expand(channels), high.expand(channels)
    for n, (least, most, smallest, largest) in enumerate(
        zip(*(ends.tolist() for ends in (low, high, x.amin(axes), x.amax(axes))), strict=True)
    ):
        if not least < most:
            raise UsageError(f"bounds from {least:g} to {most:g} in channel {n}: low is below high; give {how}")
        if smallest < least or largest > most:
            raise UsageError(
                f"bounds from {least:g} to {most:g}, and the input has {smallest:g} to {largest:g} in channel {n}: "
                "give bounds that hold it, or leave bounds out"
            )
    ones = (1,) * (x.ndim - 2)
    return low.expand(len(x), -1).reshape(-1, channels, *ones), high.expand(len(x), -1).reshape(-1, channels, *ones)
