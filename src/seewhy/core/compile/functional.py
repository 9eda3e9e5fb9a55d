"""Functional form: takes a graph of ATen calls, gives it without calls that write into their arguments; runs nothing.

Torch's own pass of that kind takes several seconds for a network of fifty layers. This one takes the plain cases, in
which what is written into is read under one name only, and refuses the rest.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import fx

from seewhy.errors import CapabilityError

__all__ = ["erase_unused", "make_functional"]

_ATEN = torch.ops.aten

_DROPOUTS = ("aten::dropout", "aten::feature_dropout", "aten::alpha_dropout", "aten::feature_alpha_dropout")


def make_functional(graph: fx.Graph) -> None:
    """Replace every call that writes into its first argument by one that gives a new tensor, in place.

    Raises `CapabilityError` where others hold what is written into: views of it, or the model's own tensors.
    """
    order = {node: n for n, node in enumerate(graph.nodes)}
    roots: dict[fx.Node, fx.Node] = {}
    for node in list(graph.nodes):
        if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
            continue
        source = node.args[0] if node.args else None
        if node.target._schema.name.removesuffix("_") in _DROPOUTS and node.args[2:3] in ((False,), ()):
            node.replace_all_uses_with(source)  # in eval mode its output is its input
            continue
        written = _written(node)
        if written is not None:
            _replace(node, written, roots, order)
        elif isinstance(source, fx.Node) and _is_view(node):
            roots[node] = roots.get(source, source)
    for node in graph.nodes:
        if node.target is _ATEN.batch_norm.default and node.args[5] and node.args[3] is not None:
            raise CapabilityError("a batch norm in train mode changes its own statistics")
    erase_unused(graph)


def erase_unused(graph: fx.Graph) -> None:
    """Take out the calls and tensors that nothing reads."""
    for node in reversed(list(graph.nodes)):
        if not node.users and node.op in ("call_function", "get_attr"):
            graph.erase_node(node)


def _written(node: fx.Node) -> fx.Node | None:
    """What a call writes into, if it does."""
    written: list[Any] = [
        value
        for argument, value in zip(node.target._schema.arguments, node.args, strict=False)  # type: ignore[union-attr]
        if argument.alias_info is not None and argument.alias_info.is_write
    ]
    if not _writes(node.target):
        return None
    if _writes(node.target) != 1 or len(written) != 1 or node.args[0] is not written[0]:
        raise CapabilityError(f"its graph has {node.target}, which writes where nothing else is seen to")
    return written[0] if isinstance(written[0], fx.Node) else None


def _replace(node: fx.Node, written: fx.Node, roots: dict[fx.Node, fx.Node], order: dict[fx.Node, int]) -> None:
    """``node`` without its side effect: whoever read what it writes into from then on reads its result."""
    root = roots.get(written, written)
    family = {root, *(view for view, of in roots.items() if of is root)} - {written}
    late = [user for member in family for user in member.users if order.get(user, -1) > order[node]]
    if late or written.op == "get_attr" or root.op == "get_attr":
        raise CapabilityError(f"its graph writes into what others hold, too ({node.target} on {written.name})")
    node.target = _out_of_place(node.target)
    written.replace_all_uses_with(node, delete_user_cb=lambda user: order.get(user, -1) > order[node])
    if node.args[0] is not written:
        node.update_arg(0, written)


def _out_of_place(target: Any) -> Any:
    """The function of which ``target`` is the spelling that writes into its argument."""
    packet = target._schema.name.removeprefix("aten::")
    plain = getattr(_ATEN, packet[:-1], None) if packet.endswith("_") else None
    for overload in () if plain is None else plain.overloads():
        # told by what it takes: overloads of one name may take other things (pow_.Scalar and pow.Scalar)
        form = getattr(plain, overload)
        if _taken(form) == _taken(target) and not _writes(form):
            return form
    raise CapabilityError(f"its graph has {target}, of which torch has no form without a side effect")


def _writes(target: Any) -> int:
    """Into how many of its arguments an operation writes."""
    return sum(a.alias_info is not None and a.alias_info.is_write for a in target._schema.arguments)


def _taken(target: Any) -> list[tuple[str, str]]:
    """The names and types of what an operation takes."""
    return [(argument.name, str(argument.type)) for argument in target._schema.arguments]


def _is_view(node: fx.Node) -> bool:
    """Whether a call hands on its argument's memory, or may."""
    return any(value.alias_info is not None for value in node.target._schema.returns)  # type: ignore[union-attr]
