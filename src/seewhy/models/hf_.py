"""Takes a Hugging Face directory, or a name in its local cache, gives the network, its processor, labels; never
downloads or runs code of the directory."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from seewhy.errors import ModelError, UnsafeModel, one_line, reason
from seewhy.models._hf_processor import read_processor
from seewhy.models._missing_files import missing_file
from seewhy.models._scheme import ModelRequest, Scheme, no_weights, schemes, untrained
from seewhy.models.model import Model
from seewhy.models.onnx_ import guessed
from seewhy.models.weights import fill, read_weights

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["SCHEME"]

_FORM = "hf:NAME_OR_DIR"
_KINDS = {
    "ForImageClassification": "AutoModelForImageClassification",
    "ForSemanticSegmentation": "AutoModelForSemanticSegmentation",
    "ForObjectDetection": "AutoModelForObjectDetection",
    "ForDepthEstimation": "AutoModelForDepthEstimation",
}
#: of a backbone, which ends in features
_BACKBONE = "AutoModel"


def load(request: ModelRequest) -> Model:
    """The image classifier, the network for semantic segmentation, detection or depth, or the backbone without a head
    in the directory, in eval mode.

    Weights come from safetensors, or from a pickle that has no code in it. Raises `ModelError` for what cannot be
    read, `UnsafeModel` for a directory that wants code of its own to be run.
    """
    library = _library()
    folder, spec = _folder(request.name), f"hf:{request.name}"
    config = _json(folder / "config.json", spec)
    for name in ("config.json", "preprocessor_config.json", "processor_config.json"):
        _check_code(folder / name, spec)
    if config.get("quantization_config"):
        raise ModelError(f"{spec} is quantised, and its gradients are not those of a network; use the original weights")
    with _quiet(library):
        settings = _settings(library, folder, spec)
        builder = _builder(library, config, settings, spec)
        module = _filled(builder, settings, folder, request, spec)
        preprocess: Any
        preprocess, assumed = read_processor(folder, spec), ""
    if preprocess is None:
        size, channels = getattr(settings, "image_size", 224), getattr(settings, "num_channels", 3)
        height, width = (size, size) if isinstance(size, int) else tuple(size)
        if channels in (1, 3):
            preprocess, assumed = guessed("this directory", (height, width), channels, "unit")
    labels = _labels(settings)
    return Model(
        module.eval(),
        name=Path(request.name).name,
        spec=spec,
        preprocess=preprocess,
        labels=labels,
        weights=_words(request, folder),
        # ImageNet's own labels are lists of synonyms
        synonyms=labels is not None and len(labels) >= 1000,
        assumed=assumed,
    )


def _library() -> Any:
    try:
        return import_module("transformers")
    except ImportError as error:
        raise ModelError("transformers is not installed, which hf:DIR needs; pip install 'seewhy[hf]'") from error


def _folder(name: str) -> Path:
    """The directory itself, or the snapshot that the Hub's cache has of a name."""
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise ModelError(f"hf:{name} is a file; give the directory that holds its config.json")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise ModelError(f"cannot read hf:{name}: {missing_file(path)}")
    hub = import_module("huggingface_hub")
    try:
        cached = hub.try_to_load_from_cache(name, "config.json", cache_dir=hub.constants.HF_HUB_CACHE)
    except ValueError as error:  # not even a possible name
        raise ModelError(f"cannot read hf:{name}: {reason(error, 120)}") from error
    if not isinstance(cached, str):
        raise ModelError(
            f"no model {name!r} on this machine: no such directory, and not in the Hub's cache "
            f"({hub.constants.HF_HUB_CACHE}; nothing is downloaded): give the directory of a copy, hf:DIR"
        )
    return Path(cached).parent


def _json(path: Path, spec: str) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{spec} has no {path.name}: no Hugging Face directory (save_pretrained makes one)") from error
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"cannot read {path.name} of {spec}: {reason(error, 120)}") from error
    if not isinstance(content, dict):
        raise ModelError(f"cannot read {path.name} of {spec}: it holds a {type(content).__name__}, not an object")
    return content


def _check_code(path: Path, spec: str) -> None:
    """Refuse what names classes outside transformers: they would be imported from the directory, or from the Hub."""
    wanted = _json(path, spec).get("auto_map") if path.is_file() else None
    if wanted:
        first = next(iter(wanted.values()), wanted) if isinstance(wanted, dict) else wanted
        raise UnsafeModel(
            f"{spec} wants code of its own to be run ({path.name} names {one_line(first, 60)!r}), which seewhy never "
            "does; build the network yourself: python:package.module:callable"
        )


@contextmanager
def _quiet(library: Any) -> Iterator[None]:
    """Without the library's progress bars and remarks; as they were afterwards."""
    logging = library.utils.logging
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def _settings(library: Any, folder: Path, spec: str) -> Any:
    try:
        return library.AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    except Exception as error:  # anything, depending on the architecture
        raise ModelError(f"cannot read config.json of {spec}: {reason(error, 160)}") from error


def _builder(library: Any, config: dict[str, Any], settings: Any, spec: str) -> Any:
    """The class of transformers that the directory asks for."""
    names = config.get("architectures") or []
    kind = next((auto for words, auto in _KINDS.items() for name in names if words in str(name)), "")
    kind = kind or (_BACKBONE if any(str(name).endswith("Model") for name in names) else "")
    mapping = getattr(library, kind)._model_mapping if kind else {}
    classes = mapping[type(settings)] if kind and type(settings) in mapping else ()
    several = classes if isinstance(classes, tuple) else (classes,)
    if kind == _BACKBONE:  # of everything that there is, what takes pictures and no words
        takes = [class_ for class_ in several if getattr(class_, "main_input_name", "") == "pixel_values"]
        several = tuple(class_ for class_ in takes if class_.__name__ in names)
    if not several:
        listed = ", ".join(map(str, names)) or "nothing in particular"
        raise ModelError(
            f"{spec} is {one_line(listed, 80)}; known: ...ForImageClassification, ...ForSemanticSegmentation, "
            "...ForObjectDetection, ...ForDepthEstimation, and ...Model of pictures"
        )
    return next((class_ for class_ in several if class_.__name__ in names), several[0])


def _filled(builder: Any, settings: Any, folder: Path, request: ModelRequest, spec: str) -> nn.Module:
    """The network with its weights; attention step by step, and never by a kernel from elsewhere."""
    if request.weights != "auto":
        network: nn.Module = untrained(lambda: builder._from_config(settings, attn_implementation="eager"))
        if request.weights != "random":
            state = read_weights(request.weights, request.trust_pickle, request.part)
            fill(network, state, f"weights file {str(request.weights)!r}")
        return network
    options: dict[str, Any] = {"config": settings, "attn_implementation": "eager", "output_loading_info": True}
    source: str | None = None
    if _files(folder, "model.safetensors", spec):
        source = str(folder)
        options |= {"use_safetensors": True, "local_files_only": True}
    else:
        options["state_dict"] = _pickled(folder, request, spec)
    try:
        network, info = builder.from_pretrained(source, **options)
    except Exception as error:  # the library raises what the file or the architecture makes it stumble over
        raise ModelError(f"cannot load the weights of {spec}: {reason(error, 160)}") from error
    lacking = sorted(map(str, [*info.get("missing_keys", ()), *info.get("mismatched_keys", ())]))
    if lacking:  # the library would go on with random numbers
        raise ModelError(
            f"the weights of {spec} do not fit {builder.__name__}: {len(lacking)} of its tensors are missing or of "
            f"another shape ({one_line(lacking[0], 60)})"
        )
    return network


def _pickled(folder: Path, request: ModelRequest, spec: str) -> dict[str, Tensor]:
    """The tensors in pytorch_model.bin, all its pieces, by our own rules for pickles."""
    files = _files(folder, "pytorch_model.bin", spec)
    if not files:
        raise ModelError(no_weights(spec, str(folder / "model.safetensors")))
    return {key: value for file in files for key, value in read_weights(file, request.trust_pickle).items()}


def _files(folder: Path, name: str, spec: str) -> list[Path]:
    """The weights called ``name``: one file, or the pieces in its index, all of the folder itself."""
    if (folder / name).is_file():
        return [folder / name]
    index = folder / f"{name}.index.json"
    if not index.is_file():
        return []
    pieces = _json(index, spec).get("weight_map")
    names = sorted({str(piece) for piece in pieces.values()}) if isinstance(pieces, dict) else []
    if outside := next((piece for piece in names if not re.fullmatch(r"[\w.-]+", piece) or piece.startswith(".")), ""):
        raise UnsafeModel(f"{spec} keeps weights in {one_line(outside, 80)!r}, which is no file of its own directory")
    return [folder / piece for piece in names]


def _labels(settings: Any) -> tuple[str, ...] | None:
    """The configuration's class names; None for the placeholders that stand there where nobody named any."""
    names = getattr(settings, "id2label", None) or {}
    if sorted(names) != list(range(len(names))) or not names:
        return None
    labels = tuple(str(names[number]) for number in range(len(names)))
    return None if all(label == f"LABEL_{number}" for number, label in enumerate(labels)) else labels


def _words(request: ModelRequest, folder: Path) -> str:
    if request.weights == "auto":
        return f"directory {folder}"
    return "random" if request.weights == "random" else f"file {request.weights}"


SCHEME = schemes.add(Scheme("hf", _FORM, load, list, "python -m pydoc seewhy.models.loader"))
