"""``python -m benchmarks.brush``: fifty strokes on a photo in the workbench of the built-in model, each asked for over
a socket as the page asks; how long answers take, and whether scores are what the perturbation path of ``explain``
gives."""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import seewhy

#: strokes before the clock counts, and how far scores may be apart, in logits
_WARM, _NEAR = 8, 1e-4


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--strokes", type=int, default=50)
    asked = parser.parse_args(argv)
    command = [sys.executable, "-m", "seewhy", "serve", "--no-browser", "--model", "builtin"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            address = urlsplit(server.stdout.readline().strip())
            token = re.sub(".*token=", "", address.query)
            with closing(http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)) as connection:
                _strokes(connection, token, asked.strokes)
        finally:
            server.terminate()


def _strokes(connection: http.client.HTTPConnection, token: str, count: int) -> None:
    model, path = seewhy.load("builtin"), Path(str(resources.files("seewhy.photos") / "chelsea.png"))
    photo = _asked(connection, token, "photos", path.read_bytes(), "image/png")["id"]
    for fill in ("grey", "blur", "inpaint"):
        draw, taken, apart = random.Random(0), list[float](), list[float]()
        for n in range(_WARM + count):
            x, y = draw.uniform(0.25, 0.75), draw.uniform(0.2, 0.8)
            points = [[x + 0.004 * k, y + 0.003 * k * draw.uniform(-1, 1)] for k in range(20)]
            shapes = [{"kind": "stroke", "points": points, "width": draw.uniform(0.03, 0.15)}]
            body = json.dumps({"photo": photo, "shapes": shapes, "fill": fill, "picture": True}).encode()
            began = time.perf_counter()
            told = _asked(connection, token, "interventions", body, "application/json")
            if n >= _WARM:
                taken.append(time.perf_counter() - began)
            if n % 10 == 0:
                apart.append(_apart(model, str(path), shapes, fill, told))
        most = max(apart)
        if most > _NEAR:
            raise SystemExit(f"{fill}: scores are {most:g} apart from those of explain")
        shown = f"median {1e3 * statistics.median(taken):.0f} ms, slowest {1e3 * max(taken):.0f}"
        print(f"{fill}: {count} strokes, {shown}; scores within {most:.1e} of explain's", flush=True)


def _apart(model: seewhy.Model, path: str, shapes: list[dict[str, Any]], fill: str, told: dict[str, Any]) -> float:
    """How far the drop of the top class is from what feature ablation gives the region."""
    first = told["classes"][0]
    mask = seewhy.intervene(model, path, shapes).mask
    own = seewhy.explain(
        model, path, "feature-ablation", first["index"], segments=mask.astype(int), fill=fill, prepare=False
    )
    return abs(float(own.map[mask].mean()) - first["drop"])


def _asked(connection: http.client.HTTPConnection, token: str, path: str, body: bytes, kind: str) -> dict[str, Any]:
    connection.request("POST", f"/api/v1/{path}", body, {"Authorization": f"Bearer {token}", "Content-Type": kind})
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()  # the server hangs up meanwhile where a check takes long
    return answer


if __name__ == "__main__":
    main()
