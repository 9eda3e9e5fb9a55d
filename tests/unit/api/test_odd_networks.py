"""Networks that give or take other things than rows of scores of any number of pictures, and inputs without numbers:
explained rightly, or refused in one line."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy


class _Squeezed(nn.Module):
    """One score, without an axis for it: of one picture a number without axes."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU())
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 1))

    def forward(self, x: Tensor) -> Any:
        return self.head(self.features(x)).squeeze()


class _Traced(nn.Module):
    """A part of it was traced."""

    def __init__(self) -> None:
        super().__init__()
        part = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of its age
            self.f: Any = torch.jit.trace(part, torch.rand(1, 3, 12, 16))  # type: ignore[no-untyped-call]
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Any:
        return self.head(self.f(x).mean((2, 3)))


class _Scripted(_Traced):
    """The same part, scripted."""

    def __init__(self) -> None:
        super().__init__()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            part = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
            self.f = torch.jit.script(part)


class _OneAtATime(_Squeezed):
    def forward(self, x: Tensor) -> Any:
        return self.head[2](self.features(x).mean((2, 3)).view(1, 8))


class _Nothing(_Squeezed):
    def forward(self, x: Tensor) -> Any:
        self.features(x)


class _Complex(_Squeezed):
    def forward(self, x: Tensor) -> Any:
        return torch.fft.fft(self.features(x).mean((2, 3)))


class _Making(_Squeezed):
    """Makes a tensor of its own, where the user has tensors made."""

    def forward(self, x: Tensor) -> Any:
        self.made = torch.empty(1).device.type
        return self.head(self.features(x))


def _seeded(kind: type[nn.Module]) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return kind().eval()


def _images(batch: int) -> Tensor:
    return torch.rand(batch, 3, 12, 16, generator=torch.Generator().manual_seed(2))


def _gradient(net: nn.Module, x: Tensor, target: int | None = None) -> Tensor:
    leaf = x.clone().requires_grad_()
    scores = net(leaf).reshape(len(x), -1)
    (found,) = torch.autograd.grad(scores[:, target or 0].sum(), leaf)
    return found


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_single_score_without_axes(batch: int, prepare: bool) -> None:
    net, x = _seeded(_Squeezed), _images(batch)
    found: Any = seewhy.explain_all(net, [*x], method="saliency", reduce="none", prepare=prepare)
    for each, right in zip(found, _gradient(net, x), strict=True):
        torch.testing.assert_close(torch.from_numpy(each.values), right, rtol=1e-3, atol=1e-6)
    found = seewhy.explain_all(net, [*x], method="occlusion", window=4, stride=4, fill=0.0, prepare=prepare)
    for each, one in zip(found, x, strict=True):
        changed = one.clone()
        changed[:, 4:8, 8:12] = 0
        with torch.no_grad():
            right = float(net(one[None]) - net(changed[None]))
        assert np.allclose(each.values[4:8, 8:12], right, rtol=1e-3, atol=1e-6)


def test_a_single_score_without_axes_is_prepared_and_diagnosed() -> None:
    net, x = _seeded(_Squeezed), _images(1)
    assert seewhy.prepare(net, x).record["operations"] > 3
    checks = seewhy.diagnose(net, x[0], methods=["saliency", "grad-cam"]).methods
    assert all(each.works for each in checks)


@pytest.mark.parametrize("kind", [_Traced, _Scripted])
def test_a_part_that_torchscript_runs(kind: type[nn.Module]) -> None:
    net, x = _seeded(kind), _images(1)
    found: Any = seewhy.explain(net, x, method="saliency", target=1, reduce="none", prepare=True)
    assert "TorchScript" in found.provenance["prepared"]["why"]
    assert "TorchScript" in seewhy.prepare(net, x).record["why"]
    torch.testing.assert_close(torch.from_numpy(found.values), _gradient(net, x, 1)[0], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("layer", [None, "f"])
def test_a_map_of_a_part_that_torchscript_runs(layer: str | None) -> None:
    net, x = _seeded(_Traced), _images(1)
    asked: dict[str, Any] = {} if layer is None else {"layer": layer}
    found: Any = seewhy.explain(net, x, method="grad-cam", target=1, **asked)
    assert found.layer == "f"
    with torch.no_grad():  # the gradient of a mean over positions is a constant of each channel
        right = (net.head.weight[1][:, None, None] * net.f(x)[0]).sum(0) / (12 * 16)
    torch.testing.assert_close(torch.from_numpy(found.values), right, rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize(("kind", "layer"), [(_Traced, "f.0"), (_Scripted, "f"), (_Scripted, "f.0")])
def test_what_a_part_that_torchscript_runs_has_inside_is_no_layer(kind: type[nn.Module], layer: str) -> None:
    with pytest.raises(seewhy.errors.CapabilityError, match="TorchScript runs a model's layers unseen"):
        seewhy.explain(_seeded(kind), _images(1), method="grad-cam", target=1, layer=layer)


def test_where_there_is_no_layer_what_torchscript_runs_is_named() -> None:
    with pytest.raises(seewhy.errors.CapabilityError, match=r"passed over: f \(TorchScript runs it unseen"):
        seewhy.explain(_seeded(_Scripted), _images(1), method="grad-cam", target=1)


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("count", [1, 3])
def test_a_network_for_one_picture_at_a_time(count: int, prepare: bool) -> None:
    net, x = _seeded(_OneAtATime), _images(count)
    right = [_gradient(net, x[n : n + 1])[0] for n in range(count)]
    for _ in range(2):  # found out, known
        found = seewhy.explain_all(net, x, method="saliency", reduce="none", target=0, prepare=prepare)
        for each, gradient in zip(found, right, strict=True):
            torch.testing.assert_close(torch.from_numpy(each.values), gradient, rtol=1e-4, atol=1e-6)
            assert any("takes one input at a time: of" in note for note in each.notes) is (count > 1)
    hidden = x[:1].clone()
    hidden[:, :, :4, :4] = 0
    with torch.no_grad():
        drop = float((net(x[:1]) - net(hidden))[0, 0])
    first = seewhy.explain_all(net, x, "occlusion", 0, window=4, stride=4, fill=0.0, prepare=prepare)[0]
    assert first.values[0, 0] == pytest.approx(drop, rel=1e-3)
    assert any("so each went through it by itself" in note for note in first.notes)


def test_a_baseline_of_a_network_for_one_picture_at_a_time() -> None:
    net, x = _seeded(_OneAtATime), _images(2)
    other = _seeded(_Squeezed)
    for count in (1, 2):
        found = seewhy.explain_all(net, x[:count], method="deep-lift", target=0, baseline=0.2)
        for n, each in enumerate(found):
            right = seewhy.explain(other, x[n : n + 1], method="deep-lift", target=0, baseline=0.2)
            torch.testing.assert_close(torch.from_numpy(each.values), torch.from_numpy(right.values))


@pytest.mark.parametrize(("kind", "words"), [(_Nothing, "NoneType"), (_Complex, "complex numbers")])
def test_what_has_no_scores_is_refused_and_not_prepared(kind: type[nn.Module], words: str) -> None:
    net, x = _seeded(kind), _images(1)
    for prepare in (False, True):
        with pytest.raises(seewhy.errors.TargetError, match=words):
            seewhy.explain(net, x, method="saliency", target=1, prepare=prepare)
    made = seewhy.prepare(net, x)
    assert made.module is None
    assert not made.record["used"]


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (_images(1).to_sparse(), r"image\.to_dense\(\)"),
        (_images(1).to("meta"), "meta device, which holds no numbers"),
        (torch.nested.nested_tensor([_images(1)[0]], layout=torch.jagged), r"image\.unbind\(\)"),
    ],
    ids=["sparse", "meta", "nested"],
)
def test_inputs_without_numbers(image: Tensor, words: str) -> None:
    with pytest.raises(seewhy.errors.UsageError, match=words):
        seewhy.explain(_seeded(_Squeezed), image, method="saliency")


def test_weights_without_numbers() -> None:
    with pytest.raises(seewhy.errors.CapabilityError, match="weights on the meta device"):
        seewhy.explain(_seeded(_Squeezed).to("meta"), _images(1), method="saliency")


def test_what_reshape_must_be() -> None:
    with pytest.raises(seewhy.errors.UsageError, match="reshape=3 is no function"):
        seewhy.explain(_seeded(_Squeezed), _images(1), method="grad-cam", layer="features", reshape=3)  # type: ignore[arg-type]


METHODS = [card.name for card in seewhy.methods() if card.call == "explain"]


@pytest.mark.parametrize("method", METHODS)
def test_where_new_tensors_are_made_is_the_users_business(method: str) -> None:
    net, x = _seeded(_Making), _images(1)
    asked: dict[str, Any] = {} if method == "saliency-by-layer" else {"target": 0}
    try:
        right = seewhy.explain_all(net, x, method=method, **asked)
    except seewhy.errors.SeewhyError as error:
        with torch.device("meta"), pytest.raises(type(error)):
            seewhy.explain_all(net, x, method=method, **asked)
        return
    with torch.device("meta"):
        found = seewhy.explain_all(net, x, method=method, **asked)
    assert net.made == "meta"  # the model's own
    for a, b in zip(found, right, strict=True):
        np.testing.assert_allclose(a.values, b.values, rtol=1e-3, atol=1e-5 * np.abs(b.values).max())
