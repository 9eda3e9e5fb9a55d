"""Interventions through the workbench, and what is kept of them."""

from __future__ import annotations

from typing import Any

import pytest

import seewhy
from serving import Client

from .conftest import picture, small

BOX = {"kind": "box", "box": [0.3, 0.2, 0.6, 0.7]}
STROKE = {"kind": "stroke", "points": [[0.3, 0.3], [0.6, 0.6]], "width": 0.1}


def test_scores_are_those_of_intervene(client: Client, photo: str) -> None:
    for fill in ("grey", "blur", "mean", "black", "white", "noise"):
        told = client.post("interventions", {"photo": photo, "shapes": [BOX, STROKE], "fill": fill, "classes": [4]})
        assert told.status == 200
        done = seewhy.intervene(small(), picture(0), [BOX, STROKE], fill=fill)
        assert told.json["hidden"] == pytest.approx(done.hidden)
        for each in told.json["classes"]:
            k = each["index"]
            assert each["before"]["score"] == pytest.approx(float(done.before[0, k]), abs=1e-5)
            assert each["after"]["score"] == pytest.approx(float(done.after[0, k]), abs=1e-5)
            assert each["drop"] == pytest.approx(done.drop(k), abs=1e-5)
        assert told.json["classes"][0]["index"] == 4
        assert [each["index"] for each in told.json["top_after"]] == [each.index for each in done.top()]


def test_the_lines_do_the_same(client: Client, photo: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    told = client.post("interventions", {"photo": photo, "shapes": [STROKE], "fill": "blur"}).json
    monkeypatch.chdir(tmp_path)
    picture(0).save("photo.png")
    code = told["code"]["python"]
    space: dict[str, Any] = {"model": small()}
    exec(code, space)
    assert space["done"].drop(1) == pytest.approx(next(e["drop"] for e in told["classes"] if e["index"] == 1), abs=1e-5)


def test_a_patch_of_another_photo(client: Client, photo: str) -> None:
    other = client.get("photos?limit=1000").json["photos"][-1]
    asked = {"photo": photo, "shapes": [BOX], "fill": "patch", "patch": {"photo": other["id"], "x": 0.25, "y": 0.0}}
    told = client.post("interventions", {**asked, "picture": True})
    assert told.status == 200
    assert told.json["picture"].startswith("data:image/jpeg;base64,")
    assert client.post("interventions", {**asked, "fill": "grey"}).status == 422
    assert client.post("interventions", {"photo": photo, "shapes": [BOX], "fill": "patch"}).status == 422


@pytest.mark.parametrize(
    "more",
    [{"fill": "nothing"}, {"classes": [99]}, {"shapes": [{"kind": "star"}]}, {"shapes": [BOX] * 201},
     {"shapes": [{"kind": "box", "box": [0, 0, 1]}]}, {"shapes": [{"kind": "box", "box": [0, 0, 1, "x"]}]},
     {"shapes": [{"kind": "stroke", "points": [], "width": 0.1}]}, {"photo": "../x"}, {"top": 0}],
)  # fmt: skip
def test_bad_interventions(client: Client, photo: str, more: dict[str, Any]) -> None:
    reply = client.post("interventions", {"photo": photo, "shapes": [BOX], **more})
    assert reply.status == 422
    assert reply.detail


def test_too_many_points(client: Client, photo: str) -> None:
    many = {"kind": "stroke", "points": [[0.5, 0.5]] * 4500, "width": 0.1}
    assert client.post("interventions", {"photo": photo, "shapes": [many] * 5}).status == 413


def test_findings_are_kept_and_exported(client: Client, photo: str) -> None:
    asked = {"photo": photo, "shapes": [BOX], "fill": "grey", "picture": True}
    kept = client.post("findings", {"title": "<b>water</b>", "note": "it falls", "view": "#ask", "intervention": asked})
    assert kept.status == 201
    assert kept.json["result"]["picture"] is None
    assert kept.json["result"]["classes"]
    assert [each["title"] for each in client.get("findings").json["findings"]] == ["<b>water</b>"]
    file = client.get("findings/export")
    assert file.headers["content-disposition"].startswith("attachment")
    assert file.json["findings"][0]["view"] == "#ask"
    assert client.ask("DELETE", f"findings/{kept.json['id']}").status == 204
    assert client.ask("DELETE", f"findings/{kept.json['id']}").status == 404
    assert client.get("findings").json["findings"] == []


def test_answers_and_classes(client: Client, photo: str) -> None:
    said = client.get(f"photos/{photo}/answers?search=cat&limit=2").json
    assert said["count"] == 5
    assert said["top"][0]["score"] >= said["top"][1]["score"]
    assert [each["label"] for each in said["found"]] == ["tiger cat", "tabby cat"]
    assert client.get("classes?search=3").json["classes"][0]["index"] == 3
    assert client.get("classes?search=nothing").json["classes"] == []
    assert len(client.get("classes").json["classes"]) == 5


def test_the_session_and_the_layers(client: Client) -> None:
    session = client.get("session").json
    assert session["photos"]["folder"]
    assert (session["run"], session["audit"], session["repair"]) == (False, False, False)
    assert len(session["colormaps"]["diverging"]["table"]) == 256
    layers = client.get("layers").json["layers"]
    assert [each["name"] for each in layers if each["chosen"]] == ["3"]
    assert client.get("run").status == 404
    assert "--run DEST" in client.get("run/rows").detail
    assert "--audit DIR" in client.get("audit").detail


def test_the_addresses_are_documented(client: Client) -> None:
    document = client.get("openapi.json").json
    assert document["openapi"].startswith("3.")
    for path, methods in document["paths"].items():
        assert path.startswith("/api/v1/"), path
        for each in methods.values():
            assert each["summary"], path
            assert each["description"], path
