"""Layer-wise relevance propagation: takes a target's score, sends it back layer by layer, gives each pixel's part of
it; the rules live in `seewhy.core.relevance.rules`."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

from torch import Tensor

from seewhy.core.asks import Attribution, Relevance
from seewhy.core.relevance.composites import LinearCall, find_composite
from seewhy.methods._flows import account
from seewhy.registry import Card, Need, method

__all__ = ["lrp"]


@method(
    Card(
        name="lrp",
        family="propagation",
        paper="Bach et al. 2015, On Pixel-Wise Explanations by Layer-Wise Relevance Propagation, PLOS ONE 10(7); "
        "Montavon et al. 2019, Layer-Wise Relevance Propagation: An Overview; "
        "transformers: Achtibat et al. 2024, AttnLRP, arXiv:2402.05602",
        formula="R_i = sum_j x_i rho(w_ij) / (sum_i x_i rho(w_ij) + eps) R_j, rho by layer",
        unit="{score}",
        excepts={
            "cancellation": "shares out the score itself: where it is 0, nothing is shared out",
            "saturation": "shares out the score in proportion to what a layer is given, as the gradient times that: of "
            "paths that differ by a bias, what one adds another takes off",
            "redundancy": "as saturation: of paths that differ by a bias, what one adds another takes off",
            "shattering": "on rectifiers the epsilon rule is the input times its gradient, of one kink among many "
            "(Ancona et al. 2018, arXiv:1711.06104, proposition 1)",
        },
        cost="2 forwards, 1 backward of a few convolutions a layer",
        needs=frozenset({Need.RELEVANCE}),
        reduce="sum",
        use="a score shared out among pixels layer by layer; what biases and stabilisers keep is measured",
        caveats=(
            "the plus and alpha-beta composites nearly fail the weight-randomisation test (Sixt et al. 2020)",
            "attention, layer norm and products of two signals have rules in attn-lrp and cp-lrp; others refuse them",
            "in transformers softmax, biases and positions absorb much of the score, even more than all of it",
            "deep networks with batch norm: biases absorb most of the score, as the note says; compare maps, not sums",
        ),
    )
)
def lrp(
    bounds: Any,
    score: Tensor,
    *,
    composite: str | Callable[[LinearCall], Any] = "epsilon-gamma-box",
    epsilon: float = 1e-6,
    gamma: float = 0.25,
    linear_gamma: float = 0.0,
) -> Generator[Any, Any, Attribution]:
    """The score's relevance at the input, or at a layer: what each value there contributed under the composite's rules.

    Values [B, C, *positions] in score units, signed; float32 or the model's float64. ``composite`` says which rule goes
    where (`seewhy.core.relevance.composites`): ``"epsilon"``, ``"epsilon-plus"``, ``"epsilon-plus-flat"``,
    ``"epsilon-alpha2-beta1"``, ``"epsilon-alpha2-beta1-flat"``, ``"epsilon-gamma-box"``, ``"by-depth"``, for
    transformers ``"attn-lrp"`` and ``"cp-lrp"``, or a callable from a `LinearCall` to a rule or one of ``"epsilon"``,
    ``"gamma"``, ``"zplus"``, ``"alpha-beta"``, ``"flat"``, ``"w-square"``, ``"z-box"``. On 2x2 mosaics of four photos
    in four arrangements (built-in model) the default put .72 of its positive relevance into the right quarter (chance
    .25), epsilon-plus and its flat form .68 and .69, alpha2-beta1 .62 to .66, by-depth .51, epsilon .37: a small trial,
    in which the first three are close. ``epsilon`` is absolute; ``gamma`` favours what speaks for a unit's own sign.
    z-box reads the smallest and largest input there can be: what black and white come to, or `seewhy.explain`'s
    ``bounds=(low, high)``.

    ``"attn-lrp"`` (Achtibat et al. 2024) shares relevance through softmax, products of signals and layer norms
    (`seewhy.core.relevance.attention`), whether attention is fused, written out or torch's own module; ``"cp-lrp"``
    (Ali et al. 2022) is the same with the weights of attention held constant. ``gamma`` is then that of convolutions
    and of what cuts the image into tokens, ``linear_gamma`` that of all other linear layers, 0 for ``epsilon``; the
    paper takes gamma there against the noise of vision transformers (appendix A.2.3).

    Batch norm is taken into the layer that it follows; residual sums share in proportion; gates pass everything to the
    signal. Relevance sets out from the scores before a final softmax, as d score / d scores times the scores: for a
    class, its score. Where the layer that reads the input could not be told from what the forward does first, and so
    has another rule than the composite says, the note names both. ``error`` [B] is the values' sum less the score, and
    the note says where the rest stayed.

    Raises `CapabilityError` where relevance would have to cross a function without a rule (in most composites softmax
    inside the network, layer norm, a product of two signals), `UnknownName` for a composite or rule that does not
    exist, `UsageError` for invalid numbers.

    >>> import torch, seewhy
    >>> from torch.nn import Conv2d, Flatten, Linear, ReLU, Sequential
    >>> net = Sequential(Conv2d(3, 4, 3, bias=False), ReLU(), Flatten(), Linear(144, 2, bias=False))
    >>> e = seewhy.explain(net, torch.rand(1, 3, 8, 8), method="lrp", target=1)
    >>> e.values.shape, abs(float(e.values.sum()) - e.score) < 1e-3 * abs(e.score)
    ((8, 8), True)
    """
    chosen = find_composite(composite, epsilon=epsilon, gamma=gamma, linear_gamma=linear_gamma, bounds=bounds)
    flow = yield Relevance(chosen)
    return account(flow, score)
