"""Choosing a layer: takes a forward that was surveyed and what is asked of it, gives the layer whose grid pictures
prove, and remembers it; draws nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from weakref import WeakKeyDictionary

import torch
from torch import nn

from seewhy.core.forward.request import Request
from seewhy.core.forward.result import Forward
from seewhy.core.forward.session import Session
from seewhy.core.layers.candidates import CUTS, Candidate, find_candidates, severed
from seewhy.core.layers.grids import CONTRADICTED, PROVED, UNDECIDED, Proof, undecided
from seewhy.core.layers.proofs import prove
from seewhy.core.network.borrowed import Network, submodules
from seewhy.core.network.layouts import Layout, claims
from seewhy.core.targets import Target
from seewhy.errors import CapabilityError

__all__ = ["Choice", "Chooser", "check_positions", "choose", "proofs_of", "prove_places"]

# weak keys: an id() can be reused by another model, a dead module's entry cannot
_chosen: WeakKeyDictionary[nn.Module, dict[tuple[object, ...], str]] = WeakKeyDictionary()

_proofs: WeakKeyDictionary[nn.Module, dict[tuple[object, ...], dict[str, Proof | None]]] = WeakKeyDictionary()


def proofs_of(network: Network, size: tuple[int, ...]) -> dict[str, Proof | None]:
    """What pictures of this size have said of places of ``network``, as long as it has the same parts; None for a place
    without a grid."""
    return {} if network.root is None else _known(network, (size, _parts(network)))


def _known(network: Network, state: tuple[object, ...]) -> dict[str, Proof | None]:
    return _proofs.get(network.module, {}).get(state, {})


def _parts(network: Network) -> int:
    """What a network is made of, in a number."""
    return hash(tuple([(id(part), type(part)) for part in network.parts or submodules(network.module)]))


class Chooser:
    """What was chosen and proved of a session's network, kept per module and input size."""

    def __init__(self, session: Session) -> None:
        self._session, self._network = session, session.network
        #: what the model is made of, found once: nobody changes it in the midst of a call
        self._parts: int | None = None

    def known(self, size: tuple[int, ...]) -> str | None:
        """The layer chosen earlier for inputs of this size, if the model still has the same parts."""
        return _chosen.get(self._network.module, {}).get(self._state(size))

    def remember(self, size: tuple[int, ...], name: str) -> None:
        """Keep the choice."""
        _chosen.setdefault(self._network.module, {})[self._state(size)] = name

    def forget(self, size: tuple[int, ...]) -> None:
        """Drop the choice."""
        _chosen.get(self._network.module, {}).pop(self._state(size), None)

    def proofs(self, size: tuple[int, ...]) -> dict[str, Proof | None]:
        """What pictures of this size have said of places, as long as the model has the same parts; None for a place
        without a grid."""
        # a callable has no places
        return {} if self._network.root is None else _known(self._network, self._state(size))

    def keep(self, size: tuple[int, ...], proofs: Mapping[str, Proof | None]) -> None:
        """Keep what pictures said, and have the network read its layers so."""
        _proofs.setdefault(self._network.module, {}).setdefault(self._state(size), {}).update(proofs)
        self.apply(size)

    def instead(self, size: tuple[int, ...], name: str, behind: Sequence[str]) -> None:
        """Keep that ``name`` was chosen in the stead of places ``behind`` it, whose positions are none of the
        picture's."""
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
            self._parts = _parts(self._network)
        return size, self._parts

    def settled(self, request: Request, name: str | None) -> Request:
        """``request`` with the chosen layer captured and no survey; without a name, recorded from the input on."""
        if name is None:
            return replace(request, at_input=True, survey=False)
        return replace(request, places={**request.places, name: self._session.find(name)}, survey=False)


#: candidates whose grids are proved at once, and in all
_AT_ONCE, _MOST = 4, 12


@dataclass(frozen=True)
class Choice:
    """The layer, whether it would be chosen for any other target, and samples spent."""

    candidate: Candidate
    general: bool
    samples: int


def choose(session: Session, made: Forward, asked: Sequence[Sequence[Target]], chooser: Chooser) -> Choice:
    """The first candidate whose grid is proved. Where it is undecided, one of the few before it that is proved takes
    its place, or one of all where nothing but its number of tokens speaks for a grid; one that is contradicted is
    passed over. Raises `CapabilityError` where none is left."""
    found, samples = find_candidates(made, asked), 0
    if found.nameless:  # once more, with what functions give
        made = session.eager(session.x, replace(made.request, survey=True, functions=True))
        found, samples = find_candidates(made, asked), len(session.x)
    # where the gradient arrives is asked again of what pictures say: of other places, or of those left without some
    wrong: dict[str, Candidate] = {}
    for _ in range(_MOST):
        first = found.candidates[:_AT_ONCE]
        samples += prove_places(session, chooser, [e.name for e in first], {e.name: e.layouts for e in first})
        said = chooser.proofs(made.size)
        wrong |= {each.name: each for each in first if _verdict(said, each) not in (PROVED, UNDECIDED)}
        proof = said.get(first[0].name) if first else None
        if not first or (proof is not None and first[0].name not in wrong and proof.layout == first[0].layouts[0]):
            break
        found = find_candidates(made, asked, wrong)
    options = found.candidates[:_MOST]
    spare: list[Candidate] = []
    for start in range(0, len(options), _AT_ONCE):
        some = options[start : start + _AT_ONCE]
        known = {each.name: each.layouts for each in some}
        samples += prove_places(session, chooser, list(known), known)
        verdicts = chooser.proofs(made.size)
        # one without a verdict has no images along the axis that it seemed to have them along
        left = [each for each in some if _verdict(verdicts, each) in (PROVED, UNDECIDED)]
        wrong |= {each.name: each for each in some if each not in left}
        spare += left
        good = [each for each in left if _verdict(verdicts, each) == PROVED] or [each for each in left if each.seen]
        if good or (spare and start + _AT_ONCE >= len(options)):
            best = (good or spare)[0]
            chooser.instead(made.size, best.name, [e.name for e in wrong.values() if e.noted.at > best.noted.at])
            return Choice(best, found.general and (best is options[0] or not found.dense), samples)
    raise CapabilityError(
        _nothing([*_no_places(wrong), *found.passed_over, *_unseen(session.network)], severed(made, asked))
    )


def _unseen(network: Network) -> list[str]:
    """What TorchScript runs, of which nobody sees what it gives."""
    hidden = [name for name, part in network.module.named_modules() if isinstance(part, torch.jit.ScriptModule)]
    return [f"{name} (TorchScript runs it unseen; use the original module)" for name in hidden[:1]]


def _no_places(names: Iterable[str]) -> list[str]:
    return [f"{name} (its positions are no places of the picture)" for name in names]


def _verdict(verdicts: Mapping[str, Proof | None], each: Candidate) -> str:
    proof = verdicts.get(each.name)
    return "" if proof is None else proof.verdict


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

    What was said is kept for the model and inputs of this size. ``layouts`` are what places could be read as, where
    that is known from the forward, or ``shapes`` what they gave.
    """
    x, size = session.x, session.size
    new = [name for name in names if name not in chooser.proofs(size)]
    chooser.apply(size)
    if not new or not size or not x.is_floating_point():
        return 0
    orders = {p.layout for p in chooser.proofs(size).values() if p is not None and p.layout.order is not None}
    found = prove(session, {name: session.find(name) for name in new}, layouts, list(orders))
    said: dict[str, Proof | None] = {name: found.proofs.get(name) for name in new}
    if found.why:
        for name in new:
            shape = (shapes or {}).get(name, ())
            known = (layouts or {}).get(name) or claims(shape, size, len(x), session.network.channels_last)
            said[name] = undecided(known[0], found.why) if known else None
    chooser.keep(size, said)
    return found.samples


def check_positions(method: str, places: Iterable[str], made: Forward, chooser: Chooser) -> None:
    """Refuse a class activation map of a layer that has no positions to map, or not those that it seems to have."""
    proofs = chooser.proofs(made.size)
    for place in places:
        proof = proofs.get(place)
        if proof is not None and proof.verdict == CONTRADICTED:
            raise CapabilityError(
                f"{method} at layer {place!r}: {proof.note(place)}; choose another layer (seewhy layers), or say "
                "how to read it with reshape="
            )
        shape = tuple(made.activation(place).shape)
        if len(shape) < 3:
            raise CapabilityError(
                f"{method} at layer {place!r}: its output {shape} has no positions; choose a convolutional layer "
                "(seewhy layers), or saliency, which has values anywhere"
            )
