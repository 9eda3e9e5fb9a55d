"""A counterfactual training folder: takes training pictures with proved cues, gives a folder for each class with every
picture as it is and once more without the cue, or with it, and a table of what they are; for any framework."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from seewhy.api.given.again import Again
from seewhy.api.repairing.proved import where
from seewhy.api.repairing.reading import Source
from seewhy.api.repairing.training import Tally, Training
from seewhy.errors import CapabilityError, ImageError, UsageError, storing
from seewhy.models import Model, Photo, Preprocess
from seewhy.models.images import photo_in

__all__ = ["as_csv", "check_drawable", "collected", "copied", "stem_of", "unfinished", "written"]

#: files that others read as pictures, whatever wrote them
_PICTURES = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


def check_drawable(model: Model, some: Tensor) -> None:
    """Raise `CapabilityError` where inputs [N, C, H, W] of a model cannot be turned back into pictures."""
    if model.to_image(some[0]) is not None:
        return
    ours, why = model.preprocess, "they are no pictures of 1 or 3 colours"
    if ours is None:
        why = "nothing says how a picture becomes its input"
    elif not isinstance(ours, Preprocess):
        named = getattr(ours, "__name__", type(ours).__name__)
        why = f"its preprocessing is {named}, a function, which nobody can turn round"
    raise CapabilityError(
        f"inputs of {model.name} cannot be turned back into pictures: {why}; give preprocess=seewhy.Preprocess(...) "
        "that does the same, or how='head'"
    )


@contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """A folder to write into, which gets its name once all is there. Raises `UsageError` where it is there already,
    `StoreError` where nothing can be written."""
    if folder.exists():
        raise UsageError(f"{str(folder)!r} is there already, and pictures are never mixed: name another folder")
    under_way = folder.with_name(f".{folder.name}-unfinished")
    shutil.rmtree(under_way, ignore_errors=True)  # of one that was interrupted
    try:
        with storing(folder):
            under_way.mkdir(parents=True)
            yield under_way
            under_way.rename(folder)
    finally:
        shutil.rmtree(under_way, ignore_errors=True)


class _Names:
    """A folder for each class, called as in the source, else as the model calls it."""

    def __init__(self, model: Model, again: Again, truth_of: Mapping[int, int]) -> None:
        self._classes: dict[int, str] = {}
        for row, truth in truth_of.items():
            if truth not in self._classes:
                labels = again.entries[row].labels
                name = re.sub(r"[/\\\0]", "-", labels[0] if labels else model.label(truth) or str(truth)).lstrip(".")
                taken = not name or name in self._classes.values()
                self._classes[truth] = f"{name}-{truth}".lstrip("-") if taken else name

    def of_class(self, truth: int) -> str:
        """Its folder."""
        return self._classes[truth]


def stem_of(again: Again, row: int) -> str:
    """A file's name without its suffix, of no other picture of the source."""
    own = re.sub(r"[^\w.-]+", "-", Path(again.entries[row].name.replace("\\", "/")).stem)[:80]
    return f"{row:06d}-{own}"


def written(
    model: Model, training: Training, source: Source, folder: Path, progress: Callable[[str, int, int], None]
) -> bytes:  # fmt: skip
    """Every training picture in ``folder``/CLASS as it is, and counterfactual ones beside them as PNG; gives a CSV of
    all. A picture that the model sees a part of keeps the rest, so that the same resize and crop give what was changed.
    """
    again = source.again
    names = _Names(model, again, dict(zip(source.rows, source.truth.tolist(), strict=True)))
    lines: list[tuple[str, ...]] = []
    for done, lot in enumerate(training.lots()):
        rows = [source.rows[number] for number in lot.pictures.tolist()]
        for number, row in enumerate(rows[: lot.plain]):
            name = names.of_class(int(lot.labels[number]))
            file = _as_it_is(again, row, folder / name, stem_of(again, row), model, lot.inputs[number])
            lines.append((f"{folder_name(folder)}/{name}/{file}", name, again.entries[row].name, "", "original"))
        for (_, there), cues in zip(lot.twins, lot.cues, strict=True):
            row, name = rows[there], names.of_class(int(lot.labels[there]))
            change = "pasted" if lot.has[there] else "removed"
            file = f"{stem_of(again, row)}-{change}-{'-'.join(map(str, cues))}.png"
            _drawn(model, again, row, lot.inputs[there]).save(folder / name / file)
            words = "; ".join(f"{names.of_class(training.cues[n][0])}: {where(training.cues[n][1])}" for n in cues)
            lines.append((f"{folder_name(folder)}/{name}/{file}", name, again.entries[row].name, words, change))
        progress("lots of pictures", done + 1, training.count)
    return as_csv(("file", "class", "from", "cue", "change"), sorted(lines))


def folder_name(folder: Path) -> str:
    """What a folder under way will be called."""
    return folder.name.removeprefix(".").removesuffix("-unfinished")


def copied(model: Model, source: Source, folder: Path) -> None:
    """Every picture in ``folder``/CLASS as it is."""
    truth_of = dict(zip(source.rows, source.truth.tolist(), strict=True))
    again = source.again
    names = _Names(model, again, truth_of)
    for row, tensor in again.each(source.rows, lambda _, item: item.tensor):
        _as_it_is(again, row, folder / names.of_class(truth_of[row]), stem_of(again, row), model, tensor)


def _as_it_is(again: Again, row: int, folder: Path, stem: str, model: Model, tensor: Tensor) -> str:
    """Write a picture as its source has it; what is no file that everybody reads becomes a PNG. Gives its name."""
    folder.mkdir(exist_ok=True)
    entry = again.entries[row]
    raw = again.known.source.read(entry)
    path = Path(raw) if isinstance(raw, str | Path) else None
    suffix = (path or Path(entry.name)).suffix.lower()
    if suffix in _PICTURES and path is not None and path.is_file():
        shutil.copyfile(path, folder / f"{stem}{suffix}")
    elif suffix in _PICTURES and isinstance(raw, bytes):
        (folder / f"{stem}{suffix}").write_bytes(raw)
    else:
        suffix, photo = ".png", _photo(raw, entry.name)
        made = Image.fromarray(_pixels(model, tensor)) if photo is None else photo.pixels
        made.save(folder / f"{stem}.png")
    return f"{stem}{suffix}"


def _drawn(model: Model, again: Again, row: int, tensor: Tensor) -> Image.Image:
    """A changed input as a picture that becomes the input again."""
    entry, ours = again.entries[row], model.preprocess
    seen = Image.fromarray(_pixels(model, tensor))
    photo = _photo(again.known.source.read(entry), entry.name)
    return seen if photo is None or not isinstance(ours, Preprocess) else ours.around(photo.pixels, seen)


def _photo(raw: Any, name: str) -> Photo | None:
    """The photo that a source gives; None for an input that is preprocessed already."""
    try:
        return photo_in(raw, name)
    except (UsageError, ImageError):
        return None


def _pixels(model: Model, tensor: Tensor) -> NDArray[np.uint8]:
    found = model.to_image(tensor)
    assert found is not None  # check_drawable has seen one
    return found


def as_csv(head: Sequence[str], lines: Sequence[Sequence[str]]) -> bytes:
    """A table as a file holds it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(head)
    writer.writerows(lines)
    return text.getvalue().encode()


def collected(training: Training, tally: Sequence[Tally], label: Callable[[int], str]) -> bytes:
    """What to collect instead, as a page: real pictures without the cue, and of other classes with it."""
    lines = ["# What to collect", ""]
    lines.append("Counterfactual pictures are made by cutting; real ones are better. Collect, most useful first:")
    lines.append("")
    for (index, cue), each in sorted(zip(training.cues, tally, strict=True), key=lambda pair: -pair[1].have):
        name, place = label(index), where(cue)
        more = max(0, 2 * each.have - each.pictures)
        wanted = f": {more} more would be as many as have it" if more else ""
        of = f"{each.have} of {each.pictures} training pictures have it{wanted}"
        lines.append(f"- {name}: pictures without the cue {place}. {of}.")
        lines.append(f"- other classes: pictures with the cue of {name} {place}, about {each.pasted} of them.")
    return ("\n".join(lines) + "\n").encode()
