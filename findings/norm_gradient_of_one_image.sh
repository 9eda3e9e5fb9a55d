#!/usr/bin/env bash
# torch 2.14.1 on the CPU: the input gradient of instance norm is wrong for a batch of ONE image when the gradient that
# arrives lies channels last in memory, without a warning. The forward is right, and so is the gradient of the same
# operation on two images. Gradients arrive in that order behind any convolution whose weights are channels last
# (`model.to(memory_format=torch.channels_last)`), so saliency maps of one photo at a time are wrong, and of batches right.
#
# Seen (relative error in L2 against float64, [1 or 2, 4, 5, 5], seed 0):
#   1 image(s), gradient plain: 6e-08
#   1 image(s), gradient last: 1e+00
#   2 image(s), gradient plain: 7e-08
#   2 image(s), gradient last: 7e-08
# Expected: the order in memory of a gradient changes nothing but rounding.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import torch
import torch.nn.functional as F

assert torch.__version__.startswith("2.14.1"), torch.__version__


def error(images, memory):
    torch.manual_seed(0)
    x, arriving = torch.randn(images, 4, 5, 5), torch.randn(images, 4, 5, 5)
    exact = x.double().requires_grad_()
    (right,) = torch.autograd.grad(F.instance_norm(exact), exact, arriving.double())
    leaf = x.clone().requires_grad_()
    (found,) = torch.autograd.grad(F.instance_norm(leaf), leaf, arriving.contiguous(memory_format=memory))
    return float((found.double() - right).norm() / right.norm())


orders = {"plain": torch.contiguous_format, "last": torch.channels_last}
found = {(images, word): error(images, memory) for images in (1, 2) for word, memory in orders.items()}
for (images, word), value in found.items():
    print(f"{images} image(s), gradient {word}: {value:.0e}")
assert max(value for case, value in found.items() if case != (1, "last")) < 1e-5, "other than seen"
assert found[1, "last"] > 0.1, "right for one image now"
print("as seen")
PY
