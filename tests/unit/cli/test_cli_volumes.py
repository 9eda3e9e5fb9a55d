"""Medical files on the command line: volumes for networks that take them, slices and DICOM pictures for others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from scans import blob, write_dicom, write_nifti, write_series

pytest.importorskip("pydicom")
nibabel = pytest.importorskip("nibabel")

CODE = """
import torch
from torch import nn


def small():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv3d(1, 4, 3), nn.ReLU(), nn.Conv3d(4, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(),
            nn.Linear(4, 3),
        ).eval()


def flat():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
        ).eval()


def segmenting():
    net = nn.Conv2d(1, 1, 1).eval()
    nn.init.ones_(net.weight)
    nn.init.constant_(net.bias, -0.5)
    return net
"""
VALUES = 2 * np.floor(blob((8, 12, 10), (5, 3, 6)) / 2)


@pytest.fixture
def scans(work: Path) -> Path:
    """The working directory, with a network's code, a NIfTI file, a series and a picture."""
    (work / "seewhy_own_scans.py").write_text(CODE)
    write_nifti(work / "scan.nii.gz", VALUES.transpose(2, 1, 0).astype(np.float32))
    write_series(work / "series", VALUES)
    write_dicom(work / "a.dcm", VALUES[5].astype(np.int16), WindowCenter=40, WindowWidth=400, Modality="CT")
    return work


@pytest.fixture
def ask(say: Any, scans: Path) -> Any:
    def run_it(*words: str, net: str = "small") -> Any:
        return say("explain", *words, "--model", f"python:seewhy_own_scans:{net}", model=None)

    return run_it


@pytest.mark.parametrize("source", ["scan.nii.gz", "series"])
def test_a_volume_is_explained(ask: Any, scans: Path, source: str) -> None:
    done = ask(source, "--as-is", "-M", "grad-cam", "--format", "png,npz,nii.gz", "--values", "-160,240", "--out", "o")
    assert done.code == 0, done.err
    assert "-160..240" in done.out + done.err
    (path,) = (scans / "o").glob("*.nii.gz")
    assert path.name.startswith(source.split(".")[0] + "_")
    assert nibabel.load(path).shape == (10, 12, 8)
    np.testing.assert_allclose(np.abs(np.diag(nibabel.load(path).affine)), (1, 1.5, 2.5, 1))
    assert len(list((scans / "o").glob("*.png"))) == 1


def test_size_in_three_numbers_and_several_sources(ask: Any, scans: Path) -> None:
    done = ask("scan.nii.gz", "series", "--size", "8x8x8", "-M", "saliency", "--out", "o")
    assert done.code == 0, done.err
    assert len(list((scans / "o").glob("*saliency*.png"))) == 2


def test_a_dicom_picture_and_a_slice(ask: Any, scans: Path) -> None:
    done = ask(
        "a.dcm", "series#5", "--as-is", "--values", "raw", "-M", "saliency", "--format", "npz", "--out", "o", net="flat"
    )
    assert done.code == 0, done.err
    import seewhy

    files = sorted((scans / "o").glob("*.npz"))
    assert [path.name.split("_")[0] for path in files] == ["a", "series-5"]
    for path in files:
        given = seewhy.Explanation.load(path).input
        assert given is not None
        assert np.array_equal(given[0], VALUES[5])


@pytest.mark.parametrize(
    ("words", "net", "said"),
    [
        (("scan.nii.gz", "--as-is"), "flat", "a volume of 8 slices of 12 x 10, and .* give one slice, such as 'scan.nii.gz#4'"),
        (("a.dcm", "--as-is"), "small", r"'a.dcm' is one picture, and .* takes inputs \[D, H, W\]"),
        (("scan.nii.gz", "--as-is", "--values", "4"), "small", r"--values 4: raw, or the values that become 0 and 1"),
        (("scan.nii.gz", "--values", "raw"), "small", "Add --size 32x64x64, or --as-is"),
        (("scan.nii.gz",), "small", "nothing says how a volume becomes an input"),
        (("a.dcm", "--as-is", "--bands", "3,2,1"), "flat", r"--bands 3,2,1: the three shown"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_one_line(ask: Any, words: tuple[str, ...], net: str, said: str) -> None:
    import re

    done = ask(*words, "-M", "saliency", net=net)
    assert done.code in (2, 4)
    assert re.search(said, " ".join(done.err.split())), done.err


def test_a_file_of_another_kind_is_passed_over_with_its_reason(ask: Any) -> None:
    """The others go on, whatever stands first; alone it is told as before. A wrong question is told before any of them."""
    import json

    for words, net, lost in (
        (("scan.nii.gz", "a.dcm"), "flat", r"volume of 8 slices"), (("a.dcm", "scan.nii.gz"), "small", "is one picture"),
    ):  # fmt: skip
        done = ask(*words, "--as-is", "-M", "saliency", "--json", "--out", "o", net=net)
        assert done.code == 1, done.err
        told = json.loads(done.out)
        assert [each["image"] for each in told["images"]] == [words[1]]
        assert [each["image"] for each in told["failed"]] == [words[0]]
        assert lost in told["failed"][0]["reason"]
    alone = ask("scan.nii.gz", "--as-is", "-M", "saliency", "--json", "--out", "o", net="flat")
    assert alone.code == 2
    assert json.loads(alone.out)["failed"][0]["image"] == "scan.nii.gz"
    wrong = ask("scan.nii.gz", "a.dcm", "--as-is", "-M", "salience", "--json", "--out", "o", net="flat")
    assert (wrong.code, wrong.out) == (2, "")


def test_what_one_picture_has_not_the_next_may_have(ask: Any, scans: Path) -> None:
    import json

    for name, value in (("dark.dcm", 0), ("bright.dcm", 200)):
        write_dicom(scans / name, np.full((12, 10), value, np.int16), WindowCenter=100, WindowWidth=200)
    words = ("dark.dcm", "bright.dcm", "--as-is", "-M", "saliency", "--target", "region 0", "--json", "--out", "o")
    done = ask(*words, net="segmenting")
    assert done.code == 1, done.err
    told = json.loads(done.out)
    assert [each["image"] for each in told["images"]] == ["bright.dcm"]
    assert "class 0 is predicted nowhere in the picture" in told["failed"][0]["reason"]


def test_the_doctor_of_a_network_of_volumes_needs_no_photo(say: Any, scans: Path) -> None:
    import json

    for given in (("--as-is",), ("--size", "8x12x10")):
        done = say("doctor", "--model", "python:seewhy_own_scans:small", *given, "-M", "saliency", "--json", model=None)
        told = json.loads(done.out)
        assert [each["works"] for each in told["methods"]] == [True], done.err
        assert ("(1, 1, 8, 12, 10)" if len(given) > 1 else "(1, 1, 16, 64, 64)") in told["facts"]["input"]
