"""What is explained, and in which unit: the logit behind a final softmax or sigmoid, however its result is handed on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seewhy
from seewhy import targets as t


class Ended(nn.Module):
    """Two convolutions, means, a linear layer (or a convolution of 1 x 1), and an end."""

    def __init__(self, end: Callable[[Tensor], Tensor], classes: int = 4, pointwise: bool = False) -> None:
        super().__init__()
        self.conv, self.end, self.pointwise = nn.Conv2d(3, 6, 3, padding=1), end, pointwise
        self.head: nn.Module = nn.Conv2d(6, classes, 1) if pointwise else nn.Linear(6, classes)

    def logits(self, x: Tensor) -> Tensor:
        y = self.conv(x).tanh().mean((2, 3), keepdim=self.pointwise)
        return 40 * self.head(y)  # so sure that a probability has no gradient

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.logits(x))


def seeded(make: Callable[[], Any]) -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return make().eval()


def image(batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, 10, 10, generator=torch.Generator().manual_seed(1))


def by_hand(net: Any, x: Tensor, k: int) -> np.ndarray[Any, Any]:
    double = seeded(lambda: Ended(net.end, net.head.weight.shape[0], net.pointwise)).double()
    leaf = x.double().requires_grad_()
    (grad,) = torch.autograd.grad(double.logits(leaf).flatten(1)[:, k].sum(), leaf)
    return grad.numpy()


def rounded(y: Tensor) -> Tensor:
    return torch.fake_quantize_per_tensor_affine(y, 1 / 256, 0, 0, 255)


ENDS: dict[str, Callable[[Tensor], Tensor]] = {
    "softmax": lambda y: y.softmax(1),
    "sigmoid": torch.sigmoid,
    "log-softmax": lambda y: F.log_softmax(y, 1),
    "softmax as double": lambda y: y.softmax(1).double(),
    "softmax as half": lambda y: y.softmax(1).half(),
    "softmax in half, as float": lambda y: y.half().softmax(1).float(),
    "softmax of another type": lambda y: y.softmax(1, dtype=torch.float64).to(torch.float32),
    "softmax rounded to whole numbers": lambda y: rounded(y.softmax(1)),
    "exponential of log-softmax": lambda y: F.log_softmax(y, 1).exp(),
    "logarithm of softmax": lambda y: y.softmax(1).log(),
    "softmax copied": lambda y: y.softmax(1).clone().contiguous(),
    "softmax in another shape": lambda y: y.softmax(1).unsqueeze(2).flatten(1),
    "sigmoid in place": lambda y: y.clone().sigmoid_(),
    "special softmax": lambda y: torch.special.softmax(y, 1),
    "special log-softmax": lambda y: torch.special.log_softmax(y, 1),
    "expit": torch.special.expit,
    "log-sigmoid": F.logsigmoid,
    "exponential of log-sigmoid": lambda y: F.logsigmoid(y).exp(),
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("prepare", [False, True])
def test_the_logit_is_explained_whatever_follows_a_squash(end: str, prepare: bool) -> None:
    net, x = seeded(lambda: Ended(ENDS[end])), image()
    found = seewhy.explain_all(net, x, "saliency", 1, reduce="none", prepare=prepare)
    right = by_hand(net, x, 1)
    for each, values in zip(found, right, strict=True):
        assert np.linalg.norm(each.values - values) <= (0.02 if "half" in end else 1e-3) * np.linalg.norm(values)
        assert each.unit == "logit"
        assert each.status.code == "ok"


@pytest.mark.parametrize("end", [lambda y: y.softmax(1).flatten(1), lambda y: y.sigmoid().squeeze(3).squeeze(2)])
def test_scores_with_axes_of_length_one(end: Callable[[Tensor], Tensor]) -> None:
    net, x = seeded(lambda: Ended(end, pointwise=True)), image()
    found = seewhy.explain_all(net, x, "saliency", 2, reduce="none", prepare=False)
    assert np.allclose(np.stack([each.values for each in found]), by_hand(net, x, 2), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("end", [torch.sigmoid, lambda y: y.sigmoid()[:, 0], lambda y: y.sigmoid().flatten()])
@pytest.mark.parametrize("prepare", [False, True])
def test_one_output_and_no_target(end: Callable[[Tensor], Tensor], prepare: bool) -> None:
    net, x = seeded(lambda: Ended(end, classes=1)), image()
    found = seewhy.explain_all(net, x, "saliency", reduce="none", prepare=prepare)
    right = by_hand(net, x, 0)
    for each, values, logit in zip(found, right, net.logits(x)[:, 0].tolist(), strict=True):
        assert np.linalg.norm(each.values - values) <= 1e-3 * np.linalg.norm(values)
        assert each.unit == "logit"
        assert each.score == pytest.approx(logit, rel=1e-4)


def test_a_regression_is_explained_as_it_is() -> None:
    net, x = seeded(lambda: Ended(lambda y: y, classes=1)), image(1)
    found = seewhy.explain(net, x, "saliency", reduce="none")
    assert found.unit == "output"
    assert np.allclose(found.values, by_hand(net, x, 0)[0], rtol=1e-3, atol=1e-6)


class UNet(nn.Module):
    """Scores for every pixel, and an end."""

    def __init__(self, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.down, self.up, self.end = nn.Conv2d(3, 6, 3, stride=2, padding=1), nn.Conv2d(6, 3, 1), end

    def logits(self, x: Tensor) -> Tensor:
        return 30 * F.interpolate(self.up(self.down(x).tanh()), scale_factor=2, mode="bilinear")

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.logits(x))


@pytest.mark.parametrize(
    "end", [lambda y: y.softmax(1), torch.sigmoid, lambda y: F.log_softmax(y, 1).exp(), lambda y: y]
)
@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("method", ["saliency", "occlusion"])
def test_a_region_is_explained_by_its_logits(method: str, end: Callable[[Tensor], Tensor], prepare: bool) -> None:
    net, x = seeded(lambda: UNet(end)), image()
    mask = np.zeros((10, 10), dtype=bool)
    mask[2:5, 3:9] = True
    asked: dict[str, Any] = {"reduce": "none"} if method == "saliency" else {"window": 5, "stride": 5, "fill": 0.0}
    found = seewhy.explain_all(net, x, method, t.Region(mask, 1), **asked, prepare=prepare)
    double = seeded(lambda: UNet(end)).double()

    def score(values: Tensor) -> Tensor:
        return double.logits(values)[:, 1][:, mask].mean(1)

    leaf = x.double().requires_grad_()
    if method == "saliency":
        (right,) = torch.autograd.grad(score(leaf).sum(), leaf)
    else:
        right = torch.zeros(2, 10, 10, dtype=torch.float64)
        for top in (0, 5):
            for left in (0, 5):
                changed = x.double().clone()
                changed[..., top : top + 5, left : left + 5] = 0
                right[:, top : top + 5, left : left + 5] = (score(x.double()) - score(changed)).detach()[:, None, None]
    for each, values in zip(found, right.numpy(), strict=True):
        assert np.linalg.norm(each.values - values) <= 1e-3 * np.linalg.norm(values)
        assert each.unit == "logit"


@pytest.mark.parametrize(
    ("target", "end", "unit"),
    [
        (1, "softmax", "logit"),
        (1, "exponential of log-softmax", "logit"),
        (t.Probability(1), "softmax", "probability"),
        (t.LogProbability(1), "softmax", "log-probability"),
        (t.Margin(0, 1), "softmax", "logit"),
        (t.Centred(0), "sigmoid", "logit"),
        (t.Output(1), "softmax", "probability"),
        (t.Output(1), "log-softmax", "log-probability"),
        (t.Neuron("conv", 2), "softmax", "activation"),
        (t.Logit(0) - t.Logit(1), "softmax", "logit"),
        (t.Logit(0) + t.Probability(1), "softmax", "score"),
        (t.Similarity([1.0, 0, 0, 0]), "softmax", "cosine similarity"),
        (lambda y: y[:, 0], "softmax", "score"),
    ],
)
def test_the_unit_says_what_the_score_is(target: Any, end: str, unit: str) -> None:
    net = seeded(lambda: Ended(ENDS[end]))
    assert seewhy.explain(net, image(1), "saliency", target).unit == unit


def test_shares_without_a_softmax_that_was_seen_are_no_logits() -> None:
    net = seeded(lambda: Ended(lambda y: (y / 40).exp() / (y / 40).exp().sum(1, keepdim=True)))
    assert seewhy.explain(net, image(1), "saliency", 1).unit == "probability"
    assert seewhy.explain(seeded(lambda: Ended(lambda y: y)), image(1), "saliency", 1).unit == "logit"


DERIVED: dict[str, Callable[[Tensor], Tensor]] = {
    "some of a softmax": lambda y: (y / 40).softmax(1)[:, 1:],
    "some of a softmax in another order": lambda y: (y / 40).softmax(1)[:, [1, 0, 2]],
    "one minus a sigmoid": lambda y: 1 - (y / 40).sigmoid(),
    "the mean of two": lambda y: ((y / 40).softmax(1) + (y / 20).softmax(1)) / 2,
    "by hand": lambda y: (y / 40).exp() / (y / 40).exp().sum(1, keepdim=True),
}


@pytest.mark.parametrize("end", DERIVED)
@pytest.mark.parametrize("prepare", [False, True])
def test_what_is_made_of_probabilities_is_explained_as_it_is(end: str, prepare: bool) -> None:
    """It is no logit, and its probability is no softmax of it."""
    net, x = seeded(lambda: Ended(DERIVED[end])), image()
    given = net(x).detach()[:, 1]
    for target in (1, t.Probability(1), t.LogProbability(1)):
        found = seewhy.explain_all(net, x, "saliency", target, reduce="none", prepare=prepare)
        for each, value in zip(found, given.tolist(), strict=True):
            log = isinstance(target, t.LogProbability)
            assert each.score == pytest.approx(np.log(value) if log else value, rel=1e-4)
            assert each.unit == ("log-probability" if log else "probability")


@pytest.mark.parametrize("prepare", [False, True])
def test_numbers_made_of_probabilities_have_no_name(prepare: bool) -> None:
    net = seeded(lambda: Ended(lambda y: 3 * (y / 40).softmax(1) - 1))
    assert seewhy.explain(net, image(1), "saliency", 1, prepare=prepare).unit == "output"


@pytest.mark.parametrize("end", ["softmax", "sigmoid", "expit", "log-sigmoid", "special log-softmax"])
def test_the_probability_of_a_class(end: str) -> None:
    net, x = seeded(lambda: Ended(ENDS[end])), image()
    logits = net.logits(x).detach().double()
    right = (logits.softmax(1) if "soft" in end else logits.sigmoid())[:, 1]
    for target, expected in ((t.Probability(1), right), (t.LogProbability(1), right.log())):
        found = seewhy.explain_all(net, x, "saliency", target)
        assert [each.score for each in found] == pytest.approx(expected.tolist(), rel=1e-3, abs=1e-6)


def test_the_probability_of_a_single_output_without_an_axis() -> None:
    net, x = seeded(lambda: Ended(lambda y: (y / 40).sigmoid()[:, 0], classes=1)), image()
    found = seewhy.explain_all(net, x, "saliency", t.Probability(0))
    assert [each.score for each in found] == pytest.approx(net(x).tolist(), rel=1e-4)


def test_attention_is_no_end() -> None:
    """Maps that a softmax made inside a network, of the output's shape by chance, are not taken for its end."""

    class Attending(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            return y * y.softmax(1)

    net, x = seeded(Attending), image(1)
    found = seewhy.explain(net, x, "saliency", t.Region(np.ones((10, 10)), 1), reduce="none")
    leaf = x.clone().requires_grad_()
    (right,) = torch.autograd.grad(net(leaf)[:, 1].mean((1, 2)).sum(), leaf)
    assert np.allclose(found.values, right[0].numpy(), atol=1e-6)


OTHER_TENSORS: dict[str, tuple[Callable[[Tensor], Any], str]] = {
    "sparse": (lambda y: y.to_sparse(), r"a sparse_coo tensor.*output\.to_dense\(\)"),
    "rows of a sparse one": (lambda y: y.to_sparse_csr(), r"a sparse_csr tensor.*output\.to_dense\(\)"),
    "in a record": (lambda y: {"logits": y.to_sparse()}, r"a sparse_coo tensor.*output\.to_dense\(\)"),
    "nested": (lambda y: torch.nested.nested_tensor(list(y)), r"a nested tensor.*output\.to_padded_tensor\(0\.0\)"),
    "complex": (lambda y: torch.complex(y, y), r"complex numbers.*output\.abs\(\)"),
}


@pytest.mark.filterwarnings("ignore:.*prototype stage:UserWarning", "ignore:Sparse CSR tensor support:UserWarning")
@pytest.mark.parametrize("kind", OTHER_TENSORS)
@pytest.mark.parametrize("target", [None, 1])
def test_a_tensor_that_holds_no_rows_of_numbers_is_refused_in_a_line(kind: str, target: int | None) -> None:
    end, words = OTHER_TENSORS[kind]
    net = seeded(lambda: Ended(end))
    for method in ("saliency", "occlusion"):
        with pytest.raises(seewhy.errors.TargetError, match=f"the model returns {words}") as caught:
            seewhy.explain_all(net, image(), method=method, target=target)
        assert "\n" not in str(caught.value)


def test_what_is_typed_for_a_sparse_output_works() -> None:
    found = seewhy.explain_all(
        seeded(lambda: Ended(lambda y: y.to_sparse())), image(), "saliency", lambda y: y.to_dense()[:, 1]
    )
    plain = seewhy.explain_all(seeded(lambda: Ended(lambda y: y)), image(), "saliency", 1)
    np.testing.assert_allclose(found[0].values, plain[0].values, rtol=1e-5)


_ORDER = [2, 0, 3, 1]
#: ends that pick classes by number: what they give, what is explained as class 0, and its unit
PICKED: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Tensor], Tensor], str]] = {
    "softmax in another order": (lambda z: z.softmax(1)[:, _ORDER], lambda z: z[:, 2], "logit"),
    "by a tensor": (lambda z: z.softmax(1)[:, torch.tensor(_ORDER)], lambda z: z[:, 2], "logit"),
    "its logarithm": (lambda z: z.log_softmax(1)[:, _ORDER], lambda z: z[:, 2], "logit"),
    "sigmoid in another order": (lambda z: z.sigmoid()[:, _ORDER], lambda z: z[:, 2], "logit"),
    "sigmoid, some twice": (lambda z: z.sigmoid()[:, [2, 2, 1, 1]], lambda z: z[:, 2], "logit"),
    "softmax, some twice": (lambda z: z.softmax(1)[:, [2, 2, 1, 1]], lambda z: z.softmax(1)[:, 2], "probability"),
    "rows": (lambda z: z.softmax(1)[torch.arange(len(z))], lambda z: z[:, 0], "logit"),
}


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("kind", PICKED)
def test_an_index_that_picks_classes_is_followed_to_those(kind: str, prepare: bool) -> None:
    """As many numbers as before were taken for the same ones in the same order: another class was explained."""
    end, score, unit = PICKED[kind]
    net, x = seeded(lambda: Ended(lambda z: end(z / 40))), image()
    leaf = x.clone().requires_grad_()
    values = score(net.logits(leaf) / 40)
    (right,) = torch.autograd.grad(values.sum(), leaf)
    found = seewhy.explain_all(net, x, "saliency", 0, reduce="none", prepare=prepare)
    assert [each.unit for each in found] == [unit] * 2
    assert [each.score for each in found] == pytest.approx(values.tolist(), rel=1e-4)
    np.testing.assert_allclose(np.stack([each.values for each in found]), right.numpy(), rtol=1e-3, atol=1e-6)
    assert [each.prediction.index for each in found if each.prediction] == net(x).argmax(1).tolist()


@pytest.mark.parametrize("size", [(8, 12), (10, 10)])
@pytest.mark.parametrize("squashed", [False, True])
def test_a_region_of_maps_whose_classes_are_last(size: tuple[int, int], squashed: bool) -> None:
    """Class k was read as row k of the picture."""

    class Last(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, x: Tensor) -> Tensor:
            y = self.conv(x)
            return (y.softmax(1) if squashed else y).permute(0, 2, 3, 1).contiguous()

    net, x = seeded(Last), torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(1))
    mask = torch.zeros(size)
    mask[:3, :2] = 1
    leaf = x.clone().requires_grad_()
    maps = net(leaf).movedim(-1, 1)
    score = (maps[:, 1] * mask).sum() / mask.sum()
    (right,) = torch.autograd.grad(score, leaf)
    found = seewhy.explain(net, x, "saliency", t.Region(mask, 1), reduce="none")
    assert found.unit == ("probability" if squashed else "logit")
    assert found.score == pytest.approx(score.item(), rel=1e-4)
    np.testing.assert_allclose(found.values, right[0].numpy(), rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("kind", [nn.ReLU6, nn.SiLU, nn.Hardswish])
def test_biases_and_a_backward_rule_in_one_call(kind: type[nn.Module]) -> None:
    """What a rule had saved of a rectifier that works in place was written into: "the forward rewrites in place"."""
    net = seeded(lambda: nn.Sequential(nn.Conv2d(3, 6, 3), kind(inplace=True), nn.Conv2d(6, 4, 8), nn.Flatten()))
    x = 20 * image(1)
    both = seewhy.explain_all(net, x, ["guided-backprop", "full-grad"], 1)
    for name, found in zip(("guided-backprop", "full-grad"), both, strict=True):
        np.testing.assert_allclose(found.values, seewhy.explain(net, x, name, 1).values, rtol=1e-5)


# ---------------------------------------------------------------------------------- what is done to the end of a network


class Ends(nn.Module):
    """Scores, and what ``end`` makes of them."""

    def __init__(self, end: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.conv, self.fc, self.end = nn.Conv2d(3, 6, 3), nn.Linear(6, 4), end

    def scores(self, x: Tensor) -> Tensor:
        return 4 * self.fc(self.conv(x).relu().mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        return self.end(self.scores(x))


def _written(z: Tensor, squash: Callable[[Tensor], Tensor], change: Callable[[Tensor], object]) -> Tensor:
    given = squash(z)
    change(given)
    return given


def _scores_written(z: Tensor) -> Tensor:
    given = z.sigmoid()
    z.mul_(3)
    return given


WRITTEN: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "turned round": (lambda z: _written(z, lambda y: y.log_softmax(1), lambda p: p.neg_()), "output"),
    "weighted": (lambda z: _written(z, lambda y: y.softmax(1), lambda p: p.mul_(torch.arange(4.0) / 4)), "probability"),
    "one minus": (lambda z: _written(z, torch.sigmoid, lambda p: p.neg_().add_(1)), "probability"),
    "a class left out": (lambda z: _written(z, lambda y: y.softmax(1), lambda p: p[:, 0].zero_()), "probability"),
    "copied when written": (lambda z: _written(z, torch.sigmoid, lambda p: p.mul_(0.5)).clone(), "probability"),
    "its scores written": (_scores_written, "probability"),
}


@pytest.mark.parametrize("case", WRITTEN)
@pytest.mark.parametrize("prepare", [False, True])
def test_what_is_written_into_behind_a_squash_is_what_is_explained(case: str, prepare: bool) -> None:
    end, unit = WRITTEN[case]
    net, x = seeded(lambda: Ends(end)), torch.rand(2, 3, 16, 24, generator=torch.Generator().manual_seed(1))
    asked: dict[str, Any] = {"window": 8, "stride": 8, "fill": 0.0, "prepare": prepare}
    for row, found in enumerate(seewhy.explain_all(net, x, "occlusion", 1, **asked)):
        assert (found.unit, found.status.ok) == (unit, True)
        with torch.no_grad():
            assert found.score == pytest.approx(float(net(x)[row, 1]), abs=1e-6)
        right = _occluded(net, x[row : row + 1])
        np.testing.assert_allclose(found.values, right, atol=1e-4 * np.abs(right).max())


def _occluded(net: Callable[[Tensor], Tensor], x: Tensor, target: int = 1, window: int = 8) -> np.ndarray:
    with torch.no_grad():
        whole, out = net(x)[0, target], np.zeros(x.shape[2:])
        for i in range(0, x.shape[2], window):
            for j in range(0, x.shape[3], window):
                changed = x.clone()
                changed[:, :, i : i + window, j : j + window] = 0
                out[i : i + window, j : j + window] = float(whole - net(changed)[0, target])
    return out


class Apart(Ends):
    """Image by image, or two at a time, and put together."""

    def __init__(self, way: str, squash: Callable[[Tensor], Tensor]) -> None:
        super().__init__(nn.Identity())
        self.way, self.squash = way, squash

    def forward(self, x: Tensor) -> Tensor:
        if self.way == "stack":
            return torch.stack([self.squash(self.scores(row[None]))[0] for row in x])
        if self.way == "keyword":
            return torch.cat(tensors=[self.squash(self.scores(row[None])) for row in x], dim=0)
        return torch.cat([self.squash(self.scores(some)) for some in x.split(2 if self.way == "chunks" else 1)])


@pytest.mark.parametrize("squash", [lambda z: z.softmax(1), torch.sigmoid], ids=["softmax", "sigmoid"])
@pytest.mark.parametrize("way", ["cat", "chunks", "stack", "keyword"])
@pytest.mark.parametrize("count", [1, 3])
def test_a_squash_image_by_image_is_one(count: int, way: str, squash: Any) -> None:
    """The scores before it, of a single image and of all its variants."""
    net = seeded(lambda: Apart(way, squash))
    x = torch.rand(count, 3, 16, 24, generator=torch.Generator().manual_seed(1))
    asked: dict[str, Any] = {"window": 8, "stride": 8, "fill": 0.0}
    for prepare in (False, "auto", "verify"):
        for row, found in enumerate(seewhy.explain_all(net, x, "occlusion", 1, **asked, prepare=prepare)):
            assert found.unit == "logit"
            right = _occluded(net.scores, x[row : row + 1])
            np.testing.assert_allclose(found.values, right, atol=1e-4 * np.abs(right).max())


def test_forwards_that_end_otherwise_are_explained_as_they_are() -> None:
    """What nobody thought of: an end that is seen in some forwards and not in others. Never a mixture of both."""

    class Sometimes(Ends):
        def forward(self, x: Tensor) -> Tensor:
            z = self.scores(x)
            if len(x) == 1:
                return z.sigmoid()
            return 1 / (1 + (-z).exp())

    net = seeded(lambda: Sometimes(nn.Identity()))
    x = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(1))
    for _ in range(2):
        found = seewhy.explain(net, x, "occlusion", 1, window=8, stride=8, fill=0.0)
        right = _occluded(net, x)
        np.testing.assert_allclose(found.values, right, atol=1e-4 * np.abs(right).max())
        assert (found.unit, found.score) == ("probability", pytest.approx(float(net(x).detach()[0, 1])))
        assert (
            "was seen to end in a sigmoid, and another in scores, so what it gives is explained as it is"
            in found.notes[0]
        )


@pytest.mark.filterwarnings("ignore::FutureWarning")  # TorchScript is deprecated, and still used
@pytest.mark.parametrize("end", ["softmax", "log_softmax", "sigmoid"])
@pytest.mark.parametrize("how", ["trace", "script", "part"])
def test_the_end_of_what_torchscript_runs_is_the_same_each_time(how: str, end: str) -> None:
    """Its functions, which nobody sees, came into sight where memory was metered."""
    squash = {"softmax": nn.Softmax(1), "log_softmax": nn.LogSoftmax(1), "sigmoid": nn.Sigmoid()}[end]
    net = seeded(lambda: Ends(squash))
    x = torch.rand(3, 3, 16, 24, generator=torch.Generator().manual_seed(1))
    hidden = torch.jit.trace(net, x)
    if how == "script":
        hidden = torch.jit.script(
            nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), squash)
        ).eval()
    if how == "part":
        hidden = nn.Sequential(hidden)
    unit = {"softmax": "probability", "log_softmax": "log-probability", "sigmoid": "output"}[end]
    for _ in range(4):
        for row, found in enumerate(seewhy.explain_all(hidden, x, "occlusion", 1, window=8, stride=8, fill=0.0)):
            assert found.unit == unit
            right = _occluded(hidden, x[row : row + 1])
            np.testing.assert_allclose(found.values, right, atol=1e-4 * np.abs(right).max())


class Noisy(Ends):
    """Dropout that is on whatever the mode, with a share ``rate``."""

    def __init__(self, rate: float) -> None:
        super().__init__(nn.Identity())
        self.rate = rate

    def scores(self, x: Tensor) -> Tensor:
        return self.fc(nn.functional.dropout(self.conv(x).relu().mean((2, 3)), self.rate, training=True))


@pytest.mark.parametrize("method", ["occlusion", "saliency", "grad-cam", "rise"])
def test_a_network_that_draws_random_numbers_is_said_to(method: str) -> None:
    x = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(1))
    found = seewhy.explain(seeded(lambda: Noisy(0.5)), x, method, 1)
    assert any("draws random numbers as it runs" in note and "noise is in the map" in note for note in found.notes)
    # one that draws and does with it nothing that shows, and one that draws none
    for quiet in (Noisy(0.0), Ends(nn.Identity())):
        assert not any("random" in note for note in seewhy.explain(quiet.eval(), x, method, 1).notes)
