"""Units on other libraries: their adapters give what our method of the same formula gives, and what is known of them
shows."""

from __future__ import annotations

import importlib

import numpy as np
import pytest

from seewhy import conformance
from seewhy.conformance import Maps, Scene, units
from seewhy.conformance.explainers import ours
from seewhy.conformance.peers import LIBRARIES, explainers

pytestmark = pytest.mark.filterwarnings("ignore")  # deprecations and hook warnings inside the libraries

MODULES = {"captum": "captum", "pytorch-grad-cam": "pytorch_grad_cam", "torchcam": "torchcam", "zennit": "zennit"}
#: the same formula in the same units, but for a positive factor: at the input, of a layer
SAME = {
    "captum": ("Saliency", "InputXGradient", "IntegratedGradients", "DeepLift", "Occlusion", "FeatureAblation",
               "LayerGradCam", "LayerGradientXActivation"),
    "pytorch-grad-cam": ("GradCAM", "HiResCAM", "XGradCAM", "LayerCAM", "GradCAMElementWise"),
    "torchcam": ("CAM", "GradCAM", "LayerCAM", "XGradCAM"),
    "zennit": ("Gradient", "IntegratedGradients", "Occlusion"),
}  # fmt: skip


def _scene() -> Scene:
    def maps(scene: Scene) -> Maps:
        return Maps(scene.answer.double(), "attribution", 1e-4)

    return units["two-detectors"].scenes(maps)[0]


@pytest.mark.parametrize(("library", "name"), [(library, name) for library, names in SAME.items() for name in names])
def test_an_adapter_gives_the_formula(library: str, name: str) -> None:
    pytest.importorskip(MODULES[library])
    (peer,) = explainers(library, [name])
    theirs, mine = peer.maps(_scene()).cells.numpy(), ours(peer.like).maps(_scene()).cells.numpy()
    factor = float((theirs * mine).sum() / (mine * mine).sum())
    assert factor > 0
    np.testing.assert_allclose(theirs, factor * mine, atol=0.02 * np.abs(theirs).max())


@pytest.mark.parametrize("library", LIBRARIES)
def test_every_library_runs(library: str) -> None:
    pytest.importorskip(MODULES[library])
    found = conformance.run(None, "two-detectors", library)
    assert {row.outcome for row in found.pairs} <= {"passed", "failed by design", "not applicable"}
    assert len(found.rows) >= 7
    assert importlib.metadata.version(conformance.peers._file(library).PACKAGE) in found.versions.values()


def test_what_is_known_of_them_shows() -> None:
    pytest.importorskip("zennit")
    pytest.importorskip("pytorch_grad_cam")
    # shows the score of a window alone, where its words say that the window is hidden
    assert [row.outcome for row in conformance.run("Occlusion", "and", "zennit").rows] == ["failed"]
    # divides by a score of 0
    (row,) = conformance.run("AblationCAM", "cancellation", "pytorch-grad-cam").rows
    assert row.found == "maps with 16 values that are NaN or infinite"
