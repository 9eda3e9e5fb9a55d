"""Units of two networks or pictures that have to be explained alike: take nothing, give the pairs; translation, a
constant added to the input, and the same function in another graph."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seewhy.conformance._judging import alike
from seewhy.conformance._parts import P, Q, again, canvas, cells, convolution, detectors, head
from seewhy.conformance._unit import CELLS, Scene, Steps, UnitCard, unit

__all__ = ["batch_norm", "constant_shift", "rewritten", "translation"]

_IMPLEMENTATION = (
    "Sundararajan, Taly & Yan 2017, Axiomatic Attribution for Deep Networks, arXiv:1703.01365, section 2.2"
)


@unit(
    UnitCard(
        name="translation",
        property="translation",
        checks="a picture shifted by a cell has the map shifted by a cell, where the network has no borders",
        answer="equality; the network gives the same score for both",
        violated="the place of things has evidence, though the network cannot know it",
        paper="Dabkowski & Gal 2017, Real Time Image Saliency, arXiv:1705.07857; Zeiler & Fergus 2013, arXiv:1311.2901",
    )
)
def translation() -> Steps:
    """S = 6 [P] + [Q], summed over cells; the cues in column 1, then in column 2."""
    net = nn.Sequential(*detectors(P, Q), *head((6, 1), (0, 0)))
    at = [{(0, n): P, (2, n): Q} for n in (1, 2)]
    answer = cells(*({(0, n): 6.0, (2, n): 1.0} for n in (1, 2)))
    maps = yield Scene(net, canvas(*at), 0, "1", answer)
    shifted = maps.values[:1].roll(maps.values.shape[2] // CELLS, 2)
    return alike(maps.only(1), shifted)


@unit(
    UnitCard(
        name="constant-shift",
        property="input-shift",
        checks="pictures to which 1 is added, in a network that takes it off again in its first bias, have the same "
        "maps; what is hidden, and references, stay 0",
        answer="equality of the two maps, since f(x) = g(x + 1): gradients agree in closed form",
        violated="the map depends on how colours are numbered, which is nobody's evidence",
        paper="Kindermans et al. 2019, The (Un)reliability of Saliency Methods, arXiv:1711.00867, section 2",
    )
)
def constant_shift() -> Steps:
    """S = 6 [P] + [Q], of detectors that also count light, in x and in x + 1."""
    x = canvas({(1, 1): P, (2, 2): Q})
    answer = cells({(1, 1): 6.0, (2, 2): 1.0})
    # weights that add up to 1/2, so that a constant of 1 adds that to what a cell says
    light = [pattern + 1 / 4 for pattern in (P, Q)]
    nets = [nn.Sequential(convolution(light, bias), nn.ReLU(), again(), *head((6, 1), (0, 0))) for bias in (-1.0, -1.5)]
    first = yield Scene(nets[0], x, 0, "1", answer)
    second = yield Scene(nets[1], x + 1, 0, "1", answer, empty=1.0)
    return alike(first, second.values)


class Unfolded(nn.Module):
    """max(z, 0) written as z + max(-z, 0)."""

    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, z: Tensor) -> Tensor:
        """What a rectifier gives of ``z``, of any shape."""
        rest: Tensor = self.relu(-z)
        return z + rest


@unit(
    UnitCard(
        name="rewritten",
        property="implementation",
        checks="the same function has the same map in a graph in which one channel is counted in quarters, another is "
        "there twice, and max(z, 0) is written z + max(-z, 0)",
        answer="equality of the two maps, since the scores are the same for every picture",
        violated="the map shows how the network is written, not what it computes",
        paper=_IMPLEMENTATION,
    )
)
def rewritten() -> Steps:
    """S = 6 [P] - [Q], and the same with 4 [P] and twice [Q] in the place of [P] and [Q]."""
    x = canvas({(0, 1): P, (2, 2): Q, (3, 0): Q})
    answer = cells({(0, 1): 6.0, (2, 2): -1.0, (3, 0): -1.0})
    plain = nn.Sequential(*detectors(P, Q), *head((6, -1), (0, 0)))
    other = nn.Sequential(
        convolution((4 * P, Q, Q), (-4.0, -1.0, -1.0)), Unfolded(), again(), *head((1.5, -0.5, -0.5), (0, 0, 0))
    )
    first = yield Scene(plain, x, 0, "1", answer)
    second = yield Scene(other, x, 0, "1", answer)
    return alike(first, second.values)


@unit(
    UnitCard(
        name="batch-norm",
        property="implementation",
        checks="a network with batch normalisation in eval mode has the map of the one into which it was folded",
        answer="equality of the two maps, since the scores are the same for every picture",
        violated="the map changes when a network is made ready for use",
        paper="Ioffe & Szegedy 2015, Batch Normalization, arXiv:1502.03167, algorithm 2; " + _IMPLEMENTATION,
    )
)
def batch_norm() -> Steps:
    """S = 6 [P] + [Q], of detectors whose scale and threshold are in a batch norm, and of plain ones."""
    x = canvas({(0, 1): P, (2, 2): Q, (3, 0): Q})
    answer = cells({(0, 1): 6.0, (2, 2): 1.0, (3, 0): 1.0})
    norm = nn.BatchNorm2d(2, eps=0.0)
    with torch.no_grad():
        norm.bias.fill_(-1.0)
    norm.running_mean, norm.running_var = torch.tensor([0.5, -1.0]), torch.tensor([0.25, 4.0])
    first = yield Scene(nn.Sequential(*detectors(P, Q), *head((6, 1), (0, 0))), x, 0, "1", answer)
    body = [convolution((P / 2, 2 * Q), (0.5, -1.0)), norm, nn.ReLU(), again()]
    second = yield Scene(nn.Sequential(*body, *head((6, 1), (0, 0))), x, 0, "2", answer, again="3")
    return alike(first, second.values)
