"""`Explanation.convention` against the libraries themselves: the very arrays that they return."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

import seewhy
from networks import image, make
from parity.comparing import targets_for
from parity.seeds import SEEDS

pytestmark = pytest.mark.filterwarnings("ignore")  # deprecations and hook warnings inside the libraries

each_seed = pytest.mark.parametrize("seed", SEEDS)


@each_seed
@pytest.mark.parametrize("method", ["grad-cam", "hires-cam", "layer-cam"])
def test_pytorch_grad_cam(method: str, seed: int) -> None:
    """To 1e-5 of the range [0, 1]: it works in float32."""
    library = pytest.importorskip("pytorch_grad_cam")
    outputs = pytest.importorskip("pytorch_grad_cam.utils.model_targets")
    case, x = make("conv-bn-relu", seed), image(seed)
    k = targets_for(x, seed)
    kind = {"grad-cam": "GradCAM", "hires-cam": "HiResCAM", "layer-cam": "LayerCAM"}[method]
    with getattr(library, kind)(case.net, [case.net.get_submodule(case.layer)]) as cam:
        theirs = cam(x.clone(), [outputs.ClassifierOutputTarget(c) for c in k])
    found = seewhy.explain_all(case.net, x, method=method, target=k, layer=case.layer)
    for each, expected in zip(found, theirs, strict=True):
        mine = each.convention("pytorch-grad-cam")
        assert mine.dtype == expected.dtype
        np.testing.assert_allclose(mine, expected, atol=1e-5)


@each_seed
def test_volumes(seed: int) -> None:
    """Maps of a layer of a 3-D network: pytorch-grad-cam's to 1e-5, with its cubic zoom, Captum's and torchcam's to 1e-6."""
    library, outputs = (
        pytest.importorskip("pytorch_grad_cam"),
        pytest.importorskip("pytorch_grad_cam.utils.model_targets"),
    )
    attr, methods = pytest.importorskip("captum.attr"), pytest.importorskip("torchcam.methods")
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Conv3d(2, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Linear(4, 3)).eval()
    x = torch.randn(1, 2, 6, 8, 7)
    found = seewhy.explain(net, x, method="grad-cam", target=1, layer="1")
    with library.GradCAM(net, [net[1]]) as cam:
        theirs = cam(x.clone(), [outputs.ClassifierOutputTarget(1)])[0]
    np.testing.assert_allclose(found.convention("pytorch-grad-cam"), theirs, atol=1e-5)
    plain = attr.LayerGradCam(net, net[1]).attribute(x.clone(), 1).detach()
    np.testing.assert_allclose(found.convention("captum"), plain[0], atol=1e-6)
    large = attr.LayerAttribution.interpolate(plain, (6, 8, 7))[0]
    np.testing.assert_allclose(found.convention("captum", upsample=True), large, atol=1e-6)
    with methods.GradCAM(net, "1", input_shape=(2, 6, 8, 7)) as extractor:
        (own,) = extractor(1, net(x.clone()))
    np.testing.assert_allclose(found.convention("torchcam"), own[0].detach(), atol=1e-5)


def test_full_grad_is_stretched_as_any_map() -> None:
    case, x = make("conv-bn-relu", 1), image(1, batch=1)
    found = seewhy.explain(case.net, x, method="full-grad", target=1)
    stretched = np.maximum(found.values, 0)
    np.testing.assert_allclose(
        found.convention("pytorch-grad-cam"), (stretched - stretched.min()) / np.ptp(stretched), atol=1e-6
    )


@each_seed
@pytest.mark.parametrize("method", ["grad-cam", "layer-cam", "xgrad-cam"])
def test_torchcam(method: str, seed: int) -> None:
    """To 1e-6 of the range [0, 1]."""
    methods = pytest.importorskip("torchcam.methods")
    case, x = make("conv-bn-relu", seed), image(seed)
    k = targets_for(x, seed)
    kind = {"grad-cam": "GradCAM", "layer-cam": "LayerCAM", "xgrad-cam": "XGradCAM"}[method]
    with getattr(methods, kind)(case.net, case.layer, input_shape=tuple(x.shape[1:])) as extractor:
        theirs = extractor(k, case.net(x.clone()))[0]
    found = seewhy.explain_all(case.net, x, method=method, target=k, layer=case.layer)
    for each, expected in zip(found, theirs.detach().numpy(), strict=True):
        np.testing.assert_allclose(each.convention("torchcam"), expected, atol=1e-6)


@each_seed
def test_captum(seed: int) -> None:
    """To 1e-6 of the largest: Saliency's magnitudes, signed values, and Grad-CAM before and after interpolation."""
    attr = pytest.importorskip("captum.attr")
    case, x = make("conv-bn-relu", seed), image(seed)
    k = targets_for(x, seed)

    def agrees(method: str, expected: np.ndarray, layer: str | None = None, **options: object) -> None:
        kept = {} if layer else {"reduce": "none"}
        found = seewhy.explain_all(case.net, x, method=method, target=k, layer=layer, **kept)
        for each, theirs in zip(found, expected, strict=True):
            mine = each.convention("captum", **options)
            np.testing.assert_allclose(mine, theirs, atol=1e-6 * np.abs(theirs).max())

    agrees("saliency", attr.Saliency(case.net).attribute(x.clone(), k).detach().numpy())
    agrees("input-x-gradient", attr.InputXGradient(case.net).attribute(x.clone(), k).detach().numpy())
    agrees("guided-backprop", attr.GuidedBackprop(case.net).attribute(x.clone(), k).detach().numpy())
    cam = attr.LayerGradCam(case.net, case.net.get_submodule(case.layer)).attribute(x.clone(), k).detach()
    agrees("grad-cam", cam.numpy(), case.layer)
    large = attr.LayerAttribution.interpolate(cam, tuple(x.shape[2:]))
    agrees("grad-cam", large.numpy(), case.layer, upsample=True)
