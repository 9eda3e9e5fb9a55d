"""Words to targets: takes what the user called a target, gives one list of targets per image; runs no network, but once
for each picture that something is to be similar to."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np
from torch import Tensor

from seewhy.api.given.embeddings import with_embeddings
from seewhy.core import targets as t
from seewhy.core.network.borrowed import Network
from seewhy.core.network.outputs import Outputs
from seewhy.core.network.places import find_place, function_of, split_name
from seewhy.core.network.proposals import Form, as_maps, tell
from seewhy.errors import AbsentTarget, TargetError, UnknownName, UsageError
from seewhy.models import Model

__all__ = ["Wanted", "aim", "check_contrast", "competitors"]

_TOP = re.compile(r"top-(\d+)")

#: every class of a multi-label model that it says is there
_PRESENT = "present"

_VERSUS = re.compile(r"(.+?)\s+vs\.?\s+(.+)")

#: those that are about one class alone
_CLASSES = t.Logit | t.Probability | t.LogProbability | t.Centred

_OUTPUT = re.compile(r"output (\d+)")

_SHARE = re.compile(r"P\((.+)\)")

_SIMILAR = re.compile(r"similar:(.+)")

_EDGE = r"\s*(-?\d+\.?\d*)\s*"

_AT = re.compile(rf"(.+?) at {_EDGE},{_EDGE},{_EDGE},{_EDGE}(?: as (\S+))?")

_ANYWHERE = re.compile(r"best (.+?)(?: as (\S+))?")

_REGION = re.compile(r"region (.+)")

_DEPTH = re.compile(rf"depth(?: at {_EDGE},{_EDGE}(?:,{_EDGE})?)?")


class Wanted:
    """What is to be explained: parsed once, turned into targets when the scores are known.

    ``target`` is None (each image's top class), an index, a label, a `Target`, a callable from the model's output to
    one scalar per sample, ``"all"`` (every class), ``"present"`` (every class with a positive score, for several labels
    at once) or ``"top-k"``. Words also make ``"cat vs dog"`` (a margin), ``"P(cat)"`` (a probability), ``"output 0"``
    (a regression), ``"similar:other.jpg"`` (the similarity to another picture), ``"cat at 10,20,90,80"`` (an object;
    ``"... as yolov8"`` says how the output is read), ``"best cat"`` (its surest candidate), ``"region cat"`` (where it
    is predicted) and ``"depth at 10,20"``. Of a detector the top class is the
    surest object. For one image, a list explains each of its entries; for several images a list has one entry (or one
    list) per image. ``classless`` stands in for the top class of a model that has none, where nobody looks at a class.
    """

    def __init__(self, model: Model, target: Any, images: int, *, classless: t.Target | None = None) -> None:
        self._model, self._classless = model, classless
        #: targets as they are asked of the network: pictures that something is to be similar to have gone through it
        self._embedded: dict[Any, t.Target] = {}
        if isinstance(target, Tensor | np.ndarray):
            target = target.tolist()
        self.many = isinstance(target, list | tuple | range) or _depends(target)
        #: whether each of several images has targets of its own
        self.paired = False
        if isinstance(target, list | tuple | range):
            per_image = list(target) if images > 1 else [list(target)]
            if not per_image or per_image == [[]]:
                raise UsageError("no targets: the list given is empty; leave target= out for the top class")
            if len(per_image) != images:
                raise UsageError(
                    f"{len(per_image)} targets for {images} images: with several images a list gives each its own. "
                    f"For the same targets everywhere: target=[[a, b]] * {images}"
                )
            self._asked = [list(p) if isinstance(p, list | tuple | range) else [p] for p in per_image]
            self.paired = images > 1
        else:
            self._asked = [[target]] * images
        # labels and types are checked now, before anything is computed
        for spec in {id(s): s for row in self._asked for s in row}.values():
            self._fixed(spec)

    def of_each(self, images: int) -> Wanted:
        """The targets of the first image for each of so many."""
        return self._with(self._asked[:1] * images)

    def of_classes(self, classes: Sequence[int]) -> Wanted:
        """A class for each image instead."""
        return self._with([[k] for k in classes])

    def _with(self, asked: list[list[Any]]) -> Wanted:
        other = copy(self)
        other._asked = asked
        return other

    @property
    def layers(self) -> tuple[str, ...]:
        """Layers that the targets themselves read."""
        fixed = (self._fixed(spec) for row in self._asked for spec in row)
        return tuple(dict.fromkeys(name for target in fixed if target is not None for name in target.layers))

    def resolve(self, outputs: Outputs, images: Sequence[int]) -> list[tuple[t.Target, ...]]:
        """For the images of one batch, in order: the n-th target of every image, for each n."""
        rows = [
            [target for spec in self._asked[image] for target in self._expand(spec, outputs, row)]
            for row, image in enumerate(images)
        ]
        counts = {len(row) for row in rows}
        if len(counts) != 1:
            raise UsageError(f"images of one call need equally many targets; got {sorted(counts)}")
        return list(zip(*rows, strict=True))

    def _fixed(self, spec: Any) -> t.Target | None:
        """The target that ``spec`` means whatever the scores are; None if it depends on them."""
        if spec is None or _depends(spec):
            return None
        if isinstance(spec, t.Target):
            return self._seen(spec)
        if isinstance(spec, Tensor | np.ndarray) and spec.ndim == 0:
            spec = spec.item()
        if isinstance(spec, bool):
            raise UsageError(f"target={spec}: a target is an index, a label, a Target or a callable")
        if isinstance(spec, int | np.integer):
            return t.Logit(int(spec))
        if isinstance(spec, str):
            return self._seen(self._read(spec), spec)
        if callable(spec):
            return t.Custom(spec)
        raise UsageError(
            f"target is {type(spec).__name__}; give an index, a label, a Target, a callable, 'top-3', 'all' or None"
        )

    def _seen(self, target: t.Target, key: Any = None) -> t.Target:
        """``target`` with an embedding in the place of each picture that something is to be similar to; the model sees
        each once, whose targets are known by ``key``."""
        key = target if key is None else key
        if key not in self._embedded:
            self._embedded[key] = with_embeddings(self._model, target)
        return self._embedded[key]

    def _read(self, words: str) -> t.Target:
        """A class by its label, or one of the other targets in words; a label comes first."""
        find = self._model.find_label
        if self._model.labels is None or words not in self._model.labels:
            if match := _VERSUS.fullmatch(words):
                return t.Margin(find(match[1]), find(match[2]))
            if match := _SHARE.fullmatch(words):
                return t.Probability(find(match[1]))
            if match := _OUTPUT.fullmatch(words):
                return t.Output(int(match[1]))
            if match := _SIMILAR.fullmatch(words):
                return t.Similarity(match[1])
            if (placed := self._placed(words)) is not None:
                return placed
        return t.Logit(find(words))

    def _placed(self, words: str) -> t.Target | None:
        """A target with a place in words; None if they mean none."""
        find = self._model.find_label
        if match := _AT.fullmatch(words):
            left, top, right, bottom = (float(match[n]) for n in (2, 3, 4, 5))
            return t.Box((left, top, right, bottom), find(match[1]), match[6] or "")
        if match := _DEPTH.fullmatch(words):
            point = tuple(float(place) for place in match.groups() if place is not None)
            return t.Depth(at=point or None)
        if match := _ANYWHERE.fullmatch(words):
            return t.Candidate(find(match[1]), form=match[2] or "")
        if match := _REGION.fullmatch(words):
            return t.Region(None, find(match[1]))
        return None

    def _expand(self, spec: Any, outputs: Outputs, row: int) -> list[t.Target]:
        fixed = self._fixed(spec)
        if fixed is not None:
            return [_in_range(fixed, outputs).settled(outputs, row)]
        if spec is None and self._classless is not None and not _has_classes(outputs):
            return [self._classless]
        if (form := _form(outputs)) is not None:
            return _objects(outputs, form, row, spec)
        logits = outputs.logits.detach()
        if logits.ndim != 2:
            _check_no_maps(outputs)
            raise TargetError(
                f"the model's output has shape {tuple(logits.shape)}, so there is no top class; name a target, e.g. "
                "seewhy.targets.Region(mask, k) for a segmentation output"
            )
        if logits.shape[1] == 1:  # a yes or no is explained by its logit, a regression as it is
            return [t.Output(0) if outputs.ends_in == "logits" else t.Logit(0)]
        order = logits[row].argsort(descending=True).tolist()
        if spec is None:
            return [t.Logit(order[0])]
        if spec == "all":
            return [t.Logit(k) for k in range(len(order))]
        if spec == _PRESENT:
            # every class by itself, whether or not the model ends in its sigmoid
            return [t.Logit(k) for k in order if k == order[0] or float(logits[row, k]) > 0]
        return [t.Logit(k) for k in order[: _top_count(spec)]]


def _has_classes(outputs: Outputs) -> bool:
    if _form(outputs) is not None:
        return True
    try:
        return outputs.logits.ndim == 2
    except TargetError:  # several tensors, none of which is called the score
        return False


def _form(outputs: Outputs) -> Form | None:
    """How the output tells of objects, where it proves to; None where it does not."""
    try:
        if outputs.found is None and outputs.main.ndim == 2 and outputs.main.shape[1] != 6:
            return None  # a row of scores, as of nearly every network; six numbers may be an object
    except TargetError:  # several tensors, none of which is called the score
        pass
    try:
        return tell(outputs)
    except TargetError:  # the caller is told what a network without a top class wants
        return None


def _objects(outputs: Outputs, form: Form, row: int, spec: Any) -> list[t.Target]:
    """The surest object a detector found, or as many as ``spec`` asks for."""
    every = spec in ("all", _PRESENT)
    if every and form not in ("listed", "nms"):
        raise TargetError(f"target={spec!r}: every candidate of the detector would be one; ask for 'top-5'")
    count = sys.maxsize if every else 1 if spec is None else _top_count(spec)
    boxes = t.surest_boxes(outputs, form, row, count)
    if not boxes:
        raise AbsentTarget("the model finds no object here; name a box: seewhy.targets.Box((10, 20, 90, 80), k=1)")
    return [box.settled(outputs, row) for box in boxes]


def _in_range(target: t.Target, outputs: Outputs) -> t.Target:
    """A class target with its index from 0, checked against the output."""
    if isinstance(target, _CLASSES):
        if outputs.logits.ndim != 2:
            _check_no_maps(outputs)
        target(outputs)
        return replace(target, k=target.k % outputs.logits.shape[1])
    return target


def _check_no_maps(outputs: Outputs) -> None:
    """Refuse a class of an output that may be a detector's maps, by what names an object in them."""
    if form := as_maps(outputs):
        shapes = " and ".join(str(tuple(each.shape)) for each in outputs.raw)
        raise TargetError(
            f"the model gives {len(outputs.raw)} maps, {shapes}, and no row of classes: if it is a detector, name an "
            f"object, such as 'best 1 as yolov5-maps', in Python seewhy.targets.Candidate(1, {form}); if it segments, "
            "seewhy.targets.Region(mask, k)"
        )


def _depends(spec: Any) -> bool:
    """Whether ``spec`` is a word for several targets that the scores decide on."""
    return isinstance(spec, str) and (spec in ("all", _PRESENT) or _is_top(spec))


def _is_top(spec: Any) -> bool:
    return isinstance(spec, str) and _TOP.fullmatch(spec) is not None


def _top_count(spec: str) -> int:
    match = _TOP.fullmatch(spec)
    assert match is not None
    count = int(match[1])
    if count < 1:
        raise UsageError(f"{spec!r}: the smallest is 'top-1'")
    return count


def check_contrast(contrast: Any, model: Model) -> None:
    """Refuse an invalid contrast before anything is computed."""
    if contrast is None or _is_top(contrast):
        if contrast is not None:
            _top_count(contrast)
        return
    if isinstance(contrast, str):
        model.find_label(contrast)
    elif isinstance(contrast, bool) or not isinstance(contrast, int | np.integer):
        raise UsageError(f"contrast={contrast!r}: one class (index or label), or 'top-10'")


def competitors(contrast: Any, model: Model, target: t.Target, outputs: Outputs, row: int) -> list[t.Target]:
    """What ``contrast`` sets against ``target``: the same kind of target for one class, or for the ``"top-k"`` best
    others."""
    if not isinstance(target, _CLASSES):
        raise TargetError(f"contrast needs a target that is one class; {target.describe(model.label)!r} is not")
    count = outputs.logits.shape[1]
    own = target.k % count
    if _is_top(contrast):
        order = outputs.logits[row].detach().argsort(descending=True).tolist()
        rivals = [k for k in order if k != own][: _top_count(contrast)]
        if not rivals:
            raise TargetError(f"contrast={contrast!r}: the model has one class, so nothing competes")
    else:
        k = model.find_label(contrast) if isinstance(contrast, str) else int(contrast)
        t.Logit(k)(outputs)
        if k % count == own:
            raise TargetError(f"contrast={contrast!r} is the target itself; name another class, or 'top-10'")
        rivals = [k % count]
    return [replace(target, k=k) for k in rivals]


def aim(model: Model, network: Network, what: Any) -> t.Target:
    """The target that ``what`` means.

    A number or a label is a class. ``LAYER`` is a whole layer (the mean of its squares, as DeepDream has it),
    ``LAYER:CHANNEL`` one channel's mean, ``LAYER:CHANNEL:Y,X`` one neuron. A `Target` is itself. Raises `UnknownName`
    for a word that is neither, `UsageError` for numbers that cannot be read.

    >>> import torch
    >>> from seewhy.models import wrap
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3))
    >>> aim(wrap(net), Network(net), "0:2").describe()
    '0[2]'
    """
    if isinstance(what, t.Target):
        return with_embeddings(model, what)
    if isinstance(what, int) and not isinstance(what, bool):
        return t.Logit(what)
    if not isinstance(what, str):
        raise UsageError(f"{what!r:.60} is no class, layer or target; give a label, a number, or 'LAYER:CHANNEL'")
    layer, colon, rest = what.partition(":")
    layers = {name for name, _ in network.module.named_modules(remove_duplicate=False) if name}
    owner, element, *_ = split_name(layer)
    if (owner in layers or function_of(element)) and not (what.isdigit() and model.labels is not None):
        find_place(network.module, layer, model.spec)
        return _inside(layer, rest) if colon else t.LayerMean(layer, 2)
    try:
        return t.Logit(model.find_label(what))
    except UnknownName as error:
        if colon:
            find_place(network.module, layer, model.spec)  # says which layer is nearest
        listing = f"seewhy layers --model {model.spec}" if model.spec else "seewhy.layers(model)"
        raise UnknownName("class or layer", what, [*(model.labels or ()), *layers], listing) from error


def _inside(layer: str, rest: str) -> t.Target:
    channel, _, place = rest.partition(":")
    try:
        position = tuple(int(n) for n in place.split(",")) if place else None
        return t.Neuron(layer, int(channel), position)
    except ValueError:
        raise UsageError(f"{layer}:{rest}: write LAYER:CHANNEL or LAYER:CHANNEL:Y,X, as in {layer}:3:4,4") from None
