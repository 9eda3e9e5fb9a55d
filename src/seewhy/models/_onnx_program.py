"""Takes a checked ONNX graph, gives it as a program that onnxruntime runs on the CPU; never loads operators of
others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from seewhy.core.intercept.head import Squash
from seewhy.core.network.foreign import Program
from seewhy.errors import CapabilityError, ModelError, reason
from seewhy.models._onnx_file import ImageInput, OnnxFile, import_onnx

__all__ = ["OnnxProgram"]

#: rounding in float32 stays below 1e-5 of the largest score through hundreds of layers, while a wrong attribute,
#: padding or operator moves it by percents; half precision rounds a thousand times more coarsely
_TOLERANCES = {"FLOAT16": 1e-2}
_TOLERANCE = 1e-4
_SQUASHES = {"Softmax": "softmax", "LogSoftmax": "log_softmax", "Sigmoid": "sigmoid"}
_TYPES = {"FLOAT": torch.float32, "FLOAT16": torch.float16, "DOUBLE": torch.float64, "UINT8": torch.uint8}
_SILENT = 4  # onnxruntime's log level for what ends the process anyway


class OnnxProgram(Program):
    """An ONNX graph under onnxruntime. What comes in is cast to the graph's own input type, what comes out to the type
    and device of what came in; batches go through in pieces where the graph fixes their size, and image by image where
    it would have them influence each other."""

    runtime = "onnxruntime"

    def __init__(self, file: OnnxFile) -> None:
        self.image: ImageInput = file.image
        half = any(tensor.data_type == 10 for tensor in file.graph.graph.initializer)
        self.tolerance = _TOLERANCES["FLOAT16"] if half or file.image.dtype == "FLOAT16" else _TOLERANCE
        self._alone = file.normalises_batches
        self._kind, source = _final_squash(file.graph.graph)
        self._outputs = [value.name for value in file.graph.graph.output]
        self._squash_output = self._outputs[0] if self._kind else ""
        self._asked = [*self._outputs, *([source] if self._kind else [])]
        self._session = _session(file, [source] if self._kind else [])

    def __deepcopy__(self, memo: dict[int, Any]) -> OnnxProgram:
        """The same program: it holds no state of its own, and a session cannot be copied."""
        return self

    def run(self, x: Tensor) -> tuple[Any, Sequence[Squash]]:
        """The graph's output (a tuple of several), and its final softmax or sigmoid on rows of scores."""
        values = dict(zip(self._asked, self._run(x), strict=True))
        raws = [values[name] for name in self._outputs]
        squashes = []
        if self._kind and raws[0].ndim <= 2:
            squashes.append(Squash(self._kind, values[self._asked[-1]], raws[0]))
        return raws[0] if len(raws) == 1 else tuple(raws), squashes

    def _run(self, x: Tensor) -> list[Tensor]:
        fed = self._fed(x)
        whole = self.image.batch or (1 if self._alone else len(fed))
        step = 1 if self._alone else whole
        pieces = []
        for start in range(0, len(fed), step):
            piece = fed[start : start + step]
            missing = whole - len(piece)
            if missing:  # what is short of a fixed batch is filled up, and what fills it thrown away
                piece = np.concatenate([piece, np.repeat(piece[-1:], missing, 0)])
            try:
                outputs = self._session.run(self._asked, {self.image.name: piece})
            except Exception as error:  # onnxruntime's own types, of which none is public
                raise CapabilityError(
                    f"onnxruntime cannot run this model on an input {list(x.shape)}: {reason(error, 160)}"
                ) from error
            pieces.append([output[: whole - missing] if np.ndim(output) else output for output in outputs])
        columns = [parts[0] if len(parts) == 1 else np.concatenate(parts) for parts in zip(*pieces, strict=True)]
        return [self._given(np.array(column), x) for column in columns]

    def _fed(self, x: Tensor) -> np.ndarray[Any, Any]:
        """``x`` in the graph's own layout and type."""
        x = x.detach()
        if self.image.channels_last:
            x = x.permute(0, 2, 3, 1)
        if self.image.dtype == "UINT8":
            x = x.round().clamp(0, 255)
        array: np.ndarray[Any, Any] = x.to("cpu", _TYPES[self.image.dtype]).contiguous().numpy()
        return array

    @staticmethod
    def _given(values: np.ndarray[Any, Any], like: Tensor) -> Tensor:
        tensor = torch.from_numpy(values)
        return tensor.to(like.device, like.dtype if tensor.is_floating_point() else tensor.dtype)


def _final_squash(graph: Any) -> tuple[str, str]:
    """The kind of the softmax or sigmoid that makes the first output, and what it reads; ('', '') without one."""
    makers = {name: node for node in graph.node for name in node.output}
    node = makers.get(graph.output[0].name)
    while node is not None and node.op_type == "Cast":  # to another number of bits
        node = makers.get(node.input[0])
    if node is None or node.op_type not in _SQUASHES or node.domain not in ("", "ai.onnx"):
        return "", ""
    return _SQUASHES[node.op_type], node.input[0]


def _session(file: OnnxFile, extra: Sequence[str]) -> Any:
    """A session on the CPU, that also gives the values called ``extra``."""
    runtime = import_onnx("onnxruntime")
    graph = type(file.graph)()
    graph.CopyFrom(file.graph)
    # onnxruntime writes running statistics that nobody asked for into those that it normalises by in the next run
    kept = [name for n in graph.graph.node if n.op_type == "BatchNormalization" for name in n.output[1:] if name]
    for name in dict.fromkeys([*extra, *kept]):
        if name not in [value.name for value in graph.graph.output]:
            graph.graph.output.add().name = name
    options = runtime.SessionOptions()
    options.log_severity_level = _SILENT
    options.intra_op_num_threads = torch.get_num_threads()
    options.add_session_config_entry(
        "session.model_external_initializers_file_folder_path", str(file.path.parent.resolve())
    )
    try:
        return runtime.InferenceSession(graph.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # an operator that it does not know, types that do not fit
        raise ModelError(f"onnxruntime cannot load ONNX file {str(file.path)!r}: {reason(error, 200)}") from error
