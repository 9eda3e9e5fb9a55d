"""Choosing a layer: takes a forward that was surveyed and what is asked of it, gives the layer whose grid pictures
prove, and remembers it; draws nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from seewhy.core.forward.attention import INSTEAD
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.result import Forward
from seewhy.core.forward.session import Session
from seewhy.core.layers.candidates import CUTS, Candidate, Found, find_candidates, first_like, grids_of, severed
from seewhy.core.layers.input_dependence import reached_instead
from seewhy.core.layers.proofs import attention_place, prove, rearranged
from seewhy.core.layers.verdicts import CONTRADICTED, PROVED, UNDECIDED, Proof, undecided
from seewhy.core.memory_budget import unmetered
from seewhy.core.network.borrowed import Network
from seewhy.core.network.layouts import Layout, claims
from seewhy.core.network.one_by_one import goes_by_batch, one_by_one
from seewhy.core.network.places import ATTENTION
from seewhy.core.targets import Target
from seewhy.errors import CapabilityError, OutOfMemory

__all__ = [
    "Choice",
    "Chooser",
    "check_positions",
    "check_reached",
    "choose",
    "forget",
    "proofs_of",
    "prove_places",
    "prove_tokens",
    "read_layer",
]

# weak keys: an id() can be reused by another model, a dead module's entry cannot
_chosen: WeakKeyDictionary[Any, dict[tuple[object, ...], str]] = WeakKeyDictionary()

_proofs: WeakKeyDictionary[Any, dict[tuple[object, ...], dict[str, Proof | None]]] = WeakKeyDictionary()


def proofs_of(network: Network, size: tuple[int, ...]) -> dict[str, Proof | None]:
    """What pictures of this size have said of places of ``network``, as long as it has the same parts; None for a place
    without a grid."""
    if network.root is None:
        return {}
    return _known(network, _state(network, network.makeup, goes_by_batch(network), size))


def forget(network: Network) -> None:
    """Let pictures say anew where ``network`` is to be looked at, and what the grids there are."""
    _chosen.pop(network.key, None)
    _proofs.pop(network.key, None)


def _known(network: Network, state: tuple[object, ...]) -> dict[str, Proof | None]:
    return _proofs.get(network.key, {}).get(state, {})


def _state(network: Network, makeup: int, by_batch: bool, size: tuple[int, ...]) -> tuple[object, ...]:
    """What pictures say holds for inputs of a size and a model of the same parts; and what they said in company is not
    believed of a model whose samples turned out to have to go alone."""
    return size, makeup, bool(one_by_one(network, by_batch))


class Chooser:
    """What was chosen and proved of a session's network, kept per module and input size."""

    def __init__(self, session: Session) -> None:
        self._session, self._network = session, session.network
        #: what the model is made of, found once: nobody changes it in the midst of a call
        self._parts: tuple[int, bool] | None = None

    def known(self, size: tuple[int, ...]) -> str | None:
        """The layer chosen earlier for inputs of this size, if the model still has the same parts."""
        return _chosen.get(self._network.key, {}).get(self._state(size))

    def remember(self, size: tuple[int, ...], name: str) -> None:
        """Keep the choice."""
        _chosen.setdefault(self._network.key, {})[self._state(size)] = name

    def forget(self, size: tuple[int, ...]) -> None:
        """Drop the choice."""
        _chosen.get(self._network.key, {}).pop(self._state(size), None)

    def proofs(self, size: tuple[int, ...]) -> dict[str, Proof | None]:
        """What pictures of this size have said of places, as long as the model has the same parts; None for a place
        without a grid."""
        # a callable has no places
        return {} if self._network.root is None else _known(self._network, self._state(size))

    def keep(self, size: tuple[int, ...], proofs: Mapping[str, Proof | None]) -> None:
        """Keep what pictures said, and have the network read its layers so."""
        _proofs.setdefault(self._network.key, {}).setdefault(self._state(size), {}).update(proofs)
        self.apply(size)

    def instead(self, size: tuple[int, ...], name: str, behind: Sequence[str]) -> None:
        """Keep that ``name`` was chosen in the stead of places ``behind`` it, whose positions are none of the
        picture's or are not known to be."""
        proof = self.proofs(size).get(name)
        if proof is not None:
            self.keep(size, {name: replace(proof, behind=tuple(behind))})

    def apply(self, size: tuple[int, ...]) -> None:
        """Have the network read its layers as pictures say, or at least do not contradict."""
        for name, proof in self.proofs(size).items():
            if proof is not None and proof.verdict != CONTRADICTED:
                self._session.layouts[size, name] = proof.layout

    def _state(self, size: tuple[int, ...]) -> tuple[object, ...]:
        if self._parts is None:
            self._parts = self._network.makeup, goes_by_batch(self._network)
        return _state(self._network, *self._parts, size)

    def settled(self, demand: Demand, name: str | None) -> Demand:
        """``demand`` with the chosen layer captured and no survey; without a name, recorded from the input on."""
        if name is None:
            return replace(demand, at_input=True, survey=False)
        return replace(demand, places={**demand.places, name: self._session.find(name)}, survey=False)


#: candidates whose grids are proved at once, and in all
_AT_ONCE, _MOST = 4, 12


@dataclass(frozen=True)
class Choice:
    """The layer, whether it would be chosen for any other target, and samples spent."""

    candidate: Candidate
    general: bool
    samples: int


def choose(session: Session, forward: Forward, asked: Sequence[Sequence[Target]], chooser: Chooser) -> Choice:
    """The first candidate whose grid is proved. Where it is undecided, one of the few before it that is proved takes
    its place, or one of all where nothing but its number of tokens speaks for a grid; one that is contradicted is
    passed over. Raises `CapabilityError` where none is left."""
    ranked, samples = find_candidates(forward, asked), 0
    if ranked.nameless:  # once more, with what functions give
        forward = session.eager(session.x, replace(forward.demand, survey=True, functions=True))
        ranked, samples = find_candidates(forward, asked), len(session.x)
    # where the gradient arrives is asked again of what pictures say: of other places, or of those left without some
    wrong: dict[str, Candidate] = {}
    # and of what stands behind places that are left undecided, such as the tokens of a detector's queries, at which it
    # arrives though it may arrive at none of the picture's own before them
    doubted: dict[str, Candidate] = {}
    first: Candidate | None = None
    while True:
        ranked, spent = _settled(session, chooser, forward, asked, ranked, wrong, doubted)
        samples += spent
        first = first or next(iter(ranked.candidates), None)
        best, passed, spent = _picked(session, chooser, forward, ranked, wrong)
        samples += spent
        if best is None:
            raise CapabilityError(
                _nothing([*_no_places(wrong), *ranked.passed_over, *_unseen(session.network)], severed(forward, asked))
            )
        doubted |= {c.name: c for c in passed}
        before = {c.name: c for c in passed if c.noted.at > best.noted.at}
        other = find_candidates(forward, asked, {**wrong, **doubted}) if before else None
        if other is None or not other.candidates:
            break
        ranked = other
    # not only those that are contradicted: whoever reads the map is told of each that was left undecided, too
    behind = [c.name for c in (*wrong.values(), *doubted.values()) if c.noted.at > best.noted.at]
    chooser.instead(forward.size, best.name, behind)
    return Choice(best, ranked.general and (best is first or not ranked.dense), samples)


def _settled(
    session: Session,
    chooser: Chooser,
    forward: Forward,
    asked: Sequence[Sequence[Target]],
    ranked: Found,
    wrong: dict[str, Candidate],
    doubted: Mapping[str, Candidate],
) -> tuple[Found, int]:
    """Candidates of which the first is read as pictures say, and samples spent; those that pictures contradict are
    added to ``wrong``."""
    samples = 0
    for _ in range(_MOST):
        first = ranked.candidates[:_AT_ONCE]
        samples += prove_places(session, chooser, *_claimed(first))
        said = chooser.proofs(forward.size)
        wrong |= {c.name: c for c in first if _verdict(said, c) not in (PROVED, UNDECIDED)}
        proof = said.get(first[0].name) if first else None
        if not first or (proof is not None and first[0].name not in wrong and proof.layout == first[0].layouts[0]):
            break
        ranked = find_candidates(forward, asked, {**wrong, **doubted})
    return ranked, samples


def _picked(
    session: Session, chooser: Chooser, forward: Forward, ranked: Found, wrong: dict[str, Candidate]
) -> tuple[Candidate | None, list[Candidate], int]:
    """The candidate to be taken, None if there is none; those left undecided that it is better than; and samples
    spent. Those that pictures contradict are added to ``wrong``."""
    options, samples = ranked.candidates[:_MOST], 0
    spare: list[Candidate] = []
    for start in range(0, len(options), _AT_ONCE):
        some = options[start : start + _AT_ONCE]
        samples += prove_places(session, chooser, *_claimed(some))
        verdicts = chooser.proofs(forward.size)
        # one without a verdict has no images along the axis that it seemed to have them along
        left = [c for c in some if _stands(verdicts.get(c.name), c)]
        wrong |= {c.name: c for c in some if c not in left}
        spare += left
        good = [c for c in left if _verdict(verdicts, c) == PROVED] or [c for c in left if c.seen]
        if ranked.dense:  # rows of several scales, of which one could be drawn, come behind the map they are made of
            good.sort(key=lambda c: not c.seen)
        if good or (spare and start + _AT_ONCE >= len(options)):
            return (good or spare)[0], [c for c in spare if good and c not in good], samples
    return None, [], samples


def _claimed(
    candidates: Sequence[Candidate],
) -> tuple[list[str], dict[str, Sequence[Layout]], dict[str, Sequence[int]]]:
    """Their names, how they could be read, and what they gave."""
    return (
        [candidate.name for candidate in candidates],
        {candidate.name: candidate.layouts for candidate in candidates},
        {candidate.name: candidate.noted.tensor.shape for candidate in candidates},
    )


def _unseen(network: Network) -> list[str]:
    """What TorchScript runs, of which nobody sees what it gives."""
    hidden = [name for name, part in network.module.named_modules() if isinstance(part, torch.jit.ScriptModule)]
    return [f"{name} (TorchScript runs it unseen; use the original module)" for name in hidden[:1]]


def _no_places(names: Iterable[str]) -> list[str]:
    return [f"{name} (its positions are no places of the picture)" for name in names]


def _stands(proof: Proof | None, candidate: Candidate) -> bool:
    """Whether a place may be drawn of. Of a row that a function gave nothing but its number of rows speaks for a grid
    (the scores of ten crops, say): that has to be proved, if pictures can be shown."""
    if proof is None or proof.verdict == CONTRADICTED:
        return False
    loose = bool(candidate.noted.function) and candidate.layouts[0].tokens and not proof.why
    return proof.verdict == PROVED or not loose


def _verdict(verdicts: Mapping[str, Proof | None], candidate: Candidate) -> str:
    """What was said of a candidate. One that lies over a part of the picture is as good as those before it, which do,
    too: its note says where."""
    proof = verdicts.get(candidate.name)
    return "" if proof is None else PROVED if proof.extent else proof.verdict


def _nothing(passed: Sequence[str], ran: Sequence[str] | None) -> str:
    """Why no layer was found; ``ran`` are those with positions, the last first, where the graph is cut."""
    over = f"; passed over: {', '.join(passed[:4])}" if passed else ""
    if ran is None:
        return (
            "this model has no layer with spatial positions that every path from the input to the score crosses, so "
            f"there is no class activation map of it{over}. Use a gradient method such as --method saliency, or name a "
            "layer that shows a part (--layer; seewhy layers lists them)"
        )
    cut = f"torch records no path from the input to the score ({CUTS} inside the forward), by which a layer is chosen"
    if not ran:
        return f"{cut}, and no layer gives positions{over}. Use a perturbation method such as --method occlusion"
    return (
        f"{cut}{over}. Name one with --layer: the last with positions are {', '.join(ran[:3])} (score-cam works at "
        "any, grad-cam behind the cut)"
    )


def prove_places(
    session: Session,
    chooser: Chooser,
    names: Sequence[str],
    layouts: Mapping[str, Sequence[Layout]] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> int:
    """Have pictures say of the places called ``names`` what they are, unless they have; gives the samples that it took.

    What was said is kept for the model and inputs of this size, as long as a place gives tensors of the same shape: a
    stride or a padding can be changed in place. ``layouts`` are what places could be read as, where
    that is known from the forward, or ``shapes`` what they gave.
    """
    x, size = session.x, session.size
    kept = chooser.proofs(size)
    new = [name for name in names if name not in kept or _outdated(kept[name], (shapes or {}).get(name))]
    chooser.apply(size)
    if not new or not size or not x.is_floating_point():
        return 0
    rows = layouts is None and any(len((shapes or {}).get(name, (0, 0, 0))) == 3 for name in new)
    surveyed = _surveyed(session) if rows else None
    grids = [] if surveyed is None else grids_of(surveyed)
    proved = prove(session, {name: session.find(name) for name in new}, layouts, _orders(chooser, size), grids)
    said: dict[str, Proof | None] = {name: proved.proofs.get(name) for name in new}
    if proved.why:
        for name in new:
            shape = (shapes or {}).get(name, ())
            known = (layouts or {}).get(name) or claims(shape, size, len(x), session.network.channels_last)
            said[name] = undecided(known[0], proved.why) if known else None
    samples = proved.samples + (surveyed is not None)
    for name, proof in said.items() if layouts is None else ():
        if proof is None or (proof.verdict != PROVED and not proof.why):
            call, spent = reached_instead(session, name)
            samples += spent
            said[name] = proof if call is None else _constant(call)
    gave = {name: _apart_from_batch(p, (shapes or {}).get(name, ())) for name, p in said.items() if p is not None}
    chooser.keep(size, {name: p if p is None else replace(p, gave=gave[name]) for name, p in said.items()})
    if surveyed is not None:
        for name, proof in proved.proofs.items():
            given = (shapes or {}).get(name) if said[name] is proof else None
            if proof.verdict != PROVED and proof.layout.tokens and given is not None:
                samples += _as_before(session, chooser, name, given, surveyed)
    return samples


def _outdated(proof: Proof | None, shape: Sequence[int] | None) -> bool:
    """Whether a place gives something else by now than what pictures spoke of."""
    return proof is not None and bool(proof.gave and shape) and proof.gave != _apart_from_batch(proof, shape or ())


def _apart_from_batch(proof: Proof, shape: Sequence[int]) -> tuple[int, ...]:
    return tuple(n for axis, n in enumerate(shape) if axis != proof.layout.batch)


def read_layer(session: Session, name: str, shape: Sequence[int]) -> int:
    """Have pictures say how layer ``name`` is to be read, which gives ``shape``, before a target reads a unit of it;
    gives samples spent. Raises `CapabilityError` where it is a row of tokens that are none of the picture's places: a
    mean over them would be one over what nobody asked for."""
    chooser = Chooser(session)
    samples = prove_places(session, chooser, [name], shapes={name: shape})
    proof = chooser.proofs(session.size).get(name)
    check_reached(session, chooser, [name])
    if proof is not None and proof.verdict == CONTRADICTED and proof.layout.tokens:
        raise CapabilityError(f"a unit of layer {name!r}: {proof.note(name)}; choose another layer (seewhy layers)")
    return samples


def _as_before(session: Session, chooser: Chooser, name: str, shape: Sequence[int], surveyed: Forward) -> int:
    """Read a row of tokens that is in doubt as the first row of its ``shape`` in the forward that was surveyed, in
    which they have been mixed the least, if pictures prove that; gives samples spent."""
    size = session.size
    first = first_like(surveyed, shape)
    if first is None or first == name:
        return 0
    spent = prove_places(session, chooser, [first], shapes={first: shape})
    before = chooser.proofs(size).get(first)
    if before is None or before.verdict != PROVED:
        return spent
    again = prove(session, {name: session.find(name)}, {name: [before.layout]})
    if (proof := again.proofs.get(name)) is not None and proof.verdict == PROVED:
        chooser.keep(size, {name: proof})
    return spent + again.samples


def _orders(chooser: Chooser, size: tuple[int, ...]) -> list[Layout]:
    """Layouts that rows of tokens were put in order by."""
    proofs = [proof for proof in chooser.proofs(size).values() if proof is not None]
    return list(dict.fromkeys(proof.layout for proof in proofs if proof.layout.order is not None))


def _surveyed(session: Session) -> Forward | None:
    """A forward of the first picture in which everything was noted: which grids maps have had on the way says more of a
    row of tokens than their number does. None where there is no such forward."""
    try:
        with torch.no_grad(), unmetered():
            return session.eager(session.x[:1].detach(), Demand(gradients=False, survey=True))
    except (OutOfMemory, KeyboardInterrupt):
        raise
    except Exception:  # it takes no single picture, or its layers run unseen
        return None


def prove_tokens(
    session: Session, chooser: Chooser, weights: Sequence[Tensor], calls: Sequence[int], only: int | None = None
) -> tuple[Proof, int]:
    """What pictures say of the tokens that attention reads, of which the ``calls`` with these numbers, from 0, in a
    forward gave the ``weights`` [B, heads, N, M]; and samples that it took, unless they have said it before.

    Those of the first attention are proved as a layer's are. Later ones have the same tokens, more or less mixed, so
    all that is asked of them, or of the ``only`` one that matters, is that they are not proved to be in another order.
    Raises `CapabilityError` for tokens that form no grid, or are none of the picture's places.
    """
    size, samples = session.size, 0
    names = [f"{ATTENTION}#{call + 1}" for call in calls]
    if names[0] not in chooser.proofs(size) or (len(names) > 1 and names[-1] not in chooser.proofs(size)):
        samples = _ask_tokens(session, chooser, names, weights[0].shape[-1])
    said = chooser.proofs(size)
    first = said.get(names[0])
    if first is None:
        raise CapabilityError(f"{weights[0].shape[-1]} tokens form no grid over an input of {size}; {INSTEAD}")
    if first.verdict == CONTRADICTED:
        raise CapabilityError(f"{first.note(ATTENTION)}; {INSTEAD}")
    asked = [name for name in names[1:] if only is None or name == f"{ATTENTION}#{only + 1}"]
    later = {name.partition("#")[2]: proof for name in asked if (proof := said.get(name)) is not None}
    other = next((number for number, proof in later.items() if proof.verdict == PROVED), None)
    if other is not None:
        raise CapabilityError(
            f"attention {other} of {calls[-1] + 1} reads the tokens in another order than the first one does, so that "
            f"their weights cannot be followed from block to block; {INSTEAD}"
        )
    lost = next(iter(later), None)
    return first if lost is None else replace(first, verdict=UNDECIDED, lost=lost), samples


def _ask_tokens(session: Session, chooser: Chooser, names: Sequence[str], count: int) -> int:
    """Have pictures say of the tokens that each attention reads what they are; of the later ones only where they are
    others than the first one's."""
    size, last = session.size, session.network.channels_last
    surveyed = _surveyed(session)
    grids, samples = ([], 0) if surveyed is None else (grids_of(surveyed), 1)
    known = [e for e in claims((1, count, 1), size, 1, last, grids) if e.tokens and (e.batch, e.channel) == (0, 2)]
    places = {name: attention_place(session, int(name.partition("#")[2])) for name in names}
    said: dict[str, Proof | None] = dict.fromkeys(names)
    if known:
        proved = prove(session, {names[0]: places.pop(names[0])}, {names[0]: known}, _orders(chooser, size), grids)
        samples += proved.samples
        first = proved.proofs.get(names[0]) or undecided(
            known[0], proved.why or "its attention runs otherwise for them"
        )
        said[names[0]] = first
        if places and first.verdict == PROVED:
            odd, spent = rearranged(session, places, first.layout, known)
            said, samples = {**said, **odd}, samples + spent
    chooser.keep(size, said)
    return samples


def check_reached(session: Session, chooser: Chooser, places: Iterable[str]) -> int:
    """Refuse layers that give the same for every picture; gives samples spent on those that no picture was asked about,
    since it was said how to read them."""
    spent = 0
    for place in places:
        if place not in chooser.proofs(session.size) and session.settings.reshape is not None:
            call, spent = reached_instead(session, place)
            if call is not None:
                raise CapabilityError(_constant(call).note(place))
        proof = chooser.proofs(session.size).get(place)
        if proof is not None and proof.instead is not None:
            raise CapabilityError(proof.note(place))
    return spent


def _constant(instead: str) -> Proof:
    """What is to be said of a layer that gives the same for every picture."""
    return Proof(CONTRADICTED, Layout(1, ()), 0.0, instead=instead)


def check_positions(method: str, places: Iterable[str], forward: Forward, chooser: Chooser) -> None:
    """Refuse a class activation map of a layer that has no positions to map, or not those that it seems to have."""
    proofs = chooser.proofs(forward.size)
    for place in places:
        proof = proofs.get(place)
        if proof is not None and proof.verdict == CONTRADICTED:
            raise CapabilityError(
                f"{method} at layer {place!r}: {proof.note(place)}; choose another layer (seewhy layers), or say "
                "how to read it with reshape="
            )
        shape = tuple(forward.activation(place).shape)
        if len(shape) < 3:
            raise CapabilityError(
                f"{method} at layer {place!r}: its output {shape} has no positions; choose a convolutional layer "
                "(seewhy layers), or saliency, which has values anywhere"
            )
