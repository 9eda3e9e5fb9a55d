"""The guard: takes every request before anything else does, lets those in that come from the page itself or bring the
token, with a body as large and as fast as it may be; and says with every answer what a browser may do with it."""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from seewhy.web.encoding import problem_answer
from seewhy.web.limits import Limits
from seewhy.web.problems import Problem, Scrub

__all__ = ["POLICY", "Guard", "cookie_name", "hosts_of"]

#: what the page may load and do: what lies here, and pictures that it made itself
POLICY = "; ".join(
    [
        "default-src 'none'", "script-src 'self'", "style-src 'self'", "img-src 'self' blob: data:",
        "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'",
    ]
)  # fmt: skip
_HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
}
#: methods of HTTP that change nothing
_SAFE = ("GET", "HEAD")
_KNOWN = (*_SAFE, "POST", "DELETE")
#: seconds and bytes that are still taken in of what is refused
_LINGERS, _LOST = 2.0, 256 * 2**20
#: where photos are sent
_UPLOADS = "/api/v1/photos"


def cookie_name(port: int) -> str:
    """Browsers send the cookies of one port to all others of a machine: each has its own name."""
    return f"seewhy-{port}"


def hosts_of(host: str, port: int) -> frozenset[str]:
    """What a request may call the machine, in its Host: another name is a page of somebody else's that points here."""
    names = {host.lower()} | ({"127.0.0.1", "localhost", "[::1]"} if is_loopback(host) else set())
    names = {f"[{name}]" if ":" in name and not name.startswith("[") else name for name in names}
    return frozenset({f"{name}:{port}" for name in names} | (names if port == 80 else set()))


def is_loopback(host: str) -> bool:
    """Whether an address is of this machine alone."""
    return host in ("localhost", "::1") or host.startswith("127.")


@dataclass(frozen=True)
class Guard:
    """An ASGI application around another: who may ask, and how much."""

    inner: ASGIApp
    token: str
    hosts: frozenset[str]
    cookie: str
    limits: Limits
    scrub: Scrub
    _arriving: list[None] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.inner(scope, receive, send)
            return
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *_safe(message.get("headers", []))]}
            await send(message)

        places: list[None] = []
        try:
            self._check(scope, headers)
            places = self._place(scope)
            taken = await self._body(scope, headers, receive)
            await self.inner(scope, taken, sent)
        except Problem as problem:
            large = problem.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
            await problem_answer(problem, self.scrub)(scope, receive, _lingering(sent, receive) if large else sent)
        finally:
            del self._arriving[: len(places)]

    def _place(self, scope: Scope) -> list[None]:
        """One of so many places for photos that are on their way, or being decoded; nothing for other requests."""
        if not _is_upload(scope):
            return []
        if len(self._arriving) >= self.limits.uploads:
            said = f"{len(self._arriving)} photos are on their way already: send it again in a moment"
            raise Problem(429, said, **{"Retry-After": "1"})
        self._arriving.append(None)
        return [None]

    def _check(self, scope: Scope, headers: Mapping[str, str]) -> None:
        """Raise `Problem` for a request that is not the page's own, and brings no token."""
        host = headers.get("host", "").lower()
        if host not in self.hosts:
            raise Problem(421, f"this is not {host[:80]!r}: open the address that seewhy serve printed")
        if scope["method"] not in _KNOWN:
            raise Problem(405, f"{scope['method'][:16]} is not known here: GET, POST and DELETE are")
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in (f"http://{host}", f"https://{host}"):
            raise Problem(403, "a page of another origin may ask nothing here")
        scheme, _, given = headers.get("authorization", "").partition(" ")
        bearer = scheme.lower() == "bearer" and self._right(given.strip())
        here = headers.get("sec-fetch-site", "none") in ("same-origin", "none")
        if not bearer and not here and not (scope["method"] == "GET" and scope["path"] == "/"):
            raise Problem(403, "a page of another site may ask nothing here")
        if not bearer and scope["method"] not in _SAFE and origin is None and "sec-fetch-site" not in headers:
            raise Problem(403, "without an Origin a request that changes something needs Authorization: Bearer TOKEN")
        if bearer or self._right(_cookies(headers).get(self.cookie, "")):
            return
        in_address = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if scope["method"] in _SAFE and scope["path"] == "/" and self._right(in_address):
            return
        raise Problem(
            401, "no right token: open the address that seewhy serve printed", **{"WWW-Authenticate": "Bearer"}
        )

    def _right(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "replace"), self.token.encode())

    async def _body(self, scope: Scope, headers: Mapping[str, str], receive: Receive) -> Receive:
        """The whole body, within its limits of bytes and time, as what gives it again."""
        most = self.limits.bytes if _is_upload(scope) else self.limits.asking
        told = headers.get("content-length", "0")
        if not told.isdecimal() or int(told) > most:
            raise _too_large(most)
        body = bytearray()
        try:
            async with asyncio.timeout(self.limits.arriving):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Problem(400, "the request ended before its body did")
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise _too_large(most)
                    if not message.get("more_body", False):
                        break
        except TimeoutError:
            raise Problem(408, f"the body did not arrive within {self.limits.arriving:g} s") from None
        whole: list[bytes] = [bytes(body)]

        async def again() -> Message:
            if whole:
                return {"type": "http.request", "body": whole.pop(), "more_body": False}
            return await receive()

        return again


def _is_upload(scope: Scope) -> bool:
    return bool(scope["path"] == _UPLOADS and scope["method"] == "POST")


def _lingering(send: Send, receive: Receive) -> Send:
    """``send``, which takes in what is still on its way once it has answered: whoever is cut off while sending does not
    read the answer."""

    async def sent(message: Message) -> None:
        if message["type"] != "http.response.body":
            await send(message)
            return
        await send({**message, "more_body": True})
        taken = 0
        try:
            async with asyncio.timeout(_LINGERS):
                more = True
                while more and taken < _LOST:
                    heard = await receive()
                    taken += len(heard.get("body", b""))
                    more = heard["type"] == "http.request" and heard.get("more_body", False)
        except TimeoutError:  # nothing comes any more
            pass
        await send({"type": "http.response.body", "body": b""})

    return sent


def _too_large(most: int) -> Problem:
    return Problem(413, f"more than {most / 2**20:g} MiB, which is the most that is taken here", Connection="close")


def _cookies(headers: Mapping[str, str]) -> dict[str, str]:
    """By name: those of all programs of this machine come along, whatever they hold."""
    pairs = (each.partition("=") for each in headers.get("cookie", "").split(";"))
    return {name.strip(): value.strip() for name, _, value in pairs}


def _safe(given: Any) -> list[tuple[bytes, bytes]]:
    """The headers of every answer, but for those that it has already."""
    there = {name.lower() for name, _ in given}
    wanted = {**_HEADERS, "cache-control": "no-store"}
    return [(name.encode(), value.encode()) for name, value in wanted.items() if name.encode() not in there]
