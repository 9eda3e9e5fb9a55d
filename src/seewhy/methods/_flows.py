"""Where relevance went: takes a flow, gives it as an attribution with its residual and a note per image; computes no
relevance."""

from __future__ import annotations

from torch import Tensor

from seewhy.core.asks import Attribution
from seewhy.core.forward.propagation import Flow
from seewhy.core.percentages import percent

__all__ = ["account"]

#: shares below this are not worth a word
_NOTHING = 5e-4


def account(flow: Flow, total: Tensor, keeper: str = "the stabiliser") -> Attribution:
    """The flow's values, the residual to ``total`` [B], and a sentence about each image's losses.

    ``keeper`` is what divisions by next to nothing are to be called.
    """
    reached = flow.values.flatten(1).sum(1)
    return Attribution(flow.values, error=reached - total, notes=_notes(flow, keeper))


def _notes(flow: Flow, keeper: str) -> tuple[str, ...]:
    reached = flow.values.detach().flatten(1).sum(1)
    rows = zip(
        *(column.tolist() for column in (flow.start, reached, flow.bias, flow.stabiliser, flow.elsewhere)), strict=True
    )
    return tuple("; ".join((_note(keeper, *row), *flow.said)) for row in rows)


def _note(keeper: str, start: float, reached: float, bias: float, stabiliser: float, elsewhere: float) -> str:
    if start == 0:
        return "no relevance sets out: the score is 0, or depends on nothing"
    said = [f"{_percent(reached / start)} of what sets out arrives"]
    parts = (("biases absorb", bias), (keeper, stabiliser), ("other places get", elsewhere))
    said += [f"{words} {_percent(amount / start)}" for words, amount in parts if abs(amount / start) > _NOTHING]
    return said[0] if len(said) == 1 else f"{said[0]}; {', '.join(said[1:])}"


def _percent(share: float) -> str:
    return percent(share).replace("%", " %")
