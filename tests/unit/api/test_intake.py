"""What inputs are like: axes that are proved, several inputs refused, networks of one channel and of one and three axes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy.errors import CapabilityError, UsageError


class Video(nn.Module):
    """Takes frames [B, T, C, H, W], and moves over them as ``how`` says."""

    def __init__(self, how: str, channels: int = 3) -> None:
        super().__init__()
        self.how = how
        self.conv: nn.Module = nn.Linear(channels, 4) if how == "linear" else nn.Conv3d(channels, 4, 3, padding=1)
        self.later = nn.Conv3d(4, 4, 1)
        self.head = nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        if self.how == "frames first":
            x = x.transpose(1, 2)
        if self.how == "normalised":
            x = (x - 0.5) / 0.25
        if self.how == "linear":
            return self.head(self.later(self.conv(x.movedim(1, -1)).movedim(-1, 1)).relu().mean((2, 3, 4)))
        return self.head(self.conv(x).relu().mean((2, 3, 4)))


def clip(frames: int, channels: int = 3) -> Tensor:
    return torch.randn(1, frames, channels, 8, 8, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("frames", [6, 3])
def test_frames_are_not_read_as_channels(frames: int) -> None:
    with pytest.raises(CapabilityError, match=r"axis 1 of the input .* does not hold channels.*axes='BTCHW'"):
        seewhy.explain(Video("frames first").eval(), clip(frames), "saliency", 1)


@pytest.mark.parametrize("how", ["volume", "normalised", "linear"])
def test_channels_of_volumes_are_proved(how: str) -> None:
    net, x = Video(how).eval(), clip(3, 6)
    if how == "linear":  # the first convolution that it has takes more channels
        net.later.in_channels = 3
    found = seewhy.explain(net, x, "saliency", 1, reduce="none")
    leaf = x.clone().requires_grad_()
    (right,) = torch.autograd.grad(net(leaf)[0, 1], leaf)
    assert np.allclose(found.values, right[0].numpy(), atol=1e-6)
    assert not any("could not be proved" in note for note in found.notes)


def test_the_hint_works() -> None:
    found = seewhy.explain(seewhy.wrap(Video("frames first").eval(), axes="BTCHW"), clip(6), "saliency", 1)
    assert found.values.shape == (6, 8, 8)


def test_frames_through_a_network_of_pictures() -> None:
    class Segments(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 5, 3)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x.flatten(0, 1)).mean((2, 3))
            return y.view(*x.shape[:2], -1).mean(1)

    with pytest.raises(UsageError, match="if the others are frames or views, say which axis is which"):
        seewhy.explain(Segments().eval(), clip(4), "saliency", 1)


@pytest.mark.parametrize("kind", ["videomae", "vivit"])
def test_videos_of_transformers(kind: str) -> None:
    transformers = pytest.importorskip("transformers")
    small: dict[str, Any] = {
        "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 24, "image_size": 32,
        "num_frames": 4, "num_labels": 3,
    }  # fmt: skip
    if kind == "videomae":
        config = transformers.VideoMAEConfig(**small, patch_size=16, tubelet_size=2)
        net = transformers.VideoMAEForVideoClassification(config)
    else:
        net = transformers.VivitForVideoClassification(transformers.VivitConfig(**small, tubelet_size=[2, 16, 16]))
    with pytest.raises(CapabilityError, match="does not hold channels"):
        seewhy.explain(net.eval(), torch.randn(1, 4, 3, 32, 32), "saliency", 1)


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, left: Tensor, right: Tensor) -> Tensor:
        return (self.conv(left) - self.conv(right)).abs().mean((2, 3))


def test_several_inputs_are_refused_in_a_true_line() -> None:
    words = r"Pair takes 2 inputs \(left, right\).*seewhy\.wrap\(model, inputs=\{'right': \.\.\.\}\)"
    with pytest.raises(CapabilityError, match=words):
        seewhy.explain(Pair(), torch.rand(1, 3, 8, 8), "saliency", 1)
    with pytest.raises(CapabilityError, match="takes 2 inputs"):
        seewhy.wrap(lambda a, b: a + b)
    assert seewhy.wrap(lambda a, b=1, *c, **d: a) is not None


@pytest.mark.parametrize(
    ("first", "shape"),
    [
        (nn.Conv2d(1, 4, 3), (1, 224, 224)),
        (nn.ConvTranspose2d(2, 4, 3), (2, 224, 224)),
        (nn.ConvTranspose1d(2, 4, 3), (2, 224)),
        (nn.Conv3d(1, 2, 3), (1, 16, 64, 64)),
        (nn.ConvTranspose3d(1, 2, 3), (1, 16, 64, 64)),
    ],
)
def test_the_first_convolution_says_what_goes_in(first: nn.Module, shape: tuple[int, ...]) -> None:
    axes = len(shape) - 1
    pool = (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)[axes - 1](1)
    net = nn.Sequential(first, nn.ReLU(), pool, nn.Flatten(), nn.LazyLinear(3)).eval()
    net(torch.zeros(1, *shape))
    assert seewhy.layers(net)[0].shape is not None
    small = torch.randn(1, shape[0], *(8,) * axes)
    assert seewhy.explain(net, small, "saliency", 1, reduce="none").values.shape == (shape[0], *(8,) * axes)
    if axes == 2:
        assert seewhy.maximise(net, "1:1", size=8, steps=2).values.shape == (1, shape[0], 8, 8)


class Functional(nn.Module):
    """Volumes, and no part that says so."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Linear(3, 2)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.nn.functional.max_pool3d(x, 2).tanh().mean((2, 3, 4)))


@pytest.mark.parametrize(
    "net",
    [
        nn.Sequential(nn.MaxPool3d(2), nn.Flatten(), nn.Linear(24, 2)),
        nn.Sequential(nn.BatchNorm3d(3), nn.Flatten(), nn.Linear(192, 2)).eval(),
        Functional(),
    ],
    ids=["pool", "norm", "nothing"],
)
def test_volumes_without_a_convolution(net: nn.Module) -> None:
    x = clip(3, 4)[..., :4, :4]
    leaf = x.clone().requires_grad_()
    (right,) = torch.autograd.grad(net(leaf)[0, 1], leaf)
    found = seewhy.explain(net, x, "saliency", 1, reduce="none")
    assert np.allclose(found.values, right[0].numpy(), atol=1e-6)


def test_more_axes_than_a_pool_moves_over_are_refused_in_a_true_line() -> None:
    net = nn.Sequential(nn.MaxPool2d(2), nn.Flatten(), nn.Linear(12, 2))
    with pytest.raises(UsageError, match=r"has more axes than one picture.*first layer moves over two"):
        seewhy.explain(net, clip(3), "saliency", 1)


def test_a_function_of_volumes_is_read_with_a_word() -> None:
    x = clip(3, 4)
    found = seewhy.explain(lambda x: x.mean((2, 3, 4)), x, "occlusion", 1, window=4, stride=4, fill=0.0)
    assert any("axis 1 of the input (1, 3, 4, 8, 8) holds channels could not be proved" in note for note in found.notes)


class Inside(nn.Module):
    """Two pictures in one argument, as ``how`` says."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.conv, self.head, self.how = nn.Conv2d(3, 4, 3), nn.Linear(4, 2), how

    def forward(self, both: Any) -> Tensor:
        if self.how == "keys":
            left, right = {"a": both}["b"], both
        elif self.how == "attributes":
            left, right = both.left, both.right
        else:
            left, right = both
        return self.head((self.conv(left) - self.conv(right)).mean((2, 3)))


@pytest.mark.parametrize("how", ["keys", "attributes", "pair"])
@pytest.mark.parametrize("method", ["saliency", "occlusion", "grad-cam"])
def test_several_inputs_inside_one_are_refused_in_a_true_line(how: str, method: str) -> None:
    x = torch.rand(2, 1, 3, 3)  # each of the two is taken apart, and has too few axes
    with pytest.raises(
        CapabilityError,
        match=r"Inside was given one tensor .* and raised .* hold the others.* tuple or dictionary, wrap it",
    ):
        seewhy.explain_all(Inside(how).eval(), x.expand(2, 3, 3, 3), method, 1)
    with pytest.raises(UsageError, match=r"takes no input of shape \(1, 3, 224, 224\), which its first layer suggests"):
        seewhy.layers(Inside(how).eval())


class Frames(nn.Module):
    """Takes [B, T, C, H, W], each frame by a convolution of pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        batch, frames = x.shape[:2]
        return self.head(self.conv(x.flatten(0, 1)).mean((2, 3)).view(batch, frames, -1).mean(1))


def test_what_is_guessed_of_a_network_of_frames_is_refused_in_a_true_line() -> None:
    net = Frames().eval()
    words = r"takes no input of shape \(1, 3, 224, 224\), which its first layer suggests"
    with pytest.raises(UsageError, match=rf"{words}.*seewhy.layers\(model, x\)"):
        seewhy.layers(net)
    with pytest.raises(UsageError, match=rf"{words}.*only networks of pictures can be maximised"):
        seewhy.maximise(net, 1)
    assert [each.name for each in seewhy.layers(net, clip(2, 3))] == ["conv", "head"]
