"""Photos: listed, sent, shown, and what the model says of them."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import unquote

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response

from seewhy.web.asking import answers
from seewhy.web.encoding import Answer
from seewhy.web.problems import Problem
from seewhy.web.routes.common import Client, bench_of, client_of, picture_answer

__all__ = ["router"]

router = APIRouter(tags=["photos"])

_FILE = {"content": {"image/*": {"schema": {"type": "string", "format": "binary"}}}, "required": True}


@router.get("/photos", summary="Photos that were sent, and those of the folder")
def photos(
    request: Request, offset: Annotated[int, Query(ge=0)] = 0, limit: Annotated[int, Query(ge=1, le=1000)] = 200
) -> Answer:
    """How large a photo is, and what of it the model sees, is told of one by itself."""
    held = bench_of(request).photos
    some = held.listed(offset, limit)
    return Answer({"photos": [held.document(each, whole=False) for each in some], "count": len(held)})


@router.post(
    "/photos", status_code=201, summary="Send a photo: the file itself is the body",
    openapi_extra={"requestBody": _FILE},
)  # fmt: skip
async def send(
    request: Request,
    name: Annotated[str, Header(alias="X-Seewhy-Name", description="what it is called, percent-encoded")] = "photo",
) -> Answer:
    """Decoded by a process of its own, within limits of bytes, pixels, memory and time. The same file sent again is the
    same photo."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not (kind.startswith("image/") or kind == "application/octet-stream"):
        raise Problem(415, f"a photo is sent as image/..., not as {kind[:60]!r}")
    held, data = bench_of(request).photos, await request.body()
    known = await run_in_threadpool(held.add, data, unquote(name)[:400])
    return Answer(await run_in_threadpool(held.document, known, whole=True), 201)


@router.get("/photos/{number}", summary="One photo, and what of it the model sees")
def photo(request: Request, number: str) -> Answer:
    """``window`` is left, top, right and bottom of what the model sees, in fractions of the photo."""
    held = bench_of(request).photos
    return Answer(held.document(held.known(number), whole=True))


@router.delete("/photos/{number}", status_code=204, summary="Forget a photo that was sent")
def remove(request: Request, number: str) -> Response:
    """Those of the folder stay."""
    bench_of(request).photos.remove(number)
    return Response(status_code=204)


@router.get("/photos/{number}/image", summary="The photo, upright, as JPEG", response_class=Response)
def image(request: Request, number: str) -> Response:
    """At most 2048 pixels on its longer side."""
    held = bench_of(request).photos
    return picture_answer(*held.shown(held.known(number), small=False))


@router.get("/photos/{number}/thumb", summary="A small picture of it", response_class=Response)
def thumb(request: Request, number: str) -> Response:
    """At most 192 pixels on its longer side."""
    held = bench_of(request).photos
    return picture_answer(*held.shown(held.known(number), small=True))


@router.get("/photos/{number}/answers", summary="What the model says of it")
async def said(
    request: Request,
    number: str,
    search: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
    client: Client = None,
) -> Answer:
    """The best classes, and those that ``search`` finds, each with its score and probability."""
    bench = bench_of(request)
    work = answers(bench, bench.photos.known(number), search, limit)
    return Answer(await bench.queue.ask(client_of(client, request), work))
