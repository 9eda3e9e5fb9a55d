"""Serving: takes a workbench and an address, serves it until it is interrupted; says where it is."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import socket
import webbrowser
from collections.abc import Callable
from contextlib import closing
from urllib.parse import urlencode

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from seewhy.errors import UsageError, reason
from seewhy.web.application import application
from seewhy.web.guarding import is_loopback
from seewhy.web.workbench import Workbench

__all__ = ["PORT", "check_open", "config_of", "serve"]

#: where it is looked for a free port first
PORT = 8765
_TRIED = 20
#: connections at a time
_CONNECTIONS = 256
#: seconds in which a connection has to ask something
_PATIENCE = 10.0
#: of a token at least
_LETTERS = 16


def serve(
    bench: Workbench,
    *,
    host: str = "127.0.0.1",
    port: int | None = None,
    allow_remote: bool = False,
    token: str | None = None,
    browser: bool = True,
    said: Callable[[str], None] = print,
) -> None:
    """Serve a workbench until Ctrl-C. ``said`` is told its address, with the token, once it answers.

    Without a ``port`` the first free one from 8765 on. A ``host`` that is not of this machine alone needs
    ``allow_remote`` and a ``token``: whoever has both may ask the model. Raises `UsageError` where it may not, or
    cannot, be served.
    """
    check_open(host, token, allow_remote=allow_remote)
    token = token or secrets.token_urlsafe(24)
    with closing(_bound(host, port)) as bound:
        at = bound.getsockname()[1]
        name = f"[{host}]" if ":" in host else host
        url = f"http://{name}:{at}/?{urlencode({'token': token})}"
        config = config_of(application(bench, token, host, at))
        _Server(config, url, said, browser=browser).run(sockets=[bound])


def check_open(host: str, token: str | None, *, allow_remote: bool) -> None:
    """Raise `UsageError` for an address that may not be served, and for a token that can be guessed."""
    if not is_loopback(host) and not (allow_remote and token):
        raise UsageError(
            f"--host {host} lets other machines ask this model: if they should, give --allow-remote and a --token of "
            "your own (or leave --host out, and reach it by ssh -L)"
        )
    if token is not None and not re.fullmatch(r"[\w.~-]*", token, re.ASCII):
        raise UsageError("a token is letters, digits and . _ ~ - alone: it stands in an address and in a cookie")
    if token is not None and len(token) < _LETTERS:
        raise UsageError(f"a token of {len(token)} letters can be guessed: {_LETTERS} at least; left out, one is made")


def config_of(app: ASGIApp) -> uvicorn.Config:
    """How it is served: nothing is told of the server, and no connection is held for nothing."""
    return uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, proxy_headers=False, timeout_keep_alive=10,
        limit_concurrency=_CONNECTIONS, timeout_graceful_shutdown=3, ws="none", http=_Impatient,
    )  # fmt: skip


class _Impatient(H11Protocol):
    """A connection that asks nothing is closed: so many of them would leave no room for others."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """It begins."""
        super().connection_made(transport)
        self.loop.call_later(_PATIENCE, self._look)

    def _look(self) -> None:
        if getattr(self, "cycle", None) is None:
            self.transport.close()


class _Server(uvicorn.Server):
    """A server that says where it is once it answers."""

    def __init__(self, config: uvicorn.Config, url: str, said: Callable[[str], None], *, browser: bool) -> None:
        super().__init__(config)
        self._url, self._said, self._browser = url, said, browser

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin."""
        await super().startup(sockets)
        if self.started:
            self._said(self._url)
            if self._browser:
                webbrowser.open(self._url)


def _bound(host: str, port: int | None) -> socket.socket:
    """A socket at a free port. Raises `UsageError` where there is none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    wanted = range(PORT, PORT + _TRIED) if port is None else [port]
    error: OSError | None = None
    for each in wanted:
        bound = socket.socket(family, socket.SOCK_STREAM)
        if os.name == "posix":  # elsewhere it would let two servers have one port
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((host, each))
        except OSError as taken:
            bound.close()
            error = taken
            continue
        return bound
    which = f"port {port}" if port is not None else f"any port of {PORT} to {PORT + _TRIED - 1}"
    why = "" if error is None else f" ({reason(error)})"
    raise UsageError(f"cannot serve at {which} of {host}{why}: give another --port")
