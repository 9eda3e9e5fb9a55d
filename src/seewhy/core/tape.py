"""Capturing: takes places in a network, gives their activations with a graph behind them; leaves no hook.

A hook's life is the life of `capture`. What is captured travels downstream as a clone, because a later in-place ReLU
would rewrite it; a module that works in place, or passes its argument on, keeps its aliasing, for models that call
``self.relu(x)`` for its side effect.
"""

from __future__ import annotations

import copy
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge

from seewhy.core.layers import Place, Seen
from seewhy.errors import CapabilityError

__all__ = ["Edit", "Graph", "Tape", "capture", "record"]

#: replaces a raw activation during a forward
Edit = Callable[[Tensor], Tensor]
Graph = Literal["full", "lazy", "none"]


@dataclass
class Tape:
    """What was captured: raw activations by place name (``layer4``, ``relu#2``).

    ``edges`` are where gradients are asked of layers whose tensor others hold too; ``sent`` the clones that went
    downstream. ``seen`` and ``outputs`` are filled by `record` only.
    """

    activations: dict[str, Tensor] = field(default_factory=dict)
    edges: dict[str, GradientEdge] = field(default_factory=dict)
    sent: dict[int, tuple[str, Tensor]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    outputs: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    #: layers that gave several tensors, of which the first was taken, and how many
    several: dict[str, int] = field(default_factory=dict)


@contextmanager
def capture(
    places: Mapping[str, Place],
    *,
    graph: Graph = "full",
    edits: Mapping[str, Edit] | None = None,
    optional: frozenset[str] = frozenset(),
) -> Iterator[Tape]:
    """Capture ``places`` for the forwards run inside.

    ``graph`` says what is recorded for gradients: everything (``"full"``), what follows the first captured layer
    (``"lazy"``: nothing upstream is kept in memory or differentiated), or nothing (``"none"``). ``edits`` replace the
    activation of a place. Raises `CapabilityError` when a layer gives no tensor, or never runs and is not ``optional``.
    """
    tape, calls = Tape(), dict.fromkeys(places, 0)
    owner = threading.get_ident()
    with ExitStack() as stack:
        for key, place in places.items():
            _check_hookable(place.module, key)

            def after(module: nn.Module, args: Any, output: Any, key: str = key, place: Place = place) -> Any:
                if threading.get_ident() != owner:
                    return None  # somebody else runs the same model meanwhile
                calls[key] += 1
                if place.call is not None and calls[key] != place.call:
                    return None
                raw = _first(output, place.name)
                if (count := sum(1 for each in _inside(output) if each.is_floating_point())) > 1:
                    tape.several[key] = count
                if graph == "lazy":
                    torch.set_grad_enabled(True)
                # in place on its argument, or passed on untouched: others hold the same tensor and must see what we do
                aliased = any(argument is raw for argument in _tensors(args))
                edit = (edits or {}).get(key)
                new: Tensor | None
                if edit is not None:
                    new = tape.activations[key] = edit(raw)
                else:
                    # enabled here even where the model itself has switched gradients off around this layer
                    with torch.set_grad_enabled(graph != "none"):
                        new = _catch(tape, key, raw, aliased, wanted=graph != "none")
                if new is None:
                    return None
                if aliased:
                    raw.copy_(new)
                    return None
                return _replace(output, raw, new)

            stack.callback(place.module.register_forward_hook(after).remove)
        stack.enter_context(torch.set_grad_enabled(graph == "full"))
        yield tape
    tape.calls |= calls
    missing = next((name for name in places if calls[name] == 0 and name not in optional), None)
    if missing is not None:
        raise CapabilityError(
            f"layer {missing!r} did not run as a module in this forward (exported and TorchScript "
            "models run their layers unseen, and some layers are never called); choose another: seewhy layers"
        )
    late = next((n for n, p in places.items() if p.call is not None and calls[n] < p.call), None)
    if late is not None:
        raise CapabilityError(
            f"layer {late!r}: its layer ran {calls[late]} time(s) in this forward, so there is no such call"
        )


@contextmanager
def record(root: nn.Module, tape: Tape) -> Iterator[None]:
    """Note every module's output (name, kind, shape) in ``tape.seen``, so that a layer can be chosen afterwards."""

    owner = threading.get_ident()

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if threading.get_ident() == owner and isinstance(output, Tensor) and output.is_floating_point():
                identity = id(output), 0 if output.is_inference() else output._version
                tape.seen.append(Seen(name, type(module).__name__, tuple(output.shape), identity))
                tape.outputs[identity] = output  # held, so that no id is given out twice

        return hook

    _check_hookable(root, "")
    with ExitStack() as stack:
        for name, module in root.named_modules():
            if not isinstance(module, torch.jit.ScriptModule):
                stack.callback(module.register_forward_hook(note(name)).remove)
        yield


def _catch(tape: Tape, key: str, raw: Tensor, aliased: bool, *, wanted: bool) -> Tensor | None:
    """Put ``raw`` on the tape; gives what travels on in its stead, None if ``raw`` itself does."""
    earlier = tape.sent.get(id(raw))
    untouched = earlier is not None and not earlier[1].is_inference() and earlier[1]._version == 0
    if earlier is not None and untouched:  # a container's output that is its last child's, just caught
        tape.activations[key] = tape.activations[earlier[0]]
        return None
    if aliased and wanted and raw.grad_fn is not None:
        # writing into it would spoil what the graph has saved of it: ask for the gradient at its place in the graph
        tape.activations[key] = raw.clone()
        tape.edges[key] = get_gradient_edge(raw)
        return None
    caught = raw.clone()
    if wanted and not caught.requires_grad and caught.is_floating_point():
        caught.requires_grad_()
    tape.activations[key] = caught
    tape.edges.pop(key, None)
    sent = caught.clone()
    tape.sent[id(sent)] = key, sent
    return sent


def _check_hookable(module: nn.Module, name: str) -> None:
    if isinstance(module, torch.jit.ScriptModule):
        which = f"layer {name!r}" if name else "the layers"
        raise CapabilityError(
            f"{which} cannot be looked at: TorchScript runs a model's layers unseen. Use the original module, "
            "or a method at the input such as --method saliency"
        )


def _tensors(values: Sequence[Any]) -> list[Tensor]:
    return [value for value in values if isinstance(value, Tensor)]


def _first(output: Any, name: str) -> Tensor:
    if isinstance(output, Tensor):
        return output
    values = list(output.values()) if isinstance(output, Mapping) else output
    if isinstance(values, list | tuple):
        for value in values:
            if isinstance(value, Tensor):
                return value
    raise CapabilityError(f"layer {name!r} gives {type(output).__name__}, in which there is no tensor to explain")


def _inside(output: Any) -> Iterator[Tensor]:
    """Every tensor in what a layer gives."""
    if isinstance(output, Tensor):
        yield output
    elif isinstance(output, Mapping | list | tuple):
        for each in output.values() if isinstance(output, Mapping) else output:
            yield from _inside(each)


def _replace(output: Any, old: Tensor, new: Tensor) -> Any:
    if output is old:
        return new
    if isinstance(output, Mapping):
        replaced: Any = copy.copy(output)  # keeps its class, a defaultdict's factory included
        for key in [key for key, value in output.items() if value is old]:
            replaced[key] = new
        return replaced
    values = [new if value is old else value for value in output]
    return type(output)(*values) if hasattr(output, "_fields") else type(output)(values)
