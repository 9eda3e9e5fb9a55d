"""Input dependence: takes a session and the name of a layer, gives whether what it puts out depends on the picture at
all, and which of its calls does; remembers nothing.

A part that a network shares between the picture and something stored runs several times, and the last time may be the
stored one's.
"""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.core.forward.demand import Demand
from seewhy.core.forward.session import Session
from seewhy.core.layers.stripes import Stripes
from seewhy.core.memory_budget import unmetered
from seewhy.core.network.places import split_name
from seewhy.errors import OutOfMemory

__all__ = ["reached_instead"]


def reached_instead(session: Session, name: str) -> tuple[str | None, int]:
    """None where the picture reaches what layer ``name`` gives, else the name of its last call that it reaches, '' if
    there is none; and samples spent.

    It does not where torch records no path from the input, and changed pictures change nothing: a part that is cut out
    of the graph answers to pictures all the same, one whose units are all dead has a path.
    """
    try:
        with unmetered():
            if _path(session, name):
                return None, 1
            pictures = Stripes(session.size).pictures(session.x[:1].detach())[:3]
            usual, *changed = (_given(session, name, picture[None]) for picture in pictures)
            if any(given.shape != usual.shape or not torch.equal(given, usual) for given in changed):
                return None, 4
            owner, element, _, _ = split_name(name)
            base = f"{owner}[{element}]" if element else owner
            forward = session.eager(session.x[:1].detach(), Demand({base: session.find(base)}, gradients=False))
            calls = [f"{base}#{call}" for call in range(forward.tape.calls[base], 0, -1)]
            return next((call for call in calls if call != name and _path(session, call)), ""), 5 + len(calls)
    except (OutOfMemory, KeyboardInterrupt):
        raise
    except Exception:  # it takes no single picture, or none that is changed: nothing is known
        return None, 1


def _path(session: Session, name: str) -> bool:
    """Whether torch records a path from the input to what a layer gives."""
    forward = session.eager(session.x[:1].detach(), Demand({name: session.find(name)}, at_input=True))
    given = forward.tape.activations[name]
    if not given.requires_grad:
        return False
    with torch.enable_grad():  # whoever asks may have switched it off
        return torch.autograd.grad(given.sum(), forward.leaf, allow_unused=True)[0] is not None


def _given(session: Session, name: str, picture: Tensor) -> Tensor:
    forward = session.eager(picture, Demand({name: session.find(name)}, gradients=False))
    return forward.tape.activations[name].nan_to_num()
