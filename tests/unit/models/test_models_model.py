from __future__ import annotations

import dataclasses
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from seewhy.errors import UnknownName, UsageError
from seewhy.models import Model, Preprocess, read_image, wrap


def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 3))


@pytest.fixture
def photo():
    rng = np.random.default_rng(3)
    return read_image(rng.integers(0, 256, (37, 53, 3), dtype=np.uint8))


def test_labels_by_number_and_by_word():
    model = wrap(net(), labels=["cat", "dog", "sea, blue"])
    assert [model.label(k) for k in (-1, 0, 2, 3)] == [None, "cat", "sea, blue", None]
    assert (model.find_label("DOG"), model.find_label(2), model.find_label("sea")) == (1, 2, 2)
    with pytest.raises(UnknownName, match=r"List them: model\.labels"):
        model.find_label("cow")
    with pytest.raises(UnknownName, match="seewhy labels --model timm:x"):
        dataclasses.replace(model, spec="timm:x").find_label("cow")
    assert wrap(net()).label(0) is None


def test_prepare_gives_the_exact_crop(photo):
    model = wrap(net(), preprocess=Preprocess(size=(6, 8), resize=10))
    input, view = model.to_input(photo)
    assert (input.dtype, input.shape, view.dtype) == (torch.float32, (3, 6, 8), np.uint8)
    assert np.array_equal(model.to_image(input), view)
    assert model.view_note == ""


def test_prepare_with_one_channel(photo):
    ours = Preprocess(size=(6, 8), resize=10, mean=(0.5,), std=(0.5,), channels=1)
    input, view = wrap(net(), preprocess=ours).to_input(photo)
    assert input.shape == (1, 6, 8)
    assert view.shape == (6, 8, 3)
    assert np.array_equal(view[..., 0], view[..., 2])
    assert np.array_equal(wrap(net(), preprocess=ours).to_image(input), view)


def test_prepare_with_a_callable(photo):
    def theirs(image):
        return torch.from_numpy(np.array(image.resize((8, 6)))).permute(2, 0, 1)[None].double()

    model = wrap(net(), preprocess=theirs)
    input, view = model.to_input(photo)
    assert (input.shape, input.dtype, view.shape) == ((3, 6, 8), torch.float32, (6, 8, 3))
    assert np.array_equal(view, np.asarray(photo.pixels.resize((8, 6), Image.Resampling.BILINEAR)))
    assert "whole photo" in model.view_note
    assert model.colour_to_input((0, 0, 0)) is None
    assert model.to_image(input) is None
    as_array = wrap(net(), preprocess=lambda image: theirs(image)[0].numpy())
    assert torch.equal(as_array.to_input(photo)[0], input)


def test_prepare_without_or_with_a_failing_preprocess(photo):
    with pytest.raises(
        UsageError, match="--size 224, with --mean and --std, in Python preprocess=; or give a float tensor"
    ):
        wrap(net()).to_input(photo)
    with pytest.raises(UsageError, match=r"fails on 'array': ZeroDivisionError: division by zero"):
        wrap(net(), preprocess=lambda image: 1 / 0).to_input(photo)
    with pytest.raises(UsageError, match="it gave str"):
        wrap(net(), preprocess=lambda image: "x").to_input(photo)
    with pytest.raises(UsageError, match=r"it gave \[2, 3, 4, 4\]"):
        wrap(net(), preprocess=lambda image: torch.ones(2, 3, 4, 4)).to_input(photo)


def test_a_torchvision_transform_is_understood(photo):
    T = pytest.importorskip("torchvision.transforms")
    model = wrap(net(), preprocess=T.Compose([T.Resize(12), T.CenterCrop(9), T.ToTensor()]))
    assert isinstance(model.preprocess, Preprocess)
    odd = T.Compose([T.Resize(12), T.CenterCrop(9), T.ToTensor(), T.Lambda(lambda t: t)])
    assert wrap(net(), preprocess=odd).preprocess is odd


def test_colours_in_input_units():
    model = wrap(net(), preprocess=Preprocess(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1.0)))
    assert model.colour_to_input((0.0, 0.2, 1.0)).tolist() == pytest.approx([-0.2, 0.0, 0.7])
    grey = wrap(net(), preprocess=Preprocess(mean=(0.0,), std=(1.0,), channels=1))
    assert grey.colour_to_input((1.0, 0.0, 0.0)).tolist() == pytest.approx([0.299])
    for wrong in ((0, 0, 2), (0, 0), (-0.1, 0, 0)):
        with pytest.raises(UsageError, match="from 0 to 1"):
            model.colour_to_input(wrong)


def test_to_image_clips_and_refuses_other_channels():
    model = wrap(net(), preprocess=Preprocess(mean=(0.5,) * 3, std=(0.5,) * 3))
    input = torch.tensor([-9.0, 0.0, float("nan")]).view(3, 1, 1)
    assert model.to_image(input).tolist() == [[[0, 128, 0]]]
    assert model.to_image(torch.zeros(4, 2, 2)) is None
    assert model.to_image(torch.zeros(1, 3, 2, 2)) is None


def test_the_fingerprint_sees_every_value_and_the_architecture():
    one = wrap(net()).fingerprint()
    assert len(one) == 16
    assert wrap(net()).fingerprint() == one  # another object with equal content
    assert wrap(net().double()).fingerprint() != one
    seen = {one}
    for index in range(len(net().state_dict())):
        module = net()
        value = list(module.state_dict().values())[index]
        value.view(-1)[-1] += 1
        seen.add(wrap(module).fingerprint())
    assert len(seen) == 1 + len(net().state_dict())
    relu, gelu = nn.Sequential(nn.ReLU()), nn.Sequential(nn.GELU())
    assert wrap(relu).fingerprint() != wrap(gelu).fingerprint()
    assert wrap(nn.MaxPool2d(2)).fingerprint() != wrap(nn.MaxPool2d(3)).fingerprint()


class _Scaled(nn.Module):
    """Multiplies by a number that is no parameter, and adds one that is written into its forward."""

    def __init__(self, factor, words=("a",)):
        super().__init__()
        self.factor, self.kept = factor, {"words": list(words), "how": nn.functional.relu}

    def forward(self, x):
        return self.factor * x + 1


class _Other(_Scaled):
    def forward(self, x):
        return self.factor * x + 2


def test_the_fingerprint_sees_what_is_no_tensor():
    """A constant in an attribute, in a container, or in the code is as much a part of a network as its weights."""
    one = wrap(nn.Sequential(_Scaled(2.0)))
    first = one.fingerprint()
    assert wrap(nn.Sequential(_Scaled(2.0))).fingerprint() == first
    others = [_Scaled(3.0), _Scaled(2.0, ("b",)), _Scaled(2)]
    assert len({first, *(wrap(nn.Sequential(each)).fingerprint() for each in others)}) == 4
    _Other.__qualname__ = "_Scaled"
    assert wrap(nn.Sequential(_Other(2.0))).fingerprint() != first
    for change in (
        lambda module: setattr(module, "factor", 5.0), lambda module: module.kept["words"].append("c"),
        lambda module: module.kept.update(how=torch.tanh),
    ):  # fmt: skip
        before = one.fingerprint()
        change(one.module[0])
        assert one.fingerprint() != before
    one.module.train()
    assert one.fingerprint() == one.fingerprint()


def test_the_fingerprint_is_the_same_in_another_process(tmp_path):
    """Sets of words have another order in each."""
    (tmp_path / "own_network.py").write_text(
        "from torch import nn\n"
        "class Net(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.words = {'a', 'bc', 'def', 'g', 'hij'}\n"
        "    def forward(self, x):\n"
        "        return x if 'a' in {'a', 'bc', 'def', 'g', 'hij'} else -x\n"
    )
    code = "import own_network, seewhy; print(seewhy.wrap(own_network.Net()).fingerprint())"
    found = {
        subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(found) == 1


def test_the_fingerprint_sees_swapped_and_constant_values():
    """Both fool an order-blind checksum."""
    swapped, constant = net(), net()
    with torch.no_grad():
        swapped[0].weight.copy_(swapped[0].weight.flip(0))
        constant[1].weight.fill_(2.0)
    assert len({wrap(m).fingerprint() for m in (net(), swapped, constant)}) == 3


def test_the_cached_fingerprint_notices_changes(monkeypatch):
    model = wrap(net())
    one = model.fingerprint()
    monkeypatch.setattr("seewhy.models._fingerprint.fingerprint", lambda module: "recomputed")
    assert model.fingerprint() == one
    with torch.no_grad():
        model.module[0].weight.add_(1)
    assert model.fingerprint() == "recomputed"


@pytest.mark.parametrize("memory", [torch.contiguous_format, torch.channels_last])
def test_the_cached_fingerprint_notices_writes_through_data(memory):
    model = wrap(net().to(memory_format=memory))
    assert model.fingerprint() == wrap(net()).fingerprint()
    one = model.fingerprint()
    version = model.module[0].weight._version
    model.module[0].weight.data.mul_(1.5)
    assert model.module[0].weight._version == version
    two = model.fingerprint()
    assert two != one
    model.module[1].weight.data.fill_(3.0)  # constant, and of even length
    assert model.fingerprint() not in {one, two}


def test_the_fingerprint_leaves_tensors_resizable():
    model = wrap(net())
    assert model.fingerprint() == model.fingerprint()
    assert all(p.untyped_storage().resizable() for p in model.module.parameters())


def test_fingerprints_of_unusual_tensors():
    with torch.inference_mode():
        frozen = net()
    assert wrap(frozen).fingerprint() == wrap(net()).fingerprint()
    holder = nn.Module()
    holder.register_buffer("c", torch.tensor([1 + 2j, 3 - 1j]).conj())
    holder.register_buffer("b", torch.tensor([True, False]), persistent=False)
    holder.register_buffer("e", torch.empty(0, 3))
    holder.register_buffer("s", torch.tensor(4, dtype=torch.bfloat16))
    one = wrap(holder).fingerprint()
    holder.b[1] = True
    assert wrap(holder).fingerprint() != one
    assert wrap(nn.Linear(2, 2, device="meta")).fingerprint() == wrap(nn.Linear(2, 2, device="meta")).fingerprint()
    assert wrap(lambda x: x).fingerprint() == ""


def test_a_model_is_compared_by_identity_and_cannot_be_assigned_to():
    module = net()
    one, two = Model(module, "a"), Model(module, "a")
    assert one != two
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.name = "b"
