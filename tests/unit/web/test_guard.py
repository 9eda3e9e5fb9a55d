"""Who may ask the workbench, and how much: everything else is refused in one line."""

from __future__ import annotations

import http.client
import io
import logging
import re
import socket
import time
from contextlib import closing
from pathlib import Path

import pytest

from seewhy.errors import UsageError
from seewhy.web import serving
from seewhy.web.encoding import plainly
from seewhy.web.guarding import POLICY, cookie_name, hosts_of
from seewhy.web.limits import Limits
from seewhy.web.problems import Problem, Scrub, problem_of
from seewhy.web.serving import serve
from seewhy.web.workbench import Workbench
from serving import TOKEN, Client, served

from .conftest import png, small


def test_the_printed_address_answers_and_its_cookie_opens_all(client: Client) -> None:
    page = client.ask("GET", f"/?token={TOKEN}", token=None)
    assert page.status == 200
    assert page.headers["content-type"].startswith("text/html")
    cookie = page.headers["set-cookie"]
    assert cookie == f"{cookie_name(client.port)}={TOKEN}; HttpOnly; Path=/; SameSite=strict"
    own = {"Cookie": cookie.partition(";")[0], "Sec_Fetch_Site": "same-origin"}
    assert client.get("session", token=None, **own).status == 200
    assert client.ask("GET", "/", token=None, **own).status == 200
    origin = {"Origin": f"http://127.0.0.1:{client.port}"}
    sent = client.post("photos", png(), token=None, Content_Type="image/png", **own, **origin)
    assert sent.status == 201


@pytest.mark.parametrize(
    ("path", "token"),
    [("session", None), ("session", "wrong"), ("/", None), ("/app.js", None), ("/nothing", None), ("/?token=wrong", None),
     ("openapi.json", None), (f"session?token={TOKEN}", None), ("session", "")],
)  # fmt: skip
def test_without_the_token_nothing_is_told(client: Client, path: str, token: str | None) -> None:
    reply = client.get(path, token=token)
    assert reply.status == 401
    assert "open the address that seewhy serve printed" in reply.detail
    assert TOKEN not in reply.body.decode()


def test_a_class_that_there_is_not_is_an_answer_and_no_failure(client: Client, photo: str) -> None:
    told = io.StringIO()
    heard = logging.StreamHandler(told)
    logging.getLogger("uvicorn.error").addHandler(heard)
    try:
        reply = client.post("explanations", {"photo": photo, "methods": ["saliency"], "target": "no such class"})
        assert reply.status == 404
        time.sleep(0.2)  # the server tells of a failure behind its answer
    finally:
        logging.getLogger("uvicorn.error").removeHandler(heard)
    assert told.getvalue() == ""


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "127.0.0.1:1", "localhost.evil.example:80", ""])
def test_another_host_is_refused(client: Client, host: str) -> None:
    assert client.get("session", Host=host).status in (400, 421)


def test_names_of_this_machine_are_its_own(client: Client) -> None:
    assert client.get("session", Host=f"localhost:{client.port}").status == 200
    assert hosts_of("::1", 80) >= {"[::1]:80", "[::1]", "localhost"}
    assert hosts_of("10.0.0.7", 5) == {"10.0.0.7:5"}


@pytest.mark.parametrize(
    "origin",
    [
        "http://evil.example",
        "null",
        "https://127.0.0.1.evil.example",
        "http://127.0.0.1:1",
        "file://",
        "http://[",
        "http://[x]",
    ],
)
def test_another_origin_is_refused(client: Client, origin: str) -> None:
    assert client.get("session", Origin=origin).status == 403
    assert client.post("photos", png(), Content_Type="image/png", Origin=origin).status == 403


def test_a_page_of_another_site_is_refused_with_the_cookie(client: Client) -> None:
    cookie = f"{cookie_name(client.port)}={TOKEN}"
    for site in ("cross-site", "same-site"):
        assert client.get("session", token=None, Cookie=cookie, Sec_Fetch_Site=site).status == 403
    # a link to the page itself is nobody's secret
    assert client.ask("GET", "/", token=None, Cookie=cookie, Sec_Fetch_Site="cross-site").status == 200
    # no browser sends a cookie with a change and neither Origin nor Sec-Fetch-Site
    assert client.post("photos", png(), token=None, Cookie=cookie, Content_Type="image/png").status == 403


def test_no_other_page_may_read_an_answer(client: Client) -> None:
    reply = client.get("session")
    assert not [name for name in reply.headers if name.startswith("access-control")]
    assert client.ask("OPTIONS", "session").status == 405
    assert reply.headers["cross-origin-resource-policy"] == "same-origin"
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert reply.headers["cache-control"] == "no-store"
    assert "server" not in reply.headers
    for path in ("/", "session", "nothing"):
        assert client.get(path).headers["content-security-policy"] == POLICY
    assert "unsafe" not in POLICY
    assert "http" not in POLICY


@pytest.mark.parametrize(
    "path",
    ["/../pyproject.toml", "/..%2f..%2fpyproject.toml", "/%2e%2e/%2e%2e/etc/passwd", "/.git", "/built/index.html",
     "/api/v1/audit/pictures/..%2faudit.json", "/api/v1/photos/..%2f..%2fetc%2fpasswd", "/index.html", "/app.js/..",
     "/api/v1/photos/a.png/image", "/docs", "/redoc"],
)  # fmt: skip
def test_paths_lead_nowhere(client: Client, path: str) -> None:
    reply = client.get(path)
    assert reply.status == 404
    assert reply.detail


def test_bodies_have_their_size(folder: Path) -> None:
    with served(Workbench(small(), str(folder), limits=Limits(bytes=3000, asking=1000))) as client:
        assert client.send(png() + bytes(3000)).status == 413
        assert client.post("explanations", {"photo": "a" * 2000, "methods": ["grad-cam"]}).status == 413
        with closing(http.client.HTTPConnection("127.0.0.1", client.port, timeout=20)) as connection:
            head = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "image/png", "Content-Length": "99999999999"}
            connection.putrequest("POST", "/api/v1/photos")
            for name, value in head.items():
                connection.putheader(name, value)
            connection.endheaders()  # what is too large is refused before it is sent
            assert connection.getresponse().status == 413
        # in pieces, without a length
        pieces = (bytes(500) for _ in range(10))
        with closing(http.client.HTTPConnection("127.0.0.1", client.port, timeout=20)) as connection:
            told = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "image/png"}
            connection.request("POST", "/api/v1/photos", pieces, told, encode_chunked=True)
            assert connection.getresponse().status == 413


def test_bodies_have_their_time(folder: Path) -> None:
    with served(Workbench(small(), str(folder), limits=Limits(arriving=0.5))) as client:
        with closing(socket.create_connection(("127.0.0.1", client.port), 20)) as slow:
            head = (
                f"POST /api/v1/photos HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nAuthorization: Bearer {TOKEN}\r\n"
                "Content-Type: image/png\r\nContent-Length: 5000\r\n\r\n"
            )
            slow.sendall(head.encode() + b"x")
            began = time.monotonic()
            answer = slow.recv(4000).decode()
            assert answer.startswith("HTTP/1.1 408"), answer
            assert time.monotonic() - began < 10
        assert client.get("session").status == 200


def test_problems_tell_no_paths(tmp_path: Path) -> None:
    scrub = Scrub([tmp_path, "s3://bucket/run"])
    assert scrub(f"cannot read '{tmp_path}/x.png': it is gone") == "cannot read '…/x.png': it is gone"
    assert scrub("cannot read '/home/somebody/secret/x.png' here") == "cannot read '…/x.png' here"
    assert scrub("2 of 3, and/or 1/2, blocks.1/conv") == "2 of 3, and/or 1/2, blocks.1/conv"
    assert scrub("C:\\Users\\me\\x.pt is gone") == "…/x.pt is gone"
    assert problem_of(RuntimeError("what /usr/lib/secret.py raised")).status == 500
    assert problem_of(UsageError("no")).status == 422
    assert problem_of(Problem(429, "later")).status == 429


def test_errors_are_problems(client: Client) -> None:
    assert client.get("explanations/nothing").status == 404
    assert client.ask("DELETE", "session").status == 405
    assert client.ask("TRACE", "session").status in (400, 405)
    bad = client.post("explanations", b"{", Content_Type="application/json")
    assert bad.status == 422
    assert "json" in bad.detail.lower()
    unknown = client.post("explanations", {"photo": "a" * 20, "methods": ["grad-cam"], "file": "/etc/passwd"})
    assert unknown.status == 422
    assert "file" in unknown.detail


@pytest.mark.parametrize(
    ("host", "more"),
    [("0.0.0.0", {}), ("0.0.0.0", {"allow_remote": True}), ("0.0.0.0", {"token": "a" * 20}), ("::", {})],
)
def test_other_machines_are_let_in_by_two_words(host: str, more: dict[str, object]) -> None:
    bench: Workbench = object()  # type: ignore[assignment]  # not reached
    with pytest.raises(UsageError, match=re.escape("--allow-remote")):
        serve(bench, host=host, **more)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="16 at least"):
        serve(bench, token="short")


def test_no_telemetry_whatever_the_environment_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FASTAPI_OTEL_AUTO_CONFIGURE", "true")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    with served(Workbench(small(), str(folder))) as client:
        assert client.get("session").status == 200


def test_so_many_photos_arrive_at_a_time(folder: Path) -> None:
    with served(Workbench(small(), str(folder), limits=Limits(uploads=2, arriving=5.0))) as client:
        head = (
            f"POST /api/v1/photos HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\nAuthorization: Bearer {TOKEN}\r\n"
            "Content-Type: image/png\r\nContent-Length: 5000\r\n\r\n"
        )
        slow = [socket.create_connection(("127.0.0.1", client.port), 20) for _ in range(2)]
        for one in slow:
            one.sendall(head.encode())
        time.sleep(0.3)
        full = client.send(png())
        assert full.status == 429
        assert full.headers["retry-after"] == "1"
        assert client.get("photos").status == 200
        for one in slow:
            one.close()
        until = time.monotonic() + 10
        while client.send(png()).status != 201:
            assert time.monotonic() < until
            time.sleep(0.05)


def test_a_connection_that_asks_nothing_is_closed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serving, "_PATIENCE", 0.3)
    with closing(socket.create_connection(("127.0.0.1", client.port), 20)) as silent:
        assert silent.recv(10) == b""


def test_cookies_of_other_programs_do_no_harm(client: Client) -> None:
    own = f"{cookie_name(client.port)}={TOKEN}"
    for other in ('theme={"a":1}', "foo bar", "a@b=1", 'k="open', "a=b c", "ü=ä"):
        cookie = f"{other}; {own}".encode().decode("latin-1")
        assert client.get("session", token=None, Cookie=cookie, Sec_Fetch_Site="same-origin").status == 200, other


def test_the_scheme_is_bearer_in_any_case(client: Client) -> None:
    assert client.get("session", token=None, Authorization=f"bearer {TOKEN}").status == 200
    assert client.get("session", token=None, Authorization=TOKEN).status == 401


@pytest.mark.parametrize("token", ["ü" * 20, "a b" * 10, "a;" * 10])
def test_a_token_fits_an_address_and_a_cookie(token: str) -> None:
    with pytest.raises(UsageError, match="letters, digits"):
        serving.check_open("127.0.0.1", token, allow_remote=False)


def test_places_with_spaces_are_told_by_their_last_part() -> None:
    scrub = Scrub(["/home/john smith"])
    told = scrub("gone: '/home/john smith/secret models/net.pt', and /root/.cache/x/y.bin")
    assert told == "gone: '…/net.pt', and …/y.bin"


def test_signs_that_turn_a_line_round_are_written_out() -> None:
    told = plainly({"label": "cat\u202ecba", "code": "one\ntwo", "name": "a\x00\x1b[31m", "word": "Katze, größer"})
    assert told == {"label": "cat\\u202ecba", "code": "one\ntwo", "name": "a\\x00\\x1b[31m", "word": "Katze, größer"}
