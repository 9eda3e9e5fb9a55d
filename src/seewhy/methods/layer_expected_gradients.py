"""Layer expected gradients: takes a layer's activations at the input and at reference images, asks for gradients
between them at random places, gives the mean of their shares."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import torch
from torch import Tensor

from seewhy.core.asks import Activation, Attribution, Gradient, Stream
from seewhy.core.perturb.estimators import Pairs
from seewhy.core.perturb.folds import Gather
from seewhy.core.perturb.noise import fingerprint
from seewhy.core.perturb.sources import ChangedInput, EditedLayer, GaussianNoise
from seewhy.methods._exceptions import NO_GRADIENT
from seewhy.methods._references import Shares, check_pairs, noise_references, point_between, uniform
from seewhy.methods._sampling import sampled
from seewhy.registry import Card, Need, method

__all__ = ["layer_expected_gradients"]


@method(
    Card(
        name="layer-expected-gradients",
        family="gradient",
        paper="Erion et al. 2021, Improving performance of deep learning models with axiomatic attribution priors, "
        "arXiv:1906.10670, eq. 1, in the space of a layer; with sigma > 0 GradientSHAP, Lundberg & Lee 2017",
        formula="E over references x' and a ~ U(0, 1) of (A - A') dS/dA(A' + a (A - A')), A' the layer at x'",
        unit="{score}",
        excepts=NO_GRADIENT,
        cost="n forwards, n backwards, one forward for every reference, and n more with sigma > 0",
        needs=frozenset({Need.GRADIENT, Need.STREAM}),
        at="layer",
        reduce="sum",
        use="what each unit of a layer brings, against a data set instead of one baseline",
        caveats=(
            "the references are the question: against what is this evidence?",
            "without references it compares with uniform noise",
            "the paths run straight in the layer, where no input may lie",
        ),
    )
)
def layer_expected_gradients(
    input: Tensor,
    activation: Tensor,
    spread: Tensor,
    bounds: tuple[Tensor, Tensor],
    references: Tensor | None,
    *,
    n: int = 256,
    sigma: float = 0.0,
    tolerance: float = 0.01,
    seed: int = 0,
    multiply_by_inputs: bool = True,
) -> Generator[Any, Any, Attribution]:
    """Integrated gradients of a layer's units against many baselines, one random place of one random path at a time.

    ``references`` [N, C, *size] (``references=``: photos or inputs; noise between the smallest and largest
    possible input if there are none); values [B, C, *positions] of the layer, in score units. ``n`` draws in antithetic
    pairs (places a and 1 - a of the same way); fewer once the standard error, which is returned, is under ``tolerance``
    of the map's range. ``sigma`` adds Gaussian noise to the input, in units of its range (GradientSHAP).
    ``multiply_by_inputs=False`` leaves the factor A - A' out. Raises `UsageError` for an odd ``n`` or a negative
    ``sigma``.

    >>> import torch, seewhy
    >>> from torch.nn import Conv2d, Flatten, Linear, Sequential, Tanh
    >>> net = Sequential(Conv2d(3, 4, 3), Tanh(), Flatten(), Linear(144, 2))
    >>> asked = {"references": torch.rand(5, 3, 8, 8), "n": 4, "layer": "0"}
    >>> seewhy.explain(net, torch.rand(3, 8, 8), method="layer-expected-gradients", **asked).values.shape
    (6, 6)
    """
    check_pairs(n, sigma)
    batch = input.shape[0]
    own = noise_references(input, bounds, n // 2, seed) if references is None else references.to(input)[None]
    count, shared = own.shape[1], references is not None

    def reference(samples: Tensor, indices: Tensor) -> Tensor:
        return own[samples.to(own.device) if not shared else 0, indices.to(own.device)]

    known = ChangedInput(count, reference, ("references", id(references), seed))
    first = torch.stack([torch.zeros(count, dtype=torch.long), torch.arange(count)], 1)
    (starts,) = yield Stream(known, (Activation(),), Gather(batch, count), first if shared else None)
    ends = activation[:, None]
    if sigma > 0:
        (ends,) = yield Stream(
            GaussianNoise(n // 2, sigma, seed, spread=spread), (Activation(),), Gather(batch, n // 2)
        )
    keys = fingerprint(input)

    def drawn(samples: Tensor, pairs: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Where paths end and begin, and the first place on them."""
        names = [(keys[s], i) for s, i in zip(samples.tolist(), pairs.tolist(), strict=True)]
        picked = uniform(names, (2,), seed)
        which = (picked[:, 1] * count).long().clamp(max=count - 1).to(starts.device)
        end = ends[samples.to(ends.device), pairs.to(ends.device) if sigma > 0 else 0]
        if shared:
            return end, starts[0][which], picked[:, 0]
        return end, starts[samples.to(starts.device), pairs.to(starts.device)], picked[:, 0]

    def between(values: Tensor, samples: Tensor, indices: Tensor) -> Tensor:
        return point_between(drawn, samples, indices)

    shares = Pairs(Shares(batch, tolerance, drawn, multiplied=multiply_by_inputs))
    name = "expected gradients of a layer", sigma, seed, id(references)
    return (yield from sampled(EditedLayer(n, name, between), (Gradient(),), shares, first=32))
