"""Photos that are sent: decoded in a process of their own, held within limits, named by what is in them."""

from __future__ import annotations

import io
import os
import signal
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

import seewhy
from pages import EVIL
from seewhy.web.decoding import Decoder
from seewhy.web.limits import Limits
from seewhy.web.problems import Problem
from seewhy.web.workbench import Workbench
from serving import Client, served

from .conftest import SIZE, picture, png, small


def test_a_photo_is_what_it_is(client: Client) -> None:
    sent = client.send(png(3), name=quote("my cat's <b>.png"))
    assert sent.status == 201
    told = sent.json
    assert (told["name"], told["width"], told["height"], told["seen"]) == ("my cat's <b>.png", 60, 40, [SIZE, SIZE])
    # resized to 32 rows and 48 columns, of which the middle 24 are seen
    assert told["window"] == pytest.approx([12 / 48, 4 / 32, 36 / 48, 28 / 32])
    assert client.send(png(3)).json["id"] == told["id"]
    shown = Image.open(io.BytesIO(client.get(told["image"]).body))
    assert shown.size == (60, 40)
    assert np.abs(np.asarray(shown, dtype=int) - np.asarray(picture(3), dtype=int)).mean() < 4
    assert client.get(told["thumb"]).headers["content-type"] == "image/jpeg"
    listed = client.get("photos").json
    assert listed["photos"][0]["id"] == told["id"]
    assert client.ask("DELETE", f"photos/{told['id']}").status == 204
    assert client.get(f"photos/{told['id']}").status == 404


def test_the_folder_is_listed_by_names_alone(client: Client, folder: Path) -> None:
    listed = client.get("photos?limit=1000").json["photos"]
    own = [each for each in listed if not each["uploaded"]]
    assert [each["name"] for each in own] == ["a.png", "b.png", "deep/c.png", "x ' onerror=alert(1) .png"]
    assert str(folder) not in client.get("photos").body.decode()
    assert client.ask("DELETE", f"photos/{own[0]['id']}").status == 409
    assert client.get(f"photos/{own[2]['id']}").json["width"] == 60


def test_exif_is_turned_and_said(client: Client) -> None:
    file = io.BytesIO()
    image, exif = picture(4), Image.Exif()
    exif[0x0112] = 6
    image.save(file, "JPEG", exif=exif)
    told = client.send(file.getvalue(), "image/jpeg").json
    assert (told["width"], told["height"]) == (40, 60)


@pytest.mark.parametrize(
    ("data", "status"),
    [(b"", 422), (b"not a picture", 415), (png()[:200], 422), (b"%PDF-1.4 hello", 415), (b"<svg/>", 415),
     (b"\x89PNG\r\n\x1a\n" + b"\x00" * 50, 415)],
)  # fmt: skip
def test_what_is_no_photo_is_said(client: Client, data: bytes, status: int) -> None:
    reply = client.send(data)
    assert reply.status == status
    assert "/" not in reply.detail.replace("image/", "")


def test_another_type_is_refused(client: Client) -> None:
    assert client.send(png(), "text/html").status == 415


def test_evil_names_stay_text(client: Client) -> None:
    for name in EVIL:
        told = client.send(png(5), name=quote(name)).json
        client.ask("DELETE", f"photos/{told['id']}")
        assert told["name"].strip()


def test_more_pixels_than_are_taken(folder: Path) -> None:
    with served(Workbench(small(), str(folder), limits=Limits(pixels=1000))) as client:
        reply = client.send(png())
        assert reply.status == 413
        assert "60 x 40" in reply.detail


def test_more_photos_than_are_held(folder: Path) -> None:
    with served(Workbench(small(), str(folder), limits=Limits(photos=2))) as client:
        first = client.send(png(1)).json["id"]
        assert client.send(png(2)).status == 201
        full = client.send(png(3))
        assert full.status == 413
        assert "delete some" in full.detail
        client.ask("DELETE", f"photos/{first}")
        assert client.send(png(3)).status == 201


def test_a_decoder_that_ends_is_begun_again() -> None:
    decoder = Decoder(Limits())
    try:
        assert decoder.photo(png(), "x.png").pixels.size == (60, 40)
        first = decoder.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        while decoder.pid == first:  # the first file after it may still meet its end
            with suppress(Problem):
                decoder.photo(png(), "x.png")
        assert decoder.photo(png(), "x.png").pixels.size == (60, 40)
    finally:
        decoder.close()


def test_a_decoder_that_takes_too_long_is_stopped() -> None:
    decoder = Decoder(Limits(decoding=0.2))
    try:
        decoder.photo(png(), "x.png")
        stopped = decoder.pid
        assert stopped is not None
        os.kill(stopped, signal.SIGSTOP)
        with pytest.raises(Problem, match="took more than"):
            decoder.photo(png(), "x.png")
        assert decoder.photo(png(), "x.png").pixels.size == (60, 40)
        assert decoder.pid != stopped
    finally:
        decoder.close()


@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="limits of Linux")
def test_a_decoder_has_limits() -> None:
    decoder = Decoder(Limits())
    try:
        decoder.photo(png(), "x.png")
        limits = Path(f"/proc/{decoder.pid}/limits").read_text()
        rows = {line[:25].strip(): line[26:].split()[0] for line in limits.splitlines()[1:]}
        assert int(rows["Max address space"]) < 2**36
        assert rows["Max file size"] == "0"
        assert rows["Max core file size"] == "0"
    finally:
        decoder.close()


def test_what_is_explained_is_the_photo_itself(client: Client) -> None:
    number = client.send(png(6)).json["id"]
    (told,) = client.explained(number, "grad-cam", target=1)
    values = np.frombuffer(client.get(told["map"]["url"]).body, dtype="<f4").reshape(SIZE, SIZE)
    own = seewhy.explain(small(), picture(6), "grad-cam", target=1)
    np.testing.assert_allclose(values, own.map, atol=1e-6)
    assert told["window"] == pytest.approx(client.get(f"photos/{number}").json["window"])
