"""The layer that reads the input is known whatever a forward does with its input first, and the input's range with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import seewhy
from seewhy.core.relevance.composites import COMPOSITES, LinearCall
from unit.core.relevances import same

Step = Callable[[Tensor], Tensor]


class _After(nn.Module):
    """A convolution, perhaps a second one, and a linear layer of all that they give; ``step`` comes first."""

    def __init__(self, step: Step, channels: int = 3, size: tuple[int, int] = (8, 12), *, deep: bool = False) -> None:
        super().__init__()
        self.step, self.conv = step, nn.Conv2d(channels, 4, 3, padding=1)
        self.more = nn.Conv2d(4, 4, 3, padding=1) if deep else nn.Identity()
        self.head = nn.Linear(4 * size[0] * size[1], 3)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(self.step(x))
        return self.head(self.more(x.relu() if isinstance(self.more, nn.Conv2d) else x).flatten(1))


def _after(step: Step, *args: Any, **kwargs: Any) -> _After:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        return _After(step, *args, **kwargs).double().eval()


def _images(count: int = 2) -> Tensor:
    x = torch.rand(count, 3, 8, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    return x * torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)[:, None, None] - 0.3


def _maps(net: nn.Module, x: Tensor, composite: Any = "epsilon-gamma-box") -> tuple[np.ndarray, tuple[str, ...]]:
    found = seewhy.explain_all(net, x, method="lrp", target=1, composite=composite, reduce="none", prepare=False)
    return np.stack([each.values for each in found]), found[0].notes


def _bounds(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.amin((2, 3), keepdim=True), x.amax((2, 3), keepdim=True)


def _damped(values: Tensor) -> Tensor:
    return values + 1e-6 * torch.where(values >= 0, 1.0, -1.0)


def _at_the_layer(net: _After, y: Tensor) -> Tensor:
    """What arrives at the output of the convolution: the linear layer's epsilon rule, by hand."""
    z = F.conv2d(y, net.conv.weight, net.conv.bias, padding=1)
    score = net.head(z.flatten(1))[:, 1]
    return (z.flatten(1) * net.head.weight[1] * (score / _damped(score))[:, None]).reshape(z.shape)


def _box_by_hand(net: _After, y: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """The z-box rule where values lie from ``low`` to ``high``, of what the convolution reads, ``y``."""
    low, high = low.expand(y.shape), high.expand(y.shape)
    with torch.no_grad():
        weight, relevance = net.conv.weight, _at_the_layer(net, y)
        up, down = weight.clamp(min=0), weight.clamp(max=0)
        z = F.conv2d(y, weight, padding=1) - F.conv2d(low, up, padding=1) - F.conv2d(high, down, padding=1)
        q = relevance / _damped(z)
        parts = ((y, weight, 1), (low, up, -1), (high, down, -1))
        return sum(sign * x * F.conv_transpose2d(q, w, padding=1) for x, w, sign in parts)  # type: ignore[return-value]


def _pulled(move: Step, relevance: Tensor, x: Tensor) -> Tensor:
    """To where ``move`` took every value from."""
    at = x.clone().requires_grad_()
    return torch.autograd.grad(move(at), at, relevance)[0]


def _canvas(x: Tensor) -> Tensor:
    canvas = torch.zeros(len(x), 3, 8, 12, dtype=x.dtype)
    canvas[:, :, 1:7, 2:10] = x[:, :, 1:7, 2:10]
    return canvas


def _copied(x: Tensor) -> Tensor:
    return torch.empty_like(x, requires_grad=False).copy_(x)


def _windows(x: Tensor) -> Tensor:
    """Cut into windows of 4 x 4 and put together again, as windowed attention does it."""
    b, c, h, w = x.shape
    cut = x.view(b, c, h // 4, 4, w // 4, 4).permute(0, 2, 4, 1, 3, 5).contiguous().view(-1, c, 4, 4)
    return cut.view(b, h // 4, w // 4, c, 4, 4).permute(0, 3, 1, 4, 2, 5).contiguous().view(b, c, h, w)


#: steps that change nothing
NOTHING: dict[str, Step] = {
    "slice": lambda x: x[:, :3],
    "list": lambda x: x[:, [0, 1, 2]],
    "mask": lambda x: x[:, torch.tensor([True, True, True])],
    "index_select": lambda x: x.index_select(1, torch.arange(3)),
    "gather": lambda x: x.gather(1, torch.arange(3)[None, :, None, None].expand(x.shape)),
    "narrow": lambda x: x.narrow(1, 0, 3),
    "cat of one": lambda x: torch.cat([x]),
    "cat by keyword": lambda x: torch.cat(tensors=[x[:, :1], x[:, 1:]], dim=1),
    "image by image": lambda x: torch.cat([each[None] for each in x]),
    "stack": lambda x: torch.stack(list(x)),
    "unbind": lambda x: torch.stack(x.unbind(1), 1),
    "split": lambda x: torch.cat(x.split(2, dim=-1), -1),
    "chunk": lambda x: torch.hstack(x.chunk(3, dim=1)),
    "flip twice": lambda x: x.flip(-1).flip(-1),
    "roll and back": lambda x: x.roll((1, 2), (2, 3)).roll((-1, -2), (2, 3)),
    "quarter turns": lambda x: torch.rot90(torch.rot90(x, 1, (2, 3)), 3, (2, 3)),
    "mT twice": lambda x: x.mT.mT,
    "swapaxes": lambda x: x.swapaxes(2, 3).transpose(2, 3),
    "shuffle": lambda x: F.pixel_shuffle(F.pixel_unshuffle(x, 2), 2),
    "repeat": lambda x: x.repeat(1, 2, 1, 1)[:, 3:],
    "other types": lambda x: x.float().double().type(torch.float64),
    "nearest": lambda x: F.interpolate(x, x.shape[2:]),
    "nearest, up and down": lambda x: F.interpolate(x, scale_factor=2.0)[:, :, ::2, ::2],
    "bilinear": lambda x: F.interpolate(x, x.shape[2:], mode="bilinear"),
    "average of one": lambda x: F.avg_pool2d(x, 1),
    "maximum of one": lambda x: F.max_pool2d(x, 1),
    "clip": lambda x: x.clamp(-9, 9),
    "written into": lambda x: _copied(x),
    "in place": lambda x: x.clone().sub_(0.5).add_(0.5),
    "windows": _windows,
    "windows of what is padded": lambda x: _windows(F.pad(x, (0, 4, 4, 0)))[:, :, 4:, :-4],
    "strides": lambda x: x.as_strided(x.shape, x.stride()),
    "window": lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect")[:, :, 1:-1, 1:-1],
}


@pytest.mark.parametrize("composite", COMPOSITES)
@pytest.mark.parametrize("name", NOTHING)
def test_a_step_that_changes_nothing_changes_no_map(name: str, composite: str) -> None:
    x = _images()
    right, said = _maps(_after(lambda x: x, deep=True), x, composite)
    found, notes = _maps(_after(NOTHING[name], deep=True), x.clone(), composite)
    if name in ("bilinear", "average of one"):  # averages share by values, with a stabiliser
        right = right * (x / _damped(x)).numpy()
    same(found, right, 1e-5 if name == "other types" else 1e-9)  # through float32
    assert len(notes) == len(said)
    assert not any("could not be followed" in note for note in notes)


_MEAN, _SPREAD = (torch.tensor(v, dtype=torch.float64)[:, None, None] for v in ((0.1, 0.4, 0.2), (0.5, -2.0, 0.7)))
_SIGNS = torch.where(torch.arange(96).reshape(8, 12) % 3 > 0, 1.0, -2.0).double()
_RAMP = torch.linspace(-1, 1, 96, dtype=torch.float64).reshape(1, 1, 8, 12)
_ORDER = [2, 0, 1]


def _normalised(x: Tensor) -> Tensor:
    return x.clone().sub_(_MEAN).div_(_SPREAD)


def _by_channel(x: Tensor) -> Tensor:
    return torch.cat([(x[:, n : n + 1] - _MEAN[n]) / _SPREAD[n] for n in range(3)], 1)


def _assigned(x: Tensor) -> Tensor:
    y = x.clone()
    y[:, 1] = (y[:, 1] - _MEAN[1]) / _SPREAD[1]
    return y


def _sorted(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    return torch.minimum(low, high), torch.maximum(low, high)


def _scaled_ends(low: Tensor, high: Tensor, only: int | None = None) -> tuple[Tensor, Tensor]:
    chosen = torch.tensor([only is None or only == n for n in range(3)])[:, None, None]
    return _sorted(*(torch.where(chosen, (end - _MEAN) / _SPREAD, end) for end in (low, high)))


#: what is done first, where its values come from, and what the input's ends come to
STEPS: dict[str, tuple[Step, Step, Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]]] = {
    "moved": (*(lambda x: x.roll(1, 2).flip(-1),) * 2, lambda low, high: (low, high)),
    "channels in another order": (*(lambda x: x[:, _ORDER],) * 2, lambda low, high: (low[:, _ORDER], high[:, _ORDER])),
    "normalised in place": (_normalised, lambda x: x, _scaled_ends),
    "normalised channel by channel": (_by_channel, lambda x: x, _scaled_ends),
    "one channel written into": (_assigned, lambda x: x, lambda low, high: _scaled_ends(low, high, 1)),
    "by place": (lambda x: x * _SIGNS, lambda x: x, lambda low, high: _sorted(low * _SIGNS, high * _SIGNS)),
    "clipped": (lambda x: x.clamp(-0.1, 0.6), lambda x: x, lambda low, high: (low.clamp(-0.1), high.clamp(max=0.6))),
    "on a canvas": (
        *(_canvas,) * 2,
        lambda low, high: (_canvas(low.expand(2, 3, 8, 12)), _canvas(high.expand(2, 3, 8, 12))),
    ),
    "batch norm": (
        lambda x: F.batch_norm(x, _MEAN.flatten(), _SPREAD.flatten().square() - 1e-5, -torch.ones(3).double()),
        lambda x: x,
        lambda low, high: ((_MEAN - high) / _SPREAD.abs(), (_MEAN - low) / _SPREAD.abs()),
    ),
    "other images beside it": (
        lambda x: torch.cat([torch.ones_like(x[:1]), x])[1:],
        lambda x: x,
        lambda low, high: (low, high),
    ),
}


@pytest.mark.parametrize("name", STEPS)
def test_the_range_of_the_first_layer_is_that_of_the_input_by_the_same_way(name: str) -> None:
    """The z-box rule by hand on what the convolution reads, taken back to the pixels."""
    step, move, ends = STEPS[name]
    net, x = _after(step), _images()
    with torch.no_grad():
        y = step(x)
    low, high = ends(*_bounds(x))
    assert bool((low <= y + 1e-9).all())
    assert bool((high >= y - 1e-9).all())
    found, notes = _maps(net, x)
    same(found, _pulled(move, _box_by_hand(net, y, low, high), x), 1e-9)
    assert not any("could not be followed" in note for note in notes)


def test_constants_beside_the_input_get_nothing() -> None:
    net, x = _after(lambda x: torch.cat([x, _RAMP.expand(len(x), -1, -1, -1)], 1), 4), _images()
    (low, high), ramp = _bounds(x), _RAMP.expand(2, -1, -1, -1)
    ends = [torch.cat([end.expand(x.shape), ramp], 1) for end in (low, high)]
    expected = _box_by_hand(net, torch.cat([x, ramp], 1), *ends)
    assert float(expected[:, 3].abs().max()) < 1e-15
    same(_maps(net, x)[0], expected[:, :3], 1e-9)


def test_resampling_and_sums_of_channels() -> None:
    """Both share in proportion, as everywhere; what they give lies between what they make of the ends."""
    x, weights = _images(), torch.tensor([0.3, -0.6, 0.2], dtype=torch.float64)
    low, high = _bounds(x)

    def doubled(t: Tensor) -> Tensor:
        return F.interpolate(t, scale_factor=2.0, mode="bilinear")

    net, signed = _after(lambda t: doubled(t * _SIGNS), size=(16, 24)), x * _SIGNS
    y = doubled(signed)
    box = _box_by_hand(net, y, *map(doubled, _sorted(low * _SIGNS, high * _SIGNS)))
    same(_maps(net, x)[0], signed * _pulled(doubled, box / _damped(y), x), 1e-9)

    def grey(t: Tensor) -> Tensor:
        return t[:, :1] * weights[0] + t[:, 1:2] * weights[1] + t[:, 2:] * weights[2]

    net, scaled = _after(grey, 1), weights[:, None, None]
    ends = [end.sum(1, keepdim=True) for end in _sorted(low * scaled, high * scaled)]
    box = _box_by_hand(net, grey(x), *ends)
    same(_maps(net, x)[0], x * scaled * box / grey(x), 1e-3)  # two sums with stabilisers of their own


def _cubic(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2.0, mode="bicubic")


@pytest.mark.parametrize("name", COMPOSITES)
def test_a_rule_that_cannot_be_used_is_said(name: str) -> None:
    """Bicubic resampling goes beyond the range of what it resamples."""
    notes = _maps(_after(_cubic, size=(16, 24), deep=True), _images(), name)[1]
    told = [note for note in notes if "linear layer 1 of 3 has the rule gamma instead of z-box" in note]
    assert bool(told) is (name in ("epsilon-gamma-box", "by-depth"))


def test_a_rule_of_ones_own_that_cannot_be_used_is_said() -> None:
    def own(call: LinearCall) -> str:
        return "z-box" if call.first else "zplus" if call.lowest else "epsilon"

    assert "the rule z-plus instead of z-box" in _maps(_after(_cubic, size=(16, 24)), _images(), own)[1][0]
    assert "instead of" not in _maps(_after(lambda x: x), _images(), own)[1][0]


def test_flat_needs_no_range() -> None:
    """The lowest layer has the flat rule whatever it reads."""
    net, x = _after(_cubic, size=(16, 24)), _images()
    y, ones = _cubic(x), torch.ones_like(net.conv.weight)
    with torch.no_grad():
        each = _at_the_layer(net, y) / (F.conv2d(torch.ones_like(y), ones, padding=1) + 1e-6)
        flat = F.conv_transpose2d(each, ones, padding=1)
    same(_maps(net, x, "epsilon-plus-flat")[0], x * _pulled(_cubic, flat / _damped(y), x), 1e-9)


def test_padding_put_beside_the_input_gets_nothing() -> None:
    """Zeros by ``cat`` or written around it are padding, as those of ``pad`` are."""

    def beside(x: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(x[..., :2]), x[..., 2:10], torch.zeros_like(x[..., :2])], -1)

    def around(x: Tensor) -> Tensor:
        canvas = torch.zeros_like(x)
        canvas[..., 2:10] = x[..., 2:10]
        return canvas

    x = _images()
    right = _maps(_after(lambda x: F.pad(x[..., 2:10], (2, 2))), x, "epsilon-plus-flat")[0]
    for step in (beside, around):
        same(_maps(_after(step), x, "epsilon-plus-flat")[0], right, 1e-12)
