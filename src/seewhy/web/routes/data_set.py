"""A data set: the rows of a run, and the folders of an audit and of a repair."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from seewhy.web.encoding import Answer
from seewhy.web.folders import Folder
from seewhy.web.problems import Problem
from seewhy.web.results import map_of, values_of
from seewhy.web.routes.common import bench_of, picture_answer
from seewhy.web.rows import MOST, Rows
from seewhy.web.rows import Query as Wanted

__all__ = ["router"]

router = APIRouter(tags=["data set"])

Word = Annotated[str | None, Query(max_length=200)]
Number = Annotated[int | None, Query(ge=0)]


def _rows(request: Request) -> Rows:
    rows = bench_of(request).rows
    if rows is None:
        raise Problem(404, "no run was named: seewhy serve --run DEST")
    return rows


@router.get("/run", summary="What the run is")
def run(request: Request) -> Answer:
    """Its classes, methods, layers, groups and states, by which rows are filtered."""
    bench = bench_of(request)
    told = _rows(request).document()
    return Answer({**told, "place": bench.scrub(told["place"]), "source": bench.scrub(told["source"])})


@router.get("/run/rows", summary="Rows of the run, sorted and filtered")
def rows(
    request: Request,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=1, le=MOST)] = 100,
    sort: Annotated[str, Query(max_length=20)] = "row",
    descending: bool = False,
    truth: Annotated[int | None, Query(alias="class", ge=0)] = None,
    prediction: Number = None,
    status: Word = None,
    method: Word = None,
    group: Word = None,
    trust: Word = None,
    search: Annotated[str, Query(max_length=200)] = "",
    wrong: bool | None = None,
) -> Answer:
    """``error`` puts the surest mistakes first where it is ``descending``, then right answers by what they lack."""
    query = Wanted(sort, descending, truth, prediction, status, method, group, trust, search, wrong)
    return Answer(_rows(request).some(query, offset, limit))


@router.get("/run/rows/{number}", summary="One row, with its map")
def row(request: Request, number: int) -> Answer:
    """``map`` as in a result; ``photo`` is the same photo of the folder, where the workbench has one."""
    bench, held = bench_of(request), _rows(request)
    told = held.row(number)
    failed = told["status"] == "failed"
    one = None if failed else held.explanation(number)
    shown = None if one is None else map_of(one, f"/api/v1/run/rows/{number}/values")
    photo = bench.photos.find(told["path"])
    return Answer(
        {
            **told,
            "map": shown,
            "window": [0, 0, 1, 1] if one is None else list(one.window or (0, 0, 1, 1)),
            "unit": "" if one is None else one.unit,
            "map_unit": "" if one is None else one.map_unit,
            "positive": one is not None and one.positive,
            "image": f"/api/v1/run/rows/{number}/thumb?map=0&size=512",
            "photo": None if photo is None else photo.id,
        }
    )


@router.get("/run/rows/{number}/values", summary="The numbers of a row's map", response_class=Response)
def values(request: Request, number: int) -> Response:
    """As those of a result."""
    return picture_answer(values_of(_rows(request).explanation(number)), "application/octet-stream")


@router.get("/run/rows/{number}/thumb", summary="A small picture of a row", response_class=Response)
def thumb(
    request: Request,
    number: int,
    with_map: Annotated[bool, Query(alias="map")] = False,
    size: Annotated[int, Query(ge=16, le=2048)] = 160,
) -> Response:
    """Its photo, or its map over it."""
    return picture_answer(_rows(request).thumb(number, size, with_map=with_map), "image/jpeg")


def _folder_routes(name: str) -> None:
    """The addresses of the folder that a command of this name wrote."""

    def folder(request: Request) -> Folder:
        found: Folder | None = getattr(bench_of(request), name)
        if found is None:
            raise Problem(404, f"no {name} was named: seewhy serve --{name} DIR")
        return found

    @router.get(f"/{name}", name=name, summary=f"The {name}")
    def document(request: Request) -> Answer:
        """Its document, as the command wrote it, and where its ``pictures`` are, by their names."""
        return Answer(folder(request).document(f"/api/v1/{name}/pictures"))

    @router.get(
        f"/{name}/pictures/{{file}}",
        name=f"{name} picture",
        summary=f"A picture of the {name}",
        response_class=Response,
    )
    def picture(request: Request, file: str) -> Response:
        """Those alone that its document names."""
        return picture_answer(folder(request).picture(file), "image/png")


for each in ("audit", "repair"):
    _folder_routes(each)
