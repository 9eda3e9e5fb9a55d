"""What mends: heads, projections and penalties against what is worked out by hand, in double precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from seewhy.audits.mending.counterfactual import carriers, counterfactuals
from seewhy.audits.mending.head import Head, balance, refitted
from seewhy.audits.mending.penalty import evidence_penalty
from seewhy.audits.mending.projection import Projection, direction
from seewhy.audits.places import Place
from seewhy.audits.regions import Window
from seewhy.audits.subject import Half
from seewhy.audits.templates import fine, template
from seewhy.errors import UsageError


def _spurious(count: int, share: float, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    """Features of which the first says a little of the class, the second is a cue that goes with class 1 in a share of
    pictures; classes; who has the cue."""
    draw = torch.Generator().manual_seed(seed)
    labels = torch.arange(count) % 2
    has = torch.where(
        labels == 1, torch.rand(count, generator=draw) < share, torch.rand(count, generator=draw) > share
    )  # fmt: skip
    core = (2 * labels - 1).float() + torch.randn(count, generator=draw)
    cue = 4 * has.float() + 0.2 * torch.randn(count, generator=draw)
    rest = torch.randn(count, 3, generator=draw)
    return torch.cat([core[:, None], cue[:, None], rest], 1), labels, has


def _worst(head: Head, share: float = 0.5) -> float:
    features, labels, has = _spurious(4000, share, seed=9)
    right = head(features).argmax(1) == labels
    return min(float(right[(labels == k) & (has == h)].double().mean()) for k in (0, 1) for h in (True, False))


def _shortcut() -> Head:
    features, labels, _ = _spurious(2000, 0.95)
    return refitted(Head(torch.zeros(2, 5), torch.zeros(2)), features, labels)


def test_balanced_groups_mend_a_head() -> None:
    """A head that reads the cue does worse than chance where it misleads; fitted to balanced groups, it does not."""
    head = _shortcut()
    assert _worst(head) < 0.45
    features, labels, has = _spurious(2000, 0.95, seed=1)
    mended = refitted(head, features, labels, balance(2 * labels + has))
    assert _worst(mended) > 0.75
    # what the core feature alone can do
    assert abs(_worst(mended) - 0.84) < 0.08


def test_pairs_mend_a_head_where_no_group_is_known() -> None:
    """Pictures with and without the cue have the same scores then."""
    head = _shortcut()
    features, labels, _ = _spurious(2000, 0.95, seed=1)
    without = features.clone()
    without[:, 1] -= 4
    mended = refitted(head, features, labels, pairs=(features, without), alike=100.0)
    apart = (mended(features) - mended(without)).abs().max()
    assert float(apart) < 0.05 * float((head(features) - head(without)).abs().max())
    assert _worst(mended) > 0.75


def test_a_head_that_is_held_stays() -> None:
    """A fit is the minimum of what it says that it minimises, and held tightly it does not move."""
    head = _shortcut()
    features, labels, _ = _spurious(400, 0.9, seed=2)
    assert torch.allclose(refitted(head, features, labels, stay=1e9).weight, head.weight, atol=1e-5)
    made = refitted(head, features, labels, stay=0.1)
    scale = features.double().std(0)
    weight = made.weight.double().requires_grad_()
    bias = made.bias.double().requires_grad_()
    scores = features.double() @ weight.T + bias
    moved = ((weight - head.weight.double()) * scale).square().sum() + (bias - head.bias.double()).square().sum()
    loss = nn.functional.cross_entropy(scores, labels) + 0.05 * moved
    gradients = torch.autograd.grad(loss, [weight, bias])
    assert max(float((each / (scale if each.ndim == 2 else 1)).abs().max()) for each in gradients) < 1e-5


def test_groups_count_alike() -> None:
    """The weights of each group have one sum."""
    groups = torch.tensor([3, 3, 3, 3, 7, 1, 1])
    weights = balance(groups)
    sums = [float(weights[groups == g].sum()) for g in (1, 3, 7)]
    assert sums == pytest.approx([7 / 3] * 3)


def test_what_is_projected_out_is_gone_and_nothing_else() -> None:
    """Along the direction all activations have the level of those without the cue; across it they are as they were."""
    draw = torch.Generator().manual_seed(0)
    v = torch.randn(6, generator=draw)
    without = torch.randn(40, 6, 5, 4, generator=draw)
    with_it = without + 3 * v[None, :, None, None]
    along, level = direction(with_it, without)
    assert torch.allclose(along, v / v.norm(), atol=1e-6)
    assert float(level) == pytest.approx(float((without.mean((2, 3)) @ along).mean()), abs=1e-5)
    plain = Projection(along, level)
    assert torch.allclose(plain(with_it), plain(without), atol=1e-5)
    across = torch.eye(6) - along[:, None] * along
    assert torch.allclose(
        torch.einsum("cd,ndhw->nchw", across, plain(with_it)), torch.einsum("cd,ndhw->nchw", across, with_it), atol=1e-5
    )
    tokens = with_it.flatten(2).transpose(1, 2)
    assert torch.allclose(Projection(along, level, axis=-1)(tokens), plain(with_it).flatten(2).transpose(1, 2))


def test_a_layer_that_does_not_see_the_cue_is_said_to() -> None:
    """There is no direction between activations that are the same."""
    same = torch.randn(4, 3, 2, 2)
    with pytest.raises(UsageError, match="does not see it"):
        direction(same, same)
    with pytest.raises(UsageError, match="give pairs"):
        direction(same, same[:2])


def test_the_penalty_by_hand() -> None:
    """The squared gradient of the sum of log-probabilities, by finite differences, where the mask is 1."""
    draw = torch.Generator().manual_seed(0)
    net = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 3)).double()
    x = torch.randn(2, 2, 4, 4, generator=draw, dtype=torch.float64)
    masks = (torch.rand(2, 4, 4, generator=draw) < 0.5).double()
    leaf = x.clone().requires_grad_()
    found = evidence_penalty(net(leaf), leaf, masks)
    total, step = 0.0, 1e-6
    for place in torch.nonzero(masks).tolist():
        for channel in range(2):
            b, row, column = place
            up, down = x[b : b + 1].clone(), x[b : b + 1].clone()
            up[0, channel, row, column] += step
            down[0, channel, row, column] -= step
            rise = (net(up).log_softmax(1).sum() - net(down).log_softmax(1).sum()) / (2 * step)
            total += float(rise.detach()) ** 2 / 2
    assert float(found.detach()) == pytest.approx(total, rel=1e-5)
    found.backward()
    assert net[0].weight.grad.abs().sum() > 0


def test_training_with_the_penalty_leaves_the_cue() -> None:
    """A linear network that may use either of two places learns the other one where one is penalised."""
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(256, 1, 1, 2, generator=draw)
    y = (x[:, 0, 0, 0] > 0).long()
    x[:, 0, 0, 1] = 2 * (2 * y - 1)
    cue = torch.tensor([[0.0, 1.0]]).expand(256, 1, 2)
    shares = []
    for strength in (0.0, 1.0):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
        optimiser = torch.optim.Adam(net.parameters(), lr=0.05)
        for _ in range(150):
            leaf = x.clone().requires_grad_()
            scores = net(leaf)
            loss = nn.functional.cross_entropy(scores, y) + strength * evidence_penalty(scores, leaf, cue)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        weight = (net[1].weight[1] - net[1].weight[0]).detach().abs()
        shares.append(float(weight[1] / weight.sum()))
    assert shares[0] > 0.4
    assert shares[1] < 0.1


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: evidence_penalty(torch.zeros(1, 2), torch.zeros(1, 1, 2, 2), torch.zeros(1, 2, 2)), "requires_grad_"),
        (
            lambda: evidence_penalty(torch.zeros(1, 2), torch.zeros(1, 1, 2, 2, requires_grad=True), torch.zeros(2, 2)),
            "one .H, W. for each",
        ),
        (lambda: refitted(Head(torch.zeros(2, 3), torch.zeros(2)), torch.zeros(4, 2), torch.zeros(4)), r"\[N, D\]"),
        (
            lambda: refitted(Head(torch.zeros(2, 1), torch.zeros(2)), torch.full((4, 1), torch.nan), torch.zeros(4)),
            "no numbers",
        ),
    ],
)
def test_what_is_invalid_is_one_line(call: object, said: str) -> None:
    """What was given, and what fits."""
    assert callable(call)
    with pytest.raises(UsageError, match=said):
        call()


def _half(count: int, cue: float, seed: int) -> Half:
    """Noise, of which a share has a bright corner."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.rand(count, 3, 12, 12, generator=draw)
    has = torch.arange(count) < cue * count
    x[has, :, :4, :4] = torch.eye(4)
    return Half(x, torch.zeros(count), torch.zeros(count))


def test_counterfactual_pictures_make_a_cue_say_nothing() -> None:
    """Those that had it have what others have there, others have it, everything else is as it was, and classes keep
    their proportions."""
    own, others = _half(40, 0.75, 0), _half(100, 0.0, 1)
    mask = Window(0, 0, 4, 4).mask((12, 12))
    cue = Place(Window(0, 0, 4, 4), (12, 12), template(fine(own.inputs), mask))
    assert carriers(cue, own, others)[0].tolist() == list(range(30))
    made = counterfactuals([cue], own, others, torch.Generator().manual_seed(2))
    assert made.removed_rows.tolist() == list(range(30))
    assert len(made.pasted_rows) == 75
    assert made.removed_rows.unique().numel() == 30
    assert made.pasted_rows.unique().numel() == 75
    pattern = torch.eye(4).expand(3, 4, 4)
    assert torch.equal(made.pasted[:, :, :4, :4], pattern.expand(75, 3, 4, 4))
    assert not (made.removed[:, :, :4, :4] == pattern).flatten(1).all(1).any()
    for edited, plain in ((made.removed, own.inputs[:30]), (made.pasted, others.inputs[made.pasted_rows])):
        assert torch.equal(edited * (1 - mask), plain * (1 - mask))
    with pytest.raises(UsageError, match="nothing to remove"):
        counterfactuals([cue], _half(40, 0.0, 3).picked(torch.arange(1)), _half(40, 1.0, 4), torch.Generator())
