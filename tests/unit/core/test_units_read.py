"""Units inside a network as targets: which numbers of a layer a unit's are is proved on the running network, whatever was
asked before; compared with autograd on the tensor itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy.api.inside.visualisation import maximise
from seewhy.core.targets import LayerMean, Neuron
from seewhy.errors import CapabilityError

SIDE, WIDTH = 8, 8


class Last(nn.Module):
    """A dense layer over channels that come last, in a map that is square in every way: [B, 8, 8, 8]."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.unit, self.head = (
            nn.Conv2d(3, WIDTH, 2, 2),
            nn.Linear(WIDTH, WIDTH),
            nn.Linear(WIDTH, 5),
        )

    def inner(self, x: Tensor) -> Tensor:
        return self.unit(self.first(x).permute(0, 2, 3, 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.inner(x)).mean((1, 2)))


class Columns(Last):
    """Its places as a row of tokens, column by column, a class token before and two behind: [B, 67, 8]."""

    def inner(self, x: Tensor) -> Tensor:
        tokens = self.first(x).permute(0, 3, 2, 1).flatten(1, 2)
        more = torch.ones(len(x), 1, WIDTH)
        return self.unit(torch.cat([more, tokens, 2 * more, 3 * more], 1))

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.inner(x))[:, 1 : 1 + SIDE * SIDE].mean(1))


def _of_last(inner: Tensor, position: tuple[int, int] | None) -> Tensor:
    return inner[:, :, :, 3].mean() if position is None else inner[:, position[0], position[1], 3].sum()


def _of_columns(inner: Tensor, position: tuple[int, int] | None) -> Tensor:
    places = inner[:, 1 : 1 + SIDE * SIDE, 3].unflatten(1, (SIDE, SIDE))
    return places.mean() if position is None else places[:, position[1], position[0]].sum()


CASES: dict[str, tuple[type[Last], Callable[[Tensor, tuple[int, int] | None], Tensor]]] = {
    "channels last": (Last, _of_last),
    "tokens by column": (Columns, _of_columns),
}


def _picture() -> Tensor:
    return torch.randn(1, 3, 2 * SIDE, 2 * SIDE, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("position", [None, (1, 6)])
@pytest.mark.parametrize("case", CASES)
def test_a_unit_is_the_same_whatever_was_asked_before(case: str, position: tuple[int, int] | None) -> None:
    kind, of = CASES[case]
    net, x, target = kind().eval(), _picture(), Neuron("unit", 3, position)
    leaf = x.clone().requires_grad_()
    wanted = of(net.inner(leaf), position)
    gradient = torch.autograd.grad(wanted, leaf)[0][0].numpy()
    for before in (None, "unit"):
        if before is not None:
            seewhy.explain(net, x, target=1, layer=before)
        e = seewhy.explain(net, x, method="saliency", target=target, reduce="none")
        assert e.score == pytest.approx(float(wanted.detach()), rel=1e-5)
        assert e.values == pytest.approx(gradient, rel=1e-4, abs=1e-7)
        assert e.provenance["grid"]["unit"].startswith("proved")
    assert e.cost.checks == 0
    assert not e.notes


@pytest.mark.parametrize("case", CASES)
def test_scores_of_a_finished_picture_are_those_of_the_unit(case: str) -> None:
    kind, of = CASES[case]
    net = kind().eval()
    made = maximise(net, Neuron("unit", 3), size=2 * SIDE, steps=2)
    picture = torch.as_tensor(made.values)
    assert made.tiles[0].value == pytest.approx(float(of(net.inner(picture), None).detach()), rel=1e-4)


def test_a_stream_reads_the_unit_as_well() -> None:
    net, x = Last().eval(), _picture()
    e = seewhy.explain(net, x, method="occlusion", target=Neuron("unit", 3), window=4, stride=4)
    assert e.score == pytest.approx(float(_of_last(net.inner(x), None).detach()), rel=1e-5)


def test_the_mean_of_a_whole_layer_asks_no_picture() -> None:
    e = seewhy.explain(Last().eval(), _picture(), method="saliency", target=LayerMean("unit"))
    assert e.cost.checks == 0


class Mixed(Columns):
    """Tokens that are all the same mixture of places."""

    def inner(self, x: Tensor) -> Tensor:
        mean = self.first(x).mean((2, 3))[:, None].expand(-1, SIDE * SIDE + 3, -1)
        return self.unit(mean + torch.arange(SIDE * SIDE + 3.0)[:, None])


def test_units_of_tokens_that_are_no_places_are_refused() -> None:
    with pytest.raises(CapabilityError, match=r"a unit of layer 'unit': the grid .* is contradicted"):
        seewhy.explain(Mixed().eval(), _picture(), method="saliency", target=Neuron("unit", 3))
