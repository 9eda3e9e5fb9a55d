"""Takes a network, gives a short hash of its architecture and every value in it; never changes it."""

from __future__ import annotations

import hashlib
import operator
from dataclasses import dataclass, field
from inspect import getattr_static
from types import FunctionType
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree

from seewhy.core.compile.attributes import Attributes, attributes_of
from seewhy.core.compile.checksums import Bits, Contents
from seewhy.core.compile.state import addresses
from seewhy.core.network.borrowed import unwrap
from seewhy.core.network.code import does
from seewhy.core.network.parts import EVERY_MODULES, Parts, tensors_of

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable, Iterator, Sequence

    from seewhy.core.network.inputs import Inputs

__all__ = ["cached_fingerprint", "fingerprint", "of_inputs"]

#: how many values of a tensor are looked at before its cached fingerprint is believed
_SAMPLE = 64


#: packages whose code is told by their versions; of all other code, what it does is looked at
_KNOWN = frozenset(("torch", "torchvision", "timm", "transformers", "keras"))


#: containers within containers that are looked into
_DEEP = 8


def _words(parts: Sequence[nn.Module]) -> tuple[Attributes, list[str]]:
    """What is no tensor in modules, in short, to be compared with what was there before."""
    kept, values = attributes_of(parts)
    return kept, [_told(values[n]) for n in kept.split.rest]


def _plain(module: nn.Module) -> str:
    """A line for each part: its name and kind, the numbers and words that it keeps, and, where it is somebody's own,
    the code of its forward: a constant in it is as much a part of a network as its weights are."""
    lines = []
    for name, child in module.named_modules(remove_duplicate=False):
        kind = type(child)
        own = {key: value for key, value in vars(child).items() if key not in EVERY_MODULES}
        forward = getattr_static(kind, "forward", None)  # TorchScript's is no function
        told = isinstance(forward, FunctionType) and kind.__module__.partition(".")[0] not in _KNOWN
        code = does(forward.__code__) if told else ""
        lines.append(f"{name}|{kind.__module__}.{kind.__qualname__}|{child.extra_repr()}|{_told(own)}|{code}\n")
    return "".join(lines)


def _told(value: Any, depth: int = 0) -> str:
    """A plain value as it is in any process; of others, and of what lies very deep, their kind alone."""
    if value is None or isinstance(value, bool | int | float | complex | str | bytes | torch.dtype | torch.device):
        return repr(value)
    if isinstance(value, tuple | list | set | frozenset | dict) and depth < _DEEP:
        parts = [_told(each, depth + 1) for each in (value.items() if isinstance(value, dict) else value)]
        return f"[{', '.join(parts if isinstance(value, tuple | list) else sorted(parts))}]"
    if isinstance(value, type) or callable(value):
        own = value if hasattr(value, "__qualname__") else type(value)
        code = does(value.__code__) if isinstance(value, FunctionType) else ""
        return f"{getattr(own, '__module__', '')}.{own.__qualname__}{code}"
    return type(value).__qualname__


def _tensors(module: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Every parameter and buffer, also those a state dict leaves out; a shared one under each name."""
    yield from module.named_parameters(remove_duplicate=False)
    yield from module.named_buffers(remove_duplicate=False)


@dataclass(frozen=True)
class _Taken:
    """A fingerprint, and what must still be so for it to hold; ``beside`` are what a program's `Contents` do not cover,
    and what was seen of it."""

    tensors: tuple[Tensor, ...]
    addresses: Hashable
    samples: Bits
    seen: bytes
    words: tuple[Attributes, list[str]]
    digest: str
    beside: WeakKeyDictionary[Contents, tuple[Bits, bytes]] = field(default_factory=WeakKeyDictionary)

    def same(self, tensors: list[Tensor], words: tuple[Attributes, list[str]]) -> bool:
        """Whether it still holds, for the module's ``tensors`` and `_words` now."""
        if (
            words != self.words
            or len(tensors) != len(self.tensors)
            or not all(map(operator.is_, tensors, self.tensors))
        ):
            return False
        return addresses(tensors) == self.addresses and self.samples.now() == self.seen

    def held_with(self, contents: Contents) -> bool:
        """Whether it held when these ``contents``, which are unchanged, were met before, and what they do not cover is
        as it was."""
        bits, seen = self.beside.get(contents, (None, b""))
        return bits is not None and bits.now() == seen

    def hold_with(self, contents: Contents) -> None:
        """Note that it holds with these ``contents``."""
        bits = _samples([tensor for tensor in self.tensors if not contents.covers(tensor)])
        self.beside[contents] = bits, bits.now()


# weak keys: a module's entry dies with it, while an id() can be given out again
_taken: WeakKeyDictionary[nn.Module, _Taken] = WeakKeyDictionary()


def cached_fingerprint(module: nn.Module, contents: Contents | None = None) -> str:
    """`fingerprint`, taken once for each state of ``module``.

    A state is every tensor's address, version and some evenly spread values, and what parts keep besides. The version
    counts every in-place operation except those through ``.data``; the values, looked at through views that are kept,
    catch those that touch a whole tensor. Tensors that cannot tell their version (inference mode) or have nothing to
    look at are never cached. ``contents`` are those that a prepared program of the module depends on, found unchanged
    in this call with everything else that it depends on: then only what they do not cover is looked at again, and no
    single value changes unseen in what they do.
    """
    known = _taken.get(module)
    contents = contents if unwrap(module) is module else None  # a program stands for what is inside
    if known is not None and contents is not None and known.held_with(contents):
        return known.digest
    parts = Parts(module)
    tensors, words = tensors_of(parts), _words(parts)
    same = known is not None and known.same(tensors, words)
    if known is not None and same and contents is None:
        return known.digest
    digest = fingerprint(module)  # also where contents are new: those before them may have been found changed
    if known is None or not same or digest != known.digest:
        if any(t.is_inference() or t.is_meta or t.layout != torch.strided or t.is_quantized for t in tensors):
            return digest
        samples = _samples(tensors)
        known = _taken[module] = _Taken(tuple(tensors), addresses(tensors), samples, samples.now(), words, digest)
    if contents is not None:
        known.hold_with(contents)
    return digest


def _samples(tensors: Iterable[Tensor]) -> Bits:
    """A few values of each of ``tensors``."""
    return Bits([view for tensor in tensors if (view := _sample(tensor)) is not None])


def _sample(tensor: Tensor) -> Tensor | None:
    """A view of a few evenly spread values; None where there are none."""
    if tensor.numel() == 0:
        return None
    flat = tensor.detach()
    while flat.ndim > 1:  # the longest axis is spread over, the others looked at in their middle
        axis = min(range(flat.ndim), key=lambda a: flat.shape[a])
        flat = flat.select(axis, flat.shape[axis] // 2)
    flat = flat.reshape(-1)
    return flat[:: max(1, flat.numel() // _SAMPLE)]


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
    return np.from_dlpack(plain).data  # Tensor.numpy would forbid to resize the tensor ever after


def fingerprint(module: nn.Module) -> str:
    """16 hexadecimal digits: equal for equal architecture and values, plain attributes and code of its own among them,
    whatever the device or the address.

    A permutation-blind checksum such as `torch.hash_tensor` alone would not do: it is 0 for every constant
    tensor of even length, so the values themselves go through a cryptographic hash.
    """
    digest = hashlib.sha256(_plain(module).encode())
    with torch.no_grad():
        for name, tensor in _tensors(module):
            digest.update(f"{name}|{tuple(tensor.shape)}|{tensor.dtype}\n".encode())
            digest.update(_content(tensor))
    return digest.hexdigest()[:16]


def of_inputs(own: str, inputs: Inputs) -> str:
    """16 hexadecimal digits of a network whose own are ``own``, and of how it is called."""
    digest = hashlib.sha256(f"{own}|{inputs.explained!r}".encode())
    for key, value in inputs.held.items():
        leaves, spec = pytree.tree_flatten(value)
        digest.update(f"|{key!r}|{spec}".encode())
        for leaf in leaves:
            if isinstance(leaf, Tensor):
                digest.update(f"|{tuple(leaf.shape)}|{leaf.dtype}".encode())
                digest.update(_content(leaf))
            else:
                digest.update(f"|{leaf!r}".encode())
    return digest.hexdigest()[:16]
