"""Units of places: take nothing, give networks that look at one part of the picture alone; blindness and pointing."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seewhy.conformance._judging import largest, silent
from seewhy.conformance._parts import P, Q, canvas, cells, convolution, detectors, head, linear
from seewhy.conformance._unit import CELLS, SIDE, Scene, Steps, UnitCard, unit
from seewhy.core.targets import Box, Region

__all__ = ["blind_half", "detector", "one_token", "patch", "segmenter"]

#: of all evidence, where the network looks
_SHARE = 0.99


@unit(
    UnitCard(
        name="blind-half",
        property="blindness",
        checks="of a network that reads the left half alone, at least 99 % of the evidence lies there, though the same "
        "cues lie in the right half, and brighter",
        answer="0 in the right half for every method that asks the function, since no pixel there changes any score",
        violated="the map shows what looks like evidence where the network cannot have looked",
        paper="Draelos & Carin 2020, Use HiResCAM instead of Grad-CAM, arXiv:2011.08891, section 3",
    )
)
def blind_half() -> Steps:
    """S = [P] + [Q] / 2, summed over the cells of the left half."""
    weights = torch.zeros(2, CELLS, CELLS)
    weights[0, :, :2], weights[1, :, :2] = 1.0, 0.5
    reads = [nn.Flatten(), linear([weights.flatten().tolist(), [0.0] * weights.numel()])]
    answer = cells({(1, 0): 1.0, (2, 1): 0.5})
    x = canvas({(1, 0): P, (2, 1): Q, (0, 3): 2 * P, (2, 2): 2 * Q, (3, 2): 2 * Q})
    maps = yield Scene(nn.Sequential(*detectors(P, Q), *reads), x, 0, "1", answer)
    return silent(maps, cells({(row, column): 1.0 for row in range(CELLS) for column in (0, 1)})[0], _SHARE)


@unit(
    UnitCard(
        name="patch",
        property="pointing",
        checks="the one cell that decides has more evidence than three louder ones that speak for another class",
        answer="1 for the cell and 0 for all others, in closed form, for every method that asks the function",
        violated="the map points at what catches the eye, or the layer, and not at what counts",
        paper="Brown et al. 2017, Adversarial Patch, arXiv:1712.09665; Zhang et al. 2018, arXiv:1608.00507 (pointing)",
    )
)
def patch() -> Steps:
    """S_0 = [P], S_1 = [Q], summed over cells: P once, Q three times and twice as bright."""
    net = nn.Sequential(*detectors(P, Q), *head((1, 0), (0, 1)))
    answer = cells({(2, 1): 1.0})
    maps = yield Scene(net, canvas({(2, 1): P, (0, 0): 2 * Q, (0, 3): 2 * Q, (3, 3): 2 * Q}), 0, "1", answer)
    return largest(maps, answer)


class Attending(nn.Module):
    """A vision transformer of one block and one head: the class token's query asks for the first channel of patches,
    and what it reads is that channel."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = convolution((P, Q, torch.zeros(4, 4), torch.zeros(4, 4)), 0.0)
        self.token = nn.Parameter(torch.tensor([0.0, 0, 0, 1])[None, None])
        off, ask, key, read = torch.zeros(4, 4), torch.zeros(4, 4), torch.zeros(4, 4), torch.zeros(4, 4)
        # asks 20 for each 1 of the key, over the square root of the width, 2
        ask[0, 3], key[0, 0], read[2, 0] = 20.0, 1.0, 1.0
        self.qkv = linear(torch.cat([ask, key, read]).tolist())
        self.proj = linear((off + torch.eye(4)).tolist())
        self.head = linear([[0, 0, 1, 0], [0, 0, 0, 0]])

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, 2]."""
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(x), -1, -1), tokens], 1)
        q, k, v = self.qkv(tokens).unflatten(-1, (3, 1, -1)).permute(2, 0, 3, 1, 4)
        seen = nn.functional.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)
        tokens = tokens + self.proj(seen)
        scores: Tensor = self.head(tokens[:, 0])
        return scores


@unit(
    UnitCard(
        name="one-token",
        property="pointing",
        checks="the one patch that the class token of a vision transformer attends to has the most evidence, beside "
        "three louder ones that it does not read",
        answer="2 for the patch and 0 for all others, in closed form, but for the softmax's 16 exp(-20)",
        violated="the map shows tokens, not what is read of them",
        paper="Dosovitskiy et al. 2020, arXiv:2010.11929; Jain & Wallace 2019, Attention is not Explanation, "
        "arXiv:1902.10186",
    )
)
def one_token() -> Steps:
    """S = the first channel of the patch that attends to it, P."""
    answer = cells({(1, 2): 2.0})
    x = canvas({(1, 2): P, (0, 0): 2 * Q, (2, 0): 2 * Q, (3, 3): 2 * Q})
    maps = yield Scene(Attending(), x, 0, "patches", answer, again=None)
    return largest(maps, answer)


class Candidates(nn.Module):
    """A candidate for each cell as YOLOv8 gives them, [B, 4 + K, 16]: its box, and half of each class's activation."""

    def forward(self, found: Tensor) -> Tensor:
        """Boxes and scores of activations [B, K, 4, 4]."""
        at = SIDE * torch.arange(CELLS).to(found) + SIDE / 2
        side = torch.full((CELLS, CELLS), float(SIDE)).to(found)
        boxes = torch.stack([at.expand(CELLS, CELLS), at[:, None].expand(CELLS, CELLS), side, side])
        return torch.cat([boxes.expand(len(found), -1, -1, -1), found / 2], 1).flatten(2)


def _one_cell(at: tuple[int, int], share: float) -> list[nn.Module]:
    """Scores that read the first of two channels in one cell alone, times ``share``."""
    weights = torch.zeros(2, CELLS, CELLS)
    weights[0][at] = share
    return [nn.Flatten(), linear([weights.flatten().tolist(), [0.0] * weights.numel()])]


@unit(
    UnitCard(
        name="segmenter",
        property="blindness",
        checks="of a network that says for each cell alone what it shows, asked about a region of one cell, at least "
        "99 % of the evidence lies in that cell, beside others of the same class",
        answer="1 for the cell and 0 for all others, since the mean score of the region depends on nothing else",
        violated="the map of one region shows the whole class",
        paper="Vinogradova, Dibrov & Myers 2020, Seg-Grad-CAM, arXiv:2002.11434",
    )
)
def segmenter() -> Steps:
    """S = the mean over one cell of the map of [P]."""
    mask = torch.zeros(CELLS * SIDE, CELLS * SIDE)
    mask[8:12, 4:8] = 1.0
    body = detectors(P, Q)
    view = nn.Sequential(*body, nn.Upsample(scale_factor=float(SIDE)))
    x = canvas({(2, 1): P, (0, 3): 2 * P, (3, 3): 2 * Q})
    answer = cells({(2, 1): 1.0})
    net = nn.Sequential(*body, *_one_cell((2, 1), 1.0))
    maps = yield Scene(net, x, 0, "1", answer, view=view, goal=Region(mask, 0))
    return silent(maps, answer[0] > 0, _SHARE)


@unit(
    UnitCard(
        name="detector",
        property="blindness",
        checks="of a detector with a candidate for each cell, asked about an object in one cell, at least 99 % of the "
        "evidence lies in that cell, beside other objects of the same class",
        answer="1/2 for the cell and 0 for all others, since the score of the object depends on nothing else",
        violated="the map of one object shows the others",
        paper="Petsiuk et al. 2021, D-RISE, arXiv:2006.03204, section 3",
    )
)
def detector() -> Steps:
    """S = overlap times score of the candidate for which that is most: [P] / 2 in one cell."""
    body = detectors(P, Q)
    x = canvas({(2, 1): P, (0, 3): 3 / 2 * P, (3, 3): 3 / 2 * Q})
    answer = cells({(2, 1): 0.5})
    view = nn.Sequential(*body, Candidates())
    net = nn.Sequential(*body, *_one_cell((2, 1), 0.5))
    goal = Box((4, 8, 8, 12), k=0, form="yolov8")
    maps = yield Scene(net, x, 0, "1", answer, view=view, goal=goal)
    return silent(maps, answer[0] > 0, _SHARE)
