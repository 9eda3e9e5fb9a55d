"""Files: the right format, never over another one, never half."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from seewhy.errors import UsageError
from seewhy.render import write, write_bytes

PIXELS = np.random.default_rng(0).integers(0, 256, size=(16, 16, 3), dtype=np.uint8)
IMAGE = Image.fromarray(PIXELS)


def test_png_is_lossless(tmp_path: Path) -> None:
    path = write(IMAGE, tmp_path / "a.png")
    with Image.open(path) as stored:
        assert stored.format == "PNG"
        assert (np.asarray(stored) == PIXELS).all()


@pytest.mark.parametrize("name", ["a.jpg", "a.JPEG"])
def test_jpeg_keeps_full_colour_resolution(tmp_path: Path, name: str) -> None:
    stripes = np.zeros((16, 16, 3), dtype=np.uint8)
    stripes[:, ::2, 0] = 255
    with Image.open(write(Image.fromarray(stripes), tmp_path / name)) as stored:
        assert stored.format == "JPEG"
        # with subsampled colour, every other red column would bleed into its neighbours
        assert np.abs(np.asarray(stored).astype(int) - stripes).mean() < 12
        assert {component[1:3] for component in stored.layer} == {(1, 1)}  # type: ignore[attr-defined]


def test_svg_is_written_as_utf_8(tmp_path: Path) -> None:
    path = write("<svg>−é</svg>", tmp_path / "a.svg")
    assert path.read_bytes().decode("utf-8") == "<svg>−é</svg>"


def test_existing_files_are_kept_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("mine")
    with pytest.raises(UsageError, match=r"a\.png exists already.*--force"):
        write(IMAGE, path)
    with pytest.raises(UsageError, match="--force"):
        write_bytes(b"x", path)
    assert path.read_text() == "mine"
    write(IMAGE, path, force=True)
    assert path.read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("name", "words"),
    [("a.pgn", r"'\.pgn'; nearest: '\.png'\. Suffixes: \.png, \.jpg, \.jpeg, \.svg"), ("a", "no suffix")],
)
def test_unknown_suffixes_list_the_known(tmp_path: Path, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        write(IMAGE, tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_picture_and_suffix_must_agree(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"image cannot be written as '\.svg'"):
        write(IMAGE, tmp_path / "a.svg")
    with pytest.raises(UsageError, match="SVG document cannot"):
        write("<svg/>", tmp_path / "a.png")


def test_folders_are_made_and_a_folder_is_no_file(tmp_path: Path) -> None:
    assert write(IMAGE, tmp_path / "x" / "y" / "a.png").is_file()
    (tmp_path / "b.png").mkdir()
    with pytest.raises(UsageError, match="it is a folder"):
        write(IMAGE, tmp_path / "b.png", force=True)
    (tmp_path / "plain").write_text("")
    with pytest.raises(UsageError, match="choose another folder"):
        write(IMAGE, tmp_path / "plain" / "a.png")


def test_a_failure_leaves_the_old_file_and_no_rubbish(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    path.write_text("old")

    plain = Path.write_bytes

    def fail(self: Path, data: bytes) -> int:
        plain(self, data[: len(data) // 2])
        raise OSError("disk full")

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(UsageError, match="disk full"):
        write(IMAGE, path, force=True)
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["a.png"]


def test_a_disk_that_takes_half_a_jpeg_is_noticed(tmp_path: Path) -> None:
    """Pillow would write it into the file by itself, and not look at how much went in."""
    pytest.importorskip("resource")
    code = (
        "import resource, signal, sys, numpy as np\n"
        "from PIL import Image\n"
        "from seewhy.errors import UsageError\n"
        "from seewhy.render import write\n"
        "image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, -1))\n"
        "try:\n"
        "    write(image, sys.argv[1])\n"
        "except UsageError as error:\n"
        "    print(error)\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a.jpg")], capture_output=True, text=True, check=True
    )
    assert "cannot write" in ran.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["n" * 300 + ".png", "n" * 300 + "/a.png"])
@pytest.mark.parametrize("force", [False, True])
def test_a_name_that_is_too_long_is_one_line(tmp_path: Path, name: str, force: bool) -> None:
    for save in (lambda path: write(IMAGE, path, force=force), lambda path: write_bytes(b"x", path, force=force)):
        with pytest.raises(UsageError, match=r"cannot write .*too long; choose a shorter name") as caught:
            save(tmp_path / name)
        assert "\n" not in str(caught.value)
        assert len(str(caught.value)) < 250
    assert not list(tmp_path.iterdir())


def test_a_name_with_a_nul_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"no file's name has a NUL in it"):
        write(IMAGE, f"{tmp_path}/a\0b.png")


@pytest.mark.parametrize("name", ["a\nb.xyz", "a\nb", "a\rb.gif", "there\n.png", "folder\u2028.png", "a\x1b[2J.x"])
def test_whatever_a_name_has_in_it_the_error_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "there\n.png").touch()
    (tmp_path / "folder\u2028.png").mkdir()
    with pytest.raises(UsageError) as caught:
        write(IMAGE, tmp_path / name)
    assert str(caught.value).isprintable()
    assert name.encode("unicode_escape").decode() in str(caught.value)


def test_pdf_holds_an_image_or_a_document(tmp_path: Path) -> None:
    assert write(IMAGE, tmp_path / "a.pdf").read_bytes().startswith(b"%PDF")
    assert write(b"%PDF-1.4", tmp_path / "b.pdf").read_bytes() == b"%PDF-1.4"
    with pytest.raises(UsageError, match=r"a PDF document cannot be written as '\.png'.*name it \.pdf"):
        write(b"%PDF-1.4", tmp_path / "c.png")


@pytest.mark.parametrize("suffix", ["png", "jpg"])
def test_images_know_how_large_they_are_printed(tmp_path: Path, suffix: str) -> None:
    with Image.open(write(IMAGE, tmp_path / f"a.{suffix}", dpi=300)) as stored:
        assert stored.info["dpi"] == pytest.approx((300, 300), abs=0.1)
