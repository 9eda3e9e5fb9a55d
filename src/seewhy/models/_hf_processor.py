"""Takes a Hugging Face directory, gives what its image processor does to a picture; never guesses: what cannot be
said in our own steps is the processor itself."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from seewhy.errors import ModelError, UsageError, reason
from seewhy.models.preprocess import Preprocess, agree

__all__ = ["read_processor"]

_FILES = ("preprocessor_config.json", "processor_config.json")
#: pictures whose crops are rounded differently in height and width
_SHAPES = ((61, 47), (47, 61), (50, 40), (40, 51), (53, 53))
_RESAMPLING = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


def read_processor(folder: Path, spec: str) -> Preprocess | Callable[[Image.Image], Tensor] | None:
    """The processor as a `Preprocess` where that gives the same input, else as a callable; None if there is none."""
    if not any((folder / name).is_file() for name in _FILES):
        return None
    try:
        processor = import_module("transformers").AutoImageProcessor.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:  # anything, depending on the processor
        raise ModelError(f"cannot read the image processor of {spec}: {reason(error, 160)}") from error

    def process(image: Image.Image) -> Tensor:
        pixels = processor(images=image.convert("RGB"), return_tensors="pt")["pixel_values"]
        return torch.as_tensor(pixels)[0].float()

    for floor in (False, True):
        try:
            ours = Preprocess(**_steps(processor), floor=floor)
            for shape in _SHAPES:
                agree(ours, process, shape)
        except (UsageError, AttributeError, KeyError, TypeError, ValueError):  # steps that have no counterpart here
            continue
        return ours
    return process


def _steps(processor: Any) -> dict[str, Any]:
    """The fields of a `Preprocess` that the processor's settings amount to; `agree` decides whether they do."""
    size, crop = _size(processor.size), _size(getattr(processor, "crop_size", None))
    cropped = bool(getattr(processor, "do_center_crop", False)) and crop is not None
    resize: Any = size if getattr(processor, "do_resize", False) else None
    mode, percent = "squash" if isinstance(resize, tuple) else "crop", getattr(processor, "crop_pct", None)
    if percent and isinstance(size, int):  # ConvNeXt: a central part of small inputs, all of large ones
        final: Any = (size, size)
        resize, mode = (int(size / percent), "crop") if size < 384 else (final, "squash")
    else:
        final = crop if cropped else size
    factor = 255 * (processor.rescale_factor if getattr(processor, "do_rescale", False) else 1.0)
    normal = bool(getattr(processor, "do_normalize", False))
    mean = tuple(processor.image_mean) if normal else (0.0,) * 3
    std = tuple(processor.image_std) if normal else (1.0,) * 3
    return {
        "size": final,
        "resize": resize,
        "mode": mode,
        "mean": tuple(float(value) / factor for value in mean),
        "std": tuple(float(value) / factor for value in std),
        "interpolation": _RESAMPLING[int(getattr(processor, "resample", 2))],
    }


def _size(size: Any) -> Any:
    """(height, width), or the length of the shorter side; None for anything else."""
    if size is None:
        return None
    if isinstance(size, int):
        return size, size
    read: Any = size.get if hasattr(size, "get") else lambda key: getattr(size, key, None)
    if read("height") and read("width"):
        return int(read("height")), int(read("width"))
    return int(read("shortest_edge")) if read("shortest_edge") and not read("longest_edge") else None
