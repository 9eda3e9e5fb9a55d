"""Proving grids: takes a session and places, runs pictures changed in coded stripes through it,
gives what they say of each place; remembers nothing."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from seewhy.core.forward.demand import Demand
from seewhy.core.forward.session import Session
from seewhy.core.intercept.attention import TokenWatch
from seewhy.core.layers.answers import LEAST, Answers
from seewhy.core.layers.reading import decide, in_order, misfit, shifts
from seewhy.core.layers.stripes import Stripes
from seewhy.core.layers.verdicts import CONTRADICTED, PROVED, UNDECIDED, Proof, undecided
from seewhy.core.memory_budget import unmetered
from seewhy.core.network.layouts import Layout, claims, find_layout, frames_of
from seewhy.core.network.one_by_one import keep_apart, one_by_one
from seewhy.core.network.places import ATTENTION, Place
from seewhy.errors import OutOfMemory, reason

__all__ = ["Proved", "attention_place", "prove", "rearranged"]

#: numbers of an input that go through at once; on a processor so few that what layers give for them are blocks of
#: memory that are used again: two pictures of 224 x 224 take as long each as thirteen, and 200 MB less
_AT_ONCE, _AT_ONCE_ON_CPU = 4 * 2**20, 3 * 2**17

#: binary digits of a grid's side up to which an order of tokens is read
_MOST_DIGITS = 7

#: sets of pictures, with noise of their own, for places that one set leaves in doubt
_DRAWS = 3

#: which verdict holds where the picture and its mean colour say different things: what noise in the one does not show,
#: it may in the other
_SURER = (PROVED, UNDECIDED, CONTRADICTED)

#: noise of the sets of pictures that an order is read off: one token of many that some noise misleads spoils all
_READ = (_DRAWS, 2 * _DRAWS)

#: what the correlation of a layout that was picked of several has to be for fresh pictures, and how many are tried
_AGAIN, _MOST_PICKED = 0.35, 4


@dataclass(frozen=True)
class Proved:
    """A proof for each place that has a grid to prove, samples that it took, and why there is none, in words."""

    proofs: dict[str, Proof] = field(default_factory=dict)
    samples: int = 0
    why: str = ""


def attention_place(session: Session, number: int) -> Place:
    """What the ``number``-th attention of a forward reads, from 1, as a place that can be proved."""
    return Place(ATTENTION, session.network.module, number)


def prove(
    session: Session,
    places: Mapping[str, Place],
    layouts: Mapping[str, Sequence[Layout]] | None = None,
    orders: Sequence[Layout] = (),
    grids: Sequence[tuple[int, ...]] = (),
) -> Proved:
    """What pictures say of ``places``, for inputs like the first of the session.

    ``layouts`` are what a place could be read as, where that is known; it is found from its shape elsewhere. ``orders``
    are layouts that other places were put in order by: a network's rows of tokens mostly have the same; ``grids`` are
    those that it has had on the way. A network that takes no such batch is undecided, and why is said.
    """
    stripes = Stripes(session.size)
    try:
        raws, silent = _answers(session, places, stripes)
    except (OutOfMemory, KeyboardInterrupt):
        raise
    except Exception as error:  # whatever a forward raises on pictures that nobody gave it is no fault of the user's
        return Proved(why=reason(error))
    per_set = 1 + 2 * len(stripes.codes)
    samples, proofs, last = per_set, {}, session.network.channels_last
    known = {
        name: [
            *((layouts or {}).get(name) or claims(answers.shape, stripes.size, per_set, last, grids)),
            *orders,
        ]
        for name, answers in raws.items()
    }
    proofs = {name: proof for name, answers in raws.items() if (proof := decide(answers, known[name])) is not None}
    samples += _confirm(session, places, raws, known, proofs)
    # other noise, and no content, where one set is not enough
    doubtful = {name: places[name] for name, proof in proofs.items() if proof.verdict != PROVED}
    # which tokens of a row are picked is the picture's affair: another one's would stand in other places
    maps = {name: place for name, place in doubtful.items() if not (known[name] and known[name][0].tokens)}
    plain: dict[str, Answers] = {}
    for seed in range(1, _DRAWS):
        for some, other, kept in ((doubtful, stripes, raws), (maps, replace(stripes, plain=True), plain)):
            if some:
                samples += per_set
                for name, answers in _answers(session, some, replace(other, seed=seed))[0].items():
                    kept[name] = kept[name] + answers if name in kept else answers
    if doubtful and (why := _out_of_order(session, doubtful, raws)):
        keep_apart(session.network, why)
        if one_by_one(session.network):  # not if it is made of something else in every forward
            alone = prove(session, places, layouts, orders, grids)
            return replace(alone, samples=samples + _ASKED_ALONE + alone.samples)
    again: dict[str, Proof] = {}
    judged: dict[str, Answers] = {}
    for name in doubtful:
        asked = [raws[name], *([plain[name]] if name in plain else [])]
        said = [(proof, answers) for answers in asked if (proof := decide(answers, known[name])) is not None]
        if said:
            again[name], judged[name] = min(said, key=lambda pair: _SURER.index(pair[0].verdict))
    samples += _confirm(session, places, judged, known, again)
    for name in doubtful:
        proof = again.get(name)
        if proof is not None and proof.verdict == CONTRADICTED and proof.layout.tokens:
            ordered, more = _ordered(session, {name: places[name]}, known[name], raws[name])
            proof, samples = ordered or proof, samples + more
        usual = find_layout(raws[name].shape, stripes.size, last=session.network.channels_last)
        if proof is None or (proof.verdict != PROVED and len(usual.grid) != len(stripes.size) and layouts is None):
            del proofs[name]  # no grid, and nobody says that it is one
        else:
            proofs[name] = proof
    for name in silent & (layouts or {}).keys():
        proofs[name] = undecided((layouts or {})[name][0], "it does not run for every picture")
    return Proved(proofs, samples)


#: how many pictures are run alone, where it is asked whether a batch keeps its order
_ASKED_ALONE = 3

#: how much nearer, in squares, another row has to be
_NEARER = 0.01


def _out_of_order(session: Session, places: Mapping[str, Place], raws: Mapping[str, Answers]) -> str:
    """In words that what some of ``places`` gave for a batch is not in the order of its pictures, if so: what it gives
    for one of them alone is nearest to what stands in another one's row."""
    if one_by_one(session.network):
        return ""
    stripes = next(iter(raws.values())).stripes
    pictures = stripes.pictures(session.x[:1].detach())
    for number in [n * (len(pictures) - 1) // _ASKED_ALONE for n in range(1, _ASKED_ALONE + 1)]:
        try:
            alone, _ = _run(session, pictures[number : number + 1], places, stripes, 1)
        except (OutOfMemory, KeyboardInterrupt):
            raise
        except Exception:  # a model that takes no picture by itself: nothing is known of it then
            return ""
        for name, answer in alone.items():
            one, together = answer.raws[0].double(), raws[name].raws[0].double()
            axis = 0 if len(together) == len(pictures) else 1
            if one.shape[axis] != 1 or together.shape[axis] != len(pictures):
                continue
            apart = (together - one).transpose(0, axis).flatten(1).nan_to_num().square().sum(1)
            nearest = int(apart.argmin())
            if nearest != number and float(apart[nearest]) < _NEARER * float(apart[number]):
                return (
                    "samples that go through this network together do not stay in their order (what layer "
                    f"{name!r} gives for one of them is in another one's row)"
                )
    return ""


def _confirm(
    session: Session,
    places: Mapping[str, Place],
    raws: Mapping[str, Answers],
    known: Mapping[str, list[Layout]],
    proofs: dict[str, Proof],
) -> int:
    """Ask what was picked of several layouts about fresh pictures, or has few positions: among many claims chance
    proves one, and some of few positions. Those that do not stand are left out of ``known``, and another one takes
    their place in ``proofs``; the likeliest is undecided then. Gives samples spent."""
    spent, standing = 0, set[str]()
    for seed in range(_DRAWS + 1, _DRAWS + 1 + _MOST_PICKED):
        picked = {n: p for n, p in proofs.items() if p.verdict == PROVED and n not in standing}
        picked = {n: p for n, p in picked.items() if p.layout != known[n][0] or math.prod(p.layout.grid) < LEAST}
        if not picked:
            break
        stripes = replace(raws[next(iter(picked))].stripes, seed=seed)
        fresh = _answers(session, {name: places[name] for name in picked}, stripes)[0]
        spent += 1 + 2 * len(stripes.codes)
        for name, proof in picked.items():
            few = math.prod(proof.layout.grid) < LEAST  # of which one set says little: both together
            answers = fresh.get(name)
            answers = raws[name] + answers if answers is not None and few else answers
            asked = undecided(proof.layout, "") if answers is None else answers.prove(proof.layout)
            stands = asked.verdict == PROVED if few else asked.correlation > _AGAIN
            if stands:
                standing.add(name)
                continue
            if proof.layout == known[name][0] or proof.layout not in known[name]:
                proofs[name] = replace(proof, verdict=UNDECIDED, correlation=asked.correlation)
                continue
            known[name].remove(proof.layout)
            other = decide(raws[name], known[name])
            assert other is not None  # the first of them is still there
            proofs[name] = other
    return spent


def _ordered(
    session: Session,
    place: Mapping[str, Place],
    known: Sequence[Layout],
    answers: Answers,
) -> tuple[Proof | None, int]:
    """The proof of a row of tokens put in order, if there is one, and samples spent: the order is read off one set of
    pictures and proved on another."""
    first = known[0]
    digits = max(math.ceil(math.log2(max(first.grid))), 1)
    if digits > _MOST_DIGITS or not first.tokens:
        return None, 0
    read: Answers | None = None
    spent = 0
    for seed in _READ:
        finer = Stripes(answers.stripes.size, digits, seed=seed)
        (more,) = _answers(session, place, finer)[0].values()
        spent += 1 + 2 * len(finer.codes)
        read = more if read is None else read + more
        # only where the grid begins has every token a place of its own, but for chance
        ordered = [in_order(read, layout) for layout in (first, *shifts(first, known))]
        proofs = [proof for e in ordered if e is not None and (proof := answers.prove(e)).verdict == PROVED]
        if proofs:
            whole = read
            return min(proofs, key=lambda proof: misfit(whole, proof.layout)), spent
    return None, spent


#: rows of tokens whose order is read where it does not seem to be that of the others
_MOST_READ = 2


def rearranged(
    session: Session, places: Mapping[str, Place], layout: Layout, known: Sequence[Layout]
) -> tuple[dict[str, Proof], int]:
    """What is to be said of those of ``places``, rows of as many tokens each, whose tokens are others than ``layout``
    says: in another order, or beginning elsewhere, of ``known``, which is proved, or in none that can be read, so that
    ``layout`` is contradicted; and samples spent. Tokens mixed until each answers to all places are none of them."""
    stripes = Stripes(session.size)
    claimed = [layout, *shifts(layout, known)]
    raws = _answers(session, places, stripes)[0]
    spent = per_set = 1 + 2 * len(stripes.codes)
    odd = {name: place for name, place in places.items() if name in raws and _other(raws[name], claimed)}
    for seed in range(1, _DRAWS if odd else 0):
        spent += per_set
        for name, answers in _answers(session, odd, replace(stripes, seed=seed))[0].items():
            raws[name] += answers
    proofs: dict[str, Proof] = {}
    for name in [name for name in odd if _other(raws[name], claimed)][:_MOST_READ]:
        proof = decide(raws[name], claimed)
        if proof is not None and proof.verdict == CONTRADICTED:
            ordered, more = _ordered(session, {name: places[name]}, claimed, raws[name])
            proof, spent = ordered or proof, spent + more
        if proof is not None:
            proofs[name] = proof
    return proofs, spent


def _other(answers: Answers, layouts: Sequence[Layout]) -> bool:
    """Whether the first of ``layouts`` is contradicted, or another one is proved in its stead."""
    proof = decide(answers, layouts)
    if proof is None or proof.verdict == UNDECIDED:
        return False
    return proof.verdict == CONTRADICTED or proof.layout != layouts[0]


def _answers(session: Session, places: Mapping[str, Place], stripes: Stripes) -> tuple[dict[str, Answers], set[str]]:
    """What each place that ran puts out for the pictures, together where the network takes them together; and those
    that did not run for all of them."""
    x = session.x
    pictures = stripes.pictures(x[:1].detach())
    at_once = _AT_ONCE_ON_CPU if x.device.type == "cpu" else _AT_ONCE
    many = max(min(at_once // max(x[0].numel(), 1), len(pictures)), 1)
    if one_by_one(session.network):
        many = 1
    try:
        return _run(session, pictures, places, stripes, many)
    except (OutOfMemory, KeyboardInterrupt):
        raise
    except Exception:
        if many == len(x):
            raise
        # exported for batches of one size: as many as the user gave
        return _run(session, pictures, places, stripes, len(x))


def _run(
    session: Session,
    pictures: Tensor,
    places: Mapping[str, Place],
    stripes: Stripes,
    many: int,
) -> tuple[dict[str, Answers], set[str]]:
    layers = {name: place for name, place in places.items() if place.name != ATTENTION}
    watch = TokenWatch()
    watches = (watch.handlers,) if len(layers) < len(places) else ()
    demand = Demand(layers, gradients=False, optional=frozenset(layers), watches=watches)
    parts: dict[str, list[Tensor]] = {name: [] for name in places}
    axes: dict[str, int] = {}
    silent: set[str] = set()
    with torch.no_grad(), unmetered():
        for start in range(0, len(pictures), many):
            some = pictures[start : start + many]
            watch.tokens.clear()
            forward = session.eager(_padded(some, many), demand)  # no program is built for this
            ran = {name: places[name].call or 0 for name in places.keys() - layers.keys()}
            read = {name: watch.tokens[call - 1] for name, call in ran.items() if call <= len(watch.tokens)}
            gave = {**forward.tape.activations, **read}
            silent |= places.keys() - gave.keys()
            for name, raw in gave.items():
                # tokens first: the images are the second axis
                frames = frames_of(raw.shape, pictures.shape[2:], many) or 1
                axes[name] = axis = 0 if raw.shape[:1] == (many,) or frames > 1 else 1
                if raw.ndim > axis and raw.shape[axis] == many * frames:
                    parts[name].append(raw.detach().narrow(axis, 0, len(some) * frames).clone())
    whole = math.ceil(len(pictures) / many)
    answers = {n: Answers(stripes, (torch.cat(raws, axes[n]),)) for n, raws in parts.items() if len(raws) == whole}
    return answers, silent


def _padded(some: Tensor, many: int) -> Tensor:
    return torch.cat([some, some[-1:].expand(many - len(some), *some.shape[1:])])
