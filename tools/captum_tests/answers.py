"""Answers: takes what a test of Captum's asks one of its classes, gives seewhy's tensors, or says why that is not
asked of seewhy. Calls are translated; networks are handed on as they are."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

import seewhy
from seewhy.core.targets import Neuron, OfLayer

__all__ = ["ANSWERS", "Else", "answer"]

#: Captum's names of quadrature rules
_RULES = {
    "gausslegendre": "gauss-legendre",
    "riemann_left": "riemann-left",
    "riemann_middle": "riemann-middle",
    "riemann_right": "riemann-right",
    "riemann_trapezoid": "trapezoid",
}
#: Captum's names of statistics over noise
_STATISTICS = {"smoothgrad": "smooth", "smoothgrad_sq": "squared", "vargrad": "variance"}
#: letters of positions
_LETTERS = "FGHIJKLMNOPQRST"


class Else(Exception):
    """What is asked is nothing that is here: Captum answers itself."""


def _tuple(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


class Question:
    """A call of ``attribute``: its class's instance and arguments, each of which is read once; what is left over is
    nothing that is understood here."""

    def __init__(self, asked: Any, arguments: dict[str, Any], noise: seewhy.Noise | None = None) -> None:
        self.asked, self.left, self.noise = asked, dict(arguments), noise
        inputs = self.left.pop("inputs", None)
        self.wrapped = isinstance(inputs, tuple)
        self.x: tuple[Tensor, ...] = _tuple(inputs)
        if not all(isinstance(x, Tensor) and x.is_floating_point() and x.ndim for x in self.x):
            raise Else("inputs that are no numbers with fractions")
        if not all(x.numel() for x in self.x):
            raise Else("empty inputs")
        if self.left.get("show_progress"):
            raise Else("progress in its own words")
        self.batch = len(self.x[0])
        extra = self.left.pop("additional_forward_args", None)
        self.extra = () if extra is None else _tuple(extra)
        self.forward = asked.forward_func
        #: whether the network gives one answer for all of the batch
        self.whole = self._gives().ndim == 0

    def _gives(self) -> Tensor:
        """What the network gives for the inputs as they are."""
        with torch.no_grad():
            out = self.forward(*self.x, *self.extra)
        if isinstance(out, torch.futures.Future):
            raise Else("answers that come later")
        if isinstance(out, int | float):
            raise Else("scores that are no tensors")
        return out if isinstance(out, Tensor) else torch.zeros(1)

    def one_for_all(self) -> None:
        """Take one answer of the network's to be that for all of the batch."""
        out = self._gives()
        if not out.is_floating_point():
            raise Else("scores that are whole numbers")
        if self.left.get("target") is None and out.numel() not in (1, self.batch):
            raise Else("several scores at once")
        if out.ndim and not self.whole:
            twice = [torch.cat([x, x]) for x in self.x]
            held = [
                torch.cat([v, v]) if isinstance(v, Tensor) and v.ndim and len(v) == self.batch else v
                for v in self.extra
            ]
            with torch.no_grad():
                self.whole = len(self.forward(*twice, *held)) == len(out) == 1
        if self.whole and self.left.get("target") is None and out.numel() > 1:
            raise Else("several answers for all of a batch")

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
    def targets(self) -> list[Any]:
        """One target an image. What Captum explains is the output as it is, of which ``target`` picks an entry."""
        given = self.take("target")
        if isinstance(given, Tensor):
            given = given.tolist() if given.numel() > 1 else given.item()
        if given is None:
            return [_only] * self.batch
        if isinstance(given, list):
            return [_pick(each) for each in given]
        return [_pick(given)] * self.batch

    def rows(self, value: Any) -> bool:
        """Whether an argument has a row for each image."""
        return isinstance(value, Tensor) and value.ndim > 0 and len(value) == self.batch and self.batch > 1

    def per_input(self, value: Any, default: Any) -> tuple[Any, ...]:
        """An argument that may be one for each input."""
        if value is None:
            return (default,) * len(self.x)
        several = value if isinstance(value, tuple) else (value,)
        several = tuple(default if one is None else one for one in several)
        return several if len(several) == len(self.x) else several * len(self.x)

    def model(self, held: Sequence[Any], plain: bool) -> seewhy.Model:
        """The network as it is called: all inputs explained, the others held; ``plain`` where the axes of the only
        input are those of a picture."""
        letters = [("N" if self.whole else "B") + _LETTERS[: x.ndim - 1] for x in self.x]
        inputs = {len(self.x) + n: value for n, value in enumerate(held)}
        axes = None if plain else dict(enumerate(letters))
        return seewhy.wrap(
            self.forward, inputs=inputs, explained=tuple(range(len(self.x))), axes=axes, differentiable=True
        )

    def place(self, model: seewhy.Model, layer: nn.Module, at_input: bool) -> str:
        """The name of one of the model's parts."""
        parts = model.module.named_modules(remove_duplicate=False)
        names = [name for name, part in parts if part is layer or getattr(part, "module", None) is layer]
        if not names:
            raise Else("a layer outside of the model")
        if names[0] == "":
            raise Else("the model itself as a layer")
        return names[0] + "[in]" * at_input

    def explain(
        self,
        method: str,
        *,
        plain: bool = False,
        layers: Sequence[nn.Module] = (),
        counts: Sequence[int] = (),
        at_input: bool = False,
        neuron: Callable[[seewhy.Model], Any] | None = None,
        by_input: dict[str, tuple[Any, ...]] | None = None,
        **given: Any,
    ) -> list[seewhy.Explanations]:
        """The explanations of each image, one for every layer and target; ``by_input`` are arguments of one value for
        each input."""
        targets = None if neuron is not None else self.targets
        self.done()
        apart = any(self.rows(value) for extra in self.extra for value in _leaves(extra))
        groups = [[n] for n in range(self.batch)] if apart and not self.whole else [list(range(self.batch))]
        found: list[seewhy.Explanations] = []
        for rows in groups:
            held = [_some(value, rows) if apart and not self.whole else value for value in self.extra]
            model = self.model(held, plain and len(self.x) == 1)
            assert model.inputs is not None
            keys = [one.key for one in model.inputs.explained]
            asked = dict(given)
            for name, values in (by_input or {}).items():
                own = [value[rows] if self.rows(value) and not self.whole else value for value in values]
                if name == "segments":
                    own = [
                        mask.expand(x.shape) if self.whole else mask.expand(len(rows), *x.shape[1:])
                        for mask, x in zip(own, self.x, strict=True)
                    ]
                asked[name] = own[0] if len(keys) == 1 else dict(zip(keys, own, strict=True))
            x = [part[rows].detach() if not self.whole else part.detach() for part in self.x]
            image = x[0] if len(keys) == 1 else dict(zip(keys, x, strict=True))
            if layers:
                names = [self.place(model, layer, at_input) for layer in layers]
                many = [
                    [f"{name}[{k}]" for k in range(n)] or [name] for name, n in zip(names, counts or [0], strict=True)
                ]
                asked["layer"] = [name for one in many for name in one]
            if method == "layer-activation":
                asked["target"] = _anything
            elif neuron is not None:
                asked["target"] = [neuron(model)] * len(rows)
            elif targets is not None:
                asked["target"] = [targets[n] for n in rows]
            if self.whole:
                asked["target"] = [asked["target"][0]]
            if method in ("lime", "kernel-shap", "shapley-sampling"):
                asked.setdefault("tolerance", 1e-9)
            asked["noise"] = self.noise
            asked = {name: value for name, value in asked.items() if value is not None}
            maps = seewhy.explain_all(model, image, method=method, **asked)
            each = 1 if self.whole else len(rows)
            found += [maps[n * len(maps) // each : (n + 1) * len(maps) // each] for n in range(each)]
        return found

    def at_inputs(self, method: str, **given: Any) -> tuple[tuple[Tensor, ...], Tensor]:
        """Values of each input [B, ...], and what they miss of their sum [B]."""
        found = [maps[0] for maps in self.explain(method, **given)]
        parts = []
        for n, x in enumerate(self.x):
            if self.whole:
                parts.append(_own(found[0], n, len(self.x), x[None])[:, :1].flatten(0, 1))
                continue
            parts.append(torch.cat([_own(one, n, len(self.x), x[:1]) for one in found]))
        parts = [part.reshape(-1, *x.shape[1:]).to(x) for part, x in zip(parts, self.x, strict=True)]
        return tuple(parts), self._missed(found)

    def _missed(self, found: Sequence[seewhy.Explanation]) -> Tensor:
        residuals = [one.error if np.ndim(one.error) == 0 and one.error is not None else math.nan for one in found]
        return torch.tensor([float(value) for value in residuals]).to(self.x[0])

    def at_layers(self, method: str, layers: Any, at_input: bool, **given: Any) -> tuple[Any, Tensor]:
        """Values of one layer, or of each of a list, [B, ...], and what they miss of their sum [B]."""
        several = isinstance(layers, list)
        named = layers if several else [layers]
        gave = [self._gave(layer, at_input) for layer in named]
        counts = [len(one) if isinstance(one, tuple) else 0 for one in gave]
        found = self.explain(method, layers=named, counts=counts, at_input=at_input, **given)
        values = [torch.from_numpy(np.stack([maps[n].values for maps in found])) for n in range(len(found[0]))]
        raws = [tensor for one in gave for tensor in _tuple(one)]
        values = [
            value.movedim(1, -1) if value.shape != raw.shape and value.ndim == raw.ndim else value
            for value, raw in zip(values, raws, strict=True)
        ]  # channels first, where the layer has them last
        rest, shown = iter([value.to(self.x[0]) for value in values]), []
        for count in counts:
            own = tuple(next(rest) for _ in range(count or 1))
            shown.append(own if count else own[0])
        residuals, at = [], 0
        for count in counts:  # of a layer's several tensors together
            missed = self._missed([maps[at] for maps in found])
            for n in range(at + 1, at + (count or 1)):
                missed = missed + values[n].to(missed).flatten(1).sum(1)
            residuals.append(missed)
            at += count or 1
        return (shown if several else shown[0]), residuals if several else residuals[0]

    def _gave(self, layer: nn.Module, at_input: bool) -> Any:
        """What a layer gives or is given."""
        seen: list[Any] = []
        hook = layer.register_forward_hook(lambda module, args, out: seen.append(args if at_input else out))
        try:
            self._gives()
        finally:
            hook.remove()
        if not seen:
            raise Else("a layer that does not run")
        if not at_input:
            return seen[-1]
        if len(seen[-1]) > 1:
            raise Else("a layer's several inputs")
        return seen[-1][0]

    def result(self, parts: tuple[Tensor, ...], missed: Tensor | None = None) -> Any:
        """As Captum gives it: a tuple where a tuple was given."""
        shown = parts if self.wrapped else parts[0]
        return shown if missed is None else (shown, missed)


def _leaves(value: Any) -> list[Any]:
    return [leaf for one in value for leaf in _leaves(one)] if isinstance(value, list | tuple) else [value]


def _some(value: Any, rows: list[int]) -> Any:
    return value[rows] if isinstance(value, Tensor) and value.ndim and len(value) > 1 else value


def _own(one: seewhy.Explanation, n: int, count: int, x: Tensor) -> Tensor:
    """The values of input ``n``, [1, ...] as it is."""
    part = one.part(list(one.inputs)[n]) if count > 1 else one
    return torch.from_numpy(np.ascontiguousarray(part.values)).reshape(1, *x.shape[1:])


def _anything(out: Any) -> Tensor:
    """A number for what nothing is explained of."""
    first = next(leaf for leaf in torch.utils._pytree.tree_leaves(out) if isinstance(leaf, Tensor))
    return first.flatten(1).sum(1) if first.ndim > 1 else first


def _only(out: Tensor) -> Tensor:
    if out.numel() != len(out):
        raise AssertionError(f"no target for an output {tuple(out.shape)}")
    return out.reshape(len(out))


def _pick(index: Any) -> Callable[[Tensor], Tensor]:
    where = (slice(None), *(index if isinstance(index, tuple) else (index,)))

    def picked(out: Tensor) -> Tensor:
        if len(where) < out.ndim and out[where].numel() == len(out):
            return out[where].reshape(len(out))
        if len(where) != out.ndim:
            raise AssertionError(f"target {index} for an output {tuple(out.shape)}")
        return out[where]

    return picked


def _shares(q: Question) -> dict[str, Any]:
    return {"multiply_by_inputs": bool(q.asked.multiplies_by_inputs)}


def _saliency(q: Question) -> Any:
    size = q.take("abs", True)
    return q.result(q.at_inputs("saliency", reduce="max-abs" if size else "none")[0])


def _plain(method: str, **more: Any) -> Callable[[Question], Any]:
    def found(q: Question) -> Any:
        return q.result(q.at_inputs(method, reduce="none", **more)[0])

    return found


def _quadrature(q: Question) -> dict[str, Any]:
    usual = inspect.signature(type(q.asked).attribute).parameters["method"].default
    rule, steps = _RULES[q.take("method", usual)], q.take("n_steps", 50)
    # n nodes there are n - 1 steps here
    return {"rule": rule, "steps": max(steps - 1, 1) if rule == "trapezoid" else steps}


def _baselines(q: Question, name: str = "baselines") -> dict[str, tuple[Any, ...]]:
    given = q.take(name)
    return {"baseline": tuple(_plain_number(one) for one in q.per_input(given, 0.0))}


def _plain_number(value: Any) -> Any:
    return value.detach() if isinstance(value, Tensor) else float(value)


def _distribution(q: Question) -> dict[str, tuple[Any, ...]]:
    """Several baselines for each input."""
    given = q.take("baselines")
    if callable(given):
        given = given() if not inspect.signature(given).parameters else given(*q.x)
    rows = q.per_input(given, 0.0)
    if not all(isinstance(one, Tensor) for one in rows):
        raise AssertionError("baselines are tensors of several rows")
    return {"references": tuple(one.detach() for one in rows)}


def _draws(q: Question) -> tuple[int, dict[str, Any]]:
    """How many samples there are there, and what is asked here for as sure a mean of them."""
    n, sigma = q.take("n_samples", 5), q.take("stdevs", 0.0)
    if any(value > 1e-3 for value in _tuple(sigma)):
        raise Else("noise of a size in units of the input")
    return n, {"n": max(2 * n, 200), "tolerance": 1e-9} | _shares(q)


def _check_multipliers(q: Question) -> None:
    if q.take("custom_attribution_func") is not None:
        raise Else("a function of the multipliers")


def _integrated(q: Question) -> Any:
    delta, given = q.take("return_convergence_delta", False), _quadrature(q) | _shares(q)
    if delta and not q.asked.multiplies_by_inputs:
        raise Else("the residual of slopes")
    values, missed = q.at_inputs("integrated-gradients", reduce="none", by_input=_baselines(q), **given)
    return q.result(values, missed if delta else None)


def _deep_lift(q: Question) -> Any:
    delta = q.take("return_convergence_delta", False)
    _check_multipliers(q)
    values, missed = q.at_inputs("deep-lift", reduce="none", by_input=_baselines(q), **_shares(q))
    return q.result(values, missed if delta else None)


def _deep_lift_shap(q: Question) -> Any:
    delta = q.take("return_convergence_delta", False)
    _check_multipliers(q)
    references = _distribution(q)
    values, missed = q.at_inputs("deep-shap", reduce="none", by_input=references, **_shares(q))
    return q.result(values, missed.repeat_interleave(len(references["references"][0])) if delta else None)


def _gradient_shap(q: Question) -> Any:
    delta = q.take("return_convergence_delta", False)
    n, draws = _draws(q)
    values, _ = q.at_inputs("expected-gradients", reduce="none", by_input=_distribution(q), **draws)
    return q.result(values, torch.zeros(n * q.batch) if delta else None)


def _guided_grad_cam(q: Question) -> Any:
    if q.take("interpolate_mode", "nearest") != "nearest":
        raise Else("another interpolation")
    at_input = bool(q.take("attribute_to_layer_input", False))
    layers = [q.asked.grad_cam.layer]
    if len(q.x) > 1:
        raise Else("guided Grad-CAM of several inputs")
    found = q.explain("guided-grad-cam", plain=True, layers=layers, at_input=at_input, reduce="none")
    return q.result((torch.from_numpy(np.stack([maps[0].values for maps in found])).to(q.x[0]),))


def _lrp(q: Question) -> Any:
    delta = q.take("return_convergence_delta", False)
    _check_one_score(q)
    q.take("verbose")
    if any(hasattr(part, "rule") for part in q.forward.modules()):
        raise Else("rules set on modules")
    values, missed = q.at_inputs("lrp", reduce="none", composite="epsilon", epsilon=1e-9)
    return q.result(values, missed if delta else None)


def _check_one_score(q: Question) -> None:
    """Raise `Else` where the relevance of several scores at once is asked for."""
    out = q._gives()
    if q.left.get("target") is None and out.numel() != q.batch:
        raise Else("several scores at once")


def _layer_lrp(q: Question) -> Any:
    delta = q.take("return_convergence_delta", False)
    _check_one_score(q)
    q.take("verbose")
    if any(hasattr(part, "rule") for part in q.forward.modules()):
        raise Else("rules set on modules")
    at_input = bool(q.take("attribute_to_layer_input", False))
    values, missed = q.at_layers("lrp", q.asked.layer, at_input, reduce="none", composite="epsilon", epsilon=1e-9)
    if delta:
        return values, [missed] * len(values) if isinstance(values, list) else missed
    return values


def _occlusion(q: Question) -> Any:
    windows, strides = q.take("sliding_window_shapes"), q.take("strides")
    if len(q.x) > 1:
        raise Else("windows of several inputs")
    windows = windows[0] if isinstance(windows[0], tuple) else windows
    strides = strides[0] if isinstance(strides, tuple) and isinstance(strides[0], tuple) else strides
    inner = tuple(q.x[0].shape[1:])
    if len(windows) != len(inner) or (isinstance(strides, tuple) and len(strides) != len(inner)):
        raise AssertionError("windows or strides that do not fit the input")
    steps = (1,) * len(inner) if strides is None else (strides,) * len(inner) if isinstance(strides, int) else strides
    fill = {"fill": _baselines(q)["baseline"]}
    values, _ = q.at_inputs("occlusion", by_input=fill, window=tuple(windows), stride=tuple(steps))
    return q.result(values)


def _pieces(q: Question) -> tuple[Any, ...]:
    """Numbers of pieces for each input; each number its own unless the test says."""
    given = q.take("feature_mask")
    if given is None:
        start, pieces = 0, []
        for x in q.x:
            count = x[0].numel()
            pieces.append(torch.arange(start, start + count).reshape(1, *x.shape[1:]))
            start += count
        return tuple(pieces)
    return tuple(mask.long() for mask in _tuple(given))


def _by_pieces(method: str, samples: str = "", n: Callable[[int], int] | None = None, **more: Any) -> Any:
    def found(q: Question) -> Any:
        delta = q.take("return_input_shape", True)
        if not delta:
            raise Else("values by piece")
        given: dict[str, Any] = dict(more)
        if samples:
            asked = q.take("n_samples", 25)
            given["n"] = n(asked) if n is not None else asked
        by_input = {"fill": _baselines(q)["baseline"], "segments": _pieces(q)}
        q.one_for_all()
        return q.result(q.at_inputs(method, by_input=by_input, **given)[0])

    return found


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _grad_cam(q: Question) -> Any:
    cut = q.take("relu_attributions", False)
    if not q.take("attr_dim_summation", True):
        raise Else("channels apart")
    at_input = bool(q.take("attribute_to_layer_input", False))
    if len(q.x) > 1:
        raise Else("class activation maps of several inputs")
    if any(one.ndim < 3 for layer in _listed(q.asked.layer) for one in _tuple(q._gave(layer, at_input))):
        raise Else("class activation maps of a layer without places")
    values, _ = q.at_layers("grad-cam", q.asked.layer, at_input, plain=q.x[0].ndim > 2)
    shown = [value[:, None].clamp(min=0) if cut else value[:, None] for value in _tuple(values)]
    return shown if isinstance(values, list) else shown[0]


def _at_layer(method: str, *, path: bool = False, rule: bool = True, delta: bool = True, shares: bool = False) -> Any:
    def found(q: Question) -> Any:
        wanted = q.take("return_convergence_delta", False)
        at_input = bool(q.take("attribute_to_layer_input", False))
        given: dict[str, Any] = {"reduce": "none"}
        if path:
            quadrature = _quadrature(q)
            given |= quadrature if rule else {"steps": quadrature["steps"]}
            given["by_input"] = _baselines(q)
        if shares:
            given |= _shares(q)
        slopes = method == "input-x-gradient" and not q.asked.multiplies_by_inputs
        values, missed = q.at_layers("saliency" if slopes else method, q.asked.layer, at_input, **given)
        return (values, missed) if wanted and delta else values

    return found


def _layer_deep_lift(q: Question) -> Any:
    wanted = q.take("return_convergence_delta", False)
    at_input = bool(q.take("attribute_to_layer_input", False))
    _check_multipliers(q)
    given = {"reduce": "none", "by_input": _baselines(q)} | _shares(q)
    values, missed = q.at_layers("deep-lift", q.asked.layer, at_input, **given)
    return (values, missed) if wanted else values


def _layer_deep_shap(q: Question) -> Any:
    wanted = q.take("return_convergence_delta", False)
    at_input = bool(q.take("attribute_to_layer_input", False))
    _check_multipliers(q)
    references = _distribution(q)
    given = {"reduce": "none", "by_input": references} | _shares(q)
    values, missed = q.at_layers("deep-shap", q.asked.layer, at_input, **given)
    return (values, missed.repeat_interleave(len(references["references"][0]))) if wanted else values


def _layer_gradient_shap(q: Question) -> Any:
    wanted = q.take("return_convergence_delta", False)
    at_input = bool(q.take("attribute_to_layer_input", False))
    n, draws = _draws(q)
    given = {"reduce": "none", "by_input": _distribution(q)} | draws
    values, _ = q.at_layers("layer-expected-gradients", q.asked.layer, at_input, **given)
    return (values, torch.zeros(n * q.batch)) if wanted else values


def _layer_ablation(q: Question) -> Any:
    at_input = bool(q.take("attribute_to_layer_input", False))
    level, mask = q.take("layer_baselines"), q.take("layer_mask")
    level = _tuple(level)[0]
    if isinstance(level, Tensor):
        if level.unique().numel() > 1:
            raise Else("a level of each unit's own")
        level = float(level.flatten()[0])
    mask = None if mask is None else _tuple(mask)[0]
    given: dict[str, Any] = {"units": "units" if mask is None else mask[0].long(), "level": float(level or 0)}
    values, _ = q.at_layers("unit-ablation", q.asked.layer, at_input, reduce="none", **given)
    return values


def _neuron(q: Question) -> Callable[[seewhy.Model], Any]:
    selector = q.take("neuron_selector")
    at_input = bool(q.take("attribute_to_neuron_input", False))

    def unit(model: seewhy.Model) -> Any:
        place = q.place(model, q.asked.layer, at_input)
        if callable(selector):
            first = _tuple(q._gave(q.asked.layer, at_input))[0]
            if selector(torch.cat([first, first])).shape != (2 * len(first),):
                raise Else("a number of a layer that is one of the whole batch")
            return OfLayer(place, selector)
        if isinstance(selector, tuple) and any(isinstance(s, slice) for s in selector):
            return OfLayer(place, lambda a: a[(slice(None), *selector)].reshape(len(a), -1).sum(1))
        channel, *position = selector if isinstance(selector, tuple) else (selector,)
        return Neuron(place, int(channel), tuple(map(int, position)) or None)

    return unit


def _of_neuron(method: str, *, path: bool = False, base: bool = False, shares: bool = False, **more: Any) -> Any:
    def found(q: Question) -> Any:
        given: dict[str, Any] = {"neuron": _neuron(q)} | more
        if path:
            given |= _quadrature(q)
        if path or base:
            given["by_input"] = _baselines(q)
        if shares:
            given |= _shares(q)
        return q.result(q.at_inputs(method, reduce="none", **given)[0])

    return found


def _neuron_deep_shap(q: Question) -> Any:
    given = {"neuron": _neuron(q), "by_input": _distribution(q)} | _shares(q)
    return q.result(q.at_inputs("deep-shap", reduce="none", **given)[0])


def _neuron_gradient_shap(q: Question) -> Any:
    _, draws = _draws(q)
    given = {"neuron": _neuron(q), "by_input": _distribution(q)} | draws
    return q.result(q.at_inputs("expected-gradients", reduce="none", **given)[0])


def _neuron_ablation(q: Question) -> Any:
    by_input = {"fill": _baselines(q)["baseline"], "segments": _pieces(q)}
    return q.result(q.at_inputs("feature-ablation", neuron=_neuron(q), by_input=by_input)[0])


def _neuron_conductance(q: Question) -> Any:
    selector = q.take("neuron_selector")
    at_input = bool(q.take("attribute_to_neuron_input", False))
    if callable(selector) or (isinstance(selector, tuple) and any(isinstance(s, slice) for s in selector)):
        raise Else("conductance of a neuron that is a function or a slice")
    unit = tuple(map(int, selector)) if isinstance(selector, tuple) else (int(selector),)
    given: dict[str, Any] = _quadrature(q) | _shares(q) | {"unit": unit, "by_input": _baselines(q)}
    layers = [q.asked.layer]
    return q.result(q.at_inputs("neuron-conductance", layers=layers, at_input=at_input, reduce="none", **given)[0])


def _noise_tunnel(q: Question) -> Any:
    kind, n = q.take("nt_type", "smoothgrad"), q.take("nt_samples", 5)
    q.take("nt_samples_partial", None)
    q.take("nt_samples_batch_size", None)
    if q.take("draw_baseline_from_distrib", False):
        raise Else("baselines drawn for each noise")
    sigma = q.take("stdevs", 1.0)
    if len(set(_tuple(sigma))) > 1:
        raise Else("noise of another size for each input")
    inner = q.asked.attribution_method
    delta = bool(q.left.get("return_convergence_delta"))
    if delta:
        raise Else("residuals of every noisy copy")
    noise = seewhy.Noise(statistic=_STATISTICS[kind], n=max(n, 2), std=float(_tuple(sigma)[0]), tolerance=0)
    left = q.left | {"inputs": q.x if q.wrapped else q.x[0], "additional_forward_args": q.extra or None}
    name = type(inner).__name__
    if name not in ANSWERS:
        raise Else(f"no {name} here")
    return ANSWERS[name](Question(inner, left, noise))


#: how each of Captum's classes is answered
ANSWERS: dict[str, Callable[[Question], Any]] = {
    "Saliency": _saliency,
    "InputXGradient": _plain("input-x-gradient"),
    "GuidedBackprop": _plain("guided-backprop"),
    "Deconvolution": _plain("deconvnet"),
    "IntegratedGradients": _integrated,
    "DeepLift": _deep_lift,
    "DeepLiftShap": _deep_lift_shap,
    "GradientShap": _gradient_shap,
    "GuidedGradCam": _guided_grad_cam,
    "LRP": _lrp,
    "Occlusion": _occlusion,
    "FeatureAblation": _by_pieces("feature-ablation"),
    "ShapleyValueSampling": _by_pieces("shapley-sampling", "n_samples", lambda n: 6000),
    "ShapleyValues": _by_pieces("kernel-shap", "n_samples", lambda n: 2**12),  # all subsets
    "KernelShap": _by_pieces("kernel-shap", "n_samples", lambda n: max(n, 200)),
    "Lime": _by_pieces("lime", "n_samples", lambda n: max(n, 200)),
    "LayerGradCam": _grad_cam,
    "LayerActivation": _at_layer("layer-activation"),
    "LayerConductance": _at_layer("conductance", path=True, rule=False),
    "LayerIntegratedGradients": _at_layer("layer-integrated-gradients", path=True, shares=True),
    "LayerGradientXActivation": _at_layer("input-x-gradient"),
    "LayerDeepLift": _layer_deep_lift,
    "LayerDeepLiftShap": _layer_deep_shap,
    "LayerGradientShap": _layer_gradient_shap,
    "LayerFeatureAblation": _layer_ablation,
    "LayerLRP": _layer_lrp,
    "InternalInfluence": _at_layer("internal-influence", path=True),
    "NeuronGradient": _of_neuron("saliency"),
    "NeuronGuidedBackprop": _of_neuron("guided-backprop"),
    "NeuronDeconvolution": _of_neuron("deconvnet"),
    "NeuronDeepLift": _of_neuron("deep-lift", base=True, shares=True),
    "NeuronDeepLiftShap": _neuron_deep_shap,
    "NeuronGradientShap": _neuron_gradient_shap,
    "NeuronIntegratedGradients": _of_neuron("integrated-gradients", path=True, shares=True),
    "NeuronFeatureAblation": _neuron_ablation,
    "NeuronConductance": _neuron_conductance,
    "NoiseTunnel": _noise_tunnel,
}


def answer(name: str, asked: Any, arguments: dict[str, Any]) -> Any:
    """What the class called ``name`` gives for ``arguments``, by seewhy; raises `Else`."""
    if name not in ANSWERS:
        raise Else(f"no {name} here")
    return ANSWERS[name](Question(asked, arguments))
