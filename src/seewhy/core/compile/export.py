"""Export: takes a network, gives it as a graph of ATen calls; never runs torch's tracing within a mode of ours, which
asks its stand-ins for tensors things that a mode cannot answer (the error crosses C++, where it ends the interpreter),
and holds interruptions meanwhile.
"""

from __future__ import annotations

import itertools
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any

import torch
import torch.fx
from torch import Tensor, fx, nn
from torch.overrides import _get_current_function_mode_stack
from torch.utils import _pytree as pytree
from torch.utils._device import DeviceContext

from seewhy.core.compile.functional import make_functional
from seewhy.core.network.borrowed import unwrap
from seewhy.core.network.devices import OurDevice
from seewhy.core.network.inputs import Inputs, OneInput
from seewhy.core.network.parts import submodules
from seewhy.core.uninterrupted import apart
from seewhy.errors import CapabilityError

__all__ = ["ATEN", "Exported", "export", "function_modes", "to_onnx"]

ATEN = torch.ops.aten

#: what a call is replaced by: views that need not copy insist on a memory order that the prepared network does not keep
_RELAXED = {ATEN.view.default: ATEN.reshape.default, ATEN._unsafe_view.default: ATEN.reshape.default}

_CONTAINERS = (list, dict, set)


@dataclass(frozen=True, eq=False)
class Exported:
    """A network as a graph: one placeholder, the input [B, C, *size] with any B; ``get_attr`` nodes for ``tensors``, by
    name; every other node calls a function without side effects. ``spec`` packs the outputs as the module does."""

    graph: fx.Graph
    tensors: dict[str, Tensor]
    spec: pytree.TreeSpec

    @property
    def operations(self) -> int:
        """How many calls the graph has."""
        return sum(node.op == "call_function" for node in self.graph.nodes)


def export(module: nn.Module, x: Tensor, inputs: Inputs | None = None) -> Exported:
    """The graph of ``module`` (in eval mode) for inputs like ``x`` [B, C, *size], of any batch; ``inputs`` say how it
    is called, if not with ``x`` alone.

    Raises `CapabilityError` with the reason in a line where torch cannot export it, or where its forward changes
    buffers.
    """
    root = unwrap(module)
    modes = [mode for mode in function_modes() if isinstance(mode, DeviceContext)]
    places = [mode.device for mode in modes if not isinstance(mode, OurDevice)]

    def work() -> Any:
        with torch.device(places[-1]) if places else nullcontext():  # where the caller has new tensors made
            return _traced(root if inputs is None else OneInput(root, inputs), x)

    try:
        with _as_it_was(root), _quiet():
            program = apart(work)
    except Exception as error:  # whatever torch, or the model under torch's tracing, cannot do
        raise CapabilityError(f"torch cannot export it ({type(error).__name__}: {_first_line(error)})") from error
    return _lifted(program, root, "" if inputs is None else "network.")


def to_onnx(graph: fx.Graph, tensors: Mapping[str, Tensor], x: Tensor) -> Any:
    """A ``graph`` that reads ``tensors``, named as attributes are, for inputs like ``x`` of any batch, as torch and
    onnxscript write it, without what the tensors hold. Raises whatever they raise of what they cannot do."""
    root = nn.Module()
    for name, tensor in tensors.items():  # one number stands for all: nothing is to be copied
        root.register_buffer(name, torch.zeros((), dtype=tensor.dtype).expand(tensor.shape))

    def work() -> Any:
        program = _traced(fx.GraphModule(root, graph), x)
        return torch.onnx.export(program, dynamo=True, optimize=False, verbose=False)

    with _quiet():
        return apart(work)


def _traced(module: nn.Module, x: Tensor) -> Any:
    # a batch of one would be taken for a constant
    example = torch.zeros(2, *x.shape[1:], dtype=x.dtype, device=x.device)
    return torch.export.export(module, (example,), dynamic_shapes=({0: torch.export.Dim.DYNAMIC},), strict=False)


def function_modes() -> list[Any]:
    """The modes of functions that this thread is in, the outermost first."""
    return list(_get_current_function_mode_stack())  # type: ignore[no-untyped-call]


def _lifted(program: Any, root: nn.Module, prefix: str) -> Exported:
    """The program's graph with the module's live tensors in the place of its inputs for them; ``prefix`` is what its
    names of them begin with."""
    live = dict(
        itertools.chain(root.named_parameters(remove_duplicate=False), root.named_buffers(remove_duplicate=False))
    )
    held: dict[str, Tensor] = {}
    targets = {spec.arg.name: spec.target for spec in program.graph_signature.input_specs if spec.target is not None}
    graph, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in program.graph.nodes:
        if node.op == "placeholder" and node.name in targets:
            target = targets[node.name]
            tensor = live.get(target.removeprefix(prefix), program.constants.get(target))
            if not isinstance(tensor, Tensor):
                raise CapabilityError(f"its graph reads {targets[node.name]!r}, which is no tensor of the model")
            held[node.name] = tensor
            copies[node] = graph.get_attr(node.name)
        elif node.op == "output":
            if not all(isinstance(value, fx.Node) and value in copies for value in node.args[0]):
                raise CapabilityError("not all that it gives is made of tensors, and a graph knows no other output")
            graph.output([copies[value] for value in node.args[0]])
        elif node.op == "placeholder" or (node.op == "call_function" and _known(node.target)):
            copies[node] = graph.node_copy(node, copies.__getitem__)
            copies[node].target = _RELAXED.get(node.target, node.target)
        else:
            raise CapabilityError(f"its graph has {node.op} {node.target}: control flow, or gradients switched off")
        if node.op != "output":
            copies[node].meta = _unprefixed(node.meta, prefix)
        if node.target is ATEN.conv2d.default:
            copies[node].meta |= _geometry(held.get(node.args[1].name))
    if sum(node.op == "placeholder" for node in graph.nodes) != 1:
        raise CapabilityError("its graph has more inputs than the image")
    make_functional(graph)
    return Exported(graph, held, program.call_spec.out_spec)


def _unprefixed(meta: dict[str, Any], prefix: str) -> dict[str, Any]:
    """What is known of a node, the names of layers without the ``prefix``."""
    stack = meta.get("nn_module_stack") if prefix else None
    if not stack:
        return dict(meta)
    inner = prefix.rstrip(".")
    names = {key: ("" if path == inner else path.removeprefix(prefix), kind) for key, (path, kind) in stack.items()}
    return {**meta, "nn_module_stack": names}


def _geometry(weight: Tensor | None) -> dict[str, Any]:
    """What is to be known of a convolution when its weights have been packed: the kernel's size, and how many
    multiplications a place of its output takes."""
    return {} if weight is None else {"kernel": tuple(weight.shape[2:]), "multiplications": weight.numel()}


def _known(target: Any) -> bool:
    """Whether a call is an operation on tensors, or arithmetic on their sizes."""
    return isinstance(target, torch._ops.OpOverload) or getattr(target, "__module__", "") in ("_operator", "torch")


@contextmanager
def _as_it_was(root: nn.Module) -> Iterator[None]:
    """Every attribute put back to the very object that it was, with what was in it: torch's export leaves copies of
    lists and dictionaries, and what a forward keeps of its tensors would be stand-ins for tensors."""
    before = [(part, dict(part.__dict__)) for part in submodules(root)]
    held = [value for _, attributes in before for value in attributes.values() if type(value) in _CONTAINERS]
    contents = [(value, value.copy()) for value in {id(value): value for value in held}.values()]
    try:
        yield
    finally:
        for part, attributes in before:
            for name in part.__dict__.keys() - attributes.keys():
                del part.__dict__[name]
            part.__dict__.update({n: value for n, value in attributes.items() if part.__dict__.get(n) is not value})
        for value, copy in contents:
            if len(value) != len(copy) or any(a is not b for a, b in zip(_entries(value), _entries(copy), strict=True)):
                value.clear()
                value.extend(copy) if isinstance(value, list) else value.update(copy)


def _entries(value: Any) -> Iterator[Any]:
    """Everything that lies in a container, in its order."""
    return itertools.chain(value.keys(), value.values()) if isinstance(value, dict) else iter(value)


@contextmanager
def _quiet() -> Iterator[None]:
    """Torch prints whole graphs when it fails; whoever asked for a map wants none of it."""
    loggers = [
        logging.getLogger("torch"),
        *(logging.getLogger(f"torch.{name}") for name in ("export", "_export", "fx")),
    ]
    before = [logger.disabled for logger in loggers]
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            for logger in loggers:
                logger.disabled = True
            yield
    finally:
        for logger, disabled in zip(loggers, before, strict=True):
            logger.disabled = disabled


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")[:160]
