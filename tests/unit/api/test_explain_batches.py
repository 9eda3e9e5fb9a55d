"""Batches of data sets: the images in what a loader gives, explained batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import seewhy
from seewhy.errors import UsageError


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


X = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(1))
Y = torch.arange(5)


def shapes(batches: Iterator[Any]) -> list[int]:
    return [len(maps) for maps in batches]


@pytest.mark.parametrize(
    "batches",
    [
        DataLoader(TensorDataset(X, Y), batch_size=2),
        DataLoader(TensorDataset(X), batch_size=2),
        [X[:2], X[2:4], X[4:]],
        [{"image": X[:2], "label": Y[:2]}, {"pixel_values": X[2:4]}, {"x": X[4:]}],
        [(X[:2], Y[:2], "names"), (X[2:4],), (X[4:], Y[4:])],
        [list(X[:2]), list(X[2:4]), [X[4]]],
        (part for part in (X[:2].numpy(), X[2:4].numpy(), X[4:].numpy())),
    ],
    ids=["loader", "loader of images", "tensors", "mappings", "tuples", "lists", "generator"],
)
def test_every_batch_is_what_explain_all_gives_of_its_images(net: nn.Module, batches: Any) -> None:
    whole = seewhy.explain_all(net, X, "saliency", target=1)
    found = list(seewhy.explain_batches(net, batches, "saliency", target=1))
    assert [len(maps) for maps in found] == [2, 2, 1]
    for ours, theirs in zip((one for maps in found for one in maps), whole, strict=True):
        np.testing.assert_allclose(ours.values, theirs.values, rtol=1e-5, atol=1e-7)


def test_one_batch_is_taken_at_a_time(net: nn.Module) -> None:
    taken: list[int] = []

    def batches() -> Iterator[torch.Tensor]:
        for n in range(3):
            taken.append(n)
            yield X[n : n + 1]

    found = seewhy.explain_batches(net, batches(), ["saliency", "grad-cam"], target=[0])
    assert taken == []
    assert len(next(found)) == 2
    assert taken == [0]


@pytest.mark.parametrize("batches", [X, "photos", {"image": X}, 3])
def test_what_is_no_iterable_of_batches(net: nn.Module, batches: Any) -> None:
    with pytest.raises(UsageError, match="an iterable of batches such as a DataLoader"):
        seewhy.explain_batches(net, batches)


def test_a_mapping_without_images(net: nn.Module) -> None:
    with pytest.raises(UsageError, match="a mapping with label, mask: which are the images"):
        next(seewhy.explain_batches(net, [{"label": Y, "mask": X}]))
