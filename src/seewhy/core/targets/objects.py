"""Targets that are objects: take what a detector proposes, give how surely one is found; never run a model."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from seewhy.core.network.proposals import Form, Proposals, overlap, proposals, tell, told
from seewhy.core.targets.base import Label, Target, class_name, unnamed
from seewhy.errors import AbsentTarget, TargetError

if TYPE_CHECKING:
    from seewhy.core.network.outputs import Outputs

__all__ = ["Box", "Candidate", "Likeness", "surest_boxes"]

#: the overlap from which a candidate is said to fit a box, as in detection's own measures
_FITS = 0.5

Edges = tuple[float, float, float, float]


class _Object(Target):
    """A target that is a score of class ``k``, read off what is proposed in each image."""

    k: int
    form: Form

    @property
    def index(self) -> int | None:
        """The class."""
        return self.k

    @property
    def free(self) -> bool:
        """It reads boxes as well as scores."""
        return True

    def __call__(self, output: Outputs) -> Tensor:
        """Every sample's score, [B]."""
        return torch.stack([self._score(found) for found in proposals(output, self.form or tell(output))])

    @abstractmethod
    def _score(self, found: Proposals) -> Tensor:
        """The score in one image."""


@dataclass(frozen=True)
class Box(_Object):
    """How surely an object of class ``k`` is found at ``box``: overlap times score of the detection for which that is
    most; 0 where none of that class overlaps.

    ``box`` is (left, top, right, bottom) in pixels of the input. ``form`` says how the output is to be read (see
    `seewhy.core.network.proposals.FORMS`, e.g. ``"yolov8"``); left out, the output has to prove it. Overlap is
    intersection over union; both factors are differentiated. After Petsiuk et al. 2021, D-RISE, arXiv:2006.03204, eq.
    3, with the score of one class in the place of its similarity of classes; that is what the method ``d-rise`` takes.

    Raises `TargetError` for edges in another order, an output that cannot be read, a class that there is not, and for a
    picture in which no candidate of the class overlaps the box: the nearest one is named.

    >>> import torch, seewhy
    >>> class Head(torch.nn.Sequential):
    ...     def forward(self, x):
    ...         return super().forward(x) * torch.tensor([8.0] * 4 + [1.0] * 2)[:, None]  # boxes in pixels
    >>> net = Head(torch.nn.Conv2d(3, 6, 4, stride=4), torch.nn.Sigmoid(), torch.nn.Flatten(2))  # [B, 4 + 2, N]
    >>> target = seewhy.targets.Box((2, 2, 6, 6), k=1, form="yolov8")
    >>> seewhy.explain(net, torch.rand(1, 3, 16, 16), method="saliency", target=target).target
    'class 1 at 2, 2, 6, 6'
    """

    box: Edges
    k: int
    form: Form = ""
    #: class probabilities of the detection that it was in the picture itself
    seen: tuple[float, ...] = field(default=(), compare=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", _edges(self.box))

    def _score(self, found: Proposals) -> Tensor:
        return _most(self._values(found), found)

    def _values(self, found: Proposals) -> Tensor:
        return found.scores(self.k) * overlap(found.boxes, found.boxes.new_tensor(self.box))

    def settled(self, output: Outputs, row: int) -> Box:
        """With the form told, and the class probabilities of what is found in image ``row``."""
        form = told(output, self.form, row)
        found = _some(proposals(output, form)[row])
        values = self._values(found).detach()
        if not bool(values.max() > 0):
            raise AbsentTarget(
                f"no candidate of class {self.k} overlaps {_words(self.box)}: {_nearest(found, self.box)}"
            )
        return replace(self, form=form, seen=_classes_of(found, int(values.argmax()), self.k))

    def likeness(self) -> Likeness:
        """How alike the most similar proposal is to what was found there."""
        return Likeness(self.box, self.k, self.seen, self.form)

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return f"{class_name(self.k, label)} at {_words(self.box)}"


@dataclass(frozen=True)
class Candidate(_Object):
    """The score of class ``k`` (times the objectness, where a head has one) of the candidate that fits ``box`` best, by
    intersection over union; of the surest candidate of the class where no box is given.

    Unlike `Box` nothing but the score counts: where the box lies is neither weighed nor differentiated. The candidate
    is chosen anew in every version of the picture; where none overlaps the box the score is 0. Of outputs that tell one
    class of each candidate only those of class ``k`` are looked at. ``box`` and ``form`` are as for `Box`.

    Raises `TargetError` as `Box` does, and for a picture in which the best candidate overlaps the box by less than 0.5.

    >>> import torch, seewhy
    >>> class Head(torch.nn.Sequential):
    ...     def forward(self, x):
    ...         return super().forward(x) * torch.tensor([8.0] * 4 + [1.0] * 2)[:, None]  # boxes in pixels
    >>> net = Head(torch.nn.Conv2d(3, 6, 4, stride=4), torch.nn.Sigmoid(), torch.nn.Flatten(2))  # [B, 4 + 2, N]
    >>> x = torch.rand(1, 3, 16, 16)
    >>> found = seewhy.explain(net, x, method="saliency", target=seewhy.targets.Candidate(1, form="yolov8"))
    >>> abs(found.score - float(net(x)[0, 5].max())) < 1e-6
    True
    """

    k: int
    box: Edges | None = None
    form: Form = ""
    #: box and class probabilities of the candidate that it was in the picture itself
    seen: tuple[Edges, tuple[float, ...]] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.box is not None:
            object.__setattr__(self, "box", _edges(self.box))

    def _fit(self, found: Proposals) -> Tensor:
        """How well each fits the box, [N]."""
        assert self.box is not None
        fit = overlap(found.boxes, found.boxes.new_tensor(self.box)).detach()
        return fit if found.labels is None else fit * (found.labels == self.k)

    def _score(self, found: Proposals) -> Tensor:
        scores = found.scores(self.k)
        if self.box is None or not len(scores):
            return _most(scores, found)
        fit = self._fit(found)
        best = fit.argmax()
        return scores[best] * (fit[best] > 0)

    def settled(self, output: Outputs, row: int) -> Candidate:
        """With the form told, and box and class probabilities of the candidate in image ``row``."""
        form = told(output, self.form, row)
        found = _some(proposals(output, form)[row])
        scores = found.scores(self.k).detach()
        best = int(scores.argmax() if self.box is None else self._fit(found).argmax())
        if self.box is not None and not float(self._fit(found)[best]) >= _FITS:
            raise AbsentTarget(
                f"no candidate{'' if found.labels is None else f' of class {self.k}'} fits {_words(self.box)}, with an "
                f"overlap of {_FITS} or more: {_nearest(found, self.box)}"
            )
        if not bool(scores[best] > 0):
            raise AbsentTarget(f"no candidate of class {self.k}: {_nearest(found, None)}")
        left, top, right, bottom = found.boxes[best].tolist()
        return replace(self, form=form, seen=((left, top, right, bottom), _classes_of(found, best, self.k)))

    def likeness(self) -> Likeness:
        """How alike the most similar proposal is to the candidate."""
        if self.seen is None:
            raise TargetError("d-rise of a Candidate takes the candidate's box from the picture: explain a picture")
        return Likeness(self.box or self.seen[0], self.k, self.seen[1], self.form)

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        where = "" if self.box is None else f" that fits {_words(self.box)}"
        return f"best {class_name(self.k, label)}{where}"


@dataclass(frozen=True)
class Likeness(_Object):
    """How alike the most similar proposal is to an object (Petsiuk et al. 2021, D-RISE, arXiv:2006.03204, section 3):
    the most, over the proposals, of intersection over union with ``box`` times cosine of its class probabilities with
    ``classes`` [K] times objectness; 0 where nothing is proposed.

    Left out, ``classes`` are 1 for class ``k`` and 0 for the others. What stands for an objectness where a head has
    none, and for probabilities where one class is told, is said of `seewhy.core.network.proposals.Proposals`.
    """

    box: Edges
    k: int
    classes: tuple[float, ...] = ()
    form: Form = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "box", _edges(self.box))

    def _score(self, found: Proposals) -> Tensor:
        fit = overlap(found.boxes, found.boxes.new_tensor(self.box))
        return _most(fit * found.alike(self.k, self.classes) * found.objectness, found)

    def settled(self, output: Outputs, row: int) -> Likeness:
        """With the form told."""
        return replace(self, form=told(output, self.form, row))

    def unit(self, output: Outputs) -> str:
        """What the score is counted in."""
        return "similarity"

    def describe(self, label: Label = unnamed) -> str:
        """The target in words."""
        return f"likeness to {class_name(self.k, label)} at {_words(self.box)}"


def surest_boxes(output: Outputs, form: Form, row: int, most: int) -> list[Box]:
    """The surest ``most`` objects in image ``row``, the surest first; of candidates that overlap by more than half with
    a surer one of their class none but that (greedy non-maximum suppression), unless the detector has seen to it; equal
    ones are one."""
    found = proposals(output, form)[row]
    scores, labels = (each.detach() for each in found.surest())
    boxes, crowded = found.boxes.detach(), not (isinstance(form, str) and not form.startswith("yolo"))
    kept: list[Box] = []
    order = scores.argsort(descending=True)
    while len(order) and len(kept) < most:
        best, order = order[0], order[1:]
        left, top, right, bottom = boxes[best].tolist()
        if left < right and top < bottom:
            box = Box((left, top, right, bottom), int(labels[best]), form)
            kept += [] if box in kept else [box]
        if crowded:
            same = (labels[order] == labels[best]) & (overlap(boxes[order], boxes[best]) > _FITS)
            order = order[~same]
    return kept


def _most(values: Tensor, found: Proposals) -> Tensor:
    """The greatest of ``values`` [N]; of none 0, in the graph of what was found."""
    return values.max() if len(values) else 0 * (found.objectness.sum() + found.boxes.sum())


def _some(found: Proposals) -> Proposals:
    """What is proposed, refused where that is nothing."""
    if not len(found.boxes):
        raise AbsentTarget(
            "the model proposes no object at all in this picture: lower its own threshold of scores, or take "
            "another picture"
        )
    return found


def _classes_of(found: Proposals, best: int, k: int) -> tuple[float, ...]:
    """Class probabilities of one proposal where class ``k`` is its best; else none: the object asked for is another."""
    if found.classes is None:
        return ()
    row = found.classes[best].detach()
    return tuple(row.tolist()) if int(row.argmax()) == k % len(row) else ()


def _nearest(found: Proposals, box: Edges | None) -> str:
    """The candidate that comes nearest to ``box``, in words; the surest one without a box."""
    scores, labels = (each.detach() for each in found.surest())
    boxes = found.boxes.detach()
    if box is None:
        best, said = int(scores.argmax()), "the surest candidate is"
    else:
        wanted = boxes.new_tensor(box)
        fit = overlap(boxes, wanted)
        away = ((boxes[:, :2] + boxes[:, 2:]) / 2 - (wanted[:2] + wanted[2:]) / 2).norm(dim=1)
        best = int(fit.argmax() if bool(fit.max() > 0) else away.argmin())
        said = f"the nearest candidate, IoU {float(fit[best]):.2f}, is"
    edges = ", ".join(f"{edge:.1f}" for edge in boxes[best].tolist())
    return f"{said} class {int(labels[best])} at ({edges}), score {float(scores[best]):.2g}; name a box near that"


def _words(box: Edges) -> str:
    return ", ".join(f"{edge:.0f}" for edge in box)


def _edges(box: Edges) -> Edges:
    """A box that is one, of floats."""
    if len(box) != 4 or not (box[0] < box[2] and box[1] < box[3]):
        raise TargetError(f"box={box}: (left, top, right, bottom) in pixels, left < right and top < bottom")
    left, top, right, bottom = (float(edge) for edge in box)
    return left, top, right, bottom
