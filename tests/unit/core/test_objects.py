"""Objects as targets: every form of a detector's output against its own numbers, and what is refused."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import seewhy
from detecting import ANCHORS, CLASSES, FORMS, Found, by_hand, detector, iou, picture
from seewhy import targets as t
from seewhy.core.network.outputs import Outputs
from seewhy.core.network.proposals import tell
from seewhy.errors import SeewhyError, TargetError

#: forms that an output does not tell by itself
_TOLD = ("yolov5-maps", "yolov3-maps")
SIZE = (24, 32)


def _form(form: str) -> Any:
    return t.YoloMaps(ANCHORS, form.removesuffix("-maps")) if form.endswith("maps") else form


def _outputs(raw: Any, batch: int = 1, classes: int | None = CLASSES) -> Outputs:
    return Outputs(raw, batch, size=SIZE, classes=classes)


def _candidates(form: str, x: torch.Tensor, image: int = 0) -> list[Found]:
    with torch.no_grad():
        return by_hand(form, detector(form)(x), SIZE, image)


def _object(form: str) -> tuple[tuple[float, ...], int]:
    """A box beside the surest candidate's, and its class."""
    best = max(_candidates(form, picture()), key=lambda each: max(each.scores))
    left, top, right, bottom = best.box
    return (left + 0.3, top + 0.2, right + 0.5, bottom - 0.4), int(np.argmax(best.scores))


def _expected(kind: str, found: list[Found], box: Any, k: int) -> float:
    if kind == "box":
        return max(each.scores[k] * iou(each.box, box) for each in found)
    if kind == "best":
        return max(each.scores[k] for each in found)
    return max((each for each in found if each.label in (None, k)), key=lambda each: iou(each.box, box)).scores[k]


def _target(kind: str, form: str) -> t.Target:
    box, k = _object(form)
    if kind == "box":
        return t.Box(box, k, _form(form))  # type: ignore[arg-type]
    return t.Candidate(k, None if kind == "best" else box, _form(form))  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", ["box", "best", "fits"])
@pytest.mark.parametrize("form", FORMS)
def test_an_object_by_hand(form: str, kind: str) -> None:
    """The score is the one that indexing the raw output gives, in two images; the gradient that of differences."""
    net, x, (box, k), target = detector(form), picture(batch=2), _object(form), _target(kind, form)
    with torch.no_grad():
        raw = net(x)
    expected = [_expected(kind, by_hand(form, raw, SIZE, image), box, k) for image in range(2)]
    assert target(_outputs(raw, 2)).tolist() == pytest.approx(expected, abs=1e-12)
    found = seewhy.explain(net, x[:1], method="saliency", target=target, reduce="none")
    assert found.score == pytest.approx(expected[0], abs=1e-12)
    assert found.target_index == k
    assert found.status.ok
    direction = torch.from_numpy(found.values)[None]
    step = 1e-6 / float(direction.abs().max())
    with torch.no_grad():
        ends = [_expected(kind, by_hand(form, net(x[:1] + sign * step * direction), SIZE), box, k) for sign in (1, -1)]
    assert float((direction**2).sum()) == pytest.approx((ends[0] - ends[1]) / (2 * step), rel=1e-5)


@pytest.mark.parametrize("form", FORMS)
def test_the_form_is_told_by_the_output_or_not_at_all(form: str) -> None:
    with torch.no_grad():
        output = _outputs(detector(form)(picture()))
    if form in _TOLD:
        likely = r"form=seewhy.targets.YoloMaps\(anchors=...\) or one of 'detr'"  # two maps, and no anchors of three
        with pytest.raises(TargetError, match=f"which no known form of them fits: say which it is, {likely}"):
            tell(output)
        return
    assert tell(output) == form
    (box, k), found = _object(form), _candidates(form, picture())
    guessed = seewhy.explain(detector(form), picture(), method="saliency", target=t.Box(box, k))  # type: ignore[arg-type]
    assert guessed.score == pytest.approx(_expected("box", found, box, k), abs=1e-12)


@pytest.mark.parametrize("form", [form for form in FORMS if form not in _TOLD])
def test_left_out_the_target_is_the_surest_object(form: str) -> None:
    """Its box is its own, so that the score is its score; the next ones are no near copies of it."""
    found = _candidates(form, picture())
    best = max(found, key=lambda each: max(each.scores))
    (first, *others) = seewhy.explain_all(detector(form), picture(), method="saliency", target="top-3")
    assert first.score == pytest.approx(max(best.scores), abs=1e-9)
    assert first.target_index == int(np.argmax(best.scores))
    assert len({each.target for each in (first, *others)}) == 3


@pytest.mark.parametrize("form", FORMS)
def test_cams_and_hiding_take_every_form(form: str) -> None:
    target = _target("box", form)
    cam = seewhy.explain(detector(form), picture(), method="grad-cam", target=target)
    assert cam.status.ok
    assert np.abs(cam.values).max() > 0
    hidden = seewhy.explain(detector(form), picture(), method="occlusion", target=target, window=8, stride=8)
    assert hidden.cost.forwards == 1 + 12
    assert np.abs(hidden.values).max() > 0


class _Changed(nn.Module):
    def __init__(self, form: str, change: Callable[[Any], Any]) -> None:
        super().__init__()
        self.net, self.change = detector(form), change

    def forward(self, x: torch.Tensor) -> Any:
        return self.change(self.net(x))


def test_objects_without_a_graph_are_explained_by_hiding_alone() -> None:
    net = _Changed("nms", lambda rows: [each.detach() for each in rows])
    assert np.abs(seewhy.explain(net, picture(), method="occlusion", window=8, stride=8).values).max() > 0
    for method in ("saliency", "grad-cam"):
        status = str(seewhy.explain(net, picture(), method=method).status)
        assert "does not depend on" in status
        assert "\n" not in status


def test_tables_of_six_columns() -> None:
    """[n, 6] of networks that take one picture, [B, n, 6] of heads that need no suppression, arrays."""

    box, k = _object("nms")
    expected = _expected("box", _candidates("nms", picture()), box, k)
    for change in (
        lambda rows: torch.stack(rows).view(9, 6),
        torch.stack,
        lambda rows: [each.detach().numpy() for each in rows],
    ):
        net = _Changed("nms", change)
        target = t.Box(box, k, "nms")  # type: ignore[arg-type]
        found = seewhy.explain(net, picture(), method="occlusion", window=12, target=target)
        assert found.score == pytest.approx(expected, abs=1e-12)
        assert seewhy.explain(net, picture(), method="occlusion", window=12, target=t.Box(box, k)).score == found.score  # type: ignore[arg-type]


_FAR = (200.0, 200.0, 220.0, 230.0)


@pytest.mark.parametrize(
    ("form", "target", "words"),
    [
        (
            "yolov8",
            t.Box(_FAR, 1),
            r"no candidate of class 1 overlaps 200, 200, 220, 230: the nearest candidate, IoU 0\.00, is class \d at \(",
        ),
        (
            "yolov8",
            t.Candidate(1, (0, 0, 32, 2)),
            r"no candidate fits 0, 0, 32, 2, with an overlap of 0\.5 or more: the nearest candidate, IoU 0\.\d\d, is class",
        ),
        ("nms", t.Candidate(1, _FAR), "no candidate of class 1 fits"),
        ("nms", t.Candidate(9), "no candidate of class 9: the surest candidate is class"),
        ("listed", t.Box((0, 0, 30, 20), 9), "no candidate of class 9 overlaps"),
        ("yolov5", t.Box((0, 0, 30, 20), 3), "no class 3: the detector tells 3, 0 to 2"),
        ("detr", t.Candidate(3), "no class 3: the detector tells 3, 0 to 2"),
        ("yolov8", t.Candidate(1, form="yolo8"), "no form 'yolo8'; nearest: 'yolov8'"),
        (
            "yolov8",
            t.Candidate(1, form="detr"),
            r"form='detr' is logits .*; this model gives Tensor \(1, 7, 60\) for 1 image of 24x32",
        ),
        ("yolov5-maps", t.Candidate(1, form="yolov5-maps"), "2 maps and anchors of 3: form=seewhy.targets.YoloMaps"),
        ("yolov5-maps", t.Candidate(1), "no known form of them fits"),
        ("yolov5", t.Candidate(1, form="listed"), "form='listed' is for each image a mapping"),
    ],
)
def test_objects_that_cannot_be(form: str, target: t.Target, words: str) -> None:
    with pytest.raises(SeewhyError, match=words) as raised:
        seewhy.explain(detector(form), picture(), method="saliency", target=target)
    assert "\n" not in str(raised.value)


def test_no_proposals_at_all() -> None:
    net = _Changed("nms", lambda rows: [each[:0] for each in rows])
    with pytest.raises(TargetError, match="the model proposes no object at all in this picture"):
        seewhy.explain(net, picture(), method="saliency", target=t.Box((0, 0, 9, 9), 1))
    with pytest.raises(TargetError, match="finds no object here"):
        seewhy.explain(net, picture(), method="saliency")
    assert t.Box((0, 0, 9, 9), 1, "nms")(_outputs([torch.zeros(0, 6)])).tolist() == [0.0]


def test_forms_that_do_not_prove_themselves() -> None:
    """Boxes in shares of the picture, scores above 1, centres outside: nobody's form. A network that does not count its
    classes has to be told whether the last of them is none; what several forms fit, which."""
    rows = detector("yolov8")(picture()).detach()
    for change in ([1 / 32] * 4 + [1] * 3, [1] * 4 + [3] * 3, [9] * 4 + [1] * 3):
        with pytest.raises(TargetError, match="no known form"):
            tell(_outputs(rows * rows.new_tensor(change)[:, None]))
    with pytest.raises(TargetError, match="form='detr' if the last class is no object"):
        tell(_outputs(detector("detr")(picture()), classes=None))
    with pytest.raises(TargetError, match="which may be yolov5 or nms: say which, form='yolov5'"):
        tell(_outputs(torch.tensor([[[9.0, 8.0, 12.0, 11.0, 0.5, 1.0]]])))
    with pytest.raises(TargetError, match="rule='yolov4' of YoloMaps"):
        t.YoloMaps(rule="yolov4")
    with pytest.raises(TargetError, match="pairs for each map"):
        t.YoloMaps(anchors=((1, 2), (3, 4)))  # type: ignore[arg-type]


_ROWS = {
    "logits": lambda rows: torch.cat([rows[:, :4], rows[:, 4:].logit()], 1),
    "outside": lambda rows: torch.cat([rows[:, :2] - 500, rows[:, 2:]], 1),
    "inside out": lambda rows: torch.cat([rows[:, :2], -rows[:, 2:4], rows[:, 4:]], 1),
    "shares": lambda rows: torch.cat([rows[:, :4] / 40, rows[:, 4:]], 1),
    "edges": lambda rows: torch.cat([rows[:, :4], 0.5 * rows[:, 4:5], (rows[:, 5:6] > 0.5).to(rows)], 1).mT,
}


@pytest.mark.parametrize(
    ("change", "form", "words"),
    [
        (
            None,
            "yolov5",
            r"finds scores from 0\.\d+ to \d\d\.?\d* \(they are from 0 to 1\) in .*: they fit form='yolov8'",
        ),
        (
            "logits",
            "yolov8",
            r"finds scores from -\d.* no form fits; if those are logits, wrap the model so that .* sigmoid",
        ),
        ("outside", "yolov8", "finds no box that has an area and its centre in the picture in .*: no form fits"),
        ("inside out", "yolov8", "finds no box that has an area and its centre in the picture in .*: no form fits"),
        (
            "shares",
            "yolov8",
            r"finds boxes that all end within 0\.\d+ pixels .* if those are shares of the picture, wrap",
        ),
        ("edges", "yolov8", "finds scores from .* they fit form='yolov5'"),
    ],
)
def test_a_form_that_the_numbers_cannot_have_is_not_believed(change: str | None, form: str, words: str) -> None:
    """Whoever names it; said with what was found, and what the numbers fit."""
    net = detector("yolov8") if change is None else _Changed("yolov8", _ROWS[change])
    for target in (t.Box((0, 0, 30, 20), 1, form), t.Candidate(1, form=form), t.Likeness((0, 0, 30, 20), 1, (), form)):
        with pytest.raises(TargetError, match=f"^form='{form}' {words}") as raised:
            seewhy.explain(net, picture(), method="saliency", target=target)
        assert "\n" not in str(raised.value)


def test_rows_that_fill_up_a_table_are_no_wrong_form() -> None:
    """Exported suppression fills tables up with -1; a score that is no number is for the map's status to tell."""
    net = _Changed("nms", lambda rows: torch.cat([torch.stack(rows), -torch.ones(1, 4, 6).to(rows[0])], 1))
    assert seewhy.explain(net, picture(), method="saliency", target=t.Candidate(1, form="nms")).status.ok
    net = _Changed("yolov8", lambda rows: rows * torch.nan)
    with pytest.raises(TargetError, match="no candidate of class 1"):
        seewhy.explain(net, picture(), method="saliency", target=t.Candidate(1, form="yolov8"))


@pytest.mark.parametrize("target", [None, 1, "top-2"])
def test_maps_that_may_be_a_detectors_are_told_how_to_be_read(target: Any) -> None:
    """With YOLOv5's three anchors by name, with others by their own."""
    heads = nn.ModuleList(nn.Conv2d(3, 24, side, side) for side in (8, 16, 32)).double()

    class Heads(nn.Module):
        def __init__(self, some: int) -> None:
            super().__init__()
            self.heads = heads[:some]

        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [head(x) for head in self.heads]

    for some, form in ((3, "form='yolov5-maps'"), (2, r"form=seewhy.targets.YoloMaps\(anchors=...\)")):
        with pytest.raises(
            TargetError, match=rf"gives {some} maps, .*if it is a detector, .*Candidate\(1, {form}\)"
        ) as raised:
            seewhy.explain_all(Heads(some), torch.rand(1, 3, 64, 64).double(), method="saliency", target=target)
        assert "\n" not in str(raised.value)


def test_a_row_of_scores_is_no_object() -> None:
    """Six classes are classes, and a list of objects has none."""
    net = nn.Sequential(nn.Flatten(), nn.Linear(3 * 24 * 32, 6).double())
    found = seewhy.explain(net, picture(), method="saliency")
    assert found.target.startswith("class ")
    assert " at " not in found.target
    with pytest.raises(TargetError, match="finds objects"):
        seewhy.explain(detector("nms"), picture(), method="saliency", target=1)


def test_words_for_objects() -> None:
    box, k = _object("yolov8")
    net = seewhy.wrap(detector("yolov8"), labels=["cat", "dog", "hen"])
    name, edges = ["cat", "dog", "hen"][k], ",".join(map(str, box))
    for words, target in (
        (f"{name} at {edges}", t.Box(box, k)),  # type: ignore[arg-type]
        (f"{name} at {edges} as yolov8", t.Box(box, k, "yolov8")),  # type: ignore[arg-type]
        (f"best {name}", t.Candidate(k)),
        (f"best {k} as yolov8", t.Candidate(k)),
    ):
        named, meant = (seewhy.explain(net, picture(), method="saliency", target=each) for each in (words, target))
        assert (named.target, named.score) == (meant.target, meant.score)
    for words, said in (
        ("cat at 1.2.3,2,3,4", "no label 'cat at 1.2.3,2,3,4'"), ("cow at 1,2,3,4", "no label 'cow'"),
        ("cat at 3,2,1,4", "left < right"), ("best cow", "no label 'cow'"), ("best cat as yolo8", "nearest: 'yolov8'"),
    ):  # fmt: skip
        with pytest.raises(SeewhyError, match=said):
            seewhy.explain(net, picture(), method="saliency", target=words)


def _quietly(build: Callable[[], nn.Module]) -> nn.Module:
    with torch.random.fork_rng([]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        return build().double().eval()


def _transformer(name: str) -> nn.Module:
    f = pytest.importorskip("transformers")
    resnet = {"embedding_size": 8, "hidden_sizes": [8, 8, 8, 16], "depths": [1] * 4, "layer_type": "basic"}
    layers = {
        "d_model": 32, "encoder_layers": 1, "decoder_layers": 2, "encoder_attention_heads": 2,
        "decoder_attention_heads": 2, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16, "num_queries": 8, "num_labels": 4,
    }  # fmt: skip
    if name == "yolos":
        config = f.YolosConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=16, image_size=[64, 64],
            patch_size=16, num_detection_tokens=6, num_labels=4,
        )  # fmt: skip
        return _quietly(lambda: f.YolosForObjectDetection(config))
    stages = ["stage2", "stage3", "stage4"]
    if name == "rt-detr":
        backbone = f.RTDetrResNetConfig(out_features=stages, **resnet)
        config = f.RTDetrConfig(
            backbone_config=backbone, encoder_hidden_dim=32, encoder_in_channels=[8, 8, 16], num_denoising=0,
            decoder_in_channels=[32] * 3, **layers,
        )  # fmt: skip
        return _quietly(lambda: f.RTDetrForObjectDetection(config))
    own = {"use_timm_backbone": False, "use_pretrained_backbone": False, "backbone": None, **layers}
    if name == "detr":
        config = f.DetrConfig(backbone_config=f.ResNetConfig(out_features=["stage4"], **resnet), **own)
        return _quietly(lambda: f.DetrForObjectDetection(config))
    backbone = f.ResNetConfig(out_features=stages, **resnet)
    config = f.DeformableDetrConfig(backbone_config=backbone, num_feature_levels=3, **own)
    return _quietly(lambda: f.DeformableDetrForObjectDetection(config))


@pytest.mark.parametrize(
    ("name", "layer"),
    [
        # what the last mixing of the picture's own tokens reads, and what every later scale and query comes from
        ("detr", "model.encoder"), ("yolos", "vit.encoder.layer.1.layernorm_before"),
        ("deformable-detr", "model.backbone"), ("rt-detr", "model.backbone"),
    ],
)  # fmt: skip
def test_transformers_that_detect(name: str, layer: str) -> None:
    """Boxes of all by box and class; the layer is one that every path crosses, at which the map is not 0."""
    net, x = _transformer(name), torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        out = net(x)
    logits, centred = out.logits[0], out.pred_boxes[0] * 64
    shares = logits.softmax(1)[:, :-1] if name in ("detr", "yolos") else logits.sigmoid()
    assert shares.shape[1] == 4
    n, k = divmod(int(shares.argmax()), 4)
    cx, cy, w, h = centred[n].tolist()
    target = t.Box((cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), k)
    cam, slope = seewhy.explain_all(net, x, method=["grad-cam", "saliency"], target=target)
    assert cam.score == slope.score == pytest.approx(float(shares[n, k]), abs=1e-9)
    assert str(cam.layer).startswith(layer)
    assert cam.status.ok
    assert np.abs(cam.values).max() > 0
    with pytest.raises(TargetError, match="no class 4: the detector tells 4"):
        seewhy.explain(net, x, method="saliency", target=t.Candidate(4))


def _dense(name: str) -> nn.Module:
    if name in ("segformer", "dpt"):
        f = pytest.importorskip("transformers")
        if name == "segformer":
            config = f.SegformerConfig(
                depths=[1] * 4, hidden_sizes=[8, 8, 16, 16], num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16,
                num_labels=4,
            )  # fmt: skip
            return _quietly(lambda: f.SegformerForSemanticSegmentation(config))
        config = f.DPTConfig(
            hidden_size=16, num_hidden_layers=4, num_attention_heads=2, intermediate_size=16, image_size=64,
            patch_size=16, backbone_out_indices=[0, 1, 2, 3], neck_hidden_sizes=[8, 8, 16, 16], fusion_hidden_size=16,
        )  # fmt: skip
        return _quietly(lambda: f.DPTForDepthEstimation(config))
    models = pytest.importorskip("torchvision").models
    resnet, segmentation, getter = models.resnet, models.segmentation, models._utils.IntermediateLayerGetter
    # the heads of torchvision's, on a backbone of a quarter of the depth
    backbone = resnet.ResNet(resnet.Bottleneck, [1, 1, 1, 1], replace_stride_with_dilation=[False, True, True])
    wide = backbone.fc.in_features
    cut = getter(backbone, {"layer4": "out"})
    if name == "fcn":
        return _quietly(lambda: segmentation.FCN(cut, segmentation.fcn.FCNHead(wide, 3)))
    return _quietly(lambda: segmentation.DeepLabV3(cut, segmentation.deeplabv3.DeepLabHead(wide, 3)))


@pytest.mark.parametrize(
    ("name", "layer"),
    [("segformer", "decode_head.activation"), ("fcn", "classifier.2"), ("deeplab", "classifier.3")],
)
def test_a_class_where_it_is_predicted(name: str, layer: str) -> None:
    net, x = _dense(name), torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        raw = net(x)
    maps = (raw.logits if name == "segformer" else raw["out"])[0].tolist()
    rows, columns = len(maps[0]), len(maps[0][0])
    tops = [[max(range(len(maps)), key=lambda k: maps[k][i][j]) for j in range(columns)] for i in range(rows)]
    k = max(range(len(maps)), key=lambda k: sum(row.count(k) for row in tops))
    inside = [maps[k][i][j] for i in range(rows) for j in range(columns) if tops[i][j] == k]
    cam, hidden = seewhy.explain_all(net, x, method=["grad-cam", "occlusion"], target=t.Region(None, k), window=32)
    assert cam.score == hidden.score == pytest.approx(sum(inside) / len(inside), abs=1e-12)
    assert cam.target == f"class {k} where it is predicted"
    assert cam.layer == layer
    assert cam.provenance["grid"][layer] == "proved"
    assert np.abs(cam.values).max() > 0
    never = next((k for k in range(len(maps)) if not any(k in row for row in tops)), None)
    if never is not None:
        with pytest.raises(
            TargetError, match=rf"class {never} is predicted nowhere in the picture; most of it is class {k}"
        ):
            seewhy.explain(net, x, method="saliency", target=t.Region(None, never))


def test_predictions_are_of_the_picture_itself() -> None:
    """The mask stays where it was when the picture changes; two pictures have one each; words mean it too."""
    net = nn.Conv2d(1, 2, 1, bias=False).double()
    with torch.no_grad():
        net.weight.copy_(torch.tensor([1.0, -1.0])[:, None, None, None])
    x = torch.tensor([[1.0, 2.0], [-1.0, -1.0]], dtype=torch.float64)[None, None]
    both = torch.cat([x, -x])
    found = seewhy.explain_all(net, both, method="occlusion", target=t.Region(None, 0), window=1, fill=-5.0)
    assert [each.score for each in found] == [1.5, 1.0]
    assert found[0].values.tolist() == [[3.0, 3.5], [0.0, 0.0]]
    assert found[1].values.tolist() == [[0.0, 0.0], [3.0, 3.0]]
    named = seewhy.wrap(net, labels=["road", "sky"])
    assert seewhy.explain(named, x, method="saliency", target="region road").score == 1.5
    with pytest.raises(TargetError, match="explain a picture"):
        t.Region(None, 0)(Outputs(net(x), 1, size=(2, 2)))


def test_depth_by_hand() -> None:
    net, x = _dense("dpt"), torch.rand(1, 3, 64, 64, generator=torch.Generator().manual_seed(1)).double()
    with torch.no_grad():
        net.head.head[4].bias.fill_(1.0)  # type: ignore[index, union-attr]  # no zeros behind its last rectifier
        depth = net(x).predicted_depth[0].tolist()
    mask = np.zeros((64, 64), dtype=bool)
    mask[5:9, 20:50] = True
    inside = [depth[i][j] for i in range(5, 9) for j in range(20, 50)]
    everything = [number for row in depth for number in row]
    for target, expected, words in (
        (t.Depth(), sum(everything) / 4096, "mean depth"),
        (t.Depth(mask), sum(inside) / 120, "depth in region"),
        (t.Depth(at=(40, 7)), depth[7][40], "depth at 40, 7"),
        ("depth at 40,7", depth[7][40], "depth at 40, 7"),
    ):
        cam, slope = seewhy.explain_all(net, x, method=["grad-cam", "saliency"], target=target)
        assert cam.score == slope.score == pytest.approx(expected, abs=1e-12)
        assert (cam.target, cam.unit, cam.layer) == (words, "output", "head.head.3")
        assert np.abs(cam.values).max() > 0
    small = Outputs(torch.arange(8.0).reshape(1, 1, 2, 4), 1, size=(4, 16))
    assert t.Depth(at=(15.5, 2))(small).tolist() == [7.0]
    assert t.Depth(at=(3.9, 1.9))(small).tolist() == [0.0]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: t.Depth(at=(16, 1)), r"at=\(16, 1\) is outside the picture of 16 x 4"),
        (lambda: t.Depth(np.zeros((4, 16))), "Depth with an empty mask"),
        (lambda: t.Depth(np.zeros(4)), r"Depth takes a mask \[H, W\]; got \(4,\)"),
        (lambda: t.Depth(np.ones((4, 16)), at=(1, 1)), "one of them"),
    ],
)
def test_depths_that_cannot_be(make: Callable[[], t.Target], words: str) -> None:
    with pytest.raises(TargetError, match=words):
        make()(Outputs(torch.zeros(1, 1, 2, 4), 1, size=(4, 16)))
    with pytest.raises(TargetError, match=r"Depth needs a map of single numbers .* gives \(1, 3, 2, 4\)"):
        t.Depth()(Outputs(torch.zeros(1, 3, 2, 4), 1, size=(4, 16)))
