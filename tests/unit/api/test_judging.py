"""Methods compared: numbers by hand and by loops, controls, intervals, mosaics, masks, what fails, what goes on."""

from __future__ import annotations

import itertools
import json
import math
import os
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision  # type: ignore[import-untyped]
from PIL import Image
from torch import nn

import seewhy
from seewhy import metrics as m
from seewhy.errors import CapabilityError, TargetError, UnknownName, UsageError
from seewhy.metrics import controls
from seewhy.metrics.standing import interval
from seewhy.models.redrawn import redrawn

WEIGHTS = torch.tensor([[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0], [-1.0] * 9]) / 64


def _linear() -> nn.Module:
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 2, bias=False)).double()
    with torch.no_grad():
        net[1].weight.copy_(WEIGHTS)
    return net


def _images(count: int = 6) -> torch.Tensor:
    return torch.rand(count, 1, 3, 3, generator=torch.Generator().manual_seed(3), dtype=torch.float64) + 0.2


def _area(numbers: list[float]) -> float:
    return sum((a + b) / 2 for a, b in itertools.pairwise(numbers)) / (len(numbers) - 1)


def _curve(x: list[float], weights: list[float], order: list[int], steps: int) -> list[float]:
    """The score of a linear network while places go to 0 in an order."""
    scores = []
    for step in range(steps + 1):
        gone = set(order[: round(step / steps * len(order))])
        scores.append(sum(w * v for n, (w, v) in enumerate(zip(weights, x, strict=True)) if n not in gone))
    return scores


def test_a_linear_network_by_hand() -> None:
    """Input times gradient is what each place is worth: its areas are those of the places by their worth."""
    x = _images()
    found = seewhy.evaluate(
        _linear(),
        x,
        ["input-x-gradient", "saliency"],
        ["srg", "deletion"],
        controls=2,
        steps=3,
        fill=0.0,
        prepare=False,
    )
    weights = WEIGHTS[0].tolist()
    for image, picture in zip(found.images, x, strict=True):
        (case,) = image["cases"]
        assert (image["said"], case["target"]) == (0, 0)
        pixels = picture.flatten().tolist()
        worth = [w * v for w, v in zip(weights, pixels, strict=True)]
        for method, values in (("input-x-gradient", worth), ("saliency", [abs(w) for w in weights])):
            strongest = sorted(range(9), key=lambda n, values=values: -values[n])
            most = _area(_curve(pixels, weights, strongest, 3))
            least = _area(_curve(pixels, weights, strongest[::-1], 3))
            told = case["methods"][method]["metrics"]
            assert told["deletion"]["value"] == pytest.approx(most)
            assert told["srg"]["value"] == pytest.approx(least - most)
    rows = {row.method: row for row in found.standings("srg")}
    own = [image["cases"][0]["methods"]["saliency"]["metrics"]["srg"]["value"] for image in found.images]
    assert rows["saliency"].mean == pytest.approx(np.mean(own))
    assert (rows["saliency"].low, rows["saliency"].high) == interval(np.array(own))
    assert found.standings("deletion")[0].mean <= found.standings("deletion")[1].mean


def test_controls_are_those_of_the_same_map_of_the_same_image() -> None:
    net, x = _linear(), _images(2)
    model = seewhy.wrap(net)
    found = seewhy.evaluate(model, x, "input-x-gradient", "srg", controls=3, steps=4, fill=0.0, seed=5, prepare=False)
    settings: dict[str, Any] = {"fill": 0.0, "steps": 4}
    other = redrawn(model, 5)
    for image, picture in zip(found.images, x, strict=True):
        (case,) = image["cases"]
        told = case["methods"]["input-x-gradient"]["metrics"]["srg"]
        own = torch.from_numpy(seewhy.explain(model, picture[None], "input-x-gradient", target=0).values)

        def number(values: torch.Tensor, picture: torch.Tensor = picture) -> float:
            return float(m.srg(lambda given: net(given)[:, 0].detach(), picture, values, **settings))

        assert told["value"] == pytest.approx(number(own))
        random = controls.spectrum_maps(own.double(), 3, of=picture, seed=5)
        assert told["spectrum"] == pytest.approx([number(each) for each in random])
        assert case["photo"]["srg"]["edge"] == pytest.approx(number(controls.edge_map(picture[None])[0]))
        assert case["photo"]["srg"]["bump"] == pytest.approx(number(controls.centre_bump((3, 3))))
        theirs = torch.from_numpy(seewhy.explain(other, picture[None], "input-x-gradient", target=0).values)
        assert told["untrained"] == pytest.approx(number(theirs))
    (row,) = found.standings()
    held = [
        [*case["methods"]["input-x-gradient"]["metrics"]["srg"]["spectrum"], *case["photo"]["srg"].values(),
         case["methods"]["input-x-gradient"]["metrics"]["srg"]["untrained"]]
        for image in found.images for case in image["cases"]
    ]  # fmt: skip
    own_numbers = [
        image["cases"][0]["methods"]["input-x-gradient"]["metrics"]["srg"]["value"] for image in found.images
    ]
    ranks = [
        (1 + sum(c >= value for c in others)) / (1 + len(others))
        for value, others in zip(own_numbers, held, strict=True)
    ]
    assert row.rank == pytest.approx(np.mean(ranks))
    assert math.isnan(row.beats)  # of so few controls no map beats all but a twentieth
    random_means = [np.mean(each) for each in zip(*(each[:3] for each in held), strict=True)]
    assert row.band == pytest.approx(tuple(np.percentile(random_means, [5, 95])))
    assert row.random == pytest.approx(np.mean(random_means))
    assert row.passes == 3  # a forward, and a backward that counts as two


def test_the_untrained_model_is_left_out_when_nobody_asks_for_it() -> None:
    """Then no map of it is made, its column says so, and everything else is as it is with it."""
    x = _images()
    with_it, without = (
        seewhy.evaluate(_linear(), x, "saliency", "srg", controls=2, untrained=asked) for asked in (True, False)
    )
    (one,), (other,) = with_it.standings(), without.standings()
    assert not math.isnan(one.untrained)
    assert math.isnan(other.untrained)
    assert (one.mean, one.random) == (other.mean, other.random)
    assert "no maps of an untrained model: not asked for" in without.notes


def test_random_maps_of_a_layer_s_map_are_drawn_on_its_own_grid() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3, 2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)).eval()
    x = torch.rand(1, 3, 13, 13, generator=torch.Generator().manual_seed(0))
    found = seewhy.evaluate(net, x, "grad-cam", "gini", controls=2, prepare=False)
    own = seewhy.explain(net, x, "grad-cam")
    random = controls.spectrum_maps(torch.from_numpy(own.values).double(), 2, of=x[0])
    whole = [seewhy.metrics.gini(seewhy.render.stretch(each, (13, 13))) for each in random.numpy()]
    told = found.images[0]["cases"][0]["methods"]["grad-cam"]["metrics"]["gini"]
    assert own.values.shape == (6, 6)
    assert told["spectrum"] == pytest.approx(whole)
    assert found.verdicts == {"gini": "neither way is better"}
    assert found.standings()[0].group == ""


def test_probabilities_are_judged_where_a_metric_or_somebody_asks_for_them() -> None:
    net, x = _linear(), _images(1)
    found = seewhy.evaluate(net, x, "saliency", ["average-drop", "deletion"], controls=1, steps=2, fill=0.0)
    other = seewhy.evaluate(net, x, "saliency", "deletion", controls=1, steps=2, fill=0.0, score="probability")
    values = torch.from_numpy(seewhy.explain(net, x, "saliency").values)

    def share(given: torch.Tensor) -> torch.Tensor:
        return net(given).softmax(1)[:, 0].detach()

    told = found.images[0]["cases"][0]["methods"]["saliency"]["metrics"]
    assert told["average-drop"]["value"] == pytest.approx(m.average_drop(share, x[0], values, fill=0.0))
    assert told["deletion"]["value"] > 1
    shown = other.images[0]["cases"][0]["methods"]["saliency"]["metrics"]["deletion"]["value"]
    assert shown == pytest.approx(m.deletion(share, x[0], values, fill=0.0, steps=2))


def test_what_is_wrong_or_unsure_is_counted_in_and_apart() -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(9, 3, bias=False)).double()
    with torch.no_grad():
        net[1].weight.copy_(torch.stack([torch.ones(9), torch.ones(9) * 0.9, torch.zeros(9)]) * 4)
    x = torch.cat([torch.full((3, 1, 3, 3), 2.0), torch.full((3, 1, 3, 3), 0.01)]).double()
    x += torch.rand(x.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 1e-3
    found = seewhy.evaluate(net, x, "input-x-gradient", "gini", truths=[0, 0, 1, 0, 0, 0], controls=1)
    assert [image["doubt"][:19] for image in found.images] == [
        "", "", "the model is wrong", "the model is unsure", "the model is unsure", "the model is unsure",
    ]  # fmt: skip
    (row,) = found.standings()
    own = [image["cases"][0]["methods"]["input-x-gradient"]["metrics"]["gini"]["value"] for image in found.images]
    assert row.sure == pytest.approx(np.mean(own[:2]))
    assert row.doubtful == pytest.approx(np.mean(own[2:]))
    assert row.mean == pytest.approx(np.mean(own))
    assert "3 of 6 photos: the model is unsure (p < .5); counted in, and apart under 'in doubt'" in found.notes
    assert "| sure | in doubt |" in found.to_markdown()
    true = seewhy.evaluate(net, x, "saliency", "gini", truths=[0, 0, 1, 0, 0, 0], controls=1, target="truth")
    assert [image["cases"][0]["target"] for image in true.images] == [0, 0, 1, 0, 0, 0]


def test_maps_without_a_number_say_why_and_the_others_go_on() -> None:
    x = _images(5)

    def sometimes(given: torch.Tensor, index: int) -> torch.Tensor:
        if bool((given[0] == x[1]).all()):
            raise RuntimeError("no such\nluck")
        return given[0, 0]

    own: Any = {
        "nan": lambda given, index: torch.full((3, 3), math.nan), "flat": lambda given, index: np.ones((3, 3)),
        "small": lambda given, index: torch.rand(2, 2), "sometimes": sometimes, "plain": "saliency",
    }  # fmt: skip
    found = seewhy.evaluate(_linear(), x, own, ["srg", "gini"], controls=2, steps=2, fill=0.0)
    rows = {row.method: row for row in found.standings("srg")}
    assert (rows["plain"].count, rows["sometimes"].count) == (5, 4)
    assert (rows["nan"].count, rows["flat"].count, rows["small"].count) == (0, 0, 0)
    assert rows["nan"].without == {"the map holds numbers that are none (NaN or infinity)": 5}
    assert rows["sometimes"].without == {"sometimes fails: RuntimeError: no such luck": 1}
    text = " ".join(found.notes)
    assert "flat has no number by srg of 5 of 5 photos: the map is the same everywhere" in text
    assert "small has no number by any metric of 5 of 5 photos: a map of (2, 2) and an image of (3, 3)" in text
    assert "sometimes has no number by any metric of 1 of 5 photos: sometimes fails: RuntimeError: no such luck" in text
    assert found.standings("srg")[-1].count == 0
    assert math.isnan(found.standings("srg")[-1].mean)
    assert not [each for each in found.differences("srg") if {"nan", "flat", "small"} & {each.one, each.other}]
    found.figure()  # lines without numbers are lines


def test_one_metric_that_fails_on_one_image_leaves_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    from seewhy.api.judging import numbers

    measured = numbers.measured
    x = _images(5)

    def failing(model: Any, items: Any, values: Any, targets: Any, asked: Any, **named: Any) -> Any:
        if any(metric.name == "deletion" for metric, _ in asked) and bool((items[0].tensor == x[2]).all()):
            raise UsageError("no deletion today")
        return measured(model, items, values, targets, asked, **named)

    monkeypatch.setattr(numbers, "measured", failing)
    found = seewhy.evaluate(_linear(), x, "saliency", ["srg", "deletion"], controls=1, steps=2, fill=0.0)
    assert (found.standings("srg")[0].count, found.standings("deletion")[0].count) == (5, 4)
    assert found.standings("deletion")[0].without == {"no deletion today": 1}


def test_a_function_s_methods_are_those_of_scores_alone() -> None:
    net = _linear()

    def function(given: torch.Tensor) -> torch.Tensor:
        return net(given).detach()

    found = seewhy.evaluate(
        seewhy.wrap(function), _images(5), ["saliency", "occlusion"], "srg", controls=1, steps=2, window=1, stride=1
    )
    assert found.methods == ("occlusion",)
    assert "saliency needs" in found.left_out["saliency"]
    assert any("no maps of an untrained model" in note for note in found.notes)
    assert math.isnan(found.standings()[0].untrained)
    with pytest.raises(CapabilityError, match="grad-cam needs"):
        seewhy.evaluate(seewhy.wrap(function), _images(5), ["saliency", "grad-cam"], "srg")


def test_few_photos_have_no_interval_and_are_not_told_apart() -> None:
    found = seewhy.evaluate(_linear(), _images(4), ["saliency", "input-x-gradient"], "srg", controls=1, steps=2)
    assert all(math.isnan(row.low) for row in found.standings())
    assert {row.group for row in found.standings()} == {"a"}
    assert "4 photos: fewer than the 5 that an interval takes, so there is none" in found.notes
    assert found.verdicts["srg"].endswith("cannot be told apart")


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"methods": "grad-cm"}, UnknownName, "nearest: 'grad-cam'"), ({"methods": []}, UsageError, "no methods"),
        ({"methods": "filters"}, UsageError, "filters makes no map of a class"),
        ({"methods": "grad-cam@"}, UsageError, "METHOD@LAYER"), ({"methods": {"mine": 3}}, UsageError, "'mine' is a int"),
        ({"metrics": "sgr"}, UnknownName, "nearest: 'srg'"), ({"metrics": []}, UsageError, "no metrics"),
        ({"metrics": "pointing"}, UsageError, "masks=DIR, or mosaics, grid=2"),
        ({"metrics": "stability"}, CapabilityError, r"call seewhy.metrics.stability"),
        ({"metrics": "completeness"}, CapabilityError, "as they were computed"),
        ({"metrics": {"srg": {"stepz": 3}}}, UsageError, "srg has no setting 'stepz'; it has steps, seed"),
        ({"steps": 0}, UsageError, "steps=0: a whole number"), ({"steps": 2.5}, UsageError, r"steps=2\.5"),
        ({"controls": 0}, UsageError, "controls=0"), ({"score": "logits"}, UnknownName, "nearest: 'logit'"),
        ({"target": "best"}, UnknownName, "target"), ({"photos": 0}, UsageError, "photos=0"),
        ({"target": "truth"}, UsageError, "needs the true classes"), ({"masks": "nowhere"}, UsageError, "no such folder"),
        ({"grid": 2, "masks": "x"}, UsageError, "give one of them"), ({"grid": 1}, UsageError, "grid=1"),
        ({"sure": 0.8, "shrink": True}, UsageError, "sure=0.8, shrink=True: mosaics are made with grid=2"),
        ({"grid": 2, "sure": 3}, UsageError, "sure=3"), ({"grid": 2, "mosaics": 0}, UsageError, "mosaics=0"),
        ({"grid": 2, "sure": 0.0}, UsageError, "a mosaic of 2 x 2 takes 4 classes"), ({"windw": 3}, UsageError, "windw"),
    ],
)  # fmt: skip
def test_what_is_invalid_is_one_line(given: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said) as raised:
        seewhy.evaluate(_linear(), _images(), **{"methods": "saliency", **given})
    assert "\n" not in str(raised.value)


def test_outputs_that_are_no_classes_are_refused() -> None:
    with pytest.raises(TargetError, match="no row of class scores"):
        seewhy.evaluate(nn.Conv2d(1, 3, 1), torch.rand(5, 1, 4, 4), "saliency", "gini")


class _Bright(nn.Module):
    """Class k's score is the mean of channel k of what the picture shows, at any size."""

    def __init__(self, gain: float = 40.0) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 3, 1, bias=False)
        with torch.no_grad():
            self.conv.weight.copy_(torch.eye(3)[:, :, None, None] * gain)
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.conv(x)).mean((2, 3))


def _photos(root: Path, count: int = 6, size: tuple[int, int] = (24, 32)) -> Path:
    """Pictures, each with a square of one colour on grey noise, and masks of the squares."""
    draw = np.random.default_rng(0)
    (root / "photos").mkdir(parents=True)
    (root / "masks").mkdir()
    for n in range(count):
        pixels = draw.integers(0, 60, (*size, 3)).astype(np.uint8)
        inside = np.zeros(size, dtype=np.uint8)
        inside[6:16, 8 + n % 3 : 20] = 255
        pixels[inside > 0, n % 3] = 255
        Image.fromarray(pixels).save(root / "photos" / f"{n}.png")
        Image.fromarray(inside).save(root / "masks" / f"{n}.png")
    return root


def _model(size: tuple[int, int] = (16, 16), resize: int = 20) -> seewhy.Model:
    ours = seewhy.Preprocess(size, resize, mean=(0.0,) * 3, std=(1.0,) * 3)
    return seewhy.wrap(_Bright(), preprocess=ours, labels=["red", "green", "blue"])


def test_masks_go_where_their_photos_go(tmp_path: Path) -> None:
    _photos(tmp_path)
    model = _model()
    names = ["relevance-mass", "iou", "energy-pointing", "pointing"]
    found = seewhy.evaluate(
        model, tmp_path / "photos", "input-x-gradient", names, masks=tmp_path / "masks", controls=2
    )  # fmt: skip
    for n, image in enumerate(found.images):
        path = tmp_path / "photos" / f"{n}.png"
        mask = model.preprocess.of_mask(np.asarray(Image.open(tmp_path / "masks" / f"{n}.png")) > 0)  # type: ignore[union-attr]
        values = seewhy.explain(model, path, "input-x-gradient", target=n % 3).map
        told = image["cases"][0]["methods"]["input-x-gradient"]["metrics"]
        assert image["said"] == n % 3
        assert told["relevance-mass"]["value"] == pytest.approx(m.relevance_mass(values, mask))
        assert told["iou"]["value"] == pytest.approx(m.iou(values, mask))
        assert told["relevance-mass"]["value"] > 0.6
    (row,) = found.standings("relevance-mass")
    assert row.mean > row.band[1] > row.untrained
    assert found.standings("pointing")[0].mean == 1


def _of_evidence(values: np.ndarray, inside: np.ndarray, boxes: np.ndarray) -> dict[str, float]:
    """The metrics of masks pixel by pixel; equal values share their ranks."""
    places = list(np.ndindex(values.shape))
    total = sum(max(float(values[p]), 0.0) for p in places)
    strongest = sorted(places, key=lambda p: -values[p])
    cut = {p for p in places if values[p] > 0 and values[p] > 0.2 * values.max()}
    count = sum(bool(inside[p]) for p in places)
    last = values[strongest[count - 1]]
    above, level = [p for p in places if values[p] > last], [p for p in places if values[p] == last]
    among = sum(bool(inside[p]) for p in above)
    among += (count - len(above)) * sum(bool(inside[p]) for p in level) / len(level)
    first = [p for p in places if values[p] == values.max()]
    return {
        "pointing": sum(bool(inside[p]) for p in first) / len(first),
        "relevance-mass": sum(max(float(values[p]), 0.0) for p in places if inside[p]) / total,
        "energy-pointing": sum(max(float(values[p]), 0.0) for p in places if boxes[p]) / total,
        "relevance-rank": among / count,
        "iou": sum(bool(inside[p]) for p in cut) / len(cut | {p for p in places if inside[p]}),
    }


def test_several_objects_of_a_photo_by_hand(tmp_path: Path) -> None:
    """Polygons, run lengths, a crowd and boxes; what lies between two boxes is in neither."""
    (tmp_path / "photos" / "monday").mkdir(parents=True)
    draw = np.random.default_rng(5)
    tall, flat = np.zeros((16, 16), dtype=bool), np.zeros((16, 16), dtype=bool)
    tall[1:7, 2:4], flat[12:14, 5:15] = True, True
    runs = [len(list(same)) for _, same in itertools.groupby(tall.T.ravel().tolist())]
    objects = [
        {"image_id": 9, "category_id": 3, "segmentation": [[2, 1, 4, 1, 4, 7, 2, 7]], "bbox": [2, 1, 2, 6]},
        {"image_id": 4, "category_id": 3, "segmentation": {"size": [16, 16], "counts": runs}, "iscrowd": 1},
        {"image_id": 9, "category_id": 3, "segmentation": [[5, 12, 15, 12, 15, 14, 5, 14]], "bbox": [5, 12, 10, 2]},
        {"image_id": 4, "category_id": 3, "bbox": [5, 12, 10, 2]},
    ]
    listed = [{"id": 9, "file_name": "set/photos/monday/0.png"}, {"id": 4, "file_name": "set/photos/monday/1.png"}]
    for n in range(2):
        pixels = draw.integers(0, 256, (16, 16, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(tmp_path / "photos" / "monday" / f"{n}.png")
    (tmp_path / "coco.json").write_text(
        json.dumps({"annotations": objects, "images": listed, "categories": [{"id": 3, "name": "lamp"}]})
    )
    names = ["pointing", "relevance-mass", "energy-pointing", "relevance-rank", "iou"]
    model = _model(resize=16)
    found = seewhy.evaluate(
        model, tmp_path / "photos", "input-x-gradient", names, masks=tmp_path / "coco.json", controls=1, prepare=False
    )  # fmt: skip
    assert any("no photo's class is known: " in note and "'monday' is no class" in note for note in found.notes)
    for n, image in enumerate(found.images):
        path = tmp_path / "photos" / "monday" / f"{n}.png"
        values = seewhy.explain(model, path, "input-x-gradient", prepare=False).map.astype(np.float64)
        told = image["cases"][0]["methods"]["input-x-gradient"]["metrics"]
        for name, right in _of_evidence(values, tall | flat, tall | flat).items():
            assert told[name]["value"] == pytest.approx(right, rel=1e-12), name
    around = np.zeros((16, 16), dtype=bool)
    around[1:14, 2:15] = True
    (row,) = seewhy.evaluate(
        model, path, "input-x-gradient", {"energy-pointing": {"around": True}}, masks=tmp_path / "coco.json",
        controls=1, prepare=False,
    ).standings("energy-pointing")  # fmt: skip
    assert row.mean == pytest.approx(_of_evidence(values, tall | flat, around)["energy-pointing"], rel=1e-12)


def test_folders_that_are_no_classes_are_refused_where_some_are(tmp_path: Path) -> None:
    for folder in ("red", "bleu"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (16, 16), "red").save(tmp_path / folder / "0.png")
    with pytest.raises(UsageError, match="'bleu' is no class of the model"):
        seewhy.evaluate(_model(), tmp_path, "saliency", "gini", controls=1)
    with pytest.raises(UsageError, match="'bleu' is no class of the model"):
        seewhy.evaluate(_model(), tmp_path, "saliency", "gini", controls=1, target="truth")


def test_masks_that_do_not_fit_leave_the_others(tmp_path: Path) -> None:
    _photos(tmp_path)
    masks = tmp_path / "masks"
    (masks / "0.png").unlink()
    Image.fromarray(np.ones((4, 4), np.uint8)).save(masks / "1.png")
    Image.fromarray(np.zeros((24, 32), np.uint8)).save(masks / "2.png")
    edge = np.zeros((24, 32), np.uint8)
    edge[:, :2] = 1  # cut off by the crop
    Image.fromarray(edge).save(masks / "3.png")
    found = seewhy.evaluate(
        _model(), tmp_path / "photos", "saliency", ["pointing", "gini"], masks=masks, controls=1
    )  # fmt: skip
    (row,) = found.standings("pointing")
    assert (row.count, found.standings("gini")[0].count) == (2, 6)
    why = " ".join(row.without)
    assert "is of 4 x 4 pixels, and the photo of 24 x 32" in why
    assert "is empty" in why
    assert "no mask in" in why
    assert "nothing of what its mask marks is in what the model sees" in why
    assert "5 of 6 photos have masks" in found.notes
    for each in masks.iterdir():
        each.rename(masks / f"other{each.name}")
    with pytest.raises(UsageError, match="is of a photo"):
        seewhy.evaluate(_model(), tmp_path / "photos", "saliency", masks=masks)


def test_objects_of_other_classes_do_not_count(tmp_path: Path) -> None:
    _photos(tmp_path, 5)
    images = [{"id": n, "file_name": f"{n}.png", "width": 32, "height": 24} for n in range(5)]
    kinds = [{"id": n, "name": name} for n, name in enumerate(["red", "green", "blue", "thing"])]
    boxes = [{"id": n, "image_id": n, "category_id": n % 3, "bbox": [8 + n % 3, 6, 12 - n % 3, 10]} for n in range(5)]
    wrong = [{"id": 9 + n, "image_id": n, "category_id": (n + 1) % 3, "bbox": [0, 0, 32, 24]} for n in range(5)]
    path = tmp_path / "boxes.json"
    told = {"images": images, "categories": kinds}
    path.write_text(json.dumps({**told, "annotations": boxes + wrong}))
    asked: dict[str, Any] = {"methods": "input-x-gradient", "metrics": "relevance-mass", "controls": 1}
    both = seewhy.evaluate(_model(), tmp_path / "photos", masks=path, **asked)
    path.write_text(json.dumps({**told, "annotations": boxes}))
    alone = seewhy.evaluate(_model(), tmp_path / "photos", masks=path, **asked)
    assert both.images == alone.images
    assert alone.standings()[0].mean < 1
    path.write_text(json.dumps({**told, "annotations": [{**each, "category_id": 3} for each in boxes]}))
    assert seewhy.evaluate(_model(), tmp_path / "photos", masks=path, **asked).images == alone.images


#: five colours that no other one holds
COLOURS = torch.tensor([[1.0, 0, 0], [0, 1, 0], [1, 1, 0], [0, 0, 1], [1, 0, 1]])


def _sure(count: int) -> torch.Tensor:
    """Inputs that `_Wide` is sure of, a class each in turn: a patch of its colour on noise."""
    x = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(1)) * 0.1
    for n in range(count):
        x[n, :, 2:6, 3:6] += COLOURS[n % 5][:, None, None]
    return x


class _Wide(nn.Module):
    """The score of a class is how much there is of its colour, and of no other; at any size, unless it is fixed."""

    def __init__(self, fixed: bool = False) -> None:
        super().__init__()
        self.conv, self.relu, self.fixed = nn.Conv2d(3, 5, 1), nn.ReLU(), fixed
        with torch.no_grad():
            self.conv.weight.copy_((COLOURS * 2 - 1)[:, :, None, None] * 90)
            self.conv.bias.copy_((0.5 - COLOURS.sum(1)) * 90)  # type: ignore[union-attr]

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.fixed and x.shape[2:] != (8, 8):
            raise ValueError(f"pictures of 8 x 8, not {tuple(x.shape)}")
        return self.relu(self.conv(x)).mean((2, 3))


def test_mosaics_by_hand() -> None:
    net = _Wide()
    x = _sure(15)
    said = net(x).argmax(1).tolist()
    assert said == [n % 5 for n in range(15)]
    found = seewhy.evaluate(net, x, ["grad-cam", "saliency"], grid=2, mosaics=6, sure=0.5, controls=4, prepare=False)
    assert (found.kind, len(found.images), found.chance) == ("mosaics", 6, 0.25)
    seen = []
    for image in found.images:
        tiles = [int(name.removeprefix("image ")) for name in image["tiles"]]
        classes = [said[n] for n in tiles]
        assert len(set(classes)) == 4
        seen.append(frozenset(tiles))
        whole = torch.cat([torch.cat([x[tiles[0]], x[tiles[1]]], 2), torch.cat([x[tiles[2]], x[tiles[3]]], 2)], 1)
        assert [case["target"] for case in image["cases"]] == classes
        for place, case in enumerate(image["cases"]):
            values = seewhy.explain(net, whole[None], "grad-cam", target=classes[place]).map.astype(float)
            top, left = place // 2 * 8, place % 2 * 8
            inside = total = 0.0
            for row in range(16):
                for column in range(16):
                    positive = max(values[row, column], 0.0)
                    total += positive
                    inside += positive if top <= row < top + 8 and left <= column < left + 8 else 0.0
            told = case["methods"]["grad-cam"]["metrics"]["grid-pointing"]
            assert told["value"] == pytest.approx(inside / total, rel=1e-5)
            assert len(told["spectrum"]) == 4
    assert len(set(seen)) == 6
    for row in found.standings():
        # one map for all four classes: what it has in their cells adds up to all of it
        assert row.edge == pytest.approx(0.25)
        assert row.bump == pytest.approx(0.25)
    assert any("mosaics of 2 x 2 of them" in note and "whole inputs" in note for note in found.notes)
    again = seewhy.evaluate(net, x, ["grad-cam", "saliency"], grid=2, mosaics=6, sure=0.5, controls=4, prepare=False)
    assert again.to_dict() == found.to_dict()


def test_tiles_are_shrunk_where_a_model_takes_one_size() -> None:
    x = _sure(15)
    found = seewhy.evaluate(_Wide(fixed=True), x, "grad-cam", grid=2, mosaics=2, sure=0.3, controls=1)
    assert any("tiles are shrunk, since the model takes no larger input" in note for note in found.notes)
    tiles = [x[int(name.removeprefix("image "))] for name in found.images[0]["tiles"]]
    small = [
        torch.nn.functional.interpolate(each[None], (4, 4), mode="bilinear", antialias=True)[0] for each in tiles
    ]  # fmt: skip
    whole = torch.cat([torch.cat(small[:2], 2), torch.cat(small[2:], 2)], 1)
    values = seewhy.explain(_Wide(), whole[None], "grad-cam", target=found.images[0]["cases"][1]["target"]).map
    told = found.images[0]["cases"][1]["methods"]["grad-cam"]["metrics"]["grid-pointing"]["value"]
    share = np.maximum(values, 0)[:4, 4:].sum() / np.maximum(values, 0).sum()
    assert told == pytest.approx(float(share), rel=1e-5)
    asked = seewhy.evaluate(_Wide(), x, "grad-cam", grid=2, mosaics=2, shrink=True, sure=0.3, controls=1)
    assert any("tiles are shrunk, as asked" in note for note in asked.notes)
    again = asked.images[0]["cases"][1]["methods"]["grad-cam"]["metrics"]["grid-pointing"]["value"]
    assert again == pytest.approx(told, rel=1e-5)


def test_mosaics_of_too_few_photos_are_fewer_or_none() -> None:
    net = _Wide()
    found = seewhy.evaluate(net, _sure(5), "saliency", grid=2, mosaics=50, sure=0.5, controls=1)
    assert len(found.images) == 5  # four of five
    assert any("50 mosaics were asked for" in note for note in found.notes)
    with pytest.raises(UsageError, match="sure of 15 photos of 5 classes, and a mosaic of 3 x 3 takes 9"):
        seewhy.evaluate(net, _sure(15), "saliency", grid=3, sure=0.5)
    truths = [0] * 15  # a photo that is known to be called wrongly is no tile
    with pytest.raises(UsageError, match="sure of 3 photos of 1 classes"):
        seewhy.evaluate(net, _sure(15), "saliency", truths=truths, grid=2, sure=0.5)


@pytest.mark.parametrize("grid", [None, 2])
def test_what_was_interrupted_goes_on_to_the_same_bytes(
    tmp_path: Path, grid: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from seewhy.api.judging import running

    for n, each in enumerate(_sure(10)):
        pixels = (each.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy()
        (tmp_path / "photos").mkdir(exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / "photos" / f"{n}.png")
    ours = seewhy.Preprocess((8, 8), None, "squash", (0.0,) * 3, (1.0,) * 3)
    asked: dict[str, Any] = {
        "methods": ["grad-cam", "saliency"], "controls": 2, "steps": 2,
        **({"grid": grid, "mosaics": 5, "sure": 0.4} if grid else {}),
        "prepare": False,
    }  # fmt: skip

    def evaluated(keep: str) -> bytes:
        model = seewhy.wrap(_Wide(), preprocess=ours)
        found = seewhy.evaluate(model, tmp_path / "photos", keep=tmp_path / keep, **asked)
        return found.save(tmp_path / f"{keep}.json", force=True).read_bytes()

    whole = evaluated("whole")
    judged, calls = running.judged, list[int]()

    def interrupted(*given: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return judged(*given, **named)

    with monkeypatch.context() as patched:
        patched.setattr(running, "judged", interrupted)
        with pytest.raises(KeyboardInterrupt, match=r"3 of .* are done and kept: the same command goes on"):
            evaluated("parts")
    calls.clear()
    monkeypatch.setattr(running, "judged", lambda *given: (calls.append(1), judged(*given))[1])
    assert evaluated("parts") == whole
    assert len(calls) == (10 if grid is None else 5) - 3  # nothing twice
    assert json.loads(whole)["standings"]


def test_a_ranking_shows_itself_and_is_read_again(tmp_path: Path) -> None:
    x = _images(7)
    found = seewhy.evaluate(_linear(), x, ["saliency", "input-x-gradient"], ["srg", "gini"], controls=2, steps=2)
    again = seewhy.Ranking.load(found.save(tmp_path / "a.json"))
    assert again.to_dict() == found.to_dict()
    assert again.to_markdown() == found.to_markdown()
    text = found.save(tmp_path / "a.md").read_text()
    assert "### srg, higher is better" in text
    assert text.count("| saliency |") == 2
    assert found.table()[0]["metric"] == "srg"
    assert "<table>" in found._repr_html_()
    with Image.open(found.save(tmp_path / "a.png")) as picture:
        assert picture.size[0] > 600
    assert "input-x-gradient" in found.save(tmp_path / "a.svg").read_text()
    with pytest.raises(UsageError, match="force"):
        found.save(tmp_path / "a.json")
    with pytest.raises(UnknownName, match="metric of this ranking"):
        found.standings("deletion")
    (tmp_path / "b.json").write_text("{}")
    with pytest.raises(UsageError, match="is no ranking"):
        seewhy.Ranking.load(tmp_path / "b.json")


@pytest.mark.parametrize("count", [1, 2, 3])
def test_nothing_of_a_chart_lies_outside_of_it(count: int) -> None:
    names = ["srg", "deletion", "insertion"][:count]
    figure = seewhy.evaluate(_linear(), _images(), ["saliency", "input-x-gradient"], names, controls=2).figure()
    picture, whole = np.asarray(figure.convert("L")), figure.size
    assert whole == (picture.shape[1], picture.shape[0])
    for edge in (picture[:, 0], picture[:, -1], picture[0], picture[-1]):
        assert bool((edge == 255).all())


def test_a_map_can_only_be_among_the_best_twentieth_of_twenty() -> None:
    x = _images()
    few, many = (
        seewhy.evaluate(_linear(), x, "input-x-gradient", "srg", controls=n, prepare=False).standings("srg")[0]
        for n in (8, 16)
    )
    assert math.isnan(few.beats)  # 11 others
    assert not math.isnan(many.beats)  # 19
    assert few.rank >= 1 / 12


def test_edges_have_no_number_by_what_depends_on_a_map_s_unit() -> None:
    from seewhy.api.judging.asked import metrics_of
    from seewhy.metrics import metrics as every

    x, net = _images(3), _linear()
    own = {"mine": lambda x, k: WEIGHTS[k].reshape(3, 3).double(), "thrice": lambda x, k: WEIGHTS[k].reshape(3, 3) * 3}
    for metric in every:
        try:
            metrics_of([metric.name], masks=False, grid=False, steps=3)
        except (CapabilityError, UsageError):
            continue
        found = seewhy.evaluate(net, x, own, metric.name, controls=1, prepare=False)
        for image in found.images:
            (case,) = image["cases"]
            one, other = (case["methods"][name]["metrics"][metric.name]["value"] for name in ("mine", "thrice"))
            held = {value is not None for value in case["photo"][metric.name].values()}
            if metric.card.of_values:
                assert other != pytest.approx(one, rel=1e-3), metric.name
                assert held == {False}, metric.name
            else:
                assert other == pytest.approx(one, rel=1e-6), metric.name
                assert held == {True}, metric.name


def test_differences_are_paired() -> None:
    """Every photo prefers the same method by little, photos differ by much: pairs tell, means alone would not."""
    x = torch.cat([_images(8) * 4**n for n in (0, 1)])
    found = seewhy.evaluate(_linear(), x, ["saliency", "input-x-gradient"], "srg", controls=1, steps=9, fill=0.0)
    (pair,) = found.differences()
    values = {
        name: np.array([image["cases"][0]["methods"][name]["metrics"]["srg"]["value"] for image in found.images])
        for name in found.methods
    }
    gaps = values[pair.one] - values[pair.other]
    assert pair.mean == pytest.approx(gaps.mean())
    assert (pair.low, pair.high) == interval(gaps)
    assert pair.apart
    assert [row.group for row in found.standings()] == ["a", "b"]
    assert found.best() == ["input-x-gradient"]
    rows = {row.method: row for row in found.standings()}
    assert rows["saliency"].high > rows["input-x-gradient"].low


def test_photos_are_drawn_from_the_seed(tmp_path: Path) -> None:
    _photos(tmp_path, 9)
    asked: dict[str, Any] = {"methods": "saliency", "metrics": "gini", "controls": 1, "photos": 4}
    some = [image["name"] for image in seewhy.evaluate(_model(), tmp_path / "photos", **asked).images]
    same = [image["name"] for image in seewhy.evaluate(_model(), tmp_path / "photos", **asked).images]
    others = [image["name"] for image in seewhy.evaluate(_model(), tmp_path / "photos", seed=1, **asked).images]
    assert len(some) == 4
    assert some == same != others


def test_a_photo_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    _photos(tmp_path, 5)
    (tmp_path / "photos" / "3.png").write_bytes(b"none")
    found = seewhy.evaluate(_model(), tmp_path / "photos", "saliency", "gini", controls=1)
    assert len(found.images) == 4
    assert "3.png" in found.failed[0]


def test_a_recommendation_names_the_cheapest_of_the_best() -> None:
    x = _images(12)
    found = seewhy.recommend(
        _linear(), x, ["input-x-gradient", "integrated-gradients", "saliency", "smooth-grad"], controls=3, steps=9,
        budget=400, prepare=False,
    )  # fmt: skip
    # of a linear network the path gives what the end of it gives
    assert found.same["integrated-gradients"] == "input-x-gradient"
    assert found.same["smooth-grad"] == "saliency"
    assert (found.method, found.layer) == ("input-x-gradient", None)
    assert found.near == ("input-x-gradient",)
    assert [row["near"] for row in found.table() if row["method"] == "saliency"] == [False]
    assert "is the best of 2 by srg on 12 photos" in found.why
    assert "| input-x-gradient |" in found.to_markdown()
    passes = [row.passes for row in found.rows]
    assert passes == sorted(passes)


def test_a_dear_method_is_named_only_where_no_cheaper_one_is_as_good(monkeypatch: pytest.MonkeyPatch) -> None:
    from seewhy.api.judging import recommending

    asked: dict[str, Any] = {"controls": 3, "steps": 9, "budget": 400, "prepare": False}
    dear = seewhy.recommend(_linear(), _images(12), ["saliency", "integrated-gradients"], **asked)
    assert [row.method for row in dear.rows] == ["saliency", "integrated-gradients"]
    assert dear.method == "integrated-gradients"
    monkeypatch.setattr(recommending, "_near", lambda ranking, metric, rows: [row.method for row in rows])
    cheap = seewhy.recommend(_linear(), _images(12), ["saliency", "integrated-gradients"], **asked)
    assert cheap.method == "saliency"
    assert "is the cheapest of 2 that cannot be told apart from the best of 2, integrated-gradients" in cheap.why


def test_a_recommendation_tries_layers_and_says_what_it_left(tmp_path: Path) -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = nn.Sequential(
            nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 8, 3, padding=1), nn.ReLU(),
            nn.MaxPool2d(2), nn.Conv2d(8, 8, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(8, 3),
        ).eval()  # fmt: skip
    x = torch.rand(5, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    found = seewhy.recommend(net, x, controls=2, steps=2, layers=1, budget=10, prepare=False)
    names = set(found.ranking.methods) | set(found.same)
    assert {"grad-cam", "grad-cam@4"} <= names
    assert found.same["hires-cam"] == "cam"  # equal behind pooling and one linear layer
    assert "too dear" in found.not_tried["rise"]
    assert "the same for every class" in found.not_tried["eigen-cam"]
    assert "several layers" in found.not_tried["refine-cam"]
    assert "16x16" in found.not_tried["finer layers"]
    assert found.to_dict()["method"] == found.method
    assert json.loads(found.save(tmp_path / "r.json").read_text())["why"] == found.why
    assert found.save(tmp_path / "r.md").read_text() == found.to_markdown()
    assert found.why in found._repr_html_()
    assert repr(found).startswith(f"Recommendation('{found.method}'")


class _Block(nn.Module):
    """Of a network whose positions stay: normed channels, with their neighbours' and mixed, added to what comes in."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, channels)
        self.near = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.near(self.norm(x)).relu()


def test_a_recommendation_tries_earlier_layers_where_no_grid_is_finer() -> None:
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        kept = nn.Sequential(
            nn.Conv2d(3, 8, 4, stride=4), *(_Block(8) for _ in range(6)), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(8, 3),
        ).eval()  # fmt: skip
        vit = torchvision.models.VisionTransformer(16, 4, 6, 2, 16, 16, num_classes=3).eval()
        nn.init.normal_(vit.heads.head.weight)
    for net, layers, earlier in (
        (kept, 2, ["2", "4"]),
        (vit, 1, ["encoder.layers.encoder_layer_2.ln_2"]),
        (kept, 0, []),
    ):
        found = seewhy.recommend(net, x, controls=1, steps=1, layers=layers, budget=6, prepare=False)
        tried = {*found.ranking.methods, *found.same}
        at = {name.partition("@")[2] for name in tried if "@" in name}
        assert at == set(earlier)
        assert all(f"grad-cam@{layer}" in tried for layer in earlier)


def test_a_layer_whose_grid_is_contradicted_is_no_finer_one() -> None:
    """Of attention with heads, keys [B, heads, tokens, channels] look like a picture of tokens by channels."""
    timm = pytest.importorskip("timm")
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = timm.models.VisionTransformer(16, 4, embed_dim=16, depth=3, num_heads=2, num_classes=3).eval()
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(2))
    found = seewhy.recommend(net, x, controls=1, steps=1, layers=1, budget=6, prepare=False)
    assert "is contradicted" in found.not_tried["layer blocks.2.attn.k_norm"]
    assert not any("k_norm" in name for name in (*found.ranking.methods, *found.same))
    assert sum("k_norm" in name for name in found.not_tried) == 1
    assert any(name.startswith("grad-cam@blocks.") for name in (*found.ranking.methods, *found.same))


def test_what_is_too_dear_is_ended_as_soon_as_that_is_seen() -> None:
    """Score-CAM has a pass for each of 64 channels; of these no more are made than a map may take, by one chunk."""
    seen: list[int] = []

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv, self.head = nn.Conv2d(3, 64, 3), nn.Linear(64, 2)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(len(x))
            y: torch.Tensor = self.head(self.conv(x).relu().mean((2, 3)))
            return y

    x = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    net = Counting()
    seewhy.explain(net, x[:1], "score-cam", prepare=False)
    whole = sum(seen)
    assert whole > 64
    seen.clear()
    with pytest.raises(CapabilityError, match=r"score-cam: too dear: more than 3 passes a map"):
        seewhy.recommend(net, x, ["score-cam"], controls=1, budget=3, prepare=False)
    assert sum(seen) < whole / 2


def test_a_recommendation_from_few_photos_promises_nothing() -> None:
    found = seewhy.recommend(_linear(), _images(3), ["saliency", "input-x-gradient"], controls=1, steps=9)
    assert found.method == "input-x-gradient"
    assert "that it is the best 3 photos cannot show, 6 could," in found.why
    five = seewhy.evaluate(_linear(), _images(5), ["saliency", "input-x-gradient"], "srg", controls=1, steps=9)
    assert "5 photos cannot tell 2 methods apart, whatever they show: it takes 6, or fewer methods" in five.notes
    assert {row.group for row in five.standings()} == {"a"}


@pytest.mark.parametrize(
    ("given", "error", "said"),
    [
        ({"metric": "gini"}, UsageError, "neither good nor bad alone"), ({"metric": "iou"}, UsageError, "masks="),
        ({"budget": 0}, UsageError, "budget=0"), ({"methods": ["rise"], "budget": 1}, CapabilityError, "too dear"),
        ({"layers": -1, "methods": None}, UsageError, "layers=-1"), ({"methods": "x"}, UnknownName, "no method 'x'"),
    ],
)  # fmt: skip
def test_recommendations_that_cannot_be_are_one_line(given: dict[str, Any], error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        seewhy.recommend(_linear(), _images(5), **{"methods": ["saliency"], **given})


def test_a_case_that_says_nothing_leaves_the_others_their_controls() -> None:
    """Of two cases of one image one has a map that says nothing, and so no random maps to be held against."""
    from seewhy.api.judging.counting import standings_of
    from seewhy.metrics import metrics

    def case(value: float, random: list[float]) -> dict[str, Any]:
        told = {"value": value, "why": "", "spectrum": random, "untrained": None}
        made = {"why": "", "passes": 1, "layer": None, "metrics": {"grid-pointing": told}}
        return {"methods": {"a": made}, "photo": {"grid-pointing": {"edge": 0.25, "bump": 0.25}}}

    images = [
        {"cases": [case(0.75, [0.2, 0.3]), case(0.25, [])], "doubt": ""},
        {"cases": [case(0.65, [0.3, 0.5]), case(0.35, [0.1, 0.1])], "doubt": ""},
        {"cases": [case(0.0, []), case(0.0, [])], "doubt": ""},
    ]
    (standing,), _ = standings_of(images, ["a"], metrics["grid-pointing"], seed=0)
    assert standing.mean == pytest.approx((0.5 + 0.5 + 0.0) / 3)
    # of the first image 0.25, of the second 0.25; the third has none
    assert standing.random == pytest.approx(0.25)
