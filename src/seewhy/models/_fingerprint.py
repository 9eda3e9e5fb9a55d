"""Takes a network, gives a short hash of its architecture and every value in it; never changes it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["fingerprint", "state_key"]

#: how many values of a tensor are looked at before its cached fingerprint is believed
_SAMPLE = 1000


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every parameter and buffer, also those a state dict leaves out; a shared one under each name."""
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


def state_key(module: nn.Module) -> tuple[object, ...] | None:
    """What must be equal for a cached fingerprint to hold: each tensor's address, version and a quick sample.

    The version counts every in-place operation except those through ``.data``; the sample, about a thousand
    values spread over each tensor, catches those that touch a whole tensor. None if a tensor cannot tell its
    version (inference mode) or has no content to look at: then nothing is cached.
    """
    key: list[object] = []
    for name, tensor in _tensors(module):
        if tensor.is_inference() or tensor.is_meta or tensor.layout != torch.strided or tensor.is_quantized:
            return None
        key.append((name, tensor.data_ptr(), tensor._version, tuple(tensor.shape), tensor.dtype, _sample(tensor)))
    return tuple(key)


def _sample(tensor: Tensor) -> int:
    """A checksum of evenly spread values; an odd number of them, because equal values cancel in pairs."""
    with torch.no_grad():
        plain = tensor.detach().resolve_conj().resolve_neg()
        plain = torch.view_as_real(plain) if plain.is_complex() else plain
        if plain.numel() == 0:
            return 0
        dense = plain.ndim == 4 and plain.is_contiguous(memory_format=torch.channels_last)
        # the order is of no matter here, so a channels-last weight need not be copied into rows
        flat = plain.as_strided((plain.numel(),), (1,)) if dense else plain.reshape(-1)
        spread = flat[:: max(1, flat.numel() // _SAMPLE)]
        odd = spread[: len(spread) - 1 + len(spread) % 2]
        return int(torch.hash_tensor(odd).item())


def _content(tensor: Tensor) -> memoryview:
    """The raw bytes of the values in row-major order."""
    tensor = tensor.detach()
    if tensor.is_quantized:
        tensor = tensor.dequantize()
    if tensor.layout != torch.strided:
        tensor = tensor.to_dense()
    if tensor.is_meta or tensor.numel() == 0:
        return memoryview(b"")
    plain = tensor.cpu().resolve_conj().resolve_neg().contiguous().reshape(-1).view(torch.uint8)
    return plain.numpy().data


def fingerprint(module: nn.Module) -> str:
    """16 hexadecimal digits: equal for equal architecture and values, whatever the device or the address.

    A permutation-blind checksum such as `torch.hash_tensor` alone would not do: it is 0 for every constant
    tensor of even length, so the values themselves go through a cryptographic hash.
    """
    digest = hashlib.sha256()
    for name, child in module.named_modules(remove_duplicate=False):
        kind = type(child)
        digest.update(f"{name}|{kind.__module__}.{kind.__qualname__}|{child.extra_repr()}\n".encode())
    with torch.no_grad():
        for name, tensor in _tensors(module):
            digest.update(f"{name}|{tuple(tensor.shape)}|{tensor.dtype}\n".encode())
            digest.update(_content(tensor))
    return digest.hexdigest()[:16]
