"""Planning: takes what is asked of `explain` without the images, checks it against the model, gives a plan; computes
nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

import seewhy.methods  # noqa: F401 - every method registers itself on import
from seewhy.api.asked.parameters import split_parameters
from seewhy.api.asked.request import Request
from seewhy.api.asked.targets import Wanted, check_contrast
from seewhy.core.forward.settings import Settings
from seewhy.core.intercept.backward_rules import rule_name
from seewhy.core.network.borrowed import Network
from seewhy.core.network.places import AUTO, INPUT, as_torch, find_place, place_name
from seewhy.core.schedule.jobs import Outline
from seewhy.core.targets import Everything, ReadOut
from seewhy.errors import CapabilityError, UnknownName, UsageError
from seewhy.models import Model
from seewhy.registry import FORWARD_ONLY, REDUCTIONS, Method, Need
from seewhy.registry import methods as registry

__all__ = ["Plan", "of_the_output"]

_FUSIONS = ("mean", "max")

#: images up to which as many targets as images could have been meant for each of them
_FEW = 5

_PAIRED = "targets were paired with images, one each, in their order; all of them for every image: target=[[a, b]] * {}"


@dataclass(frozen=True)
class Plan:
    """Everything asked for except the images: checked, before anything is computed.

    ``asked`` says for each outline which of the methods asked for it belongs to.
    """

    model: Model
    network: Network
    request: Request
    settings: Settings
    outlines: tuple[Outline, ...]
    parameters: tuple[dict[str, Any], ...]
    wanted: Wanted
    layers: tuple[str, ...]
    asked: tuple[int, ...]

    @classmethod
    def make(cls, model: Model, request: Request, images: int = 1, call: str = "explain") -> Plan:
        """Check what is asked of so many ``images`` against what the model, and the command ``call``, can do; raises
        `UsageError` and its kin."""
        settings, fuse = request.settings, request.fuse
        names = [request.method] if isinstance(request.method, str) else list(request.method)
        methods = _methods(names, call)
        network = model.network()
        _check_capabilities(network, methods)
        _check_inputs(network, methods)
        if settings.differentiable and (fixed := [m for m in methods if not m.card.differentiable]):
            raise CapabilityError(
                f"differentiable=True: {fixed[0].name} takes constants or optimises on its way, so its graph would be "
                "wrong; input-x-gradient and every CAM have a whole one"
            )
        _check_words(methods, request)
        layers = _layer_names(network, request.layer, model.spec)
        outlines, own, asked = [], [], []
        parameters = split_parameters(methods, request.parameters)
        for number, (method, given) in enumerate(zip(methods, parameters, strict=True)):
            rule = _rule(method, request.backward_rule)
            if method.card.by_layer:
                method_outlines = _by_layer(network, method, layers, rule, request)
                method_outlines += [Outline(method, INPUT, rule)] if request.output else []
            else:
                method_outlines = [Outline(method, place, rule) for place in _places(method, layers)]
            for outline in method_outlines:
                asked.append(number)
                outlines.append(outline)
                own.append(given | ({"layers": layers} if method.card.several_layers else {}))
        classless = all(map(_looks_at_no_class, methods))
        instead = None if not classless else Everything() if call == "explain" else ReadOut()
        wanted = Wanted(model, request.target, images, classless=instead)
        if wanted.paired and len(set(map(str, request.target))) == images <= _FEW:
            network.note(_PAIRED.format(images))
        check_contrast(request.contrast, model)
        if fuse is not None and (len(layers) < 2 or request.reduce == "none"):
            raise UsageError(
                f"fuse={fuse!r} makes one map of several layers: give two or more, and a reduce= that is not 'none'"
            )
        extra = tuple(n for n in layers if any(m.card.several_layers for m in methods)) + wanted.layers
        return cls(
            model, network, request, settings, tuple(outlines), tuple(own), wanted, extra, tuple(asked)
        )  # fmt: skip

    def several(self, images: int) -> str:
        """What makes several results of so many ``images``, in words; '' if nothing does."""
        methods = len(set(self.asked))
        if images > 1:
            return f"{images} images were given"
        if methods > 1:
            return f"{methods} methods were asked for"
        if len(self.outlines) > 1 and self.request.fuse is None:
            return f"{self.outlines[0].method.name} has one for each of {len(self.outlines)} layers"
        return f"target={self.request.target!r} means several" if self.wanted.many else ""


def of_the_output(outline: Outline) -> bool:
    """Whether it is the map of the output itself, of a method that explains layers."""
    return outline.method.card.by_layer and not outline.about


def _looks_at_no_class(method: Method) -> bool:
    """Whether a method's map is the same whatever the target: it may be asked of models that have no classes."""
    card = method.card
    return not (card.discriminative or card.by_layer or card.needs & {Need.GRADIENT, Need.INPUT_GRADIENT, Need.RULE})


def _methods(names: Sequence[str], call: str) -> list[Method]:
    """The methods called ``names``, all of which ``call`` makes."""
    if not names:
        raise UsageError("no methods: the list given is empty. List them: seewhy methods")
    methods = [registry[name] for name in names]
    if other := [m for m in methods if m.card.call != call]:
        card = other[0].card
        # several methods of one command are told apart by name; one that has it to itself is called as its formula
        shared = sum(method.card.call == card.call for method in registry) > 1
        way = f"{card.call}(..., method={card.name!r})" if shared else card.function or other[0].formula.__name__
        raise UsageError(f"{card.name} is no method of {call}: seewhy {card.call} makes it (in Python: seewhy.{way})")
    return methods


def _check_capabilities(network: Network, methods: Sequence[Method]) -> None:
    for method in methods:
        if network.root is None and (missing := method.card.needs - FORWARD_ONLY):
            what = f"{method.name} needs {', '.join(sorted(missing))}"
            if network.program is not None:
                raise CapabilityError(f"{what}; {network.program.why}. Use a perturbation method: occlusion, rise")
            raise CapabilityError(
                f"{what}; a callable has scores only: wrap the module itself, or use a perturbation method such as "
                "occlusion or rise"
            )
        if network.root is not None and method.card.rule != "none" and isinstance(network.root, torch.jit.ScriptModule):
            raise CapabilityError(
                f"{method.name} changes the backward pass of activation functions, which TorchScript hides; "
                "use the original module, or a method without a rule such as saliency"
            )


def _check_inputs(network: Network, methods: Sequence[Method]) -> None:
    """Refuse methods that look at the places of one picture where several inputs are explained at once."""
    if network.inputs is None or len(network.inputs.explained) < 2:
        return
    for method in methods:
        card = method.card
        at_input = card.family == "perturbation" and card.at != "layer" and "segments" not in method.requires
        if at_input or card.family in ("cam", "attention") or "max_sigma" in method.parameters:
            one, *others = (explained.key for explained in network.inputs.explained)
            raise CapabilityError(
                f"{card.name} looks at the places of one picture, and {len(others) + 1} inputs are explained at once: "
                f"explain {one!r} and hold {', '.join(map(repr, others))}, or use saliency, integrated-gradients, or "
                "feature-ablation with segments="
            )


def _check_words(methods: Sequence[Method], request: Request) -> None:
    fuse, reduce, contrast = request.fuse, request.reduce, request.contrast
    if fuse is not None and fuse not in _FUSIONS:
        raise UnknownName("fusion", str(fuse), _FUSIONS, "fuse='mean' or fuse='max'")
    if reduce is not None:
        if reduce not in REDUCTIONS:
            raise UnknownName("reduction", str(reduce), REDUCTIONS, f"one of {', '.join(REDUCTIONS)}")
        if not any(m.card.reduce for m in methods):
            raise UsageError(
                f"reduce={reduce!r}: {methods[0].name} gives one value a position; there is no channel to reduce"
            )
    if contrast is not None and not all(m.card.discriminative and m.card.family == "cam" for m in methods):
        name = next(m.name for m in methods if not (m.card.discriminative and m.card.family == "cam"))
        raise UsageError(f"contrast={contrast!r} needs class-discriminative maps; {name} is not a CAM of a class")
    for word, takers, who in (
        ("baseline", ("baseline",), "path methods do"),
        ("fill", ("fill",), "perturbation methods do"),
        ("segments", ("segments", "regions"), "methods that hide superpixels do"),
        ("references", ("references",), "expected-gradients does"),
        ("bounds", ("bounds",), "lrp, xrai and expected-gradients do"),
    ):
        if getattr(request, word) is not None and not any(set(takers) & set(m.requires) for m in methods):
            raise UsageError(
                f"{word}={getattr(request, word)!r:.60}: {methods[0].name} has none; {who}. List them: seewhy methods"
            )


def _layer_names(network: Network, layer: Any, spec: str) -> tuple[str, ...]:
    if layer is None or layer in ("auto", AUTO):
        return ()
    names = []
    for given in layer if isinstance(layer, list | tuple) else [layer]:
        if not isinstance(given, str | nn.Module):
            raise UsageError(f"layer is {type(given).__name__}; give a name or a submodule. List them: seewhy layers")
        name = place_name(network.module, given)
        if name == "input" and not hasattr(network.module, "input"):
            name = INPUT
        if name != INPUT:
            find_place(network.module, name, spec)
        names.append(name)
    return tuple(dict.fromkeys(names))


def _places(method: Method, layers: tuple[str, ...]) -> tuple[str, ...]:
    """Where a method explains: the layers given, else its own default."""
    at = method.card.at
    if method.card.several_layers:
        return (layers[-1] if layers else AUTO,)
    if at == "input":
        if any(name != INPUT for name in layers):
            raise UsageError(
                f"{method.name} explains the input; for a layer use conductance, internal-influence or saliency"
            )
        return (INPUT,)
    if at == "layer" and INPUT in layers:
        raise UsageError(f"{method.name} explains a layer, not the input; leave layer= out to have one chosen")
    return layers or (INPUT if at == "any" else AUTO,)


def _by_layer(network: Network, method: Method, layers: tuple[str, ...], rule: str, request: Request) -> list[Outline]:
    """One outline for each layer given, else for each convolution and dense layer, as far as they run."""
    if request.target is not None:
        raise UsageError(
            f"{method.name} explains the mean of each layer, no class: leave target= out; for a class's gradient at "
            "a layer use saliency with layer="
        )
    if request.fuse is not None:
        raise UsageError(
            f"fuse={request.fuse!r}: the maps of {method.name} have a target each, so nothing is one map of them"
        )
    if INPUT in layers:
        raise UsageError(f"{method.name} explains layers; the input is none. Leave layer= out for all of them")
    if layers:
        return [Outline(method, INPUT, rule, name) for name in layers]
    parts = [(name, as_torch(network.module, part)) for name, part in network.module.named_modules() if name]
    names = [name for name, part in parts if isinstance(part, nn.modules.conv._ConvNd | nn.Linear)]
    if not names:
        raise CapabilityError(
            f"{method.name}: no convolution and no dense layer in this {type(network.module).__name__}; name layers "
            "with layer= (seewhy layers lists them)"
        )
    return [Outline(method, INPUT, rule, name, optional=True) for name in names]


def _rule(method: Method, asked: str) -> str:
    asked = rule_name(asked)
    if method.card.rule != "none" and asked not in ("none", method.card.rule):
        raise UsageError(f"{method.name} is the {method.card.rule!r} rule; backward_rule={asked!r} contradicts it")
    return method.card.rule if method.card.rule != "none" else asked
