"""What relevance has to cross: takes a tensor and a place in the graph behind it, gives the functions between them that
no rule covers; changes nothing.

The graph that a forward recorded is the one witness that sees everything: functions inside fused kernels, exported
graphs, TorchScript and a user's own autograd functions included. What is not known to be right is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.graph import GradientEdge

from seewhy.errors import CapabilityError

__all__ = ["refuse", "uncovered"]

#: functions whose gradient is the right way for relevance: they move values, or one of them wins
_MOVING = re.compile(
    r"(?:Clone|Copys?|CopyBackwards|CopySlices|Alias|ToCopy|Contiguous|View|UnsafeView|_?ReshapeAlias|T|Transpose|Permute|"
    r"Squeeze|Unsqueeze|Expand|Repeat|Select|Slice|Index|IndexSelect|Narrow|Split|SplitWithSizes|Unbind|Chunk|Cat|Stack|"
    r"AsStrided|Flip|Rot90|Roll|Diagonal|Gather|PixelShuffle|PixelUnshuffle|ChannelShuffle|NativeChannelShuffle|"
    r"Unfold|ViewAsReal|ConstantPadNd|ReflectionPad\dD|ReplicationPad\dD|"
    r"MaxPool\dD(?:WithIndices)?|MkldnnMaxPool\dD|AdaptiveMaxPool\dD|Amax|Max|Maximum|Identity)(?:Backward\d*)?"
)


def uncovered(source: Tensor, goal: Tensor | GradientEdge) -> tuple[list[Any], list[Any]]:
    """The nodes between ``source`` and ``goal`` that no rule covers: torch's own, and the user's own.

    A user's own autograd function may fail for reasons of its own, which are worth more than ours: it is refused after
    it ran.
    """
    foreign = [node for node in _between(source, goal) if not _covered(node)]
    own = [node for node in foreign if isinstance(node, torch.autograd.function.BackwardCFunction)]
    return [node for node in foreign if node not in own], own


def _covered(node: Any) -> bool:
    name = node.name().rpartition("::")[2]
    return name == "RuledBackward" or _MOVING.fullmatch(name) is not None


def refuse(nodes: Sequence[Any], method: str, instead: str = "") -> None:
    """Raise `CapabilityError` if there are any, by name; ``instead`` is what may have rules for them, in words."""
    if nodes:
        names = dict.fromkeys(_function_name(node.name()) for node in nodes)
        also = f"{instead}; or " if instead else ""
        raise CapabilityError(
            f"{method} has no rule for {', '.join(names)}, found between the scores and the place explained; {also}"
            "explain a layer behind it, or use deep-lift, integrated-gradients or input-x-gradient, which need no rules"
        )


def _function_name(node: str) -> str:
    """``NativeLayerNormBackward0`` is native_layer_norm."""
    plain = re.sub(r"Backward\d*$", "", node.rpartition("::")[2])
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", plain).lower()


def _between(source: Tensor, goal: Tensor | GradientEdge) -> list[Any]:
    """The nodes of the graph on any way from ``source`` back to ``goal``, the goal's own left out."""
    end: Any = goal.node if isinstance(goal, GradientEdge) else goal.grad_fn

    def arrived(node: Any) -> bool:
        return node is end if end is not None else getattr(node, "variable", None) is goal

    leads: dict[Any, bool] = {}
    waiting: list[tuple[Any, bool]] = [(source.grad_fn, False)]
    while waiting:
        node, done = waiting.pop()
        if node is None or (node in leads and not done):
            continue
        following = [successor for successor, _ in node.next_functions if successor is not None]
        if done:
            leads[node] = any(leads.get(successor, False) for successor in following)
        elif arrived(node):
            leads[node] = True
        else:
            leads[node] = False
            waiting.append((node, True))
            waiting.extend((successor, False) for successor in following)
    return [node for node, does in leads.items() if does and not arrived(node)]
