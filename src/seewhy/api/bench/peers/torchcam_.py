"""torchcam: takes a question, gives its maps after its ReLU, before its min-max; computes nothing of ours."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from seewhy.api.bench.peers import Asked
from seewhy.api.bench.racing import Contestant

__all__ = ["LIBRARY", "PACKAGE", "contestants"]

LIBRARY, PACKAGE = "torchcam", "torchcam"

_CAMS = {"grad-cam": "GradCAM", "grad-cam-pp": "GradCAMpp", "layer-cam": "LayerCAM", "xgrad-cam": "XGradCAM"}
#: of Score-CAM's forwards: samples in one
_BATCHES = (16, 32)
#: forwards that a probe makes
_PROBED = 2


def contestants(asked: Asked) -> list[Contestant]:
    """Class activation maps; Score-CAM at the best of two batch sizes. Raises `ImportError` without the library."""
    methods = import_module("torchcam.methods")
    if asked.method in _CAMS:
        return [Contestant(LIBRARY, _map(getattr(methods, _CAMS[asked.method]), asked), form="relu")]
    if asked.method == "score-cam":
        return [
            Contestant(
                LIBRARY,
                _map(methods.ScoreCAM, asked, batch_size=batch),
                setting=f"batch_size={batch}",
                form="relu",
                probe=partial(_forwards, asked, batch),
            )
            for batch in _BATCHES
        ]
    return []


def _map(kind: Any, asked: Asked, **given: int) -> Callable[[], NDArray[Any]]:
    gradients = "batch_size" not in given

    def run() -> NDArray[Any]:
        cam = kind(asked.module, asked.layer, input_shape=tuple(asked.x.shape[1:]), **given)
        with cam as extractor, torch.set_grad_enabled(gradients):
            scores = asked.module(asked.x)
            maps = extractor(list(asked.target), scores, normalized=False)[0]
        return np.asarray(maps.detach().cpu().numpy())

    return run


def _forwards(asked: Asked, batch: int) -> None:
    """Forwards of as many samples in all, whatever the batch: Score-CAM here is nothing else."""
    with torch.no_grad():
        for _ in range(_PROBED * max(_BATCHES) // batch):
            asked.module(asked.x[:1].expand(batch, *asked.x.shape[1:]).contiguous())
