"""Preparing: takes a borrowed network and the inputs of a call, gives programs of it that are faster and were found to
agree with it; decides when that is worth its time, and keeps a record of what was done.

A `PreparedShape` belongs to a module, an input shape, a type and a device. It is exported and measured once, compared
with the eager network at first for every state of the model and every kind of use, and again in use, on samples drawn
afresh (`seewhy.core.schedule.spot_checks`); where it differs, that use goes on eagerly and the record says why.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from seewhy.core.compile.building import TORCH, Build, Prepared, Steps
from seewhy.core.compile.checksums import Contents
from seewhy.core.compile.closed_form import PooledHead, find_head
from seewhy.core.compile.export import export
from seewhy.core.compile.fastest import fastest
from seewhy.core.compile.measuring import Pieces
from seewhy.core.compile.obstacles import around, at_rest, hooked, kinds
from seewhy.core.compile.onnx_part import can_run
from seewhy.core.compile.state import addresses, structure
from seewhy.core.compile.windows import WindowPlan, plan_windows
from seewhy.core.forward.agreement import mixes, now_and_then
from seewhy.core.forward.demand import Use
from seewhy.core.forward.session import DoesNotRun, no_error_of_ours
from seewhy.core.network.borrowed import Network
from seewhy.errors import CapabilityError, SeewhyError, reason

__all__ = ["PRICE", "PreparedShape", "Preparer", "impose", "known_pieces", "prepared_shape"]

#: what exporting, building and measuring take: seconds, and passes of one sample besides; preparing pays from there on
PRICE, PASSES = 3.0, 40

#: seconds of passes from which on other engines than torch are tried: an ONNX graph is written in five or so, once
_ENGINES = 20.0

#: how often a model may be found to have become another one before it is left alone
_PATIENCE = 3

#: so many samples and more are checked in every call, fewer now and then
_STREAM = 64

#: as many samples as anything runs together
_TOGETHER = 32

T = TypeVar("T")

_AllSteps = dict[tuple[str, bool], Steps | None]

#: finds the steps worth their while for scores or gradients, of one image or of several
Measure = Callable[[str, bool], Steps | None]


@dataclass
class _Spent:
    """What eager passes took so far: seconds, and the samples of their forwards."""

    seconds: float = 0.0
    samples: int = 0


def _key(x: Tensor) -> Hashable:
    """What inputs like ``x`` [C, *size] have in common."""
    return tuple(x.shape), x.dtype, x.device


def _unprepared(error: Exception) -> str:
    return f"preparing it failed ({reason(error)})"


def _kind(*, gradients: bool) -> str:
    return "gradients" if gradients else "scores"


@dataclass
class PreparedShape:
    """A network prepared for inputs of one shape, or the reason why it is not.

    ``steps`` are those found worth their while for scores and for gradients, of one image and of several (None: the
    model itself is as fast);
    ``contents`` are those of the tensors that its programs hold changed copies of;
    ``pieces`` are how many samples at a time are best for each; ``agreed`` says for every use how its program compares
    with the eager network: '' if it agrees, else in words; ``uses`` counts what was used without a comparison since;
    ``engines`` says whether others than torch have been tried, ``seconds`` how long passes took without.
    """

    structure: Hashable
    addresses: Hashable
    build: Build | None = None
    why_not: str = ""
    pieces: dict[str, Pieces] = field(default_factory=dict)
    steps: dict[tuple[str, bool], Steps | None] = field(default_factory=dict)
    agreed: dict[Use, str] = field(default_factory=dict)
    uses: dict[tuple[Use, int | None], int] = field(default_factory=dict)
    record: dict[str, Any] = field(default_factory=dict)
    engines: bool = False
    seconds: float = 0.0
    #: the linear layers that read the means of layers, as far as they were looked for
    tails: dict[str, PooledHead | None] = field(default_factory=dict)
    _programs: dict[Hashable, Prepared] = field(default_factory=dict)
    _plans: dict[Hashable, WindowPlan | None] = field(default_factory=dict)
    contents: Contents | None = None

    def program(self, use: Use, measure: Measure) -> Prepared | None:
        """The program for ``use``; None where one of its layers is not in the graph, or nothing is faster."""
        if self.build is None or any(layer not in self.build.places for layer in use.layers):
            return None
        kind = _kind(gradients=use.recorded == "all"), use.single
        steps = self._steps(kind, measure)
        if steps is None:
            return None
        key = use.layers, use.recorded, use.rules, use.single
        if key not in self._programs:
            # where no gradients are asked, a fused activation function cannot be seen, and nothing of another engine
            seen = use.recorded != "all" and bool(use.rules)
            chosen = replace(steps, fuse=False, engine=TORCH) if seen else steps
            self._programs[key], counts = self._built(use, chosen)
            self._programs[key].chunk = self.pieces["scores"].samples if "scores" in self.pieces else None
            self.record.update(counts)
            self.contents = self.build.contents()
        return self._programs[key]

    def _built(self, use: Use, steps: Steps) -> tuple[Prepared, dict[str, int]]:
        """The program for ``use``, all of it torch's where the engine cannot do that part."""
        assert self.build is not None
        try:
            return self.build.program(use.layers, use.recorded, steps, single=use.single)
        except CapabilityError as error:
            if steps.engine == TORCH:
                raise
            self.record[f"{steps.engine} for {use}"] = str(error)
            return self.build.program(use.layers, use.recorded, replace(steps, engine=TORCH), single=use.single)

    def plan(self, key: Hashable, lo: Tensor, hi: Tensor, measure: Measure) -> WindowPlan | None:
        """How to follow windows ``lo`` to ``hi`` through the network, remembered as ``key``; None where that saves too
        little."""
        if self.build is None:
            return None
        steps = self._steps(("scores", False), measure) or Steps()
        if key not in self._plans:
            self._plans[key] = plan_windows(*self.build.graph_of(steps), self.build.exported.spec, lo, hi)
            self.contents = self.build.contents()
        return self._plans[key]

    def _steps(self, kind: tuple[str, bool], measure: Measure) -> Steps | None:
        """The steps worth their while for ``kind``, measured once; those of several images do for a single one."""
        what, single = kind
        if single and (what, False) in self.steps:
            return self.steps[what, False]
        if kind not in self.steps:
            self.steps[kind] = measure(*kind)
        return self.steps[kind]

    def try_engines(self) -> None:
        """Have other engines than torch tried when scores are asked for the next time."""
        self.engines = True
        for kind in (each for each in list(self.steps) if each[0] == "scores"):
            del self.steps[kind]
        for key in (each for each in list(self._programs) if each[1] != "all"):  # type: ignore[index]
            del self._programs[key]
        self.agreed = {use: verdict for use, verdict in self.agreed.items() if verdict or use.recorded == "all"}

    def refresh(self, now: Hashable) -> None:
        """Forget what was made of tensors that have changed since, and what was found of it; ``now`` are their
        `addresses`."""
        if now == self.addresses and (self.contents is None or self.contents.unchanged()):
            return
        self.addresses, self.contents = now, None
        self._programs.clear()
        self._plans.clear()
        self.agreed.clear()
        self.uses.clear()
        if self.build is not None:
            self.build.forget()


# weak keys: a module's preparations die with it
_prepared: WeakKeyDictionary[Any, dict[Hashable, PreparedShape]] = WeakKeyDictionary()

_spent: WeakKeyDictionary[Any, dict[Hashable, _Spent]] = WeakKeyDictionary()

_rebuilt: WeakKeyDictionary[Any, int] = WeakKeyDictionary()

_guard = threading.Lock()


def known_pieces(network: Network, x: Tensor, *, gradients: bool) -> Pieces | None:
    """How many samples like ``x`` [C, *size] at a time go through ``network`` fastest, as far as an earlier call has
    prepared it."""
    known = prepared_shape(network, x)
    return None if known is None else known.pieces.get(_kind(gradients=gradients))


def prepared_shape(network: Network, x: Tensor) -> PreparedShape | None:
    """What an earlier call has prepared of ``network`` for inputs like ``x`` [C, *size]."""
    return _prepared.get(network.key, {}).get(_key(x)) if network.root is not None else None


#: what is not to be measured, since somebody says what came of it: steps and pieces
_imposed: WeakKeyDictionary[Any, dict[Hashable, tuple[_AllSteps, dict[str, Pieces]]]] = WeakKeyDictionary()


def impose(network: Network, x: Tensor, steps: _AllSteps, pieces: dict[str, Pieces], *, anew: bool) -> None:
    """Have programs of ``network`` for inputs like ``x`` [C, *size] take these ``steps`` and go in these ``pieces``, as
    far as they are said; what was prepared otherwise before is forgotten, and with ``anew`` whatever was."""
    _imposed.setdefault(network.key, {})[_key(x)] = steps, pieces
    known = prepared_shape(network, x)
    if known is not None and (anew or (known.steps, known.pieces) != (steps, pieces)):
        del _prepared[network.key][_key(x)]


class Preparer:
    """One call's way to prepared programs of ``network``, borrowed as ``call``, for inputs like ``x``; ``mode`` is what
    was asked for (``prepare=``), ``doubt`` why there is to be none all the same."""

    def __init__(
        self, network: Network, call: Callable[[Tensor], Any], x: Tensor, mode: bool | str, doubt: str = ""
    ) -> None:
        self._network, self._call, self._x, self._mode = network, call, x, mode
        self._key = _key(x[0])
        self._found: PreparedShape | None = None
        self._fresh: set[Use] = set()
        self._idle = doubt or self._why_not()
        #: samples that spot checks of this call repeated on the model
        self.checked = 0
        self.expect()

    @property
    def record(self) -> dict[str, Any]:
        """What was done, in plain words and numbers."""
        if self._idle:
            return {"used": False, "why": self._idle}
        prepared = self._found
        if prepared is None:
            return {
                "used": False,
                "why": f"passes took {self._eager.seconds:.1f} s so far, preparing takes about {self._price():.0f} s",
            }
        if prepared.build is None:
            return {"used": False, "why": prepared.why_not}
        uses = {str(use): verdict or "agrees" for use, verdict in prepared.agreed.items()}
        spots = {"spot checks": f"{self.checked} samples, all alike"} if self.checked else {}
        return {"used": "agrees" in uses.values(), **prepared.record, "checked": uses, **spots}

    @property
    def contents(self) -> Contents | None:
        """The same object as in an earlier call where every bit of the tensors that it is of was compared, and nothing
        else of the model has changed either; None where no program depends on any."""
        return None if self._found is None else self._found.contents

    def pieces(self, *, gradients: bool) -> Pieces | None:
        """How many samples at a time go through the prepared network fastest; None where that is not known."""
        return None if self._found is None else self._found.pieces.get(_kind(gradients=gradients))

    def expect(self, samples: int = 0, seconds_each: float | None = None) -> None:
        """Prepare, if the eager passes of ``samples`` to come, of ``seconds_each`` each, and those that were, are
        worth it; and try other engines, if those with programs are."""
        to_come = samples * (seconds_each or 0.0)
        if self._found is not None:
            self._consider_engines(self._found, to_come)
        if self._idle or self._found is not None:
            return
        root = self._network.key
        known = _prepared.get(root, {}).get(self._key)
        if known is None and self._mode == "auto" and self._eager.seconds + to_come < self._price(seconds_each):
            return
        try:
            now = structure(self._network.parts)
        except CapabilityError as error:
            self._idle = str(error)
            return
        if known is not None and known.structure != now:
            _rebuilt[root] = _rebuilt.get(root, 0) + 1
            known = None
        if known is None:
            known = self._prepare(now)
            _prepared.setdefault(root, {})[self._key] = known
        known.refresh(addresses(self._network.held))
        self._consider_engines(known, to_come)
        self._found = known

    def _consider_engines(self, known: PreparedShape, to_come: float) -> None:
        """Have other engines tried, if passes of so many seconds ``to_come``, and those that were, are worth it."""
        worth = self._mode != "auto" or known.seconds + to_come >= _ENGINES
        if worth and not known.engines and can_run(self._x):
            known.try_engines()

    def log(self, seconds: float, samples: int) -> None:
        """Note that passes of so many ``samples`` took so long."""
        if self._found is not None:
            self._found.seconds += seconds
        elif not self._idle:
            with _guard:
                spent = _spent.setdefault(self._network.key, {}).setdefault(self._key, _Spent())
                spent.seconds += seconds
                spent.samples += samples

    def program(self, use: Use) -> Prepared | None:
        """A program for ``use``, unless it is to be done eagerly."""
        if self._found is None or self.refused(use):
            return None
        shape = self._found
        return self._made(use, lambda: shape.program(use, self._measure))

    def _made(self, use: Use, make: Callable[[], T]) -> T | None:
        """What ``make`` makes to stand for the network; None, and ``use`` is refused, where it raises."""
        try:
            with no_error_of_ours():
                return make()
        except DoesNotRun as error:
            self.judge(use, str(error))
            return None

    def windows(self, boxes: tuple[Tensor, Tensor]) -> tuple[Use, WindowPlan] | None:
        """A plan for variants that differ from their image in ``boxes`` only, unless they are better run whole."""
        if self._found is None or self._x.ndim != 4:
            return None
        lo, hi = (box.cpu() for box in boxes)
        use = Use((), "none", False, False, (lo.numpy().tobytes(), hi.numpy().tobytes()))
        if self.refused(use):
            return None
        shape = self._found
        plan = self._made(use, lambda: shape.plan(use.windows, lo, hi, self._measure))
        if plan is None:
            return None
        self._found.record["windows"] = f"{plan.gain:.1f} times fewer multiplications"
        return use, plan

    def tail(self, layer: str) -> PooledHead | None:
        """The linear layer that reads the mean of ``layer`` and gives the scores; None for any other end."""
        if self._found is None or self._found.build is None:
            return None
        tails, build = self._found.tails, self._found.build
        if layer not in tails:
            nodes = build.places.get(layer.partition("#")[0], [])
            tails[layer] = find_head(build.exported, nodes[0]) if len(nodes) == 1 else None
        return tails[layer]

    def trusted(self, use: Use) -> bool:
        """Whether the program for ``use`` need not be compared any more."""
        agreed = self._found is not None and self._found.agreed.get(use) == ""
        return agreed and (self._mode != "verify" or use in self._fresh)

    def refused(self, use: Use) -> bool:
        """Whether the program for ``use`` was found to differ."""
        return self._found is not None and bool(self._found.agreed.get(use))

    def judge(self, use: Use, verdict: str) -> None:
        """Note how a comparison went: '' if the program may be used."""
        assert self._found is not None
        self._found.agreed[use] = verdict
        self._fresh.add(use)

    def due(self, use: Use, samples: int, *, size: int | None = None) -> bool:
        """Whether what the program for ``use`` gives for so many ``samples``, in chunks of ``size`` if that is said, is
        to be repeated in part on the model: always where there are many of them; else the 1st, 2nd, 4th, 8th... time,
        and about every 64th later on."""
        assert self._found is not None
        times = self._found.uses[use, size] = self._found.uses.get((use, size), 0) + 1
        if self._mode == "verify" or samples >= _STREAM:
            return True
        return now_and_then(times)

    @property
    def _eager(self) -> _Spent:
        """What eager passes took so far, of this network on inputs like these, in all calls."""
        return _spent.get(self._network.key, {}).get(self._key, _Spent())

    def _price(self, seconds_each: float | None = None) -> float:
        """About how many seconds preparing takes, where a sample's passes take ``seconds_each`` (without, as they did
        so far)."""
        if seconds_each is None:
            seconds_each = self._eager.seconds / max(self._eager.samples, 1)
        return PRICE + PASSES * seconds_each

    def _why_not(self) -> str:
        """What keeps any program from standing for the network as it is now, in words."""
        network = self._network
        if self._mode is False:
            return "prepare=False"
        if network.root is None or isinstance(network.root, torch.jit.ScriptModule):
            return "there is no module that torch could export"
        if network.inputs is not None and not network.inputs.batched:
            return "the model takes one sample at a time"
        if network.inputs is not None and (kind := network.inputs.opaque):
            return f"the model is given a {kind} beside the image, which may change without a sign"
        if network.hooked_backward:
            return "the model has backward hooks, which only its own modules call"
        if network.frozen:
            return "the model's tensors were made in inference mode"
        if any(issubclass(kind, torch.jit.ScriptModule) for kind in network.parts.types):
            return "TorchScript runs a part of the model, and torch cannot export that"
        return around(self._x) or hooked(network.parts) or kinds(network.held)

    def _prepare(self, now: Hashable) -> PreparedShape:
        root = self._network.key
        shape = PreparedShape(now, addresses(self._network.held))
        if _rebuilt.get(root, 0) > _PATIENCE:
            shape.why_not = "the model's own attributes keep changing, so that no graph of it holds"
            return shape
        began = time.perf_counter()
        self._network.keep_buffers()
        try:
            shape.structure = at_rest(self._network, self._call, self._x[:1])
            shape.build = Build(export(self._network.module, self._x, self._network.inputs))
            if mixes(self._call, self._x[:1], self._network.computes_in(self._x)):
                # together as far as there is memory: what each gives depends on those beside it
                shape.pieces = {kind: Pieces(_TOGETHER, 1) for kind in ("scores", "gradients")}
                shape.build = None
                raise CapabilityError("its samples influence each other, so that none of them can be checked by itself")
        except Exception as error:  # what cannot be prepared is run as it is, and says for itself what is the matter
            shape.build, shape.why_not = None, str(error) if isinstance(error, SeewhyError) else _unprepared(error)
            return shape
        shape.record["operations"] = shape.build.exported.operations
        shape.record["export"] = f"{time.perf_counter() - began:.1f} s"
        return shape

    def _measure(self, kind: str, single: bool) -> Steps | None:
        """The steps worth their while for scores or gradients of one image or of several, measured now."""
        prepared = self._found
        assert prepared is not None
        assert prepared.build is not None
        said, pieces = _imposed.get(self._network.key, {}).get(self._key, ({}, {}))
        known = (kind, single) if (kind, single) in said else (kind, False)  # what does for several does for one
        if known in said:
            prepared.pieces |= {kind: pieces[kind]} if kind in pieces else {}
            prepared.record[f"{kind}, one image" if single else kind] = {"taken over": "from an earlier measurement"}
            return said[known]
        x = self._x[:1].expand(1 if single else 2, *self._x.shape[1:]).contiguous()
        found = fastest(prepared.build, self._call, x, gradients=kind == "gradients", engines=prepared.engines)
        if found.pieces is not None:
            prepared.pieces[kind] = found.pieces
        prepared.record[f"{kind}, one image" if single else kind] = found.words
        return found.steps
