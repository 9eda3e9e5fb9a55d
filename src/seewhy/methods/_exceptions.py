"""Exceptions: take nothing, give for cards the properties that formulas break, with the reasons; each reason follows
from the formula, and `seewhy.conformance` has a network that shows it."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = [
    "BLURRED", "CUTS_NEGATIVE", "ENLARGED", "FIXED_REFERENCE", "LOCAL", "NEAR", "NO_GRADIENT", "NO_SCORE", "ONE_BY_ONE",
    "ONE_DIRECTION", "POOLED", "SHOWN_ALONE", "SOFTMAX", "SQUARED_ALPHA", "WRITTEN", "every",
]  # fmt: skip


def every(properties: Iterable[str], reason: str) -> dict[str, str]:
    """One ``reason`` for several ``properties``.

    >>> every(["sign", "class"], "knows neither")
    {'sign': 'knows neither', 'class': 'knows neither'}
    """
    return dict.fromkeys(properties, reason)


_GRADIENT = "the gradient at the picture itself is a factor"
#: of formulas with the gradient at the picture itself as a factor
LOCAL = {
    "saturation": f"{_GRADIENT}, and is 0 where more of a cue changes nothing (Shrikumar et al. 2017, "
    "arXiv:1704.02685, figure 1)",
    "redundancy": f"{_GRADIENT}, and is 0 where another cue does as well",
    "hidden-gradient": f"{_GRADIENT}, and a stage of whole numbers has none",
    "shattering": f"{_GRADIENT}, which is that of one kink among many (Balduzzi et al. 2017, arXiv:1702.08591)",
}
#: of formulas with gradients elsewhere than at the picture alone
NO_GRADIENT = {"hidden-gradient": "is made of gradients, and a stage of whole numbers has none anywhere"}

#: of channels with one weight for all positions
POOLED = {
    "blindness": "a channel has one weight for all positions, so that it is drawn where the score does not read it "
    "(Draelos & Carin 2020, arXiv:2011.08891)"
}
#: of Grad-CAM++'s weights
SQUARED_ALPHA = {
    "proportion": "alpha is no constant: a channel's weight is g^3 / (2 g^2 + g^3 sum A), less than in proportion to g"
}

#: of what leaves out negative gradients or products
CUTS_NEGATIVE = every(
    ("sign", "cancellation"),
    "leaves out what is negative on the way, and with it what speaks against the target",
)

#: of rules for rectifiers
WRITTEN = {
    "implementation": "what is cut depends on where rectifiers are written (Sixt, Granz & Landgraf 2020, "
    "arXiv:1912.09818)"
}
#: of gradients at noisy copies of the picture
NEAR = every(
    ("saturation", "redundancy"),
    "gradients near the picture are 0 where a cue would count only farther away than the noise goes",
)

#: of a factor x - x', and of what is hidden behind a fixed value
FIXED_REFERENCE = {
    "input-shift": "compares with a reference or a fill that is not shifted along (Kindermans et al. 2019, "
    "arXiv:1711.00867)"
}
#: of what takes parts away one by one
ONE_BY_ONE = {"redundancy": "takes one thing away at a time, and another one does as well"}

#: of maps of a layer that know no class
NO_SCORE = {
    **every(
        (
            "proportion", "interaction", "redundancy", "saturation", "hidden-gradient", "sign", "cancellation",
            "contrast", "class", "blindness", "pointing",
        ),
        "knows the layer and no score: what is large there is drawn, whatever it counts",
    ),
    "implementation": "is counted in the layer's own units, which the next layer may take back",
}  # fmt: skip
#: of the first direction of a layer's channels
ONE_DIRECTION = "one direction of channels is drawn, and cues that lie in another one are not"

#: of Score-CAM and its kin
SOFTMAX = {
    **every(
        ("sign", "cancellation", "pointing", "blindness"),
        "a softmax gives every channel a weight above 0, also one that changes nothing or lowers the score, and its "
        "activation is drawn, the louder the more",
    ),
    "implementation": "a softmax over channels counts a channel that is there twice twice, and activations are counted "
    "in the layer's own units",
}
#: of Score-CAM and its kin, where nothing but the masks varies
SHOWN_ALONE = {
    "interaction": "shows one channel's places at a time, and a part alone makes no score",
    "hidden-gradient": "the mask, enlarged linearly, dims the cue that it shows, below the next whole number",
    "contrast": "a softmax gives a channel that changes nothing a weight, and its activation is drawn",
    "input-shift": "multiplies the picture by masks, as if 0 were empty",
}

#: of random masks that are enlarged linearly
BLURRED = {
    **every(
        ("blindness", "class", "redundancy", "proportion"),
        "masks are enlarged linearly from a coarse grid: the map is what counts, blurred by their covariance, and of "
        "chance there is a rest in every cell (Petsiuk et al. 2018, arXiv:1806.07421, section 3.2)",
    ),
    "translation": "the grid of masks ends at the borders, where its last row is repeated",
    **FIXED_REFERENCE,
}
#: of values of a grid that are enlarged linearly
ENLARGED = "the grid of values is enlarged linearly, so that evidence spreads over the next cell"
