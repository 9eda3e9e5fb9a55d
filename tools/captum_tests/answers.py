"""Answers: takes what a test of Captum's asks one of its classes, gives seewhy's tensor, or says why that is not
asked of seewhy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import seewhy
from seewhy.core.targets import Neuron
from seewhy.errors import CapabilityError

__all__ = ["ANSWERS", "Else", "answer"]

#: Captum's names of quadrature rules
_RULES = {
    "gausslegendre": "gauss-legendre",
    "riemann_left": "riemann-left",
    "riemann_middle": "riemann-middle",
    "riemann_right": "riemann-right",
    "riemann_trapezoid": "trapezoid",
}


class Else(Exception):
    """What is asked is not one image-like tensor, or of no method that is here: Captum answers itself."""


class _Function(nn.Module):
    """A function with gradients, as a module: seewhy asks functions for scores alone."""

    def __init__(self, function: Callable[[Tensor], Any]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Any:
        return self.function(x)


class Question:
    """A call of ``attribute``: its class's instance and arguments, each of which is read once; what is left over is
    nothing that is understood here."""

    def __init__(self, asked: Any, arguments: dict[str, Any]) -> None:
        self.asked, self.left = asked, dict(arguments)
        inputs = self.left.pop("inputs", None)
        self.wrapped = isinstance(inputs, tuple)
        found = inputs if self.wrapped else (inputs,)
        if len(found) != 1:
            raise Else("several inputs")
        self.x: Tensor = found[0]
        if not isinstance(self.x, Tensor) or not self.x.is_floating_point() or self.x.ndim < 3:
            raise Else("no image-like tensor")
        given = asked.forward_func
        self.forward: nn.Module = given if isinstance(given, nn.Module) else _Function(given)
        if self.left.pop("additional_forward_args", None) is not None:
            raise Else("further arguments of the model")

    def take(self, name: str, default: Any = None) -> Any:
        """An argument, which is then read."""
        return self.left.pop(name, default)

    def done(self) -> None:
        """Raise `Else` where an argument that changes the answer was not read."""
        plain = {k: v for k, v in self.left.items() if v is not None and v is not False}
        for idle in ("internal_batch_size", "perturbations_per_eval", "show_progress", "target"):
            plain.pop(idle, None)
        if plain:
            raise Else(f"asks for {', '.join(sorted(plain))}")

    @property
    def target(self) -> Any:
        """What Captum explains is the output as it is, of which ``target`` picks an entry."""
        given = self.take("target")
        if given is None:
            return _only
        if isinstance(given, Tensor):
            given = given.tolist() if given.numel() > 1 else given.item()
        return [_pick(each) for each in given] if isinstance(given, list) else _pick(given)

    def baseline(self, name: str = "baselines") -> Any:
        given = self.take(name)
        given = given[0] if isinstance(given, tuple) else given
        if isinstance(given, Tensor):
            return given.detach()
        return 0.0 if given is None else float(given)

    def place(self, layer: nn.Module, at_input: bool) -> str:
        """The name of one of the model's parts."""
        names = [name for name, part in self.forward.named_modules() if part is layer]
        if not names:
            raise Else("a layer outside of the model")
        return names[0] + "[in]" * at_input

    @property
    def layer(self) -> str:
        asked = getattr(self.asked, "grad_cam", self.asked)
        return self.place(asked.layer, bool(self.take("attribute_to_layer_input", False)))

    @property
    def neuron(self) -> Neuron:
        selector = self.take("neuron_selector")
        place = self.place(self.asked.layer, bool(self.take("attribute_to_neuron_input", False)))
        if callable(selector) or (isinstance(selector, tuple) and any(isinstance(s, slice) for s in selector)):
            raise Else("a neuron that is a function or a slice")
        channel, *position = selector if isinstance(selector, tuple) else (selector,)
        return Neuron(place, int(channel), tuple(map(int, position)) or None)

    def explain(self, method: str, target: Any, **given: Any) -> tuple[Tensor, Tensor]:
        """Values [B, ...] and what they miss of their sum [B]."""
        self.done()
        found = seewhy.explain_all(self.forward, self.x.detach(), method=method, target=target, **given)
        values = torch.stack([torch.from_numpy(each.values) for each in found]).to(self.x)
        missed = [float("nan") if each.error is None else float(each.error) for each in found]
        return values, torch.tensor(missed).to(self.x)

    def result(self, values: Tensor, missed: Tensor | None = None) -> Any:
        shown = (values,) if self.wrapped else values
        return shown if missed is None else (shown, missed)


def _only(out: Tensor) -> Tensor:
    if out.numel() != len(out):
        raise AssertionError(f"no target for an output {tuple(out.shape)}")
    return out.reshape(len(out))


def _pick(index: Any) -> Callable[[Tensor], Tensor]:
    where = (slice(None), *(index if isinstance(index, tuple) else (index,)))

    def picked(out: Tensor) -> Tensor:
        if len(where) != out.ndim:
            raise AssertionError(f"target {index} for an output {tuple(out.shape)}")
        return out[where]

    return picked


def _saliency(q: Question) -> Any:
    size = q.take("abs", True)
    values, _ = q.explain("saliency", q.target, reduce="none")
    return q.result(values.abs() if size else values)


def _plain(method: str) -> Callable[[Question], Any]:
    def found(q: Question) -> Any:
        return q.result(q.explain(method, q.target, reduce="none")[0])

    return found


def _integrated(q: Question) -> Any:
    if not q.asked.multiplies_by_inputs:
        raise Else("slopes, not shares")
    delta = q.take("return_convergence_delta", False)
    given = {"rule": _RULES[q.take("method", "gausslegendre")], "steps": q.take("n_steps", 50)}
    given["baseline"] = q.baseline()
    values, missed = q.explain("integrated-gradients", q.target, reduce="none", **given)
    return q.result(values, missed if delta else None)


def _deep_lift(q: Question) -> Any:
    if not q.asked.multiplies_by_inputs:
        raise Else("slopes, not shares")
    delta = q.take("return_convergence_delta", False)
    values, missed = q.explain("deep-lift", q.target, reduce="none", baseline=q.baseline())
    return q.result(values, missed if delta else None)


def _deep_lift_shap(q: Question) -> Any:
    delta = q.take("return_convergence_delta", False)
    some, target = q.baseline(), q.target
    each = [q.explain("deep-lift", target, reduce="none", baseline=one[None]) for one in some]
    mean = torch.stack([values for values, _ in each]).mean(0)
    missed = torch.stack([missed for _, missed in each], 1).flatten()
    return q.result(mean, missed if delta else None)


def _guided_grad_cam(q: Question) -> Any:
    if q.take("interpolate_mode", "nearest") != "nearest":
        raise Else("another interpolation")
    return q.result(q.explain("guided-grad-cam", q.target, layer=q.layer, reduce="none")[0])


def _lrp(q: Question) -> Any:
    delta = q.take("return_convergence_delta", False)
    if any(hasattr(part, "rule") for part in q.forward.modules()):
        raise Else("rules set on modules")
    values, missed = q.explain("lrp", q.target, reduce="none", composite="epsilon", epsilon=1e-9)
    return q.result(values, missed if delta else None)


def _occlusion(q: Question) -> Any:
    windows, strides = q.take("sliding_window_shapes"), q.take("strides")
    windows = windows[0] if isinstance(windows[0], tuple) else windows
    strides = strides[0] if isinstance(strides, tuple) and isinstance(strides[0], tuple) else strides
    inner = tuple(q.x.shape[1:])
    if len(windows) != len(inner) or (isinstance(strides, tuple) and len(strides) != len(inner)):
        raise Else("windows or strides that do not fit the input")
    if any(window > side for window, side in zip(windows, inner, strict=True)):
        raise Else("windows larger than the input")
    if windows[0] != inner[0]:
        raise Else("windows over some channels")
    steps = (1,) * len(inner) if strides is None else (strides,) * len(inner) if isinstance(strides, int) else strides
    given = {"window": windows[1:], "stride": steps[1:], "fill": q.baseline()}
    values, _ = q.explain("occlusion", q.target, **given)
    return q.result(values[:, None].expand(q.x.shape))


def _grad_cam(q: Question) -> Any:
    cut = q.take("relu_attributions", False)
    if not q.take("attr_dim_summation", True):
        raise Else("channels apart")
    values = q.explain("grad-cam", q.target, layer=q.layer)[0][:, None]
    return q.result(values.clamp(min=0) if cut else values)


def _activation(q: Question) -> Any:
    given = {"layer": q.layer, "target": lambda out: out.flatten(1).sum(1), "order": "index", "top": 10**6}
    q.done()
    try:
        found = seewhy.feature_maps_all(q.forward, q.x.detach(), **given)
    except CapabilityError as error:
        raise Else("a layer without two axes of positions") from error
    return q.result(torch.stack([torch.from_numpy(each.values) for each in found]).to(q.x))


def _along(method: str, rules: bool) -> Callable[[Question], Any]:
    def found(q: Question) -> Any:
        delta = q.take("return_convergence_delta", False)
        rule = q.take("method", "gausslegendre")
        given = {"steps": q.take("n_steps", 50), "baseline": q.baseline()} | ({"rule": _RULES[rule]} if rules else {})
        values, missed = q.explain(method, q.target, layer=q.layer, reduce="none", **given)
        return q.result(values, missed if delta else None)

    return found


def _of_neuron(method: str, **more: Any) -> Callable[[Question], Any]:
    def found(q: Question) -> Any:
        given = dict(more)
        if method in ("deep-lift", "integrated-gradients"):
            given["baseline"] = q.baseline()
        if method == "integrated-gradients":
            given |= {"rule": _RULES[q.take("method", "gausslegendre")], "steps": q.take("n_steps", 50)}
        return q.result(q.explain(method, q.neuron, reduce="none", **given)[0])

    return found


#: how each of Captum's classes is answered
ANSWERS: dict[str, Callable[[Question], Any]] = {
    "Saliency": _saliency,
    "InputXGradient": _plain("input-x-gradient"),
    "GuidedBackprop": _plain("guided-backprop"),
    "Deconvolution": _plain("deconvnet"),
    "IntegratedGradients": _integrated,
    "DeepLift": _deep_lift,
    "DeepLiftShap": _deep_lift_shap,
    "GuidedGradCam": _guided_grad_cam,
    "LRP": _lrp,
    "Occlusion": _occlusion,
    "LayerGradCam": _grad_cam,
    "LayerActivation": _activation,
    "LayerConductance": _along("conductance", False),
    "InternalInfluence": _along("internal-influence", True),
    "NeuronGradient": _of_neuron("saliency"),
    "NeuronGuidedBackprop": _of_neuron("guided-backprop"),
    "NeuronDeconvolution": _of_neuron("deconvnet"),
    "NeuronDeepLift": _of_neuron("deep-lift"),
    "NeuronIntegratedGradients": _of_neuron("integrated-gradients"),
}


def answer(name: str, asked: Any, arguments: dict[str, Any]) -> Any:
    """What the class called ``name`` gives for ``arguments``, by seewhy; raises `Else`."""
    question = Question(asked, arguments)
    if name not in ANSWERS:
        raise Else(f"no {name} here")
    return ANSWERS[name](question)
