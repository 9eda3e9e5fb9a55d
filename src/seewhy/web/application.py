"""The application: takes a workbench and a token, gives what a server runs: the page, the addresses, and the guard
around them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from seewhy._version import __version__
from seewhy.errors import SeewhyError
from seewhy.web.encoding import problem_answer
from seewhy.web.guarding import Guard, cookie_name, hosts_of
from seewhy.web.problems import Problem, problem_of
from seewhy.web.routes import about, data_set, explanations, interventions, photos
from seewhy.web.workbench import Workbench

__all__ = ["API", "application"]

API = "/api/v1"
#: newer versions of FastAPI tell traces, failures and their stacks to whatever the environment names
_NO_TELEMETRY: Any = {
    "tracing": False, "metrics": False, "logs": False, "operation_spans": False, "auto_configure": False,
}  # fmt: skip
#: the built page, and of what kind each of its files is
_BUILT = {
    "index.html": "text/html; charset=utf-8",
    "app.js": "text/javascript; charset=utf-8",
    "app.css": "text/css; charset=utf-8",
}


def application(bench: Workbench, token: str, host: str, port: int) -> Guard:
    """Everything that is served at ``host`` and ``port``; whoever brings the ``token`` may ask."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        bench.warm()
        yield
        bench.close()

    app = FastAPI(
        title="seewhy workbench", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        openapi_url=f"{API}/openapi.json", separate_input_output_schemas=False, telemetry=_NO_TELEMETRY,
        description="Why a vision model decided what it did. Send the token as Authorization: Bearer TOKEN. "
        "Errors are application/problem+json (RFC 9457).",
    )  # fmt: skip
    app.state.bench = bench
    for part in (about, photos, explanations, interventions, data_set):
        app.include_router(part.router, prefix=API)
    cookie = cookie_name(port)
    _page(app, token, cookie)
    _problems(app, bench)
    return Guard(app, token, hosts_of(host, port), cookie, bench.limits, bench.scrub)


def _page(app: FastAPI, token: str, cookie: str) -> None:
    """The page at ``/``, which sets the cookie by which its own requests are known, and its files."""
    built = {name: (files("seewhy.web") / "built" / name) for name in _BUILT}
    held = {name: file.read_bytes() for name, file in built.items() if file.is_file()}

    @app.get("/", include_in_schema=False)
    def page() -> Response:
        answer = Response(held["index.html"], media_type=_BUILT["index.html"])
        answer.set_cookie(cookie, token, httponly=True, samesite="strict", path="/")
        return answer

    @app.get("/{name}", include_in_schema=False)
    def file(name: str) -> Response:
        if name not in held or name == "index.html":
            raise Problem(404, "nothing is here")
        return Response(held[name], media_type=_BUILT[name], headers={"cache-control": "private, no-cache"})


def _problems(app: FastAPI, bench: Workbench) -> None:
    """Whatever goes wrong is one line, as problem+json."""

    async def any_error(request: Request, error: Exception) -> Response:
        return problem_answer(problem_of(error), bench.scrub)

    async def invalid(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        return problem_answer(Problem(422, f"{where}: {first['msg']}"), bench.scrub)

    async def by_framework(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        detail = "nothing is here" if error.status_code == 404 else str(error.detail)
        return problem_answer(Problem(error.status_code, detail, **dict(error.headers or {})), bench.scrub)

    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(HTTPException, by_framework)
    app.add_exception_handler(Problem, any_error)
    app.add_exception_handler(SeewhyError, any_error)  # as an answer, not as a failure that the terminal tells
    app.add_exception_handler(Exception, any_error)
