"""Objects cut out: masks against ones known by construction, at the photo's own pixels and at the input's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import seewhy
from seewhy.errors import UsageError
from seewhy.explanation import graph_cut
from seewhy.models import Preprocess

pytest.importorskip("cv2")


class _Redness(nn.Module):
    """Class 0 is how red the picture is, beyond its green."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        red = torch.relu(x[:, 0] - x[:, 1]).mean((1, 2))
        return torch.stack([red, -red], 1)


def _textured(height: int, width: int, box: tuple[int, int, int, int], seed: int = 0) -> tuple[Image.Image, np.ndarray]:
    """A reddish noisy ellipse in ``box`` (left, top, right, bottom) over greenish noise, and where it is."""
    noise = np.random.default_rng(seed).normal(0, 18, (height, width, 3))
    y, x = np.mgrid[:height, :width] + 0.5
    left, top, right, bottom = box
    mask = ((x - (left + right) / 2) / (right - left)) ** 2 + ((y - (top + bottom) / 2) / (bottom - top)) ** 2 < 0.25
    colours = np.where(mask[..., None], (190, 80, 60), (90, 130, 90)) + noise
    return Image.fromarray(colours.clip(0, 255).astype(np.uint8)), mask


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    return float((a & b).sum() / (a | b).sum())


def _model(size: tuple[int, int] = (32, 32), resize: Any = None, mode: str = "squash") -> seewhy.Model:
    return seewhy.wrap(
        _Redness(), preprocess=Preprocess(size, resize, mode, (0.0,) * 3, (1.0,) * 3), labels=["red", "not"]
    )


@pytest.mark.parametrize("resolution", ["photo", "input"])
def test_the_object_is_found(resolution: str) -> None:
    photo, truth = _textured(90, 120, (60, 20, 110, 70))
    found = seewhy.segment(_model(), photo, target="red", resolution=resolution, n=8)
    assert isinstance(found, seewhy.Segmentation)
    mask = found.mask
    if resolution == "input":
        assert mask.shape == (32, 32)
        truth = np.asarray(Image.fromarray(truth).resize((32, 32)))
    assert _iou(mask, truth) > 0.85
    assert found.box == pytest.approx((60, 20, 110, 70), abs=4)
    assert found.inside > 2 * found.area


def test_boxes_are_in_the_photos_own_pixels_through_crop_and_resize() -> None:
    """The network sees the middle third of a wide photo, at a fifth of its pixels."""
    photo, truth = _textured(160, 480, (200, 40, 290, 130))
    found = seewhy.segment(_model((32, 32), 32, "crop"), photo, target="red", n=8)
    assert found.image.shape == (160, 160, 3)
    assert found.corner == (160.0, 0.0)
    assert _iou(found.mask, truth[:, 160:320]) > 0.85
    assert found.box == pytest.approx((200, 40, 290, 130), abs=6)


def test_padding_is_no_part_of_the_photo() -> None:
    photo, truth = _textured(40, 80, (10, 5, 45, 35))
    found = seewhy.segment(_model((48, 48), (48, 48), "border"), photo, target="red", n=8)
    assert found.image.shape == (40, 80, 3)
    assert _iou(found.mask, truth) > 0.8


def test_a_large_photo_is_cut_at_a_bearable_size() -> None:
    photo, _ = _textured(60, 60, (10, 10, 40, 40))
    found = seewhy.segment(_model(), photo.resize((2048, 2048)), target="red", n=4)
    assert found.image.shape == (1024, 1024, 3)
    assert found.scale == (2.0, 2.0)
    assert found.box == pytest.approx((341, 341, 1365, 1365), abs=80)


def test_the_cutout_is_the_object_alone(tmp_path: Path) -> None:
    photo, _ = _textured(60, 60, (10, 10, 40, 40))
    found = seewhy.segment(_model(), photo, target="red", n=4)
    alone = np.asarray(found.cutout())
    left, top, right, bottom = found.box
    assert alone.shape == (bottom - top, right - left, 4)
    assert np.array_equal(alone[..., 3] > 0, found.mask[top:bottom, left:right])
    assert np.array_equal(alone[..., :3], np.asarray(photo)[top:bottom, left:right])
    with Image.open(found.save(tmp_path / "mask.png")) as file:
        saved = np.asarray(file)
    assert np.array_equal(saved > 0, found.mask)
    assert set(np.unique(saved)) <= {0, 255}


def test_inside_is_the_share_of_positive_evidence() -> None:
    photo, _ = _textured(32, 32, (5, 5, 25, 20))
    found = seewhy.segment(_model(), photo, target="red", n=4)
    evidence = np.maximum(found.explanation.map, 0)
    assert found.inside == pytest.approx(evidence[found.mask].sum() / evidence.sum(), rel=1e-6)


def test_the_largest_piece_is_kept() -> None:
    """Two red things: the smaller one is left out."""
    noise = np.random.default_rng(1).normal(0, 10, (60, 60, 3))
    colours = np.full((60, 60, 3), (90, 130, 90)) + noise
    evidence = np.zeros((60, 60))
    for rows, columns in ((slice(5, 35), slice(5, 35)), (slice(45, 55), slice(45, 55))):
        colours[rows, columns] += (100, -50, -30)
        evidence[rows, columns] = 1
    mask = graph_cut(colours.clip(0, 255).astype(np.uint8), evidence, smooth=0)
    assert mask[8:32, 8:32].mean() > 0.95
    assert not mask[45:55, 45:55].any()


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"inside": 0.2}, "in this order"),
        ({"resolution": "huge"}, "'photo' or 'input'"),
        ({"target": [0, 1]}, "one object"),
        ({"target": "not"}, "no positive evidence"),
        ({"iterations": 0}, "iterations=0"),
    ],
)
def test_what_cannot_be_meant(given: dict[str, Any], words: str) -> None:
    photo, _ = _textured(32, 32, (5, 5, 25, 20))
    asked: dict[str, Any] = {"target": "red", "method": "occlusion"} | given
    with pytest.raises(UsageError, match=words):
        seewhy.segment(_model(), photo, **asked)


def test_an_input_without_colours() -> None:
    net = nn.Sequential(nn.Conv2d(5, 2, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    with pytest.raises(UsageError, match="colours of a picture"):
        seewhy.segment(net, torch.rand(5, 16, 16), method="saliency")
