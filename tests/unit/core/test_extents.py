"""Where the positions of a layer lie, if not over the whole picture: behind a crop, a pad or a zoom in the forward; and
rows of what is no place at all."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seewhy
from seewhy.errors import CapabilityError


class _Read(nn.Module):
    """A change of the picture, patches, and their mean; or convolutions on top of each other."""

    def __init__(self, change: Callable[[Tensor], Tensor], deep: bool) -> None:
        super().__init__()
        self.change, self.head = change, nn.Linear(8, 3)
        steps = [nn.Conv2d(3, 8, 4, 4)] if not deep else [nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 2, 1)]
        self.body = nn.Sequential(*steps, nn.Tanh())

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.body(self.change(x)).mean((2, 3)))


def _made(change: Callable[[Tensor], Tensor], deep: bool) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(4)
        return _Read(change, deep).eval()


def _x() -> Tensor:
    return torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(5))


#: what is done to the picture, and the rows and columns that positions lie over then, in percent
CHANGED: dict[str, tuple[Callable[[Tensor], Tensor], tuple[int, ...]]] = {
    "crop in the middle": (lambda x: x[:, :, 16:48, 24:72], (25, 75, 25, 75)),
    "crop at a corner": (lambda x: x[:, :, :48, :72], (0, 75, 0, 75)),
    "crop of columns": (lambda x: x[..., 24:72], (0, 100, 25, 75)),
    "pad": (lambda x: F.pad(x, (48, 48, 32, 32)), (-50, 150, -50, 150)),
    "zoom": (lambda x: F.interpolate(x, scale_factor=2)[:, :, 32:96, 48:144], (25, 75, 25, 75)),
}


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("kind", CHANGED)
def test_positions_that_lie_over_a_part_are_said_to(kind: str, deep: bool) -> None:
    """They answered to halves as the whole would, and were "proved"."""
    change, right = CHANGED[kind]
    found = seewhy.explain(_made(change, deep), _x(), "grad-cam", 1)
    assert (found.layer, found.provenance["grid"]) == ("body", {"body": "undecided"})
    said = re.search(r"lie over rows (-?\d+)% to (-?\d+)% and columns (-?\d+)% to (-?\d+)% of", " ".join(found.notes))
    assert said is not None
    assert all(abs(int(one) - other) <= 7 for one, other in zip(said.groups(), right, strict=True))  # sixteenths


@pytest.mark.parametrize("seed", range(3))
def test_a_crop_of_three_sixteenths_is_seen_behind_convolutions(seed: int) -> None:
    """What is left is five eighths of each side, which fits halves and quarters well enough to be "proved"."""

    class Cropped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 16, 4, 4), nn.ReLU())
            self.conv, self.head = nn.Conv2d(16, 16, 3, padding=1), nn.Linear(16, 4)

        def forward(self, x: Tensor) -> Tensor:
            return self.head(self.conv(self.stem(x[:, :, 12:52, 18:78])).relu().mean((2, 3)))

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        net = Cropped().eval()
    found = seewhy.explain(net, _x(), "grad-cam", 1)
    assert set(found.provenance["grid"].values()) == {"undecided"}
    assert any("of the picture, not over all of it" in note for note in found.notes)


@pytest.mark.parametrize(("size", "cut"), [((48, 96), 4), ((96, 64), 4), ((80, 64), 5)])
def test_a_crop_is_seen_over_few_cells(size: tuple[int, int], cut: int) -> None:
    """Six cells answered to halves and, well enough, to quarters."""
    rows, columns = size[0] // cut, size[1] // cut
    net = _made(lambda x: x[:, :, rows:-rows, columns:-columns], deep=False)
    found = seewhy.explain(net, torch.rand(1, 3, *size, generator=torch.Generator().manual_seed(5)), "grad-cam", 1)
    assert found.provenance["grid"] == {"body": "undecided"}
    assert any("of the picture, not over all of it" in note for note in found.notes)


def _affine(*matrix: tuple[float, float]) -> Callable[[Tensor], Tensor]:
    def change(x: Tensor) -> Tensor:
        rows = torch.tensor([[*row, 0.0] for row in matrix]).to(x).expand(len(x), 2, 3)
        return F.grid_sample(x, F.affine_grid(rows, list(x.shape), align_corners=False), align_corners=False)

    return change


def _turned(degrees: float) -> Callable[[Tensor], Tensor]:
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return _affine((cosine, -sine), (sine, cosine))


def _shuffled(x: Tensor) -> Tensor:
    """The halves of each half change places: halves of columns are where they were, quarters are not."""
    return torch.cat([half.roll(half.shape[3] // 2, 3) for half in x.chunk(2, 3)], 3)


#: what is done to the picture after which positions still answer to its halves, on the whole
STRAY: dict[str, Callable[[Tensor], Tensor]] = {
    "turned by 35 degrees": _turned(35),
    "turned by -40 degrees": _turned(-40),
    "columns sheared": _affine((1, 0.8), (0, 1)),
    "rows sheared": _affine((1, 0), (0.8, 1)),
    "bands rolled": lambda x: torch.cat([b.roll(n * b.shape[3] // 4, 3) for n, b in enumerate(x.chunk(2, 2))], 2),
    "quarters shuffled": _shuffled,
}


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize("kind", STRAY)
def test_positions_that_answer_to_other_rows_and_columns_as_well_prove_nothing(kind: str, deep: bool) -> None:
    """Their halves went with the picture's, so that they were "proved": maps up to a third of the picture off."""
    found = seewhy.explain(_made(STRAY[kind], deep), _x(), "grad-cam", 1)
    assert found.provenance["grid"] == {found.layer: "undecided"}
    why = "none of their own rows and columns" if "turned" in kind or "sheared" in kind else "is undecided"
    assert any(why in note for note in found.notes)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    "change", [nn.Identity(), lambda x: F.pad(x, (2, 2, 2, 2)), lambda x: x[:, :, 2:-2, 2:-2], _turned(2)]
)
def test_a_border_is_no_part_and_no_stray(change: Callable[[Tensor], Tensor], deep: bool) -> None:
    found = seewhy.explain(_made(change, deep), _x(), "grad-cam", 1)
    assert found.provenance["grid"] == {"body": "proved"}


def test_scores_of_crops_are_no_places() -> None:
    """Ten crops were a class token and a grid of 3 x 3."""

    class Crops(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Sequential(nn.Conv2d(3, 8, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
            self.head = nn.Linear(8, 5)

        def forward(self, x: Tensor) -> Tensor:
            parts = [x[:, :, a : a + 40, b : b + 60] for a in (0, 24) for b in (0, 36)] + [x[:, :, 12:52, 18:78]]
            both = torch.stack([*parts, *(part.flip(3) for part in parts)], 1)
            return self.head(self.body(both.flatten(0, 1))).view(len(x), 10, -1).mean(1)

    with torch.random.fork_rng():
        torch.manual_seed(4)
        net = Crops().eval()
    with pytest.raises(CapabilityError, match=r"^this model has no layer with spatial positions that every path"):
        seewhy.explain(net, _x(), "grad-cam", 1)
