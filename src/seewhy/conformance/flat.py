"""Units whose gradient misleads: take nothing, give networks that are flat, or full of kinks, at the picture;
saturation, hidden gradients and shattering."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seewhy.conformance._judging import found
from seewhy.conformance._parts import PLACES, P, Q, canvas, cells, detectors, linear, pooled
from seewhy.conformance._unit import Maps, Scene, Steps, UnitCard, unit

__all__ = ["bottleneck", "saturation", "shattered_gradients"]

#: the sawtooth rises by 8 and falls by 6 an eighth, far beyond the picture: noise is to meet it as well
_KNOTS, _UP, _DOWN = 40, 8.0, -6.0
#: shares that are off by no more than this factor are right: far from six times, far from errors of sampling
_FACTOR = 2.0


@unit(
    UnitCard(
        name="saturation",
        property="saturation",
        checks="a cue three times as strong as would do has evidence, more than a louder cell that the network ignores",
        answer="Shapley value and occlusion by 0 are 1, in closed form; the gradient is 0",
        violated="the surer the network is, the less the map shows",
        paper="Shrikumar, Greenside & Kundaje 2017, DeepLIFT, arXiv:1704.02685, figure 1",
    )
)
def saturation() -> Steps:
    """S = min(a, 1), a = 3."""
    clip = [*pooled(), linear([[PLACES, 0], [PLACES, 0]], [0.0, -1.0]), nn.ReLU(), linear([[1, -1], [0, 0]])]
    answer = cells({(2, 1): 1.0})
    x = canvas({(2, 1): 2 * P, (0, 3): 5 / 2 * Q})
    maps = yield Scene(nn.Sequential(*detectors(P, Q), *clip), x, 0, "1", answer)
    return found(maps, answer)


class Round(nn.Module):
    """Whole numbers, whose gradient is 0."""

    def forward(self, x: Tensor) -> Tensor:
        """The nearest whole numbers, of the same shape."""
        return torch.round(x)


@unit(
    UnitCard(
        name="bottleneck",
        property="hidden-gradient",
        checks="what goes through a stage of whole numbers, whose gradient is 0, has evidence, more than a louder cell "
        "that the network ignores",
        answer="Shapley value and occlusion by 0 are 1, in closed form; the gradient is 0 everywhere",
        violated="the map ends where gradients do, in a quantised network for instance",
        paper="Bengio, Leonard & Courville 2013, Estimating or Propagating Gradients, arXiv:1308.3432, section 4",
    )
)
def bottleneck() -> Steps:
    """S = round(a), a = 1."""
    stage = [*pooled(), linear([[PLACES, 0]]), Round(), linear([[1], [0]])]
    answer = cells({(1, 1): 1.0})
    x = canvas({(1, 1): P, (3, 2): 3 / 2 * Q})
    maps = yield Scene(nn.Sequential(*detectors(P, Q), *stage), x, 0, "1", answer)
    return found(maps, answer)


@unit(
    UnitCard(
        name="shattered-gradients",
        property="shattering",
        checks="beside a cue that counts 2 in a straight line, one that counts 2.375 along a sawtooth has between half "
        "and twice its share, and not of the other sign",
        answer="Shapley values and occlusion by 0 are 2.375 and 2, in closed form; the gradient is -6 and 1",
        violated="the map shows kinks that cancel out over any larger change",
        paper="Balduzzi et al. 2017, The Shattered Gradients Problem, arXiv:1702.08591; Smilkov et al. 2017, "
        "arXiv:1706.03825, section 2",
    )
)
def shattered_gradients() -> Steps:
    """S = g(a) + b, a = 31/16, b = 2, g a sawtooth of slopes 8 and -6 around a line of slope 1."""
    kinks = [_UP, *((_DOWN - _UP) * (-1) ** n for n in range(_KNOTS - 1)), 1.0]
    knots = [-n / 8 for n in range(_KNOTS)]
    rows = [*([[PLACES, 0]] * _KNOTS), [0, PLACES]]
    saw = [*pooled(), linear(rows, [*knots, 0.0]), nn.ReLU(), linear([kinks, [0.0] * len(kinks)])]
    answer = cells({(1, 2): 2.375, (3, 0): 2.0})
    x = canvas({(1, 2): 47 / 32 * P, (3, 0): 3 / 2 * Q})
    maps = yield Scene(nn.Sequential(*detectors(P, Q), *saw), x, 0, "1", answer)
    return found(maps, answer) or _within(maps, answer)


def _within(maps: Maps, answer: Tensor) -> str:
    """Whether the shares of the two cells are right within a factor of two; of what has amounts."""
    if maps.kind == "localisation":
        return ""
    first, second = maps.cells[answer > 0].tolist()
    exact = (answer[answer > 0][0] / answer[answer > 0][1]).item()
    ratio = first / second
    if exact / _FACTOR <= ratio <= exact * _FACTOR:
        return ""
    return f"the two cues are as {ratio:.3g} to 1, where {exact:.3g} to 1 is right"
