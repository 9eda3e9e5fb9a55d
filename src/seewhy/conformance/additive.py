"""Units whose score is a sum: take nothing, give networks in which every share is one number; proportion, sign, class
and contrast."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from seewhy.conformance._judging import alike, found, proportional
from seewhy.conformance._parts import P, Q, S, again, canvas, cells, convolution, detectors, head
from seewhy.conformance._unit import CELLS, SIDE, Maps, Scene, Steps, UnitCard, unit

__all__ = ["against", "cancellation", "either_sign", "linear_score", "shared_cue", "two_detectors"]

_LIME = "Garreau & Mardaoui 2021, What does LIME really see in images?, arXiv:2102.06307"
_SHAPLEY = "Sundararajan, Taly & Yan 2017, Axiomatic Attribution for Deep Networks, arXiv:1703.01365, sections 2-3"


@unit(
    UnitCard(
        name="linear",
        property="proportion",
        checks="on a linear function the evidence of each cell is proportional to its weights times its pixels; a "
        "sensitivity is proportional to the size of the weights, pixel by pixel",
        answer="w x summed over a cell, in closed form: gradient times input, occlusion by 0 and Shapley values agree",
        violated="amounts of the map cannot be compared, not even on the function that everybody understands",
        paper=_LIME,
    )
)
def linear_score() -> Steps:
    """S = <w, x>: three cells contribute 6, 2 and 3."""
    net = nn.Sequential(convolution((P, Q), 0.0), again(), again(), *head((3, 1), (0, 0)))
    answer = cells({(0, 1): 6.0, (2, 2): 2.0, (3, 0): 3.0})
    maps = yield Scene(net, canvas({(0, 1): P, (2, 2): Q, (3, 0): P / 2}), 0, "1", answer)
    return _steepness(maps, (3 * P + Q).abs()) if maps.kind == "sensitivity" else proportional(maps, answer)


def _steepness(maps: Maps, weights: Tensor) -> str:
    """Whether a sensitivity is a positive multiple of the size of the ``weights`` [4, 4] of every cell."""
    fine = maps.values.shape[1] == CELLS * SIDE
    exact = weights.repeat(CELLS, CELLS) if fine else torch.ones(CELLS, CELLS)
    values, exact = maps.values[0].abs(), exact.to(maps.values)
    factor = (values * exact).sum() / exact.square().sum()
    return alike(Maps(values[None], maps.kind, maps.error), factor * exact[None])


@unit(
    UnitCard(
        name="two-detectors",
        property="proportion",
        checks="cells that contribute 6, 1 and 1 to a sum have evidence in that proportion, and no other cell has any",
        answer="6 : 1 : 1 in closed form; every detector is linear where it is on, so that gradients, occlusion by 0 "
        "and Shapley values agree",
        violated="how strong the evidence looks is not how much it counts",
        paper=_SHAPLEY,
    )
)
def two_detectors() -> Steps:
    """S = 6 [a cell shows P] + 1 [a cell shows Q] for each cell."""
    net = nn.Sequential(*detectors(P, Q), *head((6, 1), (0, 0)))
    answer = cells({(0, 1): 6.0, (2, 2): 1.0, (3, 0): 1.0})
    maps = yield Scene(net, canvas({(0, 1): P, (2, 2): Q, (3, 0): Q}), 0, "1", answer)
    return proportional(maps, answer)


@unit(
    UnitCard(
        name="against",
        property="sign",
        checks="a cell that speaks for the target and two that speak against it have evidence of opposite signs; a map "
        "that only says where shows the first alone, a sensitivity all three",
        answer="3, -1 and -1 in closed form; gradient times input, occlusion by 0 and Shapley values agree",
        violated="evidence against the target is lost, or is drawn as evidence for it",
        paper="Bach et al. 2015, Layer-wise Relevance Propagation, doi:10.1371/journal.pone.0130140, section 2",
    )
)
def against() -> Steps:
    """S = 3 [a cell shows P] - [a cell shows Q] for each cell, 1 in all."""
    return (yield from _for_and_against(3.0))


@unit(
    UnitCard(
        name="cancellation",
        property="cancellation",
        checks="a cell that speaks for the target and two that speak against it as much have the evidence that they "
        "have where they do not cancel out",
        answer="2, -1 and -1, with a sum of 0, in closed form; gradient times input, occlusion by 0 and Shapley values "
        "agree",
        violated="an undecided network looks like one that has seen nothing",
        paper="Shrikumar, Greenside & Kundaje 2017, DeepLIFT, arXiv:1704.02685, section 3.2",
    )
)
def cancellation() -> Steps:
    """S = 2 [a cell shows P] - [a cell shows Q] for each cell, 0 in all."""
    return (yield from _for_and_against(2.0))


def _for_and_against(weight: float) -> Steps:
    net = nn.Sequential(*detectors(P, Q), *head((weight, -1), (0, 0)))
    answer = cells({(1, 0): weight, (2, 2): -1.0, (0, 3): -1.0})
    maps = yield Scene(net, canvas({(1, 0): P, (2, 2): Q, (0, 3): Q}), 0, "1", answer)
    return proportional(maps, answer)


@unit(
    UnitCard(
        name="shared-cue",
        property="class",
        checks="of a cue that two classes share and one of each class's own, the map of a class has the shared one and "
        "its own, and nothing of the other class's",
        answer="2 for the shared cue, 1 for each cell of the class's own, 0 for the other's, in closed form",
        violated="the map is the same whatever is asked: it shows what is there, not what speaks for the class",
        paper="Sixt, Granz & Landgraf 2020, When Explanations Lie, arXiv:1912.09818, section 2",
    )
)
def shared_cue() -> Steps:
    """S_0 = 2 [S] + [P], S_1 = 2 [S] + [Q], summed over cells; asked about both."""
    net = nn.Sequential(*detectors(S, P, Q), *head((2, 1, 0), (2, 0, 1)))
    x = canvas({(0, 0): S, (1, 2): P, (3, 1): Q, (2, 3): Q})
    own = cells({(0, 0): 2.0, (1, 2): 1.0}), cells({(0, 0): 2.0, (3, 1): 1.0, (2, 3): 1.0})
    for target, answer in enumerate(own):
        maps = yield Scene(net, x, target, "1", answer)
        if wrong := found(maps, answer):
            return f"class {target}: {wrong}"
    return ""


@unit(
    UnitCard(
        name="either-sign",
        property="contrast",
        checks="a network that answers to a pattern and to its negative alike gives both the same evidence",
        answer="1 for the cell in both pictures, in closed form: |<w, x>| - 1 where it is above 0",
        violated="the map shows the picture's own signs: dark cues count as evidence against the target",
        paper="Smilkov et al. 2017, SmoothGrad, arXiv:1706.03825, section 3.2 (gradients of bright on dark)",
    )
)
def either_sign() -> Steps:
    """S = [a cell shows P or -P], in a picture with P and in one with -P."""
    net = nn.Sequential(*detectors(P, -P, Q), *head((1, 1, 0), (0, 0, 0)))
    answer = cells({(1, 2): 1.0}, {(1, 2): 1.0})
    maps = yield Scene(net, canvas({(1, 2): P, (3, 0): 3 / 2 * Q}, {(1, 2): -P, (3, 0): 3 / 2 * Q}), 0, "1", answer)
    wrong = found(maps, answer)
    if wrong or maps.kind == "localisation":
        return wrong
    one, other = maps.cells
    return alike(Maps(one[None], maps.kind, maps.error), other[None])
