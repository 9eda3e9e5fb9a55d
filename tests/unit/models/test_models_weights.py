from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from seewhy.errors import ModelError, UnsafeModel
from seewhy.models.weights import class_counts, load_weights, read_weights


def net(classes=5):
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, classes))


class Hostile:
    """Makes a file as soon as it is unpickled."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return Path.touch, (self.marker,)


def same(found, wanted):
    assert list(found) == list(wanted)
    assert all(torch.equal(found[key], wanted[key]) for key in wanted)


def failure(kind, path, module=None, **options):
    with pytest.raises(kind) as caught:
        read_weights(path, **options) if module is None else load_weights(module, path, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert caught.value.exit_code == 3
    return text


@pytest.mark.parametrize("suffix", ["pth", "pt", "bin", "ckpt", "safetensors"])
def test_a_state_dict_comes_back_as_it_was(tmp_path, suffix):
    state, path = net().state_dict(), tmp_path / f"w.{suffix}"
    if suffix == "safetensors":
        pytest.importorskip("safetensors.torch").save_file(state, path)
        found = read_weights(path)
        same({key: found[key] for key in state}, state)
    else:
        torch.save(state, path)
        same(read_weights(str(path)), state)
        torch.save(state, path, _use_new_zipfile_serialization=False)
        same(read_weights(path), state)


@pytest.mark.parametrize("key", ["state_dict", "model", "model_state_dict", "model_ema"])
def test_what_training_scripts_put_around_it(tmp_path, key):
    state, path = net().state_dict(), tmp_path / "w.pth"
    torch.save({"epoch": 3, key: state, "optimizer": {"lr": 0.1}}, path)
    same(read_weights(path), state)
    torch.save({"model": {"state_dict": state}}, path)
    same(read_weights(path), state)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "model._orig_mod."])
def test_prefixes_are_taken_off_where_that_makes_names_match(tmp_path, prefix):
    source, target, path = net(), net(), tmp_path / "w.pth"
    torch.save({prefix + key: value for key, value in source.state_dict().items()}, path)
    load_weights(target, path)
    same(target.state_dict(), source.state_dict())


def test_prefixes_stay_where_the_network_has_them(tmp_path):
    source, target = nn.ModuleDict({"model": net()}), nn.ModuleDict({"model": net()})
    torch.save(source.state_dict(), tmp_path / "w.pth")
    load_weights(target, tmp_path / "w.pth")
    same(target.state_dict(), source.state_dict())
    inner = {key.replace("model.", "model._orig_mod."): value for key, value in source.state_dict().items()}
    target = nn.ModuleDict({"model": net()})
    torch.save(inner, tmp_path / "w.pth")
    load_weights(target, tmp_path / "w.pth")
    same(target.state_dict(), source.state_dict())


def test_a_mismatch_says_what_and_changes_nothing(tmp_path):
    target, path = net(), tmp_path / "w.pth"
    before = {key: value.clone() for key, value in target.state_dict().items()}
    torch.save(net(7).state_dict(), path)
    text = failure(ModelError, path, target)
    assert "it has 7 classes, the network 5" in text
    assert "3.weight [7, 16] instead of [5, 16]" in text
    state = net().state_dict()
    state["0.weight"] += 1
    state["extra"] = state.pop("3.bias")
    torch.save(state, path)
    text = failure(ModelError, path, target)
    assert "1 of the network's 9 tensors are missing (3.bias)" in text
    assert "1 of the file's 9 are unexpected (extra)" in text
    torch.save({f"other.{k}": torch.ones(1) for k in range(9)}, path)
    assert "9 of the file's 9 are unexpected (other.0, other.1, other.2, ...)" in failure(ModelError, path, target)
    same(target.state_dict(), before)


def test_class_counts_only_where_nothing_else_differs():
    assert class_counts(net(5), net(9).state_dict()) == (9, 5)
    assert class_counts(net(5), net(5).state_dict()) is None
    wider = nn.Sequential(nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(32, 5))
    assert class_counts(net(5), wider.state_dict()) is None


def test_modules_that_know_older_names_may_read_them(tmp_path):
    class Renamed(nn.Module):
        def __init__(self):
            super().__init__()
            self.new = nn.Linear(2, 2)

        def _load_from_state_dict(self, state, prefix, *rest):
            for leaf in ("weight", "bias"):
                state[f"{prefix}new.{leaf}"] = state.pop(f"{prefix}old.{leaf}")
            super()._load_from_state_dict(state, prefix, *rest)

    torch.save({"old.weight": torch.eye(2), "old.bias": torch.ones(2)}, tmp_path / "w.pth")
    target = Renamed()
    load_weights(target, tmp_path / "w.pth")
    assert torch.equal(target.new.weight, torch.eye(2))


@pytest.mark.parametrize("protocol", range(6))
def test_a_hostile_bare_pickle_never_runs(tmp_path, protocol):
    marker, path = tmp_path / "marker", tmp_path / "w.pth"
    path.write_bytes(pickle.dumps({"a": Hostile(marker)}, protocol=protocol))
    text = failure(UnsafeModel, path)
    assert "Path.touch" in text or "getattr" in text or "PosixPath" in text
    assert "--trust-pickle" in text
    assert not marker.exists()


@pytest.mark.parametrize("modern", [True, False])
@pytest.mark.parametrize("suffix", ["pth", "pt", "bin", "ckpt", "jpg"])
def test_a_hostile_checkpoint_never_runs(tmp_path, modern, suffix):
    marker, path = tmp_path / "marker", tmp_path / f"w.{suffix}"
    payload = {"weight": torch.ones(2), "extra": Hostile(marker)}
    torch.save(payload, path, _use_new_zipfile_serialization=modern)
    assert "would run code" in failure(UnsafeModel, path)
    failure(UnsafeModel, path, net())
    assert not marker.exists()
    with pytest.raises(ModelError, match="no state dict"):  # it holds more than tensors
        read_weights(path, trust_pickle=True)
    assert marker.exists()  # the payload is live: the refusals above were not luck


def test_a_newer_protocol_names_what_it_wanted(tmp_path):
    marker, path = tmp_path / "marker", tmp_path / "w.pth"
    torch.save({"extra": Hostile(marker)}, path, pickle_protocol=5)
    assert "would run code" in failure(UnsafeModel, path)
    torch.save(net().state_dict(), path, pickle_protocol=5)
    assert "protocol that torch does not read safely" in failure(UnsafeModel, path)
    assert list(read_weights(path, trust_pickle=True)) == list(net().state_dict())
    assert not marker.exists()


def test_whole_modules_and_programs_only_with_trust(tmp_path):
    module, path = net().eval(), tmp_path / "w.pth"
    torch.save(module, path)
    assert "torch.nn.modules.container.Sequential" in failure(UnsafeModel, path)
    same(read_weights(path, trust_pickle=True), module.state_dict())
    torch.save({"model": module, "epoch": 1}, path)
    same(read_weights(path, trust_pickle=True), module.state_dict())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.trace(module, torch.ones(1, 3, 4, 4)).save(str(path))
    assert "TorchScript" in failure(UnsafeModel, path)
    same(read_weights(path, trust_pickle=True), module.state_dict())


def test_plain_numpy_scalars_are_named(tmp_path):
    torch.save({"state_dict": net().state_dict(), "best": np.float64(0.9)}, tmp_path / "w.pth")
    assert "scalar" in failure(UnsafeModel, tmp_path / "w.pth")


@pytest.mark.parametrize("suffix", ["pth", "safetensors"])
def test_files_that_are_no_checkpoints(tmp_path, suffix):
    path = tmp_path / f"w.{suffix}"
    path.touch()
    assert "empty (0 bytes)" in failure(ModelError, path)
    path.write_text("dear reader, this is a letter\n" * 20)
    assert "no checkpoint" in failure(ModelError, path) or "no safetensors" in failure(ModelError, path)
    path.write_bytes(b"PK\x03\x04" + bytes(200))
    assert "cannot read" in failure(ModelError, path)
    for share in (0.2, 0.5, 0.9):
        for modern in (True, False):
            torch.save(net().state_dict(), path, _use_new_zipfile_serialization=modern)
            data = path.read_bytes()
            path.write_bytes(data[: int(len(data) * share)])
            assert "cannot read" in failure(ModelError, path)


def test_missing_files_folders_and_other_contents(tmp_path):
    torch.save(net().state_dict(), tmp_path / "resnet.pth")
    assert "resnet.pth" in failure(ModelError, tmp_path / "resnett.pth")
    assert "folder" in failure(ModelError, tmp_path)
    torch.save(torch.ones(3), tmp_path / "t.pth")
    assert "holds a Tensor, not a state dict" in failure(ModelError, tmp_path / "t.pth")
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "t.pth")
    assert "its keys: ['epoch', 'lr']" in failure(ModelError, tmp_path / "t.pth")
    torch.save({}, tmp_path / "t.pth")
    assert "no state dict" in failure(ModelError, tmp_path / "t.pth")
