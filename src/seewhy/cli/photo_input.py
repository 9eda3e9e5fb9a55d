"""How a photo becomes an input, in words: takes what was typed of size, mean, standard deviation and their like, gives
the network's preprocessing changed by them; reads no photo."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from seewhy.cli import options as o
from seewhy.errors import UsageError

if TYPE_CHECKING:
    from seewhy.models import Model, Preprocess

__all__ = ["InputOptions"]

#: largest values that pictures of 8 and of 16 bits can have
_RANGES = (255, 65535)
#: what takes the place of numbers where they count from 0 to 1
_UNIT = 1.0


@dataclass(frozen=True)
class InputOptions:
    """How a photo becomes the network's input, as typed; what was not typed stays the network's own way."""

    preprocess: o.Preset = None
    size: o.Size = None
    resize: o.Resize = None
    interpolation: o.Interpolation = None
    mean: o.Mean = None
    std: o.Std = None
    channels: o.Channels = None
    bgr: o.Bgr = False
    range: o.Range = None
    values: o.Values = None
    bands: o.Bands = None
    whole: o.Whole = None
    as_is: o.AsIs = False

    @property
    def typed(self) -> dict[str, Any]:
        """Those words that were typed, but for the preset, which the loader knows."""
        own = {field.name: getattr(self, field.name) for field in fields(InputOptions)}
        return {name: value for name, value in own.items() if value not in (None, False) and name != "preprocess"}

    def applied(self, model: Model) -> Model:
        """``model`` with what was typed instead of its own ways. Raises `UsageError` for words that cannot be read, or
        that do not go together."""
        from seewhy.models import Preprocess, wrap

        if not self.typed:
            return model
        own = model.preprocess
        if own is not None and not isinstance(own, Preprocess):
            raise UsageError(f"--{next(iter(self.typed))}: {model.name} makes its inputs by a function of its own")
        if own is None and self.size is None and not self.as_is:
            example = "--size 32x64x64, or --as-is" if _of_volumes(model) else "--size 224"
            raise UsageError(f"--{next(iter(self.typed))}: how large are the inputs of {model.name}? Add {example}")
        changed = wrap(model, preprocess=self._changed(own, self._channels(model, own)))
        if own is None and self.mean is None and self.std is None and self.range is None:
            return replace(changed, assumed="no --mean and --std were given: pixels go in as numbers from 0 to 1")
        return changed

    def _channels(self, model: Model, own: Preprocess | None) -> int:
        """How many channels an input has: as typed, as before, as the network's first convolution takes, or as many as
        numbers were typed."""
        from seewhy.models.input_shape import intake

        if self.channels is not None:
            return self.channels
        known = own.channels if own is not None else intake(model.module).channels
        several = [len(typed.split(",")) for typed in (self.mean, self.std) if typed is not None and "," in typed]
        return known or next(iter(several), 3)

    def _changed(self, own: Preprocess | None, channels: int) -> Preprocess:
        from seewhy.models import Preprocess

        if self.as_is and (self.size or self.resize or self.whole):
            raise UsageError("--as-is leaves photos as they are: leave --size, --resize and --whole out")
        unknown = own is None
        own = own or Preprocess((224, 224), (224, 224), "crop", (0.0,) * channels, (1.0,) * channels, channels=channels)
        mean, std = self._scale(own, channels)
        order = "bgr" if self.bgr else own.order if channels == own.channels else "rgb"
        changed = replace(own, mean=mean, std=std, channels=channels, order=order)
        if self.values is not None:
            changed = replace(changed, values=_values(self.values))
        if self.bands is not None:
            changed = replace(changed, bands=_bands(self.bands, channels))
        if self.interpolation is not None:
            changed = replace(changed, interpolation=self.interpolation)
        if self.as_is:
            return changed.as_is()
        if self.size is not None:
            changed = _sized(changed, _pair("--size", self.size), unknown=unknown)
        if self.resize is not None:
            changed = replace(changed, resize=_resize(self.resize), mode="crop")
        return changed.whole(self.whole) if self.whole is not None else changed

    def _scale(self, own: Preprocess, channels: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """Mean and standard deviation in shares of the largest value of a picture."""
        top = self.range or _UNIT
        if top <= 0:
            raise UsageError(f"--range {top:g}: the largest value that an input can have, such as 1 or 255")
        mean = None if self.mean is None else _numbers("--mean", self.mean, channels)
        std = None if self.std is None else _numbers("--std", self.std, channels)
        most = max((*(mean or ()), *(std or ())), default=0)
        if most > top:
            counted = next((full for full in _RANGES if most <= full), None)
            hint = "" if counted is None else f"; if inputs count to {counted}, add --range {counted}"
            raise UsageError(
                f"--mean {self.mean}, --std {self.std}: these are no values of inputs from 0 to {top:g}{hint}"
            )
        if self.range is not None:  # counted so, and no longer as before
            mean, std = mean or (0.0,) * channels, std or (_UNIT,) * channels
        kept = channels == own.channels
        before = (own.mean, own.std) if kept else ((0.0,) * channels, (1.0,) * channels)
        return (
            before[0] if mean is None else tuple(value / top for value in mean),
            before[1] if std is None else tuple(value / top for value in std),
        )


def _sized(own: Preprocess, size: tuple[int, ...], *, unknown: bool) -> Preprocess:
    """``own`` for inputs of another size: what comes before the crop grows and shrinks with it."""
    if unknown or own.size is None or own.resize is None:
        return replace(own, size=size, resize=size if own.mode == "crop" else own.resize)
    if len(size) != len(own.size):
        raise UsageError(
            f"--size {'x'.join(map(str, size))}: this network's inputs are {'x'.join(map(str, own.size))}, with "
            f"{len(own.size)} sides"
        )
    factors = [new / old for new, old in zip(size, own.size, strict=True)]
    if isinstance(own.resize, int):
        return replace(own, size=size, resize=max(1, round(own.resize * max(factors))))
    box = tuple(max(1, round(side * factor)) for side, factor in zip(own.resize, factors, strict=True))
    return replace(own, size=size, resize=box)


def _pair(option: str, typed: str) -> tuple[int, ...]:
    """``32`` or ``32x48`` as (height, width), ``16x32x48`` as (depth, height, width)."""
    numbers = re.fullmatch(r"\s*(\d+)\s*(?:[x,]\s*(\d+)\s*)?(?:[x,]\s*(\d+)\s*)?", typed)
    if numbers is None:
        raise UsageError(f"{option} {typed}: a number of pixels, or height x width, as in {option} 224 or 192x256")
    given = [int(number) for number in numbers.groups() if number is not None]
    return (given[0], given[0]) if len(given) == 1 else tuple(given)


def _of_volumes(model: Model) -> bool:
    from seewhy.models.input_shape import intake

    return intake(model.module).axes == 3


def _values(typed: str) -> str | tuple[float, float]:
    """``raw``, or ``-1000,400`` as (low, high)."""
    if typed.strip().lower() == "raw":
        return "raw"
    try:
        low, high = (float(part) for part in typed.split(","))
    except ValueError:
        raise UsageError(
            f"--values {typed}: raw, or the values that become 0 and 1, as in --values -1000,400"
        ) from None
    return low, high


def _bands(typed: str, channels: int) -> tuple[int, int, int]:
    """``4,3,2``, counted from 1, as (3, 2, 1)."""
    numbers = [part.strip() for part in typed.split(",")]
    if len(numbers) != 3 or not all(number.isdigit() and 1 <= int(number) <= channels for number in numbers):
        raise UsageError(
            f"--bands {typed}: the three shown as red, green and blue, of 1 to {channels}, as in --bands 4,3,2"
        )
    red, green, blue = (int(number) - 1 for number in numbers)
    return red, green, blue


def _resize(typed: str) -> int | tuple[int, ...] | None:
    if typed.strip().lower() in ("none", "no", "0"):
        return None
    pair = _pair("--resize", typed)
    return pair[0] if re.fullmatch(r"\s*\d+\s*", typed) else pair


def _numbers(option: str, typed: str, count: int) -> tuple[float, ...]:
    """``.49,.48,.45`` as that many numbers; one number stands for all."""
    read: Callable[[str], float] = float
    try:
        values = tuple(read(part) for part in typed.replace(" ", ",").split(",") if part)
    except ValueError:
        raise UsageError(f"{option} {typed}: numbers with commas between them, as in {option} .49,.48,.45") from None
    if len(values) == 1:
        values *= count
    if len(values) != count:
        raise UsageError(f"{option} {typed}: {len(values)} numbers, and the input has {count} channels (--channels)")
    return values
