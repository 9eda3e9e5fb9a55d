"""Linear layers of a model, and copies with other ones."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
from keras_networks import keras
from seewhy.errors import CapabilityError, UnknownName, UsageError
from seewhy.models.last_layer import linear_layers, with_weights


def test_a_layer_of_torch_is_replaced_in_a_copy() -> None:
    """The copy gives what the new weights give, and the model that was handed over what it gave before."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 3))
    model = seewhy.wrap(net)
    last = linear_layers(model)[0]
    assert (last.name, tuple(last.weight.shape)) == ("3", (3, 5))
    x = torch.rand(2, 3, 2, 2)
    before = net(x).detach().clone()
    weight, bias = torch.randn(3, 5), torch.randn(3)
    changed = with_weights(model, "3", weight, bias)
    hidden = net[:3](x)
    assert torch.allclose(changed.module(x), hidden @ weight.T + bias, atol=1e-6)
    assert torch.equal(net(x), before)
    last.weight.zero_()  # a copy
    assert torch.equal(net(x), before)


def test_a_layer_of_keras_is_replaced_in_a_copy() -> None:
    """Dense layers have their weights the other way round."""
    net = keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten(), keras.layers.Dense(3, name="top")])
    model = seewhy.wrap(net)
    (last,) = linear_layers(model)
    assert (last.name, tuple(last.weight.shape)) == ("top", (3, 48))
    x = np.random.default_rng(0).random((2, 4, 4, 3), dtype=np.float32)
    before = keras.ops.convert_to_numpy(net(x))
    weight = torch.randn(3, 48)
    changed = with_weights(model, "top", weight, torch.ones(3))
    made = linear_layers(changed)[0]
    assert torch.equal(made.weight, weight)
    assert torch.equal(made.bias, torch.ones(3))
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(net(x)), before)


def test_what_is_invalid_is_one_line() -> None:
    """Names, shapes, a bias where there is none, and functions."""
    model = seewhy.wrap(nn.Sequential(nn.Flatten(), nn.Linear(12, 3, bias=False)))
    with pytest.raises(UnknownName, match="linear layer"):
        with_weights(model, "0", torch.zeros(3, 12), torch.zeros(3))
    with pytest.raises(UsageError, match=r"which has \(3, 12\)"):
        with_weights(model, "1", torch.zeros(2, 12), torch.zeros(2))
    with pytest.raises(UsageError, match="no bias"):
        with_weights(model, "1", torch.zeros(3, 12), torch.ones(3))
    assert torch.equal(
        linear_layers(with_weights(model, "1", torch.ones(3, 12), torch.zeros(3)))[0].bias, torch.zeros(3)
    )

    def function(x: Tensor) -> Tensor:
        return x.mean((2, 3))

    assert linear_layers(seewhy.wrap(function)) == []
    with pytest.raises(CapabilityError, match="is a function"):
        with_weights(seewhy.wrap(function), "head", torch.zeros(3, 12), torch.zeros(3))
