"""Random draws that depend on what is explained, not on how it is batched: takes inputs and a seed, gives noise."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import torch
from torch import Tensor

__all__ = ["fingerprint", "gaussian", "state", "uniform"]


def fingerprint(x: Tensor) -> list[bytes]:
    """A hash of each sample's values [B, ...], the same for any dtype that holds them, any batch and memory format."""
    rows = x.detach().to("cpu", torch.float32).contiguous()
    return [hashlib.blake2b(row.numpy().tobytes(), digest_size=16).digest() for row in rows]


def state(key: bytes, index: int, *, family: str, seed: int) -> int:
    """What a generator starts from, for one (sample fingerprint, index): 63 bits of a hash of it."""
    digest = hashlib.blake2b(key + f"|{family}|{seed}|{index}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def _generator(key: bytes, index: int, family: str, seed: int) -> torch.Generator:
    return torch.Generator(device="cpu").manual_seed(state(key, index, family=family, seed=seed))


def gaussian(keys: Iterable[tuple[bytes, int]], shape: tuple[int, ...], *, family: str, seed: int) -> Tensor:
    """Standard normal noise [N, *shape] on the CPU, float32: one draw for every (sample fingerprint, index)."""
    draws = []
    for key, index in keys:
        generator = _generator(key, index, family, seed)
        draws.append(torch.randn(shape, generator=generator, dtype=torch.float32, device="cpu"))
    return torch.stack(draws)


def uniform(keys: Iterable[tuple[bytes, int]], shape: tuple[int, ...], *, family: str, seed: int) -> Tensor:
    """Uniform numbers in [0, 1) [N, *shape] on the CPU, float64: one draw for every (sample fingerprint, index)."""
    draws = []
    for key, index in keys:
        generator = _generator(key, index, family, seed)
        draws.append(torch.rand(shape, generator=generator, dtype=torch.float64, device="cpu"))
    return torch.stack(draws)
