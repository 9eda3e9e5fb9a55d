"""pytorch-grad-cam and torchcam, where they compute the same thing: maps before their ReLU, min-max and resizing."""

from __future__ import annotations

import contextlib
import io
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from networks import image, make
from parity.comparing import agree, differ, ours, targets_for
from parity.seeds import SEEDS
from seewhy import targets as t

pytestmark = pytest.mark.filterwarnings("ignore")  # deprecations inside both libraries

NETWORKS = ["conv-bn-relu", "bias-free", "relu6-in-place", "silu", "gelu", "residual"]
#: activations that are never negative, so that no sum over positions nearly cancels against a peer's epsilon
RECTIFIED = ["conv-bn-relu", "bias-free", "relu6-in-place", "residual"]
each_seed = pytest.mark.parametrize("seed", SEEDS)


def _grad_cam_library(kind: str, net: nn.Module, layer: str, x: Tensor, k: list[int], factor: float = 1.0) -> Any:
    """pytorch-grad-cam's map [B, h, w] before anything is done to it."""
    library = pytest.importorskip("pytorch_grad_cam")
    base = getattr(library, kind, None)
    if base is None:
        base = getattr(pytest.importorskip("pytorch_grad_cam.kpca_cam"), kind)

    class Kept(base):
        def get_cam_image(self, *args: Any, **kwargs: Any) -> np.ndarray:
            self.kept = super().get_cam_image(*args, **kwargs)
            return self.kept

    goals = [lambda row, c=c: factor * row[c] for c in k]
    with contextlib.redirect_stderr(io.StringIO()), Kept(net, [net.get_submodule(layer)]) as cam:
        cam(x.clone(), goals)
        return cam.kept


def _torchcam(kind: str, net: nn.Module, layer: str, x: Tensor, k: list[int], **given: Any) -> Tensor:
    """torchcam's map [B, h, w] after its ReLU, before its min-max."""
    methods = pytest.importorskip("torchcam.methods")
    with getattr(methods, kind)(net, layer, input_shape=tuple(x.shape[1:]), **given) as extractor:
        scores = net(x.clone())
        return extractor(k, scores, normalized=False)[0].detach()


EXACT = {
    "grad-cam": ("GradCAM", "GradCAM"),
    "hires-cam": ("HiResCAM", None),
    "layer-cam": ("LayerCAM", "LayerCAM"),
    "grad-cam-elementwise": ("GradCAMElementWise", None),
}


@each_seed
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("method", sorted(EXACT))
def test_first_order_maps(method: str, network: str, seed: int) -> None:
    """To 1e-5 of the map's maximum. pytorch-grad-cam signed; torchcam after its ReLU."""
    case, x = make(network, seed), image(seed)
    k = targets_for(x, seed)
    found = ours(case.net, x, method, k, case.layer)
    first, second = EXACT[method]
    agree(found, _grad_cam_library(first, case.net, case.layer, x, k), 1e-5)
    if second is not None:
        agree(np.maximum(found, 0), _torchcam(second, case.net, case.layer, x, k), 1e-5)


@each_seed
@pytest.mark.parametrize("network", RECTIFIED)
def test_xgrad_cam(network: str, seed: int) -> None:
    """To 1e-5, where activations are not negative: both add an epsilon (1e-7, 1e-8) to sum A, we set 0 / 0 to 0."""
    case, x = make(network, seed), image(seed)
    k = targets_for(x, seed)
    found = ours(case.net, x, "xgrad-cam", k, case.layer)
    agree(found, _grad_cam_library("XGradCAM", case.net, case.layer, x, k), 1e-5)
    agree(np.maximum(found, 0), _torchcam("XGradCAM", case.net, case.layer, x, k), 1e-5)


@each_seed
@pytest.mark.parametrize("network", RECTIFIED)
def test_grad_cam_pp(network: str, seed: int) -> None:
    """To 1e-5 with pytorch-grad-cam, for a score scaled by a million so that its epsilon of 1e-6 in alpha is nothing.

    torchcam 0.5 divides a copy by its normaliser, so its alpha is g^2 itself: its map is shown to be that one, and not
    ours.
    """
    case, x = make(network, seed), image(seed)
    k = targets_for(x, seed)
    scaled = [[1e6 * t.Logit(c)] for c in k]
    expected = _grad_cam_library("GradCAMPlusPlus", case.net, case.layer, x, k, factor=1e6)
    agree(ours(case.net, x, "grad-cam-pp", scaled, case.layer), expected, 1e-5)
    theirs = _torchcam("GradCAMpp", case.net, case.layer, x, k)
    leaf: list[Tensor] = []
    with contextlib.closing(_Taken(case.net.get_submodule(case.layer), leaf)):
        scores = case.net(x.clone())
    (g,) = torch.autograd.grad(scores[range(len(k)), k].sum(), leaf[0])
    undivided = ((g.square() * g.clamp(min=0)).sum((2, 3), keepdim=True) * leaf[0]).sum(1)
    if float(theirs.abs().max()) > 0:
        agree(theirs, undivided.clamp(min=0).detach(), 1e-5)
        differ(np.maximum(ours(case.net, x, "grad-cam-pp", k, case.layer), 0), theirs, 1e-3)


class _Taken:
    """Keeps a layer's output; closed, it leaves no hook."""

    def __init__(self, module: nn.Module, into: list[Tensor]) -> None:
        self._handle = module.register_forward_hook(lambda _module, _args, out: into.append(out))

    def close(self) -> None:
        self._handle.remove()


@each_seed
@pytest.mark.parametrize("network", ["conv-bn-relu", "silu", "gelu", "residual"])
def test_eigen_cams(network: str, seed: int) -> None:
    """To 1e-5, up to the sign, with channels centred, as pytorch-grad-cam does and the paper does not; theirs is
    rounded to float32 and leaves the sign to chance. KPCA-CAM needs scikit-learn there."""
    case, x = make(network, seed), image(seed)
    k = targets_for(x, seed)
    pairs = [("eigen-cam", "EigenCAM", {"centred": True}), ("eigen-grad-cam", "EigenGradCAM", {"centred": True})]
    for method, kind, given in [*pairs, ("kpca-cam", "KPCA_CAM", {})]:
        expected = _grad_cam_library(kind, case.net, case.layer, x, k)
        found = ours(case.net, x, method, k, case.layer, **given)
        sign = np.sign((found * expected).sum((1, 2), keepdims=True))
        agree(sign * found, expected, 1e-5)


@each_seed
@pytest.mark.parametrize("network", NETWORKS)
def test_finer_cam(network: str, seed: int) -> None:
    """To 1e-5 with torchcam (gamma .6, the three nearest classes), after its ReLU. pytorch-grad-cam weighs the
    competitors by probability, which the paper does not."""
    case, x = make(network, seed), image(seed)
    k = targets_for(x, seed)
    expected = _torchcam("FinerCAM", case.net, case.layer, x, k, gamma=0.6, num_references=3)
    agree(np.maximum(ours(case.net, x, "finer-cam", k, case.layer), 0), expected, 1e-5)
    two = _torchcam("FinerCAM", case.net, case.layer, x, k, gamma=0.3, num_references=2)
    found = ours(case.net, x, "finer-cam", k, case.layer, gamma=0.3, classes=2)
    agree(np.maximum(found, 0), two, 1e-5)


@each_seed
@pytest.mark.parametrize("network", ["silu", "gelu"])
def test_shapley_cam(network: str, seed: int) -> None:
    """To 1e-5 with pytorch-grad-cam, at a layer below curvature, where the second-order term counts."""
    case, x = make(network, seed), image(seed)
    k = targets_for(x, seed)
    found = ours(case.net, x, "shapley-cam", k, case.early)
    agree(found, _grad_cam_library("ShapleyCAM", case.net, case.early, x, k), 1e-5)
    differ(found, ours(case.net, x, "grad-cam", k, case.early), 1e-4)


def _masked_scores(net: nn.Module, layer: str, x: Tensor, k: list[int]) -> np.ndarray:
    """Each image's score as it is black, then seen through each channel of a layer as large as itself."""
    kept: list[Tensor] = []
    with torch.no_grad():
        with contextlib.closing(_Taken(net.get_submodule(layer), kept)):
            net(x.clone())
        low, high = kept[0].amin((2, 3), keepdim=True), kept[0].amax((2, 3), keepdim=True)
        masks = ((kept[0] - low) / (high - low).clamp(min=1e-12)).unbind(1)
        seen = [net(x * mask[:, None])[range(len(k)), k] for mask in (torch.zeros_like(masks[0]), *masks)]
    return torch.stack(seen, 1).numpy()


@each_seed
def test_score_cam(seed: int) -> None:
    """To 1e-5 with both at a layer as large as the image, where masks need no upsampling.

    Elsewhere conventions part: the paper and we upsample (bilinear, corners not aligned), then scale to [0, 1];
    torchcam scales first; pytorch-grad-cam aligns corners. Both leave out the baseline's score, which softmax cancels.
    An image whose score no mask changes (its masked copies leave every last unit dead) has a map of 0 here, and the
    mean activation there: the softmax of equal scores.
    """
    case, x = make("conv-bn-relu", seed), image(seed)
    k = targets_for(x, seed)
    found = ours(case.net, x, "score-cam", k, case.early)
    theirs = _grad_cam_library("ScoreCAM", case.net, case.early, x, k)
    same = [np.ptp(row) <= 1e-9 for row in _masked_scores(case.net, case.early, x, k)]
    for row in np.flatnonzero(same):
        assert not found[row].any()
    heard = np.flatnonzero(np.logical_not(same))
    agree(found[heard], theirs[heard], 1e-5)
    agree(np.maximum(found, 0)[heard], _torchcam("ScoreCAM", case.net, case.early, x, k)[heard], 1e-5)
    coarse = ours(case.net, x, "score-cam", k, case.layer)
    differ(coarse, _grad_cam_library("ScoreCAM", case.net, case.layer, x, k), 1e-7)


@each_seed
@pytest.mark.parametrize("network", ["conv-bn-relu", "relu6-in-place", "residual"])
def test_ablation_cam(network: str, seed: int) -> None:
    """To 1e-4 (theirs rounds scores to float32 and subtracts them), and only up to the score's sign: pytorch-grad-cam
    divides by y itself, so a negative score turns its map over; we divide by abs(y). On activations that go below 0 it
    puts -1e7 in place of 0, so only rectified ones are compared."""
    case, x = make(network, seed), image(seed)
    k = targets_for(x, seed)
    with torch.no_grad():  # away from 0, where float32 differences of scores would drown; once above, once below
        case.net[-1].bias += (4.0 if seed % 2 else -4.0) - case.net(x.clone()).mean()
        scores = case.net(x.clone())[range(len(k)), k].numpy()
    expected = _grad_cam_library("AblationCAM", case.net, case.layer, x, k)
    found = ours(case.net, x, "ablation-cam", k, case.layer, relative=True)
    agree(found * np.sign(scores)[:, None, None], expected, 1e-4)


@pytest.mark.parametrize("seed", SEEDS[:2])
@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2"])
def test_torchvision(name: str, seed: int) -> None:
    """Untrained networks at 64 pixels, to 1e-5."""
    models = pytest.importorskip("torchvision.models")
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        net = getattr(models, name)(weights=None, num_classes=4).double().eval()
    layer, x = {"resnet18": "layer4", "mobilenet_v2": "features"}[name], image(seed, batch=1, size=64)
    for method, (kind, _) in EXACT.items():
        agree(ours(net, x, method, 1, layer), _grad_cam_library(kind, net, layer, x, [1]), 1e-5)
    agree(np.maximum(ours(net, x, "grad-cam", 1, layer), 0), _torchcam("GradCAM", net, layer, x, [1]), 1e-5)
