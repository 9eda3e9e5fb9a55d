"""Which layer: takes a network, gives places by name and remembers the layer once chosen; runs nothing itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from weakref import WeakKeyDictionary

from torch import nn

from seewhy.core.grids import CONTRADICTED, Proof
from seewhy.core.layers import Place, find_place
from seewhy.core.network import Network, submodules
from seewhy.core.passes import Request

__all__ = ["Chooser", "last_call"]

# weak keys: an id() can be reused by another model, a dead module's entry cannot
_chosen: WeakKeyDictionary[nn.Module, dict[tuple[object, ...], str]] = WeakKeyDictionary()
_proofs: WeakKeyDictionary[nn.Module, dict[tuple[object, ...], dict[str, Proof | None]]] = WeakKeyDictionary()


class Chooser:
    """Places of one network; the automatic choice is kept per module and input size."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._places: dict[str, Place] = {}
        #: what the model is made of, found once: nobody changes it in the midst of a call
        self._parts: int | None = None

    def find(self, name: str) -> Place:
        """The place called ``name``; raises `UnknownName`."""
        if name not in self._places:
            self._places[name] = find_place(self._network.module, name)
        return self._places[name]

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
        if self._network.root is None:  # a callable has no places
            return {}
        return _proofs.get(self._network.root, {}).get(self._state(size), {})

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
                self._network.grids[size, name] = proof.layout

    def _state(self, size: tuple[int, ...]) -> tuple[object, ...]:
        if self._parts is None:
            parts = self._network.parts or submodules(self._network.module)
            self._parts = hash(tuple([(id(part), type(part)) for part in parts]))
        return size, self._parts

    def settled(self, request: Request, name: str | None) -> Request:
        """``request`` with the chosen layer captured and no survey; without a name, recorded from the input on."""
        if name is None:
            return replace(request, at_input=True, survey=False)
        return replace(request, places={**request.places, name: self.find(name)}, survey=False)


def last_call(chooser: Chooser, calls: Mapping[str, int], name: str) -> Place:
    """The place called ``name``, its last call by number: an edit must not meet the earlier ones."""
    place = chooser.find(name)
    return place if place.call is not None else replace(place, call=calls.get(name))
