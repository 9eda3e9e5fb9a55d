"""Takes an ONNX file's path, gives its graph, checked, and its one image input; never opens a file outside its folder
or runs anything."""

from __future__ import annotations

import ast
import heapq
import json
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PureWindowsPath
from typing import Any

from seewhy.errors import ModelError, UnsafeModel, one_line, reason
from seewhy.models._missing_files import missing_file

__all__ = ["ImageInput", "OnnxFile", "import_onnx", "literal", "read_onnx"]

#: operators that every runtime knows; a graph with others may need code of its own
_PLAIN = ("", "ai.onnx")
#: metadata longer than this is not parsed
_LONGEST = 1_000_000


def import_onnx(name: str) -> Any:
    """One of the packages that ONNX models need; raises `ModelError` with what to type if it is missing."""
    try:
        return import_module(name)
    except ImportError as error:
        raise ModelError(f"{name} is not installed, which onnx:FILE needs; pip install 'seewhy[onnx]'") from error


@dataclass(frozen=True)
class ImageInput:
    """The input that takes the image: its name and type, ``batch`` (None: any), whether channels come last, and
    (channels, height, width), 224 where the file leaves the size open."""

    name: str
    dtype: str
    batch: int | None
    channels_last: bool
    channels: int
    size: tuple[int, int]


@dataclass(frozen=True, eq=False)
class OnnxFile:
    """A checked graph (an ``onnx.ModelProto`` without its external data), the folder it came from, its image input."""

    path: Path
    graph: Any
    image: ImageInput

    @property
    def external(self) -> bool:
        """Whether some tensors are in files of their own."""
        return any(tensor.data_location == tensor.EXTERNAL for tensor in _tensors(self.graph))

    @property
    def foreign(self) -> str:
        """The first operator that is not in ONNX's own set, as ``domain.Operator``; '' if there is none."""
        known = import_onnx("onnx").defs
        for node in _messages(self.graph, "NodeProto"):
            if node.domain not in _PLAIN:
                return f"{node.domain}.{node.op_type}"
            if not known.has(node.op_type, ""):
                return str(node.op_type)
        return ""

    @property
    def dropping(self) -> bool:
        """Whether a dropout in it is active: it was exported in train mode."""
        return any(n.op_type == "Dropout" and len(n.input) > 2 and n.input[2] for n in self.graph.graph.node)

    @property
    def normalises_batches(self) -> bool:
        """Whether a batch norm in it goes by its batch's own statistics: it was exported in train mode."""
        return any(
            attribute.name == "training_mode" and attribute.i
            for n in self.graph.graph.node
            if n.op_type == "BatchNormalization"
            for attribute in n.attribute
        )

    @property
    def metadata(self) -> dict[str, str]:
        """What the exporter wrote beside the graph."""
        return {entry.key: entry.value for entry in self.graph.metadata_props}


def read_onnx(path: Path) -> OnnxFile:
    """The graph at ``path``.

    Raises `ModelError` for what is no valid ONNX file or takes no image, `UnsafeModel` for one whose external data
    would be read from outside its folder: no such file is opened.
    """
    name = f"ONNX file {str(path)!r}"
    if missing := missing_file(path):
        raise ModelError(f"cannot read {name}: {missing}")
    if not path.is_file():
        raise ModelError(f"cannot read {name}: it is a folder; give the .onnx file in it")
    onnx = import_onnx("onnx")
    try:
        graph = onnx.load_model_from_string(path.read_bytes())
    except Exception as error:  # protobuf's error types differ between its implementations
        raise ModelError(f"cannot read {name}: damaged or no ONNX file ({reason(error, 120)})") from error
    if not graph.graph.node:
        raise ModelError(f"cannot read {name}: damaged or no ONNX file (its graph is empty)")
    for tensor in _tensors(graph):
        if tensor.data_location == tensor.EXTERNAL:
            _check_location(tensor, path, name)
    _sort(graph.graph)
    try:
        # by path where tensors are elsewhere: the checker looks for them beside the file
        external = any(tensor.data_location == tensor.EXTERNAL for tensor in _tensors(graph))
        onnx.checker.check_model(str(path) if external else graph)
    except Exception as error:
        raise ModelError(f"cannot read {name}: no valid ONNX graph ({reason(error, 160)})") from error
    return OnnxFile(path, graph, _image_input(graph.graph, name))


def _sort(graph: Any) -> None:
    """The nodes in an order in which each comes after what it reads, else as they are: some converters append casts at
    the end, which onnxruntime puts up with."""
    nodes = list(graph.node)
    maker = {name: at for at, node in enumerate(nodes) for name in node.output if name}
    waits = [
        {maker[name] for inner in _messages(node, "NodeProto") for name in inner.input if name in maker} - {at}
        for at, node in enumerate(nodes)
    ]
    if all(at > other for at, before in enumerate(waits) for other in before):
        return
    readers: list[list[int]] = [[] for _ in nodes]
    for at, before in enumerate(waits):
        for other in before:
            readers[other].append(at)
    ready = [at for at, before in enumerate(waits) if not before]
    order: list[int] = []
    while ready:
        at = heapq.heappop(ready)
        order.append(at)
        for reader in readers[at]:
            waits[reader].discard(at)
            if not waits[reader]:
                heapq.heappush(ready, reader)
    if len(order) == len(nodes):  # else a cycle, which the checker names
        copies = [type(nodes[at]).FromString(nodes[at].SerializeToString()) for at in order]
        del graph.node[:]
        graph.node.extend(copies)


def _messages(message: Any, kind: str) -> Iterator[Any]:
    """Every message of a type inside ``message``, however deep: subgraphs, functions, attributes."""
    if message.DESCRIPTOR.name == kind:
        yield message
    for field, value in message.ListFields():
        if field.message_type is not None:
            for part in value if _repeated(value) else (value,):
                yield from _messages(part, kind)


def _repeated(value: Any) -> bool:
    return not hasattr(value, "DESCRIPTOR")


def _tensors(graph: Any) -> Iterator[Any]:
    return _messages(graph, "TensorProto")


def _check_location(tensor: Any, path: Path, name: str) -> None:
    """External data must be a plain file inside the model's own folder, links followed."""
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    where = f"{name} keeps tensor {one_line(tensor.name, 40)!r} in {one_line(location, 80)!r}"
    folder = path.parent.resolve()
    windows = PureWindowsPath(location)  # whose rules forbid all that those of POSIX do, and backslashes
    if not location or "\0" in location:
        raise UnsafeModel(f"{where}, which names no file; external data must be a file inside the model's folder")
    if windows.is_absolute() or windows.drive or windows.root or ".." in windows.parts or Path(location).is_absolute():
        raise UnsafeModel(f"{where}, outside the model's folder; external data is only read from inside it")
    try:
        file = (folder / location).resolve()
        inside, there = file.is_relative_to(folder), file.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name too long
        raise UnsafeModel(f"{where}, which cannot be followed ({reason(error, 80)})") from error
    if not inside:
        raise UnsafeModel(f"{where}, a link that leads outside the model's folder; put the file itself there")
    if not there:
        raise ModelError(f"{where}, which is not there; copy it into {str(folder)!r}")


def _image_input(graph: Any, name: str) -> ImageInput:
    given = {tensor.name for tensor in graph.initializer} | {sparse.values.name for sparse in graph.sparse_initializer}
    inputs = [value for value in graph.input if value.name not in given]
    if len(inputs) != 1:
        names = ", ".join(value.name for value in inputs) or "none"
        raise ModelError(f"{name} takes {len(inputs)} inputs ({one_line(names, 80)}); known: one, the image")
    (value,) = inputs
    tensor = value.type.tensor_type
    dims = [int(dim.dim_value) if dim.HasField("dim_value") else None for dim in tensor.shape.dim]
    kind = import_onnx("onnx").TensorProto.DataType.Name(tensor.elem_type)
    shape = one_line([dim or "?" for dim in dims], 60).replace("'", "")
    if len(dims) != 4:
        raise ModelError(f"{name} takes {value.name!r} of shape {shape}; an image is [N, C, H, W] or [N, H, W, C]")
    if kind not in ("FLOAT", "FLOAT16", "DOUBLE", "UINT8"):
        raise ModelError(f"{name} takes {value.name!r} of {kind.lower()}; known: float, float16, double, uint8")
    last = dims[3] in (1, 3, 4) and dims[1] not in (1, 3, 4)
    channels, height, width = (dims[3], dims[1], dims[2]) if last else (dims[1], dims[2], dims[3])
    return ImageInput(value.name, kind, dims[0] or None, last, channels or 3, (height or 224, width or 224))


def literal(text: str) -> Any:
    """What a metadata entry says, as JSON or as a Python literal; None for neither. Nothing in it is run."""
    if len(text) > _LONGEST:
        return None
    for parse in (json.loads, ast.literal_eval):
        try:
            return parse(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # not this one
            continue
    return None
