#!/usr/bin/env bash
# captum 0.9.0, torch 2.14.1: `captum.metrics.sensitivity_max` with an explanation function of one's own that returns a
# tensor [N, C, H, W], as its documentation allows ("a tensor or tuple of tensors"). The maps before the change are gone
# through one by one, as if they were the parts of a tuple: of a batch, every image is compared with the first image's
# map, and divided by a length that mixes all maps. Where maps have as many channels as there are images (three photos in
# colour) no error is raised. Captum's own methods give tuples and are not concerned. In a tuple of one the same maps have
# the right numbers.
#
# Seen, of three images, the map being the image itself, changes of 0.01 at each pixel:
#   alone: 0.1 0.02 0.01
#   together, as a tensor: 0.015 0.633 1.404
#   together, in a tuple: 0.1 0.02 0.01
# Expected: the same numbers in any company.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q captum==0.9.0 torch==2.14.1 "numpy<3"
"$folder/venv/bin/python" -W ignore - <<'PY'
import captum
import torch
from captum.metrics import sensitivity_max

assert captum.__version__ == "0.9.0", captum.__version__
assert torch.__version__.startswith("2.14.1"), torch.__version__


def own_map(inputs):
    return inputs[0] if isinstance(inputs, tuple) else inputs


def moved(inputs, radius):
    return own_map(inputs) + radius


def measured(images, explain):
    given = {"perturb_func": moved, "perturb_radius": 0.01, "n_perturb_samples": 1}
    return [round(float(each), 3) for each in sensitivity_max(explain, images, **given)]


images = torch.stack([torch.full((3, 4, 4), value) for value in (0.1, 0.5, 1.0)]).double()
in_a_tuple = lambda inputs: (own_map(inputs),)
alone = [measured(image[None], in_a_tuple)[0] for image in images]
tensor = measured(images, own_map)
parts = measured(images, in_a_tuple)
print("alone:", *alone)
print("together, as a tensor:", *tensor)
print("together, in a tuple:", *parts)
assert alone == parts == [0.1, 0.02, 0.01], (alone, parts)
assert tensor != alone, "the numbers do not depend on the company now"
print("as seen")
PY
