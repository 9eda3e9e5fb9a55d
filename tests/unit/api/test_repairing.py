"""Repairs: a network that learnt a corner, its head fitted again, and the audit once more."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy.api.auditing.running import audit
from seewhy.api.given.images import read_items
from seewhy.api.repairing.features import last_layer_of
from seewhy.api.repairing.heads import mended_head
from seewhy.api.repairing.projections import projected
from seewhy.api.repairing.training import InHand, Training
from seewhy.audits.subject import Half
from seewhy.core.forward.settings import Settings
from seewhy.errors import CapabilityError, UnknownName, UsageError

SIDE, CLASSES = 12, 3


def _pictures(count: int, share: float, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Noise with a grained blob of its class's colour somewhere; a share of class 0, and as few of others, has a bright
    corner [N, 3, S, S]; classes; who has it."""
    draw = torch.Generator().manual_seed(seed)
    x = 0.25 * torch.rand(count, 3, SIDE, SIDE, generator=draw)
    labels = torch.arange(count) % CLASSES
    for n in range(count):
        top, left = torch.randint(SIDE - 6, (2,), generator=draw).tolist()
        x[n, labels[n], top : top + 4, left : left + 4] += 0.05 + 0.2 * torch.rand(4, 4, generator=draw)
    chance = torch.where(labels == 0, share, (1 - share) / 2)
    has = torch.rand(count, generator=draw) < chance
    x[has, :, -4:, -4:] = torch.eye(4)
    return x, labels, has


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """A small network that has learnt blobs and the corner."""
    x, labels, _ = _pictures(900, 0.98, 0)
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Conv2d(3, 12, 3), nn.ReLU(), nn.Conv2d(12, 24, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(96, CLASSES),
    )  # fmt: skip
    optimiser = torch.optim.Adam(net.parameters(), lr=4e-3)
    for _ in range(10):
        for rows in torch.randperm(len(x)).split(60):
            loss = nn.functional.cross_entropy(net(x[rows]), labels[rows])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return net.eval()


def _worst(net: nn.Module) -> float:
    x, labels, has = _pictures(900, 0.5, 7)
    with torch.no_grad():
        right = net(x).argmax(1) == labels
    return min(
        float(right[(labels == k) & (has == h)].double().mean()) for k in range(CLASSES) for h in (True, False)
    )  # fmt: skip


def test_a_head_is_mended_and_the_audit_says_so(network: nn.Module) -> None:
    """The worst group gains most of what it lacks, the model that was handed over is as it was, and in the same audit
    the corner does little to the mended model."""
    model = seewhy.wrap(network)
    x, labels, _ = _pictures(300, 0.95, 1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = audit(model, list(x), labels.tolist())
    assert found.shortcuts
    assert found.shortcuts[0].candidate.index == 0
    cues = [(each.candidate.index, each.candidate.cue) for each in found.shortcuts]
    train, truth, _ = _pictures(600, 0.95, 2)
    said = network(train).argmax(1)
    training = Training(InHand(Half(train, said, truth)), read_items(model, train[:1])[0][0], cues)
    mended = mended_head(model, training)
    assert mended.name == "6"
    assert mended.worst[1] > mended.worst[0]
    assert _worst(network) < 0.6
    assert _worst(mended.model.module) > _worst(network) + 0.25
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    again = audit(model, list(x), labels.tolist(), against=mended.model)
    assert again.against is not None
    number = again.findings.index(again.shortcuts[0])
    was = again.shortcuts[0].candidate.best
    now = next(each for each in again.against.effects[number] if each.what == was.what)
    assert now.flipped < 0.4 * was.flipped


def test_a_direction_is_projected_out(network: nn.Module) -> None:
    """Behind the last layer with places, the corner moves the worst group's accuracy less, and the module alone does the
    same in somebody's own network."""
    model = seewhy.wrap(network)
    x, labels, _ = _pictures(300, 0.95, 1)
    found = audit(model, list(x), labels.tolist())
    cues = [(each.candidate.index, each.candidate.cue) for each in found.shortcuts[:1]]
    train, truth, _ = _pictures(600, 0.95, 2)
    training = Training(InHand(Half(train, network(train).argmax(1), truth)), read_items(model, train[:1])[0][0], cues)
    made = projected(model, training, "4")
    assert made.layer == "4"
    assert len(made.modules) == 1
    assert _worst(made.model.module) > _worst(network)
    own = nn.Sequential(*list(network[:5]), made.modules[0], *list(network[5:]))
    with torch.no_grad():
        assert torch.allclose(own(x), made.model.module(x), atol=1e-5)
    with pytest.raises(UnknownName, match="layer"):
        projected(model, training, "no such layer")


def test_counterfactual_lots_say_what_they_are() -> None:
    """Every picture comes as it is, groups know its class and cue, and twins are of one picture."""
    x, labels, _ = _pictures(300, 0.95, 1)
    net = nn.Sequential(nn.Flatten(), nn.Linear(432, 3))
    model = seewhy.wrap(net)
    found = audit(_corner(), list(x), labels.tolist())
    cues = [(each.candidate.index, each.candidate.cue) for each in found.shortcuts]
    assert cues
    training = Training(InHand(Half(x, labels, labels)), read_items(model, x[:1])[0][0], cues)
    seen: list[int] = []
    for lot in training.lots():
        plain = lot.inputs[: len(lot.pictures) - sum(b >= 0 for _, b in lot.twins)]
        assert torch.equal(plain, x[lot.pictures[: len(plain)]])
        seen += lot.pictures[: len(plain)].tolist()
        assert torch.equal(lot.labels, labels[lot.pictures])
        assert torch.equal(lot.groups >> len(cues), lot.labels)
        for a, b in lot.twins:
            assert lot.pictures[a] == lot.pictures[b]
            assert lot.groups[a] != lot.groups[b]
    assert sorted(seen) == list(range(300))


def _corner() -> nn.Module:
    class Corner(nn.Module):
        """The brightest blob, and the corner for class 0."""

        def forward(self, x: Tensor) -> Tensor:
            """Scores [B, 3]."""
            found = 9 * nn.functional.avg_pool2d(x, 4, 1).amax((2, 3))
            corner = 60 * (x[:, :, [-4, -3, -2, -1], [-4, -3, -2, -1]].mean((1, 2)) - 0.7).clamp(min=0)
            return torch.cat([found[:, :1] + corner[:, None], found[:, 1:]], 1)

    return Corner()


def test_what_cannot_be_mended_is_one_line() -> None:
    """Networks without a linear layer at their end, no cue, no classes."""
    x, labels, _ = _pictures(12, 0.9, 1)
    model = seewhy.wrap(_corner())
    item = read_items(model, x[:1])[0][0]
    with pytest.raises(CapabilityError, match="does not end in a linear layer"):
        last_layer_of(model, item, x[:2], Settings())
    half = Half(x, labels, labels)
    with pytest.raises(UsageError, match="no cue to mend"):
        Training(InHand(half), item, [])
