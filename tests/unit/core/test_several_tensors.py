"""Layers that give several tensors: the first is explained, and every map says so."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import seewhy
from networks import image


class _Two(nn.Module):
    """Features twice, both of which the head reads."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.one, self.two, self.kind = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1), kind

    def forward(self, x: Tensor) -> Any:
        """Two tensors [B, 4, H, W], as a tuple, a list or a dict, one inside another; or one and None."""
        a, b = self.one(x), self.two(x)
        return {"tuple": (a, b), "list": [a, b], "dict": {"a": a, "b": b}, "nested": (a, (b, None)), "one": (a, None)}[
            self.kind
        ]


class _Net(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.body, self.head = _Two(kind), nn.Linear(4, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, 3]."""
        out = self.body(x)
        parts = list(out.values()) if isinstance(out, dict) else list(out)
        parts = [each[0] if isinstance(each, tuple) else each for each in parts if each is not None]
        return self.head(sum(part.relu() for part in parts).mean((2, 3)))


def _net(kind: str) -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return _Net(kind).eval().double()


@pytest.mark.parametrize("kind", ["tuple", "list", "dict", "nested"])
@pytest.mark.parametrize("method", ["grad-cam", "conductance", "saliency"])
def test_a_map_of_the_first_says_that_there_are_others(kind: str, method: str) -> None:
    net, x = _net(kind), image(1)[:1]
    found = seewhy.explain(net, x, method=method, layer="body", target=1)
    assert any(note.startswith("layer 'body' gives 2 tensors, of which the first is explained") for note in found.notes)
    alone = seewhy.explain(net, x, method=method, layer="body.one", target=1)
    torch.testing.assert_close(torch.from_numpy(found.values), torch.from_numpy(alone.values))
    assert not any("tensors" in note for note in alone.notes)


def test_conductance_of_one_of_two_says_what_is_missing() -> None:
    """The others carry the rest of the rise, by hand; the note gives its share."""
    net, x = _net("tuple"), image(1)[:1]
    found = seewhy.explain(net, x, method="conductance", layer="body", target=1, baseline=0.0, steps=200)
    other = seewhy.explain(net, x, method="conductance", layer="body.two", target=1, baseline=0.0, steps=200)
    with torch.no_grad():
        rise = float((net(x) - net(0 * x))[0, 1])
    assert found.values.sum() + other.values.sum() == pytest.approx(rise, rel=0.01)
    assert any(f"{abs(found.values.sum() - rise) / abs(rise):.1%}" in note for note in found.notes)


def test_one_tensor_beside_none_needs_no_word() -> None:
    found = seewhy.explain(_net("one"), image(1)[:1], method="grad-cam", layer="body", target=1)
    assert not any("tensors" in note for note in found.notes)
