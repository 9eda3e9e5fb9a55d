"""Linear layers as oneDNN's calls: the same values and gradients as torch's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seewhy.core.compile.building import Build, Steps
from seewhy.core.compile.export import export
from seewhy.core.compile.onednn import LINEAR, linear
from seewhy.core.forward.agreement import gap

pytestmark = pytest.mark.skipif(LINEAR is None, reason="this torch has no oneDNN")

INPUTS = {
    "one row": torch.randn(1, 12, generator=torch.Generator().manual_seed(1)),
    "rows": torch.randn(5, 12, generator=torch.Generator().manual_seed(2)),
    "tokens": torch.randn(2, 7, 12, generator=torch.Generator().manual_seed(3)),
    "one vector": torch.randn(12, generator=torch.Generator().manual_seed(4)),
    "columns": torch.randn(12, 5, generator=torch.Generator().manual_seed(5)).t(),
    "channels last": torch.randn(2, 12, 3, 4, generator=torch.Generator().manual_seed(6)).permute(0, 2, 3, 1),
    "none": torch.zeros(0, 12),
}


@pytest.mark.parametrize("case", INPUTS)
@pytest.mark.parametrize("biased", [True, False])
def test_values_and_gradients_are_those_of_torch(case: str, biased: bool) -> None:
    make = torch.Generator().manual_seed(0)
    weight = torch.randn(9, 12, generator=make).requires_grad_()
    bias = torch.randn(9, generator=make) if biased else None
    x = INPUTS[case].clone(memory_format=torch.preserve_format).requires_grad_()
    want, found = nn.functional.linear(x, weight, bias), linear(x, weight, bias)
    assert gap(want, found) < 1e-6
    grad = torch.randn(want.shape, generator=make)
    ours, theirs = (torch.autograd.grad(each, x, grad)[0] for each in (found, want))
    assert gap(theirs, ours) < 1e-6


def test_weights_are_read_where_they_lie() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner, self.outer = nn.Linear(6, 5), nn.Linear(5, 4, bias=False)

        def forward(self, x: Tensor) -> Tensor:
            return self.outer(self.inner(x.flatten(1)).relu())

    torch.manual_seed(0)
    net, x = Net().eval(), torch.randn(3, 1, 2, 3)
    build = Build(export(net, x))
    program, counts = build.program([], "all", Steps(True, True, True))
    assert counts["linear"] == 2
    assert not build.sources
    before = program(x)
    net.outer.weight.data.mul_(2)
    assert torch.allclose(program(x), 2 * before)
