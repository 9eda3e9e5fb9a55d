"""Lists: takes a model, or nothing, gives what there is to choose from: methods and layers; explains nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

import seewhy.methods  # noqa: F401 - every method registers itself on import
from seewhy.api.given.images import channels_first, check_one_explained, read_items
from seewhy.api.given.rows import in_rows
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.result import Forward
from seewhy.core.forward.session import Session
from seewhy.core.layers.candidates import Candidate
from seewhy.core.layers.choice import Chooser, choose
from seewhy.core.network.places import TAKEN
from seewhy.core.targets import Logit
from seewhy.errors import CapabilityError, OutOfMemory, TargetError, UsageError, reason
from seewhy.html import Rows
from seewhy.models import Model, Preprocess
from seewhy.models.input_shape import intake
from seewhy.models.loader import taken
from seewhy.registry import Card, cards

__all__ = ["LayerInfo", "blank", "guessing", "layers", "methods"]


def methods(family: str | None = None) -> list[Card]:
    """The cards of all methods (``family`` ``"gradient"`` or ``"cam"`` for one kind), by name.

    >>> import seewhy
    >>> next(card.formula for card in seewhy.methods() if card.name == "hires-cam")
    'sum_c g_c A_c, elementwise'
    """
    return cards(family)


#: of a table of layers
_COLUMNS = {
    "layer": "name", "kind": "kind", "gives": "shape", "grid": "grid", "channels": "channels",
    "parameters": "parameters", "chosen for CAMs": "chosen",
}  # fmt: skip


@dataclass(frozen=True)
class LayerInfo:
    """One submodule: its dotted name, its class, its output shape and grid (None if it never ran), its parameters. If
    the automatic choice is no submodule but a tensor that one takes or gives among several, or what a function gives,
    that place has a line of its own, without parameters."""

    name: str
    kind: str
    shape: tuple[int, ...] | None
    grid: tuple[int, ...] | None
    channels: int | None
    parameters: int
    chosen: bool


def layers(model: Model | nn.Module | Callable[[Tensor], Any] | str, input: Any = None) -> list[LayerInfo]:
    """Every layer of a model in the order of its definition, with shapes from one forward and the automatic choice
    marked.

    ``input`` is what the forward is run on: an image or several, or a float tensor, as for `seewhy.explain`; without
    it noise of the model's own input size (224 if it has none). Of a model of which several inputs are explained it is
    a mapping of them, as for `seewhy.explain`; no layer is chosen then, since a map of one lies on one picture. Raises
    `CapabilityError` for a plain callable, and `UsageError` where one of several inputs is missing.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1))
    >>> [(layer.name, layer.grid, layer.chosen) for layer in seewhy.layers(net, torch.rand(1, 3, 8, 8))]
    [('0', (6, 6), False), ('1', (6, 6), True), ('2', (1, 1), False)]
    """
    wrapped = taken(model)
    keys = [] if wrapped.inputs is None else [one.key for one in wrapped.inputs.explained]
    several = len(keys) > 1
    if several and input is None:
        form = ", ".join(f"{key!r}: ..." for key in keys)
        raise UsageError(f"several inputs are explained at once, and none is given: seewhy.layers(model, {{{form}}})")
    if several:
        wrapped, _, rows = in_rows(wrapped, input)
        x = rows[0].tensor[None]
    else:
        x = _noise(wrapped) if input is None else _given(wrapped, input)
    network = wrapped.network()
    root, x = network.module, network.like(x)
    with network.borrowed() as call:
        with guessing(x, "give it one that it takes: seewhy.layers(model, x)") if input is None else nullcontext():
            session = Session(network, call, x)
            forward = session.run(x, Demand(survey=True))
        chosen = None if several else _best(session, forward)
    given_out = [noted for noted in reversed(forward.tape.noted) if noted.element != TAKEN and not noted.function]
    shapes = {noted.module: tuple(noted.tensor.shape) for noted in given_out}
    shapes |= {seen.name: seen.shape for seen in forward.tape.seen}
    best = None if chosen is None else chosen.name

    def info(name: str, kind: str, shape: tuple[int, ...] | None, parameters: int) -> LayerInfo:
        proved = session.layouts.get((forward.size, name)) if name == best else None
        layout = proved or (None if shape is None else forward.layout_of(shape))
        grid = None if layout is None else layout.grid
        channels = None if layout is None or not shape or layout.channel >= len(shape) else shape[layout.channel]
        return LayerInfo(name, kind, shape, grid, channels, parameters, name == best)

    infos = Rows[LayerInfo]([], _COLUMNS)
    for name, module in root.named_modules():
        if name:
            count = sum(p.numel() for p in module.parameters())
            infos.append(info(name, type(module).__name__, shapes.get(name), count))
        if chosen is not None and chosen.name != name == chosen.noted.module:
            infos.append(info(chosen.name, _part(chosen, module), tuple(chosen.noted.tensor.shape), 0))
    return infos


def _part(chosen: Candidate, module: nn.Module) -> str:
    """What a place is that is no module's own."""
    element, kind = chosen.noted.element, type(module).__name__
    if chosen.noted.function:
        return f"what {element.removesuffix('()')} gives"
    return f"input of {kind}" if element == TAKEN else f"output of {kind}"


def _given(model: Model, image: Any) -> Tensor:
    """What the user gave, as a batch with its channels first; of pictures, the first and those as large."""
    named = model.inputs is not None and model.inputs.order is not None
    if (
        isinstance(image, Tensor) and image.is_floating_point() and not named
    ):  # frames and views as well: layers can be listed
        one = image.ndim == intake(model.module).axes + 1
        return channels_first(model, image[None] if one else image)
    tensors = [item.tensor for item in read_items(model, image)[0]]
    return torch.stack([tensor for tensor in tensors if tensor.shape == tensors[0].shape])


@contextmanager
def guessing(x: Tensor, way: str) -> Iterator[None]:
    """Whatever a network raises here is for the sake of ``x``, whose shape was guessed: said in a line, with the
    ``way`` out. Raises `UsageError`."""
    try:
        yield
    except OutOfMemory:
        raise
    except Exception as error:
        raise UsageError(
            f"the model takes no input of shape {tuple(x.shape)}, which its first layer suggests ({reason(error)}); "
            f"{way}"
        ) from error


def _best(session: Session, forward: Forward) -> Candidate | None:
    """The layer that is chosen for what is most likely asked: the top class, or all that there is."""
    try:
        logits = forward.outputs.logits
        asked = [tuple(Logit(int(k)) for k in logits.argmax(1))] if logits.ndim == 2 else []
        return choose(session, forward, asked, Chooser(session)).candidate
    except (CapabilityError, TargetError):  # the list is for those who look for a layer themselves
        return None


def _noise(model: Model) -> Tensor:
    """Noise like `blank`: through nothing no gradient flows, by which the layer is chosen."""
    empty = blank(model)
    return torch.randn(empty.shape, generator=torch.Generator().manual_seed(0)).to(empty)


def blank(model: Model, size: tuple[int, ...] | None = None) -> Tensor:
    """An empty input [1, C, *size], of the model's own size and channels where it says, else as its first convolution
    tells (3 x 224 x 224 where there is none)."""
    check_one_explained(model)
    ours = model.preprocess if isinstance(model.preprocess, Preprocess) else None
    channels, *own = intake(model.module).example
    if ours is not None:
        channels, own = ours.channels, own if ours.size is None else list(ours.size)
    return torch.zeros(1, channels, *(own if size is None else size))
