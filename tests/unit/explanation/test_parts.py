"""Status, cost, prediction."""

from __future__ import annotations

import pytest

from seewhy.errors import UnknownName
from seewhy.explanation import CODES, Cost, Guess, Prediction, Status


def test_status() -> None:
    assert Status().ok
    assert str(Status()) == "ok"
    assert str(Status("not-converged", "residual 3 %")) == "not-converged: residual 3 %"
    assert [code for code in CODES if Status(code).ok] == ["ok"]
    with pytest.raises(UnknownName, match=r"no status 'zero-grad'; nearest: 'zero-gradient'"):
        Status("zero-grad")


def test_costs_add_field_by_field() -> None:
    total = Cost(1, 2, 3, 0.25) + Cost(10, 20, 30, 0.5)
    assert total == Cost(11, 22, 33, 0.75)
    assert Cost.total([Cost(1), Cost(backwards=2), Cost(checks=3)]) == Cost(1, 2, 3)
    assert Cost.total([]) == Cost()
    assert str(Cost(1, 2, 1, 0.5)) == "1 forward, 2 backward, 1 check, 0.50 s"
    with pytest.raises(TypeError):
        Cost() + 1  # type: ignore[operator]


def test_predictions_read_as_words() -> None:
    assert str(Prediction(282, "tiger cat", 0.554)) == "tiger cat 0.55"
    assert str(Prediction(7, None, None)) == "class 7"
    assert str(Guess(7, None, 0.5, 3.0)) == "class 7 0.50"
