"""What all addresses have in common: who asks, and pictures and files as answers."""

from __future__ import annotations

import re
from typing import Annotated
from urllib.parse import quote

from fastapi import Header, Request
from starlette.responses import Response

from seewhy.web.workbench import Workbench

__all__ = ["Client", "bench_of", "client_of", "file_answer", "picture_answer"]

_NAME = re.compile(r"[\w.-]{1,64}")
#: what a browser may keep: an address stands for one picture, and never for another
_KEEP = {"cache-control": "private, max-age=3600"}


def bench_of(request: Request) -> Workbench:
    """The workbench."""
    bench: Workbench = request.app.state.bench
    return bench


Client = Annotated[
    str | None, Header(alias="X-Seewhy-Client", description="a word of the client's own: clients are served in turn")
]


def client_of(word: str | None, request: Request) -> str:
    """Whose turn it is: a client's own word, or where it asks from."""
    if word and _NAME.fullmatch(word):
        return word
    return request.client.host if request.client else "somebody"


def picture_answer(data: bytes, kind: str) -> Response:
    """A picture, which may be kept."""
    return Response(data, headers=dict(_KEEP), media_type=kind)


def file_answer(data: bytes, name: str, kind: str) -> Response:
    """A file to be kept, never shown: a report has a script of its own."""
    plain = re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip("-.") or "file"
    told = f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name)}"
    return Response(data, headers={"content-disposition": told}, media_type=kind)
