#!/usr/bin/env bash
# captum 0.9.0, torch 2.14.1: `NoiseTunnel(..., nt_type="vargrad")` gives negative variances. It keeps the sum of the
# attributions and the sum of their squares in the attributions' own type, and takes the square of the mean from the mean
# of the squares. In float32 these two have seven digits in common where attributions are large beside their spread:
# pixels that count from 0 to 255, noise of a level's tenth, and a method that multiplies by the input. What is left is
# rounding. More samples do not help; neither does the order of the noise. (It also divides by n, not by n - 1.)
#
# Seen, of a linear layer of ones at pixels of 255, whose attribution is the noisy pixel itself, of variance 0.01:
#   50 samples: lowest -0.0078
#   500 samples: lowest -0.0078
#   500 samples in float64: between 0.0087 and 0.0114
# Expected: variances, about 0.01, as float64 gives.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q captum==0.9.0 torch==2.14.1 "numpy<3"
"$folder/venv/bin/python" -W ignore - <<'PY'
import captum
import torch
from captum.attr import InputXGradient, NoiseTunnel
from torch import nn

assert captum.__version__ == "0.9.0", captum.__version__
assert torch.__version__.startswith("2.14.1"), torch.__version__


def variances(samples, kind):
    torch.manual_seed(0)
    net = nn.Linear(64, 1, bias=False).to(kind)
    with torch.no_grad():
        net.weight.fill_(1.0)
    pixels = torch.full((1, 64), 255.0, dtype=kind)
    return NoiseTunnel(InputXGradient(net)).attribute(pixels, nt_type="vargrad", nt_samples=samples, stdevs=0.1)


for samples in (50, 500):
    lowest = float(variances(samples, torch.float32).min())
    print(f"{samples} samples: lowest {lowest:.4f}")
    assert lowest < 0, "no variance is negative now"
right = variances(500, torch.float64)
print(f"500 samples in float64: between {float(right.min()):.4f} and {float(right.max()):.4f}")
assert 0.005 < float(right.min()) and float(right.max()) < 0.02, "float64 is off, too"
print("as seen")
PY
