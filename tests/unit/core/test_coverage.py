"""The layer that every path crosses: networks whose right layer is known by construction, with the right map computed by
hand."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seewhy
from seewhy.core.layers.dominators import Paths
from seewhy.errors import CapabilityError, UnknownName


def _x(batch: int = 1, rows: int = 16, columns: int = 24) -> Tensor:
    return torch.randn(batch, 3, rows, columns, generator=torch.Generator().manual_seed(5))


def _conv(inner: int, outer: int, stride: int = 1) -> nn.Conv2d:
    return nn.Conv2d(inner, outer, 3, stride, padding=1)


def _seeded(make: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(2)
        return make().eval()


def _cam(activation: Tensor, score: Callable[[Tensor], Tensor]) -> np.ndarray:
    """Grad-CAM of an activation [1, C, h, w] by its definition."""
    leaf = activation.detach().clone().requires_grad_()
    (slope,) = torch.autograd.grad(score(leaf).sum(), leaf)
    return torch.einsum("bc,bchw->bhw", slope.mean((2, 3)), leaf.detach())[0].numpy()


def _holds(net: nn.Module, x: Tensor, layer: str, want: np.ndarray, **asked: Any) -> seewhy.Explanation:
    """The chosen layer and its map, at the first call, which surveys, at the second, which captures, and by name."""
    asked = {"target": 1, "prepare": False} | asked
    for named in (None, None, layer):
        found = seewhy.explain(net, x, method="grad-cam", layer=named, **asked)
        assert found.layer == layer
        np.testing.assert_allclose(found.values, want, rtol=1e-4, atol=1e-6)
        assert found.provenance["grid"] == {layer: "proved"}
    return found


class IdentityBlock(nn.Module):
    """A residual block with a name that says that it does nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.body = _conv(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x).relu()


class PoolFormerStage(IdentityBlock):
    """Another name with a word in it."""


@pytest.mark.parametrize("kind", [IdentityBlock, PoolFormerStage])
def test_names_of_classes_say_nothing(kind: type[nn.Module]) -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.block, self.head = _conv(3, 4, 2), kind(), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.block(self.stem(x)).mean((2, 3)))

    net, x = _seeded(Net), _x()
    _holds(net, x, "block", _cam(net.block(net.stem(x)), lambda a: net.head(a.mean((2, 3)))[:, 1]))


def test_blocks_that_return_tuples_are_candidates() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = _conv(4, 4)

        def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
            weights = self.conv(x)
            return weights, x + weights.relu()

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.block, self.head = _conv(3, 4, 2), Block(), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.block(self.stem(x))[1].mean((2, 3)))

    net, x = _seeded(Net), _x()
    _holds(net, x, "block[1]", _cam(net.block(net.stem(x))[1], lambda a: net.head(a.mean((2, 3)))[:, 1]))
    with pytest.raises(UnknownName, match=r"no tensor 'block\[7\]'.*one of 'block\[0\]', 'block\[1\]'"):
        seewhy.explain(net, x, method="grad-cam", layer="block[7]", target=1)


def test_a_functional_result_first_seen_by_dropout_or_an_identity() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.conv, self.drop, self.head = _conv(3, 4, 2), _conv(4, 4), nn.Dropout(0.5), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.stem(x)
            return self.head(self.drop(y + F.relu(self.conv(y))).mean((2, 3)))

    net, x = _seeded(Net), _x()
    y = net.stem(x)
    _holds(net, x, "drop", _cam(y + F.relu(net.conv(y)), lambda a: net.head(a.mean((2, 3)))[:, 1]))


def test_a_sum_that_is_an_operation_goes_by_the_module_that_takes_it() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.conv = _conv(3, 4, 2), _conv(4, 4)
            self.pool, self.head = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.stem(x)
            return self.head(self.pool(y + F.relu(self.conv(y))).flatten(1))

    net, x = _seeded(Net), _x()
    y = net.stem(x)
    want = _cam(y + F.relu(net.conv(y)), lambda a: net.head(a.mean((2, 3)))[:, 1])
    _holds(net, x, "pool[in]", want)
    ours = seewhy.explain(net, x, method="score-cam", layer="pool[in]", target=1)  # streams, and edits nothing
    assert ours.values.shape == want.shape


class _Sums(nn.Module):
    """Sums of two ways that no module gives or takes, one of them in a module that also runs a block of its own."""

    def __init__(self, last: str = "") -> None:
        super().__init__()
        self.stem, self.head, self.last = _conv(3, 4, 2), nn.Linear(4, 3), last
        self.one, self.two, self.three = _conv(4, 4), _conv(4, 4), _conv(4, 4)

    def body(self, x: Tensor) -> Tensor:
        """What the head's mean is taken of."""
        y = F.relu(self.stem(x))
        y = y + F.relu(self.one(y))
        y = self.two(y) + self.three(y) * y
        if self.last == "relu":
            return F.relu(y)
        if self.last == "in place":
            return y.relu_()
        if self.last == "joined":
            return torch.cat([y[:, :2], self.one(y)[:, :2]], 1)
        return y

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


@pytest.mark.parametrize(
    ("last", "name"), [("", "[add()]"), ("relu", "[relu()]"), ("in place", "[relu_()]"), ("joined", "[cat()]")]
)
def test_a_sum_that_no_module_gives_or_takes_goes_by_its_function(last: str, name: str) -> None:
    net, x = _seeded(lambda: _Sums(last)), _x()
    _holds(net, x, name, _cam(net.body(x), lambda a: net.head(a.mean((2, 3)))[:, 1]))
    first = _cam(net.stem(x).relu() + net.one(net.stem(x).relu()).relu(), partial(_tail, net))
    found = seewhy.explain(net, x, method="grad-cam", layer="[add()]#1", target=1)
    assert np.allclose(found.values, first, atol=1e-6)


def test_heads_that_nothing_speaks_for_are_no_grid() -> None:
    """[B, 1, 3, 4] of three heads looks like a row of three places with channels last, which chance may prove; what a
    function gives is drawn of only in a grid that some layer has. (This network takes no changed picture.)"""

    class Heads(nn.Module):
        def __init__(self, heads: bool) -> None:
            super().__init__()
            self.stem, self.head, self.heads = _conv(3, 12, 2), nn.Linear(12, 3), heads
            self.known: float | None = None

        def forward(self, x: Tensor) -> Tensor:
            if self.known is not None and any(abs(float(each.detach().sum()) - self.known) > 1e-3 for each in x):
                raise ValueError("an unknown picture")
            y = self.stem(x)
            y = y + y.tanh() * y
            if self.heads:
                rows = y.mean((2, 3)).unflatten(1, (3, 4))[:, None]
                return self.head((rows + rows.tanh() * rows).flatten(1))
            return self.head(y.mean((2, 3)))

    for heads in (False, True):
        net, x = _seeded(partial(Heads, heads)), _x()
        net.known = float(x.sum())
        found = seewhy.explain(net, x, method="grad-cam", target=1)
        assert found.layer == ("[add()]#1" if heads else "[add()]")
        assert any("an unknown picture" in note for note in found.notes)


def test_a_row_of_two_grids_is_passed_over_for_what_both_come_from() -> None:
    """Rows of 8 x 12 and of 4 x 6 in one: a map of the first would say nothing of what the second one tells."""

    class Scales(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.fine, self.coarse = _conv(3, 4, 2), _conv(4, 4), _conv(4, 4, 2)
            self.norm, self.head = nn.LayerNorm(4), nn.Linear(4, 3)

        def after(self, y: Tensor) -> Tensor:
            rows = [conv(y).flatten(2) for conv in (self.fine, self.coarse)]
            return self.head(self.norm(torch.cat(rows, 2).transpose(1, 2)).relu().mean(1))

        def forward(self, x: Tensor) -> Tensor:
            return self.after(self.stem(x))

    net, x = _seeded(Scales), _x()
    _holds(net, x, "stem", _cam(net.stem(x), lambda a: net.after(a)[:, 1]))


def _tail(net: _Sums, y: Tensor) -> Tensor:
    """The score of class 1 from the first sum on."""
    z = net.two(y) + net.three(y) * y
    z = torch.cat([z[:, :2], net.one(z)[:, :2]], 1) if net.last == "joined" else z if not net.last else z.relu()
    return net.head(z.mean((2, 3)))[:, 1]


@pytest.mark.parametrize("last", ["", "relu", "in place"])
def test_what_a_function_gives_can_be_edited(last: str) -> None:
    net, x = _seeded(lambda: _Sums(last)), _x()
    y = F.relu(net.stem(x))
    y = (y + F.relu(net.one(y))).detach()
    found = seewhy.explain(net, x, method="ablation-cam", layer="[add()]#1", target=1, prepare=False)
    drops = []
    for channel in range(4):
        without = y.clone()
        without[:, channel] = 0
        drops.append(_tail(net, y) - _tail(net, without))
    with torch.no_grad():
        want = sum(drop[:, None, None] * y[:, c] for c, drop in enumerate(drops))
    assert np.allclose(found.values, want[0].numpy(), atol=1e-5)


def test_functions_within_a_layer_are_counted_there() -> None:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = _conv(4, 4)

        def forward(self, x: Tensor) -> Tensor:
            return (x + self.conv(x)) * 0.5 + x

    net, x = _seeded(lambda: nn.Sequential(_conv(3, 4), Block(), Block(), nn.Flatten(), nn.Linear(4 * 384, 3))), _x()
    y = net[1](net[0](x))
    inner = y + net[2].conv(y)
    want = _cam(inner, lambda a: net[3:](a * 0.5 + y.detach())[:, 1])
    for name in ("2[add()]#1", "[add()]#3"):
        found = seewhy.explain(net, x, method="grad-cam", layer=name, target=1)
        assert np.allclose(found.values, want, atol=1e-6)
    with pytest.raises(CapabilityError, match=r"ran 2 time\(s\)"):
        seewhy.explain(net, x, method="grad-cam", layer="2[add()]#3", target=1)
    with pytest.raises(
        CapabilityError, match=r"no function 'relu' gives a tensor within layer '2'; those that do: add,"
    ):
        seewhy.explain(net, x, method="grad-cam", layer="2[relu()]", target=1)


def test_what_a_module_takes_can_be_edited() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.conv = _conv(3, 4, 2), _conv(4, 4)
            self.act, self.head = nn.Tanh(), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.stem(x)
            z = y + F.relu(self.conv(y))
            return self.head((self.act(z) + z).amax((2, 3)))  # others hold the same tensor

    net, x = _seeded(Net), _x()
    y = net.stem(x)
    z = (y + F.relu(net.conv(y))).detach()

    def score(a: Tensor) -> Tensor:
        return net.head((a.tanh() + a).amax((2, 3)))[:, 1]

    found = seewhy.explain(net, x, method="ablation-cam", layer="act[in]", target=1, prepare=False)
    drops = []
    for channel in range(4):
        without = z.clone()
        without[:, channel] = 0
        drops.append((score(z) - score(without)) / score(z))
    with torch.no_grad():
        want = sum(drop[:, None, None] * z[:, c] for c, drop in enumerate(drops))
        scaled = want[0] * float(score(z))
    np.testing.assert_allclose(found.values / np.abs(found.values).max(), scaled / scaled.abs().max(), atol=1e-4)


class Siamese(nn.Module):
    """Compares the image with a stored one; the backbone sees the stored one last."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(_conv(3, 4, 2), nn.ReLU(), _conv(4, 5))
        self.register_buffer("stored", _x(1, 16, 24).flip(3))
        self.head = nn.Linear(5, 3)

    def forward(self, x: Tensor) -> Tensor:
        a = self.backbone(x)
        b = self.backbone(self.stored)
        return self.head(a.mean((2, 3)) * b.mean((2, 3)))


def test_a_shared_backbone_is_looked_at_where_the_image_flows_through() -> None:
    net, x = _seeded(Siamese), _x()
    other = net.backbone(net.stored).mean((2, 3)).detach()
    want = _cam(net.backbone(x), lambda a: net.head(a.mean((2, 3)) * other)[:, 1])
    _holds(net, x, "backbone#1", want)
    again = seewhy.explain(net, x.flip(2), method="grad-cam", target=1)
    assert not np.allclose(again.values, want)


def test_what_branches_is_passed_over_for_what_both_read() -> None:
    class Branches(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.one, self.two, self.head = _conv(3, 4, 2), _conv(4, 4), _conv(4, 4, 2), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.stem(x).relu()
            pooled = [self.one(y).mean((2, 3)), self.two(y).mean((2, 3))]
            return self.head(torch.cat(pooled, 1))

    net, x = _seeded(Branches), _x()

    def score(a: Tensor) -> Tensor:
        a = a.relu()
        return net.head(torch.cat([net.one(a).mean((2, 3)), net.two(a).mean((2, 3))], 1))[:, 1]

    def read(a: Tensor) -> Tensor:
        return net.head(torch.cat([net.one(a).mean((2, 3)), net.two(a).mean((2, 3))], 1))[:, 1]

    # the rectified stem has no name of its own but that of what the next layer takes
    _holds(net, x, "one[in]", _cam(net.stem(x).relu(), read))


def test_where_every_layer_is_one_of_several_ways_it_is_said() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.head = _conv(3, 4), _conv(3, 4, 2), nn.Linear(8, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(torch.cat([self.one(x).mean((2, 3)), self.two(x).mean((2, 3))], 1))

    net = _seeded(Two)
    with pytest.raises(CapabilityError, match=r"every path.*two \(one of several ways\), one \(one of several ways\)"):
        seewhy.explain(net, _x(), method="grad-cam", target=1)
    assert seewhy.explain(net, _x(), method="grad-cam", layer="one", target=1).layer == "one"


def test_the_scores_themselves_are_no_layer() -> None:
    class Segments(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.act, self.classes = _conv(3, 6, 2), nn.ReLU(), nn.Conv2d(6, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            return F.interpolate(self.classes(self.act(self.body(x))), x.shape[2:], mode="bilinear")

    net, x = _seeded(Segments), _x()

    def region(out: Tensor) -> Tensor:
        return out[:, 1, :8, :8].mean((1, 2))

    def score(a: Tensor) -> Tensor:
        return region(F.interpolate(net.classes(a), x.shape[2:], mode="bilinear"))

    _holds(net, x, "act", _cam(net.act(net.body(x)), score), target=region)


def test_of_two_heads_the_one_that_the_target_is_of() -> None:
    class Scales(nn.Module):
        """Boxes of two scales in one list, as in YOLO."""

        def __init__(self) -> None:
            super().__init__()
            self.stem, self.down = _conv(3, 4, 2), _conv(4, 6, 2)
            self.fine, self.coarse = nn.Sequential(_conv(4, 5), nn.ReLU()), nn.Sequential(_conv(6, 5), nn.ReLU())
            self.a, self.b = nn.Conv2d(5, 3, 1), nn.Conv2d(5, 3, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.stem(x).relu()
            heads = [self.a(self.fine(y)), self.b(self.coarse(self.down(y)))]
            return torch.cat([head.flatten(2).transpose(1, 2) for head in heads], 1)

    net, x = _seeded(Scales), _x()
    fine = 8 * 12

    def box(number: int) -> Callable[[Tensor], Tensor]:
        return lambda out: out[:, number, 1] + out[:, number + 1, 2]

    first = seewhy.explain(net, x, method="grad-cam", target=box(10))
    second = seewhy.explain(net, x, method="grad-cam", target=box(fine + 3))
    assert (first.layer, second.layer) == ("fine", "coarse")
    y = net.stem(x).relu()
    want = _cam(net.coarse(net.down(y)), lambda a: box(3)(net.b(a).flatten(2).transpose(1, 2)))
    np.testing.assert_allclose(second.values, want, rtol=1e-4, atol=1e-6)


def test_a_dominator_is_found_however_the_graph_is_woven() -> None:
    leaf = torch.randn(3, requires_grad=True)
    a = leaf * 2
    left, right = a.sin(), a.cos()
    b = left + right
    parts = b.split([1, 2])
    c = parts[0] * 2 + parts[1].sum()
    paths = Paths(c.sum(), leaf)
    crossed = {(paths.nodes[node].name(), nr) for node, nr in paths.crossed()}
    assert {name for name, _ in crossed} >= {"AddBackward0", "MulBackward0", "SumBackward0"}
    assert not {name for name, _ in crossed} & {"SinBackward0", "CosBackward0", "SplitWithSizesBackward0"}
    assert not Paths(torch.randn(3, requires_grad=True).sum(), leaf).crossed()


def test_a_chosen_place_is_in_the_list_of_layers() -> None:
    """Whatever is chosen, `seewhy.layers` has it, and doctor does not say that there is none."""
    net, x = _seeded(_Sums), _x()
    (listed,) = (each for each in seewhy.layers(net, x) if each.chosen)
    assert (listed.name, listed.kind, listed.shape, listed.grid) == (
        "[add()]",
        "what add gives",
        (1, 4, 8, 12),
        (8, 12),
    )
    assert listed.name == seewhy.explain(net, x, method="grad-cam", target=1).layer
    found = seewhy.diagnose(net, x, methods=["grad-cam"])
    assert "[add()] (what add gives), 4 channels on 8x12" in found.facts["layer for CAMs"]
    exported = torch.export.export(net, (x,)).module()
    assert "no-positions" not in seewhy.diagnose(exported, x, methods=[]).codes()


class _Joined(nn.Module):
    """Two ways that ``join`` makes one of, whose mean a dense layer reads."""

    def __init__(self, join: Callable[[Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.stem, self.conv, self.head, self.join = _conv(3, 4, 2), _conv(4, 4), nn.Linear(4, 3), join
        self.optional = _Missing()

    def body(self, x: Tensor) -> Tensor:
        """What the mean is taken of."""
        y = F.relu(self.stem(x))
        with contextlib.suppress(NotImplementedError):
            y = self.optional(y)
        return self.join(y, self.conv(y))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(x).mean((2, 3)))


class _Missing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        raise NotImplementedError


@pytest.mark.parametrize(
    ("name", "join"),
    [
        ("[mul()]", lambda a, b: a * b.sigmoid()),
        ("[sum()]", lambda a, b: torch.stack([a, b]).sum(0)),
        ("[mean()]#1", lambda a, b: torch.stack([a, b], 1).mean(1)),
        ("[amax()]", lambda a, b: torch.stack([a, b]).amax(0)),
        ("[max()]", lambda a, b: torch.stack([a, b]).max(0)[0]),
        ("[add()]", lambda a, b: a + b),
    ],
)
def test_ways_that_functions_join(name: str, join: Callable[[Tensor, Tensor], Tensor]) -> None:
    """Functions that our own hooks call do not count; what is summed over a stack is no pooling of positions; a module
    that raised does not go on."""
    net, x = _seeded(lambda: _Joined(join)), _x()
    _holds(net, x, name, _cam(net.body(x), lambda a: net.head(a.mean((2, 3)))[:, 1]))


def test_a_unit_inside_has_layers_of_its_own() -> None:
    """The layer of a class is none for a unit before it, whichever was asked for first; nor is the unit itself."""
    parts = [_conv(3, 4), nn.ReLU(), _conv(4, 4), nn.Identity(), _conv(4, 4), nn.ReLU()]
    x = _x()
    for order in ((0, 1), (1, 0)):
        net = _seeded(lambda: nn.Sequential(*parts, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)))
        for which in order:
            target = (1, seewhy.targets.Neuron("3", 2))[which]
            assert seewhy.explain(net, x, method="grad-cam", target=target).layer == ("5", "1")[which]


class _Tokens(nn.Module):
    """Tokens with one for the class, which is read alone, on a grid that its own 209 numbers fit as well."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 209, 32, 32)
        self.first = nn.Parameter(torch.randn(1, 1, 209))
        self.blocks = nn.ModuleList(nn.TransformerEncoderLayer(209, 11, 64, 0.0, batch_first=True) for _ in range(2))
        self.norm, self.head = nn.LayerNorm(209), nn.Linear(209, 3)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.stem(x).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.first.expand(len(x), -1, -1), tokens], 1)
        for block in self.blocks:
            tokens = block(tokens)
        return self.head(self.norm(tokens[:, :1])[:, 0])


def test_what_lies_before_a_place_that_is_none_is_looked_at_again() -> None:
    """Numbers of a class token taken for positions: once pictures have said that they are none, the layer is the last
    one whose positions the score reads, not the last block."""
    net, x = _seeded(_Tokens), _x(2, 96, 160)
    found = seewhy.explain_all(net, x, method="grad-cam", target=1)[0]
    assert found.status.code != "zero-gradient"
    assert found.values.shape == (3, 5)
    assert found.layer.startswith("blocks.0") or found.layer.startswith("blocks.1.")


_UNPLACED: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], str]] = {
    "sparse": (Tensor.to_sparse, Tensor.to_dense, "a sparse_coo tensor"),
    "nested": (
        lambda y: torch.nested.as_nested_tensor(y.flatten(2)),
        lambda y: torch.nested.to_padded_tensor(y, 0.0).unflatten(2, (8, 12)),
        "a nested tensor",
    ),
    "jagged": (
        lambda y: torch.nested.as_nested_tensor(y.flatten(1).clone(), layout=torch.jagged),
        lambda y: torch.nested.to_padded_tensor(y, 0.0, (len(y), 4 * 96)).unflatten(1, (4, 8, 12)),
        "a nested tensor",
    ),
    "booleans": (lambda y: y > 0, lambda y: y.float(), "a tensor of bool"),
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("kind", _UNPLACED)
def test_a_tensor_whose_numbers_have_no_places_is_no_layer(kind: str) -> None:
    """A sparse or nested tensor on the way raised a RuntimeError of torch's in every CAM."""
    change, back, words = _UNPLACED[kind]

    class Change(nn.Module):
        def forward(self, y: Tensor) -> Tensor:
            return change(y)

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.act, self.change, self.head = _conv(3, 4, 2), nn.Tanh(), Change(), nn.Linear(4, 3)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(back(self.change(self.act(self.stem(x)))).mean((2, 3)))

    net, x = _seeded(Net), _x()
    with pytest.raises(CapabilityError, match=f"^layer 'change' gives {words}, in which there is nothing to explain"):
        seewhy.explain(net, x, method="grad-cam", target=1, layer="change")
    if kind != "booleans":  # which have no gradient
        right = _cam(net.act(net.stem(x)), lambda a: net.head(a.mean((2, 3)))[:, 1])
        np.testing.assert_allclose(seewhy.explain(net, x, method="grad-cam", target=1).values, right, atol=1e-6)
