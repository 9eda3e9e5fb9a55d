"""Takes a spec or a network in hand, gives a Model; never downloads or changes a network it was handed."""

from __future__ import annotations

import dataclasses
import difflib
import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

from seewhy.core.network.differentiable_function import DifferentiableFunction
from seewhy.errors import ModelError, SeewhyError, UnknownName, UsageError, nearest, one_line, reason
from seewhy.models._scheme import ModelRequest, Scheme, schemes
from seewhy.models.input_shape import intake
from seewhy.models.inputs import Axes, inputs_of
from seewhy.models.labels import Labels, read_labels
from seewhy.models.model import Model
from seewhy.models.preprocess import Preprocess

__all__ = ["load", "schemes", "taken", "wrap"]

_LISTING = "python -m pydoc seewhy.models.loader"


def _scheme(entry: Any) -> list[Scheme]:
    """What an entry point of another package is to name. Raises `UsageError` for anything else."""
    if not isinstance(entry, Scheme):
        raise UsageError(f"it names a {type(entry).__name__}, where a seewhy.extend.Scheme is needed")
    return [entry]


schemes.open_to("seewhy.models", _scheme)

#: files that hold a network and its weights, by how their names end
_FILES = {".onnx": "onnx", ".pt2": "pt2", ".keras": "keras"}

PreprocessLike = Preprocess | Callable[[Image.Image], Tensor] | str


def load(
    spec: str = "builtin",
    *,
    weights: str | Path | None = "auto",
    trust_pickle: bool = False,
    labels: Labels | None = None,
    preprocess: PreprocessLike | None = None,
    device: str | torch.device = "cpu",
    dtype: torch.dtype | None = None,
    arguments: Mapping[str, Any] | None = None,
    weights_part: str = "",
) -> Model:
    """The network that ``spec`` names, in eval mode, with its preprocessing and labels.

    ``spec`` is ``builtin``, ``torchvision:NAME``, ``timm:NAME``, ``keras:FILE.keras``, ``keras:NAME`` (of
    keras.applications), ``onnx:FILE``, ``hf:NAME_OR_DIR``, ``pt2:FILE``, ``python:package.module:callable``, or what
    other packages add (`seewhy.extend`).
    ``weights`` is "auto" (what is already on this machine), "random" (untrained, the same every time) or a
    file; nothing is ever downloaded. A file with another number of classes gives the network that many,
    without labels; of a file with several networks ``weights_part`` names one. ``arguments`` go to the callable that
    builds the network. ``labels`` and ``preprocess`` (a `Preprocess`, a callable, or the name of a
    `Preprocess.preset`) replace the network's own. Raises `UnknownName` for a name,
    `ModelError` for weights or code that cannot be loaded, `UnsafeModel` for a file that would run code
    (unless ``trust_pickle``), `UsageError` else.
    """
    if not isinstance(spec, str):
        raise UsageError(
            f"load takes a spec such as 'builtin', not a {type(spec).__name__}; for one in hand: wrap(...)"
        )
    _check_place(device, dtype)
    scheme, _, name = spec.strip().partition(":")
    if scheme not in schemes:
        raise _unknown(spec.strip())
    if name == "" and scheme != "builtin":
        raise UsageError(f"{spec!r} names no model; type {schemes[scheme].form}. List them: {schemes[scheme].listing}")
    if arguments and not schemes[scheme].builds:
        raise UsageError(f"{spec}: arguments are for what builds a network: python:package.module:callable")
    weights = "auto" if weights is None else weights
    if weights_part and str(weights) in ("auto", "random"):
        raise UsageError(f"--weights-part {weights_part}: of which file? give --weights FILE, too")
    request = ModelRequest(name, weights, trust_pickle, dict(arguments or {}), weights_part)
    chosen = _made(schemes[scheme], request, spec.strip())
    model = _override(chosen, labels, preprocess)
    if isinstance(model.module, nn.Module):
        try:
            if any(part.training for part in model.module.modules()):  # exported graphs refuse even to be asked
                model.module.eval()
            model.module.to(device=device, dtype=dtype)
        except (RuntimeError, AssertionError, NotImplementedError) as error:  # a device that is not there
            raise ModelError(f"cannot put {spec} on device {str(device)!r}: {reason(error, 120)}") from error
    return model


def _made(scheme: Scheme, request: ModelRequest, spec: str) -> Model:
    """What the scheme loads; what another package's loader does wrong is told in a line that names the package."""
    package = schemes.package(scheme.name)
    if not package:
        return scheme.load(request)
    try:
        model = scheme.load(request)
    except SeewhyError:
        raise
    except (Exception, SystemExit) as error:  # its code may raise anything, or end the process
        raise ModelError(f"cannot load {spec}: the loader of {package} fails: {reason(error)}") from error
    if not isinstance(model, Model):
        raise ModelError(f"cannot load {spec}: the loader of {package} gives a {type(model).__name__}, not a Model")
    return model if model.spec else dataclasses.replace(model, spec=spec)


def _check_place(device: str | torch.device, dtype: torch.dtype | None) -> None:
    """Before seconds are spent on loading: the words for a device and a type must mean something."""
    try:
        torch.device(device)
    except (RuntimeError, TypeError) as error:
        raise UsageError(f"no device {str(device)!r}; known: cpu, cuda, cuda:0, mps, xpu and torch's others") from error
    if dtype is not None and not (isinstance(dtype, torch.dtype) and dtype.is_floating_point):
        raise UsageError(f"a network's dtype is a floating-point torch.dtype such as torch.float64, not {dtype!r}")


def wrap(
    module: Any,
    *,
    preprocess: PreprocessLike | None = None,
    labels: Labels | None = None,
    name: str | None = None,
    inputs: Mapping[str | int, Any] | None = None,
    explained: str | int | Sequence[str | int] | None = None,
    axes: Axes | None = None,
    differentiable: bool = False,
) -> Model:
    """A `Model` around a network in hand, which stays exactly as it is: its mode, device, hooks and values.

    ``module`` is a `torch.nn.Module`, a `keras.Model`, any callable from inputs to outputs, or a `Model` (given
    back with what is replaced). ``labels`` is a sequence, a mapping of number to name, or a .txt or .json
    file's path. A timm network brings its own preprocessing and labels where none are given.

    ``inputs`` holds inputs of a network that has several, by name or number. A tensor or array of one row, [1, ...],
    is the same for every image; for a torch network everything else is handed on as it is (twenty prompts, a flag).
    ``explained`` names the inputs that maps are made of, if that is not the first one that is not held; of several, an
    image is a mapping by their names (torch networks and functions). ``axes`` are those of the explained input, a
    letter each: ``"BTCHW"`` for frames, ``"BF"`` for rows of features, ``B`` the batch, ``C`` the channels, others
    positions; without ``B`` the network takes one sample at a time; a mapping by name for several inputs.
    ``differentiable`` says of a function that torch can differentiate it: gradient methods take it, too.

    Raises `UsageError` for what cannot be called, for names that are no inputs, for axes that cannot be, and for
    networks that take words first.

    >>> wrap(torch.nn.Flatten(), labels=["cat", "dog"]).find_label("DOG")
    1
    """
    if "keras" in sys.modules:  # without it nothing is a model of its
        from seewhy.models import keras_

        if keras_.is_keras_model(module):
            if explained is not None or axes is not None:
                raise UsageError(
                    "explained= and axes= are for networks of torch; of a Keras model hold the other inputs"
                )
            return _override(keras_.in_hand(module, name, inputs), labels, preprocess)
    if isinstance(module, Model):
        model = module if name is None else dataclasses.replace(module, name=name)
        called = inputs_of(model.module, inputs, explained, axes)
        return _override(model if called is None else dataclasses.replace(model, inputs=called), labels, preprocess)
    if isinstance(module, str | Path):
        raise UsageError(f"wrap takes a network, not the text {str(module)!r}; to load one by name: load(...)")
    if inspect.isclass(module) or not callable(module):
        what = f"the class {module.__name__}" if inspect.isclass(module) else f"a {type(module).__name__}"
        raise UsageError(f"wrap takes a torch.nn.Module or a function from inputs to outputs, not {what}")
    called = inputs_of(module, inputs, explained, axes)
    if called is None:
        _check_sees(module)
    from seewhy.models import pt2_

    if pt2_.is_exported(module):
        name, module = name or "exported program", pt2_.in_hand(module)
    shown = name or getattr(module, "__name__", None) or type(module).__name__
    own_preprocess, own_labels = _metadata(module)
    model = Model(
        DifferentiableFunction(module) if differentiable and not isinstance(module, nn.Module) else module,
        name=str(shown),
        preprocess=own_preprocess,
        labels=own_labels,
        weights="in hand",
        synonyms=own_labels is not None,
        inputs=called,
    )
    return _override(model, labels, preprocess)


def taken(model: Any) -> Model:
    """What is given for a model: words are loaded, anything else is a network in hand."""
    return load(model) if isinstance(model, str) else wrap(model)


#: axes of positions of a network of volumes
_OF_VOLUMES = 3
#: what a network of words calls its first input
_WORDS = ("input_ids", "inputs_embeds", "decoder_input_ids")


def _check_sees(module: Any) -> None:
    """Refuse a transformers network whose first input is text: the picture would be taken for words."""
    if "transformers" not in sys.modules or not hasattr(module, "main_input_name") or not hasattr(module, "config"):
        return
    takes = list(inspect.signature(module.forward).parameters)
    if not takes or takes[0] not in _WORDS:
        return
    kind, seeing = type(module).__name__, getattr(module, "vision_model", None)
    part = "its part that sees (model.vision_model)" if seeing is not None else "a network that takes pictures"
    how = (
        "a module of yours whose forward(x) calls it with the words, e.g. model(pixel_values=x, input_ids=...)"
        if "pixel_values" in takes
        else "another model"
    )
    raise UsageError(f"{kind} takes {takes[0]!r} first, not a picture: wrap {part}, or {how}")


def _metadata(module: Any) -> tuple[Preprocess | None, tuple[str, ...] | None]:
    """What a timm network knows about itself; none can come from timm if nobody imported it."""
    if "timm" not in sys.modules or not isinstance(getattr(module, "pretrained_cfg", None), dict):
        return None, None
    from seewhy.models import timm_

    return timm_.metadata(module)


def _override(model: Model, labels: Labels | None, preprocess: PreprocessLike | None) -> Model:
    if labels is not None:
        source = f"label file {str(labels)!r}" if isinstance(labels, str | Path) else "labels="
        model = dataclasses.replace(model, labels=read_labels(labels), synonyms=False, labelled_by=source)
    if preprocess is not None:
        model = dataclasses.replace(model, preprocess=_understood(preprocess, model), assumed="")
    return model


def _understood(preprocess: Any, model: Model) -> Preprocess | Callable[[Image.Image], Tensor]:
    """A torchvision transform as our own, so that the exact crop can be shown; a preset at the size of the network's
    own, of a network of volumes at theirs; others as they are."""
    if isinstance(preprocess, str):
        takes = intake(model.module)
        if not isinstance(model.preprocess, Preprocess) and takes.axes == _OF_VOLUMES:
            return Preprocess.preset(preprocess, None, takes.channels or 1)
        known = model.preprocess if isinstance(model.preprocess, Preprocess) else Preprocess()
        return Preprocess.preset(preprocess, known.size or (224, 224), known.channels)
    if not callable(preprocess):
        raise UsageError(
            f"preprocess must be a seewhy Preprocess or a callable from a PIL image to a tensor, "
            f"not {one_line(repr(preprocess), 60)}"
        )
    if isinstance(preprocess, Preprocess) or not type(preprocess).__module__.startswith("torchvision.transforms"):
        chosen: Preprocess | Callable[[Image.Image], Tensor] = preprocess
        return chosen
    try:
        return Preprocess.from_torchvision(preprocess)
    except UsageError:  # steps without a counterpart here: then it is just a callable, and Model.view_note says so
        given: Callable[[Image.Image], Tensor] = preprocess
        return given


def _unknown(spec: str) -> UsageError:
    """A bare name of a known network means that network; a file wants to be told whose weights it has."""
    try:
        Path(spec).exists()
    except (OSError, ValueError) as error:  # a name too long, a NUL in it
        return UsageError(f"no model is called {one_line(spec, 80)!r} ({reason(error, 60)}). List them: {_LISTING}")
    own = _FILES.get(Path(spec).suffix.lower(), "")
    if own and Path(spec).exists():
        return UsageError(f"{spec!r} is a file: say what it is, as in {own}:{spec}")
    if (Path(spec) / "config.json").is_file():
        return UsageError(f"{spec!r} is a directory: say what it is, as in hf:{spec}")
    if Path(spec).suffix == ".py" and Path(spec).is_file():
        module = ".".join(Path(spec).with_suffix("").parts)
        return UsageError(f"{spec!r} is a file of code: say what builds the network, as in python:{module}:SmallNet")
    if Path(spec).suffix and Path(spec).is_file():
        return UsageError(f"{spec!r} is a file: name the network too, as in torchvision:resnet50 --weights {spec}")
    scheme, colon, rest = spec.partition(":")
    bare = rest if colon else spec
    # closer than names of models need be: the words are so short that any two of them have letters in common
    if colon and difflib.get_close_matches(scheme.lower(), schemes.keys(), cutoff=0.5):
        return UnknownName("model scheme", scheme, schemes.keys(), _LISTING)
    close: dict[str, tuple[str, str]] = {}
    for zoo in (schemes["torchvision"], schemes["timm"]):
        try:
            near = nearest(bare, zoo.names())
        except ModelError:  # that zoo is not installed, so none of its names can be meant
            continue
        for name in near:
            close.setdefault(name, (f"{zoo.name}:{name}", zoo.listing))  # in both zoos means the first
    best = nearest(bare, close)
    if best:
        known, listing = close[best[0]]
        return UnknownName("model", spec, [known], listing)
    return UnknownName("model", spec, [entry.form for entry in schemes], _LISTING)
