#!/usr/bin/env bash
# grad-cam (pytorch-grad-cam) 1.5.7: `EigenGradCAM` can put all of its evidence where the score does not look. It takes the
# first principal component of gradient times activation, and centres each channel over the places first: places whose
# gradient is 0, which hold 0 in every channel, are then as far from the mean as the others, on the other side. The sign
# of a principal component is arbitrary, and what is negative is cut off.
#
# Seen: a score that is the sum over the left half of a layer; the map is 0 in the left half and 1 in the right half,
# which has no gradient at all. `HiResCAM`, of the same product without the centring, has the left half alone.
# Expected: nothing where gradient times activation is 0.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 torchvision==0.29.1 grad-cam==1.5.7
"$folder/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import torch
from pytorch_grad_cam import EigenGradCAM, HiResCAM
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

assert version("grad-cam") == "1.5.7", version("grad-cam")


class LeftHalf(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Conv2d(1, 2, 1, bias=False)
        with torch.no_grad():
            self.layer.weight.copy_(torch.tensor([1.0, 2.0]).reshape(2, 1, 1, 1))

    def forward(self, x):
        return self.layer(x)[:, :, :, :2].sum((2, 3))


network = LeftHalf()
image = torch.ones(1, 1, 2, 4)
image[0, 0, 0, 0] = 3
halves = {}
for method in (EigenGradCAM, HiResCAM):
    with method(network, [network.layer]) as cam:
        drawn = cam(image, [ClassifierOutputTarget(1)])[0]
    halves[method.__name__] = (round(float(drawn[:, :2].sum()), 3), round(float(drawn[:, 2:].sum()), 3))
seen = ", ".join(f"{name}: left {left:g}, right {right:g}" for name, (left, right) in halves.items())
print(seen)
assert halves["EigenGradCAM"][0] == 0 and halves["EigenGradCAM"][1] > 3.9, "another answer"
assert halves["HiResCAM"][0] > 0 and halves["HiResCAM"][1] == 0, "another answer"
print("as seen")
PY
