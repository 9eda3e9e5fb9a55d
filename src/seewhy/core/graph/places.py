"""Layers in a graph: takes an exported network, gives the node that is each call of each layer; runs nothing."""

from __future__ import annotations

from torch import fx

__all__ = ["place_nodes"]


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
    found: dict[str, list[fx.Node] | None] = {}
    for path, nodes in inside.values():
        mine = set(nodes)
        out = [node for node in nodes if any(user not in mine for user in node.users)]
        if len(out) == 1 and found.get(path, []) is not None:
            found[path] = [*(found.get(path) or []), out[0]]
        else:  # which of several is the output, the graph does not say
            found[path] = None
    return {path: nodes for path, nodes in found.items() if nodes and path}
