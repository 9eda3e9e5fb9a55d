"""Results of functions: takes who wants to see what functions give, shows it to them, puts in its place what they say;
knows nothing of modules."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge, get_gradient_edge
from torch.jit._trace import TopLevelTracedModule
from torch.overrides import TorchFunctionMode

from seewhy.core.intercept.functions import canonical_name
from seewhy.core.network.places import TAKEN, Place, Seen, element_of, elements, function_of, has_places, replaced
from seewhy.errors import CapabilityError

__all__ = ["UNRECORDED", "Edit", "Graph", "Noted", "Results", "Tape", "Viewer", "capture", "record"]

#: takes a function's canonical name, what it gave and what it was given; gives what travels on instead, or None
Viewer = Callable[[str, Tensor, Sequence[Any]], Tensor | None]


class Results(TorchFunctionMode):
    """While entered, every floating-point tensor that a function of torch gives is shown to ``viewers`` in turn, the
    first of those that have several.

    What functions call themselves is not seen, nor are attributes. To be entered after everything that stands in for
    functions, so that a rule's own calls are not counted.
    """

    def __init__(self, viewers: Sequence[Viewer]) -> None:
        super().__init__()
        self._viewers = viewers

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run ``func`` and show what it gives."""
        out = func(*args, **(kwargs or {}))
        if type(out).__module__ != "torch.return_types":
            return self._viewed(func, out, args)
        first = self._viewed(func, out[0], args)  # the largest values, say, beside where they are
        return out if first is out[0] else type(out)([first, *out[1:]])

    def _viewed(self, func: Any, out: Any, args: Sequence[Any]) -> Any:
        name = canonical_name(func)
        if isinstance(out, Tensor) and has_places(out) and name != "__get__":
            for view in self._viewers:
                new = view(name, out, args)
                out = out if new is None else new
        return out


#: what is raised where a graph from the layer on would miss what has read it before
UNRECORDED = "a layer gives several tensors, and they were made without a graph"

#: replaces a raw activation during a forward
Edit = Callable[[Tensor], Tensor]

Graph = Literal["full", "lazy", "none"]


@dataclass(frozen=True, eq=False)
class Noted:
    """A tensor that a module gave or, with `TAKEN` as its ``element``, was given, in the ``call``-th call, and its
    place in the graph at that time: functions of the graph with numbers below ``at`` had run. ``passed`` says that the
    module gave what it was given, untouched. With ``add()`` as its element it is what that function gave when it was
    called for the ``call``-th time within the module."""

    module: str
    element: str
    call: int
    tensor: Tensor
    version: int
    edge: GradientEdge | None
    passed: bool = False
    at: int = 0

    @property
    def function(self) -> bool:
        """Whether a function gave it, not the module."""
        return bool(function_of(self.element))

    @property
    def counted(self) -> str:
        """What its ``call`` counts the calls of, as in `Tape.calls`."""
        return f"{self.module}[{self.element}]" if self.function else self.module

    def name(self, calls: Mapping[str, int]) -> str:
        """Its name as a place, when everything was called as often as ``calls`` say."""
        name = f"{self.module}[{self.element}]" if self.element else self.module
        return name if self.call == calls[self.counted] else f"{name}#{self.call}"


@dataclass
class Tape:
    """What was captured: raw activations by place name (``layer4``, ``relu#2``).

    ``edges`` are where gradients are asked of layers whose tensor others hold too; ``sent`` the clones that went
    downstream. ``seen``, ``outputs`` and ``noted`` are filled by `record` only; ``running`` are the modules that run at
    this moment, the innermost last, as far as it knows.
    """

    activations: dict[str, Tensor] = field(default_factory=dict)
    edges: dict[str, GradientEdge] = field(default_factory=dict)
    sent: dict[int, tuple[str, Tensor]] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    outputs: dict[tuple[int, int], Tensor] = field(default_factory=dict)
    noted: list[Noted] = field(default_factory=list)
    running: list[str] = field(default_factory=list)
    #: layers that gave several tensors, of which the first was taken, and what each is called
    several: dict[str, list[str]] = field(default_factory=dict)
    #: who wants to see what functions give
    viewers: list[Viewer] = field(default_factory=list)


@contextmanager
def capture(
    places: Mapping[str, Place],
    *,
    graph: Graph = "full",
    edits: Mapping[str, Edit] | None = None,
    optional: frozenset[str] = frozenset(),
    rewritten: bool = True,
) -> Iterator[Tape]:
    """Capture ``places`` for the forwards run inside.

    ``graph`` says what is recorded for gradients: everything (``"full"``), what follows the first captured layer
    (``"lazy"``: nothing upstream is kept in memory or differentiated), or nothing (``"none"``). ``edits`` replace the
    activation of a place. ``rewritten`` says whether anybody may write into what a place gave: a prepared program does
    not. Raises `CapabilityError` when a layer gives no tensor, or never runs and is not
    ``optional``.
    """
    tape, calls = Tape(), dict.fromkeys(places, 0)
    functions: dict[str, set[str]] = {}
    owner = threading.get_ident()
    with ExitStack() as stack:
        for key, place in places.items():
            _check_hookable(place.module, key)

            def meets(key: str = key, place: Place = place) -> bool:
                if threading.get_ident() != owner:
                    return False  # somebody else runs the same model meanwhile
                calls[key] += 1
                return place.call is None or calls[key] == place.call

            def take(raw: Tensor, aliased: bool, among: bool = False, key: str = key) -> Tensor | None:
                """Put ``raw`` on the tape; gives what travels on in its stead, None if ``raw`` itself does. ``aliased``
                where others hold it, ``among`` where it is one of several, which whoever made it may have read."""
                if graph == "lazy" and among and raw.grad_fn is None:
                    raise RuntimeError(UNRECORDED)
                if graph == "lazy":
                    torch.set_grad_enabled(True)
                edit = (edits or {}).get(key)
                new: Tensor | None
                if edit is not None and graph == "none":
                    new = tape.activations[key] = edit(raw)
                elif edit is not None:  # gradients are those at what travels on
                    new = _catch(tape, key, edit(raw), False, wanted=True, rewritten=True)
                else:
                    # enabled here even where the model itself has switched gradients off around this layer
                    with torch.set_grad_enabled(graph != "none"):
                        new = _catch(tape, key, raw, aliased or among, wanted=graph != "none", rewritten=rewritten)
                if new is not None and aliased:
                    raw.copy_(new)
                    return None
                return new

            def before(
                module: nn.Module, args: Any, given: Any, place: Place = place, meets: Any = meets, take: Any = take
            ) -> None:
                if meets():
                    take(_taken(args, given, place.name), True)  # whoever made it may hold it

            def after(
                module: nn.Module,
                args: Any,
                output: Any,
                key: str = key,
                place: Place = place,
                meets: Any = meets,
                take: Any = take,
            ) -> Any:
                if not meets():
                    return None
                raw = element_of(output, place)
                if not place.element and len(names := [name for name, _ in elements(output)]) > 1:
                    tape.several[key] = names
                # in place on its argument, or passed on untouched: others hold the same tensor and must see what we do
                new = take(raw, any(argument is raw for argument in _tensors(args)), output is not raw)
                return None if new is None else replaced(output, raw, new)

            if place.function:
                running = stack.enter_context(_running(place.module))

                def view(
                    name: str,
                    out: Tensor,
                    args: Sequence[Any],
                    place: Place = place,
                    meets: Any = meets,
                    take: Any = take,
                    running: list[bool] = running,
                ) -> Tensor | None:
                    if running:
                        functions.setdefault(place.name, set()).add(name)
                    if name != place.function or not running or not meets():
                        return None
                    replacement: Tensor | None = take(out, any(argument is out for argument in args))
                    return replacement

                tape.viewers.append(view)
                continue
            if place.element == TAKEN:
                handle = place.module.register_forward_pre_hook(_unseen(before), with_kwargs=True)
            else:
                handle = place.module.register_forward_hook(_unseen(after))
            stack.callback(handle.remove)
        stack.enter_context(torch.set_grad_enabled(graph == "full"))
        yield tape
    tape.calls |= calls
    missing = next((name for name in places if calls[name] == 0 and name not in optional), None)
    if missing is not None and places[missing].function and places[missing].name in functions:
        asked, known = places[missing], sorted(functions[places[missing].name])
        within = f"layer {asked.name!r}" if asked.name else "the network"
        raise CapabilityError(
            f"no function {asked.function!r} gives a tensor within {within}; those that do: {', '.join(known[:20])}"
        )
    if missing is not None:
        _check_hookable(places[missing].module, missing, nothing=True)
        raise CapabilityError(
            f"layer {missing!r} did not run as a module in this forward (exported and TorchScript "
            "models run their layers unseen, and some layers are never called); choose another: seewhy layers"
        )
    late = next((n for n, p in places.items() if p.call is not None and calls[n] < p.call), None)
    if late is not None:
        raise CapabilityError(f"layer {late!r}: it ran {calls[late]} time(s) in this forward, so there is no such call")


@contextmanager
def record(root: nn.Module, tape: Tape, functions: bool = False) -> Iterator[None]:
    """Note every module's output (name, kind, shape) in ``tape.seen``, and all tensors given and taken in
    ``tape.noted``, so that a layer can be chosen afterwards; what ``functions`` give within them, too, if asked."""

    owner, running = threading.get_ident(), tape.running

    def note(name: str) -> tuple[Callable[[nn.Module, Any, Any], None], Callable[[nn.Module, Any, Any], None]]:
        taken: list[list[GradientEdge | None]] = []  # a stack: a module may call itself

        def before(module: nn.Module, args: Any, given: Any) -> None:
            if threading.get_ident() == owner:
                running.append(name)
                tape.calls[name] = tape.calls.get(name, 0) + 1
                tensors = [t for t in _tensors((*args, *given.values())) if has_places(t)]
                taken.append([_edge(t) for t in tensors])  # now: one that works in place has another behind it
                if tensors:
                    tape.noted.append(_noted(name, TAKEN, tape.calls[name], tensors[0]))

        def after(module: nn.Module, args: Any, output: Any) -> None:
            if threading.get_ident() != owner:
                return
            running.pop()  # also of a module that raised, whose caller may go on without it
            if isinstance(output, Tensor) and has_places(output):
                identity = id(output), 0 if output.is_inference() else output._version
                tape.seen.append(Seen(name, type(module).__name__, tuple(output.shape), identity))
                tape.outputs[identity] = output  # held, so that no id is given out twice
            given = taken.pop() if taken else []
            for element, tensor in elements(output):
                noted = _noted(name, element, tape.calls.get(name, 1), tensor)
                tape.noted.append(replace(noted, passed=noted.edge is not None and _among(noted.edge, given)))

        return before, after

    def view(function: str, out: Tensor, args: Sequence[Any]) -> None:
        if threading.get_ident() != owner or not running:
            return
        for module in set(running):
            counted = f"{module}[{function}()]"
            tape.calls[counted] = tape.calls.get(counted, 0) + 1
        if out.requires_grad:
            call = tape.calls[f"{running[-1]}[{function}()]"]
            tape.noted.append(_noted(running[-1], f"{function}()", call, out))

    if functions:
        tape.viewers.append(view)
    _check_hookable(root, "")
    with ExitStack() as stack:
        scripted: list[str] = []
        for name, module in root.named_modules():
            if any(name.startswith(part) for part in scripted):  # TorchScript runs it unseen, within one that is seen
                continue
            if isinstance(module, torch.jit.ScriptModule):
                scripted.append(f"{name}.")
                if not isinstance(module, TopLevelTracedModule):  # torch hooks those alone
                    continue
            before, after = note(name)
            stack.callback(module.register_forward_pre_hook(_unseen(before), with_kwargs=True).remove)
            stack.callback(module.register_forward_hook(_unseen(after), always_call=True).remove)
        yield


def _unseen(hook: Callable[..., Any]) -> Callable[..., Any]:
    """A hook of ours, whose functions are none of the model's: nobody who watches functions sees them."""

    def run(*args: Any) -> Any:
        with torch._C.DisableTorchFunction():
            return hook(*args)

    return run


@contextmanager
def _running(module: nn.Module) -> Iterator[list[bool]]:
    """A list that is empty as long as the module does not run in this thread."""
    owner, running = threading.get_ident(), list[bool]()

    def begin(*_: Any) -> None:
        if threading.get_ident() == owner:
            running.append(True)

    def end(*_: Any) -> None:
        if threading.get_ident() == owner:
            running.pop()

    with ExitStack() as stack:
        stack.callback(module.register_forward_pre_hook(begin).remove)
        stack.callback(module.register_forward_hook(end, always_call=True).remove)
        yield running


def _noted(module: str, element: str, call: int, tensor: Tensor) -> Noted:
    version = -1 if tensor.is_inference() else tensor._version
    return Noted(module, element, call, tensor, version, _edge(tensor), at=_now())


def _now() -> int:
    """The number that the next function of the graph will have in this thread; 0 where none is recorded."""
    with torch.enable_grad():
        probe = torch.ones((), requires_grad=not torch.is_inference_mode_enabled()) * 1
    return 0 if probe.grad_fn is None else probe.grad_fn._sequence_nr() + 1


def _edge(tensor: Tensor) -> GradientEdge | None:
    return get_gradient_edge(tensor) if tensor.requires_grad else None


def _among(edge: GradientEdge, others: Sequence[GradientEdge | None]) -> bool:
    return any(o is not None and o.node is edge.node and o.output_nr == edge.output_nr for o in others)


def _catch(tape: Tape, key: str, raw: Tensor, aliased: bool, *, wanted: bool, rewritten: bool) -> Tensor | None:
    """Put ``raw`` on the tape; gives what travels on in its stead, None if ``raw`` itself does."""
    if not rewritten and raw.grad_fn is None and not raw.is_inference():
        if wanted and raw.is_floating_point():
            raw.requires_grad_()
        tape.activations[key] = raw
        tape.edges.pop(key, None)
        return None
    earlier = tape.sent.get(id(raw))
    untouched = earlier is not None and not earlier[1].is_inference() and earlier[1]._version == 0
    if earlier is not None and untouched:  # a container's output that is its last child's, just caught
        tape.activations[key] = tape.activations[earlier[0]]
        return None
    if aliased and wanted and raw.grad_fn is not None:
        # writing into it would spoil what the graph has saved of it: ask for the gradient at its place in the graph
        tape.activations[key] = raw.clone()
        tape.edges[key] = get_gradient_edge(raw)
        return None
    caught = raw.clone()
    if wanted and not caught.requires_grad and caught.is_floating_point():
        caught.requires_grad_()
    tape.activations[key] = caught
    tape.edges.pop(key, None)
    sent = caught.clone()
    tape.sent[id(sent)] = key, sent
    return sent


def _check_hookable(module: nn.Module, name: str, *, nothing: bool = False) -> None:
    """Refuse a part of which TorchScript shows nothing: a scripted one, and one that gave ``nothing``; a traced one
    that Python calls may be hooked."""
    if isinstance(module, torch.jit.ScriptModule) and (
        nothing or not name or not isinstance(module, TopLevelTracedModule)
    ):
        which = f"layer {name!r}" if name else "the layers"
        raise CapabilityError(
            f"{which} cannot be looked at: TorchScript runs a model's layers unseen. Use the original module, "
            "or a method at the input such as --method saliency"
        )


def _tensors(values: Sequence[Any]) -> list[Tensor]:
    return [value for value in values if isinstance(value, Tensor)]


def _taken(args: Sequence[Any], given: Mapping[str, Any], name: str) -> Tensor:
    tensor = next((t for t in _tensors((*args, *given.values())) if has_places(t)), None)
    if tensor is None:
        raise CapabilityError(f"layer {name!r} is given no tensor to explain")
    return tensor
