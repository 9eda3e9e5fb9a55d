#!/usr/bin/env bash
# transformers 5.24.0, torch 2.14.1: VideoMAE reads frames in pairs (tubelets). One frame more than its configuration says
# would be expected to be refused, as a frame of another size is; it answers. The last frame is in no pair: nothing reads
# it, whatever it shows, and no warning says so.
#
# Seen, of a network for 4 frames, with random weights:
#   4 frames, and the same 4 with a fifth that is noise: the same scores, to the bit
#   the gradient at the fifth frame: 0
#   frames of 40 x 40 pixels instead of 32 x 32: ValueError
# Expected: an error, or scores that depend on every frame.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q transformers==5.24.0 torch==2.14.1 "numpy<3"
"$folder/venv/bin/python" -W ignore - <<'PY'
import torch
import transformers
from transformers import VideoMAEConfig, VideoMAEForVideoClassification

assert transformers.__version__ == "5.24.0", transformers.__version__
assert torch.__version__.startswith("2.14.1"), torch.__version__

torch.manual_seed(0)
sizes = dict(image_size=32, patch_size=8, num_frames=4, tubelet_size=2, hidden_size=32, num_hidden_layers=2)
net = VideoMAEForVideoClassification(VideoMAEConfig(num_attention_heads=2, intermediate_size=64, num_labels=3, **sizes))
net.eval()
four = torch.randn(1, 4, 3, 32, 32)
five = torch.cat([four, 100 * torch.randn(1, 1, 3, 32, 32)], 1).requires_grad_()
scores = net(five).logits
(gradient,) = torch.autograd.grad(scores[0, 1], five)
apart = (net(four).logits - scores).abs().max().item()
print("largest difference of the scores of 4 and of 5 frames:", apart)
print("gradient by frame:", [round(g, 6) for g in gradient[0].abs().amax((1, 2, 3)).tolist()])
assert apart == 0
assert gradient[0, 4].abs().max() == 0 and gradient[0, 3].abs().max() > 0
try:
    net(torch.randn(1, 4, 3, 40, 40))
except ValueError as error:
    print("another size of frame:", str(error)[:60])
else:
    raise AssertionError("a frame of another size was taken")
PY
