"""Conventions of other libraries: golden arrays of keras-vis by hand, and what is refused.

The network of every keras-vis case, with weights small enough for a pencil. The input x is 2x2 with one channel. Two
1x1 convolutions without bias give z_1 = x and z_2 = -x, ReLU gives a_1 and a_2, a second 1x1 convolution gives
u = a_1 - 2 a_2 and v = -a_1 + a_2, ReLU gives p and q, and the score is S = sum_ij m_ij (p_ij - q_ij) with
m = [[1, 2], [-1, 3]].

    x   = [[ 1, -2], [ 3, -1]]
    a_1 = [[ 1,  0], [ 3,  0]]     a_2 = [[0, 2], [0, 1]]
    u   = [[ 1, -4], [ 3, -2]]     v   = [[-1, 2], [-3, 1]]
    p   = [[ 1,  0], [ 3,  0]]     q   = [[ 0, 2], [ 0, 1]]
    dS/dp = m = [[1, 2], [-1, 3]]  dS/dq = -m = [[-1, -2], [1, -3]]
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

import seewhy
from seewhy.errors import UnknownName, UsageError
from seewhy.explanation.conventions import CONVENTIONS

MODIFIERS = ("none", "guided", "relu")
M = torch.tensor([[1.0, 2.0], [-1.0, 3.0]], dtype=torch.float64)
X = torch.tensor([[[[1.0, -2.0], [3.0, -1.0]]]], dtype=torch.float64)

# dS/dz_1 and dS/dz_2 give dS/dx = dS/dz_1 - dS/dz_2. Each rectifier of the plain gradient multiplies by [z > 0],
# guided by [z > 0] [g > 0], relu (deconvnet) by [g > 0] alone.
#
# none:   at u: [u > 0] m = [[1, 0], [-1, 0]]; at v: [v > 0] (-m) = [[0, -2], [0, -3]]
#         at a_1: du - dv = [[1, 2], [-1, 3]]; at a_2: -2 du + dv = [[-2, -2], [2, -3]]
#         at z_1: [a_1 > 0]: [[1, 0], [-1, 0]]; at z_2: [a_2 > 0]: [[0, -2], [0, -3]]
#         dS/dx = z_1 - z_2 = [[1, 2], [-1, 3]]
# guided: at u: [[1, 0], [0, 0]]; at v: 0 everywhere (negative where v > 0)
#         at a_1: [[1, 0], [0, 0]]; at a_2: [[-2, 0], [0, 0]]
#         at z_1: [[1, 0], [0, 0]]; at z_2: 0                         dS/dx = [[1, 0], [0, 0]]
# relu:   at u: [[1, 2], [0, 3]]; at v: [[0, 0], [1, 0]]
#         at a_1: [[1, 2], [-1, 3]]; at a_2: [[-2, -4], [1, -6]]
#         at z_1: [[1, 2], [0, 3]]; at z_2: [[0, 0], [1, 0]]          dS/dx = [[1, 2], [-1, 3]]
GRADIENTS = {"none": [[1, 2], [-1, 3]], "guided": [[1, 0], [0, 0]], "relu": [[1, 2], [-1, 3]]}
# one channel: its magnitude, less the smallest, over the range; none: |g| = [[1, 2], [1, 3]], (|g| - 1) / 2
SALIENCY = {"none": [[0, 0.5], [0, 1]], "guided": [[1, 0], [0, 0]], "relu": [[0, 0.5], [0, 1]]}
# at the first rectifier's output a, weights are the means of the gradients above; the map is w_1 a_1 + w_2 a_2
#   none:   w_1 =  5/4, w_2 = -5/4: [[ 5/4, -5/2], [15/4, -5/4]]
#   guided: w_1 =  1/4, w_2 = -1/2: [[ 1/4, -1  ], [ 3/4, -1/2]]
#   relu:   w_1 =  5/4, w_2 = -11/4: [[ 5/4, -11/2], [15/4, -11/4]]
# keras-vis divides the gradients by their largest (3, 1, 3), which the norm takes out again: max(map, 0) / max is
# [[1/3, 0], [1, 0]] three times
CAMS = {
    "none": [[1.25, -2.5], [3.75, -1.25]],
    "guided": [[0.25, -1.0], [0.75, -0.5]],
    "relu": [[1.25, -5.5], [3.75, -2.75]],
}
CAM = [[1 / 3, 0], [1, 0]]


class _Pencil(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 2, 1, bias=False, dtype=torch.float64)
        self.second = nn.Conv2d(2, 2, 1, bias=False, dtype=torch.float64)
        self.low, self.high = nn.ReLU(), nn.ReLU()
        with torch.no_grad():
            self.first.weight[:] = torch.tensor([1.0, -1.0]).reshape(2, 1, 1, 1)
            self.second.weight[:] = torch.tensor([[1.0, -2.0], [-1.0, 1.0]]).reshape(2, 2, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        p, q = self.high(self.second(self.low(self.first(x)))).unbind(1)
        score = (M * (p - q)).sum((1, 2))
        return torch.stack([score, -score], 1)


def _explain(method: str, rule: str, **given: Any) -> Any:
    return seewhy.explain(_Pencil(), X, method=method, target=0, backward_rule=rule, **given)


@pytest.mark.parametrize("rule", MODIFIERS)
def test_visualize_saliency(rule: str) -> None:
    raw = _explain("saliency", rule, reduce="none")
    np.testing.assert_allclose(raw.values[0], GRADIENTS[rule], atol=1e-12)
    np.testing.assert_allclose(raw.convention("keras-vis"), SALIENCY[rule], atol=1e-6)
    reduced = _explain("saliency", rule)
    np.testing.assert_allclose(reduced.convention("keras-vis"), SALIENCY[rule], atol=1e-6)


# g = [[1, 2], [-1, 3]]: negate: -g, from -3 to 1; relu: [[1, 2], [0, 3]] / 3; none: (g + 1) / 4
# small_values: |1 / g| = [[1, 1/2], [1, 1/3]], less 1/3, over 2/3
MODIFIED = {
    "negate": [[0.5, 0.25], [1, 0]],
    "relu": [[1 / 3, 2 / 3], [0, 1]],
    None: [[0.5, 0.75], [0, 1]],
    "small-values": [[1, 0.25], [1, 0]],
}


@pytest.mark.parametrize("modifier", MODIFIED)
def test_gradient_modifiers(modifier: str | None) -> None:
    raw = _explain("saliency", "none", reduce="none")
    found = raw.convention("keras-vis", grad_modifier=modifier)
    np.testing.assert_allclose(found, MODIFIED[modifier], atol=1e-6)


def test_channels_are_taken_together_by_their_largest(make: Any) -> None:
    """Largest magnitude of each pixel: [[3, 2], [1, 5]]; less 1, over 4."""
    values = np.array([[[1.0, -2.0], [1.0, 0.0]], [[-3.0, 1.0], [0.0, 5.0]]])
    raw = make(values, size=(2, 2), layer=None, channels=True, parameters={"reduce": "none"}, method="saliency")
    np.testing.assert_allclose(raw.convention("keras-vis"), [[0.5, 0.25], [0, 1]], atol=1e-6)
    # without a modifier the largest signed value: [[1, 1], [1, 5]]
    np.testing.assert_allclose(raw.convention("keras-vis", grad_modifier=None), [[0, 0], [0, 1]], atol=1e-6)


@pytest.mark.parametrize("rule", MODIFIERS)
def test_visualize_cam(rule: str) -> None:
    found = _explain("grad-cam", rule, layer="low")
    np.testing.assert_allclose(found.values, CAMS[rule], atol=1e-12)
    np.testing.assert_allclose(found.convention("keras-vis"), CAM, atol=1e-6)


def test_visualize_cam_negated_shows_what_speaks_against_the_class() -> None:
    """-map, cut at zero: [[0, 5/2], [0, 5/4]]."""
    found = _explain("grad-cam", "none", layer="low").convention("keras-vis", grad_modifier="negate")
    np.testing.assert_allclose(found, [[0, 1], [0, 0.5]], atol=1e-6)


def test_keras_vis_zooms_by_a_cubic_spline_through_the_corners(make: Any) -> None:
    """Two values and a linear ramp between them: a spline of any order runs straight through, 0, 1/3, 2/3, 1."""
    ramp = make(np.array([[0.0, 0.0], [2.0, 2.0]]), size=(4, 2))
    found = ramp.convention("keras-vis")
    assert found.shape == (4, 2)
    assert found[0, 0] < 1e-6
    assert found[-1, 0] == pytest.approx(1, abs=1e-6)


def test_nothing_positive_is_zero_everywhere(make: Any) -> None:
    dark = make(-np.ones((2, 3)), size=(4, 6))
    for name in ("pytorch-grad-cam", "torchcam", "keras-vis"):
        assert not dark.convention(name).any(), name


def test_shapes_and_ranges(make: Any) -> None:
    found = make()  # a 4x6 map of a layer, for an input of 32x48
    shapes = {"captum": (1, 4, 6), "pytorch-grad-cam": (32, 48), "torchcam": (4, 6), "keras-vis": (32, 48)}
    assert shapes.keys() == CONVENTIONS.keys()
    for name, shape in shapes.items():
        values = found.convention(name)
        assert values.shape == shape, name
        if name != "captum":
            assert values.min() == 0, name
            assert 0.999 < values.max() <= 1, name
    np.testing.assert_array_equal(found.convention("captum")[0], found.values)
    assert found.convention("captum", upsample=True).shape == (1, 32, 48)
    assert found.values.min() == -0.5  # and what was explained is as it was


def test_what_cannot_be_meant_is_refused(make: Any) -> None:
    with pytest.raises(UnknownName, match="pytorch-grad-cam"):
        make().convention("pytorch-gradcam")
    with pytest.raises(UnknownName, match="absolute"):
        make().convention("keras-vis", grad_modifier="absolut")
    with pytest.raises(UsageError, match="before the mean"):
        make().convention("keras-vis", grad_modifier="small_values")
    reduced = make(layer=None, method="integrated-gradients", parameters={"reduce": "sum"})
    with pytest.raises(UsageError, match="reduce='none'"):
        reduced.convention("captum")
    with pytest.raises(UsageError, match="reduce='none'"):
        reduced.convention("keras-vis")
    with pytest.raises(UsageError, match="maps of a layer"):
        reduced.convention("torchcam")
