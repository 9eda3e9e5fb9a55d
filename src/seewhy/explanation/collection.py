"""Takes explanations made together, gives them as one sequence with shared pictures; never computes a map."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from seewhy.errors import UnknownName, UsageError
from seewhy.explanation import nifti, page
from seewhy.explanation.arrange import arrange, ends, group, looks_of, shared_scales
from seewhy.explanation.cuts import cuts, flat, is_volume
from seewhy.explanation.figure import enlarged
from seewhy.explanation.ground import picture_size, place
from seewhy.explanation.parts import Cost
from seewhy.explanation.plain import common_notes
from seewhy.explanation.result import Explanation
from seewhy.explanation.strip import strip
from seewhy.render import PERCENTILE, SUFFIXES, check, grid, grid_pdf, grid_svg, write

if TYPE_CHECKING:
    import os

    from PIL import Image

__all__ = ["Explanations"]

#: suffixes of files that hold numbers
_NUMBERS = (".npz", *nifti.SUFFIXES)
Scale = Literal["shared", "each"]
#: pixels of a picture in a grid, and in one of more than so many pictures across
_CELLS, _WIDE = (320, 240), 4


class Explanations(Sequence[Explanation]):
    """Explanations made together, in order; immutable.

    ``cost`` is what making all of them took: passes they share are in it once. Without it the members' own
    costs are added up. A slice or a selection keeps the cost of the whole, because it could not have been
    had for less.
    """

    __slots__ = ("_cost", "_interrupted", "_items")

    def __init__(self, items: Iterable[Explanation], *, cost: Cost | None = None, interrupted: bool = False) -> None:
        self._items = tuple(items)
        self._interrupted = interrupted
        self._cost = Cost.total(explanation.cost for explanation in self._items) if cost is None else cost

    @property
    def cost(self) -> Cost:
        """What making all of them took."""
        return self._cost

    @property
    def interrupted(self) -> bool:
        """Whether the user broke it off: maps may be missing, or have status ``unfinished``."""
        return self._interrupted

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Explanation]:
        return iter(self._items)

    @overload
    def __getitem__(self, index: int) -> Explanation: ...
    @overload
    def __getitem__(self, index: slice) -> Explanations: ...
    def __getitem__(self, index: int | slice) -> Explanation | Explanations:
        if isinstance(index, slice):
            return Explanations(self._items[index], cost=self._cost)
        return self._items[index]

    def __repr__(self) -> str:
        methods = ", ".join(dict.fromkeys(explanation.method for explanation in self._items))
        return f"Explanations({len(self)}: {methods}; {self._cost})"

    def where(
        self, *, method: str | None = None, target: str | int | None = None, layer: str | None = None
    ) -> Explanations:
        """Those with this method, target (description or class index) and layer; None leaves one open.

        Raises `UnknownName` for a value that no member has.
        """
        chosen = list(self._items)
        for kind, asked in (("method", method), ("target", target), ("layer", layer)):
            if asked is None or not self._items:
                continue
            field = "target_index" if kind == "target" and isinstance(asked, int) else kind
            known = dict.fromkeys(getattr(explanation, field) for explanation in self._items)
            if asked not in known:
                names = [str(name) for name in known if name is not None]
                raise UnknownName(kind, str(asked), names, f"[e.{field} for e in explanations]", " in this collection")
            chosen = [explanation for explanation in chosen if getattr(explanation, field) == asked]
        return Explanations(chosen, cost=self._cost)

    def grid(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        columns: int | None = None,
        scale: Scale = "shared",
        force: bool = False,
        dpi: float | None = None,
        **options: Any,
    ) -> Image.Image:
        """All in one figure: a row for each image and target, the photo first, then methods and layers.

        Under ``scale="shared"`` all maps of one method, layer and contrast have the same limits, so their
        colours can be compared; those of different methods are in different units and cannot. ``"each"``
        gives every map its own. ``columns`` is the most maps in a line; left out, many photos of one or two maps each
        stand side by side. ``options``: ``cell`` or ``width`` (pixels of each picture), ``header``, ``reliefs`` (True:
        guided maps have theirs beside them), and those of `Explanation.overlay`. With ``path`` the figure is also
        written (``.png``, ``.jpg``, ``.svg``, ``.pdf``; ``dpi`` is how many of its pixels are printed an inch), never
        over an existing file unless ``force``. Raises `UsageError`, also for an empty collection.
        """
        if path is not None:
            path = check(path, SUFFIXES, force=force)
        cells, rest = self._figure(columns, scale, **options)
        image = grid(cells, **rest)
        if path is not None:
            own = {"columns": columns, "scale": scale, "dpi": dpi, **options}
            documents: dict[str, Callable[..., str | bytes]] = {".svg": self.grid_svg, ".pdf": self.grid_pdf}
            make = documents.get(path.suffix.lower())
            write(image if make is None else make(**own), path, force=force, dpi=dpi)
        return image

    def grid_svg(
        self, *, columns: int | None = None, scale: Scale = "shared", dpi: float | None = None, **options: Any
    ) -> str:
        """The figure of `grid` as an SVG document; ``dpi`` is how many of its pixels make an inch."""
        cells, rest = self._figure(columns, scale, sharper=2, **options)
        return grid_svg(cells, dpi=dpi, **rest)

    def grid_pdf(
        self, *, columns: int | None = None, scale: Scale = "shared", dpi: float | None = None, **options: Any
    ) -> bytes:
        """The figure of `grid` as a PDF file of one page; ``dpi`` is how many of its pixels make an inch (96)."""
        cells, rest = self._figure(columns, scale, sharper=2, **options)
        return grid_pdf(cells, dpi=dpi, **rest)

    def _figure(
        self,
        columns: int | None,
        scale: Scale,
        *,
        cell: int | None = None,
        header: str = "",
        percentile: float = PERCENTILE,
        cmap: str | None = None,
        width: int | None = None,
        enlarge: str = "bicubic",
        sharper: int = 1,
        **options: Any,
    ) -> tuple[Any, dict[str, Any]]:
        _check_scale(scale)
        if not self._items:
            raise UsageError("an empty collection has no grid; explain at least one image")
        if columns is not None and columns < 1:
            raise UsageError(f"a grid of {columns} columns shows nothing; use 1 or more")
        shared = scale == "shared"
        side = width or cell
        items = flat(self._items, options.pop("at", None))
        cells, bar = arrange(
            items, columns=columns, shared=shared, percentile=percentile, cmap=cmap,
            most=(side or _CELLS[0]) * sharper, enlarge=enlarge, **options,
        )  # fmt: skip
        said = common_notes(self._items)
        said += [self._scales(shared)] if len(self._items) > 1 else []
        wide = max(len(line) for line in cells)
        size = side or _CELLS[wide > _WIDE]
        sizes = [place(each, picture_size(each, most=size)).map for each in items]
        coarse = enlarged(zip(items, sizes, strict=True), enlarge)
        said += [coarse] if coarse else []
        return cells, {"cell": size, "header": header, "footer": "; ".join(said), "colorbar": bar}

    def _scales(self, shared: bool) -> str:
        """What is to be said of the colours of several maps."""
        kinds = Counter(group(explanation) for explanation in self._items)
        if not shared:
            return "Each map has its own colour scale"
        reliefs = "; reliefs have their own" if any(each.colours is not None for each in self._items) else ""
        if len(kinds) == 1:
            return f"All maps share one colour scale{reliefs}"
        if max(kinds.values()) == 1:
            return "Each map has its own colour scale: methods differ in their units"
        return f"Maps of one method and layer share a colour scale; methods differ in their units{reliefs}"

    def strip(
        self,
        path: str | os.PathLike[str] | None = None,
        *,
        columns: int | None = None,
        cell: int = 150,
        width: int | None = None,
        cmap: str | None = None,
        percentile: float = PERCENTILE,
        force: bool = False,
        dpi: float | None = None,
    ) -> Image.Image:
        """One map a layer as small pictures in the order of the layers, names under them; what is explained of the
        output itself comes last.

        Every map has colours of its own, which end at the number under it. ``columns`` pictures make a row, ``cell`` or
        ``width`` pixels wide each. With ``path`` it is also written, as `grid`. Raises `UsageError`, also for an empty
        collection.
        """
        if path is not None:
            path = check(path, SUFFIXES, force=force)
        if not self._items:
            raise UsageError("an empty collection has no strip; explain at least one image")
        side = width or cell
        cells, rest = strip(flat(self._items), columns=columns, most=2 * side, cmap=cmap, percentile=percentile)
        image = grid(cells, cell=side, **rest)
        if path is not None:
            documents: dict[str, Callable[..., str | bytes]] = {".svg": grid_svg, ".pdf": grid_pdf}
            make = documents.get(path.suffix.lower())
            drawn = image if make is None else make(cells, cell=side, dpi=dpi, **rest)
            write(drawn, path, force=force, dpi=dpi)
        return image

    def limits(self, percentile: float = PERCENTILE) -> list[tuple[float, float]]:
        """What the ends of each one's colours stand for, when all of a (method, layer, contrast) share them."""
        # the cuts of a volume have all of its values, so that one of them has the limits of all
        items = [cuts(each)[0] if is_volume(each) else each for each in self._items]
        looks = looks_of(items)
        tops = shared_scales(items, looks, percentile)
        return [ends(seen, tops[group(explanation)]) for explanation, seen in zip(items, looks, strict=True)]

    def save(
        self,
        folder: str | os.PathLike[str],
        *,
        force: bool = False,
        suffix: str = ".png",
        scale: Scale = "each",
        **options: Any,
    ) -> list[Path]:
        """The files written into ``folder``: one for each explanation, and last the grid.

        Names are made of image, target, method, layer and contrast, with a number where they would collide.
        ``suffix`` is one that `Explanation.save` knows; ``options`` are those of its picture. Each file has colours of
        its own, unless ``scale="shared"``: then maps of one method, layer, contrast and unit share theirs, and say so;
        in the grid they do in any case. Nothing is
        written if any file exists already and ``force`` is not set: then, and for a wrong suffix, raises
        `UsageError`.
        """
        _check_scale(scale)
        if not self._items:
            raise UsageError("an empty collection has nothing to save; explain at least one image")
        folder = Path(folder)
        numbers = suffix.lower() in _NUMBERS
        paths = [folder / f"{stem}{suffix}" for stem in file_stems(self._items)]
        overview = folder / f"grid{'.png' if numbers else suffix}"
        for path in (*paths, overview):
            check(path, None if numbers else SUFFIXES, force=force)
        own: list[dict[str, Any]] = [{} for _ in paths]
        if scale == "shared" and not numbers:
            own = [{"limits": limits, "shared": True} for limits in self.limits(options.get("percentile", PERCENTILE))]
        for explanation, path, limits in zip(self._items, paths, own, strict=True):
            explanation.save(path, force=force, **({} if numbers else options | limits))
        shared_options = {key: value for key, value in options.items() if key not in ("picture", "caption")}
        self.grid(overview, force=force, **({} if numbers else shared_options))
        return [*paths, overview]

    def _repr_html_(self) -> str:
        return page.many(self)


def _check_scale(scale: str) -> None:
    if scale not in ("shared", "each"):
        raise UsageError(f"no scale {scale!r}; use 'shared' (comparable colours) or 'each' (own limits)")


def file_stems(explanations: Sequence[Explanation]) -> list[str]:
    """A file name without suffix for each, unique even where case does not count; none is ``grid``.

    Letters of any script stay; everything else that a file system might mind becomes a hyphen.
    """
    taken = {"grid"}
    stems: list[str] = []
    for explanation in explanations:
        parts = (explanation.name, explanation.target, explanation.method, explanation.layer, explanation.contrast)
        words = "_".join(_slug(part) for part in parts if part and _slug(part)) or "explanation"
        stem = words.encode()[:180].decode(errors="ignore")
        number = 2
        unique = stem
        while unique.casefold() in taken:
            unique = f"{stem}-{number}"
            number += 1
        taken.add(unique.casefold())
        stems.append(unique)
    return stems


def _slug(text: str) -> str:
    return re.sub(r"[^\w.]+", "-", text).strip("-.")
