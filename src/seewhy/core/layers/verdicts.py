"""Verdicts: what is known of a layer's grid (proved, contradicted or undecided, and by which pictures), and how whoever
reads a map is told; asks no network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor

from seewhy.core.network.layouts import Layout
from seewhy.core.network.places import ATTENTION

__all__ = ["CONTRADICTED", "PROVED", "UNDECIDED", "Proof", "Verdict", "undecided"]

Verdict = Literal["proved", "contradicted", "undecided"]

PROVED: Verdict = "proved"

CONTRADICTED: Verdict = "contradicted"

UNDECIDED: Verdict = "undecided"

#: how many places are named that were passed over
_SAID = 3


@dataclass(frozen=True)
class Proof:
    """What the pictures say of a layer: the verdict on ``layout``, the correlation of the worst axis with its coarsest
    digit, and, for each axis, those with all digits."""

    verdict: Verdict
    layout: Layout
    correlation: float
    digits: Mapping[int, tuple[float, ...]] = field(default_factory=dict)
    #: r of the coarsest digit of each axis, at the layout's positions
    pictures: tuple[Tensor, ...] = ()
    #: why there is no proof, where the network did not take the pictures
    why: str = ""
    #: where the positions seem to lie instead: the part of each axis, as shares of it
    extent: tuple[tuple[float, float], ...] = ()
    #: the share of what the positions answer that goes with none of their own rows and columns, where that is too much
    stray: float = 0.0
    #: how many tokens the layout leaves out that answer to places as clearly as those that it has
    outside: int = 0
    #: places behind this one whose positions are none of the picture's, or not known to be, where it was chosen in
    #: their stead
    behind: tuple[str, ...] = ()
    #: the shape of what the place gave, but for the batch; () where that was not known
    gave: tuple[int, ...] = ()
    #: the number of the attention whose tokens no longer answer to the places that the first one's have
    lost: str = ""
    #: the call to name instead, '' if there is none, where the layer gives the same for every picture
    instead: str | None = None

    @property
    def whole(self) -> float:
        """The mean correlation with all digits of all axes: a shift by one cell shows in the finest."""
        every = [value for digits in self.digits.values() for value in digits]
        return sum(every) / len(every) if every else 0.0

    @property
    def words(self) -> str:
        """The verdict in words."""
        if self.instead is not None:
            return "the same for every picture"
        if self.verdict == PROVED:
            order = self.layout.order
            if order is None:
                return "proved"
            return "proved, tokens among it left out" if list(order) == sorted(order) else "proved, put in order"
        return self.verdict

    def note(self, place: str) -> str:
        """What whoever reads a map of ``place`` has to be told of its grid; '' for one that is proved."""
        grid = "x".join(map(str, self.layout.grid))
        what = "the tokens that attention reads" if place == ATTENTION else f"layer {place!r}"
        if self.instead is not None:
            way = f"name the call that it reaches, layer={self.instead!r}" if self.instead else "no call of it does"
            return f"the picture does not reach what {what} gives, which is the same for every picture: {way}"
        if self.lost:
            return (
                f"the grid {grid} of {what} is undecided: it is that of the first attention, and the tokens of "
                f"attention {self.lost} do not answer to the same places"
            )
        if self.why:
            return f"the grid {grid} of {what} is undecided: it takes no changed pictures ({self.why})"
        if self.extent:
            names = ("rows ", "columns ") if len(self.extent) == 2 else ("",) * len(self.extent)
            parts = [f"{name}{a:.0%} to {b:.0%}" for name, (a, b) in zip(names, self.extent, strict=True)]
            return (
                f"the grid {grid} of {what} is undecided: its positions seem to lie over "
                f"{' and '.join(parts)} of the picture, not over all of it (a crop, a pad or a zoom in the forward?), "
                "as a map of it is drawn"
            )
        if self.stray:
            return (
                f"the grid {grid} of {what} is undecided: {self.stray:.0%} of what its positions answer to changed "
                "rows and columns is none of their own rows and columns (a picture turned, sheared or shuffled in the "
                "forward, or tokens picked from a grid?)"
            )
        if self.outside:
            return (
                f"the grid {grid} of {what} is undecided: {self.outside} tokens that it leaves out answer to places of "
                "the picture as clearly as those in it (tokens picked from a grid?)"
            )
        if self.verdict == UNDECIDED:
            return (
                f"the grid {grid} of {what} is undecided: changed rows and columns of the picture do not "
                f"clearly change the same rows and columns there (correlation {self.correlation:.2f})"
            )
        if self.verdict == CONTRADICTED:
            return (
                f"the grid {grid} of {what} is contradicted: its positions do not answer to the places of the "
                f"picture that they would be (correlation {self.correlation:.2f}), so they cannot be laid over it"
            )
        return ""

    def stepped_back(self, place: str) -> str:
        """That ``place`` was chosen though others come behind it; '' where none do."""
        if not self.behind:
            return ""
        more = f" and {len(self.behind) - _SAID} more" if len(self.behind) > _SAID else ""
        return (
            f"layer {place!r} is the last whose positions are places of the picture; behind it come "
            f"{', '.join(self.behind[:_SAID])}{more}, whose positions could not be laid over the picture"
        )


def undecided(layout: Layout, why: str) -> Proof:
    """A layout that no picture could be asked about."""
    return Proof(UNDECIDED, layout, 0.0, why=why)
