"""Interventions and findings: what hiding a region does, at once, and what somebody keeps of it."""

from __future__ import annotations

import json
import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from seewhy.web.asking import Hiding, hiding
from seewhy.web.encoding import Answer, plainly
from seewhy.web.problems import Problem
from seewhy.web.routes.common import Client, bench_of, client_of, file_answer
from seewhy.web.schemas import Intervene, Keep
from seewhy.web.workbench import Workbench

__all__ = ["router"]

router = APIRouter(tags=["interventions"])


@router.post("/interventions", summary="Hide regions of a photo, and see what becomes of its scores")
async def intervene(request: Request, asked: Intervene, client: Client = None) -> Answer:
    """Answered at once: before anything else that the same client has asked and that has not begun."""
    began = time.perf_counter()
    found = await _done(bench_of(request), asked, client_of(client, request))
    return Answer({**found, "seconds": time.perf_counter() - began})


async def _done(bench: Workbench, asked: Intervene, client: str) -> dict[str, Any]:
    limits = bench.limits
    points = sum(len(getattr(shape, "points", ())) for shape in asked.shapes)
    if len(asked.shapes) > limits.shapes or points > limits.points:
        raise Problem(413, f"more than {limits.shapes} shapes, or {limits.points:,} points in all of them")
    if asked.fill not in bench.fills:
        raise Problem(422, f"no fill {asked.fill!r}: {', '.join(bench.fills)}")
    if (asked.fill == "patch") != (asked.patch is not None):
        raise Problem(422, 'fill "patch" and patch= go together: the one says that, the other of which photo')
    patch = None if asked.patch is None else (bench.photos.known(asked.patch.photo), asked.patch.x, asked.patch.y)
    shapes = [shape.model_dump(exclude_defaults=True) | {"kind": shape.kind} for shape in asked.shapes]
    what = Hiding(
        bench.photos.known(asked.photo), shapes, asked.fill, patch, asked.classes, asked.top, asked.picture
    )  # fmt: skip
    found: dict[str, Any] = await bench.queue.ask(client, hiding(bench, what))
    return found


@router.get("/findings", summary="What was kept")
def findings(request: Request) -> Answer:
    """Until the workbench ends: export them."""
    return Answer({"findings": bench_of(request).findings.all()})


@router.post("/findings", status_code=201, summary="Keep a finding")
async def keep(request: Request, asked: Keep, client: Client = None) -> Answer:
    """Its intervention is asked once more, so that what is kept is what the model says."""
    bench, result = bench_of(request), None
    if asked.intervention is not None:
        again = asked.intervention.model_copy(update={"picture": False})
        result = await _done(bench, again, client_of(client, request))
    return Answer(bench.findings.add(asked.title, asked.note, asked.view, result), 201)


@router.delete("/findings/{number}", status_code=204, summary="Forget a finding")
def remove(request: Request, number: str) -> Response:
    """For good."""
    bench_of(request).findings.remove(number)
    return Response(status_code=204)


@router.get("/findings/export", summary="All findings as a file", response_class=Response)
def export(request: Request) -> Response:
    """JSON, with the model that was asked."""
    bench = bench_of(request)
    document = {
        "model": bench.model.spec or bench.model.name, "fingerprint": bench.model.fingerprint(),
        "findings": bench.findings.all(),
    }  # fmt: skip
    data = json.dumps(plainly(document), indent=1, ensure_ascii=False).encode("utf-8", "replace")
    return file_answer(data, "findings.json", "application/json")
