"""FEM: takes an activation, gives where its channels are unusually strong; asks nothing of the class."""

from __future__ import annotations

from torch import Tensor

from seewhy.methods._exceptions import NO_SCORE
from seewhy.registry import Card, method

__all__ = ["fem"]


@method(
    Card(
        name="fem",
        family="cam",
        paper="Fuad et al. 2020, Features Understanding in 3D CNNs, doi:10.1109/IPTA50016.2020.9286629",
        formula="sum_c m_c [A_c > m_c + k s_c], m_c and s_c the mean and standard deviation over positions",
        excepts=NO_SCORE,
        cost="1 forward",
        discriminative=False,
        positive=True,
        use="a gradient-free look at rare, strong features",
        caveats=("the same for every class", "pytorch-grad-cam weights A_c by the share of marked positions instead"),
    )
)
def fem(activation: Tensor, *, k: float = 2.0) -> Tensor:
    """The k-sigma rule: every channel marks its outlying positions, weighted by the channel's mean.

    ``activation`` [B, C, *positions]; values [B, *positions]. ``k`` is the number of standard deviations.

    >>> import torch, seewhy
    >>> from torch.nn import AdaptiveAvgPool2d, Conv2d, Flatten, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3), ReLU(), AdaptiveAvgPool2d(1), Flatten())
    >>> seewhy.explain(net, torch.rand(1, 3, 8, 8), method="fem", layer="1").values.shape
    (6, 6)
    """
    flat = activation.flatten(2)
    mean, deviation = flat.mean(2, keepdim=True), flat.std(2, correction=0, keepdim=True)
    marked = (flat > mean + k * deviation).to(flat)
    return (mean * marked).sum(1).reshape_as(activation[:, 0])
