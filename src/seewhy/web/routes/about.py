"""What the workbench knows: the session, methods, layers and classes."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request

from seewhy._version import __version__
from seewhy.models import Preprocess
from seewhy.web.asking import labelled, named
from seewhy.web.encoding import Answer
from seewhy.web.results import colours
from seewhy.web.routes.common import Client, bench_of, client_of

__all__ = ["router"]

router = APIRouter(tags=["about"])


@router.get("/session", summary="The model, what else there is, limits, and the colours of maps")
def session(request: Request) -> Answer:
    """What a page has to know before it asks anything."""
    bench = bench_of(request)
    model, limits = bench.model, bench.limits
    ours = model.preprocess
    size = list(ours.size) if isinstance(ours, Preprocess) and ours.size is not None else None
    return Answer(
        {
            "version": __version__,
            "model": {
                "name": model.name, "spec": model.spec, "weights": model.weights, "size": size,
                "classes": None if model.labels is None else len(model.labels), "notes": list(model.notes),
                "preprocessing": str(ours or ""),
            },
            "photos": {"folder": bench.photos.of_folder, "count": len(bench.photos)},
            "run": bench.rows is not None, "audit": bench.audit is not None, "repair": bench.repair is not None,
            "limits": {"bytes": limits.bytes, "pixels": limits.pixels, "photos": limits.photos},
            "colormaps": colours(),
            "fills": bench.fills,
        }
    )  # fmt: skip


@router.get("/methods", summary="Every method with its card, and whether this model allows it")
def methods(request: Request) -> Answer:
    """``allowed`` is what is known before a method is asked for, and of those that were; ``why`` says why not."""
    return Answer({"methods": bench_of(request).methods()})


@router.get("/layers", summary="The layers of the model, in the order of their definition")
async def layers(request: Request, client: Client = None) -> Answer:
    """Shapes come from one forward of noise; ``chosen`` is the layer that class activation maps take."""
    bench = bench_of(request)
    found = await bench.queue.ask(client_of(client, request), lambda job: bench.layers)
    return Answer({"layers": [asdict(each) for each in found], "note": ""})


@router.get("/classes", summary="Classes by a part of their name, or by number")
def classes(
    request: Request,
    search: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 20,
) -> Answer:
    """Those whose names begin with ``search`` first."""
    model = bench_of(request).model
    count = len(model.labels or ())
    found = labelled(model, count, search)[:limit]
    told: list[dict[str, Any]] = [{"index": k, "label": named(model, k)} for k in found]
    return Answer({"classes": told, "count": count})
