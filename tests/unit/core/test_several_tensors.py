"""Layers that give several tensors: the first is explained, and every map says so."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

import seewhy
from networks import image
from seewhy.errors import CapabilityError, UnknownName


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


@pytest.mark.parametrize("method", ["conductance", "deep-lift"])
def test_a_part_that_does_not_add_up_is_incomplete(method: str) -> None:
    class Product(_Net):
        def forward(self, x: Tensor) -> Tensor:
            a, b = self.body(x)
            return self.head(a.relu().mean((2, 3))) * self.head(b.relu().mean((2, 3)))

    torch.manual_seed(0)
    found = seewhy.explain(Product("tuple").eval(), image(1)[:1].float(), method=method, layer="body", target=1)
    assert found.status.code in ("incomplete", "not-converged")
    assert "misses" in found.status.cause


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


class _Early(nn.Module):
    """Features, and what has read them before they are handed on: inside a tuple, by a pool after another reader, or
    aside."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.body, self.pool, self.kind = _EarlyBody(kind), nn.AdaptiveAvgPool2d(1), kind
        self.one, self.two = nn.Linear(4, 3), nn.Linear(4, 3)

    def top(self, h: Tensor) -> Tensor:
        """Scores [B, 3] of the features."""
        return self.one(h.amax((2, 3))) + self.two(h.mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, 3]."""
        if self.kind == "taken":
            h = self.body.features(x)
            return self.one(h.amax((2, 3))) + self.two(self.pool(h).flatten(1))
        out = self.body(x)
        h, peak = out if self.kind == "tuple" else (out, self.body.peak)
        return self.one(peak) + self.two(h.mean((2, 3)))


class _EarlyBody(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.conv, self.kind, self.peak = nn.Conv2d(3, 4, 3, padding=1), kind, torch.empty(0)

    def features(self, x: Tensor) -> Tensor:
        """[B, 4, H, W]."""
        return self.conv(x).relu() * 1.0

    def forward(self, x: Tensor) -> Any:
        """The features and their peaks, or the features alone."""
        h = self.features(x)
        self.peak = h.amax((2, 3))
        return (h, self.peak) if self.kind == "tuple" else h


@pytest.mark.parametrize(("kind", "name"), [("tuple", "body[0]"), ("taken", "pool[in]"), ("aside", "body.conv")])
@pytest.mark.parametrize("prepare", [False, True])
def test_what_is_read_before_it_is_handed_on_counts_in_every_call(kind: str, name: str, prepare: bool) -> None:
    torch.manual_seed(3)
    net, x = _Early(kind).eval(), image(1).float()
    leaf = (net.body.conv(x) if kind == "aside" else net.body.features(x)).detach().requires_grad_()
    (grad,) = torch.autograd.grad(net.top(leaf.relu() * 1.0 if kind == "aside" else leaf)[:, 1].sum(), leaf)
    right = (leaf * grad.mean((2, 3), keepdim=True)).sum(1).detach()
    chosen = [seewhy.explain_all(net, x, method="grad-cam", target=1, prepare=prepare) for _ in range(3)]
    named = [seewhy.explain_all(net, x, method="grad-cam", target=1, layer=name, prepare=prepare) for _ in range(2)]
    if kind == "tuple":
        named.append(seewhy.explain_all(net, x, method="grad-cam", target=1, layer="body", prepare=prepare))
    for maps in chosen + named:
        for found, expected in zip(maps, right, strict=True):
            torch.testing.assert_close(torch.from_numpy(found.values), expected, rtol=1e-4, atol=1e-7)
    assert {found.layer for maps in chosen for found in maps} == {name}


@pytest.mark.parametrize(
    ("kind", "layer"), [("tuple", "body[0]"), ("tuple", "body"), ("taken", "pool[in]"), ("aside", "body")]
)
@pytest.mark.parametrize("method", ["ablation-cam", "recipro-cam"])
def test_what_is_read_before_it_is_handed_on_cannot_be_changed_there(kind: str, layer: str, method: str) -> None:
    net, x = _Early(kind).eval(), image(1).float()[:1]
    for _ in range(2):
        with pytest.raises(CapabilityError, match="cannot be changed: the model reads its tensor before"):
            seewhy.explain(net, x, method=method, target=1, layer=layer)
    assert seewhy.explain(net, x, method=method, target=1, layer="body.conv").values.any()


@pytest.mark.parametrize(
    ("kind", "layer", "words"),
    [
        ("tuple", "body[2]", "no tensor 'body[2]'; nearest: 'body[1]'. List them: one of 'body[0]', 'body[1]'"),
        ("dict", "body[c]", "one of 'body[a]', 'body[b]'"),
        ("nested", "body[1.1]", "one of 'body[0]', 'body[1.0]'"),
        ("tuple", "head[1]", "no tensor 'head[1]'; nearest: 'head'. List them: there is one, 'head'"),
    ],
)
def test_a_tensor_that_is_not_there_is_told_which_are(kind: str, layer: str, words: str) -> None:
    with pytest.raises(UnknownName) as caught:
        seewhy.explain(_net(kind), image(1)[:1], method="saliency", target=0, layer=layer)
    assert words in str(caught.value)
