"""A maker of explanations for the tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from seewhy.explanation import Explanation, Guess, Prediction

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

PREDICTION = Prediction(282, "tiger cat", 0.55, (Guess(282, "tiger cat", 0.55, 11.57), Guess(281, None, 0.2, 9.5)))


def photo(seed: int = 0, height: int = 32, width: int = 48) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, size=(height, width, 3), dtype=np.uint8)


@pytest.fixture
def make() -> Callable[..., Explanation]:
    """An explanation with a 4x6 map; any field can be given."""

    def build(values: Any = None, **fields: Any) -> Explanation:
        if values is None:
            values = np.linspace(-0.5, 1, 24, dtype=np.float32).reshape(4, 6)
        known: dict[str, Any] = {
            "size": (32, 48),
            "method": "grad-cam",
            "target": "tiger cat",
            "target_index": 282,
            "score": 11.57,
            "image": photo(),
            "name": "chelsea",
            "prediction": PREDICTION,
            "layer": "layer4",
        }
        return Explanation(values=values, **(known | fields))

    return build
