"""Graphs: takes nodes of an exported graph and the tensors that it reads, gives functions that run them, and the node
that is each call of each layer; chooses nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, fx

__all__ = ["assemble", "derived", "in_words", "kept", "place_nodes", "tensor_of"]


def assemble(
    nodes: Sequence[fx.Node],
    inputs: Sequence[fx.Node],
    outputs: Sequence[fx.Node],
    tensors: Mapping[str, Tensor],
    modules: Mapping[str, Callable[[Tensor], Tensor]],
) -> Callable[..., tuple[Any, ...]]:
    """A function of ``inputs`` that runs ``nodes`` in order and gives ``outputs``; what nobody reads any more is let
    go.

    ``get_attr`` nodes read ``tensors``, ``call_module`` nodes call ``modules``. Functions and constants are handed over
    as they are: no part of the graph becomes text.
    """
    names = {node: f"n{n}" for n, node in enumerate([*inputs, *nodes])}
    last = {source: node for node in nodes for source in node.all_input_nodes}
    held: dict[str, Any] = {}
    lines = []
    for node in nodes:
        if node.op == "get_attr":
            continue
        function = _hold(modules[str(node.target)] if node.op == "call_module" else node.target, held)
        given = [_word(value, names, tensors, held) for value in node.args]
        given += [f"{key}={_word(value, names, tensors, held)}" for key, value in node.kwargs.items()]
        lines.append(f"{names[node]} = {function}({', '.join(given)})")
        sources = [source for source in node.all_input_nodes if source.op != "get_attr" and source not in outputs]
        done = [names[source] for source in sources if last[source] is node]
        if done:
            lines.append(" = ".join(done) + " = None")
    results = "".join(f"{_word(output, names, tensors, held)}, " for output in outputs)
    body = "\n    ".join([*lines, f"return ({results})"])
    exec(f"def run({', '.join(names[node] for node in inputs)}):\n    {body}", held)
    # taken out of its own globals: the cycle would keep the tensors until the garbage collector comes by
    run: Callable[..., tuple[Any, ...]] = held.pop("run")
    return run


def _word(value: Any, names: Mapping[fx.Node, str], tensors: Mapping[str, Tensor], held: dict[str, Any]) -> str:
    """An argument as it stands in the function: a name, of something that ran before or of something ``held``."""
    if isinstance(value, fx.Node):
        return _hold(tensors[str(value.target)], held) if value.op == "get_attr" else names[value]
    if isinstance(value, list | tuple) and any(isinstance(item, fx.Node) for item in value):
        return "[" + ", ".join(_word(item, names, tensors, held) for item in value) + "]"
    return _hold(value, held)


def _hold(value: Any, held: dict[str, Any]) -> str:
    """A name for ``value``."""
    name = f"v{len(held)}"
    held[name] = value
    return name


def tensor_of(node: Any, tensors: Mapping[str, Tensor]) -> Tensor | None:
    """The tensor that an argument reads, if it reads one."""
    return tensors.get(str(node.target)) if isinstance(node, fx.Node) and node.op == "get_attr" else None


def derived(at: fx.Node, name: str, tensors: dict[str, Tensor], make: Callable[[], Tensor]) -> fx.Node:
    """A node before ``at`` that reads a tensor made from others, called ``name``."""
    with at.graph.inserting_before(at):
        return at.graph.get_attr(kept(name, tensors, make))


def kept(name: str, tensors: dict[str, Tensor], make: Callable[[], Tensor]) -> str:
    """``name``, of one of the ``tensors``: made once, however often it is asked for."""
    if name not in tensors:
        with torch.no_grad():
            tensors[name] = make()
    return name


def in_words(graph: fx.Graph, tensors: Mapping[str, Tensor]) -> str:
    """A graph as text, alike for graphs that compute the same of tensors that may hold something else: operations,
    numbers, and types and shapes of what it reads of ``tensors``."""
    names = {node: f"%{n}" for n, node in enumerate(graph.nodes)}
    lines = []
    for node, name in names.items():
        given = fx.map_arg((node.args, node.kwargs), names.__getitem__)
        read = tensor_of(node, tensors)
        kind = "" if read is None else f" {read.dtype} {list(read.shape)}"
        lines.append(f"{name} {node.op} {'' if read is not None else _name(node.target)}{kind} {given}")
    return "\n".join(lines)


def _name(target: Any) -> str:
    """A name of an operation that is the same in every process."""
    if isinstance(target, str | torch._ops.OpOverload):
        return str(target)
    return f"{target.__module__}.{target.__qualname__}"


def place_nodes(graph: fx.Graph) -> dict[str, list[fx.Node]]:
    """For every layer's dotted name the nodes that its calls put out, in order.

    A layer of which nothing is left in the graph (an identity), or that hands on several tensors, has none.
    """
    inside: dict[str, tuple[str, list[fx.Node]]] = {}
    for node in graph.nodes:
        if node.op != "call_function":
            continue
        for key, (path, _) in (node.meta.get("nn_module_stack") or {}).items():
            inside.setdefault(key, (path, []))[1].append(node)
    places: dict[str, list[fx.Node] | None] = {}
    for path, nodes in inside.values():
        own = set(nodes)
        out = [node for node in nodes if any(user not in own for user in node.users)]
        if len(out) == 1 and places.get(path, []) is not None:
            places[path] = [*(places.get(path) or []), out[0]]
        else:  # which of several is the output, the graph does not say
            places[path] = None
    return {path: nodes for path, nodes in places.items() if nodes and path}
