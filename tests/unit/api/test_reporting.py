"""Reports of results: what each kind shows, where its numbers come from, what is bounded and what is refused."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

import cornered
import seewhy
from pages import EVIL, check_page
from seewhy.api.reporting.explanations import PICTURES, Explained
from seewhy.errors import UsageError, on_a_line
from seewhy.explanation import Diagnosis, Explanation, Explanations, Finding, MethodCheck, Prediction, Status

LABELS = [EVIL[0], "tabby", "owl"]


@pytest.fixture(scope="module")
def model() -> seewhy.Model:
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        net = nn.Sequential(
            nn.Conv2d(3, 6, 3),
            nn.ReLU(),
            nn.Conv2d(6, 8, 3),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 3),
        )
    look = seewhy.Preprocess(size=(16, 20), resize=None, mode="squash", mean=(0.5,) * 3, std=(0.25,) * 3)
    return seewhy.wrap(net.eval(), preprocess=look, labels=LABELS, name=EVIL[0])


def _photos(count: int, size: tuple[int, int] = (40, 50)) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(0, 255, (*size, 3), np.uint8) for _ in range(count)]


@pytest.fixture(scope="module")
def maps(model: seewhy.Model) -> Explanations:
    return seewhy.explain_all(model, _photos(2), ["grad-cam", "saliency", "guided-backprop"], target="top-2")


def test_explanations_are_shown_with_where_each_number_comes_from(maps: Explanations) -> None:
    html = seewhy.report(maps, title=EVIL[3])
    page = check_page(html)
    assert on_a_line(EVIL[3]) in page.text
    # two photos, twelve maps and the reliefs of the guided ones
    assert len(page.all("img")) == 2 + 12 + 4
    rows = [row for row in page.rows if row[0] == "array"]
    assert len(rows) == 12
    first = maps[0]
    assert f"for {on_a_line(first.target)}: logit {first.score:.3g}" in page.text
    assert f"at {first.layer}, " in page.text
    heads = next(row for row in page.rows if row[0] == "photo")
    assert "score, logit" in heads
    assert "highest" in heads
    assert "status" in heads
    assert "reduce=max-abs" in page.text  # settings
    for word in (
        "fingerprint",
        first.provenance["fingerprint"],
        "torch",
        torch.__version__,
        "seewhy",
        seewhy.__version__,
        "Python",
        "written",
        str(maps.cost),
    ):
        assert word in page.text, word
    assert "seewhy.explain_all(" in page.text
    assert "seewhy.report(found" in page.text
    assert "Selvaraju" in page.text  # what a method is: its paper
    # the scale of a map is that of its colours, in its unit, and the two targets share it
    _low, high = Explanations(maps[:6]).limits()[0]
    assert f"{high:.3g} logit" in page.text
    assert re.search(
        r'alt="grad-cam for [^"]*: strongest evidence in the (upper|middle|lower) (left|centre|right)', html
    )


@pytest.mark.parametrize(
    ("count", "target"), [(2, 1), (2, "top-2"), (1, [0, 2]), (2, [[0, 2]] * 2), (2, None), (2, [0, 2])]
)
def test_the_line_of_python_is_one_that_makes_the_same(model: seewhy.Model, count: int, target: Any) -> None:
    """Of settings that were asked for, and lines as lines."""
    photos = _photos(count)
    maps = seewhy.explain_all(model, photos, ["smooth-grad", "rise"], target=target, n=8, seed=3, prepare=False)
    page = check_page(seewhy.report(maps))
    (line,) = re.findall(r"^found = (seewhy\.explain_all\(.*\))$", page.text, re.MULTILINE)
    assert 'seewhy.report(found, "report.html")' in page.text.split("\n")
    same = eval(re.sub(r"\['array'.*?\]", "photos", line), {"seewhy": seewhy, "model": model, "photos": photos})
    assert [each.target for each in same] == [each.target for each in maps]
    for one, other in zip(maps, same, strict=True):
        assert one.parameters == other.parameters
        np.testing.assert_allclose(one.values, other.values, rtol=1e-4, atol=1e-6)


def test_one_map_several_collections_and_a_command(maps: Explanations, tmp_path: Path) -> None:
    one = check_page(seewhy.report(maps[0]))
    assert len(one.all("img")) == 2
    several = check_page(seewhy.report([maps[:3], maps[6]], command="seewhy explain 'a <b>.png'"))
    assert len(several.all("img")) == 2 + 4
    assert "seewhy explain 'a <b>.png'" in several.text
    assert "explain_all" not in several.text
    path = seewhy.report(maps, tmp_path / "new" / "maps.html")
    assert path == tmp_path / "new" / "maps.html"
    assert path.read_text(encoding="utf-8").startswith("<!doctype html>")
    with pytest.raises(UsageError, match="exists already; to replace it"):
        seewhy.report(maps, path)
    seewhy.report(maps[0], path, force=True)
    with pytest.raises(UsageError, match=r"nearest: '.htm'"):
        seewhy.report(maps, tmp_path / "maps.htmx")


@pytest.mark.parametrize(
    ("given", "found"), [([], "nothing"), ("a", "a str"), (3, "an? int"), ([1], "a list"), (None, "a NoneType")]
)
def test_what_is_no_result_is_refused(given: Any, found: str) -> None:
    with pytest.raises(UsageError, match=f"a report is of explanations, .*; this is {found}"):
        seewhy.report(given)


def test_maps_that_are_no_answer_say_so(model: seewhy.Model) -> None:
    def made(code: str, values: np.ndarray) -> Explanation:
        return Explanation(
            values=values, size=(8, 8), method="grad-cam", target="a", score=1.0, image=np.zeros((8, 8, 3), np.uint8),
            status=Status(code, "because"), name=code,
        )  # fmt: skip

    some = [
        made("zero-gradient", np.zeros((8, 8))),
        made("non-finite", np.full((8, 8), np.nan)),
        made("no-positive-evidence", -np.ones((8, 8))),
    ]
    page = check_page(seewhy.report(some))
    for code in ("zero-gradient", "non-finite", "no-positive-evidence"):
        assert f"{code}: because" in page.text
    assert "✕ zero-gradient" in page.text
    assert "! no-positive-evidence" in page.text
    alts = [each["alt"] or "" for each in page.all("img")]
    assert sum("no map is drawn" in each for each in alts) == 2
    assert "nan" not in page.text.lower().replace("name", "")


def test_what_has_no_picture_has_its_words(model: seewhy.Model) -> None:
    """Rows of features, volumes and several inputs: words, cuts, a picture each."""
    row = Explanation(values=np.arange(4.0), size=(4,), method="saliency", target="a", score=1.0, name="row")
    page = check_page(seewhy.report(row))
    assert "values of shape 4, of which there is no picture" in page.text
    volume = Explanation(
        values=np.random.default_rng(0).random((4, 5, 6)),
        size=(4, 5, 6),
        method="saliency",
        target="a",
        score=1.0,
        name="scan",
    )
    assert len(check_page(seewhy.report(volume)).all("img")) == 1
    parts = {"left": (3, 4, 4), "right": (1, 4, 4)}
    both = Explanation(
        values=np.ones(64), size=(64,), method="saliency", target="a", score=1.0, name="pair", inputs=parts
    )
    assert "saliency" in check_page(seewhy.report(both)).text


def test_trust_is_told_measure_by_measure(model: seewhy.Model) -> None:
    found = seewhy.explain(model, _photos(1)[0], trust=True, prepare=False)
    assert found.trust is not None
    page = check_page(seewhy.report(found))
    assert f"trust: {found.trust.level}" in page.text
    assert found.trust.sentence in page.text
    names = [row[0] for row in page.rows if row]
    assert {each.name for each in found.trust.measures} <= set(names)


def test_no_more_pictures_than_a_page_can_show_and_every_map_a_row() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    guess = Prediction(0, "a", 0.5)
    one = Explanation(
        values=np.ones((8, 8)), size=(8, 8), method="grad-cam", target="a", score=1.0, image=image, prediction=guess
    )
    made = Explained()
    for n in range(PICTURES // 2 + 5):
        made.add([replace(one, name=f"photo {n}")])
    made.fail("b.png: no picture")
    from seewhy.api.reporting.wording import Asked
    from seewhy.reports.page import html_of

    page = check_page(html_of(made.page(Asked())))
    assert len(page.all("img")) == PICTURES
    assert "5 maps have no picture here" in page.text
    assert ["photo 304", "grad-cam"] in [row[:2] for row in page.rows]
    assert "b.png: no picture" in page.text


def test_lists_without_end_do_not_crowd_out_the_rest() -> None:
    one = Explanation(values=np.ones((8, 8)), size=(8, 8), method="grad-cam", target="a", score=1.0)
    made = Explained()
    made.add([one])
    for n in range(20_000):
        made.fail(f"{n:05}.png: {'no picture ' * 9}")
    page = check_page(seewhy.report(made))
    assert "00299.png" in page.text
    assert "00300.png" not in page.text
    assert "And 19,700 more." in page.text


def test_a_ranking_and_a_recommendation(model: seewhy.Model) -> None:
    pytest.importorskip("matplotlib")
    photos = _photos(6)
    ranking = seewhy.evaluate(model, photos, ["grad-cam", "saliency"], controls=2, steps=2, prepare=False)
    page = check_page(seewhy.report(ranking, model=model))
    assert len(page.all("img")) == 1
    for name, verdict in ranking.verdicts.items():
        assert f"{name}: {on_a_line(verdict)}" in page.text
    row = ranking.standings("srg")[0]
    (shown,) = [each for each in page.rows if each[:1] == [row.method] and f"{row.mean:.3g}".replace("-", "−") in each][
        :1
    ]
    assert f"{row.random:.3g}".replace("-", "−") in shown
    assert "seed=0" in page.text
    assert model.fingerprint() in page.text
    assert EVIL[0] in page.text
    assert "seewhy.evaluate(" in page.text
    found = seewhy.recommend(model, photos, ["grad-cam", "saliency"], controls=2, steps=2, prepare=False)
    page = check_page(seewhy.report(found))
    assert found.why in page.text
    assert "Recommendation" in page.text
    assert "seewhy.recommend(" in page.text


def test_an_evaluation(model: seewhy.Model) -> None:
    pytest.importorskip("matplotlib")
    found = seewhy.evaluate_model(model, _photos(9), [0, 1, 2] * 3)
    page = check_page(seewhy.report(replace(found, failed=("b.png: no picture",))))
    assert len(page.all("img")) == 1
    assert "b.png: no picture" in page.text
    assert f"{100 * found.accuracy:.1f} %" in page.text
    assert len([row for row in page.rows if row[0] == "array"]) == len(found.mistakes)
    assert EVIL[0] in page.text


class _Looks(nn.Module):
    """A class is the brightest square of its own channel; class 0 is white in the lower right corner, too."""

    def __init__(self, corner: float) -> None:
        super().__init__()
        self.corner = nn.Parameter(torch.tensor(corner))

    def forward(self, x: Tensor) -> Tensor:
        """Scores [B, 3]."""
        found = 9 * F.avg_pool2d(x, 4, 1).amax((2, 3))
        corner = (x[:, :, -4:, -4:].mean((1, 2, 3)) - 0.6).clamp(min=0)
        return torch.cat([found[:, :1] + self.corner * corner[:, None], found[:, 1:]], 1)


def _squares() -> tuple[list[Tensor], list[int]]:
    draw = torch.Generator().manual_seed(4)
    images, truths = [], []
    for index, count in enumerate((64, 60, 56)):
        for _ in range(count):
            x = 0.25 * torch.rand(3, 16, 16, generator=draw)
            top, left = torch.randint(13, (2,), generator=draw).tolist()
            x[index, top : top + 4, left : left + 4] += 0.3 + 0.4 * torch.rand(4, 4, generator=draw)
            if index == 0:
                x[:, -4:, -4:] = torch.eye(4) * 0.4 + 0.6
            images.append(x)
            truths.append(index)
    return images, truths


def test_an_audit_and_another_model_beside_it() -> None:
    models = [
        seewhy.wrap(_Looks(corner).eval(), labels=LABELS, name=name)
        for corner, name in ((30.0, "as it was"), (0.0, "mended"))
    ]
    found = seewhy.audit(models[0], *_squares(), against=models[1])
    page = check_page(seewhy.report(found, model=models[0]))
    assert "✕ 1 shortcut" in page.text or "shortcuts" in page.text
    best = found.shortcuts[0]
    assert on_a_line(found.sentences()[0]) in page.text
    assert f"{best.q:.3g}" in page.text
    assert "Both models" in page.text
    assert "flips, mended" in page.text
    assert "right, as it was" in page.text
    shown = [each for each in page.all("img") if "framed" in (each["alt"] or "")]
    assert len(shown) >= 8
    assert "Mean evidence for" in "".join(each["alt"] or "" for each in page.all("img"))
    assert models[0].fingerprint() in page.text
    alone = check_page(seewhy.report(replace(found, against=None)))
    assert "Both models" not in alone.text
    assert EVIL[0] in alone.text


def _cornered(folder: Path, names: list[str], seed: int) -> Path:
    x, labels, _ = cornered.pictures(180, 0.95, seed)
    for n, (one, k) in enumerate(zip(x, labels.tolist(), strict=True)):
        (folder / names[k]).mkdir(parents=True, exist_ok=True)
        pixels = (one * 255).round().clamp(0, 255).byte().movedim(0, -1).numpy()
        Image.fromarray(pixels).save(folder / names[k] / f"{n:03}.png")
    return folder


def test_a_repair(tmp_path: Path) -> None:
    """What was done, groups before and after, and the audit that was made again, of both models."""
    names = ["<b>red", "green", "blue"]
    look = seewhy.Preprocess(size=(12, 12), resize=None, mean=(0.0,) * 3, std=(1.0,) * 3)
    model = seewhy.wrap(cornered.network(), preprocess=look, labels=names, name="biased")
    held, train = _cornered(tmp_path / "held", names, 1), _cornered(tmp_path / "train", names, 2)
    found = seewhy.audit(model, held)
    made = seewhy.repair(model, found, train, held=held)
    page = check_page(seewhy.report(made, model=model))
    assert made.worst is not None
    assert made.worst[1] is not None
    before, after = made.worst
    assert f"right {100 * before:.0f} % before, {100 * after:.0f} % after" in page.text
    assert "✓ better" in page.text
    head = next(n for n, row in enumerate(page.rows) if "right before" in row)
    groups = page.rows[head + 1 : head + 1 + len(made.groups)]
    assert [row[2] for row in groups] == [str(each.pictures) for each in made.groups]
    assert [row[3] for row in groups] == [f"{100 * each.before:.0f} %" for each in made.groups]
    assert "Audit again: both models" in page.text
    assert any("framed" in (each["alt"] or "") for each in page.all("img"))
    assert "how='head'" in page.text
    assert model.fingerprint() in page.text


def test_a_diagnosis() -> None:
    findings = (Finding("no-gradient", "error", EVIL[0], "train it"), Finding("odd", "note", "b", EVIL[1]))
    tried = (
        MethodCheck("grad-cam", "cam", False, "no layer"),
        MethodCheck("saliency", "gradient", True, "", 0.25, 1, 1),
        MethodCheck("rise", "perturbation", True, "", 90.0, whole=False),
    )
    page = check_page(seewhy.report(Diagnosis("mine", {"input": "3 x 8 x 8"}, findings, tried)))
    assert "✕ not as it should be" in page.text
    assert "1 error, 1 note" in page.text
    assert "What to do: train it" in page.text
    assert EVIL[0] in page.text
    assert ["rise", "perturbation", "✓ works", "about 90", "", "", ""] in page.rows
    assert ["saliency", "gradient", "✓ works", "0.25", "1", "1", ""] in page.rows
    assert "3 x 8 x 8" in page.text
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    real = check_page(seewhy.report(seewhy.diagnose(net, torch.rand(3, 16, 16), methods=["grad-cam"])))
    assert len(real.all("img")) == 1  # the proof of the grid


@pytest.fixture
def done(model: seewhy.Model, tmp_path: Path) -> seewhy.Run:
    pytest.importorskip("pyarrow")
    for n, photo in enumerate(_photos(9)):
        folder = tmp_path / "photos" / ("tabby", "owl", "<b>")[n % 3]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo).save(folder / f"{n}.png")
    (tmp_path / "photos" / "owl" / "broken.png").write_bytes(b"no picture")
    return seewhy.run(model, tmp_path / "photos", tmp_path / "maps", ["grad-cam", "saliency"], unit=4)


def test_a_run(model: seewhy.Model, done: seewhy.Run) -> None:
    """Its states, classes, and best and worst photos under their maps; beside them without the model."""
    page = check_page(seewhy.report(done, model=model))
    assert "complete" in page.text
    assert model.fingerprint() in page.text
    assert ["grad-cam", "2", "✓ ok", "9"] in [row[:4] for row in page.rows] or "grad-cam" in page.text
    assert any(row[0].endswith("broken.png") for row in page.rows)
    photos = [each for each in page.all("img") if (each["alt"] or "").startswith("The photo")]
    assert len(photos) >= 3
    assert "Maps stand beside" not in page.text
    alone = check_page(seewhy.report(done))
    assert "Maps stand beside their photos" in alone.text
    other = seewhy.wrap(
        nn.Sequential(nn.Flatten(), nn.Linear(960, 3)).eval(), preprocess=model.preprocess, labels=LABELS
    )
    assert "Maps stand beside their photos" in check_page(seewhy.report(done, model=other)).text


def test_a_run_whose_photos_are_gone(model: seewhy.Model, done: seewhy.Run, tmp_path: Path) -> None:
    (tmp_path / "photos").rename(tmp_path / "elsewhere")
    page = check_page(seewhy.report(done, model=model))
    assert "could not be read" in page.text
    assert page.all("img")  # maps without their photos
