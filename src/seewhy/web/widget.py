"""``seewhy.view``: takes explanations, gives the workbench's viewer for a notebook's cell, which looks at them and asks
nothing."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np
from PIL import Image

from seewhy.errors import CapabilityError, UsageError
from seewhy.explanation import Explanation, Explanations
from seewhy.web.encoding import plainly
from seewhy.web.photos import jpeg
from seewhy.web.results import colours, told_of, values_of

__all__ = ["view"]

#: pixels of a photo's longer side, and bytes of all that a cell holds, in which it is saved
_SIDE, _LARGEST = 1024, 32 * 2**20


def view(explanations: Explanation | Sequence[Explanation]) -> Any:
    """Maps side by side in a notebook, with one crosshair that tells each one's value at a place, zoom, opacity,
    threshold and scale: the viewer of ``seewhy serve``, read-only, with the numbers in the notebook itself.

    ``explanations`` is what `seewhy.explain` or `explain_all` gave, or a list of explanations of pictures. Gives an
    `anywidget.AnyWidget`, which a notebook shows as a cell's last value; its ``data`` is what the viewer is given.
    Raises `CapabilityError` without anywidget (extra ``notebook``), and `UsageError` for maps of no picture, for none,
    and for more than 32 MiB of them.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 2))
    >>> seewhy.view(seewhy.explain(net, torch.rand(1, 3, 4, 4), "saliency")).data["results"][0]["method"]
    'saliency'
    """
    given: Any = explanations
    some: list[Explanation] = list(given) if isinstance(given, Sequence) and not isinstance(given, str) else [given]
    if not some or not all(isinstance(each, Explanation) for each in some):
        raise UsageError("view takes an explanation, or several: what seewhy.explain and explain_all give")
    try:
        import anywidget
        import traitlets
    except ImportError:
        raise CapabilityError("view takes anywidget, which is not installed: pip install 'seewhy[notebook]'") from None
    results = [_told(one) for one in some]
    size = sum(len(each["values"]) + len(each["photo"]) for each in results)
    if size > _LARGEST:
        raise UsageError(
            f"{len(some)} maps of {size / 2**20:.0f} MiB: a cell of a notebook holds 32, view some of them"
        )
    built = files("seewhy.web") / "built"
    data = {"results": results, "colormaps": plainly(colours())}

    class View(anywidget.AnyWidget):
        """The viewer."""

        _esm = (built / "widget.js").read_text(encoding="utf-8")
        _css = (built / "widget.css").read_text(encoding="utf-8")
        data = traitlets.Dict().tag(sync=True)

        def __repr__(self) -> str:
            return f"View({Explanations(some)!r})"

    return View(data=data)


def _told(one: Explanation) -> dict[str, Any]:
    """What the viewer has to know of an explanation, and its numbers."""
    told = told_of(one, "")
    if told["map"] is None:
        raise UsageError(f"{one.method} of {one.target!r} is no map of a picture: view() shows those")
    height, width = one.size if one.photo is None else one.photo.shape[:2]
    ground = one.photo if one.photo is not None else one.image
    pixels = np.full((height, width, 3), 128, dtype=np.uint8) if ground is None else ground
    data = base64.b64encode(jpeg(Image.fromarray(pixels), _SIDE)).decode("ascii")
    seen = told["window"] if one.photo is not None else [0, 0, 1, 1]
    plain: dict[str, Any] = plainly({**told, "id": "", "name": one.name, "figure": None, "window": seen})
    return plain | {
        "photo": f"data:image/jpeg;base64,{data}",
        "values": base64.b64encode(values_of(one)).decode("ascii"),
    }
