"""What a network put out: takes its raw return value, gives logits and probabilities, or what a detector found; never
runs a model."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils import _pytree as pytree

from seewhy.core.intercept.head import Squash
from seewhy.core.network.layouts import map_layout
from seewhy.core.network.places import kind_of
from seewhy.core.network.proposals import listed
from seewhy.errors import TargetError

__all__ = ["Outputs", "detections", "main_tensor", "owned", "several_rows"]


def detections(raw: Any) -> Sequence[Mapping[str, Tensor]] | None:
    """What a detector found, one mapping an image; None if ``raw`` is something else."""
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not len(raw):
        return None
    if all(isinstance(item, Mapping) and {"boxes", "labels", "scores"} <= item.keys() for item in raw):
        return raw
    return None


#: the keys under which models put the scores, in order of preference
_KEYS = ("logits", "logits_per_image", "out", "scores", "output", "prediction", "predictions")


_OBJECTS = "the model finds objects: what is explained is one of them, e.g. seewhy.targets.Box((10, 20, 90, 80), k=1)"


def main_tensor(raw: Any) -> Tensor:
    """The scores inside whatever a model returned: a tensor, tuple, dict, dataclass or anything with ``.logits``.

    Raises `TargetError` if no tensor, or no unambiguous one, is inside, or one that is sparse, nested
    or complex.
    """
    scores = _found(raw)
    if scores.is_nested or scores.layout is not torch.strided or scores.is_complex():
        way = "to_padded_tensor(0.0)" if scores.is_nested else "abs()" if scores.is_complex() else "to_dense()"
        raise TargetError(
            f"the model returns {kind_of(scores)}, of which no scores are read; wrap it so that it gives a plain "
            f"tensor, or pass target=lambda output: output.{way}[:, CLASS]"
        )
    return scores


def _found(raw: Any) -> Tensor:
    if isinstance(raw, Tensor):
        return raw
    if isinstance(raw, np.ndarray):  # a function that runs something else than torch
        return torch.from_numpy(raw)
    logits = getattr(raw, "logits", None)
    if isinstance(logits, Tensor):
        return logits
    if is_dataclass(raw) and not isinstance(raw, type):
        raw = {field.name: getattr(raw, field.name) for field in fields(raw)}
    if isinstance(raw, Mapping):
        for key in _KEYS:
            if isinstance(raw.get(key), Tensor):
                return raw[key]  # type: ignore[no-any-return]
        tensors = {key: value for key, value in raw.items() if isinstance(value, Tensor)}
        if len(tensors) == 1:
            return next(iter(tensors.values()))
        raise TargetError(
            f"the model returns {type(raw).__name__} with keys {', '.join(map(str, raw))}: which one is the score? "
            "A function takes it, in Python target=lambda output: output[KEY][:, CLASS]; without classes, what it "
            "finds similar to another picture is explained, target='similar:PHOTO'"
        )
    if detections(raw) is not None:
        raise TargetError(_OBJECTS)
    if isinstance(raw, Sequence) and not isinstance(raw, str):
        for item in raw:
            if isinstance(item, Tensor | np.ndarray | Sequence | Mapping):
                return _found(item)
    raise TargetError(
        f"the model returns {type(raw).__name__}, in which no scores were found. "
        "Pass target= a callable from that output to one scalar per sample"
    )


def several_rows(raw: Any, batch: int) -> str:
    """What has to be said of a model that gives several rows of numbers for each sample, of which the first are taken
    for the scores; '' for any other."""
    if not isinstance(raw, tuple | list) or detections(raw) is not None:
        return ""
    rows = [tuple(t.shape) for t in raw if isinstance(t, Tensor) and t.ndim == 2 and len(t) == batch]
    if len(rows) < 2 or main_tensor(raw).ndim != 2:
        return ""
    return (
        f"the model gives {len(raw)} outputs, {len(rows)} of them rows of numbers: the first, "
        f"{'x'.join(map(str, rows[0][1:]))} for each image, is explained; for another "
        "target=lambda output: output[1][:, CLASS]"
    )


def owned(raw: Any, squashes: Sequence[Squash]) -> tuple[Any, list[Squash]]:
    """What a network gave, in memory that no later forward writes into, and its squashes, which are known by the
    tensors that they gave: networks answer in buffers of their own, which are read after others have run."""
    copies: dict[int, Any] = {}

    def kept(leaf: Any) -> Any:
        if isinstance(leaf, np.ndarray):
            return leaf.copy()
        if not isinstance(leaf, Tensor) or not _lent(leaf):
            return leaf
        return copies.setdefault(id(leaf), leaf.clone())

    own = pytree.tree_map(kept, raw)
    named = [
        replace(squash, result=copies[id(squash.result)]) if id(squash.result) in copies and squash.holds else squash
        for squash in squashes
    ]
    return own, named


def _lent(output: Tensor) -> bool:
    """Whether an output may lie in memory that is somebody else's: a part of a larger tensor, one that was written
    into, or what numpy, or a runtime, holds."""
    if output.layout != torch.strided or output.is_meta or output.is_quantized:
        return False
    if output.is_inference() or output._version or output._is_view():
        return True
    return not output.untyped_storage().resizable()


@dataclass
class Outputs:
    """One forward's result, as targets see it.

    ``raw`` is what the model returned; ``main`` the scores in it; ``logits`` [B, K] what stood before a final
    softmax or sigmoid, if the forward ended in one; ``batch`` the number of samples; ``captured`` the layers that
    were, in the order in which they first ran; ``squashed`` whether rows of scores were squashed on the way to the
    output, whatever came then; ``size`` that of the inputs and ``last`` whether the network's own order has channels
    last, by which classes are told from positions; ``computed_in`` the coarsest type of the input and the weights;
    ``classes`` how many the network's own configuration counts, where it has one.
    """

    raw: Any
    batch: int
    squashes: Sequence[Squash] = ()
    activations: Callable[[str], Tensor] | None = None
    rows: Callable[[str], Tensor] | None = None
    captured: tuple[str, ...] = ()
    squashed: bool = False
    size: tuple[int, ...] = ()
    last: bool = False
    computed_in: torch.dtype | None = None
    classes: int | None = None

    @cached_property
    def main(self) -> Tensor:
        """The scores as the model gives them; of one sample a row, where it gives that without an axis for the sample
        (``squeeze``)."""
        return self._row(self._given)

    @cached_property
    def _given(self) -> Tensor:
        given = main_tensor(self.raw)
        if given.ndim == 2 and len(given) != self.batch and listed(self):
            raise TargetError(_OBJECTS)
        return given

    def _row(self, scores: Tensor) -> Tensor:
        """Scores of one sample, with an axis for the sample."""
        if self.batch == 1 and (scores.ndim == 0 or (scores.ndim == 1 and len(scores) != 1)):
            return scores[None]
        return scores

    @property
    def found(self) -> Sequence[Mapping[str, Tensor]] | None:
        """What a detector found in each image; None for models that are none."""
        return detections(self.raw)

    @cached_property
    def _final(self) -> Squash | None:
        """The softmax or sigmoid that produced ``main``, if one did."""
        return next((squash for squash in reversed(self.squashes) if squash.produced(self._given)), None)

    @property
    def ends_in(self) -> str:
        """``"softmax"``, ``"log_softmax"``, ``"sigmoid"``, ``"log_sigmoid"`` or ``"logits"``."""
        return "logits" if self._final is None else self._final.kind

    @cached_property
    def _shares(self) -> bool:
        """Whether the output holds probabilities though it is no softmax or sigmoid that was seen: shares of 1, or
        numbers from 0 to 1 that were made of a squash by steps that nobody follows (some classes of it, one minus it).
        """
        if self._final is not None:
            return False
        if self._range[0] < 0:  # nearly always
            return False
        return (self.squashed and self._range[1] <= 1) or _are_shares(self._classes_second(self.main))

    @cached_property
    def _range(self) -> tuple[float, float]:
        """The least and the greatest number of ``main``; both negative and positive infinity where one is none, or
        there are none: those lie nowhere."""
        rows = self.main.detach()
        if not rows.numel() or rows.is_complex():
            return -math.inf, math.inf
        low, high = (float(end) for end in torch.aminmax(rows.dequantize() if rows.is_quantized else rows))
        return (low, high) if low <= high else (-math.inf, math.inf)

    @cached_property
    def finite(self) -> bool:
        """Whether every one of the `logits` is a number."""
        if self._final is None:
            return all(map(math.isfinite, self._range))
        return bool(self.logits.isfinite().all())

    @cached_property
    def score_unit(self) -> str:
        """What `logits` are: ``"logit"``; ``"probability"``, ``"log-probability"`` or ``"output"``, a number without a
        name, for what was made of a softmax by steps that are not followed or not seen, or lies between 0 and 1
        throughout (a sigmoid written by hand), which then is explained as it is."""
        if self._shares:
            return "probability"
        if self._final is not None:
            return "logit"
        low, high = self._range
        rows = self.main.detach()
        if high < _NEAR and rows.is_floating_point() and _are_shares(self._classes_second(rows).exp()):
            return "log-probability"
        return "output" if self.squashed or (low >= 0 and high <= 1) else "logit"

    @cached_property
    def output_unit(self) -> str:
        """What `main` is: ``"probability"``, ``"log-probability"``, or ``"output"``, a number without a name."""
        if self._final is None:
            return self.score_unit if self.score_unit != "logit" else "output"
        return "log-probability" if self._final.kind.startswith("log_") else "probability"

    @cached_property
    def logits(self) -> Tensor:
        """The scores before a final softmax or sigmoid, [B, K]; a vector of one score per sample becomes [B, 1]."""
        values = self.main if self._final is None else self._row(self._final.source)
        return values[:, None] if values.ndim == 1 else values

    @cached_property
    def maps(self) -> Tensor:
        """`logits` with the classes in axis 1, [B, K, *positions]: a network may give them last."""
        return self._classes_second(self.logits)

    def _classes_second(self, values: Tensor) -> Tensor:
        if not self.size or values.ndim != len(self.size) + 2:
            return values
        return map_layout(values.shape, self.size, last=self.last).canonical(values)

    @cached_property
    def probabilities(self) -> Tensor:
        """Softmax of the logits over axis 1; what the model gives itself where that is a sigmoid, or made of
        probabilities."""
        given = self.main.exp() if self.ends_in == "log_sigmoid" else self.main
        if self._shares or self.ends_in in ("sigmoid", "log_sigmoid"):
            return given[:, None] if given.ndim == 1 else given
        if self.logits.ndim == 2 and self.logits.shape[1] == 1:  # one score: yes or no
            return self.logits.sigmoid()
        return self.logits.softmax(1)

    def activation(self, name: str) -> Tensor:
        """A captured layer in canonical shape [B, C, *positions]."""
        if self.activations is None:
            raise TargetError(f"layer {name!r} was not captured")
        return self.activations(name)

    def everything(self, name: str) -> Tensor:
        """All that a captured layer puts out, a row for each sample: [B, n]."""
        if self.rows is None:
            raise TargetError(f"layer {name!r} was not captured")
        return self.rows(name)


#: how far a row of shares may be from adding up to 1
_NEAR = 1e-3


def _are_shares(values: Tensor) -> bool:
    """Whether rows of several numbers, none below 0, each add up to 1: a row of scores does so by chance only."""
    if values.ndim < 2 or values.shape[1] < 2 or not values.numel() or not values.is_floating_point():
        return False
    rows = values.detach()
    return bool((rows >= 0).all()) and bool(((rows.double().sum(1) - 1).abs() < _NEAR).all())
