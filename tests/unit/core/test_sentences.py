"""Sentences that tell what to type, or how sampling ended: each is true."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor, nn

import seewhy
import seewhy.methods
from seewhy.errors import UsageError
from seewhy.registry import methods

SAMPLING = ("rise", "lime", "hsic", "sobol", "kernel-shap", "shapley-sampling", "smooth-grad")


class Overflown(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.first(x).relu().mean((2, 3))) * float("nan")


@pytest.mark.parametrize("name", SAMPLING)
def test_a_map_of_nan_has_no_standard_error(name: str) -> None:
    e = seewhy.explain(Overflown().eval(), torch.rand(1, 3, 16, 16), method=name, target=0)
    assert e.status.code == "non-finite"
    assert any("values that are no numbers" in note for note in e.notes)
    assert not any("standard error" in note or "within tolerance" in note for note in e.notes)
    assert not torch.as_tensor(e.values).isfinite().all()


@pytest.mark.parametrize("name", [each.name for each in methods if each.card.call != "explain"])
def test_the_function_that_is_named_instead_exists_and_knows_the_method(name: str) -> None:
    with pytest.raises(UsageError) as raised:
        seewhy.explain(Overflown().eval(), torch.rand(1, 3, 16, 16), method=name, target=0)
    found = re.search(r"in Python: seewhy[.](\w+)(?:[(][.]{3}, method='([\w-]+)'[)])?[)]", str(raised.value))
    assert found is not None
    assert found[1] in seewhy.__all__
    assert found[2] == (name if found[1] == "attack" else None)
