"""Images to batches: takes paths, pictures, arrays and tensors, gives model inputs with what was seen; runs no
network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from seewhy.core.network.axis_order import BATCH, CHANNELS, AxisOrder
from seewhy.core.network.inputs import Explained, Inputs
from seewhy.errors import UnfitImage, UsageError
from seewhy.explanation import Scan
from seewhy.models import Model, Photo, Preprocess, Volume, is_scan, read_image, read_image_bytes, read_volume
from seewhy.models.images import photo_in
from seewhy.models.input_shape import intake

#: the share of a photo that a crop may cut away without a word
_LITTLE = 0.1
#: bytes of photos in their own pixels that one call keeps, and the longer side of those that come after them
_PHOTOS, _SMALL = 512 * 2**20, 640

#: the names of a video's positions
FRAMES = "THW"

__all__ = [
    "FRAMES", "Item", "channels_first", "check_one_explained", "kept", "own_layout", "read_items", "read_lean",
    "read_one", "same_shape",
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Item:
    """One image: its input [C, *size], the picture of it (uint8 [H, W, 3]) if there is one, its name and notes; the
    whole photo, where that shows more, and which part of it the picture is, as `Explanation.window`. ``parts`` are the
    inputs of which its row is made, where several are explained at once; ``frames`` the pictures of a video, uint8
    [T, H, W, 3]; ``scan`` what a volume is drawn on; ``whole`` is the (height, width) of the photo, upright, in its own
    pixels."""

    tensor: Tensor
    view: np.ndarray[Any, Any] | None
    name: str
    pictured: bool
    notes: tuple[str, ...] = field(default=())
    photo: np.ndarray[Any, Any] | None = None
    window: tuple[float, float, float, float] | None = None
    parts: Mapping[str, Item] = field(default_factory=dict)
    frames: np.ndarray[Any, Any] | None = None
    scan: Scan | None = None
    whole: tuple[int, int] | None = None


#: axes of a volume
_DEPTH = "DHW"
#: axes of a picture, as they lie in it, and how many they are
_PLANE = "HW"
_FLAT = 2


def read_items(model: Model, image: Any) -> tuple[list[Item], bool]:
    """The images in ``image``, and whether it was a single one.

    A path, PIL image or uint8 array (H×W, H×W×1, ×3 or ×4; N×H×W×3 for several) is an image and preprocessed by the
    model; a float array or tensor is an input already, in the model's own layout: [C, H, W] or [B, C, H, W], with the
    channels last for a network that has them last (Keras). A NIfTI file, a folder of DICOM slices and a DICOM file of
    several are volumes, for networks that move over three axes. A list or tuple holds any of these. What comes out of
    here, and all values computed from it, have the channels first.
    Raises `ImageError` for what cannot be read and `UsageError` for what is invalid.
    """
    check_one_explained(model)
    if isinstance(image, list | tuple):
        if not image:
            raise UsageError("no images: the sequence given is empty")
        return list(kept(item for one in image for item in read_items(model, one)[0])), False
    if isinstance(image, Tensor):
        _check_dense(image)
    if isinstance(image, Tensor | np.ndarray) and _is_float(image):
        return _inputs(model, image)
    if isinstance(image, Tensor):
        image = _uint8_array(image)
    order = None if model.inputs is None else model.inputs.order
    if isinstance(image, np.ndarray) and order is not None and len(order.positions) != _FLAT:
        return _videos(model, image, order)
    if isinstance(image, np.ndarray) and image.ndim == 4:
        return list(kept(_picture(model, one, f"image {n}") for n, one in enumerate(image))), len(image) == 1
    if isinstance(image, Volume) or is_scan(image):
        return [_volume(model, image)], True
    if isinstance(image, str | Path | Image.Image | np.ndarray | Photo):
        return [_picture(model, image)], True
    raise UsageError(
        f"image is {type(image).__name__}; give a path, PIL image or uint8 array (preprocessed for you), a float array "
        "or tensor (an input already), or a list of them"
    )


def check_one_explained(model: Model) -> None:
    """Refuse, by `UsageError`, a model of which several inputs are explained at once where one is read, or made up."""
    if model.inputs is not None and len(model.inputs.explained) > 1:
        names = " and ".join(repr(one.key) for one in model.inputs.explained)
        raise UsageError(f"{names} are explained at once, which explain and explain_all can: here hold all but one")


def kept(items: Iterable[Item]) -> Iterator[Item]:
    """``items``, with the photos' own pixels as long as there is room for them."""
    used = 0
    for item in items:
        used += 0 if item.photo is None else item.photo.nbytes
        if item.photo is not None and used > _PHOTOS:
            small = Image.fromarray(item.photo)
            small.thumbnail((_SMALL, _SMALL))
            item = replace(item, photo=np.asarray(small))
        yield item


def _check_dense(image: Tensor) -> None:
    """Refuse a tensor that holds no numbers, or not one for every place."""
    if image.is_meta:
        raise UsageError("the image is a tensor on the meta device, which holds no numbers; give one that does")
    if image.is_nested:
        raise UsageError("the image is a nested tensor; give its pictures as a list: image.unbind()")
    if image.layout is not torch.strided:
        raise UsageError("the image is a sparse tensor; give a dense one: image.to_dense()")


def _is_float(values: Tensor | np.ndarray[Any, Any]) -> bool:
    return values.is_floating_point() if isinstance(values, Tensor) else bool(np.issubdtype(values.dtype, np.floating))


def _uint8_array(image: Tensor) -> np.ndarray[Any, Any]:
    if image.dtype != torch.uint8:
        raise UsageError(f"a tensor of {image.dtype} is neither an image (uint8) nor an input (floating point)")
    array: np.ndarray[Any, Any] = image.cpu().numpy()
    channels_first = array.ndim >= 3 and array.shape[-3] in (1, 3, 4) and array.shape[-1] not in (1, 3, 4)
    return np.moveaxis(array, -3, -1) if channels_first else array


def _positions(model: Model) -> str | None:
    """The axes of positions that the network's inputs have, as far as anything says, a letter each."""
    if model.inputs is not None and model.inputs.order is not None:
        return model.inputs.order.positions
    takes = intake(model.module)
    return _DEPTH[-takes.axes :] if takes.told else None


def _volume(model: Model, given: Any) -> Item:
    """A volume as an input, in the order of the axes that the network has."""
    volume = given if isinstance(given, Volume) else read_volume(given)
    depth, height, width = volume.size
    axes = _positions(model)
    if axes is not None and len(axes) != len(_DEPTH):
        where = volume.path or volume.name
        one = f"'{where}#{depth // 2}'" + (f", or all of them, {where}/*" if Path(where).is_dir() else "")
        raise UnfitImage(
            f"{volume.name!r} is a volume of {depth} slices of {height} x {width}, and {model.name} takes pictures: "
            f"give one slice, such as {one}"
        )
    if axes is not None and sorted(axes) != sorted(_DEPTH):
        missing = iter(letter for letter in _DEPTH if letter not in axes)
        order = model.inputs.order if model.inputs is not None else None
        letters = axes if order is None else order.letters
        named = "".join(next(missing) if c in axes and c not in _DEPTH else c for c in letters)
        raise UnfitImage(
            f"{volume.name!r} is a volume, [D, H, W], and {model.name} takes inputs of [{', '.join(axes)}], "
            f"axes={letters!r}: where slices, rows and columns go is not said; name them, as in axes={named!r}, or "
            "give a float array as it takes it"
        )
    if axes is not None:
        volume = volume.permuted([_DEPTH.index(letter) for letter in axes])
    tensor, seen = model.volume_to_input(volume)
    notes = [*volume.notes, *model.notes]
    if isinstance(model.preprocess, Preprocess):
        notes.insert(0, volume.measured.note(model.preprocess.values))
    return Item(
        tensor, None, volume.name, True, tuple(notes), scan=Scan(seen.measured.picture(), seen.spacing, seen.affine)
    )


def _picture(model: Model, image: Any, name: str = "") -> Item:
    photo = model.as_bands(image if isinstance(image, Photo) else read_image(image))
    axes = _positions(model)
    if axes is not None and sorted(axes) == sorted(_DEPTH):
        raise UnfitImage(
            f"{photo.name or 'this'!r} is one picture, and {model.name} takes inputs [{', '.join(axes)}]: give a NIfTI "
            "file, a folder of DICOM slices, or a float array"
        )
    order = None if model.inputs is None else model.inputs.order
    if order is not None and (len(order.positions) != _FLAT or order.positions == _PLANE[::-1]):
        frames = "frames as a uint8 array [T, H, W, 3], or " if order.positions == FRAMES else ""
        raise UnfitImage(
            f"{photo.name or 'this'!r} is one picture, [H, W], and {model.name} takes inputs of "
            f"[{', '.join(order.positions)}], axes={order.letters!r}: give {frames}a float array as it takes it"
        )
    tensor, view = model.to_input(photo)
    notes = [*photo.notes, *model.notes]
    if photo.measured is not None and isinstance(model.preprocess, Preprocess):
        notes.insert(0, photo.measured.note(model.preprocess.values))
    own, window = None, None
    if isinstance(model.preprocess, Preprocess):
        shown, (width, height) = model.preprocess.shown(photo.pixels), photo.pixels.size
        own = None if shown is None else np.asarray(shown)
        left, top, right, bottom = model.preprocess.window(height, width)
        window = left / width, top / height, right / width, bottom / height
        lost = model.preprocess.lost(height, width)
        if lost > _LITTLE:
            notes.append(_seen(lost))
    whole = photo.pixels.height, photo.pixels.width
    return Item(tensor, view, photo.name or name, True, tuple(notes), own, window, whole=whole)


def read_one(model: Model, given: Any, name: str) -> Item:
    """One image as `read_items` gives it, of what is in a file called ``name``, of a file, or of anything else. Raises
    what `read_items` does, and `UsageError` for several."""
    if isinstance(given, bytes):
        given = read_image_bytes(given, name)
    items, _ = read_items(model, str(given) if isinstance(given, Path) else given)
    if len(items) != 1:
        raise UsageError(f"{name!r} is {len(items)} images; give each by itself")
    return items[0]


def read_lean(model: Model, given: bytes | Path | Photo, name: str, *, coarse: bool = False) -> Item:
    """One picture, or volume, as an input with what it was made of, which pieces are cut by; without what only drawings
    of it need.

    ``given`` is a file, what is in one, or a picture; ``coarse`` has large JPEGs decoded at a fraction of their size,
    which is nearly the same (`Preprocess.coarsest`). Raises `ImageError` for what cannot be read, and `UsageError` for
    what is invalid.
    """
    if isinstance(given, Path) and is_scan(given):
        return replace(_volume(model, given), scan=None)
    ours = model.preprocess
    least = ours.coarsest if coarse and isinstance(ours, Preprocess) else None
    photo = model.as_bands(photo_in(given, name, least))
    odd = photo.measured is not None or photo.bands is not None
    if odd or not isinstance(ours, Preprocess) or ours.channels not in (1, 3):
        return replace(_picture(model, photo, name), photo=None)
    view = ours.view(photo.pixels)
    height, width = photo.pixels.height, photo.pixels.width
    lost = ours.lost(height, width)
    notes = [*photo.notes, *model.notes, *([_seen(lost)] if lost > _LITTLE else [])]
    return Item(ours.of_view(view), np.array(view.convert("RGB"), dtype=np.uint8), name, True, tuple(notes))


def _seen(lost: float) -> str:
    return (
        f"the model sees the middle {1 - lost:.0%} of this photo; --whole letterbox, in Python preprocess.whole(), "
        "shows it all"
    )


def _inputs(model: Model, values: Tensor | np.ndarray[Any, Any]) -> tuple[list[Item], bool]:
    if isinstance(values, np.ndarray):
        # a copy in native order: torch refuses negative strides and foreign byte orders, and warns of read-only memory
        values = torch.from_numpy(np.array(values, dtype=np.float64 if values.dtype.itemsize > 4 else np.float32))
    # a subclass (with what it knows of its file) computes in ways of its own, which no rule would see; a view that only
    # says that it is to be negated has other numbers in memory
    values = values.as_subclass(Tensor).resolve_conj().resolve_neg()
    if model.inputs is not None and model.inputs.order is not None:
        return _ordered(model, values, model.inputs.order)
    takes = intake(model.module)
    # where nothing tells, more axes than a batch of pictures has are positions; whether they are is tried later
    axes, channels = takes.axes if takes.told else max(values.ndim - 2, takes.axes), takes.channels
    shape, last = tuple(values.shape), model.channels_last
    if values.ndim > axes + 2 and axes == 2:
        raise UsageError(
            f"a float input of shape {shape} has more axes than one picture or a batch, {_axes(axes, last)}, and this "
            "model's first layer moves over two: if the others are frames or views, say which axis is which, "
            "seewhy.wrap(model, axes='BTCHW')"
        )
    if values.ndim not in (axes + 1, axes + 2):
        raise UsageError(f"a float input of shape {shape}; this model takes {_axes(axes, last)}, preprocessed")
    batch = values if values.ndim == axes + 2 else values[None]
    if 0 in shape:
        raise UsageError(f"a float input of shape {shape} is empty")
    if last and channels not in (None, batch.shape[-1]):
        raise UsageError(
            f"a float input of shape {shape}; this model has its channels last: {_axes(axes, last)} with {channels} "
            "channels. (Pictures as uint8 arrays are taken as they are)"
        )
    if last:
        batch = channels_first(model, batch)
    elif channels is not None and batch.shape[1] != channels and batch.shape[-1] == channels:
        raise UsageError(
            f"a float input of shape {shape} has its {channels} channels last; inputs have them first: "
            "array.transpose(2, 0, 1). (Pictures as uint8 arrays are taken as they are)"
        )
    several = len(batch) > 1
    items = [
        Item(row, _view(model, row), f"input {n}" if several else "", False) for n, row in enumerate(batch.unbind())
    ]
    return items, not several


def _ordered(model: Model, values: Tensor, order: AxisOrder) -> tuple[list[Item], bool]:
    """Inputs whose axes the caller has named."""
    shape, sample = tuple(values.shape), len(order.sample)
    if values.ndim not in (sample, sample + 1):
        one = f"[{', '.join(order.sample)}]"
        many = str(order) if order.batched else f"[B, {', '.join(order.sample)}]"
        raise UsageError(f"a float input of shape {shape}; axes={order.letters!r} takes {one} or {many}")
    if 0 in shape:
        raise UsageError(f"a float input of shape {shape} is empty")
    single = values.ndim == sample
    batch = order.canonical(values.unsqueeze(order.letters.index(BATCH) if order.batched else 0) if single else values)
    takes = intake(model.module).channels
    if CHANNELS in order.letters and takes not in (None, batch.shape[1]):
        raise UsageError(
            f"axes={order.letters!r} says that a float input of shape {shape} has {batch.shape[1]} channels; the first "
            f"layer of this model takes {takes}"
        )
    several = len(batch) > 1
    return [
        Item(row, _view(model, row), f"input {n}" if several else "", False, frames=_frames(model, row, order))
        for n, row in enumerate(batch.unbind())
    ], not several


def _frames(model: Model, row: Tensor, order: AxisOrder) -> np.ndarray[Any, Any] | None:
    """The pictures that the frames of an input [C, T, H, W] stand for, [T, H, W, 3]; None where that is not known."""
    if order.positions != FRAMES:
        return None
    views = [_view(model, row[:, n]) for n in range(row.shape[1])]
    return np.stack([view for view in views if view is not None]) if all(v is not None for v in views) else None


def _videos(model: Model, pixels: np.ndarray[Any, Any], order: AxisOrder) -> tuple[list[Item], bool]:
    """Videos of uint8 pixels [T, H, W, 3], or several, [B, T, H, W, 3], preprocessed frame by frame."""
    shape = pixels.shape
    if order.positions != FRAMES or CHANNELS not in order.letters or pixels.ndim not in (4, 5) or 0 in shape:
        raise UsageError(
            f"pixels of shape {shape} with axes={order.letters!r}: frames are uint8 [T, H, W, 3] where the axes are "
            "B, T, C, H and W; other inputs are float arrays, preprocessed"
        )
    alone = replace(model, inputs=Inputs((Explained(0, AxisOrder("BCHW")),)))  # of a frame
    videos = pixels if pixels.ndim == 5 else pixels[None]
    items = []
    for n, video in enumerate(videos):
        each = [_picture(alone, one) for one in video]
        tensor = torch.stack([item.tensor for item in each], 1)
        views = [item.view for item in each if item.view is not None]
        name = f"video {n}" if len(videos) > 1 else ""
        frames = np.stack(views) if len(views) == len(each) else None
        items.append(Item(tensor, None, name, True, each[0].notes, frames=frames))
    return items, len(videos) == 1


def _axes(axes: int, last: bool) -> str:
    """``[C, H, W] or [B, C, H, W]``, in words of the model's layout."""
    positions = ["L"] if axes == 1 else list("DHW"[-axes:] if axes else "")
    inner = ", ".join([*positions, "C"] if last else ["C", *positions])
    return f"[{inner}] or [B, {inner}]"


def channels_first(model: Model, batch: Tensor) -> Tensor:
    """A batch of inputs in the model's own layout as [B, C, *positions]."""
    if model.inputs is not None and model.inputs.order is not None:
        return model.inputs.order.canonical(batch)
    return batch.movedim(-1, 1) if model.channels_last else batch


def own_layout(model: Model, batch: Tensor) -> Tensor:
    """A batch [B, C, *positions] in the model's own layout: what `channels_first` takes back."""
    if model.inputs is not None and model.inputs.order is not None:
        return model.inputs.order.own(batch)
    return batch.movedim(1, -1) if model.channels_last else batch


def _view(model: Model, row: Tensor) -> np.ndarray[Any, Any] | None:
    if row.ndim != 3:
        return None
    return model.to_image(row.detach().to("cpu", torch.float32))


def same_shape(items: Sequence[Item]) -> Iterator[list[int]]:
    """Indices of items that can go through the network together, in order of first appearance."""
    groups: dict[Any, list[int]] = {}
    for index, item in enumerate(items):
        key = tuple(item.tensor.shape), item.tensor.dtype, item.tensor.device, item.pictured
        groups.setdefault(key, []).append(index)
    yield from groups.values()
