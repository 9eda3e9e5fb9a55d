"""Twenty clients at once: some cancel, some send what is no photo, some too much; nothing breaks, nothing is left."""

from __future__ import annotations

import gc
import os
import random
import tempfile
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from seewhy.web.limits import Limits
from seewhy.web.workbench import Workbench
from serving import Client, served

from .conftest import png, small

CLIENTS, EACH = 20, 10


def _resident() -> int:
    """Bytes that this process has in memory, and the one that decodes."""
    pages = [Path(f"/proc/{pid}/statm") for pid in [os.getpid(), *_children()]]
    return sum(int(page.read_text().split()[1]) for page in pages if page.exists()) * os.sysconf("SC_PAGE_SIZE")


def _children() -> list[int]:
    path = Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children")
    return [int(each) for each in path.read_text().split()] if path.exists() else []


def _one(port: int, number: int, statuses: Counter[int], jobs: list[str], lock: threading.Lock) -> None:
    """One client's requests."""
    client, draw = Client(port, f"client-{number}"), random.Random(number)
    photo = ""
    for turn in range(EACH):
        what = draw.choice(["photo", "explain", "cancel", "hide", "broken", "large", "answers", "list"])
        if what == "photo" or not photo:
            reply = client.send(png(number))
            photo = reply.json["id"] if reply.status == 201 else photo
        elif what in ("explain", "cancel"):
            reply = client.post(
                "explanations", {"photo": photo, "methods": ["grad-cam", "occlusion"], "target": turn % 5}
            )
            if reply.status == 202:
                with lock:
                    jobs.append(reply.json["id"])
                if what == "cancel":
                    client.ask("DELETE", f"jobs/{reply.json['id']}")
        elif what == "hide":
            box = {"kind": "box", "box": [0.2, 0.2, 0.6, 0.6]}
            reply = client.post("interventions", {"photo": photo, "shapes": [box], "fill": "blur"})
        elif what == "broken":
            reply = client.send(png(number)[: draw.randrange(100)])
        elif what == "large":
            reply = client.send(bytes(70_000))
        elif what == "answers":
            reply = client.get(f"photos/{photo}/answers?search=cat")
        else:
            reply = client.get("photos")
        with lock:
            statuses[reply.status] += 1


def _storm(port: int) -> tuple[Counter[int], list[str]]:
    statuses, jobs, lock = Counter[int](), list[str](), threading.Lock()
    with ThreadPoolExecutor(CLIENTS) as pool:
        for done in [pool.submit(_one, port, n, statuses, jobs, lock) for n in range(CLIENTS)]:
            done.result()
    return statuses, jobs


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory as Linux tells it")
def test_two_hundred_requests_of_twenty_clients(folder: Path) -> None:
    bench = Workbench(small(), str(folder), limits=Limits(bytes=60_000))
    weights = {name: value.clone() for name, value in bench.model.module.state_dict().items()}
    files = set(Path(tempfile.gettempdir()).glob("*"))
    with served(bench) as client:
        _storm(client.port)  # what is made once is made
        _storm(client.port)
        gc.collect()
        before = _resident()
        for _ in range(2):
            statuses, jobs = _storm(client.port)
            assert sum(statuses.values()) == CLIENTS * EACH
            assert not [status for status in statuses if status >= 500], statuses
            assert {201, 202, 413} <= set(statuses) <= {200, 201, 202, 413, 415, 422, 429}
            for job in jobs:
                told = client.events(job)[-1]
                assert told[0] == "done" or (told[0] == "cancelled" and told[1]["reason"]), told
        gc.collect()
        assert _resident() < before * 1.02
        assert set(Path(tempfile.gettempdir()).glob("*")) <= files | set(Path(tempfile.gettempdir()).glob("pytest*"))
    state = bench.model.module.state_dict()
    assert all(torch.equal(value, weights[name]) for name, value in state.items())
    assert all(not module._forward_hooks for module in bench.model.module.modules())
