"""Fills: what is visible is the image, what is hidden the fill; painting in needs OpenCV and a picture."""

from __future__ import annotations

import sys

import pytest
import torch

from seewhy.core.perturb.fills import Fill, Inpaint
from seewhy.errors import CapabilityError


def _batch(dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(3, 2, 6, 5, generator=torch.Generator().manual_seed(0)).to(dtype)


def test_a_mask_blends_image_and_fill() -> None:
    x, reference = _batch(), _batch().flip(0)
    samples = torch.tensor([2, 0, 2, 1])
    visible = torch.rand(4, 1, 6, 5, dtype=torch.float64)
    found = Fill(reference)(x, samples, visible)
    assert found.dtype == x.dtype
    for row, sample in enumerate(samples.tolist()):
        expected = visible[row] * x[sample].double() + (1 - visible[row]) * reference[sample].double()
        torch.testing.assert_close(found[row].double(), expected, rtol=1e-5, atol=1e-5)


def test_the_ends_are_exact() -> None:
    """All visible is the image to the bit, and nothing visible the fill: also where the two are far apart."""
    x = _batch()
    fill = Fill(torch.full_like(x, 1e4))
    samples = torch.arange(3)
    assert torch.equal(fill(x, samples, torch.ones(3, 1, 6, 5)), x)
    assert torch.equal(fill(x, samples, torch.zeros(3, 1, 6, 5)), fill.reference)
    hidden = torch.rand(3, 1, 6, 5) < 0.5
    mixed = fill(x, samples, hidden)
    assert torch.equal(mixed, torch.where(hidden, x, fill.reference))


def test_the_mask_can_be_differentiated() -> None:
    x, reference = _batch(torch.float64), torch.zeros(3, 2, 6, 5, dtype=torch.float64)
    visible = torch.full((1, 1, 6, 5), 0.5, dtype=torch.float64, requires_grad=True)
    Fill(reference)(x, torch.tensor([1]), visible).sum().backward()
    torch.testing.assert_close(visible.grad, x[1:2].sum(1, keepdim=True))


def test_painting_in_continues_the_surroundings() -> None:
    """A hidden patch of a plain image gets its colour; what is visible stays to the bit."""
    pytest.importorskip("cv2")
    x = torch.cat([torch.full((1, 1, 12, 12), 0.25), torch.full((1, 1, 12, 12), -3.0)], 1)
    visible = torch.ones(1, 1, 12, 12)
    visible[..., 4:8, 5:9] = 0.2
    found = Inpaint(x)(x, torch.tensor([0]), visible)
    torch.testing.assert_close(found, x, rtol=1e-4, atol=1e-4)
    noisy = x + torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    found = Inpaint(noisy)(noisy, torch.tensor([0]), visible)
    shown = (visible >= 0.5).expand_as(noisy)
    assert torch.equal(found[shown], noisy[shown])
    assert not torch.equal(found[~shown], noisy[~shown])
    assert torch.isfinite(found).all()


def test_painting_in_needs_a_picture() -> None:
    x = torch.zeros(1, 2, 8)
    with pytest.raises(CapabilityError, match="fill='inpaint' needs pictures"):
        Inpaint(x)(x, torch.tensor([0]), torch.ones(1, 1, 8))


def test_painting_in_needs_opencv(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    x = torch.zeros(1, 2, 8, 8)
    with pytest.raises(CapabilityError, match=r"pip install 'seewhy\[segment\]'"):
        Inpaint(x)(x, torch.tensor([0]), torch.ones(1, 1, 8, 8))
