"""``python -m tools.attention_picture``: trains a small vision transformer on digits somewhere in a picture, for a few
minutes, and draws what its last layer looks at (docs/images/attention.jpg)."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import seewhy

#: the picture's side, a digit's, and a patch's
SIDE, DIGIT, PATCH = 64, 16, 8


def main() -> int:
    """Train, draw, and say how often it is right."""
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("--steps", type=int, default=2000)
    words.add_argument("--out", type=Path, default=Path(__file__).parent.parent / "docs" / "images" / "attention.jpg")
    asked = words.parse_args()
    torch.manual_seed(0)
    net = network()
    digits, truths = _digits()
    learn, draw = slice(0, 1400), np.random.default_rng(0)
    adam = torch.optim.AdamW(net.parameters(), 1e-3, weight_decay=0.01)
    rate = torch.optim.lr_scheduler.OneCycleLR(adam, 2e-3, asked.steps)
    for step in range(asked.steps):
        which = draw.integers(0, 1400, 64)
        loss = F.cross_entropy(net(pictures(digits[learn][which], draw)), truths[learn][which])
        adam.zero_grad()
        loss.backward()
        adam.step()
        rate.step()
        if step % 250 == 0:
            print(f"step {step}: loss {float(loss.detach()):.2f}", flush=True)
    net.eval()
    with torch.no_grad():
        right = float((net(pictures(digits[1400:], draw)).argmax(1) == truths[1400:]).float().mean())
    shown = pictures(digits[1400:1401], np.random.default_rng(5))[0]
    photo = Image.fromarray((shown.movedim(0, -1) * 255).to(torch.uint8).numpy())
    model = seewhy.wrap(net, preprocess=seewhy.Preprocess(size=(SIDE, SIDE), resize=None, mode="squash"))
    found = seewhy.attention(model, photo)
    found.save(asked.out, force=True)
    print(f"right for {right:.1%} of unseen digits; {found.title}; {'; '.join(found.notes)}")
    return 0


def network() -> nn.Module:
    """Three blocks of four heads."""
    from torchvision.models import VisionTransformer  # type: ignore[import-untyped]

    made: nn.Module = VisionTransformer(SIDE, PATCH, 3, 4, 64, 128, num_classes=10)
    return made


def pictures(digits: Tensor, draw: np.random.Generator) -> Tensor:
    """Each digit [16, 16] somewhere in a picture of faint noise and strokes, [B, 3, 64, 64] from 0 to 1."""
    made = torch.from_numpy(draw.random((len(digits), SIDE, SIDE))).float() * 0.3
    for picture, digit in zip(made, digits, strict=True):
        for _ in range(4):
            top, left = draw.integers(0, SIDE - 6, 2)
            if draw.random() < 0.5:
                picture[top : top + 6, left : left + 2] += 0.5
            else:
                picture[top : top + 2, left : left + 6] += 0.5
        top, left = PATCH * draw.integers(0, (SIDE - DIGIT) // PATCH + 1, 2)
        picture[top : top + DIGIT, left : left + DIGIT] += digit
    return made.clamp(0, 1)[:, None].expand(-1, 3, -1, -1)


def _digits() -> tuple[Tensor, Tensor]:
    """The digits that come with scikit-learn, each pixel 2x2, from 0 to 1, and their classes."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped]

    held = load_digits()
    large = np.kron(held.images / 16, np.ones((2, 2)))
    return torch.from_numpy(large).float(), torch.from_numpy(held.target)


if __name__ == "__main__":
    raise SystemExit(main())
