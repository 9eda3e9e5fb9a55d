#!/usr/bin/env bash
# torch 2.14.1: an operation that writes into its argument and the one that gives a new tensor have the same name but
# for an underscore, and overloads of the same names. They do not always take the same things. Of those with a twin six
# differ: `pow_.Scalar` takes (Tensor self, number exponent), `pow.Scalar` (number self, Tensor exponent), and so does
# `float_power`; `polygamma_` takes (self, n), `polygamma` (n, self); `ldexp_.default` is of tensors, `ldexp.default` of
# a float and an int; `dropout_` calls `self` what `dropout` calls `input`; `add_.t` is of lists. Whoever makes an
# exported graph functional by taking the underscore away gets a call that raises, or has to look for another overload.
# And `torch.export` of a network in eval mode keeps `dropout_(x, 0.5, False)`, which does nothing, among its writes.
#
# Seen:
#   exported: aten.conv2d.default, aten.dropout_.default, aten.relu_.default
#   add_.t, dropout_.default, float_power_.Scalar, ldexp_.default, polygamma_.default, pow_.Scalar
#   pow.Scalar of what pow_.Scalar takes: RuntimeError
# Expected: overloads of the same name that take the same, and no dropout where it is switched off.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q torch==2.14.1 numpy==2.4.6
"$folder/venv/bin/python" -W ignore - <<'PY'
import torch
from torch import nn

assert torch.__version__.startswith("2.14.1"), torch.__version__
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Dropout(0.5, inplace=True), nn.ReLU(inplace=True)).eval()
nodes = torch.export.export(net, (torch.rand(1, 3, 8, 8),)).graph.nodes
calls = ", ".join(str(node.target) for node in nodes if node.op == "call_function")
print(f"exported: {calls}")
assert calls == "aten.conv2d.default, aten.dropout_.default, aten.relu_.default", "another graph"


def takes(form):
    return [(argument.name, str(argument.type)) for argument in form._schema.arguments]


odd = []
for name in sorted(dir(torch.ops.aten)):
    writing, plain = getattr(torch.ops.aten, name), getattr(torch.ops.aten, name.removesuffix("_"), None)
    if name.startswith("_") or not name.endswith("_") or not all(hasattr(p, "overloads") for p in (writing, plain)):
        continue
    for overload in writing.overloads():
        if overload in plain.overloads() and takes(getattr(writing, overload)) != takes(getattr(plain, overload)):
            odd.append(f"{name}.{overload}")
print(", ".join(odd))
assert odd == [
    "add_.t", "dropout_.default", "float_power_.Scalar", "ldexp_.default", "polygamma_.default", "pow_.Scalar"
], "other overloads"
try:
    torch.ops.aten.pow.Scalar(torch.rand(2), 2)
    said = "a tensor"
except Exception as error:
    said = type(error).__name__
print(f"pow.Scalar of what pow_.Scalar takes: {said}")
assert said == "RuntimeError", "it is taken now"
print("as seen")
PY
