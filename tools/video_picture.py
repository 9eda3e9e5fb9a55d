"""``python -m tools.video_picture``: the picture of a video in docs/models.md, one photo that a camera moves over, seen
by the built-in network frame by frame."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

import seewhy

#: frames of the film, and pixels a side
_FRAMES = 8
_SIDE = 224


class Film(nn.Module):
    """The mean of a network's scores over the frames [B, T, C, H, W]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, K]."""
        each: Tensor = self.network(x.flatten(0, 1))
        return each.reshape(*x.shape[:2], -1).mean(1)


def main() -> int:
    """Explain, and draw."""
    torch.manual_seed(0)
    photo = Image.open(Path(seewhy.__file__).parent / "photos" / "chelsea.png").convert("RGB")
    wide = photo.resize((round(photo.width * _SIDE / photo.height), _SIDE), Image.Resampling.LANCZOS)
    pixels = np.asarray(wide)
    starts = [round(n * (wide.width - _SIDE) / (_FRAMES - 1)) for n in range(_FRAMES)]
    frames = np.stack([pixels[:, start : start + _SIDE] for start in starts])
    builtin = seewhy.load("builtin")
    model = seewhy.wrap(
        Film(builtin.module), axes="BTCHW", labels=builtin.labels, preprocess=seewhy.Preprocess(size=(_SIDE, _SIDE))
    )
    box = (2, 32, 32)
    found = seewhy.explain(model, frames, method="occlusion", window=box, stride=box, target=281)
    out = Path(__file__).resolve().parents[1] / "docs" / "images" / "video.jpg"
    found.save(out, force=True)
    print(f"{out.name}: {found.target}, {found.score:.3g}, {found.status}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
