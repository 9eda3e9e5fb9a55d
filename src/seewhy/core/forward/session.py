"""A session: a borrowed network for the length of one call, what is to run through it and how; gives forwards, of the
model itself or of a prepared program that was found to agree with it."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from seewhy.core.forward.agreement import check_agreement, difference
from seewhy.core.forward.demand import Demand, Recorded, Use
from seewhy.core.forward.result import Forward
from seewhy.core.forward.sameness import Sameness
from seewhy.core.forward.settings import Settings
from seewhy.core.intercept.attention import AttentionWatch
from seewhy.core.intercept.backward_rules import RuleWatch
from seewhy.core.intercept.biases import BiasWatch
from seewhy.core.intercept.functions import Interceptor
from seewhy.core.intercept.head import HeadWatch
from seewhy.core.intercept.torch_faults import WORKAROUNDS
from seewhy.core.memory_budget import out_of_memory, unmetered
from seewhy.core.network.borrowed import Network
from seewhy.core.network.capture import UNRECORDED, Edit, Results, capture, record
from seewhy.core.network.layouts import Layout, find_layout
from seewhy.core.network.outputs import Outputs, owned
from seewhy.core.network.places import Place, find_place
from seewhy.errors import TargetError, reason

__all__ = ["DoesNotRun", "Programs", "Session", "no_error_of_ours", "rounded"]

#: how often a network's input is moved by its rounding, to see how far the network is from itself
_MOVED = 4

#: what torch says when the part of a model before the first captured layer cannot do without a graph
_WANTS_GRAPH = ("created in no_grad mode", "does not require grad", "inplace", "in-place", UNRECORDED)


class DoesNotRun(Exception):
    """A prepared program raised where it was to stand for the model; in words."""


@contextmanager
def no_error_of_ours() -> Iterator[None]:
    """What a program raises in here is `DoesNotRun`, but for a lack of memory: where the model itself would raise, it
    does so when it runs instead."""
    try:
        yield
    except Exception as error:
        if out_of_memory(error):
            raise
        raise DoesNotRun(f"does not run ({reason(error)})") from error


class Programs(Protocol):
    """Who gives prepared programs of a network: `seewhy.core.compile.programs.Preparer`."""

    def program(self, use: Use) -> Any:
        """The program for ``use``, None where the model itself is to run; a module with ``start`` and ``finish``, its
        parts before and from the first captured layer."""

    def trusted(self, use: Use) -> bool:
        """Whether that program need not be compared any more."""

    def judge(self, use: Use, verdict: str) -> None:
        """Note how a comparison went: '' if the program may be used."""


@dataclass
class Session:
    """A borrowed network for the length of one call: ``call`` is what `Network.borrowed` gives, ``x`` the batch that is
    explained, [B, C, *size].

    ``programs`` may stand for the model; ``layouts`` are those that pictures have proved, by input size and place;
    ``calls`` says how often each layer ran in a forward of ``x``, once one has counted them.
    """

    network: Network
    call: Callable[[Tensor], Any]
    x: Tensor
    settings: Settings = field(default_factory=Settings)
    programs: Programs | None = None
    layouts: dict[tuple[tuple[int, ...], str], Layout] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    #: has pictures say how a layer is to be read; gives the samples of the network that this took
    reader: Callable[[Session, str, Sequence[int]], int] | None = None
    #: layers that targets have read in `x` or in what it was changed to, and the samples spent on how
    asked: dict[tuple[tuple[int, ...], str], int] = field(default_factory=dict)
    #: whether the module's scores were found to be those of the runtime that it stands for
    agreed: bool = False
    _places: dict[str, Place] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sameness = Sameness(self.network)
        if self.x.is_inference():  # which takes part in no graph
            self.x = self.x.clone()

    @property
    def size(self) -> tuple[int, ...]:
        """Of an input, without batch and channels."""
        return tuple(self.x.shape[2:])

    def find(self, name: str) -> Place:
        """The place called ``name``; raises `UnknownName`."""
        if name not in self._places:
            self._places[name] = find_place(self.network.module, name)
        return self._places[name]

    def ask(self, size: tuple[int, ...], name: str, shape: Sequence[int]) -> None:
        """Know how to read layer ``name`` in inputs of ``size``, where it gives ``shape``, before a target does."""
        if self.reader is None or (size, name) in self.asked:
            return
        self.asked[size, name] = 0  # what is asked on the way needs no answer of its own
        if size == self.size:
            self.asked[size, name] = self.reader(self, name, shape)
        elif len(size) == 2:
            other = F.interpolate(self.x.detach(), size)
            smaller = Session(self.network, self.call, other, self.settings, layouts=self.layouts)
            self.asked[size, name] = self.reader(smaller, name, shape)

    def last(self, name: str) -> Place:
        """The place called ``name``, its last call by number: an edit must not meet the earlier ones."""
        place = self.find(name)
        return place if place.call is not None else replace(place, call=self.calls.get(name))

    def run(self, x: Tensor, demand: Demand) -> Forward:
        """One forward of ``x`` as ``demand`` says.

        A prepared program answers where there is one that was found to agree; the first time both run and are compared.
        Raises `CapabilityError` when a layer never runs, and whatever the model itself raises. A model that does not
        stand having its first part run without a graph (it writes into views, or differentiates for itself) is run
        again with one.
        """
        use = self._use(len(x), demand)
        if use is None or self.programs is None or (program := self.programs.program(use)) is None:
            return self.eager(x, demand)
        places = {key: replace(place, module=program.get_submodule(place.name)) for key, place in demand.places.items()}
        # no watch has to see the first part, and each call of a function that it sees costs; but rectifiers are counted
        apart = use.recorded != "all" and not use.rules
        run, start = (program.finish, program.start) if apart else (program, None)
        try:
            prepared = self.standing_in(run, x, replace(demand, places=places), use, start)
        except DoesNotRun as error:
            self.programs.judge(use, str(error))
            return self.eager(x, demand)
        if self.programs.trusted(use):
            return prepared
        with unmetered():  # once only: no later chunk takes so much
            ways = self.ways(x, demand)
            exact = next(ways)
            verdict = difference(exact, prepared, ways)
        self.programs.judge(use, verdict)
        kept = exact if verdict else prepared
        kept.checks = len(x)
        return kept

    def eager(self, x: Tensor, demand: Demand, call: Callable[[Tensor], Any] | None = None) -> Forward:
        """The forward of the model itself, or of ``call`` around it, on a copy: one whose first layer works in place
        must rewrite neither the user's tensor nor a leaf."""
        self.network.keep_buffers()

        def run(given: Tensor) -> Any:
            return (call or self.call)(given.clone())

        return self.sameness.forward(x, lambda: self._recorded(run, x, demand), lambda: self._forward(run, x, Demand()))

    def _recorded(self, run: Callable[..., Any], x: Tensor, demand: Demand) -> Forward:
        """A forward, with a graph from the input on where the model does not stand one from the first layer on."""
        if demand.graph != "lazy":
            return self._forward(run, x, demand)
        try:
            return self._forward(run, x, demand)
        except RuntimeError as error:
            if not any(words in str(error) for words in _WANTS_GRAPH):
                raise
            forward = self._forward(run, x, replace(demand, at_input=True))
            forward.runs += 1
            return forward

    def ways(self, x: Tensor, demand: Demand) -> Iterator[Forward]:
        """What the model itself gives for ``x``, and for the same numbers rounded in other ways: how far it is from
        itself. Each is run when it is asked for."""
        return (self.eager(given, demand) for given in itertools.chain([x], rounded(x)))

    def standing_in(
        self,
        run: Callable[..., Any],
        x: Tensor,
        demand: Demand,
        use: Use,
        start: Callable[[Tensor], Sequence[Any]] | None = None,
    ) -> Forward:
        """The forward of a program for ``use``, which writes into nothing that it is given: ``run`` of ``x``, or of
        what ``start`` makes of it unwatched. Raises `DoesNotRun`."""
        with no_error_of_ours():
            forward = self._forward(run, x, demand, start)
        forward.use = use
        return forward

    def program(self, samples: int, demand: Demand) -> tuple[Any, bool] | None:
        """The program that will answer ``demand`` for so many ``samples``, built now if there is to be one, and
        whether it was found to agree: nobody who measures what a chunk takes must come upon that."""
        use = self._use(samples, demand)
        if use is None or self.programs is None or (program := self.programs.program(use)) is None:
            return None
        return program, self.programs.trusted(use)

    def _use(self, samples: int, demand: Demand) -> Use | None:
        """What a program would have to do; None where only the module itself can, or something better is there."""
        own = demand.attached or demand.survey or demand.biases or demand.curvature or demand.attention
        own = own or any(place.element for place in demand.places.values())  # a program shows whole layers
        other = self.network.program is not None and demand.scores_only
        if own or demand.swap is not None or demand.watches or other:
            return None
        recorded: Recorded = {"none": "none", "lazy": "after", "full": "all"}[demand.graph]  # type: ignore[assignment]
        layers = tuple(sorted({place.name for place in demand.places.values()}))
        return Use(layers, recorded, demand.rules, samples == 1)

    def _forward(
        self,
        call: Callable[..., Any],
        x: Tensor,
        demand: Demand,
        start: Callable[[Tensor], Sequence[Any]] | None = None,
    ) -> Forward:
        network = self.network
        if type(x) is not Tensor:  # made of a baseline or a fill that is a subclass of it
            x = x.as_subclass(Tensor)
        size = tuple(x.shape[2:])
        keeps_input = demand.gradients and (demand.at_input or demand.graph == "full")
        if demand.attached:
            leaf = x if x.requires_grad else x.detach().requires_grad_()
        else:
            leaf = x.detach().requires_grad_(keeps_input)
        head, rule, bias, attention = HeadWatch(), RuleWatch(), BiasWatch(), AttentionWatch()
        tables = [head.handlers, WORKAROUNDS]
        if demand.biases:
            tables.insert(0, bias.handlers)
        if demand.rules:
            tables.append(rule.handlers)
        if demand.attention:
            tables.append(attention.handlers)
        tables.extend(demand.watches)
        edits = {
            name: _raw_edit(edit, partial(self._layout, size, demand, name)) for name, edit in demand.edits.items()
        }
        if demand.swap is not None:
            into, source = demand.swap
            edits[into] = lambda raw: tape.activations[source]
        live = None if start is None else start(leaf.detach())
        with ExitStack() as stack:
            tape = stack.enter_context(
                capture(
                    demand.places, graph=demand.graph, edits=edits, optional=demand.optional, rewritten=live is None
                )
            )
            attention.surveyed, attention.running = tape.seen, tape.running
            if demand.survey:
                stack.enter_context(record(network.module, tape, demand.functions))
            stack.enter_context(Interceptor(tables))
            if tape.viewers:
                stack.enter_context(Results(tape.viewers))
            if demand.attached or demand.curvature:  # the fused attention kernels cannot be differentiated twice
                stack.enter_context(sdpa_kernel(SDPBackend.MATH))
            outside = network.program if network.root is None or demand.scores_only else None
            if outside is None:
                raw = call(leaf) if live is None else call(*live)
            else:
                raw, squashes = outside.run(x.detach())
                head.squashes.extend(squashes)
        # left the contexts: backward rules run outside the interceptor
        for name, names in tape.several.items():
            network.note(
                f"layer {name!r} gives {len(names)} tensors, of which the first is explained: what goes through the "
                f"others is not in the map; they are called {', '.join(repr(f'{name}[{part}]') for part in names[1:4])}"
            )
        raw, squashes = owned(raw, head.squashes)
        squashes = [] if self.settings.as_given else squashes
        outputs = Outputs(
            raw, x.shape[0], squashes, squashed=head.squashed, size=size, last=network.channels_last,
            computed_in=network.computes_in(x), classes=network.classes,
        )  # fmt: skip
        forward = Forward(outputs, size, demand, tape, leaf, rule, head.linears, bias.terms, attention)
        forward.channels_last, forward.layouts, forward.ask = network.channels_last, self.layouts, self.ask
        # weakly: a cycle would keep the whole graph until the garbage collector comes by
        forward.outputs.activations, forward.outputs.rows = _weakly(forward.read), _weakly(forward.rows)
        forward.outputs.captured = tuple(tape.activations)
        _check_batch(forward.outputs, x.shape[0])
        if outside is None and network.program is not None and not self.agreed:
            check_agreement(network.program, x, forward.outputs)
            self.agreed = True
            forward.runs += 1
        return forward

    def _layout(self, size: tuple[int, ...], demand: Demand, place: str, shape: Sequence[int]) -> Layout:
        """Where channels and positions are in what ``place`` gives."""
        known = self.layouts.get((size, place))
        if known is not None and demand.reshape is None and known.fits(shape):
            return known
        return find_layout(shape, size, demand.reshape, self.network.channels_last)


def rounded(x: Tensor) -> Iterator[Tensor]:
    """The same numbers, as good as: in another order in memory, which torch adds up in another order, too, and a few
    times with each moved by its own rounding. What a network makes of them is how far it is from itself."""
    if x.ndim == 4:
        yield x.contiguous(memory_format=torch.channels_last if x.is_contiguous() else torch.contiguous_format)
    for seed in range(_MOVED):
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        yield x * (1 + 2 * torch.finfo(x.dtype).eps * noise).to(x)


def _weakly(method: Callable[[str], Tensor]) -> Callable[[str], Tensor]:
    """A method of a pass that does not keep the pass."""
    reference: weakref.WeakMethod[Callable[[str], Tensor]] = weakref.WeakMethod(method)

    def call(name: str) -> Tensor:
        bound = reference()
        assert bound is not None, "a forward was read after its pass had gone"
        return bound(name)

    return call


def _check_batch(outputs: Outputs, batch: int) -> None:
    try:
        rows = outputs.main.shape[0] if outputs.main.ndim else 0
    except TargetError:
        return  # a callable target may still know its way around this output
    if rows != batch:
        raise TargetError(f"the model gives {rows} rows of scores for {batch} image(s); it needs one row per image")


def _raw_edit(edit: Edit, layout_of: Callable[[Sequence[int]], Layout]) -> Edit:
    """An edit of canonical activations as one of the layer's own layout."""

    def change(raw: Tensor) -> Tensor:
        layout = layout_of(raw.shape)
        return layout.restore(edit(layout.canonical(raw)), raw)

    return change
