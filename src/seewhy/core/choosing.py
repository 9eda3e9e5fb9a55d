"""Choosing a layer: takes a forward that was surveyed and what is asked of it, gives the layer whose grid pictures
prove; draws nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from seewhy.core.candidates import Candidate
from seewhy.core.chooser import Chooser
from seewhy.core.forwards import run_eager
from seewhy.core.grids import CONTRADICTED, PROVED, UNDECIDED, Proof, undecided
from seewhy.core.jobs import Job
from seewhy.core.layers import AUTO, INPUT
from seewhy.core.layouts import Layout, claims
from seewhy.core.network import Network
from seewhy.core.passes import Pass
from seewhy.core.proving import prove
from seewhy.core.runners import Runner
from seewhy.core.severed import CUTS
from seewhy.core.targets import Target
from seewhy.errors import CapabilityError

__all__ = ["Choice", "check_positions", "choose", "prove_jobs", "prove_places"]

#: candidates whose grids are proved at once, and in all
_AT_ONCE, _MOST = 4, 12


@dataclass(frozen=True)
class Choice:
    """The layer, whether it would be chosen for any other target, and samples spent."""

    candidate: Candidate
    general: bool
    samples: int


def choose(
    network: Network,
    call: Callable[[Tensor], Any],
    x: Tensor,
    made: Pass,
    asked: Sequence[Sequence[Target]],
    chooser: Chooser,
) -> Choice:
    """The first candidate whose grid is proved. Where it is undecided, one of the few before it that is proved takes
    its place, or one of all where nothing but its number of tokens speaks for a grid; one that is contradicted is
    passed over. Raises `CapabilityError` where none is left."""
    found, samples = made.candidates(asked), 0
    if found.nameless:  # once more, with what functions give
        made, samples = run_eager(network, call, x, replace(made.request, survey=True, functions=True)), len(x)
        found = made.candidates(asked)
    # where the gradient arrives is asked again of what pictures say: of other places, or of those left without some
    wrong: dict[str, Candidate] = {}
    for _ in range(_MOST):
        first = found.candidates[:_AT_ONCE]
        samples += prove_places(network, call, x, chooser, [e.name for e in first], {e.name: e.layouts for e in first})
        said = chooser.proofs(made.size)
        wrong |= {each.name: each for each in first if _verdict(said, each) not in (PROVED, UNDECIDED)}
        proof = said.get(first[0].name) if first else None
        if not first or (proof is not None and first[0].name not in wrong and proof.layout == first[0].layouts[0]):
            break
        found = made.candidates(asked, wrong)
    options = found.candidates[:_MOST]
    spare: list[Candidate] = []
    for start in range(0, len(options), _AT_ONCE):
        some = options[start : start + _AT_ONCE]
        known = {each.name: each.layouts for each in some}
        samples += prove_places(network, call, x, chooser, list(known), known)
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
    raise CapabilityError(_nothing([*_no_places(wrong), *found.passed_over], made.severed(asked)))


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
    network: Network,
    call: Callable[[Tensor], Any],
    x: Tensor,
    chooser: Chooser,
    names: Sequence[str],
    layouts: Mapping[str, Sequence[Layout]] | None = None,
    shapes: Mapping[str, Sequence[int]] | None = None,
) -> int:
    """Have pictures say of the places called ``names`` what they are, unless they have; gives the samples that it took.

    What was said is kept for the model and inputs of this size. ``layouts`` are what places could be read as, where
    that is known from the forward, or ``shapes`` what they gave.
    """
    size = tuple(x.shape[2:])
    new = [name for name in names if name not in chooser.proofs(size)]
    chooser.apply(size)
    if not new or not size or not x.is_floating_point():
        return 0
    orders = {p.layout for p in chooser.proofs(size).values() if p is not None and p.layout.order is not None}
    found = prove(network, call, x, {name: chooser.find(name) for name in new}, layouts, list(orders))
    said: dict[str, Proof | None] = {name: found.proofs.get(name) for name in new}
    if found.why:
        for name in new:
            shape = (shapes or {}).get(name, ())
            known = (layouts or {}).get(name) or claims(shape, size, len(x), network.channels_last)
            said[name] = undecided(known[0], found.why) if known else None
    chooser.keep(size, said)
    return found.samples


def prove_jobs(
    network: Network,
    call: Callable[[Tensor], Any],
    x: Tensor,
    chooser: Chooser,
    made: Pass,
    jobs: Sequence[Job],
    auto: str,
) -> int:
    """Have pictures say whether the places that maps are of, ``auto`` where that was left open, have the grids that
    they seem to have; gives the samples that it took."""
    places = {auto if job.outline.place == AUTO else job.outline.place for job in jobs} - {INPUT}
    places |= {place for job in jobs for place in job.parameters.get("layers") or ()}
    shapes = {place: tuple(raw.shape) for place, raw in made.tape.activations.items()}
    return prove_places(network, call, x, chooser, sorted(places), shapes=shapes)


def check_positions(runner: Runner, made: Pass, chooser: Chooser) -> None:
    """Refuse a class activation map of a layer that has no positions to map, or not those that it seems to have."""
    method = runner.job.outline.method
    if method.card.family != "cam":
        return
    proofs = chooser.proofs(made.size)
    for place in runner.job.parameters.get("layers") or (runner.place,):
        proof = proofs.get(place)
        if proof is not None and proof.verdict == CONTRADICTED:
            raise CapabilityError(
                f"{method.name} at layer {place!r}: {proof.note(place)}; choose another layer (seewhy layers), or say "
                "how to read it with reshape="
            )
        shape = tuple(made.activation(place).shape)
        if len(shape) < 3:
            raise CapabilityError(
                f"{method.name} at layer {place!r}: its output {shape} has no positions; choose a convolutional layer "
                "(seewhy layers), or saliency, which has values anywhere"
            )
