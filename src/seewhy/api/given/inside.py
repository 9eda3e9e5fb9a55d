"""Where a photo's objects are in an input: takes masks of photos, follows one through the photo's own resize and crop;
runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from seewhy.api.given.images import Item
from seewhy.api.given.masks import Masks
from seewhy.errors import UsageError
from seewhy.models import Model, Preprocess

__all__ = ["Inside", "inside_of"]

#: ``inside`` and ``boxes`` around it, each [H, W] at the input's size; or why nobody knows
Inside = Mapping[str, NDArray[np.bool_]] | str


def inside_of(model: Model, objects: Masks | None, item: Item, listed: str, index: int) -> Inside:
    """Where the objects of class ``index`` are of a photo that its source has as ``listed``, as the input ``item``
    shows them, or why nobody knows."""
    if objects is None:
        return "nobody says where objects are"
    ours = model.preprocess
    size = tuple(item.tensor.shape[1:])
    whole = item.whole if item.pictured else (size if len(size) == 2 else None)
    if whole is None or (item.pictured and not isinstance(ours, Preprocess)):
        return "masks follow a seewhy.Preprocess of pictures, and neither a function nor a volume"
    try:
        found = objects.objects(listed, (whole[0], whole[1]), _meant(model, index))
    except UsageError as error:
        return str(error)
    rows = {"inside": found.inside, "boxes": found.boxes}
    if item.pictured:
        assert isinstance(ours, Preprocess)
        rows = {name: ours.of_mask(mask) for name, mask in rows.items()}
    if not rows["inside"].any():
        return "nothing of what its mask marks is in what the model sees of the photo"
    return rows


def _meant(model: Model, index: int) -> Callable[[str], bool]:
    """Whether an object of some name is of the class; names that the model does not know are of any."""

    def meant(name: str) -> bool:
        try:
            return model.find_label(name) == index
        except UsageError:
            return True

    return meant
