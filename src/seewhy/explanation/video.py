"""Videos: takes an explanation with an axis of time, gives that of one frame, a montage of frames, and a film; computes
no map."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from seewhy.errors import UsageError
from seewhy.explanation.picture import bar_of, look, overlay, pixels, scale, titles
from seewhy.render import PERCENTILE, Cell

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from seewhy.explanation.result import Explanation

__all__ = ["TIME", "check", "film", "frame", "is_video", "montage"]

#: what the axis of frames, or views, is called
TIME = "T"
#: frames that a montage shows unless told, and how many stand side by side
_SHOWN, _COLUMNS = 12, 4
#: milliseconds a frame of a film is shown
_EACH = 200


def is_video(explanation: Explanation) -> bool:
    """Whether its input has frames of two axes each."""
    return len(explanation.size) == 3 and explanation.axes[:1] == TIME


def check(explanation: Explanation) -> None:
    """Raise `UsageError` unless it is of a video."""
    if not is_video(explanation):
        raise UsageError(
            f"{explanation.method} of {explanation.target!r} is of no video: its input has size {explanation.size}, "
            "and no axes= said which of it are frames (seewhy.wrap(model, axes='BTCHW'))"
        )


def frame(explanation: Explanation, index: int) -> Explanation:
    """See `Explanation.frame`."""
    check(explanation)
    count = explanation.size[0]
    if isinstance(index, bool) or not -count <= index < count:
        raise UsageError(f"no frame {index}: the video has {count}, from 0 to {count - 1}")
    index %= count
    error = explanation.error
    own = error if isinstance(error, np.ndarray) and error.shape == explanation.values.shape else None
    return replace(
        explanation,
        values=_at(explanation.values, index, count, explanation.channels),
        error=None if own is None else _at(own, index, count, explanation.channels),
        size=explanation.size[1:],
        axes=explanation.axes[1:],
        image=None if explanation.frames is None else explanation.frames[index],
        frames=None,
        input=None if explanation.input is None else explanation.input[:, index],
        name=f"{explanation.name} frame {index}".strip(),
        tensor=None,
        colours=None,
    )


def _at(values: NDArray[Any], index: int, count: int, channels: bool) -> NDArray[Any]:
    """The values of one of ``count`` frames: of coarser steps of time linearly between the two nearest."""
    axis = int(channels)
    if values.ndim != 3 + axis:
        raise UsageError(f"values of shape {values.shape} have no axis of time; use .values")
    steps = values.shape[axis]
    place = min(max((index + 0.5) * steps / count - 0.5, 0.0), steps - 1.0)
    low = int(place)
    high, share = min(low + 1, steps - 1), place - low
    between: NDArray[Any] = (1 - share) * values.take(low, axis) + share * values.take(high, axis)
    return values.take(low, axis) if share == 0 else between


def _looks(explanation: Explanation, indices: list[int], **options: Any) -> tuple[list[Explanation], float]:
    """The frames, and where the colours of all of them end."""
    own = [frame(explanation, index) for index in indices]
    every = [frame(explanation, index) for index in range(explanation.size[0])]
    return own, scale([look(one, most=64) for one in every], options.get("percentile", PERCENTILE))


def montage(
    explanation: Explanation, *, frames: int | None = None, columns: int | None = None, cell: int = 200, **options: Any
) -> tuple[list[list[Cell]], dict[str, Any]]:
    """The rows of cells of `Explanation.montage`, and what else `seewhy.render.grid` takes."""
    check(explanation)
    count = explanation.size[0]
    shown = min(frames or _SHOWN, count)
    if shown < 1:
        raise UsageError(f"frames={frames}: a montage shows one frame or more")
    indices = [round(n * (count - 1) / max(shown - 1, 1)) for n in range(shown)]
    own, top = _looks(explanation, indices, **options)
    ends = _ends(explanation, top)
    cells = []
    for index, one in zip(indices, own, strict=True):
        seen = look(one, most=cell)
        cells.append(Cell(pixels(one, seen, limits=ends, **options), below=(f"frame {index}",), note=seen.note))
    step = columns or min(_COLUMNS, shown)
    rows = [cells[at : at + step] for at in range(0, len(cells), step)]
    bar = bar_of(own[0], look(own[0], most=cell), options.get("cmap"), ends)
    said = "; ".join(explanation.notes)
    return rows, {"cell": cell, "header": " · ".join(titles(explanation)), "footer": said, "colorbar": bar}


def _ends(explanation: Explanation, top: float) -> tuple[float, float]:
    signed = not explanation.positive and bool((explanation.values < 0).any())
    return (-top if signed else 0.0, top)


def film(explanation: Explanation, *, duration: int = _EACH, width: int | None = None, **options: Any) -> bytes:
    """See `Explanation.save`: a GIF of all frames with the map over them, in one scale of colours."""
    check(explanation)
    own, top = _looks(explanation, list(range(explanation.size[0])), **options)
    ends = _ends(explanation, top)
    pictures = [overlay(one, limits=ends, width=width, caption=False, **options) for one in own]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, format="GIF", save_all=True, append_images=pictures[1:], duration=duration, loop=0, disposal=2
    )
    return buffer.getvalue()
