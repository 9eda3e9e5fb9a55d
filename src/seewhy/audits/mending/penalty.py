"""Right for the right reasons: takes scores and inputs of a training step and where no evidence should be, gives what
is added to the loss."""

from __future__ import annotations

import torch
from torch import Tensor

from seewhy.errors import UsageError

__all__ = ["evidence_penalty"]


def evidence_penalty(scores: Tensor, inputs: Tensor, masks: Tensor) -> Tensor:
    """How much evidence lies where ``masks`` [B, H, W] are 1: the squared gradient of the sum of all classes'
    log-probabilities with respect to the ``inputs`` [B, C, H, W], summed over the masked pixels, the mean over the
    batch; with a graph, to be added to a loss.

    ``scores`` [B, K] come before a softmax, from ``inputs`` that require a gradient. Ross, Hughes & Doshi-Velez 2017,
    Right for the Right Reasons, arXiv:1703.03717, eq. 1. Raises `UsageError` for inputs that have no gradient and for
    masks of another size.

    >>> x = torch.ones(2, 1, 2, 2, requires_grad=True)
    >>> scores = torch.stack([x[:, 0, 0, 0], 0 * x[:, 0, 0, 0]], 1)
    >>> left = torch.tensor([[1.0, 0.0], [0.0, 0.0]]).expand(2, 2, 2)
    >>> round(evidence_penalty(scores, x, left).item(), 4), evidence_penalty(scores, x, 1 - left).item()
    (0.2136, 0.0)
    """
    if not inputs.requires_grad:
        raise UsageError("inputs without a gradient: inputs.requires_grad_() before the forward")
    if masks.shape != (len(inputs), *inputs.shape[2:]):
        raise UsageError(f"masks {tuple(masks.shape)} of inputs {tuple(inputs.shape)}: one [H, W] for each input")
    (gradient,) = torch.autograd.grad(scores.log_softmax(1).sum(), inputs, create_graph=True)
    found: Tensor = (gradient.square() * masks.to(gradient)[:, None]).flatten(1).sum(1).mean()
    return found
