"""Films: which frame is which, in whatever order they are asked for, in threads, and turned as the film says."""

from __future__ import annotations

import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from picture_files import write_film
from seewhy.errors import ImageError, UsageError
from seewhy.models import films
from seewhy.models.films import Film, evenly

av = pytest.importorskip("av")


def level(photo: Any) -> int:
    """The number of a frame of `write_film`, from how bright it is."""
    return round(float(np.asarray(photo.pixels)[:, :32].mean()) / 10)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_film(tmp_path_factory.mktemp("films") / "clip.mp4", 24)


def test_frames_in_any_order(clip: Path) -> None:
    film = Film(clip, "clip.mp4")
    assert film.count() == 24
    for number in (0, 1, 2, 23, 5, 4, 6, 23, 0):
        photo = film.frame(number)
        assert level(photo) == number
        assert (photo.name, photo.path) == (f"clip-{number}.mp4", f"clip.mp4#{number}")
    with pytest.raises(ImageError, match=r"cannot read frame 24 of 'clip\.mp4': the film ends before"):
        film.frame(24)
    assert level(film.frame(3)) == 3  # and it goes on


@pytest.mark.parametrize(
    ("codec", "suffix"),
    [("libx264", ".mp4"), ("libx264", ".mkv"), ("mpeg4", ".avi"), ("libvpx-vp9", ".webm"), ("mpeg1video", ".mpg")],
)
def test_as_many_frames_are_counted_as_are_decoded(tmp_path: Path, codec: str, suffix: str) -> None:
    try:
        clip = write_film(tmp_path / f"clip{suffix}", 24, codec, rate=25)
    except av.error.FFmpegError as error:
        pytest.skip(f"{codec} is not there: {error}")
    film = Film(clip, clip.name)
    assert film.count() == 24
    assert abs(level(film.frame(23)) - 23) <= 1


def test_frames_are_pyav_s_own(clip: Path) -> None:
    with av.open(str(clip)) as container:
        theirs = [frame.to_ndarray(format="rgb24") for frame in container.decode(container.streams.video[0])]
    film = pickle.loads(pickle.dumps(Film(clip, "clip.mp4")))
    for number, frame in enumerate(theirs):
        assert np.array_equal(np.asarray(film.frame(number).pixels), frame)


def test_asked_in_order_each_frame_is_decoded_once(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = []
    after = Film._opened
    monkeypatch.setattr(Film, "_opened", lambda self: (opened.append(1), after(self))[1])
    film = Film(clip, "clip.mp4")
    with ThreadPoolExecutor(4) as pool:
        assert [level(photo) for photo in pool.map(film.frame, range(24))] == list(range(24))
    assert len(opened) == 1
    film.frame(0)
    assert len(opened) == 2  # it has gone by


def test_a_film_that_is_closed_opens_again(clip: Path) -> None:
    film = Film(clip, "clip.mp4")
    film.frame(5)
    film.close()
    assert (film._frames, len(film._recent)) == (None, 0)
    assert level(film.frame(4)) == 4


def test_few_large_frames_are_kept(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(films, "_KEPT", 3 * 64 * 48 * 2)
    film = Film(clip, "clip.mp4")
    for number in range(10):
        film.frame(number)
    assert list(film._recent) == [8, 9]


@pytest.mark.parametrize(
    ("turn", "operation"),
    [(90, Image.Transpose.ROTATE_270), (180, Image.Transpose.ROTATE_180), (270, Image.Transpose.ROTATE_90)],
)
def test_frames_are_turned_as_the_film_says(clip: Path, tmp_path: Path, turn: int, operation: Any) -> None:
    """ISO/IEC 14496-12, 8.3.2: the matrix of the track header, rows (a, b, u), (c, d, v), (x, y, w); a phone held upright
    writes a quarter turn clockwise."""
    matrix = {90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}[turn]
    data = bytearray(clip.read_bytes())
    at = data.index(b"tkhd") + 4 + 4 + 20 + 8 + 8  # version and flags, times and numbers, reserved, layer to volume
    a, b, c, d = (int(value << 16).to_bytes(4, "big", signed=True) for value in matrix)
    zero, one = bytes(4), (1 << 30).to_bytes(4, "big")
    data[at : at + 36] = a + b + zero + c + d + zero + zero + zero + one
    (turned := tmp_path / "turned.mp4").write_bytes(data)
    plain, found = Film(clip, "clip.mp4").frame(7).pixels, Film(turned, "turned.mp4").frame(7).pixels
    assert np.array_equal(np.asarray(found), np.asarray(plain.transpose(operation)))


def test_words_of_another_alphabet_in_a_film_are_no_matter(clip: Path, tmp_path: Path) -> None:
    data = clip.read_bytes()
    assert b"Lavf" in data  # what wrote it
    (other := tmp_path / "other.mp4").write_bytes(data.replace(b"Lavf", b"\xe9avf"))
    with pytest.raises(UnicodeDecodeError):
        av.open(str(other))
    assert Film(other, "other.mp4").count() == 24


def test_what_is_no_film(tmp_path: Path, clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no film")
    for number in (lambda film: film.count(), lambda film: film.frame(0)):
        with pytest.raises(ImageError, match=r"cannot read the film 'a\.mp4'"):
            number(Film(tmp_path / "a.mp4", "a.mp4"))
        with pytest.raises(ImageError, match=r"cannot read the film 'b\.mp4'"):
            number(Film(tmp_path / "b.mp4", "b.mp4"))
    monkeypatch.setitem(__import__("sys").modules, "av", None)
    with pytest.raises(UsageError, match=r"'clip\.mp4' is a film: pip install 'seewhy\[video\]'"):
        Film(clip, "clip.mp4")


def test_evenly_is_the_middle_of_equal_parts() -> None:
    for total in range(1, 30):
        for count in range(1, 35):
            expected = []
            for n in range(count):
                middle = int((n + 0.5) * total / count + 1e-9)
                if middle not in expected:
                    expected.append(middle)
            assert evenly(total, count) == expected
    assert evenly(0, 3) == []
