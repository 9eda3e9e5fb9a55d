"""Places: takes a network and a place's name, gives the tensor that is meant there, what it was made of, and its
gradient, by hooks of its own."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["leaves", "watched"]

_Show = Callable[[Any], None]


def watched(
    net: nn.Module, x: Tensor, name: str, cut: bool = False
) -> tuple[Any, list[Tensor], list[Tensor], list[Tensor]]:
    """One forward with a copy of the place's tensor, which ``cut`` takes out of the graph; what the place was given;
    and the gradient at the tensor, once a backward has run."""
    module, key, wanted = _find(net, name)
    calls = 0

    def count(taken: Any) -> None:
        nonlocal calls
        calls += 1

    if wanted is None:
        with _shown(module, key, count, lambda out: None), torch.no_grad():
            net(x.clone())
        wanted, calls = calls, 0
    caught: list[Tensor] = []
    given: list[Tensor] = []
    felt: list[Tensor] = []

    def note(tensor: Tensor) -> None:
        caught.append(tensor.clone())
        if tensor.requires_grad:
            tensor.register_hook(torch.zeros_like if cut else lambda gradient: felt.append(gradient.clone()))

    def read(taken: Any) -> None:
        count(taken)
        if calls == wanted:
            tensors = [each for each in leaves(taken) if each.is_floating_point()]
            given.extend(each for each in tensors if each.requires_grad)
            if key == "in":
                note(tensors[0])

    def write(out: Any) -> None:
        if calls == wanted and key != "in":
            note(_element(out, "" if key.endswith("()") else key))

    with _shown(module, key, read, write):
        out = net(x)
    return out, caught, given, felt


def leaves(values: Any) -> list[Tensor]:
    """Every tensor in containers within containers."""
    if isinstance(values, Tensor):
        return [values]
    if isinstance(values, dict):
        values = list(values.values())
    return [tensor for each in values for tensor in leaves(each)] if isinstance(values, list | tuple) else []


def _find(net: nn.Module, name: str) -> tuple[nn.Module, str, int | None]:
    """Module, element and call of a place's name; the network itself goes by ''."""
    found = re.fullmatch(r"(.*?)(?:\[([^\]]+)\])?(?:#(\d+))?", name)
    assert found is not None
    plain, element, call = found.groups()
    modules = dict(net.named_modules(remove_duplicate=False))
    if plain not in modules and hasattr(net, "get_layer"):
        modules[plain] = net.get_layer(plain)
    return modules[plain], element or "", int(call) if call else None


def _element(output: Any, key: str) -> Tensor:
    if isinstance(output, Tensor):
        return output
    values = list(output.values()) if isinstance(output, dict) else list(output)
    if not key:
        return next(v for v in values if isinstance(v, Tensor))
    for step in key.split("."):
        if isinstance(output, dict) and not step.isdigit():
            output = output[step]
        elif step.isdigit():
            output = (list(output.values()) if isinstance(output, dict) else output)[int(step)]
        else:
            output = getattr(output, step)
    return output  # type: ignore[no-any-return]


class _Functions(TorchFunctionMode):
    """Shows what functions called ``name`` are given, and what they give, while ``inside`` says that a module runs."""

    def __init__(self, name: str, inside: list[int], given: _Show, gave: _Show) -> None:
        super().__init__()
        self.name, self.inside, self.given, self.gave = name, inside, given, gave

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run it, shown if it is meant."""
        meant = self.inside and getattr(func, "__name__", "") == self.name
        if meant:
            self.given(args)
        out = func(*args, **(kwargs or {}))
        if meant:
            self.gave(out)
        return out


@contextlib.contextmanager
def _shown(module: nn.Module, element: str, given: _Show, gave: _Show) -> Iterator[None]:
    """While open, what a place's module, or the function in it that its element names, is given is shown before it
    runs, and what it gave after."""
    inside: list[int] = []
    mode: Any = contextlib.nullcontext()
    if element.endswith("()"):
        mode = _Functions(element.removesuffix("()"), inside, given, gave)

    def pre(m: nn.Module, args: Any, kwargs: Any) -> None:
        inside.append(1)
        if not element.endswith("()"):
            given((*args, *kwargs.values()))

    def post(m: nn.Module, args: Any, out: Any) -> None:
        inside.pop()
        if not element.endswith("()"):
            gave(out)

    handles = [module.register_forward_pre_hook(pre, with_kwargs=True), module.register_forward_hook(post)]
    try:
        with mode:
            yield
    finally:
        for each in handles:
            each.remove()
