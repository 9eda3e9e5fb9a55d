"""Jobs: results as they are ready, in turn, cancelled, within limits; nothing of the model is changed."""

from __future__ import annotations

import gc
import io
import threading
import time
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import seewhy
from seewhy.web.limits import Limits
from seewhy.web.problems import Problem, Scrub
from seewhy.web.queueing import Job, Queue
from seewhy.web.workbench import Workbench
from serving import Client, served

from .conftest import SIZE, network, picture, png


def test_results_come_one_by_one(client: Client, photo: str) -> None:
    job = client.post("explanations", {"photo": photo, "methods": ["grad-cam", "saliency", "occlusion"], "target": 1})
    assert job.status == 202
    events = client.events(job.json["id"])
    names = [name for name, _ in events]
    assert names[0] == "queued"
    assert names[-1] == "done"
    found = [data for name, data in events if name == "result"]
    assert [each["method"] for each in found] == ["grad-cam", "saliency", "occlusion"]
    assert {each["target"] for each in found} == {"tiger cat"}
    assert "progress" in names
    assert events[-1][1]["results"] == found
    # from the middle on, as a browser asks that lost its connection
    later = [name for name, _ in client.events(job.json["id"], after=2) if name != "progress"]
    assert later == ["result"] * 3 + ["done"]


def test_why_this_and_not_that(client: Client, photo: str) -> None:
    (told,) = client.explained(photo, "grad-cam", target="tiger cat", against="dog")
    own = seewhy.explain(_model(), picture(0), "grad-cam", target="1 vs 4")
    values = np.frombuffer(client.get(told["map"]["url"]).body, dtype="<f4").reshape(SIZE, SIZE)
    np.testing.assert_allclose(values, own.map, atol=1e-6)
    assert told["code"]["shell"].endswith("-M grad-cam -t '1 vs 4'")
    assert client.post("explanations", {"photo": photo, "methods": ["grad-cam"], "against": 1}).status == 422
    same = {"photo": photo, "methods": ["grad-cam"], "target": 1, "against": 1}
    assert client.post("explanations", same).status == 422


def _model() -> seewhy.Model:
    from .conftest import small

    return small()


def test_a_method_that_the_model_refuses_is_told(client: Client, photo: str) -> None:
    job = client.post("explanations", {"photo": photo, "methods": ["attention-rollout", "grad-cam"]}).json
    events = client.events(job["id"])
    refused = next(data for name, data in events if name == "refused")
    assert refused["method"] == "attention-rollout"
    assert refused["problem"]["status"] == 422
    assert [data["method"] for name, data in events if name == "result"] == ["grad-cam"]
    known = {each["name"]: each for each in client.get("methods").json["methods"]}
    assert not known["attention-rollout"]["allowed"]
    assert known["attention-rollout"]["why"]
    assert known["grad-cam"]["allowed"]


@pytest.mark.parametrize(
    ("more", "status"),
    [({"methods": ["nothing"]}, 404), ({"methods": ["maximise"]}, 404), ({"target": 99}, 422), ({"target": "zebra"}, 404),
     ({"layer": "nowhere"}, 202), ({"photo": "0" * 20}, 404), ({"parameters": {"rise": {"memory": 1}}, "methods": ["rise"]}, 422),
     ({"parameters": {"rise": {"n": [1]}}, "methods": ["rise"]}, 422),
     ({"parameters": {"rise": {"n": 10**9}}, "methods": ["rise"]}, 422), ({"parameters": {"rise": {"n": 9}}}, 422),
     ({"target": True}, 422), ({"target": 3.0}, 422), ({"methods": []}, 422),
     ({"methods": ["grad-cam"] * 25}, 422)],
)  # fmt: skip
def test_bad_questions(client: Client, photo: str, more: dict[str, Any], status: int) -> None:
    reply = client.post("explanations", {"photo": photo, "methods": ["grad-cam"], **more})
    assert reply.status == status, reply.body


def test_a_job_is_cancelled(client: Client, photo: str) -> None:
    asked = {"photo": photo, "methods": ["rise"], "parameters": {"rise": {"n": 1_000_000, "tolerance": 0}}}
    job = client.post("explanations", asked).json
    behind = client.post("explanations", {"photo": photo, "methods": ["saliency"]}).json
    waits = client.post("explanations", {"photo": photo, "methods": ["saliency"]}).json
    assert client.get(f"jobs/{waits['id']}").json["state"] == "queued"
    assert client.get(f"jobs/{waits['id']}").json["place"] >= 2
    gone = client.ask("DELETE", f"jobs/{waits['id']}").json
    assert (gone["state"], gone["reason"]) == ("cancelled", "it was cancelled")
    until = time.monotonic() + 30
    while client.get(f"jobs/{job['id']}").json["state"] == "queued":
        assert time.monotonic() < until
        time.sleep(0.02)
    client.ask("DELETE", f"jobs/{job['id']}")
    assert client.events(job["id"])[-1] == ("cancelled", {"reason": "it was cancelled"})
    assert client.events(behind["id"])[-1][0] == "done"


def test_channels_are_a_sheet(client: Client, photo: str) -> None:
    job = client.post("activations", {"photo": photo, "layer": "2", "count": 4}).json
    name, data = client.events(job["id"])[-1]
    assert name == "done"
    (told,) = data["results"]
    assert told["map"] is None
    assert Image.open(io.BytesIO(client.get(told["figure"]).body)).format == "PNG"
    assert client.get(f"explanations/{told['id']}/values").status == 404
    assert client.get(f"explanations/{told['id']}/export?as=npz").status == 422
    job = client.post("activations", {"photo": photo, "layer": "nowhere"}).json
    assert client.events(job["id"])[-1][0] == "failed"


def test_files_of_results(client: Client, photo: str, tmp_path: Any) -> None:
    some = client.explained(photo, "grad-cam", "saliency", target=1)
    for kind, start in (("png", b"\x89PNG"), ("svg", b"<svg"), ("html", b"<!doctype html>"), ("npz", b"PK")):
        file = client.get(f"explanations/{some[0]['id']}/export?as={kind}")
        assert file.body.startswith(start), kind
        assert file.headers["content-disposition"].startswith(f'attachment; filename="photo-grad-cam.{kind}"')
    (tmp_path / "map.npz").write_bytes(client.get(f"explanations/{some[0]['id']}/export?as=npz").body)
    assert seewhy.Explanation.load(tmp_path / "map.npz").method == "grad-cam"
    both = client.post("export", {"explanations": [each["id"] for each in some], "as": "html"})
    assert b"saliency" in both.body
    assert client.post("export", {"explanations": [each["id"] for each in some], "as": "npz"}).status == 422
    assert client.get(f"explanations/{some[0]['id']}/export?as=exe").status == 422


def test_a_trust_card_comes_with_its_controls(client: Client, photo: str) -> None:
    (told,) = client.explained(photo, "grad-cam", target=1, trust=True)
    assert told["trust"]["level"] in ("green", "amber", "red")
    assert told["trust"]["measures"]["gain"]["controls"]["random"]["n"] >= 20


def test_the_model_is_as_it_was(client: Client, bench: Workbench, photo: str) -> None:
    module = bench.model.module
    before = {name: value.clone() for name, value in module.state_dict().items()}
    module.train()
    client.explained(photo, "grad-cam", "integrated-gradients", "guided-backprop")
    assert module.training
    module.eval()
    assert all(torch.equal(value, before[name]) for name, value in module.state_dict().items())
    assert all(not m._forward_hooks and not m._backward_hooks for m in module.modules())
    assert all(p.grad is None for p in module.parameters())


def _queue(limits: Limits | None = None) -> Queue:
    return Queue(limits or Limits(), Scrub([]))


def _over(*jobs: Job) -> None:
    until = time.monotonic() + 20
    while not all(job.over for job in jobs):
        assert time.monotonic() < until
        time.sleep(0.005)


def test_clients_are_served_in_turn() -> None:
    queue, began, go = _queue(), list[str](), threading.Event()

    def first(job: Job) -> None:
        go.wait(20)

    def note(name: str) -> Any:
        return lambda job: began.append(name)

    jobs = [queue.add("a", first)]
    time.sleep(0.05)
    jobs += [queue.add("a", note(f"a{n}")) for n in range(3)]
    jobs += [queue.add("b", note("b0")), queue.add("b", note("b1"), quick=True), queue.add("c", note("c0"))]
    go.set()
    _over(*jobs)
    assert began == ["a0", "b1", "c0", "a1", "b0", "a2"]
    queue.close()


def test_what_fails_or_takes_too_long_ends_alone() -> None:
    queue = _queue(Limits(running=0.2))

    def fails(job: Job) -> None:
        raise RuntimeError("the model's own code, in /home/me/secret/model.py")

    def lasts(job: Job) -> None:
        while True:
            time.sleep(0.01)
            job.progress("it", 1, 2)

    one, two, three = queue.add("a", fails), queue.add("a", lasts), queue.add("a", lambda job: None)
    _over(one, two, three)
    assert (one.state, two.state, three.state) == ("failed", "cancelled", "done")
    assert "secret/" not in str(one.events[-1].data)
    assert "0.2 s" in two.reason
    queue.close()


def test_a_queue_is_full_for_one_and_not_for_another() -> None:
    queue, go = _queue(Limits(own=2, waiting=3)), threading.Event()
    running = queue.add("a", lambda job: go.wait(20) and None)  # type: ignore[func-returns-value]
    time.sleep(0.05)
    some = [queue.add("a", lambda job: None) for _ in range(2)]
    with pytest.raises(Problem) as full:
        queue.add("a", lambda job: None)
    assert full.value.status == 429
    assert full.value.headers["Retry-After"] == "2"
    some.append(queue.add("b", lambda job: None))
    with pytest.raises(Problem):
        queue.add("c", lambda job: None)
    go.set()
    _over(running, *some)
    queue.close()
    with pytest.raises(Problem, match="ending"):
        queue.add("a", lambda job: None)


def test_what_waits_at_the_end_is_cancelled_with_a_reason() -> None:
    queue, go = _queue(), threading.Event()

    def waits(job: Job) -> None:
        while not go.is_set():
            job.check()
            time.sleep(0.01)

    running, waiting = queue.add("a", waits), queue.add("a", lambda job: None)
    time.sleep(0.05)
    queue.close()
    assert (running.state, waiting.state) == ("cancelled", "cancelled")
    assert running.reason == waiting.reason == "the workbench ends"


def test_the_same_photo_twice_is_one(client: Client) -> None:
    assert client.send(png(8)).json["id"] == client.send(png(8)).json["id"]


def test_what_one_method_raises_does_not_end_the_others() -> None:
    """A model whose backward raises whatever it likes."""

    class Raises(torch.autograd.Function):
        @staticmethod
        def forward(context: Any, x: torch.Tensor) -> torch.Tensor:
            return x.clone()

        @staticmethod
        def backward(context: Any, *gradients: torch.Tensor) -> torch.Tensor:
            raise RuntimeError("no way back")

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = network()

        def forward(self, x: torch.Tensor) -> Any:
            return Raises.apply(self.inner(x))  # type: ignore[no-untyped-call]

    model = seewhy.wrap(Net().eval(), preprocess=seewhy.Preprocess((SIZE, SIZE)), labels=list("abcde"))
    with served(Workbench(model)) as client:
        photo = client.send(png()).json["id"]
        job = client.post("explanations", {"photo": photo, "methods": ["saliency", "occlusion"], "target": 1}).json
        events = client.events(job["id"])
        assert [data["method"] for name, data in events if name == "refused"] == ["saliency"]
        assert [data["method"] for name, data in events if name == "result"] == ["occlusion"]


def test_a_photo_that_was_deleted_is_held_no_longer(client: Client, bench: Workbench) -> None:
    number = client.send(png(40)).json["id"]
    client.get(f"photos/{number}/answers")
    client.explained(number, "saliency")
    held = weakref.ref(bench.photos.known(number))
    client.ask("DELETE", f"photos/{number}")
    until = time.monotonic() + 10
    while held() is not None:
        gc.collect()
        assert time.monotonic() < until
        time.sleep(0.05)
