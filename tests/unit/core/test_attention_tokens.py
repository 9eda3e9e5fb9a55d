"""Which tokens attention reads: their order, and which of them are places of the picture, is proved on the running
network; maps are those of rollout by hand, or of the same network with its tokens as usual."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy.errors import CapabilityError

HEIGHT, WIDTH, PATCH, DIM = 6, 8, 8, 16
PATCHES = HEIGHT * WIDTH

ORDERS = {
    "rows": torch.arange(PATCHES),
    "columns": torch.arange(PATCHES).reshape(HEIGHT, WIDTH).T.flatten(),
    "windows": torch.arange(PATCHES).reshape(HEIGHT // 2, 2, WIDTH // 2, 2).permute(0, 2, 1, 3).flatten(),
    "shuffled": torch.randperm(PATCHES, generator=torch.Generator().manual_seed(5)),
}


class Mixing(nn.Module):
    """Attention of two heads, with an explicit softmax or torch's own module; ``weights`` are what it did last."""

    def __init__(self, explicit: bool, sharp: float = 4.0) -> None:
        super().__init__()
        self.explicit, self.all = explicit, nn.MultiheadAttention(DIM, 2, batch_first=True)
        self.all.in_proj_weight.data *= sharp
        self.weights = torch.zeros(0)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            (x @ w.T + b).unflatten(2, (2, -1)).transpose(1, 2)
            for w, b in zip(self.all.in_proj_weight.chunk(3), self.all.in_proj_bias.chunk(3), strict=True)
        )
        logits = q @ k.transpose(2, 3) / (DIM // 2) ** 0.5
        if not self.explicit:
            self.weights = (logits.exp() / logits.exp().sum(3, keepdim=True)).detach()
            return self.all(x, x, x, need_weights=False)[0]
        weights = logits.softmax(3)
        self.weights = weights.detach()
        return self.all.out_proj((weights @ v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, explicit: bool, sharp: float = 4.0) -> None:
        super().__init__()
        self.norm, self.mix, self.after = nn.LayerNorm(DIM), Mixing(explicit, sharp), nn.Linear(DIM, DIM)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.mix(self.norm(x))
        return x + torch.relu(self.after(x))


class Seeing(nn.Module):
    """Three blocks over 6 x 8 patches in some order, ``front`` registers before and ``behind`` after them; the mean of
    the patches is read out, or the token ``read``; ``between`` rearranges tokens before the last block."""

    def __init__(
        self,
        order: str = "rows",
        front: int = 0,
        behind: int = 0,
        read: int | None = None,
        explicit: bool = False,
        between: Callable[[Tensor], Tensor] | None = None,
        sharp: float = 4.0,
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.order, self.front, self.read, self.between = ORDERS[order], front, read, between
        self.cut = nn.Conv2d(3, DIM, PATCH, PATCH)
        self.where = nn.Parameter(torch.randn(1, PATCHES, DIM))
        self.blocks = nn.ModuleList(Block(explicit, sharp) for _ in range(3))
        self.head = nn.Linear(DIM, 4)
        self.more = nn.Parameter(torch.randn(1, front + behind, DIM))

    def forward(self, x: Tensor) -> Tensor:
        patches = (self.cut(x).flatten(2).transpose(1, 2) + self.where)[:, self.order]
        more = self.more.expand(len(x), -1, -1)
        x = torch.cat([more[:, : self.front], patches, more[:, self.front :]], 1)
        for number, block in enumerate(self.blocks):
            x = block(x if number < 2 or self.between is None else self.between(x))
        mean = x[:, self.front : self.front + PATCHES].mean(1)
        return self.head(mean if self.read is None else x[:, self.read])


def _picture(count: int = 1) -> Tensor:
    size = (count, 3, HEIGHT * PATCH, WIDTH * PATCH)
    return torch.randn(size, generator=torch.Generator().manual_seed(1))


def _rollout(net: Seeing, x: Tensor) -> np.ndarray:
    """Abnar and Zuidema's product of the weights that the blocks noted, at the places that the network was built
    with."""
    net(x)
    total = torch.eye(net.blocks[0].mix.weights.shape[-1])
    for block in net.blocks:
        total = (block.mix.weights.mean(1) + torch.eye(total.shape[-1])) / 2 @ total
    patches = slice(net.front, net.front + PATCHES)
    row = total[:, patches].mean(1) if net.read is None else total[:, net.read]
    placed = torch.zeros(len(x), PATCHES)
    placed[:, net.order] = row[:, patches]
    return placed.reshape(-1, HEIGHT, WIDTH).numpy()


@pytest.mark.parametrize("explicit", [False, True])
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize(("front", "behind", "read"), [(0, 0, None), (0, 4, None), (1, 4, 0), (5, 0, 0), (0, 3, -1)])
def test_rollout_reads_the_tokens_that_are_patches_in_their_order(
    order: str, front: int, behind: int, read: int | None, explicit: bool
) -> None:
    net, x = Seeing(order, front, behind, read, explicit).eval(), _picture(2)
    found = seewhy.explain_all(net, x, method="attention-rollout", target=1)
    for e, wanted in zip(found, _rollout(net, x), strict=True):
        assert e.values == pytest.approx(wanted, abs=1e-6)
        assert e.provenance["grid"] == {"<attention>": "proved" if order == "rows" else "proved, put in order"}
        assert not e.notes


@pytest.mark.parametrize("method", ["gradient-attention", "le-grad"])
@pytest.mark.parametrize("order", ["rows", "columns"])
def test_registers_behind_the_patches_are_no_places(method: str, order: str) -> None:
    # attention knows no order: both are the same function, and the first one's tokens are as everybody's
    usual, other = Seeing(front=4).eval(), Seeing(order, behind=4).eval()
    other.load_state_dict(usual.state_dict())
    x = _picture()
    assert torch.allclose(usual(x), other(x), atol=1e-4)
    wanted = seewhy.explain(usual, x, method=method, target=1).values
    assert seewhy.explain(other, x, method=method, target=1).values == pytest.approx(wanted, rel=1e-3, abs=1e-6)


def test_tokens_are_asked_once_for_a_model_and_size() -> None:
    net, x = Seeing("columns", behind=4).eval(), _picture()
    first = seewhy.explain(net, x, method="attention-rollout", target=1)
    again = seewhy.explain_all(net, x, method=["gradient-attention", "attention-rollout"], target=2)
    assert first.cost.checks > 13
    assert [e.cost.checks for e in again] == [0, 0]
    assert again[1].provenance["grid"] == first.provenance["grid"]


def _turned(x: Tensor) -> Tensor:
    return x.flip(1)


def _first_last(x: Tensor) -> Tensor:
    return x.roll(-1, 1)


@pytest.mark.parametrize("between", [_turned, _first_last])
@pytest.mark.parametrize("method", ["attention-rollout", "gradient-attention", "le-grad"])
def test_tokens_in_another_order_from_some_block_on_are_refused(
    method: str, between: Callable[[Tensor], Tensor]
) -> None:
    net = Seeing(front=1, read=0, between=between, sharp=1).eval()
    with pytest.raises(CapabilityError, match="attention 3 of 3 reads the tokens in another order"):
        seewhy.explain(net, _picture(), method=method, target=1)


def test_tokens_mixed_and_turned_are_undecided() -> None:
    net = Seeing(front=1, read=0, between=_turned).eval()
    e = seewhy.explain(net, _picture(), method="attention-rollout", target=1)
    assert e.provenance["grid"] == {"<attention>": "undecided"}
    assert any("tokens of attention 3 do not answer to the same places" in note for note in e.notes)


class Summed(nn.Module):
    """Tokens that are one and the same mixture of all patches, but for where they are."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cut, self.where = nn.Conv2d(3, DIM, PATCH, PATCH), nn.Parameter(torch.randn(1, PATCHES, DIM))
        self.block, self.head = Block(False), nn.Linear(DIM, 4)

    def forward(self, x: Tensor) -> Tensor:
        patches = self.cut(x).flatten(2).mean(2)[:, None] + self.where
        return self.head(self.block(patches).mean(1))


def test_tokens_that_are_no_places_of_the_picture_are_refused() -> None:
    with pytest.raises(CapabilityError, match="grid 6x8 of the tokens that attention reads is contradicted"):
        seewhy.explain(Summed().eval(), _picture(), method="attention-rollout", target=1)


def test_a_network_that_takes_no_changed_picture_is_undecided_and_says_so() -> None:
    x = _picture()

    class Choosy(Seeing):
        def forward(self, given: Tensor) -> Tensor:
            if not torch.equal(given, x):
                raise ValueError("not this one")
            return super().forward(given)

    e = seewhy.explain(Choosy().eval(), x, method="attention-rollout", target=1, prepare=False)
    assert e.provenance["grid"] == {"<attention>": "undecided"}
    assert any("the tokens that attention reads is undecided: it takes no changed pictures" in note for note in e.notes)


@pytest.mark.parametrize(("order", "front", "behind"), [("columns", 1, 4), ("columns", 0, 4), ("shuffled", 0, 5)])
def test_a_layer_named_by_hand_is_read_as_the_one_chosen(order: str, front: int, behind: int) -> None:
    x = _picture()
    chosen = seewhy.explain(Seeing(order, front, behind).eval(), x, target=1)
    named = seewhy.explain(Seeing(order, front, behind).eval(), x, target=1, layer=chosen.layer)
    assert named.provenance["grid"] == chosen.provenance["grid"] == {chosen.layer: "proved, put in order"}
    assert named.values == pytest.approx(chosen.values, rel=1e-5, abs=1e-7)
