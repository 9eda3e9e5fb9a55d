"""Grad-CAM against Captum, pytorch-grad-cam and torchcam: same network, same layer, same class, raw maps compared."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn

import seewhy
from benchmarks.side_by_side import Timing, interleaved

__all__ = ["NETWORKS", "contestants", "run"]

NETWORKS = {"resnet50": "layer4", "mobilenet_v2": "features"}
_CLASS = 5


def _network(name: str) -> nn.Module:
    import torchvision

    torch.manual_seed(0)
    return torchvision.models.get_model(name, weights=None).eval()


def contestants(net: nn.Module, layer: str, x: Tensor) -> dict[str, Callable[[], np.ndarray]]:
    """Everybody's Grad-CAM without normalising, ReLU or upsampling, [B, h, w]; whoever is not installed is left out."""
    module = net.get_submodule(layer)
    found: dict[str, Callable[[], np.ndarray]] = {}

    def ours() -> np.ndarray:
        e = seewhy.explain(net, x, method="grad-cam", target=_CLASS, layer=layer, prepare=False)
        return e.values[None] if isinstance(e, seewhy.Explanation) else np.stack([one.values for one in e])

    found["seewhy"] = ours
    try:
        from captum.attr import LayerGradCam

        captum = LayerGradCam(net, module)
        found["captum"] = lambda: captum.attribute(x, target=_CLASS).detach().numpy()[:, 0]
    except ImportError:
        pass
    try:
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        def theirs() -> np.ndarray:
            with GradCAM(net, [module]) as cam:
                cam(x, targets=[ClassifierOutputTarget(_CLASS)] * len(x))
                a = cam.activations_and_grads.activations[0].numpy()
                g = cam.activations_and_grads.gradients[0].numpy()
            return (g.mean((2, 3), keepdims=True) * a).sum(1)

        found["pytorch-grad-cam"] = theirs
    except ImportError:
        pass
    return found


def run(rounds: int) -> list[tuple[str, int, Timing]]:
    """(network, batch, timing) for every network at batch 1 and 8."""
    rows = []
    for name, layer in NETWORKS.items():
        net = _network(name)
        for batch in (1, 8):
            x = torch.randn(batch, 3, 224, 224, generator=torch.Generator().manual_seed(1))
            rows.append((name, batch, interleaved(contestants(net, layer, x), rounds)))
    return rows
