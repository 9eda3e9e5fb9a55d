"""A part of a graph as onnxruntime runs it: takes nodes, what they read and what is to come out, gives a function like
that of `seewhy.core.compile.graphs.assemble`; measures nothing, decides nothing.

torch and onnxscript write the part as an ONNX graph without its weights, once: it is kept between processes under all
that it was made of. The weights are handed to onnxruntime in memory, which copies them in an order of its own.
"""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Mapping, MutableMapping, Sequence
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import Tensor, fx

from seewhy.core import kept_files
from seewhy.core.compile.export import to_onnx
from seewhy.core.compile.graphs import in_words
from seewhy.core.memory_budget import made_elsewhere
from seewhy.core.uninterrupted import import_whole
from seewhy.errors import CapabilityError, reason

__all__ = ["NAME", "OnnxPart", "Sessions", "can_run"]

#: what the engine is called in records
NAME = "onnxruntime"

#: what writes a graph besides torch, and what runs it
_NEEDS = ("onnxruntime", "onnxscript", "onnx")

#: the room of kept graphs; changes when what is kept means something else
_ROOM, _FORMAT = "onnx-graphs", 1

#: bytes of a graph without its weights, beyond which it is none of ours
_MOST = 64 * 2**20

_SILENT = 4  # onnxruntime's log level for what ends the process anyway


def can_run(x: Tensor) -> bool:
    """Whether onnxruntime is here with what writes its graphs, is not switched off (``SEEWHY_ENGINES=torch``), and runs
    such inputs as torch does."""
    wanted = NAME in os.environ.get("SEEWHY_ENGINES", NAME).split(",")
    here = all(find_spec(name) is not None for name in _NEEDS)
    return wanted and here and x.device.type == "cpu" and x.dtype == torch.float32


class Sessions:
    """An ONNX ``model`` whose weights are ``tensors``, by their names in it, as this process runs it.

    Raises `CapabilityError` where it does not load.
    """

    def __init__(self, model: bytes, tensors: Mapping[str, Tensor]) -> None:
        self._model, self._tensors = model, tensors
        self._lock = threading.Lock()
        self._opened: tuple[object, Any] = (None, None)
        self.now()

    def now(self) -> Any:
        """A session with as many threads as torch has now, of this very process: a fork's has none that run."""
        here = torch.get_num_threads(), os.getpid()
        with self._lock:
            if self._opened[0] != here:
                self._opened = here, self._open(here[0])
            return self._opened[1]

    def _open(self, threads: int) -> Any:
        onnxruntime = import_whole("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = _SILENT
        options.intra_op_num_threads = threads
        # threads that wait by spinning would slow down torch's, which take turns with them
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(np.from_dlpack(t)) for t in self._tensors.values()]
        options.add_external_initializers(list(self._tensors), values)
        try:
            return onnxruntime.InferenceSession(self._model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's own types, of which none is public
            raise CapabilityError(f"onnxruntime cannot load its graph: {reason(error, 160)}") from error


class OnnxPart:
    """``nodes`` of an exported graph, from its ``placeholder`` to ``outputs``, as a function of the input x
    [B, C, *size]; ``known`` are the sessions of parts that are there already, and get its own.

    Raises `CapabilityError` where they cannot be written as an ONNX graph, do not load, or do not run.
    """

    def __init__(
        self,
        nodes: Sequence[fx.Node],
        placeholder: fx.Node,
        outputs: Sequence[fx.Node],
        tensors: Mapping[str, Tensor],
        known: MutableMapping[str, Sessions],
    ) -> None:
        self._shapes = [_shape_of(node, placeholder) for node in outputs]
        sizes = [4 * shape.numel() for node in nodes if (shape := _sizes(node)) is not None]
        #: bytes that all nodes make of one sample, and the largest of them
        self._made = sum(sizes), max(sizes, default=0)
        graph, read = _cut_out(nodes, placeholder, outputs)
        #: the names of the tensors that it reads
        self.reads = set(read.values())
        weights = {name: tensors[source].detach().contiguous() for name, source in read.items()}
        text = _text(graph, weights, placeholder)
        key = "\n".join((text, *read.values()))
        sessions = known.get(key)
        if sessions is None:
            sessions = known[key] = _sessions(graph, weights, placeholder, text)
        self._sessions = sessions

    def __call__(self, x: Tensor) -> tuple[Tensor, ...]:
        """The outputs for ``x``, ordinary tensors that lie in their own order of memory."""
        session = self._sessions.now()
        x = x.detach().contiguous()
        binding = session.io_binding()
        binding.bind_input(session.get_inputs()[0].name, "cpu", 0, np.float32, list(x.shape), x.data_ptr())
        with torch.inference_mode(False):
            results = tuple(torch.empty(len(x), *shape) for shape in self._shapes)
        for value, result in zip(session.get_outputs(), results, strict=True):
            binding.bind_output(value.name, "cpu", 0, np.float32, list(result.shape), result.data_ptr())
        try:
            session.run_with_iobinding(binding)
        except Exception as error:  # onnxruntime's own types, of which none is public
            raise CapabilityError(f"onnxruntime cannot run its graph: {reason(error, 160)}") from error
        made_elsewhere(len(x) * self._made[0], len(x) * self._made[1])
        return results


def _sessions(graph: fx.Graph, weights: Mapping[str, Tensor], placeholder: fx.Node, text: str) -> Sessions:
    """The graph's session, of what is kept of it or as it is written now, which then is kept."""
    kept = kept_files.read(_ROOM, text, _MOST)
    if kept is not None:
        with contextlib.suppress(CapabilityError):  # what lies there is not what was kept
            return Sessions(kept, weights)
    model = _written(graph, weights, placeholder)
    sessions = Sessions(model, weights)
    kept_files.write(_ROOM, text, model)
    return sessions


def _shape_of(node: fx.Node, placeholder: fx.Node) -> tuple[int, ...]:
    """The shape of what a node gives for one sample; raises `CapabilityError` where it is no batch of numbers."""
    value, batch = node.meta.get("val"), str(placeholder.meta["val"].shape[0])
    rows = isinstance(value, Tensor) and value.dtype == torch.float32 and str((*value.shape, "")[0]) == batch
    if not isinstance(value, Tensor) or not rows or any(isinstance(n, torch.SymInt) for n in value.shape[1:]):
        raise CapabilityError(f"what {node} gives has no row for each sample")
    return tuple(value.shape[1:])


def _sizes(node: fx.Node) -> torch.Size | None:
    """The sizes of what a node gives for one sample; None where that depends on the samples."""
    value = node.meta.get("val")
    if not isinstance(value, Tensor) or any(isinstance(n, torch.SymInt) for n in value.shape[1:]):
        return None
    return torch.Size(value.shape[1:])


def _cut_out(
    nodes: Sequence[fx.Node], placeholder: fx.Node, outputs: Sequence[fx.Node]
) -> tuple[fx.Graph, dict[str, str]]:
    """A graph of what the ``outputs`` need of ``nodes``, and what the tensors that it reads were called, by their names
    in it."""
    needed, left = set[fx.Node](), list(outputs)
    while left:
        node = left.pop()
        if node not in needed:
            needed.add(node)
            left += node.all_input_nodes
    graph = fx.Graph()
    copies = {placeholder: graph.placeholder("x")}
    read: dict[str, str] = {}
    names: dict[str, str] = {}
    for node in nodes:
        for source in node.all_input_nodes if node in needed else ():
            if source.op == "get_attr" and source not in copies:
                name = names.setdefault(str(source.target), f"w{len(names)}")
                read[name] = str(source.target)
                copies[source] = graph.get_attr(name)
        if node in needed:
            copies[node] = graph.node_copy(node, copies.__getitem__)
    graph.output(tuple(copies[node] for node in outputs))
    return graph, read


def _text(graph: fx.Graph, tensors: Mapping[str, Tensor], placeholder: fx.Node) -> str:
    """All that the written graph is made of, in words, and who writes it."""
    writers = [f"{name} {version(name)}" for name in ("torch", *_NEEDS)]
    return "\n".join((f"{_FORMAT}", *writers, f"x {list(placeholder.meta['val'].shape[1:])}", in_words(graph, tensors)))


def _written(graph: fx.Graph, tensors: Mapping[str, Tensor], placeholder: fx.Node) -> bytes:
    """The graph as an ONNX model whose weights lie elsewhere, under the names of the ``tensors``."""
    value = placeholder.meta["val"]
    like = torch.empty(0, *value.shape[1:], dtype=value.dtype)
    try:
        program = to_onnx(graph, tensors, like)
        _leave_weights(program.model.graph.initializers, tensors)
        model = program.model_proto
    except Exception as error:  # whatever torch and onnxscript cannot write
        raise CapabilityError(f"it cannot be written as an ONNX graph ({reason(error, 160)})") from error
    if len(model.graph.output) != len(next(iter(reversed(graph.nodes))).args[0]):
        raise CapabilityError("its ONNX graph gives something else")
    data: bytes = model.SerializeToString()
    return data


def _leave_weights(held: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    """Have a model's constants that are ``tensors`` lie in a file that is not there: they are handed over."""
    outside = import_whole("onnx_ir").ExternalTensor
    for name, value in held.items():
        if name in tensors:
            known = value.const_value
            value.const_value = outside("weights", None, None, known.dtype, shape=known.shape, name=name)
