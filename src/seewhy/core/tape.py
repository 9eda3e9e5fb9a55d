"""Capturing: takes places in a network, gives their activations with a graph behind them; leaves no hook.

A hook's life is the life of `capture`. What is captured travels downstream as a clone, because a later in-place ReLU
would rewrite it; a module that itself works in place keeps its aliasing, for models that call ``self.relu(x)`` for
its side effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from seewhy.core.layers import Place, Seen
from seewhy.errors import CapabilityError

__all__ = ["Edit", "Graph", "Tape", "capture", "record"]

#: replaces a raw activation during a forward
Edit = Callable[[Tensor], Tensor]
Graph = Literal["full", "lazy", "none"]


@dataclass
class Tape:
    """What was captured: raw activations by place name (``layer4``, ``relu#2``).

    ``seen`` and ``outputs`` are filled by `record` only.
    """

    activations: dict[str, Tensor] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    outputs: dict[tuple[int, int], Tensor] = field(default_factory=dict)


@contextmanager
def capture(
    places: Mapping[str, Place], *, graph: Graph = "full", edits: Mapping[str, Edit] | None = None
) -> Iterator[Tape]:
    """Capture ``places`` for the forwards run inside.

    ``graph`` says what is recorded for gradients: everything (``"full"``), what follows the first captured layer
    (``"lazy"``: nothing upstream is kept in memory or differentiated), or nothing (``"none"``). ``edits`` replace the
    activation of a place. Raises `CapabilityError` when a layer gives no tensor or never runs.
    """
    tape, calls = Tape(), dict.fromkeys(places, 0)
    versions: dict[str, list[tuple[Tensor, int]]] = {}
    with ExitStack() as stack:
        for key, place in places.items():
            _check_hookable(place.module, key)

            def before(module: nn.Module, args: Any, key: str = key) -> None:
                versions[key] = [(a, a._version) for a in _tensors(args) if not a.is_inference()]

            def after(module: nn.Module, args: Any, output: Any, key: str = key, place: Place = place) -> Any:
                calls[key] += 1
                if place.call is not None and calls[key] != place.call:
                    return None
                raw = _first(output, place.name)
                if graph == "lazy":
                    torch.set_grad_enabled(True)
                rewritten = any(a is raw and a._version != version for a, version in versions.get(key, ()))
                edit = (edits or {}).get(key)
                if edit is not None:
                    changed = edit(raw)
                    tape.activations[key] = changed
                    if rewritten:
                        raw.copy_(changed)
                        return None
                    return _replace(output, raw, changed)
                # enabled here even where the model itself has switched gradients off around this layer
                with torch.set_grad_enabled(graph != "none"):
                    caught = raw.clone()
                    if graph != "none" and not caught.requires_grad and caught.is_floating_point():
                        caught.requires_grad_()
                    tape.activations[key] = caught
                    if rewritten:
                        raw.copy_(caught)
                        return None
                    return _replace(output, raw, caught.clone())

            stack.callback(place.module.register_forward_pre_hook(before).remove)
            stack.callback(place.module.register_forward_hook(after).remove)
        stack.enter_context(torch.set_grad_enabled(graph == "full"))
        yield tape
    tape.calls |= calls
    missing = next((name for name in places if calls[name] == 0), None)
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

    def note(name: str) -> Callable[[nn.Module, Any, Any], None]:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            if isinstance(output, Tensor) and output.is_floating_point():
                identity = id(output), output._version
                tape.seen.append(Seen(name, type(module).__name__, tuple(output.shape), identity))
                tape.outputs[identity] = output  # held, so that no id is given out twice

        return hook

    _check_hookable(root, "")
    with ExitStack() as stack:
        for name, module in root.named_modules():
            stack.callback(module.register_forward_hook(note(name)).remove)
        yield


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


def _replace(output: Any, old: Tensor, new: Tensor) -> Any:
    if output is old:
        return new
    if isinstance(output, Mapping):
        return type(output)({key: new if value is old else value for key, value in output.items()})  # type: ignore[call-arg]
    values = [new if value is old else value for value in output]
    return type(output)(*values) if hasattr(output, "_fields") else type(output)(values)
