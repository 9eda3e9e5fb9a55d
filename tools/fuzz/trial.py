"""One trial: takes a seed, draws a network and questions, gives where the ways of computing them disagree; changes
nothing outside.

Ways: the model itself, prepared programs, programs that nobody compares (so that comparing is not the only thing that
saves us), and by hand, in float64, on a copy.
"""

from __future__ import annotations

import copy
import random
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

import seewhy
from seewhy.core.compile import programs as preparing
from seewhy.core.compile.measuring import Pieces
from tools.fuzz.grammar import Gain, Network, draw_network

__all__ = ["ALARM", "trial"]

#: how far gradients may be apart, in relative L2, and scores, as a share of the largest
_GRADIENT, _SCORE = 2e-2, 5e-4
#: a network whose gradient moves so far by rounding tells nothing
_UNSTABLE = 0.1
#: a map that is smaller than this share of the scores is taken for that size
_LEAST = 1e-3
#: how many times what rounding does to the map itself is allowed
_OWN = 6
#: how often the input is rounded anew: one value of thousands that is a rounding from a kink is met by few of them
_ROUNDINGS = 24


#: how a line begins that tells of a program dropped though all maps agree
ALARM = "alarm: "


class Clamp:
    """A hook that does nothing until values are large."""

    def __call__(self, module: nn.Module, args: Any, output: Tensor) -> Tensor:
        return output.clamp(max=0.2)


def _weights(net: Network, draw: random.Random) -> None:
    with torch.no_grad():
        net.stem.weight.mul_(-1.5)


def _data(net: Network, draw: random.Random) -> None:
    net.stem.weight.data.neg_()


def _order(net: Network, draw: random.Random) -> None:
    net.stem.weight.data.copy_(net.stem.weight.data.flip(0, 3))


def _parameter(net: Network, draw: random.Random) -> None:
    net.stem.bias = nn.Parameter(net.stem.bias.detach() + 0.5)


def _hook(net: Network, draw: random.Random) -> None:
    net.stem.register_forward_hook(Clamp())


def _container(net: Network, draw: random.Random) -> None:
    for part in net.modules():
        if isinstance(part, Gain):
            part.cfg["more"][0] = 1.75


def _attribute(net: Network, draw: random.Random) -> None:
    net.stem.padding = (2, 2)


def _layer(net: Network, draw: random.Random) -> None:
    net.blocks[0] = nn.Sequential(net.blocks[0], nn.Tanh())


CHANGES = [_weights, _data, _order, _parameter, _hook, _container, _attribute, _layer]


def trial(seed: int) -> tuple[str, list[str]]:
    """What the network of ``seed`` is made of, and every disagreement in words."""
    draw = random.Random(seed)
    net, size = draw_network(draw)
    batch = draw.choice((1, 1, 2, 3, 4, 5))
    x = torch.randn(batch, net.stem.in_channels, *size)
    if draw.random() < 0.3:
        x = x.contiguous(memory_format=torch.channels_last)
    target, layer = draw.randrange(5), draw.randrange(len(net.blocks))
    words = f"{net.words}; {batch} x {size[0]} x {size[1]}"
    found: list[str] = []
    with warnings.catch_warnings(), _hurried(draw):
        warnings.simplefilter("ignore")
        if why := _unfit(net, x, target):
            return f"{words}: passed over, {why}", []
        question = draw.choice(list(QUESTIONS))
        found += _compared(net, x, target, layer, question, draw)
        change = draw.choice(CHANGES)
        change(net, draw)
        if not _unfit(net, x, target):
            found += [
                f"after {change.__name__[1:]}: {each}" for each in _compared(net, x, target, layer, question, draw)
            ]
    return words, found


def _unfit(net: Network, x: Tensor, target: int) -> str:
    """Why a network cannot be asked: torch cannot differentiate it, or its scores are what rounding left of them."""
    try:
        exact = _saliency(net, x, target, 0)
    except RuntimeError as error:  # what a function keeps for its gradient is rewritten by the next one
        return f"torch cannot differentiate it ({str(error)[:60]}...)"
    single = copy.deepcopy(net)
    twice = torch.cat([x, x]).requires_grad_()  # of one image torch's own gradient is wrong at times
    (grad,) = torch.autograd.grad(_logits(single, twice.clone())[:, target].sum(), twice)
    pairs = zip(grad[: len(x)].double().numpy(), exact, strict=True)
    worst = max(_distance(a, b, "saliency", _scale(net, x)) for a, b in pairs)
    return "" if worst <= _UNSTABLE else "its gradient is rounding"


def _compared(net: Network, x: Tensor, target: int, layer: int, question: str, draw: random.Random) -> list[str]:
    asked, by_hand = QUESTIONS[question]
    given = {"method": question, "target": target, **asked}
    if question in ("grad-cam", "hires-cam", "score-cam", "recipro-cam"):
        given["layer"] = f"blocks.{layer}"
    state = {name: value.clone() for name, value in net.state_dict().items()}
    ways: dict[str, Any] = {"model": False, "program": draw.choice((True, "auto", "verify")), "blind": True}
    maps: dict[str, list[np.ndarray[Any, Any]]] = {}
    notes: list[str] = []
    alarms: list[str] = []
    for way, prepare in ways.items():
        for _ in range(2 if way == "program" else 1):
            with _blind() if way == "blind" else nullcontext():
                try:
                    made = seewhy.explain_all(net, x, **given, prepare=prepare)
                except seewhy.errors.SeewhyError as error:
                    if way != "model" and "model" in maps:
                        return [f"{question}, {way}: refused ({error})"]
                    return []  # a line, and no map: that is no disagreement
            maps[way] = [np.asarray(each.values, dtype=np.float64) for each in made]
            alarms += [f"{question}, {way}: {note}" for note in made[0].notes if "found to differ" in note]
    if any(not torch.equal(value, state[name]) for name, value in net.state_dict().items()):
        notes.append(f"{question}: the model was changed")
    scale = _scale(net, x)
    right = None if by_hand is None else by_hand(net, x, target, layer)
    own: float | None = None  # looked for where it matters
    for way, values in maps.items():
        reference = maps["model"] if right is None else right
        for n, (a, b) in enumerate(zip(values, reference, strict=True)):
            apart = _distance(a, b.reshape(a.shape), question, scale)
            allowed = _SCORE if question in _SCORES else _GRADIENT
            if not apart <= allowed:
                own = _rounded(net, x, given, maps["model"]) if own is None else own
                allowed = max(allowed, _OWN * own)
            if not apart <= allowed:
                notes.append(f"{question}, {way}, image {n}: {apart:.1e} apart (allowed: {allowed:.1e})")
                break
    # a program that was dropped for one sample next to a kink, while nobody's map is off, is no disagreement
    return notes + alarms if notes else [f"{ALARM}{each}" for each in alarms]


def _distance(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any], question: str, scale: float) -> float:
    if question in _SCORES:
        return float(np.abs(a - b).max()) / scale
    # what a normalisation takes out of the score is rounding, and no gradient
    return float(np.linalg.norm(a - b)) / max(float(np.linalg.norm(b)), _LEAST * scale)


def _rounded(net: Network, x: Tensor, given: dict[str, Any], exact: list[np.ndarray[Any, Any]]) -> float:
    """How far the model's own map moves when its input is rounded otherwise, or lies otherwise in memory."""
    noise = [torch.randn(x.shape, generator=torch.Generator().manual_seed(seed)) for seed in range(_ROUNDINGS)]
    other = torch.channels_last if x.is_contiguous() else torch.contiguous_format
    scale, worst = _scale(net, x), 0.0
    for moved in [x.contiguous(memory_format=other), *(x * (1 + 3e-7 * each) for each in noise)]:
        made = seewhy.explain_all(net, moved, **given, prepare=False)
        for a, b in zip(made, exact, strict=True):
            worst = max(worst, _distance(np.asarray(a.values, dtype=np.float64), b, given["method"], scale))
    return worst


def _logits(net: Network, x: Tensor) -> Tensor:
    y = net.head(net.blocks(net.stem(x)))
    return y / 0.5 if net.end == "temperature" else y


def _double(net: Network) -> Network:
    return copy.deepcopy(net).double()


def _scale(net: Network, x: Tensor) -> float:
    with torch.no_grad():
        return float(_logits(_double(net), x.double()).abs().max()) or 1.0


def _saliency(net: Network, x: Tensor, target: int, layer: int) -> list[np.ndarray[Any, Any]]:
    leaf = x.double().requires_grad_()
    (grad,) = torch.autograd.grad(_logits(_double(net), leaf.clone())[:, target].sum(), leaf)
    return list(grad.numpy())


def _times_input(net: Network, x: Tensor, target: int, layer: int) -> list[np.ndarray[Any, Any]]:
    return [a * b for a, b in zip(_saliency(net, x, target, layer), x.double().numpy(), strict=True)]


def _at_layer(net: Network, x: Tensor, target: int, layer: int) -> tuple[Tensor, Tensor]:
    double = _double(net)
    with torch.no_grad():
        leaf = double.blocks[: layer + 1](double.stem(x.double())).clone()
    leaf.requires_grad_()
    y = double.head(double.blocks[layer + 1 :](leaf.clone()))
    y = y / 0.5 if net.end == "temperature" else y
    (grad,) = torch.autograd.grad(y[:, target].sum(), leaf, allow_unused=True)
    return leaf.detach(), torch.zeros_like(leaf) if grad is None else grad


def _grad_cam(net: Network, x: Tensor, target: int, layer: int) -> list[np.ndarray[Any, Any]]:
    activation, grad = _at_layer(net, x, target, layer)
    return list((activation * grad.mean((2, 3), keepdim=True)).sum(1).numpy())


def _hires_cam(net: Network, x: Tensor, target: int, layer: int) -> list[np.ndarray[Any, Any]]:
    activation, grad = _at_layer(net, x, target, layer)
    return list((activation * grad).sum(1).numpy())


def _occlusion(net: Network, x: Tensor, target: int, layer: int) -> list[np.ndarray[Any, Any]]:
    double, x = _double(net), x.double()
    height, width = x.shape[2:]
    values, covers = torch.zeros(len(x), height, width, dtype=torch.float64), torch.zeros(height, width)
    with torch.no_grad():
        whole = _logits(double, x)[:, target]
        for top in _starts(height):
            for left in _starts(width):
                changed = x.clone()
                changed[..., top : top + 8, left : left + 8] = 0
                lost = whole - _logits(double, changed)[:, target]
                values[:, top : top + 8, left : left + 8] += lost[:, None, None]
                covers[top : top + 8, left : left + 8] += 1
    return list((values / covers.clamp(min=1)).numpy())


def _starts(length: int) -> list[int]:
    """Where windows of 8 by strides of 6 begin, until one reaches the border."""
    return [6 * n for n in range(-(-(length - 8) // 6) + 1)]


Hand = Callable[[Network, Tensor, int, int], list[np.ndarray[Any, Any]]]
_SCORES = ("occlusion", "rise", "kernel-shap", "feature-ablation", "recipro-cam")
#: what is asked, and how it is computed by hand; None: as the model itself gives it
QUESTIONS: dict[str, tuple[dict[str, Any], Hand | None]] = {
    "saliency": ({"reduce": "none"}, _saliency),
    "input-x-gradient": ({"reduce": "none"}, _times_input),
    "guided-backprop": ({"reduce": "none"}, None),
    "grad-cam": ({}, _grad_cam),
    "hires-cam": ({}, _hires_cam),
    "recipro-cam": ({}, None),
    "occlusion": ({"window": 8, "stride": 6, "fill": 0.0}, _occlusion),
    "feature-ablation": ({"segments": "grid"}, None),
    "rise": ({"n": 24, "tolerance": 0.0}, None),
    "kernel-shap": ({"n": 24, "segments": 9}, None),
    "integrated-gradients": ({"rule": "gauss-legendre", "steps": 5, "reduce": "none"}, None),
}


@contextmanager
def _hurried(draw: random.Random) -> Iterator[None]:
    """Every step of preparing taken, however fast it is here; preparing pays at once."""
    with (
        patch("seewhy.core.compile.measuring._times", lambda old, new, x, gradients: (1.0, 0.5)),
        patch("seewhy.core.compile.fastest.best_pieces", lambda run, x, gradients: Pieces(draw.choice((2, 3)), 1000)),
        patch("seewhy.core.compile.fusing.pays", lambda *_: draw.random() < 0.7),
        patch.object(preparing, "PRICE", 0.0),
        patch.object(preparing, "PASSES", 0),
    ):
        yield


@contextmanager
def _blind() -> Iterator[None]:
    """No program is compared with the model, at first or later on."""
    with (
        patch.object(preparing.Preparer, "trusted", lambda self, use: self._found is not None),
        patch.object(preparing.Preparer, "due", lambda self, use, samples, size=None: False),
        patch.object(preparing.Preparer, "refused", lambda self, use: False),
    ):
        yield
