"""Films as sources: all frames, every so many, or some evenly spaced."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from picture_files import write_film
from seewhy.errors import ImageError, UsageError
from seewhy.runs.sources import Entry, open_source

pytest.importorskip("av")


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("films") / "clip.mp4", 24)


@pytest.mark.parametrize(
    ("words", "numbers"),
    [({}, range(24)), ({"every": 5}, range(0, 24, 5)), ({"frames": 3}, (4, 12, 20)), ({"frames": 99}, range(24))],
)
def test_frames(clip: Path, words: dict[str, int], numbers: Any) -> None:
    source = pickle.loads(pickle.dumps(open_source(str(clip), **words)))
    entries = list(source.entries())
    assert entries == [Entry(f"{n:08}", at=f"frame {n}") for n in numbers]
    with ThreadPoolExecutor(3) as pool:
        photos = list(pool.map(source.read, entries))
    assert [round(float(np.asarray(photo.pixels)[:, :32].mean()) / 10) for photo in photos] == list(numbers)  # type: ignore[union-attr]


def test_what_is_no_film(tmp_path: Path, clip: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no film")
    with pytest.raises(UsageError, match=r"cannot read the film"):
        list(open_source(str(tmp_path / "a.mp4")).entries())
    with pytest.raises(ImageError, match="the film ends before"):
        open_source(str(clip)).read(Entry("x", at="frame 99"))
