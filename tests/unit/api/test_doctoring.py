"""The doctor: one broken model for every defect it knows, twelve kinds of model, nothing left behind."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import seewhy
from seewhy.api.defects import DEFECTS
from seewhy.models import Preprocess

_PIXELS = Preprocess((16, 16), None, "squash", (0.5,) * 3, (0.25,) * 3)


def _net(*more: nn.Module) -> nn.Sequential:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Linear(8, 4), *more,
        ).eval()  # fmt: skip


def _ready(module: object, **more: object) -> seewhy.Model:
    return seewhy.wrap(module, **({"preprocess": _PIXELS, "labels": ["a", "b", "c", "d"]} | more))


class _Changed(nn.Module):
    """A network whose scores, or whose features after the first convolution, are changed."""

    def __init__(
        self, scores: Callable[[Tensor], Tensor] | None = None, features: Callable[[Tensor], Tensor] | None = None
    ):
        super().__init__()
        self.stem, self.rest = _net()[0], _net()[1:]
        self._scores, self._features = scores, features

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.rest(x if self._features is None else self._features(x))
        return x if self._scores is None else self._scores(x)


class _Middle(nn.Module):
    """A layer that cuts the gradient off."""

    def forward(self, x: Tensor) -> Tensor:
        return x.detach()


class _Counting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.body = _net()
        self.register_buffer("seen", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        return self.body(x)


class _MixedUp(nn.Module):
    """Four numbers of the whole picture, laid out as if they were places."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(1)
            self.all, self.act, self.end = nn.Conv2d(3, 16, 16), nn.ReLU(), nn.Linear(16, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.act(self.all(x).reshape(-1, 4, 2, 2)).flatten(1))


class _Shared(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.act, self.end = _net()[0], _net()[2], nn.ReLU(), _net()[4:]

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.act(self.b(self.act(self.a(x)))))


def _edited(change: Callable[[nn.Sequential], object]) -> nn.Module:
    net = _net()
    with torch.no_grad():
        change(net)
    return net


def _norm(**given: object) -> nn.Sequential:
    net = nn.Sequential(*list(_net())[:2], nn.BatchNorm2d(6, **given), *list(_net())[2:])
    return net.eval()


def _hooked() -> nn.Module:
    net = _net()
    net[0].register_forward_hook(lambda *_: None)
    return net


def _zero_bias(net: nn.Sequential) -> None:
    net[0].weight.zero_()
    net[0].bias.fill_(-1)


class _Single(nn.Module):
    """Takes one picture, and no two."""

    def __init__(self) -> None:
        super().__init__()
        self.net = _net()

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x.view(1, *x.shape[1:]))


#: one model for every defect
BROKEN: dict[str, Callable[[], seewhy.Model]] = {
    "does-not-run": lambda: _ready(nn.Sequential(nn.Flatten(), nn.Linear(5, 4))),
    "one-at-a-time": lambda: _ready(_Single()),
    "non-finite-weights": lambda: _ready(_edited(lambda net: net[2].weight[0, 0, 0].fill_(float("nan")))),
    "non-finite-output": lambda: _ready(_Changed(lambda s: s / (s * 0))),
    "constant-output": lambda: _ready(_edited(lambda net: net[6].weight.zero_())),
    "random-output": lambda: _ready(_Changed(features=F.dropout)),
    "batch-dependence": lambda: _ready(_norm(track_running_stats=False)),
    "train-mode": lambda: _ready(nn.Sequential(nn.Dropout(0.5), _net()).train()),
    "untrained-batch-norm": lambda: _ready(_norm()),
    "untrained": lambda: seewhy.load("torchvision:squeezenet1_1", weights="random"),
    "no-gradient": lambda: _ready(nn.Sequential(_net()[0], _Middle(), *list(_net())[1:])),
    "zero-gradient": lambda: _ready(_Changed(features=torch.round)),
    "dead-layer": lambda: _ready(_edited(_zero_bias)),
    "no-preprocess": lambda: seewhy.wrap(_net()),
    "assumed-preprocess": lambda: _assumed(),
    "channels-differ": lambda: _ready(nn.Sequential(nn.Conv2d(1, 3, 1), _net()), preprocess=_PIXELS),
    "labels-differ": lambda: _ready(_net(), labels=["a", "b"]),
    "no-class-scores": lambda: _ready(_net(nn.Linear(4, 1)), labels=None),
    "saturated-output": lambda: _ready(_Changed(lambda s: (1e4 * s).softmax(1))),
    "stateful-forward": lambda: _ready(_Counting().eval()),
    "foreign-hooks": lambda: _ready(_hooked()),
    "low-precision": lambda: _ready(_net().to(torch.bfloat16)),
    "no-rectifier": lambda: _ready(nn.Sequential(_net()[0], nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))),
    "no-positions": lambda: _ready(nn.Sequential(nn.Flatten(), nn.Linear(768, 8), nn.ReLU(), nn.Linear(8, 4))),
    "unproved-grid": lambda: _ready(_MixedUp()),
    "forward-only": lambda: _ready(lambda x: x.mean((2, 3)) @ torch.ones(3, 4)),
    "reused-layers": lambda: _ready(_Shared().eval()),
}  # fmt: skip


def _assumed() -> seewhy.Model:
    import dataclasses

    return dataclasses.replace(_ready(_net()), assumed="pixels from 0 to 1 are assumed; --preprocess says otherwise")


def test_every_defect_has_a_model_that_has_it() -> None:
    assert set(BROKEN) == set(DEFECTS)


@pytest.mark.parametrize("code", DEFECTS)
def test_a_defect_is_found_and_says_what_to_do(code: str) -> None:
    found = seewhy.diagnose(BROKEN[code](), methods=[])
    assert code in found.codes()
    mine = next(each for each in found.findings if each.code == code)
    assert mine.words
    assert mine.fix
    assert "\n" not in mine.words + mine.fix
    assert found.healthy == all(each.severity == "note" for each in found.findings)


def test_a_sound_model_has_nothing() -> None:
    found = seewhy.diagnose(_ready(_net()), methods=["saliency", "grad-cam"])
    assert found.findings == ()
    assert [(check.name, check.works) for check in found.methods] == [("saliency", True), ("grad-cam", True)]
    assert (found.methods[0].forwards, found.methods[0].backwards) == (1, 1)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_what_is_no_number_each_time_is_the_same_each_time(value: float) -> None:
    filled = _Changed(lambda s: s.index_fill(1, torch.tensor([2]), value))
    codes = seewhy.diagnose(_ready(filled), methods=[]).codes()
    assert "non-finite-output" in codes
    assert not {"random-output", "batch-dependence"} & set(codes)
    times = itertools.count()
    now_and_then = _Changed(lambda s: s.index_fill(1, torch.tensor([next(times) % 4]), value))
    assert "random-output" in seewhy.diagnose(_ready(now_and_then), methods=[]).codes()


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("no-gradient", r"ends in 1 \(_Middle\)"),
        ("zero-gradient", r"still there at rest"),
        ("dead-layer", r"\(ReLU\) puts out zeros only"),
        ("non-finite-weights", "2.weight"),
        ("foreign-hooks", "e.g. 0"),
        ("reused-layers", r"act \(2 times\)"),
        ("labels-differ", "2 labels for 4 scores"),
        ("channels-differ", "3 channels, the first convolution takes 1"),
        ("stateful-forward", "e.g. seen"),
    ],
)
def test_the_place_is_named(code: str, words: str) -> None:
    found = seewhy.diagnose(BROKEN[code](), methods=[])
    said = next(each.words for each in found.findings if each.code == code)
    assert re.search(words, said), said


def _detector() -> nn.Module:
    from torchvision.models import detection

    return detection.retinanet_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=3, min_size=64, max_size=64, score_thresh=0.0,
        detections_per_img=5, topk_candidates=20,
    ).eval()  # fmt: skip


def _timm(name: str) -> nn.Module:
    import timm

    return timm.create_model(name, num_classes=4, img_size=32, patch_size=8, depth=2, embed_dim=12, num_heads=3).eval()


def _segmenter() -> nn.Module:
    from torchvision.models import segmentation

    return segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=3).eval()


#: model, input, what the facts say of it, a method that works, and one that does not with its reason
KINDS: dict[str, tuple[Callable[[], object], tuple[int, ...], str, str, str]] = {
    "cnn": (_net, (3, 16, 16), "pool then linear", "cam", "le-grad"),
    "softmax inside": (lambda: _net(nn.Softmax(1)), (3, 16, 16), "softmax inside", "saliency", "attention-rollout"),
    "sigmoid inside": (lambda: _net(nn.Sigmoid()), (3, 16, 16), "sigmoid inside", "saliency", "attention-rollout"),
    "perceptron": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(768, 4)).eval(), (3, 16, 16), "none seen", "saliency", "grad-cam"),
    "smooth": (lambda: nn.Sequential(_net()[0], nn.Tanh(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4)).eval(),
               (3, 16, 16), "none seen", "grad-cam", "guided-backprop"),
    "vision transformer": (lambda: _timm("vit_tiny_patch16_224"), (3, 32, 32), "tokens beside 1 of no place", "attention-rollout", "cam"),
    "regression": (lambda: _net(nn.Linear(4, 1)), (3, 16, 16), "(1, 1)", "saliency", "le-grad"),
    "segmentation": (_segmenter, (3, 64, 64), "(1, 3, 64, 64)", "none", "saliency"),
    "detection": (_detector, (3, 64, 64), "detections", "saliency", "le-grad"),
    "callable": (lambda: lambda x: x.mean((2, 3)), (3, 16, 16), "(1, 3)", "occlusion", "saliency"),
    "torchscript": (lambda: torch.jit.trace(_net(), torch.rand(1, 3, 16, 16)), (3, 16, 16), "(1, 4)", "saliency", "guided-backprop"),
    "one channel, 1-D": (lambda: nn.Sequential(nn.Conv1d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(),
                                               nn.Linear(4, 3)).eval(), (1, 40), "pool then linear", "cam", "le-grad"),
}  # fmt: skip


@pytest.mark.filterwarnings("ignore:`torch.jit.trace:FutureWarning", "ignore:.*torch.jit.*:DeprecationWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_models_of_twelve_kinds(kind: str) -> None:
    make, shape, fact, works, fails = KINDS[kind]
    with torch.random.fork_rng([]):
        torch.manual_seed(1)
        model, x = make(), torch.rand(shape)
    names = [name for name in dict.fromkeys((works, fails, "cam")) if name != "none"]
    found = seewhy.diagnose(model, x, methods=names)
    assert any(fact in words for words in found.facts.values()), found.facts
    checks = {check.name: check for check in found.methods}
    if works != "none":
        assert checks[works].works, checks[works].reason
    assert not checks[fails].works
    assert checks[fails].reason


def test_a_slow_method_is_cut_short_and_its_cost_reckoned() -> None:
    class Slow(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            import time

            time.sleep(0.02 * len(x))
            return x.mean((2, 3))

    found = seewhy.diagnose(_ready(Slow(), labels=None), methods=["occlusion"])
    (check,) = found.methods
    assert check.works
    assert not check.whole
    assert check.seconds > 3  # 226 windows, 20 ms each


def test_a_real_interruption_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seewhy.api.doctoring.run_plan", stopped)
    with pytest.raises(KeyboardInterrupt):
        seewhy.diagnose(_ready(_net()), methods=["saliency"])


def test_nothing_is_left_behind() -> None:
    net = nn.Sequential(nn.Dropout(0.5), *list(_norm())).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    state = torch.get_rng_state()
    seewhy.diagnose(_ready(net), methods=["saliency", "guided-backprop"])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert all(part.training and not part._forward_hooks for part in net.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_docs_list_every_defect() -> None:
    page = (Path(__file__).parents[3] / "docs" / "doctor.md").read_text(encoding="utf-8")
    for code, check in DEFECTS.items():
        assert f"`{code}`" in page
        assert " ".join((check.__doc__ or "").split()) in page


def test_the_proof_of_the_grid_is_a_picture(tmp_path: Path) -> None:
    found = seewhy.diagnose(_ready(_net()), methods=[])
    assert found.grid is not None
    assert (found.grid.layer, found.grid.verdict) == ("3", "proved")
    assert "that every path crosses, its grid proved" in found.facts["layer for CAMs"]
    rows, columns = found.grid.axes
    assert rows[0].shape == columns[0].shape == (16, 16)
    assert rows[1].shape == columns[1].shape == (12, 12)
    # what was changed below is answered below, what was changed on the right on the right
    assert rows[1][8:].mean() > 0.3 > -0.3 > rows[1][:4].mean()
    assert columns[1][:, 8:].mean() > 0.3 > -0.3 > columns[1][:, :4].mean()
    drawn = found.grid.picture()
    found.grid.save(tmp_path / "proof.png")
    assert drawn.size[0] > 600
    assert (tmp_path / "proof.png").stat().st_size > 1000
    assert found.to_dict()["grid"]["layer"] == "3"
    assert seewhy.diagnose(_ready(_MixedUp()), methods=[]).grid.verdict != "proved"


def test_a_diagnosis_is_shown_in_a_line() -> None:
    found = seewhy.diagnose(_ready(_MixedUp()), methods=["saliency", "le-grad"])
    assert repr(found) == (f"Diagnosis({found.model!r}, healthy=True, codes=['unproved-grid'], 1 of 2 methods work)")
    assert len(repr(found.grid)) < 200


def test_layers_that_hold_parameters_are_counted() -> None:
    for model, words in ((_norm(), "in 4 layers"), (nn.Conv2d(3, 4, 3), "in 1 layer"), (nn.ReLU(), "0 in 0 layers")):
        facts = seewhy.diagnose(model, torch.rand(1, 3, 16, 16), methods=[]).facts
        assert facts["parameters"].endswith(words)


def test_an_output_without_scores_is_not_said_to_have_no_gradient() -> None:
    found = seewhy.diagnose(_ready(_Changed(lambda s: s.to_sparse())), methods=[])
    assert "no-gradient" not in found.codes()
    assert "no-class-scores" in found.codes()


class _Frames(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.look, self.out = nn.Conv2d(3, 4, 3, stride=2), nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.look(x.flatten(0, 1)).relu().mean((2, 3)).unflatten(0, tuple(x.shape[:2]))
        return self.out(rows.mean(1))


@pytest.mark.parametrize("size", [(32, 32), None])
def test_a_network_of_frames_is_tried_on_frames(size: tuple[int, int] | None) -> None:
    preprocess = None if size is None else seewhy.Preprocess(size, None, "squash", (0.0,) * 3, (1.0,) * 3)
    model = seewhy.wrap(_Frames().eval(), axes="BTCHW", preprocess=preprocess)
    found = seewhy.diagnose(model, methods=["saliency"])
    assert [check.works for check in found.methods] == [True]
    assert "(1, 3, 8, 32, 32)" in found.facts["input"] or size is None
    assert "does-not-run" not in found.codes()
