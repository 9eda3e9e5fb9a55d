"""Networks of one's own from the command line: code, weights, how a photo becomes an input, and a name for all that."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import seewhy
from exports import save_onnx
from seewhy.models import Preprocess

CODE = """
import torch
from torch import nn


class SmallNet(nn.Module):
    def __init__(self, num_classes=10, width=8):
        super().__init__()
        self.conv1 = nn.Conv2d(3, width, 3, padding=1)
        self.conv2 = nn.Conv2d(width, 8, 3, padding=1)
        self.fc = nn.Linear(8 * 8 * 8, num_classes)

    def forward(self, x):
        x = nn.functional.max_pool2d(torch.relu(self.conv1(x)), 2)
        x = nn.functional.max_pool2d(torch.relu(self.conv2(x)), 2)
        return self.fc(x.flatten(1))


class Digits(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.fc = nn.Conv2d(1, 4, 5), nn.Linear(4 * 12 * 12, 10)

    def forward(self, x):
        return self.fc(nn.functional.max_pool2d(torch.relu(self.conv(x)), 2).view(-1, 576)).log_softmax(1)


class Satellite(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU())
        self.head = nn.Linear(8, 6)

    def forward(self, x):
        return self.head(self.body(x).mean((2, 3)))
"""
MODULE = "seewhy_own_training"
NORMAL = ("--size", "32", "--mean", ".49,.48,.45", "--std", ".25,.24,.26")


@pytest.fixture
def own(say: Any) -> Any:
    """A command line whose model is the one that it names."""

    def run_it(*words: str) -> Any:
        return say(*words, model=None)

    return run_it


@pytest.fixture
def training(work: Path) -> Any:
    """The user's training script, and what it saved."""
    (work / f"{MODULE}.py").write_text(CODE)
    torch.manual_seed(0)
    module: dict[str, Any] = {}
    exec(CODE, module)
    return module


def _score(said: Any) -> float:
    return float(said.document["images"][0]["explanations"][0]["score"])


def _by_hand(net: torch.nn.Module, photo: str, way: Preprocess) -> float:
    with torch.no_grad(), Image.open(photo) as image:
        return float(net.eval()(way(image)[None]).max())


def test_a_network_in_a_training_script_with_its_checkpoint(own: Any, training: Any, work: Path) -> None:
    net = training["SmallNet"](7, width=6)
    torch.save({"epoch": 3, "model": net.state_dict(), "optimizer": {}}, work / "model.pth")
    (work / "classes.txt").write_text("\n".join("abcdefg"))
    said = own(
        "explain", "a.png", "--model", f"python:{MODULE}:SmallNet", "--weights", "model.pth", *NORMAL,
        "--labels", "classes.txt", "--arg", "num_classes=7", "--arg", "width=6", "--json",
    )  # fmt: skip
    assert said.code == 0, said.err
    assert "weights are of file model.pth: 'model' of it; epoch 3" in said.err
    way = Preprocess((32, 32), (32, 32), "crop", (0.49, 0.48, 0.45), (0.25, 0.24, 0.26))
    assert _score(said) == pytest.approx(_by_hand(net, "a.png", way), rel=1e-5)
    assert said.document["images"][0]["prediction"]["label"] in "abcdefg"


def test_a_grey_network_and_one_of_four_bands(own: Any, training: Any, work: Path) -> None:
    digits, satellite = training["Digits"](), training["Satellite"]()
    torch.save({f"module.{name}": value for name, value in digits.state_dict().items()}, work / "digits.pt")
    lightning = {f"model.{name}": value for name, value in satellite.state_dict().items()}
    torch.save({"state_dict": {**lightning, "loss.weight": torch.ones(6)}, "epoch": 1}, work / "sat.ckpt")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (28, 28), dtype=np.uint8)).save("digit.png")
    four = rng.integers(0, 256, (64, 64, 4), dtype=np.uint8)
    Image.fromarray(four).save("sat.png")
    said = own(
        "explain", "digit.png", "--model", f"python:{MODULE}:Digits", "--weights", "digits.pt", "--size", "28",
        "--mean", ".1307", "--std", ".3081", "-M", "saliency", "--json",
    )  # fmt: skip
    with Image.open("digit.png") as image:
        x = torch.from_numpy(np.array(image)).float().div(255).sub(0.1307).div(0.3081)[None, None]
    seen: list[torch.Tensor] = []
    digits.fc.register_forward_hook(lambda module, given, output: seen.append(output.detach()))
    digits(x)
    assert _score(said) == pytest.approx(float(seen[0].max()), rel=1e-4)
    said = own(
        "explain", "sat.png", "--model", f"python:{MODULE}:Satellite", "--weights", "sat.ckpt", "--size", "64", "--json"
    )
    assert "names without 'model.'; 1 other tensor left out (loss.weight)" in said.err
    x = torch.from_numpy(four).permute(2, 0, 1)[None].float() / 255
    assert _score(said) == pytest.approx(float(satellite.eval()(x).detach().max()), rel=1e-4)


def test_a_model_is_remembered_under_a_name(own: Any, training: Any, work: Path) -> None:
    torch.save(training["SmallNet"]().state_dict(), work / "model.pth")
    spec = ("--model", f"python:{MODULE}:SmallNet", "--weights", "model.pth", *NORMAL)
    first = own("explain", "a.png", *spec, "--save-model", "mine", "--json")
    assert tomllib.loads((work / "seewhy.toml").read_text())["models"]["mine"] == {
        "model": f"python:{MODULE}:SmallNet", "weights": "model.pth", "size": "32", "mean": ".49,.48,.45",
        "std": ".25,.24,.26",
    }  # fmt: skip
    (work / "seewhy.toml").write_text("# mine\n" + (work / "seewhy.toml").read_text())
    again = own("explain", "a.png", "--model", "mine", "--json")
    assert _score(again) == _score(first)
    other = own("explain", "a.png", "--model", "mine", "--mean", "0", "--save-model", "other", "--json")
    assert _score(other) != _score(first), "what is typed goes before what was saved"
    kept = (work / "seewhy.toml").read_text()
    assert kept.startswith("# mine\n"), "what people wrote into the file stays"
    assert tomllib.loads(kept)["models"]["other"]["mean"] == "0"
    assert own("layers", "--model", "mine").code == 0


def test_numbers_and_lists_may_be_written_by_hand(own: Any, training: Any, work: Path) -> None:
    torch.save(training["SmallNet"](7).state_dict(), work / "model.pth")
    (work / "seewhy.toml").write_text(
        f'[models.mine]\nmodel = "python:{MODULE}:SmallNet"\nweights = "model.pth"\nsize = 32\n'
        'mean = [0.49, 0.48, 0.45]\nstd = 0.25\narg = ["num_classes=7"]\nchannels = 3\n'
    )
    typed = ("--model", f"python:{MODULE}:SmallNet", "--weights", "model.pth", "--arg", "num_classes=7")
    by_words = own("explain", "a.png", *typed, "--size", "32", "--mean", ".49,.48,.45", "--std", ".25", "--json")
    assert _score(own("explain", "a.png", "--model", "mine", "--json")) == _score(by_words)


def test_leave_to_run_code_is_never_remembered(own: Any, training: Any, work: Path) -> None:
    torch.save(training["SmallNet"]().state_dict(), work / "model.pth")
    spec = ("--model", f"python:{MODULE}:SmallNet", "--weights", "model.pth", *NORMAL)
    assert own("explain", "a.png", *spec, "--trust-pickle", "--save-model", "mine").code == 0
    assert "trust" not in (work / "seewhy.toml").read_text()
    (work / "seewhy.toml").write_text('[models.mine]\nmodel = "builtin"\ntrust_pickle = true\n')
    assert "no key in [models.mine] 'trust_pickle'" in own("layers", "--model", "mine").complaint
    (work / "seewhy.toml").write_text(f'[models.builtin]\nmodel = "python:{MODULE}:SmallNet"\n')
    assert "SmallNet" not in own("layers", "--model", "builtin").out, "no file makes another model of the built-in one"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[models.mine", "cannot read seewhy.toml"),
        ("[models.mine]\nsize = '32'\n", "[models.mine] names no model"),
        ("[models]\nmine = 3\n", "[models.mine] names no model"),
        ("[models.mine]\nmodel = 'builtin'\nmeen = '0'\n", "nearest: 'mean'"),
        ("[models.mine]\nmodel = 'builtin'\nmean = {a = 1}\n", "mean of [models.mine] is"),
        ("[models.mine]\nmodel = 'builtin'\narg = [3]\n", "arg of [models.mine] is [3]"),
        ("[models.mine]\nmodel = 'builtin'\nchannels = 'grey'\n", "channels of [models.mine] is 'grey'"),
        ("[models.mine]\nmodel = 'builtin'\nas_is = 1\n", "as_is of [models.mine] is 1"),
    ],
)
def test_a_file_of_models_that_says_nothing_useful(own: Any, work: Path, text: str, words: str) -> None:
    (work / "seewhy.toml").write_text(text)
    said = own("layers", "--model", "mine")
    assert said.code == 2
    assert words in said.complaint


@pytest.mark.parametrize("name", ["a:b", "builtin", "", "a b", "../x"])
def test_a_name_that_could_be_something_else(own: Any, training: Any, name: str) -> None:
    said = own("layers", "--model", f"python:{MODULE}:SmallNet", "--save-model", name)
    assert (said.code, "--save-model" in said.complaint) == (2, True)


@pytest.mark.parametrize(
    ("typed", "way"),
    [
        (("--size", "16x20"), {"size": (16, 20), "resize": (16, 20), "mode": "crop"}),
        (("--size", "24", "--resize", "32"), {"size": (24, 24), "resize": 32}),
        (("--size", "24", "--resize", "none"), {"size": (24, 24), "resize": None}),
        (("--size", "24", "--whole", "letterbox"), {"size": (24, 24), "resize": (24, 24), "mode": "border"}),
        (("--size", "24", "--whole", "squash"), {"size": (24, 24), "resize": (24, 24), "mode": "squash"}),
        (("--size", "24", "--range", "255"), {"size": (24, 24), "mean": (0.0,) * 3, "std": (1 / 255,) * 3}),
        (("--size", "24", "--range", "255", "--mean", "104,117,124", "--std", "1", "--bgr"),
         {"mean": (104 / 255, 117 / 255, 124 / 255), "std": (1 / 255,) * 3, "order": "bgr"}),
        (("--size", "24", "--mean", "0.5", "--std", "0.5"), {"mean": (0.5,) * 3, "std": (0.5,) * 3}),
        (("--size", "24", "--interpolation", "bicubic"), {"interpolation": "bicubic"}),
        (("--as-is",), {"size": None, "resize": None}),
    ],
)  # fmt: skip
def test_words_about_the_input(training: Any, typed: tuple[str, ...], way: dict[str, Any]) -> None:
    from seewhy.cli.photo_input import InputOptions

    names = {"--size": "size", "--resize": "resize", "--whole": "whole", "--range": "range", "--mean": "mean",
             "--std": "std", "--interpolation": "interpolation"}  # fmt: skip
    given: dict[str, Any] = {"bgr": "--bgr" in typed, "as_is": "--as-is" in typed}
    for option, name in names.items():
        if option in typed:
            value = typed[typed.index(option) + 1]
            given[name] = float(value) if name == "range" else value
    ours = InputOptions(**given).applied(seewhy.wrap(training["SmallNet"]())).preprocess
    assert isinstance(ours, Preprocess)
    for name, value in way.items():
        numbers = name in ("mean", "std")
        assert getattr(ours, name) == (pytest.approx(value) if numbers else value), name


def test_another_size_of_a_known_network_keeps_its_way() -> None:
    from seewhy.cli.photo_input import InputOptions

    known = seewhy.wrap(torch.nn.Conv2d(3, 2, 3), preprocess=Preprocess((224, 224), 256))
    ours = InputOptions(size="448").applied(known).preprocess
    assert ours == Preprocess((448, 448), 512)
    assert InputOptions().applied(known) is known
    grey = InputOptions(size="28", channels=1).applied(known).preprocess
    assert (grey.channels, grey.mean, grey.std) == (1, (0.0,), (1.0,))  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        (("--mean", "0"), "how large are the inputs of SmallNet? Add --size 224"),
        (("--size", "big"), "--size big: a number of pixels, or height x width"),
        (("--size", "32", "--mean", "1,2,3"), "no values of inputs from 0 to 1; if inputs count to 255"),
        (("--size", "32", "--mean", ".1,.2"), "3 channels"),
        (("--size", "32", "--std", "a,b,c"), "numbers with commas between them"),
        (("--size", "32", "--mean", "104,117,124"), "add --range 255"),
        (("--size", "32", "--range", "-1"), "--range -1"),
        (("--size", "32", "--whole", "pad"), "letterbox"),
        (("--size", "32", "--as-is"), "--as-is leaves photos as they are"),
        (("--size", "32", "--interpolation", "cubic"), "no interpolation 'cubic'"),
        (("--size", "32", "--arg", "num_classes"), "--arg 'num_classes': write NAME=VALUE"),
        (("--size", "32", "--arg", "classes=3"), "unexpected keyword argument 'classes'"),
        (("--size", "32", "--weights-part", "ema"), "--weights-part ema: of which file"),
        ((), "nothing says how a photo becomes an input of SmallNet: --size 224"),
    ],
)
def test_words_that_cannot_be_read(own: Any, training: Any, typed: tuple[str, ...], words: str) -> None:
    said = own("explain", "a.png", "--model", f"python:{MODULE}:SmallNet", *typed)
    assert said.code in (2, 3)
    assert words in said.complaint


def test_files_with_their_network_inside_take_the_same_words(own: Any, work: Path) -> None:
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    torch.manual_seed(0)
    net = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(4 * 196, 3)
    )
    save_onnx(net.eval(), work / "net.onnx", 16)
    said = own(
        "explain", "a.png", "--model", "onnx:net.onnx", "--mean", ".4,.5,.6", "--std", ".2", "--json", "-M", "saliency"
    )
    way = Preprocess((16, 16), None, "squash", (0.4, 0.5, 0.6), (0.2,) * 3)
    assert _score(said) == pytest.approx(_by_hand(net, "a.png", way), rel=1e-4)


def test_as_is_takes_the_photo_at_its_own_size(own: Any, training: Any) -> None:
    said = own("explain", "a.png", "--model", f"python:{MODULE}:Satellite", "--as-is", "--json")
    assert "takes 4 channels, and 'a.png' has 3" in said.complaint
    said = own(
        "explain", "a.png", "--model", "python:seewhy_cli_networks:labelled", "--as-is", "-M", "saliency", "--json"
    )
    with Image.open("a.png") as image:
        assert tuple(said.document["images"][0]["explanations"][0]["size"]) == image.size[::-1]
