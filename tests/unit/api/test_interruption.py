"""Interruption: a sampling method that is stopped gives the map of the samples that it has; too early, nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import seewhy
from networks import image, make
from properties.snapshots import difference, snapshot
from seewhy.api.attacking import robustness
from seewhy.registry import methods

GRID = torch.arange(64).reshape(8, 8) // 13
#: what to ask, the forwards done before the interruption, and the budget that they amount to
CASES: dict[str, tuple[dict[str, Any], int, int]] = {
    "rise": ({"cells": 2, "n": 4000}, 150, 150),
    "lime": ({"segments": GRID, "n": 4000}, 150, 150),
    "kernel-shap": ({"segments": torch.arange(64).reshape(8, 8), "n": 4000}, 151, 150),
    "shapley-sampling": ({"segments": GRID, "n": 4000}, 151, 144),
    "sobol": ({"cells": 2, "n": 4800}, 151, 144),
    "hsic": ({"cells": 2, "n": 4000}, 150, 150),
    "smooth-grad": ({"n": 400, "reduce": "none"}, 50, 50),
}

pytestmark = pytest.mark.usefixtures("no_spot_checks")  # forwards are counted


class Interrupt:
    """A forward hook that raises before sample ``n``, counting those of the variants."""

    def __init__(self, n: int) -> None:
        self.left = n

    def __call__(self, module: nn.Module, args: object, output: torch.Tensor) -> None:
        self.left -= len(output)
        if self.left < 0:
            raise KeyboardInterrupt("on purpose")


class Once(Interrupt):
    """One that raises a single time, as a key is pressed once."""

    def __call__(self, module: nn.Module, args: object, output: torch.Tensor) -> None:
        if self.left >= 0:
            super().__call__(module, args, output)


def _ahead(name: str) -> int:
    """Forwards before the first sample: the image, and where a method needs it, everything hidden."""
    return 2 if name in ("kernel-shap", "shapley-sampling") else 1


@pytest.mark.parametrize("name", sorted(CASES))
def test_what_there_is_is_given(name: str) -> None:
    """The same numbers as a run with the budget that was used up; status and note say so; the model is untouched."""
    asked, forwards, amount = CASES[name]
    case, x = make("silu", 1), image(1, batch=1)
    handle = case.net[-1].register_forward_hook(Interrupt(forwards + _ahead(name)))
    before = snapshot(case.net)
    # one sample a chunk, so that the count is exact
    given = {"method": name, "target": 1, "tolerance": 0.0, "memory": 1}
    found = seewhy.explain(case.net, x, **given, **asked)
    assert difference(before, snapshot(case.net)) == []
    handle.remove()
    assert found.status.code == "unfinished"
    assert found.status.cause.startswith("interrupted after ")
    assert found.status.cause.split()[2] == str(amount)
    short = seewhy.explain(case.net, x, **given, **asked | {"n": amount})
    np.testing.assert_array_equal(found.values, short.values)
    np.testing.assert_array_equal(found.error, short.error)


@pytest.mark.parametrize("name", sorted(CASES))
@pytest.mark.parametrize("when", [0, 1, 2])
def test_too_early_is_an_interruption(name: str, when: int) -> None:
    """During the first forward, before the first sample, and with a sample that says nothing yet."""
    asked, *_ = CASES[name]
    case, x = make("silu", 2), image(2, batch=1)
    case.net[-1].register_forward_hook(Interrupt(when if when < 2 else _ahead(name) + 1))
    before = snapshot(case.net)
    with pytest.raises(KeyboardInterrupt, match="on purpose"):
        seewhy.explain(case.net, x, method=name, target=1, memory=1, **asked)
    assert difference(before, snapshot(case.net)) == []


def test_a_batch_needs_enough_of_every_image() -> None:
    """Variants run image by image: while the second has none, there is nothing to give."""
    case, x = make("silu", 3), image(3, batch=2)
    case.net[-1].register_forward_hook(Interrupt(2 + 64 + 1))
    with pytest.raises(KeyboardInterrupt):
        seewhy.explain_all(case.net, x, method="rise", target=1, cells=2, n=400, memory=1)
    case, x = make("silu", 3), image(3, batch=2)
    case.net[-1].register_forward_hook(Interrupt(2 + 64 + 20))
    found = seewhy.explain_all(case.net, x, method="rise", target=1, cells=2, n=400, memory=1, tolerance=0.0)
    assert [each.status.code for each in found] == ["unfinished"] * 2
    assert [each.status.cause.split()[2] for each in found] == ["64", "20"]


def test_what_was_done_before_is_kept() -> None:
    """Of several methods, those that were finished stay as they are."""
    case, x = make("silu", 4), image(4, batch=1)
    whole = seewhy.explain(case.net, x, method="occlusion", target=1, window=4)
    case.net[-1].register_forward_hook(Interrupt(1 + 9 + 30))
    found = seewhy.explain_all(case.net, x, method=["occlusion", "rise"], target=1, window=4, cells=2, n=400, memory=1)
    assert found.interrupted
    assert [(each.method, each.status.code) for each in found] == [("occlusion", "ok"), ("rise", "unfinished")]
    np.testing.assert_allclose(found[0].values, whole.values, rtol=1e-9, atol=1e-12)


def test_methods_that_cannot_stop_early_are_not_given() -> None:
    assert "seed" not in methods["occlusion"].parameters
    case, x = make("silu", 5), image(5, batch=1)
    case.net[-1].register_forward_hook(Interrupt(5))
    with pytest.raises(KeyboardInterrupt):
        seewhy.explain(case.net, x, method="occlusion", target=1, window=4, memory=1)


def test_a_finished_picture_outlives_an_interruption_of_its_score(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("seewhy.api.inside.visualisation.score_batch", interrupted)
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU())
    found = seewhy.maximise(net, "1:2", size=16, steps=3)
    assert found.status.code == "unfinished"
    assert found.values.shape == (1, 3, 16, 16)
    assert found.tiles[0].value is None


def _photos(count: int, size: int = 8) -> list[np.ndarray]:
    make = np.random.default_rng(3)
    return [make.integers(0, 256, (size, size, 3), dtype=np.uint8) for _ in range(count)]


def _network(size: int = 8) -> torch.nn.Module:
    with torch.random.fork_rng([]):
        torch.manual_seed(3)
        layers = [
            torch.nn.Conv2d(3, 4, 3),
            torch.nn.ReLU(),
            torch.nn.Flatten(),
            torch.nn.Linear(4 * (size - 2) ** 2, 3),
        ]
        return torch.nn.Sequential(*layers).eval()


def _interrupted(net: torch.nn.Module, after: int) -> seewhy.Model:
    """The network, interrupted at sample ``after``."""
    net[-1].register_forward_hook(Once(after))
    return seewhy.wrap(net, preprocess=seewhy.Preprocess(size=(8, 8), resize=None, mean=(0.0,) * 3, std=(1.0,) * 3))


@pytest.mark.parametrize("after", [3, 20, 40, 80])
def test_an_interrupted_curve_is_none(after: int, tmp_path: Path) -> None:
    """Photos that were not attacked, or not to the end, neither stood nor fell."""
    for number, photo in enumerate(_photos(6)):
        Image.fromarray(photo).save(tmp_path / f"{number}.png")
    with pytest.raises(KeyboardInterrupt):
        robustness(_interrupted(_network(), after), tmp_path, [1, 2, 4], method="pgd")


def test_what_is_made_of_maps_is_not_made_of_parts_of_them() -> None:
    """A mask of a map that was interrupted would be one of the samples that it had, and nobody would be told."""
    whole = seewhy.segment(_interrupted(_network(), 10**6), _photos(1)[0], n=64)
    assert whole.mask.shape == (8, 8)
    with pytest.raises(KeyboardInterrupt):
        seewhy.segment(_interrupted(_network(), 60), _photos(1)[0], n=400, memory=1, tolerance=0.0)
    with pytest.raises(KeyboardInterrupt):
        seewhy.segment_all(_interrupted(_network(), 60), _photos(2), n=400, memory=1, tolerance=0.0)


def test_an_attack_gives_the_best_so_far_of_every_image_or_none() -> None:
    model = _interrupted(_network(), 4)
    assert seewhy.attack(model, _photos(1)[0], method="pgd", maps=None).status.code == "unfinished"
    sizes = [*_photos(1), *_photos(1, size=9), *_photos(1)]
    net = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()).eval()
    x = [torch.from_numpy(photo).permute(2, 0, 1) / 255 for photo in sizes]
    assert len(seewhy.attack_all(net, x, method="pgd", maps=None)) == 3
    # those of one size come first: with the last size interrupted there are two, the first and the third
    net[-1].register_forward_hook(Once(15))
    with pytest.raises(KeyboardInterrupt):
        seewhy.attack_all(net, x, method="pgd", maps=None)


FIRST_CALL = '''
import importlib.abc, signal, sys, _thread
import torch
from torch import nn
import seewhy

class Finder(importlib.abc.MetaPathFinder):
    """Presses Ctrl-C when torch, used for the first time, is in the midst of importing what it needs."""
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1] and not pressed:
            pressed.append(name)
            _thread.interrupt_main()

pressed = []
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.meta_path.insert(0, Finder())
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)).eval()
x = torch.rand(1, 3, 8, 8)
try:
    seewhy.explain(net, x, "rise", 1, n=64)
except KeyboardInterrupt:
    print("interrupted")
found = seewhy.explain(net, x, "saliency", 1, prepare=True, reduce="none")
leaf = x.clone().requires_grad_()
net(leaf)[0, 1].backward()
print(pressed, float(abs(torch.from_numpy(found.values) - leaf.grad[0]).max()) < 1e-6)
print(found.provenance["prepared"].get("why", "prepared"))
'''


@pytest.mark.parametrize("name", ["torch._inductor.config", "torch._dynamo.polyfills", "sympy.functions"])
def test_what_torch_imports_at_first_use_is_imported_whole(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FIRST_CALL, name], capture_output=True, text=True, check=False, timeout=300
    )
    if "[]" in done.stdout:
        pytest.skip(f"this torch does not import {name}")
    assert done.stdout.splitlines() == ["interrupted", f"['{name}'] True", "prepared"], done.stderr
