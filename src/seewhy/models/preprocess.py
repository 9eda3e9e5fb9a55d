"""Takes an upright RGB picture, gives the crop a network sees and its tensor; never reads a file."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from PIL import Image

from seewhy.errors import UnfitImage, UnknownName, UsageError
from seewhy.models._transforms import read_transform
from seewhy.models.measured import RAW, Measured, Values, check_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from seewhy.models.volumes import Volume

__all__ = ["Preprocess", "agree"]

_RESAMPLING = {
    "nearest": Image.Resampling.NEAREST,
    "nearest-exact": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
    "box": Image.Resampling.BOX,
    "hamming": Image.Resampling.HAMMING,
}
_MODES = ("crop", "squash", "border")
#: ways to cut nothing away, and the mode that each is
_WHOLE_PHOTO = {"squash": "squash", "letterbox": "border"}
#: mean and standard deviation in [0, 1], and the order of channels they are in
_PRESETS = {
    "unit": ((0.0,) * 3, (1.0,) * 3, "rgb"),
    "signed": ((0.5,) * 3, (0.5,) * 3, "rgb"),
    "bytes": ((0.0,) * 3, (1 / 255,) * 3, "rgb"),
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "rgb"),
    "caffe": ((103.939 / 255, 116.779 / 255, 123.68 / 255), (1 / 255,) * 3, "bgr"),
}
#: the share of a photo without which its rest tells nothing
_NEXT_TO_ALL = 0.9
#: the logarithm of a ratio of sides up to which two pictures have one shape; pixels of a photo in one of the input's
#: up to which it is too coarse to be drawn on
_SAME_SHAPE, _TOO_FEW = 0.03, 0.5
#: of a pixel's 255 steps
_HALF = 128
#: a resized picture larger than this is never made whole: only the part under the crop is computed
_WHOLE = 32_000_000


@dataclass(frozen=True)
class Preprocess:
    """How a picture becomes a network's input: resize, take the middle, scale to [0, 1], normalise.

    ``size`` is the input's (height, width); None is what comes before the crop, whole. ``resize`` is what comes before
    the central crop: a number is the length of the shorter side, a (height, width) pair is a box, None is no resizing
    (``"squash"``: straight to ``size``). ``mode`` says how the box is met: ``"crop"`` keeps the aspect and covers it,
    ``"squash"`` fills it exactly, ``"border"`` keeps the aspect, fits inside and pads with ``mean``. A crop larger than
    the picture is padded with black. ``channels`` 1 takes the luminance, 3 are colours; other numbers are bands, as a
    picture with just as many has them. With ``order`` "bgr" the input's channels, and ``mean`` and ``std`` with them,
    are blue, green, red. Where the crop cannot be exactly in the middle, torchvision rounds to the even number, and
    with ``floor`` down.

    Of volumes, ``size`` and a box are (depth, height, width), and all else is as for pictures; ``channels`` 3 are three
    times the same. ``values`` says what of a DICOM or NIfTI file is scaled to [0, 1]: None, the picture of it, as of a
    photo; (low, high), the values between those; ``"raw"`` leaves them as they are, in the file's units. ``bands`` are
    the three of more than three channels, counted from 0, that pictures show as red, green and blue, the first three
    unless said. Raises `UsageError` for invalid values.

    >>> one = Preprocess(size=(4, 6), resize=8)
    >>> one(Image.new("RGB", (31, 17), "white")).shape
    torch.Size([3, 4, 6])
    """

    size: tuple[int, ...] | None = (224, 224)
    resize: int | tuple[int, ...] | None = 256
    mode: str = "crop"
    mean: tuple[float, ...] = (0.485, 0.456, 0.406)
    std: tuple[float, ...] = (0.229, 0.224, 0.225)
    interpolation: str = "bilinear"
    channels: int = 3
    order: str = "rgb"
    floor: bool = False
    values: Values = None
    bands: tuple[int, int, int] | None = None

    def __post_init__(self) -> None:
        boxes = [box for box in (self.size, self.resize) if box is not None and not isinstance(box, int)]
        if any(len(box) not in (2, 3) or min(box) < 1 for box in boxes) or len({len(box) for box in boxes}) > 1:
            raise UsageError(
                f"a size is (height, width), of volumes (depth, height, width), all at least 1; got {self.size} and "
                f"{self.resize}"
            )
        if isinstance(self.resize, int) and self.resize < 1:
            raise UsageError(f"resize is the shorter side's length, at least 1; got {self.resize}")
        if self.mode not in _MODES:
            raise UsageError(f"no resize mode {self.mode!r}; known: {', '.join(_MODES)}")
        if self.mode == "border" and not isinstance(self.resize, tuple):
            raise UsageError(f"mode 'border' needs resize=(height, width); got {self.resize}")
        check_values(self.values)
        if self.bands is not None and (len(self.bands) != 3 or not all(0 <= n < self.channels for n in self.bands)):
            raise UsageError(
                f"bands={self.bands}: the three that pictures show as red, green and blue, counted from 0, of "
                f"{self.channels} channels"
            )
        if self.interpolation not in _RESAMPLING:
            raise UsageError(f"no interpolation {self.interpolation!r}; known: {', '.join(_RESAMPLING)}")
        if self.channels < 1:
            raise UsageError(f"an input has at least one channel, not {self.channels}")
        if self.order not in ("rgb", "bgr") or (self.order == "bgr" and self.channels != 3):
            raise UsageError(f"order is 'rgb', or 'bgr' for three channels; got {self.order!r}")
        if {len(self.mean), len(self.std)} != {self.channels}:
            raise UsageError(
                f"mean and std need {self.channels} numbers each; got {len(self.mean)} and {len(self.std)}"
            )
        if not all(math.isfinite(value) for value in self.mean + self.std) or min(self.std) <= 0:
            raise UsageError(f"mean and std must be finite, std positive; got {self.mean} and {self.std}")

    def view(self, image: Image.Image) -> Image.Image:
        """The picture the network sees, before any arithmetic: mode RGB (L for one channel), exactly ``size``."""
        mean = self.mean[::-1] if self.order == "bgr" else self.mean
        if self.channels == 1:
            return self._seen(image.convert("L"), round(255 * mean[0]))
        colour = [round(255 * value) for value in (*mean, *mean, *mean)[:3]]
        return self._seen(image.convert("RGB"), (colour[0], colour[1], colour[2]))

    def _seen(self, image: Image.Image, padding: float | tuple[int, int, int], least: float = 0) -> Image.Image:
        """The part of a picture of any mode that the network sees, at the input's size; ``least`` is black."""
        self._check_flat()
        full = self._resized_size(image.height, image.width)
        height, width = self.size or full
        top, left = _offset(full[0], height, self.floor), _offset(full[1], width, self.floor)
        if full[0] * full[1] > _WHOLE and self.size is not None:
            # a 1 x 10000 strip would grow to gigabytes; the part under the crop alone comes out the same
            y0, y1 = max(top, 0), min(top + height, full[0])
            x0, x1 = max(left, 0), min(left + width, full[1])
            sy, sx = image.height / full[0], image.width / full[1]
            part = image.resize(
                (x1 - x0, y1 - y0), _RESAMPLING[self.interpolation], box=(x0 * sx, y0 * sy, x1 * sx, y1 * sy)
            )
            top, left = min(top, 0), min(left, 0)
        else:
            part = image.resize((full[1], full[0]), _RESAMPLING[self.interpolation])
        black = (0,) * 3 if isinstance(padding, tuple) else least
        canvas = Image.new(image.mode, (width, height), padding if self.mode == "border" else black)
        canvas.paste(part, (-left, -top))
        return canvas

    def of_mask(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Where the input shows what is inside a ``mask`` [H, W] of the whole picture: true and false at the input's
        size, by the resize and crop that the picture itself goes through. A place is inside where half of what it is
        made of is; padding is outside.

        Raises `UsageError` for a mask that is no plane.

        >>> whole = np.zeros((8, 8), dtype=bool)
        >>> whole[2:6, 2:6] = True
        >>> Preprocess(size=(4, 4), resize=8).of_mask(whole).all()
        np.True_
        """
        if mask.ndim != 2:
            raise UsageError(f"a mask has a truth for each pixel of its picture, [H, W]; got {list(mask.shape)}")
        seen = self._seen(Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0))), 0)
        return np.asarray(np.asarray(seen) >= _HALF)

    def shown(self, image: Image.Image) -> Image.Image | None:
        """What pictures of a photo are drawn on: the whole photo, in its own pixels (of more than 32 million, so many)
        or in more, where the part that the network sees has not half of the input's on a side.

        None where `view` shows all that there is in the photo's proportions, and where less than a tenth of the photo
        is seen.

        >>> Preprocess(size=(4, 4), resize=4).shown(Image.new("RGB", (30, 20))).size
        (30, 20)
        """
        left, top, right, bottom = self.window(image.height, image.width)
        height, width = self.size or self._resized_size(image.height, image.width)
        edges = (left, 0), (top, 0), (right, image.width), (bottom, image.height)
        finer = min((right - left) / width, (bottom - top) / height)  # its pixels in one of the input's
        all_seen = all(abs(edge - end) < 0.5 for edge, end in edges)
        alike = abs(math.log(image.width * height / (image.height * width))) < _SAME_SHAPE
        if (all_seen and alike and finer <= 1) or self.lost(image.height, image.width) > _NEXT_TO_ALL:
            return None
        factor = min(1.0 if finer > _TOO_FEW else 1 / finer, math.sqrt(_WHOLE / (image.height * image.width)))
        size = max(1, round(image.width * factor)), max(1, round(image.height * factor))
        whole = image.convert("L" if self.channels == 1 else "RGB").convert("RGB")
        return whole if factor == 1 else whole.resize(size, Image.Resampling.BICUBIC)

    def window(self, height: int, width: int) -> tuple[float, float, float, float]:
        """The part of a picture of that size that the network sees, in the picture's pixels: (left, top, right,
        bottom); beyond its edges where it is padded.

        >>> Preprocess(size=(2, 2), resize=4).window(8, 16)
        (6.0, 2.0, 10.0, 6.0)
        """
        full = self._resized_size(height, width)
        size = self.size or full
        top, left = _offset(full[0], size[0], self.floor), _offset(full[1], size[1], self.floor)
        down, across = height / full[0], width / full[1]
        return left * across, top * down, (left + size[1]) * across, (top + size[0]) * down

    def around(self, image: Image.Image, seen: Image.Image) -> Image.Image:
        """A picture of which `view` gives ``seen``: ``image`` as it is resized, with ``seen`` where `view` looks; of
        one too large to be made whole, ``seen`` alone.

        >>> ours = Preprocess(size=(2, 2), resize=4)
        >>> whole = ours.around(Image.new("RGB", (9, 8)), Image.new("RGB", (2, 2), "white"))
        >>> whole.size, ours.view(whole).getextrema()[0]
        ((4, 4), (255, 255))
        """
        full = self._resized_size(image.height, image.width)
        if full[0] * full[1] > _WHOLE:
            return seen
        canvas = image.convert(seen.mode).resize((full[1], full[0]), _RESAMPLING[self.interpolation])
        canvas.paste(seen, (_offset(full[1], seen.width, self.floor), _offset(full[0], seen.height, self.floor)))
        return canvas

    def __call__(self, image: Image.Image) -> Tensor:
        """The normalised input of one picture: float32 [C, H, W] on the CPU. Raises `UsageError` where bands are
        needed (`of_bands`)."""
        if self.channels not in (1, 3):
            raise UsageError(f"a picture gives 1 or 3 channels, and this network takes {self.channels}")
        return self.of_view(self.view(image))

    def of_view(self, view: Image.Image) -> Tensor:
        """The normalised input of what `view` gave."""
        pixels = np.array(view, dtype=np.uint8).reshape(view.height, view.width, self.channels)
        scaled = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
        return self.normalise(scaled)

    def of_bands(self, bands: NDArray[Any]) -> Tensor:
        """The normalised input of the bands [H, W, C] of one picture, float32 [C, H, W] on the CPU. Whole numbers are
        scaled to [0, 1], 1 being the largest that their type can hold; floats are taken as they are.

        Raises `UsageError` where there are not ``channels`` of them.

        >>> four = Preprocess((2, 2), None, "squash", (0.0,) * 4, (1.0,) * 4, channels=4)
        >>> four.of_bands(np.full((8, 8, 4), 255, dtype=np.uint8)).mean().item()
        1.0
        """
        if bands.ndim != 3 or bands.shape[2] != self.channels:
            raise UsageError(f"this network takes {self.channels} bands [H, W, C], got {list(bands.shape)}")
        full = np.iinfo(bands.dtype).max if bands.dtype.kind in "iu" else 1
        seen = [
            np.asarray(self._seen(Image.fromarray(np.ascontiguousarray(band / full, dtype=np.float32)), fill))
            for band, fill in zip(np.moveaxis(bands, 2, 0), self.mean, strict=True)
        ]
        return self.normalise(torch.from_numpy(np.stack(seen)))

    def of_values(self, measured: Measured) -> Tensor:
        """The normalised input of the `values` [H, W] of one file, float32 [C, H, W] on the CPU: the same in every
        channel.

        >>> hounsfield = Preprocess((2, 2), None, "squash", (0.0,), (1.0,), channels=1, values=(-100, 300))
        >>> hounsfield.of_values(Measured(np.full((8, 8), 100.0, dtype=np.float32))).mean().item()
        0.5
        """
        given = measured.as_given(self.values)
        image, least = Image.fromarray(given), float(given.min()) if self.values == RAW else 0.0
        seen = np.array(self._seen(image, least if self.values == RAW else self.mean[0], least), dtype=np.float32)
        return self.normalise(torch.from_numpy(seen).expand(self._grey(), -1, -1))

    def of_volume(self, volume: Volume) -> tuple[Tensor, Volume]:
        """The normalised input of one volume, float32 [C, D, H, W] on the CPU, and what of the volume it is: `values`
        (those shown in pictures) and places of its own voxels.

        Resized as pictures are, axis by axis with the same kernels, those that make smaller smoothed. Raises
        `UsageError` for a ``size`` of pictures.
        """
        if any(isinstance(box, tuple) and len(box) == 2 for box in (self.size, self.resize)):
            depth, height, width = volume.size
            raise UnfitImage(
                f"{volume.name!r} is a volume of {depth} slices of {height} x {width}, and the preprocessing is for "
                "pictures: --size 32x64x64, in Python size=(depth, height, width), or --as-is, in Python as_is(), for "
                "its own voxels"
            )
        given = volume.measured.as_given(self.values)
        full = self._resized_size(*volume.size)
        size = self.size or full
        starts = [_offset(n, side, self.floor) for n, side in zip(full, size, strict=True)]
        raw = self.values == RAW
        fill = float(given.min()) if raw else self.mean[0] if self.mode == "border" else 0.0
        grey = seen = _placed(_resampled(given, full, self.interpolation), size, starts, fill)
        if raw:
            grey = _placed(_resampled(volume.measured.shares(), full, self.interpolation), size, starts, 0.0)
        factors = [n / m for n, m in zip(volume.size, full, strict=True)]
        where = [start * factor for start, factor in zip(starts, factors, strict=True)]
        picture = Measured(grey)
        flat = torch.from_numpy(seen.reshape(1, -1, size[-1])).expand(self._grey(), -1, -1)
        return self.normalise(flat).reshape(-1, *size), volume.resampled(picture, factors, where)

    def _grey(self) -> int:
        """How many channels an input of one value a place has; raises `UsageError` where they are bands."""
        if self.channels not in (1, 3):
            raise UsageError(f"a file of one value a place gives 1 channel, or 3 alike; this takes {self.channels}")
        return self.channels

    def _check_flat(self) -> None:
        if any(isinstance(box, tuple) and len(box) == 3 for box in (self.size, self.resize)):
            raise UnfitImage(
                f"the preprocessing is for volumes of {' x '.join(map(str, self.size or ()))}, and this is one picture"
                ": give a NIfTI file, a folder of DICOM slices, or a float array [C, D, H, W]"
            )

    def normalise(self, image: Tensor) -> Tensor:
        """Values in [0, 1], [..., C, H, W], to input units; same dtype and device."""
        image = self._reordered(image)
        return (image - self._column(self.mean, image)) / self._column(self.std, image)

    def denormalise(self, input: Tensor) -> Tensor:
        """Input units, [..., C, H, W], back to [0, 1] for a picture's values; nothing is clipped."""
        return self._reordered(input * self._column(self.std, input) + self._column(self.mean, input))

    def _reordered(self, values: Tensor) -> Tensor:
        return values.flip(-3) if self.order == "bgr" else values

    @staticmethod
    def _column(values: Sequence[float], like: Tensor) -> Tensor:
        return torch.tensor(values, dtype=like.dtype, device=like.device).view(-1, 1, 1)

    def _resized_size(self, *whole: int) -> tuple[int, ...]:
        """(height, width) of the resized picture, or the sides of a volume, rounded as the two zoos round it."""
        if self.resize is None:
            return self.size if self.mode == "squash" and self.size is not None else whole
        if self.mode == "squash":
            return self.resize if isinstance(self.resize, tuple) else (self.resize,) * len(whole)
        if isinstance(self.resize, tuple):
            choose = max if self.mode == "border" else min
            ratio = choose(side / box for side, box in zip(whole, self.resize, strict=True))
            return tuple(max(1, round(side / ratio)) for side in whole)
        short, least = self.resize, min(whole)
        return tuple(short if side == least else int(short * side / least) for side in whole)

    def coarsest(self, height: int, width: int) -> tuple[int, int]:
        """The least size, twice the resized picture's on each side, at which a picture of that size may be decoded
        instead, nearly without a difference; its own where it is smaller than that.

        >>> Preprocess(size=(224, 224), resize=256).coarsest(3000, 4000)
        (512, 682)
        """
        rows, columns = self._resized_size(height, width)
        return min(2 * rows, height), min(2 * columns, width)

    def as_is(self) -> Preprocess:
        """The same for pictures that are inputs already: nothing is resized, cropped or padded."""
        return replace(self, size=None, resize=None, mode="crop")

    def whole(self, how: str = "letterbox") -> Preprocess:
        """The same without cutting anything away: with ``"squash"`` the photo is stretched to ``size``, with
        ``"letterbox"`` it keeps its aspect and is padded with ``mean``.

        Raises `UnknownName` for another word.

        >>> Preprocess(size=(4, 4), resize=6).whole("squash").window(10, 30)
        (0.0, 0.0, 30.0, 10.0)
        """
        if how not in _WHOLE_PHOTO:
            raise UnknownName("way to show the whole photo", how, _WHOLE_PHOTO, f"one of {', '.join(_WHOLE_PHOTO)}")
        return self if self.size is None else replace(self, resize=self.size, mode=_WHOLE_PHOTO[how])

    def lost(self, height: int, width: int) -> float:
        """The share of a picture of that size that the crop cuts away.

        >>> round(Preprocess(size=(224, 224), resize=256).lost(256, 256), 3)
        0.234
        """
        left, top, right, bottom = self.window(height, width)
        seen = (min(right, width) - max(left, 0)) * (min(bottom, height) - max(top, 0))
        return 1 - seen / (height * width)

    @classmethod
    def preset(cls, name: str, size: tuple[int, ...] | None = (224, 224), channels: int = 3) -> Preprocess:
        """One of the usual ways, by name: straight to ``size``, then pixels to ``"unit"`` ([0, 1]), ``"signed"`` ([-1,
        1]), ``"bytes"`` ([0, 255]), ``"imagenet"`` (ImageNet's mean and standard deviation) or ``"caffe"`` (bytes
        minus ImageNet's mean, channels blue, green, red).

        Raises `UnknownName` for another name, `UsageError` where it needs three channels.

        >>> round(Preprocess.preset("bytes", (2, 2))(Image.new("RGB", (9, 9), "white")).max().item())
        255
        """
        if name not in _PRESETS:
            raise UnknownName("preprocessing", name, _PRESETS, f"one of {', '.join(_PRESETS)}")
        mean, std, order = _PRESETS[name]
        if channels == 1 and len(set(mean)) > 1:
            raise UsageError(f"preprocessing {name!r} is for three channels, and this network takes one; use 'unit'")
        return cls(size, None, "squash", mean[:channels], std[:channels], channels=channels, order=order)

    @classmethod
    def from_torchvision(cls, transform: Any) -> Preprocess:
        """The same steps as a torchvision classification preset, or as a plain evaluation ``Compose``.

        Understood: ``weights.transforms()``, and Resize, CenterCrop, Grayscale, ToTensor, Normalize in that
        spirit (v1 or v2). Raises `UsageError` for anything else, or where the result would not agree.
        """
        preprocess = cls(**read_transform(transform))
        agree(preprocess, transform)
        return preprocess

    @classmethod
    def from_timm(cls, module: Any) -> Preprocess:
        """The evaluation preprocessing that a timm network's own metadata asks for.

        Raises `UsageError` if the network takes neither 1 nor 3 channels.
        """
        config = import_module("timm.data").resolve_model_data_config(module)
        height, width = _built_size(module) or tuple(config["input_size"][1:])
        box = (math.floor(height / config["crop_pct"]), math.floor(width / config["crop_pct"]))
        mode = {"squash": "squash", "border": "border"}.get(config["crop_mode"], "crop")
        channels = _first_channels(module) or config["input_size"][0]
        mean, std = tuple(config["mean"]), tuple(config["std"])
        if channels == 1 and len(mean) == 3:  # timm sums the three filters, so the grey input has their mean
            mean, std = (sum(mean) / 3,), (sum(std) / 3,)
        if channels != len(mean):
            raise UsageError(
                f"timm speaks of {len(mean)} channels, and this network takes {channels}: give a Preprocess"
            )
        return cls(
            size=(height, width),
            resize=box[0] if mode == "crop" and box[0] == box[1] else box,
            mode=mode,
            mean=mean,
            std=std,
            interpolation=config["interpolation"],
            channels=channels,
        )


def _resampled(values: NDArray[np.float32], size: Sequence[int], how: str) -> NDArray[np.float32]:
    """A volume [D, H, W] at ``size``, one axis after the other, by the kernels that pictures are resized with."""
    for axis, length in enumerate(size):
        if values.shape[axis] != length:
            first = np.moveaxis(values, axis, 0)
            rows = Image.fromarray(np.ascontiguousarray(first.reshape(len(first), -1), dtype=np.float32))
            drawn = np.asarray(rows.resize((rows.width, length), _RESAMPLING[how]))
            values = np.moveaxis(drawn.reshape(length, *first.shape[1:]), 0, axis)
    return np.ascontiguousarray(values)


def _placed(
    values: NDArray[np.float32], size: Sequence[int], starts: Sequence[int], fill: float
) -> NDArray[np.float32]:
    """The part of ``values`` of ``size`` that begins at ``starts``, with ``fill`` beyond its edges."""
    canvas = np.full(tuple(size), fill, dtype=np.float32)
    into = tuple(slice(max(-at, 0), max(-at, 0) + n) for at, n in zip(starts, values.shape, strict=True))
    part = tuple(slice(max(at, 0), max(at, 0) + n) for at, n in zip(starts, size, strict=True))
    canvas[into] = values[part]
    return canvas


def _offset(length: int, crop: int, floor: bool) -> int:
    """Where a central crop starts; negative is padding. Halves go to the even number, as in torchvision, or down."""
    if crop > length:
        return -((crop - length) // 2)
    return (length - crop) // 2 if floor else round((length - crop) / 2)


def agree(preprocess: Preprocess, transform: Any, shape: tuple[int, int] = (61, 47)) -> None:
    """Show both one picture: names of classes alone are a guess. Raises `UsageError` if they differ."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*shape, 3), dtype=np.uint8))
    theirs, ours = transform(image), preprocess(image)
    if not isinstance(theirs, torch.Tensor) or theirs.shape != ours.shape or not theirs.is_floating_point():
        raise UsageError("the transform's tensor has another shape or type than its steps say; use a callable")
    gap = (preprocess.denormalise(ours) - preprocess.denormalise(theirs)).abs().max().item()
    if not gap <= 1.01 / 255:
        raise UsageError(f"the transform differs from its steps by {gap:.3f} of [0, 1]; use a callable")


def _built_size(module: Any) -> tuple[int, int] | None:
    """The size a vision transformer was built for; its metadata keeps the pretrained one."""
    size = getattr(getattr(module, "patch_embed", None), "img_size", None)
    return (int(size[0]), int(size[1])) if isinstance(size, list | tuple) and len(size) == 2 else None


def _first_channels(module: Any) -> int | None:
    """How many channels the first convolution takes; timm's metadata always says 3."""
    name = (getattr(module, "pretrained_cfg", None) or {}).get("first_conv")
    name = name[0] if isinstance(name, list | tuple) and name else name
    if not isinstance(name, str):
        return None
    weight = dict(module.named_parameters()).get(f"{name}.weight")
    return int(weight.shape[1]) if weight is not None and weight.ndim == 4 else None
