"""Running a forward: takes a borrowed network, a batch and what must be possible, gives a pass, of the model itself or
of a prepared program that was found to agree with it."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from seewhy.core.compile.windows import Windows
from seewhy.core.forward.agreement import check_agreement, difference
from seewhy.core.forward.request import Recorded, Request, Use
from seewhy.core.forward.result import Pass
from seewhy.core.intercept.attention import AttentionWatch
from seewhy.core.intercept.backward_rules import RuleWatch
from seewhy.core.intercept.biases import BiasWatch
from seewhy.core.intercept.functions import Interceptor
from seewhy.core.intercept.head import HeadWatch
from seewhy.core.intercept.torch_faults import WORKAROUNDS
from seewhy.core.memory import unmetered
from seewhy.core.network.borrowed import Network
from seewhy.core.network.capture import UNRECORDED, Edit, Results, capture, record
from seewhy.core.network.layouts import Layout, find_layout
from seewhy.core.network.outputs import Forward
from seewhy.errors import TargetError

__all__ = ["build_program", "program_for", "rounded", "run_eager", "run_forward", "run_windows"]

#: how often a network's input is moved by its rounding, to see how far the network is from itself
_MOVED = 4

#: what torch says when the part of a model before the first captured layer cannot do without a graph
_WANTS_GRAPH = ("created in no_grad mode", "does not require grad", "inplace", "in-place", UNRECORDED)


def run_forward(network: Network, call: Callable[[Tensor], Any], x: Tensor, request: Request) -> Pass:
    """Run one forward of ``x`` as ``request`` says; ``call`` comes from `Network.borrowed`.

    A prepared program answers where there is one that was found to agree; the first time both run and are compared.
    Raises `CapabilityError` when a layer never runs, and whatever the model itself raises. A model that does not stand
    having its first part run without a graph (it writes into views, or differentiates for itself) is run again with
    one.
    """
    use = _use(network, len(x), request)
    if use is None or network.preparer is None or (program := network.preparer.program(use)) is None:
        return run_eager(network, call, x, request)
    places = {key: replace(place, module=program.get_submodule(place.name)) for key, place in request.places.items()}
    # no watch has to see the first part, and each call of a function that it sees costs; but rectifiers are counted
    apart = use.recorded != "all" and not use.rules
    run, start = (program.finish, program.start) if apart else (program, None)
    made = _forward(network, run, x, replace(request, places=places), start)
    made.use = use
    if network.preparer.trusted(use):
        return made
    with unmetered():  # once only: no later chunk takes so much
        exact = run_eager(network, call, x, request)
        verdict = difference(exact, made, (run_eager(network, call, other, request) for other in rounded(x)))
    network.preparer.judge(use, verdict)
    kept = exact if verdict else made
    kept.checks = len(x)
    return kept


def rounded(x: Tensor) -> Iterator[Tensor]:
    """The same numbers, as good as: in another order in memory, which torch adds up in another order, too, and a few
    times with each moved by its own rounding. What a network makes of them is how far it is from itself."""
    if x.ndim == 4:
        yield x.contiguous(memory_format=torch.channels_last if x.is_contiguous() else torch.contiguous_format)
    for seed in range(_MOVED):
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        yield x * (1 + 2 * torch.finfo(x.dtype).eps * noise).to(x)


def run_windows(network: Network, windows: Windows, x: Tensor, rows: Sequence[int], request: Request, use: Use) -> Pass:
    """Run the variants ``x`` [m, C, *size] of an image in its windows ``rows`` through what they change alone, as
    ``use`` names it."""
    made = _forward(network, lambda variants: windows(variants, rows), x, request)
    made.use = use
    return made


def program_for(network: Network, x: Tensor, request: Request) -> nn.Module | None:
    """The prepared program that answers ``request`` for inputs like ``x``, if there is one that was found to agree."""
    use = _use(network, len(x), request)
    if use is None or network.preparer is None or not network.preparer.trusted(use):
        return None
    return network.preparer.program(use)


def build_program(network: Network, samples: int, request: Request) -> bool:
    """Have the program that will answer ``request`` for so many ``samples`` built now, if there is to be one: nobody
    who measures what a chunk takes must come upon that. Gives whether it has still to be compared with the model."""
    use = _use(network, samples, request)
    if use is None or network.preparer is None or network.preparer.program(use) is None:
        return False
    return not network.preparer.trusted(use)


def _use(network: Network, samples: int, request: Request) -> Use | None:
    """What a prepared program would have to do; None where only the module itself can, or something better is there."""
    own = request.attached or request.survey or request.biases or request.curvature or request.attention
    own = own or any(place.element for place in request.places.values())  # a program shows whole layers
    if own or request.swap is not None or request.watches or (network.program is not None and request.scores_only):
        return None
    recorded: Recorded = {"none": "none", "lazy": "after", "full": "all"}[request.graph]  # type: ignore[assignment]
    layers = tuple(sorted({place.name for place in request.places.values()}))
    return Use(layers, recorded, request.rules, samples == 1)


def run_eager(network: Network, call: Callable[[Tensor], Any], x: Tensor, request: Request) -> Pass:
    """The forward of the model itself, on a copy: one whose first layer works in place must rewrite neither the user's
    tensor nor a leaf."""
    network.keep_buffers()

    def run(given: Tensor) -> Any:
        return call(given.clone())

    if request.graph != "lazy":
        return _forward(network, run, x, request)
    try:
        return _forward(network, run, x, request)
    except RuntimeError as error:
        if not any(words in str(error) for words in _WANTS_GRAPH):
            raise
        made = _forward(network, run, x, replace(request, at_input=True))
        made.runs += 1
        return made


def _forward(
    network: Network,
    call: Callable[..., Any],
    x: Tensor,
    request: Request,
    start: Callable[[Tensor], Sequence[Any]] | None = None,
) -> Pass:
    """The forward of ``call``, which writes into nothing that it is given; of what ``start`` makes of ``x``, unwatched,
    where it is given."""
    if type(x) is not Tensor:  # made of a baseline or a fill that is a subclass of it
        x = x.as_subclass(Tensor)
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
        name: _raw_edit(edit, partial(_layout, network, size, request, name)) for name, edit in request.edits.items()
    }
    if request.swap is not None:
        into, source = request.swap
        edits[into] = lambda raw: tape.activations[source]
    live = None if start is None else start(leaf.detach())
    with ExitStack() as stack:
        tape = stack.enter_context(capture(request.places, graph=request.graph, edits=edits, optional=request.optional))
        attention.surveyed = tape.seen
        if request.survey:
            stack.enter_context(record(network.module, tape, request.functions))
        stack.enter_context(Interceptor(tables))
        if tape.viewers:
            stack.enter_context(Results(tape.viewers))
        if request.attached or request.curvature:  # the fused attention kernels cannot be differentiated twice
            stack.enter_context(sdpa_kernel(SDPBackend.MATH))
        outside = network.program if network.root is None or request.scores_only else None
        if outside is None:
            raw = call(leaf) if live is None else call(*live)
        else:
            raw, squashes = outside.run(x.detach())
            head.squashes.extend(squashes)
    # left the contexts: backward rules run outside the interceptor
    for name, names in tape.several.items():
        network.note(
            f"layer {name!r} gives {len(names)} tensors, of which the first is explained: what goes through the others "
            f"is not in the map; they are called {', '.join(repr(f'{name}[{each}]') for each in names[1:4])}"
        )
    forward = Forward(raw, x.shape[0], head.squashes, squashed=head.squashed)
    made = Pass(forward, size, request, tape, leaf, rule, head.linears, bias.terms, attention, network.channels_last)
    made.grids = network.grids
    # weakly: a cycle would keep the whole graph until the garbage collector comes by
    made.forward.activations, made.forward.rows = _weakly(made.activation), _weakly(made.rows)
    made.forward.captured = tuple(tape.activations)
    _check_batch(made.forward, x.shape[0])
    if outside is None and network.program is not None and not network.agrees:
        check_agreement(network.program, x, made.forward)
        network.agrees = True
        made.runs += 1
    return made


def _layout(network: Network, size: tuple[int, ...], request: Request, place: str, shape: Sequence[int]) -> Layout:
    """Where channels and positions are in what ``place`` gives."""
    known = network.grids.get((size, place))
    if known is not None and request.reshape is None and known.fits(shape):
        return known
    return find_layout(shape, size, request.reshape, network.channels_last)


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
