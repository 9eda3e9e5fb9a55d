"""Metrics of maps against Quantus, Captum and pytorch-grad-cam, where they measure the same under matched settings."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from parity.seeds import SEEDS
from seewhy import metrics as m
from seewhy.core.perturb.imputation import Imputed
from seewhy.core.perturb.noise import fingerprint, gaussian, uniform
from seewhy.core.perturb.sources import spread_of

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries' own

SIZE = 10
each_seed = pytest.mark.parametrize("seed", SEEDS)


def _made(seed: int, channels: int = 1) -> tuple[nn.Module, Tensor, Tensor, list[int]]:
    """A network, images, positive maps and targets."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = nn.Sequential(
            nn.Conv2d(channels, 4, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * SIZE**2, 3)
        ).double()
        x = torch.rand(3, channels, SIZE, SIZE, dtype=torch.float64)
        maps = torch.rand(3, SIZE, SIZE, dtype=torch.float64)
    return net.eval(), x, maps, [(seed + n) % 3 for n in range(3)]


def _predict(net: nn.Module, k: int) -> Any:
    return lambda x: net(x).detach()[:, k]


@each_seed
def test_curves_of_pixel_flipping(seed: int) -> None:
    """Quantus leaves the first point out, and sums what is left by trapezoids of width 1: its areas depend on the number
    of steps. The curves are ours to 1e-6."""
    quantus = pytest.importorskip("quantus")
    net, x, maps, k = _made(seed)
    flipping = quantus.PixelFlipping(
        features_in_step=SIZE**2 // 20, perturb_baseline=0.25, normalise=False, disable_warnings=True
    )
    theirs = np.array(
        flipping(model=net.float(), x_batch=x.float().numpy(), y_batch=np.array(k), a_batch=maps.float().numpy()[:, None],
                 softmax=False, device="cpu")
    )  # fmt: skip
    net = net.double()
    for n in range(3):
        (own,) = m.deletion.measures(_predict(net, k[n]), x[n], maps[n], fill=0.25, steps=20)
        np.testing.assert_allclose(theirs[n], own.arrays["curve"][1:], atol=1e-5)
        assert own.value == pytest.approx(
            (np.trapezoid(theirs[n]) + (own.arrays["curve"][:2].sum() / 2)) / 20, abs=1e-5
        )


@each_seed
def test_where_evidence_lies_and_how_much_of_it(seed: int) -> None:
    quantus = pytest.importorskip("quantus")
    net, x, maps, k = _made(seed)
    masks = torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) > 0.5
    given = {"model": net, "x_batch": x.numpy(), "y_batch": np.array(k), "device": "cpu"}
    loud = {"normalise": False, "disable_warnings": True}
    for ours, theirs in (
        (m.relevance_mass, quantus.RelevanceMassAccuracy), (m.relevance_rank, quantus.RelevanceRankAccuracy),
        (m.pointing, quantus.PointingGame),
    ):  # fmt: skip
        found = theirs(**loud)(a_batch=maps.numpy()[:, None].copy(), s_batch=masks.numpy()[:, None], **given)
        np.testing.assert_allclose(np.array(found, dtype=float), ours(maps, masks), atol=1e-9)
    sparse = quantus.Sparseness(**loud)(a_batch=maps.numpy()[:, None].copy(), **given)
    np.testing.assert_allclose(sparse, m.gini(maps), atol=1e-6)  # they add 1e-7
    nats = quantus.Complexity(**loud)(a_batch=maps.numpy()[:, None].copy(), **given)
    np.testing.assert_allclose(nats, m.entropy(maps) * np.log(SIZE**2), atol=1e-6)


@each_seed
def test_infidelity_is_captums_for_the_same_noise(seed: int) -> None:
    captum = pytest.importorskip("captum.metrics")
    net, x, maps, k = _made(seed, 3)
    sigma, count = 0.2, 16
    noise = torch.stack(
        [
            sigma * spread_of(x)[b] * gaussian([(key, i) for i in range(count)], tuple(x.shape[1:]), family="infidelity", seed=0)
            for b, key in enumerate(fingerprint(x))
        ]
    )  # fmt: skip

    def perturbed(inputs: Tensor) -> tuple[Tensor, Tensor]:
        flat = noise.to(inputs).flatten(0, 1)  # Captum repeats each image in a row
        return flat, inputs - flat

    theirs = captum.infidelity(
        net, perturbed, x, maps[:, None].expand_as(x), target=k, n_perturb_samples=count, normalize=False
    )
    ours = [m.infidelity(_predict(net, k[n]), x[n], maps[n], n=count, sigma=sigma) for n in range(3)]
    np.testing.assert_allclose(ours, theirs.detach(), rtol=1e-6)


@each_seed
def test_imputation_and_road_are_pytorch_grad_cams(seed: int) -> None:
    """Its ROADCombined halves the difference, and takes shares by percentiles, which shift by a pixel."""
    road = pytest.importorskip("pytorch_grad_cam.metrics.road")
    net, x, maps, k = _made(seed, 3)
    theirs = road.NoisyLinearImputer(noise=0)
    gaps = []
    for share in (0.25, 0.5, 0.75):
        scores = []
        for values in (maps, -maps):
            gone = values[0].flatten().argsort(descending=True)[: round(share * SIZE**2)]
            visible = torch.ones(SIZE**2)
            visible[gone] = 0
            visible = visible.reshape(SIZE, SIZE)
            own = Imputed(x, 0.0)(x, torch.tensor([0]), visible[None, None])[0]
            other = theirs(x[0].float(), visible)
            np.testing.assert_allclose(own, other, atol=1e-5)
            scores.append(float(net(other[None].double())[0, k[0]]))
        gaps.append(scores[1] - scores[0])
    assert m.road(_predict(net, k[0]), x[0], maps[0], steps=4, noise=0.0) == pytest.approx(np.mean(gaps), abs=1e-5)


@each_seed
def test_sensitivity_is_captums_for_the_same_noise(seed: int) -> None:
    captum = pytest.importorskip("captum.metrics")
    net, x, _, k = _made(seed, 3)
    radius, count = 0.05, 6
    drawn = torch.stack(
        [
            uniform([(key, i) for i in range(count)], tuple(x.shape[1:]), family="sensitivity", seed=0)
            for key in fingerprint(x)
        ]
    )
    calls = iter(range(count))

    def gradients(inputs: Any, **given: Any) -> Tensor:
        leaf = (inputs[0] if isinstance(inputs, tuple) else inputs).detach().clone().requires_grad_()
        with torch.enable_grad():  # Captum's own methods do the same
            (found,) = torch.autograd.grad(net(leaf)[range(len(leaf)), k].sum(), leaf)
        return found

    def perturbed(inputs: Any, radius: float = radius) -> Any:
        x = inputs[0] if isinstance(inputs, tuple) else inputs
        return (x + radius * (2 * drawn[:, next(calls)].to(x) - 1),)

    theirs = captum.sensitivity_max(
        lambda inputs: (gradients(inputs),),  # of a bare tensor it compares all images with the first one's map
        x,
        perturb_func=perturbed,
        perturb_radius=radius,
        n_perturb_samples=count,
        max_examples_per_batch=3,
    )
    ours = m.max_sensitivity(gradients, x, n=count, radius=radius)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)


@each_seed
def test_maps_plug_into_quantus_unchanged(seed: int) -> None:
    """A metric of Quantus makes its maps with `explain_func`, of images and of their noisy copies, and measures what it
    measures of maps that were made beforehand."""
    quantus = pytest.importorskip("quantus")
    import seewhy

    net, x, _, k = _made(seed, channels=3)
    net, x = net.float(), x.float()
    asked: dict[str, Any] = {"method": "input-x-gradient", "reduce": "sum"}
    flipping = quantus.PixelFlipping(
        features_in_step=5, perturb_baseline="mean", normalise=False, disable_warnings=True
    )
    given: dict[str, Any] = {
        "model": net,
        "x_batch": x.numpy(),
        "y_batch": np.array(k),
        "softmax": False,
        "device": "cpu",
    }
    plugged = flipping(**given, a_batch=None, explain_func=seewhy.explain_func, explain_func_kwargs=dict(asked))
    beforehand = seewhy.explain_all(net, x, target=[[each] for each in k], **asked)
    ready = flipping(**given, a_batch=np.stack([np.asarray(each)[None] for each in beforehand]))
    np.testing.assert_allclose(np.array(plugged), np.array(ready), atol=1e-6)
    sensitivity = quantus.MaxSensitivity(nr_samples=2, disable_warnings=True)
    found = sensitivity(**given, a_batch=None, explain_func=seewhy.explain_func, explain_func_kwargs=dict(asked))
    assert np.isfinite(found).all()


@each_seed
def test_captums_normalised_infidelity_does_not_know_a_map_from_its_negative(seed: int) -> None:
    captum = pytest.importorskip("captum.metrics")
    net, x, maps, k = _made(seed)
    shape = (len(x) * 8, *x.shape[1:])
    noise = 0.1 * torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=x.dtype)

    def theirs(map: Tensor) -> Tensor:
        found: Tensor = captum.infidelity(
            net, lambda given: (noise, given - noise), x, map[:, None], target=k, n_perturb_samples=8, normalize=True
        )
        return found.detach()

    torch.testing.assert_close(theirs(maps), theirs(-maps))
    for n in range(3):
        one, other = (m.infidelity.measures(_predict(net, k[n]), x[n], map)[0] for map in (maps[n], -maps[n]))
        assert float(one.arrays["scale"]) == pytest.approx(-float(other.arrays["scale"]))


def test_pytorch_grad_cams_road_is_another_number_in_every_call_and_ours_is_not() -> None:
    road = pytest.importorskip("pytorch_grad_cam.metrics.road")
    targets = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    net, x, maps, k = _made(0, 3)
    net, x = net.float(), x.float()
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        asked = [targets.ClassifierOutputTarget(each) for each in k]
        one, other = (road.ROADCombined(percentiles=[25, 50, 75])(x, maps.numpy(), asked, net) for _ in range(2))
    assert (one != other).all()
    assert m.road(_predict(net, k[0]), x[0], maps[0], steps=4) == m.road(_predict(net, k[0]), x[0], maps[0], steps=4)


@each_seed
def test_quantus_divides_signed_mass_by_the_sum_of_all_values(seed: int) -> None:
    quantus = pytest.importorskip("quantus")
    net, x, maps, k = _made(seed)
    signed = maps - maps.mean((1, 2), keepdim=True) + 0.01
    masks = torch.rand(3, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)) > 0.5
    given = {"model": net, "x_batch": x.numpy(), "y_batch": np.array(k), "device": "cpu"}
    mass = quantus.RelevanceMassAccuracy(normalise=False, abs=False, disable_warnings=True)
    theirs = mass(a_batch=signed.numpy()[:, None].copy(), s_batch=masks.numpy()[:, None], **given)
    by_hand = [float(one[mask].sum() / one.sum()) for one, mask in zip(signed, masks, strict=True)]
    np.testing.assert_allclose(np.array(theirs, dtype=float), by_hand, rtol=1e-4)
    ours = m.relevance_mass(signed, masks)
    assert ((ours >= 0) & (ours <= 1)).all()
    assert np.abs(np.array(theirs, dtype=float) - ours).max() > 0.01
