"""Every metric of a map against loops in float64, and what all of them have in common: one number a map, the same in any
company, none where a map says nothing."""

from __future__ import annotations

import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy import metrics as m
from seewhy.core.perturb.imputation import Imputed
from seewhy.errors import UsageError
from seewhy.metrics import controls, metrics

SIZE = (7, 6)


@pytest.fixture
def predict() -> Any:
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        net = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.GELU(), nn.Flatten(), nn.Linear(4 * 42, 1)).double()
    return lambda x: net(x)[:, 0].detach()


def _images(count: int = 3) -> tuple[Tensor, Tensor, Tensor]:
    """Images, maps (of whole numbers, so that some are equal), and masks."""
    draw = torch.Generator().manual_seed(5)
    x = torch.rand(count, 3, *SIZE, generator=draw, dtype=torch.float64)
    maps = torch.randint(-3, 9, (count, *SIZE), generator=draw).double()
    maps += torch.rand(count, *SIZE, generator=draw, dtype=torch.float64) * 0.5
    masks = torch.rand(count, *SIZE, generator=draw) > 0.6
    return x, maps, masks


def _curve(predict: Any, x: Tensor, map: Tensor, steps: int, fill: Any, weakest_first: bool) -> list[float]:
    order = map.flatten().argsort(descending=not weakest_first).tolist()
    scores = []
    for k in range(steps + 1):
        changed = x.clone()
        for place in order[: round(k / steps * len(order))]:
            i, j = divmod(place, SIZE[1])
            changed[:, i, j] = fill(x)[:, i, j]
        scores.append(float(predict(changed[None])))
    return scores


def _mean(x: Tensor) -> Tensor:
    return x.mean((1, 2), keepdim=True).expand_as(x)


def test_deletion_insertion_and_srg(predict: Any) -> None:
    x, maps, _ = _images()
    for steps in (6, 42):
        for n in range(3):
            first = _curve(predict, x[n], maps[n], steps, _mean, False)
            last = _curve(predict, x[n], maps[n], steps, _mean, True)
            assert m.deletion(predict, x, maps, steps=steps)[n] == pytest.approx(np.trapezoid(first) / steps)
            own = m.insertion(predict, x, maps, fill="mean", steps=steps)[n]
            assert own == pytest.approx(np.trapezoid(last[::-1]) / steps)
            right = (np.trapezoid(last) - np.trapezoid(first)) / steps
            found = m.srg.measures(predict, x, maps, steps=steps)[n]
            assert found.value == pytest.approx(right)
            np.testing.assert_allclose(found.arrays["weakest_first"], last)
            np.testing.assert_allclose(found.arrays["strongest_first"], first)
    opposite = m.srg(predict, x, -maps, steps=42)
    np.testing.assert_allclose(opposite, -m.srg(predict, x, maps, steps=42), rtol=1e-9)


def test_pixel_flipping(predict: Any) -> None:
    x, maps, _ = _images()
    for n in range(3):
        blocks = [(a, b) for a in range(3) for b in range(2)]
        sums = {
            (a, b): float(maps[n, 3 * a : 3 * a + 3, 3 * b : 3 * b + 3].sum()) for a, b in blocks
        }  # fmt: skip
        order = sorted(blocks, key=lambda block: -sums[block])
        changed, scores = x[n].clone(), [float(predict(x[n : n + 1]))]
        for a, b in order[:4]:
            changed[:, 3 * a : 3 * a + 3, 3 * b : 3 * b + 3] = 0.25
            scores.append(float(predict(changed[None])))
        right = np.mean([scores[0] - each for each in scores])
        assert m.pixel_flipping(predict, x, maps, fill=0.25, patch=3, steps=4)[n] == pytest.approx(right)


def test_road_and_imputation(predict: Any) -> None:
    x, maps, masks = _images()
    for n in range(3):
        imputed = Imputed(x, 0.0)(x, torch.tensor([n]), masks[n][None, None].double())[0]
        np.testing.assert_allclose(imputed, _imputed(x[n], masks[n]), atol=1e-12)
    nothing = Imputed(x, 0.0)(x, torch.tensor([1]), torch.zeros(1, 1, *SIZE))[0]
    np.testing.assert_allclose(nothing, _mean(x[1]), atol=1e-12)
    assert torch.equal(Imputed(x, 0.5)(x, torch.tensor([1]), torch.ones(1, 1, *SIZE))[0], x[1])
    for n in range(3):
        gaps = []
        for k in range(1, 6):
            both = []
            for weakest_first in (True, False):
                order = maps[n].flatten().argsort(descending=not weakest_first)
                visible = torch.ones(42, dtype=torch.bool)
                visible[order[: round(k / 6 * 42)]] = False
                both.append(float(predict(_imputed(x[n], visible.reshape(SIZE))[None])))
            gaps.append(both[0] - both[1])
        assert m.road(predict, x, maps, steps=6, noise=0.0)[n] == pytest.approx(np.mean(gaps))
    with_noise = m.road(predict, x, maps, steps=6, noise=0.1)
    assert not np.allclose(with_noise, m.road(predict, x, maps, steps=6, noise=0.0))
    np.testing.assert_allclose(with_noise[1:], m.road(predict, x[1:], maps[1:], steps=6, noise=0.1), rtol=1e-9)


def _imputed(x: Tensor, visible: Tensor) -> Tensor:
    """By one dense system."""
    hidden = [tuple(place) for place in (~visible).nonzero().tolist()]
    left, right = torch.zeros(len(hidden), len(hidden)).double(), torch.zeros(len(hidden), 3).double()
    for row, (i, j) in enumerate(hidden):
        for di, dj in itertools.product((-1, 0, 1), repeat=2):
            a, b = i + di, j + dj
            if (di, dj) == (0, 0) or not (0 <= a < SIZE[0] and 0 <= b < SIZE[1]):
                continue
            weight = 1 / 6 if 0 in (di, dj) else 1 / 12
            left[row, row] += weight
            if visible[a, b]:
                right[row] += weight * x[:, a, b]
            else:
                left[row, hidden.index((a, b))] -= weight
    found = x.clone()
    for (i, j), colour in zip(hidden, torch.linalg.solve(left, right) if hidden else (), strict=True):
        found[:, i, j] = colour
    return found


def test_infidelity_of_what_is_known() -> None:
    """Of a linear score the gradient misses nothing; another map misses the variance of what it gets wrong."""
    x, _, _ = _images()
    weights = torch.rand(*SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64)

    def predict(x: Tensor) -> Tensor:
        return (x * weights).sum((1, 2, 3))

    right = weights.expand(3, *SIZE)
    np.testing.assert_allclose(m.infidelity(predict, x, right), 0, atol=1e-20)
    n = 20000
    found = m.infidelity.measures(predict, x, 2 * right, n=n, sigma=0.2)
    for each, one in zip(found, x, strict=True):
        sigma = 0.2 * float(one.max() - one.min())
        variance = 3 * float(weights.square().sum()) * sigma**2  # of <d, M> - <d, w> with M = 2 w
        assert each.value == pytest.approx(variance, rel=5 * math.sqrt(2 / n))
        assert float(each.arrays["scale"]) == pytest.approx(0.5)
        assert float(each.arrays["infidelity_at_scale"]) == pytest.approx(0, abs=1e-12)
    assert all(float(each.arrays["scale"]) < 0 for each in m.infidelity.measures(predict, x, -right))


@pytest.mark.parametrize("shape", [(3, 20), (3, 7, 6), (1, 5, 4, 3)])
@pytest.mark.parametrize("batch", [1, 2, 5])
def test_changes_that_are_recorded_give_the_same_numbers_in_loops(shape: tuple[int, ...], batch: int) -> None:
    """Rows, pictures and volumes: what ``predict`` was handed says what was drawn."""
    draw = torch.Generator().manual_seed(batch)
    x, weights = torch.rand(batch, *shape, generator=draw).double(), torch.randn(shape, generator=draw).double()
    maps = torch.randn(batch, *shape[1:], generator=draw).double()
    handed: list[torch.Tensor] = []

    def score(z: torch.Tensor) -> torch.Tensor:
        return (z * weights).flatten(1).sum(1).sin() + z.flatten(1).square().sum(1)

    def predict(z: torch.Tensor) -> torch.Tensor:
        handed.extend(z.clone())
        return score(z)

    for metric, asked in ((m.infidelity, {"n": 6}), (m.faithfulness_correlation, {"n": 6, "size": 5, "fill": 0.0})):
        handed.clear()
        found = np.atleast_1d(metric(predict, x, maps, **asked))
        changed = [z for z in handed if not any(torch.equal(z, one) for one in x)]
        assert len(changed) == 6 * batch
        for b in range(batch):
            told, falls = [], []
            for z in changed[6 * b : 6 * b + 6]:
                by = x[b] - z
                total = 0.0
                for place in np.ndindex(*shape[1:]):
                    here = [float(by[(channel, *place)]) for channel in range(shape[0])]
                    worth = sum(here) if metric is m.infidelity else float(any(here))
                    total += worth * float(maps[b][place])
                told.append(total)
                falls.append(float(score(x[b][None]) - score(z[None])))
            if metric is m.infidelity:
                right = sum((t - f) ** 2 for t, f in zip(told, falls, strict=True)) / 6
            else:
                right = float(np.corrcoef(told, falls)[0, 1])
            assert found[b] == pytest.approx(right, rel=1e-9), metric.name


def test_every_metric_of_a_map_takes_an_explanation_as_its_array() -> None:
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(144, 2)).eval()
    x = torch.rand(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    made = seewhy.explain(net, x, "grad-cam", target=1)
    mask = np.zeros((8, 8), dtype=bool)
    mask[2:5, 3:7] = True
    given = {
        "predict": lambda z: net(z).softmax(1)[:, 1], "explain": lambda z: z.sum(1), "input": x[0], "mask": mask,
        "others": np.random.default_rng(0).random((2, 8, 8)), "noisy": np.random.default_rng(1).random((2, 8, 8)),
    }  # fmt: skip
    taken = [metric for metric in metrics if "values" in metric.takes]
    assert len(taken) > 15
    for metric in taken:
        whole, bare = (
            metric(*({**given, "values": values}[name] for name in metric.takes)) for values in (made, np.asarray(made))
        )
        assert whole == pytest.approx(bare, nan_ok=True), metric.name


def test_faithfulness_correlation_of_what_is_known(predict: Any) -> None:
    x, maps, _ = _images()

    def linear(x: Tensor) -> Tensor:
        return x.sum((1, 2, 3))

    exact = x.sum(1)
    np.testing.assert_allclose(m.faithfulness_correlation(linear, x, exact, fill=0.0, size=5), 1)
    np.testing.assert_allclose(m.faithfulness_correlation(linear, x, -exact, fill=0.0, size=5), -1)
    for each in m.faithfulness_correlation.measures(predict, x, maps, size=5):
        right = np.corrcoef(each.arrays["sums"], each.arrays["falls"])[0, 1]
        assert each.value == pytest.approx(right)
    (flat,) = m.faithfulness_correlation.measures(lambda x: x.new_ones(len(x)), x[:1], maps[:1])
    assert math.isnan(flat.value)
    assert flat.reason


def test_average_drop_increase_and_gain(predict: Any) -> None:
    x, maps, _ = _images(6)

    def probability(x: Tensor) -> Tensor:
        return predict(x).sigmoid()

    for n in range(6):
        shown = maps[n].clamp(min=0) / maps[n].max()
        whole, seen = (float(probability(each[None])) for each in (x[n], x[n] * shown))
        assert m.average_drop(probability, x, maps, fill=0.0)[n] == pytest.approx(max(0, whole - seen) / whole)
        assert m.average_increase(probability, x, maps, fill=0.0)[n] == float(seen > whole)
        assert m.average_gain(probability, x, maps, fill=0.0)[n] == pytest.approx(max(0, seen - whole) / (1 - whole))


def test_where_evidence_lies() -> None:
    _, maps, masks = _images()
    for map, mask in zip(maps.numpy(), masks.numpy(), strict=True):
        positive = np.maximum(map, 0)
        assert m.relevance_mass(map, mask) == pytest.approx(positive[mask].sum() / positive.sum())
        top = np.argsort(-map.ravel())[: mask.sum()]
        assert m.relevance_rank(map, mask) == pytest.approx(mask.ravel()[top].mean())
        assert m.pointing(map, mask) == float(mask.ravel()[map.argmax()])
        rows, columns = np.where(mask)
        box = np.zeros_like(mask)
        box[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = True
        assert m.energy_pointing(map, mask) == pytest.approx(positive[box].sum() / positive.sum())
        cut = map > 0.4 * map.max()
        assert m.iou(map, mask, threshold=0.4) == pytest.approx((cut & mask).sum() / (cut | mask).sum())
    far = np.zeros(SIZE)
    far[0, 0] = 1
    mask = np.zeros(SIZE, dtype=bool)
    mask[3, 2] = True
    assert [m.pointing(far, mask, tolerance=t) for t in (0, 2, 3)] == [0, 0, 1]
    assert math.isnan(m.relevance_mass(-np.ones(SIZE), mask))


def test_gini_and_entropy() -> None:
    _, maps, _ = _images()
    for map in maps.numpy():
        sizes = np.abs(map).ravel()
        pairs = np.abs(sizes[:, None] - sizes[None]).sum()
        assert m.gini(map) == pytest.approx(pairs / (2 * sizes.size * sizes.sum()))
        shares = sizes / sizes.sum()
        assert m.entropy(map) == pytest.approx(-(shares * np.log(shares)).sum() / np.log(sizes.size))


def _called(metric: m.Metric, predict: Any, x: Tensor, maps: Tensor, masks: Tensor) -> list[m.Measure]:
    others = torch.stack([masks * 1.0 + torch.arange(42.0).reshape(SIZE) % (3 + n) for n in range(4)], 1)
    given = {
        "predict": lambda x: predict(x).sigmoid(), "explain": lambda x: x.prod(1), "input": x, "values": maps,
        "mask": masks, "others": others, "noisy": others + 0.3 * x.sum(1, keepdim=True),
    }  # fmt: skip
    return metric.measures(*(given[name] for name in metric.takes))


@pytest.mark.parametrize("name", sorted(m.metrics.keys()))
def test_a_map_has_the_same_number_in_any_company(name: str, predict: Any) -> None:
    """Alone, beside others, beside maps that say nothing and maps that are a million times larger."""
    metric = m.metrics[name]
    x, maps, masks = _images(4)
    alone = _called(metric, predict, x[1:2], maps[1:2], masks[1:2])[0]
    maps[0], maps[2] = maps[0] * 1e6, torch.nan
    maps[3] = 2.0
    found = _called(metric, predict, x, maps, masks)
    assert found[1].value == pytest.approx(alone.value, rel=1e-9)
    if "values" not in metric.takes:  # it has maps made by itself
        return
    assert math.isnan(found[2].value)
    assert "NaN" in found[2].reason
    assert math.isnan(found[3].value) == (not metric.card.constant)
    assert metric.card.constant or "same everywhere" in found[3].reason


def test_ties_are_broken_by_the_map_itself(predict: Any) -> None:
    x, maps, _ = _images()
    coarse = maps.round().clamp(0, 2)
    one = m.deletion(predict, x, coarse, steps=42)
    np.testing.assert_array_equal(one, m.deletion(predict, x, coarse, steps=42))
    assert m.deletion(predict, x[1], coarse[1], steps=42) == pytest.approx(one[1])
    assert not np.allclose(one, m.deletion(predict, x, coarse, steps=42, seed=1))


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda p, x, v: m.deletion(p, x, v[:, :3]), r"a map of \(3, 6\) and an image of \(7, 6\)"),
        (lambda p, x, v: m.deletion(p, x), "deletion takes predict, input, values; got 2"),
        (lambda p, x, v: m.deletion(x, x, v), "predict is a function from inputs"),
        (lambda p, x, v: m.deletion(p, x, v, step=3), "deletion has no parameter 'step'; it has steps, seed"),
        (lambda p, x, v: m.deletion(p, x, v, steps=0), "steps=0: a whole number from 1 on"),
        (lambda p, x, v: m.deletion(p, x, v, fill="green"), "fill='green': 'mean', 'blur'"),
        (lambda p, x, v: m.deletion(lambda x: x, x, v), r"predict gave \(3, 3, 7, 6\) for 3 inputs: one score each"),
        (lambda p, x, v: m.relevance_mass(v, v[:2] > 0), "a mask of .* give one mask for each"),
        (lambda p, x, v: m.relevance_mass(v, v > 99), "the mask is empty"),
        (lambda p, x, v: m.gini(v, fill=0.0), "gini hides nothing"),
        (lambda p, x, v: m.iou(v, v > 0, threshold=2), "threshold=2: a share"),
        (lambda p, x, v: m.pointing(v, v > 0, tolerance=-1), "tolerance=-1 is a whole number"),
        (lambda p, x, v: m.road(p, x, v, steps=1), "steps=1: at least 2"),
        (lambda p, x, v: m.infidelity(p, x, v, n=1), "two changes or more"),
        (lambda p, x, v: m.pixel_flipping(p, x, v, patch=0), "patch=0"),
    ],
)
def test_what_cannot_be_measured_is_one_line(call: Any, said: str, predict: Any) -> None:
    x, maps, _ = _images()
    with pytest.raises(UsageError, match=said):
        call(predict, x, maps)


def test_controls_have_the_maps_values_and_spectrum() -> None:
    rows, columns = torch.meshgrid(torch.arange(40.0), torch.arange(50.0), indexing="ij")
    blob = torch.exp(-((rows - 12) ** 2 + (columns - 30) ** 2) / 40).double()
    made = controls.spectrum_maps(blob, 20)
    assert torch.equal(made.flatten(1).sort(1).values, blob.flatten().sort().values.expand(20, -1))
    spectrum = torch.fft.rfft2(blob).abs()
    for each in made:
        assert torch.corrcoef(torch.stack([spectrum.flatten(), torch.fft.rfft2(each).abs().flatten()]))[0, 1] > 0.99
    apart = [float(torch.corrcoef(torch.stack([blob.flatten(), each.flatten()]))[0, 1]) for each in made]
    assert np.mean(apart) < 0.3
    assert len({round(each, 6) for each in apart}) > 10
    assert torch.equal(made, controls.spectrum_maps(blob, 20))
    assert torch.equal(made[:5], controls.spectrum_maps(blob, 5))


def test_ranks_count_as_permutation_tests_do() -> None:
    others = torch.tensor([1.0, 2.0, 3.0, math.nan])
    assert [controls.rank(v, others, "higher") for v in (4.0, 2.0, 0.0)] == [1 / 4, 3 / 4, 1.0]
    assert [controls.rank(v, others, "lower") for v in (0.0, 2.0, 4.0)] == [1 / 4, 3 / 4, 1.0]
    assert math.isnan(controls.rank(math.nan, others, "higher"))


def test_likeness_metrics_are_scipys_correlations() -> None:
    stats = pytest.importorskip("scipy.stats")
    draw = torch.Generator().manual_seed(8)
    maps = torch.randint(0, 6, (2, *SIZE), generator=draw).double()
    others, noisy = torch.randint(0, 6, (2, 2, 3, *SIZE), generator=draw).double()
    for n in range(2):
        between, within = (
            np.mean([stats.spearmanr(maps[n].ravel(), each.ravel()).statistic for each in rows[n]])
            for rows in (others, noisy)
        )
        assert m.random_logit(maps, others)[n] == pytest.approx(between)
        assert m.randomisation(maps, others)[n] == pytest.approx(between)
        assert m.selectivity(maps, others, noisy)[n] == pytest.approx(within - between)
        own = [stats.entropy(np.histogram(each, 100)[0] / 42) for each in (maps[n], *others[n])]
        rises = [(each - own[0]) / own[0] for each in own[1:]]
        assert m.efficient_randomisation(maps, others)[n] == pytest.approx(np.mean(rises))


def test_completeness_by_hand(predict: Any) -> None:
    x, maps, _ = _images()
    for n in range(3):
        difference = float(predict(x[n : n + 1]) - predict(torch.full_like(x[n : n + 1], 0.2)))
        right = abs(float(maps[n].sum()) - difference) / abs(difference)
        assert m.completeness(predict, x, maps, fill=0.2)[n] == pytest.approx(right)


def test_max_sensitivity_of_what_is_known() -> None:
    """The map of a linear explainer moves by the noise itself; one that never changes scores a perfect 0."""
    x, _, _ = _images()
    found = m.max_sensitivity(lambda x: x[:, 0], x, radius=0.1, n=50)
    for each, one in zip(found, x, strict=True):
        moved = each * float(one[0].square().sum().sqrt()) / math.sqrt(42)
        assert moved == pytest.approx(0.1 / math.sqrt(3), rel=0.3)  # the root mean square of uniform noise
    assert m.max_sensitivity(lambda x: torch.ones_like(x[:, 0]), x).tolist() == [0, 0, 0]
    assert m.max_sensitivity(lambda x: x[:, 0], x[0]) == pytest.approx(m.max_sensitivity(lambda x: x[:, 0], x)[0])


def test_grid_pointing_is_the_share_in_the_cell() -> None:
    _, maps, _ = _images()
    cell = torch.zeros(3, *SIZE, dtype=torch.bool)
    cell[:, :3, :3] = True
    positive = maps.clamp(min=0)
    right = positive[:, :3, :3].sum((1, 2)) / positive.sum((1, 2))
    np.testing.assert_allclose(m.grid_pointing(maps, cell), right)


def test_stability_of_what_is_known() -> None:
    """A map of the pixels moves with them; one of places does not; one of noise is another each time."""
    x = torch.rand(2, 3, 24, 20, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    levels = ((0.0,) * 3, (1.0,) * 3)
    (own, _) = m.stability.measures(lambda x: x.sum(1), x, levels=levels)
    assert float(own.arrays["shift"]) == pytest.approx(1)
    assert 0.9 < float(own.arrays["noise"]) < 1
    assert float(own.arrays["jpeg"]) > 0.5
    places = torch.arange(480.0).reshape(24, 20)
    (still, _) = m.stability.measures(lambda x: places.expand(len(x), -1, -1), x)
    assert float(still.arrays["noise"]) == pytest.approx(1)
    assert sorted(still.arrays) == ["noise", "shift"]
    draw = torch.Generator().manual_seed(0)
    assert np.abs(m.stability(lambda x: torch.rand(x[:, 0].shape, generator=draw), x)).max() < 0.2
    with pytest.raises(UsageError, match="explain gave"):
        m.stability(lambda x: x[:, 0, :3], x)
    with pytest.raises(UsageError, match="levels= are of pictures"):
        m.stability(lambda x: x.sum(1), x[:, :2], levels=levels)


@pytest.mark.parametrize("form", ["swapped", "turned", "read-only", "list"])
def test_any_array_of_numbers_is_a_map(form: str, predict: Any) -> None:
    x, maps, _ = _images(1)
    plain = maps[0].numpy()
    fixed = plain.copy()
    fixed.flags.writeable = False
    given = {
        "swapped": plain.astype(plain.dtype.newbyteorder("S")),
        "turned": plain[::-1].copy()[::-1],
        "read-only": fixed,
        "list": plain.tolist(),
    }[form]
    assert m.deletion(predict, x[0], given, steps=4) == m.deletion(predict, x[0], maps[0], steps=4)


@pytest.mark.parametrize(
    "given", [None, "map.npy", np.array([["a"]]), np.array([[None]]), np.ones((7, 6)) + 1j, torch.ones(7, 6) + 1j]
)
def test_what_holds_no_real_numbers_is_no_map(given: Any) -> None:
    with pytest.raises(UsageError, match="gini: values is an array or a tensor of real numbers; got"):
        m.gini(given)


def test_what_a_masked_array_hides_is_no_number() -> None:
    (measure,) = m.gini.measures(np.ma.masked_less(np.arange(42.0).reshape(SIZE), 5))
    assert math.isnan(measure.value)
    assert "NaN" in measure.reason


def test_functions_that_change_their_input_get_copies(predict: Any) -> None:
    x, maps, _ = _images(1)
    before = x.clone()
    in_place, aside = (lambda x: predict(x.sub_(0.5).div_(0.25))), (lambda x: predict((x - 0.5) / 0.25))
    assert m.srg(in_place, x, maps, steps=4) == m.srg(aside, x, maps, steps=4)
    assert m.stability(lambda x: x.mul_(2).sum(1), x) == m.stability(lambda x: (2 * x).sum(1), x)
    assert m.max_sensitivity(lambda x: x.mul_(2).sum(1), x) == m.max_sensitivity(lambda x: (2 * x).sum(1), x)
    assert torch.equal(x, before)


@pytest.mark.parametrize("metric", [m.random_logit, m.randomisation])
def test_maps_with_nan_are_like_no_other_map(metric: m.Metric) -> None:
    map = torch.arange(42.0).reshape(SIZE)
    holed = map.clone()
    holed[0, 0] = torch.nan
    assert math.isnan(metric(map, holed[None]))
    assert metric(map, torch.stack([holed, map])) == pytest.approx(1)


@pytest.mark.parametrize("metric", [m.average_drop, m.average_gain, m.average_increase])
def test_metrics_of_probabilities_refuse_other_scores(metric: m.Metric) -> None:
    x, maps, _ = _images(1)
    with pytest.raises(UsageError, match="about probabilities, from 0 to 1, and predict gave"):
        metric(lambda x: -x.sum((1, 2, 3)), x, maps)


def test_masks_without_numbers_and_no_maps_to_compare_with_are_refused() -> None:
    map = torch.arange(42.0).reshape(SIZE)
    with pytest.raises(UsageError, match="the mask holds NaN"):
        m.iou(map, map / 0)
    with pytest.raises(UsageError, match="others holds no map"):
        m.random_logit(map, map[None][:0])
    with pytest.raises(UsageError, match="better='up'"):
        controls.rank(1.0, map, "up")


@pytest.mark.parametrize(
    ("metric", "given", "said"),
    [
        (m.road, {"noise": -1.0}, "noise=-1.0 is a number from 0 on, e.g. noise=0.01"),
        (m.road, {"noise": "a"}, "noise='a' is a number"),
        (m.srg, {"seed": -1}, "seed=-1 is a whole number"),
        (m.srg, {"seed": 1.5}, "seed=1.5 is a whole number"),
        (m.srg, {"steps": True}, "steps=True is a whole number"),
        (m.infidelity, {"sigma": float("nan")}, "sigma=nan is a number"),
    ],
)
def test_parameters_of_another_kind_are_one_line(metric: Any, given: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        metric(lambda x: x.flatten(1).sum(1), torch.rand(1, 8, 8), torch.rand(8, 8), **given)
