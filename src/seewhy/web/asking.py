"""What is asked of the model: takes a request that was checked, gives the work that a job does."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image

from seewhy.api.explaining import explain_all
from seewhy.api.inside.channels import feature_maps
from seewhy.api.intervening import Intervention
from seewhy.api.reporting.wording import spec_or_name
from seewhy.core.targets import Logit, Margin, Target
from seewhy.errors import CapabilityError
from seewhy.explanation import Guess
from seewhy.models import Model
from seewhy.registry import methods as registry
from seewhy.web.photos import Known, jpeg
from seewhy.web.problems import Problem, problem_of
from seewhy.web.queueing import Job, Work
from seewhy.web.results import Asked
from seewhy.web.workbench import Workbench

__all__ = ["Hiding", "Question", "activations", "answers", "explanations", "hiding"]


@dataclass(frozen=True)
class Question:
    """Why a photo was called what it was: by each of ``methods``, for ``target`` (None for the top class), or for it
    and not ``against``; ``parameters`` of methods by their names."""

    photo: Known
    methods: Sequence[str]
    target: int | str | None = None
    against: int | str | None = None
    layer: str | None = None
    trust: bool = False
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


def explanations(bench: Workbench, question: Question) -> Work:
    """Every method by itself, so that results come as they are ready; one that the model does not allow is told, and
    the others go on. Raises what is wrong with the question."""
    target, words = _target(bench.model, question.target, question.against)
    for name in question.methods:
        if name not in registry or registry[name].card.call != "explain":
            raise Problem(404, f"no method {name!r} that explains a photo")
        for given in question.parameters.get(name, {}):
            if given not in registry[name].parameters:
                known = ", ".join(registry[name].parameters) or "none"
                raise Problem(422, f"{name} has no parameter {given!r}: {known}")

    if unasked := [name for name in question.parameters if name not in question.methods]:
        raise Problem(422, f"parameters of {unasked[0]!r}, which is not asked for")

    def work(job: Job) -> None:
        photo = bench.photos.photo(question.photo)
        for name in question.methods:
            job.check()
            own = dict(question.parameters.get(name, {}))
            layer = None if registry[name].card.at == "input" else question.layer
            asked = Asked(
                question.photo.id, question.photo.path, "explain", name, words, layer, question.trust,
                tuple(own.items()),
            )  # fmt: skip
            try:
                found = explain_all(
                    bench.model, photo, name, target, layer, trust=question.trust, progress=job.progress, **own
                )
            except Exception as error:  # a model's own code may raise anything; other methods may not meet it
                if isinstance(error, CapabilityError) and layer is None and not own:
                    bench.refused(name, bench.scrub(str(error)))
                job.tell("refused", method=name, problem=problem_of(error).document(bench.scrub))
                continue
            for one in found:
                job.result(bench.results.add(one, asked))

    return work


def activations(bench: Workbench, photo: Known, layer: str, count: int) -> Work:
    """The channels of a layer that speak for what the photo was called, as a sheet."""

    def work(job: Job) -> None:
        asked = Asked(
            photo.id, photo.path, "features", "feature-maps", None, layer, parameters=(("top", count),)
        )  # fmt: skip
        gallery = feature_maps(
            bench.model, bench.photos.photo(photo), layer, top=count, progress=job.progress
        )  # fmt: skip
        job.result(bench.results.add(gallery, asked))

    return work


def answers(bench: Workbench, photo: Known, search: str, limit: int) -> Callable[[Job], dict[str, Any]]:
    """What the model says of a photo: the best classes, and those whose names have ``search`` in them."""

    def work(job: Job) -> dict[str, Any]:
        scores, shares = bench.photos.hiding(photo).before
        best = np.argsort(-scores, kind="stable")[:limit]
        found = labelled(bench.model, len(scores), search)[:limit] if search else []
        return {
            "top": [_answer(bench.model, k, scores, shares) for k in best],
            "found": [_answer(bench.model, k, scores, shares) for k in found],
            "count": len(scores),
        }

    return work


def named(model: Model, index: int) -> str:
    """What a class is called."""
    return model.label(index) or f"class {index}"


def labelled(model: Model, count: int, search: str) -> list[int]:
    """The classes whose names, or numbers, a search finds: those that begin with it first."""
    part = search.strip().lower()
    if part.isdecimal() and len(part) <= len(str(count)):
        return [int(part)] if int(part) < count else []
    names = [(k, named(model, k).lower()) for k in range(count)]
    hits = [(not name.startswith(part), k) for k, name in names if part in name]
    return [k for _, k in sorted(hits)]


@dataclass(frozen=True)
class Hiding:
    """What is hidden in a photo, by what, and which classes are asked about beside the best."""

    photo: Known
    shapes: Sequence[Mapping[str, Any]]
    fill: str = "grey"
    patch: tuple[Known, float, float] | None = None
    classes: Sequence[int] = ()
    top: int = 5
    picture: bool = False


def hiding(bench: Workbench, asked: Hiding) -> Callable[[Job], dict[str, Any]]:
    """What hiding it does to the scores."""

    def work(job: Job) -> dict[str, Any]:
        subject = bench.photos.hiding(asked.photo)
        if asked.patch is None:
            done = subject.hide(asked.shapes, asked.fill)
        else:
            other, left, top = asked.patch
            done = subject.hide(asked.shapes, None, (bench.photos.item(other), left, top))
        return _told(bench, asked, done)

    return work


def _told(bench: Workbench, asked: Hiding, done: Intervention) -> dict[str, Any]:
    count = done.before.shape[1]
    if wrong := [k for k in asked.classes if not 0 <= k < count]:
        raise Problem(422, f"no class {wrong[0]}: this model has {count}")
    before, after = done.top(asked.top, before=True), done.top(asked.top)
    classes = dict.fromkeys([*asked.classes, *(guess.index for guess in before)])
    picture = None
    if asked.picture and done.image is not None:
        data = base64.b64encode(jpeg(Image.fromarray(done.image), 1024)).decode("ascii")
        picture = f"data:image/jpeg;base64,{data}"
    return {
        "hidden": done.hidden,
        "unit": done.unit,
        "classes": [
            {
                "index": k, "label": named(bench.model, k),
                "drop": float(done.before[0, k] - done.after[0, k]),
                "before": {"score": done.before[0, k], "probability": done.before[1, k]},
                "after": {"score": done.after[0, k], "probability": done.after[1, k]},
            }
            for k in classes
        ],
        "top_before": [_guess(each) for each in before],
        "top_after": [_guess(each) for each in after],
        "picture": picture,
        "code": {"python": _code(bench.model, asked)},
    }  # fmt: skip


def _code(model: Model, asked: Hiding) -> str:
    """Lines of Python that do the same."""
    if asked.patch is None:
        how = f"fill={asked.fill!r}"
    else:
        how = f"patch=({asked.patch[0].path!r}, {asked.patch[1]:.4f}, {asked.patch[2]:.4f})"
    spec = spec_or_name(model.spec or model.name)
    return (
        f"import seewhy\n\nregion = {[dict(shape) for shape in asked.shapes]!r}\n"
        f"done = seewhy.intervene({spec}, {asked.photo.path!r}, region, {how})\n"
        "print(done.top(), done.drop(done.top(1, before=True)[0].index))"
    )


def _target(model: Model, target: int | str | None, against: int | str | None) -> tuple[Target | None, str | None]:
    """What is explained, and how a command line says that. Raises `UsageError` for a class that there is not."""
    if target is None:
        if against is not None:
            raise Problem(422, "against= says what the target is compared with: choose a target")
        return None, None
    index = model.find_label(target)
    if against is None:
        return Logit(index), str(index)
    other = model.find_label(against)
    if other == index:
        raise Problem(422, "a class against itself is nothing: choose another")
    return Margin(index, other), f"{index} vs {other}"


def _guess(guess: Guess) -> dict[str, Any]:
    return {
        "index": guess.index, "label": guess.label or f"class {guess.index}", "probability": guess.probability,
        "score": guess.score,
    }  # fmt: skip


def _answer(model: Model, k: int, scores: Any, shares: Any) -> dict[str, Any]:
    return _guess(Guess(int(k), model.label(int(k)), float(shares[k]), float(scores[k])))
