"""Editing layers: takes a borrowed network and a place, refuses to change there what the network has read by then;
changes nothing.

A layer is changed where it hands its tensor on. What a module has read of it inside, or what others have read before
the module that takes it, goes on with the old values: a map of such changes would be of a part of the network.
"""

from __future__ import annotations

from typing import Any
from weakref import WeakKeyDictionary

from seewhy.core.forward.demand import Demand
from seewhy.core.forward.result import Forward, whole
from seewhy.core.forward.session import Session
from seewhy.core.layers.dominators import Paths, point_of
from seewhy.core.memory_budget import unmetered
from seewhy.core.network.capture import Noted
from seewhy.core.network.places import TAKEN, Place
from seewhy.errors import CapabilityError, TargetError

__all__ = ["check_editable"]

# weak keys: what was found of a network goes with it
_known: WeakKeyDictionary[Any, dict[tuple[str, int | None, str], bool]] = WeakKeyDictionary()


def check_editable(session: Session, name: str, place: Place) -> None:
    """Refuse a place, called ``name``, whose tensor is read before it can be changed, which one recorded forward of the
    first input shows, once for a network and place. Raises `CapabilityError`."""
    if session.network.root is None:
        return
    known = _known.setdefault(session.network.key, {})
    key = place.name, place.call, place.element
    if key not in known:
        with unmetered():
            forward = session.eager(session.x[:1].detach(), Demand(at_input=True, survey=True))
        known[key] = _read_before(forward, place)
    if known[key]:
        raise CapabilityError(
            f"layer {name!r} cannot be changed: the model reads its tensor before the layer hands it on. Choose "
            "another layer (seewhy layers), or a method that follows the gradient, such as grad-cam"
        )


def _read_before(forward: Forward, place: Place) -> bool:
    noted = _noted(forward, place)
    try:
        output = forward.outputs.main
    except TargetError:  # an output that only a target of the user's understands
        return False
    if noted is None or noted.edge is None or not output.requires_grad:
        return False
    return Paths(whole(output), forward.leaf).read_before(point_of(noted.edge), noted.at)


def _noted(forward: Forward, place: Place) -> Noted | None:
    """What `record` noted of ``place``: of its last call, unless it names one."""
    call = forward.tape.calls.get(place.name) if place.call is None else place.call
    entries = [entry for entry in forward.tape.noted if entry.module == place.name and entry.call == call]
    entries = [entry for entry in entries if (entry.element == TAKEN) == (place.element == TAKEN)]
    return next((entry for entry in entries if place.element in ("", entry.element)), None)
