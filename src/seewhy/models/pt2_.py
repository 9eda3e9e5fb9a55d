"""Takes a program that torch.export saved, gives the network in it; never opens one unless told to trust it."""

from __future__ import annotations

import copy
import io
import warnings
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from seewhy.core.network.outputs import main_tensor
from seewhy.errors import CapabilityError, ModelError, UnsafeModel, UsageError, reason
from seewhy.models._missing_files import missing_file
from seewhy.models._scheme import ModelRequest, Scheme, schemes
from seewhy.models.model import Model
from seewhy.models.onnx_ import guessed

__all__ = ["SCHEME", "in_hand", "is_exported"]

_FORM = "pt2:FILE"
#: torch/_export/serde/serialize.py: constants and example inputs go through ``torch.load(weights_only=False)`` as soon
#: as the careful way fails, which the file decides; symbolic sizes through ``sympy.sympify``, which calls ``eval``
_WHY = (
    "reading it can run any code: torch.export.load unpickles what is inside without a check, and evaluates its "
    "symbolic sizes as Python; save onnx:FILE or a state_dict() instead, or, only for a file you made yourself, "
    "--trust-pickle (Python: trust_pickle=True)"
)


def load(request: ModelRequest) -> Model:
    """The exported program in the file, with its layers where `torch.export.unflatten` can tell them apart.

    A program exported for one batch size is freed from it where that gives the same scores. Raises `UnsafeModel` unless
    pickles are trusted, `ModelError` for what cannot be read or takes no image.
    """
    spec, path = f"pt2:{request.name}", Path(request.name).expanduser()
    if request.weights != "auto":
        raise UsageError(f"{spec} has its weights inside; leave --weights out")
    name = f"exported program {str(path)!r}"
    if missing := missing_file(path):
        raise ModelError(f"cannot read {name}: {missing}")
    if not request.trust_pickle:
        raise UnsafeModel(f"{name} is not opened, because {_WHY}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # remarks on the format, about which the caller can do nothing
            program = torch.export.load(path)
    except Exception as error:  # a damaged archive raises anything
        raise ModelError(f"cannot read {name}: damaged or no torch.export program ({reason(error, 120)})") from error
    shape = _image_shape(program, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = _module(program, shape, name)
    for part in module.modules():  # exported graphs are as they were exported, and refuse .eval()
        part.training = False
    channels = shape[1] if isinstance(shape[1], int) else 3
    size = tuple(length if isinstance(length, int) else 224 for length in shape[2:])
    known = guessed("this exported program", (size[0], size[1]), channels, "unit") if channels in (1, 3) else (None, "")
    return Model(
        module, name=path.stem, spec=spec, preprocess=known[0], weights=f"file {request.name}", assumed=known[1]
    )


def is_exported(module: Any) -> bool:
    """Whether ``module`` is what `torch.export.export` gives, or the module that such a program makes of itself."""
    return isinstance(module, torch.export.ExportedProgram) or _static_batch(module) is not None


def in_hand(module: Any) -> nn.Module:
    """A network for any number of images: of an exported program, or of a module that was made of one and insists on
    the batch that it was exported with. Raises `ModelError` for a program that takes no image."""
    if isinstance(module, torch.export.ExportedProgram):
        name = "this exported program"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = _module(_own(module), _image_shape(module, name), name)
        for part in network.modules():
            part.training = False
        return network
    batch = _static_batch(module)
    assert batch is not None
    return _any_batch(module, batch)


def _own(program: Any) -> Any:
    """A copy of a program in hand, by way of what it would be as a file: its notes hold tensors that cannot be
    copied."""
    held = io.BytesIO()
    torch.export.save(program, held)
    held.seek(0)
    return torch.export.load(held)


def _static_batch(module: Any) -> int | None:
    """The one batch size that a module made of an exported program takes; None for any other module."""
    if not isinstance(module, torch.fx.GraphModule) or not hasattr(module, "_guards_fn"):
        return None
    values = [node.meta.get("val") for node in module.graph.nodes if node.op == "placeholder"]
    if len(values) != 1 or not isinstance(values[0], Tensor) or values[0].ndim != 4:
        return None
    return values[0].shape[0] if isinstance(values[0].shape[0], int) else None


def _any_batch(module: Any, batch: int) -> nn.Module:
    """A copy without the guards that hold it to its batch, where that gives every image the same scores; else one that
    says which batch it takes. The module itself stays as it is."""
    graph = torch.fx.Graph()
    graph.output(graph.graph_copy(module.graph, {}))
    graph.set_codegen(module.graph._codegen)
    for node in list(graph.nodes):
        if node.op == "call_module" and node.target == "_guards_fn":
            graph.erase_node(node)
    _free_views(graph, batch)
    freed = torch.fx.GraphModule(module, graph)
    size = next(node.meta["val"].shape[1:] for node in module.graph.nodes if node.op == "placeholder")
    known = [length if isinstance(length, int) else 224 for length in size]
    x = torch.rand(2 * batch, *known, generator=torch.Generator().manual_seed(0))
    return cast(nn.Module, freed) if _same(freed, module, x, batch) else _OneBatch(module, batch)


class _OneBatch(nn.Module):
    """An exported module that can only take its own number of images."""

    def __init__(self, exported: nn.Module, batch: int) -> None:
        super().__init__()
        self.exported, self.batch = exported, batch

    def forward(self, x: Tensor) -> Any:
        """What it gives for ``x`` [B, C, H, W]."""
        if len(x) != self.batch:
            raise CapabilityError(_one_batch("this exported program", self.batch, len(x)))
        return self.exported(x)


def _one_batch(name: str, batch: int, asked: int) -> str:
    return (
        f"{name} was exported for {batch} image(s) at once and cannot take {asked}; export it with "
        "dynamic_shapes=({0: torch.export.Dim.DYNAMIC},)"
    )


def _same(freed: Any, exact: Any, x: Tensor, batch: int) -> bool:
    """Whether a network that was freed of its batch gives ``x`` the scores that the exact one gives piece by piece."""
    try:
        with torch.no_grad():
            together = main_tensor(freed(x))
            apart = torch.cat([main_tensor(exact(part)) for part in torch.split(x, batch)])
    except Exception:  # whatever torch says to a graph that is built around its batch
        return False
    return together.shape == apart.shape and torch.allclose(together, apart, rtol=1e-4, atol=1e-5)


def _image_shape(program: Any, name: str) -> list[Any]:
    """The shape of the one input; a size that was left open is no int."""
    wanted = set(program.graph_signature.user_inputs)
    values = [node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder" and node.name in wanted]
    if len(wanted) != 1 or len(values) != 1 or not isinstance(values[0], Tensor) or values[0].ndim != 4:
        given = [list(value.shape) if isinstance(value, Tensor) else type(value).__name__ for value in values]
        raise ModelError(f"{name} takes {given or 'nothing'}; known: one image, [N, C, H, W]")
    return list(values[0].shape)


def _module(program: Any, shape: list[Any], name: str) -> nn.Module:
    """The network, for any number of images where that can be had."""
    if not isinstance(shape[0], int):
        return _unfolded(program)
    exact = _unfolded(program)
    freed: Any = _unfolded(_freed(program, shape[0]))
    freed.check_input_constraints = False
    size = [length if isinstance(length, int) else 224 for length in shape[1:]]
    x = torch.rand(2 * shape[0], *size, generator=torch.Generator().manual_seed(0))
    if _same(freed, exact, x, shape[0]):
        return cast(nn.Module, freed)
    whole = exact.forward

    def forward(x: Tensor) -> Any:
        if len(x) != shape[0]:
            raise CapabilityError(_one_batch(name, shape[0], len(x)))
        return whole(x)

    exact.forward = forward
    return exact


def _unfolded(program: Any) -> nn.Module:
    try:
        module: nn.Module = torch.export.unflatten(program)
    except Exception:  # not every program keeps its layers apart; then there is one graph without any
        module = program.module()
    return module


def _freed(program: Any, batch: int) -> Any:
    """A copy whose reshapes take whatever number of images comes; whether that was right, the caller finds out."""
    copied = copy.deepcopy(program)
    _free_views(copied.graph, batch)
    return copied


def _free_views(graph: Any, batch: int) -> None:
    for node in graph.nodes:
        if str(node.target).startswith(("aten.view", "aten.reshape", "aten._unsafe_view")) and len(node.args) > 1:
            first, *rest = node.args[1] or [None]
            if first == batch and -1 not in rest:
                node.args = (node.args[0], [-1, *rest], *node.args[2:])


SCHEME = schemes.add(Scheme("pt2", _FORM, load, list, "python -m pydoc seewhy.models.loader"))
