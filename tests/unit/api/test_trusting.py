"""Trust cards: what hiding does to the score by hand, levels on networks whose right map is known, what is kept, and
what stands where nothing can be measured."""

from __future__ import annotations

import json
import math
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy.api.given.images import read_items
from seewhy.api.measuring import answered
from seewhy.api.trusting import judging, kept
from seewhy.api.trusting.held import Held, _Ways
from seewhy.core.perturb.fills import blurred, mean_colour
from seewhy.core.targets import Logit
from seewhy.errors import UnknownName, UsageError
from seewhy.explanation import Evidence
from seewhy.metrics import controls
from seewhy.metrics._effects import EFFECTS, _by_halves, in_cells

SIDE = 28


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SEEWHY_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


class Weighted(nn.Module):
    """Two classes: the sum of weights times pixels, and nothing."""

    def __init__(self, weights: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weights)

    def forward(self, x: Tensor) -> Tensor:
        score = (self.weight * x).flatten(1).sum(1)
        return torch.stack([score, torch.zeros_like(score)], 1)


def _draw(seed: int, *shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def linear() -> tuple[nn.Module, Tensor, Tensor]:
    """A network, an input, and the exact map: its weights times the input, against the input's mean."""
    weights = torch.zeros(3, SIDE, SIDE, dtype=torch.float64)
    weights[:, 4:12, 14:26] = 0.05
    weights[:, 18:24, 3:12] = 0.03
    x = _draw(1, 3, SIDE, SIDE)
    net = Weighted(weights).eval()
    return net, x, (weights * (x - mean_colour(x[None])[0])).sum(0)


class Detector(nn.Module):
    """How much of a bright cross there is anywhere, and how much of a dark one, by two convolutions and a mean."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 5, padding=2)
        self.second = nn.Conv2d(6, 8, 3, padding=1)
        self.head = nn.Linear(8, 3)
        draw = torch.Generator().manual_seed(3)
        with torch.no_grad():
            for each in self.parameters():
                each.copy_(torch.randn(each.shape, generator=draw) * 0.3)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.second(self.first(x).relu()).relu().mean((2, 3)))  # type: ignore[no-any-return]


def _detector() -> seewhy.Model:
    return seewhy.wrap(Detector().eval(), preprocess=seewhy.Preprocess(size=(SIDE, SIDE), resize=SIDE))


def test_what_hiding_does_is_what_doing_it_by_hand_gives(linear: Any) -> None:
    net, x, _ = linear
    maps = torch.stack([_draw(2, SIDE, SIDE), -_draw(3, SIDE, SIDE)])
    items, _ = read_items(seewhy.wrap(net), x)
    (column,), _, cost = answered(
        seewhy.wrap(net), items, [Logit(0)], [(EFFECTS, {"halves": 5})], lambda *_: {"values": maps[None]}
    )
    arrays = {name: rows[0] for name, rows in column[0][1].arrays.items()}

    def score(visible: Tensor, fill: Any) -> float:
        reference = fill(x[None])[0]
        return float(net((reference + (x - reference) * visible)[None])[0, 0].detach())

    whole = float(net(x[None])[0, 0].detach())
    for k, (fill, share) in enumerate(((blurred, 0.15), (mean_colour, 0.5))):
        gone = round(share * SIDE * SIDE)
        for n, one in enumerate(maps):
            order = one.flatten().argsort(descending=True)
            for way, places in enumerate((order[:gone], order[-gone:])):
                visible = torch.ones(SIDE * SIDE, dtype=torch.float64)
                visible[places] = 0
                right = score(visible.reshape(SIDE, SIDE), fill)
                assert float(arrays["left"][k, n, way]) == pytest.approx(right, rel=1e-5)
    for i in range(7):
        for j in range(7):
            visible = torch.ones(SIDE, SIDE, dtype=torch.float64)
            visible[4 * i : 4 * i + 4, 4 * j : 4 * j + 4] = 0
            for k, fill in enumerate((blurred, mean_colour)):
                lost = whole - score(visible, fill)
                assert float(arrays["cells"][k, i, j]) == pytest.approx(lost, rel=1e-4, abs=1e-5)
    # behind each fill 2 maps, either way, and every cell; 5 halves; and the image itself
    assert cost.forwards == 1 + 2 * (2 * 2 + 49) + 5


def test_random_halves_are_halves_and_their_covariance_is_the_one_by_hand(linear: Any) -> None:
    net, x, exact = linear
    items, _ = read_items(seewhy.wrap(net), x)
    (column,), _, _ = answered(
        seewhy.wrap(net), items, [Logit(0)], [(EFFECTS, {"halves": 30})],
        lambda *_: {"values": exact[None, None]},
    )  # fmt: skip
    _, masks = _by_halves(x[None], 30, 0)
    seen = masks[0].double().numpy()
    assert np.abs(seen.mean((1, 2)) - 0.5).max() < 0.01
    reference = blurred(x[None])[0]
    scores = np.array([float(net((reference + (x - reference) * m)[None])[0, 0].detach()) for m in masks[0]])
    told = (scores - scores.mean()) / scores.std()
    for i, j in ((0, 0), (2, 4), (6, 1)):
        cell = seen[:, 4 * i : 4 * i + 4, 4 * j : 4 * j + 4].mean((1, 2))
        right = float((told * (cell - cell.mean())).mean())
        assert float(column[0][1].arrays["halves"][0, i, j]) == pytest.approx(right, rel=1e-4, abs=1e-6)


@pytest.mark.parametrize("shape", [(9,), (20, 11), (6, 8, 7)])
def test_cells_are_means_of_any_size(shape: tuple[int, ...]) -> None:
    maps = _draw(4, 2, *shape)
    cells = in_cells(maps)
    assert cells.ndim == maps.ndim
    assert math.prod(cells.shape[1:]) <= 64
    first = tuple(slice(0, round(length / count)) for length, count in zip(shape, cells.shape[1:], strict=True))
    assert float(cells.flatten(1)[0, 0]) == pytest.approx(float(maps[(0, *first)].mean()))


def test_the_exact_map_is_believed_and_its_negative_is_not(linear: Any) -> None:
    net, x, exact = linear
    good, bad = (seewhy.trust(net, x, values, target=0) for values in (exact, -exact))
    assert good.level == "green"
    assert not good.warned
    assert good.sentence.startswith("Believe where")
    assert bad.level == "red"
    assert bad.sentence.startswith("Do not believe it")
    assert good["gain"].value == pytest.approx(-bad["gain"].value, rel=1e-9)
    assert good["gain"].rank == pytest.approx(1 / 21)
    assert good["deletion"].rank == pytest.approx(1 / 21)
    assert bad["gain"].rank == 1.0
    assert set(good["gain"].controls) == {"random", "bump", "edge"}  # a function of pixels has no layer for a map
    assert good["evidence"].value >= judging.BELIEVED > bad["evidence"].value


@pytest.mark.parametrize(("deviations", "level"), [(3.0, "green"), (-2.9, "green"), (-3.1, "amber"), (-4.0, "amber")])
def test_no_agreement_makes_up_for_a_gain_far_below_that_of_random_maps(deviations: float, level: str) -> None:
    numbers = np.zeros(21)
    found = Held(numbers, numbers, {}, deviations, np.ones(21), "hires-cam", 9.0, 0.0, 0.0)
    (evidence,) = [each for each in judging.about(found, "logit") if each.name == "evidence"]
    assert evidence.value == pytest.approx(deviations + 9 * 0.7 + 5)
    assert evidence.value >= judging.BELIEVED
    assert evidence.level == level


def test_the_placement_is_that_of_the_map_beside_itself_moved_and_mirrored() -> None:
    """By loops, with cells that are pixels."""
    map, one, other = _draw(8, 3, 7, 7).double()
    flat = np.full(49, 1 / 7)
    ways = _Ways(
        {name: _unit_of(row) for name, row in (("a", one), ("b", other))}, {}, torch.tensor(flat)[:, None], None, None
    )
    right = []
    for name in ("a", "b"):
        row = ways.cells[name].numpy()
        found = []
        for up in (1, -1):
            for left in (1, -1):
                for down in range(7):
                    for aside in range(7):
                        moved = np.roll(map.numpy()[::up, ::left], (down, aside), (0, 1)).ravel()
                        moved = moved - moved.mean()
                        found.append(moved @ row / np.linalg.norm(moved))
        right.append(found[0] / np.std(found))
    assert ways.placement(map) == pytest.approx(max(right), rel=1e-12)
    assert ways.placement(torch.ones(7, 7)) == 0.0
    near = 0.2 * map + 0.8 * one
    assert ways.placement(near) > ways.placement(near.roll(3, 0)) + 2


def _unit_of(row: torch.Tensor) -> torch.Tensor:
    free = row.flatten() - row.mean()
    return free / free.norm()


def test_maps_that_know_no_network_are_warned_of(linear: Any) -> None:
    net, x, exact = linear
    noise = controls.spectrum_maps(exact, 6, seed=5)
    assert sum(seewhy.trust(net, x, each, target=0).warned for each in noise) >= 5
    edges = seewhy.trust(net, x, controls.edge_map(x[None])[0], target=0)
    assert edges.warned
    assert edges["edges"].level == "amber"
    assert edges["edges"].value == pytest.approx(1.0)


@pytest.mark.parametrize("scale", [1e-250, 1e-3, 3.0, 1e250])
def test_the_unit_of_a_map_and_its_last_digits_decide_nothing(linear: Any, scale: float) -> None:
    net, x, exact = linear
    one = seewhy.trust(net, x, exact, target=0)
    jitter = 1 + 1e-9 * _draw(9, *exact.shape).double().numpy()
    other = seewhy.trust(net, x, exact.double().numpy() * scale * jitter, target=0)
    assert other.level == one.level
    for name in ("gain", "agreement", "placement", "evidence", "edges"):
        assert other[name].value == pytest.approx(one[name].value, rel=1e-4), name


def test_the_same_map_has_the_same_card_and_another_seed_other_controls(linear: Any) -> None:
    net, x, exact = linear
    one, again, other = (seewhy.trust(net, x, exact, target=0, seed=seed) for seed in (0, 0, 1))
    assert one.to_dict()["measures"] == again.to_dict()["measures"]
    assert not np.array_equal(one["gain"].controls["random"], other["gain"].controls["random"])


@pytest.mark.parametrize(
    ("values", "words"), [(np.ones((SIDE, SIDE)), "the same everywhere"), (np.full((SIDE, SIDE), np.nan), "NaN")]
)
def test_a_map_that_says_nothing_has_a_status_and_no_score(linear: Any, values: Any, words: str) -> None:
    net, x, _ = linear
    card = seewhy.trust(net, x, values, target=0)
    assert card.level == "red"
    assert words in card.sentence
    assert [each.name for each in card] == ["status"]
    assert math.isnan(card["status"].value)
    json.dumps(card.to_dict(), allow_nan=False)


@pytest.mark.parametrize(
    "values",
    [np.zeros((SIDE, SIDE + 1)), np.zeros((3, SIDE, SIDE)), np.zeros((SIDE, SIDE), bool)],
    ids=["another size", "channels", "true or false"],
)
def test_a_map_of_another_size_is_refused_in_one_line(linear: Any, values: Any) -> None:
    net, x, _ = linear
    with pytest.raises(UsageError, match=r"a map of .* and an input of \(28, 28\)") as refused:
        seewhy.trust(net, x, values, target=0)
    assert "\n" not in str(refused.value)


def test_a_model_that_gives_no_numbers_where_something_is_hidden_is_said(linear: Any) -> None:
    net, x, exact = linear

    def scores(batch: Tensor) -> Tensor:
        same = (batch == x.to(batch)).flatten(1).all(1)
        return torch.where(same[:, None], net(batch).detach(), torch.nan)

    card = seewhy.trust(scores, x, exact, target=0)
    assert card.level == "red"
    assert "no numbers" in card.sentence


def test_one_map_is_of_one_image_and_one_target(linear: Any) -> None:
    net, x, exact = linear
    with pytest.raises(UsageError, match="2 images were given"):
        seewhy.trust(net, torch.stack([x, x]), exact)
    with pytest.raises(UsageError, match="2 targets"):
        seewhy.trust(net, x, exact, target="all")


def test_a_function_without_gradients_gets_what_can_be_measured(linear: Any) -> None:
    net, x, exact = linear

    def scores(batch: Tensor) -> Any:
        return torch.from_numpy(net(batch).detach().numpy())

    card = seewhy.trust(scores, x, exact, target=0)
    assert card.level == "green"
    assert card["agreement"].says.endswith(("a cell", "a half"))
    # the image twice; behind each fill 23 maps either way and every cell; random halves in place of gradients
    measured = 2 + 2 * ((1 + 20 + 2) * 2 + 49)
    assert card.cost.forwards == measured + 72
    nodes = 8
    told = seewhy.trust(net, x, exact, target=0).cost
    assert (told.forwards - measured, told.backwards) == (nodes + 2, nodes)  # and the ends of the path
    assert math.isnan(card["untaught"].value)
    assert card["untaught"].level == ""


def test_a_class_that_the_model_is_unsure_of_is_said(linear: Any) -> None:
    net, x, exact = linear
    card = seewhy.trust(net, x, -exact, target=1)
    assert card["model"].level == "amber"
    assert card["model"].value < 0.5


def test_explanations_carry_their_card_into_files_and_json(tmp_path: Path) -> None:
    net, x = _detector(), _draw(6, 3, SIDE, SIDE).float()
    before = net.fingerprint()
    made = seewhy.explain_all(net, x, ["grad-cam", "saliency"], target=[0, 1], trust=True)
    assert len(made) == 4
    assert all(each.trust is not None for each in made)
    assert made.cost.forwards > sum(each.cost.forwards for each in made)
    card = made[0].trust
    assert card is not None
    assert {"stability", "randomisation", "random-logit", "status"} <= {each.name for each in card}
    path = made[0].save(tmp_path / "map.npz")
    held = seewhy.Explanation.load(path).trust
    assert held is not None
    assert str(held) == str(card)
    assert held.cost == card.cost
    np.testing.assert_array_equal(held["gain"].controls["random"], card["gain"].controls["random"])
    told = json.loads(json.dumps(made[0].to_dict(), allow_nan=False))["trust"]
    assert told["level"] == card.level
    assert told["measures"]["gain"]["controls"]["random"]["n"] == 20
    assert made[0].figure().width > seewhy.explain(net, x, target=0).figure().width
    assert net.fingerprint() == before
    assert seewhy.explain(net, x, target=0).trust is None


def test_a_card_says_of_an_explanation_what_it_says_of_its_bare_map() -> None:
    net, x = _detector(), _draw(6, 3, SIDE, SIDE).float()
    made = seewhy.explain(net, x, "saliency", target=0, trust=True)
    bare = seewhy.trust(net, x, np.asarray(made), target=0)
    assert made.trust is not None
    for each in bare:
        assert made.trust[each.name].value == pytest.approx(each.value, rel=1e-5, nan_ok=True)


def test_what_a_method_was_found_to_be_is_kept_and_done_once(own_cache: Path) -> None:
    net, x = _detector(), _draw(6, 3, SIDE, SIDE).float()
    first, second = (seewhy.explain(net, x, "grad-cam", target=0, trust=True).trust for _ in range(2))
    assert first is not None
    assert second is not None
    assert second.cost.backwards < first.cost.backwards
    assert [e.value for e in second if e.name.startswith("rand")] == [
        e.value for e in first if e.name.startswith("rand")
    ]
    (file,) = (own_cache / kept.ROOM).iterdir()
    file.write_text('{"key": 1}')
    third = seewhy.explain(net, x, "grad-cam", target=0, trust=True).trust
    assert third is not None
    assert third.cost.backwards == first.cost.backwards
    with torch.no_grad():
        net.module.head.weight.mul_(2)
    seewhy.explain(net, x, "grad-cam", target=0, trust=True)
    assert len(list((own_cache / kept.ROOM).iterdir())) == 2


def test_without_a_cache_nothing_is_kept(own_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, x = _detector(), _draw(6, 3, SIDE, SIDE).float()
    seewhy.explain(net, x, "grad-cam", target=0, trust=True, cache=False)
    assert not own_cache.exists()
    own_cache.write_text("a file where the folder would be")
    made = seewhy.explain(net, x, "grad-cam", target=0, trust=True).trust
    assert made is not None
    assert math.isfinite(made["randomisation"].value)


@pytest.mark.parametrize("text", ["", "[]", '{"key": {}, "found": {}}', "x" * 20_000, '{"key": {"a": 1}, "found": []}'])
def test_a_kept_file_that_holds_anything_else_is_as_if_it_were_not_there(own_cache: Path, text: str) -> None:
    assert kept.write({"a": 1}, {"learnt": 0.5, "chance": math.nan, "classes": 0.25})
    assert kept.read({"a": 1}) == {
        "learnt": 0.5,
        "chance": pytest.approx(math.nan, nan_ok=True),
        "classes": 0.25,
        "reason": "",
    }
    (file,) = (own_cache / kept.ROOM).iterdir()
    file.write_text(text)
    assert kept.read({"a": 1}) is None


def test_what_guided_backpropagation_shows_does_not_depend_on_the_head() -> None:
    net, x = _detector(), _draw(6, 3, SIDE, SIDE).float()
    made = [seewhy.explain(net, x, method, target=0, trust=True) for method in ("guided-backprop", "grad-cam")]
    guided, cam = (one.trust for one in made)
    assert guided is not None
    assert cam is not None
    assert guided["randomisation"].value > cam["randomisation"].value - cam["randomisation"].controls["chance"]
    alike = [  # over several shuffles, since one of a network as small as this is as good as any by chance
        [seewhy.trust(net, x, one, target=0, seed=seed)["untaught"].value for seed in range(4)] for one in made
    ]
    assert np.mean(alike[0]) > np.mean(alike[1]) + 0.2


def _tested(model: Any, x: Tensor, method: str, **asked: Any) -> dict[str, float]:
    card = seewhy.explain(model, x, method, trust=True, **asked).trust
    assert card is not None
    return {name: card[name].value for name in ("randomisation", "random-logit")}


def test_what_is_tested_is_the_method_as_it_was_asked_for() -> None:
    net, x = _detector(), _draw(6, 3, SIDE, SIDE).float()
    guided = _tested(net, x, "guided-backprop", target=0)
    assert _tested(net, x, "saliency", target=0, backward_rule="guided") == pytest.approx(guided, abs=1e-9)
    plain = _tested(net, x, "saliency", target=0)
    assert abs(plain["randomisation"] - guided["randomisation"]) > 0.02
    assert _tested(net, x, "saliency", target=0, reduce="sum") != plain
    assert _tested(net, x, "saliency", target=0, noise=seewhy.Noise(statistic="smooth", n=4, sigma=0.3)) != plain


def test_an_array_of_one_photo_is_not_tested_on_others_and_that_is_said(own_cache: Path) -> None:
    net, x = _detector(), _draw(6, 3, SIDE, SIDE).float()
    card = seewhy.explain(net, x, "integrated-gradients", target=0, baseline=torch.zeros_like(x), trust=True).trust
    assert card is not None
    assert math.isnan(card["randomisation"].value)
    assert "baseline= is of this photo" in card["randomisation"].says
    assert not own_cache.exists()


def test_a_model_that_names_no_class_is_tested_with_what_it_was_asked(own_cache: Path) -> None:
    class Regression(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = Detector()

        def forward(self, x: Tensor) -> Tensor:
            return self.inner(x)[:, 0]

    torch.manual_seed(0)
    net, x = Regression().eval(), _draw(6, 3, SIDE, SIDE).float()
    found = _tested(net, x, "saliency")
    assert math.isfinite(found["randomisation"])
    assert math.isnan(found["random-logit"])
    assert len(list((own_cache / kept.ROOM).iterdir())) == 1


def test_rows_of_samples_have_a_card_as_pictures_have() -> None:
    torch.manual_seed(0)
    parts = nn.Conv1d(2, 4, 3, padding=1), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3)
    card = seewhy.explain(nn.Sequential(*parts).eval(), torch.rand(1, 2, 64), "saliency", trust=True).trust
    assert card is not None
    assert math.isfinite(card["stability"].value)
    assert math.isfinite(card["randomisation"].value)


def test_a_green_card_says_what_was_not_tested() -> None:
    good = Evidence("evidence", 9.0, "", "green")
    assert "not tested" not in judging.card([good]).sentence
    assert "not tested" in judging.card([good, Evidence("randomisation", math.nan, "too dear")]).sentence


def test_a_map_of_any_byte_order_and_turned_has_the_card_of_its_numbers(linear: Any) -> None:
    net, x, exact = linear
    plain = seewhy.trust(net, x, exact, target=0)
    for given in (exact.numpy().astype(">f8"), exact.numpy()[::-1].copy()[::-1]):
        assert [each.value for each in seewhy.trust(net, x, given, target=0)] == pytest.approx(
            [each.value for each in plain], abs=0, nan_ok=True
        )
    for given in (None, "map.npy", np.zeros((SIDE, SIDE), complex)):
        with pytest.raises(UsageError, match="a map is an array or a tensor of real numbers"):
            seewhy.trust(net, x, given, target=0)


class _Dropping(nn.Module):
    """A network whose dropout stays on."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.head = nn.Conv2d(3, 6, 3, padding=1), nn.Linear(6, 3)

    def forward(self, x: Tensor) -> Tensor:
        hidden = nn.functional.dropout(self.conv(x).relu(), 0.3, training=True)
        scores: Tensor = self.head(hidden.mean((2, 3)))
        return scores


def test_a_model_that_draws_numbers_says_so_on_its_cards() -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        net = _Dropping().eval()
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    made = seewhy.explain(net, x, "grad-cam", trust=True, cache=False)
    assert made.trust is not None
    bare = seewhy.trust(net, x, made, target=0)
    for card in (made.trust, bare):
        assert "draws random numbers" in card["repeat"].says
        assert any("draws random numbers" in line for _, line in card.lines())
    net.forward = lambda x: net.head(net.conv(x).relu().mean((2, 3)))  # type: ignore[method-assign]
    assert "repeat" not in seewhy.trust(net, x, made, target=0)


def test_a_model_in_train_mode_is_told_once_a_card() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)
    ).train()
    x = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(1))
    for ask in (
        lambda: seewhy.explain(net, x, "grad-cam", trust=True, cache=False),
        lambda: seewhy.trust(net, x, np.random.default_rng(0).random((16, 16))),
        lambda: seewhy.evaluate(net, x, ["grad-cam", "saliency"], "srg", controls=1, steps=1),
        lambda: seewhy.recommend(net, x, ["grad-cam", "saliency"], controls=1, steps=1),
    ):
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            ask()
        assert [str(each.message).split(";")[0] for each in told] == ["Sequential is in train mode"]
    assert net.training


def test_noise_that_a_method_is_tested_on_is_of_the_image_s_size(own_cache: Path) -> None:
    """Nothing says how a photo becomes the input of a bare network."""
    seen: set[tuple[int, ...]] = set()
    net = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 3)).eval()

    class Watched(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = net

        def forward(self, x: Tensor) -> Tensor:
            seen.add(tuple(x.shape[1:]))
            scores: Tensor = self.net(x)
            return scores

    for size in ((20, 28), (28, 20)):
        seen.clear()
        made = seewhy.explain(Watched().eval(), torch.rand(1, 3, *size), "grad-cam", trust=True)
        assert made.trust is not None
        assert not math.isnan(made.trust["randomisation"].value)
        assert seen == {(3, *size)}


def test_an_interruption_keeps_the_maps_that_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    from seewhy.api.trusting import cards

    measure = cards.held
    done: list[int] = []

    def interrupted(*given: Any, **named: Any) -> Any:
        done.append(1)
        if len(done) == 2:
            raise KeyboardInterrupt
        return measure(*given, **named)

    monkeypatch.setattr(cards, "held", interrupted)
    made = seewhy.explain_all(_detector(), _draw(6, 3, 3, SIDE, SIDE).float(), target=0, trust=True)
    assert made.interrupted
    assert [each.trust is not None for each in made] == [True, False, False]


def test_what_is_no_map_of_the_input_has_no_card() -> None:
    net, x = _detector(), _draw(6, 3, SIDE, SIDE).float()
    assert seewhy.explain(net, x, "grad-cam", target=0, contrast="top-3", trust=True).trust is None


def test_a_contrast_has_no_card_and_that_is_said() -> None:
    net, x = _detector(), _draw(6, 3, SIDE, SIDE).float()
    made = seewhy.explain(net, x, "grad-cam", target=0, contrast=1, trust=True)
    assert made.trust is None
    assert any(note.startswith("no card: ") for note in made.notes)
    assert not any(note.startswith("no card: ") for note in seewhy.explain(net, x, target=0, trust=True).notes)


def test_cards_refuse_levels_and_names_that_are_none() -> None:
    with pytest.raises(UnknownName, match="level"):
        seewhy.Trust("blue", "")
    with pytest.raises(UnknownName, match="measure"):
        seewhy.Trust("green", "")["gain"]
    with pytest.raises(UnknownName, match="level"):
        seewhy.Evidence("gain", 1.0, "", "blue")


def test_a_card_is_a_picture_and_a_table() -> None:
    net, x = _detector(), _draw(6, 3, SIDE, SIDE).float()
    card = seewhy.trust(net, x, _draw(8, SIDE, SIDE), target=0)
    assert card.picture(200).width == 200
    assert "gain" in card._repr_html_()
    assert all(each.name in str(card.lines()) for each in card)
