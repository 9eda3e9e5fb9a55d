"""Judging: takes a network, its input and its score, gives whether seewhy's layer, grid and maps are right, by means
that share nothing with seewhy's own."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import seewhy
from benchmarks.zoo.catalogue import Exhibit
from benchmarks.zoo.places import leaves, watched
from seewhy.errors import SeewhyError

__all__ = ["judge"]

#: what the gradients of a program may differ from the model's, relative, in L2: a rectifier's input next to zero,
#: rounded across it, changes the gradient of all that it sees
_PROGRAM = 2e-2
#: how often a part of the picture is drawn anew: one draw alone lets single positions answer by chance
_DRAWS = 4


def judge(exhibit: Exhibit, size: tuple[int, int], prepared: bool = False) -> dict[str, Any]:
    """The row of one network and input size: ``layer``, ``grid``, and verdicts; ``refused`` with seewhy's reason;
    whether a ``prepared`` program gives the same, if that is to be tried."""
    draw = torch.Generator().manual_seed(1)
    shape = (2, *size, 3) if exhibit.last else (2, 3, *size)
    x = torch.rand(shape, generator=draw) * 2 - 1
    net = exhibit.net
    before, output = _snapshot(net), _flat(_run(net, x))
    row: dict[str, Any] = {"size": list(size)}
    try:
        maps = seewhy.explain_all(net, x, method="grad-cam", target=exhibit.target, prepare=False)
    except SeewhyError as error:
        row |= {"layer": None, "refused": str(error)[:300]}
    else:
        row |= _judged(exhibit, net, x, maps)
    row["saliency"], row["slope"] = _saliency(exhibit, net, x)
    if prepared:
        row["prepared"] = _prepared(exhibit, net, x)
    after = _flat(_run(net, x))
    row["left as it was"] = (
        _snapshot(net) == before
        and len(after) == len(output)
        and all(torch.equal(a, b) for a, b in zip(output, after, strict=True))
    )
    return row


def _run(net: nn.Module, x: Tensor) -> Any:
    with torch.no_grad():
        return net(x.clone())


def _judged(exhibit: Exhibit, net: nn.Module, x: Tensor, maps: Any) -> dict[str, Any]:
    first = maps[0]
    name = first.layer
    raw, gradient, reached, rest = _by_hand(exhibit, net, x, name)
    readings = _readings(raw, tuple(first.values.shape))
    ours = torch.stack([torch.from_numpy(m.values) for m in maps])
    fits = [
        reading for reading in readings
        if _close(_grad_cam(reading(raw), reading(gradient)), ours)
    ]  # fmt: skip
    scale = float(ours.abs().max())
    found: dict[str, Any] = {
        "layer": name,
        "grid": list(first.values.shape),
        "status": first.status.code,
        "crossed": not reached,
        "crossed at places": not (reached and _around(rest, raw, fits[0] if fits else None)),
        "notes": [note for note in first.notes if "grid" in note or "layer" in note],
        "by hand": bool(fits),
        "zero": scale == 0,
    }
    verdict = first.provenance.get("grid")
    if verdict:
        found["verdict"] = verdict if isinstance(verdict, str) else next(iter(dict(verdict).values()), None)
    if fits and len(first.values.shape) == 2:
        looks = _answering(net, x, name, fits[0], exhibit.last)
        if looks < 0.5:  # where all positions see all of the picture gradients tell more
            looks = max(looks, _looking(net, x, name, fits[0], exhibit.last))
        found["place"] = round(looks, 2) if looks else None  # None: none of its numbers changed enough to tell
    return found


def _close(a: Tensor, b: Tensor) -> bool:
    scale = float(b.abs().max())
    return a.shape == b.shape and float((a - b).abs().max()) <= 1e-3 * scale + 1e-12


def _grad_cam(activation: Tensor, gradient: Tensor) -> Tensor:
    weights = gradient.flatten(2).mean(2)
    return (
        torch.einsum("bc,bchw->bhw", weights, activation)
        if activation.ndim == 4
        else ((weights[..., None] * activation).sum(1))
    )


def _readings(raw: Tensor, grid: tuple[int, ...]) -> list[Callable[[Tensor], Tensor]]:
    """Every way of reading ``raw`` as [B, C, *grid] that its shape allows."""
    found: list[Callable[[Tensor], Tensor]] = []
    inner = tuple(raw.shape[1:])
    if len(inner) == 3 and len(grid) == 2:
        for order in ((0, 1, 2, 3), (0, 3, 1, 2), (0, 1, 3, 2), (0, 3, 2, 1), (0, 2, 1, 3), (0, 2, 3, 1)):
            if tuple(raw.permute(order).shape[2:]) == grid:
                found.append(lambda t, order=order: t.permute(order))
    if len(inner) == 2 and len(grid) == 2:
        count = grid[0] * grid[1]
        for axis in (1, 2):
            for start in range(raw.shape[axis] - count + 1):
                found.append(
                    lambda t, axis=axis, start=start: (
                        t.narrow(axis, start, count)
                        .transpose(1, 3 - axis if axis == 2 else 2)
                        .reshape(t.shape[0], -1, *grid)
                        if axis == 1
                        else t.narrow(axis, start, count).reshape(t.shape[0], -1, *grid)
                    )
                )
    return found


def _by_hand(exhibit: Exhibit, net: nn.Module, x: Tensor, name: str) -> tuple[Tensor, Tensor, bool, Tensor | None]:
    """Activation and gradient of the layer by own hooks; whether, with its tensor cut out of the graph, the score still
    reaches the input, and the gradient that still arrives at what the layer read, if it reads anything."""
    leaf = x.clone().requires_grad_()
    out, caught, _, felt = watched(net, leaf * 1.0, name)
    torch.autograd.grad(exhibit.score(out).sum(), leaf, allow_unused=True)
    raw = caught[-1].detach()
    gradient = felt[-1] if felt else torch.zeros_like(raw)
    leaf = x.clone().requires_grad_()
    out, _, given, _ = watched(net, leaf * 1.0, name, cut=True)
    grads = torch.autograd.grad(exhibit.score(out).sum(), [leaf, *given[:1]], allow_unused=True)
    reached = grads[0] is not None and bool(grads[0].any())
    if len(grads) > 1:
        return raw, gradient, reached, torch.zeros_like(given[0]) if grads[1] is None else grads[1]
    return raw, gradient, reached, None


def _around(rest: Tensor | None, raw: Tensor, reading: Callable[[Tensor], Tensor] | None) -> bool:
    """Whether what passes a layer by has places: class and register tokens, or those of other scales, may."""
    if rest is None:
        return True
    if reading is not None and rest.shape == raw.shape:
        return bool(reading(rest).any())
    return int(rest.abs().sum((0, 2)).ne(0).sum()) > 9 if rest.ndim == 3 else bool(rest.any())


def _answering(net: nn.Module, x: Tensor, name: str, reading: Any, last: bool) -> float:
    """How well the grid says where positions look: a ninth of the picture is drawn anew, in each corner and in the
    middle, a few times; of each position's mean answers to the five the share of each is taken; the correlation, for
    the worse axis, between where a change was and the centre of the positions that answer to it more than to
    others."""
    size = tuple(x.shape[1:3] if last else x.shape[2:])
    draw = torch.Generator().manual_seed(2)
    places = [(a, b) for a in (0, 2) for b in (0, 2)] + [(1, 1)]

    def read(pictures: list[Tensor]) -> Tensor:
        pairs = [pictures[n : n + 2] for n in range(0, len(pictures), 2)]  # two at a time, as everything else here
        with torch.no_grad():
            return torch.cat([reading(watched(net, torch.stack(pair), name)[1][-1]) for pair in pairs]).double()

    plain = read([x[0]])
    answer = torch.zeros(len(places), *plain.shape[2:], dtype=torch.float64)
    for _ in range(_DRAWS):
        pictures = []
        for a, b in places:
            changed = x[0].clone()
            rows = slice(a * size[0] // 3, (a + 1) * size[0] // 3)
            columns = slice(b * size[1] // 3, (b + 1) * size[1] // 3)
            part = changed[rows, columns] if last else changed[:, rows, columns]
            part += torch.randn(part.shape, generator=draw)
            pictures.append(changed)
        answer += (read(pictures) - plain).square().sum(1).sqrt() / _DRAWS
    # one change may move everything most
    answer /= answer.sum(tuple(range(1, answer.ndim)), keepdim=True).clamp(min=1e-300)
    total = answer.sum(0)
    share = (answer / total.clamp(min=1e-300) - 1 / len(places)).clamp(min=0) * total.clamp(max=float(total.median()))
    worst = 1.0
    for axis, count in enumerate(plain.shape[2:]):
        if count > 1:
            line = share.sum(2 - axis)
            centre = (line * torch.arange(count)).sum(1) / line.sum(1).clamp(min=1e-300)
            want = torch.tensor([float(place[axis]) for place in places], dtype=torch.float64)
            worst = min(worst, float(torch.corrcoef(torch.stack([centre, want]))[0, 1].nan_to_num()))
    return worst


def _looking(net: nn.Module, x: Tensor, name: str, reading: Any, last: bool) -> float:
    """The same of gradients: the correlation between where five positions are and the centre of each one's share of the
    input's gradient."""
    leaf = x[:1].clone().requires_grad_()
    _, caught, _, _ = watched(net, leaf * 1.0, name)
    values = reading(caught[-1])
    rows, columns = values.shape[2:]
    weights = torch.randn(values.shape[1], generator=torch.Generator().manual_seed(2))
    picked = sorted({(r, c) for r in (0, rows - 1) for c in (0, columns - 1)} | {(rows // 2, columns // 2)})
    energies = []
    for r, c in picked:
        (grad,) = torch.autograd.grad((values[0, :, r, c] * weights).sum(), leaf, retain_graph=True)
        energy = grad.abs().sum(-1 if last else 1)[0]
        energies.append(energy / energy.sum().clamp(min=1e-30))
    stack = torch.stack(energies)
    stack = (stack / stack.sum(0).clamp(min=1e-30) - 1 / len(picked)).clamp(min=0)
    worst = 1.0
    for axis, count in enumerate((rows, columns)):
        if count > 1:
            line = stack.sum(2 - axis)
            centre = (line * torch.arange(line.shape[1])).sum(1) / line.sum(1).clamp(min=1e-30)
            want = torch.tensor([float(position[axis]) for position in picked])
            worst = min(worst, float(torch.corrcoef(torch.stack([centre, want]))[0, 1].nan_to_num()))
    return worst


def _saliency(exhibit: Exhibit, net: nn.Module, x: Tensor) -> tuple[str, bool]:
    """Whether ours is autograd's, and whether there is a gradient at all."""
    leaf = x.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(exhibit.score(net(leaf * 1.0)).sum(), leaf, allow_unused=True)
    gradient = torch.zeros_like(x) if gradient is None else gradient
    want = gradient.abs().amax(-1 if exhibit.last else 1)
    try:
        found = seewhy.explain_all(net, x, method="saliency", target=exhibit.target, prepare=False)
    except SeewhyError as error:
        return f"refused: {error}"[:200], bool(want.any())
    ours = torch.stack([torch.from_numpy(each.values).abs() for each in found])
    return "equal" if _close(ours, want) else "differs", bool(want.any())


def _prepared(exhibit: Exhibit, net: nn.Module, x: Tensor) -> str:
    """Whether saliency by a prepared program is that of the model, twice; or why there is none."""
    try:
        exact = seewhy.explain_all(net, x, method="saliency", target=exhibit.target, reduce="none", prepare=False)
        for _ in range(2):
            found = seewhy.explain_all(net, x, method="saliency", target=exhibit.target, reduce="none", prepare=True)
    except SeewhyError as error:
        return f"refused: {error}"[:200]
    ours, right = (torch.stack([torch.from_numpy(each.values).double() for each in some]) for some in (found, exact))
    apart, size = float((ours - right).norm()), float(right.norm())
    if apart > _PROGRAM * size:  # deep untrained networks are far from themselves: each is held against float64
        truth = _exactly(exhibit, net, x)
        rounding, mistake = float((right - truth).norm()), float((ours - truth).norm())
        if mistake > 2 * rounding + _PROGRAM * size:
            return f"differs by {mistake / size:.0e}, the model itself by {rounding / size:.0e}"
    said = dict(found[0].provenance["prepared"])
    if said["used"]:
        return "equal"
    return f"none: {said.get('why') or next(iter(said.get('checked', {}).values()), 'no step is faster')}"[:160]


def _exactly(exhibit: Exhibit, net: nn.Module, x: Tensor) -> Tensor:
    """The input's gradient in float64."""
    leaf = x.double().requires_grad_()
    score = exhibit.score(copy.deepcopy(net).double()(leaf * 1.0)).sum()
    (found,) = torch.autograd.grad(score, leaf)
    return found.detach().movedim(-1, 1) if exhibit.last else found.detach()


def _snapshot(net: nn.Module) -> dict[str, Any]:
    """Hooks, flags and attributes of every part, by name."""
    found = {}
    for name, part in net.named_modules():
        hooks = {key: list(value) for key, value in vars(part).items() if key.endswith("_hooks")}
        plain = {
            key: copy.copy(value)
            for key, value in vars(part).items()
            if isinstance(value, int | float | str | tuple | bool)
        }
        found[name] = (hooks, sorted(vars(part)), plain, [id(p) for p in part._parameters.values()])
    return found


def _flat(out: Any) -> list[Tensor]:
    return [each.detach() for each in leaves(out)]
