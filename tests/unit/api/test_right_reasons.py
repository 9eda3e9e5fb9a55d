"""The recipe of a training that is told where not to look: its loop and its callback, on masks that a repair wrote."""

from __future__ import annotations

import csv
import importlib.util
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

import seewhy

RECIPES = Path(__file__).parents[3] / "docs" / "recipes"


@pytest.fixture(scope="module")
def recipe() -> Any:
    """The recipe as a module."""
    pytest.importorskip("scipy")
    sys.path.insert(0, str(RECIPES))
    try:
        spec = importlib.util.spec_from_file_location("right_reasons", RECIPES / "right_reasons.py")
        assert spec is not None
        assert spec.loader is not None
        made = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(made)
    finally:
        sys.path.remove(str(RECIPES))
    return made


@pytest.fixture
def data(recipe: Any, tmp_path: Path) -> Any:
    """Pictures, and a mask of the corner for those of red that have it."""
    folder = recipe.write(tmp_path / "train", 120, 0.95, 1)
    _, labels, has = recipe.pictures(120, 0.95, 1)
    mask = torch.zeros(12, 12, dtype=torch.uint8)
    mask[-4:, -4:] = 255
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask.numpy()).save(tmp_path / "masks" / "corner.png")
    with (tmp_path / "masks.csv").open("w", encoding="utf-8") as table:
        writer = csv.writer(table)
        writer.writerow(("file", "class", "mask", "cue"))
        for n in torch.nonzero(has & (labels == 0))[:, 0].tolist():
            writer.writerow((f"red/{n:04}.png", "red", "masks/corner.png", "corner"))
    return recipe.Masked(folder, tmp_path)


def _evidence(network: nn.Module, data: Any) -> float:
    """Of pictures with a mask the share of the input's gradient that is under it."""
    some = [each for each in data if bool(each[2].any())]
    x = torch.stack([each[0] for each in some]).requires_grad_()
    masks = torch.stack([each[2] for each in some])
    every = seewhy.evidence_penalty(network(x), x, torch.ones_like(masks))
    return (seewhy.evidence_penalty(network(x), x, masks) / every).item()


def test_the_loop_takes_evidence_away_from_masks(recipe: Any, data: Any) -> None:
    """The same network, trained the same, with the penalty looks under the masks less."""
    plain = recipe.trained(recipe.build(0), data, 30)
    told = recipe.trained(recipe.build(0), data, 30, 3.0)
    assert _evidence(told, data) < 0.5 * _evidence(plain, data)


def test_a_callback_adds_the_same_gradients(recipe: Any, data: Any) -> None:
    """Lightning's gradients after the callback are those of the whole loss in plain PyTorch."""
    if recipe.Callback is None:
        pytest.skip("Lightning is not installed: pip install lightning")
    network = recipe.build(0)
    batch = [torch.stack([data[n][0] for n in range(8)]), torch.tensor([data[n][1] for n in range(8)]),
             torch.stack([data[n][2] for n in range(8)])]  # fmt: skip

    def loss() -> Tensor:
        found: Tensor = nn.functional.cross_entropy(network(batch[0]), batch[1])
        return found

    inputs = batch[0].clone().requires_grad_()
    whole = loss() + 0.7 * seewhy.evidence_penalty(network(inputs), inputs, batch[2])
    wanted = torch.autograd.grad(whole, list(network.parameters()))
    module = recipe.Plain(network)
    loss().backward()
    recipe.RightReasons([[part.clone() for part in batch]], 0.7).on_after_backward(None, module)
    for parameter, gradient in zip(network.parameters(), wanted, strict=True):
        assert parameter.grad is not None
        assert torch.allclose(parameter.grad, gradient, atol=1e-6)
