"""Repairs: a network that learnt a corner, its head fitted again, and the audit once more."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

import cornered
import seewhy
from cornered import pictures, worst
from seewhy.api.auditing.running import audit
from seewhy.api.given.images import read_items
from seewhy.api.repairing.features import last_layer_of
from seewhy.api.repairing.heads import mended_head
from seewhy.api.repairing.projections import projected
from seewhy.api.repairing.training import InHand, Training
from seewhy.audits.subject import Half
from seewhy.core.forward.settings import Settings
from seewhy.errors import CapabilityError, UnknownName, UsageError


@pytest.fixture(scope="module")
def network() -> nn.Module:
    """A small network that has learnt blobs and the corner."""
    return cornered.network()


def test_a_head_is_mended_and_the_audit_says_so(network: nn.Module) -> None:
    """The worst group gains most of what it lacks, the model that was handed over is as it was, and in the same audit
    the corner does little to the mended model."""
    model = seewhy.wrap(network)
    x, labels, _ = pictures(300, 0.95, 1)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = audit(model, list(x), labels.tolist())
    assert found.shortcuts
    assert found.shortcuts[0].candidate.index == 0
    cues = [(each.candidate.index, each.candidate.cue) for each in found.shortcuts]
    train, truth, _ = pictures(600, 0.95, 2)
    said = network(train).argmax(1)
    training = Training(InHand(Half(train, said, truth)), read_items(model, train[:1])[0][0], cues)
    mended = mended_head(model, training)
    assert mended.name == "6"
    assert mended.worst[1] > mended.worst[0]
    assert worst(network) < 0.6
    assert worst(mended.model.module) > worst(network) + 0.25
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
    x, labels, _ = pictures(300, 0.95, 1)
    found = audit(model, list(x), labels.tolist())
    cues = [(each.candidate.index, each.candidate.cue) for each in found.shortcuts[:1]]
    train, truth, _ = pictures(600, 0.95, 2)
    training = Training(InHand(Half(train, network(train).argmax(1), truth)), read_items(model, train[:1])[0][0], cues)
    made = projected(model, training, "4")
    assert made.layer == "4"
    assert len(made.modules) == 1
    assert worst(made.model.module) > worst(network)
    own = nn.Sequential(*list(network[:5]), made.modules[0], *list(network[5:]))
    with torch.no_grad():
        assert torch.allclose(own(x), made.model.module(x), atol=1e-5)
    with pytest.raises(UnknownName, match="layer"):
        projected(model, training, "no such layer")


def test_counterfactual_lots_say_what_they_are() -> None:
    """Every picture comes as it is, groups know its class and cue, and twins are of one picture."""
    x, labels, _ = pictures(300, 0.95, 1)
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
    x, labels, _ = pictures(12, 0.9, 1)
    model = seewhy.wrap(_corner())
    item = read_items(model, x[:1])[0][0]
    with pytest.raises(CapabilityError, match="does not end in a linear layer"):
        last_layer_of(model, item, x[:2], Settings())
    half = Half(x, labels, labels)
    with pytest.raises(UsageError, match="no cue to mend"):
        Training(InHand(half), item, [])
