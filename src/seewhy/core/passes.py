"""One forward with its graph kept open: takes a borrowed network and a batch, gives activations and gradients of it.

Every backward is `torch.autograd.grad` on the tensors asked for: parameter gradients are never computed, and the pass
stops at the layer.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge
from torch.nn.attention import SDPBackend, sdpa_kernel

from seewhy.core.attention import AttentionWatch
from seewhy.core.biases import BiasTerm, BiasWatch
from seewhy.core.functions import Handler, Interceptor
from seewhy.core.graph.agreement import difference
from seewhy.core.graph.building import Recorded
from seewhy.core.graph.preparing import Use
from seewhy.core.graph.windows import Windows
from seewhy.core.head import HeadWatch, Linear
from seewhy.core.layers import INPUT, Place, Seen, choose_layer
from seewhy.core.layouts import Layout, Reshape, find_layout
from seewhy.core.network import Network
from seewhy.core.outputs import Forward
from seewhy.core.programs import check_agreement
from seewhy.core.rules import RuleWatch
from seewhy.core.tape import Edit, Graph, Tape, capture, record
from seewhy.core.targets import Target, scores
from seewhy.core.upstream import WORKAROUNDS
from seewhy.errors import CapabilityError, TargetError

__all__ = ["Pass", "Request", "program_for", "run_forward", "run_windows"]

#: what torch says when the part of a model before the first captured layer cannot do without a graph
_WANTS_GRAPH = ("created in no_grad mode", "does not require grad", "inplace", "in-place")


@dataclass(frozen=True)
class Request:
    """What a forward must make possible.

    ``places`` are captured; ``at_input`` keeps the graph down to the input; ``rules`` and ``biases`` put the watches
    in; ``edits`` change layers (canonical in, canonical out); ``gradients`` False records no graph; ``attached``
    keeps the caller's own graph, for differentiable maps; ``survey`` notes every module's output; ``curvature`` makes
    second derivatives possible; ``attention`` makes attention weights visible; ``swap`` puts the output of the second
    layer in the place of the first one's, in the same forward; ``watches`` are handlers of a caller's own;
    ``optional`` places are captured if they run; ``module`` runs the module even where the program that it stands for
    could answer.
    """

    places: Mapping[str, Place] = field(default_factory=dict)
    at_input: bool = False
    rules: bool = False
    biases: bool = False
    edits: Mapping[str, Edit] = field(default_factory=dict)
    gradients: bool = True
    attached: bool = False
    survey: bool = False
    curvature: bool = False
    attention: bool = False
    swap: tuple[str, str] | None = None
    reshape: Reshape | None = None
    watches: tuple[dict[str, Handler], ...] = ()
    optional: frozenset[str] = frozenset()
    module: bool = False

    @property
    def scores_only(self) -> bool:
        """Whether the output is all that is asked for."""
        return self == Request(gradients=False, reshape=self.reshape, optional=self.optional)

    @property
    def graph(self) -> Graph:
        """How much of the forward is recorded for gradients."""
        if self.attached:
            return "full"
        if not self.gradients:
            return "none"
        return "full" if self.at_input or self.survey or not self.places else "lazy"


@dataclass
class Pass:
    """A forward that has run: its output, and the tensors that gradients can be taken of."""

    forward: Forward
    size: tuple[int, ...]
    request: Request
    tape: Tape
    leaf: Tensor
    rule: RuleWatch
    linears: list[Linear]
    biases: list[BiasTerm]
    attention: AttentionWatch
    channels_last: bool = False
    #: forwards that it took, and samples of them that another forward was compared with
    runs: int = 1
    checks: int = 0

    def layout(self, place: str) -> Layout:
        """Where channels and positions are in the activation of ``place``."""
        if place == INPUT:
            return Layout(1, self.size)
        shape = self.tape.activations[place].shape
        if self.request.reshape is None and (not shape or shape[0] != self.forward.batch):
            raise CapabilityError(
                f"layer {place!r} gives {tuple(shape)}, whose first axis is not the batch of {self.forward.batch}; "
                "say how to read it with reshape=, a function to [B, C, H, W], or choose another layer"
            )
        return self.layout_of(shape, self.request.reshape)

    def layout_of(self, shape: Sequence[int], reshape: Reshape | None = None) -> Layout:
        """Where channels and positions are in something of ``shape`` that this network made."""
        return find_layout(shape, self.size, reshape, self.channels_last)

    def raw(self, place: str) -> Tensor:
        """The activation at ``place``, in the layer's own layout."""
        return self.leaf if place == INPUT else self.tape.activations[place]

    def source(self, place: str) -> Tensor | GradientEdge:
        """What gradients at ``place`` are taken of: the tensor, or its place in the graph where others hold it too."""
        return self.tape.edges.get(place, self.raw(place))

    def activation(self, place: str) -> Tensor:
        """The activation at ``place``, canonical."""
        return self.layout(place).canonical(self.raw(place))

    def rows(self, place: str) -> Tensor:
        """Everything that ``place`` puts out, prefix tokens and all, a row for each image: [B, n].

        The windows that shifted-window attention works on belong to the images in order.
        """
        raw, batch = self.raw(place), self.forward.batch
        if self.request.reshape is not None:
            return self.request.reshape(raw).flatten(1)
        windows = raw.ndim > 1 and raw.shape[0] % batch == 0 and raw.shape[1] != batch
        if batch > 1 and raw.shape[:1] != (batch,) and not windows:
            self.layout(place)  # says what is wrong with its first axis
        return raw.reshape(batch, -1)

    @property
    def recorded(self) -> bool:
        """Whether the model's output has a graph behind it; a model can switch recording off for itself."""
        try:
            return self.request.graph == "none" or self.forward.main.requires_grad
        except TargetError:
            return True

    def scores(self, targets: Sequence[Target]) -> Tensor:
        """The targets' values, [B], in the graph."""
        return scores(self.forward, targets)

    def gradients(
        self,
        score: Tensor,
        tensors: Sequence[Tensor | GradientEdge],
        rule: str = "none",
        *,
        graph: bool = False,
        last: bool = False,
    ) -> list[Tensor | None]:
        """d (sum of scores) / d each tensor under ``rule``; None where the score does not depend on it.

        Samples do not mix in a network in eval mode, so one backward serves the whole batch. The ``last`` one lets go
        of the graph as it goes, whose memory it can then use. Raises `CapabilityError` if the rule met no rectifier in
        the forward.
        """
        if rule != "none" and self.rule.seen == 0:
            raise CapabilityError(
                f"the {rule!r} rule matched no activation function in this forward: the model has no ReLU-like "
                "function that can be seen (TorchScript hides them); use a method without a backward rule"
            )
        reachable = [tensor for tensor in tensors if _differentiable(tensor)]
        if not score.requires_grad or not reachable:
            return [None] * len(tensors)
        self.rule.active = rule
        try:
            found = iter(
                torch.autograd.grad(
                    score.sum(),
                    reachable,  # type: ignore[arg-type]
                    retain_graph=graph or not last,
                    allow_unused=True,
                    create_graph=graph,
                )
            )
        finally:
            self.rule.active = "none"
        return [next(found) if _differentiable(tensor) else None for tensor in tensors]

    def adopt(self, asked: Sequence[Sequence[Target]]) -> tuple[str, bool, int]:
        """Choose a layer from a survey, for all targets ``asked``: its name, whether its tensor is still as it was, and
        backwards spent.

        For token sequences with a class token, the last block's patch tokens may carry no gradient: such
        candidates are passed over, which takes one backward. A detector has a branch for each size of object: one that
        every target depends on is found by a backward each.
        """
        candidates = choose_layer(self.tape.seen, self.size, self.forward.batch, self.channels_last)
        targets = asked[0] if asked else None
        if targets is not None:
            candidates = self._reached(candidates, self.scores(targets)) or candidates
        if not candidates:
            raise CapabilityError(
                "this model has no layer with spatial positions, so there is no class activation map of it; "
                "use a gradient method such as --method saliency"
            )
        best, spent = candidates[0], 0
        if self.layout_of(best.shape).prefix and targets is not None:
            best, spent = self._with_gradient(candidates[:32], targets), 1
        elif self.forward.found is not None:
            best, spent = self._shared_by(candidates, asked), len(asked)
        tensor = self.tape.outputs[best.identity]
        intact = tensor._version == best.identity[1] and tensor.requires_grad
        self.tape.calls[best.name] = sum(seen.name == best.name for seen in self.tape.seen)
        if intact:
            self.tape.activations[best.name] = tensor
        return best.name, intact, spent

    def _reached(self, candidates: list[Seen], score: Tensor) -> list[Seen]:
        """Those candidates that the score was computed from: an auxiliary head's layers run last and do not matter."""
        waiting, reached = [score.grad_fn], set()
        while waiting:
            node = waiting.pop()
            if node is not None and node not in reached:
                reached.add(node)
                waiting.extend(following for following, _ in node.next_functions)
        return [c for c in candidates if self.tape.outputs[c.identity].grad_fn in reached]

    def _with_gradient(self, candidates: list[Seen], targets: Sequence[Target]) -> Seen:
        # what a block hands on, or its norm: the projections inside its attention and MLP are no picture of the tokens
        width = candidates[0].shape[-1]
        whole = [c for c in candidates if c.kind != "Linear" and c.shape[-1] == width]
        usable = [c for c in whole + candidates if self.tape.outputs[c.identity].requires_grad]
        grads = self.gradients(self.scores(targets), [self.tape.outputs[c.identity] for c in usable])
        for candidate, grad in zip(usable, grads, strict=True):
            layout = self.layout_of(candidate.shape)
            if grad is not None and bool(layout.canonical(grad).any()):
                return candidate
        return candidates[0]

    def _shared_by(self, candidates: list[Seen], asked: Sequence[Sequence[Target]]) -> Seen:
        """The last candidate that changes every target and runs once: a head runs over every level of a pyramid."""
        usable = [c for c in candidates if self.tape.outputs[c.identity].requires_grad]
        once = [c for c in usable if sum(seen.name == c.name for seen in self.tape.seen) == 1] or usable
        for targets in asked:
            grads = self.gradients(self.scores(targets), [self.tape.outputs[c.identity] for c in once])
            changed = [c for c, grad in zip(once, grads, strict=True) if grad is not None and bool(grad.any())]
            once = changed or once
        return once[0] if once else candidates[0]


def _differentiable(source: Tensor | GradientEdge) -> bool:
    return isinstance(source, GradientEdge) or source.requires_grad


def run_forward(network: Network, call: Callable[[Tensor], Any], x: Tensor, request: Request) -> Pass:
    """Run one forward of ``x`` as ``request`` says; ``call`` comes from `Network.borrowed`.

    A prepared program answers where there is one that was found to agree; the first time both run and are compared.
    Raises `CapabilityError` when a layer never runs, and whatever the model itself raises. A model that does not stand
    having its first part run without a graph (it writes into views, or differentiates for itself) is run again with
    one.
    """
    use = _use(network, x, request)
    if use is None or network.preparer is None or (program := network.preparer.program(use)) is None:
        return _eager(network, call, x, request)
    places = {key: replace(place, module=program.get_submodule(place.name)) for key, place in request.places.items()}
    made = _forward(network, program, x, replace(request, places=places))
    if network.preparer.trusted(use):
        return made
    exact = _eager(network, call, x, request)
    verdict = difference(exact, made)
    network.preparer.judge(use, verdict)
    kept = exact if verdict else made
    kept.checks = len(x)
    return kept


def run_windows(network: Network, windows: Windows, x: Tensor, rows: Sequence[int], request: Request) -> Pass:
    """Run the variants ``x`` [m, C, *size] of an image in its windows ``rows`` through what they change alone."""
    return _forward(network, lambda variants: windows(variants, rows), x, request)


def program_for(network: Network, x: Tensor, request: Request) -> nn.Module | None:
    """The prepared program that answers ``request`` for inputs like ``x``, if there is one that was found to agree."""
    use = _use(network, x, request)
    if use is None or network.preparer is None or not network.preparer.trusted(use):
        return None
    return network.preparer.program(use)


def _use(network: Network, x: Tensor, request: Request) -> Use | None:
    """What a prepared program would have to do; None where only the module itself can, or something better is there."""
    own = request.attached or request.survey or request.biases or request.curvature or request.attention
    if own or request.swap is not None or request.watches or (network.program is not None and request.scores_only):
        return None
    recorded: Recorded = {"none": "none", "lazy": "after", "full": "all"}[request.graph]  # type: ignore[assignment]
    layers = tuple(sorted({place.name for place in request.places.values()}))
    return Use(layers, recorded, request.rules, len(x) == 1)


def _eager(network: Network, call: Callable[[Tensor], Any], x: Tensor, request: Request) -> Pass:
    """The forward of the model itself."""
    if request.graph != "lazy":
        return _forward(network, call, x, request)
    try:
        return _forward(network, call, x, request)
    except RuntimeError as error:
        if not any(words in str(error) for words in _WANTS_GRAPH):
            raise
        made = _forward(network, call, x, replace(request, at_input=True))
        made.runs += 1
        return made


def _forward(network: Network, call: Callable[[Tensor], Any], x: Tensor, request: Request) -> Pass:
    size = tuple(x.shape[2:])
    keeps_input = request.gradients and (request.at_input or request.graph == "full")
    if request.attached:
        leaf = x if x.requires_grad else x.detach().requires_grad_()
    else:
        leaf = x.detach().requires_grad_(keeps_input)
    head, rule, bias, attention = HeadWatch(), RuleWatch(), BiasWatch(), AttentionWatch()
    tables = [head.handlers, WORKAROUNDS]
    if request.biases:
        tables.insert(0, bias.handlers)
    if request.rules:
        tables.append(rule.handlers)
    if request.attention:
        tables.append(attention.handlers)
    tables.extend(request.watches)
    edits = {
        name: _raw_edit(edit, lambda shape: find_layout(shape, size, request.reshape, network.channels_last))
        for name, edit in request.edits.items()
    }
    if request.swap is not None:
        into, source = request.swap
        edits[into] = lambda raw: tape.activations[source]
    with ExitStack() as stack:
        tape = stack.enter_context(capture(request.places, graph=request.graph, edits=edits, optional=request.optional))
        attention.surveyed = tape.seen
        if request.survey:
            stack.enter_context(record(network.module, tape))
        stack.enter_context(Interceptor(tables))
        if request.attached or request.curvature:  # the fused attention kernels cannot be differentiated twice
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        # a clone: a model whose first layer works in place must rewrite neither the user's tensor nor a leaf
        outside = network.program if network.root is None or request.scores_only else None
        if outside is None:
            raw = call(leaf.clone())
        else:
            raw, squashes = outside.run(x.detach())
            head.squashes.extend(squashes)
    # left the contexts: backward rules run outside the interceptor
    forward = Forward(raw, x.shape[0], head.squashes)
    made = Pass(forward, size, request, tape, leaf, rule, head.linears, bias.terms, attention, network.channels_last)
    # weakly: a cycle would keep the whole graph until the garbage collector comes by
    made.forward.activations, made.forward.rows = _weakly(made.activation), _weakly(made.rows)
    made.forward.captured = tuple(tape.activations)
    _check_batch(made.forward, x.shape[0])
    if outside is None and network.program is not None and not network.agrees:
        check_agreement(network.program, x, made.forward)
        network.agrees = True
        made.runs += 1
    return made


def _weakly(method: Callable[[str], Tensor]) -> Callable[[str], Tensor]:
    """A method of a pass that does not keep the pass."""
    reference: weakref.WeakMethod[Callable[[str], Tensor]] = weakref.WeakMethod(method)

    def call(name: str) -> Tensor:
        found = reference()
        assert found is not None, "a forward was read after its pass had gone"
        return found(name)

    return call


def _check_batch(forward: Forward, batch: int) -> None:
    try:
        found = forward.main.shape[0] if forward.main.ndim else 0
    except TargetError:
        return  # a callable target may still know its way around this output
    if found != batch:
        raise TargetError(f"the model gives {found} rows of scores for {batch} image(s); it needs one row per image")


def _raw_edit(edit: Edit, layout_of: Callable[[Sequence[int]], Layout]) -> Edit:
    """An edit of canonical activations as one of the layer's own layout."""

    def change(raw: Tensor) -> Tensor:
        layout = layout_of(raw.shape)
        return layout.restore(edit(layout.canonical(raw)), raw)

    return change
