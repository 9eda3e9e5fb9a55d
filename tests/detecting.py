"""A small detector for tests: takes a form of outputs, gives a network whose output has it, and what such an output
proposes, read number by number; imports nothing of the library under test."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ANCHORS", "CLASSES", "FORMS", "Detector", "Found", "by_hand", "detector", "iou", "likeness", "picture"]

CLASSES = 3
FORMS = ("listed", "detr", "deformable-detr", "yolov8", "yolov5", "yolov5-maps", "yolov3-maps", "nms")
ANCHORS = (((6.0, 8.0), (10.0, 5.0)), ((16.0, 12.0), (9.0, 20.0)))
#: rows that detectors which choose among their candidates leave
_LEFT = 9


class Config:
    """As Hugging Face's networks have one."""

    num_labels = CLASSES


class Detector(nn.Module):
    """Two strided convolutions, a head on both; boxes of 4 to 16 pixels around the cells."""

    def __init__(self, form: str) -> None:
        super().__init__()
        self.form, self.config = form, Config() if "detr" in form else None
        self.stem, self.deep = nn.Conv2d(3, 8, 3, 4, 1), nn.Conv2d(8, 8, 3, 2, 1)
        width = 5 + CLASSES
        self.heads = nn.ModuleList(nn.Conv2d(8, 2 * width if form.endswith("maps") else width, 1) for _ in range(2))

    def forward(self, x: Tensor) -> Any:
        """What a detector of the form gives."""
        first = self.stem(x).tanh()
        maps = [head(z) for head, z in zip(self.heads, (first, self.deep(first).tanh()), strict=True)]
        if self.form == "yolov5-maps":
            return maps
        if self.form == "yolov3-maps":  # as training code has them
            return [z.unflatten(1, (2, -1)).movedim(2, -1) for z in maps]
        rows = torch.cat([_rows(z, x) for z in maps], 1)
        boxes, obj, raw = rows[..., :4], rows[..., 4:5].sigmoid(), rows[..., 5:]
        if self.form == "yolov5":
            return torch.cat([boxes, obj, raw.sigmoid()], 2), maps
        if self.form == "yolov8":
            return torch.cat([boxes, raw.sigmoid()], 2).transpose(1, 2)
        if "detr" in self.form:
            logits = torch.cat([raw, rows[..., 4:5]], 2) if self.form == "detr" else raw
            return {"logits": logits, "pred_boxes": boxes / boxes.new_tensor([x.shape[3], x.shape[2]] * 2)}
        best, labels = raw.sigmoid().max(2)
        edges = torch.cat([boxes[..., :2] - boxes[..., 2:] / 2, boxes[..., :2] + boxes[..., 2:] / 2], 2)
        kept = [order[:_LEFT] for order in best.argsort(1, descending=True)]
        parts = [(edges[b][n], best[b][n], labels[b][n]) for b, n in enumerate(kept)]
        if self.form == "listed":
            return [{"boxes": box, "scores": score, "labels": label} for box, score, label in parts]
        return [torch.cat([box, score[:, None], label[:, None].to(box)], 1) for box, score, label in parts]


def _rows(z: Tensor, x: Tensor) -> Tensor:
    """[B, N, 5 + K] with boxes as centre and size in pixels."""
    height, width = z.shape[2:]
    sides = [x.shape[3] / width, x.shape[2] / height]
    across = (torch.arange(width) + 0.5).to(z) * sides[0] + 0 * z[:, 0]
    down = (torch.arange(height) + 0.5).to(z)[:, None] * sides[1] + 0 * z[:, 0]
    size = 8 * torch.exp(0.5 * z[:, 2:4].tanh())
    centre = torch.stack([across + z[:, 0].tanh(), down + z[:, 1].tanh()], 1)
    return torch.cat([centre, size, z[:, 4:]], 1).flatten(2).transpose(1, 2)


def detector(form: str, seed: int = 0) -> Detector:
    """In float64 and eval mode, its weights spread so that candidates differ."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = Detector(form).double().eval()
        with torch.no_grad():
            for head in net.heads:
                head.weight *= 4  # type: ignore[operator]
    return net


def picture(seed: int = 0, batch: int = 1) -> Tensor:
    """[batch, 3, 24, 32]: not square, so that axes cannot be mistaken."""
    return torch.randn(batch, 3, 24, 32, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@dataclass
class Found:
    """One candidate: box, class scores, class probabilities, objectness; ``label`` where one class is told."""

    box: list[float]
    scores: list[float]
    shares: list[float]
    objectness: float
    label: int | None = None


def _sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def _edges(x: float, y: float, w: float, h: float) -> list[float]:
    return [x - w / 2, y - h / 2, x + w / 2, y + h / 2]


def _told(box: list[float], score: float, label: int) -> Found:
    alone = [float(k == label) for k in range(CLASSES)]
    return Found(box, [score * each for each in alone], alone, score, label)


def by_hand(form: str, raw: Any, size: tuple[int, int], image: int = 0) -> list[Found]:
    """The candidates of one image, by indexing the raw output."""
    found = []
    if form == "yolov8":
        table = raw[image].tolist()
        for n in range(len(table[0])):
            scores = [table[4 + k][n] for k in range(CLASSES)]
            found.append(Found(_edges(*(table[row][n] for row in range(4))), scores, scores, max(scores)))
    elif form == "yolov5":
        for x, y, w, h, obj, *shares in raw[0][image].tolist():
            found.append(Found(_edges(x, y, w, h), [obj * s for s in shares], shares, obj))
    elif form.endswith("maps"):
        for scale, anchors in zip(raw, ANCHORS, strict=True):
            for a, (wide, tall) in enumerate(anchors):
                width = 5 + CLASSES
                part = scale[image][a * width : (a + 1) * width].movedim(0, -1) if scale.ndim == 4 else scale[image][a]
                rows, columns = part.shape[:2]
                for i in range(rows):
                    for j in range(columns):
                        t = part[i, j].tolist()
                        s = [_sigmoid(each) for each in t]
                        down, across = size[0] / rows, size[1] / columns
                        if form == "yolov5-maps":
                            box = (
                                (2 * s[0] - 0.5 + j) * across,
                                (2 * s[1] - 0.5 + i) * down,
                                (2 * s[2]) ** 2 * wide,
                                (2 * s[3]) ** 2 * tall,
                            )
                        else:
                            box = (s[0] + j) * across, (s[1] + i) * down, math.exp(t[2]) * wide, math.exp(t[3]) * tall
                        found.append(Found(_edges(*box), [s[4] * each for each in s[5:]], s[5:], s[4]))
    elif "detr" in form:
        for logits, (x, y, w, h) in zip(raw["logits"][image].tolist(), raw["pred_boxes"][image].tolist(), strict=True):
            box = _edges(x * size[1], y * size[0], w * size[1], h * size[0])
            if form == "detr":
                total = sum(math.exp(each) for each in logits)
                shares = [math.exp(each) / total for each in logits]
                found.append(Found(box, shares[:-1], shares[:-1], 1 - shares[-1]))
            else:
                shares = [_sigmoid(each) for each in logits]
                found.append(Found(box, shares, shares, max(shares)))
    elif form == "listed":
        parts = (raw[image][key].tolist() for key in ("boxes", "scores", "labels"))
        found = [_told(box, score, label) for box, score, label in zip(*parts, strict=True)]
    else:
        found = [_told(row[:4], row[4], int(row[5])) for row in raw[image].tolist()]
    return found


def iou(a: list[float], b: list[float]) -> float:
    """Intersection over union of two boxes."""
    wide, tall = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    shared = max(wide, 0.0) * max(tall, 0.0)
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def likeness(found: list[Found], box: list[float], shares: list[float]) -> float:
    """D-RISE's score of a mask: max_j IoU(L_t, L_j) * P_t . P_j / |P_t| |P_j| * O_j."""
    best = 0.0
    for each in found:
        dot = sum(a * b for a, b in zip(shares, each.shares, strict=True))
        lengths = math.sqrt(sum(a * a for a in shares)) * math.sqrt(sum(b * b for b in each.shares))
        best = max(best, iou(box, each.box) * dot / lengths * each.objectness)
    return best
