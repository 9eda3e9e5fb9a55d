"""Takes nothing, gives EfficientNet-Lite0 as timm has it: the same layers by the same names, the same values; never
reads a file. Importing timm for this one network takes longer than everything else together."""

from __future__ import annotations

import math
from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ["EfficientNet"]

#: (blocks, side of the kernel, stride of the first block, expansion, channels) of each stage, of the published network
_STAGES = (
    (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112), (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)  # fmt: skip
_STEM, _HEAD = 32, 1280
#: batch norms as TensorFlow's, in which the network was trained
_EPS = 1e-3


class Conv2dSame(nn.Conv2d):
    """A strided convolution as TensorFlow pads it: less before than after, as the input's size asks."""

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, D, ceil(H / stride), ceil(W / stride)]."""
        high, wide = (self._missing(x.shape[axis], axis - 2) for axis in (2, 3))
        if high > 0 or wide > 0:
            x = F.pad(x, [wide // 2, wide - wide // 2, high // 2, high - high // 2])
        return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)

    def _missing(self, size: int, axis: int) -> int:
        side, stride = self.kernel_size[axis], self.stride[axis]
        return max((math.ceil(size / stride) - 1) * stride + side - size, 0)


class BatchNormAct2d(nn.BatchNorm2d):
    """A batch norm and the rectifier after it, as one layer."""

    def __init__(self, channels: int, act: bool = True) -> None:
        super().__init__(channels, eps=_EPS)
        self.drop = nn.Identity()
        self.act = nn.ReLU6(inplace=True) if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to the same."""
        y: Tensor = self.act(self.drop(super().forward(x)))
        return y


class DepthwiseSeparableConv(nn.Module):
    """A depthwise convolution and a projection."""

    def __init__(self, inside: int, outside: int, side: int) -> None:
        super().__init__()
        self.conv_dw = _conv(inside, inside, side, groups=inside)
        self.bn1 = BatchNormAct2d(inside)
        self.aa, self.se = nn.Identity(), nn.Identity()
        self.conv_pw = _conv(inside, outside)
        self.bn2 = BatchNormAct2d(outside, act=False)
        self.drop_path = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, D, H, W]."""
        x = self.se(self.aa(self.bn1(self.conv_dw(x))))
        y: Tensor = self.bn2(self.conv_pw(x))
        return y


class InvertedResidual(nn.Module):
    """An expansion, a depthwise convolution and a projection, beside which the input goes by where it fits."""

    def __init__(self, inside: int, outside: int, side: int, stride: int, expansion: int) -> None:
        super().__init__()
        middle = inside * expansion
        self.has_skip = inside == outside and stride == 1
        self.conv_pw = _conv(inside, middle)
        self.bn1 = BatchNormAct2d(middle)
        self.conv_dw = _conv(middle, middle, side, stride, groups=middle)
        self.bn2 = BatchNormAct2d(middle)
        self.aa, self.se = nn.Identity(), nn.Identity()
        self.conv_pwl = _conv(middle, outside)
        self.bn3 = BatchNormAct2d(outside, act=False)
        self.drop_path = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, D, H / stride, W / stride]."""
        y = self.bn1(self.conv_pw(x))
        y = self.se(self.aa(self.bn2(self.conv_dw(y))))
        z: Tensor = self.bn3(self.conv_pwl(y))
        return self.drop_path(z) + x if self.has_skip else z


class SelectAdaptivePool2d(nn.Module):
    """The mean over all positions."""

    def __init__(self) -> None:
        super().__init__()
        self.pool, self.flatten = nn.AdaptiveAvgPool2d(1), nn.Flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """[B, C, H, W] to [B, C]."""
        y: Tensor = self.flatten(self.pool(x))
        return y


class EfficientNet(nn.Module):
    """EfficientNet-Lite0 for ``classes``, untrained, drawn as timm's ``tf_efficientnet_lite0`` is."""

    def __init__(self, classes: int = 1000) -> None:
        super().__init__()
        self.conv_stem = _conv(3, _STEM, 3, stride=2)
        self.bn1 = BatchNormAct2d(_STEM)
        for _ in range(2):  # timm tries a layer here that it does not keep: the draws after it are others
            nn.Conv2d(8, 8, 1)
        widths = pairwise((_STEM, *(stage[-1] for stage in _STAGES)))
        stages = (_stage(inside, *stage) for (inside, _), stage in zip(widths, _STAGES, strict=True))
        self.blocks = nn.Sequential(*stages)
        self.conv_head = _conv(_STAGES[-1][-1], _HEAD)
        self.bn2 = BatchNormAct2d(_HEAD)
        self.global_pool = SelectAdaptivePool2d()
        self.classifier = nn.Linear(_HEAD, classes)
        self._draw()

    def _draw(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan_out = math.prod(module.kernel_size) * module.out_channels // module.groups
                nn.init.normal_(module.weight, 0, math.sqrt(2.0 / fan_out))
            elif isinstance(module, nn.Linear):
                bound = 1.0 / math.sqrt(module.out_features)
                nn.init.uniform_(module.weight, -bound, bound)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures [B, 3, H, W] to class scores [B, classes]."""
        x = self.bn1(self.conv_stem(x))
        x = self.blocks(x)
        x = self.bn2(self.conv_head(x))
        scores: Tensor = self.classifier(self.global_pool(x))
        return scores


def _conv(inside: int, outside: int, side: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride > 1:
        return Conv2dSame(inside, outside, side, stride, groups=groups, bias=False)
    return nn.Conv2d(inside, outside, side, padding=side // 2, groups=groups, bias=False)


def _stage(inside: int, many: int, side: int, stride: int, expansion: int, outside: int) -> nn.Sequential:
    if expansion == 1:
        return nn.Sequential(DepthwiseSeparableConv(inside, outside, side))
    blocks = [InvertedResidual(inside, outside, side, stride, expansion)]
    blocks += [InvertedResidual(outside, outside, side, 1, expansion) for _ in range(many - 1)]
    return nn.Sequential(*blocks)
