"""A model that has learnt nothing: takes a Model, gives one of the same build whose weights are in another order; never
changes the one that it was handed.

What maps of it show is what the network's build and the picture give by themselves: the control against which maps of
the trained network are held (Adebayo et al. 2018, Sanity Checks for Saliency Maps, arXiv:1810.03292, section 3).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from seewhy.core.network.differentiable_function import DifferentiableFunction
from seewhy.core.network.parts import submodules
from seewhy.errors import CapabilityError, UsageError
from seewhy.models._keras_network import KerasNetwork
from seewhy.models.copied import copied
from seewhy.models.model import Model

__all__ = ["redrawn"]

#: axes from which weights have inputs and outputs
_MATRIX = 2
#: types that hold weights as numbers
_NUMBERS = frozenset((torch.float16, torch.bfloat16, torch.float32, torch.float64))


def redrawn(model: Model, seed: int = 0, *, kept: float = 0.0) -> Model:
    """A model of the same build whose every parameter has its numbers in another order, drawn from ``seed`` and the
    parameter's place in the network's own list; preprocessing, labels and inputs are the same.

    Each parameter keeps its values, and so its spread: nothing learnt is left but that. What is no parameter stays:
    running statistics of norms, tables of positions. Parameters that are one stay one. The model that was handed over,
    and torch's and Python's random state, stay as they are. The same seed gives the same model anywhere, and in
    torch, Keras and ONNX the same one of a network whose parameters they list alike.

    ``kept`` is the share of parameters, the first ones in the order of the network's own list, which is most often that
    from input to output, that stay as they are: half of them leave a network its filters, and nothing that reads them.

    Raises `CapabilityError` for a function, which has no weights to be seen; for weights that are computed from others
    (parametrisations, weight and spectral norm), packed or quantised, or overlap in memory; for a network that cannot
    be copied; and for one in which no order is another. `UsageError` for a seed that is no whole number, and a share
    that is none.

    Adebayo et al. 2018, arXiv:1810.03292, section 3, draw from an initialiser; a network's own numbers, which any has,
    keep the spread that each layer has after training.

    >>> import torch, seewhy
    >>> net = torch.nn.Linear(6, 2)
    >>> other = redrawn(seewhy.wrap(net)).module
    >>> before, after = (one.weight.flatten().tolist() for one in (net, other))
    >>> before == after, sorted(before) == sorted(after)
    (False, True)
    """
    if isinstance(seed, bool) or not isinstance(seed, int):
        raise UsageError(f"seed={seed!r}: a whole number, e.g. seed=0")
    if isinstance(kept, bool) or not isinstance(kept, int | float) or not 0 <= kept < 1:
        raise UsageError(f"kept={kept!r}: the share of parameters that stay, from 0 to below 1, e.g. kept=0.5")
    root = model.network().root
    if root is None or isinstance(root, DifferentiableFunction):
        raise CapabilityError(
            f"{model.name} is a function, whose weights nobody sees: give the module for a redrawn one"
        )
    if not isinstance(root, KerasNetwork):
        _check(model.name, root)
    fresh = copied(model, f"those of {model.spec or model.name}, shuffled")
    weights = list(enumerate(_weights(fresh)))
    _shuffle(model.name, weights[round(kept * len(weights)) :], seed)
    return fresh


def _check(name: str, root: nn.Module) -> None:
    """Refuse weights that are made of others, or that are no plain numbers; raises `CapabilityError`."""
    for part in submodules(root):
        hooks = [type(hook).__name__ for hook in part._forward_pre_hooks.values()]
        computed = parametrize.is_parametrized(part) or any(n in ("WeightNorm", "SpectralNorm") for n in hooks)
        if computed:
            raise CapabilityError(
                f"{name}: the weights of a {type(part).__name__} are computed from others (parametrisation, weight or "
                "spectral norm): take that off first, torch.nn.utils.parametrize.remove_parametrizations"
            )
        if hasattr(part, "_packed_params"):
            raise CapabilityError(f"{name}: the weights of a {type(part).__name__} are packed; give the float network")
    for each, tensor in root.named_parameters():
        if isinstance(tensor, nn.parameter.UninitializedParameter):
            raise CapabilityError(f"{name}: parameter {each!r} has no values yet; run the network once")
        if tensor.is_meta or tensor.layout != torch.strided or tensor.dtype not in _NUMBERS or not _plain(tensor):
            kind = type(tensor.data).__name__ if not _plain(tensor) else str(tensor.dtype)
            raise CapabilityError(
                f"{name}: parameter {each!r} ({kind}{', on no device' if tensor.is_meta else ''}) is quantised, sparse "
                "or has no values; give the float network"
            )


def _plain(tensor: Tensor) -> bool:
    return type(tensor.data) is Tensor


def _weights(model: Model) -> Iterator[Tensor]:
    """Every parameter once, of a network of torch; of Keras what it calls trainable where all of it is, as torch would
    have it: [out, in, *size], a view."""
    network = model.network().module
    if not isinstance(network, KerasNetwork):
        yield from network.parameters()
        return
    network.model.trainable = True  # a copy's: running statistics are what is left out then
    for variable in network.model.trainable_variables:
        value: Tensor = variable.value
        yield value if value.ndim < _MATRIX else value.permute(-1, -2, *range(value.ndim - 2))


def _shuffle(name: str, weights: Iterable[tuple[int, Tensor]], seed: int) -> None:
    """Put the numbers of each tensor into another order, in place; of several in one place, once."""
    done: set[tuple[int, int]] = set()
    changed = False
    with torch.no_grad():
        for place, tensor in weights:
            held = tensor.data_ptr(), tensor.numel()
            if tensor.numel() == 0 or held in done:
                continue
            done.add(held)
            before = tensor.detach().clone()
            flat = before.reshape(-1)
            tensor.copy_(flat[_order(place, seed, flat.numel()).to(flat.device)].reshape(before.shape))
            changed |= not torch.equal(before, tensor)
    if not changed:
        raise CapabilityError(f"{name} has no parameters with different numbers in them: nothing can be drawn anew")


def _order(place: int, seed: int, count: int) -> Tensor:
    key = hashlib.blake2b(f"{seed}|{place}".encode(), digest_size=8).digest()
    return torch.randperm(count, generator=torch.Generator().manual_seed(int.from_bytes(key, "little") >> 1))
