"""A workbench that runs beside a test: takes a bench, gives a client that asks it over a socket as a program would."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import uvicorn

from seewhy.web.application import application
from seewhy.web.serving import config_of
from seewhy.web.workbench import Workbench

__all__ = ["TOKEN", "Client", "Reply", "served"]

TOKEN = "a-token-of-the-tests-0123456789"


class Reply:
    """An answer: its status, headers and body."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.status, self.body = answer.status, answer.read()
        self.headers = {name.lower(): value for name, value in answer.getheaders()}

    @property
    def json(self) -> Any:
        """The body as JSON, strictly."""
        return json.loads(self.body, parse_constant=lambda word: 1 / 0)

    @property
    def detail(self) -> str:
        """What a problem says."""
        assert self.headers["content-type"] == "application/problem+json", self.body
        assert self.json["status"] == self.status
        return str(self.json["detail"])


class Client:
    """Asks with the token, unless told otherwise."""

    def __init__(self, port: int, name: str = "tests") -> None:
        self.port, self.name = port, name

    @property
    def url(self) -> str:
        """The address that a browser opens."""
        return f"http://127.0.0.1:{self.port}/?token={TOKEN}"

    def ask(self, method: str, path: str, body: Any = None, *, token: str | None = TOKEN, **headers: str) -> Reply:
        """One request; a body that is no bytes goes as JSON; underscores of headers' names are hyphens."""
        told = {"X-Seewhy-Client": self.name} | ({} if token is None else {"Authorization": f"Bearer {token}"})
        if body is not None and not isinstance(body, bytes):
            body, told["Content-Type"] = json.dumps(body).encode(), "application/json"
        told |= {name.replace("_", "-"): value for name, value in headers.items()}
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)) as connection:
            connection.request(method, path if path.startswith("/") else f"/api/v1/{path}", body, told)
            return Reply(connection.getresponse())

    def get(self, path: str, **how: Any) -> Reply:
        """Read."""
        return self.ask("GET", path, **how)

    def post(self, path: str, body: Any = None, **how: Any) -> Reply:
        """Ask for something."""
        return self.ask("POST", path, body, **how)

    def send(self, data: bytes, kind: str = "image/png", name: str = "photo.png") -> Reply:
        """Send a photo."""
        return self.post("photos", data, Content_Type=kind, X_Seewhy_Name=name)

    def events(self, job: str, after: int = 0) -> list[tuple[str, Any]]:
        """All that happens to a job, until it is over."""
        more = {"Last_Event_ID": str(after)} if after else {}
        reply = self.get(f"jobs/{job}/events", **more)
        assert reply.status == 200, reply.body
        found = []
        for block in reply.body.decode().strip().split("\n\n"):
            lines = dict(line.split(": ", 1) for line in block.split("\n"))
            found.append((lines["event"], json.loads(lines["data"])))
        return found

    def explained(self, photo: str, *methods: str, **more: Any) -> list[dict[str, Any]]:
        """The results of a job, once it is done."""
        job = self.post("explanations", {"photo": photo, "methods": list(methods), **more})
        assert job.status == 202, job.body
        self.events(job.json["id"])
        results: list[dict[str, Any]] = self.get(f"jobs/{job.json['id']}").json["results"]
        return results


@contextmanager
def served(bench: Workbench) -> Iterator[Client]:
    """The workbench at a free port, as long as the context lasts."""
    with closing(socket.socket()) as bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(("127.0.0.1", 0))
        port = bound.getsockname()[1]
        config = config_of(application(bench, TOKEN, "127.0.0.1", port))
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        try:
            until = time.monotonic() + 60
            while not server.started:
                assert thread.is_alive(), "the server ended before it began"
                assert time.monotonic() < until, "the server does not begin"
                time.sleep(0.02)
            yield Client(port)
        finally:
            server.should_exit = True
            thread.join(60)
            assert not thread.is_alive(), "the server does not end"
