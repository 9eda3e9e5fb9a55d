"""What a detector proposes: takes its raw return value and the form that this has, gives boxes in pixels with class
scores for each image; tells the form where the numbers prove it, never runs a model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from seewhy.core.network.places import elements, has_places
from seewhy.errors import TargetError, nearest

__all__ = [
    "FORMS",
    "YOLO_V5",
    "Form",
    "Proposals",
    "YoloMaps",
    "as_maps",
    "listed",
    "overlap",
    "proposals",
    "tell",
    "told",
]

#: the forms of outputs by name, and what each is
FORMS = {
    "listed": "for each image a mapping with boxes [n, 4], labels [n] and scores [n], as torchvision's detectors give",
    "detr": "logits [B, Q, K + 1] before a softmax, the last for no object, and pred_boxes [B, Q, 4]: DETR, YOLOS",
    "deformable-detr": "logits [B, Q, K] before a sigmoid and pred_boxes [B, Q, 4]: Deformable DETR, RT-DETR",
    "yolov8": "[B, 4 + K, N]: centre, width, height, then class scores (YOLOv8 and later)",
    "yolov5": "[B, N, 5 + K]: centre, width, height, objectness, then class scores (YOLOv3, v5, v7)",
    "yolov5-maps": "a list of maps [B, A (5 + K), h, w] or [B, A, h, w, 5 + K] before the sigmoid, YOLOv5's anchors",
    "nms": "[n, 6], [B, n, 6] or a list of [n, 6] after non-maximum suppression: edges, score, class",
}

#: boxes that all end within so many pixels are shares of the picture, or none
_TINY = 2
#: anchors of YOLOv5's three maps in pixels: width, height
YOLO_V5 = (
    ((10.0, 13.0), (16.0, 30.0), (33.0, 23.0)),
    ((30.0, 61.0), (62.0, 45.0), (59.0, 119.0)),
    ((116.0, 90.0), (156.0, 198.0), (373.0, 326.0)),
)


@dataclass(frozen=True)
class YoloMaps:
    """The form of a list of maps before the sigmoid, [B, A (5 + K), h, w] or [B, A, h, w, 5 + K], one for each stride.

    ``anchors`` has for each map A pairs (width, height) in pixels. ``rule="yolov5"`` reads a centre as (2 s - 0.5 +
    cell) stride and a side as (2 s)^2 anchor, with s the sigmoid; ``"yolov3"`` as (s + cell) stride and exp(t) anchor
    (Redmon & Farhadi 2018, YOLOv3, arXiv:1804.02767, section 2.1). Strides are the input's size over the map's.
    """

    anchors: tuple[tuple[tuple[float, float], ...], ...] = YOLO_V5
    rule: str = "yolov5"

    def __post_init__(self) -> None:
        if self.rule not in ("yolov5", "yolov3"):
            raise TargetError(f"rule={self.rule!r} of YoloMaps: 'yolov5' or 'yolov3'")
        try:
            anchors = tuple(tuple((float(w), float(h)) for w, h in each) for each in self.anchors)
        except (TypeError, ValueError) as error:
            raise TargetError("YoloMaps takes anchors=(((width, height), ...), ...): pairs for each map") from error
        object.__setattr__(self, "anchors", anchors)


#: a name of `FORMS`, or maps with anchors of their own
Form = str | YoloMaps


class Output(Protocol):
    """What is read of a forward's result: `seewhy.core.network.outputs.Outputs`, which is built on this."""

    raw: Any
    batch: int
    size: tuple[int, ...]
    classes: int | None


@dataclass(frozen=True)
class Proposals:
    """What is proposed for one image.

    ``boxes`` [N, 4] are (left, top, right, bottom) in pixels of the input, ``objectness`` [N] how sure it is that there
    is something: the head's own number, 1 minus the share of no object, the score where one class is told, or the
    greatest class score where a head says no such thing. ``classes`` [N, K] are class probabilities given an object,
    ``labels`` [N] stand in their place where only one class is told of each.
    """

    boxes: Tensor
    objectness: Tensor
    classes: Tensor | None = None
    labels: Tensor | None = None
    #: whether the score of a class is its probability times the objectness
    multiplied: bool = False

    def scores(self, k: int) -> Tensor:
        """The score of class ``k`` of each, [N]; 0 for those that are said to be of another.

        Raises `TargetError` for a class that there is not.
        """
        if self.classes is None:
            assert self.labels is not None
            return self.objectness * (self.labels == k)
        count = self.classes.shape[1]
        if not -count <= k < count:
            raise TargetError(f"no class {k}: the detector tells {count}, 0 to {count - 1}")
        return self.classes[:, k] * self.objectness if self.multiplied else self.classes[:, k]

    def surest(self) -> tuple[Tensor, Tensor]:
        """The best score of each and the class that has it, [N] both."""
        if self.classes is None:
            assert self.labels is not None
            return self.objectness, self.labels
        best, labels = self.classes.max(1)
        return best * self.objectness if self.multiplied else best, labels

    def alike(self, k: int, classes: Sequence[float]) -> Tensor:
        """Cosine of each one's class probabilities with ``classes`` [K], with class ``k`` alone where that is empty,
        [N]."""
        if self.classes is None:
            assert self.labels is not None
            return (self.labels == k).to(self.boxes)
        if classes and len(classes) != self.classes.shape[1]:
            raise TargetError(f"probabilities of {len(classes)} classes; the detector tells {self.classes.shape[1]}")
        self.scores(k)  # refuses a class that there is not
        wanted = self.classes.new_tensor(classes or [0.0] * self.classes.shape[1])
        if not classes:
            wanted[k] = 1
        lengths = torch.linalg.vector_norm(self.classes, dim=1)
        some = lengths > 0
        cosine: Tensor = some * (self.classes @ wanted) / (lengths.where(some, 1) * torch.linalg.vector_norm(wanted))
        return cosine


def overlap(boxes: Tensor, box: Tensor) -> Tensor:
    """Intersection over union of ``boxes`` [N, 4] with one ``box`` [4], [N]; 0 for boxes without an area."""
    low, high = torch.maximum(boxes[:, :2], box[:2]), torch.minimum(boxes[:, 2:], box[2:])
    shared = (high - low).clamp(min=0).prod(1)
    own = (boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(1)
    areas = own + (box[2:] - box[:2]).prod()
    return shared / (areas - shared)


def listed(output: Output) -> bool:
    """Whether an output has rows of what non-maximum suppression has left, for each image some."""
    read = _suppressed(output.raw)
    return read is not None and len(read) == output.batch


def proposals(output: Output, form: Form) -> list[Proposals]:
    """What is proposed for each image of an output of ``form``, in the graph of the output.

    Raises `TargetError` for a form that there is not, and for an output that does not have it.
    """
    if isinstance(form, str) and form not in FORMS:
        close = nearest(form, FORMS)
        raise TargetError(
            f"no form {form!r}{f'; nearest: {close[0]!r}' if close else ''}. There are {', '.join(FORMS)}, and YoloMaps"
        )
    read = None
    if form == "listed":
        read = _listed(output.raw)
    elif form in ("detr", "deformable-detr"):
        read = _queries(output, form)
    elif form == "nms":
        read = _suppressed(output.raw)
    elif isinstance(form, str) and form in ("yolov8", "yolov5"):
        read = _rows(output, form)
    else:
        read = _decoded(output, YoloMaps() if isinstance(form, str) else form)
    if read is None or len(read) != output.batch:
        name, what = (form, FORMS[form]) if isinstance(form, str) else ("YoloMaps", FORMS["yolov5-maps"])
        raise TargetError(
            f"form={name!r} is {what}; this model gives {_words(output.raw)} for {output.batch} image"
            f"{'' if output.batch == 1 else 's'} of {'x'.join(map(str, output.size)) or 'unknown size'}"
        )
    return read


def tell(output: Output) -> Form:
    """The form that an output has, where it says so or its numbers prove it: keys of its records; scores from 0 to 1,
    boxes with an area whose centres lie in the picture.

    Raises `TargetError` where that is none, or several, with what to type.
    """
    fitting = [form for form in FORMS if _fits(output, form)]
    if len(fitting) == 1:
        return fitting[0]
    found = _words(output.raw)
    if fitting:
        raise TargetError(
            f"the model gives {found}, which may be {' or '.join(fitting)}: say which, form={fitting[0]!r}"
        )
    if _named(output.raw, "pred_boxes") is not None:
        raise TargetError(
            f"the model gives {found} and does not say how many classes it has: form='detr' if the last class is no "
            "object (softmax), form='deformable-detr' if there is no such class (sigmoid)"
        )
    likely = as_maps(output) or "form='yolov8'"
    others = (form for form in FORMS if form != "listed" and f"'{form}'" not in likely)
    raise TargetError(
        f"Box needs detections; this model gives {found}, which no known form of them fits: say which it is, "
        f"{likely} or one of " + ", ".join(f"'{form}'" for form in others)
    )


def told(output: Output, form: Form, row: int) -> Form:
    """``form`` as a caller says it, or what the output proves to be where that is ''.

    Raises `TargetError` for a form that the numbers of image ``row`` cannot have, with what was found and what they
    fit: scores that are none, no box at all, and numbers that prove to be of another form.
    """
    if not form:
        return tell(output)
    found = proposals(output, form)[row]
    # its records name what they hold; maps become scores and boxes whatever their numbers are
    if not isinstance(form, str) or form in ("listed", "yolov5-maps") or not len(found.boxes):
        return form
    if _plausible(found, output.size):
        return form
    fitting = [f"form={other!r}" for other in FORMS if other != form and _fits(output, other)]
    wrong = _wrong(found, output.size)
    if not wrong and not fitting:
        return form
    advice = f"they fit {' or '.join(fitting)}" if fitting else "no form fits"
    if not fitting and wrong.startswith("scores"):
        advice += "; if those are logits, wrap the model so that it gives their sigmoid"
    if not fitting and wrong.startswith("boxes"):
        advice += "; if those are shares of the picture, wrap the model so that it gives pixels"
    raise TargetError(f"form={form!r} finds {wrong or 'no boxes of this picture'} in {_words(output.raw)}: {advice}")


def _wrong(found: Proposals, size: Sequence[int]) -> str:
    """In words what of the numbers can be no detection's, whatever a head is trained to; '' for nothing. Numbers that
    are not finite are told by a map's status."""
    rows = slice(None) if found.labels is None else found.labels >= 0  # rows that fill up a table have no class
    scores = torch.cat(
        [part[rows].detach().flatten() for part in (found.objectness, found.classes) if part is not None]
    )
    boxes = found.boxes[rows].detach()
    if not len(boxes) or not bool(scores.isfinite().all()) or not bool(boxes.isfinite().all()):
        return ""
    low, high = (float(end) for end in torch.aminmax(scores))
    if low < 0 or high > 1:
        return f"scores from {low:.3g} to {high:.3g} (they are from 0 to 1)"
    limit = boxes.new_tensor([size[1], size[0]] if len(size) == 2 else [torch.inf] * 2)
    centres, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    inside = (centres >= 0).all(1) & (centres <= limit).all(1) & (sides > 0).all(1)
    if not bool(inside.any()):
        return "no box that has an area and its centre in the picture"
    most = float(boxes.max())
    return "" if most > _TINY else f"boxes that all end within {most:.2g} pixels"


def as_maps(output: Output) -> str:
    """What to type where an output may be a detector's maps, one for each stride: any list of maps could be, so that
    it proves nothing; '' where it cannot be."""
    raw = _tensors(output.raw)
    if not isinstance(raw, list) or len(raw) < 2 or len(output.size) != 2:
        return ""
    if not all(isinstance(each, Tensor) and each.ndim in (4, 5) for each in raw):
        return ""
    grids = [tuple(each.shape[-2:] if each.ndim == 4 else each.shape[2:4]) for each in raw]
    if len(set(grids)) != len(grids) or not all(
        each[0] <= output.size[0] and each[1] <= output.size[1] for each in grids
    ):
        return ""
    try:
        return "" if _decoded(output, YoloMaps()) is None else "form='yolov5-maps'"
    except TargetError:  # as many maps as nobody's anchors are for
        return "form=seewhy.targets.YoloMaps(anchors=...)"


def _fits(output: Output, form: str) -> bool:
    """Whether an output proves to be of ``form``."""
    if form in ("detr", "deformable-detr"):
        logits = _named(output.raw, "logits")
        if logits is None or _named(output.raw, "pred_boxes") is None or output.classes is None:
            return False
        return bool(logits.shape[-1] == output.classes + (form == "detr"))
    if form == "yolov5-maps":  # any list of maps could be read so: it proves nothing
        return False
    try:
        read = proposals(output, form)
    except TargetError:
        return False
    return form == "listed" or all(_plausible(each, output.size) for each in read)


def _plausible(found: Proposals, size: Sequence[int]) -> bool:
    """Whether numbers can be boxes of a picture of ``size`` with scores."""
    numbers = [found.boxes, found.objectness] + ([] if found.classes is None else [found.classes])
    if len(size) != 2 or not all(bool(each.isfinite().all()) for each in numbers):
        return False
    if any(bool((each < 0).any()) or bool((each > 1).any()) for each in numbers[1:]):
        return False
    if found.labels is not None and (not len(found.boxes) or bool((found.labels < 0).any())):
        return not len(found.boxes)
    boxes = found.boxes.detach()
    limit = boxes.new_tensor([size[1], size[0]])
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2
    sides = boxes[:, 2:] - boxes[:, :2]
    within = bool((centres >= 0).all()) and bool((centres <= limit).all()) and bool((sides > 0).all())
    return within and float(boxes.max()) > _TINY


def _named(raw: Any, name: str) -> Tensor | None:
    """A tensor of a record by its name."""
    value = raw.get(name) if isinstance(raw, Mapping) else getattr(raw, name, None)
    return value if isinstance(value, Tensor) else None


def _words(raw: Any) -> str:
    """What a model returned, in words."""
    shapes = [f"{name}{tuple(each.shape)}" for name, each in elements(_tensors(raw))[:4]]
    return f"{type(raw).__name__} {', '.join(shapes)}" if shapes else f"{type(raw).__name__} without numbers"


def _tensors(raw: Any) -> Any:
    """What a model returned, arrays of other libraries as tensors."""
    if isinstance(raw, np.ndarray):
        return torch.from_numpy(raw)
    return [_tensors(each) for each in raw] if isinstance(raw, list | tuple) else raw


def _edges(centred: Tensor) -> Tensor:
    """(left, top, right, bottom) of (centre x, centre y, width, height), [..., 4]."""
    middle, half = centred[..., :2], centred[..., 2:4] / 2
    return torch.cat([middle - half, middle + half], -1)


def _listed(raw: Any) -> list[Proposals] | None:
    if not isinstance(raw, Sequence) or isinstance(raw, str) or not len(raw):
        return None
    if not all(isinstance(item, Mapping) and {"boxes", "labels", "scores"} <= item.keys() for item in raw):
        return None
    return [Proposals(item["boxes"], item["scores"], labels=item["labels"]) for item in raw]


def _queries(output: Output, form: str) -> list[Proposals] | None:
    """Of transformers that answer queries: boxes are centre and size in shares of the picture."""
    logits, boxes = _named(output.raw, "logits"), _named(output.raw, "pred_boxes")
    if logits is None or boxes is None or logits.ndim != 3 or boxes.shape != (*logits.shape[:2], 4):
        return None
    if len(output.size) != 2 or (form == "detr" and logits.shape[2] < 2):
        return None
    height, width = output.size
    edges = _edges(boxes) * boxes.new_tensor([width, height, width, height])
    if form == "detr":
        shares = logits.softmax(2)
        found = 1 - shares[..., -1]
        return [Proposals(*each) for each in zip(edges, found, shares[..., :-1], strict=True)]
    shares = logits.sigmoid()
    return [Proposals(*each) for each in zip(edges, shares.amax(2), shares, strict=True)]


def _first(raw: Any) -> Tensor | None:
    """The first tensor of what a head gives: detectors in evaluation put what they decoded before the rest."""
    while isinstance(raw, list | tuple) and len(raw):
        raw = raw[0]
    return raw if isinstance(raw, Tensor) and has_places(raw) else None


def _rows(output: Output, form: str) -> list[Proposals] | None:
    """Of heads that give a row, or a column, for each candidate."""
    given = _first(_tensors(output.raw))
    if given is None or given.ndim != 3:
        return None
    rows = given.transpose(1, 2) if form == "yolov8" else given
    if rows.shape[2] < (5 if form == "yolov8" else 6) or not rows.shape[1]:
        return None
    edges = _edges(rows[..., :4])
    if form == "yolov8":
        return [Proposals(*each) for each in zip(edges, rows[..., 4:].amax(2), rows[..., 4:], strict=True)]
    parts = zip(edges, rows[..., 4], rows[..., 5:], strict=True)
    return [Proposals(*each, multiplied=True) for each in parts]


def _suppressed(raw: Any) -> list[Proposals] | None:
    """Of what is left after non-maximum suppression."""
    raw = _tensors(raw)
    if isinstance(raw, list) and len(raw) == 1 and isinstance(raw[0], Tensor) and raw[0].ndim == 3:
        raw = raw[0]
    if isinstance(raw, Tensor) and has_places(raw):
        raw = [raw] if raw.ndim == 2 else list(raw) if raw.ndim == 3 else None
    if not isinstance(raw, list) or not all(isinstance(t, Tensor) and has_places(t) for t in raw):
        return None
    if not all(t.ndim == 2 and t.shape[1] == 6 for t in raw):
        return None
    if not all(bool((t[:, 5] == t[:, 5].round()).all()) for t in raw):  # classes are whole numbers
        return None
    return [Proposals(t[:, :4], t[:, 4], labels=t[:, 5].detach().long()) for t in raw]


def _decoded(output: Output, form: YoloMaps) -> list[Proposals] | None:
    """Of maps before the sigmoid, one for each stride."""
    raw = _tensors(output.raw)
    maps = raw if isinstance(raw, list) else [raw]
    if len(maps) == 2 and isinstance(maps[1], list):  # what was decoded stands before them
        maps = maps[1]
    if not all(isinstance(each, Tensor) and each.ndim in (4, 5) for each in maps) or len(output.size) != 2:
        return None
    if len(maps) != len(form.anchors):
        raise TargetError(
            f"{len(maps)} maps and anchors of {len(form.anchors)}: form=seewhy.targets.YoloMaps(anchors=...) takes "
            "pairs (width, height) for each map"
        )
    edges, rows = [], []
    for each, pairs in zip(maps, form.anchors, strict=True):
        cells = each
        if each.ndim == 4:
            if each.shape[1] % len(pairs):
                return None
            cells = each.unflatten(1, (len(pairs), -1)).movedim(2, -1)
        if cells.shape[1] != len(pairs) or cells.shape[-1] < 6:
            return None
        edges.append(_edges(_in_pixels(cells, pairs, output.size, form.rule)).flatten(1, 3))
        rows.append(cells[..., 4:].sigmoid().flatten(1, 3))
    if len({each.shape[2] for each in rows}) != 1:
        return None
    scores = torch.cat(rows, 1)
    parts = zip(torch.cat(edges, 1), scores[..., 0], scores[..., 1:], strict=True)
    return [Proposals(*each, multiplied=True) for each in parts]


def _in_pixels(cells: Tensor, anchors: Sequence[tuple[float, float]], size: Sequence[int], rule: str) -> Tensor:
    """Centre and size in pixels of what ``cells`` [B, A, h, w, 5 + K] say, [B, A, h, w, 4]."""
    height, width = cells.shape[2:4]
    stride = cells.new_tensor([size[1] / width, size[0] / height])
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    corner = torch.stack([x, y], -1).to(cells)
    anchor = cells.new_tensor(anchors)[:, None, None]
    if rule == "yolov3":
        return torch.cat([(cells[..., :2].sigmoid() + corner) * stride, cells[..., 2:4].exp() * anchor], -1)
    share = cells[..., :4].sigmoid()
    return torch.cat([(2 * share[..., :2] - 0.5 + corner) * stride, (2 * share[..., 2:]) ** 2 * anchor], -1)
