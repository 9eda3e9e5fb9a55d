#!/usr/bin/env bash
# torch 2.14.1: `ExportedProgram.run_decompositions()` makes a differentiable model one that cannot be differentiated, if
# its forward writes a tensor into a fresh one with `copy_`. The model and the program as `torch.export.export` gives it
# have the same gradient; the decomposed program gives the same output, bit for bit, and its backward pass raises, since
# `copy_` has become `aten.copy`, which has no derivative. Whoever takes the decomposed graph of a model to be as good as
# the model (for saliency, attacks, fine-tuning of an exported file) finds out when the gradient is asked for.
#
# Seen:
#   copy_: exported: True, outputs equal: True
#   copy_: decomposed: RuntimeError: derivative for aten::copy is not implemented, outputs equal: True
#   add_, mul_: exported and decomposed: True, outputs equal: True
# Expected: a decomposition into operations that autograd knows, as for every other in-place operation tried (add_, mul_).
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 numpy==2.4.6
"$folder/venv/bin/python" - <<'PY'
import torch
from torch import nn

assert torch.__version__.startswith("2.14.1"), torch.__version__


class Net(nn.Module):
    def __init__(self, write):
        super().__init__()
        self.conv, self.head, self.write = nn.Conv2d(3, 4, 3), nn.Linear(4, 2), write

    def forward(self, x):
        y = self.conv(x).relu()
        fresh = torch.zeros_like(y)
        if self.write == "copy_":
            fresh.copy_(y)
        elif self.write == "add_":
            fresh.add_(y)
        else:
            fresh.add_(1).mul_(y)
        return self.head(fresh.mean((2, 3)))


def gradient(module):
    leaf = torch.linspace(-1, 1, 3 * 8 * 8).reshape(1, 3, 8, 8).requires_grad_()
    try:
        return torch.autograd.grad(module(leaf)[0, 1], leaf)[0]
    except RuntimeError as error:
        return f"RuntimeError: {error}"


torch.manual_seed(0)
x = torch.randn(1, 3, 8, 8)
for write in ("copy_", "add_", "mul_"):
    net = Net(write).eval()
    exported = torch.export.export(net, (x,))
    decomposed = exported.run_decompositions().module()
    right = gradient(net)
    for name, module in (("exported", exported.module()), ("decomposed", decomposed)):
        found = gradient(module)
        same = torch.equal(module(x), net(x))
        alike = found if isinstance(found, str) else torch.allclose(found, right)
        print(f"{write}: {name}: {alike}, outputs equal: {same}")
        assert same, "other outputs"
        if (write, name) == ("copy_", "decomposed"):
            assert isinstance(alike, str), "it has a derivative now"
            assert "derivative for aten::copy is not implemented" in alike, "another error"
        else:
            assert alike is True, "no gradient, or another one"
print("as seen")
PY
