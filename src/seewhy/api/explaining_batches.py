"""Batches of a data set: takes a model and a `DataLoader`, or anything else that gives batches, gives the explanations
of one batch after the other; holds no more than one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from torch import Tensor, nn

from seewhy.api.explaining import explain_all
from seewhy.errors import UsageError
from seewhy.explanation import Explanations
from seewhy.models import Model
from seewhy.models.loader import taken

__all__ = ["explain_batches"]

#: what batches that are mappings call their images
_KEYS = ("image", "images", "pixel_values", "img", "x", "input", "inputs")


def explain_batches(
    model: Model | nn.Module | Callable[[Tensor], Any] | str, batches: Iterable[Any], *args: Any, **asked: Any
) -> Iterator[Explanations]:
    """The explanations of each batch, as they come: for data sets that are larger than what fits into memory.

    ``batches`` is a `torch.utils.data.DataLoader`, or any iterable of batches: tensors [B, C, H, W] that are inputs
    already, lists of photos, or tuples ``(images, labels, ...)`` and mappings with ``"image"`` or ``"pixel_values"`` in
    them, of which the images are explained. Everything else is as in `explain_all`. Raises `UsageError` for a batch in
    which no images are found.

    >>> import torch, seewhy
    >>> from torch.utils.data import DataLoader, TensorDataset
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2))
    >>> loader = DataLoader(TensorDataset(torch.rand(5, 3, 8, 8), torch.arange(5)), batch_size=2)
    >>> [len(maps) for maps in seewhy.explain_batches(net, loader, "saliency", target=1)]
    [2, 2, 1]
    """
    if isinstance(batches, Tensor | np.ndarray | str | Mapping) or not isinstance(batches, Iterable):
        raise UsageError(
            f"explain_batches takes an iterable of batches such as a DataLoader, not a {type(batches).__name__}; for "
            "one batch: explain_all"
        )
    wrapped = taken(model)
    return (explain_all(wrapped, _images(batch), *args, **asked) for batch in batches)


def _images(batch: Any) -> Any:
    """The images of a batch, which may have labels and more beside them."""
    if isinstance(batch, Mapping):
        for key in _KEYS:
            if key in batch:
                return batch[key]
        raise UsageError(
            f"a batch is a mapping with {', '.join(map(str, batch))}: which are the images? Give those alone"
        )
    if isinstance(batch, tuple | list) and len(batch) and isinstance(batch[0], Tensor | np.ndarray):
        others = {getattr(part, "ndim", 0) for part in batch[1:]}
        if others != {batch[0].ndim}:  # labels and their like beside the images, or nothing
            return batch[0]
    return batch
