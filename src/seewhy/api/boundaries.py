"""Decision boundaries: takes a model and photos with their classes, gives what its last layer but one makes of them in
two dimensions, and which class it has where; explains no single photo."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor, nn

from seewhy.api.answered.predictions import read_each
from seewhy.api.answered.records import predictions, provenance
from seewhy.api.given.images import Item, own_layout
from seewhy.api.given.truths import Seen, known_truths
from seewhy.api.listing import layers
from seewhy.api.waiting import watched
from seewhy.core.forward.answers import last_linear
from seewhy.core.forward.demand import Demand
from seewhy.core.forward.result import Forward
from seewhy.core.forward.session import Session
from seewhy.core.network.places import find_place, place_name
from seewhy.core.schedule.batch_mates import each_of, look
from seewhy.errors import CapabilityError, TargetError, UnknownName, UsageError
from seewhy.explanation import Boundary, Head, Tile
from seewhy.metrics import Plane, classification, principal_plane, umap, umap_class
from seewhy.models import Model
from seewhy.models.loader import taken

__all__ = ["PROJECTIONS", "REGIONS", "boundary"]

#: how features become two numbers
PROJECTIONS = ("pca", "umap")
#: what colours the plane
REGIONS = ("head", "neighbours")
#: the longer side of a picture of a mistake, in pixels
_SIDE = 160
#: how far scores may be from the linear layer that they are said to come out of, as a share of the largest
_ROUNDING = 1e-3


def boundary(
    model: Model | nn.Module | str,
    source: Any,
    truths: Sequence[int | str] | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    table: str | Path | None = None,
    images: str | Path | None = None,
    layer: str | nn.Module | None = None,
    projection: str = "pca",
    regions: str = "head",
    worst: int = 8,
    seed: int = 0,
    memory: int | None = None,
    progress: Callable[[str, int, int], None] | None = None,
) -> Boundary:
    """Where a classifier draws its lines: photos of known classes in two dimensions, as its last layer but one has
    them, over the class that it has there; the surest mistakes beside them.

    ``model``, ``source``, ``truths``, ``columns``, ``table`` and ``images`` as for `seewhy.evaluate_model`. The
    features of a photo are what the linear layer reads that gives the scores, or what ``layer`` gives, its mean over
    positions. ``projection`` is
    ``"pca"`` (the plane through their mean along the first two principal components, in their own units) or ``"umap"``
    (extra ``umap``; drawn by chance, from ``seed``). A plane is coloured by what the model's own linear layer says of
    the features that stand there (``regions="head"``), or by the commonest answer of the five nearest photos
    (``"neighbours"``): always where it is no plane of features, or the scores come out of anything else. ``worst``
    mistakes are kept with their pictures, the surest first, and eight of them drawn. Photos that cannot be read, or to
    which the model gives NaN, are left out and named.

    A `Boundary` has ``points`` [N, 2], ``truths``, ``answers``, ``probabilities``, ``wrong`` [N], ``shares`` of the
    variance, ``agreement`` (for what share of the photos the plane has the model's own answer), ``figure()``, and
    ``save`` to PNG, SVG or CSV. Raises `CapabilityError` for a model without such a layer (name one: ``layer``) and for
    UMAP without umap-learn, `TargetError` for models without a row of class scores, and `UsageError` as
    `seewhy.evaluate_model` does.

    Pearson 1901, doi:10.1080/14786440109462720; McInnes, Healy & Melville 2018, arXiv:1802.03426.

    >>> import torch, seewhy
    >>> net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(48, 5), torch.nn.ReLU(), torch.nn.Linear(5, 2))
    >>> found = seewhy.boundary(net, torch.rand(6, 3, 4, 4), [0, 1, 0, 1, 0, 1])
    >>> found.points.shape, found.features, found.region_rule
    ((6, 2), 5, 'head')
    """
    if projection not in PROJECTIONS:
        raise UnknownName("projection", projection, PROJECTIONS, ", ".join(PROJECTIONS))
    if regions not in REGIONS:
        raise UnknownName("kind of regions", regions, REGIONS, ", ".join(REGIONS))
    if isinstance(worst, bool) or not isinstance(worst, int) or worst < 0:
        raise UsageError(f"worst={worst!r}: a whole number, 0 for no pictures, e.g. worst=8")
    if projection == "umap":
        umap_class()  # said before photos are read
    wrapped = taken(model)
    name = None if layer is None else _found(wrapped, layer)
    told = {"columns": columns, "table": table, "images": images}
    known = known_truths(wrapped, source, truths, told, "boundary", watched(progress))
    read, names, true = _Read(worst), list[str](), list[int]()
    lost = list[str]()

    def take(seen: list[Seen]) -> list[None]:
        items = [each.item for each in seen]
        rows = read_each(wrapped, items, lambda session, _: _rows(wrapped, session, name), memory=memory)
        for each, row in zip(seen, rows, strict=True):
            if not (np.isfinite(row.features).all() and np.isfinite(row.shares).all()):
                lost.append(f"{each.name}: the model gives numbers that are none (NaN or infinity)")
                continue
            assert each.truth is not None  # known_truths has asked for one of each
            read.take(each.item, each.truth, row)
            names.append(each.name)
            true.append(each.truth)
        return [None] * len(seen)

    known.look(take)
    if not names:
        raise UsageError(f"the model gives none of the {len(lost)} photos finite numbers; see: seewhy doctor")
    classification(true, np.stack(read.shares))  # says whether the model has such classes
    return _placed(wrapped, read, names, np.array(true), (*known.failed, *lost), name, projection, regions, seed)


def _found(model: Model, layer: str | nn.Module) -> str:
    root = model.network().module
    name = place_name(root, layer)
    find_place(root, name, model.spec)
    return name


@dataclass(frozen=True, eq=False)
class _Row:
    """One photo's features [D] and probabilities [K], its scores [K], and the linear layer between, if there is one."""

    features: NDArray[Any]
    shares: NDArray[np.float64]
    scores: NDArray[np.float64]
    weight: Tensor | None
    bias: NDArray[np.float64] | None
    origin: dict[str, Any]


@dataclass
class _Read:
    """What was read so far, and pictures of the ``most`` mistakes that were the surest."""

    most: int
    features: list[NDArray[Any]] = field(default_factory=list)
    shares: list[NDArray[np.float64]] = field(default_factory=list)
    scores: list[NDArray[np.float64]] = field(default_factory=list)
    first: _Row | None = None
    worst: list[tuple[float, int, NDArray[np.uint8]]] = field(default_factory=list)

    def take(self, item: Item, truth: int, row: _Row) -> None:
        """Keep a photo's numbers, and its picture if it is one of the worst."""
        number, said = len(self.features), int(row.shares.argmax())
        self.first = self.first or row
        self.features.append(row.features)
        self.shares.append(row.shares)
        self.scores.append(row.scores)
        if said != truth and self.most:
            sure = float(row.shares[said])
            if len(self.worst) < self.most or sure > self.worst[-1][0]:
                self.worst.append((sure, number, _thumbnail(item)))
                self.worst = sorted(self.worst, key=lambda one: -one[0])[: self.most]


def _rows(model: Model, session: Session, name: str | None) -> list[_Row]:
    """What one forward says of a chunk of photos."""
    places = {} if name is None else {name: session.find(name)}
    # the module itself: what stands for it (ONNX Runtime) shows no layers
    forward = session.run(session.x, Demand(places, gradients=False, module=True))
    if predictions(model, forward.outputs)[0] is None:
        raise TargetError("the model's output is no row of class scores, so there is no boundary between classes")
    features, weight, bias = _features(model, session, forward, name)
    shares = forward.outputs.probabilities.detach().double().cpu().numpy()
    scores = forward.outputs.logits.detach().double().cpu().numpy()
    # a copy: a network may write its next features, those of the look among them, into the same memory
    rows = features.to(torch.float64 if features.dtype == torch.float64 else torch.float32, copy=True).cpu().numpy()
    look(session, "features", forward, each_of(session, forward, session.x))
    origin = provenance(model, session.x)
    return [_Row(*one, weight, bias, origin) for one in zip(rows, shares, scores, strict=True)]


def _features(
    model: Model, session: Session, forward: Forward, name: str | None
) -> tuple[Tensor, Tensor | None, NDArray[np.float64] | None]:
    """The features [B, D] of a forward, and the weights and the bias of the linear layer that makes scores of them."""
    if name is not None:
        given = forward.activation(name).detach()
        return given.flatten(2).mean(2) if given.ndim > 2 else given.reshape(len(given), -1), None, None
    linear = last_linear(forward)
    if linear is not None:
        weight, features = linear.weight.detach(), linear.features.detach()
        bias = (forward.outputs.logits.detach().double() - features.double() @ weight.double().T).mean(0)
        return features, weight, bias.cpu().numpy()
    # what comes behind it (a temperature, say) may not be linear
    width = forward.outputs.logits.shape[1]
    if forward.linears and forward.linears[-1].result.shape[1] == width:
        return forward.linears[-1].features.detach(), None, None
    better = [one.name for one in layers(model, own_layout(model, session.x[:1])) if one.chosen]
    hint = f"take the mean of {better[0]!r} over positions: layer={better[0]!r}" * bool(better)
    raise CapabilityError(
        f"the scores of {model.name} come out of no linear layer, so none is the last but one; "
        + (hint or "name a layer, layer=...: see seewhy layers")
    )


def _thumbnail(item: Item) -> NDArray[np.uint8]:
    """The picture of an input, at most `_SIDE` a side; of one that has none, its channels' mean from black to white."""
    view = item.view
    if view is None:
        plane = item.tensor.detach().float().cpu().numpy()
        plane = plane.reshape(plane.shape[0], -1, plane.shape[-1] if plane.ndim > 1 else 1).mean(0)
        low, high = float(plane.min()), float(plane.max())
        grey = np.rint((plane - low) / max(high - low, 1e-12) * 255).astype(np.uint8)
        view = np.repeat(grey[..., None], 3, 2)
    picture = Image.fromarray(view)
    picture.thumbnail((_SIDE, _SIDE))
    return np.asarray(picture)


def _placed(
    model: Model,
    read: _Read,
    names: list[str],
    true: NDArray[np.int64],
    failed: tuple[str, ...],
    name: str | None,
    projection: str,
    regions: str,
    seed: int,
) -> Boundary:
    """The record of everything that was read."""
    features, shares = np.stack(read.features), np.stack(read.shares)
    answers = shares.argmax(1)
    plane = principal_plane(features) if projection == "pca" else None
    points = umap(features, seed) if plane is None else plane.place(features)
    head, notes = _head(read, features, plane, name) if plane is not None and regions == "head" else (None, ())
    classes = sorted({*true.tolist(), *answers.tolist()})
    called = {index: model.label(index) or f"class {index}" for index in classes}
    tiles = tuple(
        Tile(pixels, (f"shows {called[int(true[n])]}", f"{sure:.1%} {called[int(answers[n])]}"), n, sure)
        for sure, n, pixels in read.worst
    )
    where = f"what the last linear layer reads, {features.shape[1]} numbers a photo"
    if name is not None:
        where = f"layer {name}, mean over positions, {features.shape[1]} numbers a photo"
    return Boundary(
        model=model.spec or model.name,
        points=points,
        truths=true,
        answers=answers,
        probabilities=shares[np.arange(len(answers)), answers],
        names=tuple(names),
        labels=called,
        layer=where,
        features=features.shape[1],
        projection=projection,
        shares=None if plane is None else plane.shares,
        head=head,
        worst=tiles,
        notes=notes,
        failed=failed,
        parameters={"layer": name, "projection": projection, "regions": regions, "worst": read.most}
        | ({"seed": seed} if projection == "umap" else {}),
        provenance={} if read.first is None else read.first.origin,
    )


def _head(read: _Read, features: NDArray[Any], plane: Plane, name: str | None) -> tuple[Head | None, tuple[str, ...]]:
    """What the model's linear layer says of the plane, if it was the same one throughout and gives the scores that the
    model gave; and what is to be known where there is none."""
    neighbours = "the plane is coloured by the answers of the five nearest photos"
    if name is not None:
        return None, (f"what comes after layer {name!r} is not asked: {neighbours}",)
    first = read.first
    if first is None or first.weight is None or first.bias is None:
        return None, (f"the scores do not come out of the last linear layer as they are: {neighbours}",)
    weight, scores = first.weight.double().cpu().numpy(), np.stack(read.scores)
    off = np.abs(features.astype(np.float64) @ weight.T + first.bias - scores).max()
    exact = max(_ROUNDING, 4 * torch.finfo(first.weight.dtype).eps)
    if off > exact * np.abs(scores).max():
        return None, (f"the last linear layer is another one for other photos: {neighbours}",)
    return Head(weight @ plane.axes.T, weight @ plane.mean + first.bias), ()
