"""What looks inside: the same numbers in any batch, precision, memory format and mode; nothing left behind, whatever goes
wrong and whenever."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
from networks import Case, image, make
from properties.asking import close, every, stacked
from properties.snapshots import difference, snapshot
from properties.test_properties_failures import Stop
from seewhy.errors import SeewhyError, UsageError
from seewhy.registry import methods

NETS = ("conv-bn-relu", "residual", "silu", "tokens")


def _features(case: Case, x: Tensor, **given: Any) -> np.ndarray:
    found = seewhy.feature_maps_all(
        case.net, x, given.pop("layer", case.early), given.pop("target", 1), order="index", **given
    )
    return np.stack([np.concatenate([each.values.ravel(), each.arrays["evidence"]]) for each in found])


def _factors(case: Case, x: Tensor, **given: Any) -> np.ndarray:
    return seewhy.factors(case.net, x, given.pop("layer", case.early), rank=2, **given).values


def _components(case: Case, x: Tensor, **given: Any) -> np.ndarray:
    return seewhy.principal_components(case.net, x, given.pop("layer", case.early), rank=2, **given).values


def _by_layer(case: Case, x: Tensor, **given: Any) -> np.ndarray:
    """[B, layers, C, H, W]."""
    found = stacked(seewhy.explain_all(case.net, x, method="saliency-by-layer", reduce="none", **given))
    return found.reshape(len(x), -1, *found.shape[1:])


def _maximised(case: Case, x: Tensor, **given: Any) -> np.ndarray:
    return seewhy.maximise(case.net, 1, size=8, **{"steps": 3, "copies": 2} | given).values


def _filters(case: Case, x: Tensor, **given: Any) -> np.ndarray:
    return seewhy.filters(case.net, **given).values


LOOKS: dict[str, Callable[..., np.ndarray]] = {
    "feature-maps": _features,
    "factors": _factors,
    "principal-components": _components,
    "saliency-by-layer": _by_layer,
    "maximise": _maximised,
    "filters": _filters,
}
#: those that look at images
SEEING = ("feature-maps", "factors", "principal-components", "saliency-by-layer")
#: those that run the network
RUNNING = (*SEEING, "maximise")


def test_every_method_that_looks_inside_is_here() -> None:
    elsewhere = {"explain", "attack"}
    own = {method.name for method in methods if method.card.call not in elsewhere} | {"saliency-by-layer"}
    assert own == set(LOOKS) | {"attention-maps"}  # of transformers: unit/api/test_attention_pictures.py


@pytest.mark.parametrize("network", NETS)
@pytest.mark.parametrize("name", ["feature-maps", "saliency-by-layer"])
def test_batch_equals_singles(name: str, network: str) -> None:
    for dtype, relative in ((torch.float32, 1e-5), (torch.float64, 1e-11)):
        case, x = make(network, 1, dtype), image(1, batch=3, dtype=dtype)
        given = [{"target": k} for k in (2, 0, 3)] if name == "feature-maps" else [{}] * 3
        together = LOOKS[name](case, x, **({"target": [2, 0, 3]} if name == "feature-maps" else {}))
        for row in range(3):
            close(together[row : row + 1], LOOKS[name](case, x[row : row + 1], **given[row]), relative)


@pytest.mark.parametrize("network", NETS)
def test_factors_do_not_depend_on_the_order_of_images(network: str) -> None:
    case, x = make(network, 2), image(2, batch=3)
    close(_factors(case, x.flip(0))[::-1], _factors(case, x), 1e-8)
    close(_components(case, x.flip(0))[::-1], _components(case, x), 1e-10)


@pytest.mark.parametrize("name", SEEING)
def test_memory_changes_nothing(name: str) -> None:
    """One image at a time or all at once."""
    case, x = make("residual", 3), image(3, batch=3)
    close(LOOKS[name](case, x, memory=1), LOOKS[name](case, x, memory=2**32), 1e-9)


@pytest.mark.parametrize("name", LOOKS)
def test_same_call_same_numbers(name: str) -> None:
    """Bit for bit, whatever the state of torch's generator."""
    case, x = make("conv-bn-relu", 4, torch.float32), image(4, dtype=torch.float32)
    torch.manual_seed(1)
    first = LOOKS[name](case, x)
    torch.manual_seed(2)
    np.testing.assert_array_equal(LOOKS[name](case, x), first)


def test_the_seed_decides_what_is_made() -> None:
    case, x = make("silu", 5), image(5)
    zero, one = (_maximised(case, x, seed=seed) for seed in (0, 1))
    np.testing.assert_array_equal(_maximised(case, x, seed=0), zero)
    assert np.abs(zero - one).max() > 1e-3


@pytest.mark.parametrize("name", ["feature-maps", "principal-components", "saliency-by-layer", "filters"])
def test_precision(name: str) -> None:
    """float32 agrees with float64 to 1e-4; each keeps its own type."""
    wide = LOOKS[name](make("silu", 6), image(6))
    narrow = LOOKS[name](make("silu", 6, torch.float32), image(6).float())
    assert (wide.dtype, narrow.dtype) == (np.float64, np.float32)
    close(narrow, wide, 1e-4)


@pytest.mark.parametrize("name", RUNNING)
def test_memory_format(name: str) -> None:
    case, x = make("residual", 7), image(7)
    expected = LOOKS[name](case, x)
    close(LOOKS[name](case, x.to(memory_format=torch.channels_last)), expected, 1e-8)
    case.net.to(memory_format=torch.channels_last)
    close(LOOKS[name](case, x.to(memory_format=torch.channels_last)), expected, 1e-6)


@pytest.mark.parametrize("name", LOOKS)
def test_callers_grad_mode(name: str) -> None:
    case, x = make("silu", 8), image(8)
    expected = LOOKS[name](case, x)
    with torch.no_grad():
        np.testing.assert_array_equal(LOOKS[name](case, x), expected)
    with torch.inference_mode():
        np.testing.assert_array_equal(LOOKS[name](case, x), expected)
    case.net.requires_grad_(False)
    close(LOOKS[name](case, x), expected, 1e-8)


@pytest.mark.parametrize("train", [False, True])
@pytest.mark.parametrize("name", LOOKS)
def test_nothing_is_left_behind(name: str, train: bool) -> None:
    case, x = make("conv-bn-relu", 9), image(9)
    first = next(case.net.parameters())
    first.grad = torch.full_like(first, 0.5)
    list(case.net.parameters())[-1].requires_grad_(False)
    case.net.train(train)
    copy, before = x.clone(), snapshot(case.net)
    with pytest.warns(UserWarning, match="train mode") if train and name != "filters" else contextlib.nullcontext():
        LOOKS[name](case, x)
    assert difference(before, snapshot(case.net)) == []
    assert torch.equal(x, copy)


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("name", RUNNING)
def test_a_module_that_raises_or_is_interrupted(name: str, error: type[BaseException]) -> None:
    """At the first pass, in the middle and at the last one."""
    case, count = make("conv-bn-relu", 10), Stop(0, ValueError)
    LOOKS[name](case, image(10))  # pictures say once what a layer's grid is, and what is raised there is no end
    case.head.register_forward_hook(count)
    LOOKS[name](case, image(10))
    for n in sorted({1, (count.calls + 1) // 2, count.calls}):
        case = make("conv-bn-relu", 10)
        LOOKS[name](case, image(10))
        case.net.get_submodule(case.layer).register_forward_hook(Stop(n, error))
        case.net.get_submodule(case.layer).train()
        before = snapshot(case.net)
        interrupted = name == "maximise" and error is KeyboardInterrupt and n > 2
        # the last pass of a visualisation is the score of what it made: interrupted there, it is lost
        # a picture of a guessed shape goes through first, and what is raised then is said of it
        raised = (error, UsageError) if name == "maximise" and n == 1 and error is RuntimeError else error
        with contextlib.suppress(error) if interrupted else pytest.raises(raised, match="on purpose"):
            LOOKS[name](case, image(10))
        assert difference(before, snapshot(case.net)) == []


@pytest.mark.parametrize("name", ["feature-maps", "saliency-by-layer", "maximise"])
def test_a_backward_that_raises(name: str) -> None:
    case = make("conv-bn-relu", 11)

    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x.view_as(x)

        @staticmethod
        def backward(ctx: object, *grads: Tensor) -> Tensor:
            raise ZeroDivisionError("on purpose")

    case.head.register_forward_hook(lambda module, args, output: Broken.apply(output))
    before = snapshot(case.net)
    with pytest.raises(ZeroDivisionError, match="on purpose"):
        LOOKS[name](case, image(11))
    assert difference(before, snapshot(case.net)) == []


@pytest.mark.parametrize("name", ["feature-maps", "factors", "principal-components", "saliency-by-layer", "filters"])
def test_a_bad_layer(name: str) -> None:
    case = make("conv-bn-relu", 12)
    before = snapshot(case.net)
    with pytest.raises(SeewhyError, match="no layer 'nowhere'") as raised:
        LOOKS[name](case, image(12), layer="nowhere")
    assert "\n" not in str(raised.value)
    assert difference(before, snapshot(case.net)) == []


@pytest.mark.parametrize("what", [0.0, 0.7, -2.1, 1e3])
def test_finite_on_images_without_variation(what: float) -> None:
    case, x = make("conv-bn-relu", 13, torch.float32), torch.full((2, 3, 8, 8), what)
    for name in SEEING:
        assert np.isfinite(LOOKS[name](case, x)).all()


def test_saliency_by_layer_is_zero_where_nothing_depends_on_the_input() -> None:
    """Of the layers after a head of weight 0; those before it keep theirs."""
    case, x = make("conv-bn-relu", 14), image(14, batch=1)
    with torch.no_grad():
        case.head.weight.zero_()
    *before, last = every(seewhy.explain_all(case.net, x, method="saliency-by-layer"))
    assert last.status.code == "zero-gradient"
    assert not last.values.any()
    assert all(each.status.ok for each in before)


@pytest.mark.parametrize("others", [[], ["grad-cam", "saliency"]])
def test_saliency_by_layer_costs_one_forward_and_one_backward_a_layer(others: list[str]) -> None:
    """Alone and with others, which share the forward and have one backward of theirs; counted on the network itself."""
    case, x, calls = make("residual", 15), image(15, batch=1), Stop(0, ValueError)
    seewhy.explain_all(case.net, x, method=["saliency-by-layer", *others])  # pictures say once what a layer's grid is
    case.head.register_forward_hook(calls)
    layers = [n for n, m in case.net.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    found = seewhy.explain_all(case.net, x, method=["saliency-by-layer", *others])
    assert (found.cost.forwards, found.cost.backwards) == (1, len(layers) + bool(others))
    assert calls.calls == 1
    own = [each for each in found if each.method == "saliency-by-layer"]
    assert {(each.cost.forwards, each.cost.backwards) for each in own} == {(1, 1)}


@pytest.mark.parametrize("network", ["residual", "tokens"])
def test_a_layer_is_chosen_for_the_class_whatever_else_is_asked(network: str) -> None:
    """Not for the mean of the layer that happens to come first; in a fresh network each, since choices are kept."""
    x = image(16, batch=1)
    (alone,) = every(seewhy.explain(make(network, 16).net, x, method="grad-cam", target=None))
    *_, beside = seewhy.explain_all(make(network, 16).net, x, method=["saliency-by-layer", "grad-cam"])
    assert (beside.layer, beside.target) == (alone.layer, alone.target)
    close(beside.values, alone.values, 1e-12)
