"""Units in which parts work together: take nothing, give networks that compute AND, OR and XOR of cues; interaction and
redundancy."""

from __future__ import annotations

from torch import Tensor, nn

from seewhy.conformance._judging import found
from seewhy.conformance._parts import P, Q, S, canvas, cells, detectors, linear, pooled
from seewhy.conformance._unit import Scene, Steps, UnitCard, unit

__all__ = ["and_", "or_", "xor"]

_PAPER = "Sundararajan & Najmi 2020, The Many Shapley Values for Model Explanation, arXiv:1908.08474"


def _cue_in_halves() -> tuple[Tensor, Tensor]:
    """A picture of P in two halves, Q, and what the network ignores; and the Shapley values of its cells."""
    picture = canvas({(0, 0): P, (1, 3): P, (3, 1): Q, (2, 2): S})
    return picture, cells({(0, 0): 0.25, (1, 3): 0.25, (3, 1): 0.5})


@unit(
    UnitCard(
        name="and",
        property="interaction",
        checks="two cues that only count together, one of them in two halves, have evidence in all three cells, more "
        "than a cell that shows what the network ignores",
        answer="Shapley values 1/4, 1/4 and 1/2 by enumeration; the gradient and occlusion by 0 are in the same "
        "proportion",
        violated="a part without which there would be no score at all is left out",
        paper=_PAPER,
    )
)
def and_() -> Steps:
    """S = max(a + b - 1, 0), a half the number of cells with P, b that of cells with Q."""
    logic = [*pooled(), linear([[8, 16, 0]], [-1.0]), nn.ReLU(), linear([[1], [0]])]
    x, answer = _cue_in_halves()
    maps = yield Scene(nn.Sequential(*detectors(P, Q, S), *logic), x, 0, "1", answer)
    return found(maps, answer)


@unit(
    UnitCard(
        name="or",
        property="redundancy",
        checks="two cues of which one would do, one of them in two halves, have evidence in all three cells",
        answer="Shapley values 1/4, 1/4 and 1/2 by enumeration; the gradient is 0, and so is occlusion by 0",
        violated="what made the score is left out because something else would have made it as well",
        paper=_PAPER,
    )
)
def or_() -> Steps:
    """S = min(a + b, 1), a half the number of cells with P, b that of cells with Q."""
    logic = [*pooled(), linear([[8, 16, 0], [8, 16, 0]], [0.0, -1.0]), nn.ReLU(), linear([[1, -1], [0, 0]])]
    x, answer = _cue_in_halves()
    maps = yield Scene(nn.Sequential(*detectors(P, Q, S), *logic), x, 0, "1", answer)
    return found(maps, answer)


@unit(
    UnitCard(
        name="xor",
        property="interaction",
        checks="two cues of which one says nothing without the other have evidence in all cells: both, whatever their "
        "sign",
        answer="Shapley values 1/2, 1/2 and 1 by enumeration; the gradient is 1 and -1 (0 at the kink, as everywhere "
        "in the field), and occlusion by 0 is in the same proportion",
        violated="one side of a comparison is left out, so that the map does not say what was compared",
        paper="Minsky & Papert 1969, Perceptrons, section 3.1; " + _PAPER,
    )
)
def xor() -> Steps:
    """S = |a - b| - |a + b|, 2 for signs that differ, -2 for equal ones, 0 where one is missing; a = 1, b = -1."""
    a, b = [8, -8, 0, 0, 0], [0, 0, 16, -16, 0]
    signs = [[s * (x + t * y) for x, y in zip(a, b, strict=True)] for t in (-1, 1) for s in (1, -1)]
    logic = [*pooled(), linear(signs), nn.ReLU(), linear([[1, 1, -1, -1], [0, 0, 0, 0]])]
    answer = cells({(0, 2): 0.5, (2, 0): 0.5, (3, 3): 1.0})
    x = canvas({(0, 2): P, (2, 0): P, (3, 3): -Q, (1, 1): S})
    maps = yield Scene(nn.Sequential(*detectors(P, -P, Q, -Q, S), *logic), x, 0, "1", answer)
    return found(maps, answer)
