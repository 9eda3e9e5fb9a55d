"""Takes a checked ONNX graph, gives a torch module that computes the same with a layer for every node; never runs code
from the file, and refuses what it cannot express."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from seewhy.core.network.foreign import Foreign, Program
from seewhy.errors import CapabilityError, one_line
from seewhy.models._onnx_file import OnnxFile, import_onnx
from seewhy.models._onnx_fold import fold_constants
from seewhy.models._onnx_layers import plain_layer
from seewhy.models._onnx_program import OnnxProgram

__all__ = ["OnnxNetwork", "Unconvertible", "convert"]

_SUBGRAPHS = ("Loop", "Scan", "SequenceMap", "If")
#: what onnx2pytorch says when it takes a function of torch for its name alone
_GUESS = "No explicit conversion"


class Unconvertible(Exception):
    """The graph has no counterpart in torch; the message says why."""


@dataclass(frozen=True)
class _Step:
    """One node: its operation, the values it reads and makes, how it wants them, and what nobody reads afterwards."""

    name: str
    call: Callable[..., Any]
    reads: tuple[str, ...]
    makes: tuple[str, ...]
    listed: bool
    several: bool
    done_with: tuple[str, ...]


class OnnxNetwork(Foreign):
    """An ONNX graph as a torch module, with a submodule for every node that is called as the node is.

    ``program`` is the graph under onnxruntime, whose scores the module's are to be.
    """

    def __init__(self, file: OnnxFile, program: Program) -> None:
        super().__init__()
        self.program = program
        self.only: int | None = None  # the one batch size that the module takes, where the graph is built around it
        self._channels_last, self._input = file.image.channels_last, file.image.name
        self._outputs = tuple(value.name for value in file.graph.graph.output)
        self._constants: dict[str, str] = {}
        self._steps: list[_Step] = []

    def forward(self, x: Tensor) -> Any:
        """The graph's output for ``x`` [B, C, H, W]; a list of several."""
        if self.only is not None and len(x) != self.only:
            raise CapabilityError(
                f"this ONNX file was exported for batches of {self.only}, and its layers cannot take {len(x)} at once: "
                "export it with a dynamic batch, explain one image at a time with a method of one pass (saliency, "
                "grad-cam), or use one that needs scores alone (occlusion, rise)"
            )
        values: dict[str, Any] = {self._input: x.permute(0, 2, 3, 1) if self._channels_last else x}
        values |= {name: getattr(self, attribute) for name, attribute in self._constants.items()}
        for step in self._steps:
            given = [values[name] if name else None for name in step.reads]
            call = self._modules.get(step.name) or step.call
            output = call(given) if step.listed else call(*given)
            values.update(zip(step.makes, output if step.several else (output,), strict=False))
            for name in step.done_with:
                del values[name]
        outputs = [values[name] for name in self._outputs]
        return outputs[0] if len(outputs) == 1 else outputs


def convert(file: OnnxFile, program: OnnxProgram) -> OnnxNetwork:
    """The torch version of a graph; raises `Unconvertible`."""
    if file.foreign:
        # onnx2pytorch looks at the operator's name alone, and takes any function of torch that is called so
        raise Unconvertible(f"{one_line(file.foreign, 60)} is no operator of ONNX itself")
    if file.normalises_batches:
        raise Unconvertible("exported in train mode, a batch norm in it goes by its batch: export after model.eval()")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks of other libraries, about which nobody here can do anything
        warnings.filterwarnings("error", message=_GUESS)  # a guess, though, is no conversion
        try:
            graph = fold_constants(file)
            if inner := next((node.op_type for node in graph.graph.node if node.op_type in _SUBGRAPHS), ""):
                raise Unconvertible(f"it has a {inner} with a graph inside")
            converted = import_onnx("onnx2pytorch").ConvertModel(graph)
        except (Unconvertible, MemoryError):
            raise
        except Exception as error:  # whatever a library trips over in a graph that it does not know
            raise Unconvertible(one_line(error, 120) or type(error).__name__) from error
    return _assemble(file, program, converted)


def _assemble(file: OnnxFile, program: OnnxProgram, converted: Any) -> OnnxNetwork:
    """The converted operations under names that can be typed, without the weights that they hold twice."""
    kinds = import_onnx("onnx2pytorch.convert.model")
    network = OnnxNetwork(file, program)
    graph = converted.onnx_model.graph
    arrays = {tensor.name: import_onnx("onnx").numpy_helper.to_array(tensor) for tensor in graph.initializer}
    last = {name: at for at, node in enumerate(graph.node) for name in node.input}
    used: set[str] = set()
    names: set[str] = set()
    for at, node in enumerate(graph.node):
        op = getattr(converted, converted.mapping[node.output[0]])
        inside = list(op.modules()) if isinstance(op, nn.Sequential) else [op]
        reads = list(node.input)
        if any(isinstance(part, kinds.STANDARD_LAYERS) for part in inside):
            reads = [name for name in reads if name not in arrays]  # these have their weights inside
        elif isinstance(op, nn.Identity):
            reads = reads[:1]
        several = any(isinstance(part, kinds.MULTIOUTPUT_LAYERS) for part in inside)
        if isinstance(op, nn.Module):
            op, reads, several = plain_layer(node, op, reads, several, arrays, file.image.batch)
        while reads and reads[-1] == "":
            reads.pop()
        used.update(reads)
        done = {n for n in reads if n and last[n] == at and n not in arrays} - set(network._outputs)
        name = _layer_name(network, node, names)
        if isinstance(op, nn.Module):
            network.add_module(name, op)
        listed = isinstance(op, partial) and op.func is torch.cat
        network._steps.append(_Step(name, op, tuple(reads), tuple(node.output), listed, several, tuple(sorted(done))))
    for number, name in enumerate(name for name in arrays if name in used or name in network._outputs):
        network._constants[name] = f"_constant_{number}"
        _hold(network, f"_constant_{number}", torch.from_numpy(arrays[name].copy()))
    return network.eval().requires_grad_(False)


def _hold(network: nn.Module, name: str, value: Tensor) -> None:
    if value.is_floating_point():  # a parameter: buffers are copied at every call, to be put back
        network.register_parameter(name, nn.Parameter(value, requires_grad=False))
    else:
        network.register_buffer(name, value)


def _layer_name(network: nn.Module, node: Any, names: set[str]) -> str:
    """The node's own name with every character that a layer's name cannot have as an underscore; unique."""
    name = (
        re.sub(r"\W+", "_", node.name or f"{node.op_type}_{node.output[0]}", flags=re.ASCII).strip("_") or node.op_type
    )
    taken, number = name, 1
    while taken in names or hasattr(network, taken):  # a layer called forward would never be found
        number += 1
        taken = f"{name}_{number}"
    names.add(taken)
    return taken
