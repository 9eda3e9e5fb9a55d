"""Takes a timm model's name or a timm module, gives the network and its own metadata; never downloads."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seewhy.errors import ModelError, UnknownName, UsageError
from seewhy.models._scheme import ModelRequest, Scheme, from_file, no_weights, schemes, untrained
from seewhy.models.labels import imagenet_labels
from seewhy.models.model import Model
from seewhy.models.preprocess import Preprocess
from seewhy.models.weights import class_counts, fill, read_weights

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

__all__ = ["SCHEME", "metadata", "names"]

_LISTING = 'python -c "import timm; print(timm.list_models())"'


def _timm() -> Any:
    try:
        import timm
    except ImportError as error:
        raise ModelError("timm is not installed; pip install 'seewhy[models]'") from error
    return timm


def names() -> list[str]:
    """Every architecture of timm; raises `ModelError` if it is not installed."""
    architectures: list[str] = _timm().list_models()
    return architectures


def metadata(module: Any) -> tuple[Preprocess | None, tuple[str, ...] | None]:
    """A timm network's own preprocessing and, for 1000 classes, ImageNet's labels; None for the unknown."""
    try:
        preprocess = Preprocess.from_timm(module)
    except UsageError:  # four channels, say: no photo fits, tensors do
        preprocess = None
    return preprocess, imagenet_labels() if getattr(module, "num_classes", None) == 1000 else None


def load(request: ModelRequest) -> Model:
    """The network ``request.name`` (``resnet50``, or ``resnet50.a1_in1k`` with a tag) and its metadata."""
    timm, name = _timm(), request.name
    _check_name(timm, name)
    path = None if request.weights == "random" else _local_file(timm, name, request)
    state = None if path is None else read_weights(path, request.trust_pickle, request.part)
    taken = ""
    if state is None:
        module = untrained(lambda: timm.create_model(name, pretrained=False))
    else:
        module, taken = _filled(timm, name, state, f"weights file {str(path)!r}")
    preprocess, labels = metadata(module)
    return Model(
        module,
        name=name,
        spec=f"timm:{name}",
        preprocess=preprocess,
        labels=labels,
        weights=_words(path, request, taken),
        synonyms=labels is not None,
    )


def _check_name(timm: Any, name: str) -> None:
    architecture, _, tag = name.partition(".")
    # asked by exact name: the zoo would take "hf_hub:..." for a network address
    if architecture not in set(timm.list_models()):
        raise UnknownName("timm model", name, timm.list_models(), _LISTING)
    if tag and name not in set(timm.list_pretrained(f"{architecture}.*")):
        known = timm.list_pretrained(f"{architecture}.*")
        listing = f"python -c \"import timm; print(timm.list_pretrained('{architecture}.*'))\""
        raise UnknownName("timm model", name, known, listing)


def _local_file(timm: Any, name: str, request: ModelRequest) -> Path:
    """The caller's file, or the one that the Hugging Face cache already has."""
    if request.weights != "auto":
        return Path(request.weights)
    config = timm.get_pretrained_cfg(name)
    repository = config.hf_hub_id if config is not None else None
    if repository:
        from huggingface_hub import try_to_load_from_cache

        given = [config.hf_hub_filename] if config.hf_hub_filename else []
        for file in [*given, "model.safetensors", "pytorch_model.bin"]:
            cached = try_to_load_from_cache(repository, file)
            if isinstance(cached, str):
                return Path(cached)
    looked = f"{repository} in the Hugging Face cache" if repository else "a published file: there is none"
    raise ModelError(no_weights(f"timm:{name}", looked))


def _words(path: Path | None, request: ModelRequest, taken: str) -> str:
    if path is None:
        return "random"
    if request.weights == "auto":
        return f"{path.name} in the Hugging Face cache"
    return from_file(request.weights, taken)


def _filled(timm: Any, name: str, state: Mapping[str, Tensor], words: str) -> tuple[nn.Module, str]:
    """The network with ``state`` in it, and what of that was taken; a file in its authors' own names goes through
    timm's converter."""
    module: nn.Module = untrained(lambda: timm.create_model(name, pretrained=False))
    counts = class_counts(module, state)
    options = {} if counts is None else {"num_classes": counts[0]}
    if options:  # trained on somebody's own classes
        module = untrained(lambda: timm.create_model(name, pretrained=False, **options))
    convert = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)
    try:
        return module, fill(module, state, words)
    except ModelError as mismatch:
        if convert is None:
            raise
        try:
            return module, fill(module, convert(dict(state), module), words)
        except Exception:  # the converter fails in its own words; the first mismatch says more
            raise mismatch from None


SCHEME = schemes.add(Scheme("timm", "timm:NAME", load, names, _LISTING))
