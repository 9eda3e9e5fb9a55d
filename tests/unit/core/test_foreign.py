"""Networks of other libraries are a type: attributes of a torch module that have the same names mean nothing."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

import seewhy
from seewhy.core.network.foreign import Foreign


class _Namesake(nn.Module):
    channels_last, axes, channels, program = True, 1, 7, "a program"

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 2))

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x)

    def counterpart(self, part: nn.Module) -> nn.Module:
        raise AssertionError("nobody asks a torch network for this")


def test_names_alone_make_no_network_of_another_library() -> None:
    net, x = _Namesake().eval(), torch.rand(1, 3, 8, 8)
    for method in ("saliency", "grad-cam", "saliency-by-layer"):
        found = seewhy.explain_all(net, x, method, None if method.endswith("layer") else 1)
        right = seewhy.explain_all(net.body, x, method, None if method.endswith("layer") else 1)
        for a, b in zip(found, right, strict=True):
            np.testing.assert_allclose(a.values, b.values, rtol=1e-5, atol=1e-7)
    assert not seewhy.wrap(net).channels_last
    assert [each.works for each in seewhy.diagnose(net, x, methods=["saliency"]).methods] == [True]


def test_a_foreign_network_says_how_its_inputs_lie() -> None:
    class Last(Foreign):
        channels_last, axes, channels = True, 2, 3

        def __init__(self, body: nn.Module) -> None:
            super().__init__()
            self.body = body

        def forward(self, x: Tensor) -> Tensor:
            return self.body(x)

    body, x = _Namesake().eval().body, torch.rand(1, 3, 8, 8)
    found = seewhy.explain(Last(body).eval(), x.movedim(1, -1), "saliency", 1)
    np.testing.assert_allclose(found.values, seewhy.explain(body, x, "saliency", 1).values, rtol=1e-5, atol=1e-7)
