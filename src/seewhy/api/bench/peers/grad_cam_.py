"""pytorch-grad-cam: takes a question, gives its maps before its ReLU, min-max and resizing; computes nothing of
ours."""

from __future__ import annotations

import contextlib
import copy
import io
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from seewhy.api.bench.peers import Asked
from seewhy.api.bench.racing import Contestant

__all__ = ["LIBRARY", "PACKAGE", "contestants"]

LIBRARY, PACKAGE = "pytorch-grad-cam", "grad-cam"

_CAMS = {
    "grad-cam": "GradCAM",
    "grad-cam-elementwise": "GradCAMElementWise",
    "grad-cam-pp": "GradCAMPlusPlus",
    "hires-cam": "HiResCAM",
    "layer-cam": "LayerCAM",
    "xgrad-cam": "XGradCAM",
}
#: with a forward for every channel; Ablation-CAM divides by the score itself
_SCORED = {"score-cam": ("ScoreCAM", ""), "ablation-cam": ("AblationCAM", "factor")}
#: of its forwards: samples in one
_BATCHES = (16, 32)
#: channels of the activation that a probe goes through
_PROBED = 64


def contestants(asked: Asked) -> list[Contestant]:
    """Class activation maps, those with a forward a channel at the best of two batch sizes, and guided backpropagation,
    which takes images one by one there. Raises `ImportError` where the library is not installed."""
    library = import_module("pytorch_grad_cam")
    if asked.method in _CAMS:
        return [Contestant(LIBRARY, _map(library, _CAMS[asked.method], asked))]
    if asked.method in _SCORED:
        kind, form = _SCORED[asked.method]
        return [
            Contestant(
                LIBRARY,
                _map(library, kind, asked, batch_size=batch),
                setting=f"batch_size={batch}",
                form=form,
                probe=partial(_few_channels, _map(library, kind, asked, batch_size=batch), asked),
            )
            for batch in _BATCHES
        ]
    if asked.method == "guided-backprop":
        # on a copy of its own: it puts other modules in the place of every ReLU, and plain ones back, not the old
        peer = library.GuidedBackpropReLUModel(copy.deepcopy(asked.module), device=str(asked.x.device))
        return [Contestant(LIBRARY, lambda: _one_by_one(peer, asked))]
    return []


def _map(library: Any, kind: str, asked: Asked, **later: int) -> Callable[[], NDArray[Any]]:
    """A call of ``kind``; ``later`` is set on it, because not all of them take it when they are made."""
    goal = import_module("pytorch_grad_cam.utils.model_targets").ClassifierOutputTarget

    def run() -> NDArray[Any]:
        kept: list[NDArray[Any]] = []
        with contextlib.redirect_stderr(io.StringIO()), getattr(library, kind)(asked.module, [asked.place]) as cam:
            vars(cam).update(later)
            raw = cam.get_cam_image

            def keep(*given: Any, **named: Any) -> NDArray[Any]:
                kept.append(np.asarray(raw(*given, **named)))
                return kept[-1]

            cam.get_cam_image = keep
            cam(asked.x, targets=[goal(k) for k in asked.target])
        return kept[0]

    return run


def _few_channels(run: Callable[[], NDArray[Any]], asked: Asked) -> None:
    """``run`` until so many channels have gone through the network: nothing in the library cuts it short."""
    seen = 0

    class Enough(Exception):
        pass

    forward = asked.module.forward

    def counted(x: Any) -> Any:
        nonlocal seen
        if seen >= _PROBED:
            raise Enough
        seen += len(x)
        return forward(x)

    asked.module.forward = counted  # of the copy that peers get, and put back below
    layers = dict(asked.module.named_modules(remove_duplicate=False))
    try:
        run()
    except Enough:
        pass
    finally:
        del asked.module.forward
        # Ablation-CAM had put a layer of its own into the network
        for name, part in layers.items():
            if name and asked.module.get_submodule(name) is not part:
                parent, _, last = name.rpartition(".")
                setattr(asked.module.get_submodule(parent), last, part)


def _one_by_one(peer: Any, asked: Asked) -> NDArray[Any]:
    rows = [peer(row[None].clone(), target_category=k) for row, k in zip(asked.x, asked.target, strict=True)]
    return np.stack(rows).transpose(0, 3, 1, 2)
