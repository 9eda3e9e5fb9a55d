"""A model that has learnt nothing: the same numbers in other places, and the one that was handed over as it was."""

from __future__ import annotations

import copy
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations, spectral_norm

import seewhy
from exports import save_onnx
from keras_networks import keras
from seewhy.errors import CapabilityError, UsageError
from seewhy.models.redrawn import redrawn


class Tied(nn.Module):
    """A norm with statistics, and two layers of which one weight is the other's."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4)
        self.second, self.third = nn.Linear(4, 4), nn.Linear(4, 4)
        self.third.weight = self.second.weight
        self.norm.running_mean += torch.arange(4.0)  # type: ignore[operator]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.third(self.second(self.norm(self.first(x)).relu().mean((2, 3))))
        return y


def _state(net: nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in net.state_dict().items()}


def test_numbers_are_the_same_in_another_order_and_nothing_else_changes() -> None:
    net = Tied().train()
    before, drawn, python = _state(net), torch.get_rng_state(), random.getstate()
    model = seewhy.wrap(net, labels=list("abcd"))
    other = redrawn(model, 3)
    assert other.labels == model.labels
    assert other.fingerprint() != model.fingerprint()
    for name, value in other.module.named_parameters():
        assert torch.equal(value.flatten().sort()[0], before[name].flatten().sort()[0])
        if value.ndim > 1:  # of four numbers one order of 24 is their own
            assert not torch.equal(value, before[name])
    for name, value in other.module.named_buffers():
        assert torch.equal(value, before[name])
    assert other.module.third.weight is other.module.second.weight
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert net.training
    assert torch.equal(torch.get_rng_state(), drawn)
    assert random.getstate() == python
    x = torch.rand(2, 3, 5, 5)
    assert not torch.allclose(other.module.eval()(x), copy.deepcopy(net).eval()(x))


def test_the_order_hangs_on_the_seed_and_the_place_alone() -> None:
    net = Tied()
    alike, longer = redrawn(seewhy.wrap(net), 1).module, nn.ModuleDict({"first": net.first})
    part = redrawn(seewhy.wrap(longer), 1).module
    assert torch.equal(part.first.weight, alike.first.weight)
    assert not torch.equal(redrawn(seewhy.wrap(net), 2).module.first.weight, alike.first.weight)


def test_two_parameters_of_one_piece_of_memory_stay_one() -> None:
    net = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6))
    net[1].weight = nn.Parameter(net[0].weight.detach())
    assert net[1].weight is not net[0].weight
    other = redrawn(seewhy.wrap(net)).module
    assert torch.equal(other[0].weight, other[1].weight)
    assert other[0].weight.data_ptr() == other[1].weight.data_ptr()
    flat = torch.rand(50)
    net[0].weight, net[0].bias = nn.Parameter(flat[:36].view(6, 6)), nn.Parameter(flat[36:42])
    redrawn(seewhy.wrap(net))  # beside each other, as flat buffers have them
    net[0].weight, net[1].weight = nn.Parameter(flat[:36].view(6, 6)), nn.Parameter(flat[10:46].view(6, 6))
    with pytest.raises(CapabilityError, match=r"'0.weight' and '1.weight' overlap in memory"):
        redrawn(seewhy.wrap(net))


def test_inputs_that_are_held_stay_and_nothing_is_remembered_for_both() -> None:
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 2)

        def forward(self, x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.layer(x.mean((2, 3))) * factor
            return y

    model = seewhy.wrap(Two(), inputs={"factor": torch.full((1, 1), 2.0)})
    other = redrawn(model)
    assert other.inputs is not model.inputs
    assert other.inputs is not None
    assert list(other.inputs.held) == ["factor"]
    assert other.network().key is not model.network().key
    assert seewhy.explain(other, torch.rand(1, 3, 4, 4), "saliency", target=0).values.shape == (4, 4)


def _spectral() -> nn.Module:
    return nn.Sequential(nn.Flatten(), spectral_norm(nn.Linear(12, 2)))


def _parametrised() -> nn.Module:
    return nn.Sequential(nn.Flatten(), parametrizations.weight_norm(nn.Linear(12, 2)))


def _constant() -> nn.Module:
    net = nn.Linear(3, 2)
    nn.init.ones_(net.weight)
    nn.init.zeros_(net.bias)
    return net


def _whole_numbers() -> nn.Module:
    net = nn.Linear(3, 2)
    net.scale = nn.Parameter(torch.ones(3, dtype=torch.int8), requires_grad=False)
    return net


class _Stubborn(nn.Linear):
    def __deepcopy__(self, memo: dict[int, Any]) -> nn.Module:
        raise TypeError("one of a kind")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: lambda x: x.sum((1, 2, 3)), "is a function"),
        (_spectral, "computed from others"), (_parametrised, "computed from others"),
        (_constant, "no parameters with different numbers"), (nn.Flatten, "no parameters with different numbers"),
        (_whole_numbers, "parameter 'scale' .torch.int8. is quantised"),
        (lambda: nn.Linear(3, 2, device="meta"), "on no device"), (lambda: nn.LazyLinear(2), "no values yet"),
        (lambda: _Stubborn(3, 2), "cannot be copied.*one of a kind"),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_anew_is_one_line(make: Any, words: str) -> None:
    with pytest.raises(CapabilityError, match=words):
        redrawn(seewhy.wrap(make()))


def test_a_seed_is_a_whole_number() -> None:
    with pytest.raises(UsageError, match=r"seed=0\.5"):
        redrawn(seewhy.wrap(nn.Linear(3, 2)), 0.5)  # type: ignore[arg-type]


def test_a_function_that_calls_a_network_is_a_function() -> None:
    net = nn.Linear(4, 2)
    model = seewhy.wrap(lambda x: net(x), differentiable=True)
    with pytest.raises(CapabilityError, match="is a function"):
        redrawn(model)


@pytest.mark.filterwarnings("ignore:.*torch.jit.*:FutureWarning")
def test_scripted_networks_are_drawn_anew_too() -> None:
    net = torch.jit.script(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2)).eval())
    x = torch.rand(1, 3, 4, 4)
    before = net(x)
    other = redrawn(seewhy.wrap(net))
    assert not torch.allclose(other.module(x), before)
    assert torch.equal(net(x), before)


def test_a_keras_model_is_copied_and_its_statistics_are_kept() -> None:

    layers = keras.layers
    built = keras.Sequential(
        [keras.Input((6, 6, 3)), layers.Conv2D(4, 3, name="c"), layers.BatchNormalization(name="n"), layers.Flatten(),
         layers.Dense(3)]
    )  # fmt: skip
    built.get_layer("n").moving_mean.assign(np.arange(4.0))
    built.trainable = False  # what is frozen was learnt as well
    before = [np.array(value) for value in built.get_weights()]
    python = random.getstate()
    model = seewhy.wrap(built)
    other = redrawn(model, 1)
    assert random.getstate() == python
    assert all(np.array_equal(a, b) for a, b in zip(before, built.get_weights(), strict=True))
    assert not built.trainable
    theirs = other.held
    assert not np.array_equal(theirs.get_layer("c").kernel.numpy(), before[0])
    assert np.array_equal(np.sort(theirs.get_layer("c").kernel.numpy().ravel()), np.sort(before[0].ravel()))
    assert theirs.get_layer("n").moving_mean.numpy().tolist() == [0, 1, 2, 3]
    x = torch.rand(1, 6, 6, 3)
    maps = [seewhy.explain(each, x, "saliency", target=1).values for each in (model, other)]
    assert not np.allclose(*maps)


def test_an_onnx_file_s_scores_are_the_redrawn_network_s(tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2)).eval()
    path = save_onnx(net, tmp_path / "net.onnx", 8, legacy=True)
    model = seewhy.load(f"onnx:{path}")
    other = redrawn(model)
    x = torch.rand(1, 3, 8, 8)
    scores = [seewhy.explain(each, x, "saliency", target=0).score for each in (model, other)]
    assert scores[0] == pytest.approx(float(net(x)[0, 0].detach()), rel=1e-4)
    assert scores[1] != pytest.approx(scores[0], rel=1e-2)
    assert scores[1] == pytest.approx(float(other.module(x)[0, 0].detach()), rel=1e-4)
