"""A cue projected out: takes a layer's activations with a cue and without it, gives a module that takes the difference
away."""

from __future__ import annotations

from torch import Tensor, nn

from seewhy.errors import UsageError

__all__ = ["Projection", "direction"]


def direction(with_it: Tensor, without: Tensor) -> tuple[Tensor, Tensor]:
    """The direction [C], of length one, in which activations [N, C, ...] of the same pictures with and without a cue
    differ, and what activations without it have in that direction on average [].

    It is the mean of paired differences: what else differs between pictures, differs in both. Raises `UsageError` for
    activations of other shapes and for pairs that do not differ.
    """
    if with_it.shape != without.shape or with_it.ndim < 2:
        raise UsageError(f"activations {tuple(with_it.shape)} and {tuple(without.shape)}: give pairs [N, C, ...]")
    one, other = (each.double().flatten(2).mean(2) if each.ndim > 2 else each.double() for each in (with_it, without))
    apart = (one - other).mean(0)
    length = apart.norm()
    if not bool(length > 1e-9 * one.norm(dim=1).mean()):
        raise UsageError("activations with and without the cue are the same: this layer does not see it")
    unit = apart / length
    return unit.float(), (other @ unit).mean().float()


class Projection(nn.Module):
    """Activations [B, C, ...] (channels ``axis`` 1, or -1 for tokens) whose part along a direction is what activations
    without the cue have on average: a - v (v.a - z).

    Anders et al. 2022, Finding and Removing Clever Hans, arXiv:1912.11425, eq. 6 (P-ClArC). Put behind a layer with
    ``nn.Sequential(layer, projection)``.

    >>> import torch
    >>> plain = Projection(torch.tensor([1.0, 0.0]), torch.tensor(0.5))
    >>> plain(torch.tensor([[3.0, 4.0]])).tolist()
    [[0.5, 4.0]]
    """

    along: Tensor
    level: Tensor

    def __init__(self, along: Tensor, level: Tensor, axis: int = 1) -> None:
        super().__init__()
        self.axis = axis
        self.register_buffer("along", along.detach().clone())
        self.register_buffer("level", level.detach().clone())

    def forward(self, a: Tensor) -> Tensor:
        """The activations without the cue."""
        shape = [1] * a.ndim
        shape[self.axis] = -1
        along = self.along.to(a).reshape(shape)
        part = (a * along).sum(self.axis, keepdim=True) - self.level.to(a)
        return a - along * part
