"""Units: their exact answers against enumeration, and explainers that are right or deliberately wrong put through
them."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from seewhy import conformance, targets
from seewhy.conformance import Maps, Scene, UnitCard, unit, units
from seewhy.errors import UnknownName, UsageError
from seewhy.metrics.controls import edge_map
from seewhy.registry import PROPERTIES, Card, method
from unit.conformance.exact import cell, occlusion, players, scorer, shapley, slope

UNITS = sorted(units.keys())
#: of a local gradient nothing is left there
FLAT = ("saturation", "or", "bottleneck")


def _scenes(name: str) -> list[Scene]:
    """The scenes of a unit that somebody sees who answers each rightly."""

    def maps(scene: Scene) -> Maps:
        return Maps(scene.answer.double().repeat_interleave(4, 1).repeat_interleave(4, 2), "attribution", 1e-4)

    return units[name].scenes(maps)


@pytest.mark.parametrize("name", UNITS)
def test_answers_are_shapley_values(name: str) -> None:
    scenes = _scenes(name)
    assert scenes
    for scene in scenes:
        score = scorer(copy.deepcopy(scene.module), scene.target)
        for x, answer in zip(scene.x, scene.answer, strict=True):
            if len(players(x, scene.empty)) > 6:
                pytest.fail("too many cells to enumerate")
            np.testing.assert_allclose(answer, shapley(score, x.double(), scene.empty), atol=1e-6)


@pytest.mark.parametrize("name", UNITS)
def test_weights_are_exact_in_single_precision(name: str) -> None:
    for scene in _scenes(name):
        with torch.no_grad():
            single, double = scene.module(scene.x), copy.deepcopy(scene.module).double()(scene.x.double())
        np.testing.assert_allclose(single, double, atol=1e-6)
        assert not scene.module.training


@pytest.mark.parametrize("name", UNITS)
def test_occlusion_is_as_the_card_says(name: str) -> None:
    for scene in _scenes(name):
        score = scorer(copy.deepcopy(scene.module), scene.target)
        for x, answer in zip(scene.x, scene.answer, strict=True):
            found = occlusion(score, x.double(), scene.empty)
            if name == "or":
                assert float(found.abs().max()) == 0
            elif name in ("and", "xor"):  # what only works together is lost together
                np.testing.assert_allclose(found, 2 * answer, atol=1e-6)
            else:
                np.testing.assert_allclose(found, answer, atol=1e-6)


@pytest.mark.parametrize("name", FLAT)
def test_gradients_are_0_where_the_card_says_so(name: str) -> None:
    (scene,) = _scenes(name)
    score = scorer(copy.deepcopy(scene.module), scene.target)
    for at in players(scene.x[0], 0.0):
        assert slope(score, scene.x[0].double(), at) == 0


def test_the_sawtooth_falls_where_its_cue_counts() -> None:
    (scene,) = _scenes("shattered-gradients")
    score = scorer(copy.deepcopy(scene.module), scene.target)
    # per unit of the cue's own strength: a = 2 t - 1, t = 47/32
    assert slope(score, scene.x[0].double(), (1, 2)) == pytest.approx(-6 * 2 * 47 / 32)
    assert slope(score, scene.x[0].double(), (3, 0)) == pytest.approx(2 * 3 / 2)


@pytest.mark.parametrize("name", ["rewritten", "batch-norm", "constant-shift"])
def test_pairs_are_the_same_function(name: str) -> None:
    first, second = _scenes(name)
    shift = 1.0 if name == "constant-shift" else 0.0
    x = 3 * torch.randn(50, 1, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        one, other = first.module.double()(x), second.module.double()(x + shift)
    np.testing.assert_allclose(one, other, atol=1e-9)
    assert float(one.std()) > 0.1


def test_nothing_in_the_right_half_changes_the_score() -> None:
    (scene,) = _scenes("blind-half")
    x = scene.x.repeat(20, 1, 1, 1)
    x[..., 8:] += torch.randn_like(x[..., 8:])
    with torch.no_grad():
        assert bool((scene.module(x) == scene.module(scene.x)).all())


@pytest.mark.parametrize("name", ["segmenter", "detector"])
def test_networks_as_they_come_give_the_score_that_is_read_off(name: str) -> None:
    import seewhy

    (scene,) = _scenes(name)
    assert scene.view is not None
    for x in (scene.x, scene.x.flip(1) * 0.75, scene.x.roll(4, 3)[:, :, :, :] + scene.x):
        found = seewhy.explain(scene.view, x, method="saliency", target=scene.goal)
        with torch.no_grad():
            assert found.score == pytest.approx(float(scene.module(x)[0, 0]), abs=1e-6)
    assert isinstance(scene.goal, targets.Region | targets.Box)


def test_the_token_is_the_one_that_is_attended_to() -> None:
    (scene,) = _scenes("one-token")
    net = scene.module
    tokens = net.patches(scene.x).flatten(2).transpose(1, 2)
    tokens = torch.cat([net.token, tokens], 1)
    q, k, _ = net.qkv(tokens).chunk(3, -1)
    share = (q @ k.transpose(1, 2) / 2).softmax(-1)[0, 0].detach()
    assert int(share.argmax()) == 1 + 4 * 1 + 2
    assert float(share.max()) > 1 - 1e-6


# right and wrong explainers


def _by_cells(x: Tensor, numbers: list[Tensor]) -> Tensor:
    """Numbers of cells, spread evenly over their pixels."""
    return torch.stack(numbers).repeat_interleave(4, 1).repeat_interleave(4, 2) / 16


def hidden(module: nn.Module, x: Tensor, target: int) -> Tensor:
    score = scorer(module, target)
    return _by_cells(x, [occlusion(score, row.double()) for row in x])


def shares(module: nn.Module, x: Tensor, target: int) -> Tensor:
    score = scorer(module, target)
    return _by_cells(x, [shapley(score, row.double()) for row in x])


def steepness(module: nn.Module, x: Tensor, target: int) -> Tensor:
    x.requires_grad_()
    return torch.autograd.grad(module(x)[:, target].sum(), x)[0].abs()


def uniform(module: nn.Module, x: Tensor, target: int) -> Tensor:
    return torch.ones(len(x), 16, 16)


def edges(module: nn.Module, x: Tensor, target: int) -> Tensor:
    return edge_map(x)


def picture(module: nn.Module, x: Tensor, target: int) -> Tensor:
    return x


def inverted(module: nn.Module, x: Tensor, target: int) -> Tensor:
    return -shares(module, x, target)


def shifted(module: nn.Module, x: Tensor, target: int) -> Tensor:
    return hidden(module, x, target).roll(1, 2)


def squared(module: nn.Module, x: Tensor, target: int) -> Tensor:
    maps = hidden(module, x, target)
    return maps.abs() * maps


def centred(module: nn.Module, x: Tensor, target: int) -> Tensor:
    """With a bump in the middle that the place of things earns."""
    at = torch.linspace(-1, 1, 16)
    return hidden(module, x, target) * (2 - at.abs())


def by_weights(module: nn.Module, x: Tensor, target: int) -> Tensor:
    """With what depends on how the network is written."""
    return hidden(module, x, target) * sum(float(weight.detach().abs().sum()) for weight in module.parameters())


def first_class(module: nn.Module, x: Tensor, target: int) -> Tensor:
    return hidden(module, x, 0)


def _outcomes(explain: Callable[..., Any], names: list[str], kind: str = "attribution") -> dict[str, str]:
    return {row.unit: row.outcome for row in conformance.run(explain, names, kind=kind).rows}


def test_shapley_values_pass_every_unit() -> None:
    # all sixteen cells of the shifted picture are players there: 65,536 forwards, which kernel-shap makes
    names = [name for name in UNITS if name != "constant-shift"]
    assert set(_outcomes(shares, names).values()) == {"passed"}


def test_occlusion_fails_where_one_of_two_would_do_alone() -> None:
    found = _outcomes(hidden, UNITS)
    assert {name for name, outcome in found.items() if outcome == "failed"} == {"or"}


def test_the_gradient_fails_where_it_is_flat_or_shattered_alone() -> None:
    found = _outcomes(steepness, UNITS, "sensitivity")
    assert {name for name, outcome in found.items() if outcome == "failed"} == {*FLAT, "shattered-gradients"}


#: what each wrong explainer has to fail at least; the units that compare two maps cannot see what is alike in both
LOCAL = set(UNITS) - {"translation", "constant-shift", "rewritten", "batch-norm"}
WRONG: dict[Callable[..., Any], set[str]] = {
    uniform: LOCAL,
    edges: {"linear", "two-detectors", "against", "cancellation", "shared-cue", "blind-half", "patch", "segmenter",
            "detector", "one-token", "and", "or", "xor", "saturation", "bottleneck"},
    picture: {"linear", "two-detectors", "against", "cancellation", "shared-cue", "blind-half", "patch", "constant-shift"},
    inverted: LOCAL - {"blind-half", "segmenter", "detector"},
    shifted: {"linear", "two-detectors", "against", "cancellation", "segmenter", "detector"},
    squared: {"linear", "two-detectors", "against", "cancellation"},
    centred: {"two-detectors", "translation"},
    by_weights: {"rewritten", "batch-norm", "constant-shift"},
    first_class: {"shared-cue"},
}  # fmt: skip


@pytest.mark.parametrize("explain", WRONG, ids=lambda each: each.__name__)
def test_wrong_explainers_fail(explain: Callable[..., Any]) -> None:
    names = [name for name in UNITS if name != "constant-shift" or explain is not inverted]
    found = _outcomes(explain, names)
    failed = {name for name, outcome in found.items() if outcome == "failed"}
    assert failed >= WRONG[explain], WRONG[explain] - failed


def test_every_unit_is_failed_by_somebody_wrong() -> None:
    assert set().union(*WRONG.values()) == set(UNITS)


def test_uniform_maps_pass_what_cannot_see_them() -> None:
    assert set(_outcomes(uniform, sorted(set(UNITS) - LOCAL)).values()) == {"passed"}


# whatever a function may do


def test_a_failure_is_a_row_of_its_own() -> None:
    def explain(module: nn.Module, x: Tensor, target: int) -> Any:
        first = module[0] if isinstance(module, nn.Sequential) else module.patches
        kind = int(first.weight.shape[0])
        if kind == 3:
            raise ZeroDivisionError("by\nzero")
        return torch.full((len(x), 16, 16), torch.nan) if len(x) == 2 else torch.ones(1, 5, 5)

    found = conformance.run(explain, ["and", "translation", "two-detectors"])
    said = {row.unit: (row.outcome, row.found) for row in found.rows}
    assert said["and"] == ("failed", "raised ZeroDivisionError: by zero")
    assert said["translation"] == ("failed", "maps with 512 values that are NaN or infinite")
    outcome, words = said["two-detectors"]
    assert outcome == "failed"
    assert words.startswith("maps of shape (1, 5, 5) for inputs (1, 1, 16, 16); give [1, h, w] or [1, C, h, w]")


@pytest.mark.parametrize("given", ["words", None, 3, torch.ones(16, 16), torch.ones(2, 16, 16), torch.ones(1, 0, 4)])
def test_what_is_no_map_is_said_in_a_line(given: Any) -> None:
    (row,) = conformance.run(lambda module, x, target: given, "linear").rows
    assert row.outcome == "failed"
    assert "\n" not in row.found
    assert "explainer gives maps" in row.found or "maps of shape" in row.found


def test_lists_arrays_coarse_maps_and_channels_are_maps() -> None:
    def coarse(module: nn.Module, x: Tensor, target: int) -> Any:
        return hidden(module, x, target)[:, ::4, ::4]

    for explain in (
        coarse,
        lambda *asked: hidden(*asked).numpy(),
        lambda *asked: hidden(*asked).tolist(),
        lambda *asked: torch.stack([2 * hidden(*asked), -hidden(*asked)], 1),
    ):
        assert set(_outcomes(explain, ["linear", "two-detectors", "translation"]).values()) == {"passed"}


def test_an_explainer_that_writes_into_what_it_is_given_is_on_its_own() -> None:
    def careless(module: nn.Module, x: Tensor, target: int) -> Tensor:
        maps = hidden(module, x, target)
        x.zero_()
        return maps

    assert set(_outcomes(careless, ["translation", "constant-shift"]).values()) == {"passed"}


def test_names_that_there_are_not() -> None:
    with pytest.raises(UnknownName, match="no unit 'blind-hlf'; nearest: 'blind-half'"):
        conformance.run("saliency", "blind-hlf")
    with pytest.raises(UnknownName, match="no method 'saliencyy'; nearest: 'saliency'"):
        conformance.run("saliencyy", "linear")
    with pytest.raises(UnknownName, match="no library 'captom'; nearest: 'captum'"):
        conformance.run(library="captom")
    with pytest.raises(UnknownName, match="no kind of map 'shares' for hidden"):
        conformance.run(hidden, "linear", kind="shares")
    with pytest.raises(UsageError, match=r"error=1\.5: a share of the largest value"):
        conformance.run(hidden, "linear", error=1.5)
    with pytest.raises(UsageError, match="no units: the list given is empty"):
        conformance.run("saliency", [])
    with pytest.raises(UsageError, match="library='captum' and a function"):
        conformance.run(hidden, library="captum")


def test_a_library_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "zennit.attribution", None)
    monkeypatch.setitem(sys.modules, "zennit", None)
    with pytest.raises(UsageError, match=r"zennit is not installed: pip install zennit"):
        conformance.run(library="zennit")


def test_the_result() -> None:
    found = conformance.run(["hires-cam", "grad-cam", "attention-rollout"], ["blind-half", "linear"])
    assert found.table() == [
        ("method", "blind-half", "linear"),
        ("hires-cam", "passed", "passed"),
        ("grad-cam", "by design", "passed"),
        ("attention-rollout", "-", "-"),
    ]
    record = json.loads(json.dumps(found.to_dict()))
    assert [(row["method"], row["unit"], row["outcome"]) for row in record["results"]][2:] == [
        ("grad-cam", "blind-half", "failed by design"),
        ("grad-cam", "linear", "passed"),
    ]
    assert "Draelos" in record["results"][2]["reason"]
    assert [row["method"] for row in record["not_applicable"]] == ["attention-rollout"] * 2
    assert found.failures == ()
    assert "<td" in found._repr_html_()
    assert "blind-half" in found._repr_html_()


def test_properties_that_there_are_not_are_refused() -> None:
    with pytest.raises(UsageError, match="unit 'a': no property 'beauty'; known: proportion"):
        unit(UnitCard(name="a", property="beauty", checks="", answer="", violated="", paper=""))(lambda: None)  # type: ignore[arg-type,return-value]
    with pytest.raises(UsageError, match="method 'a': no property 'beauty'; known: proportion"):
        method(Card(name="a", family="cam", paper="p", formula="f", cost="c", excepts={"beauty": "why"}))(lambda: None)
    assert "a" not in units


def test_every_property_has_a_unit() -> None:
    assert {each.card.property for each in units} == set(PROPERTIES)
    for each in units:
        assert all(len(getattr(each.card, name).split()) > 1 for name in ("checks", "answer", "violated", "paper"))
        assert each.summary.endswith(".")
    assert cell(1, 2) == (slice(4, 8), slice(8, 12))
