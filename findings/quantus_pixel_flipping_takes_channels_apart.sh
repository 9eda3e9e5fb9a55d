#!/usr/bin/env bash
# quantus 0.6.0: `PixelFlipping` does not flip pixels where pictures have channels. A map [1, H, W] is repeated for every
# channel, and the values of all channels are put in one order: a step of `features_in_step=4` takes 4 of 3 x H x W
# values, so that there are three times as many steps as H x W / 4, and the network sees pictures in which a pixel has
# lost one or two of its three channels. The area under the curve, a sum over steps of width 1, grows with that.
#
# Seen: a picture of 3 x 4 x 4 and a map of 1 x 4 x 4 without ties, `features_in_step=4`: 12 predictions, 8 of them of
# pictures in which some pixel is black in one or two channels.
# Expected: 4 predictions, each of whole pixels. (`features_in_step` has to divide H x W, which speaks of pixels, too.)
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 cachetools
"$folder/venv/bin/pip" install -q quantus==0.6.0
"$folder/venv/bin/python" -W ignore - <<'PY'
from importlib.metadata import version

import numpy as np
import quantus
import torch

assert version("quantus") == "0.6.0", version("quantus")
seen = []


class Watched(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(48, 2)

    def forward(self, x):
        seen.append(x.detach().numpy().copy())
        return self.head(x.flatten(1))


picture = np.ones((1, 3, 4, 4), dtype=np.float32)
map = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
flipping = quantus.PixelFlipping(
    features_in_step=4, perturb_baseline=0.0, normalise=False, disable_warnings=True, return_auc_per_sample=False
)
curve = flipping(
    model=Watched().eval(), x_batch=picture, y_batch=np.array([0]), a_batch=map, softmax=False, device="cpu"
)
changed = [x for x in seen if (x == 0).any()]
left = [(x[0] != 0).sum(0) for x in changed]
halved = [bool(((channels > 0) & (channels < 3)).any()) for channels in left]
print(f"{len(curve[0])} points of the curve, {len(changed)} changed pictures, {sum(halved)} of them with parts of pixels")
assert len(curve[0]) == 12, len(curve[0])
assert len(changed) == 12, len(changed)
assert sum(halved) == 8, sum(halved)
PY
