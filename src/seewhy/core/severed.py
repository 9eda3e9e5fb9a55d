"""Cut graphs: takes a forward that was recorded and its score, gives the layers with positions that ran if the graph
does not lead from the score to the input; chooses none of them."""

from __future__ import annotations

from torch import Tensor

from seewhy.core.candidates import Survey
from seewhy.core.crossings import Paths
from seewhy.core.layers import TAKEN
from seewhy.core.layouts import claims

__all__ = ["CUTS", "severed"]

#: what a forward may do so that torch records no way back, in words
CUTS = "no_grad, inference_mode, detach, a comparison, whole numbers or a way through numpy"


def severed(survey: Survey, score: Tensor) -> tuple[str, ...] | None:
    """Layers with positions, the last of the forward first, where torch has recorded no path from the input to the
    score, though the network may have one; None where it has."""
    if Paths(score, survey.leaf).order:
        return None
    names: dict[int, str] = {}
    for each in survey.tape.noted:
        shape = tuple(each.tensor.shape)
        placed = claims(shape, survey.size, survey.batch, survey.last, survey.grids)
        # what is taken before any layer has given something is the input; what one gave has that layer's name
        known = each.element != TAKEN or (names and id(each.tensor) not in names)
        if each.module and not each.function and not each.passed and placed and known:
            names[id(each.tensor)] = each.name(survey.tape.calls)
    return tuple(reversed(names.values()))
