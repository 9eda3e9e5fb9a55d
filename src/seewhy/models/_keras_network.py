"""A Keras model as a torch module: takes inputs [B, C, *positions], gives what the model returns; never changes the
model, its variables or its seeds.

Keras keeps channels last, holds its layers where torch does not look for them, and takes its mode as an argument of the
call. All of that ends here: whoever holds a `KerasNetwork` sees a torch module whose layers have the names that Keras
shows (``outer/inner`` for a nested model) and whose activations are channels last.
"""

from __future__ import annotations

import hashlib
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from seewhy.core.network.foreign import Foreign
from seewhy.errors import UsageError, one_line

__all__ = ["KerasNetwork"]

_CONVOLUTIONS: dict[str, Callable[..., nn.Module]] = {
    "Conv1D": nn.Conv1d,
    "Conv2D": nn.Conv2d,
    "Conv3D": nn.Conv3d,
    "DepthwiseConv1D": nn.Conv1d,
    "DepthwiseConv2D": nn.Conv2d,
}


class KerasNetwork(Foreign):
    """``model`` called as Keras calls it for inference. Of several inputs all but one are held fixed: ``inputs`` has
    one row for each, by name or number.

    The model itself is held weakly, so that what is known of a network can be kept for as long as its model lives:
    whoever hands one out holds the model as well.
    """

    def __init__(self, keras: Any, model: Any, inputs: Mapping[str | int, Any] | None = None) -> None:
        super().__init__()
        if not model.built:
            raise UsageError(f"the Keras model {model.name!r} is not built yet; call it once on an input: model(x)")
        self._weak = weakref.ref(model)
        self._keras = keras
        self._layers = dict(_walk(model, ""))
        slots = list(getattr(model, "inputs", None) or [None])
        self._held = _held(slots, inputs, model.name)
        self._open = next(at for at in range(len(slots)) if at not in self._held)
        shape = None if slots[self._open] is None else tuple(slots[self._open].shape)
        self._names = [str(getattr(slot, "name", "")) for slot in slots]
        self.axes = 2 if shape is None else max(len(shape) - 2, 0)
        formats = [getattr(layer, "data_format", None) for layer in self._layers.values()]
        known = [str(layout) for layout in formats if layout in ("channels_last", "channels_first")]
        self.channels_last = (known or [keras.config.image_data_format()])[0] == "channels_last"
        self.channels = None if shape is None or not self.axes else shape[-1 if self.channels_last else 1]
        positions = () if shape is None else shape[1:-1] if self.channels_last else shape[2:]
        self.size: tuple[int | None, ...] = tuple(positions)

    @property
    def model(self) -> Any:
        """The Keras model."""
        model = self._weak()
        if model is None:
            raise UsageError("the Keras model that this network was made of is gone: hold it, or the seewhy.Model")
        return model

    @property
    def called(self) -> str:
        """The Keras model by its name."""
        return f"the Keras model {self.model.name!r}"

    @property
    def held(self) -> Mapping[int, Tensor]:
        """The inputs that are held, one row for each, by their numbers."""
        return self._held

    @property
    def parts(self) -> list[int]:
        """The identities of its layers."""
        return [id(layer) for layer in self._layers.values()]

    @property
    def _short(self) -> dict[str, nn.Module]:
        """Layers of nested models by the last part of their name, where that says which."""
        last = [name.rpartition("/")[2] for name in self._layers]
        return {
            short: part
            for short, part in zip(last, self._layers.values(), strict=True)
            if last.count(short) == 1 and short not in self._layers
        }

    def forward(self, x: Tensor) -> Any:
        """What the model returns for ``x`` [B, C, *positions] with ``training=False``."""
        last = self.channels_last and x.ndim > 2
        given = x.movedim(1, -1) if last else x
        values = [given if at == self._open else self._held[at] for at in range(len(self._names))]
        values = [
            value if at == self._open else value.to(x.device).expand(len(x), *value.shape[1:])
            for at, value in enumerate(values)
        ]
        structure = getattr(self.model, "_inputs_struct", None)
        packed = values[0] if structure is None else self._keras.tree.pack_sequence_as(structure, values)
        # stateless: nothing that a layer assigns (seeds, statistics, losses) reaches the model
        with self._keras.device(str(x.device)), self._keras.StatelessScope():
            return self.model(packed, training=False)

    def named_modules(
        self, memo: set[nn.Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Module]]:
        """This and every Keras layer under the name that Keras shows.

        Without ``remove_duplicate`` a layer inside a nested model answers to its own name alone, too, where no other
        layer has that.
        """
        seen = set() if memo is None else memo
        named = {} if remove_duplicate else self._short
        for name, part in (("", self), *self._layers.items(), *named.items()):
            if remove_duplicate and part in seen:
                continue
            seen.add(part)
            yield f"{prefix}.{name}" if prefix and name else prefix or name, part

    def modules(self, remove_duplicate: bool = True) -> Iterator[nn.Module]:
        """What torch itself keeps: this, and below each Keras layer the modules that hold its tensors.

        Not the Keras layers: their flags are none of torch's, and to set them would be to touch the user's model.
        """
        yield self
        seen: set[nn.Module] = set()
        for layer in (self.model, *self._layers.values()):
            for part in nn.Module.modules(layer):
                if part not in seen and not isinstance(part, self._keras.layers.Layer):
                    seen.add(part)
                    yield part

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, nn.Parameter]]:
        """Every variable of the model under its path; the states of its seeds are no parameters."""
        for variable in self.model.variables:
            if "seed_generator" in str(variable.path):  # numbered anew for every model that is built
                continue
            yield (f"{prefix}." if prefix else "") + str(variable.path), variable.value

    def counterpart(self, part: nn.Module) -> nn.Module:
        """The torch layer with the weights of a Keras convolution or dense layer; ``part`` itself for all else."""
        kind = type(part).__name__
        layer: Any = part
        if not isinstance(layer, self._keras.layers.Layer):
            return part
        if kind == "Dense":
            weight = _tensor(layer.kernel).T
            return _holding(nn.Linear(weight.shape[1], weight.shape[0], bias=False, device="meta"), weight)
        make = _CONVOLUTIONS.get(kind)
        if make is None:
            return part
        kernel = _tensor(layer.kernel)
        groups = getattr(layer, "groups", 1)
        if kind.startswith("Depthwise"):
            groups, kernel = kernel.shape[-2], kernel.reshape(*kernel.shape[:-2], 1, -1)
        weight = kernel.movedim((-1, -2), (0, 1))
        sizes = weight.shape[1] * groups, weight.shape[0], tuple(weight.shape[2:])
        return _holding(make(*sizes, groups=groups, bias=False, device="meta"), weight)

    def extra_repr(self) -> str:
        """The architecture in 16 digits: two models may differ in a stride alone."""
        try:
            text = self.model.to_json()
        except (NotImplementedError, TypeError, ValueError):  # a class without a configuration of its own
            text = type(self.model).__qualname__
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> KerasNetwork:
        """Move every variable. Keras computes in the type that its layers were made with, whatever type those have."""
        moved = [(variable.value, fn(variable.value.data)) for variable in self.model.variables]
        if any(new.dtype != old.dtype for old, new in moved):
            raise RuntimeError("a Keras model has the dtype that it was made with; leave dtype out")
        for old, new in moved:
            old.data = new
        self._held = {at: fn(value) for at, value in self._held.items()}
        return self


def _tensor(kernel: Any) -> Tensor:
    """What a layer multiplies by: a variable's value, or the tensor that a layer with LoRA makes of several."""
    value: Tensor = getattr(kernel, "value", kernel)
    return value.detach()


def _holding(module: nn.Module, weight: Tensor) -> nn.Module:
    module.register_parameter("weight", nn.Parameter(weight, requires_grad=False))
    return module


def _walk(owner: Any, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    """Every layer below ``owner``, in Keras' order, the name of each path once."""
    taken: dict[str, int] = {}
    for layer in owner._flatten_layers(include_self=False, recursive=False):
        if type(layer).__name__ == "InputLayer":  # a place, not a function: it never runs
            continue
        taken[layer.name] = taken.get(layer.name, 0) + 1
        name = prefix + (layer.name if taken[layer.name] == 1 else f"{layer.name}_{taken[layer.name]}")
        yield name, layer
        yield from _walk(layer, f"{name}/")


def _held(slots: Sequence[Any], inputs: Mapping[str | int, Any] | None, model: str) -> dict[int, Tensor]:
    """The inputs that are not explained, one row each; raises `UsageError` unless exactly one is left."""
    names = [getattr(slot, "name", "") for slot in slots]
    held: dict[int, Tensor] = {}
    for key, value in (inputs or {}).items():
        at = key if isinstance(key, int) else names.index(key) if key in names else -1
        if not 0 <= at < len(slots) or slots[at] is None:
            raise UsageError(f"inputs= names {key!r}; the inputs of {model!r}: {_few(names)}")
        held[at] = _row(slots[at], names[at], value)
    if len(held) != len(slots) - 1:
        first = next((name for at, name in enumerate(names) if at and at not in held), names[-1])
        raise UsageError(
            f"{model!r} has {len(slots)} input(s), {_few(names)}: one is explained and inputs= holds the others; "
            + (f"seewhy.wrap(model, inputs={{{first!r}: array}})" if len(slots) > 1 else "leave inputs= out")
        )
    return held


def _few(names: Sequence[str]) -> str:
    return one_line(", ".join(repr(name) for name in names), 120)


def _row(slot: Any, name: str, value: Any) -> Tensor:
    """One row [1, ...] of a held input, in its own type and layout."""
    shape = tuple(slot.shape[1:])
    array = np.asarray(value.detach().cpu() if isinstance(value, Tensor) else value)
    if array.shape[:1] == (1,) and array.ndim == len(shape) + 1:
        array = array[0]
    if array.ndim != len(shape) or any(n not in (None, m) for n, m in zip(shape, array.shape, strict=True)):
        raise UsageError(f"inputs[{name!r}] has shape {array.shape}; that input takes one row of {shape}")
    dtype = getattr(torch, str(slot.dtype), torch.float32)
    return torch.from_numpy(np.array(array))[None].to(dtype)
