"""A copy of a model whose weights may be changed: takes a Model, gives another that shares nothing with it; changes no
number."""

from __future__ import annotations

import copy
from dataclasses import replace

from torch import Tensor, nn

from seewhy.core.network.differentiable_function import DifferentiableFunction
from seewhy.core.network.foreign import Foreign
from seewhy.errors import CapabilityError, reason
from seewhy.models import keras_
from seewhy.models._keras_network import KerasNetwork
from seewhy.models.model import Model

__all__ = ["copied"]


def copied(model: Model, weights: str) -> Model:
    """A model of the same build, preprocessing, labels and inputs, with weights of its own, which are said to be
    ``weights``; parameters that are one stay one. The model that was handed over stays as it is.

    Raises `CapabilityError` for a function, whose weights nobody sees, for a network that cannot be copied, and for
    parameters that overlap in memory without being one.
    """
    root = model.network().root
    if root is None or isinstance(root, DifferentiableFunction):
        raise CapabilityError(f"{model.name} is a function, whose weights nobody sees: give the module")
    if isinstance(root, KerasNetwork):
        return _of_keras(model, root, weights)
    return _of_torch(model, root, weights)


def _of_torch(model: Model, root: nn.Module, weights: str) -> Model:
    # what runs it elsewhere would still give the trained network's scores, and holds what cannot be copied
    program = root.program if isinstance(root, Foreign) else None
    try:
        made = copy.deepcopy(root, {} if program is None else {id(program): object()})
    except Exception as error:  # whatever a network's own parts say to being copied
        raise CapabilityError(
            f"{model.name} cannot be copied, so nothing in it can be changed: {reason(error)}"
        ) from error
    if isinstance(made, Foreign):
        made.program = None
    _tie(model.name, root, made)
    return _known(model, made, weights)


def _of_keras(model: Model, network: KerasNetwork, weights: str) -> Model:
    fresh, held = keras_.copied(network)
    return replace(_known(model, fresh, weights), held=held)


def _known(model: Model, module: nn.Module, weights: str) -> Model:
    """What is known of ``model`` of another module; nothing that is remembered of the one is of the other."""
    inputs = None if model.inputs is None else replace(model.inputs, _shaped={})
    return replace(model, module=module, spec="", weights=weights, tolerance=None, inputs=inputs)


def _tie(name: str, root: nn.Module, made: nn.Module) -> None:
    """Have parameters of the copy lie in one place where those of ``root`` do: copying has parted them. Raises
    `CapabilityError` for parameters that overlap otherwise."""
    copies = dict(made.named_parameters())
    spans: list[tuple[str, Tensor, int, int]] = []
    for each, tensor in root.named_parameters():
        first = tensor.data_ptr()
        steps = sum((length - 1) * step for length, step in zip(tensor.shape, tensor.stride(), strict=True))
        last = first + (steps + 1) * tensor.element_size()
        for other, theirs, start, end in spans:
            if tensor.numel() == 0 or first >= end or last <= start or theirs.device != tensor.device:
                continue
            if (first, tensor.shape, tensor.stride()) != (start, theirs.shape, theirs.stride()):
                raise CapabilityError(f"{name}: parameters {other!r} and {each!r} overlap in memory: give each its own")
            copies[each].data = copies[other].data
        spans.append((each, tensor, first, last))
