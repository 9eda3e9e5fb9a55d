"""Checkpoints as people have them: which table of weights is taken, which network in it, and what is said of that."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import seewhy
from seewhy.errors import ModelError, UnknownName
from seewhy.models.weights import load_weights, read_weights


def net(classes: int = 5, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, classes))


def saved(path: Path, what: Any) -> Path:
    torch.save(what, path)
    return path


def before(state: dict[str, Any], prefix: str) -> dict[str, Any]:
    return {prefix + name: value for name, value in state.items()}


def is_in(module: nn.Module, source: nn.Module) -> bool:
    ours, theirs = module.state_dict(), source.state_dict()
    return all(torch.equal(ours[name], theirs[name]) for name in theirs)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "model.", "net.", "backbone.", "module._orig_mod.", "a.b.classifier."]
)
def test_the_network_is_found_behind_any_prefix_and_what_is_no_part_of_it_is_left_out(
    tmp_path: Path, prefix: str
) -> None:
    source, module = net(seed=1), net()
    others = {"criterion.weight": torch.ones(5), "train_acc.total": torch.zeros(1), "n_averaged": torch.tensor(3)}
    words = load_weights(
        module, saved(tmp_path / "w.ckpt", {"state_dict": before(source.state_dict(), prefix) | others})
    )
    assert is_in(module, source)
    assert words == (
        f"'state_dict' of it; names without {prefix!r}; 3 other tensors left out (criterion.weight, train_acc.total, "
        "n_averaged)"
    )


def test_a_plain_state_dict_needs_no_words(tmp_path: Path) -> None:
    source, module = net(seed=1), net()
    assert load_weights(module, saved(tmp_path / "w.pth", source.state_dict())) == ""
    assert is_in(module, source)


def test_averaged_weights_and_compiled_parts_load(tmp_path: Path) -> None:
    source, module = net(seed=1), net()
    averaged = torch.optim.swa_utils.AveragedModel(source)
    assert "names without 'module.'" in load_weights(module, saved(tmp_path / "w.pth", averaged.state_dict()))
    assert is_in(module, source)
    inner = {name.replace("0.", "0._orig_mod.", 1): value for name, value in source.state_dict().items()}
    module = net()
    load_weights(module, saved(tmp_path / "c.pth", inner))
    assert is_in(module, source)


def test_of_several_tables_the_usual_one_is_taken_and_the_others_are_named(tmp_path: Path) -> None:
    plain, ema = net(seed=1), net(seed=2)
    path = saved(
        tmp_path / "w.pth",
        {"epoch": 12, "model": plain.state_dict(), "model_ema": ema.state_dict(), "optimizer": {"state": {}}},
    )
    module = net()
    words = load_weights(module, path)
    assert is_in(module, plain)
    assert words == "'model' of it (it also holds 'model_ema': --weights-part); epoch 12"
    load_weights(module, path, part="model_ema")
    assert is_in(module, ema)


def test_a_table_under_a_name_that_nobody_uses_is_taken_where_it_is_the_only_one(tmp_path: Path) -> None:
    source, module = net(seed=1), net()
    load_weights(module, saved(tmp_path / "w.pth", {"epoch": 1, "gewichte": source.state_dict()}))
    assert is_in(module, source)
    both = saved(tmp_path / "b.pth", {"erste": source.state_dict(), "zweite": net().state_dict()})
    with pytest.raises(ModelError, match="2 tables of weights: 'erste', 'zweite'; --weights-part NAME"):
        read_weights(both)
    load_weights(module, both, part="erste")
    assert is_in(module, source)


def test_of_two_networks_under_prefixes_the_usual_one_is_taken_and_others_have_to_be_named(tmp_path: Path) -> None:
    student, teacher = net(seed=1), net(seed=2)
    two = before(student.state_dict(), "model.") | before(teacher.state_dict(), "ema_model.module.")
    path, module = saved(tmp_path / "w.ckpt", {"state_dict": two}), net()
    assert "it also holds 'ema_model.module' (--weights-part)" in load_weights(module, path)
    assert is_in(module, student)
    load_weights(module, path, part="ema_model")
    assert is_in(module, teacher)
    odd = before(student.state_dict(), "links.") | before(teacher.state_dict(), "rechts.")
    path = saved(tmp_path / "o.ckpt", odd)
    with pytest.raises(ModelError, match="holds 2 networks that fit: 'links', 'rechts'; --weights-part NAME"):
        load_weights(module, path)
    assert is_in(module, teacher), "a file that is refused leaves the network as it was"
    load_weights(module, path, part="rechts")
    assert is_in(module, teacher)
    with pytest.raises(UnknownName, match=r"no part 'recht'.*nearest: 'rechts'"):
        load_weights(module, path, part="recht")


def test_old_files_without_what_batch_norms_count_load(tmp_path: Path) -> None:
    source, module = net(seed=1), net()
    old = {f"model.{name}": value for name, value in source.state_dict().items() if "num_batches" not in name}
    load_weights(module, saved(tmp_path / "w.pth", old))
    assert torch.equal(module[0].weight, source[0].weight)  # type: ignore[index]


def test_zoos_and_own_code_say_what_they_took(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_training.py").write_text(
        "from torch import nn\n\n\ndef build(width, classes=5):\n"
        "    return nn.Sequential(nn.Conv2d(3, width, 3), nn.Flatten(), nn.LazyLinear(classes))\n"
    )
    monkeypatch.chdir(tmp_path)
    model = seewhy.load("python:own_training:build", arguments={"width": 7})
    assert model.module[0].out_channels == 7
    with pytest.raises(ModelError, match=r"missing 1 required positional argument: 'width'.*--arg NAME=VALUE"):
        seewhy.load("python:own_training:build")
    timm = pytest.importorskip("timm")
    source = timm.create_model("test_resnet", num_classes=4)
    path = saved(tmp_path / "t.pth", {"state_dict_ema": source.state_dict(), "state_dict": source.state_dict()})
    assert seewhy.load("timm:test_resnet", weights=path).weights == (
        f"file {path}: 'state_dict' of it (it also holds 'state_dict_ema': --weights-part)"
    )


def test_arguments_and_parts_that_nothing_takes(tmp_path: Path) -> None:
    with pytest.raises(seewhy.errors.UsageError, match="arguments are for what builds a network"):
        seewhy.load("builtin", arguments={"num_classes": 3})
    with pytest.raises(seewhy.errors.UsageError, match="--weights-part ema: of which file"):
        seewhy.load("builtin", weights_part="ema")
