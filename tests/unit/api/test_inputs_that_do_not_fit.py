"""What is asked in other words than ours, or of inputs that the network does not take: one line that says what to type."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy.errors import CapabilityError, UsageError


def _net(channels: int = 3, side: int = 32) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(2)
        steps = nn.Conv2d(channels, 4, 3, 2, 1), nn.ReLU(), nn.Flatten(), nn.Linear(side * side, 4)
        return nn.Sequential(*steps).eval()


class _Strict(nn.Module):
    """It looks at its input itself, as vision transformers do."""

    def __init__(self) -> None:
        super().__init__()
        self.body = _net(3, 64)

    def forward(self, x: Tensor) -> Tensor:
        assert x.shape[2:] == (64, 64), f"Wrong image height! Expected 64 but got {x.shape[2]}!"
        return self.body(x)


@pytest.mark.parametrize("prepare", [False, True])
@pytest.mark.parametrize("method", ["saliency", "occlusion"])
@pytest.mark.parametrize(
    ("net", "given", "takes"),
    [
        (_net, (1, 3, 48, 48), "takes inputs of 3 x 32 x 32, and was given 3 x 48 x 48"),
        (_net, (2, 1, 32, 32), "takes inputs of 3 x 32 x 32, and was given 1 x 32 x 32"),
        (lambda: _net(4, 64), (1, 3, 64, 64), "takes inputs of 4 x 64 x 64, and was given 3 x 64 x 64"),
        (_Strict, (1, 3, 32, 32), "takes inputs of 3 x 64 x 64, and was given 3 x 32 x 32"),
        (lambda: _net(3, 40), (1, 3, 32, 32), "raised RuntimeError"),  # of no size that is tried
    ],
)
def test_an_input_of_another_size_is_told_what_the_network_takes(
    net: Callable[[], nn.Module], given: tuple[int, ...], takes: str, method: str, prepare: bool
) -> None:
    """Torch's own words were all that was said."""
    with pytest.raises(CapabilityError, match=takes) as caught:
        seewhy.explain_all(net(), torch.rand(given), method, target=1, prepare=prepare)
    assert "--size and --channels" in str(caught.value)


def test_a_fault_of_the_networks_own_stays_what_it_is() -> None:
    class Faulty(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            raise RuntimeError("the disk is on fire")

    with pytest.raises(RuntimeError, match=r"^the disk is on fire$"):
        seewhy.explain(Faulty(), torch.rand(1, 3, 8, 8), "occlusion", target=0)


@pytest.mark.parametrize(("word", "argument"), [("methods", "method"), ("targets", "target"), ("layers", "layer")])
def test_arguments_in_the_plural_are_told_to_be_singular(word: str, argument: str) -> None:
    with pytest.raises(UsageError, match=f"^{word}= is {argument}=, for several as for one"):
        seewhy.explain_all(_net(), torch.rand(1, 3, 32, 32), **{word: ["1"]})


def test_an_argument_that_is_nearly_one_is_suggested() -> None:
    with pytest.raises(UsageError, match="nearest: 'baseline'"):
        seewhy.explain(_net(), torch.rand(1, 3, 32, 32), "saliency", target=1, basline="black")


@pytest.mark.parametrize(
    ("word", "means"), [("on", "True"), ("ON", "True"), ("off", "False"), ("true", "True"), ("verify", "verify")]
)
def test_prepare_takes_the_words_of_the_command_line(word: str, means: str) -> None:
    found = seewhy.explain(_net(), torch.rand(1, 3, 32, 32), "saliency", target=1, prepare=word)
    assert found.provenance["prepare"] == means


@pytest.mark.parametrize("word", ["onn", 3, None, ""])
def test_prepare_takes_no_others(word: Any) -> None:
    with pytest.raises(UsageError, match=r"one of 'auto', 'on' \(True\), 'verify', 'off' \(False\)"):
        seewhy.explain(_net(), torch.rand(1, 3, 32, 32), "saliency", target=1, prepare=word)


@pytest.mark.parametrize("count", [3, 5])
def test_labels_are_one_for_each_class(count: int, tmp_path: Path) -> None:
    """A file that was one line short named every class but the last, and each behind the missing one wrongly."""
    (tmp_path / "names.txt").write_text("\n".join(f"name {n}" for n in range(count)))
    model = seewhy.wrap(_net(), labels=tmp_path / "names.txt")
    with pytest.raises(UsageError, match=rf"names.txt' names {count} classes, and Sequential gives 4 scores"):
        seewhy.explain(model, torch.rand(1, 3, 32, 32), "saliency", target=1)
    assert seewhy.explain(seewhy.wrap(_net(), labels=list("abcd")), torch.rand(1, 3, 32, 32), "saliency", target="b")


def test_two_targets_for_two_images_are_said_to_be_paired() -> None:
    net, x = _net(), torch.rand(2, 3, 32, 32)
    found = seewhy.explain_all(net, x, "saliency", target=[0, 1])
    assert [each.target_index for each in found] == [0, 1]
    assert all(any("paired with images" in note for note in each.notes) for each in found)
    for same in ([[0, 1]] * 2, 1, [2, 2]):
        others = seewhy.explain_all(net, x, "saliency", target=same)
        assert not any("paired" in note for each in others for note in each.notes)
