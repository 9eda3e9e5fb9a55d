"""Takes a .keras file, a name of keras.applications or a Keras model in hand, gives a Model; never downloads, and never
runs code that a file holds.

Keras runs on torch here. It chooses its backend once, when it is imported: if nobody has imported it yet, it is
imported on torch, and if it runs on another one, nothing can be done but to say so.
"""

from __future__ import annotations

import copy
import inspect
import os
import random
import sys
import weakref
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from seewhy.errors import CapabilityError, ModelError, UnknownName, UsageError, reason
from seewhy.models._keras_file import check_file, check_weights_file
from seewhy.models._keras_network import KerasNetwork
from seewhy.models._keras_scale import Scale, measured
from seewhy.models._scheme import ModelRequest, Scheme, no_weights, schemes, untrained
from seewhy.models.labels import imagenet_labels
from seewhy.models.model import Model
from seewhy.models.preprocess import Preprocess

__all__ = ["APPLICATIONS", "SCHEME", "cached_file", "copied", "in_hand", "is_keras_model", "names"]

#: the network of each model in hand, so that what is known of it outlives a call; it goes when the model goes
_networks: weakref.WeakKeyDictionary[Any, KerasNetwork] = weakref.WeakKeyDictionary()
_LISTING = 'KERAS_BACKEND=torch python -c "import keras; print(dir(keras.applications))"'
_KERNELS = "_weights_tf_dim_ordering_tf_kernels"
#: what a family's names begin with -> what its `preprocess_input` does, and its file in Keras' cache; the longest
#: beginning counts
APPLICATIONS = {
    "ConvNeXt": ("bytes", "convnext_{variant}.h5"),
    "DenseNet": ("imagenet", "densenet{variant}" + _KERNELS + ".h5"),
    "EfficientNet": ("bytes", "efficientnet{variant}.h5"),
    "EfficientNetV2": ("bytes", "efficientnetv2-{variant}.h5"),
    "InceptionResNetV2": ("signed", "inception_resnet_v2" + _KERNELS + ".h5"),
    "InceptionV3": ("signed", "inception_v3" + _KERNELS + ".h5"),
    "MobileNet": ("signed", "mobilenet_1_0_224_tf.h5"),
    "MobileNetV2": ("signed", "mobilenet_v2" + _KERNELS + "_1.0_224.h5"),
    "MobileNetV3": ("bytes", "weights_mobilenet_v3_{variant}_224_1.0_float.h5"),
    "NASNet": ("signed", "nasnet_{variant}.h5"),
    "ResNet": ("caffe", "resnet{variant}" + _KERNELS + ".h5"),
    **dict.fromkeys(
        ("ResNet50V2", "ResNet101V2", "ResNet152V2"), ("signed", "resnet{variant}" + _KERNELS + ".h5")
    ),
    "VGG": ("caffe", "vgg{variant}" + _KERNELS + ".h5"),
    "Xception": ("signed", "xception" + _KERNELS + ".h5"),
}  # fmt: skip


def _keras() -> Any:
    """Keras on torch; raises `ModelError` where it is missing, of version 2, or running on something else."""
    if "keras" not in sys.modules:
        before = os.environ.get("KERAS_BACKEND")
        os.environ["KERAS_BACKEND"] = "torch"
        try:
            import keras
        except ImportError as error:
            raise ModelError(f"Keras cannot be imported ({reason(error, 80)}); pip install 'seewhy[keras]'") from error
        finally:
            if before is None:
                del os.environ["KERAS_BACKEND"]
            else:
                os.environ["KERAS_BACKEND"] = before
    keras = sys.modules["keras"]
    if not hasattr(keras, "StatelessScope"):
        raise ModelError(
            f"this is Keras {getattr(keras, '__version__', '2')}; Keras 3 is needed: pip install 'keras>=3'"
        )
    if keras.config.backend() != "torch":
        raise ModelError(f"keras is already running on {keras.config.backend()}; start Python with KERAS_BACKEND=torch")
    return keras


def is_keras_model(module: Any) -> bool:
    """Whether ``module`` is a `keras.Model`; none can be if nobody imported Keras."""
    kind = getattr(sys.modules.get("keras"), "Model", None)
    return inspect.isclass(kind) and isinstance(module, kind)


def in_hand(model: Any, name: str | None = None, inputs: Mapping[str | int, Any] | None = None) -> Model:
    """A `Model` around a Keras model; raises `UsageError` where several inputs leave open which is explained."""
    fresh = KerasNetwork(_keras(), model, inputs)
    known = None if inputs else _networks.get(model)
    network = known if known is not None and known.parts == fresh.parts else fresh
    if not inputs:
        _networks[model] = network
    preprocess, assumed = _guess(network)
    return Model(
        network, name=name or model.name, preprocess=preprocess, weights="in hand", assumed=assumed, held=model
    )


def copied(network: KerasNetwork) -> tuple[KerasNetwork, Any]:
    """A network around a copy of its Keras model, with the same inputs held, and that copy, for whoever takes the
    network to hold. Raises `CapabilityError` where Keras cannot copy it."""
    try:
        model = _fixed(lambda: copy.deepcopy(network.model))
    except Exception as error:  # Keras raises what its layers raise
        raise CapabilityError(f"{network.called} cannot be copied: {reason(error)}") from error
    return KerasNetwork(_keras(), model, dict[str | int, Any](network.held.items())), model


def names() -> list[str]:
    """Every architecture of keras.applications."""
    return [name for name, member in vars(_keras().applications).items() if inspect.isfunction(member)]


def load(request: ModelRequest) -> Model:
    """The model in a file, or an architecture of keras.applications."""
    path = Path(request.name).expanduser()
    if path.suffix.lower() in (".keras", ".h5", ".hdf5") or "/" in request.name or path.exists():
        return _from_file(path, request)
    return _application(request)


def _from_file(path: Path, request: ModelRequest) -> Model:
    spec = f"keras:{request.name}"
    if request.weights not in ("auto",):
        raise UsageError(f"{spec} has its own weights; leave --weights out")
    check_file(path)
    keras = _keras()
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises what its layers raise
        raise ModelError(f"cannot load Keras file {str(path)!r}: {reason(error)}") from error
    if not isinstance(model, keras.Model):
        raise ModelError(f"Keras file {str(path)!r} holds a {type(model).__name__}, not a model")
    try:
        network = KerasNetwork(keras, model)
    except UsageError as error:
        raise UsageError(f"{spec}: {error}") from error
    preprocess, assumed = _guess(network)
    return Model(
        network,
        name=model.name,
        spec=spec,
        preprocess=preprocess,
        weights=f"file {path.name}",
        assumed=assumed,
        held=model,
    )


def _application(request: ModelRequest) -> Model:
    keras, name, spec = _keras(), request.name, f"keras:{request.name}"
    if name not in names():
        raise UnknownName("Keras model", name, names(), _LISTING)
    path = None if request.weights == "random" else Path(request.weights).expanduser()
    if request.weights == "auto":
        path = Path(cached_file(name))
        if not path.is_file():
            raise ModelError(no_weights(spec, str(path)))
    if path is not None:
        check_weights_file(path)
    model = _fixed(lambda: getattr(keras.applications, name)(weights=None))
    if path is not None:
        try:
            model.load_weights(path)
        except Exception as error:  # Keras raises what its layers and h5py raise
            raise ModelError(f"weights file {str(path)!r} does not fit {spec}: {reason(error)}") from error
    network = KerasNetwork(keras, model)
    return Model(
        network,
        name=name,
        spec=spec,
        preprocess=Preprocess.preset(_family(name)[0], _size(network)),
        labels=imagenet_labels(),
        weights="random" if path is None else f"file {path.name}" + " in Keras' cache" * (request.weights == "auto"),
        synonyms=True,
        held=model,
    )


def _fixed(build: Any) -> Any:
    """What ``build`` makes, the same every time: Keras draws the seeds of its initialisers from Python's generator."""
    before = random.getstate()
    random.seed(0)
    try:
        return untrained(build)
    finally:
        random.setstate(before)


def _family(name: str) -> tuple[str, str]:
    """The preset and the cached file's name of one architecture."""
    beginning = max((prefix for prefix in APPLICATIONS if name.startswith(prefix)), key=len, default=None)
    if beginning is None:
        raise ModelError(f"keras:{name} is not known here; build it in Python and pass the model in hand")
    preset, file = APPLICATIONS[beginning]
    variant = name.removeprefix("ResNet") if beginning.startswith("ResNet") else name.removeprefix(beginning)
    return preset, file.format(variant=variant.lower())


def cached_file(name: str) -> str:
    """Where Keras keeps the ImageNet weights of an architecture once somebody has fetched them."""
    home = os.environ.get("KERAS_HOME") or str(Path("~/.keras").expanduser())
    return str(Path(home) / "models" / _family(name)[1])


def _size(network: KerasNetwork) -> tuple[int, int]:
    height, width = network.size if len(network.size) == 2 else (None, None)
    return height or 224, width or 224


def _guess(network: KerasNetwork) -> tuple[Preprocess | None, str]:
    """What pictures become, and what was assumed for it: a file says nothing of either."""
    channels = 3 if network.channels is None else network.channels
    if network.axes != 2 or channels not in (1, 3):
        return None, ""
    try:
        scale = measured(network)
    except Exception as error:  # a model may raise anything, and will again when it is asked for scores
        scale, seen = None, f"its first layers could not be run ({reason(error, 80)})"
    else:
        seen = _seen(scale)
    scales = scale is not None and scale.bytes
    preset = "bytes" if scales else "unit"
    assumed = f"pixels are taken as {'0 to 255' if scales else '0 to 1'}, since {seen}; if not so: --preprocess"
    return Preprocess.preset(preset, _size(network), channels), assumed


def _seen(scale: Scale | None) -> str:
    """What was measured, in words."""
    if scale is None:
        return "what its first layers make of them is no rescaling"
    if scale.plain:
        return "they reach its first layer with weights as they are"
    return f"its first layers rescale them (by {scale.factor:.3g}, and {scale.offset:.3g} off)"


SCHEME = schemes.add(Scheme("keras", "keras:FILE.keras or keras:NAME", load, names, _LISTING))
