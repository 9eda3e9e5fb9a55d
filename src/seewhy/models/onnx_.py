"""Takes an ONNX file, gives it as a network that onnxruntime runs and torch differentiates; never runs code from it or
reads outside its folder."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from seewhy.core.forward.agreement import disagreement, gap, slope_gap, slope_of
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.session import Session
from seewhy.core.intercept.functions import Call, Handler
from seewhy.core.network.borrowed import Network
from seewhy.errors import ModelError, SeewhyError, UsageError, reason
from seewhy.models._onnx_file import OnnxFile, literal, read_onnx
from seewhy.models._onnx_network import OnnxNetwork, Unconvertible, convert
from seewhy.models._onnx_program import OnnxProgram
from seewhy.models._scheme import ModelRequest, Scheme, schemes
from seewhy.models.labels import read_labels
from seewhy.models.model import Model
from seewhy.models.preprocess import Preprocess

__all__ = ["SCHEME", "guessed"]

_FORM = "onnx:FILE"
#: derivatives of one network by two ways are within a few percent of each other; of two networks, nowhere near
_SLOPES = 0.3
#: by how much gradients that pass straight through roundings may differ from those that do not, where these only count
_STRAIGHT = 1e-3
#: functions of torch that round, and those that do where they give numbers of these types
_ROUNDS = ("round", "round_", "floor", "floor_", "ceil", "trunc", "sign", "fake_quantize_per_tensor_affine")
_WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32)
_CASTS = ("to", "type", "int", "long", "byte", "char", "short")
_CHOICE = "--preprocess imagenet|unit|signed|bytes|caffe changes it"


def load(request: ModelRequest) -> Model:
    """The graph in the file: its scores by onnxruntime, its gradients and layers by a torch version of it, as far as
    the two agree.

    A graph that has no torch version is a callable, with scores only. Raises what `read_onnx` raises.
    """
    spec = f"onnx:{request.name}"
    if request.weights != "auto":
        raise UsageError(f"{spec} has its weights inside; leave --weights out")
    file = read_onnx(Path(request.name).expanduser())
    program = OnnxProgram(file)
    _check_steady(program, file)
    try:
        module: Any = convert(file, program)
        _prove(module, program)
    except Unconvertible as error:
        module = program
        program.why = f"this ONNX model has no torch version ({error})"
    preprocess, assumed = _preprocess(file)
    trained = ["its dropout is left out, as onnxruntime leaves it out"] if file.dropping else []
    if file.normalises_batches:
        trained.append("its batch norm goes by each image alone, run one by one (export after model.eval())")
    if trained:
        program.caveats = (f"exported in train mode: {'; '.join(trained)}",)
    return Model(
        module,
        name=file.path.stem,
        spec=spec,
        preprocess=preprocess,
        labels=_labels(file),
        weights=f"file {request.name}",
        assumed=assumed,
        tolerance=program.tolerance,
    )


def _prove(module: OnnxNetwork, program: OnnxProgram) -> None:
    """Run both on noise, one image and then two, before anybody relies on the torch version."""
    image = program.image
    single = image.batch or 1
    gap = _gap(module, program, single)
    if isinstance(gap, str) or not gap <= program.tolerance:
        off = f"the converted one fails: {gap}"
        if not isinstance(gap, str):
            off = f"the scores of the converted one are {gap:.1e} of the largest score away from onnxruntime's"
        raise Unconvertible(off)
    wrong = _slopes(module, program, single)
    if not wrong <= _SLOPES:
        raise Unconvertible(
            f"the derivatives of the converted one are {min(wrong, 9.99):.0%} away from the differences of "
            "onnxruntime's scores, as in quantised files, where what rounds has no gradient: explain the file from "
            "before quantising"
        )
    several = _gap(module, program, single + 1)
    if isinstance(several, str) or not several <= program.tolerance:
        if image.batch is None:
            raise Unconvertible(f"the converted one takes one image at a time ({several})")
        module.only = image.batch


def _check_steady(program: OnnxProgram, file: OnnxFile) -> None:
    """Refuse a graph that does not give the same twice: no two of its scores could be compared."""
    x, _ = _noise(program, program, 1)
    first, second = (program(x) for _ in range(2))
    pairs = zip(*(output if isinstance(output, tuple) else (output,) for output in (first, second)), strict=True)
    if any(not gap(a.double(), b.double()) <= program.tolerance for a, b in pairs if a.is_floating_point()):
        raise ModelError(
            f"ONNX file {str(file.path)!r} gives other scores for the same input each time (noise or a state inside "
            "it), so no map of them means anything: export it after model.eval()"
        )


def _slopes(module: OnnxNetwork, program: OnnxProgram, batch: int) -> float:
    """How far the derivatives of the two are apart on noise. Raises `Unconvertible` where rounding takes part in the
    scores, so that they change over long steps by what no derivative has."""
    x, unit = _noise(module, program, batch)
    network, rounding = Network(module, alone=True), _Rounding()
    with network.borrowed() as call:
        session = Session(network, call, x)

        def scores(given: Tensor) -> Tensor:
            demand = Demand(attached=True, at_input=True, watches=(rounding.handlers,))
            return session.run(given, demand).outputs.logits

        slope = _mixed_slope(scores, x)
        if rounding.met:
            rounding.straight = True
            try:
                straight = _mixed_slope(scores, x)
            except RuntimeError:  # whole numbers that are read as such, which no gradient passes
                straight = slope * (0 if rounding.quantised else 1)
            rounding.straight = False
            if (straight - slope).norm() > _STRAIGHT * straight.norm() or (rounding.quantised and not straight.any()):
                raise Unconvertible(
                    "it rounds on the way to its scores, as quantised files do, and what rounds has no gradient: "
                    "explain the file from before quantising"
                )
        halves = any(tensor.dtype == torch.float16 for tensor in module.state_dict().values())
        precision = torch.finfo(torch.float16).eps if halves else 1e-6
        least = 1.0 if program.image.dtype == "UINT8" else 0.0
        return slope_gap(program, x, scores, unit, precision, least)


class _Rounding:
    """Sees what is rounded of numbers that depend on the input, and passes gradients ``straight`` through it;
    ``quantised`` where that was to eight bits."""

    def __init__(self) -> None:
        self.met = self.straight = self.quantised = False

    @property
    def handlers(self) -> dict[str, Handler]:
        """By function name."""
        return dict.fromkeys((*_ROUNDS, *_CASTS), self._watch)

    def _watch(self, call: Call, proceed: Callable[[Call], Any]) -> Any:
        given, out = call.args[0], proceed(call)
        if not (call.name in _ROUNDS or out.dtype in _WHOLE):
            return out
        if not given.requires_grad:  # whole numbers meet ours, which are none, in a sum or product
            return out.float() if self.straight and out.dtype in _WHOLE else out
        self.met = True
        self.quantised = self.quantised or out.dtype in _WHOLE[:2]
        return given + (out.to(given.dtype) - given).detach() if self.straight else out


def _mixed_slope(scores: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """The gradient of a mixture of all scores."""
    leaf = x.detach().clone().requires_grad_()
    out = scores(leaf)
    weights = torch.randn(out.shape, generator=torch.Generator().manual_seed(0)).to(out)
    return slope_of((out * weights).sum(), leaf)


def _noise(module: OnnxNetwork | OnnxProgram, program: OnnxProgram, batch: int) -> tuple[Tensor, float]:
    """Inputs that are noise, and the range of their values."""
    image = program.image
    noise = torch.rand(batch, image.channels, *image.size, generator=torch.Generator().manual_seed(0))
    unit = 255.0 if image.dtype == "UINT8" else 1.0
    return Network(module).like((noise * unit).round() if image.dtype == "UINT8" else noise), unit


def _gap(module: OnnxNetwork, program: OnnxProgram, batch: int) -> float | str:
    """How far the two are apart on noise; in words where the torch version does not run at all."""
    network = Network(module, alone=True)  # compared below, where a gap is no error
    x, _ = _noise(module, program, batch)
    try:
        with network.borrowed() as call:
            forward = Session(network, call, x).run(x, Demand(gradients=False))
        return disagreement(program, x, forward.outputs)
    except SeewhyError:
        raise
    except Exception as error:  # whatever torch says about operations that do not fit together
        return reason(error, 100)


def _preprocess(file: OnnxFile) -> tuple[Preprocess | None, str]:
    """What pixels become, by the metadata if they say so; and what had to be assumed."""
    image = file.image
    if image.channels not in (1, 3):
        return None, ""
    mean, std = (_numbers(file.metadata.get(key, ""), image.channels) for key in ("mean", "std"))
    if mean is None or std is None or min(std) <= 0:
        return guessed("this ONNX file", image.size, image.channels, "bytes" if image.dtype == "UINT8" else "unit")
    if max(*mean, *std) > 1.5:  # numbers for pixels from 0 to 255
        mean, std = tuple(value / 255 for value in mean), tuple(value / 255 for value in std)
    return Preprocess(image.size, None, "squash", mean, std, channels=image.channels), ""


def guessed(what: str, size: tuple[int, int], channels: int, preset: str) -> tuple[Preprocess, str]:
    """The preset for a file that does not say what its pixels are, and the line that says so."""
    ours = Preprocess.preset(preset, size, channels)
    values = "values from 0 to 255" if preset == "bytes" else "values from 0 to 1"
    shape = f"{size[0]}x{size[1]}"
    return ours, f"{what} does not say what its pixels are: taken as {values}, squashed to {shape} ({_CHOICE})"


def _numbers(text: str, count: int) -> tuple[float, ...] | None:
    parsed = literal(text)
    values = [parsed] * count if isinstance(parsed, int | float) else parsed
    if not isinstance(values, list | tuple) or len(values) != count:
        return None
    if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
        return None
    return tuple(float(value) for value in values)


def _labels(file: OnnxFile) -> tuple[str, ...] | None:
    """Class names that the exporter wrote down, if there are as many as classes."""
    for key in ("labels", "names", "classes"):
        parsed = literal(file.metadata.get(key, ""))
        if not isinstance(parsed, list | tuple | dict):
            continue
        try:
            labels = read_labels(parsed)
        except UsageError:  # metadata of another meaning under the same name
            continue
        dims = file.graph.graph.output[0].type.tensor_type.shape.dim
        if len(dims) == 2 and dims[1].dim_value in (0, len(labels)):
            return labels
    return None


SCHEME = schemes.add(Scheme("onnx", _FORM, load, list, "python -m pydoc seewhy.models.loader"))
