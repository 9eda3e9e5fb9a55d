"""Held against: takes a model, an image, a target and maps, gives what was measured of each, and of maps that know no
network; judges none."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from seewhy.api.asked.supplies import Supplier
from seewhy.api.given.images import Item
from seewhy.api.measuring import answered
from seewhy.api.trusting.references import Comparing, References
from seewhy.core.targets import Target
from seewhy.explanation import Cost
from seewhy.metrics import controls
from seewhy.metrics._effects import EFFECTS, in_cells
from seewhy.metrics._likeness import pearson
from seewhy.metrics._metric import silence
from seewhy.registry import Method

__all__ = ["CONTROLS", "Held", "held"]

#: random maps with a map's own values and spectrum
CONTROLS = 20


@dataclass(frozen=True, eq=False)
class Held:
    """What was measured of one map, its own number first, then those of its controls: ``random`` ones, and others by
    name.

    ``deletion`` and ``insertion`` are the scores that are left when the strongest places, and when the weakest, are
    hidden; ``gain`` the second minus the first; ``deviations`` the gain in standard deviations of the random maps'
    gains, on average over fills. ``agreement`` is the best correlation with any reference, ``with_`` which one;
    ``placement`` the best one over cells in standard deviations of what the same map has, moved and mirrored.
    ``edges`` is the correlation with the photo's edges, ``untaught`` that of the fine structure of both, without signs,
    with what guided backpropagation shows of a network that learnt nothing above its filters; NaN where there is none.
    """

    deletion: NDArray[np.float64]
    insertion: NDArray[np.float64]
    others: Mapping[str, float]
    deviations: float
    agreement: NDArray[np.float64]
    with_: str
    placement: float
    edges: float
    untaught: float

    @property
    def gain(self) -> NDArray[np.float64]:
        """How much more is left when the weakest places go, [1 + random]."""
        return self.insertion - self.deletion


def held(
    comparing: Comparing, item: Item, target: Target, maps: Sequence[Tensor], *, seed: int = 0
) -> tuple[list[Held | str], Cost]:
    """What is measured of each of ``maps`` [*size] of one image for one target, or, of maps that say nothing, why; all
    share what they are compared with."""
    said = [silence(one) for one in maps]
    # what a map says does not depend on its unit, whose squares may be no numbers
    sound = [one.double() / one.double().abs().max() for one, why in zip(maps, said, strict=True) if not why]
    if not sound:
        return list(said), Cost()
    known = comparing.references(item, target)
    x = item.tensor[None]
    shared = controls.plain_maps(x[0])
    if (untaught := known.untaught.get("hires-cam")) is not None:
        shared["untrained"] = untaught
    judged = [torch.cat([one[None], controls.spectrum_maps(one, CONTROLS, of=item.tensor, seed=seed)]) for one in sound]
    values = torch.cat([*judged, torch.stack(list(shared.values()))])[None]

    def supplies(method: Method, supplier: Supplier, some: Sequence[int]) -> Mapping[str, Any]:
        return {"values": values.to(supplier.x.device)}

    # random halves tell something where there are no gradients, and nothing that these do not tell as well
    asked = {"seed": seed, **({"halves": 0} if known.sound else {})}
    (column,), _, cost = answered(
        comparing.model, [item], [target], [(EFFECTS, asked)], supplies, settings=comparing.settings
    )
    arrays = {name: rows[0].cpu() for name, rows in column[0][1].arrays.items()}
    left = arrays["left"]  # [fills, n, 2]
    if not all(bool(rows.isfinite().all()) for rows in arrays.values()):
        numberless = "the model's scores are no numbers (NaN or infinity) where something is hidden"
        return [why or numberless for why in said], cost + known.cost
    ways = _Ways.of(known, arrays, shared, sound[0])
    rest = left[:, len(judged) * (1 + CONTROLS) :].mean(0)
    others = {name: float(row[1] - row[0]) for name, row in zip(shared, rest, strict=True)}
    found = iter(
        _one(each, left[:, n * (1 + CONTROLS) : (n + 1) * (1 + CONTROLS)], others, ways)
        for n, each in enumerate(judged)
    )
    return [why or next(found) for why in said], cost + known.cost


#: how many standard deviations count at most, so that one fill alone cannot decide
_MOST = 4.0
#: by how much pixels count more than cells: fifty cells are alike by chance far more easily than fifty thousand pixels
_FINER = 2.0
#: the share of a map's length that is no more than rounding
_NOTHING = 1e-9


@dataclass(frozen=True, eq=False)
class _Ways:
    """What maps are correlated with: rows of unit length by name, of ``cells`` free of centre and edges [grid], of
    ``pixels`` [size]; and ``plain``, the space that was taken out of the cells."""

    cells: Mapping[str, Tensor]
    pixels: Mapping[str, Tensor]
    plain: Tensor
    edges: Tensor | None
    untaught: Tensor | None

    @classmethod
    def of(cls, known: References, arrays: Mapping[str, Tensor], shared: Mapping[str, Tensor], like: Tensor) -> _Ways:
        plain = [torch.ones_like(like)] + [shared[name] for name in ("bump", "edge") if name in shared]
        space, _ = torch.linalg.qr(in_cells(torch.stack(plain)).flatten(1).T.double())
        rows = {"hiding a cell": _free(arrays["cells"].flatten(1), space).sum(0)}
        if "halves" in arrays:
            rows["hiding a half"] = arrays["halves"].flatten()
        rows |= {name: in_cells(one[None]).flatten() for name, one in known.sound.items()}
        fine = known.sound.get("integrated-gradients")
        guided = known.untaught.get("guided-backprop")
        return cls(
            {name: _free(row, space) for name, row in rows.items()},
            {} if fine is None else {"integrated-gradients": _unit(fine.flatten() - fine.mean())},
            space,
            shared.get("edge"),
            guided,
        )

    def placement(self, map: Tensor) -> float:
        """The best correlation of cells of a map [*size] with any way, in standard deviations of those that it has when
        it is mirrored along any axes and moved around by any number of cells: the same map at another place."""
        grid = in_cells(map[None])[0].double()
        axes = range(grid.ndim)
        mirrored = [grid.flip(some) for n in range(grid.ndim + 1) for some in combinations(axes, n)]
        by = torch.cartesian_prod(*(torch.arange(length) for length in grid.shape)).reshape(-1, grid.ndim).tolist()
        moved = torch.stack([one.roll(each, tuple(axes)).flatten() for one in mirrored for each in by])
        found = _free(moved, self.plain) @ torch.stack(list(self.cells.values())).T
        spread = found.std(0, correction=0)
        return float(torch.where(spread > 0, found[0] / spread, 0.0).max())

    def agreement(self, maps: Tensor) -> tuple[Tensor, list[str]]:
        """The best correlation of each of ``maps`` [n, *size] with any way, [n], and which one that is."""
        cells = _free(in_cells(maps).flatten(1), self.plain)
        flat = maps.flatten(1).double()
        pixels = _unit(flat - flat.mean(1, keepdim=True))
        found = [cells @ row for row in self.cells.values()] + [_FINER * (pixels @ row) for row in self.pixels.values()]
        best, which = torch.stack(found).max(0)
        names = [*self.cells, *self.pixels]
        return best, [names[k] for k in which.tolist()]


def _one(maps: Tensor, left: Tensor, others: Mapping[str, float], ways: _Ways) -> Held:
    """``maps`` [1 + random, *size], ``left`` [fills, 1 + random, 2]."""
    gains = left[..., 1] - left[..., 0]
    spread = gains[:, 1:].std(1).clamp(min=torch.finfo(torch.float64).tiny)
    deviations = ((gains[:, 0] - gains[:, 1:].mean(1)) / spread).clamp(-_MOST, _MOST).mean()
    agreement, with_ = ways.agreement(maps)
    mean = left.mean(0)
    return Held(
        mean[:, 0].numpy(),
        mean[:, 1].numpy(),
        others,
        float(deviations),
        agreement.numpy(),
        with_[0],
        ways.placement(maps[0]),
        _alike(maps[0], ways.edges),
        math.nan if ways.untaught is None else _alike(_fine(maps[0]), _fine(ways.untaught)),
    )


def _alike(one: Tensor, other: Tensor | None) -> float:
    """The correlation of two maps; NaN without another."""
    return math.nan if other is None else float(pearson(one.flatten(), other.flatten()))


def _fine(one: Tensor) -> Tensor:
    """The fine structure of a map without its signs: what it has beyond its mean over a sixteenth of the side to either
    side. Smooth maps have little, and are like nothing in it by chance."""
    bare = one.double().abs()
    smooth = bare
    for axis, length in enumerate(bare.shape):
        reach = max(1, length // 16)
        rows = smooth.movedim(axis, -1).reshape(-1, 1, length)
        rows = F.avg_pool1d(rows, 2 * reach + 1, 1, reach, count_include_pad=False)
        smooth = rows.reshape(smooth.movedim(axis, -1).shape).movedim(-1, axis)
    return bare - smooth


def _free(rows: Tensor, space: Tensor) -> Tensor:
    """Rows of unit length without what lies in ``space``; zeros where that is all there is, whose roundings would be
    like anything."""
    own = rows.double()
    bare = own - (own @ space) @ space.T
    something = bare.norm(dim=-1, keepdim=True) > _NOTHING * own.norm(dim=-1, keepdim=True)
    return torch.where(something, _unit(bare), 0.0)


def _unit(rows: Tensor) -> Tensor:
    length: Tensor = rows.norm(dim=-1, keepdim=True)
    return rows / length.clamp(min=torch.finfo(torch.float64).tiny)
