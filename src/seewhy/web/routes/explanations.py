"""Explanations: asked for as jobs, heard of as they are ready, had as numbers and as files."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Header, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from seewhy.explanation import Explanation
from seewhy.web.asking import Question, activations, explanations
from seewhy.web.encoding import Answer, plainly
from seewhy.web.problems import Problem
from seewhy.web.queueing import Job
from seewhy.web.results import KINDS, values_of
from seewhy.web.routes.common import Client, bench_of, client_of, file_answer, picture_answer
from seewhy.web.schemas import Activations, Explain, Export

__all__ = ["router"]

router = APIRouter(tags=["explanations"])


@router.post("/explanations", status_code=202, summary="Explain a photo by methods: a job")
def explain(request: Request, asked: Explain, client: Client = None) -> Answer:
    """Results come one by one, see ``/jobs/{id}/events``."""
    bench = bench_of(request)
    question = Question(
        bench.photos.known(asked.photo), tuple(dict.fromkeys(asked.methods)), asked.target, asked.against, asked.layer,
        asked.trust, asked.parameters,
    )  # fmt: skip
    job = bench.queue.add(client_of(client, request), explanations(bench, question))
    return Answer(job.document(bench.queue.place(job)), 202)


@router.post("/activations", status_code=202, summary="The channels of a layer as a sheet of pictures: a job")
def channels(request: Request, asked: Activations, client: Client = None) -> Answer:
    """Its one result has a ``figure``."""
    bench = bench_of(request)
    work = activations(bench, bench.photos.known(asked.photo), asked.layer, asked.count)
    job = bench.queue.add(client_of(client, request), work)
    return Answer(job.document(bench.queue.place(job)), 202)


@router.get("/jobs/{number}", summary="How far a job is")
def job(request: Request, number: str) -> Answer:
    """Its state, what is ready, and how many are before it."""
    queue = bench_of(request).queue
    found = queue.job(number)
    return Answer(found.document(queue.place(found)))


@router.delete("/jobs/{number}", summary="Stop a job")
def cancel(request: Request, number: str) -> Answer:
    """One that runs stops at its next pass; what is ready stays."""
    queue = bench_of(request).queue
    found = queue.job(number)
    queue.cancel(found, "it was cancelled")
    return Answer(found.document(queue.place(found)))


@router.get(
    "/jobs/{number}/events", summary="What happens to a job, as it happens", response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}}},
)  # fmt: skip
async def events(
    request: Request,
    number: str,
    last: Annotated[str | None, Header(alias="Last-Event-ID", description="go on behind this event")] = None,
) -> StreamingResponse:
    """Server-sent events, from the first one on: ``queued``, ``started``, ``progress``, ``result``, ``refused`` (a
    method that the model does not allow), and last ``done``, ``failed`` or ``cancelled``."""
    found = bench_of(request).queue.job(number)
    after = int(last) if last and last.isdecimal() and len(last) < 10 else 0
    return StreamingResponse(_stream(found, after), media_type="text/event-stream")


async def _stream(job: Job, after: int) -> AsyncIterator[bytes]:
    async for event in job.heard(after):
        data = json.dumps(plainly(event.data), allow_nan=False, ensure_ascii=False)
        yield f"id: {event.number}\nevent: {event.name}\ndata: {data}\n\n".encode("utf-8", "replace")


@router.get("/explanations/{number}", summary="A result")
def result(request: Request, number: str) -> Answer:
    """All but its numbers."""
    results = bench_of(request).results
    return Answer(results.document(results.get(number)))


@router.get("/explanations/{number}/values", summary="The numbers of a map", response_class=Response)
def values(request: Request, number: str) -> Response:
    """Signed, at the input's size, float32, little endian, row by row: height times width of them."""
    found = bench_of(request).results.get(number).found
    if not isinstance(found, Explanation):
        raise Problem(404, "a sheet of channels has no map: it is a picture")
    return picture_answer(values_of(found), "application/octet-stream")


@router.get("/explanations/{number}/export", summary="A result as a file", response_class=Response)
def file(
    request: Request,
    number: str,
    kind: Annotated[str, Query(alias="as", description=", ".join(KINDS))] = "png",
) -> Response:
    """A picture (``png``, ``svg``), the numbers and all else (``npz``), or a report (``html``)."""
    data, name = bench_of(request).results.file([number], kind)
    return file_answer(data, name, KINDS[kind])


@router.post("/export", summary="Several results as one file", response_class=Response)
async def export(request: Request, asked: Export) -> Response:
    """Side by side, or as one report."""
    results = bench_of(request).results
    data, name = await run_in_threadpool(results.file, asked.explanations, asked.kind)
    return file_answer(data, name, KINDS[asked.kind])
