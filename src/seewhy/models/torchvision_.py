"""Takes a torchvision classifier's name, gives the network, its preprocessing, labels; never downloads."""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import urlparse

import torch
from torch import Tensor

from seewhy.errors import ModelError, UnknownName, UsageError
from seewhy.models._scheme import ModelRequest, Scheme, from_file, no_weights, schemes, untrained
from seewhy.models.model import Model
from seewhy.models.preprocess import Preprocess
from seewhy.models.weights import Weights, class_counts, fill, read_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["SCHEME", "names"]

_LISTING = 'python -c "import torchvision; print(torchvision.models.list_models(module=torchvision.models))"'


def names() -> list[str]:
    """Every image classifier of torchvision; raises `ModelError` if it is not installed."""
    zoo = _zoo()
    architectures: list[str] = zoo.list_models(module=zoo)
    return architectures


def _zoo() -> Any:
    try:
        from torchvision import models
    except ImportError as error:
        raise ModelError("torchvision is not installed; pip install 'seewhy[models]'") from error
    return models


def load(request: ModelRequest) -> Model:
    """The classifier ``request.name``; preprocessing and labels are those of torchvision's own weights."""
    zoo, name, spec = _zoo(), request.name, f"torchvision:{request.name}"
    if name not in names():
        if name in zoo.list_models():
            raise UsageError(f"{spec} is no image classifier; build it yourself: python:package.module:callable")
        raise UnknownName("torchvision model", name, names(), _LISTING)
    record, path = _choose(list(zoo.get_model_weights(name)), zoo.get_model_weights(name).DEFAULT, request)
    state = None if path is None else _modern(read_weights(path, request.trust_pickle, request.part))
    module = untrained(lambda: zoo.get_model(name, weights=None, **_options(name, state)))
    counts = class_counts(module, state) if state is not None else None
    if counts is not None and state is not None:  # trained on somebody's own classes
        options = _options(name, state)
        module = untrained(lambda: zoo.get_model(name, weights=None, num_classes=counts[0], **options))
    taken = "" if state is None else fill(module, state, f"weights file {str(path)!r}")
    return Model(
        module,
        name=name,
        spec=spec,
        preprocess=Preprocess.from_torchvision(record.transforms()),
        labels=tuple(record.meta["categories"]) if counts is None else None,
        weights=_words(record, path, request, taken),
    )


def _choose(records: list[Any], default: Any, request: ModelRequest) -> tuple[Any, Path | None]:
    """Whose preprocessing, and which file: the caller's, or whatever torch.hub has already fetched."""
    if request.weights == "random":
        return default, None
    records = [default, *(record for record in records if record is not default)]
    if request.weights != "auto":
        path = Path(request.weights)
        return next((record for record in records if _file_name(record) == path.name), default), path
    folder = Path(torch.hub.get_dir()) / "checkpoints"
    for record in records:
        if (folder / _file_name(record)).is_file():
            return record, folder / _file_name(record)
    raise ModelError(no_weights(f"torchvision:{request.name}", str(folder / _file_name(default))))


def _file_name(record: Any) -> str:
    return PurePosixPath(urlparse(record.url).path).name


def _words(record: Any, path: Path | None, request: ModelRequest, taken: str) -> str:
    if path is None:
        return "random"
    return f"{record} in torch.hub's cache" if request.weights == "auto" else from_file(request.weights, taken)


def _options(name: str, state: Mapping[str, Tensor] | None) -> dict[str, Any]:
    """What the two networks with side exits need: exits if the file has them, the published scaling."""
    if name not in {"inception_v3", "googlenet"}:
        return {}
    side = state is not None and any(".AuxLogits." in f".{key}" or re.search(r"(^|\.)aux1\.", key) for key in state)
    return {"aux_logits": side, "transform_input": state is not None, "init_weights": state is None}


def _modern(state: Weights) -> Weights:
    """DenseNet files still carry names with a dot that module names may no longer have."""
    names = {key: re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12]\.)", r"\1\2", key) for key in state}
    return Weights({names[key]: value for key, value in state.items()}, state.found)


SCHEME = schemes.add(Scheme("torchvision", "torchvision:NAME", load, names, _LISTING))
