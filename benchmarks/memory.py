"""Peak memory of Score-CAM on ResNet-50 over what the model itself takes, in a process of its own."""

from __future__ import annotations

import resource
import threading
import time
from pathlib import Path

import torch

import seewhy

__all__ = ["run"]


def _resident() -> int:
    """Bytes resident now (Linux); the peak so far elsewhere."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def run(channels: int | None = None) -> tuple[int, int]:
    """(bytes over the model and one forward, forwards) of Score-CAM at the last layer of an untrained ResNet-50.

    ``channels`` stops after so many masks by making the other channels constant, for a quick look.
    """
    import torchvision

    net = torchvision.models.resnet50(weights=None).eval()
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        net(x)
    before, peak, going = _resident(), 0, True

    def watch() -> None:
        nonlocal peak
        while going:
            peak = max(peak, _resident())
            time.sleep(0.005)

    if channels is not None:

        def most_constant(module: object, args: object, output: torch.Tensor) -> torch.Tensor:
            keep = torch.arange(output.shape[1]) < channels
            return output * keep[None, :, None, None]

        net.layer4.register_forward_hook(most_constant)
    watcher = threading.Thread(target=watch)
    watcher.start()
    e = seewhy.explain(net, x, method="score-cam", layer="layer4", target=5)
    going = False
    watcher.join()
    return peak - before, e.cost.forwards
